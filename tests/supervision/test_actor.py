"""The life of an actor: init, continuation, idling, timers, helpers, stopping, cleaning up."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio
import trio.testing

from supervision import (
    IGNORE,
    Actor,
    ActorDown,
    ChildSpec,
    Continue,
    Down,
    Ignore,
    MailboxFull,
    PendingCall,
    PoisonMessage,
    Reason,
    Reports,
    StartFailed,
    open_system,
    supervisor,
)


class Scripted(Actor):
    """Writes down what happens to it; its handlers do what the message says."""

    def __init__(self, log: list[Any]) -> None:
        self.log = log

    async def init(self) -> Continue | Ignore | None:
        self.log.append("init")
        return None

    async def handle_call(self, message: Any, caller: PendingCall) -> object:
        return message

    async def handle_cast(self, message: Any) -> None:
        self.log.append(message)
        match message:
            case ("sleep", seconds):
                await trio.sleep(seconds)
            case "crash":
                raise ValueError("asked to")
            case "stop":
                self.stop()
            case ("stop", reason):
                self.stop(reason)
            case ("continue", argument):
                self.continue_with(argument)

    async def handle_info(self, message: Any) -> None:
        self.log.append(("info", message))

    async def handle_continue(self, argument: Any) -> None:
        self.log.append(("continued", argument))

    async def terminate(self, reason: Reason) -> None:
        self.log.append(("terminate", reason))

    def cleanup(self) -> None:
        self.log.append("cleanup")


def tree(*specs: ChildSpec, **options: Any) -> ChildSpec:
    return supervisor("root", specs, **options)


def quiet() -> Reports:
    return Reports(log=False)


async def settle() -> None:
    await trio.testing.wait_all_tasks_blocked()


async def test_init_runs_before_the_system_is_ready_and_before_any_message() -> None:
    log: list[Any] = []
    async with open_system(tree(ChildSpec("a", lambda: Scripted(log))), reports=quiet()) as system:
        assert log == ["init"]
        system.ref("a").cast("hello")
        await settle()
        assert log == ["init", "hello"]


async def test_the_reference_and_the_system_are_there_in_init() -> None:
    seen: list[object] = []

    class Curious(Actor):
        async def init(self) -> None:
            seen.extend([self.ref.name, self.ref.incarnation, self.system])

    async with open_system(tree(ChildSpec("a", Curious)), reports=quiet()) as system:
        assert seen == ["a", 1, system]


async def test_a_continuation_runs_after_the_start_and_before_messages_that_came_earlier() -> None:
    log: list[Any] = []

    class Continuing(Scripted):
        async def init(self) -> Continue:
            self.ref.cast("queued during init")
            return Continue("go on")

    async with open_system(tree(ChildSpec("a", lambda: Continuing(log))), reports=quiet()):
        await settle()
        assert log == [("continued", "go on"), "queued during init"]


async def test_a_handler_can_ask_for_a_continuation_before_the_next_message() -> None:
    log: list[Any] = []
    async with open_system(tree(ChildSpec("a", lambda: Scripted(log))), reports=quiet()) as system:
        system.ref("a").cast(("continue", 1))
        system.ref("a").cast("next")
        await settle()
        assert log == ["init", ("continue", 1), ("continued", 1), "next"]


async def test_ignore_leaves_the_specification_stopped() -> None:
    class Idle(Actor):
        async def init(self) -> Ignore:
            return IGNORE

    async with open_system(tree(ChildSpec("a", Idle)), reports=quiet()) as system:
        root = system.supervisor("root")
        assert (await root.count_children()).active == 0
        assert [child.state for child in await root.which_children()] == ["stopped"]
        with pytest.raises(ActorDown):
            await system.ref("a").call("anything")
        assert await root.restart_child("a") is None


async def test_init_that_returns_nonsense_fails_the_start() -> None:
    class Confused(Actor):
        async def init(self) -> Any:
            return "nonsense"

    with pytest.raises(StartFailed, match="init returned 'nonsense'"):
        async with open_system(tree(ChildSpec("a", Confused)), reports=quiet()):
            pass


async def test_a_factory_must_make_an_actor_and_a_new_one_each_time() -> None:
    def nothing() -> Any:
        return "nothing"

    with pytest.raises(StartFailed, match="must return an Actor"):
        async with open_system(tree(ChildSpec("a", nothing)), reports=quiet()):
            pass
    same = Scripted([])
    with pytest.raises(StartFailed, match="new actor for each incarnation"):
        async with open_system(
            tree(ChildSpec("a", lambda: same), ChildSpec("b", lambda: same)), reports=quiet()
        ):
            pass


async def test_terminate_is_not_called_when_init_fails_but_cleanup_is() -> None:
    log: list[Any] = []

    class Broken(Scripted):
        async def init(self) -> None:
            raise OSError("no disk")

    with pytest.raises(StartFailed, match="OSError: no disk"):
        async with open_system(tree(ChildSpec("a", lambda: Broken(log))), reports=quiet()):
            pass
    assert log == ["cleanup"]


async def test_an_orderly_stop_handles_earlier_messages_then_terminates_then_cleans_up() -> None:
    log: list[Any] = []
    async with open_system(tree(ChildSpec("a", lambda: Scripted(log))), reports=quiet()) as system:
        system.ref("a").cast("before")
    assert log == ["init", "before", ("terminate", "shutdown"), "cleanup"]


async def test_a_crash_cleans_up_without_terminating() -> None:
    log: list[Any] = []
    spec = ChildSpec("a", lambda: Scripted(log), restart="temporary")
    async with open_system(tree(spec), reports=quiet()) as system:
        system.ref("a").cast("crash")
        await settle()
    assert log == ["init", "crash", "cleanup"]


async def test_a_kill_interrupts_a_stuck_handler_and_cleans_up_without_terminating() -> None:
    log: list[Any] = []
    spec = ChildSpec("a", lambda: Scripted(log), restart="temporary")
    async with open_system(tree(spec), reports=quiet()) as system:
        system.ref("a").cast(("sleep", math.inf))
        await settle()
        assert system.kill("a")
        await settle()
        assert not system.kill("a")
    assert log == ["init", ("sleep", math.inf), "cleanup"]


async def test_cleanup_comes_before_calls_fail_and_before_the_exit_is_known() -> None:
    order: list[str] = []

    class Owner(Actor):
        async def handle_call(self, message: Any, caller: PendingCall) -> object:
            raise ValueError

        def cleanup(self) -> None:
            order.append("cleanup")

    spec = ChildSpec("a", Owner, restart="temporary")
    async with open_system(tree(spec), reports=quiet()) as system:
        system.ref("a").watch(lambda _: order.append("down"))
        with pytest.raises(ActorDown):
            await system.ref("a").call("crash")
        order.append("call failed")
    assert order == ["cleanup", "down", "call failed"]


async def test_a_failing_cleanup_is_reported_and_the_end_goes_on() -> None:
    class Clumsy(Actor):
        def cleanup(self) -> None:
            raise OSError("still busy")

    reports = quiet()
    async with open_system(tree(ChildSpec("a", Clumsy)), reports=reports):
        pass
    contexts = {report.context: report.reason for report in reports.history}
    assert contexts["cleanup_error"] == "OSError: still busy"


async def test_stop_ends_the_actor_after_the_handler_and_drops_the_rest() -> None:
    log: list[Any] = []
    spec = ChildSpec("a", lambda: Scripted(log), restart="transient")
    async with open_system(tree(spec), reports=quiet()) as system:
        system.ref("a").cast("stop")
        system.ref("a").cast("never handled")
        await settle()
        assert log == ["init", "stop", ("terminate", "normal"), "cleanup"]
        assert not system.ref("a").alive


async def test_stop_with_another_reason_is_no_orderly_end() -> None:
    log: list[Any] = []
    spec = ChildSpec("a", lambda: Scripted(log), restart="transient")
    async with open_system(tree(spec), reports=quiet()) as system:
        system.ref("a").cast(("stop", "tired"))
        await settle()
        assert log[2:] == [("terminate", "tired"), "cleanup", "init"]
        assert system.ref("a").incarnation == 2


async def test_a_helper_can_stop_an_actor_that_waits_for_messages() -> None:
    class Short(Actor):
        async def init(self) -> None:
            self.spawn(self.help)

        async def help(self) -> None:
            self.stop()

    spec = ChildSpec("a", Short, restart="temporary")
    async with open_system(tree(spec), reports=quiet()) as system:
        await settle()
        assert system.whereis("a") is None


async def test_a_helpers_crash_is_the_actors_crash() -> None:
    class Fragile(Actor):
        async def handle_cast(self, message: Any) -> None:
            self.spawn(self.help)

        async def help(self) -> None:
            raise ValueError("helper")

    reports = quiet()
    async with open_system(tree(ChildSpec("a", Fragile)), reports=reports) as system:
        system.ref("a").cast("go")
        await settle()
        assert system.ref("a").incarnation == 2
    assert "ValueError: helper" in {report.reason for report in reports.history}


async def test_helpers_end_with_their_actor_before_its_end_is_known() -> None:
    order: list[str] = []

    class Helped(Actor):
        async def init(self) -> None:
            self.spawn(self.help)

        async def help(self) -> None:
            try:
                await trio.sleep_forever()
            finally:
                order.append("helper ended")

    spec = ChildSpec("a", Helped, restart="temporary")
    async with open_system(tree(spec), reports=quiet()) as system:
        await settle()
        system.ref("a").watch(lambda _: order.append("actor ended"))
        system.kill("a")
        await settle()
    assert order == ["helper ended", "actor ended"]


async def test_send_after_delivers_on_time_and_cancel_takes_it_back(autojump_clock: Any) -> None:
    log: list[Any] = []

    class Timed(Scripted):
        async def init(self) -> None:
            self.send_after(3, "three")
            self.send_after(1, "one")
            assert self.send_after(2, "never").cancel()

        async def handle_info(self, message: Any) -> None:
            self.log.append((trio.current_time() - start, message))

    start = trio.current_time()
    async with open_system(tree(ChildSpec("a", lambda: Timed(log))), reports=quiet()):
        await trio.sleep(10)
        assert log == [(1, "one"), (3, "three")]


async def test_timers_die_with_their_incarnation(autojump_clock: Any) -> None:
    log: list[Any] = []

    class Timed(Scripted):
        async def handle_call(self, message: Any, caller: PendingCall) -> object:
            return self.send_after(5, "late")

    async with open_system(tree(ChildSpec("a", lambda: Timed(log))), reports=quiet()) as system:
        timer = await system.ref("a").call("arm")
        system.kill("a")
        await trio.sleep(10)
        assert not timer.active
        assert ("info", "late") not in log


async def test_idle_timeout_fires_after_silence_and_every_message_puts_it_off(
    autojump_clock: Any,
) -> None:
    log: list[Any] = []

    class Idler(Scripted):
        idle_timeout = 5

        async def handle_idle(self) -> None:
            self.log.append(trio.current_time() - start)

    start = trio.current_time()
    async with open_system(tree(ChildSpec("a", lambda: Idler(log))), reports=quiet()) as system:
        await trio.sleep(3)
        system.ref("a").cast("awake")
        await trio.sleep(11)
        assert log == ["init", "awake", 8, 13]


async def test_a_full_mailbox_refuses_and_counts_but_a_stop_passes() -> None:
    log: list[Any] = []

    class Small(Scripted):
        mailbox_limit = 2

    async with open_system(tree(ChildSpec("a", lambda: Small(log))), reports=quiet()) as system:
        a = system.ref("a")
        assert [a.cast(number) for number in range(3)] == [True, True, False]
        with pytest.raises(MailboxFull, match=r"'a' is full \(2 messages\)"):
            a.send_request("anything")
        assert not a.send("anything")
        node = system.snapshot().find("a")
        assert node is not None
        assert node.mailbox is not None
        assert (node.mailbox.now, node.mailbox.limit, node.mailbox.dropped) == (2, 2, 3)
    assert log == ["init", 0, 1, ("terminate", "shutdown"), "cleanup"]


async def test_a_dropping_mailbox_reports_its_losses_once_in_a_while(autojump_clock: Any) -> None:
    class Dropping(Scripted):
        mailbox_limit = 1
        overflow = "drop"

    reports = quiet()
    async with open_system(tree(ChildSpec("a", lambda: Dropping([]))), reports=reports) as system:
        for _ in range(3):
            for number in range(10):
                system.ref("a").cast(number)
            await trio.sleep(40)
    losses = [report.reason for report in reports.history if report.context == "overflow"]
    assert losses == [
        "the mailbox is full (1 messages); 1 lost so far",
        "the mailbox is full (1 messages); 19 lost so far",
    ]


async def test_a_busy_actor_lets_others_run_and_can_be_killed_between_messages() -> None:
    turns = 0

    class Busy(Actor):
        async def handle_cast(self, message: Any) -> None:
            nonlocal turns
            turns += 1
            self.ref.cast(message)

    spec = ChildSpec("a", Busy, restart="temporary")
    async with open_system(tree(spec), reports=quiet()) as system:
        system.ref("a").cast("for ever")
        for _ in range(5):
            await trio.lowlevel.checkpoint()
        system.kill("a")
        await settle()
        assert 64 <= turns <= 64 * 10


async def test_a_monitor_sends_one_down_with_the_reason() -> None:
    log: list[Any] = []

    class Watcher(Scripted):
        async def handle_call(self, message: Any, caller: PendingCall) -> object:
            return self.monitor(self.system.ref(message))

    specs = [ChildSpec("w", lambda: Watcher(log)), ChildSpec("a", lambda: Scripted([]))]
    async with open_system(tree(*specs), reports=quiet()) as system:
        monitor = await system.ref("w").call("a")
        system.kill("a")
        await settle()
        assert log == ["init", ("info", Down(system.ref("a"), "killed", monitor))]
        system.kill("a")
        await settle()
        assert len(log) == 2


async def test_a_monitor_of_nobody_sends_noproc_at_once_and_a_cancelled_one_nothing() -> None:
    log: list[Any] = []

    class Watcher(Scripted):
        async def handle_call(self, message: Any, caller: PendingCall) -> object:
            monitor = self.monitor(self.system.ref(message))
            if message == "a":
                monitor.cancel()
            return None

    specs = [ChildSpec("w", lambda: Watcher(log)), ChildSpec("a", lambda: Scripted([]))]
    async with open_system(tree(*specs), reports=quiet()) as system:
        await system.ref("w").call("nobody")
        await system.ref("w").call("a")
        system.kill("a")
        await settle()
        downs = [entry[1] for entry in log if entry[0] == "info"]
        assert [(down.ref.name, down.reason) for down in downs] == [("nobody", "noproc")]


async def test_a_down_passes_a_full_mailbox() -> None:
    log: list[Any] = []

    class Watcher(Scripted):
        mailbox_limit = 1

        async def handle_call(self, message: Any, caller: PendingCall) -> object:
            self.monitor(self.system.ref(message))
            return None

    specs = [ChildSpec("w", lambda: Watcher(log)), ChildSpec("a", lambda: Scripted([]))]
    async with open_system(tree(*specs), reports=quiet()) as system:
        await system.ref("w").call("a")
        system.ref("a").watch(lambda _: None)
        assert system.ref("w").cast("fills it")
        system.kill("a")
        await settle()
        assert [entry[1].reason for entry in log if entry[0] == "info"] == ["killed"]


async def test_a_helpers_crash_is_not_blamed_on_the_message_in_work() -> None:
    class Delicate(Scripted):
        poison_limit = 1

        async def handle_cast(self, message: Any) -> None:
            self.log.append(message)
            self.spawn(self.help)
            await trio.sleep_forever()

        async def help(self) -> None:
            raise ValueError("helper")

    log: list[Any] = []
    reports = quiet()
    async with open_system(tree(ChildSpec("a", lambda: Delicate(log))), reports=reports) as system:
        for _ in range(2):
            system.ref("a").cast("innocent")
            await settle()
    assert log.count("innocent") == 2
    assert {report.last_message for report in reports.history} == {None}


async def test_a_message_that_keeps_crashing_its_actor_is_set_aside() -> None:
    class Delicate(Scripted):
        poison_limit = 2

    reports = quiet()
    log: list[Any] = []
    spec = ChildSpec("a", lambda: Delicate(log))
    async with open_system(tree(spec, max_restarts=10), reports=reports) as system:
        a = system.ref("a")
        for _ in range(4):
            a.cast("crash")
            await settle()
        assert log.count("crash") == 2
        assert a.incarnation == 3
        with pytest.raises(PoisonMessage, match="has crashed it 2 times"):
            await a.call("crash")
    assert [report.context for report in reports.history].count("poison") == 3
