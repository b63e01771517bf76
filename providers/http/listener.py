"""Listening sockets on the poller."""

from __future__ import annotations

import contextlib
import errno
import logging
import math
import os
import select
import socket
import tempfile
from collections.abc import Callable
from pathlib import Path

import trio

from providers.http.poller import Poller
from providers.http.server import Peer

__all__ = ["Listener", "bind_tcp", "bind_unix"]

ACCEPTS = 8
"""Connections accepted per wake-up at most: many at once would be unfair between workers."""

PATH_LIMIT = 107
"""Bytes in the path of a Unix socket at most (`sun_path` less its end)."""

EXHAUSTED_PAUSE = 0.5
"""Seconds without accepting after the system ran out of descriptors or memory."""

_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_log = logging.getLogger("standby.http")


def bind_unix(
    path: str | os.PathLike[str], mode: int = 0o600, *, backlog: int = 1024
) -> socket.socket:
    """Listen on a Unix socket that appears at its path in one step, with its mode already right.

    Whatever was at the path is replaced; whether it may be is for the caller to find out first.

    Args:
        path: Where; its directory exists.
        mode: Who may connect.
        backlog: Connections the kernel may hold for us.

    Raises:
        ValueError: The path is too long for a Unix socket.
        OSError: The directory is missing or not writable.
    """
    final = Path(path)
    directory = final.parent
    scratch = Path(tempfile.mktemp(prefix=".", dir=directory))  # noqa: S306 - bind refuses existing
    longest = max(len(os.fsencode(final)), len(os.fsencode(scratch)))
    if longest > PATH_LIMIT:
        raise ValueError(
            f"{final} is too long for a Unix socket: with a temporary name beside it {longest} "
            f"bytes, of which {PATH_LIMIT} are possible"
        )
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        before = os.umask(0o777 & ~mode)
        try:
            sock.bind(os.fspath(scratch))
        finally:
            os.umask(before)
        try:
            sock.listen(backlog)
            scratch.chmod(mode)
            scratch.rename(final)
        except BaseException:
            scratch.unlink(missing_ok=True)
            raise
    except BaseException:
        sock.close()
        raise
    return sock


def bind_tcp(host: str, port: int, *, backlog: int = 1024) -> socket.socket:
    """Listen on a TCP port of an address (a name is not looked up; `localhost` is 127.0.0.1).

    Raises:
        OSError: The address is not ours, or the port is taken.
    """
    address = "127.0.0.1" if host == "localhost" else host
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind((address, port))
        sock.listen(backlog)
    except BaseException:
        sock.close()
        raise
    return sock


class Listener:
    """A listening socket on the poller; `accept_into` starts it.

    Args:
        poller: Where it is registered.
        sock: A listening socket, from `bind_unix`, `bind_tcp` or an inherited descriptor.
        unlink: A path to remove at closing, if it is still this socket's.

    Attributes:
        accepted: Connections accepted so far.
        paused: Whether accepting is paused by `pause`.
    """

    __slots__ = (
        "_callback",
        "_inode",
        "_path",
        "_poller",
        "_sock",
        "accepted",
        "closed",
        "deadline",
        "fires_at",
        "paused",
    )

    def __init__(
        self, poller: Poller, sock: socket.socket, *, unlink: str | os.PathLike[str] | None = None
    ) -> None:
        sock.settimeout(0)
        self._poller = poller
        self._sock = sock
        self._callback: Callable[[socket.socket, Peer], None] | None = None
        self._path = Path(unlink) if unlink is not None else None
        self._inode = self._identity()
        self.accepted = 0
        self.paused = False
        self.closed = False
        self.deadline = math.inf
        self.fires_at = math.inf

    @classmethod
    def bind_unix(cls, poller: Poller, path: str | os.PathLike[str], mode: int = 0o600) -> Listener:
        """A listener on a new Unix socket, which it removes at closing; see `bind_unix`."""
        return cls(poller, bind_unix(path, mode), unlink=path)

    @classmethod
    def bind_tcp(cls, poller: Poller, host: str, port: int) -> Listener:
        """A listener on a TCP port; see `bind_tcp`."""
        return cls(poller, bind_tcp(host, port))

    @classmethod
    def from_fd(cls, poller: Poller, fd: int) -> Listener:
        """A listener on an inherited listening descriptor."""
        return cls(poller, socket.socket(fileno=fd))

    @property
    def address(self) -> str:
        """The socket's path, or host and port."""
        name = self._sock.getsockname()
        if isinstance(name, tuple):
            return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"
        return os.fspath(self._path) if self._path is not None else os.fsdecode(name)

    @property
    def port(self) -> int | None:
        """The TCP port, also when the system chose it; None for a Unix socket."""
        name = self._sock.getsockname()
        return int(name[1]) if isinstance(name, tuple) else None

    def accept_into(self, callback: Callable[[socket.socket, Peer], None]) -> None:
        """Begin to accept, or change who gets the connections.

        Args:
            callback: Called in the poller's task with each socket, which is then the callback's;
                when it raises, the socket is closed.
        """
        first = self._callback is None
        self._callback = callback
        if first and not self.paused:
            self._poller.add(self._sock.fileno(), self, select.EPOLLIN)

    def pause(self) -> None:
        """Accept nothing until `resume`; the kernel holds some new connections meanwhile."""
        if not self.paused:
            self.paused = True
            self._poller.wheel.disarm(self)
            if self._callback is not None and not self.closed:
                self._poller.remove(self._sock.fileno())

    def resume(self) -> None:
        """Accept again."""
        if self.paused:
            self.paused = False
            if self._callback is not None and not self.closed:
                self._poller.add(self._sock.fileno(), self, select.EPOLLIN)

    def close(self) -> None:
        """Close the socket and remove its path; nothing more is accepted."""
        if self.closed:
            return
        self.closed = True
        self._poller.wheel.disarm(self)
        if self._path is not None and self._identity() == self._inode:
            with contextlib.suppress(OSError):
                self._path.unlink()
        self._poller.retire(self._sock)

    def on_events(self, events: int) -> None:  # noqa: ARG002 - the poller's protocol
        """Connections are waiting."""
        callback = self._callback
        assert callback is not None
        for _ in range(ACCEPTS):
            if self.paused or self.closed:
                return
            try:
                sock, _ = self._sock.accept()
            except (BlockingIOError, ConnectionAbortedError):
                return
            except OSError as error:
                if error.errno not in _EXHAUSTED:
                    raise
                self._rest(error)
                return
            self.accepted += 1
            try:
                sock.settimeout(0)
                callback(sock, Peer.of(sock))
            except Exception:  # noqa: BLE001 - accepting goes on whatever one callback does
                _log.exception("a new connection could not be served and is closed")
                sock.close()

    def on_failure(self, error: Exception) -> None:
        """Accepting failed for good."""
        if not self._poller.closing:
            _log.error("listening on %s ended: %s", self._path or self._sock, error)
        self.close()

    def on_deadline(self) -> None:
        """Try again after exhaustion."""
        if not self.closed and not self.paused:
            self._poller.modify(self._sock.fileno(), select.EPOLLIN)

    def _rest(self, error: OSError) -> None:
        """Out of descriptors or memory: trying again at once would only spin."""
        _log.warning("cannot accept connections for the moment: %s", error.strerror)
        self._poller.modify(self._sock.fileno(), 0)
        self._poller.wheel.arm(self, trio.current_time() + EXHAUSTED_PAUSE)

    def _identity(self) -> tuple[int, int] | None:
        if self._path is None:
            return None
        try:
            status = self._path.stat(follow_symlinks=False)
        except OSError:
            return None
        return status.st_dev, status.st_ino
