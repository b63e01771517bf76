"""Streams of jobs: many items, some at a time, and nothing left behind."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from itertools import count
from typing import Any

import pytest
import trio
import trio.testing

from supervision import (
    Actor,
    ActorDown,
    CallTimeout,
    ChildSpec,
    JobStream,
    MaxChildren,
    Reports,
    SpecError,
    SupervisorHandle,
    System,
    dynamic_supervisor,
    open_system,
    supervisor,
)

settle = trio.testing.wait_all_tasks_blocked
some_at_a_time = pytest.mark.parametrize("at_a_time", [2, 4, 8])


@asynccontextmanager
async def pool(**options: Any) -> AsyncIterator[tuple[System, SupervisorHandle]]:
    root = supervisor("root", [dynamic_supervisor("jobs", **options)])
    async with open_system(root, reports=Reports(log=False)) as system:
        yield system, system.supervisor("jobs")


async def sleep(seconds: float) -> float:
    await trio.sleep(seconds)
    return seconds


async def fail(item: object) -> None:
    raise ValueError(item)


async def everything(stream: JobStream[Any, Any]) -> list[object]:
    """Values as they are, failures as the text of their reason."""
    async with stream as outcomes:
        return [
            outcome.value if outcome.ok else f"{outcome.item}: {outcome.reason}"
            async for outcome in outcomes
        ]


@some_at_a_time
async def test_outcomes_come_in_the_order_of_the_items(autojump_clock: Any, at_a_time: int) -> None:
    async with pool() as (_, jobs):
        for items in ((1, 2, 3, 4), (4, 3, 2, 1)):
            stream = jobs.async_stream(sleep, items, max_concurrency=at_a_time)
            assert await everything(stream) == list(items)
        await settle()
        assert await jobs.which_children() == [], "no job is left behind"


@pytest.mark.parametrize(("at_a_time", "order"), [(1, [4, 3, 2, 1]), (4, [1, 2, 3, 4])])
async def test_without_an_order_outcomes_come_as_they_are_ready(
    autojump_clock: Any, at_a_time: int, order: list[int]
) -> None:
    async with pool() as (_, jobs):
        stream = jobs.async_stream(sleep, (4, 3, 2, 1), max_concurrency=at_a_time, ordered=False)
        assert await everything(stream) == order


@some_at_a_time
async def test_never_more_jobs_run_than_allowed_and_room_is_used_at_once(
    autojump_clock: Any, at_a_time: int
) -> None:
    running = most = 0

    async def work(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await trio.sleep(1)
        running -= 1
        return item

    async with pool() as (_, jobs):
        stream = jobs.async_stream(work, range(16), max_concurrency=at_a_time)
        assert await everything(stream) == list(range(16))
        assert most == at_a_time
        assert trio.current_time() == pytest.approx(16 / at_a_time)


@some_at_a_time
async def test_a_failure_is_an_outcome_and_the_rest_goes_on(at_a_time: int) -> None:
    async with pool() as (system, jobs):
        async with jobs.async_stream(fail, (1, 2, 3), max_concurrency=at_a_time) as outcomes:
            found = [outcome async for outcome in outcomes]
        assert [outcome.item for outcome in found] == [1, 2, 3]
        for outcome in found:
            assert not outcome.ok
            assert isinstance(outcome.reason, ValueError)
            with pytest.raises(ActorDown, match=f"ValueError: {outcome.item}") as caught:
                outcome.result()
            assert caught.value.__cause__ is outcome.reason
        assert system.reports.counts["crash"] == 3


async def test_an_outcome_knows_its_item_its_job_and_its_value(autojump_clock: Any) -> None:
    async with pool() as (_, jobs):
        async with jobs.async_stream(sleep, [2], max_concurrency=1) as outcomes:
            (outcome,) = [outcome async for outcome in outcomes]
        assert (outcome.item, outcome.name, outcome.ok) == (2, "jobs:1", True)
        assert outcome.result() == 2


@some_at_a_time
async def test_leaving_early_ends_the_jobs_that_run(autojump_clock: Any, at_a_time: int) -> None:
    ended: list[float] = []

    async def work(seconds: float) -> float:
        try:
            return await sleep(seconds)
        finally:
            ended.append(seconds)

    async with pool() as (system, jobs):
        items = [0.0, *[100.0] * 7]
        stream = jobs.async_stream(work, items, max_concurrency=at_a_time)
        async with stream as outcomes:
            async for outcome in outcomes:
                assert outcome.value == 0
                break
        assert trio.current_time() < 1
        assert len(ended) >= at_a_time
        assert await jobs.which_children() == []
        assert system.reports.counts["crash"] == 0
        assert [outcome async for outcome in stream] == []


async def test_items_are_taken_only_as_there_is_room_and_closed_at_the_end(
    autojump_clock: Any,
) -> None:
    taken: list[int] = []
    closed: list[bool] = []

    def items() -> Iterator[int]:
        try:
            for number in count(1):
                taken.append(number)
                yield number
        finally:
            closed.append(True)

    async with pool() as (_, jobs):
        async with jobs.async_stream(sleep, items(), max_concurrency=2) as outcomes:
            assert taken == [], "nothing begins before it is asked for"
            assert (await anext(outcomes)).value == 1
            assert taken == [1, 2, 3]
            await trio.sleep(50)
            assert taken == [1, 2, 3], "a slow reader slows the work down"
            assert (await anext(outcomes)).value == 2
            assert not closed
        assert closed


async def test_a_mistake_in_the_items_ends_the_stream_and_comes_out(autojump_clock: Any) -> None:
    def items() -> Iterator[float]:
        yield 100
        raise OSError("no more")

    async with pool() as (_, jobs):
        stream = jobs.async_stream(sleep, items(), max_concurrency=2)
        with pytest.raises(OSError, match="no more"):
            await everything(stream)
        assert await jobs.which_children() == []


async def test_a_job_that_takes_too_long_ends_the_whole_stream(autojump_clock: Any) -> None:
    async with pool() as (_, jobs):
        stream = jobs.async_stream(sleep, (2, 100), max_concurrency=2, timeout=3)
        with pytest.raises(CallTimeout, match="'jobs:2' within 3 s"):
            await everything(stream)
        assert trio.current_time() == pytest.approx(3)
        assert await jobs.which_children() == []


@pytest.mark.parametrize(
    ("ordered", "expected"),
    [
        (True, ["100: timeout", 1, "100: timeout", 1]),
        (False, [1, 1, "100: timeout", "100: timeout"]),
    ],
)
async def test_a_job_that_takes_too_long_may_be_ended_alone(
    autojump_clock: Any, ordered: bool, expected: list[object]
) -> None:
    async with pool() as (system, jobs):
        stream = jobs.async_stream(
            sleep, (100, 1, 100, 1), max_concurrency=4, timeout=3, on_timeout="kill",
            ordered=ordered,
        )  # fmt: skip
        assert await everything(stream) == expected
        assert trio.current_time() == pytest.approx(3)
        assert system.reports.counts["crash"] == 0


async def test_each_jobs_time_begins_with_its_own_start(autojump_clock: Any) -> None:
    async with pool() as (_, jobs):
        stream = jobs.async_stream(sleep, (2, 2, 2, 2), max_concurrency=1, timeout=3)
        assert await everything(stream) == [2, 2, 2, 2]


async def test_a_stream_may_wait_for_ever(autojump_clock: Any) -> None:
    async with pool() as (_, jobs):
        stream = jobs.async_stream(sleep, [10_000], max_concurrency=1, timeout=float("inf"))
        assert await everything(stream) == [10_000]


async def test_a_full_supervisor_ends_the_stream_cleanly(autojump_clock: Any) -> None:
    async with pool(max_children=1) as (_, jobs):
        stream = jobs.async_stream(sleep, (100, 100, 100), max_concurrency=2)
        with pytest.raises(MaxChildren):
            await everything(stream)
        assert await jobs.which_children() == []


async def test_the_end_of_the_supervisor_is_an_outcome_and_then_an_error() -> None:
    async with pool() as (system, jobs):
        got: list[object] = []

        async def read() -> None:
            async with jobs.async_stream(sleep, (100, 100), max_concurrency=1) as outcomes:
                got.append((await anext(outcomes)).reason)
                with pytest.raises(ActorDown):
                    await anext(outcomes)
                got.extend([outcome async for outcome in outcomes])

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            await settle()
            await system.supervisor("root").terminate_child("jobs")
        assert got == ["shutdown"]


@some_at_a_time
async def test_jobs_of_a_stream_end_with_the_actor_that_reads_it(at_a_time: int) -> None:
    class Reader(Actor):
        async def handle_cast(self, message: Any) -> None:
            jobs = self.system.supervisor("jobs")
            await everything(jobs.async_stream(sleep, [100] * 4, max_concurrency=at_a_time))

    async with pool() as (system, jobs):
        await system.supervisor("root").start_child(ChildSpec("reader", Reader))
        system.ref("reader").cast("go")
        await settle()
        assert (await jobs.count_children()).active == min(at_a_time, 4)
        system.kill("reader")
        await settle()
        assert (await jobs.count_children()).active == 0


async def test_a_stream_may_be_read_by_another_task(autojump_clock: Any) -> None:
    async with pool() as (_, jobs):
        stream = jobs.async_stream(sleep, (1, 2, 3), max_concurrency=3)
        found: list[object] = []

        async def read() -> None:
            found.extend(await everything(stream))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
        assert found == [1, 2, 3]


async def test_streams_go_side_by_side(autojump_clock: Any) -> None:
    async with pool() as (_, jobs):
        async with (
            jobs.async_stream(sleep, (4, 3, 2, 1), max_concurrency=2) as left,
            jobs.async_stream(sleep, (4, 3, 2, 1), max_concurrency=2) as right,
        ):
            pairs = [(one.value, (await anext(right)).value) async for one in left]
        assert pairs == [(4, 4), (3, 3), (2, 2), (1, 1)]


@pytest.mark.parametrize(("shutdown", "waited"), [("brutal_kill", 5), (2, 2)])
async def test_leaving_waits_no_longer_than_it_may(
    autojump_clock: Any, shutdown: float | str, waited: float
) -> None:
    async def hold_out(item: int) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(20)

    async with pool() as (_, jobs):
        with trio.move_on_after(1):
            await everything(jobs.async_stream(hold_out, [1], max_concurrency=1, shutdown=shutdown))
        assert trio.current_time() == pytest.approx(1 + waited)


async def test_a_stream_checks_its_options_and_names_every_mistake() -> None:
    bad: dict[str, Any] = {
        "max_concurrency": 0,
        "timeout": -1,
        "on_timeout": "exit",
        "shutdown": "unknown",
    }
    async with pool() as (_, jobs):
        with pytest.raises(SpecError) as caught:
            jobs.async_stream(sleep, [], **bad)
        assert caught.value.problems == (
            "max_concurrency must be a whole number, 1 or more, not 0",
            "timeout must be a number of seconds, 0 or more, not -1",
            "on_timeout must be raise or kill, not 'exit'",
            "shutdown must be a number of seconds (0 or more) or brutal_kill, not 'unknown'",
        )
        with pytest.raises(SpecError, match="not 'infinity'"):
            jobs.async_stream(sleep, [], max_concurrency=1, shutdown="infinity")


async def test_a_stream_is_opened_once_before_it_is_read(autojump_clock: Any) -> None:
    async with pool() as (_, jobs):
        stream = jobs.async_stream(sleep, [1], max_concurrency=1)
        with pytest.raises(RuntimeError, match="opened with `async with`"):
            await anext(stream)
        assert await everything(stream) == [1]
        with pytest.raises(RuntimeError, match="used once"):
            await everything(stream)
