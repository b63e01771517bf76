"""Conversations in the Responses API: what an answer held goes back, and arrives where it must."""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from openai.types.responses import Response
from pydantic import BaseModel

from tests.integration.conftest import StartDaemon
from tests.support import clients
from tests.support.clients import SDK_LEAVES_GENERATORS
from tests.support.configs import base_url, config, group, simulated, upstream
from tests.support.daemon import Daemon
from tests.support.scripted import Exchange, Scripted

MODELS = pytest.mark.parametrize("model", ["chat", "mixed", "talk"])
STREAMED = pytest.mark.parametrize("streamed", [False, True])
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
WEATHER: Any = {"type": "function", "name": "weather", "parameters": SCHEMA, "strict": True}
SHELL: Any = {"type": "custom", "name": "shell", "description": "Runs a command."}
ASK: Any = [{"role": "user", "content": "What is the weather in Oslo?"}]


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    settings = config(
        {"sim-o": simulated("openai"), "sim-a": simulated("anthropic")},
        {
            "chat": group("sim-o", model="sim-1"),
            "talk": group("sim-a", model="sim-1"),
            "mixed": group("sim-o", "sim-a", model="sim-1", strategy="round_robin"),
        },
    )
    with Daemon(settings) as running:
        yield running


def answered(client: Any, *, streamed: bool, **members: Any) -> Response:
    """Return a response as the SDK gives it, put together from a stream or plain."""
    if not streamed:
        plain: Response = client.responses.create(**members)
        return plain
    with client.responses.stream(**members) as stream:
        found: Response = stream.get_final_response()
    return found


@MODELS
@STREAMED
def test_a_loop_of_tools_goes_round_and_round(
    daemon: Daemon, model: str, *, streamed: bool
) -> None:
    said: Any = list(ASK)
    with clients.openai_client(daemon.socket) as client:
        for _ in range(3):
            found = answered(
                client,
                streamed=streamed,
                model=model,
                input=said,
                tools=[WEATHER],
                tool_choice={"type": "function", "name": "weather"},
                instructions="Be brief.",
            )
            calls = [item for item in found.output if item.type == "function_call"]
            assert calls
            said += found.output
            for call in calls:
                assert set(json.loads(call.arguments)) == {"city"}
                result = {"type": "function_call_output", "call_id": call.call_id}
                said.append({**result, "output": [{"type": "input_text", "text": "rain"}]})
        last = answered(client, streamed=streamed, model=model, input=said, tools=[WEATHER])
    assert last.status == "completed"
    assert last.usage is not None
    assert last.usage.input_tokens > 10, "the provider was told the whole conversation"


class Place(BaseModel):
    """What is asked for."""

    city: str


@SDK_LEAVES_GENERATORS
@MODELS
async def test_an_answer_by_schema_is_parsed_on_trio(daemon: Daemon, model: str) -> None:
    async with clients.async_openai_client(daemon.socket) as client:
        found = await client.responses.parse(model=model, input="Where?", text_format=Place)
        assert isinstance(found.output_parsed, Place)
        async with client.responses.stream(
            model=model, input="Where?", text_format=Place
        ) as stream:
            last = await stream.get_final_response()
        assert isinstance(last.output_parsed, Place)


# --- with an upstream of Anthropic's API that thinks, and checks that its thoughts come back

SIGNATURE = "EqoB+proof/of=thoughts"
USAGE = {"input_tokens": 5, "output_tokens": 7}
THINKS: list[dict[str, Any]] = [
    {"type": "thinking", "thinking": "Hm.", "signature": SIGNATURE},
    {"type": "redacted_thinking", "data": "sealed"},
    {"type": "text", "text": "Let me see."},
    {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Oslo"}},
    {"type": "tool_use", "id": "toolu_2", "name": "shell", "input": {"input": "date"}},
]
SAYS: list[dict[str, Any]] = [{"type": "text", "text": "It rains."}]


def message(blocks: list[dict[str, Any]], reason: str) -> dict[str, Any]:
    return {
        "id": "msg_up",
        "type": "message",
        "role": "assistant",
        "model": "m-1",
        "content": blocks,
        "stop_reason": reason,
        "stop_sequence": None,
        "usage": USAGE,
    }


def event(kind: str, **members: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def stream_of(whole: dict[str, Any]) -> bytes:
    """Return the stream that an answer of Anthropic's API would have been."""
    out = [event("message_start", message={**whole, "content": [], "stop_reason": None})]
    for index, block in enumerate(whole["content"]):
        begun, deltas = dict(block), []
        if block["type"] == "text":
            begun["text"] = ""
            deltas = [{"type": "text_delta", "text": each} for each in block["text"]]
        elif block["type"] == "thinking":
            begun |= {"thinking": "", "signature": ""}
            deltas = [
                {"type": "thinking_delta", "thinking": block["thinking"]},
                {"type": "signature_delta", "signature": block["signature"]},
            ]
        elif block["type"] == "tool_use":
            begun["input"] = {}
            pieces = json.dumps(block["input"]).partition(":")
            deltas = [{"type": "input_json_delta", "partial_json": each} for each in pieces]
        out.append(event("content_block_start", index=index, content_block=begun))
        out += [event("content_block_delta", index=index, delta=delta) for delta in deltas]
        out.append(event("content_block_stop", index=index))
    reason = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
    out.append(event("message_delta", delta=reason, usage=USAGE))
    return b"".join([*out, event("message_stop")])


@STREAMED
def test_thoughts_and_calls_come_back_to_the_provider_that_made_them(
    start_daemon: StartDaemon, *, streamed: bool
) -> None:
    asked: list[dict[str, Any]] = []

    def respond(exchange: Exchange) -> None:
        asked.append(exchange.request.json)
        first = len(asked) == 1
        whole = message(THINKS, "tool_use") if first else message(SAYS, "end_turn")
        if asked[-1].get("stream"):
            exchange.answer(200, stream_of(whole), content_type="text/event-stream")
        else:
            exchange.answer(200, whole)

    with Scripted(respond) as script:
        provider = upstream("anthropic", base_url("anthropic", script.url))
        running = start_daemon(config({"up": provider}, {"g": group("up")}))
        said: Any = list(ASK)
        ask: Any = {"model": "g", "tools": [WEATHER, SHELL], "reasoning": {"effort": "high"}}
        with clients.openai_client(running.socket) as client:
            first = answered(client, streamed=streamed, input=said, **ask)
            assert [item.type for item in first.output] == [
                "reasoning",
                "reasoning",
                "message",
                "function_call",
                "custom_tool_call",
            ]
            call, custom = first.output[-2:]
            assert call.type == "function_call"
            assert json.loads(call.arguments) == {"city": "Oslo"}
            assert custom.type == "custom_tool_call"
            assert custom.input == "date"
            said += first.output
            said.append({"type": "function_call_output", "call_id": call.call_id, "output": "rain"})
            said.append(
                {"type": "custom_tool_call_output", "call_id": custom.call_id, "output": "today"}
            )
            second = answered(client, streamed=streamed, input=said, **ask)
            assert second.output_text == "It rains."
            assert second.usage is not None
            assert (second.usage.input_tokens, second.usage.output_tokens) == (5, 7)
    assert [each["role"] for each in asked[1]["messages"]] == ["user", "assistant", "user"]
    assert asked[1]["messages"][1]["content"] == THINKS
    results = asked[1]["messages"][2]["content"]
    assert [(block["tool_use_id"], block["content"]) for block in results] == [
        ("toolu_1", "rain"),
        ("toolu_2", "today"),
    ]


def test_thoughts_of_one_provider_are_not_shown_to_another(start_daemon: StartDaemon) -> None:
    asked: list[bytes] = []

    def thinks(exchange: Exchange) -> None:
        exchange.answer(200, message([THINKS[0], *SAYS], "end_turn"))

    def listens(exchange: Exchange) -> None:
        asked.append(exchange.request.body)
        choice = {"index": 0, "message": {"role": "assistant", "content": "Hi"}}
        body = {"id": "x", "object": "chat.completion", "created": 1, "model": "m-1"}
        exchange.answer(200, {**body, "choices": [{**choice, "finish_reason": "stop"}]})

    with Scripted(thinks) as thinker, Scripted(listens) as listener:
        running = start_daemon(
            config(
                {
                    "a": upstream("anthropic", base_url("anthropic", thinker.url)),
                    "o": upstream("openai", base_url("openai", listener.url)),
                    "own": upstream("openai", base_url("openai", listener.url), responses=True),
                },
                {"ga": group("a"), "go": group("o"), "gown": group("own")},
            )
        )
        with clients.openai_client(running.socket) as client:
            first = client.responses.create(model="ga", input=ASK)
            said: Any = [*ASK, *first.output, {"role": "user", "content": "And now?"}]
            raw = client.responses.with_raw_response.create(model="go", input=said)
            assert raw.parse().output_text == "Hi"
            assert raw.headers["x-standby-dropped"] == "input[].reasoning"
        body = {"model": "gown", "input": json.loads(first.model_dump_json())["output"]}
        running.ask("POST", "/v1/responses", body)
    assert len(asked) == 2
    for each in asked:
        assert SIGNATURE.encode() not in each
        assert b"standby.foreign" not in each
