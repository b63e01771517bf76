"""Jobs: results and failures come to whoever asks, and hurt nobody else."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from supervision import (
    Actor,
    ActorDown,
    CallTimeout,
    ChildSpec,
    MaxChildren,
    NoProcess,
    Reason,
    Reports,
    SupervisorHandle,
    System,
    dynamic_supervisor,
    open_system,
    stop_on_signal,
    supervisor,
)


@asynccontextmanager
async def pool(**options: Any) -> AsyncIterator[tuple[System, SupervisorHandle]]:
    root = supervisor("root", [dynamic_supervisor("jobs", **options)])
    async with open_system(root, reports=Reports(log=False)) as system:
        yield system, system.supervisor("jobs")


async def double(number: int) -> int:
    await trio.sleep(1)
    return 2 * number


async def crash() -> int:
    await trio.sleep(1)
    raise ValueError("job")


async def test_a_job_gives_its_result_to_all_who_wait_as_often_as_they_like(
    autojump_clock: Any,
) -> None:
    async with pool() as (_, jobs):
        job = jobs.async_nolink(double, 21)
        assert not job.done
        assert (await job.wait(), await job.wait(), job.done) == (42, 42, True)


async def test_a_jobs_exception_comes_to_the_asker_and_to_the_reports(autojump_clock: Any) -> None:
    async with pool() as (system, jobs):
        job = jobs.async_nolink(crash, name="doomed")
        bystander = jobs.async_nolink(double, 1)
        with pytest.raises(ActorDown, match="'doomed' is down: ValueError: job") as caught:
            await job.wait()
        assert isinstance(caught.value.__cause__, ValueError)
        assert await bystander.wait() == 2
        assert system.reports.counts["crash"] == 1


async def test_a_timeout_or_a_cancelled_wait_leaves_the_job_alone(autojump_clock: Any) -> None:
    async with pool() as (_, jobs):
        job = jobs.async_nolink(double, 2)
        with pytest.raises(CallTimeout):
            await job.wait(timeout=0.5)
        with trio.move_on_after(0.1):
            await job.wait()
        assert await job.wait(timeout=10) == 4


async def test_a_killed_job_says_so_even_when_it_never_took_its_first_step() -> None:
    async with pool() as (_, jobs):
        job = jobs.async_nolink(trio.sleep_forever)
        assert job.kill("not needed")
        with pytest.raises(ActorDown, match="not needed"):
            await job.wait()
        assert not job.kill()


async def test_a_terminated_job_ends_with_shutdown() -> None:
    async with pool() as (_, jobs):
        job = jobs.async_nolink(trio.sleep_forever, name="long")
        await jobs.terminate_child("long")
        with pytest.raises(ActorDown) as caught:
            await job.wait()
        assert caught.value.reason == "shutdown"


async def test_jobs_end_with_their_supervisor(autojump_clock: Any) -> None:
    async with pool() as (system, jobs):
        job = jobs.async_nolink(trio.sleep_forever)
        system.kill("jobs")
        with pytest.raises(ActorDown):
            await job.wait()


async def test_max_children_bounds_the_jobs_and_an_ended_one_makes_room(
    autojump_clock: Any,
) -> None:
    async with pool(max_children=1) as (_, jobs):
        job = jobs.async_nolink(double, 1)
        with pytest.raises(MaxChildren):
            jobs.async_nolink(double, 2)
        await job.wait()
        assert await jobs.async_nolink(double, 2).wait() == 4


async def test_a_job_needs_a_supervisor_that_runs() -> None:
    async with pool() as (system, _):
        with pytest.raises(NoProcess):
            system.supervisor("nobody").async_nolink(double, 1)


async def test_a_job_outlives_the_actor_that_started_it(autojump_clock: Any) -> None:
    class Starter(Actor):
        async def handle_call(self, message: Any, caller: Any) -> object:
            return self.system.supervisor("jobs").async_nolink(double, message)

    async with pool() as (system, _):
        await system.supervisor("root").start_child(ChildSpec("s", Starter))
        job = await system.ref("s").call(4)
        system.kill("s")
        assert await job.wait() == 8


# ---- signals


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_the_system_in_order(number: signal.Signals) -> None:
    order: list[str] = []

    class Leaver(Actor):
        async def terminate(self, reason: Reason) -> None:
            order.append(self.ref.name)

    root = supervisor("root", [ChildSpec(name, Leaver) for name in "abc"])
    async with open_system(root, reports=Reports(log=False)) as system:
        async with trio.open_nursery() as nursery:
            got: list[object] = []

            async def wait() -> None:
                got.append(await stop_on_signal(system))

            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            signal.raise_signal(number)
        assert got == [number]
    assert order == ["c", "b", "a"]


async def test_waiting_for_a_signal_ends_with_the_system() -> None:
    async with open_system(supervisor("root", []), reports=Reports(log=False)) as system:
        system.request_stop()
        assert await stop_on_signal(system) is None
