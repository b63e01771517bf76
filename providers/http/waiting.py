"""One task waiting for something that callbacks bring about, with a deadline on the wheel."""

from __future__ import annotations

import math

import trio
from outcome import Error

from providers.http.errors import DeadlineExceeded
from providers.http.poller import Poller

__all__ = ["Waiting"]


class Waiting:
    """What at most one task waits on.

    The rule for waiting: state first, then the wait. Whoever waits checks the state that callbacks
    leave behind, parks, and checks again when woken, so that a wake-up that comes before the wait
    is not lost.

    Args:
        poller: Whose wheel keeps the deadlines.

    Attributes:
        deadline: Of the present wait, for the wheel.
        fires_at: The wheel's own.
    """

    __slots__ = ("_poller", "_waiter", "deadline", "fires_at")

    def __init__(self, poller: Poller) -> None:
        self._poller = poller
        self._waiter: trio.lowlevel.Task | None = None
        self.deadline = math.inf
        self.fires_at = math.inf

    async def _wait(self, deadline: float) -> None:
        """Park until `_wake`, at most until the deadline (which callbacks may move)."""
        if self._waiter is not None:
            raise trio.BusyResourceError("another task is waiting on this connection already")
        self._poller.wheel.arm(self, deadline)
        self._waiter = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._abandon)

    def _abandon(self, _raise_cancel: object) -> trio.lowlevel.Abort:
        self._waiter = None
        return trio.lowlevel.Abort.SUCCEEDED

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            trio.lowlevel.reschedule(waiter)

    def on_deadline(self) -> None:
        """The present wait's deadline has passed."""
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            error = DeadlineExceeded("the deadline passed")
            trio.lowlevel.reschedule(waiter, Error(error))
