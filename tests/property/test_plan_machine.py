"""A round robin gives every ready member its exact share, whatever happens to the others."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from runtime.routing.plan import Candidate, Group, Plan, make_plan

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
