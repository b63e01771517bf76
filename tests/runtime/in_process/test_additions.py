"""What was added to a running tree is put back when its supervisor was restarted."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import trio
from trio.testing import MockClock

from runtime.in_process.additions import Additions
from runtime.services import ROOT
from supervision import Actor, ChildSpec, Reports, System, open_system, supervisor


class Shy(Actor):
    """Does not start when it is told so."""

    starts: list[float]
    fails: int

    async def init(self) -> None:
        type(self).starts.append(trio.current_time())
        if type(self).fails:
            type(self).fails -= 1
            raise OSError("too many open files")


@asynccontextmanager
async def added() -> AsyncIterator[System]:
    Shy.starts, Shy.fails = [], 0
    parts = [supervisor(name, [], max_restarts=100) for name in ("providers", "breakers")]
    root = supervisor(ROOT, parts, max_restarts=100)
    async with open_system(root, reports=Reports(log=False)) as system:
        additions = Additions(system)
        await additions.start([("breakers", ChildSpec("b", Actor))])
        await additions.start([("providers", ChildSpec("p", Shy))])
        yield system


@pytest.mark.parametrize("fails", [0, 1, 5])
async def test_what_does_not_start_at_once_after_its_supervisor_was_killed_is_tried_again(
    fails: int, autojump_clock: MockClock
) -> None:
    async with added() as system:
        await trio.sleep(1)
        Shy.fails = fails
        assert system.kill("providers")
        await trio.sleep(10)
        assert system.ref("p").alive
        assert len(Shy.starts) == 1 + fails + 1
        assert system.kill("providers")
        await trio.sleep(1)
        assert system.ref("p").alive
        assert system.ref("b").alive
        assert system.ref("b").incarnation == 1


async def test_what_never_starts_is_tried_now_and_then_and_keeps_nothing_else_away(
    autojump_clock: MockClock,
) -> None:
    async with added() as system:
        await trio.sleep(1)
        Shy.fails = 10_000
        for _ in range(5):
            assert system.kill("providers")
            await trio.sleep(1)
        began = len(Shy.starts)
        await trio.sleep(100)
        assert 15 <= len(Shy.starts) - began <= 30
        assert system.kill("breakers")
        await trio.sleep(1)
        assert system.ref("b").alive
