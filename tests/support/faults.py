"""Every way an upstream fails before its first token, as handlers for `Scripted`.

Each fault is named by the first segment of the path it is asked at, so one scripted upstream can
be many providers, each with its own way of failing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tests.support.answers import answer, closing, error_body, opening, tokens
from tests.support.scripted import Exchange

Act = Callable[[Exchange, str], None]
"""Fails one exchange, in the dialect named."""

UNAVAILABLE = frozenset({502, 503, 504})
"""What an asker may be told when an upstream is broken or away."""


@dataclass(frozen=True)
class Fault:
    """One way to fail.

    Attributes:
        act: What the upstream does.
        statuses: What the asker may be told when no other provider is left.
        plain: Whether it can happen to a plain answer.
        streamed: Whether it can happen to a streamed one.
    """

    act: Act
    statuses: frozenset[int] = field(default=UNAVAILABLE)
    plain: bool = True
    streamed: bool = True


def _status(status: int, kind: str, code: str | None = None, **headers: str) -> Act:
    def act(exchange: Exchange, dialect: str) -> None:
        exchange.answer(
            status,
            error_body(dialect, kind, f"scripted {kind}", code),
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )

    return act


def _whole(body: bytes, content_type: str = "application/json") -> Act:
    def act(exchange: Exchange, dialect: str) -> None:
        exchange.answer(200, body, content_type=content_type)

    return act


def _error_with_200(exchange: Exchange, dialect: str) -> None:
    exchange.answer(200, error_body(dialect, "api_error", "scripted error in disguise"))


def _bare_status(exchange: Exchange, dialect: str) -> None:
    exchange.answer(503, b"<html>Service Unavailable</html>", content_type="text/html")


def _empty_completion(exchange: Exchange, dialect: str) -> None:
    body = dict(answer(dialect))
    if dialect == "openai":
        body["choices"] = []
    else:
        body["content"] = []
        body["stop_reason"] = None
    exchange.answer(200, body)


def _short_body(exchange: Exchange, dialect: str) -> None:
    exchange.raw(
        b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"
    )
    exchange.hang_up()


def _hang_up(exchange: Exchange, dialect: str) -> None:
    exchange.hang_up()


def _reset(exchange: Exchange, dialect: str) -> None:
    exchange.reset()


def _reset_after_head(exchange: Exchange, dialect: str) -> None:
    exchange.begin()
    exchange.reset()


def _not_http(exchange: Exchange, dialect: str) -> None:
    exchange.raw(b"\x15\x03\x01\x00\x02\x02\x46 this is no HTTP\r\n\r\n")
    exchange.hang_up()


def _silent(exchange: Exchange, dialect: str) -> None:
    exchange.wait_gone()


def _silent_after_head(exchange: Exchange, dialect: str) -> None:
    exchange.begin()
    exchange.wait_gone()


def _silent_after_opening(exchange: Exchange, dialect: str) -> None:
    exchange.begin()
    for event in opening(dialect):
        exchange.piece(event)
    exchange.wait_gone()


def _error_event_first(exchange: Exchange, dialect: str) -> None:
    exchange.begin()
    if dialect == "openai":
        exchange.piece(b'data: {"error": {"message": "scripted", "type": "server_error"}}\n\n')
    else:
        exchange.piece(
            b"event: error\n"
            b'data: {"type": "error", "error": {"type": "overloaded_error", "message": "s"}}\n\n'
        )
    exchange.finish()


def _ends_before_token(exchange: Exchange, dialect: str) -> None:
    exchange.begin()
    for event in opening(dialect):
        exchange.piece(event)
    exchange.finish()


def _empty_stream(exchange: Exchange, dialect: str) -> None:
    exchange.begin()
    exchange.finish()


def _cut_before_token(exchange: Exchange, dialect: str) -> None:
    exchange.begin()
    for event in opening(dialect):
        exchange.piece(event)
    exchange.hang_up()


def _malformed_event_first(exchange: Exchange, dialect: str) -> None:
    exchange.begin()
    name = b"event: content_block_delta\n" if dialect == "anthropic" else b""
    exchange.piece(name + b'data: {"choices": [{"delta": {"con\n\n')
    exchange.finish()


def good(exchange: Exchange, dialect: str) -> None:
    """Answer well: the words of `answers.TEXT`, plain or streamed as asked."""
    if not exchange.request.json.get("stream"):
        exchange.answer(200, answer(dialect))
        return
    exchange.begin()
    for event in (*opening(dialect), *tokens(dialect), *closing(dialect)):
        exchange.piece(event)
    exchange.finish()


_502 = frozenset({502})
_TIMED_OUT = frozenset({504})

FAULTS: Mapping[str, Fault] = {
    "hang-up": Fault(_hang_up),
    "reset": Fault(_reset),
    "reset-after-head": Fault(_reset_after_head),
    "not-http": Fault(_not_http),
    "status-500": Fault(_status(500, "server_error")),
    "status-502": Fault(_status(502, "server_error")),
    "status-503": Fault(_status(503, "server_error", "server_is_overloaded")),
    "status-504": Fault(_status(504, "timeout_error")),
    "status-529": Fault(_status(529, "overloaded_error"), frozenset({503, 529})),
    "html-503": Fault(_bare_status),
    "limited": Fault(_status(429, "rate_limit_error"), frozenset({429})),
    "limited-until": Fault(_status(429, "rate_limit_error", retry_after="30"), frozenset({429})),
    "limited-for-ages": Fault(
        _status(429, "rate_limit_error", retry_after="86400"), frozenset({429})
    ),
    "out-of-quota": Fault(_status(429, "insufficient_quota", "insufficient_quota"), _502),
    "out-of-credit": Fault(_status(402, "billing_error"), _502),
    "wrong-key": Fault(_status(401, "authentication_error", "invalid_api_key"), _502),
    "forbidden": Fault(_status(403, "permission_error"), _502),
    "error-with-200": Fault(_error_with_200, _502),
    "html-with-200": Fault(_whole(b"<html><body>Sign in</body></html>", "text/html"), _502),
    "not-json": Fault(_whole(b"oops"), _502),
    "empty-body": Fault(_whole(b""), _502),
    "empty-completion": Fault(_empty_completion, _502, streamed=False),
    "short-body": Fault(_short_body, streamed=False),
    "silent": Fault(_silent, _TIMED_OUT),
    "silent-after-head": Fault(_silent_after_head, _TIMED_OUT, plain=False),
    "silent-after-opening": Fault(_silent_after_opening, _TIMED_OUT, plain=False),
    "error-event-first": Fault(_error_event_first, plain=False),
    "ends-before-token": Fault(_ends_before_token, _502, plain=False),
    "empty-stream": Fault(_empty_stream, _502, plain=False),
    "cut-before-token": Fault(_cut_before_token, plain=False),
    "malformed-event-first": Fault(_malformed_event_first, _502, plain=False),
}


def by_path(exchange: Exchange) -> None:
    """Do what the first segment of the path names: a fault, or `good`."""
    name = exchange.request.path.split("/")[1]
    dialect = "anthropic" if exchange.request.path.endswith("/messages") else "openai"
    act = good if name == "good" else FAULTS[name].act
    act(exchange, dialect)
