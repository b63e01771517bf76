"""A sliding time window of outcomes, in buckets of one second."""

import math

__all__ = ["OutcomeWindow"]


class OutcomeWindow:
    """How many calls ended, failed, and were slow in the last seconds.

    A ring of one-second buckets with running totals (resilience4j's time-based window): adding is
    constant work, and the window is exact to a second.

    Attributes:
        calls: Calls in the window as of the last ``add`` or ``advance``.
        failures: How many of them failed.
        timed: How many of them said whether they were slow.
        slow: How many of those were.

    Args:
        seconds: The window's length, rounded up to whole seconds.
    """

    __slots__ = ("_buckets", "_newest", "calls", "failures", "slow", "timed")

    def __init__(self, seconds: float) -> None:
        size = max(1, math.ceil(seconds))
        self._buckets: list[list[int]] = [[0, 0, 0, 0] for _ in range(size)]
        self._newest = -1
        self.calls = 0
        self.failures = 0
        self.timed = 0
        self.slow = 0

    def __repr__(self) -> str:
        return f"<OutcomeWindow {self.failures} of {self.calls} failed>"

    def add(self, now: float, *, failed: bool, slow: bool | None = None) -> None:
        """Count one outcome.

        Args:
            now: When it came.
            failed: Whether it failed.
            slow: Whether it was slow; None when it does not say.
        """
        if int(now) > self._newest:
            self.advance(now)
        bucket = self._buckets[self._newest % len(self._buckets)]
        bucket[0] += 1
        self.calls += 1
        if failed:
            bucket[1] += 1
            self.failures += 1
        if slow is not None:
            bucket[2] += 1
            self.timed += 1
            if slow:
                bucket[3] += 1
                self.slow += 1

    def advance(self, now: float) -> None:
        """Forget what is older than the window.

        Args:
            now: The present time; one before the newest outcome changes nothing.
        """
        newest = int(now)
        size = len(self._buckets)
        for second in range(max(self._newest + 1, newest - size + 1), newest + 1):
            bucket = self._buckets[second % size]
            self.calls -= bucket[0]
            self.failures -= bucket[1]
            self.timed -= bucket[2]
            self.slow -= bucket[3]
            bucket[:] = (0, 0, 0, 0)
        self._newest = max(self._newest, newest)

    def clear(self) -> None:
        """Forget everything."""
        for bucket in self._buckets:
            bucket[:] = (0, 0, 0, 0)
        self.calls = self.failures = self.timed = self.slow = 0
