"""The load generator counts only whole and right answers, and charges stalls to who waited."""

import contextlib
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from benchmarks.loading import Generator, Load
from benchmarks.processes import choose_cores
from benchmarks.requests import ANSWER_BODY, BURST, JSON, REQUEST_BODY, Kind
from benchmarks.targets import Target, answer_size, upstream
from benchmarks.toolchain import build

pytestmark = pytest.mark.skipif(
    shutil.which("gcc") is None and shutil.which("cc") is None,
    reason="the load generator is compiled with gcc",
)

HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
GOOD = HEAD % 4 + b"good"
DONE = b"data: {}\n\ndata: [DONE]\n\n"


@pytest.fixture
def generator(tmp_path: Path) -> Generator:
    return Generator(build("load"), choose_cores(), tmp_path)


@contextlib.contextmanager
def serving(answer: Callable[[int], bytes]) -> Iterator[str]:
    """Serve `answer(number)` to each request; an answer of b"" closes the connection."""
    listener = socket.create_server(("127.0.0.1", 0))
    numbers = iter(range(1_000_000))
    stopped = threading.Event()

    def talk(client: socket.socket) -> None:
        request = len(JSON.encode())
        with client, contextlib.suppress(OSError):
            while True:
                got = 0
                while got < request:
                    piece = client.recv(65536)
                    if not piece:
                        return
                    got += len(piece)
                text = answer(next(numbers))
                if not text:
                    return
                client.sendall(text)

    def accept() -> None:
        while not stopped.is_set():
            try:
                client, _ = listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=talk, args=(client,), daemon=True)
            thread.start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield f"tcp:127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stopped.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join(10)


def load(
    generator: Generator, address: str, kind: Kind = JSON, *, size: int = 4, rate: float = 0.0
) -> Load:
    return generator.run(
        address, kind, connections=2, seconds=0.3, warmup=0.0, expect_bytes=size, rate=rate
    )


def test_right_answers_are_counted_and_timed(generator: Generator) -> None:
    with serving(lambda _: GOOD) as address:
        found = load(generator, address)
    assert found.errors == {}
    assert found.completed > 0
    assert found.latency is not None
    assert 0 < found.latency.p50 <= found.latency.p99 <= found.latency.max


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 4\r\n\r\ngood", "status"),
        (HEAD % 3 + b"bad", "body_bytes"),
        (b"HTTP/1.1 200 OK\r\n\r\ngood", "framing"),
        (CHUNKED + b"4\r\ngood\r\nxyz", "framing"),
        (b"", "closed_early"),
    ],
)
def test_a_wrong_answer_is_counted_by_what_is_wrong(
    generator: Generator, answer: bytes, error: str
) -> None:
    # One wrong answer in three: the right ones beside it still count.
    with serving(lambda number: GOOD if number % 3 else answer) as address:
        found = load(generator, address)
    assert set(found.errors) == {error}
    assert found.completed > 0


@pytest.mark.parametrize(
    ("body", "right"),
    [
        (DONE, True),
        (b"data: {}\n\ndata: {}\n\n", False),
        (b"data: [DONE]\n\n", False),
        (DONE + b"data: {}\n\n", False),
    ],
)
def test_a_stream_is_right_only_with_all_events_and_its_finish_marker(
    generator: Generator, body: bytes, *, right: bool
) -> None:
    # In the smallest chunks there are, so that every boundary falls everywhere.
    pieces = b"".join(b"1\r\n" + body[i : i + 1] + b"\r\n" for i in range(len(body)))
    kind = Kind(JSON.model, stream=False, events=2)
    with serving(lambda _: CHUNKED + pieces + b"0\r\n\r\n") as address:
        found = load(generator, address, kind, size=0)
    assert (found.completed > 0) is right
    assert (found.errors == {}) is right
    if not right:
        assert set(found.errors) == {"events"}


def test_a_stall_is_charged_to_every_request_that_was_due_meanwhile(generator: Generator) -> None:
    def stall_once(number: int) -> bytes:
        if number in {4, 5}:
            time.sleep(0.1)
        return GOOD

    with serving(stall_once) as address:
        found = load(generator, address, rate=200)
    assert found.latency is not None
    assert found.errors == {}
    # Two connections stalled together for 100 ms: of the 60 requests due, some 20 waited, though
    # only two of them were asked during the stall.
    assert found.latency.max > 90_000
    assert found.latency.p90 > 10_000


def test_the_upstream_gives_the_answers_that_are_expected_of_it(
    generator: Generator, tmp_path: Path
) -> None:
    assert len(JSON.body()) == len(BURST.body()) == REQUEST_BODY
    with upstream(build("upstream"), choose_cores(), tmp_path) as port:
        direct = Target("direct", f"tcp:127.0.0.1:{port}", pid=None)
        assert answer_size(direct, JSON) == ANSWER_BODY
        plain = load(generator, direct.address, JSON, size=ANSWER_BODY)
        streamed = load(generator, direct.address, BURST, size=answer_size(direct, BURST))
        paced = Kind("bench-stream-5-20000", stream=True, events=5)
        slow = load(generator, direct.address, paced, size=answer_size(direct, paced))
        with generator.hold(direct.address, JSON, 50):
            pass
        with generator.hold(
            direct.address, Kind("bench-stream-9-1000000", stream=True, events=9), 50
        ):
            pass
    for found in (plain, streamed, slow):
        assert found.errors == {}
        assert found.completed > 0
    assert streamed.events == pytest.approx(streamed.completed * BURST.events, rel=0.1)
    assert slow.latency is not None
    assert slow.latency.p50 >= 80_000, "four gaps of 20 ms"
