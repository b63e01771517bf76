"""Sound upstreams of every habit: how they frame and end their answers makes no difference."""

import gzip
import json
from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.support import raw
from tests.support.answers import (
    PATHS,
    TEXT,
    answer,
    closing,
    openai_chunk,
    openai_closing,
    openai_opening,
    opening,
    request_body,
    tokens,
)
from tests.support.configs import base_url, config, group, upstream
from tests.support.daemon import Daemon
from tests.support.reading import events, partial_text, stream_text, text_of
from tests.support.scripted import Exchange, Scripted

DIALECTS = ("openai", "anthropic")
Habit = Callable[[Exchange, str], None]


def _whole(dialect: str) -> bytes:
    return b"".join((*opening(dialect), *tokens(dialect), *closing(dialect)))


def _body(exchange: Exchange, dialect: str) -> tuple[bytes, bytes]:
    """Return the content type and the bytes of a good answer, as asked: plain or streamed."""
    if exchange.request.json.get("stream"):
        return b"text/event-stream", _whole(dialect)
    return b"application/json", json.dumps(answer(dialect)).encode()


def _with_length(exchange: Exchange, dialect: str) -> None:
    kind, body = _body(exchange, dialect)
    exchange.raw(
        b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (kind, len(body))
        + body
    )


def _until_close(exchange: Exchange, dialect: str) -> None:
    kind, body = _body(exchange, dialect)
    exchange.raw(b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\n\r\n" % kind + body)
    exchange.hang_up()


def _http_1_0(exchange: Exchange, dialect: str) -> None:
    kind, body = _body(exchange, dialect)
    exchange.raw(b"HTTP/1.0 200 OK\r\nContent-Type: %b\r\n\r\n" % kind + body)
    exchange.hang_up()


def _says_close(exchange: Exchange, dialect: str) -> None:
    kind, body = _body(exchange, dialect)
    exchange.raw(
        b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n"
        % (kind, len(body))
        + body
    )
    exchange.hang_up()


def _closes_unsaid(exchange: Exchange, dialect: str) -> None:
    _with_length(exchange, dialect)
    exchange.hang_up()


def _chunked(exchange: Exchange, dialect: str) -> None:
    kind, body = _body(exchange, dialect)
    exchange.begin(kind.decode())
    for start in range(0, len(body), 7):
        exchange.piece(body[start : start + 7])
    exchange.finish()


def _chunked_with_trailers(exchange: Exchange, dialect: str) -> None:
    kind, body = _body(exchange, dialect)
    exchange.begin(kind.decode())
    exchange.raw(b"%X;name=value\r\n%b\r\n" % (len(body), body))
    exchange.raw(b"0\r\nX-Trailer: yes\r\n\r\n")


def _byte_by_byte(exchange: Exchange, dialect: str) -> None:
    kind, body = _body(exchange, dialect)
    head = b"HTTP/1.1 200 OK\r\ncontent-type: %b; charset=utf-8\r\ncontent-length: %d\r\n\r\n"
    for byte in head % (kind, len(body)) + body:
        exchange.raw(bytes([byte]))


def _informs_first(exchange: Exchange, dialect: str) -> None:
    exchange.raw(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n")
    exchange.raw(b"HTTP/1.1 100 Continue\r\n\r\n")
    _with_length(exchange, dialect)


def _carriage_returns(exchange: Exchange, dialect: str) -> None:
    kind, body = _body(exchange, dialect)
    if kind == b"text/event-stream":
        body = body.replace(b"\n", b"\r\n")
    exchange.begin(kind.decode())
    exchange.piece(body)
    exchange.finish()


def _comments_and_retry(exchange: Exchange, dialect: str) -> None:
    kind, body = _body(exchange, dialect)
    if kind == b"text/event-stream":
        body = b": warming up\n\nretry: 100\n\n" + body.replace(b"\n\n", b"\n\n: keep-alive\n\n")
    exchange.begin(kind.decode())
    exchange.piece(body)
    exchange.finish()


HABITS: Mapping[str, Habit] = {
    "with-length": _with_length,
    "until-close": _until_close,
    "http-1.0": _http_1_0,
    "says-close": _says_close,
    "closes-unsaid": _closes_unsaid,
    "chunked": _chunked,
    "chunked-with-trailers": _chunked_with_trailers,
    "byte-by-byte": _byte_by_byte,
    "informs-first": _informs_first,
    "carriage-returns": _carriage_returns,
    "comments-and-retry": _comments_and_retry,
}


def _reasons_first(exchange: Exchange) -> None:
    exchange.begin()
    for event in (
        *openai_opening(),
        openai_chunk({"reasoning_content": "let me think"}),
        openai_chunk({"content": TEXT}),
        *openai_closing(),
    ):
        exchange.piece(event)
    exchange.finish()


def _usage_last(exchange: Exchange) -> None:
    exchange.begin()
    usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
    tail = {"id": "x", "object": "chat.completion.chunk", "choices": [], "usage": usage}
    *before, done = openai_closing()
    for event in (*openai_opening(), openai_chunk({"content": TEXT}), *before):
        exchange.piece(event)
    exchange.piece(b"data: " + json.dumps(tail).encode() + b"\n\n")
    exchange.piece(done)
    exchange.finish()


def _compressed(exchange: Exchange) -> None:
    packed = gzip.compress(json.dumps(answer("openai")).encode())
    exchange.answer(200, packed, headers={"content-encoding": "gzip"})


SPECIAL: Mapping[str, Callable[[Exchange], None]] = {
    "reasons-first": _reasons_first,
    "usage-last": _usage_last,
    "compressed": _compressed,
}


def _by_path(exchange: Exchange) -> None:
    name = exchange.request.path.split("/")[1]
    if name in SPECIAL:
        SPECIAL[name](exchange)
        return
    dialect = "anthropic" if exchange.request.path.endswith("/messages") else "openai"
    HABITS[name](exchange, dialect)


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Scripted(_by_path) as scripted:
        cases = [(name, dialect) for name in HABITS for dialect in DIALECTS]
        cases += [(name, "openai") for name in SPECIAL]
        providers = {
            f"p-{name}-{dialect}": upstream(dialect, base_url(dialect, f"{scripted.url}/{name}"))
            for name, dialect in cases
        }
        groups = {f"{name}-{dialect}": group(f"p-{name}-{dialect}") for name, dialect in cases}
        with Daemon(config(providers, groups)) as running:
            yield running


@pytest.mark.parametrize("habit", HABITS)
@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("stream", [False, True])
def test_its_answers_arrive_whole_again_and_again(
    daemon: Daemon, habit: str, dialect: str, stream: bool
) -> None:
    body = request_body(dialect, f"{habit}-{dialect}", stream=stream)
    for _ in range(3):
        reply = daemon.ask("POST", PATHS[dialect], body)
        assert reply.status == 200, reply.body
        # Line ends are the upstream's own: a relay does not touch them.
        plain = reply._replace(body=reply.body.replace(b"\r\n", b"\n"))
        assert text_of(plain, dialect, stream=stream) == TEXT
        assert reply.headers["x-standby-attempts"] == "1"


def test_thoughts_before_the_answer_are_relayed(daemon: Daemon) -> None:
    body = request_body("openai", "reasons-first-openai", stream=True)
    reply = daemon.ask("POST", PATHS["openai"], body)
    assert text_of(reply, "openai", stream=True) == TEXT
    assert b"let me think" in reply.body


def test_a_usage_event_after_the_finish_reason_is_relayed(daemon: Daemon) -> None:
    body = request_body("openai", "usage-last-openai", stream=True)
    reply = daemon.ask("POST", PATHS["openai"], body)
    assert text_of(reply, "openai", stream=True) == TEXT
    assert b'"total_tokens": 8' in reply.body


def test_an_answer_compressed_against_our_wish_is_never_passed_off_as_good(
    daemon: Daemon,
) -> None:
    reply = daemon.ask("POST", PATHS["openai"], request_body("openai", "compressed-openai"))
    if reply.status == 200:
        assert reply.headers.get("content-encoding") == "gzip"
        assert json.loads(gzip.decompress(reply.body))["choices"]
    else:
        assert reply.status == 502
        assert "p-compressed-openai" in reply.json["error"]["message"]


def test_an_asker_of_http_1_0_gets_plain_and_streamed_answers(daemon: Daemon) -> None:
    for stream in (False, True):
        body = json.dumps(request_body("openai", "chunked-openai", stream=stream)).encode()
        sent = raw.post(PATHS["openai"], body).replace(b"HTTP/1.1", b"HTTP/1.0")
        reply = raw.send(daemon.socket, sent)
        assert reply.status == 200
        assert "transfer-encoding" not in reply.headers
        assert text_of(reply, "openai", stream=stream) == TEXT


def test_a_half_closed_asker_still_gets_its_answer(daemon: Daemon) -> None:
    for stream in (False, True):
        body = json.dumps(request_body("openai", "chunked-openai", stream=stream)).encode()
        reply = raw.send(daemon.socket, raw.post(PATHS["openai"], body), half_close=True)
        assert reply.status == 200
        assert text_of(reply, "openai", stream=stream) == TEXT


def test_the_events_are_relayed_byte_for_byte(daemon: Daemon) -> None:
    for dialect in DIALECTS:
        body = request_body(dialect, f"chunked-{dialect}", stream=True)
        reply = daemon.ask("POST", PATHS[dialect], body)
        assert reply.body == _whole(dialect)
        assert stream_text(events(reply.body), dialect) == TEXT
        assert partial_text(events(reply.body), dialect) == TEXT
