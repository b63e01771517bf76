"""A small blocking HTTP/1.1 client over a Unix socket, made of the standard library's `socket`.

`http.client` would do, but importing it (and the `email` package under it) takes longer than a
whole `standby status`. This client speaks exactly what the daemon's own doors answer: a status
line, headers, and a body that is chunked, of a given length, or ended by the close of the
connection. Every wait is bounded.
"""

from __future__ import annotations

import json
import socket
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Any, Self

__all__ = [
    "Answer",
    "AnswerBroken",
    "Daemon",
    "DaemonError",
    "DaemonSilent",
    "NoDaemon",
    "StreamedAnswer",
    "error_message",
    "quote",
]

_MAX_HEAD = 64 * 1024
_MAX_BODY = 64 * 1024 * 1024
_MAX_EVENT = 8 * 1024 * 1024
_RECEIVE = 64 * 1024
_UNRESERVED = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:@!$&'()*+,;="
)


class DaemonError(Exception):
    """Talking to the daemon failed; the text says how, in words for the person at the terminal."""


class NoDaemon(DaemonError):  # noqa: N818 - it names a situation; "NoDaemonError" says no more
    """Nothing answers at the socket: not running, or not reachable."""


class DaemonSilent(DaemonError):  # noqa: N818 - the same
    """The daemon took the connection and said nothing for too long."""


class AnswerBroken(DaemonError):  # noqa: N818 - the same
    """The daemon began to answer and the answer ended early or made no sense."""


class Answer:
    """One whole answer.

    Args:
        status: The HTTP status.
        headers: Header values by lower-case name; the last of a repeated header wins.
        body: The body, decoded from its transfer coding.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def json(self) -> Any:
        """Return the body read as JSON; raises `AnswerBroken` where it is not."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise AnswerBroken(f"the daemon's answer is not JSON: {error}") from None

    def error_message(self) -> str:
        """Return what the daemon says went wrong, in whichever dialect it says it."""
        return error_message(self.body) or f"the daemon answered {self.status} without a reason"


class StreamedAnswer:
    """An answer read while it arrives. Use as a context manager; leaving it closes the connection.

    `status` and `headers` are there at once; then call one of `events` or `read`.
    """

    __slots__ = ("_connection", "_silence", "headers", "status")

    def __init__(
        self, connection: _Connection, status: int, headers: dict[str, str], silence: float
    ) -> None:
        self._connection = connection
        self._silence = silence
        self.status = status
        self.headers = headers

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._connection.close()

    def read(self) -> bytes:
        """Return the whole body; raises `AnswerBroken` when it ends early."""
        return _collect(self._pieces())

    def lines(self) -> Iterator[bytes]:
        """Yield the body's lines without their ends (LF or CRLF), each as soon as it is whole."""
        rest = b""
        for piece in self._pieces():
            rest += piece
            *whole, rest = rest.split(b"\n")
            if len(rest) > _MAX_EVENT:
                raise AnswerBroken(f"a line of the stream is longer than {_MAX_EVENT} bytes")
            for line in whole:
                yield line.removesuffix(b"\r")
        if rest:
            yield rest

    def events(self) -> Iterator[tuple[str, str]]:
        """Yield the server-sent events as `(event name, data)`; the name is "" when none is given.

        An event that was not ended by its blank line is not yielded, as the format demands.
        """
        name = ""
        data: list[str] = []
        for raw in self.lines():
            line = raw.decode("utf-8", "replace")
            if not line:
                if data:
                    yield name, "\n".join(data)
                name, data = "", []
                continue
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "data":
                data.append(value)
            elif field == "event":
                name = value

    def _pieces(self) -> Iterator[bytes]:
        return self._connection.body(self.status, self.headers, self._silence, None)


class Daemon:
    """The daemon behind a Unix socket.

    Requests share one kept-alive connection; a stream has a connection of its own. Use as a
    context manager, or call `close`.

    Args:
        path: The socket.
        timeout: Seconds a whole plain request may take.
    """

    def __init__(self, path: str, *, timeout: float = 5.0) -> None:
        self.path = path
        self.timeout = timeout
        self._kept: _Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the kept connection; the next request opens another."""
        if self._kept is not None:
            self._kept.close()
            self._kept = None

    def request(
        self, method: str, path: str, body: object = None, *, timeout: float | None = None
    ) -> Answer:
        """Send one request and return its whole answer, whatever its status.

        Args:
            method: The HTTP method.
            path: The target, starting with a slash and already quoted (see `quote`).
            body: Something `json.dumps` takes, or None for no body.
            timeout: Seconds for the whole exchange, in place of the daemon's default.

        Raises:
            NoDaemon: Nothing answers.
            DaemonSilent: It does not answer in time.
            AnswerBroken: The answer ended early or is not HTTP.
        """
        deadline = time.monotonic() + (self.timeout if timeout is None else timeout)
        kept, self._kept = self._kept, None
        if kept is not None:
            try:
                return self._exchange(kept, method, path, body, deadline)
            except _GoneBeforeAnswer:
                # The daemon closes idle connections when it pleases. A GET may be asked again on
                # a fresh one; anything else may already have been done.
                if method != "GET":
                    raise AnswerBroken(
                        f"{self.path} closed the connection before it answered"
                    ) from None
        connection = _Connection(self.path, deadline)
        try:
            return self._exchange(connection, method, path, body, deadline)
        except _GoneBeforeAnswer:
            raise AnswerBroken(f"{self.path} closed the connection without an answer") from None

    def _exchange(
        self, connection: _Connection, method: str, path: str, body: object, deadline: float
    ) -> Answer:
        try:
            connection.send(_request_bytes(method, path, body), deadline)
            status, headers = connection.head(deadline)
            pieces = connection.body(status, headers, None, deadline)
            answer = Answer(status, headers, _collect(pieces))
        except BaseException:
            connection.close()
            raise
        if connection.ended or headers.get("connection", "").lower() == "close":
            connection.close()
        else:
            self._kept = connection
        return answer

    def stream(
        self, method: str, path: str, body: object = None, *, silence: float = 300.0
    ) -> StreamedAnswer:
        """Send one request and return its answer as soon as the head of it is there.

        Args:
            method: The HTTP method.
            path: The target, starting with a slash and already quoted.
            body: Something `json.dumps` takes, or None for no body.
            silence: Seconds the daemon may stay silent, before the head and between two pieces.

        Raises:
            NoDaemon: Nothing answers.
            DaemonSilent: It does not answer in time.
            AnswerBroken: The answer ended early or is not HTTP.
        """
        connection = _Connection(self.path, time.monotonic() + self.timeout)
        try:
            connection.send(_request_bytes(method, path, body), time.monotonic() + self.timeout)
            status, headers = connection.head(time.monotonic() + silence)
        except _GoneBeforeAnswer:
            connection.close()
            raise AnswerBroken(f"{self.path} closed the connection without an answer") from None
        except BaseException:
            connection.close()
            raise
        return StreamedAnswer(connection, status, headers, silence)


class _GoneBeforeAnswer(DaemonError):  # noqa: N818 - the same
    """The connection ended before the first byte of an answer."""


class _Connection:
    """A connected socket with a buffer of what was received and not yet used."""

    __slots__ = ("_buffer", "_path", "_socket", "ended")

    def __init__(self, path: str, deadline: float) -> None:
        self._path = path
        self._buffer = b""
        self.ended = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._wait_until(deadline)
            self._socket.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            self.close()
            raise NoDaemon(f"no daemon answers at {path}; start it with: standby up") from None
        except PermissionError:
            self.close()
            raise NoDaemon(f"may not open {path}: it belongs to another user") from None
        except OSError as error:
            self.close()
            raise NoDaemon(f"cannot connect to {path}: {error.strerror or error}") from None

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes, deadline: float) -> None:
        self._wait_until(deadline)
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise DaemonSilent(f"the daemon at {self._path} does not take the request") from None
        except OSError:
            # The daemon may have answered (say 413) before it closed; the answer is read next.
            return

    def head(self, deadline: float) -> tuple[int, dict[str, str]]:
        while True:
            status, headers = self._one_head(deadline)
            if status >= 200:
                return status, headers

    def _one_head(self, deadline: float) -> tuple[int, dict[str, str]]:
        first = self._line(deadline, start=True)
        version, _, rest = first.partition(" ")
        code = rest[:3]
        if not version.startswith("HTTP/1.") or not code.isdecimal():
            raise AnswerBroken(f"what answers at {self._path} does not speak HTTP")
        headers: dict[str, str] = {}
        size = 0
        while line := self._line(deadline):
            size += len(line)
            if size > _MAX_HEAD:
                raise AnswerBroken(f"the answer's headers are larger than {_MAX_HEAD} bytes")
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        return int(code), headers

    def body(
        self, status: int, headers: dict[str, str], silence: float | None, deadline: float | None
    ) -> Iterator[bytes]:
        """Yield the body as it arrives, bounded by silence between pieces or by one deadline."""

        def until() -> float:
            if deadline is not None:
                return deadline
            assert silence is not None
            return time.monotonic() + silence

        if status in {204, 304}:
            return
        if headers.get("transfer-encoding", "").lower() == "chunked":
            yield from self._chunks(until)
            return
        length = headers.get("content-length")
        if length is None:
            self.ended = True
            while piece := self._some(until()):
                yield piece
            return
        if not length.isdecimal():
            raise AnswerBroken(f"the answer's content-length is {length!r}, not a number")
        yield from self._exactly(int(length), until)

    def _chunks(self, until: Callable[[], float]) -> Iterator[bytes]:
        while True:
            line = self._line(until())
            try:
                size = int(line.partition(";")[0].strip(), 16)
            except ValueError:
                raise AnswerBroken(f"a chunk of the answer has the size {line[:20]!r}") from None
            if size == 0:
                while self._line(until()):  # trailers mean nothing to us
                    pass
                return
            yield from self._exactly(size, until)
            if self._line(until()):
                raise AnswerBroken("a chunk of the answer is longer than it said")

    def _exactly(self, size: int, until: Callable[[], float]) -> Iterator[bytes]:
        while size > 0:
            piece = self._some(until())
            if not piece:
                raise AnswerBroken("the daemon closed the connection before its answer was whole")
            if len(piece) > size:
                self._buffer = piece[size:] + self._buffer
                piece = piece[:size]
            size -= len(piece)
            yield piece

    def _line(self, deadline: float, *, start: bool = False) -> str:
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > _MAX_HEAD:
                raise AnswerBroken(f"a line of the answer is longer than {_MAX_HEAD} bytes")
            held, self._buffer = self._buffer, b""
            piece = self._some(deadline)
            if not piece:
                if start and not held:
                    raise _GoneBeforeAnswer(self._path)
                raise AnswerBroken("the daemon closed the connection before its answer was whole")
            self._buffer = held + piece
        line = self._buffer[:end]
        self._buffer = self._buffer[end + 1 :]
        return line.removesuffix(b"\r").decode("latin-1")

    def _some(self, deadline: float) -> bytes:
        """Return what is buffered, else what arrives next; b"" when the daemon closed."""
        if self._buffer:
            piece, self._buffer = self._buffer, b""
            return piece
        began = time.monotonic()
        self._wait_until(deadline)
        try:
            return self._socket.recv(_RECEIVE)
        except TimeoutError:
            waited = time.monotonic() - began
            raise DaemonSilent(
                f"the daemon at {self._path} was silent for {waited:.0f} s; gave up"
            ) from None
        except ConnectionError:
            return b""

    def _wait_until(self, deadline: float) -> None:
        self._socket.settimeout(max(0.001, deadline - time.monotonic()))


def _request_bytes(method: str, path: str, body: object) -> bytes:
    content = (
        b"" if body is None else json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    )
    head = f"{method} {path} HTTP/1.1\r\nhost: standby\r\naccept: */*\r\n"
    if body is not None or method != "GET":
        head += f"content-type: application/json\r\ncontent-length: {len(content)}\r\n"
    return head.encode("ascii") + b"\r\n" + content


def _collect(pieces: Iterator[bytes]) -> bytes:
    collected: list[bytes] = []
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > _MAX_BODY:
            raise AnswerBroken(f"the answer is larger than {_MAX_BODY} bytes")
        collected.append(piece)
    return b"".join(collected)


def error_message(body: bytes | str) -> str | None:
    """Return the message of an error object as the daemon writes it, or None when it is none.

    Understands `{"error": {"message": ...}}` (both dialects) and `{"error": "..."}`.
    """
    try:
        error = json.loads(body)["error"]
    except (ValueError, KeyError, TypeError):
        return None
    if isinstance(error, dict):
        error = error.get("message")
    return error if isinstance(error, str) and error else None


def quote(segment: str) -> str:
    """Return a path segment with everything but RFC 3986's `pchar` percent-encoded."""
    return "".join(
        chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in segment.encode()
    )
