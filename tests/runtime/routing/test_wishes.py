"""Who is asked when a request wishes for a group, a provider, fewer attempts or no stand-ins."""

from typing import Literal

import pytest

from runtime.routing.hedge_policy import HedgeSettings
from runtime.routing.plan import Candidate, Group, Plan, make_plan
from runtime.routing.resolve import Resolver
from runtime.routing.route import Member, Target, UnroutableError
from runtime.routing.wishes import Wishes
from supervision import Table
from tests.providers.scripted import provider

CHAT = Group(
    name="chat",
    members=(Candidate("o", "o-1"), Candidate("p"), Candidate("c", "c-1"), Candidate("bare", "x")),
    max_attempts=4,
)
TURNS = Group(
    name="turns", members=(Candidate("o", "o-1"), Candidate("p", "p-1")), strategy="round_robin"
)


@pytest.fixture
def resolver() -> Resolver:
    plans: Table[str, Plan] = Table()
    for group in (CHAT, TURNS):
        plans.rows[group.name] = make_plan(group, lambda _provider, _now: True)
    return Resolver(
        aliases={
            "fast": Target(group="chat"),
            "mine": Target(provider="o", model="o-2"),
            "off-group": Target(group="disabled-group"),
        },
        groups={"chat": CHAT, "turns": TURNS},
        members={
            "o": Member(interface=provider("o", models=("o-1", "o-2")), dialect="openai"),
            "p": Member(interface=provider("p", models=("p-?", "o/*")), dialect="openai"),
            "c": Member(
                interface=provider("c", kind="anthropic", models=("c-1",)), dialect="anthropic"
            ),
            "bare": Member(interface=None, dialect="openai", missing="api_key is empty"),
        },
        plans=plans,
        attempts=3,
    )


@pytest.mark.parametrize(
    ("model", "wishes", "group", "order"),
    [
        ("anything", Wishes(group="chat"), "chat", [("o", "o-1"), ("p", None), ("c", "c-1")]),
        ("o-1", Wishes(group="fast"), "chat", [("o", "o-1"), ("p", None), ("c", "c-1")]),
        ("turns", Wishes(group="chat"), "chat", [("o", "o-1"), ("p", None), ("c", "c-1")]),
        ("anything", Wishes(group="chat", provider="p"), "chat", [("p", None)]),
        ("chat", Wishes(provider="p"), "chat", [("p", None)]),
        ("fast", Wishes(provider="o"), "chat", [("o", "o-1")]),
        ("mine", Wishes(provider="o"), None, [("o", "o-2")]),
        ("o/whatever", Wishes(provider="o"), None, [("o", "whatever")]),
        ("o/whatever", Wishes(provider="p"), None, [("p", "o/whatever")]),
        ("o-1", Wishes(provider="p"), None, [("p", "o-1")]),
        ("never/heard of", Wishes(provider="p"), None, [("p", "never/heard of")]),
        ("chat", Wishes(failover=False), "chat", [("o", "o-1")]),
        ("chat", Wishes(group="turns", failover=False), "turns", [("o", "o-1")]),
        ("chat", Wishes(), "chat", [("o", "o-1"), ("p", None), ("c", "c-1")]),
    ],
)
def test_wishes_lead_to_candidates(
    resolver: Resolver,
    model: str,
    wishes: Wishes,
    group: str | None,
    order: list[tuple[str, str | None]],
) -> None:
    route = resolver.resolve(model, wishes=wishes)
    assert route.group == group
    assert [(each.provider, each.model) for each in route.order(0.0)] == order
    assert resolver.resolve(model, wishes=wishes) is route, "it is looked up once"


@pytest.mark.parametrize(
    ("model", "wishes", "says"),
    [
        ("chat", Wishes(group="chta"), (404, "group", "'chta'; did you mean 'chat'?")),
        ("chat", Wishes(group="zzz"), (404, "group", "there is chat, turns")),
        ("chat", Wishes(group="mine"), (404, "group", "unknown group 'mine'")),
        ("chat", Wishes(group="off-group"), (503, None, "disabled")),
        ("off-group", Wishes(provider="o"), (503, None, "disabled")),
        ("chat", Wishes(provider="bear"), (404, "provider", "did you mean 'bare'?")),
        ("chat", Wishes(provider="q" * 999), (404, "provider", "there is o, p, c, bare")),
        ("chat", Wishes(provider="bare"), (503, None, "api_key is empty")),
        ("turns", Wishes(provider="c"), (400, "provider", "members are o, p")),
        ("x", Wishes(group="turns", provider="c"), (400, "provider", "are o, p")),
        (
            "mine",
            Wishes(provider="p"),
            (400, "provider", "model of provider o, not of p"),
        ),
        ("p/x", Wishes(provider="o"), (400, "provider", "model of provider p, not of o")),
        ("nobody", Wishes(failover=False), (404, None, "unknown model")),
    ],
)
def test_wishes_that_cannot_be_fulfilled_say_why(
    resolver: Resolver,
    model: str,
    wishes: Wishes,
    says: tuple[int, str | None, str],
) -> None:
    status, wish, words = says
    with pytest.raises(UnroutableError) as caught:
        resolver.resolve(model, wishes=wishes)
    assert (caught.value.status, caught.value.wish) == (status, wish)
    assert words in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(("wished", "made"), [(1, 1), (4, 4), (100, 4), (None, 4)])
def test_no_more_attempts_are_made_than_the_group_allows(
    resolver: Resolver, wished: int | None, made: int
) -> None:
    wishes = Wishes(max_attempts=wished, failover=False)
    assert resolver.resolve("chat", wishes=wishes).max_attempts == made


def test_without_stand_ins_the_members_still_take_turns(resolver: Resolver) -> None:
    route = resolver.resolve("turns", wishes=Wishes(failover=False))
    asked = [[each.provider for each in route.order(0.0)] for _ in range(4)]
    assert asked == [["o"], ["p"], ["o"], ["p"]]


def test_wishes_for_one_provider_use_up_nobodys_turns(resolver: Resolver) -> None:
    resolver.resolve("turns").order(0.0)
    for _ in range(3):
        resolver.resolve("turns", wishes=Wishes(provider="p")).order(0.0)
    assert resolver.resolve("turns").order(0.0)[0].provider == "p"


def test_a_wish_is_looked_up_anew_when_the_providers_have_changed(resolver: Resolver) -> None:
    route = resolver.resolve("chat", wishes=Wishes(provider="o"))
    resolver.forget()
    assert resolver.resolve("chat", wishes=Wishes(provider="o")) is not route


def of_one(group: Group) -> Resolver:
    plans: Table[str, Plan] = Table()
    plans.rows[group.name] = make_plan(group, lambda _provider, _now: True)
    members = {"o": Member(interface=provider("o", models=("o-*",)), dialect="openai")}
    groups = {group.name: group}
    return Resolver(aliases={}, groups=groups, members=members, plans=plans, attempts=3)


@pytest.mark.parametrize(("group", "wish"), [("error", "resume"), ("resume", "error")])
def test_a_wish_about_broken_streams_goes_before_the_groups_setting(
    group: Literal["error", "resume"], wish: Literal["error", "resume"]
) -> None:
    subject = of_one(Group(name="g", members=(Candidate("o", "o-1"),), on_broken_stream=group))
    assert subject.resolve("g").resume == (group == "resume")
    wished = Wishes(on_broken_stream=wish)
    assert subject.resolve("g", wishes=wished).resume == (wish == "resume")
    assert subject.resolve("o-1", wishes=wished).resume == (wish == "resume")


def test_a_request_is_hedged_as_its_group_says() -> None:
    one = (Candidate("o", "o-1"),)
    hedges = of_one(Group(name="g", members=one, hedge=HedgeSettings(minimum_delay=7)))
    hedge = hedges.resolve("g").hedge
    assert hedge is not None
    hedger = hedge()
    assert hedger is not None
    assert hedger.settings.minimum_delay == 7
    assert of_one(Group(name="g", members=one)).resolve("g").hedge is None
    assert hedges.resolve("o-1").hedge is None


@pytest.mark.parametrize("wishes", [None, Wishes(max_attempts=1)])
def test_names_that_were_asked_for_once_are_forgotten_in_the_end(wishes: Wishes | None) -> None:
    subject = of_one(Group(name="g", members=(Candidate("o", "o-1"),)))
    first = subject.resolve("o-0", wishes=wishes)
    assert subject.resolve("o-0", wishes=wishes) is first
    for number in range(1, 10_000):
        subject.resolve(f"o-{number}", wishes=wishes)
    assert subject.resolve("o-0", wishes=wishes) is not first, "askers cannot make it grow"
