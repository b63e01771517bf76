"""A small blocking HTTP/1.1 client over a Unix socket, made of the standard library's `socket`.

`http.client` would do, but importing it (and the `email` package under it) takes longer than a
whole `standby status`. This client speaks exactly what the daemon's own doors answer: a status
line, headers, and a body that is chunked, of a given length, or ended by the close of the
connection. Every wait is bounded.
"""

from __future__ import annotations

import json
import time

from runtime.cli.connection import Connection, GoneBeforeAnswer
from runtime.cli.errors import AnswerBroken

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import TracebackType
    from typing import Any, Self

__all__ = [
    "Answer",
    "Daemon",
    "StreamedAnswer",
    "error_message",
    "quote",
]

_MAX_BODY = 64 * 1024 * 1024
_MAX_EVENT = 8 * 1024 * 1024
_UNRESERVED = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:@!$&'()*+,;="
)


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
        self, connection: Connection, status: int, headers: dict[str, str], silence: float
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
        self._kept: Connection | None = None

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
            except GoneBeforeAnswer:
                # The daemon closes idle connections when it pleases. A GET may be asked again on
                # a fresh one; anything else may already have been done.
                if method != "GET":
                    raise AnswerBroken(
                        f"{self.path} closed the connection before it answered"
                    ) from None
        connection = Connection(self.path, deadline)
        try:
            return self._exchange(connection, method, path, body, deadline)
        except GoneBeforeAnswer:
            raise AnswerBroken(f"{self.path} closed the connection without an answer") from None

    def _exchange(
        self, connection: Connection, method: str, path: str, body: object, deadline: float
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
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        silence: float = 300.0,
        headers: Mapping[str, str] | None = None,
    ) -> StreamedAnswer:
        """Send one request and return its answer as soon as the head of it is there.

        Args:
            method: The HTTP method.
            path: The target, starting with a slash and already quoted.
            body: Something `json.dumps` takes, or None for no body.
            silence: Seconds the daemon may stay silent, before the head and between two pieces.
            headers: Further headers, of printable ASCII.

        Raises:
            NoDaemon: Nothing answers.
            DaemonSilent: It does not answer in time.
            AnswerBroken: The answer ended early or is not HTTP.
        """
        connection = Connection(self.path, time.monotonic() + self.timeout)
        try:
            connection.send(
                _request_bytes(method, path, body, headers), time.monotonic() + self.timeout
            )
            status, answered = connection.head(time.monotonic() + silence)
        except GoneBeforeAnswer:
            connection.close()
            raise AnswerBroken(f"{self.path} closed the connection without an answer") from None
        except BaseException:
            connection.close()
            raise
        return StreamedAnswer(connection, status, answered, silence)


def _request_bytes(
    method: str, path: str, body: object, headers: Mapping[str, str] | None = None
) -> bytes:
    content = (
        b"" if body is None else json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")
    )
    head = f"{method} {path} HTTP/1.1\r\nhost: standby\r\naccept: */*\r\n"
    if body is not None or method != "GET":
        head += f"content-type: application/json\r\ncontent-length: {len(content)}\r\n"
    for name, value in (headers or {}).items():
        head += f"{name}: {value}\r\n"
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
