"""The tables in docs/routing.md say what the code does."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from runtime.routing.breaker import TRANSITIONS, BreakerSettings
from runtime.routing.plan import STRATEGIES
from runtime.routing.retry import RetryPolicy
from runtime.routing.verdicts import VERDICTS

PAGE = Path(__file__).parents[3] / "docs" / "routing.md"


def table(header: str) -> list[list[str]]:
    """Return the rows of the first table whose header begins so."""
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith(header))
    rows: list[list[str]] = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip().strip("`") for cell in line.strip("|").split("|")])
    return rows


def options(rows: Sequence[Sequence[str]]) -> dict[str, float | bool]:
    values: dict[str, float | bool] = {}
    for name, default, _ in rows:
        number = default.removesuffix(" s")
        values[name] = number == "true" if number in {"true", "false"} else float(number)
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


def test_every_strategy_is_on_the_page() -> None:
    assert [name for name, _ in table("| strategy |")] == list(STRATEGIES)
