"""Requests that fail are freed at once: none is kept by the traceback of its own failure."""

import contextlib
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from runtime.routing.gave_up import GaveUp
from tests.providers import scripted
from tests.providers.scripted import END, HELLO, ROLE, STREAM_HEAD, Call, chunked, failing, says
from tests.runtime.routing.rig import one
from tests.support.garbage import collected

BEGUN = STREAM_HEAD + chunked(ROLE + HELLO)
ERROR_EVENT = b'data: {"error": {"message": "overloaded", "type": "server_error"}}\n\n'


def then_hangs_up(data: bytes) -> scripted.Script:
    async def script(call: Call) -> None:
        await call.send(data)
        await call.hang_up()

    return script


def then_silent(data: bytes) -> scripted.Script:
    async def script(call: Call) -> None:
        await call.send(data)
        await call.left()

    return script


TROUBLE = {
    "hangs up": scripted.hangs_up,
    "hangs up in the head": then_hangs_up(b"HTTP/1.1 200 O"),
    "cut short": then_hangs_up(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{"),
    "not HTTP": says(b"what?\r\n\r\n"),
    "bad framing": then_silent(STREAM_HEAD + b"zz\r\n"),
    "server error": says(failing(500)),
    "overloaded": says(failing(429)),
    "too large": says(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n{"),
    "silent": scripted.silent,
    "stream cut": then_hangs_up(BEGUN),
    "stream breaks": then_silent(BEGUN + b"zz\r\n"),
    "stream fails": says(BEGUN + chunked(ERROR_EVENT) + END),
    "stream without an end": says(BEGUN + END),
    "stream of nonsense": then_silent(BEGUN + chunked(b"data: {no\n\n")),
    "stream silent": then_silent(BEGUN),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("trouble", TROUBLE)
async def test_a_failed_request_leaves_no_cycle_behind(
    tmp_path: Path, autojump_clock: MockClock, trouble: str, stream: bool
) -> None:
    async with one(tmp_path, TROUBLE[trouble]) as running:

        async def ask() -> None:
            with contextlib.suppress(GaveUp):
                await running.ask("a", stream=stream, attempts=2, patience=5.0)

        await ask()
        with collected() as found:
            for _ in range(3):
                running.budget.deposit(trio.current_time())
                await ask()
        assert found == []


@pytest.mark.parametrize("begun", [False, True])
async def test_a_killed_provider_leaves_no_cycle_behind(
    tmp_path: Path, autojump_clock: MockClock, begun: bool
) -> None:
    script = then_silent(BEGUN) if begun else scripted.silent
    async with one(tmp_path, script) as running:

        async def ask() -> None:
            with contextlib.suppress(GaveUp):
                await running.ask("a", stream=True, attempts=1, patience=50.0)

        async def killed_while_asked() -> None:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask)
                await trio.sleep(0.5)
                assert running.system.kill("provider:a")
            await trio.sleep(0.5)

        await killed_while_asked()
        with collected() as found:
            for _ in range(3):
                await killed_while_asked()
        assert found == []
