"""When a supervisor gives up (OTP's intensity rule) and how long it waits before a restart.

The two are separate on purpose. Intensity decides *whether* to go on: more than ``max_restarts``
within ``max_seconds`` ends the supervisor. Back-off decides *how fast*: off by default, as in OTP.
"""

from __future__ import annotations

import random
from collections import deque

import msgspec


class RestartLog:
    """The restart times of one supervisor, shared by all its children.

    OTP counts in whole seconds; here the times are trio's float clock, which is finer and makes
    tests on a virtual clock exact. An entry exactly ``max_seconds`` old still counts, as in OTP.

    Args:
        max_restarts: how many restarts within the period are tolerated; 0: none.
        max_seconds: the length of the period in seconds.
    """

    __slots__ = ("_times", "max_restarts", "max_seconds")

    def __init__(self, max_restarts: int, max_seconds: float) -> None:
        self.max_restarts = max_restarts
        self.max_seconds = max_seconds
        self._times: deque[float] = deque()

    def add(self, now: float) -> bool:
        """Enter one restart, or one failed attempt at it.

        Args:
            now: ``trio.current_time()``.

        Returns:
            True while within bounds; False when the supervisor has to give up.
        """
        self._prune(now)
        self._times.append(now)
        return len(self._times) <= self.max_restarts

    def used(self, now: float) -> int:
        """How many restarts count at this moment.

        Args:
            now: ``trio.current_time()``.
        """
        self._prune(now)
        return len(self._times)

    def _prune(self, now: float) -> None:
        oldest = now - self.max_seconds
        while self._times and self._times[0] < oldest:
            self._times.popleft()


class Backoff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How long to wait before a child is started again.

    The n-th restart in a row waits ``min(maximum, first * factor ** (n - 1))`` seconds, of which a
    random share is taken off: full jitter at 1, none at 0 (the "exponential backoff and jitter"
    of the AWS Architecture Blog). A child that has run for ``healthy_after`` seconds begins anew.

    Args:
        first: seconds before the first restart.
        factor: growth from one to the next.
        maximum: cap in seconds.
        jitter: the share of the wait that is random, 0 to 1.
        healthy_after: seconds of life after which the count starts again.
        after_kill: cap in seconds where the child was killed: an order from outside says nothing
            of its health. ``None``: the same as ``maximum``.
    """

    first: float = 0.1
    factor: float = 2.0
    maximum: float = 30.0
    jitter: float = 0.5
    healthy_after: float = 60.0
    after_kill: float | None = None

    def problems(self) -> list[str]:
        """What is wrong with the values, one sentence each."""
        found = []
        if not self.first >= 0:
            found.append(f"backoff.first must be 0 or more seconds, not {self.first!r}")
        if not self.factor >= 1:
            found.append(f"backoff.factor must be 1 or more, not {self.factor!r}")
        if not self.maximum >= self.first:
            found.append(f"backoff.maximum must not be less than first, not {self.maximum!r}")
        if not 0 <= self.jitter <= 1:
            found.append(f"backoff.jitter must be between 0 and 1, not {self.jitter!r}")
        if not self.healthy_after >= 0:
            found.append(
                f"backoff.healthy_after must be 0 or more seconds, not {self.healthy_after!r}"
            )
        if self.after_kill is not None and not self.after_kill >= 0:
            found.append(f"backoff.after_kill must be 0 or more seconds, not {self.after_kill!r}")
        return found

    def delay(self, attempt: int, chance: random.Random, *, killed: bool = False) -> float:
        """The wait before one restart.

        Args:
            attempt: 1 for the first restart in a row.
            chance: where the jitter comes from.
            killed: whether the last life was ended by a kill.

        Returns:
            Seconds, between ``(1 - jitter)`` times the full wait and the full wait.
        """
        # 2 ** 1023 is the last power a float holds; the cap is long reached by then.
        full = min(self.maximum, self.first * self.factor ** min(attempt - 1, 512))
        if killed and self.after_kill is not None:
            full = min(full, self.after_kill)
        return full * (1 - self.jitter * chance.random())
