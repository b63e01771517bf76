"""What becomes of a chat completion's request on its way into the inner representation and out."""

import json
from typing import Any

import pytest

from providers.wire import WireError
from providers.wire.translation.chat_codec import CHAT_CODEC
from providers.wire.translation.codec import Target
from providers.wire.translation.conversation import (
    Audio,
    CacheControl,
    Conversation,
    Document,
    Image,
    Message,
    Opaque,
    OutputFormat,
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

OFFICIAL = Target(model="gpt-6-sol", official=True)
OTHER = Target(model="qwen-4")
HELLO = {"role": "user", "content": "Hello"}
WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {"type": "object"}}}


def decoded(*messages: object, **members: object) -> Conversation:
    body = {"model": "m", "messages": list(messages or (HELLO,)), **members}
    return CHAT_CODEC.decode_request(json.dumps(body).encode())


def encoded(request: Conversation, target: Target = OFFICIAL) -> tuple[dict[str, Any], list[str]]:
    found = CHAT_CODEC.encode_request(request, target)
    return json.loads(found.body), list(found.dropped)


def foreign(*messages: Message, **members: Any) -> Conversation:
    members = {"dialect": "anthropic", "model": "claude", **members}
    return Conversation(messages=messages, **members)


def said(*parts: Any, role: Any = "user", plain: bool = False) -> Message:
    return Message(role, parts, plain=plain)


def refused(*messages: object, **members: object) -> WireError:
    with pytest.raises(WireError) as raised:
        decoded(*messages, **members)
    return raised.value


# --- decoding ---


def test_every_role_is_read_as_who_speaks() -> None:
    request = decoded(
        {"role": "system", "content": "S"},
        {"role": "developer", "content": [{"type": "text", "text": "D"}], "name": "dev"},
        {"role": "user", "content": "U", "name": "Ann"},
        {"role": "assistant", "content": "A"},
    )
    assert request.messages == (
        Message("system", (Text("S"),), plain=True),
        Message("developer", (Text("D"),), name="dev"),
        Message("user", (Text("U"),), name="Ann", plain=True),
        Message("assistant", (Text("A"),), plain=True),
    )


def test_calls_and_results_of_tools_are_parts() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
    custom = {"id": "c2", "type": "custom", "custom": {"name": "sh", "input": "ls"}}
    request = decoded(
        HELLO,
        {"role": "assistant", "content": None, "tool_calls": [call, custom]},
        {"role": "tool", "tool_call_id": "c1", "content": "one"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "two"}]},
    )
    assert request.messages[1:] == (
        Message(
            "assistant", (ToolCall("c1", "f", '{"a": 1}'), ToolCall("c2", "sh", "ls", custom=True))
        ),
        Message("user", (ToolResult("c1", (Text("one"),)),), plain=True),
        Message("user", (ToolResult("c2", (Text("two"),)),)),
    )


def test_a_call_of_a_function_from_before_there_were_tools_shares_an_id_with_its_result() -> None:
    request = decoded(
        HELLO,
        {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
        {"role": "function", "name": "f", "content": "one"},
        functions=[{"name": "f", "parameters": {"type": "object"}}],
        function_call={"name": "f"},
    )
    call = request.messages[1].parts[0]
    result = request.messages[2].parts[0]
    assert isinstance(call, ToolCall)
    assert isinstance(result, ToolResult)
    assert call.id == result.call_id != ""
    assert request.tools == (Tool("f", schema={"type": "object"}),)
    assert request.tool_choice == ToolChoice("tool", "f")
    assert request.old_calls
    assert request.parallel_tool_calls is False


def test_every_kind_of_part_is_read() -> None:
    mark = {"mode": "explicit", "ttl": "12h"}
    png, url = "data:image/png;base64,AAAA", "https://example.com/a.png"
    request = decoded(
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "T", "prompt_cache_breakpoint": mark},
                {"type": "image_url", "image_url": {"url": png, "detail": "low"}},
                {"type": "image_url", "image_url": {"url": url}},
                {"type": "input_audio", "input_audio": {"data": "BBBB", "format": "wav"}},
                {
                    "type": "file",
                    "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,CCCC"},
                },
                {"type": "file", "file": {"file_id": "file-1"}},
                {"type": "video_url", "video_url": {"url": "https://example.com/v"}},
            ],
        },
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
    )
    assert request.messages[0].parts == (
        Text("T", CacheControl("12h")),
        Image(Source(data="AAAA", media_type="image/png"), "low"),
        Image(Source(url=url)),
        Audio("BBBB", "wav"),
        Document(Source(data="CCCC", media_type="application/pdf"), "a.pdf"),
        Document(Source(file_id="file-1")),
        Opaque(
            "openai",
            "video_url",
            {"type": "video_url", "video_url": {"url": "https://example.com/v"}},
        ),
    )
    assert request.messages[1].parts == (Refusal("No."),)


def test_thoughts_that_are_sent_back_keep_their_signatures() -> None:
    details = [
        {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0},
        {"type": "reasoning.text", "text": "Hm.", "signature": "c2ln", "index": 0},
        {
            "type": "reasoning.encrypted",
            "data": "xyz",
            "format": "anthropic-claude-v1",
            "index": 1,
        },
    ]
    request = decoded(
        HELLO,
        {
            "role": "assistant",
            "content": "A",
            "reasoning_content": "Hm.",
            "reasoning_details": details,
        },
        {"role": "assistant", "content": "B", "reasoning": "Plain."},
    )
    assert request.messages[1].parts == (
        Thinking("Hm.", signature="c2ln", made_by="anthropic"),
        Thinking(redacted="xyz", made_by="anthropic"),
        Text("A"),
    )
    assert request.messages[2].parts == (Thinking("Plain."), Text("B"))


def test_a_signature_of_an_unknown_maker_is_forgotten() -> None:
    details = [{"type": "reasoning.text", "text": "Hm.", "signature": "s", "format": "google-v1"}]
    request = decoded(HELLO, {"role": "assistant", "content": "A", "reasoning_details": details})
    assert request.messages[1].parts[0] == Thinking("Hm.")


def test_settings_are_read() -> None:
    request = decoded(
        max_tokens=10,
        max_completion_tokens=20,
        temperature=1,
        top_p=0.5,
        stop="END",
        stream=True,
        stream_options={"include_usage": True, "include_obfuscation": False},
        reasoning_effort="xhigh",
        user="u",
        safety_identifier="s",
        service_tier="flex",
        parallel_tool_calls=False,
        seed=7,
        logit_bias=None,
    )
    assert request == Conversation(
        dialect="openai",
        model="m",
        messages=request.messages,
        max_tokens=20,
        temperature=1.0,
        top_p=0.5,
        stop=("END",),
        stream=True,
        include_usage=True,
        reasoning=Reasoning("xhigh"),
        user="s",
        service_tier="flex",
        parallel_tool_calls=False,
        extras={"seed": 7, "user": "u", "stream_options": {"include_obfuscation": False}},
    )


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("none", ToolChoice("none")),
        ("auto", ToolChoice("auto")),
        ("required", ToolChoice("required")),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice("tool", "f")),
        ({"type": "custom", "custom": {"name": "c"}}, ToolChoice("tool", "c", custom=True)),
        (
            {
                "type": "allowed_tools",
                "allowed_tools": {
                    "mode": "required",
                    "tools": [
                        {"type": "function", "function": {"name": "f"}},
                        {"type": "custom", "custom": {"name": "c"}},
                    ],
                },
            },
            ToolChoice("required", allowed=("f", "c")),
        ),
    ],
)
def test_every_form_of_tool_choice_is_read(choice: object, expected: ToolChoice) -> None:
    custom = {"type": "custom", "custom": {"name": "c"}}
    function = {"type": "function", "function": {"name": "f"}}
    request = decoded(tools=[function, custom], tool_choice=choice)
    assert request.tool_choice == expected
    assert encoded(request)[0]["tool_choice"] == choice


def test_every_form_of_answer_is_read() -> None:
    schema = {"type": "object"}
    full = {"name": "n", "description": "d", "schema": schema, "strict": True}
    assert decoded(response_format={"type": "text"}).output == OutputFormat("text")
    assert decoded(response_format={"type": "json_object"}).output == OutputFormat("json_object")
    given = decoded(response_format={"type": "json_schema", "json_schema": full})
    assert given.output == OutputFormat("json_schema", schema, "n", "d", strict=True)


def test_custom_tools_are_read_with_the_grammar_in_one_form() -> None:
    grammar = {"type": "grammar", "grammar": {"syntax": "regex", "definition": "a+"}}
    tool = {"type": "custom", "custom": {"name": "c", "description": "d", "format": grammar}}
    request = decoded(tools=[tool])
    flat = {"type": "grammar", "syntax": "regex", "definition": "a+"}
    assert request.tools == (Tool("c", "d", custom=flat),)
    assert encoded(request)[0]["tools"] == [tool]


def test_what_no_reference_knows_is_kept_by_its_path() -> None:
    request = decoded(
        {"role": "user", "content": [{"type": "text", "text": "T", "weight": 2}], "mood": "glad"},
        {
            "role": "assistant",
            "tool_calls": [
                {
                    "id": "c",
                    "type": "function",
                    "function": {"name": "f", "arguments": "{}"},
                    "extra_content": {"a": 1},
                }
            ],
        },
        top_k=5,
        nothing=None,
        tools=[{"type": "function", "function": {"name": "f", "cost": 3}, "defer": True}],
    )
    assert request.extras == {"top_k": 5}
    assert request.messages[0].extras == {"content[0].weight": 2, "mood": "glad"}
    assert request.messages[1].extras == {"tool_calls[0].extra_content": {"a": 1}}
    assert request.tools[0].extras == {"function.cost": 3, "defer": True}
    assert request.messages[0].parts == (Text("T"),)


def test_a_wish_to_cache_in_the_words_of_other_servers_is_read() -> None:
    part = {"type": "text", "text": "T", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
    request = decoded({"role": "user", "content": [part]})
    assert request.messages[0].parts == (Text("T", CacheControl("1h")),)


def test_a_tool_of_an_unknown_type_is_kept_whole() -> None:
    tool = {"type": "web_search", "filters": {"a": 1}}
    request = decoded(tools=[tool])
    assert request.tools == (Tool("web_search", opaque=tool, opaque_of="openai"),)
    assert encoded(request)[0]["tools"] == [tool]


@pytest.mark.parametrize(
    ("messages", "members", "param"),
    [
        ([{"role": "robot", "content": "x"}], {}, "messages[0].role"),
        ([{"content": "x"}], {}, "messages[0].role"),
        ([HELLO, {"role": "user"}], {}, "messages[1].content"),
        ([HELLO, {"role": "user", "content": None}], {}, "messages[1].content"),
        ([HELLO, {"role": "user", "content": 5}], {}, "messages[1].content"),
        ([{"role": "user", "content": [{"type": "text"}]}], {}, "messages[0].content[0].text"),
        ([{"role": "user", "content": [{"text": "x"}]}], {}, "messages[0].content[0].type"),
        ([HELLO, {"role": "tool", "content": "x"}], {}, "messages[1].tool_call_id"),
        ([HELLO], {"tools": [{"type": "function"}]}, "tools[0].function"),
        ([HELLO], {"tool_choice": "sometimes"}, "tool_choice"),
        ([HELLO], {"tool_choice": {"type": "function"}}, "tool_choice.function.name"),
        ([HELLO], {"reasoning_effort": "huge"}, "reasoning_effort"),
        ([HELLO], {"temperature": "hot"}, "temperature"),
        ([HELLO], {"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ([HELLO], {"stop": [1]}, "stop[0]"),
    ],
)
def test_what_the_api_would_refuse_is_refused_by_its_path(
    messages: list[object], members: dict[str, object], param: str
) -> None:
    error = refused(*messages, **members)
    assert error.param == param
    assert error.message.startswith(param + ": ")


def test_a_request_without_messages_is_refused() -> None:
    with pytest.raises(WireError) as raised:
        CHAT_CODEC.decode_request(b'{"model": "m", "messages": []}')
    assert raised.value.param == "messages"


# --- encoding ---


def test_a_limit_goes_by_the_name_that_the_provider_knows() -> None:
    request = foreign(said(Text("x"), plain=True), max_tokens=9)
    assert encoded(request)[0]["max_completion_tokens"] == 9
    assert encoded(request, OTHER)[0]["max_tokens"] == 9


def test_a_limit_of_nothing_becomes_one_and_is_named() -> None:
    body, dropped = encoded(foreign(said(Text("x")), max_tokens=0))
    assert body["max_completion_tokens"] == 1
    assert dropped == ["max_tokens"]


def test_only_the_maker_of_the_api_is_sent_developer_messages() -> None:
    request = decoded({"role": "developer", "content": "D"}, HELLO)
    assert encoded(request)[0]["messages"][0]["role"] == "developer"
    assert encoded(request, OTHER)[0]["messages"][0]["role"] == "system"


def test_a_single_text_of_another_dialect_is_a_string() -> None:
    body, _ = encoded(foreign(said(Text("x")), said(Text("y"), role="assistant"), said(Text("z"))))
    assert [message["content"] for message in body["messages"]] == ["x", "y", "z"]


def test_results_of_tools_come_right_after_their_calls_and_before_the_rest() -> None:
    body, dropped = encoded(
        foreign(
            said(Text("go")),
            said(
                Text("look"), ToolCall("toolu_1", "f", '{"a":1}'), ToolCall("t2", "g"),
                role="assistant",
            ),
            said(
                ToolResult("toolu_1", (Text("one"),)),
                ToolResult("t2", (Text("bad"),), is_error=True),
                Text("and now?"),
            ),
        )
    )  # fmt: skip
    assert not dropped
    assert body["messages"] == [
        {"role": "user", "content": "go"},
        {
            "role": "assistant",
            "content": "look",
            "tool_calls": [
                {
                    "id": "toolu_1",
                    "type": "function",
                    "function": {"name": "f", "arguments": '{"a":1}'},
                },
                {"id": "t2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
            ],
        },
        {"role": "tool", "tool_call_id": "toolu_1", "content": "one"},
        {"role": "tool", "tool_call_id": "t2", "content": "Error: bad"},
        {"role": "user", "content": "and now?"},
    ]


def test_calls_said_in_messages_of_their_own_are_one_message() -> None:
    body, _ = encoded(
        foreign(
            said(Text("go"), plain=True),
            said(Thinking("hm", made_by="responses"), role="assistant"),
            said(Text("look"), role="assistant"),
            said(ToolCall("a", "f"), role="assistant"),
            said(ToolCall("b", "g"), role="assistant"),
            said(ToolResult("a", (Text("1"),))),
            said(ToolResult("b", (Text("2"),))),
            dialect="responses",
        )
    )
    assert [message["role"] for message in body["messages"]] == [
        "user",
        "assistant",
        "tool",
        "tool",
    ]
    assert body["messages"][1]["content"] == "look"
    assert [call["id"] for call in body["messages"][1]["tool_calls"]] == ["a", "b"]


def test_pictures_that_tools_returned_follow_the_group_of_results() -> None:
    picture = Image(Source(data="AAAA", media_type="image/png"))
    body, dropped = encoded(
        foreign(
            said(Text("go")),
            said(ToolCall("a", "f"), ToolCall("b", "f"), role="assistant"),
            said(
                ToolResult("a", (Text("seen"), picture)),
                ToolResult("b", (picture,)),
                Text("which?"),
            ),
        )
    )
    assert not dropped
    assert [message["role"] for message in body["messages"]] == [
        "user",
        "assistant",
        "tool",
        "tool",
        "user",
    ]
    assert body["messages"][2]["content"] == "seen"
    assert body["messages"][3]["content"]
    shown = body["messages"][4]["content"]
    assert [part["type"] for part in shown] == ["text", "image_url", "text", "image_url", "text"]
    assert "a" in shown[0]["text"]
    assert shown[1]["image_url"]["url"] == "data:image/png;base64,AAAA"
    assert shown[-1]["text"] == "which?"


def test_pictures_after_the_last_result_are_not_forgotten() -> None:
    picture = Image(Source(url="https://example.com/a.png"))
    body, _ = encoded(
        foreign(
            said(Text("go")),
            said(ToolCall("a", "f"), role="assistant"),
            said(ToolResult("a", (picture,))),
        )
    )
    assert body["messages"][-1]["role"] == "user"
    assert body["messages"][-1]["content"][1]["image_url"]["url"] == "https://example.com/a.png"


def test_an_id_that_is_too_long_is_shortened_alike_for_call_and_result() -> None:
    long = "toolu_" + "x" * 60
    body, _ = encoded(
        foreign(
            said(Text("go")),
            said(ToolCall(long, "f"), role="assistant"),
            said(ToolResult(long, (Text("1"),))),
        )
    )
    short = body["messages"][1]["tool_calls"][0]["id"]
    assert len(short) <= 40
    assert body["messages"][2]["tool_call_id"] == short


def test_a_tool_whose_name_the_api_refuses_is_refused() -> None:
    with pytest.raises(WireError) as raised:
        encoded(foreign(said(Text("x")), tools=(Tool("a" * 65),)))
    assert raised.value.param == "tools[0].name"
    body, _ = encoded(foreign(said(Text("x")), tools=(Tool("a" * 65),)), OTHER)
    assert body["tools"][0]["function"]["name"] == "a" * 65


def test_only_allowed_tools_are_sent_to_who_does_not_know_the_choice() -> None:
    request = foreign(
        said(Text("x")),
        tools=(Tool("f"), Tool("g")),
        tool_choice=ToolChoice("required", allowed=("g",)),
    )
    body, dropped = encoded(request, OTHER)
    assert [tool["function"]["name"] for tool in body["tools"]] == ["g"]
    assert body["tool_choice"] == "required"
    assert not dropped


def test_without_tools_no_choice_among_them_is_sent() -> None:
    request = foreign(
        said(Text("x")), tool_choice=ToolChoice("required"), parallel_tool_calls=False
    )
    body, dropped = encoded(request)
    assert body.keys() == {"model", "messages"}
    assert dropped == ["tool_choice"]


def test_more_than_four_stop_sequences_are_named() -> None:
    body, dropped = encoded(foreign(said(Text("x")), stop=("a", "b", "c", "d", "e")))
    assert body["stop"] == ["a", "b", "c", "d"]
    assert dropped == ["stop_sequences[4]"]


def test_thoughts_of_earlier_answers_are_left_out_and_named_once() -> None:
    thought = Thinking("hm", signature="s", made_by="anthropic")
    body, dropped = encoded(
        foreign(
            said(Text("a")),
            said(thought, Text("b"), role="assistant"),
            said(Text("c")),
            said(thought, Text("d"), role="assistant"),
            said(Text("e")),
        )
    )
    assert dropped == ["messages[].content[].thinking"]
    assert "hm" not in json.dumps(body)


def test_thoughts_that_nobody_could_read_again_are_not_worth_naming() -> None:
    _, dropped = encoded(
        foreign(said(Text("a")), said(Thinking("hm"), Text("b"), role="assistant"), said(Text("c")))
    )
    assert dropped == []


@pytest.mark.parametrize(
    ("reasoning", "effort"),
    [
        (Reasoning(mode="enabled", budget=1024), "low"),
        (Reasoning(mode="enabled", budget=8000), "medium"),
        (Reasoning(mode="enabled", budget=32000), "high"),
        (Reasoning("max", mode="adaptive"), "max"),
        (Reasoning(mode="disabled"), None),
        (Reasoning(mode="adaptive"), None),
    ],
)
def test_a_budget_of_thought_is_an_effort(reasoning: Reasoning, effort: str | None) -> None:
    body, dropped = encoded(foreign(said(Text("x")), reasoning=reasoning))
    assert body.get("reasoning_effort") == effort
    assert not dropped


def test_a_stream_is_always_asked_for_with_its_usage() -> None:
    for target in (OFFICIAL, OTHER):
        body, _ = encoded(decoded(stream=True), target)
        assert body["stream"] is True
        assert body["stream_options"] == {"include_usage": True}


def test_members_that_two_of_openais_apis_share_are_carried_and_others_named() -> None:
    extras = {
        "metadata": {"a": "b"},
        "prompt_cache_key": "k",
        "top_logprobs": 2,
        "text.verbosity": "low",
        "truncation": "auto",
        "background": False,
        "max_tool_calls": 3,
    }
    body, dropped = encoded(foreign(said(Text("x")), dialect="responses", extras=extras))
    assert body["metadata"] == {"a": "b"}
    assert body["prompt_cache_key"] == "k"
    assert (body["logprobs"], body["top_logprobs"]) == (True, 2)
    assert body["verbosity"] == "low"
    assert sorted(dropped) == ["max_tool_calls", "truncation"]


def test_members_of_a_foreign_api_are_named_and_never_sent() -> None:
    body, dropped = encoded(
        foreign(said(Text("x")), top_k=3, extras={"container": "c", "metadata": {"a": "b"}})
    )
    assert body.keys() == {"model", "messages"}
    assert sorted(dropped) == ["container", "metadata", "top_k"]


def test_a_schema_that_keeps_the_rules_is_followed_strictly() -> None:
    kept = {
        "type": "object",
        "properties": {"a": {"type": "string"}},
        "required": ["a"],
        "additionalProperties": False,
    }
    body, dropped = encoded(
        foreign(said(Text("x")), output=OutputFormat("json_schema", schema=kept))
    )
    assert body["response_format"]["json_schema"]["strict"] is True
    assert body["response_format"]["json_schema"]["name"]
    assert not dropped
    loose = {**kept, "required": []}
    body, dropped = encoded(
        foreign(said(Text("x")), output=OutputFormat("json_schema", schema=loose))
    )
    assert "strict" not in body["response_format"]["json_schema"]
    assert dropped == ["output_config.format.schema"]


def test_a_tool_that_breaks_the_rules_of_strict_is_sent_without() -> None:
    kept = {"type": "object", "properties": {}, "additionalProperties": False}
    tools = (Tool("f", schema=kept, strict=True), Tool("g", schema={"type": "object"}, strict=True))
    body, dropped = encoded(foreign(said(Text("x")), tools=tools))
    assert [tool["function"].get("strict") for tool in body["tools"]] == [True, None]
    assert dropped == ["tools[1].strict"]


def test_a_wish_to_cache_goes_only_to_models_that_take_it() -> None:
    request = foreign(said(Text("x", CacheControl("5m")), Text("y")))
    body, dropped = encoded(request)
    assert body["messages"][0]["content"][0]["prompt_cache_breakpoint"] == {"mode": "explicit"}
    assert not dropped
    for target in (OTHER, Target(model="gpt-5.5", official=True)):
        body, dropped = encoded(request, target)
        assert "prompt_cache_breakpoint" not in json.dumps(body)
        assert dropped == ["messages[0].content[0].cache_control"]


def test_documents_are_files_or_text() -> None:
    body, dropped = encoded(
        foreign(
            said(
                Document(Source(data="CCCC", media_type="application/pdf"), "a.pdf"),
                Document(Source(text="words"), "Title", context="from a book"),
                Document(Source(parts=(Text("p"),)), citations=True),
            )
        )
    )
    data = "data:application/pdf;base64,CCCC"
    assert body["messages"][0]["content"] == [
        {"type": "file", "file": {"filename": "a.pdf", "file_data": data}},
        {"type": "text", "text": "from a book"},
        {"type": "text", "text": "Title\n\nwords"},
        {"type": "text", "text": "p"},
    ]
    assert dropped == ["messages[0].content[2].citations"]


def test_content_that_cannot_be_carried_is_named_beside_other_and_refused_alone() -> None:
    picture = Image(Source(file_id="file_1"))
    body, dropped = encoded(foreign(said(Text("see"), picture)))
    assert body["messages"] == [{"role": "user", "content": "see"}]
    assert dropped == ["messages[0].content[1]"]
    with pytest.raises(WireError) as raised:
        encoded(foreign(said(Text("a")), said(Text("b"), role="assistant"), said(picture)))
    assert raised.value.param == "messages[2].content[0]"


def test_empty_texts_and_messages_are_left_out() -> None:
    body, _ = encoded(
        foreign(
            said(Text("a"), Text("")),
            said(role="assistant"),
            said(Text("")),
            said(Text("b")),
        )
    )
    assert body["messages"] == [
        {"role": "user", "content": "a"},
        {"role": "user", "content": "b"},
    ]


def test_paths_are_those_of_the_asker() -> None:
    unknown = Opaque("anthropic", "container_upload", {"type": "container_upload"})
    _, dropped = encoded(
        foreign(
            said(Text("s"), role="system"),
            said(Text("x"), unknown),
        )
    )
    assert dropped == ["messages[0].content[1]"]


def test_a_prefill_is_named_as_it_is_no_prefill_here() -> None:
    body, dropped = encoded(foreign(said(Text("x")), said(Text("{"), role="assistant")))
    assert body["messages"][-1] == {"role": "assistant", "content": "{"}
    assert dropped == ["messages[1]"]


def test_every_row_is_a_good_request_with_and_without_its_field() -> None:
    rows = CHAT_CODEC.rows()
    assert len({row.field for row in rows}) == len(rows)
    for row in rows:
        for example in (row.example, row.without):
            request = CHAT_CODEC.decode_request(json.dumps(example).encode())
            assert not [
                path
                for path in CHAT_CODEC.encode_request(request, OFFICIAL).dropped
                if "reasoning" not in path
            ], row.field


def test_the_rows_name_every_field_of_the_sdk() -> None:
    from openai.types.chat import completion_create_params as params

    names = params.CompletionCreateParamsBase.__annotations__.keys() | {"stream"}
    rows = {
        row.field.partition(" ")[0].partition(".")[0].partition("[")[0] for row in CHAT_CODEC.rows()
    }
    assert names <= rows
