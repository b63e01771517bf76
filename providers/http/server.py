"""A client's connection to us: whole requests in, answers out."""

from __future__ import annotations

import math
import select
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass

import trio

from providers.http.errors import BadRequest, ConnectionLost, DeadlineExceeded, without_frames
from providers.http.messages import Limits, Request
from providers.http.poller import Poller
from providers.http.reading import Allowance, RequestReader
from providers.http.stream import READ, WRITE, Stream

__all__ = ["Peer", "ServerConnection"]

DRAIN_ABOVE = 64 * 1024
"""Unsent bytes from which `drain` waits."""

DRAIN_TO = 16 * 1024
"""Unsent bytes at which a waiting `drain` goes on."""

HOLD_AHEAD = 256 * 1024
"""Bytes of a next request's body that are read while one is being answered."""

LINGER = 2.0
"""Seconds to go on reading after a refused request, so that its sender gets to see the answer."""

_HANGUP = select.EPOLLHUP | select.EPOLLERR
_CREDENTIALS = struct.Struct("iII")
_IDLE, _IN_HEAD, _IN_BODY = range(3)
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Peer:
    """Who is at the other end.

    Attributes:
        pid: Process, user and group over a Unix socket, as the kernel saw them at connect time.
        uid: See above.
        gid: See above.
        address: Host and port over TCP.
    """

    pid: int | None = None
    uid: int | None = None
    gid: int | None = None
    address: str | None = None

    @classmethod
    def of(cls, sock: socket.socket) -> Peer:
        """The peer of a connected socket; empty when it is gone already."""
        try:
            if sock.family == socket.AF_UNIX:
                raw = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
                return cls(*_CREDENTIALS.unpack(raw))
            name = sock.getpeername()
        except OSError:
            return cls()
        return cls(address=f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}")


class ServerConnection(Stream):
    """Serves one client: `read_request`, `write` the answer, again, until `None`.

    Writing never blocks and never raises; what a departed client did not get is dropped. `drain`
    tells.

    Args:
        poller: Where the socket is registered.
        sock: The accepted socket; it belongs to this object from now on.
        limits: Bounds on the client.

    Attributes:
        closed: Whether the connection is of no more use, by either side's doing.
        peer: Who the client is.
    """

    __slots__ = (
        "_answering",
        "_charge",
        "_eof",
        "_gone_callback",
        "_limits",
        "_lingering",
        "_lost",
        "_phase",
        "_reader",
        "_unix",
        "peer",
    )

    def __init__(self, poller: Poller, sock: socket.socket, limits: Limits) -> None:
        self._limits = limits
        self._reader = RequestReader(limits, poller.heads)
        self._answering = False
        self._charge = 0
        self._phase = _IDLE
        self._eof = False
        self._lingering = False
        self._lost: Exception | None = None
        self._gone_callback: Callable[[], None] | None = None
        self._unix = sock.family == socket.AF_UNIX
        self.peer = Peer.of(sock)
        super().__init__(poller, sock)

    @property
    def idle(self) -> bool:
        """Whether no request is being answered, waiting, or on its way in."""
        reader = self._reader
        return not (self._answering or reader.ready or reader.begun or reader.failure)

    async def read_request(self) -> Request | None:
        """Wait for the next whole request; what was asked before counts as answered.

        Returns:
            The request, or None when there is none to come: the client closed, or was silent for
            the idle timeout. Then the connection is closed.

        Raises:
            BadRequest: The client sent something that deserves an answer, after which `close`.
        """
        reader = self._reader
        self._answering = False
        self._gone_callback = None
        if self._charge:
            self._give_back()
        waiting = False
        while not self.closed:
            if reader.ready:
                self._answering = True
                request = reader.ready.pop(0)
                self._charge = request.charge
                return request
            failure = reader.failure
            if failure is not None:
                # Another one: what is raised gets a traceback, which holds this connection.
                raise BadRequest(failure.status, failure.message, retry_after=failure.retry_after)
            if self._eof:
                if reader.begun:
                    raise BadRequest(400, "the connection ended before the request did")
                self._release_all()
                break
            if not waiting:
                waiting = True
                self._phase = _IDLE
                poller = self._poller
                poller.wheel.arm(self, poller.now() + self._limits.idle_timeout)
                if self._mask & READ != READ:
                    self._set_mask(self._mask | READ)
                if reader.begun:
                    self._advance()
            try:
                await self._wait(self.deadline)
            except DeadlineExceeded:
                if reader.begun:
                    part = "head" if reader.in_head else "body"
                    raise BadRequest(408, f"the request's {part} took too long to arrive") from None
                self._release_all()
        return None

    def bound_bodies(self, allowance: Allowance) -> None:
        """Have somebody asked before a body is held that does not come in one read.

        A body counts until its request is answered, that is until the next `read_request`, or
        until the connection ends.

        Args:
            allowance: Who is asked; a `BadRequest` it raises is the request's.
        """
        self._reader.allowance = allowance

    @property
    def refused_target(self) -> str:
        """The target of the request that `read_request` found bad, as far as it was read."""
        return self._reader.target

    def _give_back(self) -> None:
        """Return what was taken for the body of the request that was being answered."""
        charge, self._charge = self._charge, 0
        allowance = self._reader.allowance
        if charge and allowance is not None:
            allowance.give(charge)

    def write(self, *data: bytes) -> None:
        """Send bytes of an answer: at once what the socket takes, the rest later.

        Give head and body together where both are at hand: they leave in one system call.
        """
        if self.closed:
            return
        try:
            if len(data) == 1:
                self._send_raw(data[0])
            else:
                self._send_all(data)
        except OSError as error:
            self._gone(error)

    @property
    def crowded(self) -> bool:
        """Whether `drain` would wait, or say that the client has gone."""
        return self.closed or self.unsent > DRAIN_ABOVE

    async def drain(self, end: float = math.inf) -> None:
        """Wait until little is left unsent; at most the write timeout.

        Args:
            end: When to cut the client off at the latest, on the clock of ``trio.current_time``.

        Raises:
            ConnectionLost: The client has gone, or read nothing for too long (and is cut off).
        """
        if self.unsent > DRAIN_ABOVE:
            deadline = min(end, trio.current_time() + self._limits.write_timeout)
            while self.unsent > DRAIN_TO and not self.closed:
                try:
                    await self._wait(deadline)
                except DeadlineExceeded as late:
                    self._lost = without_frames(late)
                    self._release_all()
        if self.closed:
            raise ConnectionLost("the client has gone", self._lost)

    def on_gone(self, callback: Callable[[], None] | None) -> None:
        """Have a function called once if the client goes away before its answer is complete.

        Over a Unix socket a client that has merely shut down its sending side still gets its
        answer; over TCP an end of its stream counts as gone. When it has gone already, the function
        is called at once. The next `read_request` forgets the function.
        """
        self._gone_callback = callback
        if callback is not None and self.closed:
            self._gone_callback = None
            callback()

    def close(self) -> None:
        """Close in good order: what is unsent is still sent, bounded by the write timeout.

        After a request that was not read to its end, the sending side is closed first and the rest
        of the request discarded for a moment, so that the client can read its answer instead of
        meeting a reset.
        """
        if self.closed:
            return
        reader = self._reader
        self._gone_callback = None
        self._lingering = not self._eof and (reader.begun or reader.failure is not None)
        if not self.unsent and not self._lingering:
            self._release_all()
            return
        self.closed = True
        self._answering = self.unsent > 0  # a hang-up is still to be acted on at once
        self._give_back()
        reader.close()
        self._wake()
        wheel = self._poller.wheel
        if self.unsent:
            self._set_mask(WRITE)
            wheel.arm(self, trio.current_time() + self._limits.write_timeout)
        else:
            self._begin_linger()

    def abort(self) -> None:
        """Close at once, dropping what is unsent."""
        self._release_all()

    # Called by the poller and the wheel

    def on_events(self, events: int) -> None:
        """The socket is ready."""
        if events == select.EPOLLIN:
            self._on_readable()
            return
        if events & _HANGUP and (self._answering or self._eof):
            # The peer has closed altogether, and there is nothing worth reading first.
            self._gone(None)
            return
        if events & select.EPOLLOUT:
            self._on_writable()
        if events & (READ | _HANGUP) and self._registered:
            if self._mask & select.EPOLLIN or events & _HANGUP:
                self._on_readable()
            elif self._answering:
                self._gone(None)  # reading is paused, and over TCP the client ended its stream
            else:
                self._set_mask(self._mask & ~READ)

    def on_failure(self, error: Exception) -> None:
        """A callback raised: close, telling whoever waits."""
        self._gone(error)

    def on_deadline(self) -> None:
        """A wait, or an orderly close, took too long."""
        if self.closed:
            self._release_all()
        else:
            super().on_deadline()

    def _on_readable(self) -> None:
        poller = self._poller
        try:
            size = self._sock.recv_into(poller.buffer)
        except BlockingIOError:
            return
        except OSError as error:
            self._gone(error)
            return
        if self.closed:
            if not size:
                self._release_all()
            return
        if not size:
            self._on_eof()
            return
        reader = self._reader
        reader.feed(poller.view[:size])
        if reader.ready or reader.failure is not None:
            if self._waiter is not None and not self._answering:
                self._wake()
            else:
                self._pause()
        elif self._answering:
            if reader.held > HOLD_AHEAD:
                self._pause()
        elif reader.begun and self._waiter is not None:
            self._advance()

    def _pause(self) -> None:
        """Stop reading, but go on watching for the client's departure."""
        self._set_mask(self._mask & ~(READ if self._unix else select.EPOLLIN))

    def _advance(self) -> None:
        """A request is under way: move the deadline as it gets from part to part."""
        reader = self._reader
        phase = _IN_HEAD if reader.in_head else _IN_BODY
        if phase != self._phase:
            self._phase = phase
            limits = self._limits
            timeout = limits.header_timeout if phase == _IN_HEAD else limits.body_timeout
            self._poller.wheel.arm(self, trio.current_time() + timeout)
        if reader.wants_continue:
            reader.wants_continue = False
            self.write(_CONTINUE)

    def _on_eof(self) -> None:
        self._eof = True
        if self._answering and not self._unix:
            self._gone(None)
            return
        self._set_mask(self._mask & ~READ)
        if not self._answering:
            self._wake()

    def _on_writable(self) -> None:
        try:
            self._send_more()
        except OSError as error:
            self._gone(error)
            return
        if self.closed:
            if not self.unsent:
                if self._lingering:
                    self._begin_linger()
                else:
                    self._release_all()
        elif self.unsent <= DRAIN_TO and self._answering:
            self._wake()

    def _begin_linger(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._release_all()
            return
        self._answering = False
        self._set_mask(READ)
        self._poller.wheel.arm(self, trio.current_time() + LINGER)

    def _gone(self, error: Exception | None) -> None:
        """The client has gone: close, tell whoever answers it."""
        self._lost = None if error is None else without_frames(error)
        callback = self._gone_callback
        self._release_all()
        if callback is not None:
            callback()

    def _release_all(self) -> None:
        self._gone_callback = None
        self._release()
        self._give_back()
        self._reader.close()
        self._wake()
