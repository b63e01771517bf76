"""The health score of a provider: one number from 0 (useless) to 1 (fine).

    score = success * latency
    success: moving average of outcomes (1 served, 0 failed), each new one weighing a tenth
    latency: 1 while the moving average of the time to the first token is at most T = 5 s,
             T / average beyond

Time heals: what is missing in ``success`` to 1, and what ``average`` is above T, halves every
minute, so that a provider nobody asks becomes worth another look.
"""

from typing import Final

__all__ = ["HealthScore"]

_WEIGHT: Final = 0.1
_HALF_LIFE: Final = 60.0
_TOLERATED: Final = 5.0


class HealthScore:
    """The score of one provider, by the formula above."""

    __slots__ = ("_at", "_first_token", "_missing")

    def __init__(self) -> None:
        self._missing = 0.0
        self._first_token = 0.0
        self._at = 0.0

    def __repr__(self) -> str:
        return f"<HealthScore {self.at(self._at):.3f}>"

    def served(self, first_token: float | None, now: float) -> None:
        """Count an attempt that went well.

        Args:
            first_token: Seconds to the first token, if known.
            now: When it ended.
        """
        self._heal(now)
        self._missing -= _WEIGHT * self._missing
        if first_token is not None:
            self._first_token += _WEIGHT * (first_token - self._first_token)

    def failed(self, now: float) -> None:
        """Count an attempt that the provider failed at.

        Args:
            now: When it ended.
        """
        self._heal(now)
        self._missing += _WEIGHT * (1.0 - self._missing)

    def at(self, now: float) -> float:
        """Return the score.

        Args:
            now: The present time.
        """
        self._heal(now)
        latency = 1.0 if self._first_token <= _TOLERATED else _TOLERATED / self._first_token
        return min(1.0, max(0.0, (1.0 - self._missing) * latency))

    def _heal(self, now: float) -> None:
        """Let the time since the last look take effect."""
        passed = now - self._at
        if passed <= 0:
            return
        self._at = now
        if self._missing > 0 or self._first_token > _TOLERATED:
            left = 0.5 ** (passed / _HALF_LIFE)
            self._missing *= left
            if self._first_token > _TOLERATED:
                self._first_token = _TOLERATED + (self._first_token - _TOLERATED) * left
