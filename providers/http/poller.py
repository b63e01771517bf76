"""All sockets of the daemon in one epoll with lasting registrations, pumped by one task.

Registering a socket with trio's own poller for each wait costs more than everything else a small
request needs. Here a socket is registered once; one task waits for the whole set to have
something, lets each ready connection read and parse in place, and a connection wakes its waiting
task only for something worth waking for. Readiness is level-triggered, so nothing is lost when a
batch is left unfinished or the pumping task is killed and started again.
"""

from __future__ import annotations

import logging
import select
import socket
from collections.abc import Callable
from typing import Protocol

import trio

from providers.http.head_memo import HeadMemos
from providers.http.wheel import DeadlineWheel

__all__ = ["RECEIVE_SIZE", "Pollable", "Poller"]

RECEIVE_SIZE = 256 * 1024
"""Bytes read from a socket at once at most: a whole request of ordinary size."""

BATCH = 256
"""Sockets served between two turns of the other tasks at most."""

_log = logging.getLogger("standby.http")


class Pollable(Protocol):
    """What can be registered with a `Poller`."""

    def on_events(self, events: int) -> None:
        """The socket is ready for these `select.EPOLL*` events."""

    def on_failure(self, error: Exception) -> None:
        """`on_events` raised this: close, without raising."""


class Poller:
    """Calls registered connections when their sockets are ready.

    The object holds the registrations and outlives the task that runs `run`. Everything happens in
    one thread, between two awaits of other tasks.

    Attributes:
        wheel: Deadlines of the connections; `wheel.run` needs a task of its own.
        heads: Heads of requests that connections remember.
        buffer: Where everybody reads into: it is parsed before the next read, so one is enough.
        view: The same, to slice without copying.
        batches: Batches of events served so far.
        events: Events served so far.
        closing: Whether `close` was called.
        failures: Connections closed because their callback raised.
        now: Tells the time of `trio.current_time`, once a task serves the sockets by asking that
            run's clock itself: it is asked several times a request.
    """

    __slots__ = (
        "_epoll",
        "_pollables",
        "_pumping",
        "_retired",
        "_running",
        "batches",
        "buffer",
        "closing",
        "events",
        "failures",
        "heads",
        "now",
        "view",
        "wheel",
    )

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._pollables: dict[int, Pollable] = {}
        self._retired: list[socket.socket] = []
        self._pumping = False
        self._running = False
        self.now: Callable[[], float] = trio.current_time
        self.wheel = DeadlineWheel()
        self.heads = HeadMemos()
        self.buffer = bytearray(RECEIVE_SIZE)
        self.view = memoryview(self.buffer)
        self.closing = False
        self.batches = 0
        self.events = 0
        self.failures = 0

    def __len__(self) -> int:
        """How many sockets are registered."""
        return len(self._pollables)

    def add(self, fd: int, pollable: Pollable, events: int) -> None:
        """Register a file descriptor for `select.EPOLL*` events.

        Raises:
            OSError: The kernel refused (closed descriptor, too many watches).
            ValueError: The poller is closed.
        """
        self._epoll.register(fd, events)
        self._pollables[fd] = pollable

    def modify(self, fd: int, events: int) -> None:
        """Change the events a registered descriptor waits for."""
        self._epoll.modify(fd, events)

    def remove(self, fd: int) -> None:
        """Take a descriptor out; nothing happens when it is not in or the poller is closed."""
        if self._pollables.pop(fd, None) is not None and not self._epoll.closed:
            self._epoll.unregister(fd)

    def retire(self, sock: socket.socket) -> None:
        """Take a socket out and close it.

        During a batch the closing itself waits for the batch's end, lest a new socket get the same
        number and with it the old one's events.
        """
        self.remove(sock.fileno())
        if self._pumping:
            self._retired.append(sock)
        else:
            sock.close()

    def pump(self) -> int:
        """Serve what is ready now, without waiting; returns how many sockets were."""
        ready = self._epoll.poll(0, BATCH)
        if not ready:
            return 0
        self.batches += 1
        self.events += len(ready)
        pollables = self._pollables
        self._pumping = True
        try:
            for fd, events in ready:
                pollable = pollables.get(fd)
                if pollable is None:
                    continue
                try:
                    pollable.on_events(events)
                except Exception as error:  # noqa: BLE001 - one connection must not end the others
                    self._contain(fd, pollable, error)
        finally:
            self._pumping = False
            if self._retired:
                for sock in self._retired:
                    sock.close()
                self._retired.clear()
        return len(ready)

    def _contain(self, fd: int, pollable: Pollable, error: Exception) -> None:
        self.failures += 1
        _log.error("a connection failed in its callback and is closed", exc_info=error)
        try:
            pollable.on_failure(error)
        except Exception:  # noqa: BLE001 - the failure's own callback must not end the others either
            _log.exception("closing a failed connection failed")
            self.remove(fd)

    async def run(self) -> None:
        """Serve all sockets, for ever. At most one task may run it at a time.

        Raises:
            RuntimeError: Another task is running it already.
            trio.ClosedResourceError: The poller was closed.
        """
        if self._running:
            raise RuntimeError("the poller is already being run by another task")
        self._running = True
        self.now = trio.lowlevel.current_clock().current_time
        try:
            while True:
                if self.closing:
                    raise trio.ClosedResourceError("the poller was closed")
                await trio.lowlevel.wait_readable(self._epoll)
                self.pump()
        finally:
            self._running = False
            self.now = trio.current_time

    def close(self) -> None:
        """Close every registered connection and the poller itself."""
        self.closing = True
        for pollable in list(self._pollables.values()):
            pollable.on_failure(trio.ClosedResourceError("the poller was closed"))
        self._pollables.clear()
        if not self._epoll.closed:
            if self._running:
                trio.lowlevel.notify_closing(self._epoll)
            self._epoll.close()
