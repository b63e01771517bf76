"""How another provider is asked to go on, and when it is not."""

import json

import pytest

from providers.wire.anthropic_continuation import AnthropicContinuation
from providers.wire.continuation import INSTRUCTION, MAX_TRANSCRIPT
from providers.wire.openai_continuation import OpenAIContinuation
from providers.wire.translation.anthropic_models import claude_model
from tests.support.answers import anthropic_event, opening, request_body, tokens


def anthropic(**more: object) -> AnthropicContinuation:
    body = request_body("anthropic", "m", stream=True, **more)
    return AnthropicContinuation(json.dumps(body).encode())


def begun(joined: AnthropicContinuation, *words: str) -> AnthropicContinuation:
    joined.feed(b"".join([*opening("anthropic"), *tokens("anthropic", words)]))
    return joined


@pytest.mark.parametrize(
    ("model", "style"),
    [
        ("claude-instant-1.2", "prefill"),
        ("claude-2.1", "prefill"),
        ("claude-3-5-haiku-latest", "prefill"),
        ("anthropic/claude-3.7-sonnet", "prefill"),
        ("claude-sonnet-4-0", "prefill"),
        ("claude-sonnet-4-20250514", "prefill"),
        ("claude-sonnet-4@20250514", "prefill"),
        ("anthropic/claude-opus-4", "prefill"),
        ("claude-opus-4-1-20250805", "prefill"),
        ("claude-opus-4-5", "prefill"),
        ("anthropic/claude-opus-4.5", "prefill"),
        ("claude-haiku-4-5", "prefill"),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "prefill"),
        ("claude-opus-4-6", "instruction"),
        ("us.anthropic.claude-opus-4-6-v1", "instruction"),
        ("anthropic/claude-sonnet-4.6", "instruction"),
        ("claude-opus-4-8", "instruction"),
        ("claude-opus-4-10", "instruction"),
        ("claude-haiku-4-6", "instruction"),
        ("claude-mythos-preview", "instruction"),
        ("claude-fable-5-1", "instruction"),
        ("claude-haiku-5-5", "instruction"),
        ("claude-sonnet-5-5", "instruction"),
        ("claude-opus-4-latest", "instruction"),
        ("claude-30", "instruction"),
        ("claude-next", "instruction"),
        ("sim-claude-1", "instruction"),
    ],
)
def test_only_models_known_to_take_a_prefill_get_one(model: str, style: str) -> None:
    assert anthropic().style("auto", model) == style
    # Where a request is translated, its encoder has to know the same.
    assert claude_model(model).prefill == (style == "prefill")


def test_thinking_is_not_asked_for_again_and_less_of_the_answer_is() -> None:
    joined = begun(anthropic(thinking={"type": "adaptive"}, top_k=3), "x" * 40, " ")
    assert joined.cut() is None
    asked = json.loads(joined.request("prefill"))
    assert "thinking" not in asked
    assert asked["top_k"] == 3
    assert asked["max_tokens"] == 100 - 11
    assert asked["messages"][1:] == [{"role": "assistant", "content": "x" * 40}]


def test_a_request_that_is_to_be_translated_has_nothing_in_it_that_cannot_be() -> None:
    body = request_body("openai", "m", stream=True, reasoning_effort="high")
    joined = OpenAIContinuation(json.dumps(body).encode())
    joined.feed(b"".join([*opening("openai"), *tokens("openai", ["one"])]))
    assert joined.cut() is None
    own = json.loads(joined.request("prefill"))
    assert (own["continue_final_message"], own["reasoning_effort"]) == (True, "high")
    asked = json.loads(joined.request("prefill", translated=True))
    assert asked["messages"][-1] == {"role": "assistant", "content": "one"}
    assert asked.keys() == {"model", "messages", "stream"}


def test_a_server_that_goes_on_by_marks_of_its_own_is_asked_in_words_by_another_api() -> None:
    assert OpenAIContinuation.style("prefill", "m") == "prefill"
    assert OpenAIContinuation.style("prefill", "m", translated=True) == "instruction"
    assert OpenAIContinuation.style("never", "m", translated=True) is None
    assert AnthropicContinuation.style("auto", "claude-opus-4-5", translated=True) == "prefill"


def test_the_askers_own_beginning_of_the_answer_is_part_of_what_is_told() -> None:
    messages = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": [{"type": "text", "text": "Sure: "}]},
    ]
    joined = begun(anthropic(messages=messages), "one")
    assert joined.cut() is None
    assert json.loads(joined.request("instruction"))["messages"][1:] == [
        {"role": "assistant", "content": [{"type": "text", "text": "Sure: one"}]},
        {"role": "user", "content": INSTRUCTION},
    ]


def block(kind: str, **more: object) -> bytes:
    content = {"type": kind, **more}
    return anthropic_event("content_block_start", {"index": 0, "content_block": content})


def test_thinking_and_the_providers_own_tools_are_not_continued() -> None:
    thinking = anthropic()
    thinking.feed(opening("anthropic")[0] + block("thinking", thinking="hm", signature=""))
    assert thinking.cut() == "thinking"
    searching = anthropic()
    searching.feed(opening("anthropic")[0] + block("server_tool_use", id="s", name="web_search"))
    assert searching.cut() == "server_tools"


def test_json_by_schema_is_not_continued() -> None:
    shape = {"format": {"type": "json_schema", "schema": {}}}
    assert begun(anthropic(output_config=shape), "{").cut() == "structured_output"


def test_a_stream_that_has_grown_too_long_is_relayed_but_not_continued() -> None:
    joined = OpenAIContinuation(json.dumps(request_body("openai", "m", stream=True)).encode())
    long = tokens("openai", ["x" * (MAX_TRANSCRIPT + 1), "more"])
    assert joined.feed(b"".join(long)) == b"".join(long)
    assert joined.text == ""
    assert joined.cut() == "too_long"
