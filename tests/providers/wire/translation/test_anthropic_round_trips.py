"""Whatever Anthropic's types allow in a request comes back as it was, or is named."""

import json
import types
import typing
from collections.abc import Iterable
from typing import Any, Literal, Required, Union, get_args, get_origin

import pytest
import typing_extensions
from anthropic.types import (
    ContentBlockParam,
    TextBlockParam,
    ToolChoiceParam,
    ToolParam,
    WebSearchTool20250305Param,
)
from anthropic.types.message_create_params import MessageCreateParamsNonStreaming
from hypothesis import given
from hypothesis import strategies as st

from providers.wire.translation.anthropic_codec import ANTHROPIC_CODEC
from providers.wire.translation.codec import Target

TARGET = Target(model="claude-opus-4-5", version="2026-10-21")
words = st.from_regex(r"[a-zA-Z0-9_-]{1,8}", fullmatch=True)
schemas = st.just({"type": "object", "properties": {"a": {"type": "string"}}})
ANSWERED = frozenset({"tool_result"})
SAID = frozenset({"thinking", "redacted_thinking", "tool_use", "server_tool_use"})


def of_type(kind: Any) -> st.SearchStrategy[Any]:
    """Return values of one of the SDK's types of what is sent, without nulls."""
    if typing_extensions.is_typeddict(kind):
        return of_dict(kind)
    origin, inner = get_origin(kind), get_args(kind)
    if origin in {typing.Required, typing.NotRequired, typing.Annotated}:
        return of_type(inner[0])
    if origin is Literal:
        return st.sampled_from(inner)
    if origin in {Union, types.UnionType}:
        return st.one_of([of_type(each) for each in inner if each is not type(None)])
    if origin is dict:
        return st.dictionaries(words, words | st.integers(-9, 9) | st.none(), max_size=2)
    if isinstance(origin, type) and issubclass(origin, Iterable):
        return st.lists(of_type(inner[0]), min_size=1, max_size=2)
    return PLAIN[kind]


PLAIN: dict[Any, st.SearchStrategy[Any]] = {
    str: words | st.text("é\n𝄞 x", max_size=4).map(lambda text: f"{text}!"),
    int: st.integers(0, 99),
    float: st.floats(0, 1),
    bool: st.booleans(),
    object: words,
}
OF_NAME: dict[str, st.SearchStrategy[Any]] = {
    "id": words,
    "tool_use_id": words,
    "name": words,
    "data": words,
    "input_schema": schemas,
    "schema": schemas,
}


def of_dict(kind: Any) -> st.SearchStrategy[dict[str, Any]]:
    needed: dict[str, st.SearchStrategy[Any]] = {}
    optional: dict[str, st.SearchStrategy[Any]] = {}
    for name, hint in typing.get_type_hints(kind, include_extras=True).items():
        inner = get_args(hint)[0] if get_origin(hint) is Required else hint
        told = get_origin(inner) is Literal
        values = of_type(inner) if told or name not in OF_NAME else OF_NAME[name]
        (needed if get_origin(hint) is Required else optional)[name] = values
    return st.fixed_dictionaries(needed, optional=optional)


blocks: st.SearchStrategy[dict[str, Any]] = of_type(ContentBlockParam)
texts: st.SearchStrategy[dict[str, Any]] = of_type(TextBlockParam)
plain = st.text("abc é", min_size=1, max_size=5).filter(str.strip)


def results_first(content: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(content, key=lambda block: block["type"] not in ANSWERED)


user_contents = plain | st.lists(
    blocks.filter(lambda block: block["type"] not in SAID), min_size=1, max_size=3
).map(results_first)
said_contents = plain | st.lists(
    blocks.filter(lambda block: block["type"] not in ANSWERED), min_size=1, max_size=3
)
system_contents = plain | st.lists(texts, min_size=1, max_size=2)


@st.composite
def conversations(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw turns of the user and the model, instructions between them, the user's the last."""
    found: list[dict[str, Any]] = []
    for _ in range(draw(st.integers(0, 2))):
        found.append({"role": "user", "content": draw(user_contents)})
        if draw(st.booleans()):
            found.append({"role": "system", "content": draw(system_contents)})
        found.append({"role": "assistant", "content": draw(said_contents)})
    return [*found, {"role": "user", "content": draw(user_contents)}]


HINTS = typing.get_type_hints(MessageCreateParamsNonStreaming, include_extras=True)
REST = HINTS.keys() - {
    *("messages", "model", "max_tokens", "tools", "tool_choice", "stop_sequences", "stream"),
    # What is told in headers.
    *("user_profile_id", "workspace_id"),
}
requests: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {
        "model": st.just(TARGET.model),
        "max_tokens": st.integers(1, 99),
        "messages": conversations(),
        "tools": st.lists(
            of_type(ToolParam) | of_type(WebSearchTool20250305Param), min_size=1, max_size=2
        ),
    },
    optional={
        "tool_choice": of_type(ToolChoiceParam),
        "stop_sequences": st.lists(words, min_size=1, max_size=5),
        "stream": st.just(True),  # noqa: FBT003 - the value that is drawn
        **{name: of_type(HINTS[name]) for name in REST},
    },
)


def differences(asked: Any, sent: Any, path: str = "") -> set[str]:
    """Return where something was asked for that was not sent, or something else."""
    if isinstance(asked, dict) and isinstance(sent, dict):
        assert sent.keys() <= asked.keys(), f"{path}: {sent.keys() - asked.keys()} was never said"
        found: set[str] = set()
        for name, value in asked.items():
            inner = f"{path}.{name}" if path else name
            found |= differences(value, sent[name], inner) if name in sent else {inner}
        return found
    if isinstance(asked, list) and isinstance(sent, list) and len(asked) == len(sent):
        both = enumerate(zip(asked, sent, strict=True))
        return set().union(*(differences(*pair, f"{path}[{at}]") for at, pair in both))
    return set() if asked == sent else {path}


def usual(value: Any) -> Any:
    """Return a request as the codec puts it where there are two ways to say the same."""
    if isinstance(value, list):
        return [usual(each) for each in value]
    if not isinstance(value, dict):
        return value
    found = {name: usual(each) for name, each in value.items() if each not in (None, [], {})}
    kind, content = found.get("type"), found.get("content")
    if "input_schema" in found and kind == "custom":
        del found["type"]
    if "input" in value:
        found["input"] = value["input"]
    if kind == "tool_result" and is_text(content):
        found["content"] = found["content"][0]["text"]
    if isinstance(content, str) and (kind == "content" or found.get("role") == "system"):
        found["content"] = [{"type": "text", "text": content}]
    if is_text(found.get("system")):
        found["system"] = found["system"][0]["text"]
    if found.get("caller") == {"type": "direct"} and kind == "tool_use":
        del found["caller"]
    return found


def is_text(content: Any) -> bool:
    return isinstance(content, list) and len(content) == 1 and content[0].keys() == {"type", "text"}


@pytest.mark.parametrize(
    "text",
    [
        {"type": "text", "text": "x", "citations": [{"type": "page_location", "cited_text": "x"}]},
        {"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}},
    ],
)
def test_a_text_that_a_tool_returned_keeps_what_belongs_to_it(text: dict[str, Any]) -> None:
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": [text]}
    messages = [{"role": "assistant", "content": [call]}, {"role": "user", "content": [result]}]
    body = json.dumps({"model": TARGET.model, "max_tokens": 9, "messages": messages}).encode()
    encoded = ANTHROPIC_CODEC.encode_request(ANTHROPIC_CODEC.decode_request(body), TARGET)
    assert json.loads(encoded.body)["messages"] == messages


@given(requests)
def test_what_is_asked_for_comes_back_or_is_named(body: dict[str, Any]) -> None:
    request = ANTHROPIC_CODEC.decode_request(json.dumps(body).encode())
    encoded = ANTHROPIC_CODEC.encode_request(request, TARGET)
    asked, sent = usual(body), usual(json.loads(encoded.body))
    assert differences(asked, sent) == set(encoded.dropped)
    again = ANTHROPIC_CODEC.decode_request(encoded.body)
    assert ANTHROPIC_CODEC.encode_request(again, TARGET).body == encoded.body
