"""Parts of the tree that are killed are freed at once, with all that was under way in them."""

import contextlib
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


@pytest.mark.parametrize("faults", [False, True])
async def test_a_killed_part_leaves_no_cycle_behind(
    faults: bool, autojump_clock: MockClock
) -> None:
    rules = [{"fault": "cut_midstream:2", "every": 2}] if faults else []
    plan = config(
        {
            name: simulated(latency="10ms", tokens_per_second=200, answer_words=10, faults=rules)
            for name in ("a", "b")
        },
        {"g": {**group("a", "b", model="sim-1"), "on_broken_stream": "resume"}},
    )
    async with open_standby(plan) as standby:
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
