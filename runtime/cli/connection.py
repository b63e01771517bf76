"""One connection to the daemon's socket: heads and bodies of its answers, every wait bounded."""

from __future__ import annotations

import os
import socket
import time

from runtime.cli.errors import AnswerBroken, DaemonError, DaemonSilent, NoDaemon

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Connection", "GoneBeforeAnswer"]

_MAX_HEAD = 64 * 1024
_RECEIVE = 64 * 1024
_KIND, _SOCKET = 0o170000, 0o140000
"""The file type in a mode and that of a socket (inode(7))."""

_PAUSE = 0.02
"""Seconds between two tries to get into a full queue."""


class GoneBeforeAnswer(DaemonError):  # noqa: N818 - it names a situation
    """The connection ended before the first byte of an answer."""


class Connection:
    """A connected socket with a buffer of what was received and not yet used.

    Deadlines are `time.monotonic()` values.

    Args:
        path: The daemon's socket.
        deadline: Until when it has to take the connection.

    Raises:
        NoDaemon: Nothing listens there, or not for this user.
        DaemonSilent: It does not take the connection in time.

    Attributes:
        ended: Whether the answer ends with the connection, so that no other can follow.
    """

    __slots__ = ("_buffer", "_path", "_socket", "ended")

    def __init__(self, path: str, deadline: float) -> None:
        self._path = path
        self._buffer = b""
        self.ended = False
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._connect(deadline)
        except (FileNotFoundError, ConnectionRefusedError):
            self.close()
            if _is_something_else(path):
                raise NoDaemon(f"{path} is not a socket; no daemon can answer there") from None
            raise NoDaemon(_why_nobody(path)) from None
        except PermissionError:
            self.close()
            raise NoDaemon(f"may not open {path}: it belongs to another user") from None
        except OSError as error:
            self.close()
            raise NoDaemon(f"cannot connect to {path}: {error.strerror or error}") from None

    def _connect(self, deadline: float) -> None:
        """Connect; a queue of the kernel's that is full takes us later (connect(2), EAGAIN)."""
        while True:
            self._wait_until(deadline)
            try:
                return self._socket.connect(self._path)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    self.close()
                    raise DaemonSilent(
                        f"the daemon at {self._path} takes no connection: too many are waiting, "
                        "or it hangs"
                    ) from None
                time.sleep(_PAUSE)

    def close(self) -> None:
        """Close the socket; doing it twice is fine."""
        self._socket.close()

    def send(self, data: bytes, deadline: float) -> None:
        """Send a whole request; raises `DaemonSilent` when it is not taken in time."""
        self._wait_until(deadline)
        try:
            self._socket.sendall(data)
        except TimeoutError:
            raise DaemonSilent(f"the daemon at {self._path} does not take the request") from None
        except OSError:
            # The daemon may have answered (say 413) before it closed; the answer is read next.
            return

    def head(self, deadline: float) -> tuple[int, dict[str, str]]:
        """Return the status and the headers, by lower-case name, of the final answer.

        Raises:
            GoneBeforeAnswer: The connection ended first.
            DaemonSilent: They do not come in time.
            AnswerBroken: They end early or are no HTTP.
        """
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
                    raise GoneBeforeAnswer(self._path)
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


def _why_nobody(path: str) -> str:
    """Say why nobody listens at a path: a daemon that starts or stops keeps its lock meanwhile."""
    from runtime.instance import holder  # noqa: PLC0415 - only where something is wrong

    pid = holder(path)
    if pid is not None:
        return f"the daemon at {path} (pid {pid}) takes no requests: it is starting or stopping"
    return f"no daemon answers at {path}; start it with: standby up"


def _is_something_else(path: str) -> bool:
    """Tell whether a file, a folder or the like lies at a path."""
    try:
        kind = os.stat(path).st_mode & _KIND  # noqa: PTH116 - pathlib costs its import
    except OSError:
        return False
    return kind != _SOCKET
