"""A message that crashes one of the daemon's own actors does so three times at most."""

from collections.abc import Callable

import pytest
import trio
from trio.testing import wait_all_tasks_blocked as settle

from runtime.routing.breaker import BreakerSettings
from runtime.routing.breaker_actor import Breaker
from runtime.routing.breaker_view import BreakerView
from runtime.routing.failover import FailoverBoard, FailoverManager
from runtime.telemetry import Telemetry, TelemetryBoard
from supervision import Actor, ChildSpec, Reports, Table, open_system, supervisor


def telemetry() -> Callable[[], Actor]:
    board = TelemetryBoard()
    return lambda: Telemetry(board)


def breaker() -> Callable[[], Actor]:
    views: Table[str, BreakerView] = Table()
    return lambda: Breaker("a", BreakerSettings(), views, owner="root")


def failover() -> Callable[[], Actor]:
    board = FailoverBoard()
    return lambda: FailoverManager(board, (), lambda _provider, _now: True)


@pytest.mark.parametrize("factory", [telemetry, breaker, failover])
async def test_a_message_that_crashed_an_actor_three_times_is_set_aside_the_fourth_time(
    factory: Callable[[], Callable[[], Actor]], autojump_clock: trio.abc.Clock
) -> None:
    root = supervisor("root", [ChildSpec("part", factory())], max_restarts=100)
    reports = Reports(log=False)
    async with open_system(root, reports=reports) as system:
        for _ in range(5):
            assert system.ref("part").cast("what is this?")
            await settle()
        assert system.ref("part").incarnation == 4
    assert [report.context for report in reports.history].count("poison") == 2
