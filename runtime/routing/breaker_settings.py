"""When a circuit breaker opens and how it recovers."""

import math

import msgspec

__all__ = ["BreakerSettings"]


class BreakerSettings(msgspec.Struct, frozen=True, kw_only=True):
    """When a breaker opens and how it recovers.

    Attributes:
        failure_threshold: Consecutive failures that open it.
        failure_rate: Share of failures in the window, above 0 to 1, that opens it.
        minimum_calls: Calls in the window before a share counts.
        slow_call_threshold: Seconds to the first token beyond which a good answer is slow; None
            when none is.
        slow_call_rate: Share of slow answers among those in the window whose first token was
            timed, above 0 to 1, that opens it.
        window: Seconds looked back, in buckets of one second.
        recovery_timeout: Seconds it stays open the first time (jittered: half to whole).
        max_recovery_timeout: Seconds it stays open at most, however often it has reopened; one
            that is less than ``recovery_timeout`` holds from the first time on.
        half_open_limit: Probes at one time, and how many outcomes decide.
        probe_timeout: Seconds after which a probe's permit counts as lost.
        account_recheck: Seconds a provider is set aside the first time its account is refused.
        max_account_recheck: Seconds it is set aside at most.

    Raises:
        ValueError: When a value makes no sense.
    """

    failure_threshold: int = 5
    failure_rate: float = 0.5
    minimum_calls: int = 10
    slow_call_threshold: float | None = None
    slow_call_rate: float = 0.5
    window: float = 30.0
    recovery_timeout: float = 30.0
    max_recovery_timeout: float = 300.0
    half_open_limit: int = 1
    probe_timeout: float = 30.0
    account_recheck: float = 60.0
    max_account_recheck: float = 900.0

    def __post_init__(self) -> None:
        for name in ("failure_threshold", "minimum_calls", "half_open_limit"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        for name in ("failure_rate", "slow_call_rate"):
            if not 0 < getattr(self, name) <= 1:
                share = getattr(self, name)
                raise ValueError(f"{name} must be above 0 and at most 1, not {share}")
        slow = self.slow_call_threshold
        if slow is not None and not 0 < slow < math.inf:
            raise ValueError(f"slow_call_threshold must be more than 0 seconds, not {slow}")
        for name in (
            "window",
            "recovery_timeout",
            "max_recovery_timeout",
            "probe_timeout",
            "account_recheck",
            "max_account_recheck",
        ):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} must be more than 0 seconds, not {getattr(self, name)}")

    def for_account(self) -> "BreakerSettings":
        """Return the settings of the circuit that watches the account: one refusal opens it."""
        return BreakerSettings(
            failure_threshold=1,
            half_open_limit=1,
            recovery_timeout=self.account_recheck,
            max_recovery_timeout=self.max_account_recheck,
            window=self.window,
            probe_timeout=self.probe_timeout,
        )
