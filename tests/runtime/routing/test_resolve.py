"""From a model's name to its candidates."""

import tracemalloc

import pytest

from providers.wire import OperationName
from runtime.routing.plan import Candidate, Group, Plan, make_plan
from runtime.routing.resolve import Resolver
from runtime.routing.route import Member, Target, UnroutableError
from runtime.routing.wishes import Wishes
from supervision import Table
from tests.providers.scripted import provider

GROUP = Group(
    name="chat", members=(Candidate("o", "o-1"), Candidate("c", "c-1"), Candidate("bare", "x"))
)


def resolver() -> Resolver:
    plans: Table[str, Plan] = Table()
    plans.rows["chat"] = make_plan(GROUP, lambda _provider, _now: True)
    claude = provider("c", kind="anthropic", models=("claude-*",))
    return Resolver(
        aliases={
            "fast": Target(group="chat"),
            "mine": Target(provider="o", model="o-2"),
            "off": Target(provider="disabled", model="m"),
            "off-group": Target(group="disabled-group"),
        },
        groups={"chat": GROUP},
        members={
            "o": Member(interface=provider("o", models=("o-1", "o-2")), dialect="openai"),
            "o2": Member(interface=provider("o2", models=("o-?",)), dialect="openai"),
            "c": Member(interface=claude, dialect="anthropic"),
            "bare": Member(interface=None, dialect="openai", missing="api_key is empty"),
        },
        plans=plans,
        attempts=4,
    )


@pytest.mark.parametrize(
    ("model", "group", "order"),
    [
        ("fast", "chat", [("o", "o-1"), ("c", "c-1")]),
        ("chat", "chat", [("o", "o-1"), ("c", "c-1")]),
        ("mine", None, [("o", "o-2")]),
        ("o-1", None, [("o", "o-1"), ("o2", "o-1")]),
        ("o-9", None, [("o2", "o-9")]),
        ("claude-x", None, [("c", "claude-x")]),
        ("o/any/thing", None, [("o", "any/thing")]),
    ],
)
def test_names_lead_to_candidates(
    model: str, group: str | None, order: list[tuple[str, str]]
) -> None:
    made = resolver()
    for _ in range(2):
        route = made.resolve(model)
        assert route.group == group
        assert [(each.provider, each.model) for each in route.order(0.0)] == order


@pytest.mark.parametrize(
    ("model", "status", "words"),
    [
        ("bare/x", 503, "api_key is empty"),
        ("claud", 404, "GET /v1/models"),
        ("fats", 404, "did you mean 'fast'"),
        ("nobody/x", 404, "unknown model"),
        ("o/", 404, "unknown model"),
        ("off", 503, "disabled"),
        ("off-group", 503, "disabled"),
    ],
)
def test_names_that_lead_nowhere_say_why(model: str, status: int, words: str) -> None:
    with pytest.raises(UnroutableError) as caught:
        resolver().resolve(model)
    assert caught.value.status == status
    assert words in str(caught.value)


def test_a_name_as_long_as_a_body_is_not_repeated() -> None:
    with pytest.raises(UnroutableError) as caught:
        resolver().resolve("x" * 1_000_000)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("wishes", [None, Wishes(provider="o"), Wishes(max_attempts=1)])
def test_names_as_long_as_bodies_are_not_kept(wishes: Wishes | None) -> None:
    made = resolver()
    made.resolve("o/once", wishes=wishes)
    tracemalloc.start()
    try:
        for at in range(20):
            name = f"o/{at}" + "x" * 100_000
            assert made.resolve(name, wishes=wishes).order(0.0)[0].model == name[2:]
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert kept < 500_000


def test_every_name_but_no_pattern_is_listed() -> None:
    names = resolver().names()
    assert names["fast"] == names["chat"] == "standby"
    assert names["o-1"] == "o"
    assert not any("*" in name or "?" in name for name in names)


def test_what_no_api_of_a_model_has_is_refused() -> None:
    with pytest.raises(UnroutableError) as caught:
        resolver().resolve("claude-x", "embeddings")
    assert caught.value.status == 400
    assert caught.value.code == "operation_not_served"
    assert "anthropic API only, which has no embeddings" in str(caught.value)


@pytest.mark.parametrize(
    ("operation", "asked"),
    [("chat", ["o", "c"]), ("embeddings", ["o"]), ("count_tokens", ["c"])],
)
def test_of_a_group_those_are_asked_whose_api_has_what_is_asked_for(
    operation: OperationName, asked: list[str]
) -> None:
    route = resolver().resolve("chat", operation)
    assert [each.provider for each in route.order(0.0)] == asked


@pytest.mark.parametrize(
    ("model", "owner"),
    [
        ("fast", "standby"),
        ("chat", "standby"),
        ("o-1", "o"),
        ("o-9", "o2"),
        ("claude-x", "c"),
        ("o/any/thing", "o"),
    ],
)
def test_whoever_stands_behind_a_name_is_told(model: str, owner: str) -> None:
    assert resolver().owner(model) == owner


@pytest.mark.parametrize(
    ("model", "status", "words"),
    [
        ("fats", 404, "did you mean 'fast'"),
        ("nobody/x", 404, "unknown model"),
        ("bare/x", 503, "api_key is empty"),
    ],
)
def test_nobody_stands_behind_a_name_that_leads_nowhere(
    model: str, status: int, words: str
) -> None:
    with pytest.raises(UnroutableError) as caught:
        resolver().owner(model)
    assert caught.value.status == status
    assert words in str(caught.value)
