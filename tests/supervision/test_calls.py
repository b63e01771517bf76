"""Calls and casts: who gets which answer, and what happens when there is none."""

from __future__ import annotations

import math
from collections.abc import AsyncIterator
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
    NoProcess,
    PendingCall,
    Ref,
    Reports,
    System,
    open_system,
    supervisor,
)


class Counter(Actor):
    """Counts; every odd thing a callee can do is a message."""

    def __init__(self) -> None:
        self.count = 0
        self.held: list[PendingCall] = []

    async def handle_call(self, message: Any, caller: PendingCall) -> object:
        match message:
            case "get":
                return self.count
            case "crash":
                raise ValueError("asked to")
            case "hold":
                self.held.append(caller)
                return NO_REPLY
            case "stop":
                self.stop("normal")
                return "stopping"
            case "stop without answer":
                self.stop("normal")
                return NO_REPLY
            case "refuse":
                caller.fail(KeyError("no"))
                return NO_REPLY
            case ("sleep", seconds):
                await trio.sleep(seconds)
                return "slept"
            case ("ask", Ref() as other, question):
                return await other.call(question, timeout=math.inf)
            case ("ask self",):
                return await self.ref.call("get")
        raise AssertionError(message)

    async def handle_cast(self, message: Any) -> None:
        if message == "release":
            for caller in self.held:
                caller.reply("late")
        elif message == "crash":
            raise ValueError("asked to")
        else:
            self.count += message


@asynccontextmanager
async def counters(*names: str) -> AsyncIterator[System]:
    specs = [ChildSpec(name, Counter) for name in names]
    async with open_system(supervisor("root", specs), reports=Reports(log=False)) as system:
        yield system


async def test_a_call_returns_the_reply_and_casts_before_it_are_handled_first() -> None:
    async with counters("a") as system:
        a = system.ref("a")
        assert a.cast(2)
        assert a.cast(3)
        assert await a.call("get") == 5


async def test_calls_are_answered_in_the_order_they_came() -> None:
    async with counters("a") as system:
        a = system.ref("a")
        first = a.send_request("get")
        a.cast(1)
        second = a.send_request("get")
        assert [await first.wait(), await second.wait()] == [0, 1]


async def test_a_call_to_a_name_nobody_has_fails_at_once() -> None:
    async with counters() as system:
        with pytest.raises(NoProcess, match="no actor is registered as 'nobody'"):
            await system.ref("nobody").call("get")
        assert not system.ref("nobody").cast("anything")
        assert not system.ref("nobody").send("anything")


async def test_a_crash_in_the_handler_fails_the_call_with_the_exception_as_reason() -> None:
    async with counters("a") as system:
        with pytest.raises(ActorDown, match="actor 'a' is down: ValueError: asked to") as caught:
            await system.ref("a").call("crash")
        assert isinstance(caught.value.reason, ValueError)


async def test_a_crash_fails_queued_and_accepted_calls_at_once(autojump_clock: Any) -> None:
    async with counters("a") as system:
        a = system.ref("a")
        accepted = a.send_request("hold")
        await trio.testing.wait_all_tasks_blocked()
        a.cast("crash")
        queued = a.send_request("get")
        started = trio.current_time()
        for call in (accepted, queued):
            with pytest.raises(ActorDown) as caught:
                await call.wait()
            assert isinstance(caught.value.reason, ValueError)
        assert trio.current_time() == started


async def test_a_kill_fails_accepted_calls_at_once_with_its_reason() -> None:
    async with counters("a") as system:
        a = system.ref("a")
        accepted = a.send_request("hold")
        await trio.testing.wait_all_tasks_blocked()
        assert a.kill("hit by a test")
        with pytest.raises(ActorDown, match="hit by a test"):
            await accepted.wait()


async def test_an_answer_may_come_later_from_another_handler() -> None:
    async with counters("a") as system:
        a = system.ref("a")
        call = a.send_request("hold")
        a.cast("release")
        assert await call.wait() == "late"


async def test_the_actor_may_answer_with_an_exception_and_live_on() -> None:
    async with counters("a") as system:
        a = system.ref("a")
        with pytest.raises(KeyError):
            await a.call("refuse")
        assert (await a.call("get"), a.incarnation) == (0, 1)


async def test_stopping_in_a_call_answers_it_first() -> None:
    async with counters("a") as system:
        assert await system.ref("a").call("stop") == "stopping"


async def test_stopping_without_an_answer_fails_the_call_with_the_stop_reason() -> None:
    async with counters("a") as system:
        with pytest.raises(ActorDown) as caught:
            await system.ref("a").call("stop without answer")
        assert caught.value.reason == "normal"


async def test_a_call_times_out_after_its_seconds_and_not_before(autojump_clock: Any) -> None:
    async with counters("a") as system:
        started = trio.current_time()
        with pytest.raises(CallTimeout, match="no answer from 'a' within 3 s"):
            await system.ref("a").call(("sleep", 10), timeout=3)
        assert trio.current_time() - started == pytest.approx(3)


async def test_a_late_reply_vanishes_and_the_actor_lives_on(autojump_clock: Any) -> None:
    async with counters("a") as system:
        a = system.ref("a")
        with pytest.raises(CallTimeout):
            await a.call(("sleep", 10), timeout=1)
        assert (await a.call("get", timeout=20), a.incarnation) == (0, 1)


async def test_a_call_given_up_while_queued_is_never_executed(autojump_clock: Any) -> None:
    class Recorder(Actor):
        seen: list[Any] = []  # noqa: RUF012 - shared on purpose, the test reads it

        async def handle_call(self, message: Any, caller: PendingCall) -> object:
            self.seen.append(message)
            await trio.sleep(10)
            return None

    root = supervisor("root", [ChildSpec("r", Recorder)])
    async with open_system(root, reports=Reports(log=False)) as system:
        recorder = system.ref("r")
        busy = recorder.send_request("first")
        with pytest.raises(CallTimeout):
            await recorder.call("given up", timeout=1)
        await busy.wait()
        await recorder.send_request("third").wait()
        assert Recorder.seen == ["first", "third"]


async def test_a_request_past_its_deadline_is_dropped_unexecuted_and_counted(
    autojump_clock: Any,
) -> None:
    async with counters("a") as system:
        a = system.ref("a")
        a.send_request(("sleep", 10))
        late = a.send_request("crash", deadline=trio.current_time() + 5)
        with pytest.raises(CallTimeout, match="passed its deadline"):
            await late.wait()
        node = system.snapshot().find("a")
        assert node is not None
        assert node.mailbox is not None
        assert (node.mailbox.expired, node.incarnation) == (1, 1)


async def test_a_call_without_timeout_carries_the_callers_deadline(autojump_clock: Any) -> None:
    async with counters("a") as system:
        a = system.ref("a")
        a.send_request(("sleep", 10))
        with trio.move_on_after(2) as scope:
            await a.call("crash", timeout=math.inf)
        assert scope.cancelled_caught
        await trio.sleep(20)
        assert a.incarnation == 1


async def test_cancelling_the_wait_withdraws_the_call_and_tells_the_actor() -> None:
    gone: list[str] = []

    class Holder(Actor):
        async def handle_call(self, message: Any, caller: PendingCall) -> object:
            caller.on_withdrawn(lambda: gone.append(message))
            return NO_REPLY

    root = supervisor("root", [ChildSpec("h", Holder)])
    async with open_system(root, reports=Reports(log=False)) as system:
        call = system.ref("h").send_request("work")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(call.wait)
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert gone == ["work"]
        assert call.abandoned
        assert not call.reply("too late")
        assert not call.fail(ValueError())


async def test_a_second_answer_changes_nothing() -> None:
    async with counters("a") as system:
        call = system.ref("a").send_request("get")
        assert await call.wait() == 0
        assert not call.reply(1)
        assert await call.wait() == 0


async def test_an_actor_that_calls_itself_is_told_so() -> None:
    async with counters("a") as system:
        with pytest.raises(ActorDown) as caught:
            await system.ref("a").call(("ask self",))
        assert isinstance(caught.value.reason, CallingSelf)


async def test_a_ring_of_calls_raises_in_the_one_that_would_close_it() -> None:
    async with counters("a", "b", "c") as system:
        a, b, c = system.ref("a"), system.ref("b"), system.ref("c")
        with pytest.raises(ActorDown) as caught:
            await a.call(("ask", b, ("ask", c, ("ask", a, "get"))))
        reason: Any = caught.value.reason
        while isinstance(reason, ActorDown):
            reason = reason.reason
        assert isinstance(reason, CallCycle)
        assert reason.path == ("c", "a", "b", "c")


async def test_a_chain_of_calls_without_a_ring_is_fine() -> None:
    async with counters("a", "b", "c") as system:
        b, c = system.ref("b"), system.ref("c")
        assert await system.ref("a").call(("ask", b, ("ask", c, "get"))) == 0


async def test_a_helper_task_may_call_its_own_actor() -> None:
    answers: list[object] = []

    class Parent(Actor):
        async def init(self) -> None:
            self.spawn(self.help)

        async def help(self) -> None:
            answers.append(await self.ref.call("ping"))

        async def handle_call(self, message: Any, caller: PendingCall) -> object:
            return "pong"

    root = supervisor("root", [ChildSpec("p", Parent)])
    async with open_system(root, reports=Reports(log=False)):
        await trio.testing.wait_all_tasks_blocked()
        assert answers == ["pong"]


async def test_an_unexpected_message_crashes_the_actor_with_a_message_that_says_so() -> None:
    root = supervisor("root", [ChildSpec("plain", Actor)])
    async with open_system(root, reports=Reports(log=False)) as system:
        with pytest.raises(ActorDown, match="Actor takes no call str"):
            await system.ref("plain").call("anything")


async def test_plain_messages_nobody_asked_for_are_dropped() -> None:
    root = supervisor("root", [ChildSpec("plain", Actor)])
    async with open_system(root, reports=Reports(log=False)) as system:
        assert system.ref("plain").send("anything")
        await trio.testing.wait_all_tasks_blocked()
        assert system.ref("plain").incarnation == 1
