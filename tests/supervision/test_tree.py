"""The picture of the tree and the reports: what can be seen, also of what is stuck."""

from __future__ import annotations

import gc
import logging
import weakref
from typing import Any, Literal

import pytest
import trio
import trio.testing

from supervision import (
    Actor,
    ChildSpec,
    NoProcess,
    PendingCall,
    Report,
    Reports,
    TaskContext,
    dynamic_supervisor,
    open_system,
    supervisor,
)
from tests.support.garbage import collected

settle = trio.testing.wait_all_tasks_blocked


class Sleeper(Actor):
    async def handle_call(self, message: Any, caller: PendingCall) -> object:
        return None

    async def handle_cast(self, message: Any) -> None:
        match message:
            case "stick":
                await self.get_stuck()
            case "crash":
                raise ValueError("with a secret in the message sk-123")
            case ("ask", name):
                await self.system.ref(name).call("anything")

    async def get_stuck(self) -> None:
        await trio.sleep_forever()

    def describe(self) -> dict[str, object]:
        return {"mood": "sleepy"}


def quiet() -> Reports:
    return Reports(log=False)


async def test_the_picture_shows_kinds_states_counts_and_facts(autojump_clock: Any) -> None:
    inner = supervisor("inner", [ChildSpec("b", Sleeper, meta={"colour": "blue"})])
    root = supervisor("root", [ChildSpec("a", Sleeper), inner, dynamic_supervisor("pool")])
    async with open_system(root, reports=quiet()) as system:
        await trio.sleep(5)
        system.ref("a").cast("crash")
        await trio.sleep(2)
        system.ref("a").cast("nothing")
        await settle()
        tree = system.snapshot()
        assert [node.name for node in tree.walk()] == ["root", "a", "inner", "b", "pool"]
        assert (tree.kind, tree.strategy, tree.state, tree.uptime) == (
            "supervisor", "one_for_one", "running", 7,
        )  # fmt: skip
        assert tree.restart_budget is not None
        assert (tree.restart_budget.used, tree.restart_budget.max) == (1, 3)
        a, b, pool = tree.find("a"), tree.find("b"), tree.find("pool")
        assert a is not None
        assert (a.kind, a.incarnation, a.restarts, a.uptime, a.handled) == ("actor", 2, 1, 2, 1)
        assert a.last_exit == "ValueError: with a secret in the message sk-123"
        assert (a.waiting_in, a.extra) == ("mailbox", {"mood": "sleepy"})
        assert a.mailbox is not None
        assert (a.mailbox.now, a.mailbox.limit) == (0, 10_000)
        assert b is not None
        assert (b.meta, b.last_exit) == ({"colour": "blue"}, None)
        assert pool is not None
        assert pool.strategy == "dynamic"


async def test_a_stuck_actor_is_seen_where_it_is_stuck_and_whom_it_awaits() -> None:
    root = supervisor("root", [ChildSpec("a", Sleeper), ChildSpec("b", Sleeper)])
    async with open_system(root, reports=quiet()) as system:
        system.ref("a").cast("stick")
        system.ref("b").cast(("ask", "a"))
        system.ref("b").cast("waiting")
        await settle()
        a, b = system.snapshot().find("a"), system.snapshot().find("b")
        assert a is not None
        assert b is not None
        assert a.waiting_in is not None
        assert a.waiting_in.startswith("test_tree.py:")
        assert a.waiting_in.endswith("Sleeper.get_stuck")
        assert b.waiting_in is not None
        assert b.waiting_in.startswith("call to 'a' in test_tree.py:")
        assert b.mailbox is not None
        assert b.mailbox.now == 1
        system.kill("a")
        system.kill("b")


async def test_a_supervisor_that_waits_for_a_child_says_for_whom(autojump_clock: Any) -> None:
    class Slow(Actor):
        async def init(self) -> None:
            await trio.sleep(5)

    root = supervisor("root", [dynamic_supervisor("pool")])
    async with open_system(root, reports=quiet()) as system, trio.open_nursery() as nursery:
        nursery.start_soon(system.supervisor("pool").start_child, ChildSpec("slow", Slow))
        await trio.sleep(1)
        tree = system.snapshot()
        pool, slow = tree.find("pool"), tree.find("slow")
        assert pool is not None
        assert pool.waiting_in == "waits for 'slow'"
        assert slow is not None
        assert slow.state == "starting"


async def test_a_broken_description_does_not_break_the_picture() -> None:
    class Shy(Actor):
        def describe(self) -> dict[str, object]:
            raise OSError("not telling")

    root = supervisor("root", [ChildSpec("a", Shy)])
    async with open_system(root, reports=quiet()) as system:
        node = system.snapshot().find("a")
        assert node is not None
        assert node.extra == {"describe failed": "OSError: not telling"}


async def test_there_is_no_picture_of_a_tree_that_has_ended() -> None:
    async with open_system(supervisor("root", []), reports=quiet()) as system:
        pass
    with pytest.raises(NoProcess):
        system.snapshot()


# ---- reports


async def test_a_crash_makes_a_crash_report_a_supervisor_report_and_a_progress_report() -> None:
    inner = supervisor("inner", [ChildSpec("a", Sleeper)])
    reports = quiet()
    async with open_system(supervisor("root", [inner]), reports=reports) as system:
        reports.history.clear()
        system.ref("a").cast("crash")
        await settle()
        crash, seen, progress = reports.history
        assert (crash.kind, crash.context, crash.name) == ("crash", "crashed", "a")
        assert (crash.supervisor, crash.ancestors) == ("inner", ("inner", "root"))
        assert (crash.incarnation, crash.restarts, crash.last_message) == (1, 0, "str")
        assert crash.traceback is not None
        assert "handle_cast" in crash.traceback
        assert (seen.kind, seen.context) == ("supervisor", "child_terminated")
        assert (progress.kind, progress.incarnation, progress.restarts) == ("progress", 2, 1)


async def test_giving_up_is_reported_as_the_supervisors_decision() -> None:
    reports = quiet()
    inner = supervisor("inner", [ChildSpec("a", Sleeper)], max_restarts=0, restart="temporary")
    async with open_system(supervisor("root", [inner]), reports=reports) as system:
        system.ref("a").cast("crash")
        await settle()
    last = [report for report in reports.history if report.context == "shutdown"]
    assert [report.reason for report in last] == ["'inner' gives up: more than 0 restarts in 5 s"]


async def test_reports_are_logged_with_the_report_attached(caplog: Any) -> None:
    caplog.set_level(logging.INFO, "standby.supervision")
    root = supervisor("root", [ChildSpec("a", Sleeper)])
    async with open_system(root) as system:
        system.ref("a").cast("crash")
        await settle()
    levels = [record.levelname for record in caplog.records]
    assert levels[:4] == ["INFO", "ERROR", "WARNING", "INFO"]
    assert isinstance(caplog.records[1].report, Report)
    assert caplog.records[2].getMessage().startswith("child terminated: 'a' #1 under 'root': Val")


async def test_a_subscriber_that_raises_is_logged_and_the_others_are_told(caplog: Any) -> None:
    seen: list[Report] = []

    def bad(report: Report) -> None:
        raise OSError("subscriber")

    reports = Reports(history=2)
    reports.subscribe(bad)
    unsubscribe = reports.subscribe(seen.append)
    async with open_system(
        supervisor("root", [ChildSpec(n, Sleeper) for n in "abc"]), reports=reports
    ):
        pass
    assert [report.name for report in seen] == ["a", "b", "c"]
    assert "a subscriber of the reports raised" in caplog.text
    assert len(reports.history) == 2
    unsubscribe()
    unsubscribe()


# ---- names


async def test_a_reference_taken_before_the_start_works_after_it_and_across_restarts() -> None:
    async with open_system(supervisor("root", []), reports=quiet()) as system:
        ref = system.ref("late")
        assert (ref.alive, ref.incarnation) == (False, 0)
        await system.supervisor("root").start_child(ChildSpec("late", Sleeper))
        assert ref is system.ref("late")
        assert (ref.alive, ref.incarnation) == (True, 1)
        ref.kill()
        await settle()
        assert (ref.alive, ref.incarnation) == (True, 2)
        assert repr(ref) == "<Ref 'late' alive #2>"


async def test_a_reference_taken_after_the_start_learns_of_the_end() -> None:
    root = supervisor("root", [supervisor("inner", []), dynamic_supervisor("pool")])
    async with open_system(root, reports=quiet()) as system:
        task = system.ref(system.supervisor("pool").start_task(trio.lowlevel.checkpoint))
        inner = system.ref("inner")
        assert (task.alive, inner.alive) == (True, True)
        await system.supervisor("root").terminate_child("inner")
        await settle()
        assert (task.alive, inner.alive) == (False, False)
        with pytest.raises(NoProcess):
            await task.call("anything")


async def test_a_crash_keeps_nothing_of_the_dead_actor_in_memory() -> None:
    class Heavy(Sleeper):
        async def handle_cast(self, message: Any) -> None:
            ballast = message
            raise ValueError(len(ballast))

    class Ballast(list[int]):
        """A list that can be referred to weakly."""

    root = supervisor("root", [ChildSpec("a", Heavy)])
    gc.disable()
    try:
        async with open_system(root, reports=quiet()) as system:
            ballast = Ballast(range(1000))
            gone = weakref.ref(ballast)
            system.ref("a").cast(ballast)
            del ballast
            await settle()
            assert gone() is None
    finally:
        gc.enable()


async def test_lives_that_ended_leave_no_cycles_for_the_garbage_collector() -> None:
    root = supervisor(
        "root", [ChildSpec("a", Sleeper), dynamic_supervisor("pool")], max_restarts=1000
    )
    async with open_system(root, reports=quiet()) as system:

        async def live() -> None:
            for _ in range(10):
                system.ref("a").cast("crash")
                await system.supervisor("pool").async_nolink(trio.lowlevel.checkpoint).wait()
                await settle()
                await system.ref("a").call("anything")
                system.kill("a")
                await settle()

        await live()
        gc.collect()
        gc.disable()
        try:
            await live()
            assert gc.collect() == 0
        finally:
            gc.enable()


@pytest.mark.parametrize("strategy", ["one_for_one", "one_for_all", "rest_for_one"])
async def test_supervisors_that_ended_leave_no_cycles_for_the_garbage_collector(
    strategy: Literal["one_for_one", "one_for_all", "rest_for_one"],
) -> None:
    inner = supervisor("inner", [ChildSpec("b", Sleeper), ChildSpec("c", Sleeper)])
    outer = supervisor(
        "outer",
        [ChildSpec("a", Sleeper), inner, dynamic_supervisor("pool")],
        strategy=strategy,
        max_restarts=1000,
    )
    root = supervisor("root", [outer], max_restarts=1000)
    async with open_system(root, reports=quiet()) as system:

        async def live() -> None:
            for name in ("a", "b", "inner", "pool", "outer") * 3:
                system.supervisor("pool").async_nolink(trio.sleep_forever)
                system.ref("c").cast("crash")
                await settle()
                assert system.kill(name)
                await settle()

        await live()
        with collected() as found:
            await live()
        assert found == []
        outermost = system.snapshot().find("outer")
        assert outermost is not None
        assert outermost.incarnation == 7


async def test_whereis_finds_only_what_runs() -> None:
    root = supervisor("root", [ChildSpec("a", Sleeper)])
    async with open_system(root, reports=quiet()) as system:
        assert system.whereis("a") is system.ref("a")
        await system.supervisor("root").terminate_child("a")
        assert system.whereis("a") is None
        assert system.whereis("nobody") is None


async def test_names_of_short_lived_tasks_leave_nothing_behind() -> None:
    async with open_system(
        supervisor("root", [dynamic_supervisor("pool")]), reports=quiet()
    ) as system:
        pool = system.supervisor("pool")
        for _ in range(100):
            pool.start_task(trio.lowlevel.checkpoint)
        await settle()
        assert system.names() == ["root", "pool"]
        assert system.snapshot().children[0].children == []


async def test_waiting_for_the_end_of_an_incarnation_gives_its_reason() -> None:
    root = supervisor("root", [ChildSpec("a", Sleeper)])
    async with open_system(root, reports=quiet()) as system:
        async with trio.open_nursery() as nursery:
            reasons = []

            async def wait() -> None:
                reasons.append(await system.ref("a").wait_down())

            nursery.start_soon(wait)
            await settle()
            system.kill("a", "tested")
        assert reasons == ["tested"]
        assert await system.ref("nobody").wait_down() == "noproc"


# ---- tasks with a context


async def test_a_task_with_a_context_says_when_it_has_started(autojump_clock: Any) -> None:
    order: list[str] = []

    async def serve(task: TaskContext) -> None:
        await trio.sleep(3)
        order.append(task.ref.name)
        task.started()
        await trio.sleep_forever()

    class After(Actor):
        async def init(self) -> None:
            order.append("after")

    specs = [ChildSpec("server", serve, "task", context=True), ChildSpec("after", After)]
    async with open_system(supervisor("root", specs), reports=quiet()):
        assert order == ["server", "after"]


async def test_a_task_that_ends_before_it_has_started_fails_its_start() -> None:
    async def serve(task: TaskContext) -> None:
        await trio.lowlevel.checkpoint()

    async with open_system(supervisor("root", []), reports=quiet()) as system:
        spec = ChildSpec("server", serve, "task", context=True)
        with pytest.raises(Exception, match="the task ended before it called started"):
            await system.supervisor("root").start_child(spec)
