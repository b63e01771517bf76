"""Requests as programs write them: simple ones go into either dialect, others stay as they are."""

from typing import Any

import pytest

from providers.chat_request import DEFAULT_MAX_TOKENS, ChatRequest, chat_bodies
from providers.wire import WireError

HI = {"role": "user", "content": "hi"}


def bodies(request: Any, **more: Any) -> dict[str, Any]:
    return {each.dialect: each.members for each in chat_bodies(request, **more)}


@pytest.mark.parametrize(
    "request_",
    [
        "hi",
        [HI],
        {"messages": [HI]},
        ChatRequest(messages=[HI]),
    ],
    ids=["text", "messages", "mapping", "struct"],
)
def test_the_simplest_request_goes_into_both_dialects(request_: Any) -> None:
    found = bodies(request_, model="m")
    assert found["openai"] == {
        "model": "m",
        "messages": [HI],
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    assert found["anthropic"] == {
        "model": "m",
        "messages": [HI],
        "stream": True,
        "max_tokens": DEFAULT_MAX_TOKENS,
    }


def test_what_both_apis_have_is_put_where_each_wants_it() -> None:
    request = ChatRequest(
        messages=[{"role": "system", "content": "Be brief."}, HI],
        model="m",
        system="Be kind.",
        max_tokens=9,
        temperature=0.5,
        top_p=0.9,
        stop="END",
    )
    found = bodies(request)
    openai, anthropic = found["openai"], found["anthropic"]
    assert openai["messages"] == [
        {"role": "system", "content": "Be kind."},
        {"role": "system", "content": "Be brief."},
        HI,
    ]
    assert (openai["stop"], openai["max_tokens"], openai["temperature"]) == (["END"], 9, 0.5)
    assert anthropic["system"] == "Be kind.\n\nBe brief."
    assert anthropic["messages"] == [HI]
    assert (anthropic["stop_sequences"], anthropic["max_tokens"]) == (["END"], 9)
    assert openai["top_p"] == anthropic["top_p"] == 0.9


@pytest.mark.parametrize(
    ("more", "dialect"),
    [
        ({"response_format": {"type": "json_object"}}, "openai"),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, "openai"),
        ({"a_new_field": 1}, "openai"),
        ({"messages": [{"role": "tool", "tool_call_id": "1", "content": "x"}]}, "openai"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
            "openai",
        ),
        ({"top_k": 5}, "anthropic"),
        ({"system": [{"type": "text", "text": "a"}]}, "anthropic"),
        ({"tools": [{"name": "f", "input_schema": {}}]}, "anthropic"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "anthropic"),
        ({"messages": [{"role": "user", "content": [{"type": "tool_result"}]}]}, "anthropic"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}
                        ],
                    }
                ]
            },
            "anthropic",
        ),
    ],
)
def test_a_request_with_more_is_told_by_it_and_keeps_every_field(
    more: dict[str, Any], dialect: str
) -> None:
    request = {"model": "m", "messages": [HI], "max_tokens": 5, **more}
    found = bodies(request)
    assert list(found) == [dialect]
    kept = {key: value for key, value in found[dialect].items() if key != "stream_options"}
    assert kept == {**request, "stream": True}


def test_the_dialect_can_be_said() -> None:
    request = {"model": "m", "messages": [HI], "max_tokens": 5}
    assert list(bodies(request, dialect="anthropic")) == ["anthropic"]
    assert (
        "max_tokens" not in bodies({"messages": [HI]}, model="m", dialect="anthropic")["anthropic"]
    )


def test_what_the_request_says_of_streaming_and_usage_holds() -> None:
    assert bodies({"model": "m", "messages": [HI], "stream": False})["openai"]["stream"] is False
    own = {"model": "m", "messages": [HI], "stream_options": {"include_usage": False}}
    assert bodies(own)["openai"]["stream_options"] == {"include_usage": False}


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"messages": [HI]}, "model: say which"),
        ({"model": "m"}, "messages: a list"),
        ({"model": "m", "messages": []}, "messages: a list"),
        ({"model": "m", "messages": "hi"}, "messages: a list"),
        ({"model": "m", "messages": [HI, "hi"]}, r"messages\[1\]"),
        (7, "not int"),
    ],
)
def test_what_is_no_request_is_refused_and_named(request_: Any, said: str) -> None:
    with pytest.raises(WireError, match=said):
        chat_bodies(request_)


def test_an_unknown_dialect_is_refused() -> None:
    with pytest.raises(WireError, match="expected openai or anthropic"):
        chat_bodies([HI], model="m", dialect="cohere")
