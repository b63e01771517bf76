"""Requests written for Anthropic's API: within its bounds, in both versions, losses named."""

import json
from typing import Any

import pytest
from anthropic.types.message_create_params import MessageCreateParams
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from providers.wire import WireError
from providers.wire.translation.anthropic_codec import ANTHROPIC_CODEC
from providers.wire.translation.codec import Target
from providers.wire.translation.codecs import front_codec_of
from providers.wire.translation.conversation import (
    Conversation,
    Document,
    Image,
    Message,
    Part,
    Refusal,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)

OLDER, NEWER = "2023-06-01", "2026-10-21"
NEW_MODEL, OLD_MODEL = "claude-opus-5", "claude-opus-4-1"
_taken: TypeAdapter[Any] = TypeAdapter(MessageCreateParams)


def encoded(
    request: Conversation, model: str = NEW_MODEL, version: str = NEWER
) -> tuple[dict[str, Any], list[str]]:
    """Return a request as it is sent and what is named as left out of it."""
    done = ANTHROPIC_CODEC.encode_request(request, Target(model=model, version=version))
    body = json.loads(done.body)
    assert body["model"] == model
    if version == NEWER:
        _taken.validate_python(body)
        assert not body.keys() & {"temperature", "top_p", "top_k"}
    return body, list(done.dropped)


def written(
    dialect: str, model: str = NEW_MODEL, version: str = NEWER, **members: Any
) -> tuple[dict[str, Any], list[str]]:
    """Return an asker's request as it is sent and what is named as left out of it."""
    body: dict[str, object] = {"model": "asked", **members}
    if dialect == "responses":
        body.setdefault("input", "Hello")
    else:
        body.setdefault("messages", [{"role": "user", "content": "Hello"}])
    request = front_codec_of(dialect).decode_request(json.dumps(body).encode())
    return encoded(request, model, version)


def said(*messages: Message, **members: Any) -> Conversation:
    return Conversation(dialect="openai", model="asked", messages=messages, **members)


def user(*parts: Part) -> Message:
    return Message("user", parts)


def assistant(*parts: Part) -> Message:
    return Message("assistant", parts)


def blocks(*parts: Part, model: str = NEW_MODEL) -> list[dict[str, Any]]:
    """Return the blocks that the user's parts become."""
    body, dropped = encoded(said(user(*parts)), model)
    assert not dropped
    (message,) = body["messages"]
    content: list[dict[str, Any]] = message["content"]
    return content


@pytest.mark.parametrize("version", [OLDER, NEWER])
@pytest.mark.parametrize("dialect", ["openai", "responses", "anthropic"])
def test_a_plain_request_is_sent_with_a_bound(dialect: str, version: str) -> None:
    body, dropped = written(dialect, version=version)
    (message,) = body.pop("messages")
    assert message == {"role": "user", "content": "Hello"}
    assert body == {"model": NEW_MODEL, "max_tokens": 64_000}
    assert not dropped


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("claude-2.1", 4096),
        ("claude-3-haiku-20240307", 4096),
        ("us.anthropic.claude-3-opus-20240229-v1:0", 4096),
        ("claude-3-5-sonnet-20241022", 8192),
        ("claude-3-5-haiku@20241022", 8192),
        ("claude-3-7-sonnet-latest", 64_000),
        ("claude-opus-4-20250514", 32_000),
        ("claude-opus-4-1-20250805", 32_000),
        ("anthropic/claude-opus-4.1", 32_000),
        ("claude-sonnet-4-0", 64_000),
        ("claude-sonnet-4-5-20250929", 64_000),
        ("claude-haiku-4-5", 64_000),
        ("claude-opus-4-5", 64_000),
        ("claude-sonnet-5", 64_000),
        ("house-model", 8192),
    ],
)
def test_the_longest_answer_is_the_models_unless_the_asker_says(model: str, expected: int) -> None:
    assert written("openai", model)[0]["max_tokens"] == expected
    body, dropped = written("openai", model, max_completion_tokens=77)
    assert (body["max_tokens"], dropped) == (77, [])


def bound(field: str, most: int) -> dict[str, Any]:
    return {field: most}


@pytest.mark.parametrize(
    ("dialect", "field"), [("openai", "max_completion_tokens"), ("responses", "max_output_tokens")]
)
def test_a_bound_above_the_models_is_brought_down_and_named(dialect: str, field: str) -> None:
    body, dropped = written(dialect, OLD_MODEL, **bound(field, 50_000))
    assert (body["max_tokens"], dropped) == (32_000, [field])
    body, dropped = written(dialect, NEW_MODEL, **bound(field, 500_000))
    assert (body["max_tokens"], dropped) == (500_000, []), "the newest models' bound is not known"
    body, dropped = written("anthropic", OLD_MODEL, max_tokens=50_000)
    assert (body["max_tokens"], dropped) == (50_000, []), "who speaks the API knows what it says"


@pytest.mark.parametrize(
    ("model", "asked", "sent", "dropped"),
    [
        (OLD_MODEL, {"temperature": 0.5}, {"temperature": 0.5}, []),
        (OLD_MODEL, {"temperature": 0}, {"temperature": 0}, []),
        (OLD_MODEL, {"temperature": 1.5}, {"temperature": 1.0}, ["temperature"]),
        (OLD_MODEL, {"top_p": 0.5}, {"top_p": 0.5}, []),
        (OLD_MODEL, {"temperature": 0.5, "top_p": 0.5}, {"temperature": 0.5}, ["top_p"]),
        (OLD_MODEL, {"temperature": 1, "top_p": 0.5}, {"top_p": 0.5}, []),
        (OLD_MODEL, {"temperature": 0.5, "top_p": 1}, {"temperature": 0.5}, []),
        (
            "claude-3-5-haiku-latest",
            {"temperature": 0.5, "top_p": 0.5},
            {"temperature": 0.5, "top_p": 0.5},
            [],
        ),
        (
            OLD_MODEL,
            {"temperature": 0.5, "reasoning_effort": "low"},
            {},
            ["temperature"],
        ),
        (OLD_MODEL, {"temperature": 1, "reasoning_effort": "low"}, {}, []),
    ],
)
def test_sampling_is_brought_within_bounds_in_the_older_version(
    model: str, asked: dict[str, Any], sent: dict[str, Any], dropped: list[str]
) -> None:
    body, named = written("openai", model, OLDER, **asked)
    known = {name: body[name] for name in ("temperature", "top_p", "top_k") if name in body}
    assert (known, named) == (sent, dropped)


@pytest.mark.parametrize("dialect", ["openai", "responses", "anthropic"])
def test_the_newer_version_has_no_sampling(dialect: str) -> None:
    assert written(dialect, temperature=0.5)[1] == ["temperature"]
    assert written(dialect, top_p=0.5)[1] == ["top_p"]
    assert written(dialect, temperature=1, top_p=1)[1] == [], "so it is anyway"


def test_who_speaks_the_older_version_has_its_sampling_sent_as_it_is() -> None:
    asked: dict[str, Any] = {"temperature": 0.5, "top_p": 0.25, "top_k": 4}
    body, dropped = written("anthropic", OLD_MODEL, OLDER, **asked)
    assert {name: body[name] for name in asked} == asked
    assert not dropped
    assert written("anthropic", **asked)[1] == ["temperature", "top_p", "top_k"]


# --- thinking


@pytest.mark.parametrize(
    ("effort", "sent"),
    [
        ("minimal", "low"),
        ("low", "low"),
        ("medium", "medium"),
        ("high", "high"),
        ("xhigh", "xhigh"),
        ("max", "max"),
    ],
)
@pytest.mark.parametrize("version", [OLDER, NEWER])
def test_effort_is_told_to_models_that_know_it(effort: str, sent: str, version: str) -> None:
    for asked in (
        written("openai", NEW_MODEL, version, reasoning_effort=effort),
        written("responses", NEW_MODEL, version, reasoning={"effort": effort}),
    ):
        body, dropped = asked
        assert (body["output_config"], dropped) == ({"effort": sent}, [])
        assert "thinking" not in body


@pytest.mark.parametrize(
    ("effort", "most", "budget"),
    [
        ("minimal", None, 1024),
        ("low", None, 2048),
        ("medium", None, 8192),
        ("high", None, 24_576),
        ("xhigh", None, 31_999),
        ("high", 3000, 2999),
        ("high", 1025, 1024),
    ],
)
def test_older_models_get_a_budget_below_the_bound(
    effort: str, most: int | None, budget: int
) -> None:
    body, dropped = written(
        "openai", OLD_MODEL, reasoning_effort=effort, max_completion_tokens=most
    )
    assert body["thinking"] == {"type": "enabled", "budget_tokens": budget}
    assert "output_config" not in body
    assert not dropped


@pytest.mark.parametrize(
    ("dialect", "members", "named"),
    [
        ("openai", {"reasoning_effort": "low"}, "reasoning_effort"),
        ("responses", {"reasoning": {"effort": "low"}}, "reasoning.effort"),
    ],
)
def test_effort_that_cannot_be_had_is_named(
    dialect: str, members: dict[str, Any], named: str
) -> None:
    tool: dict[str, Any] = {"name": "f", "parameters": {"type": "object"}}
    tool = {"function": tool} if dialect == "openai" else tool
    forced: dict[str, Any] = {
        "tools": [{"type": "function", **tool}],
        "tool_choice": "required",
    }
    field = "max_completion_tokens" if dialect == "openai" else "max_output_tokens"
    for model, more in (
        ("claude-3-5-haiku-latest", {}),
        (OLD_MODEL, bound(field, 1024)),
        (OLD_MODEL, forced),
    ):
        body, dropped = written(dialect, model, **members, **more)
        assert not body.keys() & {"thinking", "output_config"}
        assert dropped == [named]


@pytest.mark.parametrize(
    ("model", "sent"),
    [(NEW_MODEL, {"type": "disabled"}), (OLD_MODEL, None), ("claude-3-5-haiku-latest", None)],
)
def test_no_effort_is_no_thinking(model: str, sent: object) -> None:
    body, dropped = written("openai", model, reasoning_effort="none")
    assert (body.get("thinking"), dropped) == (sent, [])


CALL = ToolCall("t1", "f", "{}")
RESULT = ToolResult("t1", (Text("4"),))
OWN = Thinking("Hm.", "sig", made_by="anthropic")
SEALED = Thinking(redacted="sealed", made_by="anthropic")
ASKED = Message("user", (Text("Hello"),), plain=True)


@pytest.mark.parametrize(
    ("messages", "thinks"),
    [
        ((ASKED, assistant(CALL), user(RESULT)), False),
        ((ASKED, assistant(Text("x"), CALL), user(RESULT, Text("So?"))), False),
        ((ASKED, assistant(CALL), user(RESULT), ASKED), False),
        ((ASKED, assistant(CALL), user(RESULT), user(Text("So?"))), False),
        ((ASKED, assistant(CALL), user(RESULT), Message("system", (Text("s"),))), False),
        ((ASKED, assistant(Thinking("Hm."), CALL), user(RESULT)), False),
        ((ASKED, assistant(OWN, CALL), user(RESULT)), True),
        ((ASKED, assistant(SEALED, CALL), user(RESULT)), True),
        ((ASKED, assistant(CALL), user(RESULT), assistant(Text("4.")), ASKED), True),
        ((ASKED, assistant(Text("x")), ASKED), True),
        ((ASKED, Message("assistant", (Text("I"),), plain=True)), False),
        ((ASKED, assistant(Text("I"))), False),
    ],
)
@pytest.mark.parametrize("version", [OLDER, NEWER])
def test_a_model_does_not_begin_to_think_in_the_middle_of_its_turn(
    messages: tuple[Message, ...], thinks: bool, version: str
) -> None:
    asked = front_codec_of("openai").decode_request(
        b'{"model":"m","messages":[{"role":"user","content":"x"}],"reasoning_effort":"low"}'
    )
    body, dropped = encoded(said(*messages, reasoning=asked.reasoning), OLD_MODEL, version)
    assert ("thinking" in body, "reasoning_effort" in dropped) == (thinks, not thinks)


def test_who_speaks_the_api_has_its_thinking_sent_as_it_is() -> None:
    asked: dict[str, Any] = {
        "thinking": {"type": "enabled", "budget_tokens": 2048, "display": "omitted"},
        "output_config": {
            "effort": "max",
            "format": {"type": "json_schema", "schema": {"type": "object"}},
        },
    }
    body, dropped = written("anthropic", **asked)
    assert {name: body[name] for name in asked} == asked
    assert not dropped


@pytest.mark.parametrize(
    ("thought", "sent"),
    [
        (OWN, [{"type": "thinking", "thinking": "Hm.", "signature": "sig"}]),
        (SEALED, [{"type": "redacted_thinking", "data": "sealed"}]),
        (Thinking("Hm.", made_by="anthropic"), []),
        (Thinking("Hm."), []),
        (Thinking("Hm.", "sig", made_by="openai"), []),
        (Thinking(redacted="sealed", made_by="responses"), []),
    ],
)
def test_only_the_providers_own_thoughts_are_sent_back(
    thought: Thinking, sent: list[dict[str, object]]
) -> None:
    body, dropped = encoded(said(ASKED, assistant(thought, Text("x")), ASKED))
    assert body["messages"][1]["content"] == [*sent, {"type": "text", "text": "x"}]
    assert not dropped


# --- messages


@pytest.mark.parametrize(
    ("messages", "sent"),
    [
        ((ASKED, assistant(Text(" \n")), ASKED), ["Hello", "Hello"]),
        ((ASKED, Message("assistant", (Text(""),), plain=True), ASKED), ["Hello", "Hello"]),
        ((Message("user", (Text(" "),), plain=True), ASKED), ["Hello"]),
        ((user(), user(Text("")), ASKED), ["Hello"]),
        ((Message("system", (Text(""),), plain=True), ASKED), ["Hello"]),
        ((ASKED, Message("system", (Text(" "),)), assistant(), ASKED), ["Hello", "Hello"]),
        (
            (user(Text(""), Text("a"), Text("\n")), ASKED),
            [[{"type": "text", "text": "a"}], "Hello"],
        ),
        (
            (ASKED, assistant(Refusal("No."), Refusal("")), ASKED),
            ["Hello", [{"type": "text", "text": "No."}], "Hello"],
        ),
    ],
)
@pytest.mark.parametrize("version", [OLDER, NEWER])
def test_what_says_nothing_is_left_out(
    messages: tuple[Message, ...], sent: list[object], version: str
) -> None:
    body, dropped = encoded(said(*messages), version=version)
    assert [message["content"] for message in body["messages"]] == sent
    assert "system" not in body
    assert not dropped


@pytest.mark.parametrize(
    "messages",
    [(), (user(Text(" ")),), (Message("system", (Text("s"),)),)],
)
def test_a_conversation_in_which_nobody_speaks_is_refused(messages: tuple[Message, ...]) -> None:
    with pytest.raises(WireError) as caught:
        encoded(said(*messages))
    assert caught.value.param == "messages"


@pytest.mark.parametrize("version", [OLDER, NEWER])
def test_the_system_speaks_first_where_nobody_has_said_anything_yet(version: str) -> None:
    late = Message("system", (Text("Be kind."),), plain=True)
    body, dropped = encoded(said(user(Text("")), late, ASKED), version=version)
    assert body["system"] == "Be kind."
    assert body["messages"] == [{"role": "user", "content": "Hello"}]
    assert not dropped


@pytest.mark.parametrize("role", ["system", "developer"])
def test_what_the_system_says_first_is_in_a_field_of_its_own(role: str) -> None:
    first, second = ({"role": role, "content": text} for text in ("Be brief.", "Be kind."))
    asked = {"role": "user", "content": "Hello"}
    assert written("openai", messages=[first, asked])[0]["system"] == "Be brief."
    body, dropped = written("openai", messages=[first, second, asked])
    assert body["system"] == [
        {"type": "text", "text": "Be brief."},
        {"type": "text", "text": "Be kind."},
    ]
    assert not dropped
    body, dropped = written("responses", instructions="Be brief.", input=[second, asked])
    assert [block["text"] for block in body["system"]] == ["Be brief.", "Be kind."]
    assert not dropped


LATER = Message("developer", (Text("Be kind."),))
KIND = {"type": "text", "text": "Be kind."}


@pytest.mark.parametrize(
    ("messages", "older", "newer"),
    [
        (
            (ASKED, LATER),
            [("user", "Hello"), ("user", [KIND])],
            [("user", "Hello"), ("system", [KIND])],
        ),
        (
            (user(Text("a")), LATER),
            [("user", [{"type": "text", "text": "a"}, KIND])],
            [("user", [{"type": "text", "text": "a"}]), ("system", [KIND])],
        ),
        (
            (ASKED, assistant(Text("a")), LATER, ASKED),
            [
                ("user", "Hello"),
                ("assistant", [{"type": "text", "text": "a"}]),
                ("user", [KIND]),
                ("user", "Hello"),
            ],
            [
                ("user", "Hello"),
                ("assistant", [{"type": "text", "text": "a"}]),
                ("system", [KIND]),
                ("user", "Hello"),
            ],
        ),
    ],
)
def test_what_the_system_says_later_is_said_by_the_user_in_the_older_version(
    messages: tuple[Message, ...], older: list[object], newer: list[object]
) -> None:
    number = messages.index(LATER)
    for version, sent, named in (
        (OLDER, older, [f"messages[{number}].role"]),
        (NEWER, newer, []),
    ):
        body, dropped = encoded(said(*messages), version=version)
        assert [(each["role"], each["content"]) for each in body["messages"]] == sent
        assert dropped == named


def test_the_results_of_one_turns_calls_are_one_message_with_what_is_said_after_them() -> None:
    body, dropped = encoded(
        said(
            ASKED,
            assistant(ToolCall("a", "f"), ToolCall("b", "f"), ToolCall("c", "f")),
            user(ToolResult("a", (Text("1"),))),
            user(Text("Look:"), ToolResult("b", (), is_error=True)),
            user(Text("So?")),
            user(ToolResult("c", (Text("3"), Text("4")))),
        )
    )
    assert body["messages"][2:] == [
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "a", "content": "1"},
                {"type": "tool_result", "tool_use_id": "b", "is_error": True},
                {
                    "type": "tool_result",
                    "tool_use_id": "c",
                    "content": [{"type": "text", "text": "3"}, {"type": "text", "text": "4"}],
                },
                {"type": "text", "text": "Look:"},
                {"type": "text", "text": "So?"},
            ],
        }
    ]
    assert not dropped


def test_what_is_lost_beside_a_result_is_named_where_it_stood() -> None:
    lost = Image(Source(file_id="f"))
    _, dropped = encoded(said(ASKED, assistant(CALL), user(Text("x"), RESULT, lost)))
    assert dropped == ["messages[2].content[2]"]


@pytest.mark.parametrize(
    ("model", "sent", "named"),
    [
        (
            "claude-opus-4-5",
            [("user", "Hello"), ("assistant", "I  am")],
            [],
        ),
        (
            NEW_MODEL,
            [("user", "Hello"), ("assistant", "I  am \n"), ("user", "Continue.")],
            ["messages[1]"],
        ),
    ],
)
def test_a_model_goes_on_from_its_own_words_or_is_asked_to(
    model: str, sent: list[tuple[str, str]], named: list[str]
) -> None:
    begun = {"role": "assistant", "content": "I  am \n"}
    body, dropped = written("openai", model, messages=[{"role": "user", "content": "Hello"}, begun])
    assert [(each["role"], each["content"]) for each in body["messages"]] == sent
    assert dropped == named


def test_the_words_that_are_not_gone_on_from_are_named_where_they_stood() -> None:
    nothing = Text(" ")
    request = said(ASKED, assistant(Text("I")), assistant(nothing), user(nothing))
    body, dropped = encoded(request)
    assert [each["role"] for each in body["messages"]] == ["user", "assistant", "user"]
    assert dropped == ["messages[1]"]


def test_the_last_block_of_words_to_go_on_from_ends_in_no_white_space() -> None:
    words = assistant(Text("a "), Text("b "))
    body, _ = encoded(said(ASKED, words), OLD_MODEL)
    assert [block["text"] for block in body["messages"][-1]["content"]] == ["a ", "b"]


def test_one_turn_of_the_model_is_one_message_though_it_was_several_items() -> None:
    items = [
        {"role": "user", "content": "Hello"},
        {"role": "assistant", "content": "Let me see."},
        {"type": "function_call", "call_id": "a", "name": "f", "arguments": "{}"},
        {"type": "function_call", "call_id": "b", "name": "f", "arguments": ""},
        {"type": "function_call_output", "call_id": "a", "output": "1"},
        {"type": "function_call_output", "call_id": "b", "output": "2"},
    ]
    body, dropped = written("responses", input=items)
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "user"]
    assert [block["type"] for block in body["messages"][1]["content"]] == [
        "text",
        "tool_use",
        "tool_use",
    ]
    assert [block["tool_use_id"] for block in body["messages"][2]["content"]] == ["a", "b"]
    assert not dropped


# --- parts


@pytest.mark.parametrize("call_id", ["toolu_01", "call_a-b", "x" * 256])
def test_an_id_that_fits_stays(call_id: str) -> None:
    request = said(ASKED, assistant(ToolCall(call_id, "f")), user(ToolResult(call_id)))
    _, call, result = encoded(request)[0]["messages"]
    assert call["content"][0]["id"] == result["content"][0]["tool_use_id"] == call_id


@given(st.text(max_size=9), st.text(max_size=9))
def test_ids_of_calls_fit_and_stay_different(one: str, other: str) -> None:
    request = said(
        ASKED,
        assistant(ToolCall(one, "f"), ToolCall(other, "f")),
        user(ToolResult(one)),
        user(ToolResult(other)),
    )
    _, calls, results = encoded(request)[0]["messages"]
    ids = [block["id"] for block in calls["content"]]
    assert ids == [block["tool_use_id"] for block in results["content"]]
    assert all(each and len(each) <= 256 and each.isascii() for each in ids)
    assert all(each.replace("-", "").replace("_", "").isalnum() for each in ids if each.strip("-_"))
    assert (ids[0] == ids[1]) == (one == other)


@pytest.mark.parametrize(
    ("name", "sent"), [("f", "f"), ("a.b/c d", "a_b_c_d"), ("é", "_"), ("", "_"), ("x" * 200, None)]
)
def test_names_of_past_calls_are_made_to_fit(name: str, sent: str | None) -> None:
    body, _ = encoded(said(ASKED, assistant(ToolCall("a", name)), user(ToolResult("a"))))
    assert body["messages"][1]["content"][0]["name"] == (sent or "x" * 128)


@pytest.mark.parametrize(
    ("dialect", "tool"),
    [
        ("openai", {"type": "function", "function": {"name": "a b"}}),
        ("responses", {"type": "function", "name": "a b"}),
        ("anthropic", {"name": "x" * 129}),
        ("anthropic", {"name": ""}),
        ("anthropic", {"name": "f\n"}),
    ],
)
def test_a_tool_whose_name_does_not_fit_is_refused(dialect: str, tool: dict[str, object]) -> None:
    fits = {"type": "function", "name": "f", "function": {"name": "f"}}
    if dialect == "anthropic":
        fits = {"name": "f"}
    with pytest.raises(WireError) as caught:
        written(dialect, tools=[fits, tool])
    assert caught.value.param == "tools[1].name"


@pytest.mark.parametrize(
    ("arguments", "sent"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ('{"a":11111111111111111111111111}', '{"a":11111111111111111111111111}'),
        ("", "{}"),
        ('{"a"', '{"INVALID_JSON":"{\\"a\\""}'),
        ("[1]", '{"INVALID_JSON":"[1]"}'),
        ("null", '{"INVALID_JSON":"null"}'),
        ("{} {}", '{"INVALID_JSON":"{} {}"}'),
        ('{"a":NaN}', '{"INVALID_JSON":"{\\"a\\":NaN}"}'),
    ],
)
def test_arguments_are_sent_as_they_are_or_as_what_is_no_object(arguments: str, sent: str) -> None:
    request = said(ASKED, assistant(ToolCall("a", "f", arguments)), user(ToolResult("a")))
    body = ANTHROPIC_CODEC.encode_request(request, Target(model=NEW_MODEL)).body
    assert f'"input":{sent}}}' in body.decode()


@pytest.mark.parametrize(
    ("part", "source"),
    [
        (
            Image(Source(data="AA==", media_type="image/jpg")),
            {"type": "base64", "media_type": "image/jpeg", "data": "AA=="},
        ),
        (
            Image(Source(data="AA==")),
            {"type": "base64", "media_type": "image/png", "data": "AA=="},
        ),
        (Image(Source(url="u"), "auto"), {"type": "url", "url": "u"}),
        (
            Document(Source(data="AA==")),
            {"type": "base64", "media_type": "application/pdf", "data": "AA=="},
        ),
        (
            Document(Source(data="aGk=", media_type="text/markdown")),
            {"type": "text", "media_type": "text/plain", "data": "hi"},
        ),
        (
            Document(Source(text="hi", media_type="text/markdown")),
            {"type": "text", "media_type": "text/plain", "data": "hi"},
        ),
        (Document(Source(url="u")), {"type": "url", "url": "u"}),
    ],
)
def test_pictures_and_documents(part: Part, source: dict[str, object]) -> None:
    (block,) = blocks(part)
    assert block["source"] == source


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ({"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AA=="}}, ""),
        ({"type": "file", "file": {"file_id": "f"}}, ""),
        (
            {"type": "file", "file": {"filename": "a", "file_data": "data:a/b;base64,AA=="}},
            "",
        ),
        ({"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}}, ""),
        ({"type": "image_url", "image_url": {"url": "u", "detail": "low"}}, ".image_url.detail"),
    ],
)
def test_a_part_that_cannot_be_sent_is_named_beside_others_and_refused_alone(
    content: dict[str, object], named: str
) -> None:
    text = {"type": "text", "text": "x"}
    body, dropped = written("openai", messages=[{"role": "user", "content": [text, content]}])
    assert dropped == [f"messages[0].content[1]{named}"]
    sent = body["messages"][0]["content"]
    assert (sent[0], len(sent)) == (text, 2 if named else 1)
    if not named:
        with pytest.raises(WireError) as caught:
            written("openai", messages=[{"role": "user", "content": [content]}])
        assert caught.value.param == "messages[0].content[0]"


# --- tools and forms


TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
OTHER = {"type": "function", "function": {"name": "g"}}


@pytest.mark.parametrize(
    ("members", "names", "choice"),
    [
        ({}, ["f", "g"], None),
        ({"tool_choice": "auto"}, ["f", "g"], {"type": "auto"}),
        ({"tool_choice": "none"}, ["f", "g"], {"type": "none"}),
        ({"tool_choice": "required"}, ["f", "g"], {"type": "any"}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "g"}}},
            ["f", "g"],
            {"type": "tool", "name": "g"},
        ),
        (
            {
                "tool_choice": {
                    "type": "allowed_tools",
                    "allowed_tools": {
                        "mode": "required",
                        "tools": [{"type": "function", "function": {"name": "g"}}],
                    },
                }
            },
            ["g"],
            {"type": "any"},
        ),
        (
            {"parallel_tool_calls": False},
            ["f", "g"],
            {"type": "auto", "disable_parallel_tool_use": True},
        ),
        ({"parallel_tool_calls": True}, ["f", "g"], None),
        (
            {"parallel_tool_calls": False, "tool_choice": "required"},
            ["f", "g"],
            {"type": "any", "disable_parallel_tool_use": True},
        ),
        ({"parallel_tool_calls": False, "tool_choice": "none"}, ["f", "g"], {"type": "none"}),
    ],
)
def test_which_tool_to_call(
    members: dict[str, Any], names: list[str], choice: dict[str, Any] | None
) -> None:
    body, dropped = written("openai", tools=[TOOL, OTHER], **members)
    assert [tool["name"] for tool in body["tools"]] == names
    assert body.get("tool_choice") == choice
    assert not dropped


def test_a_call_is_not_demanded_where_there_is_nothing_to_call() -> None:
    tools = [{"type": "web_search"}]
    body, dropped = written("responses", tools=tools, tool_choice="auto")
    assert not body.keys() & {"tools", "tool_choice"}
    assert dropped == ["tools[0]"]
    with pytest.raises(WireError) as caught:
        written("responses", tools=tools, tool_choice="required")
    assert caught.value.param == "tool_choice"


@pytest.mark.parametrize(
    ("schema", "sent"),
    [
        (None, {"type": "object", "properties": {}}),
        ({}, {"type": "object"}),
        ({"properties": {"a": {}}}, {"type": "object", "properties": {"a": {}}}),
        ({"type": "object", "$defs": {}}, {"type": "object", "$defs": {}}),
    ],
)
def test_a_tool_has_a_schema_of_an_object_in_any_case(
    schema: dict[str, Any] | None, sent: dict[str, Any]
) -> None:
    function = {"name": "f", "description": "d", "parameters": schema}
    body, dropped = written("openai", tools=[{"type": "function", "function": function}])
    assert body["tools"] == [{"name": "f", "description": "d", "input_schema": sent}]
    assert not dropped


def test_a_schema_that_is_followed_exactly_allows_nothing_else_anywhere() -> None:
    schema = {
        "type": "object",
        "properties": {
            "enum": {"type": "object", "properties": {}},
            "a": {"anyOf": [{"type": "object"}, {"type": "null"}]},
            "b": {"type": "array", "items": {"$ref": "#/$defs/c"}},
            "d": {"const": {"type": "object"}},
            "e": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "$defs": {"c": {"properties": {"x": {"enum": [{"type": "object"}]}}}},
    }
    strict = {
        "type": "object",
        "properties": {
            "enum": {"type": "object", "properties": {}, "additionalProperties": False},
            "a": {"anyOf": [{"type": "object", "additionalProperties": False}, {"type": "null"}]},
            "b": {"type": "array", "items": {"$ref": "#/$defs/c"}},
            "d": {"const": {"type": "object"}},
            "e": {"type": "object", "additionalProperties": {"type": "string"}},
        },
        "$defs": {
            "c": {
                "properties": {"x": {"enum": [{"type": "object"}]}},
                "additionalProperties": False,
            }
        },
        "additionalProperties": False,
    }
    for exact, sent in ((True, strict), (False, schema), (None, schema)):
        function = {"name": "f", "parameters": schema, "strict": exact}
        inner = {"name": "n", "schema": schema, "strict": exact}
        form = {"type": "json_schema", "json_schema": inner}
        body, _ = written(
            "openai", tools=[{"type": "function", "function": function}], response_format=form
        )
        assert body["tools"][0]["input_schema"] == sent
        assert body["tools"][0].get("strict") == (exact or None)
        assert body["output_config"]["format"] == {"type": "json_schema", "schema": sent}


@pytest.mark.parametrize(
    ("system", "expected"),
    [
        ([], "Answer with one valid JSON object and nothing else."),
        (
            [{"role": "system", "content": "Be brief."}],
            [
                {"type": "text", "text": "Be brief."},
                {"type": "text", "text": "Answer with one valid JSON object and nothing else."},
            ],
        ),
    ],
)
def test_any_json_object_is_asked_for_in_words(
    system: list[dict[str, object]], expected: object
) -> None:
    messages = [*system, {"role": "user", "content": "Hello"}]
    form = {"type": "json_object"}
    body, dropped = written("openai", messages=messages, response_format=form)
    assert (body["system"], dropped) == (expected, ["response_format"])
    body, dropped = written("responses", input=messages, text={"format": form})
    assert (body["system"], dropped) == (expected, ["text.format"])


@pytest.mark.parametrize(
    ("dialect", "members", "sent"),
    [
        ("openai", {"user": "u"}, {"metadata": {"user_id": "u"}}),
        ("responses", {"safety_identifier": "u"}, {"metadata": {"user_id": "u"}}),
        ("openai", {"service_tier": "auto"}, {}),
        ("responses", {"service_tier": "default"}, {"service_tier": "standard_only"}),
        ("anthropic", {"service_tier": "auto"}, {"service_tier": "auto"}),
        ("openai", {"stop": ["a", "b"]}, {"stop_sequences": ["a", "b"]}),
        ("openai", {"stream": True}, {"stream": True}),
        (
            "anthropic",
            {"cache_control": {"type": "ephemeral", "ttl": "1h"}},
            {"cache_control": {"type": "ephemeral", "ttl": "1h"}},
        ),
        (
            "anthropic",
            {"metadata": {"user_id": "u", "a": 1}, "container": "c"},
            {"metadata": {"user_id": "u", "a": 1}, "container": "c"},
        ),
        ("openai", {"n": 1, "logprobs": False, "store": False, "seed": None}, {}),
        ("responses", {"truncation": "disabled", "store": False}, {}),
    ],
)
@pytest.mark.parametrize("version", [OLDER, NEWER])
def test_every_option_that_has_a_place(
    dialect: str, members: dict[str, Any], sent: dict[str, Any], version: str
) -> None:
    body, dropped = written(dialect, NEW_MODEL, version, **members)
    for name in ("model", "max_tokens", "messages"):
        del body[name]
    assert (body, dropped) == (sent, [])


@pytest.mark.parametrize(
    ("dialect", "members", "named"),
    [
        ("openai", {"stop": ["\n", "a"]}, ["stop"]),
        ("anthropic", {"stop_sequences": [" "]}, ["stop_sequences"]),
        ("openai", {"service_tier": "flex"}, ["service_tier"]),
        ("openai", {"seed": 5, "logit_bias": {"1": 2}, "n": 2}, ["seed", "logit_bias", "n"]),
        ("responses", {"max_tool_calls": 2, "store": True}, ["max_tool_calls", "store"]),
        ("responses", {"text": {"verbosity": "low"}}, ["text.verbosity"]),
        (
            "openai",
            {"messages": [{"role": "user", "content": "x", "name": "Ada"}]},
            ["messages[0].name"],
        ),
        (
            "responses",
            {"input": [{"role": "user", "content": "x", "mood": 1}]},
            ["input[0].mood"],
        ),
        (
            "openai",
            {
                "tools": [
                    {
                        "type": "custom",
                        "custom": {
                            "name": "f",
                            "format": {
                                "type": "grammar",
                                "grammar": {"syntax": "lark", "definition": "x"},
                            },
                        },
                    }
                ]
            },
            ["tools[0].custom.format"],
        ),
        (
            "responses",
            {"tools": [{"type": "function", "name": "f", "output_schema": {}}]},
            ["tools[0].output_schema"],
        ),
    ],
)
@pytest.mark.parametrize("version", [OLDER, NEWER])
def test_what_has_no_place_is_named_in_the_askers_words(
    dialect: str, members: dict[str, Any], named: list[str], version: str
) -> None:
    assert sorted(written(dialect, NEW_MODEL, version, **members)[1]) == sorted(named)
