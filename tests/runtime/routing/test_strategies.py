"""What each strategy goes by, member by member."""

import random
from collections import Counter
from collections.abc import Sequence

import msgspec
import pytest

from runtime.routing.plan import STRATEGIES, Candidate, Group, Outlook, Plan, Strategy, make_plan


class Scene:
    """A plan, and all that it looks at, to be set by the test."""

    def __init__(self, strategy: Strategy, *members: Candidate, **options: float) -> None:
        self.down: set[str] = set()
        self.health: dict[str, float] = {}
        self.outlook = Outlook(
            health=lambda provider: self.health.get(provider, 1.0), fraction=random.Random(7).random
        )
        self.group = Group(name="g", members=members, strategy=strategy, **options)  # type: ignore[arg-type]  # options are numbers
        self.plan = self.remade()

    def remade(self, before: Plan | None = None, now: float = 0.0) -> Plan:
        self.plan = make_plan(
            self.group, lambda name, _now: name not in self.down, before, outlook=self.outlook
        )
        self.plan.prepare(now)
        return self.plan

    def takes(self, name: str, seconds: float, now: float = 0.0) -> None:
        """A streamed answer of a member brought its first token after so long."""
        row = self.outlook.first_tokens.of(name, None)
        row.count("ok", seconds, seconds, now, stream=True)

    def under_way(self, name: str, count: int) -> None:
        self.outlook.loads.of(name).count = count

    def order(self, now: float = 0.0) -> str:
        return "".join(each.provider for each in self.plan.order(now))

    def firsts(self, count: int, now: float = 0.0) -> str:
        return "".join(self.order(now)[0] for _ in range(count))


def weighted(**weights: float) -> Sequence[Candidate]:
    return [Candidate(name, weight=weight) for name, weight in weights.items()]


A, B, C = Candidate("a"), Candidate("b"), Candidate("c")


def test_weights_are_exact_over_every_sum_of_them_and_evenly_spread() -> None:
    scene = Scene("load_balanced", *weighted(a=5, b=1, c=1))
    assert scene.firsts(7) == "aabacaa"
    turns = scene.firsts(700)
    for start in range(0, 700, 7):
        assert Counter(turns[start : start + 7]) == {"a": 5, "b": 1, "c": 1}


def test_weights_of_those_who_are_ready_are_exact_among_themselves() -> None:
    scene = Scene("load_balanced", *weighted(a=5, b=2, c=1))
    scene.down = {"a"}
    assert Counter(scene.firsts(30)) == {"b": 20, "c": 10}
    scene.down = set()
    assert Counter(scene.firsts(80)) == {"a": 50, "b": 20, "c": 10}


def test_turns_owed_by_other_weights_are_owed_as_turns_not_as_weights() -> None:
    scene = Scene("load_balanced", *weighted(a=500, b=500))
    scene.firsts(7)
    scene.group = msgspec.structs.replace(scene.group, members=tuple(weighted(a=1, b=1)))
    scene.remade(scene.plan)
    assert Counter(scene.firsts(20)) == {"a": 10, "b": 10}


@pytest.mark.parametrize("requests", range(0, 120, 10))
def test_when_the_heavy_ones_go_the_light_ones_share_by_their_weights_at_once(
    requests: int,
) -> None:
    scene = Scene("load_balanced", *weighted(a=98, b=1, c=1))
    scene.firsts(requests)
    scene.down = {"a"}
    turns = Counter(scene.firsts(20))
    assert abs(turns["b"] - turns["c"]) <= 2


def test_those_to_follow_are_drawn_by_weight() -> None:
    scene = Scene("load_balanced", *weighted(a=100, b=6, c=3, d=1))
    seconds = Counter(
        order[1] for order in (scene.order() for _ in range(8_000)) if order[0] == "a"
    )
    total = sum(seconds.values())
    for name, share in (("b", 0.6), ("c", 0.3), ("d", 0.1)):
        assert seconds[name] / total == pytest.approx(share, abs=0.02)


def test_of_two_to_follow_the_heavier_comes_first_as_often_as_it_weighs() -> None:
    scene = Scene("load_balanced", *weighted(a=100, b=3, c=1))
    seconds = Counter(
        order[1] for order in (scene.order() for _ in range(8_000)) if order[0] == "a"
    )
    assert seconds["b"] / seconds.total() == pytest.approx(0.75, abs=0.02)


def test_the_fastest_comes_first_and_a_peak_changes_that_at_once() -> None:
    scene = Scene("fastest_first", A, B, C)
    for name, seconds in (("a", 0.9), ("b", 0.3), ("c", 0.6)):
        scene.takes(name, seconds)
    assert scene.order() == "bca"
    scene.takes("b", 5.0, now=1.0)
    assert scene.order(1.0) == "cab"


def test_unmeasured_members_are_measured_first_one_request_at_a_time() -> None:
    scene = Scene("fastest_first", A, B, C)
    scene.takes("a", 0.1)
    assert scene.order() == "bca"
    scene.under_way("b", 1)
    assert scene.order() == "cab"
    scene.under_way("c", 1)
    assert scene.order() == "abc"


@pytest.mark.parametrize("strategy", ["fastest_first", "adaptive"])
def test_one_request_of_twenty_looks_at_a_member_that_was_not_measured_lately(
    strategy: Strategy,
) -> None:
    scene = Scene(strategy, A, B, rebalance_interval=10.0)
    scene.takes("a", 0.1, now=0.0)
    scene.takes("b", 9.0, now=0.0)
    scene.remade(scene.plan, now=5.0)
    assert scene.firsts(100, now=5.0) == "a" * 100, "both were measured lately"
    scene.takes("a", 0.1, now=12.0)
    scene.remade(scene.plan, now=15.0)
    assert scene.firsts(40, now=15.0) == "b" + "a" * 39, "one look a rebalancing is enough"
    scene.takes("a", 0.1, now=20.0)
    scene.remade(scene.plan, now=25.0)
    scene.under_way("b", 1)
    assert scene.firsts(40, now=25.0) == "a" * 40, "the look before is still under way"
    scene.under_way("b", 0)
    scene.takes("b", 0.01, now=3000.0)
    assert scene.order(3000.0) == "ba", "and one that got better is seen"


def test_the_healthiest_comes_first_and_those_below_the_threshold_last() -> None:
    scene = Scene("health_aware", A, B, C, health_threshold=0.6)
    assert scene.order() == "abc"
    scene.health = {"a": 0.55, "b": 0.7, "c": 0.9}
    assert scene.order() == "abc", "the order stands until the next rebalancing"
    scene.remade(scene.plan)
    assert scene.order() == "cba"
    scene.health = {"a": 0.999, "b": 1.0, "c": 0.99}
    scene.remade(scene.plan)
    assert scene.order() == "abc", "trembling scores change no order"
    scene.health = {"a": 0.59, "b": 0.1, "c": 0.6}
    scene.remade(scene.plan)
    assert scene.order() == "cab"
    assert scene.plan.within(frozenset("ab")).order(0.0) == (A, B)
    scene.health = {"b": 1.0, "a": 0.2}
    assert scene.plan.within(frozenset("bc")).order(0.0) == (C, B), "a part goes by the same scores"


def test_a_member_below_the_threshold_still_comes_before_one_that_is_not_ready() -> None:
    scene = Scene("health_aware", A, B, C)
    scene.health = {"a": 0.9, "b": 0.1, "c": 0.8}
    scene.remade(scene.plan)
    scene.down = {"a"}
    assert scene.order() == "cba"


def test_the_cheapest_tier_shares_by_weight_and_unknown_cost_comes_last() -> None:
    scene = Scene(
        "cost_optimized",
        Candidate("u"),
        Candidate("x", cost_tier=2),
        Candidate("a", cost_tier=1, weight=3),
        Candidate("b", cost_tier=1),
    )
    orders = [scene.order() for _ in range(400)]
    assert Counter(order[0] for order in orders) == {"a": 300, "b": 100}
    assert {order[2:] for order in orders} == {"xu"}
    scene.down = {"a", "b"}
    assert scene.order()[:2] == "xu"


def test_adaptive_takes_the_less_loaded_of_two() -> None:
    scene = Scene("adaptive", A, B)
    scene.takes("a", 0.2)
    scene.takes("b", 0.5)
    assert scene.order() == "ab"
    scene.under_way("a", 2)
    assert scene.order() == "ba", "0.2 s * 3 is more than 0.5 s * 1"
    scene.under_way("b", 1)
    assert scene.order() == "ab"


@pytest.mark.parametrize("all_measured", [False, True])
def test_adaptive_never_takes_the_more_loaded_of_two(all_measured: bool) -> None:
    scene = Scene("adaptive", A, B)
    for busy, free in ("ab", "ba"):
        scene.takes(busy, 0.1)
        scene.takes(free, 0.3)
        if all_measured:
            scene.remade(scene.plan)
        scene.under_way(busy, 5)
        scene.under_way(free, 0)
        assert scene.firsts(200) == free * 200, "0.1 s * 6 is more than 0.3 s * 1"
        scene = Scene("adaptive", A, B)


def test_adaptive_looks_at_nobody_of_a_dearer_tier() -> None:
    scene = Scene(
        "adaptive", Candidate("a", cost_tier=1), Candidate("x", cost_tier=2), rebalance_interval=10
    )
    scene.takes("a", 0.1, now=12.0)
    scene.remade(scene.plan, now=15.0)
    assert scene.firsts(60, now=15.0) == "a" * 60


def test_adaptive_ranks_those_to_follow_by_their_load_when_they_are_looked_for() -> None:
    scene = Scene("adaptive", A, B, C)
    for name, seconds in (("a", 0.1), ("b", 0.2), ("c", 0.3)):
        scene.takes(name, seconds)
    scene.remade(scene.plan)  # all of them are measured: nobody needs a look
    order = scene.plan.order(0.0)
    first = next(iter(order))
    others = {"a": "bc", "b": "ac"}[first.provider]
    scene.under_way(others[0], 9)
    assert [each.provider for each in order] == [first.provider, others[1], others[0]]
    assert len(order) == 3
    assert order[0] is first
    assert list(order[:1]) == [first]
    assert list(order) == [order[0], order[1], order[2]]


@pytest.mark.parametrize("all_measured", [False, True])
def test_adaptive_draws_two_of_many_so_that_not_all_rush_to_the_best(all_measured: bool) -> None:
    names = "abcd"
    scene = Scene("adaptive", *(Candidate(name) for name in names))
    for rank, name in enumerate(names):
        scene.takes(name, 1.0 + rank)
    if all_measured:
        scene.remade(scene.plan)  # until then some are to be looked at
    firsts = Counter(scene.firsts(6_000))
    # Of the six pairs the best is in three, the second in two, the third in one, the worst in none.
    for name, pairs in zip(names, (3, 2, 1, 0), strict=True):
        assert firsts[name] / 6_000 == pytest.approx(pairs / 6, abs=0.03)
    assert {order[1:] for order in (scene.order() for _ in range(50)) if order[0] == "b"} == {"acd"}


def test_adaptive_asks_the_cheaper_tier_however_loaded_it_is() -> None:
    scene = Scene(
        "adaptive", Candidate("x"), Candidate("a", cost_tier=1), Candidate("y", cost_tier=2)
    )
    for name, seconds in (("a", 30.0), ("x", 0.1), ("y", 0.1)):
        scene.takes(name, seconds)
    scene.under_way("a", 50)
    assert scene.order() == "ayx"
    scene.down = {"a"}
    assert scene.order() == "yxa"


@pytest.mark.parametrize("strategy", list(STRATEGIES))
def test_the_standing_tells_order_and_reasons_and_uses_up_no_turn(strategy: Strategy) -> None:
    scene = Scene(
        strategy, Candidate("a", weight=2, cost_tier=1), Candidate("b", "m", cost_tier=1), C
    )
    scene.takes("a", 0.25)
    scene.under_way("c", 3)
    scene.down = {"a"}
    before = scene.plan.standing(0.0)
    assert before == scene.plan.standing(0.0)
    assert sorted(place.provider for place in before) == ["a", "b", "c"]
    last = before[-1]
    assert (last.provider, last.status, last.first_token) == ("a", "not_ready", 0.25)
    assert (last.weight, last.cost_tier) == (2, 1)
    assert {place.provider: place.in_flight for place in before} == {"a": 0, "b": 0, "c": 3}
    if strategy not in {"adaptive", "load_balanced", "cost_optimized"}:
        assert [place.provider for place in before] == list(scene.order())


@pytest.mark.parametrize("strategy", ["round_robin", "load_balanced", "cost_optimized"])
def test_the_standing_names_whose_turn_is_next(strategy: Strategy) -> None:
    scene = Scene(strategy, *weighted(a=5, b=2, c=1))
    for _ in range(50):
        upcoming = scene.plan.standing(0.0)[0].provider
        assert scene.order()[0] == upcoming


def test_that_all_were_told_to_wait_is_no_panic_and_one_open_circuit_among_them_is() -> None:
    why = {"a": "rate_limited", "b": "rate_limited"}
    scene = Scene("priority", A, B)
    scene.down = {"a", "b"}
    outlook = Outlook(status=lambda provider, _now: why[provider])
    plan = make_plan(scene.group, lambda _provider, _now: False, outlook=outlook)
    assert not plan.panics(0.0)
    why["b"] = "open"
    assert plan.panics(0.0)


def test_an_empty_part_has_no_order() -> None:
    for strategy in STRATEGIES:
        plan = Scene(strategy, A, B).plan.within(frozenset())
        assert list(plan.order(0.0)) == []
        assert not plan.panics(0.0)
