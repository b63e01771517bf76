"""The official SDKs, each with the other API's provider behind the socket."""

import json
from collections.abc import Iterator
from typing import Any

import anthropic
import openai
import pytest
from pydantic import BaseModel

from tests.integration.conftest import StartDaemon
from tests.support import clients
from tests.support.clients import ANTHROPIC_ASK, OPENAI_ASK, SDK_LEAVES_GENERATORS
from tests.support.configs import Config, base_url, config, group, simulated, upstream
from tests.support.daemon import Daemon
from tests.support.scripted import Exchange, Scripted

PIXEL = "iVBORw0KGgo="
SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
FUNCTION: Any = {
    "type": "function",
    "function": {"name": "weather", "description": "Tells the weather.", "parameters": SCHEMA},
}
TOOL: Any = {"name": "weather", "description": "Tells the weather.", "input_schema": SCHEMA}


class Place(BaseModel):
    """What is asked for."""

    city: str


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    failing = {"faults": [{"fault": "status_500"}]}
    with Daemon(
        config(
            {
                "sim-o": simulated("openai"),
                "sim-a": simulated("anthropic"),
                "bad-o": {**simulated("openai", **failing), "retry": {"max_attempts": 1}},
                "bad-a": {**simulated("anthropic", **failing), "retry": {"max_attempts": 1}},
            },
            {
                "claude": group("sim-a", model="sim-1"),
                "gpt": group("sim-o", model="sim-1"),
                "mixed-o": group("bad-o", "sim-a", model="sim-1"),
                "mixed-a": group("bad-a", "sim-o", model="sim-1"),
            },
        )
    ) as running:
        yield running


# --- OpenAI's SDK


@pytest.mark.parametrize("asked", [True, False])
def test_openai_sdk_puts_a_stream_together_to_the_plain_answer(
    daemon: Daemon, *, asked: bool
) -> None:
    options: Any = {"stream_options": {"include_usage": True}} if asked else {}
    with clients.openai_client(daemon.socket) as client:
        plain = client.chat.completions.create(model="claude", messages=OPENAI_ASK)
        with client.chat.completions.stream(
            model="claude", messages=OPENAI_ASK, **options
        ) as stream:
            deltas = [event.delta for event in stream if event.type == "content.delta"]
            final = stream.get_final_completion()
    assert len(deltas) > 1
    assert "".join(deltas) == final.choices[0].message.content
    assert final.choices[0].message.content == plain.choices[0].message.content
    assert final.choices[0].finish_reason == plain.choices[0].finish_reason == "stop"
    assert plain.id.startswith("chatcmpl-")
    assert plain.usage is not None
    assert plain.usage.total_tokens == plain.usage.prompt_tokens + plain.usage.completion_tokens
    assert final.usage == (plain.usage if asked else None)
    assert plain._request_id


@SDK_LEAVES_GENERATORS
async def test_openai_sdk_is_answered_by_anthropic_on_trio(daemon: Daemon) -> None:
    async with clients.async_openai_client(daemon.socket) as client:
        plain = await client.chat.completions.create(model="claude", messages=OPENAI_ASK)
        pieces = []
        async with await client.chat.completions.create(
            model="claude", messages=OPENAI_ASK, stream=True
        ) as stream:
            async for chunk in stream:
                pieces += [choice.delta.content or "" for choice in chunk.choices]
    assert "".join(pieces) == plain.choices[0].message.content != ""


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("model", ["claude", "mixed-o"])
def test_openai_sdk_loops_over_tools(daemon: Daemon, model: str, *, streamed: bool) -> None:
    said: list[Any] = [{"role": "user", "content": "What is the weather in Oslo?"}]
    with clients.openai_client(daemon.socket) as client:
        for _ in range(2):
            ask: Any = {"model": model, "messages": said, "tools": [FUNCTION]}
            ask["tool_choice"] = "required"
            if streamed:
                with client.chat.completions.stream(**ask) as stream:
                    for _event in stream:
                        pass
                    answer: Any = stream.get_final_completion()
            else:
                answer = client.chat.completions.create(**ask)
            assert answer.choices[0].finish_reason == "tool_calls"
            message = answer.choices[0].message
            assert message.tool_calls
            said.append(message.model_dump(exclude_none=True, exclude={"parsed"}))
            for call in message.tool_calls:
                assert set(json.loads(call.function.arguments)) == {"city"}
                said.append({"role": "tool", "tool_call_id": call.id, "content": "rain"})
        last = client.chat.completions.create(model=model, messages=said)
    assert last.choices[0].finish_reason == "stop"
    assert last.choices[0].message.content


def test_openai_sdk_parses_an_answer_by_schema(daemon: Daemon) -> None:
    with clients.openai_client(daemon.socket) as client:
        found = client.chat.completions.parse(
            model="claude", messages=OPENAI_ASK, response_format=Place
        )
    assert isinstance(found.choices[0].message.parsed, Place)


def test_openai_sdk_shows_a_picture(daemon: Daemon) -> None:
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}
    content: Any = [{"type": "text", "text": "What is this?"}, picture]
    with clients.openai_client(daemon.socket) as client:
        raw = client.chat.completions.with_raw_response.create(
            model="claude", messages=[{"role": "user", "content": content}]
        )
    assert raw.parse().choices[0].message.content
    assert "x-standby-dropped" not in raw.headers


# --- Anthropic's SDK


def test_anthropic_sdk_puts_a_stream_together_to_the_plain_answer(daemon: Daemon) -> None:
    with clients.anthropic_client(daemon.socket) as client:
        plain = client.messages.create(model="gpt", max_tokens=100, messages=ANTHROPIC_ASK)
        with client.messages.stream(model="gpt", max_tokens=100, messages=ANTHROPIC_ASK) as stream:
            pieces = list(stream.text_stream)
            final = stream.get_final_message()
    assert len(pieces) > 1
    assert plain.content[0].type == "text"
    assert "".join(pieces) == plain.content[0].text
    assert [block.model_dump(exclude_none=True) for block in final.content] == [
        block.model_dump(exclude_none=True) for block in plain.content
    ]
    assert final.stop_reason == plain.stop_reason == "end_turn"
    assert final.usage.output_tokens == plain.usage.output_tokens > 0
    assert final.usage.input_tokens == plain.usage.input_tokens > 0
    assert plain.id.startswith("msg_")
    assert plain._request_id


async def test_anthropic_sdk_is_answered_by_openai_on_trio(daemon: Daemon) -> None:
    async with clients.async_anthropic_client(daemon.socket) as client:
        plain = await client.messages.create(model="gpt", max_tokens=100, messages=ANTHROPIC_ASK)
        async with client.messages.stream(
            model="gpt", max_tokens=100, messages=ANTHROPIC_ASK
        ) as stream:
            pieces = [piece async for piece in stream.text_stream]
    assert plain.content[0].type == "text"
    assert "".join(pieces) == plain.content[0].text


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("model", ["gpt", "mixed-a"])
def test_anthropic_sdk_loops_over_tools(daemon: Daemon, model: str, *, streamed: bool) -> None:
    said: list[Any] = [{"role": "user", "content": "What is the weather in Oslo?"}]
    with clients.anthropic_client(daemon.socket) as client:
        for _ in range(2):
            ask: Any = {"model": model, "max_tokens": 100, "messages": said, "tools": [TOOL]}
            ask["tool_choice"] = {"type": "any"}
            if streamed:
                with client.messages.stream(**ask) as stream:
                    answer = stream.get_final_message()
            else:
                answer = client.messages.create(**ask)
            assert answer.stop_reason == "tool_use"
            calls = [block for block in answer.content if block.type == "tool_use"]
            assert calls
            assert all(set(call.input) == {"city"} for call in calls)
            said.append({"role": "assistant", "content": answer.content})
            results = [
                {"type": "tool_result", "tool_use_id": call.id, "content": "rain"} for call in calls
            ]
            said.append({"role": "user", "content": results})
        last = client.messages.create(model=model, max_tokens=100, messages=said)
    assert last.stop_reason == "end_turn"
    assert last.content[0].type == "text"


def test_anthropic_sdk_parses_an_answer_by_schema(daemon: Daemon) -> None:
    with clients.anthropic_client(daemon.socket) as client:
        found = client.messages.parse(
            model="gpt", max_tokens=100, messages=ANTHROPIC_ASK, output_format=Place
        )
    assert isinstance(found.parsed_output, Place)


def test_anthropic_sdk_shows_a_picture_and_is_told_what_was_left_out(daemon: Daemon) -> None:
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    content: Any = [{"type": "text", "text": "What is this?"}, {"type": "image", "source": source}]
    with clients.anthropic_client(daemon.socket) as client:
        raw = client.messages.with_raw_response.create(
            model="gpt",
            max_tokens=100,
            messages=[{"role": "user", "content": content}],
            extra_body={"top_k": 5},
        )
    assert raw.parse().content
    named = raw.headers["x-standby-dropped"].split(", ")
    assert [name for name in named if not name.startswith("answer.")] == ["top_k"]


def test_anthropic_sdk_counts_tokens_and_lists_models(daemon: Daemon) -> None:
    with clients.anthropic_client(daemon.socket) as client:
        raw = client.messages.with_raw_response.count_tokens(model="gpt", messages=ANTHROPIC_ASK)
        assert raw.parse().input_tokens > 0
        assert raw.headers["x-standby-estimated"] == "true"
        exact = client.messages.with_raw_response.count_tokens(
            model="claude", messages=ANTHROPIC_ASK
        )
        assert "x-standby-estimated" not in exact.headers
        assert {"claude", "gpt"} <= {model.id for model in client.models.list(limit=100).data}
    with clients.openai_client(daemon.socket) as other:
        assert {"claude", "gpt"} <= {model.id for model in other.models.list()}


# --- errors, thoughts and leaving: with an upstream that does as it is told


def scripted_group(kind: str, script: Scripted) -> Config:
    provider = upstream(kind, base_url(kind, script.url), retry={"max_attempts": 1})
    return config({"up": provider}, {"g": group("up")})


STREAMED = pytest.mark.parametrize("streamed", [False, True])


@STREAMED
@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (400, "invalid_request_error", openai.BadRequestError),
        (404, "not_found_error", openai.NotFoundError),
        (413, "request_too_large", openai.APIStatusError),
        (429, "rate_limit_error", openai.RateLimitError),
        (500, "api_error", openai.InternalServerError),
        (529, "overloaded_error", openai.InternalServerError),
        # The key is the daemon's, not the asker's: what is wrong with it is not his to mend.
        (401, "authentication_error", openai.InternalServerError),
    ],
)
def test_anthropics_errors_are_openais_exceptions(
    start_daemon: StartDaemon,
    status: int,
    kind: str,
    expected: type[openai.APIStatusError],
    *,
    streamed: bool,
) -> None:
    def fail(exchange: Exchange) -> None:
        body = {"type": "error", "error": {"type": kind, "message": "no luck"}}
        exchange.answer(status, body, headers={"request-id": "req_up"})

    with Scripted(fail) as script:
        running = start_daemon(scripted_group("anthropic", script))
        with (
            clients.openai_client(running.socket) as client,
            pytest.raises(openai.APIStatusError) as raised,
        ):
            client.chat.completions.create(model="g", messages=OPENAI_ASK, stream=streamed)
    error = raised.value
    assert type(error) is expected
    assert "no luck" in error.message
    assert error.request_id == error.response.headers["x-request-id"]
    assert error.response.headers["x-standby-upstream-request-id"] == "req_up"
    assert isinstance(error.body, dict)
    assert {"message", "type", "param", "code"} == set(error.body)
    if status == 529:
        assert (error.status_code, error.code) == (503, "server_is_overloaded")


@STREAMED
@pytest.mark.parametrize(
    ("status", "kind", "expected"),
    [
        (400, "invalid_request_error", anthropic.BadRequestError),
        (404, "invalid_request_error", anthropic.NotFoundError),
        (429, "rate_limit_error", anthropic.RateLimitError),
        (500, "server_error", anthropic.InternalServerError),
        (503, "server_error", anthropic.APIStatusError),
        (401, "invalid_request_error", anthropic.InternalServerError),
    ],
)
def test_openais_errors_are_anthropics_exceptions(
    start_daemon: StartDaemon,
    status: int,
    kind: str,
    expected: type[anthropic.APIStatusError],
    *,
    streamed: bool,
) -> None:
    def fail(exchange: Exchange) -> None:
        error = {"message": "no luck", "type": kind, "param": None, "code": None}
        exchange.answer(status, {"error": error}, headers={"x-request-id": "req_up"})

    with Scripted(fail) as script:
        running = start_daemon(scripted_group("openai", script))
        with (
            clients.anthropic_client(running.socket) as client,
            pytest.raises(anthropic.APIStatusError) as raised,
        ):
            client.messages.create(model="g", max_tokens=9, messages=ANTHROPIC_ASK, stream=streamed)
    error = raised.value
    assert isinstance(error, expected)
    assert "no luck" in str(error.body)
    assert error.request_id == error.response.headers["request-id"]
    assert error.response.headers["x-standby-upstream-request-id"] == "req_up"
    assert isinstance(error.body, dict)
    assert error.body["type"] == "error"
    if status == 503:
        assert (error.status_code, error.type) == (529, "overloaded_error")
