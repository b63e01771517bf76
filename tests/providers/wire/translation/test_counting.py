"""Token counts by a provider of another API: the same prompt is counted, the count comes back."""

import json
from typing import Any

import pytest

from providers.wire import AnswerFault
from providers.wire.translation.codec import Target
from providers.wire.translation.counting import Counting

PNG = {"type": "base64", "media_type": "image/png", "data": "AA=="}
SCHEMA = {"type": "object", "properties": {}}
MESSAGES: dict[str, Any] = {
    "model": "m",
    "system": "Be brief.",
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "See:"},
                {"type": "image", "source": PNG},
                {
                    "type": "document",
                    "title": "Page",
                    "source": {"type": "text", "media_type": "text/plain", "data": "Words."},
                },
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm.", "signature": "s"},
                {"type": "text", "text": "I look."},
                {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {
                    "type": "tool_result",
                    "tool_use_id": "toolu_1",
                    "is_error": True,
                    "content": "rain",
                },
                {"type": "text", "text": "So?"},
            ],
        },
    ],
    "tools": [
        {"name": "f", "description": "d", "input_schema": SCHEMA, "defer_loading": True},
        {"type": "web_search_20260318", "name": "web_search"},
    ],
    "tool_choice": {"type": "any"},
    "output_config": {"effort": "high", "format": {"type": "json_schema", "schema": SCHEMA}},
}
RESPONSES: dict[str, Any] = {
    "model": "m",
    "instructions": "Be brief.",
    "input": [
        {"role": "user", "content": "Hello"},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}'},
        {"type": "function_call_output", "call_id": "c1", "output": "rain"},
    ],
    "tools": [{"type": "function", "name": "f", "parameters": SCHEMA}],
    "max_output_tokens": 9,
    "temperature": 0.5,
    "stream": True,
}


def counting(front: str, back: str, body: dict[str, Any]) -> Counting:
    return Counting(front, back, json.dumps(body).encode(), Target(model="theirs"))


def test_messages_are_counted_by_openai_as_a_response_would_be_asked_for() -> None:
    found = counting("anthropic", "responses", MESSAGES)
    body = json.loads(found.body)
    assert body["model"] == "theirs"
    assert [item.get("role") or item["type"] for item in body["input"]] == [
        "system",
        "user",
        "assistant",
        "function_call",
        "function_call_output",
        "user",
    ]
    image = {"type": "input_image", "image_url": "data:image/png;base64,AA==", "detail": "auto"}
    assert body["input"][1]["content"] == [
        {"type": "input_text", "text": "See:"},
        image,
        {"type": "input_text", "text": "Words."},
    ]
    assert body["input"][2]["content"] == [{"type": "output_text", "text": "I look."}]
    call = {"call_id": "toolu_1", "name": "f", "arguments": '{"a":1}'}
    assert {**body["input"][3], **call} == {"type": "function_call", **call}
    assert body["input"][4]["output"] == [{"type": "input_text", "text": "Error: rain"}]
    (tool,) = body["tools"]
    assert (tool["type"], tool["name"], tool["parameters"]) == ("function", "f", SCHEMA)
    assert "defer_loading" not in tool
    assert body["tool_choice"] == "required"
    assert body["reasoning"] == {"effort": "high"}
    assert body["text"]["format"]["schema"] == SCHEMA
    assert "max_output_tokens" not in body
    assert list(found.dropped) == ["tools[1]"]


def test_a_response_is_counted_by_anthropic_without_what_is_not_counted_there() -> None:
    found = counting("responses", "anthropic", RESPONSES)
    body = json.loads(found.body)
    assert set(body) == {"model", "system", "messages", "tools"}
    assert body["system"] == "Be brief."
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]


def test_what_cannot_be_said_is_named() -> None:
    source = {"type": "file", "file_id": "file_1"}
    content = [{"type": "text", "text": "x"}, {"type": "image", "source": source}]
    body = {"model": "m", "messages": [{"role": "user", "content": content}]}
    assert list(counting("anthropic", "responses", body).dropped) == ["messages[0].content[1]"]


def test_the_count_comes_back_in_the_askers_form() -> None:
    given = json.dumps({"object": "response.input_tokens", "input_tokens": 42}).encode()
    there = counting("anthropic", "responses", MESSAGES)
    assert json.loads(there.answer(given)) == {"input_tokens": 42}
    back = counting("responses", "anthropic", RESPONSES)
    assert json.loads(back.answer(b'{"input_tokens": 7}')) == {
        "object": "response.input_tokens",
        "input_tokens": 7,
    }


@pytest.mark.parametrize("given", [b"{}", b'{"input_tokens": "many"}', b'{"input_tokens": -1}'])
def test_what_is_no_count_is_a_fault(given: bytes) -> None:
    with pytest.raises(AnswerFault):
        counting("anthropic", "responses", MESSAGES).answer(given)
