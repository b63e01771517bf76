"""Retries: how often, how long between them, and how many of all requests may be any.

One ``RetryPolicy`` serves the request path and ``with_retry`` alike. The wait is AWS's full jitter
(a random time up to an exponentially growing bound); a time the provider names goes before it, as
gRPC's pushback does; the budget that keeps retries from multiplying a failure is Finagle's.
"""

import math
import random
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

import msgspec
import trio

from providers.failures import Failure
from providers.retry_after import parse_retry_after
from runtime.routing.verdicts import judge

__all__ = [
    "LONGEST_PAUSE",
    "BudgetStatus",
    "RetryBudget",
    "RetryPolicy",
    "may_retry",
    "out_of_patience",
    "parse_retry_after",
]

LONGEST_PAUSE: Final = 60.0
"""Seconds waited for a provider that asked for patience; beyond, the asker is told at once."""

_ROUNDING: Final = 1e-6
"""Seconds forgiven: a time that a gate names is the difference of two on the clock."""

T = TypeVar("T")


def out_of_patience(retry_after: float) -> bool:
    """Tell whether a provider asks for more than ``LONGEST_PAUSE``.

    Args:
        retry_after: Seconds it asks for; what the policy draws on top of them does not count.
    """
    return retry_after > LONGEST_PAUSE + _ROUNDING


def may_retry(error: Exception) -> bool:
    """Tell whether an error is a failure after which the same provider may be asked again.

    Args:
        error: What was raised.
    """
    return isinstance(error, Failure) and judge(error).same_provider


class BudgetStatus(msgspec.Struct, frozen=True, kw_only=True):
    """A retry budget as it stood at one moment.

    Attributes:
        left: Retries that could be made at once.
        requests: Requests it looks back on.
        retries: Retries it looks back on.
        granted: Retries it has paid for since it was made.
        refused: Retries it has refused since it was made.
    """

    left: int
    requests: int
    retries: int
    granted: int
    refused: int


class RetryBudget:
    """A leaky bucket of permissions: retries are a share of the requests, plus a small floor.

    Every request puts in ``ratio`` of a retry, every retry takes out a whole one; both are
    forgotten after ``ttl`` seconds. On top of that ``min_per_second`` retries are always there, so
    that a quiet daemon can retry at all (Finagle's ``RetryBudget``: ten slices of the time).

    Args:
        ratio: Share of requests that may be retried, 0 to 1.
        min_per_second: Retries a second that are allowed whatever the share, on average over
            ``ttl``.
        ttl: Seconds looked back.

    Attributes:
        granted: Retries it has paid for.
        refused: Retries it has refused.

    Raises:
        ValueError: When a value makes no sense.
    """

    __slots__ = (
        "_balance",
        "_floor",
        "_newest",
        "_next",
        "_present",
        "_ratio",
        "_slice",
        "_slices",
        "granted",
        "refused",
    )

    _SLICES = 10

    def __init__(self, ratio: float = 0.2, min_per_second: float = 10.0, ttl: float = 10.0) -> None:
        if not 0 <= ratio <= 1:
            raise ValueError(f"ratio must be from 0 to 1, not {ratio}")
        if not 0 <= min_per_second < math.inf:
            raise ValueError(f"min_per_second must be 0 or more, not {min_per_second}")
        if not 0 < ttl < math.inf:
            raise ValueError(f"ttl must be more than 0 seconds, not {ttl}")
        self._ratio = ratio
        self._floor = min_per_second * ttl
        self._slice = ttl / self._SLICES
        # Requests and retries of each slice. Whole numbers, so that no rounding ever adds up.
        self._slices: list[list[int]] = [[0, 0] for _ in range(self._SLICES)]
        self._balance = [0, 0]
        self._newest = 0
        # The slice that is being filled, and when the next one begins.
        self._present = self._slices[0]
        self._next = self._slice
        self.granted = 0
        self.refused = 0

    def __repr__(self) -> str:
        requests, retries = self._balance
        return f"<RetryBudget {retries} retries of {requests} requests>"

    def deposit(self, now: float) -> None:
        """Count one request.

        Args:
            now: The present time.
        """
        if now >= self._next:
            self._advance(now)
        self._present[0] += 1
        self._balance[0] += 1

    def withdraw(self, now: float) -> bool:
        """Take one retry out, if there is one.

        Args:
            now: The present time.

        Returns:
            Whether the retry may be made.
        """
        self._advance(now)
        if self._left() < 1:
            self.refused += 1
            return False
        self.granted += 1
        self._present[1] += 1
        self._balance[1] += 1
        return True

    def refuses(self, now: float) -> bool:
        """Tell whether it would refuse a retry now; one that is not even waited for is refused.

        Args:
            now: The present time.
        """
        if self.left(now) >= 1:
            return False
        self.refused += 1
        return True

    def left(self, now: float) -> float:
        """Return how many retries could be made at once.

        Args:
            now: The present time.
        """
        self._advance(now)
        return max(0.0, self._left())

    def status(self, now: float) -> BudgetStatus:
        """Return a picture of it.

        Args:
            now: The present time.
        """
        left = int(self.left(now))
        requests, retries = self._balance
        return BudgetStatus(
            left=left,
            requests=requests,
            retries=retries,
            granted=self.granted,
            refused=self.refused,
        )

    def _left(self) -> float:
        requests, retries = self._balance
        # A billionth forgives the share its binary fraction: a fifth of five is one.
        return self._floor + self._ratio * requests - retries + 1e-9

    def _advance(self, now: float) -> None:
        """Forget the slices that are past."""
        newest = int(now / self._slice)
        if newest > self._newest:
            slices = self._slices
            for number in range(max(self._newest + 1, newest - self._SLICES + 1), newest + 1):
                old = slices[number % self._SLICES]
                self._balance[0] -= old[0]
                self._balance[1] -= old[1]
                old[0] = old[1] = 0
            self._newest = newest
            self._present = slices[newest % self._SLICES]
            self._next = (newest + 1) * self._slice


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """How often to try, and how long to wait in between.

    Attributes:
        max_attempts: Attempts in all, the first one included.
        base_delay_ms: Milliseconds that the first wait lasts at most.
        max_delay_ms: Milliseconds that any wait lasts at most, where the provider names no time.
        backoff_factor: How much longer each further wait may be.
        jitter: Whether waits are drawn from 0 to their bound, or last as long as it.

    Raises:
        ValueError: When a value makes no sense.
    """

    max_attempts: int = 3
    base_delay_ms: float = 200
    max_delay_ms: float = 5000
    backoff_factor: float = 2.0
    jitter: bool = True

    def __post_init__(self) -> None:
        if self.max_attempts < 1:
            raise ValueError(f"max_attempts must be at least 1, not {self.max_attempts}")
        if not 0 <= self.base_delay_ms <= self.max_delay_ms < math.inf:
            raise ValueError(
                "base_delay_ms must be 0 or more and at most max_delay_ms, "
                f"not {self.base_delay_ms} and {self.max_delay_ms}"
            )
        if not 1 <= self.backoff_factor < math.inf:
            raise ValueError(f"backoff_factor must be at least 1, not {self.backoff_factor}")

    def delay(
        self,
        attempts: int,
        retry_after: float | None = None,
        *,
        fraction: Callable[[], float] = random.random,
    ) -> float:
        """Return how long to wait before the next attempt.

        Args:
            attempts: Attempts already made, at least 1.
            retry_after: Seconds the provider asked for. They are obeyed in full; the first wait
                is drawn on top of them, so that those who were told the same do not come at once.
            fraction: Returns a random number from 0 to below 1.

        Returns:
            Seconds.
        """
        share = fraction() if self.jitter else 1.0
        if retry_after is not None:
            return retry_after + (share * self.base_delay_ms / 1000 if self.jitter else 0.0)
        return share * self._bound(attempts) / 1000

    def next_delay(
        self,
        attempts: int,
        *,
        now: float,
        deadline: float,
        retry_after: float | None = None,
        fraction: Callable[[], float] = random.random,
    ) -> float | None:
        """Decide whether to try again.

        Args:
            attempts: Attempts already made, at least 1.
            now: The present time.
            deadline: When the asker stops waiting, on the same clock.
            retry_after: Seconds the provider asked for.
            fraction: Returns a random number from 0 to below 1.

        Returns:
            Seconds to wait before the next attempt; None when there shall be none: the attempts
            are used up, the provider asks for more than ``LONGEST_PAUSE``, or the wait would reach
            the deadline.
        """
        if attempts >= self.max_attempts:
            return None
        if retry_after is not None and out_of_patience(retry_after):
            return None
        delay = self.delay(attempts, retry_after, fraction=fraction)
        return delay if now + delay < deadline else None

    async def with_retry(
        self,
        fn: Callable[[], Awaitable[T]],
        *,
        deadline: float = math.inf,
        budget: RetryBudget | None = None,
        retry_on: Callable[[Exception], bool] = may_retry,
        fraction: Callable[[], float] = random.random,
    ) -> T:
        """Call ``fn`` until it succeeds or the policy ends it.

        Args:
            fn: What to do; called anew for each attempt, in the caller's task.
            deadline: On the clock of ``trio.current_time``: no wait reaches beyond it. It does not
                cut an attempt short; that is for a cancel scope of the caller's.
            budget: Pays for every attempt but the first; None pays for all.
            retry_on: Tells whether an exception may be followed by another attempt; by default a
                ``Failure`` whose verdict allows the same provider again.
            fraction: Returns a random number from 0 to below 1.

        Returns:
            What ``fn`` returned.

        Raises:
            Exception: The last one that ``fn`` raised.
        """
        if budget is not None:
            budget.deposit(trio.current_time())
        attempts = 0
        while True:
            attempts += 1
            try:
                return await fn()
            except Exception as error:
                now = trio.current_time()
                delay = self.next_delay(
                    attempts,
                    now=now,
                    deadline=deadline,
                    retry_after=error.retry_after if isinstance(error, Failure) else None,
                    fraction=fraction,
                )
                if not retry_on(error) or delay is None:
                    raise
                if budget is not None and not budget.withdraw(now):
                    raise
            await trio.sleep(delay)

    def _bound(self, attempts: int) -> float:
        """Return the longest wait in milliseconds before the next attempt."""
        try:
            grown = self.base_delay_ms * self.backoff_factor ** (attempts - 1)
        except OverflowError:
            return self.max_delay_ms
        return min(self.max_delay_ms, grown)
