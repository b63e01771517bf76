"""Successes of a closed circuit are counted where it is published, all else by the actor."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import trio
from trio.testing import wait_all_tasks_blocked as settle

from runtime.outcome import Attempt, AttemptKind, CircuitChanged
from runtime.routing.breaker import BreakerSettings
from runtime.routing.means import Means
from tests.runtime.routing.rig import Rig, one
from tests.support.outcomes import attempt


class Told:
    """One provider with a breaker, and what tells it of attempts."""

    def __init__(self, made: Rig) -> None:
        self.rig = made
        self.view = made.views["a"]
        self._means = Means(
            upstreams=made.upstreams,
            breakers=made.views,
            budget=made.budget,
            telemetry=made.system.ref("telemetry"),
            failover=made.system.ref("failover"),
        )

    def tell(self, *kinds: AttemptKind) -> None:
        for kind in kinds:
            self.hear(attempt(kind=kind, duration=0.0))

    def hear(self, told: Attempt) -> None:
        self._means.tell(self.rig.upstreams["a"], told)

    @property
    def state(self) -> str:
        return self.view.state

    @property
    def calls(self) -> int:
        return self.view.status(trio.current_time()).calls


@asynccontextmanager
async def told(folder: Path, **settings: object) -> AsyncIterator[Told]:
    async with one(folder, breaker=BreakerSettings(**settings)) as made:  # type: ignore[arg-type]  # a test's own
        yield Told(made)


async def test_a_success_of_a_closed_circuit_counts_at_once_and_without_an_actor(
    tmp_path: Path,
) -> None:
    async with told(tmp_path) as one_told:
        one_told.tell("ok", "ok")
        assert one_told.calls == 2
        await settle()
        assert one_told.calls == 2  # and nobody counts it again
        one_told.rig.system.ref("breaker:a").kill()
        one_told.tell("ok")
        assert one_told.calls == 3


async def test_a_success_told_after_a_failure_does_not_overtake_it(
    autojump_clock: trio.abc.Clock, tmp_path: Path
) -> None:
    async with told(tmp_path, failure_threshold=2) as one_told:
        one_told.tell("server_error", "ok")
        await settle()
        await trio.sleep(2)  # the next is no failure of the same event
        one_told.tell("connect")
        await settle()
        assert one_told.state == "closed"  # the success came between the two
        assert one_told.calls == 3


async def test_once_the_breaker_has_heard_of_all_failures_successes_count_at_once_again(
    tmp_path: Path,
) -> None:
    async with told(tmp_path) as one_told:
        one_told.tell("server_error", "ok")
        assert one_told.calls == 0
        await settle()
        assert one_told.calls == 2
        one_told.tell("ok")
        assert one_told.calls == 3


async def test_failures_that_died_with_the_breaker_keep_no_success_waiting(tmp_path: Path) -> None:
    async with told(tmp_path) as one_told:
        for _ in range(1000):  # more than it hears in one go
            one_told.tell("client_error")
        one_told.rig.system.ref("breaker:a").kill()
        await settle()
        before = one_told.calls
        one_told.tell("ok")
        assert one_told.calls == before + 1


async def test_the_success_that_ends_a_half_open_circuit_is_the_actors(
    autojump_clock: trio.abc.Clock, tmp_path: Path
) -> None:
    async with told(tmp_path, failure_threshold=1, recovery_timeout=10.0) as one_told:
        one_told.tell("server_error")
        await settle()
        await trio.sleep(11)
        assert one_told.view.acquire(trio.current_time()) is not None
        one_told.tell("ok")
        assert one_told.state == "half_open"
        await settle()
        assert one_told.state == "closed"


async def test_slow_answers_open_the_circuit_however_quick_ones_are_counted(tmp_path: Path) -> None:
    limits = {"slow_call_threshold": 1.0, "minimum_calls": 4, "slow_call_rate": 0.5}
    async with told(tmp_path, **limits) as one_told:
        for seconds in (0.5, 3.0, 0.5, 3.0):
            streamed = msgspec.structs.replace(
                attempt(duration=0.0), stream=True, first_token=seconds
            )
            one_told.hear(streamed)
            await settle()
        changes = [each for each in one_told.rig.heard if isinstance(each, CircuitChanged)]
        assert [each.after for each in changes] == ["open"]
