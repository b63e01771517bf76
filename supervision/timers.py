"""One heap of deadlines and one task for all timers of a system.

A timer costs a heap entry, not a task: ``after`` is synchronous and cheap, cancelling marks the
entry dead and lets go of what it would have done, and dead entries are swept out when they
outnumber the living. The task is not told of a cancelled timer, because that costs more than the
timer: it may wake once for one that is dead, and does nothing then.
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
        self._wakes_at = math.inf

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
        return self.at(trio.current_time() + seconds, action)

    def at(self, when: float, action: Callable[[], None]) -> Timer:
        """Do something at a time.

        Args:
            when: absolute ``trio.current_time()``.
            action: a synchronous function that does not raise.

        Returns:
            The timer, to cancel it by.
        """
        timer = Timer(when, action, self)
        heapq.heappush(self._heap, (when, next(self._order), timer))
        if when < self._wakes_at:
            self._wakes_at = when
            if self._sleep is not None:
                self._sleep.deadline = when
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
            self._wakes_at = self._earliest()
            with trio.CancelScope(deadline=self._wakes_at) as self._sleep:
                await trio.sleep_forever()
            self._sleep = None
            now = trio.current_time()
            while self._earliest() <= now:
                heapq.heappop(self._heap)[2].fire()

    def _earliest(self) -> float:
        """When the next living timer is due; the dead before it are let go of."""
        heap = self._heap
        while heap and not heap[0][2].active:
            heapq.heappop(heap)
            self._cancelled -= 1
        return heap[0][0] if heap else math.inf
