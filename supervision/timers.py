"""One heap of deadlines and one task for all timers of a system.

A timer costs a heap entry, not a task: ``after`` is synchronous and cheap, cancelling marks the
entry dead, and dead entries are swept out when they outnumber the living.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable
from itertools import count

import trio

_SWEEP_AT = 64


class Timer:
    """A thing that will happen once unless it is cancelled first.

    Attributes:
        when: the absolute ``trio.current_time()`` at which it is due.
    """

    __slots__ = ("_action", "_timers", "when")

    def __init__(self, when: float, action: Callable[[], None], timers: Timers) -> None:
        self.when = when
        self._action: Callable[[], None] | None = action
        self._timers = timers

    @property
    def active(self) -> bool:
        """Whether it has neither fired nor been cancelled."""
        return self._action is not None

    def cancel(self) -> bool:
        """Take the timer back.

        Returns:
            False when it had fired or been cancelled already.
        """
        if self._action is None:
            return False
        self._action = None
        self._timers.note_cancelled()
        return True

    def fire(self) -> None:
        """Do what is due; nothing when cancelled meanwhile."""
        action, self._action = self._action, None
        if action is not None:
            action()


class Timers:
    """The heap, and the task that sleeps until its earliest entry."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, Timer]] = []
        self._order = count()
        self._cancelled = 0
        self._sleep: trio.CancelScope | None = None

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled

    def after(self, seconds: float, action: Callable[[], None]) -> Timer:
        """Do something later.

        Args:
            seconds: from now; zero or less means at the next turn of the scheduler.
            action: a synchronous function that does not raise.

        Returns:
            The timer, to cancel it by.
        """
        timer = Timer(trio.current_time() + seconds, action, self)
        heapq.heappush(self._heap, (timer.when, next(self._order), timer))
        if self._sleep is not None and timer.when < self._sleep.deadline:
            self._sleep.deadline = timer.when
        return timer

    def note_cancelled(self) -> None:
        """Count a dead entry; sweep when the dead outnumber the living."""
        self._cancelled += 1
        if self._cancelled > _SWEEP_AT and self._cancelled * 2 > len(self._heap):
            self._heap = [entry for entry in self._heap if entry[2].active]
            heapq.heapify(self._heap)
            self._cancelled = 0

    async def run(self) -> None:
        """Fire timers as they fall due, until cancelled."""
        while True:
            deadline = self._heap[0][0] if self._heap else math.inf
            with trio.CancelScope(deadline=deadline) as self._sleep:
                await trio.sleep_forever()
            self._sleep = None
            now = trio.current_time()
            while self._heap and self._heap[0][0] <= now:
                timer = heapq.heappop(self._heap)[2]
                if timer.active:
                    timer.fire()
                else:
                    self._cancelled -= 1
