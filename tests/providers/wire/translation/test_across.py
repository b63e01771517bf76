"""What both APIs can say comes back equal when it has been translated there and back."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.wire import WireError
from providers.wire.translation.codec import Row, Target
from providers.wire.translation.codecs import codec_of
from providers.wire.translation.translation import Translation

MODELS = {"openai": "gpt-5.6-sol", "anthropic": "claude-opus-4-6"}
"""Providers' models that take all that their API has."""

# Anthropic's API refuses texts of white space only, so no client of it sends such.
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12).filter(str.strip)
names = st.from_regex(r"[a-zA-Z0-9_-]{1,12}", fullmatch=True)
values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | words | st.integers(-(2**63), 2**64 - 1) | st.floats(-9, 9),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(words, inner, max_size=2),
    max_leaves=4,
)
arguments = st.dictionaries(words, values, max_size=2).filter(lambda v: "INVALID_JSON" not in v)
"""Arguments of a call; what is no object is told in ``INVALID_JSON``, which stands for itself."""
schemas = st.lists(names, max_size=2, unique=True).map(
    lambda fields: {
        "type": "object",
        "properties": {each: {"type": "string"} for each in fields},
        "required": fields,
        "additionalProperties": False,
    }
)
PNG, PDF = "iVBORw0KGgo=", "JVBERi0xLjQ="


def record(required: dict[str, Any], **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


def text(**optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    return record({"type": st.just("text"), "text": words}, **optional)


def translated(front: str, back: str, body: Mapping[str, Any]) -> tuple[dict[str, Any], set[str]]:
    """Translate a request; return it and what was left out of it."""
    done = Translation(
        codec_of(front),
        codec_of(back),
        json.dumps(body).encode(),
        Target(model=MODELS[back], official=True),
        answer_id="x",
        created=1,
    )
    return json.loads(done.body), set(done.dropped)


def there_and_back(front: str, back: str, body: Mapping[str, Any]) -> dict[str, Any]:
    there, dropped = translated(front, back, body)
    assert not dropped
    again, dropped = translated(back, front, there)
    assert not dropped
    return again


# --- chat completions


def chat_normal(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a chat completion's request in one of the ways in which the same can be put."""
    found = {**body, "model": MODELS["openai"]}
    found["messages"] = [chat_message(each) for each in body["messages"]]
    if isinstance(body.get("stop"), str):
        found["stop"] = [body["stop"]]
    if body.get("parallel_tool_calls") is True:
        del found["parallel_tool_calls"]
    if "parallel_tool_calls" in found:
        found.setdefault("tool_choice", "auto")
    if found.pop("stream", False):
        found["stream"] = True
        found["stream_options"] = {"include_usage": True}
    return found


def chat_message(message: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(message)
    content = message.get("content")
    if isinstance(content, str):
        found["content"] = [{"type": "text", "text": content}]
    for call in found.get("tool_calls", ()):
        given_ = call["function"]["arguments"]
        if isinstance(given_, str):
            call["function"] = {**call["function"], "arguments": json.loads(given_)}
    return found


chat_parts = (
    text(prompt_cache_breakpoint=st.just({"mode": "explicit"}))
    | st.sampled_from([f"data:image/png;base64,{PNG}", "https://e.com/a.webp"]).map(
        lambda url: {"type": "image_url", "image_url": {"url": url}}
    )
    | st.just(
        {
            "type": "file",
            "file": {"filename": "a.pdf", "file_data": f"data:application/pdf;base64,{PDF}"},
        }
    )
)
plain = words | st.lists(text(), min_size=1, max_size=2)


@st.composite
def chat_turn(draw: st.DrawFn, number: int) -> list[dict[str, Any]]:
    """Draw what the user says, what is answered, and calls with their results."""
    turn: list[dict[str, Any]] = [
        {"role": "user", "content": draw(words | st.lists(chat_parts, min_size=1, max_size=3))}
    ]
    called = draw(st.lists(st.tuples(names, names, arguments), max_size=3))
    said = {"role": "assistant", "content": draw(st.none() | plain if called else plain)}
    calls = [
        {
            "id": f"call_{number}_{at}_{name}",
            "type": "function",
            "function": {"name": tool, "arguments": json.dumps(given_)},
        }
        for at, (name, tool, given_) in enumerate(called)
    ]
    if calls:
        said["tool_calls"] = calls
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": draw(plain)} for call in calls
    ]
    return [*turn, said, *results]


@st.composite
def chat_requests(draw: st.DrawFn) -> dict[str, Any]:
    messages: list[dict[str, Any]] = []
    if draw(st.booleans()):
        messages.append({"role": "system", "content": draw(plain)})
    for number in range(draw(st.integers(0, 3))):
        messages += draw(chat_turn(number))
    messages.append({"role": "user", "content": draw(plain)})
    body: dict[str, Any] = {"model": "m", "messages": messages} | draw(
        record(
            {"max_completion_tokens": st.integers(1, 999)},
            temperature=st.floats(0, 1),
            stop=st.lists(words, min_size=1, max_size=4) | words,
            stream=st.booleans(),
            reasoning_effort=st.sampled_from(["low", "medium", "high", "xhigh", "max"]),
            safety_identifier=words,
            response_format=schemas.map(
                lambda schema: {
                    "type": "json_schema",
                    "json_schema": {"name": "answer", "schema": schema, "strict": True},
                }
            ),
        )
    )
    if "temperature" not in body and draw(st.booleans()):
        body["top_p"] = draw(st.floats(0, 1))  # newer models of Anthropic's take one of the two
    tools = draw(st.lists(record({"name": names, "parameters": schemas}, description=words,
                                 strict=st.just(value=True)), max_size=3))  # fmt: skip
    if tools:
        body["tools"] = [{"type": "function", "function": tool} for tool in tools]
        one = {"type": "function", "function": {"name": tools[0]["name"]}}
        body |= draw(
            record(
                {},
                tool_choice=st.sampled_from(["auto", "required", one]),
                parallel_tool_calls=st.booleans(),
            )
        )
        if "parallel_tool_calls" not in body and draw(st.booleans()):
            body["tool_choice"] = "none"
    return body


@given(chat_requests())
def test_a_chat_completion_comes_back_from_anthropic_equal(body: dict[str, Any]) -> None:
    again = there_and_back("openai", "anthropic", body)
    assert chat_normal(again) == chat_normal(body)


# --- Anthropic's messages


def messages_normal(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a request for a message in one of the ways in which the same can be put.

    The API itself takes messages of one role that follow each other for one.
    """
    found = {**body, "model": MODELS["anthropic"]}
    found["messages"] = []
    for message in body["messages"]:
        content = blocks(message["content"])
        last = found["messages"][-1] if found["messages"] else None
        if last is not None and last["role"] == message["role"]:
            last["content"] += content
        else:
            found["messages"].append({"role": message["role"], "content": content})
    if "system" in body:
        found["system"] = blocks(body["system"])
    choice = body.get("tool_choice")
    if choice is not None and choice.get("disable_parallel_tool_use") is False:
        found["tool_choice"] = {
            key: choice[key] for key in choice.keys() - {"disable_parallel_tool_use"}
        }
    if body.get("service_tier") == "auto":
        del found["service_tier"]
    if not body.get("stream"):
        found.pop("stream", None)
    return found


def blocks(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    return [
        {**block, "content": blocks(block["content"])} if "content" in block else block
        for block in content
    ]


cache = st.just({"type": "ephemeral"})
images = st.sampled_from(
    [
        {"type": "base64", "media_type": "image/webp", "data": PNG},
        {"type": "url", "url": "https://e.com/a.png"},
    ]
)
block = (
    text(cache_control=cache)
    | record({"type": st.just("image"), "source": images}, cache_control=cache)
    | record(
        {
            "type": st.just("document"),
            "source": st.just({"type": "base64", "media_type": "application/pdf", "data": PDF}),
            "title": words,
        },
        cache_control=cache,
    )
)


@st.composite
def messages_turn(draw: st.DrawFn, number: int) -> list[dict[str, Any]]:
    texts = draw(st.lists(text(), max_size=2))
    called = draw(st.lists(st.tuples(names, names, arguments), max_size=3))
    calls = [
        {"type": "tool_use", "id": f"toolu_{number}_{at}_{name}", "name": tool, "input": given_}
        for at, (name, tool, given_) in enumerate(called)
    ]
    results: list[dict[str, Any]] = [
        {"type": "tool_result", "tool_use_id": call["id"], "content": draw(plain)} for call in calls
    ]
    said = draw(words) if not texts + calls else texts + calls
    turn: list[dict[str, Any]] = [
        {"role": "user", "content": draw(words | st.lists(block, min_size=1, max_size=3))},
        {"role": "assistant", "content": said},
    ]
    if results:
        turn.append({"role": "user", "content": results + draw(st.lists(block, max_size=2))})
    return turn


@st.composite
def messages_requests(draw: st.DrawFn) -> dict[str, Any]:
    messages: list[dict[str, Any]] = []
    for number in range(draw(st.integers(0, 3))):
        messages += draw(messages_turn(number))
    messages.append({"role": "user", "content": draw(plain)})
    body: dict[str, Any] = {"model": "m", "messages": messages} | draw(
        record(
            {"max_tokens": st.integers(1, 999)},
            system=words | st.lists(text(cache_control=cache), min_size=1, max_size=2),
            temperature=st.floats(0, 1),
            stop_sequences=st.lists(words, min_size=1, max_size=4),
            stream=st.booleans(),
            metadata=record({"user_id": words}),
            service_tier=st.sampled_from(["auto", "standard_only"]),
            output_config=record(
                {"effort": st.sampled_from(["low", "medium", "high", "xhigh", "max"])},
                format=schemas.map(lambda schema: {"type": "json_schema", "schema": schema}),
            ),
        )
    )
    if "temperature" not in body and draw(st.booleans()):
        body["top_p"] = draw(st.floats(0, 1))  # newer models of Anthropic's take one of the two
    tools = draw(st.lists(record({"name": names, "input_schema": schemas}, description=words,
                                 strict=st.just(value=True)), max_size=3))  # fmt: skip
    if tools:
        body["tools"] = tools
        one = {"type": "tool", "name": tools[0]["name"]}
        serial = record({}, disable_parallel_tool_use=st.booleans())
        choice = draw(st.none() | st.sampled_from([{"type": "auto"}, {"type": "any"}, one]))
        if choice is not None:
            body["tool_choice"] = {**choice, **draw(serial)}
        elif draw(st.booleans()):
            body["tool_choice"] = {"type": "none"}
    return body


@given(messages_requests())
def test_a_message_comes_back_from_openai_equal(body: dict[str, Any]) -> None:
    again = there_and_back("anthropic", "openai", body)
    assert messages_normal(again) == messages_normal(body)


# --- whatever is asked


def with_junk(draw: st.DrawFn, value: Any) -> Any:
    """Return a body with something else in one place of it."""
    if isinstance(value, dict) and value and draw(st.integers(0, 5)):
        key = draw(st.sampled_from(sorted(value)))
        return {**value, key: with_junk(draw, value[key])}
    if isinstance(value, list) and value and draw(st.integers(0, 5)):
        at = draw(st.integers(0, len(value) - 1))
        return [*value[:at], with_junk(draw, value[at]), *value[at + 1 :]]
    return draw(values | st.just("") | st.lists(values, max_size=1))


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[str, str, dict[str, Any]]:
    front, back, requests = draw(
        st.sampled_from(
            [("openai", "anthropic", chat_requests()), ("anthropic", "openai", messages_requests())]
        )
    )
    body = draw(requests)
    key = draw(st.sampled_from(sorted(body)))
    return front, back, {**body, key: with_junk(draw, body[key])}


@given(spoilt())
def test_whatever_is_asked_is_refused_with_its_place_or_is_put_as_the_provider_takes_it(
    drawn: tuple[str, str, dict[str, Any]],
) -> None:
    front, back, body = drawn
    try:
        there, _ = translated(front, back, body)
    except WireError as error:
        refused = error
    else:
        codec_of(back).decode_request(json.dumps(there).encode())
        return
    assert refused.param
    assert str(refused).startswith(refused.param)


@pytest.mark.parametrize(
    ("field", "given_"),
    [
        ("output_config.effort", {"output_config": {"effort": ["high"]}}),
        ("thinking.type", {"thinking": {"type": {}}}),
        ("thinking.type", {"thinking": []}),
        ("tool_choice.name", {"tool_choice": {"type": "tool", "name": ""}}),
    ],
)
def test_what_is_no_word_in_a_words_place_is_refused(field: str, given_: dict[str, Any]) -> None:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    with pytest.raises(WireError) as refused:
        translated("anthropic", "openai", {**body, **given_})
    assert refused.value.param == field


SEARCH = {"type": "web_search_20260318", "name": "web_search"}
HOSTED = {"type": "shell", "name": "shell"}
FUNCTION = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
MESSAGES = [{"role": "user", "content": "Hi"}]


def test_a_choice_of_a_tool_that_is_not_sent_is_not_sent_either() -> None:
    body = {"model": "m", "max_tokens": 9, "messages": MESSAGES}
    tool = {"name": "f", "input_schema": {"type": "object"}}
    for tools in ([SEARCH], [tool, SEARCH]):
        chosen = {"type": "tool", "name": "web_search"}
        asked = {**body, "tools": tools, "tool_choice": chosen}
        there, dropped = translated("anthropic", "openai", asked)
        assert "tool_choice" not in there
        assert dropped == {"tool_choice", f"tools[{len(tools) - 1}]"}
    named = {"type": "custom", "custom": {"name": "shell"}}
    asked = {**body, "tools": [FUNCTION, HOSTED], "tool_choice": named}
    there, dropped = translated("openai", "anthropic", asked)
    assert "tool_choice" not in there
    assert dropped == {"tool_choice", "tools[1]"}


@pytest.mark.parametrize(
    ("model", "asked", "sent", "left_out"),
    [
        ("claude-opus-4-6", {"temperature": 0.2, "top_p": 0.9}, {"temperature": 0.2}, {"top_p"}),
        ("claude-opus-4-6", {"temperature": 0.2, "top_p": 1}, {"temperature": 0.2}, set()),
        ("claude-opus-4-6", {"temperature": 1, "top_p": 0.9}, {"top_p": 0.9}, set()),
        ("claude-opus-4-6", {"temperature": 1.5, "top_p": 0.9}, {"temperature": 1.0},
         {"temperature", "top_p"}),
        ("claude-3-opus-20240229", {"temperature": 0.2, "top_p": 0.9},
         {"temperature": 0.2, "top_p": 0.9}, set()),
    ],
)  # fmt: skip
def test_newer_models_of_anthropics_are_told_temperature_or_top_p(
    model: str, asked: dict[str, float], sent: dict[str, float], left_out: set[str]
) -> None:
    body = json.dumps({"model": "m", "messages": MESSAGES, **asked}).encode()
    target = Target(model=model, official=True)
    done = Translation(
        codec_of("openai"), codec_of("anthropic"), body, target, answer_id="x", created=1
    )
    found = json.loads(done.body)
    assert {name: found[name] for name in ("temperature", "top_p") if name in found} == sent
    assert set(done.dropped) == left_out


def test_texts_of_white_space_are_not_sent_where_they_are_refused() -> None:
    blank = {"type": "text", "text": " \n"}
    messages = [
        {"role": "system", "content": " "},
        {"role": "user", "content": [{"type": "text", "text": "Hi"}, blank]},
        {"role": "assistant", "content": "\n\n"},
        {"role": "user", "content": "\t"},
        {"role": "user", "content": "Well?"},
    ]
    there, dropped = translated("openai", "anthropic", {"model": "m", "messages": messages})
    assert "system" not in there
    assert [message["content"] for message in there["messages"]] == [
        [{"type": "text", "text": "Hi"}],
        "Well?",
    ]
    assert not dropped


# --- all that a request can have at once


def top_rows(front: str) -> list[Row]:
    """Return the rows of a request's own members that mean the same whatever else is there.

    Beside ``safety_identifier`` and ``temperature``, ``user`` and ``top_p`` are one too many.
    """
    others = {"user", "top_p"}
    rows = [row for row in codec_of(front).rows() if "[]" not in row.field]
    rows = [row for row in rows if row.field not in others]
    return [row for row in rows if set(row.example) - set(row.without)]


@given(st.data(), st.sampled_from([("openai", "anthropic"), ("anthropic", "openai")]))
def test_what_is_left_out_of_many_fields_is_what_is_left_out_of_each(
    data: st.DataObject, way: tuple[str, str]
) -> None:
    front, back = way
    rows = data.draw(st.lists(st.sampled_from(top_rows(front)), max_size=8, unique_by=id))
    body: dict[str, Any] = {"max_tokens": 64} if front == "anthropic" else {}
    expected: set[str] = set()
    for row in rows:
        body |= row.example
    for row in rows:
        if all(body.get(name) == value for name, value in row.example.items() if name in body):
            expected |= translated(front, back, row.example)[1]
    body.setdefault("messages", [{"role": "user", "content": "Hi"}])
    body.setdefault("model", "m")
    assert translated(front, back, body)[1] == expected
