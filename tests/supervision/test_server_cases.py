"""The cases of OTP's and Elixir's generic servers that the other files do not tell already."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from supervision import (
    NO_REPLY,
    Actor,
    ActorDown,
    CallCycle,
    CallingSelf,
    CallTimeout,
    ChildSpec,
    Continue,
    Down,
    Ignore,
    MailboxFull,
    NoProcess,
    PendingCall,
    Reason,
    Ref,
    Report,
    Reports,
    Shutdown,
    StartFailed,
    System,
    dynamic_supervisor,
    open_system,
    supervisor,
)

settle = trio.testing.wait_all_tasks_blocked
Step = Callable[["Server", Any], Awaitable[object]]


class Server(Actor):
    """Does what it is sent: every message is a function of the server and its caller."""

    def __init__(self, log: list[Any] | None = None) -> None:
        self.log: list[Any] = [] if log is None else log

    async def handle_call(self, message: Step, caller: PendingCall) -> object:
        return await message(self, caller)

    async def handle_cast(self, message: Step) -> None:
        await message(self, None)

    async def handle_info(self, message: Any) -> None:
        self.log.append(message)

    async def handle_continue(self, argument: Any) -> None:
        self.log.append(("continued", argument))

    async def terminate(self, reason: Reason) -> None:
        self.log.append(("terminate", reason))

    def cleanup(self) -> None:
        self.log.append("cleanup")


def note(what: object) -> Step:
    async def step(server: Server, _: Any) -> object:
        server.log.append(what)
        return what

    return step


def rest(seconds: float) -> Step:
    async def step(_: Server, __: Any) -> object:
        await trio.sleep(seconds)
        return "rested"

    return step


def stop(reason: Reason, answer: object = NO_REPLY) -> Step:
    async def step(server: Server, _: Any) -> object:
        server.stop(reason)
        return answer

    return step


def fail(error: BaseException) -> Step:
    async def step(_: Server, __: Any) -> object:
        raise error

    return step


@asynccontextmanager
async def serving(
    start: Callable[[], Actor], *names: str, restart: Any = "temporary", **options: Any
) -> AsyncIterator[System]:
    specs = [ChildSpec(name, start, restart=restart, **options) for name in names or ("a",)]
    async with open_system(supervisor("root", specs), reports=Reports(log=False)) as system:
        yield system


def contexts(system: System) -> list[str]:
    return [report.context for report in system.reports.history if report.kind != "progress"]


# ---- starting


@pytest.mark.parametrize("reason", ["normal", "shutdown", "no licence", Shutdown("later")])
async def test_stopping_in_init_fails_the_start_with_that_reason(reason: Any) -> None:
    log: list[Any] = []

    class Unwilling(Server):
        async def init(self) -> None:
            self.stop(reason)

    with pytest.raises(StartFailed) as caught:
        async with serving(lambda: Unwilling(log)):
            raise AssertionError("it has started")
    assert "'a'" in str(caught.value)
    assert log == ["cleanup"]


async def test_a_start_that_failed_or_was_ignored_leaves_no_name_behind() -> None:
    class Choosy(Actor):
        def __init__(self, way: str) -> None:
            self.way = way

        async def init(self) -> Ignore | None:
            if self.way == "raise":
                raise ValueError("no")
            if self.way == "stop":
                self.stop("no")
            return Ignore() if self.way == "ignore" else None

    root = supervisor("root", [dynamic_supervisor("many")])
    async with open_system(root, reports=Reports(log=False)) as system:
        many = system.supervisor("many")
        for way in ("raise", "stop", "ignore", "raise", "stop", "ignore"):
            spec = ChildSpec("x", lambda way=way: Choosy(way), restart="temporary")
            if way == "ignore":
                await many.start_child(spec)
            else:
                with pytest.raises(StartFailed):
                    await many.start_child(spec)
            assert system.whereis("x") is None
            assert "x" not in system.names()
            with pytest.raises(NoProcess):
                await system.ref("x").call("anything")


async def test_a_message_sent_during_init_waits_for_it_and_for_the_continuation() -> None:
    log: list[Any] = []
    system_ready = trio.Event()

    class Slow(Server):
        async def init(self) -> Continue:
            await system_ready.wait()
            return Continue(1)

        async def handle_continue(self, argument: int) -> None:
            log.append(("continued", argument))
            await trio.lowlevel.checkpoint()
            if argument < 3:
                self.continue_with(argument + 1)

    root = supervisor("root", [dynamic_supervisor("many")])
    async with open_system(root, reports=Reports(log=False)) as system, trio.open_nursery() as n:
        many, a = system.supervisor("many"), system.ref("a")
        n.start_soon(many.start_child, ChildSpec("a", lambda: Slow(log)))
        await settle()
        assert a.cast(note("message"))
        system_ready.set()
        await settle()
        assert log == [("continued", 1), ("continued", 2), ("continued", 3), "message"]


async def test_stopping_in_a_continuation_ends_before_any_message() -> None:
    log: list[Any] = []

    class Brief(Server):
        async def init(self) -> Continue:
            self.ref.cast(note("message"))
            return Continue()

        async def handle_continue(self, argument: Any) -> None:
            self.stop("done")

    async with serving(lambda: Brief(log)):
        await settle()
        assert log == [("terminate", "done"), "cleanup"]


# ---- stopping from outside


async def test_stop_waits_until_the_actor_has_terminated_after_its_earlier_messages(
    autojump_clock: Any,
) -> None:
    log: list[Any] = []

    class Slow(Server):
        async def terminate(self, reason: Reason) -> None:
            await trio.sleep(2)
            await super().terminate(reason)

    async with serving(lambda: Slow(log)) as system:
        a = system.ref("a")
        a.cast(note("earlier"))
        started = trio.current_time()
        await a.stop()
        assert trio.current_time() == started + 2
        assert log == ["earlier", ("terminate", "normal"), "cleanup"]
        assert not a.alive
        with pytest.raises(ActorDown):
            await a.stop()


@pytest.mark.parametrize(
    ("reason", "restart", "lives"),
    [
        ("normal", "permanent", 2),
        ("normal", "transient", 1),
        (Shutdown("moved"), "transient", 1),
        ("other", "transient", 2),
    ],
)
async def test_a_stop_from_outside_is_an_end_like_any_other_to_the_supervisor(
    reason: Any, restart: Any, lives: int
) -> None:
    log: list[Any] = []
    async with serving(lambda: Server(log), restart=restart) as system:
        a = system.ref("a")
        await a.stop(reason)
        await settle()
        assert log == [("terminate", reason), "cleanup"]
        assert a.incarnation == lives
        assert a.alive == (lives == 2)
        assert "crashed" not in contexts(system)


async def test_stop_of_nobody_says_so() -> None:
    async with serving(Server) as system:
        with pytest.raises(NoProcess):
            await system.ref("nobody").stop()


@pytest.mark.parametrize("timeout", [-1, math.nan])
async def test_an_impossible_timeout_is_refused_before_anything_is_sent(timeout: float) -> None:
    log: list[Any] = []
    async with serving(lambda: Server(log)) as system:
        a = system.ref("a")
        with pytest.raises(ValueError, match="timeout must be 0 or more seconds"):
            await a.stop(timeout=timeout)
        with pytest.raises(ValueError, match="timeout must be 0 or more seconds"):
            await a.call(note("asked"), timeout=timeout)
        await settle()
        assert a.alive
        assert log == []


async def test_a_stop_that_takes_too_long_times_out_but_still_happens(autojump_clock: Any) -> None:
    log: list[Any] = []
    async with serving(lambda: Server(log)) as system:
        a = system.ref("a")
        a.cast(rest(10))
        with pytest.raises(CallTimeout, match="within 3 s"):
            await a.stop(timeout=3)
        assert a.alive
        assert await a.wait_down() == "normal"
        assert log == [("terminate", "normal"), "cleanup"]


async def test_a_stop_that_ends_otherwise_raises_with_the_real_reason(autojump_clock: Any) -> None:
    class Stumbling(Server):
        async def terminate(self, reason: Reason) -> None:
            raise OSError("the till is stuck")

    async with serving(Stumbling) as system:
        with pytest.raises(ActorDown, match="OSError: the till is stuck"):
            await system.ref("a").stop()
        crash = next(r for r in system.reports.history if r.kind == "crash")
        assert "the till is stuck" in crash.reason


async def test_an_actor_cannot_wait_for_its_own_end_nor_for_one_that_waits_for_it() -> None:
    async def stop_self(server: Server, _: Any) -> object:
        await server.ref.stop()
        return None

    async def ask_b(server: Server, _: Any) -> object:
        async def stop_a(b: Server, _: Any) -> object:
            await b.system.ref("a").stop()
            return None

        return await server.system.ref("b").call(stop_a)

    async with serving(Server, "a", "b", restart="permanent") as system:
        with pytest.raises(ActorDown) as caught:
            await system.ref("a").call(stop_self)
        assert isinstance(caught.value.reason, CallingSelf)
        await settle()
        with pytest.raises(ActorDown) as caught:
            await system.ref("a").call(ask_b)
        reason: Any = caught.value.reason
        assert isinstance(reason.reason, CallCycle)


async def test_supervisors_and_tasks_stop_from_outside_too() -> None:
    root = supervisor(
        "root",
        [
            supervisor("below", [ChildSpec("a", Server)], restart="temporary"),
            ChildSpec("task", trio.sleep_forever, kind="task", restart="temporary"),
        ],
    )
    async with open_system(root, reports=Reports(log=False)) as system:
        await system.ref("below").stop("shutdown")
        assert system.whereis("a") is None
        await system.ref("task").stop("shutdown")
        assert system.whereis("task") is None


# ---- ending


@pytest.mark.parametrize("reason", ["normal", "shutdown", Shutdown("moved"), "stopped"])
async def test_stopping_with_a_reason_terminates_and_is_no_crash(reason: Any) -> None:
    log: list[Any] = []
    async with serving(lambda: Server(log)) as system:
        with pytest.raises(ActorDown) as caught:
            await system.ref("a").call(stop(reason))
        assert caught.value.reason == reason
        await settle()
        assert log == [("terminate", reason), "cleanup"]
        assert "crashed" not in contexts(system)


async def test_a_crash_report_names_offender_reason_message_and_ancestors() -> None:
    spec = supervisor("middle", [ChildSpec("a", Server)])
    async with open_system(supervisor("root", [spec]), reports=Reports(log=False)) as system:
        for _ in range(2):
            with pytest.raises(ActorDown):
                await system.ref("a").call(fail(ValueError("odd")))
            await settle()
        crashes: list[Report] = [r for r in system.reports.history if r.kind == "crash"]
        first, second = crashes
        assert (first.name, first.supervisor, first.ancestors) == (
            "a",
            "middle",
            ("middle", "root"),
        )
        assert first.reason == "ValueError: odd"
        assert first.last_message is not None
        assert "function" in first.last_message
        assert first.traceback is not None
        assert "in fail" in first.traceback or "in step" in first.traceback
        assert (first.incarnation, first.restarts) == (1, 0)
        assert (second.incarnation, second.restarts) == (2, 1)


async def test_whoever_comes_while_it_terminates_learns_of_the_real_end(
    autojump_clock: Any,
) -> None:
    ends: list[tuple[float, Reason]] = []

    class Watching(Actor):
        async def init(self) -> None:
            self.monitor(self.system.ref("a"))

        async def handle_info(self, message: Any) -> None:
            assert isinstance(message, Down)
            ends.append((trio.current_time(), message.reason))

    class Stumbling(Server):
        async def terminate(self, reason: Reason) -> None:
            await trio.sleep(5)
            raise OSError("late")

    root = supervisor(
        "root",
        [ChildSpec("a", Stumbling, restart="temporary", shutdown=60), dynamic_supervisor("many")],
    )
    async with open_system(root, reports=Reports(log=False)) as system:
        a = system.ref("a")
        began = trio.current_time()
        a.cast(stop("normal"))
        await trio.sleep(1)
        assert not a.alive
        await system.supervisor("many").start_child(ChildSpec("w", Watching))
        await settle()
        assert ends == []
        await a.wait_down()
        await settle()
        ((when, reason),) = ends
        assert when == began + 5
        assert isinstance(reason, OSError)
        with pytest.raises(NoProcess):
            await a.call("anything")


async def test_an_actor_stuck_in_its_farewell_can_be_killed(autojump_clock: Any) -> None:
    class Clinging(Server):
        async def terminate(self, reason: Reason) -> None:
            await trio.sleep_forever()

    async with serving(Clinging, shutdown="infinity") as system:
        a = system.ref("a")
        a.cast(stop("normal"))
        await settle()
        assert system.kill("a")
        assert await a.wait_down() == "killed"


# ---- calls


async def test_a_call_that_timed_out_leaves_nothing_behind(autojump_clock: Any) -> None:
    async with serving(Server, "a", "b") as system:
        a = system.ref("a")
        for _ in range(3):
            with pytest.raises(CallTimeout, match="no answer from 'a' within 1 s"):
                await a.call(rest(5), timeout=1)
        await trio.sleep(100)
        assert len(system.timers) == 0
        assert await a.call(note("alive")) == "alive"
        assert len(system.timers) == 0
        node = system.snapshot().find("a")
        assert node is not None
        assert node.mailbox is not None
        # The second and the third were still queued when they were given up: never executed.
        assert (node.mailbox.now, node.incarnation) == (0, 1)
        assert trio.current_time() == pytest.approx(103)


async def test_an_answer_at_the_very_moment_of_the_timeout_is_too_late(autojump_clock: Any) -> None:
    answered: list[bool] = []

    async def late(_: Server, caller: PendingCall) -> object:
        await trio.sleep(3)
        answered.append(caller.reply("late"))
        return NO_REPLY

    async with serving(Server) as system:
        for _ in range(20):
            with pytest.raises(CallTimeout):
                await system.ref("a").call(late, timeout=3)
            await settle()
    assert answered == [False] * 20


async def test_a_timeout_tells_the_actor_that_its_asker_has_gone(autojump_clock: Any) -> None:
    gone: list[float] = []

    async def hold(_: Server, caller: PendingCall) -> object:
        caller.on_withdrawn(lambda: gone.append(trio.current_time()))
        return NO_REPLY

    async with serving(Server) as system:
        began = trio.current_time()
        with pytest.raises(CallTimeout):
            await system.ref("a").call(hold, timeout=4)
        assert gone == [began + 4]


async def test_the_callers_own_deadline_comes_before_a_longer_timeout(autojump_clock: Any) -> None:
    deadlines: list[float] = []

    async def hold(_: Server, caller: PendingCall) -> object:
        deadlines.append(caller.deadline)
        return NO_REPLY

    async with serving(Server) as system:
        began = trio.current_time()
        with trio.move_on_after(2) as scope:
            await system.ref("a").call(hold, timeout=30)
        assert scope.cancelled_caught
        assert trio.current_time() == began + 2
        assert deadlines == [began + 2]
        assert len(system.timers) == 0


async def test_the_death_of_an_asker_withdraws_its_call(autojump_clock: Any) -> None:
    log: list[Any] = []

    async def ask_b(server: Server, _: Any) -> object:
        return await server.system.ref("b").call(note("executed"), timeout=60)

    async with serving(lambda: Server(log), "a", "b") as system:
        system.ref("b").cast(rest(10))
        system.ref("a").cast(ask_b)
        await settle()
        system.kill("a")
        await trio.sleep(20)
        assert "executed" not in log
        assert len(system.timers) == 0


async def test_waiting_requests_are_answered_each_by_its_own_actor_in_any_order(
    autojump_clock: Any,
) -> None:
    async with serving(Server, "a", "b", "c") as system:
        slow = system.ref("a").send_request(rest(4))
        quick = system.ref("b").send_request(rest(1))
        doomed = system.ref("c").send_request(stop(Shutdown("moved")))
        began = trio.current_time()
        assert await quick.wait() == "rested"
        assert trio.current_time() == began + 1
        with pytest.raises(ActorDown, match="moved"):
            await doomed.wait()
        with trio.move_on_after(0) as impatient:
            await trio.sleep_forever()
        assert impatient.cancelled_caught
        assert not slow.settled
        assert await slow.wait() == "rested"
        assert trio.current_time() == began + 4


async def test_a_reply_may_be_sent_before_the_handler_is_done(autojump_clock: Any) -> None:
    async def early(_: Server, caller: PendingCall) -> object:
        caller.reply("early")
        await trio.sleep(5)
        return "this one is nobody's"

    async with serving(Server) as system:
        began = trio.current_time()
        assert await system.ref("a").call(early) == "early"
        assert trio.current_time() == began


async def test_a_full_mailbox_of_the_asker_does_not_stand_in_the_way_of_its_answer() -> None:
    async def ask_b(server: Server, _: Any) -> object:
        return await server.system.ref("b").call(note("answered"))

    async with serving(Server, "a", "b") as system:
        a = system.ref("a")
        first = a.send_request(ask_b)
        for number in range(5_000):
            a.send(number)
        assert await first.wait() == "answered"
        node = system.snapshot().find("a")
        assert node is not None
        assert node.mailbox is not None
        assert node.mailbox.peak >= 5_000


# ---- mailbox and silence


@pytest.mark.parametrize("policy", ["reject", "drop"])
async def test_a_full_mailbox_loses_the_newest_and_counts_it(policy: Any) -> None:
    log: list[Any] = []

    class Narrow(Server):
        mailbox_limit = 2
        overflow = policy

    async with serving(lambda: Narrow(log)) as system:
        a = system.ref("a")
        taken = [a.cast(note(number)) for number in range(4)]
        with pytest.raises(MailboxFull):
            await a.call(note("asked"))
        await settle()
        assert taken == [True, True, False, False]
        assert log == [0, 1]
        node = system.snapshot().find("a")
        assert node is not None
        assert node.mailbox is not None
        assert node.mailbox.dropped == 3
        assert contexts(system) == (["overflow"] if policy == "drop" else [])


async def test_calls_casts_and_plain_messages_all_put_the_idle_timeout_off(
    autojump_clock: Any,
) -> None:
    class Restless(Server):
        idle_timeout = 10

        async def handle_idle(self) -> None:
            self.log.append(trio.current_time() - began)

    log: list[Any] = []
    began = trio.current_time()
    async with serving(lambda: Restless(log)) as system:
        a = system.ref("a")
        await trio.sleep(9)
        await a.call(note("call"))
        await trio.sleep(9)
        a.cast(note("cast"))
        await trio.sleep(9)
        a.send("info")
        await trio.sleep(11)
        assert log == ["call", "cast", "info", 37]


async def test_a_waiting_message_comes_before_an_idle_timeout_of_nothing(
    autojump_clock: Any,
) -> None:
    class Hasty(Server):
        idle_timeout = 0.0

        async def init(self) -> None:
            self.ref.cast(note("first"))
            self.ref.cast(note("second"))

        async def handle_idle(self) -> None:
            self.log.append("idle")
            self.idle_timeout = math.inf

    log: list[Any] = []
    async with serving(lambda: Hasty(log)):
        await trio.sleep(1)
        assert log == ["first", "second", "idle"]


async def test_the_first_plain_message_nobody_wanted_is_reported_without_its_contents() -> None:
    async with serving(Actor) as system:
        a = system.ref("a")
        for secret in ("secret one", "secret two"):
            a.send(secret)
        await settle()
        (report,) = [r for r in system.reports.history if r.context == "unexpected"]
        assert (report.name, report.last_message) == ("a", "str")
        assert a.incarnation == 1


async def test_a_reference_goes_on_to_whoever_is_there() -> None:
    async with serving(Server, restart="permanent") as system:
        a: Ref = system.ref("a")
        assert system.whereis("a") is a
        assert system.whereis("nobody") is None
        a.kill()
        await settle()
        assert system.whereis("a") is a
        assert await a.call(note("again")) == "again"


# ---- handlers that are not there


async def test_a_cast_without_a_handler_crashes_the_actor() -> None:
    async with serving(Actor) as system:
        a = system.ref("a")
        a.cast("anything")
        reason = await a.wait_down()
        assert isinstance(reason, LookupError)
        assert str(reason) == "Actor takes no cast str"


@pytest.mark.parametrize("reason", ["normal", "other"])
async def test_an_actor_without_terminate_stops_with_the_reason_asked_for(reason: str) -> None:
    seen: list[Reason] = []
    async with serving(Actor) as system:
        a = system.ref("a")
        a.watch(seen.append)
        await a.stop(reason)
        assert seen == [reason]
