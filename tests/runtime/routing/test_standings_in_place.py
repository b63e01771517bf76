"""Ordinary successes of a group's members are counted where they are published, by no message."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from runtime.outcome import Attempt
from runtime.routing.failover import FailoverBoard, FailoverManager
from runtime.routing.plan import Candidate, Group
from runtime.routing.standings import GroupStanding
from supervision import Actor, ChildSpec, Ref, Reports, open_system, supervisor
from tests.support.outcomes import attempt

GROUP = Group(name="g", members=(Candidate("a", "m"), Candidate("b", "m")))


class Deaf(Actor):
    """Hears of panic and does nothing about it."""

    async def handle_cast(self, message: object) -> None:
        pass


@asynccontextmanager
async def managed(board: FailoverBoard) -> AsyncIterator[Ref]:
    def manager() -> FailoverManager:
        return FailoverManager(board, [GROUP], lambda *_: True)

    children = [ChildSpec("telemetry", Deaf), ChildSpec("failover", manager)]
    root = supervisor("root", children)
    async with open_system(root, reports=Reports(log=False)) as system:
        yield system.ref("failover")


def standing(board: FailoverBoard) -> GroupStanding:
    return board.standings.of(board.plans["g"], trio.current_time())


async def test_a_success_counts_the_same_in_place_as_by_message(
    autojump_clock: MockClock,
) -> None:
    told, counted = FailoverBoard(), FailoverBoard()
    events = [attempt("a", first_token=0.7), attempt("b", first_token=0.2, number=2)]
    async with managed(told) as manager, managed(counted):
        for each in events:
            assert manager.cast(each)
            assert counted.counts(each)
        await wait_all_tasks_blocked()
        assert standing(counted) == standing(told)
        assert standing(counted).members["b"].took_over == 1
        assert counted.first_tokens["a", "m"].expected(trio.current_time()) == pytest.approx(0.7)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": "server_error"},
        {"kind": "cancelled"},
        {"hedge": "second", "raced": "won"},
        {"group": "nobody's"},
        {"group": None},
    ],
)
async def test_all_else_is_left_to_the_manager(
    autojump_clock: MockClock, change: dict[str, object]
) -> None:
    board = FailoverBoard()
    async with managed(board):
        other: Attempt = msgspec.structs.replace(attempt("a"), **change)
        assert not board.counts(other)
        assert standing(board).members["a"].attempts == 0


async def test_what_a_panic_let_through_is_told_to_the_manager(
    autojump_clock: MockClock,
) -> None:
    board = FailoverBoard()
    async with managed(board) as manager:
        board.plans["g"].cursors.probes += 1
        success = attempt("a")
        assert not board.counts(success), "the manager reports it when it hears of the attempt"
        assert manager.cast(success)
        await wait_all_tasks_blocked()
        assert board.counts(success), "once it is told, successes count at once again"


async def test_what_is_quicker_than_a_chat_is_no_measure_of_one(
    autojump_clock: MockClock,
) -> None:
    board = FailoverBoard()
    async with managed(board) as manager:
        quick = msgspec.structs.replace(attempt("a", first_token=0.001), operation="embeddings")
        assert board.counts(quick)
        assert manager.cast(msgspec.structs.replace(quick, kind="timeout", first_token=None))
        await wait_all_tasks_blocked()
        assert standing(board).members["a"].attempts == 2
        assert board.first_tokens["a", "m"].expected(trio.current_time()) is None
