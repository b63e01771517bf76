"""Coarse deadlines for many waits, at a cost that does not depend on how many wait.

A request moves its connection's deadline several times and hardly ever meets one. So moving a
deadline later is one comparison and one assignment: the entry in the wheel stays where it is, and
is put further on only when its old time comes. This is the lazy variant of the hashed timing wheel
(Varghese and Lauck, 1987), with buckets in a dictionary instead of a ring.
"""

from __future__ import annotations

import heapq
import logging
import math
from collections.abc import Callable
from typing import Protocol

import trio

__all__ = ["TICK", "Alarm", "DeadlineWheel", "Timed"]

TICK = 0.1
"""Seconds between the times at which deadlines can fire; one fires up to this much late."""

_TICKS_PER_SECOND = 10

_log = logging.getLogger("standby.http")


class Timed(Protocol):
    """What can be put into a `DeadlineWheel`.

    `fires_at` belongs to the wheel; it starts as `math.inf`, which means "not in the wheel".
    """

    deadline: float
    fires_at: float

    def on_deadline(self) -> None:
        """Called once the deadline has passed; must not raise."""


class Alarm:
    """A function to call at a deadline: the simplest `Timed`."""

    __slots__ = ("_callback", "deadline", "fires_at")

    def __init__(self, callback: Callable[[], None]) -> None:
        self._callback = callback
        self.deadline = math.inf
        self.fires_at = math.inf

    def on_deadline(self) -> None:
        """Call the function."""
        self._callback()


class DeadlineWheel:
    """Deadlines in buckets of a tenth of a second, swept by one task.

    The object outlives the task that runs `run`: when that task is killed, entries stay, and the
    next one fires what has come due in the meantime.
    """

    __slots__ = ("_buckets", "_changed", "_running", "_sleeping_until", "_times")

    def __init__(self) -> None:
        # None: all of them were disarmed. The time stays in the heap, but the set would keep its
        # room until then, and there is one every tick for as long as the longest deadline.
        self._buckets: dict[float, set[Timed] | None] = {}
        self._times: list[float] = []
        self._changed: trio.Event | None = None
        self._sleeping_until = math.inf
        self._running = False

    def __len__(self) -> int:
        """How many entries are in the wheel."""
        return sum(len(bucket) for bucket in self._buckets.values() if bucket)

    def arm(self, item: Timed, deadline: float) -> None:
        """Set an item's deadline.

        Args:
            item: What to call; each item is in the wheel once, whatever its deadline was before.
            deadline: Absolute `trio.current_time()` seconds; `math.inf` for none.
        """
        item.deadline = deadline
        if deadline >= item.fires_at or deadline == math.inf:
            return
        self.disarm(item)
        time = (int(deadline * _TICKS_PER_SECOND) + 1) / _TICKS_PER_SECOND
        item.fires_at = time
        buckets = self._buckets
        bucket = buckets.get(time)
        if bucket is not None:
            bucket.add(item)
        elif time in buckets:
            buckets[time] = {item}
        else:
            buckets[time] = {item}
            heapq.heappush(self._times, time)
            if time < self._sleeping_until and self._changed is not None:
                self._changed.set()

    def disarm(self, item: Timed) -> None:
        """Take an item out of the wheel, if it is in it."""
        time = item.fires_at
        if time != math.inf:
            item.fires_at = math.inf
            bucket = self._buckets.get(time)
            if bucket is not None:
                bucket.discard(item)
                if not bucket:
                    self._buckets[time] = None

    def call_at(self, deadline: float, callback: Callable[[], None]) -> Alarm:
        """Call a function at a deadline; the returned alarm can be disarmed or armed anew."""
        alarm = Alarm(callback)
        self.arm(alarm, deadline)
        return alarm

    def sweep(self, now: float) -> None:
        """Fire everything whose deadline is not later than `now`."""
        while self._times and self._times[0] <= now:
            time = heapq.heappop(self._times)
            for item in self._buckets.pop(time) or ():
                if item.fires_at != time:
                    continue  # disarmed by one that fired before it in this very sweep
                item.fires_at = math.inf
                if item.deadline > now:
                    self.arm(item, item.deadline)
                    continue
                try:
                    item.on_deadline()
                except Exception:  # noqa: BLE001 - one item must not end the others
                    _log.exception("a deadline's callback failed; the others go on")

    async def run(self) -> None:
        """Sweep at the right times, for ever. At most one task may run it at a time.

        Raises:
            RuntimeError: Another task is running it already.
        """
        if self._running:
            raise RuntimeError("the deadline wheel is already being run by another task")
        self._running = True
        try:
            while True:
                self.sweep(trio.current_time())
                self._changed = trio.Event()
                self._sleeping_until = self._times[0] if self._times else math.inf
                with trio.move_on_at(self._sleeping_until):
                    await self._changed.wait()
        finally:
            self._changed = None
            self._sleeping_until = math.inf
            self._running = False
