"""A light HTTP client over a Unix socket: so that the load, not the loader, is what is tested.

It keeps its connections, checks that an answer is framed as it should be, and notices bytes that
nobody asked for: the trace of an answer that was sent twice.
"""

import os
import select
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import httptools
import trio

__all__ = ["Client", "CutError", "Reply"]

_MOST_IDLE = 100
_PIECE = 64 * 1024


class CutError(Exception):
    """The connection ended, or lost its framing, before the answer was whole.

    Attributes:
        status: The answer's status, 0 when there was none.
        body: What had come of its body.
    """

    def __init__(self, reason: str, status: int = 0, body: bytes = b"") -> None:
        super().__init__(reason)
        self.status = status
        self.body = body


class Reply(NamedTuple):
    """One whole answer."""

    status: int
    headers: Mapping[str, str]
    body: bytes


def _is_silent(stream: trio.SocketStream) -> bool:
    """Tell whether an idle connection is open.

    Raises:
        CutError: It says something that nobody asked for.
    """
    descriptor = stream.socket.fileno()
    readable = select.poll()
    readable.register(descriptor, select.POLLIN)
    if not readable.poll(0):
        return True
    try:
        said = os.read(descriptor, 200)
    except OSError:
        return False
    if said:
        raise CutError(f"bytes that nobody asked for: {said!r}")
    return False


class _Reading:
    """Takes apart one answer."""

    def __init__(self) -> None:
        self.parser = httptools.HttpResponseParser(self)
        self.headers: dict[str, str] = {}
        self.body: list[bytes] = []
        self.complete = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode().lower()] = value.decode()

    def on_body(self, body: bytes) -> None:
        self.body.append(body)

    def on_message_complete(self) -> None:
        self.complete = True

    @property
    def status(self) -> int:
        code = self.parser.get_status_code()
        return int(code or 0)


class Client:
    """Asks over one Unix socket.

    Args:
        path: The socket.
    """

    def __init__(self, path: Path) -> None:
        self._path = str(path)
        self._idle: list[trio.SocketStream] = []

    async def ask(self, method: str, target: str, body: bytes = b"") -> Reply:
        """Send one request and read its answer.

        Args:
            method: The method.
            target: The path.
            body: The body; JSON.

        Raises:
            CutError: The connection ended too early.
            OSError: There is no connection to be had.
        """
        head = (
            f"{method} {target} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        async with self._stream() as stream:
            reading = _Reading()
            try:
                await stream.send_all(head.encode() + body)
                while not reading.complete:
                    piece = await stream.receive_some(_PIECE)
                    if not piece:
                        raise CutError("ended", reading.status, b"".join(reading.body))
                    reading.parser.feed_data(piece)
            except (trio.BrokenResourceError, httptools.HttpParserError) as error:
                raise CutError(repr(error), reading.status, b"".join(reading.body)) from error
            if reading.parser.should_keep_alive() and len(self._idle) < _MOST_IDLE:
                self._idle.append(stream)
        return Reply(reading.status, reading.headers, b"".join(reading.body))

    async def aclose(self) -> None:
        """Close what is idle."""
        while self._idle:
            await self._idle.pop().aclose()

    @asynccontextmanager
    async def _stream(self) -> AsyncIterator[trio.SocketStream]:
        stream = await self._take()
        try:
            yield stream
        finally:
            if stream not in self._idle:
                await trio.aclose_forcefully(stream)

    async def _take(self) -> trio.SocketStream:
        """Return an idle connection that is still open, else a new one."""
        while self._idle:
            stream = self._idle.pop()
            if _is_silent(stream):
                return stream
            await trio.aclose_forcefully(stream)
        unix = trio.socket.socket(trio.socket.AF_UNIX)
        try:
            await unix.connect(self._path)
        except BaseException:
            unix.close()
            raise
        return trio.SocketStream(unix)
