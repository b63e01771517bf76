"""The official SDKs over the socket, with simulated providers behind it: no key, no network."""

import time
from collections.abc import Iterator

import pytest

from tests.support import clients
from tests.support.clients import ANTHROPIC_ASK, OPENAI_ASK, SDK_LEAVES_GENERATORS
from tests.support.configs import config, group, simulated
from tests.support.daemon import Daemon

RATE = 20.0
"""Tokens a second of the paced simulated providers."""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon(
        config(
            {
                "sim-o": simulated("openai"),
                "sim-a": simulated("anthropic"),
                "slow-o": simulated("openai", tokens_per_second=RATE, answer_words=8),
                "slow-a": simulated("anthropic", tokens_per_second=RATE, answer_words=8),
            },
            {
                "chat": group("sim-o", model="sim-1"),
                "talk": group("sim-a", model="sim-1"),
                "slow-chat": group("slow-o", model="sim-1"),
                "slow-talk": group("slow-a", model="sim-1"),
            },
            models={"fast": {"group": "chat"}},
        )
    ) as running:
        yield running


def test_openai_sdk_gets_a_plain_answer(daemon: Daemon) -> None:
    with clients.openai_client(daemon.socket) as client:
        answer = client.chat.completions.create(model="chat", messages=OPENAI_ASK)
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer._request_id, "the SDK shows the daemon's own request id"


def test_openai_sdk_gets_a_stream_with_the_same_words(daemon: Daemon) -> None:
    with clients.openai_client(daemon.socket) as client:
        plain = client.chat.completions.create(model="chat", messages=OPENAI_ASK, seed=7)
        pieces = []
        finish = None
        usage = None
        for chunk in client.chat.completions.create(
            model="chat",
            messages=OPENAI_ASK,
            seed=7,
            stream=True,
            stream_options={"include_usage": True},
        ):
            usage = chunk.usage or usage
            for choice in chunk.choices:
                pieces.append(choice.delta.content or "")
                finish = choice.finish_reason or finish
    assert finish == "stop"
    assert len([piece for piece in pieces if piece]) > 1
    assert "".join(pieces) == plain.choices[0].message.content
    assert usage is not None
    assert usage.completion_tokens > 0


@SDK_LEAVES_GENERATORS
async def test_openai_sdk_works_on_trio_plain_and_streamed(daemon: Daemon) -> None:
    async with clients.async_openai_client(daemon.socket) as client:
        plain = await client.chat.completions.create(model="chat", messages=OPENAI_ASK)
        assert plain.choices[0].message.content
        pieces = []
        async with await client.chat.completions.create(
            model="chat",
            messages=OPENAI_ASK,
            stream=True,
        ) as stream:
            async for chunk in stream:
                pieces += [choice.delta.content or "" for choice in chunk.choices]
    assert "".join(pieces) == plain.choices[0].message.content


def test_anthropic_sdk_gets_a_plain_answer(daemon: Daemon) -> None:
    with clients.anthropic_client(daemon.socket) as client:
        answer = client.messages.create(model="talk", max_tokens=100, messages=ANTHROPIC_ASK)
    assert answer.content[0].type == "text"
    assert answer.content[0].text
    assert answer.stop_reason == "end_turn"
    assert answer.usage.output_tokens > 0
    assert answer._request_id, "the SDK shows the daemon's own request id"


def test_anthropic_sdk_gets_a_stream_with_the_same_words(daemon: Daemon) -> None:
    with clients.anthropic_client(daemon.socket) as client:
        plain = client.messages.create(model="talk", max_tokens=100, messages=ANTHROPIC_ASK)
        with client.messages.stream(model="talk", max_tokens=100, messages=ANTHROPIC_ASK) as stream:
            pieces = list(stream.text_stream)
            final = stream.get_final_message()
    assert plain.content[0].type == "text"
    assert len(pieces) > 1
    assert "".join(pieces) == plain.content[0].text
    assert final.stop_reason == "end_turn"
    assert final.usage.output_tokens == plain.usage.output_tokens


async def test_anthropic_sdk_works_on_trio_plain_and_streamed(daemon: Daemon) -> None:
    async with clients.async_anthropic_client(daemon.socket) as client:
        plain = await client.messages.create(model="talk", max_tokens=100, messages=ANTHROPIC_ASK)
        assert plain.content[0].type == "text"
        async with client.messages.stream(
            model="talk", max_tokens=100, messages=ANTHROPIC_ASK
        ) as stream:
            pieces = [piece async for piece in stream.text_stream]
    assert "".join(pieces) == plain.content[0].text


@pytest.mark.parametrize("model", ["chat", "fast", "sim-o/sim-1"])
def test_a_model_resolves_through_group_alias_and_provider(daemon: Daemon, model: str) -> None:
    with clients.openai_client(daemon.socket) as client:
        raw = client.chat.completions.with_raw_response.create(model=model, messages=OPENAI_ASK)
    assert raw.headers["x-standby-provider"] == "sim-o"
    assert raw.headers["x-standby-attempts"] == "1"


def test_both_sdks_list_the_models(daemon: Daemon) -> None:
    with clients.openai_client(daemon.socket) as client:
        names = {model.id for model in client.models.list()}
    assert {"chat", "talk", "fast", "sim-1"} <= names
    with clients.anthropic_client(daemon.socket) as other:
        listed = other.models.list(limit=100)
    assert {"chat", "talk"} <= {model.id for model in listed.data}


def _spread(arrivals: list[float]) -> float:
    return arrivals[-1] - arrivals[0]


def test_openai_tokens_arrive_as_the_provider_makes_them(daemon: Daemon) -> None:
    arrivals = []
    with clients.openai_client(daemon.socket) as client:
        for chunk in client.chat.completions.create(
            model="slow-chat", messages=OPENAI_ASK, stream=True
        ):
            arrivals += [time.monotonic() for choice in chunk.choices if choice.delta.content]
    assert len(arrivals) > 4
    # The provider cannot have been faster than its rate; a relay that collects would show no gaps.
    assert _spread(arrivals) > 0.5 * (len(arrivals) - 1) / RATE


def test_anthropic_tokens_arrive_as_the_provider_makes_them(daemon: Daemon) -> None:
    arrivals = []
    with (
        clients.anthropic_client(daemon.socket) as client,
        client.messages.stream(model="slow-talk", max_tokens=100, messages=ANTHROPIC_ASK) as stream,
    ):
        arrivals += [time.monotonic() for _ in stream.text_stream]
    assert len(arrivals) > 4
    assert _spread(arrivals) > 0.5 * (len(arrivals) - 1) / RATE


def test_many_requests_share_one_connection(daemon: Daemon) -> None:
    with clients.openai_client(daemon.socket) as client:
        texts = {
            client.chat.completions.create(model="chat", messages=OPENAI_ASK, seed=3)
            .choices[0]
            .message.content
            for _ in range(20)
        }
    assert len(texts) == 1
