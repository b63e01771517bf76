"""The failover manager looks at its members anew, learns their speed, and outlives its crashes."""

import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked as settle

from providers.failures import Failure
from runtime.outcome import PanicProbes
from runtime.routing.breaker import BreakerSettings
from runtime.routing.failover_client import Failover, NobodyLeftError
from runtime.routing.gate import RateGates
from runtime.routing.manager import CircuitBreakerManager
from runtime.routing.plan import STRATEGIES, Candidate, Group, Strategy
from supervision import ChildSpec, Reports, System, Table, open_system, supervisor
from tests.runtime.routing.rig import Listening
from tests.support.outcomes import attempt

MEMBERS = (
    Candidate("a", "m", weight=2, cost_tier=1),
    Candidate("b", "m", weight=1, cost_tier=1),
    Candidate("c", "m", weight=1, cost_tier=2),
)


class House:
    """A failover manager, its breakers, and health scores to be set by the test."""

    def __init__(self) -> None:
        self.health: dict[str, float] = {}
        self.heard: list[object] = []
        self.breakers = CircuitBreakerManager(Table(), BreakerSettings(failure_threshold=1))
        self.failover = Failover(
            self.breakers,
            RateGates(),
            health=lambda provider: self.health.get(provider, 1.0),
            fraction=random.Random(3).random,
        )
        self.system: System

    def order(self) -> str:
        plan = self.failover.plan("g")
        return "".join(each.provider for each in plan.order(trio.current_time()))

    async def kill(self) -> None:
        assert self.system.kill("failover")
        await settle()

    async def answered(self, provider: str, seconds: float) -> None:
        """A request of the group had its first token after so long."""
        done = attempt(provider, first_token=seconds, duration=seconds)
        self.system.ref("failover").cast(done)
        await settle()


@asynccontextmanager
async def opened(strategy: Strategy, **options: float) -> AsyncIterator[House]:
    house = House()
    group = Group(name="g", members=MEMBERS, strategy=strategy, **options)  # type: ignore[arg-type]  # options are numbers
    children: list[ChildSpec] = [
        ChildSpec("telemetry", lambda: Listening(house.heard)),
        house.breakers.child_spec({"a": None, "b": None, "c": None}),
        house.failover.child_spec([group]),
    ]
    root = supervisor("root", children, max_restarts=100)
    async with open_system(root, reports=Reports(log=False)) as system:
        house.system = system
        house.breakers.bind(system)
        house.failover.bind(system)
        yield house


async def test_the_order_by_health_changes_at_the_rebalance_interval_and_not_before(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened("health_aware", rebalance_interval=10.0) as house:
        assert house.order() == "abc"
        house.health = {"a": 0.3, "b": 0.8}
        await trio.sleep(9.9)
        assert house.order() == "abc"
        await trio.sleep(0.2)
        assert house.order() == "cba"
        house.health = {}
        await trio.sleep(10)
        assert house.order() == "abc", "and again at the next one"


async def test_rebalancing_goes_on_after_the_manager_was_killed(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened("health_aware", rebalance_interval=10.0) as house:
        await trio.sleep(5)
        await house.kill()
        house.health = {"a": 0.3}
        assert house.order() == "abc"
        await trio.sleep(5.1)
        assert house.order() == "bca"


async def test_a_manager_that_is_killed_again_and_again_rebalances_when_it_is_time(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened("health_aware", rebalance_interval=10.0) as house:
        house.health = {"a": 0.3}
        for _ in range(3):
            await trio.sleep(3)
            await house.kill()
        assert house.order() == "abc"
        await trio.sleep(1.1)
        assert house.order() == "bca"
        house.health = {}
        await trio.sleep(8)
        await house.kill()
        assert house.order() == "bca"
        await trio.sleep(2.1)
        assert house.order() == "abc"


async def test_a_group_that_is_dropped_is_not_rebalanced_back(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened("health_aware", rebalance_interval=10.0) as house:
        assert await house.failover.unregister_failover_group("g")
        await trio.sleep(60)
        assert list(house.failover.board.plans) == []


async def test_measured_times_decide_and_outlive_the_manager(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened("fastest_first") as house:
        for provider, seconds in (("a", 3.0), ("b", 1.0), ("c", 2.0)):
            await house.answered(provider, seconds)
        assert house.order() == "bca"
        await house.kill()
        assert house.order() == "bca"
        await house.answered("b", 10.0)
        assert house.order() == "cab"


async def test_a_provider_that_got_better_is_seen_and_comes_first_in_the_end(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened("fastest_first", rebalance_interval=10.0) as house:
        for provider, seconds in (("a", 1.0), ("b", 5.0), ("c", 6.0)):
            await house.answered(provider, seconds)
        speed = {"a": 1.0, "b": 0.1, "c": 6.0}
        asked: list[str] = []
        for _ in range(600):
            asked.append(house.order()[0])
            await house.answered(asked[-1], speed[asked[-1]])
            await trio.sleep(1)
        looks = Counter(asked[:60])
        assert 0 < looks["b"] + looks["c"] <= 3, "of twenty requests one at most"
        assert Counter(asked[-100:])["b"] >= 90


async def test_calls_of_programs_are_counted_while_under_way_and_timed(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened("adaptive") as house:
        failover = house.failover
        seen: list[int] = []

        async def call(candidate: Candidate) -> str:
            seen.append(failover.loads.of(candidate.provider).count)
            await trio.sleep(1 if candidate.provider == "a" else 3)
            return candidate.provider

        for _ in range(4):
            await failover.with_failover("g", call)
        await settle()
        assert seen == [1, 1, 1, 1]
        with trio.move_on_after(0.5):
            await failover.with_failover("g", call)
        order = failover.get_failover_stats()["g"].order
        assert [place.provider for place in order] == ["a", "b", "c"]
        assert [place.first_token for place in order] == [pytest.approx(1), pytest.approx(3), None]
        assert {load.count for load in failover.loads.values()} == {0}, "also when cancelled"


@pytest.mark.parametrize("strategy", list(STRATEGIES))
async def test_every_strategy_serves_programs_around_failures_and_restarts(
    autojump_clock: trio.abc.Clock, strategy: Strategy
) -> None:
    async with opened(strategy, max_attempts=3) as house:
        failover = house.failover

        async def call(candidate: Candidate) -> str:
            await trio.sleep(0.1)
            if candidate.provider == "a":
                raise Failure("connect", "a", "refused")
            return candidate.provider

        for number in range(20):
            assert await failover.with_failover("g", call) in {"b", "c"}
            await settle()
            if number % 5 == 0:
                await house.kill()
        stats = failover.get_failover_stats()["g"]
        assert stats.strategy == strategy
        assert stats.members["a"].attempts <= 1, "its circuit is open"
        assert stats.order[-1].provider == "a"
        served = failover.get_next_provider("g")
        assert served is not None
        assert served.provider in {"b", "c"}


async def test_telemetry_hears_how_many_requests_panic_let_through(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened("round_robin") as house:
        for provider in "abc":
            house.system.ref(f"breaker:{provider}").cast(attempt(provider, "reset"))
        await settle()

        async def call(candidate: Candidate) -> str:
            raise Failure("connect", candidate.provider, "refused")

        for _ in range(2):
            with pytest.raises(NobodyLeftError):
                await house.failover.with_failover("g", call)
            await trio.sleep(6)
        told = [each for each in house.heard if isinstance(each, PanicProbes)]
        assert told == [PanicProbes(group="g", count=1)] * 2
        facts = house.system.snapshot().find("failover")
        assert facts is not None
        assert facts.extra["panic"] == ["g"]
