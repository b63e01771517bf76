"""Failover groups: plans that outlive their manager, and calls in the caller's own task."""

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import wait_all_tasks_blocked as settle

from providers.failures import Failure, FailureKind
from runtime.routing.breaker import BreakerSettings
from runtime.routing.failover_client import Failover, NobodyLeftError, UnknownGroupError
from runtime.routing.gate import RateGates
from runtime.routing.manager import CircuitBreakerManager
from runtime.routing.plan import PANIC_INTERVAL, Candidate, Group
from runtime.routing.retry import RetryBudget
from supervision import ChildSpec, Reports, System, Table, open_system, supervisor
from tests.support.outcomes import attempt

A, B, C = Candidate("a", "m-a"), Candidate("b", "m-b"), Candidate("c", "m-c")
ROUND = Group(name="g", members=(A, B, C), strategy="round_robin", max_attempts=3)
FIRST = Group(name="p", members=(A, B, C), max_attempts=2)


class House:
    def __init__(self, budget: RetryBudget | None) -> None:
        self.breakers = CircuitBreakerManager(Table(), BreakerSettings(failure_threshold=1))
        self.gates = RateGates()
        self.failover = Failover(self.breakers, self.gates, budget)
        self.system: System

    async def kill(self) -> None:
        assert self.system.kill("failover")
        await settle()
        assert self.system.ref("failover").alive

    async def open_circuit(self, provider: str) -> None:
        self.system.ref(f"breaker:{provider}").cast(attempt(provider, "reset"))
        await settle()

    def turns(self, count: int, group: str = "g") -> str:
        found = (self.failover.get_next_provider(group) for _ in range(count))
        return "".join("-" if each is None else each.provider for each in found)


@asynccontextmanager
async def opened(budget: RetryBudget | None = None) -> AsyncIterator[House]:
    house = House(budget)
    children: list[ChildSpec] = [
        house.breakers.child_spec({"a": None, "b": None, "c": None}),
        house.failover.child_spec([ROUND, FIRST]),
    ]
    async with open_system(supervisor("root", children), reports=Reports(log=False)) as system:
        house.system = system
        house.breakers.bind(system)
        house.failover.bind(system)
        yield house


class Calls:
    """A provider call that does as it is told, and remembers who was asked."""

    def __init__(self, **failing: FailureKind) -> None:
        self.failing = failing
        self.asked = ""

    async def __call__(self, candidate: Candidate) -> str:
        self.asked += candidate.provider
        await trio.sleep(0.1)
        kind = self.failing.get(candidate.provider)
        if kind is not None:
            raise Failure(kind, candidate.provider, f"it is {kind}", retry_after=None)
        return f"{candidate.provider} served {candidate.model}"


async def test_turns_rotate_and_pass_over_those_who_are_not_ready(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened() as house:
        assert house.turns(6) == "abcabc"
        await house.open_circuit("b")
        assert Counter(house.turns(10)) == {"a": 5, "c": 5}
        house.gates.of("c").close_until(trio.current_time() + 5)
        assert house.turns(2) == "aa"
        await house.open_circuit("a")
        assert house.turns(2) == "aa", "in panic, one of those with an open circuit is let through"


async def test_a_killed_manager_leaves_plans_turns_groups_and_counts_behind(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened() as house:
        failover = house.failover
        await failover.register_failover_group(Group(name="later", members=(C, B)))
        assert await failover.unregister_failover_group("p")
        assert house.turns(2) == "ab"
        failover.report_provider_result("g", "a", "ok")
        await settle()
        await house.kill()
        assert set(failover.board.plans) == {"g", "later"}
        assert house.turns(2) == "ca"
        assert failover.get_failover_stats()["g"].members["a"].succeeded == 1


async def test_registering_a_group_again_changes_it_and_keeps_the_turn(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened() as house:
        assert house.turns(1) == "a"
        await house.failover.register_failover_group(
            Group(name="g", members=(C, B), strategy="round_robin")
        )
        assert house.turns(4) == "bcbc"
        with pytest.raises(UnknownGroupError, match="'nope'"):
            house.failover.get_next_provider("nope")
        assert not await house.failover.unregister_failover_group("nope")


async def test_a_failing_provider_is_replaced_by_the_next_and_the_record_says_so(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened() as house:
        calls = Calls(a="connect")
        assert await house.failover.with_failover("p", calls) == "b served m-b"
        await settle()
        assert await house.failover.with_failover("p", calls) == "b served m-b"
        assert calls.asked == "abb", "the second time a's circuit is open, and a is not asked"
        await settle()
        stats = house.failover.get_failover_stats()["p"]
        assert stats.failovers == 1
        assert (stats.members["a"].failed, stats.members["a"].last_failure) == (1, "connect")
        assert (stats.members["b"].succeeded, stats.members["b"].took_over) == (2, 1)


async def test_attempts_end_at_the_groups_limit_and_every_failure_is_told(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened() as house:
        calls = Calls(a="connect", b="bad_answer", c="connect")
        with pytest.raises(NobodyLeftError, match="a: it is connect; b: it is bad_answer"):
            await house.failover.with_failover("p", calls)
        assert calls.asked == "ab"


async def test_a_request_that_is_at_fault_itself_is_not_carried_on(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened() as house:
        calls = Calls(a="client_error")
        with pytest.raises(Failure, match="client_error"):
            await house.failover.with_failover("p", calls)
        assert calls.asked == "a"


async def test_a_429_closes_the_gate_and_not_the_circuit(autojump_clock: trio.abc.Clock) -> None:
    async with opened() as house:
        calls = Calls(a="rate_limited")
        assert await house.failover.with_failover("p", calls) == "b served m-b"
        assert await house.failover.with_failover("p", calls) == "b served m-b"
        assert calls.asked == "abb"
        assert house.breakers.get_circuit_state("a").state == "closed"
        assert house.gates["a"].opens_in(trio.current_time()) > 0


async def test_when_all_circuits_are_open_one_call_an_interval_is_let_through_to_each_in_turn(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened() as house:
        for provider in "abc":
            await house.open_circuit(provider)
        assert house.failover.get_failover_stats()["p"].panic
        calls = Calls(a="connect", b="connect", c="connect")
        for _ in range(3):
            with pytest.raises(NobodyLeftError, match="it is connect"):
                await house.failover.with_failover("p", calls)
            await settle()
            with pytest.raises(NobodyLeftError, match="open for another") as caught:
                await house.failover.with_failover("p", calls)
            assert {failure.kind for failure in caught.value.failures} == {"circuit_open"}
            await trio.sleep(PANIC_INTERVAL)
        assert calls.asked == "abc"
        assert house.failover.get_failover_stats()["p"].panic_probes == 3


async def test_panic_lets_nobody_through_twice_for_one_that_is_left_alone(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened() as house:
        await house.breakers.steer_circuit("a", "force_open")
        await house.open_circuit("b")
        await house.open_circuit("c")
        calls = Calls(b="connect", c="connect")
        for _ in range(3):  # within the 15 s that a circuit stays open at least
            with pytest.raises(NobodyLeftError, match="it is connect"):
                await house.failover.with_failover("p", calls)
            await settle()
            await trio.sleep(PANIC_INTERVAL)
        assert calls.asked == "bcb"


async def test_a_call_that_is_let_through_in_panic_and_goes_well_ends_the_outage(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened() as house:
        for provider in "abc":
            await house.open_circuit(provider)
        calls = Calls()
        assert await house.failover.with_failover("p", calls) == "a served m-a"
        await settle()
        assert house.breakers.get_circuit_state("a").state == "closed"
        assert not house.failover.get_failover_stats()["p"].panic
        assert await house.failover.with_failover("p", calls) == "a served m-a"


async def test_a_failed_call_in_panic_keeps_the_circuit_open_no_longer_than_before(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened() as house:
        for provider in "abc":
            await house.open_circuit(provider)
        before = house.breakers.get_circuit_state("a")
        with pytest.raises(NobodyLeftError):
            await house.failover.with_failover("p", Calls(a="connect"))
        await settle()
        after = house.breakers.get_circuit_state("a")
        assert (after.state, after.openings) == ("open", before.openings)
        assert after.retry_in is not None
        assert before.retry_in is not None
        assert after.retry_in == pytest.approx(before.retry_in - 0.1)


async def test_panic_leaves_alone_what_a_person_or_a_429_keeps_back(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened() as house:
        await house.breakers.steer_circuit("a", "force_open")
        house.gates.of("b").close_until(trio.current_time() + 60)
        house.gates.of("c").close_until(trio.current_time() + 60)
        assert house.turns(3, "p") == "---"
        stats = house.failover.get_failover_stats()["p"]
        assert [place.status for place in stats.order] == [
            "forced_open",
            "rate_limited",
            "rate_limited",
        ]
        assert (stats.panic, stats.panic_probes) == (True, 0)


async def test_no_call_begins_after_the_deadline_or_beyond_the_budget(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened(RetryBudget(0.0, 0.0)) as house:
        calls = Calls(a="connect")
        with pytest.raises(NobodyLeftError):
            await house.failover.with_failover("p", calls)
        with pytest.raises(NobodyLeftError, match="nobody was asked"):
            await house.failover.with_failover("p", calls, deadline=trio.current_time())
        assert calls.asked == "a"


async def test_calls_put_their_share_into_the_budget(autojump_clock: trio.abc.Clock) -> None:
    async with opened(RetryBudget(0.5, 0.0)) as house:
        for call in (Calls(), Calls()):
            await house.failover.with_failover("p", call)
        assert await house.failover.with_failover("p", Calls(a="connect")) == "b served m-b"


async def test_a_call_that_was_too_long_for_one_goes_only_to_whoever_takes_more(
    autojump_clock: trio.abc.Clock,
) -> None:
    windows = {"a": 8_000, "b": 8_000, "c": 100_000}
    members = tuple(
        Candidate(name, context_window=tokens, fallback_on=frozenset({"context_too_long"}))
        for name, tokens in windows.items()
    )
    async with opened() as house:
        group = Group(name="w", members=members)
        await house.failover.register_failover_group(group)
        calls = Calls(a="context_too_long")
        await house.failover.with_failover("w", calls)
        assert calls.asked == "ac"


async def test_whoever_asked_for_patience_is_not_called_and_the_failure_says_until_when(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened() as house:
        for name in "abc":
            house.gates.of(name).close_until(trio.current_time() + 30)
        calls = Calls()
        with pytest.raises(NobodyLeftError, match=r"another 30\.0 s") as caught:
            await house.failover.with_failover("p", calls)
        assert calls.asked == ""
        assert [failure.kind for failure in caught.value.failures] == ["rate_limited"] * 3


async def test_calls_run_beside_each_other_and_never_in_the_managers_loop(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened() as house:

        async def call() -> None:
            await house.failover.with_failover("g", Calls())

        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(call)
            await trio.sleep(0.05)
            assert await house.system.ref("failover").call(_again(house), timeout=0.01)
            house.system.kill("failover")
        assert trio.current_time() - began == pytest.approx(0.1)


def _again(house: House) -> object:
    from runtime.routing.failover import RegisterGroup

    return RegisterGroup(house.failover.plan("g").group)


@pytest.mark.parametrize(
    ("members", "attempts", "strategy", "what"),
    [
        ((), 3, "priority", "no members"),
        ((A, A), 3, "priority", "twice"),
        ((A,), 0, "priority", "max_attempts"),
        ((A,), 1, "random", "strategy"),
        ((Candidate("a", weight=0.0),), 1, "priority", "weight"),
        ((Candidate("a", weight=1e308), Candidate("b", weight=1e308)), 1, "priority", "weight"),
    ],
)
def test_a_group_that_makes_no_sense_is_refused(
    members: tuple[Candidate, ...], attempts: int, strategy: str, what: str
) -> None:
    with pytest.raises(ValueError, match=what):
        Group(name="g", members=members, max_attempts=attempts, strategy=strategy)  # type: ignore[arg-type]  # the point of the test
