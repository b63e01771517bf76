"""Parts of the daemon are killed as fast as one likes: each is back at once, and the tree holds."""

from pathlib import Path

import trio

from runtime.launch import open_services
from runtime.services import ROOT
from tests.runtime.in_process.rig import configuration

_LONGEST = 0.1
"""Seconds within which a killed part is back."""

_STEP = 1 / 256


async def test_whatever_is_killed_again_and_again_is_back_within_a_tenth_of_a_second(
    tmp_path: Path, autojump_clock: trio.abc.Clock
) -> None:
    async with open_services(
        configuration(tmp_path, "ab"), socket_path=None, stop=lambda: None
    ) as running:
        system = running.services.system
        children = [node.name for node in system.snapshot().children]
        assert {"poller", "deadlines", "telemetry", "breakers", "providers"} <= set(children)
        refs = [system.ref(name) for name in children]
        seen = dict.fromkeys(children, trio.current_time())
        longest = dict.fromkeys(children, 0.0)
        end = trio.current_time() + 20
        while trio.current_time() < end:
            now = trio.current_time()
            for ref in refs:
                if ref.alive:
                    seen[ref.name] = now
                    ref.kill()
                longest[ref.name] = max(longest[ref.name], now - seen[ref.name])
            await trio.sleep(_STEP)
        assert max(longest.values()) <= _LONGEST + 2 * _STEP, longest
        await trio.sleep(2 * _LONGEST)
        whole = system.snapshot()
        assert whole.name == ROOT
        assert whole.incarnation == 1
        assert {node.state for node in whole.walk()} == {"running"}
