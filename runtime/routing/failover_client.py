"""``Failover``: what a program asks of failover groups, in its own task."""

import math
import random
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import TypeVar

import trio

from providers.failures import Failure
from runtime.outcome import AttemptKind
from runtime.routing.failover import (
    FailoverBoard,
    FailoverManager,
    ProviderResult,
    RegisterGroup,
    UnregisterGroup,
)
from runtime.routing.gate import RateGates
from runtime.routing.load import Loads
from runtime.routing.manager import CircuitBreakerManager
from runtime.routing.plan import Candidate, Group, Outlook, Plan
from runtime.routing.readiness import Readiness
from runtime.routing.refused import Wider
from runtime.routing.retry import RetryBudget
from runtime.routing.standings import GroupStanding
from runtime.routing.verdicts import VERDICTS, judge
from supervision import ChildSpec, Ref, System

__all__ = ["Failover", "NobodyLeftError", "UnknownGroupError"]

T = TypeVar("T")


class UnknownGroupError(LookupError):
    """There is no failover group of that name.

    Args:
        group: The name that was asked for.
    """

    def __init__(self, group: str) -> None:
        super().__init__(group)
        self.group = group

    def __str__(self) -> str:
        return f"there is no failover group {self.group!r}"


class NobodyLeftError(Exception):
    """No member of a group could do it.

    Args:
        group: The group.
        failures: What became of each member that was tried or passed over, in order.
    """

    def __init__(self, group: str, failures: Sequence[Failure]) -> None:
        super().__init__(group, tuple(failures))
        self.group = group
        self.failures = tuple(failures)

    def __str__(self) -> str:
        told = "; ".join(str(failure) for failure in self.failures) or "nobody was asked"
        return f"no provider of group {self.group} could do it: {told}"


class Failover:
    """The face of the failover manager.

    Reading and calling happen in the asker's task; messages go to the manager only to change
    groups and to report results.

    Args:
        breakers: The breakers that say whether a provider may be called.
        gates: The rate gates of the providers.
        budget: Pays for every call after the first; None pays for all.
        name: The manager's name in the tree.
        loads: Where calls under way are counted.
        health: Returns a provider's health score, 0 to 1; None takes all for healthy.
        fraction: Returns a random number from 0 to below 1.
    """

    def __init__(
        self,
        breakers: CircuitBreakerManager,
        gates: RateGates,
        budget: RetryBudget | None = None,
        *,
        name: str = "failover",
        loads: Loads | None = None,
        health: Callable[[str], float] | None = None,
        fraction: Callable[[], float] = random.random,
    ) -> None:
        self.board = FailoverBoard()
        self.loads = loads or Loads()
        self._breakers = breakers
        self._gates = gates
        self._budget = budget
        self._name = name
        self._ready = Readiness(breakers.views, gates)
        self._outlook = Outlook(
            loads=self.loads,
            first_tokens=self.board.first_tokens,
            health=health or (lambda _provider: 1.0),
            all_ready=self._ready.all,
            hasten=self._ready.hasten,
            status=self._ready.status,
            fraction=fraction,
        )
        self._ref: Ref | None = None

    def child_spec(self, groups: Sequence[Group]) -> ChildSpec:
        """Return the manager to start.

        Args:
            groups: The groups to begin with.
        """

        def start() -> FailoverManager:
            return FailoverManager(self.board, groups, self._ready, self._outlook)

        return ChildSpec(self._name, start)

    def bind(self, system: System) -> None:
        """Connect to the running system.

        Args:
            system: Where the manager runs.
        """
        self._ref = system.ref(self._name)

    def plan(self, group: str) -> Plan:
        """Return the present plan of a group.

        Args:
            group: The group's name.

        Raises:
            UnknownGroupError: There is none.
        """
        plan = self.board.plans.get(group)
        if plan is None:
            raise UnknownGroupError(group)
        return plan

    async def register_failover_group(self, group: Group) -> None:
        """Add a group, or change the one of the same name; whose turn it is stays.

        Args:
            group: The group.

        Raises:
            ActorDown: The manager is between two lives; ask again.
        """
        await self._bound().call(RegisterGroup(group))

    async def unregister_failover_group(self, group: str) -> bool:
        """Drop a group and its counts.

        Args:
            group: The group's name.

        Returns:
            Whether there was one.

        Raises:
            ActorDown: The manager is between two lives; ask again.
        """
        return bool(await self._bound().call(UnregisterGroup(group)))

    def get_next_provider(self, group: str) -> Candidate | None:
        """Return the member whose turn it is, and use up the turn.

        Args:
            group: The group's name.

        Returns:
            The first member, in the plan's order, that would take a request now; None when none
            would.

        Raises:
            UnknownGroupError: There is no such group.
        """
        now = trio.current_time()
        ready = self._ready
        for candidate in self.plan(group).order(now):
            if ready(candidate.provider, now):
                return candidate
        return None

    def report_provider_result(
        self,
        group: str,
        provider: str,
        kind: AttemptKind,
        *,
        number: int = 1,
        model: str | None = None,
        duration: float | None = None,
    ) -> bool:
        """Tell the manager how a call went.

        Args:
            group: The group.
            provider: The provider that was called.
            kind: How it ended.
            number: The number of the call among those for the same thing, from 1.
            model: The model that was asked for; None for the caller's own.
            duration: Seconds the call took; the strategies that go by speed learn from it.

        Returns:
            False when the manager is between two lives and does not count it.
        """
        result = ProviderResult(
            group=group,
            provider=provider,
            kind=kind,
            number=number,
            model=model,
            duration=duration,
        )
        return self._bound().cast(result)

    def get_failover_stats(self) -> dict[str, GroupStanding]:
        """Return how the members of each group have done. Sends no message."""
        standings = self.board.standings
        now = trio.current_time()
        return {name: standings.of(plan, now) for name, plan in self.board.plans.items()}

    async def with_failover(
        self,
        group: str,
        fn: Callable[[Candidate], Awaitable[T]],
        *,
        deadline: float = math.inf,
    ) -> T:
        """Call ``fn`` with one member of a group after the other until one call succeeds.

        Everything runs in the caller's task. A member whose breaker or gate is closed to it is
        passed over. A 429 closes the member's gate.

        Args:
            group: The group's name.
            fn: What to call; raises ``Failure`` when the provider fails. Another exception is
                nothing a further provider could repair, and ends it.
            deadline: On the clock of ``trio.current_time``: no call begins after it.

        Returns:
            What ``fn`` returned.

        Raises:
            NobodyLeftError: Every member failed or was passed over, or attempts, budget or time
                were used up.
            Failure: One that no further provider may be asked after.
            UnknownGroupError: There is no such group.
        """
        plan = self.plan(group)
        now = trio.current_time()
        if self._budget is not None:
            self._budget.deposit(now)
        failures: list[Failure] = []
        calls = 0
        wider = Wider()
        for candidate in plan.order(now):
            if not wider.admits(candidate):
                continue
            now = trio.current_time()
            if calls >= plan.max_attempts or now >= deadline:
                break
            provider = candidate.provider
            closed_for = self._gates.of(provider).opens_in(now)
            if closed_for:
                message = f"asked to be left alone for another {closed_for:.1f} s"
                failures.append(Failure("rate_limited", provider, message, retry_after=closed_for))
                continue
            if not self._breakers.view(provider).ready(now):
                failures.append(self._breakers.view(provider).refusal(provider, now))
                continue
            if calls and self._budget is not None and not self._budget.withdraw(now):
                break
            calls += 1
            kind: AttemptKind | None = None
            under_way = self.loads.of(provider)
            under_way.count += 1
            try:
                result = await self._breakers.with_circuit_breaker(provider, partial(fn, candidate))
                kind = "ok"
                return result
            except Failure as failure:
                kind = failure.kind
                failures.append(failure)
                if VERDICTS[kind].gate:
                    self._gates.of(provider).refused(trio.current_time(), failure.retry_after)
                if not judge(failure, candidate.fallback_on).next_provider:
                    raise
                wider.note(failure, candidate)
            finally:
                under_way.count -= 1
                if kind is not None:
                    self.report_provider_result(
                        group,
                        provider,
                        kind,
                        number=calls,
                        model=candidate.model,
                        duration=trio.current_time() - now,
                    )
        raise NobodyLeftError(group, failures)

    def _bound(self) -> Ref:
        if self._ref is None:
            raise RuntimeError("failover is not bound to a running system")
        return self._ref
