"""Telling of a task that was killed and does not end, again and again, whoever waits for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import trio

from supervision.timers import Timer, Timers

UNKILLABLE_AFTER: Final = 5.0
"""Seconds between the kill of a task and the first report that it does not end; then doubling."""


class Overdue:
    """Watches for one task's end.

    Args:
        timers: of its system.
        report: called each time that the task is overdue; synchronous, does not raise.
    """

    __slots__ = ("_pause", "_report", "_timer", "_timers")

    def __init__(self, timers: Timers, report: Callable[[], None]) -> None:
        self._timers = timers
        self._report = report
        self._pause = UNKILLABLE_AFTER
        self._timer: Timer | None = None

    def expect_end(self, seconds: float) -> None:
        """Report the task unless it ends in time; of two such times the earlier one counts.

        Args:
            seconds: from now until its kill; what is reported is that it outlives that.
        """
        self._report_in(seconds + UNKILLABLE_AFTER)

    def cancel(self) -> None:
        """The end has come, or is not expected any more."""
        if self._timer is not None:
            self._timer.cancel()

    def _report_in(self, seconds: float) -> None:
        timer = self._timer
        if timer is not None and timer.active:
            if timer.when <= trio.current_time() + seconds:
                return
            timer.cancel()
        self._timer = self._timers.after(seconds, self._late)

    def _late(self) -> None:
        self._report()
        self._report_in(self._pause)
        self._pause *= 2
