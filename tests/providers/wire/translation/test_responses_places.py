"""Items of Responses requests as other APIs get them: put together, and named where left out."""

import json
from typing import Any

import pytest

from providers.wire import WireError
from providers.wire.translation.anthropic_codec import ANTHROPIC_CODEC
from providers.wire.translation.chat_codec import CHAT_CODEC
from providers.wire.translation.codec import FOREIGN_MARK, Codec, Target
from providers.wire.translation.responses_codec import RESPONSES_CODEC

TARGETS = {
    "claude": (ANTHROPIC_CODEC, Target(model="claude-opus-4-8", official=True)),
    "older claude": (ANTHROPIC_CODEC, Target(model="claude-sonnet-4-5", official=True)),
    "openai": (CHAT_CODEC, Target(model="gpt-6-sol", official=True)),
    "other server": (CHAT_CODEC, Target(model="m-1")),
}
EVERY = pytest.mark.parametrize("to", sorted(TARGETS))
CLAUDES = pytest.mark.parametrize("to", ["claude", "older claude"])
HELLO = {"role": "user", "content": "Hello"}
PNG = "data:image/png;base64,iVBORw0KGgo="
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object"}}


def call(number: int) -> dict[str, object]:
    return {"type": "function_call", "call_id": f"c{number}", "name": "f", "arguments": "{}"}


def result(number: int, output: object = "4") -> dict[str, object]:
    return {"type": "function_call_output", "call_id": f"c{number}", "output": output}


THOUGHT = {
    "type": "reasoning",
    "id": "rs_1",
    "summary": [{"type": "summary_text", "text": "Hm."}],
    "encrypted_content": f"{FOREIGN_MARK}anthropic.signature.proof",
}


def sent(to: str, items: object = "Hello", **members: object) -> tuple[dict[str, Any], list[str]]:
    """Return the request that a provider gets, and what is named as left out of it."""
    codec: Codec
    codec, target = TARGETS[to]
    body = json.dumps({"model": "m", "input": items, **members}).encode()
    encoded = codec.encode_request(RESPONSES_CODEC.decode_request(body), target)
    return json.loads(encoded.body), list(encoded.dropped)


def named(to: str, items: object = "Hello", **members: object) -> list[str]:
    return sent(to, items, **members)[1]


@EVERY
@pytest.mark.parametrize("instructions", [None, "Be brief."])
def test_an_item_that_only_openai_knows_is_named_by_its_number(
    to: str, instructions: str | None
) -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed"}
    screen = {"type": "computer_call_output", "call_id": "c", "output": {"image_url": PNG}}
    items = [HELLO, search, screen, HELLO]
    body, dropped = sent(to, items, instructions=instructions)
    assert dropped == ["input[1]", "input[2]"]
    assert [each["role"] for each in body["messages"] if each["role"] != "system"] == ["user"] * 2


@EVERY
def test_a_part_that_only_openai_knows_is_named_by_its_place(to: str) -> None:
    glow = {"type": "glow", "a": 1}
    parts = [{"type": "input_text", "text": "Hello"}, glow]
    said = {"role": "assistant", "content": [{"type": "output_text", "text": "Hi"}, glow]}
    items = [{"role": "user", "content": parts}, said, HELLO]
    assert named(to, items) == ["input[0].content[1]", "input[1].content[1]"]


@EVERY
def test_what_a_tool_returned_is_named_by_its_place_in_the_output(to: str) -> None:
    output = [{"type": "input_text", "text": "4"}, {"type": "glow"}]
    body, dropped = sent(to, [HELLO, call(1), result(1, output)], tools=[TOOL])
    assert dropped == ["input[2].output[1]"]
    assert "4" in json.dumps(body["messages"][2])


@EVERY
@pytest.mark.parametrize(
    ("item", "path"),
    [
        ({**HELLO, "mood": 1}, "input[0].mood"),
        ({**HELLO, "body": {"a": 1}}, "input[0].body"),
        ({**HELLO, "phase": "commentary"}, "input[0].phase"),
        (
            {"role": "user", "content": [{"type": "input_text", "text": "x", "body": {}}]},
            "input[0].content[0].body",
        ),
        (
            {"role": "user", "content": [{"type": "input_text", "text": "x", "glow": 1}]},
            "input[0].content[0].glow",
        ),
    ],
)
def test_unknown_members_of_items_are_named(to: str, item: object, path: str) -> None:
    assert named(to, [item, HELLO]) == [path]


@EVERY
@pytest.mark.parametrize(
    ("members", "paths"),
    [
        ({"max_tool_calls": 3}, ["max_tool_calls"]),
        ({"truncation": "auto"}, ["truncation"]),
        ({"top_k": 3}, ["top_k"]),
        ({"text": {"glow": 1}}, ["text.glow"]),
        ({"text": {"format": {"type": "xml"}}}, ["text.format"]),
        ({"reasoning": {"mode": "pro"}}, ["reasoning.mode"]),
        ({"stream_options": {"glow": 1}}, ["stream_options.glow"]),
        ({"tools": [TOOL, {"type": "web_search"}]}, ["tools[1]"]),
        (
            {"tools": [TOOL, {"type": "web_search"}], "tool_choice": {"type": "web_search"}},
            ["tools[1]", "tool_choice"],
        ),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "name": "f", "glow": 1}},
            ["tool_choice.glow"],
        ),
        ({"store": False, "truncation": "disabled", "background": False, "metadata": {}}, []),
        ({"text": {"verbosity": "medium", "format": {"type": "text"}}, "top_logprobs": 0}, []),
        ({"include": [], "seed": None, "stream_options": {"include_obfuscation": False}}, []),
        ({"include": ["reasoning.encrypted_content"], "service_tier": "auto"}, []),
        ({"tools": [], "reasoning": None, "text": None, "max_output_tokens": None}, []),
    ],
)
def test_options_without_a_counterpart_are_named_and_those_that_say_nothing_are_not(
    to: str, members: dict[str, object], paths: list[str]
) -> None:
    assert named(to, **members) == paths


LIKELY = {"include": ["message.output_text.logprobs"], "top_logprobs": 3}


@pytest.mark.parametrize("to", ["openai", "other server"])
def test_how_likely_words_are_is_asked_for_where_it_can_be_told(to: str) -> None:
    body, dropped = sent(to, **LIKELY)
    assert (body["logprobs"], body["top_logprobs"], dropped) == (True, 3, [])
    body, dropped = sent(to, stream=True, **LIKELY)
    assert sorted(dropped) == ["include[0]", "top_logprobs"], "no place in a translated stream"
    assert "logprobs" not in body
    assert "top_logprobs" not in body


@EVERY
@pytest.mark.parametrize(
    ("item", "param"),
    [
        ({"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}, "input[0]"),
        ({"role": "user", "content": [{"type": "glow"}]}, "input[0]"),
    ],
)
def test_a_message_of_which_nothing_is_left_is_refused_by_its_place(
    to: str, item: object, param: str
) -> None:
    with pytest.raises(WireError) as caught:
        sent(to, [item])
    assert caught.value.param == f"{param}.content[0]"


@EVERY
def test_a_request_of_nothing_but_foreign_items_is_refused(to: str) -> None:
    with pytest.raises(WireError):
        sent(to, [{"type": "web_search_call", "id": "ws_1"}])


@CLAUDES
def test_thoughts_and_calls_of_one_turn_are_one_message_for_claude(to: str) -> None:
    said = {"role": "assistant", "content": [{"type": "output_text", "text": "See:"}]}
    items = [HELLO, THOUGHT, said, call(1), call(2), result(1), result(2)]
    body, dropped = sent(to, items, tools=[TOOL], reasoning={"effort": "high"})
    assert dropped == []
    assert [each["role"] for each in body["messages"]] == ["user", "assistant", "user"]
    assert [block["type"] for block in body["messages"][1]["content"]] == [
        "thinking",
        "text",
        "tool_use",
        "tool_use",
    ]
    assert body["messages"][1]["content"][0] == {
        "type": "thinking",
        "thinking": "Hm.",
        "signature": "proof",
    }
    assert [block["tool_use_id"] for block in body["messages"][2]["content"]] == ["c1", "c2"]


@CLAUDES
def test_rounds_of_a_tool_loop_stay_apart(to: str) -> None:
    items = [HELLO, call(1), result(1), call(2), result(2), {"role": "assistant", "content": "Hi"}]
    body, _ = sent(to, [*items, HELLO], tools=[TOOL])
    assert [each["role"] for each in body["messages"]] == [
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
        "assistant",
        "user",
    ]
    assert body["messages"][5]["content"] == "Hi"


@CLAUDES
def test_a_turn_begun_without_thoughts_goes_on_without(to: str) -> None:
    items = [HELLO, {"role": "assistant", "content": "See:"}, call(1), result(1)]
    body, dropped = sent(to, items, tools=[TOOL], reasoning={"effort": "high"})
    assert dropped == (["reasoning.effort"] if to == "older claude" else [])
    assert body["messages"][1]["content"] == [
        {"type": "text", "text": "See:"},
        {"type": "tool_use", "id": "c1", "name": "f", "input": {}},
    ]


@pytest.mark.parametrize("to", ["openai", "other server"])
def test_text_and_calls_of_one_turn_are_one_message_for_chat_completions(to: str) -> None:
    said = {"role": "assistant", "content": [{"type": "output_text", "text": "See:"}]}
    items = [HELLO, THOUGHT, said, call(1), call(2), result(1), result(2)]
    body, dropped = sent(to, items, tools=[TOOL])
    assert dropped == ["input[].reasoning"]
    assert [each["role"] for each in body["messages"]] == ["user", "assistant", "tool", "tool"]
    message = body["messages"][1]
    assert message["content"] == "See:"
    assert [each["id"] for each in message["tool_calls"]] == ["c1", "c2"]


@EVERY
def test_foreign_proofs_of_thoughts_are_shown_to_nobody_but_their_maker(to: str) -> None:
    own = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "of-openai"}
    bare = {**THOUGHT, "encrypted_content": f"{FOREIGN_MARK}thoughts"}
    other = {**THOUGHT, "encrypted_content": f"{FOREIGN_MARK}elsewhere.signature.of-elsewhere"}
    said = {"role": "assistant", "content": "Hi"}
    body, _ = sent(to, [HELLO, own, bare, other, said, HELLO])
    text = json.dumps(body)
    assert FOREIGN_MARK not in text
    assert "of-openai" not in text
    assert "of-elsewhere" not in text


def test_openais_own_gets_the_members_that_both_its_apis_have() -> None:
    members: dict[str, object] = {
        "metadata": {"a": "b"},
        "store": True,
        "prompt_cache_key": "k",
        "safety_identifier": "s",
        "service_tier": "flex",
        "temperature": 0.5,
        "top_p": 0.25,
    }
    body, dropped = sent("openai", **members)
    assert dropped == []
    assert {name: body[name] for name in members} == members
