"""When a request is hedged: the learned delay, its bounds, and the budget."""

import pytest

from runtime.routing.first_token import FirstToken, FirstTokens
from runtime.routing.hedge_policy import Hedger, HedgeSettings
from runtime.routing.learned_times import ENOUGH, LearnedTimes
from runtime.routing.plan import Candidate, Group, make_plan

MEMBERS = (Candidate("a", "m"), Candidate("b", "m"))


def group(hedge: HedgeSettings | None) -> Group:
    return Group(name="g", members=MEMBERS, hedge=hedge)


def known(*seconds: float, stream: bool = True) -> FirstTokens:
    first_tokens = FirstTokens()
    row = first_tokens.of("a", "m")
    row.learn()
    for each in seconds:
        row.count("ok", each, each, 0.0, stream=stream)
    return first_tokens


def delay(by: Hedger, *, now: float = 0.0, stream: bool = True) -> float | None:
    return by.delay("a", "m", now, stream=stream)


def test_the_delay_is_the_learned_percentile() -> None:
    by = Hedger(HedgeSettings(), known(*[0.5] * 96, *[9.0] * 4))
    assert delay(by) == pytest.approx(0.5, rel=0.06)
    late = Hedger(HedgeSettings(percentile=0.99), known(*[0.5] * 96, *[9.0] * 4))
    assert delay(late) == pytest.approx(9.0, rel=0.06)


def test_plain_and_streamed_answers_are_learned_apart() -> None:
    by = Hedger(HedgeSettings(), known(*[0.5] * 50, stream=False))
    assert delay(by, stream=False) == pytest.approx(0.5, rel=0.06)
    assert delay(by, stream=True) is None


def test_there_is_no_delay_before_enough_is_known_but_the_longest() -> None:
    few = known(*[0.5] * (ENOUGH - 1))
    assert delay(Hedger(HedgeSettings(), few)) is None
    assert delay(Hedger(HedgeSettings(maximum_delay=4.0), few)) == 4.0
    few["a", "m"].count("ok", 0.5, 0.5, 0.0, stream=True)
    assert delay(Hedger(HedgeSettings(), few)) == pytest.approx(0.5, rel=0.06)


def test_the_delay_keeps_to_its_bounds() -> None:
    assert delay(Hedger(HedgeSettings(minimum_delay=0.3), known(*[0.01] * 50))) == 0.3
    assert delay(Hedger(HedgeSettings(maximum_delay=2.0), known(*[8.0] * 50))) == 2.0


def test_a_provider_that_is_no_member_is_unknown() -> None:
    by = Hedger(HedgeSettings(), known(*[0.5] * 50))
    assert by.delay("z", "m", 0.0, stream=True) is None


def test_a_quantile_stands_for_a_second() -> None:
    times = LearnedTimes()
    for _ in range(ENOUGH):
        times.add(1.0, 0.0)
    before = times.within(0.5, 0.0)
    for _ in range(10 * ENOUGH):
        times.add(10.0, 0.5)
    assert times.within(0.5, 0.9) == before
    assert times.within(0.5, 1.0) == pytest.approx(10.0, rel=0.06)


def test_late_ones_that_were_given_up_count_as_long_as_they_were_waited_for() -> None:
    """Otherwise those that were hedged would be missing, and the delay would shrink for ever."""
    row = FirstToken()
    row.learn()
    for _ in range(90):
        row.count("ok", 0.5, 1.0, 0.0, stream=True)
    for _ in range(10):
        row.count("cancelled", None, 3.0, 0.0, stream=True, late=True)
    assert row.within(0.95, 0.0, stream=True) == pytest.approx(3.0, rel=0.06)


@pytest.mark.parametrize(
    ("kind", "counts"),
    [("first_token_timeout", True), ("stall", True), ("cancelled", False), ("reset", False)],
)
def test_of_other_ends_only_those_count_that_had_all_their_time(kind: str, counts: bool) -> None:
    row = FirstToken()
    row.learn()
    for _ in range(ENOUGH):
        row.count(kind, None, 3.0, 0.0, stream=True)  # type: ignore[arg-type]  # the parameters are kinds
    assert (row.within(0.5, 0.0, stream=True) is not None) == counts


def test_nothing_is_kept_where_nobody_hedges() -> None:
    first_tokens = FirstTokens()
    row = first_tokens.of("a", "m")
    for _ in range(50):
        row.count("ok", 0.5, 0.5, 0.0, stream=True)
    assert row.within(0.95, 0.0, stream=True) is None
    assert make_plan(group(None), lambda *_: True).hedger is None


def test_the_budget_is_a_share_of_the_requests_without_a_floor() -> None:
    by = Hedger(HedgeSettings(budget_percent=5), FirstTokens())
    made = 0
    for _ in range(100):
        by.deposit(0.0)
        if by.affords(0.0):
            assert by.withdraw(0.0)
            made += 1
    assert made == 5
    assert not by.affords(1000.0)


def test_the_budget_goes_on_when_a_plan_is_remade_and_anew_when_the_share_changes() -> None:
    first = make_plan(group(HedgeSettings()), lambda *_: True)
    assert first.hedger is not None
    for _ in range(20):
        first.hedger.deposit(0.0)
    again = make_plan(group(HedgeSettings(percentile=0.9)), lambda *_: True, first)
    assert again.hedger is not None
    assert again.hedger.affords(0.0)
    other = make_plan(group(HedgeSettings(budget_percent=50)), lambda *_: True, again)
    assert other.hedger is not None
    assert not other.hedger.affords(0.0)
    assert make_plan(group(None), lambda *_: True, other).hedger is None


@pytest.mark.parametrize(
    "mistake",
    [
        {"percentile": 0.0},
        {"percentile": 1.0},
        {"minimum_delay": -1.0},
        {"minimum_delay": 2.0, "maximum_delay": 1.0},
        {"maximum_delay": float("inf")},
        {"budget_percent": 0.0},
        {"budget_percent": 101.0},
    ],
)
def test_settings_that_make_no_sense_are_refused(mistake: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        HedgeSettings(**mistake)
