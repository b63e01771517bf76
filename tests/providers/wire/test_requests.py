"""Peeking at requests, and putting in another model."""

import pytest

from providers.wire import DIALECTS, OPENAI, RequestPeek, WireError


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=list(DIALECTS))
@pytest.mark.parametrize(("given", "stream"), [("", False), ("null", False), ("true", True)])
def test_model_and_stream_are_read(dialect: object, given: str, stream: bool) -> None:
    part = f',"stream":{given}' if given else ""
    body = f'{{"messages":[{{}}],"model":"m é","x":1{part}}}'.encode()
    assert OPENAI.peek_request(body) == RequestPeek("m é", stream)


@pytest.mark.parametrize(
    ("body", "param", "words"),
    [
        (b"", None, "no body"),
        (b"  ", None, "no body"),
        (b"[1]", None, "a JSON object, not an array"),
        (b'"x"', None, "a JSON object, not a string"),
        (b'{"model": "m"', None, "ends before the object does at line 1, column 14"),
        (b'{\n  "model": m}', None, "line 2, column 12"),
        (b"\xff", None, "not JSON"),
        (b'{"model":"\xff","messages":[]}', "model", "not valid text"),
        (b'{"messages":[]}', "model", "the field is missing; a string is expected"),
        (b'{"model":"m"}', "messages", "the field is missing; an array is expected"),
        (b'{"model":7,"messages":[]}', "model", "a string is expected, not a number"),
        (b'{"model":null,"messages":[]}', "model", "a string is expected, not null"),
        (b'{"model":"","messages":[]}', "model", "must not be empty"),
        (b'{"model":"m","messages":"x"}', "messages", "an array is expected, not a string"),
        (b'{"model":"m","messages":{}}', "messages", "an array is expected, not an object"),
        (b'{"model":"m","messages":[],"stream":1}', "stream", "true or false is expected, not a"),
        (b'{"model":"m","messages":[],"stream":"yes"}', "stream", "not a string"),
    ],
)
def test_a_bad_request_is_refused_with_what_and_where(
    body: bytes, param: str | None, words: str
) -> None:
    with pytest.raises(WireError) as caught:
        OPENAI.peek_request(body)
    assert words in caught.value.message
    assert caught.value.param == param
    assert caught.value.status == 400
    assert caught.value.code


@pytest.mark.parametrize(
    ("body", "changed"),
    [
        (b'{"model":"old","messages":[]}', b'{"model":"new","messages":[]}'),
        (b' {"a" : 1.0e5 , "model" :\n"o\\"d"}\n', b' {"a" : 1.0e5 , "model" :\n"new"}\n'),
        (b'{"a":{"model":"old"},"model":"old"}', b'{"a":{"model":"old"},"model":"new"}'),
        (b'{"a":"\\"model\\":","model":"old"}', b'{"a":"\\"model\\":","model":"new"}'),
        (b'{"model":"a","b":1,"b":2,"model":"c"}', b'{"model":"new","b":1,"b":2,"model":"new"}'),
        (b'{"\\u006dodel":"a","x":{"model":"a"}}', b'{"\\u006dodel":"new","x":{"model":"a"}}'),
        (b'{"model":[1,["]"]],"model":"b"}', b'{"model":"new","model":"new"}'),
    ],
)
def test_only_the_value_of_the_model_changes(body: bytes, changed: bytes) -> None:
    assert OPENAI.with_model(body, "new") == changed


@pytest.mark.parametrize("body", [b'{"messages":[]}', b"[]", b"{"])
def test_a_body_without_a_model_cannot_get_another(body: bytes) -> None:
    with pytest.raises(WireError):
        OPENAI.with_model(body, "new")
