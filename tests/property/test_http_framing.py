"""However the bytes are split on their way, the messages are the same."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.http import Limits, ProtocolError
from providers.http.answer_reading import MAX_BARREN, ResponseReader
from providers.http.reading import RequestReader

names = st.sampled_from([b"Accept", b"X-A", b"User-Agent", b"authorization", b"x-stainless-lang"])
values = st.binary(max_size=40).map(
    lambda raw: bytes(33 + byte % 94 for byte in raw)  # any visible ASCII
)
headers = st.lists(st.tuples(names, values), max_size=6)
bodies = st.binary(max_size=300)
cuts = st.lists(st.integers(min_value=0, max_value=5000), max_size=30)


def head(first: bytes, lines: list[tuple[bytes, bytes]]) -> bytes:
    return b"\r\n".join([first, *(name + b": " + value for name, value in lines), b"", b""])


def in_chunks(body: bytes, sizes: list[int]) -> bytes:
    encoded = b""
    for size in sizes:
        part, body = body[:size], body[size:]
        if part:
            encoded += b"%x\r\n%b\r\n" % (len(part), part)
    if body:
        encoded += b"%X;ext=1\r\n%b\r\n" % (len(body), body)
    return encoded + b"0\r\nTrailer: t\r\n\r\n"


@st.composite
def framed(draw: st.DrawFn, first: bytes) -> tuple[bytes, list[tuple[bytes, bytes]], bytes]:
    lines = draw(headers)
    body = draw(bodies)
    if draw(st.booleans()):
        lines = [*lines, (b"Transfer-Encoding", b"chunked")]
        sizes = draw(st.lists(st.integers(min_value=1, max_value=50), max_size=8))
        return head(first, lines) + in_chunks(body, sizes), lines, body
    lines = [(b"Content-Length", b"%d" % len(body)), *lines]
    return head(first, lines) + body, lines, body


def pieces(data: bytes, where: list[int]) -> list[bytes]:
    marks = sorted({0, len(data), *(cut % (len(data) + 1) for cut in where)})
    return [data[begin:end] for begin, end in itertools.pairwise(marks)]


def lowered(lines: list[tuple[bytes, bytes]]) -> list[tuple[bytes, bytes]]:
    return [(name.lower(), value) for name, value in lines]


@given(
    st.lists(framed(b"POST /v1/chat?x=y HTTP/1.1"), min_size=1, max_size=4),
    cuts,
)
def test_any_split_gives_the_same_requests(
    messages: list[tuple[bytes, list[tuple[bytes, bytes]], bytes]], where: list[int]
) -> None:
    reader = RequestReader(Limits())
    for piece in pieces(b"".join(message[0] for message in messages), where):
        reader.feed(memoryview(piece))
    assert reader.failure is None
    assert not reader.begun
    assert [
        (request.target, request.headers, request.body, request.keep_alive)
        for request in reader.ready
    ] == [("/v1/chat?x=y", lowered(lines), body, True) for _, lines, body in messages]


@given(st.lists(framed(b"HTTP/1.1 200 OK"), min_size=1, max_size=4), cuts, st.booleans())
def test_any_split_gives_the_same_responses(
    messages: list[tuple[bytes, list[tuple[bytes, bytes]], bytes]],
    where: list[int],
    interim: bool,
) -> None:
    reader = ResponseReader()
    for encoded, lines, body in messages:
        reader.begin()
        before = b"HTTP/1.1 100 Continue\r\n\r\n" if interim else b""
        for piece in pieces(before + encoded, where):
            assert not reader.complete
            reader.feed(memoryview(piece))
        assert reader.complete
        assert reader.head is not None
        assert reader.head.headers == lowered(lines)
        assert reader.take() == body
        assert not reader.surplus


@given(framed(b"HTTP/1.1 200 OK"), st.integers(min_value=1, max_value=5000))
def test_no_beginning_of_a_response_is_taken_for_the_whole(
    message: tuple[bytes, list[tuple[bytes, bytes]], bytes], cut: int
) -> None:
    encoded = message[0]
    reader = ResponseReader()
    reader.begin()
    reader.feed(memoryview(encoded[: -(cut % len(encoded)) or -1]))
    assert not reader.complete


@given(st.lists(st.binary(max_size=200), max_size=10))
def test_no_bytes_whatever_break_a_reader(parts: list[bytes]) -> None:
    requests = RequestReader(Limits(max_body=100, max_header_bytes=100, max_pipelined=2))
    responses = ResponseReader()
    responses.begin()
    for part in parts:
        requests.feed(memoryview(part))
        try:
            responses.feed(memoryview(part))
        except ProtocolError:
            responses = ResponseReader()
            responses.begin()
    assert requests.failure is None or 400 <= requests.failure.status < 600


@given(framed(b"POST / HTTP/1.1"), st.integers(min_value=0), st.integers(0, 255), cuts)
def test_a_damaged_request_is_refused_or_read_but_never_an_error_of_ours(
    message: tuple[bytes, list[tuple[bytes, bytes]], bytes],
    position: int,
    byte: int,
    where: list[int],
) -> None:
    data = bytearray(message[0])
    data[position % len(data)] = byte
    reader = RequestReader(Limits(max_body=1000))
    for piece in pieces(bytes(data), where):
        reader.feed(memoryview(piece))
    assert reader.failure is None or 400 <= reader.failure.status < 600


@given(
    st.sampled_from([b"1;", b"1\r\na\r\n0\r\nX: "]),
    st.lists(st.integers(min_value=1, max_value=400), min_size=1, max_size=40),
)
def test_what_is_no_body_is_read_only_as_far_as_is_bounded(before: bytes, sizes: list[int]) -> None:
    reader = RequestReader(Limits(max_header_bytes=1000))
    reader.feed(memoryview(head(b"POST / HTTP/1.1", [(b"Transfer-Encoding", b"chunked")]) + before))
    sent = 0
    for size in sizes:
        reader.feed(memoryview(b"a" * size))
        sent += size
        assert (reader.failure is not None) == (sent > 1000)
        if reader.failure is not None:
            assert reader.failure.status == 431
            assert not reader.begun
            return


@given(st.lists(st.integers(min_value=1, max_value=900), min_size=1, max_size=20))
def test_a_body_that_grows_now_and_then_may_have_any_number_of_extensions(
    sizes: list[int],
) -> None:
    reader = RequestReader(Limits(max_header_bytes=1000))
    reader.feed(memoryview(head(b"POST / HTTP/1.1", [(b"Transfer-Encoding", b"chunked")])))
    for size in sizes:
        reader.feed(memoryview(b"1;" + b"a" * size + b"\r\n"))
        reader.feed(memoryview(b"x\r\n"))
    reader.feed(memoryview(b"0\r\n\r\n"))
    assert reader.failure is None
    assert [request.body for request in reader.ready] == [b"x" * len(sizes)]


@pytest.mark.parametrize(
    "before",
    [
        b"HTTP/1.1 200 OK\r\nX: ",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: ",
    ],
)
def test_of_a_response_too_only_so_much_is_read_that_is_no_body(before: bytes) -> None:
    reader = ResponseReader()
    reader.begin()
    reader.feed(memoryview(before))
    pieces = MAX_BARREN // 4096 - 1
    for _ in range(pieces):
        reader.feed(memoryview(b"a" * 4096))
    with pytest.raises(ProtocolError, match="without any of the body"):
        reader.feed(memoryview(b"a" * 8192))


def test_a_response_whose_body_grows_now_and_then_may_have_any_number_of_extensions() -> None:
    reader = ResponseReader()
    reader.begin()
    reader.feed(memoryview(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"))
    for _ in range(10):
        reader.feed(memoryview(b"1;" + b"a" * (MAX_BARREN // 4) + b"\r\n"))
        reader.feed(memoryview(b"x\r\n"))
    reader.feed(memoryview(b"0\r\n\r\n"))
    assert reader.complete
    assert reader.take() == b"x" * 10
