"""Parts of the tree that are killed are freed at once, with all that was under way in them."""

import contextlib
import gc
import logging
import sys
from collections.abc import Mapping
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from providers.chat import ChatError
from runtime.in_process import Standby, open_standby
from tests.support.configs import config, group, simulated
from tests.support.garbage import collected

MESSAGES: list[Mapping[str, Any]] = [{"role": "user", "content": "hello"}]


async def kill_while_asked(standby: Standby, name: str) -> None:
    """Kill a part in the middle of an answer, and wait until its successor runs."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(ask, standby)
        await trio.sleep(0.03)
        assert standby.system.kill(name)
    await trio.sleep(10)  # nobody takes that long to be restarted
    assert standby.system.whereis(name) is not None


async def ask(standby: Standby) -> None:
    with contextlib.suppress(ChatError):  # its stream was cut
        await standby.chat(messages=MESSAGES, model="g")


def plan(*, faults: bool) -> Mapping[str, object]:
    rules = [{"fault": "cut_midstream:2", "every": 2}] if faults else []
    return config(
        {
            name: simulated(latency="10ms", tokens_per_second=200, answer_words=10, faults=rules)
            for name in ("a", "b")
        },
        {"g": {**group("a", "b", model="sim-1"), "on_broken_stream": "resume"}},
    )


@pytest.mark.parametrize("faults", [False, True])
async def test_a_killed_part_leaves_no_cycle_behind(
    faults: bool, autojump_clock: MockClock
) -> None:
    async with open_standby(plan(faults=faults)) as standby:
        names = [name for name in standby.system.names() if name != "standby"]
        for name in names:
            await kill_while_asked(standby, name)
        left = {}
        for name in names:
            with collected() as found:
                await kill_while_asked(standby, name)
            if found:
                left[name] = found
        assert left == {}


async def test_hundreds_of_kills_leave_as_many_objects_as_the_first(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL + 1, "standby")  # pytest keeps all that is logged
    async with open_standby(plan(faults=True)) as standby:
        names = [name for name in standby.system.names() if name != "standby"]

        async def kill(times: int) -> tuple[int, int]:
            for number in range(times):
                await kill_while_asked(standby, names[number % len(names)])
            gc.collect()
            return len(gc.get_objects()), sys.getallocatedblocks()

        a_round = 20 * len(names)  # by then the history of reports is full
        objects, blocks = await kill(a_round)
        later_objects, later_blocks = await kill(a_round)
        assert later_objects - objects < a_round / 10
        # A count beyond those that Python keeps at hand is an object of its own.
        assert later_blocks - blocks < a_round
