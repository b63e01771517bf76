"""Breakers as actors: what they publish, how it survives them, and the manager in front."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked as settle

from providers.failures import Failure
from runtime.outcome import CircuitChanged
from runtime.routing.breaker import ALWAYS, BreakerSettings
from runtime.routing.breaker_actor import Outcome
from runtime.routing.breaker_view import BreakerView
from runtime.routing.manager import (
    CircuitBreakerManager,
    CircuitOpenError,
    UnknownProviderError,
)
from supervision import Actor, ChildSpec, Reports, System, Table, open_system, supervisor
from tests.support.outcomes import attempt

SETTINGS = BreakerSettings(failure_threshold=2, recovery_timeout=10.0, account_recheck=60.0)


class Listener(Actor):
    def __init__(self, heard: list[CircuitChanged]) -> None:
        self.heard = heard

    async def handle_cast(self, message: CircuitChanged) -> None:
        self.heard.append(message)


class House:
    """Two breakers, a manager bound to them, and somebody who hears of changes."""

    def __init__(self, settings: BreakerSettings) -> None:
        self.views: Table[str, BreakerView] = Table()
        self.manager = CircuitBreakerManager(self.views, settings)
        self.heard: list[CircuitChanged] = []
        self.system: System

    async def report(self, *outcomes: object) -> None:
        ref = self.system.ref("breaker:a")
        for outcome in outcomes:
            assert ref.cast(outcome)
        await settle()

    async def kill(self) -> None:
        assert self.system.kill("breaker:a")
        await settle()
        assert self.system.ref("breaker:a").incarnation == 2


@asynccontextmanager
async def opened(settings: BreakerSettings = SETTINGS) -> AsyncIterator[House]:
    house = House(settings)
    root = supervisor(
        "root",
        [
            ChildSpec("telemetry", lambda: Listener(house.heard)),
            house.manager.child_spec({"a": None, "b": None}),
        ],
    )
    async with open_system(root, reports=Reports(log=False)) as system:
        house.system = system
        house.manager.bind(system)
        yield house


async def test_failures_reported_to_the_actor_open_what_askers_see(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened() as house:
        view = house.manager.view("a")
        assert view.acquire(trio.current_time()) is ALWAYS
        await house.report(attempt(kind="connect"), attempt(kind="server_error"))
        assert view.acquire(trio.current_time()) is None
        assert house.manager.get_circuit_state("a").state == "open"
        assert house.manager.get_circuit_state("b").state == "closed"


async def test_what_says_nothing_about_the_upstream_leaves_the_breaker_alone(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened() as house:
        for kind in ("client_error", "content_filter", "rate_limited", "cancelled", "queue_full"):
            await house.report(attempt(kind=kind), attempt(kind=kind))
        status = house.manager.get_circuit_state("a")
        assert (status.state, status.calls) == ("closed", 0)


async def test_an_open_breaker_is_shown_half_open_in_time_though_nobody_asks(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened() as house:
        await house.report(attempt(kind="reset"), attempt(kind="reset"))
        await trio.sleep(10.5)
        assert house.manager.view("a").state == "half_open"
        assert [(each.before, each.after) for each in house.heard] == [
            ("closed", "open"),
            ("open", "half_open"),
        ]
        await house.report(attempt(kind="ok"))
        assert house.heard[-1].after == "closed"
        assert house.heard[-1].provider == "a"


async def test_a_killed_breaker_goes_on_with_what_it_had_published(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened() as house:
        await house.report(attempt(kind="reset"), attempt(kind="reset"))
        until = house.manager.view("a").circuit.until
        await house.kill()
        assert house.manager.view("a").circuit.until == until
        await trio.sleep_until(until + 0.01)
        assert house.manager.view("a").state == "half_open", "the new one has a timer of its own"


async def test_failures_counted_before_a_kill_still_count_after_it(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened() as house:
        await house.report(attempt(kind="reset"))
        await house.kill()
        await house.report(attempt(kind="reset"))
        assert house.manager.get_circuit_state("a").state == "open"


async def test_permits_that_were_out_when_the_breaker_died_are_called_back(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened() as house:
        await house.report(attempt(kind="reset"), attempt(kind="reset"))
        await trio.sleep(10.5)
        view = house.manager.view("a")
        assert view.acquire(trio.current_time()) is not None
        assert view.acquire(trio.current_time()) is None
        await house.kill()
        assert view.acquire(trio.current_time()) is not None


async def test_askers_can_go_on_while_no_breaker_runs(autojump_clock: trio.abc.Clock) -> None:
    async with opened() as house:
        await house.report(attempt(kind="reset"), attempt(kind="reset"))
        await house.system.supervisor("breakers").terminate_child("breaker:a")
        await trio.sleep(10.5)
        view = house.manager.view("a")
        permit = view.acquire(trio.current_time())
        assert permit is not None
        assert view.acquire(trio.current_time()) is None
        permit.release()
        assert view.acquire(trio.current_time()) is not None


async def test_a_refused_account_sets_the_provider_aside_with_an_alert_and_is_rechecked_slowly(
    autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened() as house:
        with caplog.at_level(logging.ERROR, logger="standby.routing"):
            await house.report(attempt(kind="account"))
        assert "a: set aside" in caplog.text
        view = house.manager.view("a")
        longest = []
        for _ in range(6):
            assert view.acquire(trio.current_time()) is None
            wait = view.retry_in(trio.current_time())
            longest.append(wait)
            await trio.sleep(wait + 0.01)
            permit = view.acquire(trio.current_time())
            assert permit is not None
            await house.report(attempt(kind="account"))
            permit.release()
        for wait, whole in zip(longest, (60, 120, 240, 480, 900, 900), strict=True):
            assert whole / 2 <= wait <= whole
        await trio.sleep(901)
        await house.report(attempt(kind="ok"))
        assert view.acquire(trio.current_time()) is ALWAYS
        assert not house.manager.get_circuit_state("a").set_aside


async def test_with_circuit_breaker_counts_failures_and_refuses_once_open(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened() as house:
        manager = house.manager

        async def fails() -> None:
            raise Failure("connect", "a", "refused")

        async def breaks() -> None:
            raise ZeroDivisionError

        async def answers() -> str:
            return "yes"

        assert await manager.with_circuit_breaker("a", answers) == "yes"
        with pytest.raises(Failure):
            await manager.with_circuit_breaker("a", fails)
        with pytest.raises(ZeroDivisionError):
            await manager.with_circuit_breaker("a", breaks)
        await settle()
        with pytest.raises(CircuitOpenError, match="open for another") as caught:
            await manager.with_circuit_breaker("a", answers)
        assert caught.value.provider == "a"
        with pytest.raises(UnknownProviderError, match="'zzz'"):
            await manager.with_circuit_breaker("zzz", answers)


async def test_a_cancelled_probe_gives_its_permit_back(autojump_clock: trio.abc.Clock) -> None:
    async with opened() as house:
        await house.report(attempt(kind="reset"), attempt(kind="reset"))
        await trio.sleep(10.5)
        with trio.move_on_after(1):
            await house.manager.with_circuit_breaker("a", trio.sleep_forever)
        await settle()
        view = house.manager.view("a")
        assert view.state == "half_open"
        assert view.acquire(trio.current_time()) is not None


async def test_a_person_can_hold_a_breaker_open_or_closed_and_reset_it(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened() as house:
        manager = house.manager
        assert (await manager.steer_circuit("a", "force_open")).state == "forced_open"
        assert manager.view("a").acquire(trio.current_time()) is None
        assert manager.view("a").shown(trio.current_time()) == "open"
        assert (await manager.steer_circuit("a", "force_close")).state == "forced_closed"
        await house.report(*(attempt(kind="reset") for _ in range(9)), attempt(kind="account"))
        assert manager.view("a").circuit.acquire(trio.current_time()) is ALWAYS
        assert manager.get_circuit_state("a").set_aside
        status = await manager.reset_circuit("a")
        assert (status.state, status.set_aside, status.calls) == ("closed", False, 0)
        assert (await manager.steer_circuit("b", "disable")).state == "disabled"
        assert {name: each.state for name, each in manager.get_all_states().items()} == {
            "a": "closed",
            "b": "disabled",
        }


async def test_breakers_come_and_go_while_the_system_runs(autojump_clock: trio.abc.Clock) -> None:
    async with opened() as house:
        manager = house.manager
        await manager.register_provider("c", BreakerSettings(failure_threshold=1))
        assert manager.get_circuit_state("c").state == "closed"
        await manager.unregister_provider("c")
        with pytest.raises(UnknownProviderError):
            manager.get_circuit_state("c")
        with pytest.raises(UnknownProviderError):
            await manager.reset_circuit("c")
        await manager.register_provider("c")
        assert set(manager.get_all_states()) == {"a", "b", "c"}


async def test_the_tree_shows_how_a_breaker_stands(autojump_clock: trio.abc.Clock) -> None:
    async with opened() as house:
        await house.report(attempt(kind="reset"), attempt(kind="reset"))
        breakers = house.system.snapshot().children[1]
        shown = breakers.children[0].extra
        assert shown["state"] == "open"
        assert shown["failures"] == 2


SLOW = BreakerSettings(slow_call_threshold=2.0, minimum_calls=3, recovery_timeout=10.0)


async def test_slow_streamed_answers_open_the_breaker_and_plain_ones_do_not(
    autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened(SLOW) as house:
        await house.report(*(attempt(first_token=30.0, duration=30.0) for _ in range(20)))
        assert house.manager.get_circuit_state("a").state == "closed"
        streamed = msgspec.structs.replace(attempt(first_token=3.0), stream=True)
        with caplog.at_level(logging.INFO, logger="standby.routing"):
            await house.report(streamed, streamed, streamed)
        status = house.manager.get_circuit_state("a")
        assert (status.state, status.slow, status.failures) == ("open", 3, 0)
        assert status.reason is not None
        assert "3 of 3 answers" in status.reason
        [line] = caplog.messages
        assert line.startswith(f"a: circuit opened: {status.reason}; probed in ")


async def test_a_call_through_the_manager_is_slow_by_its_whole_duration(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened(SLOW) as house:
        for _ in range(3):
            await house.manager.with_circuit_breaker("a", partial(trio.sleep, 2.5))
        await settle()
        assert house.manager.get_circuit_state("a").state == "open"


async def test_each_change_is_logged_once_however_many_requests_see_it(
    autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with opened() as house:
        with caplog.at_level(logging.INFO, logger="standby.routing"):
            await house.report(*(attempt(kind="reset") for _ in range(30)))
            for _ in range(30):
                assert house.manager.view("a").acquire(trio.current_time()) is None
            await trio.sleep(10.5)
            await house.report(*(attempt(kind="ok") for _ in range(30)))
        opening, half_open, closing = caplog.messages
        assert opening.startswith("a: circuit opened: 2 failures in a row; probed in")
        assert half_open == "a: circuit half-open: the next request probes it"
        assert closing == "a: circuit closed"


async def test_a_streamed_probe_counts_once(autojump_clock: trio.abc.Clock) -> None:
    two = BreakerSettings(failure_threshold=1, recovery_timeout=10.0, half_open_limit=2)
    async with opened(two) as house:
        await house.report(attempt(kind="reset"))
        await trio.sleep(10.5)
        began = trio.current_time()
        await house.report(Outcome("ok", began, 0.2))
        await house.report(msgspec.structs.replace(attempt(started=began), proved=True))
        assert house.manager.get_circuit_state("a").state == "half_open"
        await house.report(attempt(kind="ok", started=began))
        assert house.manager.get_circuit_state("a").state == "closed"


async def test_a_streamed_answer_that_brings_an_account_back_counts_once(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened() as house:
        view = house.manager.view("a")
        await house.report(attempt(kind="account"))
        await trio.sleep(view.retry_in(trio.current_time()))
        began = trio.current_time()
        assert view.acquire(began) is not ALWAYS
        await house.report(Outcome("ok", began, 0.2))  # its first token
        assert view.acquire(began) is ALWAYS
        whole = msgspec.structs.replace(attempt(started=began), proved=True)
        if not view.counts(whole):
            await house.report(whole)
        assert house.manager.get_circuit_state("a").calls == 1


async def test_what_a_person_has_set_outlives_the_breakers_task(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with opened() as house:
        await house.manager.steer_circuit("a", "force_open")
        await house.kill()
        assert house.manager.get_circuit_state("a").state == "forced_open"
        breakers = house.system.snapshot().children[1]
        assert breakers.children[0].extra["reason"] == "held open by hand"
