"""Embeddings and token counts: what is read of their requests, which answers are good ones."""

import json
from typing import Any

import pytest

from providers.wire import (
    ANTHROPIC,
    DIALECTS,
    OPENAI,
    AnswerFault,
    AnswerPeek,
    Operation,
    RequestPeek,
    Usage,
    WireError,
)

JSON = b"application/json"
EMBEDDINGS = OPENAI.operations["embeddings"]
COUNT = ANTHROPIC.operations["count_tokens"]
BOTH = pytest.mark.parametrize("operation", [EMBEDDINGS, COUNT], ids=lambda each: each.name)
GOOD: dict[str, Any] = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.25, -1e-3]}],
    "model": "e-1",
    "usage": {"prompt_tokens": 5, "total_tokens": 5},
}


def changed(**more: object) -> bytes:
    body = {**GOOD, **more}
    return json.dumps({key: value for key, value in body.items() if value is not ...}).encode()


def test_each_dialect_has_its_operations_at_their_paths() -> None:
    paths = {
        name: {each.name: each.path for each in dialect.operations.values()}
        for name, dialect in DIALECTS.items()
    }
    assert paths == {
        "openai": {"chat": "/v1/chat/completions", "embeddings": "/v1/embeddings"},
        "anthropic": {"chat": "/v1/messages", "count_tokens": "/v1/messages/count_tokens"},
        "completions": {"chat": "/v1/completions"},
        "responses": {"chat": "/v1/responses", "count_tokens": "/v1/responses/input_tokens"},
    }


@BOTH
@pytest.mark.parametrize(
    "body", [b'{"model":"m"}', b'{"stream":true,"input":[1],"model":"m","new":{"a":1}}']
)
def test_of_a_request_only_the_model_is_read_and_it_is_never_streamed(
    operation: Operation, body: bytes
) -> None:
    assert operation.peek_request(body) == RequestPeek("m", stream=False)


@BOTH
@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        (b"", None, "no body"),
        (b"[]", None, "a JSON object, not an array"),
        (b'{"model":', None, "ends before the object does"),
        (b'{"input":"x"}', "model", "the field is missing"),
        (b'{"model":7}', "model", "a string is expected, not a number"),
        (b'{"model":"","stream":"x"}', "model", "must not be empty"),
    ],
)
def test_a_bad_request_is_refused_with_what_and_where(
    operation: Operation, body: bytes, param: str | None, words: str
) -> None:
    with pytest.raises(WireError) as caught:
        operation.peek_request(body)
    assert words in caught.value.message
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("body", "peek"),
    [
        (changed(), AnswerPeek(Usage(5, 0), None, "e-1")),
        (changed(data=[{"embedding": "AACAPg=="}]), AnswerPeek(Usage(5, 0), None, "e-1")),
        (changed(object=...), AnswerPeek(Usage(5, 0), None, "e-1")),
        (changed(usage=...), AnswerPeek(None, None, "e-1")),
        (changed(usage=[], model=None), AnswerPeek(None, None, None)),
        (changed(error=None, more={"a": 1}), AnswerPeek(Usage(5, 0), None, "e-1")),
    ],
)
def test_embeddings_give_their_usage_and_model(body: bytes, peek: AnswerPeek) -> None:
    assert EMBEDDINGS.peek_answer(body, JSON) == peek


@pytest.mark.parametrize(
    ("body", "content_type", "kind", "words"),
    [
        (b"", JSON, "bad_answer", "empty body"),
        (b"<html>", JSON, "bad_answer", "HTML"),
        (changed(), b"text/html", "bad_answer", "text/html"),
        (changed()[:-1], JSON, "bad_answer", "not JSON"),
        (b"[]", JSON, "bad_answer", "not a JSON object"),
        (changed(data=[]), JSON, "bad_answer", "empty list"),
        (changed(data=...), JSON, "bad_answer", "not a list of embeddings"),
        (changed(data=[{"index": 0}]), JSON, "bad_answer", "not a list of embeddings"),
        (changed(object="chat.completion"), JSON, "bad_answer", "not a list of embeddings"),
        (changed(data=[*GOOD["data"], {"embedding": []}]), JSON, "bad_answer", "empty embedding"),
        (changed(data=[{"embedding": ""}]), JSON, "bad_answer", "empty embedding"),
        (changed(data=[{"embedding": None}]), JSON, "bad_answer", "empty embedding"),
        (b'{"error": {"type": "server_error", "message": "sorry"}}', JSON, "error_body", "sorry"),
        (b'{"error": {"message": "no", "code": "content_filter"}}', JSON, "content_filter", "no"),
        (b'{"object": "error", "message": "sorry"}', JSON, "error_body", "sorry"),
    ],
)
def test_what_claims_to_be_embeddings_and_is_not_is_a_fault(
    body: bytes, content_type: bytes, kind: str, words: str
) -> None:
    with pytest.raises(AnswerFault, match=words) as caught:
        EMBEDDINGS.peek_answer(body, content_type)
    assert caught.value.kind == kind


@pytest.mark.parametrize("body", [b'{"input_tokens":0}', b'{"input_tokens":14,"more":[1]}'])
def test_a_count_of_tokens_is_good_and_costs_none(body: bytes) -> None:
    assert COUNT.peek_answer(body, JSON) == AnswerPeek()


@pytest.mark.parametrize(
    ("body", "content_type", "kind", "words"),
    [
        (b"", JSON, "bad_answer", "empty body"),
        (b"<html>", JSON, "bad_answer", "HTML"),
        (b'{"input_tokens":1}', b"text/plain", "bad_answer", "text/plain"),
        (b"7", JSON, "bad_answer", "not a JSON object"),
        (b"{}", JSON, "bad_answer", "not a count of tokens"),
        (b'{"input_tokens":"7"}', JSON, "bad_answer", "not a count of tokens"),
        (b'{"input_tokens":true}', JSON, "bad_answer", "not a count of tokens"),
        (b'{"input_tokens":-1}', JSON, "bad_answer", "not a count of tokens"),
        (b'{"input_tokens":1.5}', JSON, "bad_answer", "not a count of tokens"),
        (b'{"type":"error","error":{"message":"sorry"}}', JSON, "error_body", "sorry"),
        (b'{"error":"sorry"}', JSON, "error_body", "sorry"),
    ],
)
def test_what_claims_to_be_a_count_and_is_not_is_a_fault(
    body: bytes, content_type: bytes, kind: str, words: str
) -> None:
    with pytest.raises(AnswerFault, match=words) as caught:
        COUNT.peek_answer(body, content_type)
    assert caught.value.kind == kind
