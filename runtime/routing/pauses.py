"""The pauses between the rounds of a request: how long they are, and when one is in vain."""

from collections.abc import Sequence
from typing import Final

from providers.failures import Failure
from runtime.routing.retry import RetryPolicy, out_of_patience

__all__ = ["Pauses"]

_FIRST_LOOK: Final = 0.02
_LONGEST_LOOK: Final = 0.25
_RESTART_PATIENCE: Final = 10.0
"""Seconds: how soon, how seldom and for how long to look whether a provider's task is back."""


class Pauses:
    """The pauses of one request.

    Args:
        policy: How long to wait between rounds.
    """

    __slots__ = ("_asked_until", "_down_since", "_policy")

    def __init__(self, policy: RetryPolicy) -> None:
        self._policy = policy
        self._asked_until: dict[Failure, float] = {}
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
        if not failures:
            return None
        others = [failure for failure in failures if failure.kind != "provider_down"]
        pauses = [
            max(0.0, self._asked_until.get(failure, now + failure.retry_after) - now)
            for failure in others
            if failure.retry_after is not None
        ]
        if len(pauses) < len(others):
            # Nobody who may be asked soon is kept waiting for one that asked for patience.
            self._down_since = None
            return self._policy.delay(rounds)
        if len(others) < len(failures) and self._still_patient(now):
            # Their own supervisor is bringing them back; no upstream is any the worse for it.
            return min(_FIRST_LOOK * rounds, _LONGEST_LOOK)
        asked = min(pauses, default=None)
        if asked is None or out_of_patience(asked):
            return None
        return self._policy.delay(rounds, asked)

    def _still_patient(self, now: float) -> bool:
        """Tell whether to go on looking for providers whose tasks are being restarted."""
        if self._down_since is None:
            self._down_since = now
        return now < self._down_since + _RESTART_PATIENCE
