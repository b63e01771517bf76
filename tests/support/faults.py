"""Every way an upstream fails before its first token, as handlers for `Scripted`.

Each fault is named by the first segment of the path it is asked at, so one scripted upstream can
be many providers, each with its own way of failing.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from tests.support.answers import answer, closing, error_body, opening, tokens
from tests.support.scripted import Exchange

Act = Callable[[Exchange, str], None]
"""Fails one exchange, in the dialect named."""


@dataclass(frozen=True)
class Fault:
    """One way to fail.

    Attributes:
        act: What the upstream does.
        status: What the asker is told when no other provider is left; an upstream that has too
            much to do is told in the asker's dialect, with 529 here standing for both.
        plain: Whether it can happen to a plain answer.
        streamed: Whether it can happen to a streamed one.
    """

    act: Act
    status: int = 502
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


FAULTS: Mapping[str, Fault] = {
    "hang-up": Fault(_hang_up),
    "reset": Fault(_reset),
    "reset-after-head": Fault(_reset_after_head),
    "not-http": Fault(_not_http),
    "status-500": Fault(_status(500, "server_error")),
    "status-502": Fault(_status(502, "server_error")),
    "status-503": Fault(_status(503, "server_error", "server_is_overloaded"), 503),
    "status-504": Fault(_status(504, "timeout_error"), 504),
    "status-529": Fault(_status(529, "overloaded_error"), 529),
    "html-503": Fault(_bare_status, 503),
    "limited": Fault(_status(429, "rate_limit_error"), 429),
    "limited-until": Fault(_status(429, "rate_limit_error", retry_after="30"), 429),
    "limited-for-ages": Fault(_status(429, "rate_limit_error", retry_after="86400"), 429),
    "out-of-quota": Fault(_status(429, "insufficient_quota", "insufficient_quota")),
    "out-of-credit": Fault(_status(402, "billing_error")),
    "wrong-key": Fault(_status(401, "authentication_error", "invalid_api_key")),
    "forbidden": Fault(_status(403, "permission_error")),
    "error-with-200": Fault(_error_with_200),
    "html-with-200": Fault(_whole(b"<html><body>Sign in</body></html>", "text/html")),
    "not-json": Fault(_whole(b"oops")),
    "empty-body": Fault(_whole(b"")),
    "empty-completion": Fault(_empty_completion, streamed=False),
    "short-body": Fault(_short_body, streamed=False),
    "silent": Fault(_silent, 504),
    "silent-after-head": Fault(_silent_after_head, 504, plain=False),
    "silent-after-opening": Fault(_silent_after_opening, 504, plain=False),
    "error-event-first": Fault(_error_event_first, plain=False),
    "ends-before-token": Fault(_ends_before_token, plain=False),
    "empty-stream": Fault(_empty_stream, plain=False),
    "cut-before-token": Fault(_cut_before_token, plain=False),
    "malformed-event-first": Fault(_malformed_event_first, plain=False),
}


def by_path(exchange: Exchange) -> None:
    """Do what the first segment of the path names: a fault, or `good`."""
    name = exchange.request.path.split("/")[1]
    dialect = "anthropic" if exchange.request.path.endswith("/messages") else "openai"
    act = good if name == "good" else FAULTS[name].act
    act(exchange, dialect)
