"""The measured pitfalls of building supervision on trio, one by one."""

from __future__ import annotations

import contextvars
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from supervision import (
    Actor,
    ActorDown,
    CallCycle,
    ChildSpec,
    Reports,
    System,
    open_system,
    root_causes,
    supervisor,
)

settle = trio.testing.wait_all_tasks_blocked

WHO: contextvars.ContextVar[str] = contextvars.ContextVar("who", default="nobody")


class Doer(Actor):
    """Runs the functions it is sent."""

    async def handle_call(self, message: Callable[[Actor], Any], caller: Any) -> object:
        return await message(self)

    async def handle_cast(self, message: Callable[[Actor], Any]) -> None:
        await message(self)


class OddError(BaseException):
    """None of ``Exception``'s kind, and none that Python itself raises."""


@asynccontextmanager
async def doers(*names: str, restart: Any = "permanent") -> AsyncIterator[System]:
    specs = [ChildSpec(name, Doer, restart=restart) for name in names]
    async with open_system(supervisor("root", specs), reports=Reports(log=False)) as system:
        yield system


async def test_a_cleanup_that_fails_under_a_kill_is_the_exit_reason_and_hurts_nobody_else() -> None:
    async def fail_when_killed(_: Actor) -> None:
        async def hold() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise OSError("cannot close")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(hold)

    async with doers("a", "b", restart="temporary") as system:
        a = system.ref("a")
        a.cast(fail_when_killed)
        await settle()
        waiting = a.send_request(fail_when_killed)
        a.kill()
        with pytest.raises(ActorDown) as caught:
            await waiting.wait()
        assert isinstance(caught.value.reason, OSError)
        assert system.ref("b").alive
        assert system.ref("root").alive
        (crash,) = [r for r in system.reports.history if r.kind == "crash"]
        assert crash.reason == "OSError: cannot close"


async def test_several_failures_at_once_are_one_reason_with_all_its_root_causes() -> None:
    async def fail_twice(actor: Actor) -> None:
        async def helper() -> None:
            try:
                await trio.sleep_forever()
            finally:
                raise OSError("helper")

        actor.spawn(helper)
        await settle()
        raise ValueError("handler")

    async with doers("a") as system:
        with pytest.raises(ActorDown) as caught:
            await system.ref("a").call(fail_twice)
        reason: Any = caught.value.reason
        assert isinstance(reason, ExceptionGroup)
        causes = {type(cause) for cause in root_causes(reason)}
        assert causes == {OSError, ValueError}
        assert "OSError: helper" in str(caught.value)
        assert "ValueError: handler" in str(caught.value)


async def test_a_single_failure_comes_out_of_the_nurseries_groups() -> None:
    async def fail_deep(_: Actor) -> None:
        async with trio.open_nursery(), trio.open_nursery():
            raise ValueError("deep")

    async with doers("a") as system:
        with pytest.raises(ActorDown) as caught:
            await system.ref("a").call(fail_deep)
        assert type(caught.value.reason) is ValueError


async def test_an_exception_outside_of_exception_crashes_only_the_actor() -> None:
    async def odd(_: Actor) -> None:
        raise OddError("odd")

    async with doers("a", "b") as system:
        with pytest.raises(ActorDown, match="OddError: odd"):
            await system.ref("a").call(odd)
        await settle()
        assert (system.ref("a").incarnation, system.ref("b").incarnation) == (2, 1)


async def test_a_timeout_around_spawn_does_not_reach_the_helper(autojump_clock: Any) -> None:
    done: list[float] = []

    async def spawn_in_a_hurry(actor: Actor) -> None:
        async def work() -> None:
            await trio.sleep(10)
            done.append(trio.current_time())

        with trio.move_on_after(1):
            actor.spawn(work)
            await trio.sleep_forever()

    async with doers("a") as system:
        began = trio.current_time()
        await system.ref("a").call(spawn_in_a_hurry)
        assert trio.current_time() == began + 1
        await trio.sleep(20)
        assert done == [began + 10]


async def test_context_variables_come_from_the_supervisor_never_with_a_message() -> None:
    async def who(_: Actor) -> str:
        return WHO.get()

    async def become(_: Actor) -> None:
        WHO.set("the actor itself")

    WHO.set("the starter")
    async with doers("a") as system:
        WHO.set("the asker")
        a = system.ref("a")
        assert await a.call(who) == "the starter"
        await a.call(become)
        assert await a.call(who) == "the actor itself"
        a.kill()
        await settle()
        assert await a.call(who) == "the starter"
        assert WHO.get() == "the asker"


async def test_an_actor_may_send_to_itself_without_waiting_for_itself() -> None:
    async def count_down(actor: Actor, left: int = 200) -> int:
        if left:
            assert actor.ref.cast(lambda me: count_down(me, left - 1))
        else:
            done.set()
        return left

    done = trio.Event()
    async with doers("a") as system:
        system.ref("a").cast(count_down)
        await done.wait()


async def test_askers_in_the_mailbox_of_a_dead_actor_are_all_told_why() -> None:
    async def crash(_: Actor) -> None:
        raise ValueError("dead")

    async def never(_: Actor) -> None:
        raise AssertionError("it was executed")

    async with doers("a") as system:
        a = system.ref("a")
        a.cast(crash)
        calls = [a.send_request(never) for _ in range(300)]
        for call in calls:
            with pytest.raises(ActorDown, match="ValueError: dead"):
                await call.wait()
        await settle()
        assert a.incarnation == 2


async def test_a_ring_closed_by_two_askers_at_the_same_time_is_refused(
    autojump_clock: Any,
) -> None:
    async def other(actor: Actor) -> object:
        name = "b" if actor.ref.name == "a" else "a"
        await trio.sleep(1)
        return await actor.system.ref(name).call(nothing, timeout=math.inf)

    async def nothing(_: Actor) -> str:
        return "done"

    async with doers("a", "b") as system:
        calls = [system.ref(name).send_request(other) for name in "ab"]
        outcomes: list[object] = []
        for call in calls:
            try:
                outcomes.append(await call.wait())
            except ActorDown as down:
                outcomes.append(type(down.reason))
        assert CallCycle in outcomes
        assert len(outcomes) == 2


async def test_whoever_is_killed_can_read_why() -> None:
    seen: list[str] = []

    async def listen(_: Actor) -> None:
        try:
            await trio.sleep_forever()
        except trio.Cancelled as cancelled:
            seen.append(str(cancelled))
            raise

    async with doers("a") as system:
        system.ref("a").cast(listen)
        await settle()
        system.kill("a", "out of favour")
        await settle()
        (text,) = seen
        assert "a: out of favour" in text
