"""Where a request goes that is passed through: behind the upstream's own path, whatever it asks."""

import posixpath
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.further_paths import PathRefused, joined


@pytest.mark.parametrize(
    ("base", "target", "whole"),
    [
        ("/v1", "/v1/files", "/v1/files"),
        ("/v1", "/files", "/v1/files"),
        ("/v1", "/v1", "/v1"),
        ("/v1", "/v1/", "/v1/"),
        ("/v1", "/v1?limit=3", "/v1?limit=3"),
        ("/v1", "/v1/v1/files", "/v1/v1/files"),
        ("/v1", "/v10/files", "/v1/v10/files"),
        ("/v1", "/v2/files", "/v1/v2/files"),
        ("/v1", "/", "/v1/"),
        ("/api/paas/v4", "/v4/files", "/api/paas/v4/files"),
        ("/v1beta", "/v1beta/models", "/v1beta/models"),
        ("/openai", "/openai/files", "/openai/openai/files"),
        ("", "/v1/messages/batches", "/v1/messages/batches"),
        ("", "/", "/"),
        ("/anthropic", "/v1/files/", "/anthropic/v1/files/"),
        ("/v1", "/files?after=a%2Fb&x=//..&y=%2e%2e", "/v1/files?after=a%2Fb&x=//..&y=%2e%2e"),
        ("/v1", "/files/a%2Fb%20c..d/...", "/v1/files/a%2Fb%20c..d/..."),
        ("/v1", "/models/hf%3A%2F%2Forg", "/v1/models/hf%3A%2F%2Forg"),
        ("/v1", "/files/100%25", "/v1/files/100%25"),
        ("/v1", "/files?", "/v1/files?"),
    ],
)
def test_a_path_is_joined_to_the_upstreams_own(base: str, target: str, whole: str) -> None:
    assert joined(base, target) == whole


@pytest.mark.parametrize(
    "target",
    [
        "/..",
        "/../admin",
        "/files/../../admin",
        "/files/..",
        "/./files",
        "/%2e%2e/admin",
        "/%2E./admin",
        "/.%2e/admin",
        "/files/%2e",
        "/files%2f..%2fadmin",
        "/files%2F%2e%2e%2Fadmin",
        "/%252e%252e/admin",
        "/%25252e%25252e/admin",
        "/%2525252525252e/admin",
        "/..;x=1/admin",
        "/..%3bx/admin",
        "/..%20/admin",
        "/..%5cadmin",
        "/..%255cadmin",
        "/files\\..\\admin",
        "/files\\admin",
        "//evil.example/files",
        "/files//a",
        "/http://evil.example/files",
        "http://evil.example/files",
        "files",
        "",
        "/files#part",
        "/files?a#part",
        "/files /x",
        "/files?a b",
        "/files\r\nx: y",
        "/files?\r\nx: y",
        "/f\xe9",
    ],
)
def test_what_could_mean_another_place_is_refused(target: str) -> None:
    with pytest.raises(PathRefused):
        joined("/v1", target)


PIECES = st.sampled_from(
    ["/", "//", "..", ".", "%2e", "%2E", "%2f", "%5c", "\\", "%25", "2e", "2f", ";", "v1", "a", "?"]
)


def _resolved(path: str) -> str:
    """Return where a server ends up that decodes and resolves all it can."""
    before = ""
    while path != before:
        before, path = path, unquote(path, encoding="latin-1")
    segments = path.replace("\\", "/").split("/")
    return posixpath.normpath("/".join(segment.partition(";")[0] for segment in segments))


@given(
    base=st.sampled_from(["", "/v1", "/a/v1", "/openai"]),
    pieces=st.lists(PIECES, max_size=12),
)
def test_no_path_leads_out_of_the_upstreams_own(base: str, pieces: list[str]) -> None:
    target = "/" + "".join(pieces)
    try:
        whole = joined(base, target)
    except PathRefused:
        return
    path, mark, query = whole.partition("?")
    assert path == base or path.startswith(f"{base}/")
    assert (mark, query) == target.partition("?")[1:], "the query is not touched"
    where = _resolved(path)
    assert where == (base or "/") or where.startswith(f"{base}/")


@given(path=st.text(st.sampled_from("abv1/%2e.-_~!$&'()*+,;=:@"), max_size=20))
def test_a_path_that_is_taken_goes_on_byte_for_byte(path: str) -> None:
    try:
        whole = joined("/root", f"/{path}")
    except PathRefused:
        return
    assert whole == f"/root/{path}"
