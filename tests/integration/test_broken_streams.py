"""Streams that break after tokens went out: the asker is told, never handed half as the whole."""

import threading
from collections.abc import Callable, Iterator, Mapping

import anthropic
import openai
import pytest

from tests.support import clients
from tests.support.answers import PATHS, WORDS, closing, opening, request_body, tokens
from tests.support.clients import ANTHROPIC_ASK, OPENAI_ASK
from tests.support.configs import base_url, config, group, upstream
from tests.support.daemon import Daemon
from tests.support.reading import error_of, events, finished, partial_text
from tests.support.scripted import PATIENCE, Exchange, Scripted

DIALECTS = ("openai", "anthropic")
RECEIVED = threading.Semaphore(0)
"""Released by a reader when it has received every token that goes out before the break."""
SENT = 3
"""Tokens that go out before the break."""


def _begin(exchange: Exchange, dialect: str) -> None:
    exchange.begin()
    for event in (*opening(dialect), *tokens(dialect, WORDS[:SENT])):
        exchange.piece(event)
    # Broken before the asker has a token, the request would go to another provider, unseen.
    assert RECEIVED.acquire(timeout=PATIENCE), "the asker never got the tokens"


def _without_marker(exchange: Exchange, dialect: str) -> None:
    _begin(exchange, dialect)
    exchange.finish()


def _finish_reason_only(exchange: Exchange, dialect: str) -> None:
    _begin(exchange, dialect)
    for event in closing(dialect)[:-1]:
        exchange.piece(event)
    exchange.finish()


def _cut(exchange: Exchange, dialect: str) -> None:
    _begin(exchange, dialect)
    exchange.hang_up()


def _reset(exchange: Exchange, dialect: str) -> None:
    _begin(exchange, dialect)
    exchange.reset()


def _cut_in_an_event(exchange: Exchange, dialect: str) -> None:
    _begin(exchange, dialect)
    exchange.piece(tokens(dialect, WORDS[SENT:])[0][:25])
    exchange.finish()


def _malformed_event(exchange: Exchange, dialect: str) -> None:
    _begin(exchange, dialect)
    name = b"event: content_block_delta\n" if dialect == "anthropic" else b""
    exchange.piece(name + b'data: {"choices": [{"delta": {"con\n\n')
    for event in closing(dialect):
        exchange.piece(event)
    exchange.finish()


def _error_event(exchange: Exchange, dialect: str) -> None:
    _begin(exchange, dialect)
    if dialect == "openai":
        exchange.piece(
            b'data: {"error": {"message": "upstream broke", "type": "server_error", '
            b'"param": null, "code": null}}\n\n'
        )
    else:
        exchange.piece(
            b'event: error\ndata: {"type": "error", "error": '
            b'{"type": "overloaded_error", "message": "upstream broke"}}\n\n'
        )
    exchange.finish()


def _silence(exchange: Exchange, dialect: str) -> None:
    _begin(exchange, dialect)
    exchange.wait_gone()


def _nonsense_chunk(exchange: Exchange, dialect: str) -> None:
    _begin(exchange, dialect)
    exchange.raw(b"zz\r\nthis is no chunk\r\n")
    exchange.hang_up()


BREAKS: Mapping[str, Callable[[Exchange, str], None]] = {
    "without-marker": _without_marker,
    "finish-reason-only": _finish_reason_only,
    "cut": _cut,
    "reset": _reset,
    "cut-in-an-event": _cut_in_an_event,
    "malformed-event": _malformed_event,
    "error-event": _error_event,
    "silence": _silence,
    "nonsense-chunk": _nonsense_chunk,
}


def _break(exchange: Exchange) -> None:
    name = exchange.request.path.split("/")[1]
    dialect = "anthropic" if exchange.request.path.endswith("/messages") else "openai"
    BREAKS[name](exchange, dialect)


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Scripted(_break) as scripted:
        providers = {
            f"p-{name}-{dialect}": upstream(
                dialect, base_url(dialect, f"{scripted.url}/{name}"), timeouts={"stall": "300ms"}
            )
            for name in BREAKS
            for dialect in DIALECTS
        }
        groups = {
            f"{name}-{dialect}": group(f"p-{name}-{dialect}")
            for name in BREAKS
            for dialect in DIALECTS
        }
        with Daemon(config(providers, groups)) as running:
            yield running


def _read_openai(client: openai.OpenAI, model: str, got: list[str]) -> None:
    for chunk in client.chat.completions.create(model=model, messages=OPENAI_ASK, stream=True):
        new = [choice.delta.content for choice in chunk.choices if choice.delta.content]
        got += new
        if new and len(got) == SENT:
            RECEIVED.release()


def _read_anthropic(client: anthropic.Anthropic, model: str, got: list[str]) -> None:
    with client.messages.stream(model=model, max_tokens=50, messages=ANTHROPIC_ASK) as stream:
        for text in stream.text_stream:
            got.append(text)
            if len(got) == SENT:
                RECEIVED.release()


def test_the_openai_sdk_raises_after_the_tokens_it_got(daemon: Daemon, breakage: str) -> None:
    got: list[str] = []
    with clients.openai_client(daemon.socket) as client, pytest.raises(openai.APIError):
        _read_openai(client, f"{breakage}-openai", got)
    assert "".join(got) == "".join(WORDS[:SENT])


def test_the_anthropic_sdk_raises_after_the_tokens_it_got(daemon: Daemon, breakage: str) -> None:
    got: list[str] = []
    with clients.anthropic_client(daemon.socket) as client, pytest.raises(anthropic.APIError):
        _read_anthropic(client, f"{breakage}-anthropic", got)
    assert "".join(got) == "".join(WORDS[:SENT])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_on_the_wire_there_is_an_error_event_and_no_clean_end(
    daemon: Daemon, breakage: str, dialect: str
) -> None:
    def received(so_far: bytes) -> None:
        if f'"{WORDS[SENT - 1]}"'.encode() in so_far and not told:
            told.append(True)
            RECEIVED.release()

    told: list[bool] = []
    body, clean = daemon.read_raw_stream(
        PATHS[dialect], request_body(dialect, f"{breakage}-{dialect}", stream=True), received
    )
    seen = list(events(body))
    assert partial_text([e for e in seen if e.name != "error"], dialect) == "".join(WORDS[:SENT])
    error = error_of(seen, dialect)
    assert error is not None
    assert error["message"]
    assert not finished(seen, dialect)
    assert not clean, "the chunked body must not be ended as if it were whole"


@pytest.fixture(params=sorted(BREAKS))
def breakage(request: pytest.FixtureRequest) -> str:
    assert isinstance(request.param, str)
    return request.param
