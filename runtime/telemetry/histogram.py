"""A histogram of durations that forgets, for quantiles of the recent past."""

import math
from typing import Final

__all__ = ["RecentTimes"]

_LEAST: Final = 0.0005
_GROWTH: Final = 1.1
_BUCKETS: Final = 150
_SCALE: Final = 1 / math.log(_GROWTH)
_RESCALE_AT: Final = 40.0
_FORGOTTEN: Final = 1e-3


class RecentTimes:
    """Durations in buckets that each are a tenth wider than the last; recent ones weigh more.

    A duration's weight halves every ``half_life`` seconds. That is done by forward decay (Cormode,
    Shkapenyuk, Srivastava and Xu, "Forward Decay", 2009): new entries weigh more instead of old
    ones less, so that adding is constant work. Quantiles are right to 5 %, from half a millisecond
    to about a quarter of an hour.

    Args:
        half_life: Seconds in which an entry loses half its weight.
    """

    __slots__ = ("_half_life", "_landmark", "_weights")

    def __init__(self, half_life: float = 300.0) -> None:
        self._half_life = half_life
        self._landmark: float | None = None
        self._weights = [0.0] * _BUCKETS

    def add(self, seconds: float, now: float) -> None:
        """Count one duration.

        Args:
            seconds: The duration.
            now: When it was measured.
        """
        if self._landmark is None:
            self._landmark = now
        age = (now - self._landmark) / self._half_life
        if age > _RESCALE_AT:
            self._rescale(now, age)
            age = 0.0
        bucket = int(math.log(seconds / _LEAST) * _SCALE) if seconds > _LEAST else 0
        self._weights[bucket if bucket < _BUCKETS else -1] += 2.0**age

    def quantiles(self, *shares: float) -> list[float | None]:
        """Return the durations that such shares of the recent ones stayed within.

        Args:
            shares: From 0 to 1, in rising order.

        Returns:
            Seconds for each; None when nothing has been counted.
        """
        total = sum(self._weights)
        if total <= 0:
            return [None for _ in shares]
        found: list[float | None] = []
        wanted = iter(shares)
        share = next(wanted, None)
        passed = 0.0
        for bucket, weight in enumerate(self._weights):
            passed += weight
            while share is not None and weight > 0 and passed >= share * total * (1 - 1e-12):
                # The middle of the bucket, as it grows: its bounds' geometric mean.
                found.append(_LEAST * _GROWTH ** (bucket + 0.5))
                share = next(wanted, None)
        return found

    def _rescale(self, now: float, age: float) -> None:
        """Make now the landmark, before the weights outgrow a float; drop what no longer counts."""
        factor = 2.0 ** -min(age, 1000.0)
        self._weights = [
            weight * factor if weight * factor > _FORGOTTEN else 0.0 for weight in self._weights
        ]
        self._landmark = now
