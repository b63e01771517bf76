"""What goes upstream, and what an upstream's errors mean."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.further_paths import PathRefused
from providers.http import ResponseHead
from providers.interface import HOP_BY_HOP, ForwardRequest
from providers.wire import OperationName, UpstreamError
from tests.providers.scripted import asked, provider

KEY = "sk-secret-key"
CREDENTIALS = (b"authorization", b"x-api-key", b"api-key", b"cookie", b"x-standby-token")
NEVER = [*HOP_BY_HOP, *CREDENTIALS, b"host", b"content-length", b"expect", b"accept-encoding"]
name = st.one_of(
    st.sampled_from([*NEVER, b"content-type", b"x-own", b"accept", b"openai-organization"]),
    st.from_regex(rb"\A[a-z][a-z0-9-]{0,12}\Z"),
)
value = st.from_regex(rb"\A[!-~]([ -~]{0,20}[!-~])?\Z")
pairs = st.lists(st.tuples(name, value), max_size=12)


def parts(raw: bytes) -> tuple[bytes, list[tuple[bytes, bytes]], bytes]:
    head, _, body = raw.partition(b"\r\n\r\n")
    line, *lines = head.split(b"\r\n")
    found = []
    for each in lines:
        key, _, text = each.partition(b": ")
        found.append((key, text))
    return line, found, body


def sent(request: ForwardRequest, model: str | None = None, **settings: Any) -> bytes:
    return provider("p", api_key=KEY, **settings).transform_request(request, model)


@given(headers=pairs, body=st.binary(max_size=60))
def test_no_header_of_the_askers_connection_or_credentials_goes_upstream(
    headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    request = ForwardRequest(
        headers=headers, derived={}, body=body, model="m", stream=False, request_id="r"
    )
    line, found, tail = parts(sent(request))
    assert line == b"POST /v1/chat/completions HTTP/1.1"
    names = [key for key, _ in found]
    assert names.count(b"content-length") == names.count(b"host") == 1
    assert names.count(b"authorization") == 1
    assert (b"authorization", b"Bearer " + KEY.encode()) in found
    assert not (HOP_BY_HOP | {b"x-api-key", b"api-key", b"cookie", b"expect"}) & set(names)
    assert (b"content-length", b"%d" % len(body)) in found
    assert tail == body
    nominated = {
        each.strip() for key, text in headers if key == b"connection" for each in text.split(b",")
    }
    expected = [
        pair
        for pair in headers
        if pair[0] not in NEVER
        and pair[0] != b"x-goog-api-key"
        and pair[0] not in {each.lower() for each in nominated}
    ]
    assert [pair for pair in found if pair in expected] == expected


def test_what_the_connection_header_names_stays_on_that_connection() -> None:
    raw = sent(asked(headers=[(b"connection", b"close, X-Hop"), (b"x-hop", b"1"), (b"x-e", b"2")]))
    assert b"x-hop" not in raw
    assert b"x-e: 2" in raw


def test_only_the_model_changes_in_the_body() -> None:
    request = asked("mine")
    body = parts(sent(request, "theirs"))[2]
    assert body == request.body.replace(b'"mine"', b'"theirs"')
    assert parts(sent(request, "mine"))[2] is not None
    assert parts(sent(request, "mine"))[2] == parts(sent(request, None))[2] == request.body


def test_the_same_request_can_go_to_two_providers() -> None:
    request = ForwardRequest(
        headers=[], derived={}, body=b"{}", model="m", stream=False, request_id="r"
    )
    one = provider("one", api_key="sk-one-one").transform_request(request, None)
    two = provider("two", api_key="sk-two-two").transform_request(request, None)
    assert b"sk-one-one" in one
    assert b"sk-two-two" in two
    assert b"sk-one-one" not in two


def test_a_configured_header_wins_over_the_askers_and_over_the_key() -> None:
    settings: dict[str, Any] = {"headers": (("Authorization", "Basic eA=="), ("X-Own", "1"))}
    found = parts(sent(asked(headers=[(b"x-own", b"2")]), **settings))[1]
    assert [text for key, text in found if key == b"authorization"] == [b"Basic eA=="]
    assert [text for key, text in found if key == b"x-own"] == [b"1"]


@pytest.mark.parametrize(
    "settings",
    [
        {"api_key": "with blank"},
        {"api_key": "line\r\nbreak"},
        {"headers": (("x-a", "b\r\nevil: 1"),)},
        {"headers": (("x-a\r\nevil", "1"),)},
        {"headers": (("", "1"),)},
        {"headers": (("Content-Length", "7"),)},
        {"headers": (("transfer-encoding", "chunked"),)},
        {"headers": (("Host", "other"),)},
        {"organization": "a\r\nb: c"},
        {"project": "ö"},
        {"kind": "anthropic", "version": "1\n2"},
        {"base_url": "ftp://host"},
    ],
)
def test_settings_that_no_request_can_carry_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError) as caught:
        provider("p", **settings)
    assert "line\r\nbreak" not in str(caught.value)


def test_settings_never_show_the_key() -> None:
    made = provider("p", api_key=KEY)
    assert KEY not in repr(made.settings)
    assert KEY not in repr(made.provider_info())
    assert made.provider_info().has_key


def head(status: int, *headers: tuple[bytes, bytes]) -> ResponseHead:
    return ResponseHead(status, list(headers), keep_alive=True)


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {}, "client_error"),
        (400, {"message": "Your credit balance is too low to access the API"}, "account"),
        (400, {"message": "not a string: 'What is my credit balance?'"}, "client_error"),
        (400, {"code": "content_filter"}, "content_filter"),
        (401, {}, "account"),
        (402, {}, "account"),
        (403, {}, "account"),
        (403, {"type": "permission_error", "message": "Your key lacks permission"}, "account"),
        (403, {"code": "model_not_found"}, "model_not_found"),
        (403, {"message": "Project p does not have access to model `gpt-6`"}, "model_not_found"),
        (
            403,
            {"type": "permission_error", "message": "Not allowed to use this Model: claude-x"},
            "model_not_found",
        ),
        (403, {"code": "content_policy_violation"}, "content_filter"),
        (403, {"message": "The chosen model requires moderation"}, "content_filter"),
        (403, {"code": 403, "message": "Your input was flagged for x"}, "content_filter"),
        (401, {"message": "no model for you"}, "account"),
        (400, {"message": "API key not valid. Please pass a valid API key."}, "account"),
        (404, {}, "model_not_found"),
        (400, {"code": "model_not_found"}, "model_not_found"),
        (404, {"type": "not_found_error"}, "model_not_found"),
        (408, {}, "timeout"),
        (413, {}, "context_too_long"),
        (400, {"code": "context_length_exceeded"}, "context_too_long"),
        (400, {"message": "prompt is too long: 213462 tokens > 200000"}, "context_too_long"),
        (400, {"message": "This model's maximum context length is 4096"}, "context_too_long"),
        (422, {"message": "prompt is too long"}, "client_error"),
        (429, {}, "rate_limited"),
        (429, {"code": "insufficient_quota"}, "account"),
        (429, {"type": "billing_not_active", "code": None}, "account"),
        (429, {"type": "exceeded_current_quota_error"}, "account"),
        (500, {}, "server_error"),
        (503, {}, "server_error"),
        (529, {}, "server_error"),
        (302, {}, "bad_answer"),
    ],
)
def test_every_status_has_its_meaning(status: int, error: dict[str, object], kind: str) -> None:
    body = json.dumps({"error": {"message": "no", "type": "t", "code": None, **error}}).encode()
    failure = provider("p").handle_error(head(status), body)
    assert (failure.kind, failure.status, failure.provider) == (kind, status, "p")


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (403, b"\n<!DOCTYPE html><title>Attention Required!</title>", "bad_answer"),
        (403, b"", "account"),
        (401, b"<html>401 Authorization Required</html>", "account"),
        (429, b"<html>too many requests</html>", "rate_limited"),
        (503, b"<html>no server is available</html>", "server_error"),
    ],
)
def test_a_firewalls_page_says_nothing_of_the_key(status: int, body: bytes, kind: str) -> None:
    failure = provider("p").handle_error(head(status), body)
    assert (failure.kind, failure.status, failure.upstream_body) == (kind, status, None)


def test_an_error_in_a_list_is_read_as_one() -> None:
    """So the server of this API that Google has for Gemini writes its errors."""
    error = {"code": 400, "message": "Please pass a valid API key", "status": "INVALID_ARGUMENT"}
    failure = provider("p").handle_error(head(400), json.dumps([{"error": error}]).encode())
    assert (failure.kind, str(failure)) == (
        "account",
        "p: the upstream answered 400: Please pass a valid API key",
    )


def test_an_error_page_is_not_passed_on() -> None:
    failure = provider("p").handle_error(head(500), b"<html>")
    assert failure.upstream_body is None


def test_a_key_that_the_upstream_repeats_is_blotted_out() -> None:
    body = json.dumps({"error": {"message": f"bad key {KEY}", "type": "t"}}).encode()
    failure = provider("p", api_key=KEY).handle_error(head(401), body)
    assert KEY not in str(failure)
    assert failure.upstream_body is not None
    assert KEY.encode() not in failure.upstream_body


def test_retry_after_is_read() -> None:
    assert provider("p").handle_error(head(429, (b"retry-after", b"7")), b"").retry_after == 7


def test_an_error_inside_a_success_is_a_bad_answer_but_for_those_about_patience_and_account() -> (
    None
):
    made = provider("p")
    kinds = [
        made.handle_stream_error(
            UpstreamError(type=kind, code=None, message="x", status=status)
        ).kind
        for kind, status in (("server_error", 500), ("rate", 429), ("invalid", 400))
    ]
    assert kinds == ["bad_answer", "rate_limited", "bad_answer"]


def test_models_are_matched_as_patterns(tmp_path: Path) -> None:
    made = provider("p", models=("a-*", "b"))
    assert [made.serves(model) for model in ("a-1", "b", "b-1", "A-1")] == [
        True,
        True,
        False,
        False,
    ]


@pytest.mark.parametrize(
    ("kind", "operation", "target", "line"),
    [
        ("openai", "chat", "/v1/chat/completions", b"POST /v1/chat/completions HTTP/1.1"),
        (
            "openai",
            "embeddings",
            "/v1/embeddings?x=%20y&x",
            b"POST /v1/embeddings?x=%20y&x HTTP/1.1",
        ),
        ("anthropic", "chat", "/v1/messages?beta=true", b"POST /b/v1/messages?beta=true HTTP/1.1"),
        (
            "anthropic",
            "count_tokens",
            "http://h/v1/messages/count_tokens?beta=true#part",
            b"POST /b/v1/messages/count_tokens?beta=true HTTP/1.1",
        ),
        ("anthropic", "chat", "//v1/messages?", b"POST /b/v1/messages? HTTP/1.1"),
    ],
)
def test_the_operation_decides_the_path_and_the_askers_query_travels_on(
    kind: str, operation: OperationName, target: str, line: bytes
) -> None:
    base = {"anthropic": "http://127.0.0.1:9/b", "openai": "http://127.0.0.1:9/v1"}[kind]
    request = ForwardRequest(
        headers=[],
        body=b"{}",
        model="m",
        stream=False,
        request_id="r",
        operation=operation,
        target=target,
    )
    made = provider("p", kind=kind, base_url=base)
    assert parts(made.transform_request(request, None))[0] == line


def _passed_on(
    method: str = "GET",
    target: str = "/v1/files",
    headers: list[tuple[bytes, bytes]] | None = None,
    body: bytes = b"",
    **settings: Any,
) -> tuple[bytes, list[tuple[bytes, bytes]], bytes]:
    request = ForwardRequest(
        headers=headers or [],
        body=body,
        model="",
        stream=False,
        request_id="r",
        operation="passthrough",
        target=target,
        method=method,
    )
    return parts(provider("p", api_key=KEY, **settings).pass_on(request))


@given(headers=pairs, body=st.binary(max_size=60))
def test_what_is_passed_on_keeps_every_byte_but_no_header_of_connection_or_credentials(
    headers: list[tuple[bytes, bytes]], body: bytes
) -> None:
    line, found, tail = _passed_on("PUT", "/v1/x?y=%2F", headers, body)
    assert line == b"PUT /v1/x?y=%2F HTTP/1.1"
    assert tail == body
    names = [key for key, _ in found]
    assert names.count(b"content-length") == names.count(b"host") == 1
    assert (b"content-length", b"%d" % len(body)) in found
    assert [text for key, text in found if key == b"authorization"] == [b"Bearer " + KEY.encode()]
    assert not (HOP_BY_HOP | {b"x-api-key", b"api-key", b"cookie", b"expect"}) & set(names)
    assert not any(key.startswith(b"x-standby-") for key in names)
    nominated = {
        each.strip() for key, text in headers if key == b"connection" for each in text.split(b",")
    }
    gone = ({*NEVER, b"x-goog-api-key"} - {b"accept-encoding"}) | {
        each.lower() for each in nominated
    }
    ours = {b"authorization", b"content-length", b"host"}
    assert [pair for pair in found if pair[0] not in ours] == [
        pair for pair in headers if pair[0] not in gone
    ]


def test_a_length_is_said_where_a_body_is_or_could_be() -> None:
    for method, body, said in [
        ("GET", b"", False),
        ("DELETE", b"", False),
        ("DELETE", b"x", True),
        ("POST", b"", True),
        ("PATCH", b"", True),
    ]:
        _, found, _ = _passed_on(method, body=body)
        assert (b"content-length" in dict(found)) is said


def test_what_a_provider_always_says_is_said_of_what_is_passed_on_too() -> None:
    settings: dict[str, Any] = {
        "kind": "anthropic",
        "base_url": "http://127.0.0.1:9/b",
        "version": "2024-01-01",
    }
    line, found, _ = _passed_on("GET", headers=[(b"accept-encoding", b"gzip")], **settings)
    assert line == b"GET /b/v1/files HTTP/1.1"
    said = dict(found)
    assert (said[b"anthropic-version"], said[b"x-api-key"]) == (b"2024-01-01", KEY.encode())
    assert said[b"accept-encoding"] == b"gzip"
    assert b"content-type" not in said
    own = [(b"anthropic-version", b"2025-02-02")]
    assert (
        dict(_passed_on("GET", headers=own, **settings)[1])[b"anthropic-version"] == b"2025-02-02"
    )


def test_a_path_that_leads_elsewhere_is_never_made_a_request() -> None:
    with pytest.raises(PathRefused):
        _passed_on(target="/v1/../admin")


def test_an_error_that_may_be_passed_on_keeps_its_headers_but_no_key() -> None:
    headers = ((b"x-ratelimit-remaining-tokens", b"7"), (b"x-echo", KEY.encode()))
    body = json.dumps({"error": {"message": "no", "type": "t"}}).encode()
    failure = provider("p", api_key=KEY).handle_error(head(400, *headers), body)
    assert failure.upstream_headers == [
        (b"x-ratelimit-remaining-tokens", b"7"),
        (b"x-echo", b"***"),
    ]
