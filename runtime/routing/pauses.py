"""The pauses between the rounds of a request: how long they are, and when one is in vain."""

import random
from collections.abc import Callable, Sequence
from typing import Final

from providers.failures import Failure
from runtime.routing.retry import RetryPolicy, out_of_patience

__all__ = ["Pauses"]

_FIRST_LOOK: Final = 0.02
_LONGEST_LOOK: Final = 0.25
_RESTART_PATIENCE: Final = 10.0
"""Seconds: how soon, how seldom and for how long to look whether a provider's task is back."""

_ROUNDING: Final = 1e-6
"""Seconds forgiven: the end of a pause is a sum of two times."""


class Pauses:
    """The pauses of one request.

    Whoever failed is asked again when its own wait is over, by its own policy: a pause is as long
    as the shortest of these waits, and the others are left out of the round that follows.

    Args:
        policy_of: Returns a provider's policy: how long to wait before it is asked again.
    """

    __slots__ = ("_asked_until", "_down_since", "_drawn", "_not_before", "_policy_of")

    def __init__(self, policy_of: Callable[[str], RetryPolicy]) -> None:
        self._policy_of = policy_of
        self._asked_until: dict[Failure, float] = {}
        self._drawn: dict[str, int] = {}
        self._not_before: dict[Failure, float] = {}
        self._down_since: float | None = None

    def heard(self, failure: Failure, now: float) -> None:
        """Note when a failure came: the patience that it asks for counts from then.

        Args:
            failure: What went wrong.
            now: The present time.
        """
        if failure.retry_after is not None:
            self._asked_until[failure] = now + failure.retry_after

    def before(self, rounds: int, failures: Sequence[Failure], now: float) -> float | None:
        """Return how long to wait before another round.

        Args:
            rounds: Rounds made.
            failures: What became of those who may be tried again.
            now: The present time.

        Returns:
            Seconds; None when another round is in vain, or too far off.
        """
        others = [failure for failure in failures if failure.kind != "provider_down"]
        self._draw(others, now)
        waits = [self._not_before[each] - now for each in others if each in self._not_before]
        soonest = max(0.0, min(waits)) if waits else None
        if any(failure.retry_after is None for failure in others):
            self._down_since = None
        elif len(others) < len(failures) and self._still_patient(now):
            # Their own supervisor is bringing them back; no upstream is any the worse for it.
            look = min(_FIRST_LOOK * rounds, _LONGEST_LOOK)
            return look if soonest is None else min(look, soonest)
        return soonest

    def due(self, failure: Failure, now: float) -> bool:
        """Tell whether a provider's wait is over.

        Args:
            failure: What became of it, one of those that ``before`` was given.
            now: The present time.
        """
        if failure.kind == "provider_down":
            return True
        until = self._not_before.get(failure)
        return until is not None and until <= now + _ROUNDING

    def _draw(self, failures: Sequence[Failure], now: float) -> None:
        """Draw the waits of those who have none yet; none for whoever asks for too much patience.

        All of a round by one random number, so that those of the same policy stay together.
        """
        share = random.random()
        for failure in failures:
            if failure in self._not_before:
                continue
            asked = None
            if failure.retry_after is not None:
                until = self._asked_until.get(failure, now + failure.retry_after)
                asked = max(0.0, until - now)
                if out_of_patience(asked):
                    continue
            provider = failure.provider
            drawn = self._drawn[provider] = self._drawn.get(provider, 0) + 1
            delay = self._policy_of(provider).delay(drawn, asked, fraction=lambda: share)
            self._not_before[failure] = now + delay

    def _still_patient(self, now: float) -> bool:
        """Tell whether to go on looking for providers whose tasks are being restarted."""
        if self._down_since is None:
            self._down_since = now
        return now < self._down_since + _RESTART_PATIENCE
