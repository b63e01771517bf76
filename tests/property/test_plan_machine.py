"""Whatever happens to the members, every plan names each once, and those who are ready first.

A round robin gives every ready member its exact share, weights their exact shares.
"""

import random
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from runtime.routing.breaker import BreakerSettings
from runtime.routing.breaker_view import BreakerView
from runtime.routing.gate import RateGates
from runtime.routing.plan import (
    PANIC_INTERVAL,
    STRATEGIES,
    Candidate,
    Group,
    Outlook,
    Plan,
    Strategy,
    make_plan,
)
from runtime.routing.readiness import Readiness

NAMES = "abcdef"


def members(names: str) -> tuple[Candidate, ...]:
    return tuple(Candidate(name, f"model-{name}") for name in names)


class Rotation(RuleBasedStateMachine):
    """Members come, go, fail and recover, and the plan is remade, between requests."""

    def __init__(self) -> None:
        super().__init__()
        self.names = "abc"
        self.down: set[str] = set()
        self.plan: Plan = make_plan(self.group(), self.ready)
        self.since_change: Counter[str] = Counter()

    def group(self) -> Group:
        return Group(name="g", members=members(self.names), strategy="round_robin")

    def ready(self, provider: str, now: float) -> bool:
        return provider not in self.down

    @rule(name=st.sampled_from(NAMES), down=st.booleans())
    def goes_up_or_down(self, name: str, down: bool) -> None:
        before = set(self.down)
        if down:
            self.down.add(name)
        else:
            self.down.discard(name)
        if before != self.down:
            self.since_change.clear()

    @rule(names=st.permutations(NAMES).flatmap(lambda p: st.integers(1, 6).map(lambda n: p[:n])))
    def is_remade(self, names: list[str]) -> None:
        same = "".join(names) == self.names
        self.names = "".join(names)
        self.plan = make_plan(self.group(), self.ready, self.plan)
        if not same:
            self.since_change.clear()

    @rule()
    def is_remade_alike(self) -> None:
        """The manager was restarted, or told the same again: nobody loses a turn."""
        self.plan = make_plan(self.group(), self.ready, self.plan)

    @rule(requests=st.integers(1, 9))
    def serve(self, requests: int) -> None:
        for _ in range(requests):
            order = self.plan.order(0.0)
            assert sorted(c.provider for c in order) == sorted(self.names), "each member once"
            up = [name for name in self.names if name not in self.down]
            first = order[0].provider
            assert first in (up or self.names)
            self.since_change[first] += 1

    @invariant()
    def turns_are_shared_exactly(self) -> None:
        up = [name for name in self.names if name not in self.down] or list(self.names)
        turns = [self.since_change[name] for name in up]
        assert max(turns) - min(turns) <= 1


TestRotation = Rotation.TestCase


@given(
    requests=st.lists(st.sampled_from(["openai", "anthropic"]), max_size=80),
    speaks=st.lists(st.sampled_from(["openai", "anthropic"]), min_size=1, max_size=6),
)
def test_parts_of_a_group_that_are_asked_alone_rotate_on_their_own(
    requests: list[str], speaks: list[str]
) -> None:
    names = NAMES[: len(speaks)]
    group = Group(name="g", members=members(names), strategy="round_robin")
    plan = make_plan(group, lambda _provider, _now: True)
    turns: Counter[str] = Counter()
    for dialect in requests:
        part = frozenset(n for n, spoken in zip(names, speaks, strict=True) if spoken == dialect)
        order = plan.within(part).order(0.0)
        assert {candidate.provider for candidate in order} == part
        if order:
            turns[order[0].provider] += 1
    for dialect in ("openai", "anthropic"):
        shares = [turns[n] for n, s in zip(names, speaks, strict=True) if s == dialect]
        assert not shares or max(shares) - min(shares) <= 1


@given(st.permutations(NAMES), st.integers(0, 20), st.integers(0, 5))
def test_when_the_member_whose_turn_it_was_leaves_the_next_of_the_old_order_follows(
    names: list[str], turns: int, gone: int
) -> None:
    text = "".join(names)
    group = Group(name="g", members=members(text), strategy="round_robin")
    plan = make_plan(group, lambda _provider, _now: True)
    for _ in range(turns):
        plan.order(0.0)
    at = turns % len(text)
    leaves = {text[(at + step) % len(text)] for step in range(gone)}
    left = "".join(name for name in text if name not in leaves)
    after = Group(name="g", members=members(left), strategy="round_robin")
    follower = make_plan(after, lambda _provider, _now: True, plan)
    assert follower.order(0.0)[0].provider == text[(at + gone) % len(text)]


class Orders(RuleBasedStateMachine):
    """Real breakers and gates under a plan of any strategy, while members come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0
        self.strategy: Strategy = "priority"
        self.names = "abcd"
        self.twice = ""
        self.views = {
            name: BreakerView(name, BreakerSettings(failure_threshold=1), now=self.now)
            for name in NAMES
        }
        self.gates = RateGates()
        self.health = dict.fromkeys(NAMES, 1.0)
        self.ready = Readiness(self.views, self.gates)
        self.outlook = Outlook(
            health=self.health.__getitem__,
            all_ready=self.ready.all,
            hasten=self.ready.hasten,
            status=self.ready.status,
            fraction=random.Random(1).random,
        )
        self.panicked = -1e9
        self.remake(fresh=True)

    def remake(self, *, fresh: bool = False) -> None:
        candidates = tuple(
            Candidate(name, f"model-{name}", weight=0.7 + at, cost_tier=at % 3 or None)
            for at, name in enumerate(self.names)
        ) + tuple(Candidate(name, "other", weight=40) for name in self.twice if name in self.names)
        group = Group(name="g", members=candidates, strategy=self.strategy)
        before = None if fresh else self.plan
        self.plan: Plan = make_plan(group, self.ready, before, outlook=self.outlook)
        self.plan.prepare(self.now)
        if fresh:
            self.panicked = -1e9

    @rule(strategy=st.sampled_from(list(STRATEGIES)))
    def another_strategy(self, strategy: Strategy) -> None:
        self.strategy = strategy
        self.remake(fresh=True)

    @rule(names=st.permutations(NAMES).flatmap(lambda p: st.integers(1, 6).map(lambda n: p[:n])))
    def other_members(self, names: list[str]) -> None:
        self.names = "".join(names)
        self.remake()

    @rule(names=st.sets(st.sampled_from(NAMES), max_size=2))
    def listed_twice_are(self, names: set[str]) -> None:
        """With another model each."""
        self.twice = "".join(sorted(names))
        self.remake()

    @rule(seconds=st.sampled_from([0.0, 0.5, 4.0, 20.0, 100.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(name=st.sampled_from(NAMES))
    def circuit_opens(self, name: str) -> None:
        self.views[name].circuit.record(failed=True, started=self.now, now=self.now)

    @rule(name=st.sampled_from(NAMES))
    def account_is_refused(self, name: str) -> None:
        self.views[name].account.record(failed=True, started=self.now, now=self.now)

    @rule(name=st.sampled_from(NAMES))
    def is_held_open_by_hand(self, name: str) -> None:
        self.views[name].circuit.fire("force_open", self.now)

    @rule(name=st.sampled_from(NAMES), seconds=st.floats(0.1, 30))
    def is_rate_limited(self, name: str, seconds: float) -> None:
        self.gates.of(name).close_until(self.now + seconds)

    @rule(name=st.sampled_from(NAMES))
    def recovers(self, name: str) -> None:
        self.views[name].circuit.fire("reset", self.now)
        self.views[name].account.fire("reset", self.now)

    @rule(name=st.sampled_from(NAMES), score=st.floats(0, 1))
    def health_changes(self, name: str, score: float) -> None:
        self.health[name] = score

    @rule(name=st.sampled_from(NAMES), seconds=st.floats(0.01, 60), stream=st.booleans())
    def is_measured(self, name: str, seconds: float, stream: bool) -> None:
        row = self.outlook.first_tokens.of(name, f"model-{name}")
        row.count("ok", seconds, seconds, self.now, stream=stream)

    @rule(name=st.sampled_from(NAMES), count=st.integers(0, 5))
    def has_under_way(self, name: str, count: int) -> None:
        self.outlook.loads.of(name).count = count

    @rule(requests=st.integers(1, 5))
    def serve(self, requests: int) -> None:
        for _ in range(requests):
            members = [candidate.provider for candidate in self.plan.candidates]
            could = [name for name in members if self.ready(name, self.now)]
            shown = [place.provider for place in self.plan.standing(self.now)]
            probes = self.plan.cursors.probes
            ordered = list(self.plan.order(self.now))
            order = [candidate.provider for candidate in ordered]
            assert set(ordered) == set(self.plan.candidates), "each member"
            assert sorted(order) == sorted(shown) == sorted(members), "once"
            assert sorted(shown[: len(could)]) == sorted(could)
            if could:
                assert sorted(order[: len(could)]) == sorted(could), "the ready ones come first"
                assert self.plan.cursors.probes == probes
            else:
                self.check_panic(order, probes)

    @invariant()
    def all_are_ready_when_each_is(self) -> None:
        each = all(self.ready(name, self.now) for name in self.names)
        assert self.ready.all(self.names, self.now) == each

    def check_panic(self, order: list[str], probes: int) -> None:
        """Nobody was ready: one may have been let through, if it is time for one."""
        let_through = {name for name in self.names if self.ready(name, self.now)}
        assert self.plan.cursors.probes - probes == len(let_through) <= 1
        for name in let_through:
            assert order[0] == name
            assert self.now >= self.panicked + PANIC_INTERVAL
            assert self.views[name].circuit.state != "forced_open"
            assert self.gates.of(name).opens_in(self.now) == 0
            self.panicked = self.now
        if not let_through and self.now >= self.panicked + PANIC_INTERVAL:
            for name in self.names:
                view = self.views[name]
                kept = view.circuit.state == "forced_open" or self.gates.of(name).opens_in(self.now)
                assert kept or "half_open" in {view.circuit.state, view.account.state}


TestOrders = Orders.TestCase


@given(
    weights=st.lists(
        st.one_of(st.integers(1, 100), st.floats(0.001, 1000)), min_size=1, max_size=6
    ),
    others=st.lists(st.floats(0.001, 1000), min_size=6, max_size=6),
    history=st.lists(st.tuples(st.sets(st.sampled_from(NAMES)), st.integers(1, 40)), max_size=6),
    down=st.sets(st.sampled_from(NAMES)),
    strategy=st.sampled_from(["load_balanced", "cost_optimized"]),
)
def test_whatever_was_before_weights_weigh_from_now_on(
    weights: list[float],
    others: list[float],
    history: list[tuple[set[str], int]],
    down: set[str],
    strategy: Strategy,
) -> None:
    """Members that were away, and other weights, leave nobody more than a few turns to catch up."""
    away: set[str] = set()

    def plan_of(weights: list[float], before: Plan | None = None) -> Plan:
        named = zip(NAMES, weights, strict=False)
        candidates = tuple(Candidate(name, weight=weight) for name, weight in named)
        group = Group(name="g", members=candidates, strategy=strategy)
        return make_plan(group, lambda provider, _now: provider not in away, before)

    plan = plan_of(others)
    for gone, requests in history:
        away.clear()
        away.update(gone)
        for _ in range(requests):
            plan.order(0.0)
    plan = plan_of(weights, plan)
    away.clear()
    away.update(down)
    up = {n: w for n, w in zip(NAMES, weights, strict=False) if n not in down}
    up = up or dict(zip(NAMES, weights, strict=False))
    turns: Counter[str] = Counter()
    for count in range(1, 200):
        turns[plan.order(0.0)[0].provider] += 1
        for name, weight in up.items():
            assert abs(turns[name] - count * weight / sum(up.values())) < len(NAMES)


@given(
    weights=st.lists(st.integers(1, 9), min_size=1, max_size=6),
    remade=st.lists(st.booleans(), min_size=1, max_size=20),
)
def test_weights_are_exact_over_their_sum_also_when_the_manager_restarts(
    weights: list[int], remade: list[bool]
) -> None:
    candidates = tuple(
        Candidate(name, weight=weight) for name, weight in zip(NAMES, weights, strict=False)
    )
    group = Group(name="g", members=candidates, strategy="load_balanced")
    plan = make_plan(group, lambda _provider, _now: True)
    turns: Counter[str] = Counter()
    for at in range(3 * sum(weights)):
        if remade[at % len(remade)]:
            plan = make_plan(group, lambda _provider, _now: True, plan)
        turns[plan.order(0.0)[0].provider] += 1
    assert turns == {candidate.provider: 3 * candidate.weight for candidate in candidates}
