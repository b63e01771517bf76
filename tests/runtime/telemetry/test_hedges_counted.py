"""Hedges are counted apart from failures, fail-overs and askers who left."""

import msgspec
import pytest
from trio.testing import MockClock

from providers.wire import Usage
from tests.runtime.telemetry.test_telemetry import counted
from tests.support.outcomes import attempt, finished


async def test_a_hedge_that_won_and_what_it_superseded(autojump_clock: MockClock) -> None:
    late = attempt("a", "cancelled", first_token=None, usage=Usage(300, 1))
    metrics = await counted(
        msgspec.structs.replace(late, hedge="first", raced="lost"),
        msgspec.structs.replace(attempt("b", number=2), hedge="second", raced="won"),
        msgspec.structs.replace(finished(attempts=2), superseded=1),
    )
    assert (metrics.hedges, metrics.hedges_won, metrics.hedges_cancelled) == (1, 1, 1)
    assert (metrics.attempts, metrics.failed_over, metrics.succeeded) == (2, 0, 1)
    a, b = metrics.providers["a"], metrics.providers["b"]
    assert (a.requests, a.failed, a.cancelled, a.hedges_cancelled) == (1, 0, 0, 1)
    assert (a.hedges, a.hedge_tokens.input, a.tokens.input) == (0, 300, 300)
    assert (a.success_rate, a.health_score) == (1.0, 1.0)
    assert (b.hedges, b.hedges_won, b.hedges_cancelled) == (1, 1, 0)
    assert b.hedge_tokens.input == 0


async def test_a_hedge_in_vain(autojump_clock: MockClock) -> None:
    vain = attempt("b", "cancelled", number=2, first_token=None)
    metrics = await counted(
        msgspec.structs.replace(vain, hedge="second", raced="lost"),
        msgspec.structs.replace(attempt("a"), hedge="first", raced="won"),
        msgspec.structs.replace(finished(attempts=2), superseded=1),
    )
    assert (metrics.hedges, metrics.hedges_won, metrics.hedges_cancelled) == (1, 0, 1)


@pytest.mark.parametrize("superseded", [0, 1])
async def test_what_failed_before_makes_a_fail_over_all_the_same(
    superseded: int, autojump_clock: MockClock
) -> None:
    metrics = await counted(msgspec.structs.replace(finished(attempts=3), superseded=superseded))
    assert metrics.failed_over == 1


async def test_an_asker_who_left_during_a_hedge_has_left(autojump_clock: MockClock) -> None:
    left = attempt("a", "cancelled", first_token=None)
    metrics = await counted(msgspec.structs.replace(left, hedge="first"))
    assert (metrics.providers["a"].cancelled, metrics.hedges_cancelled) == (1, 0)
