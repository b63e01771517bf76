"""Plain chat completions, read and written."""

import json
from typing import Any

import pytest

from providers.wire.translation.chat_codec import CHAT_CODEC
from providers.wire.translation.codec import AnswerFrame, Dropped
from providers.wire.translation.conversation import (
    Conversation,
    Opaque,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from providers.wire.translation.reply import Reply, ReplyUsage, StopReason


def read(message: object, reason: str | None = "stop", **members: object) -> Reply:
    choice = {"index": 0, "message": message, "finish_reason": reason}
    body: dict[str, object] = {"id": "chatcmpl-1", "model": "m-1", "created": 17}
    return CHAT_CODEC.decode_reply(json.dumps({**body, "choices": [choice], **members}).encode())


def write(reply: Reply, **members: Any) -> tuple[dict[str, Any], list[str]]:
    request = Conversation(dialect="openai", model="asked", messages=(), **members)
    dropped = Dropped()
    frame = AnswerFrame(request=request, answer_id="xyz", created=99)
    return json.loads(CHAT_CODEC.encode_reply(reply, frame, dropped)), list(dropped)


def test_an_answer_is_read_whole() -> None:
    reply = read(
        {
            "role": "assistant",
            "content": "Hi",
            "refusal": None,
            "reasoning_content": "Hm",
            "tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{ }"}}
            ],
        },
        "tool_calls",
        service_tier="flex",
        system_fingerprint="fp",
        usage={
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 2},
            "completion_tokens_details": {"reasoning_tokens": 3, "text_tokens": 2},
        },
    )
    assert reply == Reply(
        id="chatcmpl-1",
        model="m-1",
        created=17,
        parts=(Thinking("Hm"), Text("Hi", citations_of="openai"), ToolCall("a", "f", "{ }")),
        stop="tool_calls",
        usage=ReplyUsage(
            input_tokens=10,
            output_tokens=5,
            cache_read=4,
            cache_write=2,
            reasoning=3,
            service_tier="flex",
            extras={"completion_tokens_details": {"text_tokens": 2}},
        ),
        extras={"system_fingerprint": "fp"},
    )


def test_only_the_first_choice_is_read() -> None:
    choices = [
        {"index": 1, "message": {"content": "second"}, "finish_reason": "stop"},
        {"index": 0, "message": {"content": "first"}, "finish_reason": "length"},
    ]
    reply = read(None, choices=choices)
    assert reply.parts == (Text("first", citations_of="openai"),)
    assert reply.stop == "length"


@pytest.mark.parametrize(
    "message",
    [
        {"content": [{"type": "text", "text": "Hi"}]},
        {"content": "Hi", "tool_calls": [], "function_call": None, "refusal": ""},
        {"content": "Hi", "tool_calls": {"not": "a list"}, "refusal": 5},
    ],
)
def test_the_ways_of_other_servers_are_understood(message: object) -> None:
    assert read(message).parts == (Text("Hi", citations_of="openai"),)


def test_usage_in_odd_numbers_is_read() -> None:
    usage = read({"content": "x"}, usage={"prompt_tokens": 3.0, "completion_tokens": 2}).usage
    assert usage == ReplyUsage(input_tokens=3, output_tokens=2)


def test_an_answer_is_written_whole() -> None:
    reply = Reply(
        id="msg_1",
        model="claude-1",
        parts=(
            Thinking("Hm", signature="c2ln", made_by="anthropic"),
            Thinking(redacted="abc", made_by="anthropic"),
            Text("Hi"),
            ToolCall("toolu_1", "f", '{"a":1}'),
            ToolCall("toolu_2", "g"),
        ),
        stop="tool_calls",
        usage=ReplyUsage(input_tokens=10, output_tokens=5, cache_read=4, service_tier="standard"),
    )
    body, dropped = write(reply)
    assert not dropped
    assert body == {
        "id": "chatcmpl-xyz",
        "object": "chat.completion",
        "created": 99,
        "model": "claude-1",
        "choices": [
            {
                "index": 0,
                "message": {
                    "role": "assistant",
                    "content": "Hi",
                    "refusal": None,
                    "reasoning_content": "Hm",
                    "reasoning_details": [
                        {
                            "type": "reasoning.text",
                            "text": "Hm",
                            "format": "anthropic-claude-v1",
                            "index": 0,
                            "signature": "c2ln",
                        },
                        {
                            "type": "reasoning.encrypted",
                            "data": "abc",
                            "format": "anthropic-claude-v1",
                            "index": 1,
                        },
                    ],
                    "tool_calls": [
                        {
                            "id": "toolu_1",
                            "type": "function",
                            "function": {"name": "f", "arguments": '{"a":1}'},
                        },
                        {
                            "id": "toolu_2",
                            "type": "function",
                            "function": {"name": "g", "arguments": "{}"},
                        },
                    ],
                },
                "logprobs": None,
                "finish_reason": "tool_calls",
            }
        ],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 5,
            "total_tokens": 15,
            "prompt_tokens_details": {"cached_tokens": 4},
        },
        "service_tier": "default",
    }


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        ("end", "stop"),
        ("stop_sequence", "stop"),
        ("length", "length"),
        ("context_window", "length"),
        ("tool_calls", "tool_calls"),
        ("refusal", "content_filter"),
        ("content_filter", "content_filter"),
        ("pause", "stop"),
        (None, "stop"),
    ],
)
def test_every_end_has_its_reason(stop: StopReason | None, reason: str) -> None:
    body, dropped = write(Reply(id="", model="", parts=(Text("x"),), stop=stop))
    assert body["choices"][0]["finish_reason"] == reason
    assert dropped == (["answer.stop_reason"] if stop == "pause" else [])


def test_a_refusal_in_words_ends_as_any_answer() -> None:
    body, _ = write(Reply(id="", model="", parts=(Refusal("No."),), stop="refusal"))
    assert body["choices"][0]["finish_reason"] == "stop"
    assert body["choices"][0]["message"]["refusal"] == "No."
    assert body["choices"][0]["message"]["content"] is None


def test_usage_that_nobody_told_is_not_invented() -> None:
    assert "usage" not in write(Reply(id="", model=""))[0]


def test_an_id_of_the_right_form_and_the_providers_time_are_kept() -> None:
    body, _ = write(Reply(id="chatcmpl-7", model="m-1", created=17))
    assert (body["id"], body["created"], body["model"]) == ("chatcmpl-7", 17, "m-1")
    assert write(Reply(id="", model=""))[0]["model"] == "asked"


def test_citations_without_an_address_and_foreign_parts_are_named() -> None:
    quoted = {"type": "char_location", "cited_text": "x", "document_index": 0}
    found = {"type": "web_search_result_location", "url": "https://e.com", "title": None}
    body, dropped = write(
        Reply(
            id="",
            model="",
            parts=(
                Text("See "),
                Text("this", citations=(quoted, found), citations_of="anthropic"),
                Opaque("anthropic", "server_tool_use", {}),
            ),
        )
    )
    message = body["choices"][0]["message"]
    assert message["content"] == "See this"
    assert message["annotations"] == [
        {
            "type": "url_citation",
            "url_citation": {
                "start_index": 4,
                "end_index": 8,
                "title": "https://e.com",
                "url": "https://e.com",
            },
        }
    ]
    assert dropped == ["answer.content[1].citations", "answer.content[2]"]


def test_citations_of_responses_move_with_their_text() -> None:
    cited = {"type": "url_citation", "start_index": 0, "end_index": 2, "title": "T", "url": "u"}
    parts = (Text("See "), Text("it", citations=(cited,), citations_of="responses"))
    body, _ = write(Reply(id="", model="", parts=parts))
    (annotation,) = body["choices"][0]["message"]["annotations"]
    assert annotation["url_citation"] == {
        "start_index": 4,
        "end_index": 6,
        "title": "T",
        "url": "u",
    }


def test_an_asker_of_old_calls_gets_one_function_call() -> None:
    calls = (ToolCall("a", "f", "{}"), ToolCall("b", "g", "{}"))
    body, dropped = write(Reply(id="", model="", parts=calls, stop="tool_calls"), old_calls=True)
    message = body["choices"][0]["message"]
    assert message["function_call"] == {"name": "f", "arguments": "{}"}
    assert "tool_calls" not in message
    assert body["choices"][0]["finish_reason"] == "function_call"
    assert dropped == ["answer.tool_calls"]
