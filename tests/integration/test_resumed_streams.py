"""Streams that break and are continued by another provider, as the official SDKs read them."""

from collections.abc import Iterator

import pytest

from tests.integration.test_broken_streams import BREAKS, DIALECTS, RECEIVED, SENT
from tests.support import clients
from tests.support.answers import (
    PATHS,
    TEXT,
    WORDS,
    closing,
    openai_usage,
    opening,
    request_body,
    tokens,
)
from tests.support.clients import ANTHROPIC_ASK, OPENAI_ASK, SDK_LEAVES_GENERATORS
from tests.support.configs import base_url, config, group, upstream
from tests.support.daemon import Daemon
from tests.support.reading import events, stream_text
from tests.support.scripted import Exchange, Scripted

REST = "rest"
USED = {"prompt_tokens": 60, "completion_tokens": 2, "total_tokens": 62}
"""What the provider that goes on says it has used."""
BEFORE = 4
"""Tokens that the words sent before the break are taken for: four characters each."""


def _answer(exchange: Exchange) -> None:
    name = exchange.request.path.split("/")[1]
    dialect = "anthropic" if exchange.request.path.endswith("/messages") else "openai"
    if name in BREAKS:
        BREAKS[name](exchange, dialect)
        return
    exchange.begin()
    told = exchange.request.json["messages"][1]["content"]
    assert told == "".join(WORDS[:SENT]).rstrip()
    for event in (*opening(dialect), *tokens(dialect, WORDS[SENT:])):
        exchange.piece(event)
    *before, last = closing(dialect)
    if exchange.request.json.get("stream_options"):
        before.append(openai_usage(USED))
    for event in (*before, last):
        exchange.piece(event)
    exchange.finish()


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Scripted(_answer) as scripted:
        providers = {
            f"p-{name}-{dialect}": upstream(
                dialect, base_url(dialect, f"{scripted.url}/{name}"), timeouts={"stall": "300ms"}
            )
            for name in (*BREAKS, REST)
            for dialect in DIALECTS
        }
        groups = {
            f"{name}-{dialect}": {
                **group(f"p-{name}-{dialect}", f"p-{REST}-{dialect}"),
                "on_broken_stream": "resume",
            }
            for name in BREAKS
            for dialect in DIALECTS
        }
        with Daemon(config(providers, groups)) as running:
            yield running


def test_the_openai_sdk_reads_one_completion(daemon: Daemon, breakage: str) -> None:
    with (
        clients.openai_client(daemon.socket) as client,
        client.chat.completions.stream(model=f"{breakage}-openai", messages=OPENAI_ASK) as stream,
    ):
        got = 0
        for event in stream:
            if event.type == "content.delta":
                got += 1
                if got == SENT:
                    RECEIVED.release()
        answer = stream.get_final_completion()
    (choice,) = answer.choices
    assert choice.finish_reason == "stop"
    assert choice.message.content == expected(breakage)


def test_the_anthropic_sdk_reads_one_message(daemon: Daemon, breakage: str) -> None:
    with (
        clients.anthropic_client(daemon.socket) as client,
        client.messages.stream(
            model=f"{breakage}-anthropic", max_tokens=50, messages=ANTHROPIC_ASK
        ) as stream,
    ):
        for got, _ in enumerate(stream.text_stream, 1):
            if got == SENT:
                RECEIVED.release()
        message = stream.get_final_message()
    (block,) = message.content
    assert block.type == "text"
    assert block.text == expected(breakage)
    assert message.stop_reason == "end_turn"
    assert message.usage.input_tokens == 3


@SDK_LEAVES_GENERATORS
async def test_the_openai_sdk_reads_one_completion_on_trio(daemon: Daemon, breakage: str) -> None:
    async with (
        clients.async_openai_client(daemon.socket) as client,
        client.chat.completions.stream(
            model=f"{breakage}-openai",
            messages=OPENAI_ASK,
            stream_options={"include_usage": True},
        ) as stream,
    ):
        got = 0
        async for event in stream:
            if event.type == "content.delta":
                got += 1
                if got == SENT:
                    RECEIVED.release()
        answer = await stream.get_final_completion()
    (choice,) = answer.choices
    assert (choice.finish_reason, choice.message.role) == ("stop", "assistant")
    assert choice.message.content == expected(breakage)
    if breakage != "finish-reason-only":  # it never came to its usage
        assert answer.usage is not None
        assert answer.usage.completion_tokens == USED["completion_tokens"] + BEFORE
        assert 0 < answer.usage.prompt_tokens < USED["prompt_tokens"]
        total = answer.usage.prompt_tokens + answer.usage.completion_tokens
        assert answer.usage.total_tokens == total


async def test_the_anthropic_sdk_reads_one_message_on_trio(daemon: Daemon, breakage: str) -> None:
    async with (
        clients.async_anthropic_client(daemon.socket) as client,
        client.messages.stream(
            model=f"{breakage}-anthropic", max_tokens=50, messages=ANTHROPIC_ASK
        ) as stream,
    ):
        got = 0
        async for _ in stream.text_stream:
            got += 1
            if got == SENT:
                RECEIVED.release()
        message = await stream.get_final_message()
    (block,) = message.content
    assert block.type == "text"
    assert block.text == expected(breakage)
    assert message.stop_reason == "end_turn"
    whole = breakage == "finish-reason-only"
    assert message.usage.output_tokens == (5 if whole else 5 + BEFORE)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_on_the_wire_it_is_one_stream_with_a_clean_end(
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
    assert clean
    assert stream_text(events(body), dialect) == expected(breakage)


def expected(breakage: str) -> str:
    """What the model said is all when its finish reason came; else another one goes on."""
    return "".join(WORDS[:SENT]) if breakage == "finish-reason-only" else TEXT


@pytest.fixture(params=sorted(BREAKS))
def breakage(request: pytest.FixtureRequest) -> str:
    assert isinstance(request.param, str)
    return request.param
