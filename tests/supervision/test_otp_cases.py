"""Cases of OTP's own list for its supervisor that the other tests here do not cover."""

from __future__ import annotations

import functools
import gc
import itertools
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from supervision import (
    IGNORE,
    Actor,
    AlreadyPresent,
    AlreadyStarted,
    ChildCounts,
    ChildInfo,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    ChildSpec,
    Continue,
    Ignore,
    NoProcess,
    Reports,
    Shutdown,
    SpecError,
    StartFailed,
    SupervisorHandle,
    System,
    dynamic_supervisor,
    open_system,
    supervisor,
)

settle = trio.testing.wait_all_tasks_blocked

STRATEGIES: list[Any] = ["one_for_one", "one_for_all", "rest_for_one"]


class Worker(Actor):
    """Ends as it is told to; before each start it asks ``ready`` how that shall go."""

    def __init__(self, ready: Callable[[], object] = lambda: None) -> None:
        self.ready = ready

    async def init(self) -> Ignore | None:
        answer = self.ready()
        if isinstance(answer, Exception):
            raise answer
        return IGNORE if answer is IGNORE else None

    async def handle_cast(self, message: Any) -> None:
        if isinstance(message, Exception):
            raise message
        self.stop(message)


class Gate:
    """Lets starts through, or makes each of them take 2 s and fail."""

    shut = False

    def worker(self, name: str, **options: Any) -> ChildSpec:
        gate = self

        class Gated(Worker):
            async def init(self) -> None:
                if gate.shut:
                    await trio.sleep(2)
                    raise OSError("not now")

        return ChildSpec(name, Gated, **options)


def quiet() -> Reports:
    return Reports(log=False)


@asynccontextmanager
async def running(*specs: ChildSpec, **options: Any) -> AsyncIterator[tuple[System, Any]]:
    root = supervisor("root", specs, **options)
    async with open_system(root, reports=quiet()) as system:
        yield system, system.supervisor("root")


@asynccontextmanager
async def pool(**options: Any) -> AsyncIterator[tuple[System, SupervisorHandle]]:
    root = supervisor("root", [dynamic_supervisor("pool", **options)])
    async with open_system(root, reports=quiet()) as system:
        yield system, system.supervisor("pool")


async def states(handle: SupervisorHandle) -> list[tuple[str, str]]:
    return [(child.id, child.state) for child in await handle.which_children()]


# ---- starting


async def test_an_ignored_temporary_child_of_the_plan_is_forgotten_an_ignored_other_kept() -> None:
    specs = [
        ChildSpec("a", lambda: Worker(lambda: IGNORE), restart="temporary"),
        ChildSpec("b", lambda: Worker(lambda: IGNORE)),
        ChildSpec("c", Worker, restart="temporary"),
    ]
    async with running(*specs) as (system, root):
        assert await states(root) == [("c", "running"), ("b", "stopped")]
        assert system.names() == ["root", "b", "c"]
        assert await root.count_children() == ChildCounts(2, 1, 0, 2)


@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
async def test_an_ignored_child_of_a_dynamic_supervisor_is_forgotten_whatever_it_is(
    restart: Any,
) -> None:
    ignored = ChildSpec("a", lambda: Worker(lambda: IGNORE), restart=restart)
    # Both orders of the two tasks' next steps occur, by chance.
    for _ in range(20):
        async with pool() as (system, handle):
            assert await handle.start_child(ignored) is None
            await handle.start_child(ChildSpec("b", Worker, restart=restart))
            assert await states(handle) == [("b", "running")]
            assert system.names() == ["root", "pool", "b"]
        assert not [each for each in system.reports.history if each.kind == "crash"]


@pytest.mark.parametrize("restart", ["permanent", "transient"])
async def test_a_dynamic_child_ignored_at_its_second_restart_is_forgotten(restart: Any) -> None:
    answers = [None, None, IGNORE]
    async with pool(max_restarts=10) as (system, handle):
        await handle.start_child(
            ChildSpec("a", lambda: Worker(lambda: answers.pop(0)), restart=restart)
        )
        system.kill("a")
        await settle()
        assert await states(handle) == [("a", "running")]
        system.kill("a")
        await settle()
        assert await states(handle) == []


async def test_a_dynamic_child_that_ends_right_after_its_start_has_been_started() -> None:
    class ShortLived(Actor):
        async def init(self) -> Continue:
            return Continue("end")

        async def handle_continue(self, argument: Any) -> None:
            raise ValueError(argument)

    # Both orders of the two tasks' next steps occur, by chance.
    for _ in range(20):
        async with pool() as (system, handle):
            ref = await handle.start_child(ChildSpec("a", ShortLived, restart="temporary"))
            assert ref is not None
            assert ref.name == "a"
            await settle()
            assert await states(handle) == []
            assert system.ref("pool").incarnation == 1


async def test_a_start_that_fails_under_a_dynamic_supervisor_is_not_kept() -> None:
    async with pool() as (system, handle):
        with pytest.raises(StartFailed, match="OSError: broken"):
            await handle.start_child(ChildSpec("a", lambda: Worker(lambda: OSError("broken"))))
        assert await states(handle) == []
        assert system.names() == ["root", "pool"]


async def test_a_factory_that_raises_or_makes_no_actor_fails_the_start() -> None:
    def broken() -> Actor:
        raise ZeroDivisionError("no factory")

    async with running() as (_, root):
        with pytest.raises(StartFailed, match="ZeroDivisionError: no factory"):
            await root.start_child(ChildSpec("a", broken))
        with pytest.raises(StartFailed, match="'b' failed to start: TypeError"):
            await root.start_child(ChildSpec("b", lambda: "no actor"))
        assert await states(root) == []


async def test_a_failed_start_below_comes_out_of_the_whole_with_its_cause() -> None:
    leaf = ChildSpec("leaf", lambda: Worker(lambda: KeyError("missing")))
    root = supervisor("root", [supervisor("inner", [leaf])])
    with pytest.raises(StartFailed, match=r"'inner' failed.*'leaf' failed.*KeyError: 'missing'"):
        async with open_system(root, reports=quiet()):
            raise AssertionError("it never gets here")


async def test_what_is_no_specification_is_refused_and_hurts_nobody() -> None:
    async with running() as (_, root):
        for wrong in ("hello", None, {"id": "a"}, Worker):
            with pytest.raises(SpecError, match="expected a ChildSpec"):
                await root.start_child(wrong)
        assert await states(root) == []


async def test_a_name_taken_by_a_stranger_refuses_the_start_and_keeps_nothing() -> None:
    inner = supervisor("inner", [ChildSpec("a", Worker)])
    async with running(inner) as (system, root):
        with pytest.raises(AlreadyStarted):
            await root.start_child(ChildSpec("a", Worker))
        assert await states(root) == [("inner", "running")]
        assert system.ref("a").alive


async def test_administrative_calls_to_nobody_say_so() -> None:
    async with running() as (system, _):
        nobody = system.supervisor("nobody")
        for call in (
            nobody.start_child(ChildSpec("a", Worker)),
            nobody.terminate_child("a"),
            nobody.restart_child("a"),
            nobody.delete_child("a"),
            nobody.which_children(),
            nobody.count_children(),
            nobody.which_child("a"),
            nobody.get_childspec("a"),
        ):
            with pytest.raises(NoProcess):
                await call


async def test_a_childs_row_and_its_specification_can_be_asked_for() -> None:
    spec = ChildSpec("a", Worker, shutdown="brutal_kill")
    async with running(spec) as (_, root):
        assert await root.which_child("a") == ChildInfo("a", "running", "worker")
        assert await root.get_childspec("a") is spec
        await root.terminate_child("a")
        assert await root.which_child("a") == ChildInfo("a", "stopped", "worker")
        assert await root.get_childspec("a") is spec
        await root.delete_child("a")
        for call in (root.which_child("a"), root.get_childspec("a")):
            with pytest.raises(ChildNotFound):
                await call


async def test_a_dynamic_childs_row_and_specification_go_with_it() -> None:
    spec = ChildSpec("a", Worker, restart="temporary")
    async with pool() as (_, handle):
        await handle.start_child(spec)
        assert await handle.which_child("a") == ChildInfo("a", "running", "worker")
        assert await handle.get_childspec("a") is spec
        await handle.terminate_child("a")
        for call in (handle.which_child("a"), handle.get_childspec("a")):
            with pytest.raises(ChildNotFound):
                await call


def test_what_a_specification_leaves_out_has_otps_values() -> None:
    worker = ChildSpec("a", Worker)
    assert (worker.restart, worker.shutdown, worker.kind) == ("permanent", 5.0, "actor")
    assert not worker.significant
    nested = supervisor("s", [])
    assert (nested.restart, nested.shutdown, nested.kind) == ("permanent", "infinity", "supervisor")
    assert nested.plan is not None
    assert (nested.plan.max_restarts, nested.plan.max_seconds) == (3, 5.0)
    assert (nested.plan.strategy, nested.plan.auto_shutdown) == ("one_for_one", "never")


@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
@pytest.mark.parametrize("shutdown", [0, 1.5, "infinity", "brutal_kill"])
@pytest.mark.parametrize("auto", ["never", "any_significant", "all_significant"])
@pytest.mark.parametrize("significant", [True, False])
def test_every_combination_of_fields_is_taken_or_refused_by_otps_rule(
    restart: Any, shutdown: Any, auto: Any, significant: bool
) -> None:
    def specify() -> None:
        spec = ChildSpec("a", Worker, restart=restart, shutdown=shutdown, significant=significant)
        supervisor("root", [spec], auto_shutdown=auto)

    if significant and (restart == "permanent" or auto == "never"):
        with pytest.raises(SpecError, match="significant"):
            specify()
    else:
        specify()


def test_unknown_fields_and_a_period_without_end_are_refused() -> None:
    wrong: Any = {"silly": True}
    with pytest.raises(TypeError):
        ChildSpec("a", Worker, **wrong)
    with pytest.raises(TypeError):
        supervisor("root", [], **wrong)
    for options in ({"max_restarts": "infinity"}, {"max_seconds": "infinity"}):
        words: Any = options
        with pytest.raises(SpecError):
            supervisor("root", [], **words)


async def test_auto_shutdown_is_not_for_dynamic_supervisors() -> None:
    wrong: Any = {"auto_shutdown": "any_significant"}
    with pytest.raises(TypeError):
        dynamic_supervisor("pool", **wrong)
    async with pool() as (_, handle):
        significant = ChildSpec("a", Worker, restart="transient", significant=True)
        with pytest.raises(SpecError, match="auto_shutdown of 'pool' is never"):
            await handle.start_child(significant)


# ---- restarts that fail


@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_what_waits_behind_a_failed_restart_is_stopped_and_can_be_handled_meanwhile(
    strategy: Any, autojump_clock: Any
) -> None:
    gate = Gate()
    specs = [ChildSpec("a", Worker), gate.worker("b"), ChildSpec("c", Worker)]
    async with running(*specs, strategy=strategy, max_restarts=8, max_seconds=10) as (system, root):
        gate.shut = True
        system.ref("b").cast(ValueError("crash"))
        await trio.sleep(3)
        alone = strategy == "one_for_one"
        c = "running" if alone else "stopped"
        with pytest.raises(AlreadyPresent):
            await root.start_child(specs[1])
        with pytest.raises(ChildRestarting):
            await root.restart_child("b")
        with pytest.raises(ChildRestarting):
            await root.delete_child("b")
        assert await states(root) == [("c", c), ("b", "restarting"), ("a", "running")]
        assert await root.count_children() == ChildCounts(3, 2 if alone else 1, 0, 3)
        await root.terminate_child("b")
        await trio.sleep(30)
        assert await states(root) == [("c", c), ("b", "stopped"), ("a", "running")]
        gate.shut = False
        await root.restart_child("b")
        assert await root.which_child("b") == ChildInfo("b", "running", "worker")
        gate.shut = True
        system.ref("b").cast(ValueError("crash"))
        await trio.sleep(3)


@pytest.mark.parametrize("strategy", ["rest_for_one", "one_for_all"])
async def test_a_sibling_behind_a_failed_restart_can_be_deleted_and_stays_away(
    strategy: Any, autojump_clock: Any
) -> None:
    gate = Gate()
    specs = [gate.worker("a"), ChildSpec("b", Worker)]
    async with running(*specs, strategy=strategy, max_restarts=8) as (system, root):
        gate.shut = True
        system.ref("a").cast(ValueError("crash"))
        await trio.sleep(3)
        await root.delete_child("b")
        gate.shut = False
        await trio.sleep(3)
        assert await states(root) == [("a", "running")]


async def test_a_dynamic_child_that_cannot_restart_is_counted_and_can_be_given_up(
    autojump_clock: Any,
) -> None:
    gate = Gate()
    async with pool(max_restarts=20, max_seconds=10) as (system, handle):
        for name in "abc":
            await handle.start_child(gate.worker(name, shutdown="brutal_kill"))
        gate.shut = True
        system.ref("a").cast(ValueError("crash"))
        system.ref("b").cast(ValueError("crash"))
        await trio.sleep(5)
        assert await handle.count_children() == ChildCounts(3, 1, 0, 3)
        with pytest.raises(ChildRestarting):
            await handle.restart_child("a")
        with pytest.raises(ChildRunning):
            await handle.delete_child("c")
        await handle.terminate_child("a")
        assert await handle.count_children() == ChildCounts(2, 1, 0, 2)
        gate.shut = False
        await trio.sleep(5)
        assert await handle.count_children() == ChildCounts(2, 2, 0, 2)
        gate.shut = True
        system.ref("c").cast(ValueError("crash"))
        await trio.sleep(3)
        stopped_at = trio.current_time()
    assert trio.current_time() - stopped_at <= 2


async def test_a_restart_loop_keeps_nobody_from_stopping_the_supervisor(
    autojump_clock: Any,
) -> None:
    gate = Gate()
    inner = supervisor("inner", [gate.worker("a")], max_restarts=1000, max_seconds=1)
    async with running(inner) as (system, root):
        gate.shut = True
        system.ref("a").cast(ValueError("crash"))
        await trio.sleep(20)
        asked_at = trio.current_time()
        await root.terminate_child("inner")
        assert trio.current_time() - asked_at <= 2
        assert await states(root) == [("inner", "stopped")]


@pytest.mark.parametrize("strategy", [*STRATEGIES, "dynamic"])
async def test_a_child_that_never_starts_again_takes_its_supervisor_and_siblings_with_it(
    strategy: Any,
) -> None:
    starts: list[str] = []

    def once() -> object:
        starts.append("b")
        return None if len(starts) == 1 else OSError("never again")

    specs = [ChildSpec("a", Worker), ChildSpec("b", lambda: Worker(once)), ChildSpec("c", Worker)]
    options: Any = {"max_restarts": 4, "max_seconds": 3600, "restart": "temporary"}
    dynamic = strategy == "dynamic"
    inner = (
        dynamic_supervisor("s", **options)
        if dynamic
        else supervisor("s", specs, strategy=strategy, **options)
    )
    async with running(inner) as (system, _):
        for spec in specs if dynamic else ():
            await system.supervisor("s").start_child(spec)
        # Under the strategies for groups it is a sibling's crash that makes it start again.
        system.ref("a" if strategy.endswith("all") or strategy.startswith("rest") else "b").cast(
            ValueError("crash")
        )
        await settle()
        assert system.names() == ["root"]
        assert len(starts) == 5
        decisions = [each for each in system.reports.history if each.context == "shutdown"]
        assert [each.name for each in decisions] == ["b"]


# ---- temporary children leave nothing behind


@pytest.mark.parametrize("strategy", [*STRATEGIES, "dynamic"])
@pytest.mark.parametrize("how", ["kill", "normal", "crash", "terminate"])
async def test_nothing_of_an_ended_temporary_child_is_kept(strategy: Any, how: str) -> None:
    class Payload:
        """What a specification's factory holds on to."""

    inner = (
        dynamic_supervisor("s") if strategy == "dynamic" else supervisor("s", [], strategy=strategy)
    )
    async with running(inner) as (system, _):
        handle = system.supervisor("s")
        payload = Payload()
        alive = weakref.ref(payload)

        async def start(what: Payload) -> None:
            await handle.start_child(
                ChildSpec("a", lambda: Worker(lambda: (what, None)[1]), restart="temporary")
            )

        await start(payload)
        del payload
        if how == "kill":
            system.kill("a")
        elif how == "terminate":
            await handle.terminate_child("a")
        else:
            system.ref("a").cast("normal" if how == "normal" else ValueError("crash"))
        await settle()
        gc.collect()
        assert alive() is None
        assert await states(handle) == []
        await handle.start_child(ChildSpec("a", Worker, restart="temporary"))


@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("restart", ["permanent", "transient"])
async def test_specifications_of_others_are_kept_however_they_ended(
    strategy: Any, restart: Any
) -> None:
    spec = ChildSpec("a", Worker, restart=restart)
    async with running(strategy=strategy, max_restarts=10) as (system, root):
        await root.start_child(spec)
        for reason in ("killed", ValueError("crash")):
            system.ref("a").cast(reason)
            await settle()
            with pytest.raises(AlreadyStarted):
                await root.start_child(spec)
        if restart == "transient":
            system.ref("a").cast("normal")
            await settle()
            with pytest.raises(AlreadyPresent):
                await root.start_child(spec)
            await root.restart_child("a")
        await root.terminate_child("a")
        with pytest.raises(AlreadyPresent):
            await root.start_child(spec)
        await root.restart_child("a")


# ---- trees


async def test_a_tree_restarts_as_planned_without_what_was_added_since() -> None:
    first = supervisor("first", [ChildSpec("a", Worker), ChildSpec("b", Worker)])
    second = supervisor("second", [], max_restarts=1)
    third = supervisor("third", [], restart="transient")
    async with running(first, second, third, strategy="one_for_all") as (system, root):
        await root.terminate_child("third")
        assert await root.count_children() == ChildCounts(3, 2, 3, 0)
        handle = system.supervisor("second")
        await handle.start_child(ChildSpec("c", Worker))
        await handle.start_child(ChildSpec("d", Worker))
        system.ref("d").cast(ValueError("crash"))
        await settle()
        assert [system.ref(name).incarnation for name in "abcd"] == [1, 1, 1, 2]
        system.ref("c").cast(ValueError("crash"))
        await settle()
        # Even the one stopped by hand comes back with the others.
        assert await root.count_children() == ChildCounts(3, 3, 3, 0)
        assert await states(handle) == []
        assert [system.ref(name).incarnation for name in "ab"] == [2, 2]
        assert system.names() == ["root", "first", "second", "third", "a", "b"]


async def test_a_supervisor_killed_below_comes_back_with_its_children() -> None:
    inner = supervisor("inner", [ChildSpec("server", Worker)])
    async with running(inner, strategy="one_for_all") as (system, _):
        assert system.kill("inner")
        await settle()
        assert (system.ref("inner").incarnation, system.ref("server").incarnation) == (2, 2)
        system.kill("server")
        await settle()
        system.ref("server").cast("normal")
        await settle()
        await system.supervisor("inner").terminate_child("server")
        await system.supervisor("inner").restart_child("server")
        assert (system.ref("inner").incarnation, system.ref("server").incarnation) == (2, 5)


async def test_children_may_be_supervisors_under_a_dynamic_one() -> None:
    async with pool() as (system, handle):
        for number in range(100):
            spec = supervisor(f"s{number}", [], restart="temporary")
            await handle.start_child(spec)
        assert await handle.count_children() == ChildCounts(100, 100, 100, 0)
        for number in range(100):
            system.kill(f"s{number}")
        await settle()
        assert await handle.count_children() == ChildCounts(0, 0, 0, 0)


async def test_a_thousand_dynamic_children_are_counted_and_listed() -> None:
    async with pool() as (system, handle):
        for number in range(1000):
            await handle.start_child(ChildSpec(f"w{number}", Worker, restart="temporary"))
        assert await handle.count_children() == ChildCounts(1000, 1000, 0, 1000)
        listed = await handle.which_children()
        assert [child.id for child in listed] == [f"w{number}" for number in range(999, -1, -1)]
        for child in listed:
            system.kill(child.id)
        await settle()
        assert await handle.count_children() == ChildCounts(0, 0, 0, 0)


# ---- stopping


class Slow(Actor):
    """Takes a while to terminate."""

    async def terminate(self, reason: Any) -> None:
        await trio.sleep(1)


ENDS: list[Any] = ["normal", "shutdown", Shutdown("test"), "other"]


async def reasons_of_a_stop(root: ChildSpec, fill: Callable[[System], Any]) -> dict[str, object]:
    """Stop a system while its children end by themselves; say how each ended."""
    seen: dict[str, object] = {}

    def note(name: str, reason: object) -> None:
        seen[name] = reason

    reports = quiet()
    async with open_system(root, reports=reports) as system:
        for name in await fill(system):
            system.ref(name).watch(functools.partial(note, name))
    seen["errors"] = sorted(
        f"{each.name}: {each.reason}"
        for each in reports.history
        if each.context == "shutdown_error"
    )
    return seen


async def test_children_may_end_by_themselves_while_their_supervisor_stops(
    autojump_clock: Any,
) -> None:
    names = [
        (f"{restart}-{number}", restart, reason)
        for restart in ("temporary", "transient", "permanent")
        for number, reason in enumerate(ENDS)
    ]

    class Ending(Actor):
        """Ends by itself half a second from now."""

        def __init__(self, reason: Any) -> None:
            self.reason = reason

        async def handle_cast(self, message: Any) -> None:
            self.send_after(0.5, "end")

        async def handle_info(self, message: Any) -> None:
            self.stop(self.reason)

    def ending(reason: Any) -> Callable[[], Ending]:
        return lambda: Ending(reason)

    specs = [ChildSpec(name, ending(reason), restart=kind) for name, kind, reason in names]  # type: ignore[arg-type]  # the words come from a table
    root = supervisor(
        "root",
        [
            ChildSpec("first", Worker, restart="temporary"),
            *specs,
            ChildSpec("last", Slow, restart="temporary", shutdown=2),
        ],
    )

    async def fill(system: System) -> list[str]:
        for name, _, _ in names:
            system.ref(name).cast("soon")
        return ["first", "last", *(name for name, _, _ in names)]

    seen = await reasons_of_a_stop(root, fill)
    errors = seen.pop("errors")
    assert seen == {
        "first": "shutdown",
        "last": "shutdown",
        **{name: reason for name, _, reason in names},
    }
    assert errors == [
        "permanent-0: normal",
        "permanent-2: shutdown: test",
        "permanent-3: other",
        "temporary-3: other",
        "transient-3: other",
    ]


@pytest.mark.parametrize("restart", ["permanent", "transient", "temporary"])
async def test_dynamic_children_may_end_otherwise_than_asked(
    restart: Any, autojump_clock: Any
) -> None:
    class Otherwise(Actor):
        """Answers the request to stop with a reason of its own."""

        def __init__(self, reason: Any) -> None:
            self.reason = reason

        async def terminate(self, reason: Any) -> None:
            self.stop(self.reason)
            if self.reason == "other":
                raise ValueError("other")

    async def fill(system: System) -> list[str]:
        for number, reason in enumerate(ENDS):
            spec = ChildSpec(f"w{number}", lambda r=reason: Otherwise(r), restart=restart)
            await system.supervisor("pool").start_child(spec)
        return [f"w{number}" for number in range(len(ENDS))]

    seen = await reasons_of_a_stop(supervisor("root", [dynamic_supervisor("pool")]), fill)
    assert seen.pop("errors") == ["pool: 1 children ended so: ValueError: other"]
    assert len(seen) == len(ENDS)


async def test_dynamic_children_that_overstay_are_killed_and_the_others_stop_in_order(
    autojump_clock: Any,
) -> None:
    class Asleep(Actor):
        async def handle_cast(self, message: Any) -> None:
            await trio.sleep(200)

    async def fill(system: System) -> list[str]:
        for name in "ab":
            await system.supervisor("pool").start_child(
                ChildSpec(name, Asleep, restart="temporary", shutdown=1)
            )
        system.ref("b").cast("sleep")
        await settle()
        return ["a", "b"]

    seen = await reasons_of_a_stop(supervisor("root", [dynamic_supervisor("pool")]), fill)
    assert (seen["a"], seen["b"]) == ("shutdown", "killed")


async def test_dynamic_children_to_be_killed_brutally_are_no_error(autojump_clock: Any) -> None:
    async def fill(system: System) -> list[str]:
        names = [f"w{number}" for number in range(10)]
        for name in names:
            await system.supervisor("pool").start_child(
                ChildSpec(name, Slow, restart="temporary", shutdown="brutal_kill")
            )
        return names

    seen = await reasons_of_a_stop(supervisor("root", [dynamic_supervisor("pool")]), fill)
    assert seen.pop("errors") == []
    assert set(seen.values()) == {"killed"}


@pytest.mark.parametrize(
    ("restart", "errors"), [("permanent", ["a: normal"]), ("transient", []), ("temporary", [])]
)
async def test_who_has_ended_in_order_before_its_brutal_kill_is_an_error_only_if_permanent(
    restart: Any, errors: list[str]
) -> None:
    async def once() -> None:
        await going.wait()

    going = trio.Event()
    reports = quiet()
    spec = ChildSpec("a", once, "task", restart=restart, shutdown="brutal_kill")
    busy = ChildSpec("b", Slow)
    root = supervisor("root", [spec, busy])
    async with open_system(root, reports=reports) as system, trio.open_nursery() as nursery:
        # The supervisor is busy stopping the other one when this one ends by itself.
        nursery.start_soon(system.stop)
        await settle()
        going.set()
    found = [f"{e.name}: {e.reason}" for e in reports.history if e.context == "shutdown_error"]
    assert found == errors


async def test_a_group_stops_in_reverse_and_starts_in_order_also_at_full_length() -> None:
    log: list[str] = []

    def spec(name: str) -> ChildSpec:
        class Logged(Worker):
            async def init(self) -> None:
                log.append(f"+{name}")

            def cleanup(self) -> None:
                log.append(f"-{name}")

        return ChildSpec(name, Logged)

    async with running(*(spec(name) for name in "abcde"), strategy="rest_for_one") as (system, _):
        system.ref("c").cast(ValueError("crash"))
        await settle()
    starts = [f"+{name}" for name in "abcde"]
    restart = ["-c", "-e", "-d", "+c", "+d", "+e"]
    assert log == [*starts, *restart, *(f"-{name}" for name in "edcba")]


# ---- significant children


RULES: list[Any] = ["never", "any_significant", "all_significant"]


@pytest.mark.parametrize("rule", RULES)
@pytest.mark.parametrize("restart", ["transient", "temporary"])
async def test_children_that_are_not_significant_never_end_their_supervisor(
    rule: Any, restart: Any
) -> None:
    inner = supervisor("inner", [], auto_shutdown=rule, max_restarts=5)
    async with running(inner) as (system, _):
        handle = system.supervisor("inner")
        for how in ("terminate", "kill", "crash", "normal"):
            with_spec = [child.id for child in await handle.which_children()]
            if "a" not in with_spec:
                await handle.start_child(ChildSpec("a", Worker, restart=restart))
            elif not system.ref("a").alive:
                await handle.restart_child("a")
            if how == "terminate":
                await handle.terminate_child("a")
            elif how == "kill":
                system.kill("a")
            else:
                system.ref("a").cast("normal" if how == "normal" else ValueError(how))
            await settle()
            assert system.ref("inner").incarnation == 1
        starts = [e for e in system.reports.history if (e.context, e.name) == ("started", "a")]
        assert len(starts) == 4


@pytest.mark.parametrize("rule", RULES[1:])
@pytest.mark.parametrize("strategy", STRATEGIES)
async def test_a_significant_child_stopped_for_a_siblings_sake_does_not_count(
    strategy: Any, rule: Any
) -> None:
    specs = [
        ChildSpec("a", Worker, restart="transient", significant=True),
        ChildSpec("b", Worker, restart="transient"),
        ChildSpec("c", Worker, restart="transient", significant=True),
    ]
    inner = supervisor("inner", specs, strategy=strategy, auto_shutdown=rule)
    async with running(inner) as (system, _):
        system.kill("b")
        await settle()
        lives = {"one_for_one": [1, 2, 1], "one_for_all": [2, 2, 2], "rest_for_one": [1, 2, 2]}
        assert [system.ref(name).incarnation for name in "abc"] == lives[strategy]
        assert system.ref("inner").incarnation == 1


async def test_an_auto_shutdown_below_is_not_passed_on_by_an_insignificant_supervisor() -> None:
    leaf = ChildSpec("leaf", Worker, restart="transient", significant=True)
    lower = supervisor("lower", [leaf], auto_shutdown="any_significant", restart="transient")
    upper = supervisor("upper", [lower], auto_shutdown="any_significant")
    async with running(upper) as (system, _):
        system.ref("leaf").cast("normal")
        await settle()
        assert not system.ref("lower").alive
        assert (system.ref("upper").alive, system.ref("upper").incarnation) == (True, 1)


async def test_a_significant_child_that_is_restarting_still_counts_as_there(
    autojump_clock: Any,
) -> None:
    gate = Gate()
    specs = [
        gate.worker("a", restart="transient", significant=True),
        ChildSpec("b", Worker, restart="transient", significant=True),
    ]
    inner = supervisor("inner", specs, auto_shutdown="all_significant", max_restarts=8)
    async with running(inner) as (system, _):
        gate.shut = True
        system.ref("a").cast(ValueError("crash"))
        await trio.sleep(1)
        system.ref("b").cast("normal")
        await trio.sleep(2)
        assert await states(system.supervisor("inner")) == [("b", "stopped"), ("a", "restarting")]
        gate.shut = False
        await trio.sleep(3)
        assert system.ref("a").alive
        system.ref("a").cast("normal")
        await settle()
        # It ended in order: as a permanent child of the root it was started again.
        assert system.ref("inner").incarnation == 2


# ---- reports


async def test_progress_and_supervisor_reports_of_a_restart_come_from_its_supervisor() -> None:
    inner = supervisor("inner", [ChildSpec("a", Worker)])
    async with running(inner) as (system, _):
        before = len(system.reports.history)
        system.ref("a").cast("normal")
        await settle()
        new = list(itertools.islice(system.reports.history, before, None))
    facts = [(each.kind, each.context, each.name, each.supervisor) for each in new[:2]]
    assert facts == [
        ("supervisor", "child_terminated", "a", "inner"),
        ("progress", "started", "a", "inner"),
    ]
