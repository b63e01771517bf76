"""What the tree says of a circuit breaker."""

import pytest

from runtime.view.snapshot import Snapshot
from tests.runtime.view.sample import node, supervisor
from tests.runtime.view.test_render import row_of, shown


@pytest.mark.parametrize(
    ("facts", "words"),
    [
        (
            {"state": "open", "retry_in": 12.0, "reason": "5 failures in a row"},
            "open, next try in 12s: 5 failures in a row",
        ),
        ({"state": "open", "retry_in": 12.0, "reason": None}, "open, next try in 12s"),
        ({"state": "forced_open", "retry_in": None, "reason": "by hand"}, "forced-open"),
        ({"state": "disabled", "retry_in": 0.0, "reason": "by hand"}, "disabled"),
    ],
)
def test_a_breakers_row_says_why_it_is_open_and_for_how_long(
    facts: dict[str, object], words: str
) -> None:
    tree = supervisor("root", node("breaker:a", extra=facts))
    assert row_of(shown(Snapshot({"tree": tree})), "breaker:a").endswith(f"  {words}")
