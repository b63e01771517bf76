"""Responses requests: every item and option is read, and what is wrong is named with its place."""

import contextlib
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.wire import WireError
from providers.wire.translation.codec import FOREIGN_MARK
from providers.wire.translation.conversation import (
    Audio,
    CacheControl,
    Conversation,
    Document,
    Image,
    Message,
    Opaque,
    OutputFormat,
    Part,
    Reasoning,
    Refusal,
    Source,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from providers.wire.translation.responses_codec import RESPONSES_CODEC

PNG = "data:image/png;base64,iVBORw0KGgo="


def decoded(items: object = "Hello", **members: object) -> Conversation:
    body = {"model": "m-1", "input": items, **members}
    return RESPONSES_CODEC.decode_request(json.dumps(body).encode())


def refused(items: object = "Hello", **members: object) -> WireError:
    with pytest.raises(WireError) as caught:
        decoded(items, **members)
    return caught.value


def message(item: Mapping[str, object]) -> Message:
    (found,) = decoded([item]).messages
    return found


def part(given_: Mapping[str, object]) -> Part:
    (found,) = message({"role": "user", "content": [given_]}).parts
    return found


def test_a_string_is_what_the_user_says_and_instructions_come_first() -> None:
    found = decoded("Hello", instructions="Be brief.", stream=True, max_output_tokens=9)
    assert found.messages == (
        Message("system", (Text("Be brief."),), plain=True),
        Message("user", (Text("Hello"),), plain=True),
    )
    assert (found.dialect, found.model, found.stream, found.max_tokens) == (
        "responses",
        "m-1",
        True,
        9,
    )
    assert found.extras == {}


@pytest.mark.parametrize("role", ["user", "assistant", "system", "developer"])
@pytest.mark.parametrize("typed", [True, False])
def test_messages_of_every_role_with_a_string_or_parts(role: str, typed: bool) -> None:
    kind: dict[str, object] = {"type": "message"} if typed else {}
    found = message({**kind, "role": role, "content": "Hi"})
    assert (found.role, found.parts) == (role, (Text("Hi"),))
    word = "output_text" if role == "assistant" else "input_text"
    whole = {
        **kind,
        "id": "msg_1",
        "status": "completed",
        "role": role,
        "content": [{"type": word, "text": "Hi"}, {"type": word, "text": "there"}],
    }
    found = message(whole)
    assert (found.role, found.parts) == (role, (Text("Hi"), Text("there")))
    assert found.extras == {}


@pytest.mark.parametrize(
    ("given_", "expected"),
    [
        (
            {
                "type": "input_text",
                "text": "x",
                "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"},
            },
            Text("x", CacheControl("30m")),
        ),
        (
            {"type": "output_text", "text": "x", "annotations": [], "logprobs": []},
            Text("x"),
        ),
        ({"type": "refusal", "refusal": "No."}, Refusal("No.")),
        (
            {"type": "input_image", "image_url": PNG, "detail": "low"},
            Image(Source(data="iVBORw0KGgo=", media_type="image/png"), "low"),
        ),
        (
            {"type": "input_image", "image_url": "https://a.b/c"},
            Image(Source(url="https://a.b/c")),
        ),
        ({"type": "input_image", "file_id": "f"}, Image(Source(file_id="f"))),
        (
            {
                "type": "input_file",
                "filename": "a.pdf",
                "file_data": "data:application/pdf;base64,AA==",
            },
            Document(Source(data="AA==", media_type="application/pdf"), "a.pdf"),
        ),
        ({"type": "input_file", "file_data": "AA=="}, Document(Source(data="AA=="))),
        (
            {"type": "input_file", "file_url": "https://a.b/c"},
            Document(Source(url="https://a.b/c")),
        ),
        ({"type": "input_file", "file_id": "f"}, Document(Source(file_id="f"))),
        (
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
            Audio("AA==", "wav"),
        ),
        (
            {"type": "computer_screenshot", "zoom": 2},
            Opaque("responses", "computer_screenshot", {"type": "computer_screenshot", "zoom": 2}),
        ),
    ],
)
def test_every_part(given_: dict[str, object], expected: Part) -> None:
    assert part(given_) == expected


def test_calls_and_what_they_returned() -> None:
    items = [
        {
            "type": "function_call",
            "id": "fc_1",
            "call_id": "c1",
            "name": "f",
            "arguments": '{"a": 1}',
        },
        {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "ls"},
        {"type": "function_call_output", "call_id": "c1", "output": "4"},
        {
            "type": "custom_tool_call_output",
            "call_id": "c2",
            "output": [{"type": "input_image", "image_url": PNG}],
        },
    ]
    picture = Image(Source(data="iVBORw0KGgo=", media_type="image/png"))
    assert decoded(items).messages == (
        Message("assistant", (ToolCall("c1", "f", '{"a": 1}'),)),
        Message("assistant", (ToolCall("c2", "g", "ls", custom=True),)),
        Message("user", (ToolResult("c1", (Text("4"),)),), plain=True),
        Message("user", (ToolResult("c2", (picture,), custom=True),)),
    )


def test_thoughts_are_openais_own_unless_their_mark_says_whose() -> None:
    def thought(proof: str | None, **members: object) -> Part:
        item = {"type": "reasoning", "id": "rs_1", "summary": [], **members}
        if proof is not None:
            item["encrypted_content"] = proof
        (found,) = message(item).parts
        return found

    summary = [{"type": "summary_text", "text": "Hm."}]
    own = Thinking("Hm.", redacted="gAA", made_by="responses", id="rs_1", summary=True)
    assert thought("gAA", summary=summary) == own
    signed = thought(f"{FOREIGN_MARK}anthropic.signature.a.b", summary=summary)
    assert signed == Thinking("Hm.", "a.b", made_by="anthropic", id="rs_1")
    sealed = thought(f"{FOREIGN_MARK}anthropic.redacted.x")
    assert sealed == Thinking(redacted="x", made_by="anthropic", id="rs_1")
    assert thought(f"{FOREIGN_MARK}thoughts", summary=summary) == Thinking("Hm.", id="rs_1")
    inner = [{"type": "reasoning_text", "text": "Open."}]
    assert thought(None, content=inner) == Thinking("Open.", made_by="responses", id="rs_1")
    assert thought(None, content="Open.") == Thinking("Open.", made_by="responses", id="rs_1")


def test_items_of_openais_own_tools_are_kept_whole() -> None:
    item = {"type": "web_search_call", "id": "ws_1", "action": {"query": "x"}}
    assert message(item).parts == (Opaque("responses", "web_search_call", item),)
    inner = {"type": "input_text", "text": "x", "prompt_cache_breakpoint": {"ttl": "30m"}}
    known = {"type": "compaction_trigger", "id": "x", "content": [inner]}
    assert message(known).parts == (Opaque("responses", "compaction_trigger", known),)


def test_what_an_item_has_besides_is_kept_by_its_path() -> None:
    said = {
        "role": "assistant",
        "phase": "commentary",
        "mood": 1,
        "content": [{"type": "output_text", "text": "x", "glow": True}],
    }
    assert message(said).extras == {"phase": "commentary", "mood": 1, "content[0].glow": True}
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    assert message({**call, "caller": {"type": "direct"}, "async": None}).extras == {}
    assert message({**call, "namespace": "n"}).extras == {"namespace": "n"}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"temperature": 0.5, "top_p": 0.1}, {"temperature": 0.5, "top_p": 0.1}),
        ({"parallel_tool_calls": False}, {"parallel_tool_calls": False}),
        ({"user": "u"}, {"user": "u"}),
        ({"safety_identifier": "s", "user": "u"}, {"user": "s", "extras": {"user": "u"}}),
        ({"service_tier": "flex"}, {"service_tier": "flex"}),
        ({"reasoning": {"effort": "high"}}, {"reasoning": Reasoning(effort="high")}),
        (
            {"reasoning": {"effort": "low", "generate_summary": "concise"}},
            {"reasoning": Reasoning(effort="low", summary="concise")},
        ),
        (
            {"reasoning": {"mode": "pro", "context": "all_turns"}},
            {"extras": {"reasoning.mode": "pro", "reasoning.context": "all_turns"}},
        ),
        ({"reasoning": {"mode": "standard", "context": "auto"}}, {"reasoning": None}),
        ({"text": {"format": {"type": "text"}}}, {"output": OutputFormat("text")}),
        ({"text": {"format": {"type": "json_object"}}}, {"output": OutputFormat("json_object")}),
        (
            {
                "text": {
                    "format": {
                        "type": "json_schema",
                        "name": "n",
                        "description": "d",
                        "schema": {"type": "object"},
                        "strict": True,
                    },
                    "verbosity": "low",
                }
            },
            {
                "output": OutputFormat("json_schema", {"type": "object"}, "n", "d", strict=True),
                "extras": {"text.verbosity": "low"},
            },
        ),
        ({"text": {"format": {"type": "xml"}}}, {"extras": {"text.format": {"type": "xml"}}}),
        ({"include": ["reasoning.encrypted_content"]}, {"extras": {}}),
        (
            {"include": ["reasoning.encrypted_content", "file_search_call.results"]},
            {"extras": {"include": ["file_search_call.results"]}},
        ),
        (
            {"store": False, "truncation": "auto"},
            {"extras": {"store": False, "truncation": "auto"}},
        ),
        ({"top_k": 5, "seed": None}, {"extras": {"top_k": 5}}),
        ({"background": False, "prompt": None, "conversation": None}, {"extras": {}}),
        (
            {"stream_options": {"include_obfuscation": False}},
            {"extras": {"stream_options": {"include_obfuscation": False}}},
        ),
        ({"tool_choice": "required"}, {"tool_choice": ToolChoice("required")}),
        (
            {"tool_choice": {"type": "function", "name": "f"}},
            {"tool_choice": ToolChoice("tool", "f")},
        ),
        (
            {"tool_choice": {"type": "custom", "name": "f"}},
            {"tool_choice": ToolChoice("tool", "f", custom=True)},
        ),
        (
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "mode": "auto",
                    "tools": [{"type": "function", "name": "f"}, {"type": "mcp"}],
                }
            },
            {
                "tool_choice": ToolChoice("auto", allowed=("f",)),
                "extras": {"tool_choice.tools[1]": {"type": "mcp"}},
            },
        ),
        (
            {"tool_choice": {"type": "web_search"}},
            {"tool_choice": None, "extras": {"tool_choice": {"type": "web_search"}}},
        ),
    ],
)
def test_every_option(members: dict[str, object], expected: dict[str, object]) -> None:
    found = decoded(**members)
    assert {name: getattr(found, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        (
            {
                "type": "function",
                "name": "f",
                "description": "d",
                "parameters": {"type": "object"},
                "strict": True,
            },
            Tool("f", "d", {"type": "object"}, strict=True),
        ),
        (
            {"type": "function", "name": "f", "defer_loading": False, "strict": None},
            Tool("f"),
        ),
        (
            {"type": "function", "name": "f", "output_schema": {}},
            Tool("f", extras={"output_schema": {}}),
        ),
        ({"type": "custom", "name": "f"}, Tool("f", custom={"type": "text"})),
        (
            {
                "type": "custom",
                "name": "f",
                "format": {"type": "grammar", "syntax": "lark", "definition": "x"},
            },
            Tool("f", custom={"type": "grammar", "syntax": "lark", "definition": "x"}),
        ),
        (
            {"type": "web_search"},
            Tool("web_search", opaque={"type": "web_search"}, opaque_of="responses"),
        ),
    ],
)
def test_every_tool(tool: dict[str, object], expected: Tool) -> None:
    assert decoded(tools=[tool]).tools == (expected,)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"conversation": {"id": "conv_1"}}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"background": True}, "background"),
        ({"items": []}, "input"),
        ({"items": ""}, "input"),
        ({"items": None}, "input"),
        ({"items": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
        ({"items": [{"type": "compaction", "encrypted_content": "x"}]}, "input[0]"),
        ({"items": [{"role": "user"}]}, "input[0].content"),
        ({"items": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        ({"items": [{"type": "message", "content": "x"}]}, "input[0].role"),
        ({"items": [{}]}, "input[0].type"),
        ({"items": [{"role": "user", "content": 5}]}, "input[0].content"),
        ({"items": [5]}, "input[0]"),
        (
            {"items": [{"role": "user", "content": [{"type": "input_text"}]}]},
            "input[0].content[0].text",
        ),
        (
            {"items": [{"role": "user", "content": [{"type": "input_image"}]}]},
            "input[0].content[0].image_url",
        ),
        (
            {"items": [{"role": "user", "content": [{"type": "input_file"}]}]},
            "input[0].content[0].file_data",
        ),
        ({"items": [{"type": "function_call", "name": "f"}]}, "input[0].call_id"),
        ({"items": [{"type": "function_call_output", "call_id": "c"}]}, "input[0].output"),
        (
            {
                "items": [
                    {
                        "type": "function_call_output",
                        "call_id": "c",
                        "output": [{"type": "input_text"}],
                    }
                ]
            },
            "input[0].output[0].text",
        ),
        ({"tools": [{"name": "f"}]}, "tools[0].type"),
        ({"tools": [{"type": "function"}]}, "tools[0].name"),
        ({"tools": [{"type": "function", "name": "f", "parameters": 5}]}, "tools[0].parameters"),
        ({"tools": [{"type": "function", "name": "f", "strict": 5}]}, "tools[0].strict"),
        ({"tools": [{"type": "custom", "name": "f", "format": 5}]}, "tools[0].format"),
        ({"tool_choice": "any"}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice.name"),
        ({"tool_choice": {"name": "f"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "allowed_tools", "mode": "none"}}, "tool_choice.mode"),
        ({"tool_choice": {"type": "allowed_tools", "mode": "auto"}}, "tool_choice.tools"),
        ({"text": {"format": {"type": "json_schema"}}}, "text.format.schema"),
        (
            {"text": {"format": {"type": "json_schema", "schema": {}, "strict": 1}}},
            "text.format.strict",
        ),
        ({"reasoning": {"effort": "much"}}, "reasoning.effort"),
        ({"reasoning": {"summary": "much"}}, "reasoning.summary"),
        ({"temperature": "hot"}, "temperature"),
        ({"max_output_tokens": 1.5}, "max_output_tokens"),
        ({"instructions": 5}, "instructions"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(members: dict[str, Any], param: str) -> None:
    items = members.pop("items", "Hello")
    assert refused(items, **members).param == param


def test_unknown_members_do_not_hide_what_is_wrong() -> None:
    items = [{"role": "user", "content": [{"type": "input_text", "text": 5, "glow": 1}]}]
    assert refused(items, top_k=5).param == "input[0].content[0].text"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"5", b"\xff", b'{"input": "x"}'])
def test_what_is_no_request_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        RESPONSES_CODEC.decode_request(body)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 3) | st.sampled_from(["", "x", "message", "auto"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["type", "role", "content", "text", "name", "call_id", "output", "id"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@given(st.sampled_from([row.field for row in RESPONSES_CODEC.rows()]), st.data())
def test_whatever_stands_in_a_fields_place_is_read_or_refused(
    field: str, data: st.DataObject
) -> None:
    row = next(row for row in RESPONSES_CODEC.rows() if row.field == field)
    body = dict(row.example)
    name = data.draw(st.sampled_from(sorted(body)))
    body[name] = data.draw(values)
    try:
        found = RESPONSES_CODEC.decode_request(json.dumps(body).encode())
    except WireError:
        return
    assert found.messages


wholes = st.sampled_from([json.dumps(row.example).encode() for row in RESPONSES_CODEC.rows()])


@given(wholes, st.binary(max_size=3), st.data())
def test_a_request_with_anything_in_its_middle_is_read_or_refused(
    body: bytes, junk: bytes, data: st.DataObject
) -> None:
    at = data.draw(st.integers(0, len(body)))
    until = data.draw(st.integers(at, min(at + 5, len(body))))
    with contextlib.suppress(WireError):
        found = RESPONSES_CODEC.decode_request(body[:at] + junk + body[until:])
        assert found.messages


@given(st.binary())
def test_bytes_of_any_kind_are_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        RESPONSES_CODEC.decode_request(body)


def test_a_system_message_is_told_apart_from_instructions() -> None:
    items = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}]
    first, _ = decoded(items).messages
    assert first == Message("system", (Text("Be brief."),))
    first, second, _ = decoded(items, instructions="Be kind.").messages
    assert first == Message("system", (Text("Be kind."),), plain=True)
    assert second == Message("system", (Text("Be brief."),))


@pytest.mark.parametrize("item", [{"id": "msg_1"}, {"type": None, "id": "msg_1"}])
def test_an_item_that_is_nothing_but_an_id_lacks_its_type(item: dict[str, object]) -> None:
    assert refused([{"role": "user", "content": "Hi"}, item]).param == "input[1].type"
