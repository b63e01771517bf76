"""Custom tools at providers that know functions only: offered, called and answered for."""

import json
from typing import Any

import pytest

from providers.wire.translation.codec import Target
from providers.wire.translation.codecs import codec_of, front_codec_of
from providers.wire.translation.translation import Translation

GRAMMAR = {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}
PATCH = '*** Begin Patch\n"quoted" \\ back\u00e9\n'
WRAPPED = json.dumps({"input": PATCH})


def asked(front: str, back: str, *, official: bool = False, **members: object) -> Translation:
    body: dict[str, Any] = {"model": "m", "tool_choice": {"type": "custom", "name": "patch"}}
    if front == "responses":
        body["tools"] = [{"type": "custom", "name": "patch", "description": "Patches."}]
        body["input"] = "Do it."
    else:
        body["tool_choice"] = {"type": "custom", "custom": {"name": "patch"}}
        custom = {"name": "patch", "description": "Patches."}
        body["tools"] = [{"type": "custom", "custom": custom}]
        body["messages"] = [{"role": "user", "content": "Do it."}]
    return Translation(
        front_codec_of(front),
        codec_of(back),
        json.dumps({**body, **members}).encode(),
        Target(model="m", official=official),
        answer_id="1",
        created=0,
    )


def anthropic_answer() -> bytes:
    call = {"type": "tool_use", "id": "toolu_1", "name": "patch", "input": {"input": PATCH}}
    other = {"type": "tool_use", "id": "toolu_2", "name": "other", "input": {"input": "x"}}
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [call, other],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    }
    return json.dumps(message).encode()


def event(kind: str, **members: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


def anthropic_stream(*pieces: str) -> list[bytes]:
    message = {**json.loads(anthropic_answer()), "content": [], "stop_reason": None}
    call = {"type": "tool_use", "id": "toolu_1", "name": "patch", "input": {}}
    deltas = [
        event(
            "content_block_delta",
            index=0,
            delta={"type": "input_json_delta", "partial_json": piece},
        )
        for piece in pieces
    ]
    return [
        event("message_start", message=message),
        event("content_block_start", index=0, content_block=call),
        *deltas,
        event("content_block_stop", index=0),
        event("message_delta", delta={"stop_reason": "tool_use"}, usage={"output_tokens": 1}),
        event("message_stop"),
    ]


@pytest.mark.parametrize("front", ["openai", "responses"])
def test_a_custom_tool_is_offered_as_a_function_with_one_text(front: str) -> None:
    found = asked(front, "anthropic")
    body = json.loads(found.body)
    (tool,) = body["tools"]
    assert (tool["name"], tool["description"]) == ("patch", "Patches.")
    assert tool["input_schema"]["required"] == ["input"]
    assert body["tool_choice"] == {"type": "tool", "name": "patch"}
    assert not list(found.dropped)


def test_a_grammar_is_told_in_words_and_named() -> None:
    tool = {"type": "custom", "name": "patch", "description": "Patches.", "format": GRAMMAR}
    for back in ("anthropic", "openai"):
        found = asked("responses", back, tools=[tool])
        assert list(found.dropped) == ["tools[0].format"]
        (written,) = json.loads(found.body)["tools"]
        told = (written.get("function") or written)["description"]
        assert told.startswith("Patches.\n\n")
        assert "start: /.+/" in told


def test_only_openais_own_server_gets_custom_tools_as_they_are() -> None:
    own = json.loads(asked("responses", "openai", official=True).body)
    assert own["tools"][0]["type"] == "custom"
    assert own["tool_choice"] == {"type": "custom", "custom": {"name": "patch"}}
    other = json.loads(asked("responses", "openai").body)
    assert other["tools"][0]["type"] == "function"
    assert other["tool_choice"] == {"type": "function", "function": {"name": "patch"}}


def test_calls_of_the_past_are_put_the_same_way() -> None:
    items = [
        {"role": "user", "content": "Do it."},
        {"type": "custom_tool_call", "call_id": "call_1", "name": "patch", "input": PATCH},
        {"type": "custom_tool_call_output", "call_id": "call_1", "output": "done"},
    ]
    body = json.loads(asked("responses", "anthropic", input=items).body)
    assert body["messages"][1]["content"][0]["input"] == {"input": PATCH}
    body = json.loads(asked("responses", "openai", input=items).body)
    function = body["messages"][1]["tool_calls"][0]["function"]
    assert json.loads(function["arguments"]) == {"input": PATCH}


def test_a_call_is_turned_back_for_the_asker_and_other_calls_are_left_alone() -> None:
    told = json.loads(asked("responses", "anthropic").answer(anthropic_answer()))
    custom, function = told["output"]
    assert (custom["type"], custom["call_id"]) == ("custom_tool_call", "toolu_1")
    assert custom["input"] == PATCH
    assert (function["type"], function["arguments"]) == ("function_call", '{"input":"x"}')
    told = json.loads(asked("openai", "anthropic").answer(anthropic_answer()))
    custom, function = told["choices"][0]["message"]["tool_calls"]
    assert custom["custom"] == {"name": "patch", "input": PATCH}
    assert function["type"] == "function"


@pytest.mark.parametrize("cut", [0, 1, 9, 12, 30])
def test_a_streamed_call_is_turned_back_however_it_is_cut(cut: int) -> None:
    stream = asked("responses", "anthropic").stream()
    pieces = [WRAPPED[:cut], WRAPPED[cut:]]
    *events, last = anthropic_stream(*(piece for piece in pieces if piece))
    out = b"".join(map(stream.feed, events)) + stream.finish(last)
    told = [json.loads(line[6:]) for line in out.split(b"\n") if line.startswith(b"data: ")]
    kinds = [each["type"] for each in told]
    assert kinds.count("response.custom_tool_call_input.done") == 1
    assert "response.function_call_arguments.delta" not in kinds
    (item,) = told[-1]["response"]["output"]
    assert (item["type"], item["name"], item["input"]) == ("custom_tool_call", "patch", PATCH)


def test_arguments_of_another_form_are_the_input_as_they_are() -> None:
    stream = asked("responses", "anthropic").stream()
    *events, last = anthropic_stream('{"patch":"x"}')
    out = b"".join(map(stream.feed, events)) + stream.finish(last)
    told = json.loads(out.strip().rsplit(b"data: ", 1)[1])
    assert told["response"]["output"][0]["input"] == '{"patch":"x"}'
