"""SIGTERM and Ctrl-C stop a real process in order."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio

from supervision import ChildSpec, Reports, open_system, stop_on_signal, supervisor

PROGRAM = """
import sys
import trio
import trio.testing
from supervision import Actor, ChildSpec, open_system, stop_on_signal, supervisor

class Part(Actor):
    def __init__(self, name, patience):
        self.name, self.patience = name, patience

    async def terminate(self, reason):
        print("stopping", self.name, reason, flush=True)
        await trio.sleep(self.patience)

    def cleanup(self):
        print("gone", self.name, flush=True)

def part(name, patience=0, **options):
    return ChildSpec(name, lambda: Part(name, patience), **options)

async def main(handled, patience):
    inner = supervisor("inner", [part("b", patience), part("c")])
    async with open_system(supervisor("root", [part("a"), inner, part("d")])) as system:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(say_when_ready)
            if handled:
                print("got", (await stop_on_signal(system)).name, flush=True)
            else:
                await trio.sleep_forever()

async def say_when_ready():
    await trio.testing.wait_all_tasks_blocked()  # the signals are waited for
    print("ready", flush=True)

trio.run(main, sys.argv[1] == "handled", float(sys.argv[2]))
"""

ORDER = [f"{what} {name}" for name in "dcba" for what in ("stopping", "gone")]


@contextmanager
def program(mode: str, patience: float = 0) -> Iterator[subprocess.Popen[str]]:
    """The program above, ready and killed at the end of the block if it has not ended."""
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, mode, str(patience)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "ready\n"
            yield process
        finally:
            process.kill()


def story(text: str) -> list[str]:
    """What was printed, without the exit reasons."""
    return [" ".join(line.split()[:2]) for line in text.splitlines()]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_all_in_reverse_order_and_the_program_goes_on(
    number: signal.Signals,
) -> None:
    with program("handled") as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=30)
    assert story(out) == [*ORDER, f"got {number.name}"]
    assert (process.returncode, err) == (0, "")


def test_ctrl_c_without_a_handler_stops_all_in_order_and_ends_the_program() -> None:
    with program("plain") as process:
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
    assert story(out) == ORDER
    assert process.returncode != 0
    assert err.rstrip().endswith("KeyboardInterrupt")


def test_further_signals_during_the_stop_change_nothing() -> None:
    with program("handled", patience=0.5) as process:
        process.send_signal(signal.SIGTERM)
        assert process.stdout is not None
        lines: list[str] = []
        while not lines or not lines[-1].startswith("stopping b"):
            lines.append(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=30)
    assert story("".join(lines) + out) == [*ORDER, "got SIGTERM"]
    assert (process.returncode, err) == (0, "")


async def test_waiting_for_a_signal_ends_with_the_system() -> None:
    root = supervisor("root", [ChildSpec("t", trio.sleep_forever, "task")])
    async with open_system(root, reports=Reports(log=False)) as system:
        system.request_stop()
        assert await stop_on_signal(system) is None
