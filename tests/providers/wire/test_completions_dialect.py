"""Legacy completions as a dialect: what is read of their requests, answers and streams."""

import json

import pytest

from providers.wire import AnswerFault, RequestPeek, Usage, WireError
from providers.wire.completions import CompletionsDialect

DIALECT = CompletionsDialect()


def chunk(text: str = "", reason: str | None = None, **members: object) -> bytes:
    choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": reason}
    body = {"id": "cmpl-1", "object": "text_completion", "model": "m-1", "choices": [choice]}
    return b"data: " + json.dumps({**body, **members}).encode() + b"\n\n"


def answered(**members: object) -> bytes:
    choice = {"index": 0, "text": "Hi", "finish_reason": "stop"}
    return json.dumps({"model": "m-1", "choices": [choice], **members}).encode()


def test_it_stands_beside_chat_completions_with_the_same_errors() -> None:
    assert (DIALECT.name, DIALECT.family, DIALECT.path) == (
        "completions",
        "openai",
        "/v1/completions",
    )
    assert list(DIALECT.operations) == ["chat"]
    assert DIALECT.operations["chat"].path == "/v1/completions"
    error = json.loads(DIALECT.encode_error(404, "no such model", code="model_not_found"))
    assert error["error"]["code"] == "model_not_found"


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({"prompt": "x"}, RequestPeek("m")),
        ({"prompt": ["x", "y"], "stream": True}, RequestPeek("m", stream=True)),
        ({"prompt": [1, 2], "stream": None}, RequestPeek("m")),
        ({"prompt": None}, RequestPeek("m")),
        ({}, RequestPeek("m")),
    ],
)
def test_model_and_stream_are_read_whatever_the_prompt(
    members: dict[str, object], expected: RequestPeek
) -> None:
    assert DIALECT.peek_request(json.dumps({"model": "m", **members}).encode()) == expected


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b'{"prompt": "x"}', "model"),
        (b'{"model": "", "prompt": "x"}', "model"),
        (b'{"model": 5, "prompt": "x"}', "model"),
        (b'{"model": "m", "prompt": {}}', "prompt"),
        (b'{"model": "m", "prompt": 5}', "prompt"),
        (b'{"model": "m", "prompt": "x", "stream": 1}', "stream"),
        (b"[]", None),
        (b"{", None),
        (b"", None),
    ],
)
def test_what_is_no_request_is_refused_by_its_field(body: bytes, param: str | None) -> None:
    with pytest.raises(WireError) as raised:
        DIALECT.peek_request(body)
    assert raised.value.param == param


def test_an_answer_is_counted() -> None:
    usage = {"prompt_tokens": 3, "completion_tokens": 4}
    peek = DIALECT.peek_answer(answered(usage=usage), b"application/json")
    assert (peek.usage, peek.finish_reason, peek.model) == (Usage(3, 4), "stop", "m-1")


@pytest.mark.parametrize(
    "choices",
    [
        [{"text": "", "finish_reason": "length"}],
        [{"text": "Hi", "finish_reason": None}],
        [{"text": "Hi", "finish_reason": 7}],
    ],
)
def test_an_answer_with_a_text_or_a_reason_is_good(choices: list[object]) -> None:
    DIALECT.peek_answer(answered(choices=choices), None)


@pytest.mark.parametrize(
    "body",
    [
        answered(choices=[]),
        answered(choices=[{"text": "", "finish_reason": None}]),
        answered(choices=["Hi"]),
        answered(error={"message": "boom"}),
        b"<html>",
        b"[]",
    ],
)
def test_an_answer_that_is_none_is_a_fault(body: bytes) -> None:
    with pytest.raises(AnswerFault):
        DIALECT.peek_answer(body, b"application/json")


def test_a_stream_is_followed_from_its_first_text_to_its_marker() -> None:
    reader = DIALECT.stream_reader()
    assert reader.feed(chunk()) == chunk()
    states = [reader.started]
    assert reader.feed(chunk("Hi")) == chunk("Hi")
    states.append(reader.started)
    assert states == [False, True]
    assert reader.model == "m-1"
    assert reader.feed(chunk(" you")) == chunk(" you")
    counted = chunk(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 4})
    reader.feed(chunk("", "stop") + counted)
    assert (reader.finish_reason, reader.usage, reader.finished) == ("stop", Usage(3, 4), False)
    assert reader.feed(b"data: [DONE]\n\n") == b"data: [DONE]\n\n"
    assert reader.finished


def test_an_error_in_a_stream_is_seen() -> None:
    reader = DIALECT.stream_reader()
    reader.feed(chunk("Hi") + b'data: {"error": {"message": "boom", "type": "server_error"}}\n\n')
    assert reader.error is not None
    assert reader.error.message == "boom"


def test_a_marker_that_never_comes_is_supplied_where_it_is_not_required() -> None:
    reader = DIALECT.stream_reader(done_required=False)
    reader.feed(chunk("Hi") + chunk("", "stop"))
    assert reader.end() == b"data: [DONE]\n\n"
    assert reader.finished
