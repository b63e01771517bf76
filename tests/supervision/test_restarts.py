"""Who is restarted, when a supervisor gives up, and how failed restarts are tried again."""

# ruff: noqa: PT012 - what raises is the whole life of the system
from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.lowlevel
import trio.testing

from supervision import (
    Actor,
    Backoff,
    ChildSpec,
    Ignore,
    Reports,
    Shutdown,
    StartFailed,
    System,
    SystemDown,
    open_system,
    supervisor,
)
from supervision.intensity import RestartLog

settle = trio.testing.wait_all_tasks_blocked


class Victim(Actor):
    """Ends in whatever way it is told to."""

    async def handle_cast(self, message: Any) -> None:
        if isinstance(message, Exception):
            raise message
        self.stop(message)


class Recorder(Actor):
    """Writes its starts and stops into a log shared with its siblings."""

    def __init__(self, name: str, log: list[str]) -> None:
        self.name = name
        self.log = log

    async def init(self) -> Ignore | None:
        self.log.append(f"+{self.name}")
        return None

    async def handle_cast(self, message: Any) -> None:
        raise ValueError(message)

    def cleanup(self) -> None:
        self.log.append(f"-{self.name}")


def recorder(name: str, log: list[str], **options: Any) -> ChildSpec:
    return ChildSpec(name, lambda: Recorder(name, log), **options)


def quiet() -> Reports:
    return Reports(log=False)


def state(system: System, name: str) -> str | None:
    node = system.snapshot().find(name)
    return None if node is None else node.state


ORDERLY: list[Any] = ["normal", "shutdown", Shutdown("done")]
DISORDERLY: list[Any] = ["killed", "tired", ValueError("crash")]


@pytest.mark.parametrize("reason", ORDERLY + DISORDERLY)
async def test_a_permanent_child_is_restarted_whatever_the_reason(reason: Any) -> None:
    root = supervisor("root", [ChildSpec("a", Victim)])
    async with open_system(root, reports=quiet()) as system:
        system.ref("a").cast(reason)
        await settle()
        assert (state(system, "a"), system.ref("a").incarnation) == ("running", 2)


@pytest.mark.parametrize("reason", ORDERLY)
async def test_a_transient_child_that_ended_in_order_stays_stopped_and_known(reason: Any) -> None:
    root = supervisor("root", [ChildSpec("a", Victim, restart="transient")])
    async with open_system(root, reports=quiet()) as system:
        system.ref("a").cast(reason)
        await settle()
        assert state(system, "a") == "stopped"


@pytest.mark.parametrize("reason", DISORDERLY)
async def test_a_transient_child_that_did_not_is_restarted(reason: Any) -> None:
    root = supervisor("root", [ChildSpec("a", Victim, restart="transient")])
    async with open_system(root, reports=quiet()) as system:
        system.ref("a").cast(reason)
        await settle()
        assert (state(system, "a"), system.ref("a").incarnation) == ("running", 2)


@pytest.mark.parametrize("reason", ORDERLY + DISORDERLY)
async def test_a_temporary_child_is_forgotten_whatever_the_reason(reason: Any) -> None:
    root = supervisor("root", [ChildSpec("a", Victim, restart="temporary")])
    async with open_system(root, reports=quiet()) as system:
        system.ref("a").cast(reason)
        await settle()
        assert state(system, "a") is None
        assert system.names() == ["root"]


async def test_a_tasks_return_and_crash_count_like_an_actors() -> None:
    runs: list[str] = []

    def task(name: str, error: Exception | None) -> Callable[[], Any]:
        async def run() -> None:
            runs.append(name)
            if error is not None and runs.count(name) == 1:
                raise error
            if error is not None or runs.count(name) > 1:
                await trio.sleep_forever()

        return run

    root = supervisor(
        "root",
        [
            ChildSpec("permanent", task("permanent", None), "task"),
            ChildSpec("crashing", task("crashing", ValueError()), "task", "transient"),
            ChildSpec("returning", task("returning", None), "task", "transient"),
        ],
    )
    async with open_system(root, reports=quiet()) as system:
        await settle()
        assert sorted(runs) == ["crashing", "crashing", "permanent", "permanent", "returning"]
        assert state(system, "returning") == "stopped"


async def test_a_siblings_crash_leaves_the_others_alone_under_one_for_one() -> None:
    log: list[str] = []
    root = supervisor("root", [recorder(name, log) for name in "abc"])
    async with open_system(root, reports=quiet()) as system:
        system.ref("b").cast("crash")
        await settle()
        assert log == ["+a", "+b", "+c", "-b", "+b"]


async def test_one_for_all_stops_all_in_reverse_and_starts_all_in_order() -> None:
    log: list[str] = []
    root = supervisor("root", [recorder(n, log) for n in "abc"], strategy="one_for_all")
    async with open_system(root, reports=quiet()) as system:
        log.clear()
        system.ref("b").cast("crash")
        await settle()
        assert log == ["-b", "-c", "-a", "+a", "+b", "+c"]


async def test_rest_for_one_restarts_those_started_after() -> None:
    log: list[str] = []
    root = supervisor("root", [recorder(n, log) for n in "abcd"], strategy="rest_for_one")
    async with open_system(root, reports=quiet()) as system:
        log.clear()
        system.ref("b").cast("crash")
        await settle()
        assert log == ["-b", "-d", "-c", "+b", "+c", "+d"]


@pytest.mark.parametrize("strategy", ["one_for_all", "rest_for_one"])
async def test_a_temporary_bystander_is_stopped_and_forgotten(strategy: Any) -> None:
    log: list[str] = []
    specs = [recorder("a", log), recorder("b", log, restart="temporary"), recorder("c", log)]
    async with open_system(supervisor("root", specs, strategy=strategy), reports=quiet()) as system:
        log.clear()
        system.ref("a").cast("crash")
        await settle()
        assert log == ["-a", "-c", "-b", "+a", "+c"]
        assert system.names() == ["root", "a", "c"]


async def test_a_temporary_childs_own_crash_restarts_nobody_under_one_for_all() -> None:
    log: list[str] = []
    specs = [recorder("a", log), recorder("b", log, restart="temporary")]
    root = supervisor("root", specs, strategy="one_for_all")
    async with open_system(root, reports=quiet()) as system:
        log.clear()
        system.ref("b").cast("crash")
        await settle()
        assert log == ["-b"]


# ---- intensity


def test_the_log_counts_restarts_within_the_period_including_its_very_edge() -> None:
    log = RestartLog(3, 5)
    assert [log.add(time) for time in (0, 1, 2, 5)] == [True, True, True, False]
    log = RestartLog(3, 5)
    assert [log.add(time) for time in (0, 1, 2, 5.001)] == [True, True, True, True]
    log = RestartLog(1, 1)
    assert all(log.add(time) for time in (0, 2.1, 4.2, 6.3))
    assert not RestartLog(0, 5).add(0)


async def crashes_until_down(times: list[float], max_restarts: int, max_seconds: float) -> int:
    """Crash a child at the given times; say at which crash, from 1, the system went down."""
    root = supervisor(
        "root", [ChildSpec("a", Victim)], max_restarts=max_restarts, max_seconds=max_seconds
    )
    crashes = 0
    start = trio.current_time()
    try:
        async with open_system(root, reports=quiet()) as system:
            for time in times:
                await trio.sleep_until(start + time)
                crashes += 1
                system.ref("a").cast(ValueError("crash"))
                await settle()
            return 0
    except SystemDown:
        return crashes


@pytest.mark.parametrize(
    ("times", "max_restarts", "max_seconds", "down_at"),
    [
        ([0, 1, 2, 5], 3, 5, 4),
        ([0, 1, 2, 5.5], 3, 5, 0),
        ([0, 2.5, 5, 7.5, 10, 12.5], 3, 5, 0),
        ([0, 2.1, 4.2, 6.3], 1, 1, 0),
        ([0], 0, 5, 1),
        ([0, 0, 0, 0], 3, 5, 4),
    ],
)
async def test_a_supervisor_gives_up_exactly_when_the_rule_says(
    times: list[float], max_restarts: int, max_seconds: float, down_at: int, autojump_clock: Any
) -> None:
    assert await crashes_until_down(times, max_restarts, max_seconds) == down_at


async def test_the_log_is_shared_by_all_children() -> None:
    root = supervisor("root", [ChildSpec(name, Victim) for name in "abcd"])
    with pytest.raises(SystemDown, match="more than 3 restarts in 5 s, last of 'd'"):
        async with open_system(root, reports=quiet()) as system:
            for name in "abcd":
                system.ref(name).cast(ValueError())
                await settle()
            await trio.sleep_forever()


async def test_one_crash_is_one_entry_however_many_siblings_restart() -> None:
    log: list[str] = []
    specs = [recorder(n, log) for n in "abcdef"]
    root = supervisor("root", specs, strategy="one_for_all", max_restarts=2)
    async with open_system(root, reports=quiet()) as system:
        for _ in range(2):
            system.ref("c").cast("crash")
            await settle()
        budget = system.snapshot().restart_budget
        assert budget is not None
        assert (budget.used, budget.max) == (2, 2)


async def test_giving_up_stops_the_remaining_children_in_reverse_order() -> None:
    log: list[str] = []
    root = supervisor("root", [recorder(n, log) for n in "abc"], max_restarts=0)
    with pytest.raises(SystemDown):
        async with open_system(root, reports=quiet()) as system:
            log.clear()
            system.ref("b").cast("crash")
            await trio.sleep_forever()
    assert log == ["-b", "-c", "-a"]


async def test_a_permanent_supervisor_that_gave_up_is_restarted_at_its_parents_cost() -> None:
    inner = supervisor("inner", [ChildSpec("a", Victim)], max_restarts=1)
    async with open_system(supervisor("root", [inner]), reports=quiet()) as system:
        for _ in range(2):
            system.ref("a").cast(ValueError())
            await settle()
        assert state(system, "inner") == "running"
        assert system.ref("inner").incarnation == 2
        assert system.ref("a").incarnation == 3
        budget = system.snapshot().restart_budget
        assert budget is not None
        assert budget.used == 1


async def test_a_transient_supervisor_that_gave_up_is_not_restarted() -> None:
    inner = supervisor("inner", [ChildSpec("a", Victim)], max_restarts=0, restart="transient")
    async with open_system(supervisor("root", [inner]), reports=quiet()) as system:
        system.ref("a").cast(ValueError())
        await settle()
        assert state(system, "inner") == "stopped"


# ---- restarts that fail


class Stubborn(Actor):
    """Starts once, then fails as often as the script says."""

    starts = 0

    def __init__(self, failures: list[bool]) -> None:
        self.failures = failures

    async def init(self) -> None:
        if self.failures and self.failures.pop(0):
            raise OSError("not yet")

    async def handle_cast(self, message: Any) -> None:
        raise ValueError(message)


async def test_a_failed_restart_is_tried_again_and_each_attempt_counts() -> None:
    failures = [False, True, True, False]
    root = supervisor("root", [ChildSpec("a", lambda: Stubborn(failures))])
    async with open_system(root, reports=quiet()) as system:
        system.ref("a").cast("crash")
        await settle()
        budget = system.snapshot().restart_budget
        assert budget is not None
        assert (state(system, "a"), budget.used) == ("running", 3)


async def test_a_child_that_never_starts_again_uses_the_budget_up_without_delay() -> None:
    failures = [False, True, True, True, True, True]
    root = supervisor("root", [ChildSpec("a", lambda: Stubborn(failures))])
    start = trio.current_time()
    with pytest.raises(SystemDown):
        async with open_system(root, reports=quiet()) as system:
            system.ref("a").cast("crash")
            await trio.sleep_forever()
    assert len(failures) == 2
    assert trio.current_time() - start < 5


async def test_under_rest_for_one_the_retry_begins_with_the_child_that_failed() -> None:
    log: list[str] = []
    failures = [False, True, False]

    class Second(Recorder):
        async def init(self) -> None:
            log.append("+b")
            if failures.pop(0):
                raise OSError("not yet")

    specs = [recorder("a", log), ChildSpec("b", lambda: Second("b", log)), recorder("c", log)]
    root = supervisor("root", specs, strategy="rest_for_one")
    async with open_system(root, reports=quiet()) as system:
        log.clear()
        system.ref("a").cast("crash")
        await settle()
        assert log == ["-a", "-c", "-b", "+a", "+b", "-b", "+b", "+c"]


async def test_under_one_for_all_a_failed_start_stops_those_already_started_again() -> None:
    log: list[str] = []
    failures = [False, True, False]

    class Second(Recorder):
        async def init(self) -> None:
            log.append("+b")
            if failures.pop(0):
                raise OSError("not yet")

    specs = [recorder("a", log), ChildSpec("b", lambda: Second("b", log)), recorder("c", log)]
    root = supervisor("root", specs, strategy="one_for_all")
    async with open_system(root, reports=quiet()) as system:
        log.clear()
        system.ref("c").cast("crash")
        await settle()
        assert log == ["-c", "-b", "-a", "+a", "+b", "-b", "-a", "+a", "+b", "+c"]


async def test_a_restart_loop_can_be_called_off_and_the_supervisor_stays_up() -> None:
    failures = [False] + [True] * 1000
    root = supervisor("root", [ChildSpec("a", lambda: Stubborn(failures))], max_restarts=900)
    async with open_system(root, reports=quiet()) as system:
        system.ref("a").cast("crash")
        for _ in range(10):
            await trio.lowlevel.checkpoint()
        await system.supervisor("root").terminate_child("a")
        assert state(system, "a") == "stopped"
        assert len(failures) > 900


async def test_a_restart_loop_does_not_stand_in_the_way_of_shutdown() -> None:
    failures = [False] + [True] * 1000
    root = supervisor("root", [ChildSpec("a", lambda: Stubborn(failures))], max_restarts=900)
    async with open_system(root, reports=quiet()) as system:
        system.ref("a").cast("crash")
        for _ in range(10):
            await trio.lowlevel.checkpoint()
    assert len(failures) > 900


async def test_a_failed_start_rolls_back_in_reverse_order_without_a_retry() -> None:
    log: list[str] = []
    failures = [True, False]
    specs = [recorder("a", log), recorder("b", log), ChildSpec("c", lambda: Stubborn(failures))]
    reports = quiet()
    with pytest.raises(StartFailed, match="'c' failed to start: OSError: not yet"):
        async with open_system(supervisor("root", specs), reports=reports):
            pass
    assert log == ["+a", "+b", "-b", "-a"]
    assert failures == [False]
    assert [report.name for report in reports.history if report.context == "start_error"] == ["c"]


async def test_a_start_that_hangs_is_given_up_after_its_timeout(autojump_clock: Any) -> None:
    class Hanging(Actor):
        async def init(self) -> None:
            await trio.sleep_forever()

    root = supervisor("root", [ChildSpec("a", Hanging, start_timeout=7)])
    start = trio.current_time()
    with pytest.raises(StartFailed, match="did not get through its start in 7 s"):
        async with open_system(root, reports=quiet()):
            pass
    assert trio.current_time() - start == pytest.approx(7)


# ---- back-off


def test_backoff_grows_is_capped_and_jitter_takes_a_share_off() -> None:
    plain = Backoff(first=1, factor=2, maximum=10, jitter=0)
    chance = random.Random(1)
    assert [plain.delay(n, chance) for n in (1, 2, 3, 4, 5, 2000)] == [1, 2, 4, 8, 10, 10]
    jittered = Backoff(first=1, factor=2, maximum=10, jitter=0.5)
    delays = [jittered.delay(3, chance) for _ in range(100)]
    assert 2 <= min(delays) < max(delays) <= 4


def test_backoff_after_a_kill_has_a_cap_of_its_own() -> None:
    chance = random.Random(1)
    capped = Backoff(first=1, factor=2, maximum=10, jitter=0, after_kill=3)
    assert [capped.delay(n, chance, killed=True) for n in (1, 2, 3, 4, 5)] == [1, 2, 3, 3, 3]
    assert [capped.delay(n, chance) for n in (1, 2, 3, 4, 5)] == [1, 2, 4, 8, 10]
    uncapped = Backoff(first=1, factor=2, maximum=10, jitter=0)
    assert uncapped.delay(4, chance, killed=True) == 8


async def test_a_killed_child_waits_less_than_one_that_fails_by_itself(
    autojump_clock: Any,
) -> None:
    starts: list[float] = []

    class Timed(Victim):
        async def init(self) -> None:
            await trio.sleep(0.25)
            starts.append(trio.current_time())

    root = supervisor(
        "root",
        [ChildSpec("a", Timed)],
        max_restarts=100,
        backoff=Backoff(first=1, factor=2, maximum=60, jitter=0, healthy_after=30, after_kill=2),
    )
    async with open_system(root, reports=quiet()) as system:
        waits = []
        for how in ("kill", "kill", "kill", "crash", "kill", "kill in its start"):
            before = trio.current_time()
            if how == "crash":
                system.ref("a").cast(ValueError())
            else:
                system.kill("a")
            if how == "kill in its start":
                await trio.sleep(2.1)
                before = trio.current_time()
                assert state(system, "a") == "starting"
                system.kill("a")
            await trio.sleep(20)
            waits.append(starts[-1] - 0.25 - before)
            await trio.lowlevel.checkpoint()
        assert waits == [1, 2, 2, 8, 2, 2]


async def test_backoff_waits_longer_each_time_and_begins_anew_after_a_healthy_period(
    autojump_clock: Any,
) -> None:
    starts: list[float] = []

    class Timed(Victim):
        async def init(self) -> None:
            starts.append(trio.current_time())

    root = supervisor(
        "root",
        [ChildSpec("a", Timed)],
        max_restarts=100,
        backoff=Backoff(first=1, factor=2, maximum=60, jitter=0, healthy_after=30),
    )
    async with open_system(root, reports=quiet()) as system:
        waits = []
        for pause in (0, 0, 0, 31, 0):
            await trio.sleep(pause)
            before = trio.current_time()
            system.ref("a").cast(ValueError())
            await settle()
            assert state(system, "a") == "restarting"
            await trio.sleep(20)
            waits.append(starts[-1] - before)
            # Count from the restart, not from the end of our own wait.
            await trio.lowlevel.checkpoint()
        assert waits == [1, 2, 4, 1, 2]


async def test_during_backoff_admin_calls_work_and_can_call_the_restart_off(
    autojump_clock: Any,
) -> None:
    root = supervisor("root", [ChildSpec("a", Victim)], backoff=Backoff(first=10, jitter=0))
    async with open_system(root, reports=quiet()) as system:
        system.ref("a").cast(ValueError())
        await settle()
        handle = system.supervisor("root")
        assert [child.state for child in await handle.which_children()] == ["restarting"]
        await handle.terminate_child("a")
        await trio.sleep(60)
        assert state(system, "a") == "stopped"
        await handle.restart_child("a")
        assert state(system, "a") == "running"


async def test_during_backoff_a_group_waits_together(autojump_clock: Any) -> None:
    log: list[str] = []
    root = supervisor(
        "root",
        [recorder(n, log) for n in "abc"],
        strategy="rest_for_one",
        backoff=Backoff(first=10, jitter=0),
    )
    async with open_system(root, reports=quiet()) as system:
        log.clear()
        system.ref("b").cast("crash")
        await trio.sleep(5)
        assert log == ["-b", "-c"]
        assert [state(system, name) for name in "abc"] == ["running", "restarting", "restarting"]
        await trio.sleep(6)
        assert log == ["-b", "-c", "+b", "+c"]


async def test_shutdown_during_backoff_starts_nobody(autojump_clock: Any) -> None:
    log: list[str] = []
    root = supervisor("root", [recorder("a", log)], backoff=Backoff(first=10, jitter=0))
    async with open_system(root, reports=quiet()) as system:
        system.ref("a").cast("crash")
        await settle()
    await trio.sleep(60)
    assert log == ["+a", "-a"]


# ---- auto-shutdown


async def auto(rule: Any, *, ends: list[str], reason: Any = "normal") -> str:
    """End significant children in turn; say what became of their supervisor."""
    specs = [
        ChildSpec("s1", Victim, restart="transient", significant=True),
        ChildSpec("s2", Victim, restart="temporary", significant=True),
        ChildSpec("plain", Victim, restart="transient"),
    ]
    inner = supervisor("inner", specs, auto_shutdown=rule, restart="temporary")
    async with open_system(supervisor("root", [inner]), reports=quiet()) as system:
        for name in ends:
            system.ref(name).cast(reason)
            await settle()
        return state(system, "inner") or "gone"


async def test_any_significant_childs_end_ends_the_supervisor() -> None:
    assert await auto("any_significant", ends=["s1"]) == "gone"
    assert await auto("any_significant", ends=["s2"]) == "gone"
    assert await auto("any_significant", ends=["plain"]) == "running"


async def test_all_significant_children_must_have_ended() -> None:
    assert await auto("all_significant", ends=["s1"]) == "running"
    assert await auto("all_significant", ends=["s1", "s2"]) == "gone"


async def test_a_transient_significant_child_that_crashed_is_restarted_and_does_not_count() -> None:
    assert await auto("any_significant", ends=["s1"], reason=ValueError()) == "running"
    assert await auto("any_significant", ends=["s2"], reason=ValueError()) == "gone"


async def test_a_significant_child_stopped_from_outside_does_not_count() -> None:
    specs = [ChildSpec("s", Victim, restart="transient", significant=True)]
    inner = supervisor("inner", specs, auto_shutdown="any_significant")
    async with open_system(supervisor("root", [inner]), reports=quiet()) as system:
        await system.supervisor("inner").terminate_child("s")
        await settle()
        assert (state(system, "inner"), system.ref("inner").incarnation) == ("running", 1)


async def test_auto_shutdown_escalates_through_significant_supervisors() -> None:
    leaf = ChildSpec("leaf", Victim, restart="temporary", significant=True)
    lower = supervisor(
        "lower", [leaf], auto_shutdown="any_significant", restart="transient", significant=True
    )
    upper = supervisor("upper", [lower], auto_shutdown="any_significant", restart="temporary")
    async with open_system(supervisor("root", [upper]), reports=quiet()) as system:
        system.ref("leaf").cast("normal")
        await settle()
        assert system.names() == ["root"]
