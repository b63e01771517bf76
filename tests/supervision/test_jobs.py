"""Jobs: results and failures come to whoever asks, and hurt nobody else."""

from __future__ import annotations

import re
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
    AlreadyStarted,
    CallTimeout,
    ChildCounts,
    ChildNotFound,
    ChildSpec,
    Job,
    MaxChildren,
    NoProcess,
    Reason,
    Reports,
    SpecError,
    SupervisorHandle,
    System,
    dynamic_supervisor,
    open_system,
    stop_on_signal,
    supervisor,
)

settle = trio.testing.wait_all_tasks_blocked


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


async def clean_up_for(seconds: float) -> None:
    try:
        await trio.sleep_forever()
    finally:
        with trio.CancelScope(shield=True):
            await trio.sleep(seconds)


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


async def test_a_job_shows_among_the_children_while_it_runs(autojump_clock: Any) -> None:
    async with pool() as (_, jobs):
        assert await jobs.which_children() == []
        assert await jobs.count_children() == ChildCounts(0, 0, 0, 0)
        job = jobs.async_nolink(double, 1)
        assert [child.id for child in await jobs.which_children()] == [job.name]
        await job.wait()
        await settle()
        assert await jobs.which_children() == []


async def test_task_supervisors_are_children_like_any_other() -> None:
    inner = supervisor("inner", [dynamic_supervisor("one"), dynamic_supervisor("two")])
    async with open_system(supervisor("root", [inner]), reports=Reports(log=False)) as system:
        await system.supervisor("inner").start_child(dynamic_supervisor("three"))
        for name in ("one", "two", "three"):
            assert await system.supervisor(name).which_children() == []
        with pytest.raises(AlreadyStarted):
            await system.supervisor("inner").start_child(dynamic_supervisor("three"))


async def test_a_full_supervisor_says_which_and_how_many(autojump_clock: Any) -> None:
    async with pool(max_children=1) as (_, jobs):
        jobs.async_nolink(double, 1)
        text = "'more' was not started: 'jobs' has as many children as its max_children allows (1)"
        with pytest.raises(MaxChildren, match=re.escape(text)):
            jobs.async_nolink(double, 2, name="more")


@pytest.mark.parametrize(
    ("shutdown", "reason"),
    [("brutal_kill", "killed"), (0, "shutdown"), (3, "shutdown"), ("infinity", "shutdown")],
)
async def test_a_job_ends_with_its_supervisor_as_its_shutdown_says(
    shutdown: float | str, reason: str
) -> None:
    async with pool() as (system, jobs):
        job = jobs.async_nolink(trio.sleep_forever, shutdown=shutdown)
        name = jobs.start_task(trio.sleep_forever, shutdown=shutdown)
        task = system.ref(name)
        ended: list[Reason] = []
        task.watch(ended.append)
        await settle()
        await system.supervisor("root").terminate_child("jobs")
        with pytest.raises(ActorDown) as caught:
            await job.wait()
        assert (caught.value.reason, ended) == (reason, [reason])


async def test_a_jobs_shutdown_is_checked_before_it_starts() -> None:
    async with pool() as (_, jobs):
        with pytest.raises(SpecError, match="shutdown must be a number of seconds"):
            jobs.async_nolink(double, 1, shutdown=-1)
        assert await jobs.which_children() == []


async def test_a_job_has_its_shutdown_seconds_for_its_cleanup(autojump_clock: Any) -> None:
    reports = Reports(log=False)
    root = supervisor("root", [dynamic_supervisor("jobs")])
    async with open_system(root, reports=reports) as system:
        jobs = system.supervisor("jobs")
        job = jobs.async_nolink(clean_up_for, 4, shutdown=5)
        await settle()
        await jobs.terminate_child(job.name)
        assert trio.current_time() == pytest.approx(4)
        assert job.done
    assert [report.context for report in reports.history if report.kind == "supervisor"] == []


async def test_a_task_child_may_be_permanent_and_begins_again() -> None:
    begun: list[int] = []

    async def work() -> None:
        begun.append(len(begun))
        await trio.sleep_forever()

    async with pool() as (system, jobs):
        task = await jobs.start_child(ChildSpec("work", work, kind="task"))
        assert task is not None
        await settle()
        system.kill("work", "shutdown")
        await settle()
        assert (begun, task.incarnation) == ([0, 1], 2)


async def test_what_is_not_there_any_more_cannot_be_terminated() -> None:
    async with pool() as (_, jobs):
        name = jobs.start_task(trio.sleep_forever)
        await jobs.terminate_child(name)
        with pytest.raises(ChildNotFound):
            await jobs.terminate_child(name)


async def test_a_job_that_cannot_even_be_called_fails_whoever_waits() -> None:
    async with pool() as (_, jobs):
        with pytest.raises(ActorDown) as caught:
            await jobs.async_nolink(double).wait()
        assert isinstance(caught.value.__cause__, TypeError)


@pytest.mark.parametrize("reason", ["normal", "shutdown", "enough"])
async def test_a_job_that_ends_without_a_result_is_down_whatever_the_reason(reason: str) -> None:
    async with pool() as (_, jobs):
        job = jobs.async_nolink(trio.sleep_forever)
        await settle()
        job.kill(reason)
        with pytest.raises(ActorDown) as caught:
            await job.wait()
        assert caught.value.reason == reason


async def test_a_result_that_has_come_stays_whatever_happens_next(autojump_clock: Any) -> None:
    async with pool() as (system, jobs):
        job = jobs.async_nolink(double, 1)
        await job.wait()
        await system.supervisor("root").terminate_child("jobs")
        assert (job.result(), await job.wait(timeout=0)) == (2, 2)
        assert await job.stop() is True


async def test_a_result_asked_for_too_early_is_not_waited_for() -> None:
    async with pool() as (_, jobs):
        job = jobs.async_nolink(trio.sleep_forever)
        with pytest.raises(CallTimeout):
            job.result()
        with pytest.raises(CallTimeout):
            await job.wait(timeout=0)


async def test_several_jobs_are_waited_for_within_one_time(autojump_clock: Any) -> None:
    async with pool() as (_, jobs):
        quick, failing = jobs.async_nolink(double, 1), jobs.async_nolink(crash)
        slow = jobs.async_nolink(trio.sleep, 100)
        with trio.move_on_after(2):
            for job in (quick, failing, slow):
                await job.wait_ended()
        assert [job.done for job in (quick, failing, slow)] == [True, True, False]
        assert quick.result() == 2
        with pytest.raises(ActorDown):
            failing.result()


async def test_an_actor_gets_the_end_of_its_job_as_a_message(autojump_clock: Any) -> None:
    class Asker(Actor):
        def __init__(self) -> None:
            self.got: list[object] = []

        async def handle_cast(self, message: Any) -> None:
            job = self.system.supervisor("jobs").async_nolink(message, 21)
            job.on_done(self.ref.send)

        async def handle_info(self, message: Any) -> None:
            assert isinstance(message, Job)
            try:
                self.got.append(message.result())
            except ActorDown as error:
                self.got.append(type(error.reason))

        async def handle_call(self, message: Any, caller: Any) -> object:
            return self.got

    async with pool() as (system, _):
        await system.supervisor("root").start_child(ChildSpec("asker", Asker))
        asker = system.ref("asker")
        asker.cast(double)
        asker.cast(crash)
        await trio.sleep(2)
        assert set(await asker.call("got")) == {42, TypeError}


async def test_callbacks_are_told_once_even_late_and_can_be_taken_back(
    autojump_clock: Any, caplog: Any
) -> None:
    told: list[object] = []

    def bad(job: Job[int]) -> None:
        raise OSError("callback")

    async with pool() as (_, jobs):
        job = jobs.async_nolink(double, 1)
        job.on_done(bad)
        job.on_done(told.append)
        take_back = job.on_done(told.append)
        take_back()
        take_back()
        await job.wait()
        assert told == [job]
        job.on_done(told.append)()
        assert told == [job, job]
    assert "a callback of job" in caplog.text


async def test_stopping_a_job_waits_for_its_end_and_says_whether_a_result_came(
    autojump_clock: Any,
) -> None:
    async def stubborn() -> str:
        try:
            await trio.sleep_forever()
        finally:
            return "all the same"  # noqa: B012 - what such a job does is the point

    async with pool() as (_, jobs):
        sleeper = jobs.async_nolink(clean_up_for, 2)
        answerer = jobs.async_nolink(stubborn)
        await settle()
        assert await sleeper.stop() is False
        assert trio.current_time() == pytest.approx(2)
        assert await sleeper.stop() is False
        assert await answerer.stop() is True
        assert answerer.result() == "all the same"


async def test_stopping_a_job_that_failed_says_how(autojump_clock: Any) -> None:
    async def fall_over() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("on the way out")

    async with pool() as (_, jobs):
        failing, killed = jobs.async_nolink(fall_over), jobs.async_nolink(trio.sleep_forever)
        await settle()
        killed.kill()
        with pytest.raises(ActorDown, match="on the way out"):
            await failing.stop()
        with pytest.raises(ActorDown, match="killed"):
            await killed.stop()


async def test_stopping_a_job_that_holds_out_is_given_up_and_reported(autojump_clock: Any) -> None:
    async with pool() as (system, jobs):
        job = jobs.async_nolink(clean_up_for, 20)
        await settle()
        with pytest.raises(CallTimeout):
            await job.stop(timeout=1)
        await trio.sleep(10)
        assert "unkillable" in [report.context for report in system.reports.history]
        await job.wait_ended()


async def test_one_exception_object_may_escape_from_many_jobs_at_a_time(
    autojump_clock: Any,
) -> None:
    shared = ValueError("kept and raised again")
    cleaned: list[float] = []

    async def work(seconds: float) -> None:
        try:
            raise shared
        finally:
            await trio.sleep(seconds)
            cleaned.append(seconds)

    async with pool() as (system, jobs):
        several = [jobs.async_nolink(work, seconds) for seconds in (1, 2, 3)]
        for job in several:
            with pytest.raises(ActorDown) as caught:
                await job.wait()
            assert caught.value.reason is shared
        assert cleaned == [1, 2, 3]
        assert system.reports.counts["crash"] == 3


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
