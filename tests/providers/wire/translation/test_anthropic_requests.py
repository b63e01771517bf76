"""Anthropic requests: every block and option is read, and what is wrong is named with its place."""

import json
from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.wire import WireError
from providers.wire.translation.anthropic_codec import ANTHROPIC_CODEC
from providers.wire.translation.chat_codec import CHAT_CODEC
from providers.wire.translation.codec import FOREIGN_MARK, Row, Target
from providers.wire.translation.conversation import (
    CacheControl,
    Conversation,
    Document,
    Image,
    Message,
    Opaque,
    OutputFormat,
    Part,
    Reasoning,
    Source,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from tests.support.junk import spoilt

HELLO: list[dict[str, object]] = [{"role": "user", "content": "Hello"}]
FOR_AN_HOUR = {"type": "ephemeral", "ttl": "1h"}
ROWS = ANTHROPIC_CODEC.rows()


def decoded(messages: object = None, **members: object) -> Conversation:
    said = HELLO if messages is None else messages
    body = {"model": "m-1", "max_tokens": 9, "messages": said, **members}
    return ANTHROPIC_CODEC.decode_request(json.dumps(body).encode())


def refused(messages: object = None, **members: object) -> WireError:
    with pytest.raises(WireError) as caught:
        decoded(messages, **members)
    return caught.value


def content(*blocks: object) -> list[dict[str, object]]:
    return [{"role": "user", "content": list(blocks)}]


def part(block: Mapping[str, object]) -> Part:
    (message,) = decoded(content(block)).messages
    (found,) = message.parts
    return found


def test_a_plain_request_is_read_whole() -> None:
    found = decoded(stream=True)
    assert found == Conversation(
        dialect="anthropic",
        model="m-1",
        messages=(Message("user", (Text("Hello"),), plain=True),),
        max_tokens=9,
        stream=True,
        include_usage=True,
    )


@pytest.mark.parametrize("role", ["user", "assistant", "system"])
def test_messages_of_every_role_with_a_string_or_blocks(role: str) -> None:
    (plain,) = decoded([{"role": role, "content": "Hi"}]).messages
    assert (plain.role, plain.parts, plain.plain) == (role, (Text("Hi"),), True)
    blocks = [{"type": "text", "text": "Hi"}, {"type": "text", "text": "there"}]
    (other,) = decoded([{"role": role, "content": blocks, "mood": 1}]).messages
    assert (other.role, other.parts) == (role, (Text("Hi"), Text("there")))
    assert (other.plain, other.extras) == (False, {"mood": 1})


@pytest.mark.parametrize(
    ("block", "expected"),
    [
        ({"type": "text", "text": "x"}, Text("x")),
        ({"type": "text", "text": "x", "citations": None}, Text("x")),
        ({"type": "text", "text": "x", "citations": []}, Text("x")),
        (
            {"type": "text", "text": "x", "cache_control": FOR_AN_HOUR},
            Text("x", CacheControl("1h")),
        ),
        (
            {"type": "text", "text": "x", "cache_control": {"type": "ephemeral"}},
            Text("x", CacheControl()),
        ),
        (
            {"type": "text", "text": "x", "citations": [{"type": "char_location"}]},
            Text("x", None, ({"type": "char_location"},), "anthropic"),
        ),
        (
            {
                "type": "image",
                "source": {"type": "base64", "media_type": "image/png", "data": "AA=="},
                "cache_control": {"type": "ephemeral"},
            },
            Image(Source(data="AA==", media_type="image/png"), cache=CacheControl()),
        ),
        (
            {"type": "image", "source": {"type": "url", "url": "https://a.b/c"}},
            Image(Source(url="https://a.b/c")),
        ),
        (
            {"type": "image", "source": {"type": "file", "file_id": "f"}},
            Image(Source(file_id="f")),
        ),
        (
            {
                "type": "document",
                "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="},
                "title": "T",
                "context": "C",
                "citations": {"enabled": True},
                "cache_control": FOR_AN_HOUR,
            },
            Document(
                Source(data="AA==", media_type="application/pdf"),
                "T",
                "C",
                citations=True,
                cache=CacheControl("1h"),
            ),
        ),
        (
            {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "words"},
                "title": None,
                "citations": None,
            },
            Document(Source(text="words", media_type="text/plain")),
        ),
        (
            {
                "type": "document",
                "source": {"type": "content", "content": [{"type": "text", "text": "a"}]},
            },
            Document(Source(parts=(Text("a"),))),
        ),
        (
            {"type": "document", "source": {"type": "content", "content": "a"}},
            Document(Source(parts=(Text("a"),))),
        ),
        (
            {"type": "document", "source": {"type": "url", "url": "https://a.b/c"}},
            Document(Source(url="https://a.b/c")),
        ),
        (
            {"type": "document", "source": {"type": "file", "file_id": "f"}},
            Document(Source(file_id="f")),
        ),
        (
            {
                "type": "tool_use",
                "id": "t1",
                "name": "f",
                "input": {"a": [1, "é"]},
                "cache_control": FOR_AN_HOUR,
            },
            ToolCall("t1", "f", '{"a":[1,"é"]}', cache=CacheControl("1h")),
        ),
        ({"type": "tool_use", "id": "t1", "name": "f", "input": {}}, ToolCall("t1", "f", "{}")),
        ({"type": "tool_use", "id": "t1", "name": "f"}, ToolCall("t1", "f", "{}")),
        (
            {"type": "tool_use", "id": "t1", "name": "f", "input": {"INVALID_JSON": '{"a'}},
            ToolCall("t1", "f", '{"a'),
        ),
        (
            {"type": "tool_use", "id": "t1", "name": "f", "input": {"INVALID_JSON": 5}},
            ToolCall("t1", "f", '{"INVALID_JSON":5}'),
        ),
        ({"type": "tool_result", "tool_use_id": "t1"}, ToolResult("t1")),
        (
            {"type": "tool_result", "tool_use_id": "t1", "content": "4", "is_error": False},
            ToolResult("t1", (Text("4"),), is_error=False),
        ),
        (
            {
                "type": "tool_result",
                "tool_use_id": "t1",
                "is_error": True,
                "cache_control": {"type": "ephemeral"},
                "content": [
                    {"type": "text", "text": "4"},
                    {"type": "image", "source": {"type": "url", "url": "u"}},
                    {"type": "search_result", "title": "t"},
                ],
            },
            ToolResult(
                "t1",
                (
                    Text("4"),
                    Image(Source(url="u")),
                    Opaque("anthropic", "search_result", {"type": "search_result", "title": "t"}),
                ),
                is_error=True,
                cache=CacheControl(),
            ),
        ),
        (
            {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
            Thinking("Hm.", "sig", made_by="anthropic"),
        ),
        ({"type": "thinking", "thinking": "Hm."}, Thinking("Hm.", made_by="anthropic")),
        (
            {"type": "thinking", "thinking": "Hm.", "signature": f"{FOREIGN_MARK}thoughts"},
            Thinking("Hm."),
        ),
        (
            {"type": "redacted_thinking", "data": "sealed"},
            Thinking(redacted="sealed", made_by="anthropic"),
        ),
        ({"type": "redacted_thinking", "data": f"{FOREIGN_MARK}x"}, Thinking()),
        (
            {"type": "server_tool_use", "id": "s1", "input": {"a": 1}},
            Opaque(
                "anthropic",
                "server_tool_use",
                {"type": "server_tool_use", "id": "s1", "input": {"a": 1}},
            ),
        ),
    ],
)
def test_every_block(block: dict[str, object], expected: Part) -> None:
    assert part(block) == expected


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ("Be brief.", (Message("system", (Text("Be brief."),), plain=True),)),
        (
            [
                {"type": "text", "text": "Be brief."},
                {"type": "text", "text": "Be kind.", "cache_control": FOR_AN_HOUR},
            ],
            (Message("system", (Text("Be brief."), Text("Be kind.", CacheControl("1h")))),),
        ),
        ([], ()),
        (None, ()),
    ],
)
def test_what_the_system_says_comes_first(system: object, expected: tuple[Message, ...]) -> None:
    said = Message("user", (Text("Hello"),), plain=True)
    assert decoded(system=system).messages == (*expected, said)


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        (
            {"temperature": 0.5, "top_p": 0.1, "top_k": 5},
            {"temperature": 0.5, "top_p": 0.1, "top_k": 5},
        ),
        ({"temperature": 1, "top_p": None}, {"temperature": 1, "top_p": None}),
        ({"max_tokens": None}, {"max_tokens": None}),
        ({"stop_sequences": ["a", "b"]}, {"stop": ("a", "b")}),
        ({"stop_sequences": None}, {"stop": ()}),
        ({"stream": False}, {"stream": False}),
        ({"stream": None}, {"stream": False}),
        ({"metadata": {"user_id": "u"}}, {"user": "u", "extras": {}}),
        ({"metadata": {"user_id": None}}, {"user": None, "extras": {}}),
        ({"metadata": None}, {"user": None, "extras": {}}),
        (
            {"metadata": {"user_id": "u", "team": 1}},
            {"user": "u", "extras": {"metadata": {"team": 1}}},
        ),
        ({"service_tier": "standard_only"}, {"service_tier": "standard_only"}),
        ({"cache_control": FOR_AN_HOUR}, {"cache": CacheControl("1h")}),
        ({"cache_control": {"type": "ephemeral"}}, {"cache": CacheControl()}),
        ({"cache_control": None}, {"cache": None}),
        (
            {"output_config": {"effort": "xhigh"}},
            {"reasoning": Reasoning("xhigh"), "output": None, "extras": {}},
        ),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
            {"output": OutputFormat("json_schema", {"type": "object"}), "reasoning": None},
        ),
        (
            {"output_config": {"effort": None, "format": None}},
            {"output": None, "reasoning": None, "extras": {}},
        ),
        (
            {"output_config": {"effort": "low", "format": {"type": "xml"}, "task_budget": 5}},
            {
                "reasoning": Reasoning("low"),
                "output": None,
                "extras": {"output_config": {"format": {"type": "xml"}, "task_budget": 5}},
            },
        ),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2048}},
            {"reasoning": Reasoning(None, "enabled", 2048)},
        ),
        (
            {"thinking": {"type": "adaptive", "display": "omitted"}},
            {"reasoning": Reasoning(None, "adaptive", display="omitted")},
        ),
        (
            {"thinking": {"type": "disabled"}, "output_config": {"effort": "max"}},
            {"reasoning": Reasoning("max", "disabled")},
        ),
        ({"thinking": {"type": "between_tools"}}, {"reasoning": Reasoning(mode="between_tools")}),
        ({"thinking": None}, {"reasoning": None}),
        (
            {"container": "c", "mcp_servers": [], "seed": None},
            {"extras": {"container": "c", "mcp_servers": [], "seed": None}},
        ),
    ],
)
def test_every_option(members: dict[str, object], expected: dict[str, object]) -> None:
    found = decoded(**members)
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "auto"}, ToolChoice("auto")),
        ({"type": "any"}, ToolChoice("required")),
        ({"type": "none"}, ToolChoice("none")),
        ({"type": "tool", "name": "f"}, ToolChoice("tool", "f")),
    ],
)
@pytest.mark.parametrize(
    ("serial", "parallel"),
    [({"disable_parallel_tool_use": True}, False), ({"disable_parallel_tool_use": False}, True)],
)
def test_which_tool_to_call_and_how_many(
    choice: dict[str, object], expected: ToolChoice, serial: dict[str, object], parallel: bool
) -> None:
    found = decoded(tool_choice=choice)
    assert (found.tool_choice, found.parallel_tool_calls) == (expected, None)
    found = decoded(tool_choice={**choice, **serial})
    assert (found.tool_choice, found.parallel_tool_calls) == (expected, parallel)


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        (
            {
                "type": "custom",
                "name": "f",
                "description": "d",
                "input_schema": {"type": "object"},
                "strict": True,
                "cache_control": FOR_AN_HOUR,
            },
            Tool("f", "d", {"type": "object"}, strict=True, cache=CacheControl("1h")),
        ),
        (
            {"type": None, "name": "f", "description": None, "strict": None},
            Tool("f"),
        ),
        (
            {"name": "f", "input_schema": {}, "defer_loading": True},
            Tool("f", schema={}, extras={"defer_loading": True}),
        ),
        (
            {"type": "web_search_20250305", "name": "web_search", "max_uses": 2},
            Tool(
                "web_search",
                opaque={"type": "web_search_20250305", "name": "web_search", "max_uses": 2},
                opaque_of="anthropic",
            ),
        ),
        (
            {"type": "mcp_toolset"},
            Tool("mcp_toolset", opaque={"type": "mcp_toolset"}, opaque_of="anthropic"),
        ),
    ],
)
def test_every_tool(tool: dict[str, object], expected: Tool) -> None:
    assert decoded(tools=[tool]).tools == (expected,)


def url(**members: object) -> dict[str, object]:
    return {"type": "url", "url": "https://a.b/c", **members}


TEXT = {"type": "text", "text": "x"}
RESULT = {"type": "tool_result", "tool_use_id": "t"}


@pytest.mark.parametrize(
    ("block", "path"),
    [
        ({**TEXT, "mood": 1}, "mood"),
        (
            {**TEXT, "cache_control": {"type": "ephemeral", "mood": 1}},
            "cache_control.mood",
        ),
        ({"type": "image", "source": url(), "transformations": {"x": "y"}}, "transformations"),
        ({"type": "image", "source": url(detail="low")}, "source.detail"),
        ({"type": "document", "source": url(), "filename": "f"}, "filename"),
        ({"type": "document", "source": url(), "citations": {"mood": 1}}, "citations.mood"),
        (
            {"type": "document", "source": {"type": "content", "content": [{**TEXT, "a": 1}]}},
            "source.content[0].a",
        ),
        ({"type": "tool_use", "id": "t", "name": "f", "toolset_name": "s"}, "toolset_name"),
        (
            {
                "type": "tool_use",
                "id": "t",
                "name": "f",
                "caller": {"type": "code", "tool_id": "s"},
            },
            "caller",
        ),
        ({**RESULT, "toolset_name": "s"}, "toolset_name"),
        ({**RESULT, "content": [TEXT, {**TEXT, "a": 1}]}, "content[1].a"),
        ({"type": "thinking", "thinking": "", "signature": "s", "mood": 1}, "mood"),
        ({"type": "redacted_thinking", "data": "s", "mood": 1}, "mood"),
        # These say nothing.
        ({**TEXT, "mood": None}, None),
        ({"type": "image", "source": url(), "transformations": {}}, None),
        (
            {"type": "tool_use", "id": "t", "name": "f", "caller": {"type": "direct"}},
            None,
        ),
    ],
)
def test_a_member_that_only_anthropic_knows_is_named(
    block: dict[str, object], path: str | None
) -> None:
    messages = [*HELLO, {"role": "user", "content": [TEXT, block]}]
    found = decoded(messages).messages[1].extras
    assert list(found) == ([] if path is None else [f"content[1].{path}"])
    named = CHAT_CODEC.encode_request(decoded(messages), Target(model="m")).dropped
    assert path is None or f"messages[1].content[1].{path}" in named


@pytest.mark.parametrize(
    ("members", "path"),
    [
        ({"system": [TEXT, {**TEXT, "mood": 1}]}, "system[1].mood"),
        ({"thinking": {"type": "adaptive", "mood": 1}}, "thinking.mood"),
        (
            {"tool_choice": {"type": "auto", "mood": 1}, "tools": [{"name": "f"}]},
            "tool_choice.mood",
        ),
        (
            {"output_config": {"format": {"type": "json_schema", "schema": {}, "name": "n"}}},
            "output_config.format.name",
        ),
        ({"messages": [{**HELLO[0], "mood": 1}]}, "messages[0].mood"),
    ],
)
def test_a_member_of_an_option_that_only_anthropic_knows_is_named(
    members: dict[str, object], path: str
) -> None:
    request = decoded(**members)
    assert path in CHAT_CODEC.encode_request(request, Target(model="m")).dropped
    assert path in ANTHROPIC_CODEC.encode_request(request, Target(model="m")).dropped


def block_at(*blocks: object) -> dict[str, object]:
    return {"messages": content(*blocks)}


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"model": ""}, "model"),
        ({"model": None}, "model"),
        ({"messages": "Hello"}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": [5]}, "messages[0]"),
        ({"messages": [*HELLO, {"content": "x"}]}, "messages[1].role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        (block_at("x"), "messages[0].content[0]"),
        (block_at({"text": "x"}), "messages[0].content[0].type"),
        (block_at({"type": 5}), "messages[0].content[0].type"),
        (block_at({"type": "text"}), "messages[0].content[0].text"),
        (block_at({"type": "text", "text": 5}), "messages[0].content[0].text"),
        (
            block_at({"type": "text", "text": "x", "citations": {}}),
            "messages[0].content[0].citations",
        ),
        (
            block_at({"type": "text", "text": "x", "citations": [{}, 5]}),
            "messages[0].content[0].citations[1]",
        ),
        (block_at({"type": "image"}), "messages[0].content[0].source"),
        (block_at({"type": "image", "source": {}}), "messages[0].content[0].source.type"),
        (
            block_at({"type": "image", "source": {"type": ["url"]}}),
            "messages[0].content[0].source.type",
        ),
        (
            block_at({"type": "image", "source": {"type": "base64"}}),
            "messages[0].content[0].source.data",
        ),
        (
            block_at({"type": "document", "source": {"type": "url", "url": 5}}),
            "messages[0].content[0].source.url",
        ),
        (
            block_at({"type": "document", "source": {"type": "file"}}),
            "messages[0].content[0].source.file_id",
        ),
        (
            block_at({"type": "document", "source": {"type": "content", "content": 5}}),
            "messages[0].content[0].source.content",
        ),
        (
            block_at({"type": "document", "source": {"type": "content", "content": [5]}}),
            "messages[0].content[0].source.content[0]",
        ),
        (block_at({"type": "tool_use", "name": "f"}), "messages[0].content[0].id"),
        (block_at({"type": "tool_use", "id": "t"}), "messages[0].content[0].name"),
        (block_at({"type": "tool_result"}), "messages[0].content[0].tool_use_id"),
        (
            block_at({"type": "tool_result", "tool_use_id": "t", "content": 5}),
            "messages[0].content[0].content",
        ),
        (
            block_at(
                {"type": "text", "text": "x"},
                {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text"}]},
            ),
            "messages[0].content[1].content[0].text",
        ),
        (
            block_at({"type": "tool_result", "tool_use_id": "t", "is_error": "no"}),
            "messages[0].content[0].is_error",
        ),
        (block_at({"type": "thinking", "signature": "s"}), "messages[0].content[0].thinking"),
        (block_at({"type": "redacted_thinking"}), "messages[0].content[0].data"),
        ({"system": 5}, "system"),
        ({"system": [5]}, "system[0]"),
        ({"system": [{"type": "text"}]}, "system[0].text"),
        ({"tools": {}}, "tools"),
        ({"tools": [5]}, "tools[0]"),
        ({"tools": [{"name": "f"}, {"description": "d"}]}, "tools[1].name"),
        ({"tools": [{"name": "f", "type": ["custom"]}]}, "tools[0].type"),
        ({"tools": [{"name": "f", "description": 5}]}, "tools[0].description"),
        ({"tools": [{"name": "f", "input_schema": []}]}, "tools[0].input_schema"),
        ({"tools": [{"name": "f", "strict": "yes"}]}, "tools[0].strict"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"tool_choice": {}}, "tool_choice.type"),
        ({"tool_choice": {"type": ["any"]}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"tool_choice": {"type": "tool", "name": ""}}, "tool_choice.name"),
        (
            {"tool_choice": {"type": "any", "disable_parallel_tool_use": 1}},
            "tool_choice.disable_parallel_tool_use",
        ),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"max_tokens": 9.5}, "max_tokens"),
        ({"max_tokens": True}, "max_tokens"),
        ({"temperature": "1"}, "temperature"),
        ({"top_p": False}, "top_p"),
        ({"top_k": 1.5}, "top_k"),
        ({"stop_sequences": "a"}, "stop_sequences"),
        ({"stop_sequences": ["a", 5]}, "stop_sequences"),
        ({"stream": "yes"}, "stream"),
        ({"metadata": "u"}, "metadata"),
        ({"metadata": {"user_id": 5}}, "metadata.user_id"),
        ({"service_tier": 5}, "service_tier"),
        ({"output_config": []}, "output_config"),
        ({"output_config": {"effort": "some"}}, "output_config.effort"),
        ({"output_config": {"effort": ["low"]}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ({"thinking": "adaptive"}, "thinking.type"),
        ({"thinking": {}}, "thinking.type"),
        ({"thinking": {"type": "much"}}, "thinking.type"),
        ({"thinking": {"type": ["enabled"]}}, "thinking.type"),
        (
            {"thinking": {"type": "enabled", "budget_tokens": "2048"}},
            "thinking.budget_tokens",
        ),
    ],
)
def test_what_is_wrong_is_named_with_its_place(members: dict[str, object], param: str) -> None:
    error = refused(**members)
    assert error.param == param
    assert str(error).startswith(f"{param}: ")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b'{"model": "\xff"}', b'"x"'])
def test_what_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(WireError) as caught:
        ANTHROPIC_CODEC.decode_request(body)
    assert caught.value.code == "invalid_json"


def test_a_number_of_any_length_in_a_call_is_kept_as_it_was() -> None:
    long = "1" * 40
    body = b'{"model":"m","messages":[{"role":"assistant","content":[%b]}]}'
    call = b'{"type":"tool_use","id":"t","name":"f","input":{"a":%b}}' % long.encode()
    (message,) = ANTHROPIC_CODEC.decode_request(body % call).messages
    assert message.parts == (ToolCall("t", "f", f'{{"a":{long}}}'),)


def written(request: Conversation, version: str) -> bytes:
    target = Target(model="claude-opus-4-5", version=version)
    return ANTHROPIC_CODEC.encode_request(request, target).body


def listed(request: Conversation) -> Conversation:
    """Return a request in which no content is one string, and none has members set aside.

    The one is a matter of writing; the other are named.
    """
    messages = [msgspec.structs.replace(each, plain=False, extras={}) for each in request.messages]
    return msgspec.structs.replace(request, messages=tuple(messages))


@pytest.mark.parametrize("row", [pytest.param(row, id=row.field) for row in ROWS])
def test_what_was_asked_for_is_the_same_when_it_has_been_written(row: Row) -> None:
    first = ANTHROPIC_CODEC.decode_request(json.dumps(row.example).encode())
    # Each version lacks something: the one has no system between messages, the other no sampling.
    version = "2026-10-21" if row.field == "messages[]: system between" else "2023-06-01"
    again = ANTHROPIC_CODEC.decode_request(written(first, version))
    expected = msgspec.structs.replace(
        first, model="claude-opus-4-5", max_tokens=first.max_tokens or again.max_tokens
    )
    assert listed(again) == listed(expected)


DENSE: dict[str, Any] = {
    "model": "m",
    "max_tokens": 9,
    "system": [{"type": "text", "text": "s", "cache_control": FOR_AN_HOUR}],
    "messages": [
        {
            "role": "user",
            "content": [
                {"type": "image", "source": {"type": "base64", "media_type": "x", "data": "A"}},
                {
                    "type": "document",
                    "source": {"type": "content", "content": [{"type": "text", "text": "x"}]},
                    "citations": {"enabled": True},
                },
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "Hm", "signature": "s"},
                {"type": "redacted_thinking", "data": "d"},
                {"type": "text", "text": "x", "citations": [{"type": "char_location"}]},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "t", "content": [], "is_error": True},
                {"type": "text", "text": "And?"},
            ],
        },
        {"role": "system", "content": "Now be brief."},
    ],
    "tools": [{"type": "custom", "name": "f", "input_schema": {"type": "object"}}],
    "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
    "thinking": {"type": "enabled", "budget_tokens": 2048},
    "metadata": {"user_id": "u"},
}
EXAMPLES = [DENSE, DENSE, *(row.example for row in ROWS)]


@given(spoilt(EXAMPLES), st.sampled_from(["2023-06-01", "2026-10-21"]))
def test_a_spoilt_request_is_read_or_refused(body: Any, version: str) -> None:
    try:
        request = ANTHROPIC_CODEC.decode_request(json.dumps(body).encode())
        written(request, version)
    except WireError:
        return  # any other exception is a failure
