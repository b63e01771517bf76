"""Every field of every API's request has a place in the other API, is named, or is refused.

The examples are those the tables of docs/translation.md are made of. What the tables say is not
taken on trust: the values of an example are looked for in what is sent.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pytest
from translation_page import DIRECTIONS, MODELS, PAGE, fate

from providers.wire import WireError
from providers.wire.translation.codec import Row, Target
from providers.wire.translation.codecs import codec_of, front_codec_of
from providers.wire.translation.translation import Translation

WORDS: Final = frozenset(
    {
        # What an API calls its parts, roles and wishes; the other has words of its own.
        "function", "custom", "developer", "refusal", "image_url", "file", "document", "tool_use",
        "tool_result", "text", "input_text", "input_image", "input_file", "output_text",
        "function_call", "function_call_output", "custom_tool_call", "custom_tool_call_output",
        "allowed_tools", "explicit", "completed", "reasoning.text", "anthropic-claude-v1",
        "text/plain", "tool", "base64", "url", "image", "message",
    }
)  # fmt: skip

MEANT: Final[Mapping[tuple[str, str], str]] = {
    # The asker's value, and what must be there in its place: in the words of JSON.
    ("anthropic", '"standard_only"'): '"service_tier":"default"',
    ("anthropic", '"any"'): '"tool_choice":"required"',
    ("anthropic", '"enabled"'): '"reasoning_effort":',
    ("anthropic", "4000"): '"reasoning_effort":"medium"',
    ("responses", '"message.output_text.logprobs"'): '"logprobs":true',
    ("openai", '"{\\"city\\":\\"Oslo\\"}"'): '"input":{"city":"Oslo"}',
    ("responses", '"{\\"city\\":\\"Oslo\\"}"'): '"input":{"city":"Oslo"}',
    ("openai", '"{}"'): '"input":{}',
    ("openai", '"data:image/png;base64,iVBORw0KGgo="'): '"data":"iVBORw0KGgo="',
    ("responses", '"data:image/png;base64,iVBORw0KGgo="'): '"data":"iVBORw0KGgo="',
    ("openai", '"data:application/pdf;base64,JVBERi0xLjQ="'): '"data":"JVBERi0xLjQ="',
    ("responses", '"data:application/pdf;base64,JVBERi0xLjQ="'): '"data":"JVBERi0xLjQ="',
}

SILENT: Final[Mapping[tuple[str, str], str]] = {
    # The only fields that neither change what is sent nor are named, and why that is no loss.
    ("openai", "model"): "the provider's own model is asked",
    ("anthropic", "model"): "the provider's own model is asked",
    ("responses", "model"): "the provider's own model is asked",
    ("completions", "model"): "the provider's own model is asked",
    ("openai", "response_format (text)"): "the default",
    ("responses", "text.format (text)"): "the default",
    ("openai", "response_format.json_schema.strict"): "schemas are always followed there",
    ("responses", "text.format.strict"): "schemas are always followed there",
    ("openai", "stream_options"): "usage is always sent there; it is told to who asked for it",
    ("completions", "stream_options"): "usage is always sent there",
    ("openai", "stream_options.include_obfuscation"): "padding; translated streams have none",
    ("responses", "stream_options.include_obfuscation"): "padding; translated streams have none",
    ("openai", "messages[].annotations"): "of no effect in any API",
    ("anthropic", "cache_control"): "OpenAI caches whole prompts by itself",
    ("anthropic", "thinking: adaptive"): "how much is the model's to decide: the default",
    ("anthropic", "thinking: between_tools"): "when it thinks is the model's to decide there",
    ("anthropic", "thinking: disabled"): "documented beside the row",
    ("responses", "include (reasoning.encrypted_content)"): "translated answers always have it",
    ("responses", "reasoning.summary"): "translated answers always have it",
    ("responses", "input[] (reasoning)"): "foreign thoughts are read by nobody",
}

GONE: Final[Mapping[tuple[str, str], frozenset[str]]] = {
    # Values that are left out of what is otherwise carried, and are not worth a name.
    ("openai", "messages[].reasoning_content"): frozenset({'"A greeting."'}),  # without proof
    ("openai", "response_format (json_schema)"): frozenset({'"place"'}),  # a label
    ("responses", "text.format (json_schema)"): frozenset({'"place"'}),
    ("openai", "messages[].content[].prompt_cache_breakpoint"): frozenset({'"30m"'}),  # a hint
    ("responses", "input[].content[].prompt_cache_breakpoint"): frozenset({'"30m"'}),
    ("responses", "input[] (message, assistant)"): frozenset({'"msg_1"'}),  # nobody refers to it
    ("openai", "messages[] (tool)"): frozenset({"null"}),  # content: null beside calls
    ("openai", "messages[] (function)"): frozenset({"null"}),
    ("anthropic", "tool_result.is_error"): frozenset({"true"}),  # the text says so
    ("anthropic", "tool_choice.disable_parallel_tool_use"): frozenset({"true"}),  # see below
}


def cases() -> list[Any]:
    return [
        pytest.param(front, back, row, id=f"{front} to {back}: {row.field}")
        for front, back in DIRECTIONS
        for row in front_codec_of(front).rows()
    ]


def translated(front: str, back: str, body: Mapping[str, object]) -> Translation:
    return Translation(
        front_codec_of(front),
        codec_of(back),
        json.dumps(body).encode(),
        Target(model=MODELS[back], official=True),
        answer_id="x",
        created=0,
    )


def leaves(value: object) -> Iterator[str]:
    """Yield all values in a body, each in the words of JSON."""
    if isinstance(value, dict):
        for each in value.values():
            yield from leaves(each)
    elif isinstance(value, list):
        for each in value:
            yield from leaves(each)
    else:
        yield json.dumps(value)


def compact(body: bytes) -> str:
    return json.dumps(json.loads(body), separators=(",", ":"), ensure_ascii=False)


def sent_for(front: str, value: str, sent: str) -> str | None:
    """Return what stands in a body for an asker's value; None when nothing does."""
    bare = value[1:-1] if value.startswith('"') else value
    for words in (bare, MEANT.get((front, value))):
        if words is not None and words in sent:
            return words
    return None


@pytest.mark.parametrize(("front", "back", "row"), cases())
def test_a_field_is_carried_or_named_or_refused(front: str, back: str, row: Row) -> None:
    told = fate(front, back, row)
    if told.startswith("refused"):
        with pytest.raises(WireError) as refused:
            translated(front, back, row.example)
        assert refused.value.param, "a refusal says where"
        assert refused.value.param in str(refused.value)
        return
    found, plain = translated(front, back, row.example), translated(front, back, row.without)
    named = set(found.dropped) - set(plain.dropped)
    same = compact(found.body) == compact(plain.body)
    if named:
        assert all(f"`{path}`" in told for path in named)
        assert ("left out" in told) is same
        return
    assert told.startswith("means nothing") is same
    if same:
        assert (front, row.field) in SILENT, "lost without a word"
        return
    sent = compact(found.body)
    new = set(leaves(row.example)) - set(leaves(row.without))
    for value in new - GONE.get((front, row.field), frozenset()):
        if json.loads(value) not in WORDS:
            assert sent_for(front, value, sent), f"{value} is neither sent nor named: {sent}"


@pytest.mark.parametrize(("front", "back", "row"), cases())
def test_the_page_says_what_becomes_of_a_field(front: str, back: str, row: Row) -> None:
    cell = row.field.replace("|", "\\|")
    says = fate(front, back, row).replace("|", "\\|").replace("\n", " ")
    assert f"| `{cell}` | {says}." in PAGE.read_text(encoding="utf-8")


@pytest.mark.parametrize(("front", "field"), sorted(SILENT))
def test_what_is_passed_over_is_a_field_that_is_passed_over(front: str, field: str) -> None:
    row = next(row for row in front_codec_of(front).rows() if row.field == field)
    backs = [back for each, back in DIRECTIONS if each == front]
    assert any(fate(front, back, row).startswith("means nothing") for back in backs)


def test_serial_calls_and_failed_results_are_said_in_the_others_way() -> None:
    rows = {row.field: row for row in front_codec_of("anthropic").rows()}
    serial = rows["tool_choice.disable_parallel_tool_use"]
    body = json.loads(translated("anthropic", "openai", serial.example).body)
    assert body["parallel_tool_calls"] is False
    failed = json.loads(
        translated("anthropic", "openai", rows["tool_result.is_error"].example).body
    )
    assert failed["messages"][-1]["content"].startswith("Error: ")
