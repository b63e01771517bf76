"""Stopping: in reverse order, within the time allowed, whatever the world around does."""

# ruff: noqa: PT012 - what raises is the whole life of the system
from __future__ import annotations

import signal
from typing import Any

import pytest
import trio
import trio.testing

from supervision import (
    Actor,
    ActorDown,
    ChildSpec,
    PendingCall,
    Reason,
    Reports,
    System,
    dynamic_supervisor,
    open_system,
    supervisor,
)

settle = trio.testing.wait_all_tasks_blocked


class Leaver(Actor):
    """Takes a while to terminate and writes down when it is gone."""

    def __init__(self, name: str, log: list[Any], seconds: float = 0) -> None:
        self.name = name
        self.log = log
        self.seconds = seconds

    async def terminate(self, reason: Reason) -> None:
        await trio.sleep(self.seconds)
        self.log.append((f"terminated {self.name}", trio.current_time()))

    def cleanup(self) -> None:
        self.log.append((f"gone {self.name}", trio.current_time()))


def leaver(name: str, log: list[Any], seconds: float = 0, **options: Any) -> ChildSpec:
    return ChildSpec(name, lambda: Leaver(name, log, seconds), **options)


def quiet() -> Reports:
    return Reports(log=False)


def what(log: list[Any]) -> list[str]:
    return [entry[0] for entry in log]


async def test_children_stop_one_at_a_time_in_reverse_order_through_all_levels(
    autojump_clock: Any,
) -> None:
    log: list[Any] = []
    inner = supervisor("inner", [leaver("b", log, 1), leaver("c", log, 1)])
    root = supervisor("root", [leaver("a", log, 1), inner, leaver("d", log, 1)])
    async with open_system(root, reports=quiet()):
        start = trio.current_time()
    gone = [(text, time - start) for text, time in log if text.startswith("gone")]
    assert gone == [("gone d", 1), ("gone c", 2), ("gone b", 3), ("gone a", 4)]


async def test_a_child_that_overstays_its_time_is_killed_and_reported(autojump_clock: Any) -> None:
    log: list[Any] = []
    reports = quiet()
    root = supervisor("root", [leaver("a", log, 100, shutdown=2)])
    async with open_system(root, reports=reports):
        start = trio.current_time()
    assert what(log) == ["gone a"]
    assert log[0][1] - start == 2
    errors = [report for report in reports.history if report.context == "shutdown_error"]
    assert [(report.name, report.reason) for report in errors] == [("a", "killed")]


async def test_brutal_kill_leaves_no_time_to_terminate(autojump_clock: Any) -> None:
    log: list[Any] = []
    reports = quiet()
    async with open_system(
        supervisor("root", [leaver("a", log, shutdown="brutal_kill")]), reports=reports
    ):
        pass
    assert what(log) == ["gone a"]
    assert not [report for report in reports.history if report.context == "shutdown_error"]


async def test_infinity_waits_as_long_as_it_takes(autojump_clock: Any) -> None:
    log: list[Any] = []
    root = supervisor("root", [leaver("a", log, 1000, shutdown="infinity")])
    async with open_system(root, reports=quiet(), stop_timeout=10_000):
        pass
    assert what(log) == ["terminated a", "gone a"]


async def test_a_task_is_stopped_by_cancelling_it(autojump_clock: Any) -> None:
    log: list[str] = []

    async def run() -> None:
        try:
            await trio.sleep_forever()
        finally:
            log.append("cancelled")

    async with open_system(supervisor("root", [ChildSpec("t", run, "task")]), reports=quiet()):
        await settle()
    assert log == ["cancelled"]


async def test_an_outer_cancellation_becomes_an_ordered_stop(autojump_clock: Any) -> None:
    log: list[Any] = []
    root = supervisor("root", [leaver("a", log, 1), leaver("b", log, 1)])
    with trio.move_on_after(1.5) as scope:
        async with open_system(root, reports=quiet()) as system:
            system.ref("b").send("queued before the stop")
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert what(log) == ["terminated b", "gone b", "terminated a", "gone a"]


async def test_an_outer_cancellation_does_not_interrupt_a_handler_in_work(
    autojump_clock: Any,
) -> None:
    log: list[Any] = []

    class Worker(Leaver):
        async def handle_cast(self, message: Any) -> None:
            await trio.sleep(3)
            log.append((f"handled {message}", trio.current_time()))

    root = supervisor("root", [ChildSpec("a", lambda: Worker("a", log))])
    with trio.move_on_after(1):
        async with open_system(root, reports=quiet()) as system:
            system.ref("a").cast("first")
            system.ref("a").cast("second")
            await trio.sleep_forever()
    # Two handlers of 3 s each do not fit into the 5 s a child gets to stop.
    assert what(log) == ["handled first", "gone a"]


async def test_an_exception_in_the_block_stops_in_order_and_comes_out_as_it_is() -> None:
    log: list[Any] = []
    with pytest.raises(ZeroDivisionError):
        async with open_system(supervisor("root", [leaver("a", log)]), reports=quiet()):
            raise ZeroDivisionError
    assert what(log) == ["terminated a", "gone a"]


async def test_the_whole_stop_is_bounded(autojump_clock: Any) -> None:
    log: list[Any] = []
    root = supervisor("root", [leaver("a", log, 1000, shutdown="infinity"), leaver("b", log)])
    start = trio.current_time()
    async with open_system(root, reports=quiet(), stop_timeout=20):
        pass
    assert trio.current_time() - start == 20
    assert what(log) == ["terminated b", "gone b", "gone a"]


async def test_a_child_that_cannot_be_killed_is_reported_with_its_stack(
    autojump_clock: Any,
) -> None:
    async def shielded_wait() -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(30)

    reports = quiet()
    root = supervisor("root", [ChildSpec("t", shielded_wait, "task", shutdown=1)])
    async with open_system(root, reports=reports):
        await settle()
    stuck = [report for report in reports.history if report.context == "unkillable"]
    assert len(stuck) >= 2
    assert stuck[0].name == "t"
    assert "shielded_wait" in (stuck[0].traceback or "")


async def stubborn() -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep(30)


def stuck_ones(reports: Reports) -> list[str]:
    return [report.name for report in reports.history if report.context == "unkillable"]


async def test_a_killed_child_that_does_not_end_is_reported_though_nobody_waits_for_it(
    autojump_clock: Any,
) -> None:
    reports = quiet()
    root = supervisor("root", [ChildSpec("t", stubborn, "task", "temporary")])
    async with open_system(root, reports=reports) as system:
        await trio.sleep(1)
        assert system.kill("t")
        await trio.sleep(4.5)
        assert stuck_ones(reports) == []
        await trio.sleep(1)
        assert stuck_ones(reports) == ["t"]
        await trio.sleep(5)
        assert stuck_ones(reports) == ["t", "t"]
        await trio.sleep(60)
        assert stuck_ones(reports) == ["t", "t", "t"]  # the last at 21 s; it ended at 30


async def test_a_start_that_can_be_neither_finished_nor_given_up_is_reported(
    autojump_clock: Any,
) -> None:
    class Shut(Actor):
        async def init(self) -> None:
            await stubborn()

    reports = quiet()
    many = dynamic_supervisor("many")
    async with open_system(supervisor("root", [many]), reports=reports) as system:
        spec = ChildSpec("shut", Shut, restart="temporary", start_timeout=2)
        with trio.move_on_after(8):
            await system.supervisor("many").start_child(spec)
        assert stuck_ones(reports) == ["shut"]
        await trio.sleep(60)


async def test_every_one_of_several_that_do_not_end_is_reported(autojump_clock: Any) -> None:
    reports = quiet()
    root = supervisor("root", [dynamic_supervisor("many")])
    async with open_system(root, reports=reports) as system:
        for name in ("a", "b"):
            system.supervisor("many").start_task(stubborn, name=name)
        await settle()
        with trio.move_on_after(15):
            await system.supervisor("root").terminate_child("many")
        assert set(stuck_ones(reports)) == {"a", "b"}


async def test_killing_a_supervisor_kills_all_below_it() -> None:
    log: list[Any] = []
    inner = supervisor("inner", [leaver("a", log), leaver("b", log)])
    async with open_system(supervisor("root", [inner]), reports=quiet()) as system:
        system.kill("inner")
        await settle()
        assert sorted(what(log)) == ["gone a", "gone b"]
        assert (system.ref("a").incarnation, system.ref("a").alive) == (2, True)


async def test_a_supervisor_with_a_time_limit_is_killed_with_all_below_it(
    autojump_clock: Any,
) -> None:
    log: list[Any] = []
    specs = [leaver("a", log, 1000, shutdown="infinity")]
    root = supervisor("root", [supervisor("inner", specs, shutdown=4)])
    start = trio.current_time()
    async with open_system(root, reports=quiet()):
        pass
    assert [(text, time - start) for text, time in log] == [("gone a", 4)]


async def test_the_system_can_be_stopped_by_anyone_and_the_block_goes_on() -> None:
    log: list[Any] = []
    async with open_system(supervisor("root", [leaver("a", log)]), reports=quiet()) as system:
        await system.stop()
        assert what(log) == ["terminated a", "gone a"]
        await system.wait_closed()
        assert system.whereis("a") is None


async def test_an_actor_may_request_the_stop_of_the_system() -> None:
    class Suicidal(Actor):
        async def handle_cast(self, message: Any) -> None:
            self.system.request_stop()

    async with open_system(
        supervisor("root", [ChildSpec("a", Suicidal)]), reports=quiet()
    ) as system:
        system.ref("a").cast("now")
        await system.wait_closed()


async def test_calls_waiting_at_a_stop_fail_at_once_with_shutdown(autojump_clock: Any) -> None:
    class Slow(Actor):
        async def handle_call(self, message: Any, caller: PendingCall) -> object:
            self.stop("shutdown")
            return "done"

    root = supervisor("root", [ChildSpec("a", Slow, restart="transient")])
    async with open_system(root, reports=quiet()) as system:
        first = system.ref("a").send_request("one")
        second = system.ref("a").send_request("two")
        assert await first.wait() == "done"
        with pytest.raises(ActorDown) as caught:
            await second.wait()
        assert caught.value.reason == "shutdown"


async def test_a_supervisor_being_stopped_refuses_calls_of_its_own_children() -> None:
    refused: list[ActorDown] = []

    class Clingy(Actor):
        async def terminate(self, reason: Reason) -> None:
            try:
                await self.system.supervisor("root").which_children()
            except ActorDown as error:
                refused.append(error)

    async with open_system(supervisor("root", [ChildSpec("a", Clingy)]), reports=quiet()):
        pass
    assert [error.reason for error in refused] == ["shutdown"]


async def test_cancelling_the_start_rolls_it_back(autojump_clock: Any) -> None:
    log: list[Any] = []

    class Slow(Leaver):
        async def init(self) -> None:
            await trio.sleep(20)

    specs = [leaver("a", log), ChildSpec("b", lambda: Slow("b", log))]
    with trio.move_on_after(3) as scope:
        async with open_system(supervisor("root", specs), reports=quiet()):
            raise AssertionError("it never gets here")
    assert scope.cancelled_caught
    assert sorted(what(log)) == ["gone a", "gone b"]


def test_ctrl_c_while_an_actor_runs_stops_all_in_order_and_comes_out() -> None:
    log: list[Any] = []

    class Struck(Leaver):
        async def handle_cast(self, message: Any) -> None:
            signal.raise_signal(signal.SIGINT)

    async def main() -> None:
        specs = [leaver("a", log), ChildSpec("b", lambda: Struck("b", log)), leaver("c", log)]
        async with open_system(supervisor("root", specs), reports=quiet()) as system:
            system.ref("b").cast("go")
            await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        trio.run(main)
    assert what(log) == [f"{verb} {name}" for name in "cba" for verb in ("terminated", "gone")]


async def test_system_exit_in_an_actor_stops_all_in_order_and_comes_out() -> None:
    log: list[Any] = []

    class Quitter(Leaver):
        async def handle_cast(self, message: Any) -> None:
            raise SystemExit(3)

    specs = [leaver("a", log), ChildSpec("b", lambda: Quitter("b", log)), leaver("c", log)]
    with pytest.raises(SystemExit):
        async with open_system(supervisor("root", specs), reports=quiet()) as system:
            system.ref("b").cast("go")
            await trio.sleep_forever()
    assert what(log) == ["gone b", "terminated c", "gone c", "terminated a", "gone a"]


async def test_dynamic_children_stop_all_at_the_same_time(autojump_clock: Any) -> None:
    log: list[Any] = []

    async def fill(system: System) -> None:
        handle = system.supervisor("pool")
        for number in range(50):
            await handle.start_child(leaver(f"w{number}", log, 3, restart="temporary"))

    root = supervisor("root", [dynamic_supervisor("pool")])
    async with open_system(root, reports=quiet()) as system:
        await fill(system)
        start = trio.current_time()
    assert trio.current_time() - start == 3
    assert len(what(log)) == 100


async def test_dynamic_children_that_overstay_are_reported_once_for_all(
    autojump_clock: Any,
) -> None:
    log: list[Any] = []
    reports = quiet()
    root = supervisor("root", [dynamic_supervisor("pool")])
    async with open_system(root, reports=reports) as system:
        for number in range(20):
            spec = leaver(f"w{number}", log, 100, restart="temporary", shutdown=2)
            await system.supervisor("pool").start_child(spec)
    errors = [report for report in reports.history if report.context == "shutdown_error"]
    assert [(report.name, report.reason) for report in errors] == [
        ("pool", "20 children ended so: killed")
    ]
