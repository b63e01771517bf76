"""The tables in docs/routing.md say what the code does."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import msgspec

from runtime.configuration.settings import GroupConfig
from runtime.configuration.shape import Choice, Series, fields
from runtime.routing.breaker import TRANSITIONS, BreakerSettings, State
from runtime.routing.breaker_actor import Command
from runtime.routing.hedge_policy import HedgeSettings
from runtime.routing.plan import STRATEGIES, Candidate, Group
from runtime.routing.retry import RetryPolicy
from runtime.routing.verdicts import VERDICTS, Fallback

BY_HAND = get_args(Command)
PAGE = Path(__file__).parents[3] / "docs" / "routing.md"


def table(header: str, text: str | None = None) -> list[list[str]]:
    """Return the rows of the first table whose header begins so, on the page or a part of it."""
    lines = (text or PAGE.read_text(encoding="utf-8")).splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith(header))
    rows: list[list[str]] = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
    return rows


def options(rows: Sequence[Sequence[str]]) -> dict[str, float | bool | None]:
    words = {"true": True, "false": False, "none": None}
    values: dict[str, float | bool | None] = {}
    for name, default, _ in rows:
        number = default.removesuffix(" s")
        values[name] = words[number] if number in words else float(number)
    return values


def test_every_transition_is_on_the_page_and_no_other() -> None:
    told: set[tuple[str, str, str]] = set()
    for state, event, following in table("| state | event"):
        for each in TRANSITIONS if state == "any" else [state]:
            told.add((each, event, following))
    assert told == {
        (state, event, following)
        for state, row in TRANSITIONS.items()
        for event, following in row.items()
    }


def test_the_drawing_has_every_change_that_comes_by_itself() -> None:
    lines = PAGE.read_text(encoding="utf-8")
    drawing = re.findall(r"[a-z_]+", lines[lines.index("The same as a drawing") :].split("```")[1])
    by_itself: tuple[State, ...] = ("closed", "open", "half_open")
    events = [event for state in by_itself for event in TRANSITIONS[state] if event not in BY_HAND]
    assert sorted(drawing) == sorted([*by_itself, *events])


def test_every_verdict_is_on_the_page() -> None:
    told = {
        kind: (breaker.replace(" ", "_"), same == "yes", following == "yes", int(status))
        for kind, _, breaker, same, following, status in table("| kind |")
    }
    assert told == {
        kind: (verdict.breaker, verdict.same_provider, verdict.next_provider, verdict.status)
        for kind, verdict in VERDICTS.items()
    }


def test_every_option_is_on_the_page_with_its_default() -> None:
    lines = PAGE.read_text(encoding="utf-8")
    breaker, retry = lines.index("### Options"), lines.index("## Retries")
    assert breaker < retry
    assert options(table("| option |")) == msgspec.to_builtins(BreakerSettings())
    text = lines[retry:].splitlines()
    start = next(at for at, line in enumerate(text) if line.startswith("| option |"))
    rows = [
        [cell.strip().strip("`") for cell in line.strip("|").split("|")]
        for line in text[start + 2 : start + 7]
    ]
    assert options(rows) == msgspec.to_builtins(RetryPolicy())


def test_every_option_of_hedging_is_on_the_page_with_its_default() -> None:
    text = PAGE.read_text(encoding="utf-8").partition("### Hedging")[2]
    assert options(table("| option |", text)) == msgspec.to_builtins(HedgeSettings())


def test_every_strategy_is_on_the_page() -> None:
    assert [name for name, _ in table("| strategy |")] == list(STRATEGIES)


def test_every_option_of_a_group_is_on_the_page_with_its_default() -> None:
    lines = PAGE.read_text(encoding="utf-8")
    rows = table("| option |", lines[lines.index("## Failover groups") :])
    group = {name: default.removesuffix(" s").strip("`[]") for name, default, _ in rows}
    assert group == {
        "max_attempts": str(GroupConfig(members=()).max_attempts),
        "health_threshold": str(GroupConfig(members=()).health_threshold),
        "rebalance_interval": f"{GroupConfig(members=()).rebalance_interval:g}",
        "fallback_on": ", ".join(GroupConfig(members=()).fallback_on),
        "timeouts": "none",
    }


def test_the_configuration_knows_every_strategy_and_every_refusal() -> None:
    words = {name: field.shape for name, field in fields(GroupConfig).items()}
    assert words["strategy"] == Choice(tuple(STRATEGIES))
    refusals = words["fallback_on"]
    assert isinstance(refusals, Series)
    assert isinstance(refusals.item, Choice)
    assert set(refusals.item.words) == set(get_args(Fallback))
    plain = Group(name="g", members=(Candidate("a"),))
    configured = GroupConfig(members=())
    for name in ("strategy", "max_attempts", "health_threshold", "rebalance_interval"):
        assert getattr(plain, name) == getattr(configured, name)
    assert frozenset(configured.fallback_on) == Candidate("a").fallback_on
