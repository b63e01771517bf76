"""A daemon made of recorded answers, on a Unix socket, for testing what asks it."""

import contextlib
import json
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from tests.runtime.view.sample import health_answer, tree_answer

__all__ = ["Asked", "FakeDaemon", "answer", "chunked", "stream"]

_WAIT = 10.0


class Asked(NamedTuple):
    """One request as it arrived."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


class FakeDaemon:
    """Answers each request with the pieces of bytes that are set for its method and target.

    Each piece is sent by itself. An empty piece closes the connection; `PAUSE` waits until the
    test lets it go on. A target without an answer gets 404.
    """

    PAUSE = b"(pause)"

    def __init__(self) -> None:
        # Not under pytest's own folder: a socket's path may be no longer than 107 bytes.
        self.home = Path(tempfile.mkdtemp(prefix="standby-fake-"))
        self.socket = str(self.home / "standby.sock")
        self.asked: list[Asked] = []
        self.connections = 0
        self.go_on = threading.Event()
        self.answers: dict[tuple[str, str], Iterable[bytes]] = {
            ("GET", "/health"): answer(200, {"status": "healthy"}),
            ("GET", "/health/detailed"): answer(200, health_answer()),
            ("GET", "/supervision/tree"): answer(200, tree_answer()),
        }
        self._open: set[socket.socket] = set()
        self._listener: socket.socket | None = None
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self.listen()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.leave()
        shutil.rmtree(self.home)

    def listen(self) -> None:
        """Take connections at the socket."""
        self.go_on.clear()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self.socket)
        self._listener.listen()
        self._run(self._accept, self._listener)

    def leave(self) -> None:
        """Close everything and take the socket away, as a daemon that ends."""
        self.go_on.set()
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._listener = None
            Path(self.socket).unlink()
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(_WAIT)
            assert not thread.is_alive()
        self._threads.clear()

    def wait_for(self, method: str, target: str) -> Asked:
        """Return the first request of a kind, waiting for it."""
        deadline = time.monotonic() + _WAIT
        while time.monotonic() < deadline:
            for asked in list(self.asked):
                if (asked.method, asked.target) == (method, target):
                    return asked
            time.sleep(0.005)
        raise AssertionError(f"nobody asked for {method} {target}")

    def _run(self, function: Any, *arguments: Any) -> None:
        thread = threading.Thread(target=function, args=arguments)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.add(connection)
            self._run(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            file = connection.makefile("rb")
            with file:
                while asked := _read_request(file):
                    self.asked.append(asked)
                    found = self.answers.get((asked.method, asked.target))
                    if not self._send(connection, found or _missing(asked)):
                        break
        self._open.discard(connection)

    def _send(self, connection: socket.socket, pieces: Iterable[bytes]) -> bool:
        for piece in pieces:
            if not piece:
                return False
            if piece == self.PAUSE:
                self.go_on.wait(_WAIT)
                continue
            connection.sendall(piece)
        return True


def _read_request(file: Any) -> Asked | None:
    first = file.readline().decode().split()
    if len(first) != 3:
        return None
    headers = {}
    while line := file.readline().strip().decode():
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = file.read(int(headers.get("content-length", 0)))
    return Asked(first[0], first[1], headers, body)


def _missing(asked: Asked) -> list[bytes]:
    return answer(404, {"error": {"message": f"nothing at {asked.target}"}})


def answer(status: int, body: object, headers: Mapping[str, str] | None = None) -> list[bytes]:
    """Return a whole answer of known length, as one piece."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return [_head(status, {"content-length": str(len(content)), **(headers or {})}) + content]


def chunked(
    status: int, pieces: Iterable[bytes], headers: Mapping[str, str] | None = None
) -> Iterator[bytes]:
    """Yield a chunked answer, head and each chunk by itself; pauses and closes pass through."""
    yield _head(status, {"transfer-encoding": "chunked", **(headers or {})})
    for piece in pieces:
        if piece in {b"", FakeDaemon.PAUSE}:
            yield piece
        else:
            yield b"%x\r\n%s\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} Whatever", *(f"{n}: {v}" for n, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def stream(*texts: str, end: bool = True) -> list[bytes]:
    """Return the events of a streamed chat completion; without its end when it breaks off."""
    chunks: list[dict[str, Any]] = [{"choices": [{"delta": {"content": t}}]} for t in texts]
    if end:
        chunks.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
        chunks.append({"choices": [], "usage": {"prompt_tokens": 7, "completion_tokens": 1234}})
    events = [b"data: " + json.dumps({"model": "sim-1", **c}).encode() + b"\n\n" for c in chunks]
    return [*events, b"data: [DONE]\n\n"] if end else events
