"""What server and client connections have in common: a socket on the poller."""

from __future__ import annotations

import select
import socket
from abc import ABC, abstractmethod
from collections import deque

from providers.http.poller import Poller
from providers.http.waiting import Waiting

__all__ = ["READ", "WRITE", "Stream"]

READ = select.EPOLLIN | select.EPOLLRDHUP
WRITE = select.EPOLLOUT

_JOIN_LIMIT = 64 * 1024
_GATHER = 64


class Stream(Waiting, ABC):
    """A non-blocking stream socket with lasting registration, unsent bytes and one waiter.

    Args:
        poller: Where the socket is registered.
        sock: A connected stream socket; it belongs to this object from now on.

    Attributes:
        closed: Whether nothing more can be read or sent.
        unsent: Bytes given to be sent that the socket has not taken yet.
    """

    __slots__ = (
        "_fd",
        "_live",
        "_mask",
        "_outgoing",
        "_registered",
        "_sock",
        "closed",
        "unsent",
    )

    def __init__(self, poller: Poller, sock: socket.socket) -> None:
        sock.settimeout(0)
        if sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        super().__init__(poller)
        self._sock = sock
        self._fd = sock.fileno()
        self._mask = READ
        self._outgoing: deque[memoryview] | None = None
        self.closed = False
        self.unsent = 0
        self._live = True
        self._registered = True
        poller.add(self._fd, self, READ)

    # Events

    def _set_mask(self, mask: int) -> None:
        """Change what the registration waits for (hang-ups and errors always come)."""
        if mask != self._mask and self._live:
            self._mask = mask
            if self._registered:
                self._poller.modify(self._fd, mask)
            else:
                self._poller.add(self._fd, self, mask)
                self._registered = True

    @abstractmethod
    def on_events(self, events: int) -> None:
        """The socket is ready for these `select.EPOLL*` events."""

    @abstractmethod
    def on_failure(self, error: Exception) -> None:
        """`on_events` raised this: close, without raising."""

    def _leave(self) -> None:
        """Take the socket off the poller: a hang-up nobody can act on now would spin there."""
        if self._registered:
            self._registered = False
            self._mask = 0
            self._poller.remove(self._fd)

    def _release(self) -> None:
        """Close the socket, drop what is unsent, leave the wheel."""
        self.closed = True
        self._outgoing = None
        self.unsent = 0
        self._registered = False
        if self._live:
            self._live = False
            self._poller.wheel.disarm(self)
            self._poller.retire(self._sock)

    # Sending

    def _send_raw(self, data: bytes) -> None:
        """Send what the socket takes at once and keep the rest.

        Raises:
            OSError: The socket refuses for good.
        """
        if self._outgoing is None:
            try:
                sent = self._sock.send(data)
            except BlockingIOError:
                sent = 0
            if sent == len(data):
                return
            self._outgoing = deque()
            self._outgoing.append(memoryview(data)[sent:])
            self.unsent = len(data) - sent
            self._set_mask(self._mask | WRITE)
        elif data:
            self._outgoing.append(memoryview(data))
            self.unsent += len(data)

    def _send_more(self) -> None:
        """Send on from what was kept.

        Raises:
            OSError: The socket refuses for good.
        """
        outgoing = self._outgoing
        if outgoing is None:
            return
        while outgoing:
            try:
                if len(outgoing) == 1:
                    sent = self._sock.send(outgoing[0])
                else:
                    sent = self._sock.sendmsg(
                        [outgoing[i] for i in range(min(len(outgoing), _GATHER))]
                    )
            except BlockingIOError:
                return
            self.unsent -= sent
            while outgoing and sent >= len(outgoing[0]):
                sent -= len(outgoing.popleft())
            if sent:
                outgoing[0] = outgoing[0][sent:]
        self._outgoing = None
        self._set_mask(self._mask & ~WRITE)

    def _send_all(self, data: tuple[bytes, ...]) -> None:
        """Send more than one byte string, as one if they are small together."""
        if sum(map(len, data)) <= _JOIN_LIMIT:
            self._send_raw(b"".join(data))
        else:
            for part in data:
                self._send_raw(part)
