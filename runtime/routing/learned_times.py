"""Which time most of the recent ones stayed within, learned and looked up without a message."""

from typing import Final

from runtime.telemetry.histogram import RecentTimes

__all__ = ["ENOUGH", "LearnedTimes"]

ENOUGH: Final = 20
"""Measurements before a share of them says anything: of fewer, the slowest of twenty is unknown."""

_LOOKED_UP: Final = 1.0
"""Seconds for which a quantile stands once it has been looked up: going through the buckets costs
more than everything else that is asked per request."""


class LearnedTimes:
    """Durations of the recent past, recent ones weighing more, and their quantiles.

    Added to by one actor, read by anyone.
    """

    __slots__ = ("_counted", "_known", "_times")

    def __init__(self) -> None:
        self._times = RecentTimes()
        self._counted = 0
        self._known: dict[float, tuple[float, float]] = {}

    def __repr__(self) -> str:
        return f"<LearnedTimes of {self._counted}>"

    def add(self, seconds: float, now: float) -> None:
        """Count one duration.

        Args:
            seconds: The duration.
            now: When it was measured.
        """
        self._counted += 1
        self._times.add(seconds, now)

    def within(self, share: float, now: float) -> float | None:
        """Return the duration that a share of the recent ones stayed within.

        Args:
            share: From 0 to 1.
            now: The present time.

        Returns:
            Seconds, right to 5 % and at most a second old; None while fewer than ``ENOUGH`` have
            been counted.
        """
        known = self._known.get(share)
        if known is not None and now < known[0]:
            return known[1]
        if self._counted < ENOUGH:
            return None
        seconds = self._times.quantiles(share)[0]
        assert seconds is not None, "something has been counted"
        self._known[share] = now + _LOOKED_UP, seconds
        return seconds
