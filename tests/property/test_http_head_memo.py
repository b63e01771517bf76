"""A head that is recognised means exactly what it means when it is parsed."""

from hypothesis import given
from hypothesis import strategies as st

from providers.http import Limits, Request
from providers.http.reading import RequestReader

LIMITS = Limits(max_body=2048)

names = st.sampled_from(["X-A", "x-b", "Accept", "Authorization", "X-Stainless-Retry-Count"])
values = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=12)
lengths = st.sampled_from(["Content-Length: ", "content-length: ", "Content-Length:"])


@st.composite
def heads(draw: st.DrawFn) -> tuple[str, list[str], str]:
    path = draw(st.sampled_from(["/v1/messages", "/v1/chat/completions?x=1"]))
    lines = [f"{name}: {value}" for name, value in draw(st.lists(st.tuples(names, values)))]
    extra = draw(
        st.sampled_from(["", "Connection: close", "Expect: 100-continue", "Connection: keep-alive"])
    )
    return path, [*lines, *([extra] if extra else [])], draw(lengths)


def encoded(head: tuple[str, list[str], str], body: bytes, at: int) -> bytes:
    path, lines, length = head
    place = at % (len(lines) + 1)
    all_lines = [*lines[:place], f"{length}{len(body)}", *lines[place:]]
    text = f"POST {path} HTTP/1.1\r\nHost: x\r\n" + "\r\n".join(all_lines) + "\r\n\r\n"
    return text.encode() + body


def shown(request: Request) -> tuple[object, ...]:
    return (
        request.method,
        request.target,
        [pair for pair in request.headers if pair[0] != b"content-length"],
        request.body,
        request.keep_alive,
        request.http_version,
    )


@given(
    st.lists(heads(), min_size=1, max_size=3),
    st.lists(
        st.tuples(st.integers(0, 2), st.binary(max_size=60), st.integers(0, 5)),
        min_size=1,
        max_size=25,
    ),
)
def test_a_connection_that_remembers_reads_like_one_that_does_not(
    kinds: list[tuple[str, list[str], str]], asked: list[tuple[int, bytes, int]]
) -> None:
    buffer = bytearray(8192)
    remembering = RequestReader(LIMITS)
    for kind, body, at in asked:
        data = encoded(kinds[kind % len(kinds)], body, at)
        buffer[: len(data)] = data
        remembering.feed(memoryview(buffer)[: len(data)])
        plain = RequestReader(LIMITS)
        plain.feed(memoryview(data))
        assert [shown(r) for r in remembering.ready] == [shown(r) for r in plain.ready]
        assert (remembering.failure is None) == (plain.failure is None)
        assert remembering.begun == plain.begun
        if not remembering.ready or not remembering.ready[0].keep_alive:
            return
        remembering.ready.clear()


@given(st.integers(0, 40), st.binary(max_size=40))
def test_a_head_followed_by_more_or_less_than_its_body_is_parsed(cut: int, more: bytes) -> None:
    """What is left over in the buffer from an earlier, longer request is never taken for body."""
    head = ("/v1/messages", ["X-A: 1"], "Content-Length: ")
    buffer = bytearray(8192)
    reader = RequestReader(LIMITS)
    first = encoded(head, b"x" * 60, 0)
    buffer[: len(first)] = first
    reader.feed(memoryview(buffer)[: len(first)])
    assert reader.ready.pop(0).body == b"x" * 60
    second = encoded(head, b"y" * 41, 0)
    part = second[: len(second) - cut] if cut else second + more
    buffer[: len(part)] = part
    reader.feed(memoryview(buffer)[: len(part)])
    if cut:
        assert not reader.ready
        assert reader.begun
        rest = second[len(second) - cut :]
        buffer[: len(rest)] = rest
        reader.feed(memoryview(buffer)[: len(rest)])
    assert reader.ready[0].body == b"y" * 41


def test_a_body_over_the_limit_is_refused_behind_a_known_head() -> None:
    reader = RequestReader(LIMITS)
    head = ("/v1/messages", ["X-A: 1"], "Content-Length: ")
    reader.feed(memoryview(encoded(head, b"x", 0)))
    reader.ready.clear()
    reader.feed(memoryview(encoded(head, b"x" * 2049, 0)))
    assert not reader.ready
    assert reader.failure is not None
    assert reader.failure.status == 413


def test_what_was_derived_from_a_head_is_there_again_with_the_same_head_only() -> None:
    reader = RequestReader(LIMITS)
    for length, lines, expected in ((3, "1", None), (5, "1", "kept"), (5, "2", None)):
        reader.feed(
            memoryview(
                encoded(("/v1/messages", [f"X-A: {lines}"], "Content-Length: "), b"x" * length, 0)
            )
        )
        request = reader.ready.pop(0)
        assert request.derived.get("key") == expected
        request.derived["key"] = "kept"
