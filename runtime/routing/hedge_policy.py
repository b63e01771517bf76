"""When a late answer is hedged, and how often: the learned delay and the budget of one group.

The delay is that of "The Tail at Scale" (Dean and Barroso, 2013): a second provider is asked when
the first is later than all but a few of its answers, so that hedges stay few by themselves. The
budget is that of Finagle's ``BackupRequestFilter``: a share of the requests and no floor.
"""

import math
from typing import Final

import msgspec

from runtime.routing.first_token import FirstTokens
from runtime.routing.retry import RetryBudget

__all__ = ["HedgeSettings", "Hedger"]

_LOOKED_BACK: Final = 300.0
"""Seconds of requests that pay for hedges. Longer than for retries: without a floor a group that is
asked a few times a minute would otherwise never put a whole hedge by."""


class HedgeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the requests of a group are hedged.

    Attributes:
        percentile: The share, 0 to 1, of the first provider's recent answers that came sooner than
            the delay after which a second one is asked.
        minimum_delay: Seconds that the first provider has at least, whatever was learned.
        maximum_delay: Seconds that it has at most, also while too little has been learned; None
            for no bound, and then there is no hedge before enough has been learned.
        budget_percent: Hedges at most, in percent of the group's requests.

    Raises:
        ValueError: When a value makes no sense.
    """

    percentile: float = 0.95
    minimum_delay: float = 0.1
    maximum_delay: float | None = None
    budget_percent: float = 5.0

    def __post_init__(self) -> None:
        if not 0 < self.percentile < 1:
            raise ValueError(f"percentile must be between 0 and 1, not {self.percentile}")
        if not 0 <= self.minimum_delay < math.inf:
            raise ValueError(f"minimum_delay must be 0 s or more, not {self.minimum_delay}")
        most = self.maximum_delay
        if most is not None and not self.minimum_delay <= most < math.inf:
            raise ValueError(f"maximum_delay must be at least minimum_delay, not {most}")
        if not 0 < self.budget_percent <= 100:
            raise ValueError(
                f"budget_percent must be above 0 and at most 100, not {self.budget_percent}"
            )


class Hedger:
    """Says when a request of one group may be hedged. Asking costs look-ups, no message.

    Args:
        settings: How.
        first_tokens: What is known of the members' times.
        before: The group's hedger until now, whose budget goes on.

    Attributes:
        settings: How.
        budget: What pays for hedges.
    """

    __slots__ = ("_first_tokens", "budget", "settings")

    def __init__(
        self, settings: HedgeSettings, first_tokens: FirstTokens, before: "Hedger | None" = None
    ) -> None:
        self.settings = settings
        self._first_tokens = first_tokens
        if before is not None and before.settings.budget_percent == settings.budget_percent:
            self.budget: RetryBudget = before.budget
        else:
            self.budget = RetryBudget(settings.budget_percent / 100, 0.0, _LOOKED_BACK)

    def deposit(self, now: float) -> None:
        """Count one request, which pays for its share of a hedge.

        Args:
            now: The present time.
        """
        self.budget.deposit(now)

    def delay(self, provider: str, model: str | None, now: float, *, stream: bool) -> float | None:
        """Return how long a provider has before a second one is asked.

        Args:
            provider: The provider that is asked first.
            model: The model it is asked for; None when that is the asker's.
            now: The present time.
            stream: Whether a streamed answer is asked for; a plain one comes whole and later.

        Returns:
            Seconds; None for no hedge: too little is known of it.
        """
        settings = self.settings
        row = self._first_tokens.known(provider, model)
        learned = None if row is None else row.within(settings.percentile, now, stream=stream)
        most = settings.maximum_delay
        if learned is None:
            return most
        if most is not None and learned > most:
            return most
        return max(learned, settings.minimum_delay)

    def affords(self, now: float) -> bool:
        """Tell whether the budget has a hedge left, without using it.

        Args:
            now: The present time.
        """
        return self.budget.left(now) >= 1

    def withdraw(self, now: float) -> bool:
        """Take one hedge out of the budget.

        Args:
            now: The present time.

        Returns:
            Whether it may be made.
        """
        return self.budget.withdraw(now)
