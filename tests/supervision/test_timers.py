"""The heap of timers: order, cancelling, and no memory kept for the cancelled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import trio

from supervision.timers import Timers


@asynccontextmanager
async def running() -> AsyncIterator[Timers]:
    timers = Timers()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(timers.run)
        yield timers
        nursery.cancel_scope.cancel()


async def test_timers_fire_in_order_of_their_time_and_ties_in_order_of_setting(
    autojump_clock: Any,
) -> None:
    fired: list[tuple[str, float]] = []
    start = trio.current_time()

    async with running() as timers:

        def note(name: str) -> None:
            fired.append((name, trio.current_time() - start))

        for name, seconds in [("c", 3), ("a", 1), ("b", 2), ("b2", 2), ("now", 0)]:
            timers.after(seconds, partial(note, name))
        await trio.sleep(10)
    assert fired == [("now", 0), ("a", 1), ("b", 2), ("b2", 2), ("c", 3)]


async def test_an_earlier_timer_set_later_fires_first(autojump_clock: Any) -> None:
    fired: list[str] = []
    async with running() as timers:
        timers.after(10, lambda: fired.append("late"))
        await trio.sleep(1)
        timers.after(2, lambda: fired.append("early"))
        await trio.sleep(5)
        assert fired == ["early"]
        await trio.sleep(5)
        assert fired == ["early", "late"]


async def test_a_timer_may_set_and_cancel_others_when_it_fires(autojump_clock: Any) -> None:
    fired: list[str] = []
    async with running() as timers:
        victim = timers.after(1, lambda: fired.append("victim"))

        def first() -> None:
            victim.cancel()
            timers.after(0, lambda: fired.append("child"))

        timers.after(0.5, first)
        await trio.sleep(5)
    assert fired == ["child"]
    assert not victim.active


async def test_cancelled_timers_are_swept_out(autojump_clock: Any) -> None:
    async with running() as timers:
        kept = timers.after(5, lambda: None)
        for _ in range(10_000):
            timers.after(1000, lambda: None).cancel()
        assert len(timers) == 1
        assert kept.active
        await trio.sleep(10)
