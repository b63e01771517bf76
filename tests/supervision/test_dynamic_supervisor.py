"""Dynamic supervisors: children that come and go, restarted one for one, stopped all at once."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from supervision import (
    IGNORE,
    Actor,
    ActorDown,
    AlreadyStarted,
    ChildCounts,
    ChildNotFound,
    ChildSpec,
    MaxChildren,
    Reason,
    Reports,
    Shutdown,
    SpecError,
    StartFailed,
    SupervisorHandle,
    System,
    dynamic_supervisor,
    open_system,
    supervisor,
)

settle = trio.testing.wait_all_tasks_blocked
PLENTY = 100_000


class Worker(Actor):
    """Ends as it is told to."""

    async def handle_cast(self, message: Any) -> None:
        if isinstance(message, Exception):
            raise message
        self.stop(message)


class Leaver(Actor):
    """Takes its time to leave."""

    def __init__(self, seconds: float = 0, failure: Exception | None = None) -> None:
        self.seconds = seconds
        self.failure = failure

    async def terminate(self, reason: Reason) -> None:
        await trio.sleep(self.seconds)
        if self.failure is not None:
            raise self.failure


def answers(*starts: Any) -> Callable[[], Actor]:
    """A factory whose incarnations start as the list says; the last answer is repeated."""
    left = list(starts)

    class Sometimes(Worker):
        async def init(self) -> Any:
            answer = left.pop(0) if len(left) > 1 else left[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

    return Sometimes


@asynccontextmanager
async def pool(
    reports: Reports | None = None, **options: Any
) -> AsyncIterator[tuple[System, SupervisorHandle]]:
    root = supervisor("root", [dynamic_supervisor("pool", **options)])
    async with open_system(root, reports=reports or Reports(log=False)) as system:
        yield system, system.supervisor("pool")


async def end(system: System, name: str, reason: Any) -> None:
    system.ref(name).cast(reason)
    await settle()


async def endings(system: System, *names: str) -> dict[str, Reason]:
    """Stop the pool and say how each child ended."""
    ended: dict[str, Reason] = {}
    for name in names:

        def note(reason: Reason, name: str = name) -> None:
            ended[name] = reason

        system.ref(name).watch(note)
    await system.supervisor("root").terminate_child("pool")
    return ended


# ---- starting


async def test_its_options_are_checked_before_anything_starts() -> None:
    bad: dict[str, Any] = {"max_restarts": -1, "max_seconds": 0, "max_children": -1}
    with pytest.raises(SpecError) as caught:
        dynamic_supervisor("pool", **bad)
    assert caught.value.problems == (
        "max_restarts must be a whole number, 0 or more, not -1",
        "max_seconds must be a number, more than 0 seconds, not 0",
        "max_children must be a number, 0 or more, not -1",
    )


async def test_it_has_otps_defaults() -> None:
    plan = dynamic_supervisor("pool").plan
    assert plan is not None
    assert (plan.strategy, plan.max_restarts, plan.max_seconds) == ("dynamic", 3, 5.0)
    assert plan.max_children == float("inf")


async def test_a_supervisor_may_have_many_and_start_more() -> None:
    root = supervisor("root", [dynamic_supervisor("one"), dynamic_supervisor("two")])
    async with open_system(root, reports=Reports(log=False)) as system:
        await system.supervisor("root").start_child(dynamic_supervisor("three"))
        for name in ("one", "two", "three"):
            assert await system.supervisor(name).which_children() == []
        with pytest.raises(AlreadyStarted):
            await system.supervisor("root").start_child(dynamic_supervisor("three"))


async def test_a_child_of_a_bad_specification_never_reaches_it() -> None:
    async with pool() as (_, handle):
        with pytest.raises(SpecError):
            await handle.start_child(ChildSpec("a", Worker, shutdown=-1))
        not_a_spec: Any = {}
        with pytest.raises(SpecError, match=re.escape("expected a ChildSpec, not {}")):
            await handle.start_child(not_a_spec)
        with pytest.raises(SpecError, match="auto_shutdown of 'pool' is never"):
            await handle.start_child(
                ChildSpec("a", Worker, restart="transient", significant=True)
            )  # fmt: skip
        assert await handle.count_children() == ChildCounts(0, 0, 0, 0)


async def test_a_child_starts_is_ignored_or_fails_and_only_the_first_is_kept() -> None:
    async with pool() as (system, handle):
        assert await handle.start_child(ChildSpec("a", Worker)) is system.ref("a")
        assert await handle.start_child(ChildSpec("b", answers(IGNORE))) is None
        with pytest.raises(StartFailed, match="'c' failed to start: OSError: found"):
            await handle.start_child(ChildSpec("c", answers(OSError("found"))))
        with pytest.raises(StartFailed, match="init"):
            await handle.start_child(ChildSpec("d", answers("unknown")))
        assert [child.id for child in await handle.which_children()] == ["a"]
        assert system.names() == ["root", "pool", "a"]


async def test_every_id_is_new_but_an_ended_childs_is_free_again() -> None:
    async with pool() as (system, handle):
        spec = ChildSpec("a", Worker, restart="temporary")
        await handle.start_child(spec)
        with pytest.raises(AlreadyStarted):
            await handle.start_child(spec)
        await end(system, "a", "normal")
        assert await handle.start_child(spec) is system.ref("a")


async def test_arguments_come_with_the_factory_and_are_there_again_after_a_restart() -> None:
    seen: list[object] = []

    class Told(Worker):
        def __init__(self, *extra: object) -> None:
            seen.append(extra)

    async with pool() as (system, handle):
        spec = ChildSpec("a", lambda: Told("extra", 1), restart="transient")
        await handle.start_child(spec)
        await end(system, "a", ValueError("oops"))
        assert seen == [("extra", 1), ("extra", 1)]
        assert await handle.count_children() == ChildCounts(1, 1, 0, 1)


# ---- restarting


ORDERLY = ["normal", "shutdown", Shutdown("signal")]


@pytest.mark.parametrize("reason", [*ORDERLY, ValueError("whatever")])
async def test_a_temporary_child_is_forgotten_whatever_the_reason(reason: Any) -> None:
    async with pool() as (system, handle):
        await handle.start_child(ChildSpec("a", Worker, restart="temporary"))
        await end(system, "a", reason)
        assert await handle.count_children() == ChildCounts(0, 0, 0, 0)


@pytest.mark.parametrize("reason", ORDERLY)
async def test_a_transient_child_that_ended_in_order_is_forgotten(reason: Any) -> None:
    async with pool() as (system, handle):
        await handle.start_child(ChildSpec("a", Worker, restart="transient"))
        await end(system, "a", reason)
        assert await handle.count_children() == ChildCounts(0, 0, 0, 0)


async def test_a_transient_child_that_did_not_is_restarted() -> None:
    async with pool() as (system, handle):
        await handle.start_child(ChildSpec("a", Worker, restart="transient"))
        await end(system, "a", ValueError("whatever"))
        assert await handle.count_children() == ChildCounts(1, 1, 0, 1)


async def test_a_permanent_child_is_restarted_whatever_the_reason() -> None:
    async with pool(max_restarts=PLENTY) as (system, handle):
        for number, reason in enumerate([*ORDERLY, ValueError("whatever")], 1):
            await handle.start_child(ChildSpec(f"c{number}", Worker))
            await end(system, f"c{number}", reason)
            assert system.ref(f"c{number}").incarnation == 2
            assert await handle.count_children() == ChildCounts(number, number, 0, number)


async def test_a_restart_that_is_ignored_forgets_and_one_that_fails_goes_on_trying() -> None:
    async with pool(max_restarts=PLENTY) as (system, handle):
        await handle.start_child(ChildSpec("well", answers(None)))
        await end(system, "well", "shutdown")
        await handle.start_child(ChildSpec("ignored", answers(None, IGNORE)))
        await end(system, "ignored", "shutdown")
        assert await handle.count_children() == ChildCounts(1, 1, 0, 1)
        for number, failing in enumerate((OSError("found"), "unknown"), 1):
            name = f"failing{number}"
            await handle.start_child(ChildSpec(name, answers(None, failing)))
            system.ref(name).cast("shutdown")
            while system.ref(name).incarnation < 3:
                await trio.lowlevel.checkpoint()
            assert await handle.count_children() == ChildCounts(1 + number, 1, 0, 1 + number)
        states = {child.id: child.state for child in await handle.which_children()}
        assert states == {"well": "running", "failing1": "restarting", "failing2": "restarting"}
        for name in ("failing1", "failing2"):
            await handle.terminate_child(name)


@pytest.mark.parametrize("starts", [(None,), (None, OSError("found"))])
async def test_a_child_being_restarted_takes_up_room(starts: tuple[Any, ...]) -> None:
    async with pool(max_children=1, max_restarts=PLENTY) as (system, handle):
        await handle.start_child(ChildSpec("a", answers(*starts)))
        system.ref("a").cast("shutdown")
        while system.ref("a").incarnation < 2:
            await trio.lowlevel.checkpoint()
        active = 0 if len(starts) > 1 else 1
        assert await handle.count_children() == ChildCounts(1, active, 0, 1)
        with pytest.raises(MaxChildren):
            await handle.start_child(ChildSpec("b", Worker))
        await handle.terminate_child("a")


async def test_no_child_is_started_when_none_is_allowed() -> None:
    async with pool(max_children=0) as (_, handle):
        with pytest.raises(MaxChildren) as caught:
            await handle.start_child(ChildSpec("a", Worker))
        assert (caught.value.code, caught.value.supervisor, caught.value.limit) == (
            "max_children",
            "pool",
            0,
        )
        with pytest.raises(MaxChildren):
            handle.start_task(trio.sleep_forever)


async def test_a_failed_restart_that_works_when_tried_again_costs_two() -> None:
    async with pool(max_restarts=2) as (system, handle):
        await handle.start_child(ChildSpec("a", answers(None, OSError("not yet"), None)))
        await end(system, "a", "shutdown")
        assert system.ref("a").incarnation == 3
        assert await handle.count_children() == ChildCounts(1, 1, 0, 1)
        assert system.ref("pool").incarnation == 1


@pytest.mark.parametrize("max_restarts", [1, 10])
async def test_a_child_that_never_starts_again_ends_its_supervisor(max_restarts: int) -> None:
    async with pool(max_restarts=max_restarts) as (system, handle):
        ended: list[Reason] = []
        handle.ref.watch(ended.append)
        child = await handle.start_child(ChildSpec("a", answers(None, OSError("never"))))
        assert child is not None
        await end(system, "a", "shutdown")
        assert child.incarnation == max_restarts + 1
        (reason,) = ended
        assert isinstance(reason, Shutdown)
        assert f"more than {max_restarts} restarts" in str(reason.detail)
        assert handle.ref.incarnation == 2
        assert await handle.which_children() == [], "the next one starts empty"


# ---- stopping


@pytest.mark.parametrize(
    ("shutdown", "reason"),
    [("brutal_kill", "killed"), ("infinity", "shutdown"), (1, "shutdown")],
)
async def test_children_end_with_it_as_their_shutdown_says(
    shutdown: float | str, reason: str
) -> None:
    async with pool() as (system, handle):
        for name in "abc":
            await handle.start_child(ChildSpec(name, Worker, shutdown=shutdown))
        ended = await endings(system, *"abc")
        assert ended == dict.fromkeys("abc", reason)


@pytest.mark.parametrize("shutdown", ["infinity", 1])
async def test_a_child_may_end_otherwise_than_asked_and_it_is_reported(
    shutdown: float | str,
) -> None:
    reports = Reports(log=False)
    failures = {name: ValueError("oops") for name in "abc"}
    async with pool(reports) as (system, handle):
        for name, failure in failures.items():
            await handle.start_child(
                ChildSpec(name, lambda failure=failure: Leaver(0, failure), shutdown=shutdown)
            )  # fmt: skip
        assert await endings(system, *"abc") == failures
    errors = [report.reason for report in reports.history if report.context == "shutdown_error"]
    assert errors == ["3 children ended so: ValueError: oops"]


async def test_a_child_that_overstays_its_time_is_killed_and_the_others_are_not(
    autojump_clock: Any,
) -> None:
    reports = Reports(log=False)
    async with pool(reports) as (system, handle):
        await handle.start_child(ChildSpec("a", Worker, shutdown=1))
        await handle.start_child(ChildSpec("b", lambda: Leaver(100), shutdown=1))
        await handle.start_child(ChildSpec("c", Worker, shutdown=1))
        assert await endings(system, *"abc") == {"a": "shutdown", "b": "killed", "c": "shutdown"}
    errors = [report.reason for report in reports.history if report.context == "shutdown_error"]
    assert errors == ["1 children ended so: killed"]


async def test_all_stop_at_the_same_time_each_by_its_own_shutdown(autojump_clock: Any) -> None:
    plans: dict[str, tuple[float, float | str, float, Reason]] = {
        # name: how long it takes to leave, its shutdown, when it is gone, and why
        "brutal": (9, "brutal_kill", 0, "killed"),
        "quick": (1, 5, 1, "shutdown"),
        "late": (9, 2, 2, "killed"),
        "later": (9, 3, 3, "killed"),
        "patient": (6, "infinity", 6, "shutdown"),
    }
    found: dict[str, tuple[float, Reason]] = {}
    async with pool() as (system, handle):
        for name, (seconds, shutdown, _, _) in plans.items():

            def note(reason: Reason, name: str = name) -> None:
                found[name] = (trio.current_time(), reason)

            spec = ChildSpec(name, lambda s=seconds: Leaver(s), shutdown=shutdown)
            await handle.start_child(spec)
            system.ref(name).watch(note)
        await system.supervisor("root").terminate_child("pool")
        assert trio.current_time() == 6
    assert found == {name: (when, why) for name, (_, _, when, why) in plans.items()}


async def test_killing_it_kills_its_children() -> None:
    async with pool() as (system, handle):
        for name in "abc":
            await handle.start_child(ChildSpec(name, Worker, shutdown="infinity"))
        ended: list[Reason] = []
        for name in "abc":
            system.ref(name).watch(ended.append)
        system.kill("pool")
        await settle()
        assert ended == ["killed"] * 3
        assert await handle.which_children() == []


@pytest.mark.parametrize(("shutdown", "reason"), [("brutal_kill", "killed"), (1, "shutdown")])
async def test_a_child_terminated_is_forgotten_whatever_its_restart(
    shutdown: float | str, reason: str
) -> None:
    async with pool() as (system, handle):
        await handle.start_child(ChildSpec("a", Worker, shutdown=shutdown))
        ended: list[Reason] = []
        system.ref("a").watch(ended.append)
        await handle.terminate_child("a")
        assert ended == [reason]
        with pytest.raises(ChildNotFound):
            await handle.terminate_child("a")
        assert await handle.count_children() == ChildCounts(0, 0, 0, 0)


async def test_a_child_being_restarted_can_be_terminated() -> None:
    async with pool(max_restarts=PLENTY) as (system, handle):
        await handle.start_child(ChildSpec("a", answers(None, OSError("never"))))
        system.ref("a").cast("shutdown")
        while system.ref("a").incarnation < 5:
            await trio.lowlevel.checkpoint()
        await handle.terminate_child("a")
        with pytest.raises(ChildNotFound):
            await handle.terminate_child("a")
        assert await handle.count_children() == ChildCounts(0, 0, 0, 0)
        lives = system.ref("a").incarnation
        await settle()
        assert system.ref("a").incarnation == lives


async def test_temporary_children_come_and_go_by_the_thousand_without_using_up_restarts() -> None:
    async def fail() -> None:
        raise ValueError("task")

    async with pool(max_restarts=0) as (system, handle):
        for _ in range(1_000):
            handle.start_task(fail)
            handle.start_task(trio.lowlevel.checkpoint)
        assert len(system.names()) == 2_002
        await settle()
        assert await handle.count_children() == ChildCounts(0, 0, 0, 0)
        assert (handle.ref.incarnation, system.reports.counts["crash"]) == (1, 1_000)
        assert system.names() == ["root", "pool"]


async def test_a_stopped_one_takes_no_more_children() -> None:
    async with pool() as (system, handle):
        await system.supervisor("root").terminate_child("pool")
        with pytest.raises(ActorDown):
            await handle.start_child(ChildSpec("a", Worker))
        with pytest.raises(ActorDown):
            handle.start_task(trio.sleep_forever)
