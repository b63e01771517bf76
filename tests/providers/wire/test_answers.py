"""Telling good plain answers from bad ones that claim success."""

import json
from collections.abc import Mapping

import pytest

from providers.wire import ANTHROPIC, DIALECTS, OPENAI, AnswerFault, AnswerPeek, Usage
from tests.support.answers import answer

JSON = b"application/json"


def test_a_good_answer_gives_its_usage_reason_and_model() -> None:
    peek = OPENAI.peek_answer(json.dumps(answer("openai")).encode(), JSON)
    assert peek == AnswerPeek(Usage(3, 5), "stop", "m-1")
    peek = ANTHROPIC.peek_answer(json.dumps(answer("anthropic")).encode(), JSON)
    assert peek == AnswerPeek(Usage(3, 5), "end_turn", "m-1")


@pytest.mark.parametrize("name", sorted(DIALECTS))
@pytest.mark.parametrize(
    ("body", "content_type", "kind", "words"),
    [
        (b"", JSON, "bad_answer", "empty body"),
        (b"oops", JSON, "bad_answer", "not JSON"),
        (b"<html></html>", JSON, "bad_answer", "HTML"),
        (b"<html></html>", b"text/html", "bad_answer", "text/html"),
        (b"{}", b"text/plain; charset=utf-8", "bad_answer", "text/plain"),
        (b"{}", b"text/event-stream", "bad_answer", "text/event-stream"),
        (b"[]", JSON, "bad_answer", "not a JSON object"),
        (b"{}", JSON, "bad_answer", "completion|message|no output"),
        (b'{"choices": [', JSON, "bad_answer", "not JSON"),
        (b'{"error": {"type": "api_error", "message": "sorry"}}', JSON, "error_body", "sorry"),
        (b'{"error": "sorry"}', JSON, "error_body", "sorry"),
    ],
)
def test_a_bad_answer_is_a_fault(
    name: str, body: bytes, content_type: bytes, kind: str, words: str
) -> None:
    with pytest.raises(AnswerFault, match=words) as caught:
        DIALECTS[name].peek_answer(body, content_type)
    assert caught.value.kind == kind


@pytest.mark.parametrize(
    "change",
    [
        {"choices": []},
        {"choices": None},
        {"choices": [{"index": 0, "message": {"content": None}, "finish_reason": None}]},
        {"choices": [{"message": {"content": "", "tool_calls": []}, "finish_reason": ""}]},
        {"choices": ["text"]},
    ],
)
def test_an_empty_completion_is_a_fault(change: Mapping[str, object]) -> None:
    with pytest.raises(AnswerFault):
        OPENAI.peek_answer(json.dumps({**answer("openai"), **change}).encode(), JSON)


@pytest.mark.parametrize(
    "choice",
    [
        {"message": {"content": None, "tool_calls": [{"id": "c"}]}, "finish_reason": None},
        {"message": {"content": None, "refusal": "no"}},
        {"message": {"content": ""}, "finish_reason": "stop"},
        {"message": {"content": [{"type": "text", "text": "x"}]}},
        {"message": {"content": "x"}, "finish_reason": 7},
    ],
)
def test_an_unusual_completion_with_something_in_it_is_good(choice: Mapping[str, object]) -> None:
    OPENAI.peek_answer(json.dumps({**answer("openai"), "choices": [choice]}).encode(), JSON)


def test_an_answer_cut_off_by_a_content_filter_is_an_answer_that_says_so() -> None:
    choice = {"index": 0, "message": {"content": ""}, "finish_reason": "content_filter"}
    peek = OPENAI.peek_answer(json.dumps({"choices": [choice]}).encode(), None)
    assert peek.finish_reason == "content_filter"
    body = {**answer("anthropic"), "content": [], "stop_reason": "refusal"}
    assert ANTHROPIC.peek_answer(json.dumps(body).encode(), None).finish_reason == "refusal"


def test_an_error_of_a_content_filter_is_its_own_kind() -> None:
    body = b'{"error": {"message": "filtered", "type": null, "code": "content_filter"}}'
    with pytest.raises(AnswerFault) as caught:
        OPENAI.peek_answer(body, JSON)
    assert caught.value.kind == "content_filter"


@pytest.mark.parametrize(
    ("content", "good"),
    [
        ([], False),
        ([{"type": "text", "text": ""}], False),
        (None, False),
        ([{"type": "text", "text": "x"}], True),
        ([{"type": "tool_use", "id": "t", "name": "f", "input": {}}], True),
    ],
)
def test_a_message_without_a_stop_reason_must_hold_something(content: object, good: bool) -> None:
    body = json.dumps({**answer("anthropic"), "content": content, "stop_reason": None}).encode()
    if good:
        ANTHROPIC.peek_answer(body, JSON)
    else:
        with pytest.raises(AnswerFault):
            ANTHROPIC.peek_answer(body, JSON)


@pytest.mark.parametrize("content_type", [None, b"", JSON, b"application/json; charset=utf-8"])
def test_json_by_any_name_is_taken(content_type: bytes | None) -> None:
    OPENAI.peek_answer(json.dumps(answer("openai")).encode(), content_type)


def test_strange_usage_spoils_no_answer() -> None:
    strange: tuple[object, ...] = (None, [], {"prompt_tokens": -1, "completion_tokens": True})
    for usage in strange:
        body = json.dumps({**answer("openai"), "usage": usage}).encode()
        assert OPENAI.peek_answer(body, JSON).usage is None
