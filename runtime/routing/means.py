"""What requests are answered with: the providers, who lets them pass, and who hears of it."""

import math
from collections.abc import Iterable, Mapping
from typing import Final

import trio

from providers.failures import Failure
from runtime.outcome import Attempt, Finished
from runtime.routing.breaker import Permit
from runtime.routing.breaker_view import BreakerView
from runtime.routing.failover import FailoverBoard
from runtime.routing.plan import Candidate
from runtime.routing.retry import RetryBudget, RetryPolicy
from runtime.routing.upstream import Upstream
from supervision import Ref, Table

__all__ = ["Means"]

_TURNS: Final = 5
"""Turns of the scheduler left to breakers to hear of what has failed; idle ones need two."""

_PROBE_PATIENCE: Final = 1.0
"""Seconds after which it is worth asking what became of a breaker's probe."""


class Means:
    """The parts of the daemon that every request uses.

    Args:
        upstreams: The configured providers by name.
        breakers: The published state of their breakers.
        budget: What pays for attempts beyond the first.
        telemetry: Hears of attempts and finished requests.
        failover: Hears of attempts.
        standing: What the failover manager publishes, to count successes in place; None leaves all
            counting to it.

    Attributes:
        budget: What pays for attempts beyond the first.
    """

    __slots__ = (
        "_breakers",
        "_failover",
        "_standing",
        "_telemetry",
        "_upstreams",
        "budget",
    )

    def __init__(
        self,
        *,
        upstreams: Mapping[str, Upstream],
        breakers: Table[str, BreakerView],
        budget: RetryBudget,
        telemetry: Ref,
        failover: Ref,
        standing: FailoverBoard | None = None,
    ) -> None:
        self._upstreams = upstreams
        self._breakers = breakers
        self._telemetry = telemetry
        self._failover = failover
        self._standing = standing
        self.budget = budget

    def permit(self, upstream: Upstream, now: float) -> Permit | Failure:
        """Ask gate and breaker for one attempt at a provider.

        Args:
            upstream: The provider.
            now: The present time.

        Returns:
            The permit, or why the provider is passed over.
        """
        name = upstream.interface.name
        closed_for = upstream.gate.opens_in(now)
        if closed_for:
            return Failure(
                "rate_limited",
                name,
                f"asked to be left alone for another {closed_for:.1f} s",
                retry_after=closed_for,
            )
        view = self._breakers.get(name)
        if view is None:
            return Failure("provider_down", name, "its breaker has not started")
        permit = view.acquire(now)
        if permit is None:
            return view.refusal(name, now)
        return permit

    def soonest(self, candidates: Iterable[Candidate], now: float) -> float | None:
        """Return when the first of some providers that are all kept back can be asked again.

        Args:
            candidates: The providers.
            now: The present time.

        Returns:
            Seconds; None when one of them may be asked now, or when time alone will not do.
        """
        waits = []
        for candidate in candidates:
            upstream = self._upstreams.get(candidate.provider)
            if upstream is None:
                continue
            wait = upstream.gate.opens_in(now)
            view = self._breakers.get(candidate.provider)
            if view is not None and not view.ready(now):
                # The next whole second is soon enough to ask about a probe that is under way.
                wait = max(wait, view.retry_in(now), _PROBE_PATIENCE)
            if not wait:
                return None
            waits.append(wait)
        soonest = min(waits, default=math.inf)
        return None if math.isinf(soonest) else soonest

    async def let_breakers_hear(self, candidates: Iterable[Candidate]) -> None:
        """Let the breakers of some providers hear of attempts that have just ended.

        They are told by message, and what opens a circuit opens it a moment later. Takes a few
        turns of the scheduler at most, and no time; with nothing on its way, not even those.

        Args:
            candidates: The providers.
        """
        views = [self._breakers.get(candidate.provider) for candidate in candidates]
        for _ in range(_TURNS):
            if not any(view is not None and view.unheard for view in views):
                return
            await trio.lowlevel.cancel_shielded_checkpoint()

    def upstream(self, name: str) -> Upstream | None:
        """Return a provider by name."""
        return self._upstreams.get(name)

    def policy_of(self, name: str) -> RetryPolicy:
        """Return when a provider may be asked again; of one that is no more, as by default."""
        upstream = self._upstreams.get(name)
        return RetryPolicy() if upstream is None else upstream.retry

    def tell(self, upstream: Upstream, attempt: Attempt) -> None:
        """Report one attempt to whoever plans by it.

        A success of a closed circuit is counted where it is published, by the breaker's own rules,
        and one of a group's member in its standing; of everything else the actors hear.
        """
        view = self._breakers.get(attempt.provider)
        if view is None:
            upstream.breaker.cast(attempt)
        elif not view.counts(attempt) and upstream.breaker.cast(attempt):
            view.unheard += 1
        standing = self._standing
        if attempt.group is not None and (standing is None or not standing.counts(attempt)):
            self._failover.cast(attempt)

    def count(self, attempt: Attempt) -> None:
        """Report one attempt that is not reported with its request to who counts them all."""
        self._telemetry.cast(attempt)

    def tell_finished(self, finished: Finished) -> None:
        """Report one request to whoever counts it."""
        self._telemetry.cast(finished)
