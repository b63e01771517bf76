"""The administrative calls, with OTP's results, on static and dynamic supervisors."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from supervision import (
    IGNORE,
    Actor,
    ActorDown,
    AlreadyPresent,
    AlreadyStarted,
    CallCycle,
    ChildCounts,
    ChildInfo,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    ChildSpec,
    Ignore,
    MaxChildren,
    NoProcess,
    Reports,
    SpecError,
    StartFailed,
    SupervisionError,
    SupervisorHandle,
    System,
    dynamic_supervisor,
    open_system,
    supervisor,
)

settle = trio.testing.wait_all_tasks_blocked


class Worker(Actor):
    async def handle_cast(self, message: Any) -> None:
        if message == "stop":
            self.stop()
        else:
            raise ValueError(message)


class Broken(Actor):
    async def init(self) -> None:
        raise OSError("broken")


class Idle(Actor):
    async def init(self) -> Ignore:
        return IGNORE


def flaky(failures: list[bool]) -> Any:
    class Flaky(Worker):
        async def init(self) -> None:
            if failures and failures.pop(0):
                raise OSError("not yet")

    return Flaky


@asynccontextmanager
async def running(*specs: ChildSpec, **options: Any) -> AsyncIterator[tuple[System, Any]]:
    root = supervisor("root", specs, **options)
    async with open_system(root, reports=Reports(log=False)) as system:
        yield system, system.supervisor("root")


@asynccontextmanager
async def pool(**options: Any) -> AsyncIterator[tuple[System, SupervisorHandle]]:
    root = supervisor("root", [dynamic_supervisor("pool", **options)])
    async with open_system(root, reports=Reports(log=False)) as system:
        yield system, system.supervisor("pool")


async def test_start_child_starts_it_last_and_returns_its_reference() -> None:
    async with running(ChildSpec("a", Worker)) as (system, root):
        ref = await root.start_child(ChildSpec("b", Worker))
        assert ref is system.ref("b")
        assert ref.alive
        assert await root.which_children() == [
            ChildInfo("b", "running", "worker"),
            ChildInfo("a", "running", "worker"),
        ]


async def test_start_child_of_an_id_that_runs_is_already_started() -> None:
    async with running(ChildSpec("a", Worker)) as (_, root):
        with pytest.raises(AlreadyStarted):
            await root.start_child(ChildSpec("a", Worker))


async def test_start_child_of_an_id_that_is_stopped_or_restarting_is_already_present() -> None:
    async with running(ChildSpec("a", Worker)) as (_, root):
        await root.terminate_child("a")
        with pytest.raises(AlreadyPresent):
            await root.start_child(ChildSpec("a", Worker))


async def test_a_name_is_taken_in_the_whole_system() -> None:
    async with running(ChildSpec("a", Worker), supervisor("inner", [])) as (system, _):
        with pytest.raises(AlreadyStarted):
            await system.supervisor("inner").start_child(ChildSpec("a", Worker))


async def test_start_child_that_fails_is_not_kept() -> None:
    async with running() as (system, root):
        with pytest.raises(StartFailed, match="'a' failed to start: OSError: broken"):
            await root.start_child(ChildSpec("a", Broken))
        assert system.names() == ["root"]


async def test_start_child_that_is_ignored_is_kept_stopped_unless_it_is_temporary() -> None:
    async with running() as (_, root):
        assert await root.start_child(ChildSpec("a", Idle)) is None
        assert await root.start_child(ChildSpec("b", Idle, restart="temporary")) is None
        assert await root.which_children() == [ChildInfo("a", "stopped", "worker")]


async def test_a_significant_child_needs_an_auto_shutdown() -> None:
    async with running() as (_, root):
        with pytest.raises(SpecError, match="auto_shutdown of 'root' is never"):
            await root.start_child(ChildSpec("a", Worker, restart="transient", significant=True))


async def test_terminate_child_stops_without_a_restart_and_is_idempotent() -> None:
    async with running(ChildSpec("a", Worker)) as (system, root):
        await root.terminate_child("a")
        await root.terminate_child("a")
        assert [child.state for child in await root.which_children()] == ["stopped"]
        assert system.whereis("a") is None
        with pytest.raises(ChildNotFound):
            await root.terminate_child("nobody")


async def test_terminate_child_forgets_a_temporary_child() -> None:
    async with running(ChildSpec("a", Worker, restart="temporary")) as (_, root):
        await root.terminate_child("a")
        assert await root.which_children() == []


async def test_restart_child_refuses_what_runs_restarts_or_is_unknown() -> None:
    async with running(ChildSpec("a", Worker)) as (system, root):
        with pytest.raises(ChildRunning):
            await root.restart_child("a")
        with pytest.raises(ChildNotFound):
            await root.restart_child("nobody")
        await root.terminate_child("a")
        assert await root.restart_child("a") is system.ref("a")
        assert system.ref("a").incarnation == 2


async def test_restart_child_that_fails_leaves_it_stopped() -> None:
    failures = [False, True, False]
    async with running(ChildSpec("a", flaky(failures))) as (_, root):
        await root.terminate_child("a")
        with pytest.raises(StartFailed):
            await root.restart_child("a")
        assert [child.state for child in await root.which_children()] == ["stopped"]
        assert await root.restart_child("a") is not None


async def test_delete_child_takes_only_a_stopped_one_and_frees_the_name() -> None:
    async with running(ChildSpec("a", Worker)) as (system, root):
        with pytest.raises(ChildRunning):
            await root.delete_child("a")
        await root.terminate_child("a")
        with pytest.raises(ActorDown):
            await system.ref("a").call("anything")
        await root.delete_child("a")
        with pytest.raises(ChildNotFound):
            await root.delete_child("a")
        with pytest.raises(NoProcess):
            await system.ref("a").call("anything")


async def test_a_restarting_child_refuses_restart_and_delete_but_not_terminate(
    autojump_clock: Any,
) -> None:
    # Every restart fails, so the loop goes round between our calls.
    failures = [False] + [True] * 10_000
    spec = ChildSpec("a", flaky(failures))
    async with running(spec, max_restarts=9_000) as (system, root):
        system.ref("a").cast("crash")
        while system.ref("a").incarnation < 5:
            await trio.lowlevel.checkpoint()
        with pytest.raises(ChildRestarting):
            await root.restart_child("a")
        with pytest.raises(ChildRestarting):
            await root.delete_child("a")
        with pytest.raises(AlreadyPresent):
            await root.start_child(spec)
        assert [child.state for child in await root.which_children()] == ["restarting"]
        await root.terminate_child("a")
        assert [child.state for child in await root.which_children()] == ["stopped"]


async def test_count_children_counts_the_dead_too() -> None:
    specs = [ChildSpec("a", Worker), supervisor("inner", []), ChildSpec("c", Worker)]
    async with running(*specs) as (_, root):
        await root.terminate_child("a")
        assert await root.count_children() == ChildCounts(
            specs=3, active=2, supervisors=1, workers=2
        )


async def test_a_supervisor_answers_nothing_but_administrative_calls() -> None:
    async with running() as (system, _):
        with pytest.raises(SupervisionError, match="takes administrative calls"):
            await system.ref("root").call("hello")
        assert not system.ref("root").cast("hello")


async def test_a_child_that_calls_its_supervisor_from_init_is_told_of_the_ring() -> None:
    class Impatient(Actor):
        async def init(self) -> None:
            await self.system.supervisor("root").which_children()

    async with running() as (_, root):
        with pytest.raises(StartFailed) as caught:
            await root.start_child(ChildSpec("a", Impatient))
        assert isinstance(caught.value.reason, CallCycle)


async def test_an_actor_may_start_children_elsewhere() -> None:
    class Boss(Actor):
        async def handle_call(self, message: Any, caller: Any) -> object:
            return await self.system.supervisor("pool").start_child(ChildSpec(message, Worker))

    root = supervisor("root", [dynamic_supervisor("pool"), ChildSpec("boss", Boss)])
    async with open_system(root, reports=Reports(log=False)) as system:
        assert await system.ref("boss").call("w") is system.ref("w")


# ---- dynamic


async def test_a_dynamic_supervisor_starts_empty_and_forgets_what_ended() -> None:
    async with pool() as (system, handle):
        assert await handle.count_children() == ChildCounts(0, 0, 0, 0)
        await handle.start_child(ChildSpec("a", Worker, restart="transient"))
        assert await handle.count_children() == ChildCounts(1, 1, 0, 1)
        system.ref("a").cast("stop")
        await settle()
        assert await handle.which_children() == []
        assert system.names() == ["root", "pool"]


async def test_a_dynamic_supervisor_restarts_permanent_children() -> None:
    async with pool() as (system, handle):
        await handle.start_child(ChildSpec("a", Worker))
        system.ref("a").cast("crash")
        await settle()
        assert system.ref("a").incarnation == 2


async def test_a_dynamic_child_ignored_at_its_restart_is_forgotten() -> None:
    answers: list[Any] = [None, IGNORE]

    class Sometimes(Worker):
        async def init(self) -> Any:
            return answers.pop(0)

    async with pool() as (system, handle):
        await handle.start_child(ChildSpec("a", Sometimes))
        system.ref("a").cast("crash")
        await settle()
        assert await handle.which_children() == []


async def test_a_dynamic_child_terminated_is_forgotten() -> None:
    async with pool() as (_, handle):
        await handle.start_child(ChildSpec("a", Worker))
        await handle.terminate_child("a")
        with pytest.raises(ChildNotFound):
            await handle.terminate_child("a")


async def test_max_children_bounds_a_dynamic_supervisor() -> None:
    async with pool(max_children=2) as (_, handle):
        await handle.start_child(ChildSpec("a", Worker))
        handle.start_task(trio.sleep_forever)
        with pytest.raises(MaxChildren):
            await handle.start_child(ChildSpec("c", Worker))
        with pytest.raises(MaxChildren):
            handle.start_task(trio.sleep_forever)
        await handle.terminate_child("a")
        handle.start_task(trio.sleep_forever)


async def test_tasks_start_at_once_with_arguments_and_are_forgotten_when_done() -> None:
    seen: list[object] = []

    async def work(*args: object) -> None:
        seen.extend(args)

    async with pool() as (system, handle):
        name = handle.start_task(work, 1, "two")
        assert name == "pool:1"
        assert system.names() == ["root", "pool", name]
        assert handle.start_task(work, name="mine") == "mine"
        await settle()
        assert seen == [1, "two"]
        assert system.names() == ["root", "pool"]


async def test_a_tasks_crash_is_reported_and_hurts_nobody() -> None:
    async def crash() -> None:
        raise ValueError("task")

    async with pool(max_restarts=0) as (system, handle):
        bystander = handle.start_task(trio.sleep_forever)
        for _ in range(10):
            handle.start_task(crash)
        await settle()
        assert system.names() == ["root", "pool", bystander]
        assert system.reports.counts["crash"] == 10


async def test_tasks_can_be_killed_and_terminated_by_name() -> None:
    async with pool() as (system, handle):
        first = handle.start_task(trio.sleep_forever)
        second = handle.start_task(trio.sleep_forever)
        await settle()
        assert system.kill(first)
        await handle.terminate_child(second)
        await settle()
        assert system.names() == ["root", "pool"]


async def test_a_task_killed_before_its_first_step_never_runs_past_a_checkpoint() -> None:
    seen: list[str] = []

    async def work() -> None:
        seen.append("began")
        await trio.lowlevel.checkpoint()
        seen.append("went on")

    async with pool() as (system, handle):
        system.kill(handle.start_task(work))
        await settle()
        assert seen == ["began"]


async def test_start_task_needs_a_running_dynamic_supervisor() -> None:
    async with pool() as (system, _):
        with pytest.raises(TypeError, match="'root' is not a dynamic supervisor"):
            system.supervisor("root").start_task(trio.sleep_forever)
        with pytest.raises(NoProcess):
            system.supervisor("nobody").start_task(trio.sleep_forever)


async def test_a_task_inherits_the_supervisors_context_not_its_starters() -> None:
    class Starter(Actor):
        async def handle_call(self, message: Any, caller: Any) -> object:
            answers: list[object] = []
            done = trio.Event()

            async def ask() -> None:
                answers.append(await self.ref.call("second"))
                done.set()

            if message == "first":
                self.system.supervisor("pool").start_task(ask)
                return "first"
            return "second, asked by a task that is not the actor"

    root = supervisor("root", [dynamic_supervisor("pool"), ChildSpec("s", Starter)])
    async with open_system(root, reports=Reports(log=False)) as system:
        assert await system.ref("s").call("first") == "first"
        await settle()
        assert system.reports.counts["crash"] == 0


async def test_a_supervisor_that_is_dying_takes_no_more_tasks() -> None:
    async with pool() as (system, handle):
        handle.start_task(trio.sleep_forever)
        await settle()
        assert system.kill("pool")
        for _ in range(3):
            if handle.ref.incarnation == 1:
                with pytest.raises(ActorDown):
                    handle.start_task(trio.sleep_forever)
            await trio.lowlevel.checkpoint()
        await settle()
        assert handle.ref.incarnation == 2
        handle.start_task(trio.sleep_forever)
