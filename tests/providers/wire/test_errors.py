"""Errors in each dialect, as its official SDK understands them."""

import json

import anthropic
import httpx2
import openai
import pytest

from providers.wire import ANTHROPIC, DIALECTS, OPENAI, UpstreamError

STATUSES = (
    400,
    401,
    402,
    403,
    404,
    405,
    408,
    409,
    413,
    415,
    422,
    429,
    500,
    501,
    502,
    503,
    504,
    529,
)

ANTHROPIC_NAMES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def _request() -> httpx2.Request:
    return httpx2.Request("POST", "http://localhost/")


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_has_an_error_in_openais_shape(status: int) -> None:
    body = json.loads(OPENAI.encode_error(status, "what", param="model", code="x"))
    assert body == {
        "error": {"message": "what", "type": body["error"]["type"], "param": "model", "code": "x"}
    }
    assert body["error"]["type"]
    plain = json.loads(OPENAI.encode_error(status, "what"))["error"]
    assert plain["param"] is None
    client = openai.OpenAI(api_key="x")
    response = httpx2.Response(status, request=_request())
    error = client._make_status_error("what", body={"error": plain}, response=response)
    assert error.status_code == status
    assert error.type == plain["type"]


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_has_an_error_in_anthropics_shape(status: int) -> None:
    body = json.loads(ANTHROPIC.encode_error(status, "what", request_id="req_1"))
    assert body["type"] == "error"
    assert body["request_id"] == "req_1"
    assert body["error"]["message"] == "what"
    assert body["error"]["type"] == ANTHROPIC_NAMES.get(status, body["error"]["type"])
    client = anthropic.Anthropic(api_key="x")
    response = httpx2.Response(status, request=_request())
    error = client._make_status_error("what", body=body, response=response)
    assert error.status_code == status


@pytest.mark.parametrize("name", sorted(DIALECTS))
@pytest.mark.parametrize("status", STATUSES)
def test_what_is_written_is_read_back(name: str, status: int) -> None:
    dialect = DIALECTS[name]
    error = dialect.decode_error(dialect.encode_error(status, "what", code="fine"))
    assert error is not None
    assert error.message == "what"
    assert error.code == "fine"
    assert error.type


@pytest.mark.parametrize("name", sorted(DIALECTS))
def test_a_stream_error_is_one_event_that_the_sdk_raises(name: str) -> None:
    event = DIALECTS[name].encode_stream_error(529, "too much\nto do", request_id="req_1")
    assert event.endswith(b"\n\n")
    assert event.count(b"\n\n") == 1
    if name in {"anthropic", "responses"}:
        assert event.startswith(b"event: error\ndata: {")
    data = event[event.index(b"data: ") + 6 :]
    assert json.loads(data)["error"]["message"] == "too much\nto do"


@pytest.mark.parametrize("name", sorted(DIALECTS))
@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"detail": "x"}', b'{"error": 0}']
)
def test_what_is_no_error_of_the_dialect_is_none(name: str, body: bytes) -> None:
    assert DIALECTS[name].decode_error(body) is None


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            b'{"error":{"message":"m","type":"insufficient_quota","code":"insufficient_quota"}}',
            UpstreamError("insufficient_quota", "insufficient_quota", "m", 429),
        ),
        (b'{"error":{"message":"m","code":503}}', UpstreamError("", "503", "m", 503)),
        (b'{"error":"m"}', UpstreamError("", None, "m")),
        (b'{"object":"error","message":"m","type":"x"}', UpstreamError("x", None, "m")),
        (
            b'{"error":{"type":"server_error"}}',
            UpstreamError("server_error", None, "server_error", 500),
        ),
        (b'{"error":[1]}', UpstreamError("", None, "the upstream sent an error without a message")),
    ],
)
def test_openai_errors_are_read_in_the_shapes_that_occur(
    body: bytes, expected: UpstreamError
) -> None:
    assert OPENAI.decode_error(body) == expected


def test_anthropics_finer_code_is_read() -> None:
    body = (
        b'{"type":"error","error":{"type":"rate_limit_error","message":"m",'
        b'"details":{"error_code":"ramp_limit_exceeded"}},"request_id":"r"}'
    )
    expected = UpstreamError("rate_limit_error", "ramp_limit_exceeded", "m", 429)
    assert ANTHROPIC.decode_error(body) == expected
