"""What the failover manager learns from hedged attempts: times, and who took over from whom."""

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from runtime.outcome import Attempt
from runtime.routing.failover import FailoverBoard, FailoverManager
from runtime.routing.hedge_policy import HedgeSettings
from runtime.routing.learned_times import ENOUGH
from runtime.routing.plan import Candidate, Group
from supervision import ChildSpec, Reports, open_system, supervisor
from tests.support.outcomes import attempt

GROUP = Group(name="g", members=(Candidate("a", "m"), Candidate("b", "m")), hedge=HedgeSettings())


async def heard(*attempts: Attempt) -> FailoverBoard:
    board = FailoverBoard()

    def manager() -> FailoverManager:
        return FailoverManager(board, [GROUP], lambda *_: True)

    root = supervisor("root", [ChildSpec("failover", manager)])
    async with open_system(root, reports=Reports(log=False)) as system:
        for each in attempts:
            assert system.ref("failover").cast(each)
        await wait_all_tasks_blocked()
    return board


def delay(board: FailoverBoard, provider: str) -> float | None:
    hedger = board.plans["g"].hedger
    assert hedger is not None
    return hedger.delay(provider, "m", trio.current_time(), stream=False)


async def test_attempts_teach_the_delay_of_their_provider(autojump_clock: MockClock) -> None:
    board = await heard(*[attempt("a", first_token=0.7) for _ in range(ENOUGH)])
    assert delay(board, "a") == pytest.approx(0.7, rel=0.06)
    assert delay(board, "b") is None


async def test_only_a_late_first_leg_says_how_long_an_answer_takes(
    autojump_clock: MockClock,
) -> None:
    def superseded(provider: str, hedge: str) -> Attempt:
        gone = attempt(provider, "cancelled", first_token=None, duration=2.0)
        return msgspec.structs.replace(gone, hedge=hedge, raced="lost")

    board = await heard(
        *[superseded("a", "first") for _ in range(ENOUGH)],
        *[superseded("b", "second") for _ in range(ENOUGH)],
    )
    assert delay(board, "a") == pytest.approx(2.0, rel=0.06)
    assert delay(board, "b") is None


async def test_a_hedge_takes_over_only_from_one_that_failed(autojump_clock: MockClock) -> None:
    second = msgspec.structs.replace(attempt("b", number=2), hedge="second")
    board = await heard(msgspec.structs.replace(second, raced="won"))
    assert board.standings.of(board.plans["g"], 0.0).failovers == 0
    board = await heard(second)
    assert board.standings.of(board.plans["g"], 0.0).failovers == 1
