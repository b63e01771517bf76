"""Conversations that go from one API's provider to the other's: thoughts, tool ids, leaving."""

import json
import threading
from collections.abc import Mapping
from typing import Any

import anthropic
import openai
import pytest

from tests.integration.conftest import StartDaemon
from tests.support import clients
from tests.support.answers import OPENAI_DONE, openai_chunk
from tests.support.configs import base_url, config, group, upstream
from tests.support.scripted import Exchange, Scripted

ASK: Any = [{"role": "user", "content": "What is the weather in Oslo?"}]
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}}
TOOL: Any = {"name": "weather", "input_schema": SCHEMA}
FUNCTION: Any = {"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}
STREAMED = pytest.mark.parametrize("streamed", [False, True])
THOUGHT = {"type": "thinking", "thinking": "Rain, I guess.", "signature": "c2lnbmVk"}
HIDDEN = {"type": "redacted_thinking", "data": "aGlkZGVu"}
CALL = {"type": "tool_use", "id": "toolu_01", "name": "weather", "input": {"city": "Oslo"}}
OPENAI_CALL = {
    "id": "call|with/odd signs",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city":"Oslo"}'},
}


def event(kind: str, **members: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def claude(exchange: Exchange) -> None:
    """Answer as Anthropic's API: think and call a tool; say something once it has returned."""
    asked = exchange.request.json
    returned = any(
        isinstance(message["content"], list)
        and any(block["type"] == "tool_result" for block in message["content"])
        for message in asked["messages"]
    )
    content: list[dict[str, Any]] = (
        [{"type": "text", "text": "Rain."}] if returned else [THOUGHT, HIDDEN, CALL]
    )
    message = {
        "id": "msg_01", "type": "message", "role": "assistant", "model": asked["model"],
        "content": content, "stop_reason": "end_turn" if returned else "tool_use",
        "stop_sequence": None, "usage": {"input_tokens": 9, "output_tokens": 5},
    }  # fmt: skip
    if not asked.get("stream"):
        exchange.answer(200, message)
        return
    exchange.begin()
    begun = {**message, "content": [], "stop_reason": None}
    exchange.piece(event("message_start", message=begun))
    for index, block in enumerate(content):
        exchange.piece(b"".join(claude_block(index, block)))
    ended = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    exchange.piece(event("message_delta", delta=ended, usage={"output_tokens": 5}))
    exchange.piece(event("message_stop"))
    exchange.finish()


def claude_block(index: int, block: Mapping[str, Any]) -> list[bytes]:
    kind = block["type"]
    begun, deltas = dict(block), []
    if kind == "text":
        begun["text"] = ""
        deltas = [{"type": "text_delta", "text": block["text"]}]
    elif kind == "thinking":
        begun |= {"thinking": "", "signature": ""}
        deltas = [
            {"type": "thinking_delta", "thinking": block["thinking"]},
            {"type": "signature_delta", "signature": block["signature"]},
        ]
    elif kind == "tool_use":
        begun["input"] = {}
        deltas = [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
    return [
        event("content_block_start", index=index, content_block=begun),
        *(event("content_block_delta", index=index, delta=delta) for delta in deltas),
        event("content_block_stop", index=index),
    ]


def gpt(exchange: Exchange) -> None:
    """Answer as OpenAI's API does elsewhere: think and call a tool, then say something."""
    asked = exchange.request.json
    returned = any(message["role"] == "tool" for message in asked["messages"])
    said: dict[str, Any] = {"content": "Rain."}
    if not returned:
        said = {"content": None, "reasoning_content": "Rain, I guess."}
        said["tool_calls"] = [{"index": 0, **OPENAI_CALL}]
    reason = "stop" if returned else "tool_calls"
    if asked.get("stream"):
        exchange.begin()
        exchange.piece(openai_chunk({"role": "assistant"}))
        exchange.piece(openai_chunk(said))
        exchange.piece(openai_chunk({}, reason) + OPENAI_DONE)
        exchange.finish()
        return
    choice = {"index": 0, "message": {"role": "assistant", **said}, "finish_reason": reason}
    body = {"id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "m"}
    exchange.answer(200, {**body, "choices": [choice]})


def broken(exchange: Exchange) -> None:
    exchange.answer(500, {"error": {"type": "api_error", "message": "broken"}})


def provider(kind: str, script: Scripted) -> Mapping[str, object]:
    return upstream(
        kind,
        base_url(kind, script.url),
        retry={"max_attempts": 1},
        models=["claude-opus-4-6" if kind == "anthropic" else "m-1"],
    )


def both(claude_script: Scripted, gpt_script: Scripted) -> Mapping[str, object]:
    members = [
        {"provider": "claude", "model": "claude-opus-4-6"},
        {"provider": "gpt", "model": "m-1"},
    ]
    return config(
        {"claude": provider("anthropic", claude_script), "gpt": provider("openai", gpt_script)},
        {
            "claude-first": {"strategy": "priority", "members": members},
            "gpt-first": {"strategy": "priority", "members": members[::-1]},
        },
    )


def ask_openai(client: openai.OpenAI, said: list[Any], *, streamed: bool, model: str) -> Any:
    """Ask; return the message as it is to be sent back."""
    ask: Any = {"model": model, "messages": said, "tools": [FUNCTION], "reasoning_effort": "high"}
    if streamed:
        with client.chat.completions.stream(**ask) as stream:
            for _ in stream:
                pass
            message: Any = stream.current_completion_snapshot.choices[0].message
    else:
        message = client.chat.completions.create(**ask).choices[0].message
    return message.model_dump(exclude_none=True, exclude={"parsed"})


def ask_anthropic(
    client: anthropic.Anthropic, said: list[Any], *, streamed: bool, model: str
) -> Any:
    """Ask; return the content as it is to be sent back."""
    ask: Any = {"model": model, "max_tokens": 99, "messages": said, "tools": [TOOL]}
    if streamed:
        with client.messages.stream(**ask) as stream:
            return stream.get_final_message().content
    return client.messages.create(**ask).content


@STREAMED
def test_openai_sdk_gives_thoughts_back_to_who_thought_them(
    start_daemon: StartDaemon, *, streamed: bool
) -> None:
    with Scripted(claude) as back, Scripted(gpt) as other:
        running = start_daemon(both(back, other))
        with clients.openai_client(running.socket) as client:
            said = [*ASK]
            message = ask_openai(client, said, streamed=streamed, model="claude-first")
            assert message["reasoning_content"] == "Rain, I guess."
            (call,) = message["tool_calls"]
            assert call["id"] == "toolu_01"
            said += [message, {"role": "tool", "tool_call_id": call["id"], "content": "4 degrees"}]
            last = ask_openai(client, said, streamed=streamed, model="claude-first")
    assert last["content"] == "Rain."
    sent = back.requests[-1].json
    assert sent["messages"][1] == {"role": "assistant", "content": [THOUGHT, HIDDEN, CALL]}
    result = {"type": "tool_result", "tool_use_id": "toolu_01", "content": "4 degrees"}
    assert sent["messages"][2] == {"role": "user", "content": [result]}
    assert sent["output_config"] == {"effort": "high"}


@STREAMED
@pytest.mark.parametrize("model", ["gpt-first", "claude-first"])
def test_a_conversation_of_openais_sdk_goes_on_with_the_other_provider(
    start_daemon: StartDaemon, model: str, *, streamed: bool
) -> None:
    with Scripted(claude) as one, Scripted(gpt) as other:
        running = start_daemon(both(one, other))
        with clients.openai_client(running.socket) as client:
            said = [*ASK]
            message = ask_openai(client, said, streamed=streamed, model=model)
            (call,) = message["tool_calls"]
            said += [message, {"role": "tool", "tool_call_id": call["id"], "content": "4 degrees"}]
            (one if model == "claude-first" else other).handler = broken
            last = ask_openai(client, said, streamed=streamed, model=model)
    assert last["content"] == "Rain."
    if model == "claude-first":
        sent = other.requests[-1].json["messages"]
        (call,) = sent[1]["tool_calls"]
        assert call["id"] == sent[2]["tool_call_id"] == "toolu_01"
    else:
        sent = one.requests[-1].json["messages"]
        (use,) = sent[1]["content"]
        assert use["type"] == "tool_use"
        assert use["id"] == sent[2]["content"][0]["tool_use_id"]
        assert use["id"].replace("_", "").isalnum()


@STREAMED
@pytest.mark.parametrize("model", ["gpt-first", "claude-first"])
def test_a_conversation_of_anthropics_sdk_goes_on_with_the_other_provider(
    start_daemon: StartDaemon, model: str, *, streamed: bool
) -> None:
    with Scripted(claude) as one, Scripted(gpt) as other:
        running = start_daemon(both(one, other))
        with clients.anthropic_client(running.socket) as client:
            said = [*ASK]
            content = ask_anthropic(client, said, streamed=streamed, model=model)
            assert content[0].type == "thinking"
            assert content[0].thinking == "Rain, I guess."
            call = content[-1]
            assert call.input == {"city": "Oslo"}
            result = {"type": "tool_result", "tool_use_id": call.id, "content": "4 degrees"}
            said += [
                {"role": "assistant", "content": content},
                {"role": "user", "content": [result]},
            ]
            (one if model == "claude-first" else other).handler = broken
            last = ask_anthropic(client, said, streamed=streamed, model=model)
    assert [block.text for block in last] == ["Rain."]
    if model == "claude-first":
        sent = other.requests[-1].json["messages"]
        (asked,) = sent[1]["tool_calls"]
        assert asked["id"] == sent[2]["tool_call_id"] == "toolu_01"
        assert "c2lnbmVk" not in json.dumps(sent)
    else:
        sent = one.requests[-1].json["messages"]
        (use,) = sent[1]["content"]
        assert use["type"] == "tool_use"
        assert use["id"] == sent[2]["content"][0]["tool_use_id"]
        assert "standby.foreign" not in json.dumps(sent)


@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
def test_who_leaves_a_translated_stream_takes_the_providers_with_him(
    start_daemon: StartDaemon, sdk: str
) -> None:
    left = threading.Event()

    def endless(exchange: Exchange) -> None:
        exchange.begin()
        if sdk == "openai":
            usage = {"input_tokens": 1, "output_tokens": 1}
            message = {"id": "msg_1", "role": "assistant", "content": [], "usage": usage}
            exchange.piece(event("message_start", message={**message, "model": "m"}))
            block = {"type": "text", "text": ""}
            exchange.piece(event("content_block_start", index=0, content_block=block))
            delta = {"type": "text_delta", "text": "one "}
            exchange.piece(event("content_block_delta", index=0, delta=delta))
        else:
            exchange.piece(openai_chunk({"role": "assistant", "content": "one "}))
        if exchange.wait_gone():
            left.set()

    kind = "anthropic" if sdk == "openai" else "openai"
    with Scripted(endless) as script:
        running = start_daemon(config({"up": provider(kind, script)}, {"g": group("up")}))
        if sdk == "openai":
            with clients.openai_client(running.socket) as client:
                stream = client.chat.completions.create(model="g", messages=ASK, stream=True)
                texts = (choice.delta.content for chunk in stream for choice in chunk.choices)
                assert next(text for text in texts if text) == "one "
                stream.close()
        else:
            with (
                clients.anthropic_client(running.socket) as other,
                other.messages.stream(model="g", max_tokens=9, messages=ASK) as running_stream,
            ):
                assert next(iter(running_stream.text_stream)) == "one "
        assert left.wait(15)
