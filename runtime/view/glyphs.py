"""The symbols the tree is drawn with: a Unicode set, and an ASCII one for what cannot show it."""

from __future__ import annotations

__all__ = ["ASCII", "UNICODE", "Glyphs"]


class Glyphs:
    """One set of symbols.

    Args:
        states: The symbol of each actor state.
        fault: The symbol of something that runs and yet needs a look (an open breaker).
        guides: What stands before a node: a further child, the last child, and below each.
        full: One used restart in the budget bar.
        empty: One restart still to be had.
        separator: What stands between facts on one line.
        ellipsis: What ends a text that was cut.
        arrows: How the footer names the keys for up and down, and left and right.
    """

    __slots__ = ("arrows", "ellipsis", "empty", "fault", "full", "guides", "separator", "states")

    def __init__(
        self,
        *,
        states: dict[str, str],
        fault: str,
        guides: tuple[str, str, str, str],
        full: str,
        empty: str,
        separator: str,
        ellipsis: str,
        arrows: tuple[str, str],
    ) -> None:
        self.states = states
        self.fault = fault
        self.guides = guides
        self.full = full
        self.empty = empty
        self.separator = separator
        self.ellipsis = ellipsis
        self.arrows = arrows

    def state(self, name: str) -> str:
        """Return the symbol of a state; `?` for one this version does not know."""
        return self.states.get(name, "?")


UNICODE = Glyphs(
    states={"running": "●", "starting": "◌", "restarting": "↻", "stopping": "◐", "stopped": "○"},
    fault="▲",
    guides=("├─ ", "└─ ", "│  ", "   "),
    full="▰",
    empty="▱",
    separator=" · ",
    ellipsis="…",
    arrows=("↑↓", "←→"),
)

ASCII = Glyphs(
    states={"running": "*", "starting": "o", "restarting": "~", "stopping": "-", "stopped": "."},
    fault="!",
    guides=("|- ", "`- ", "|  ", "   "),
    full="#",
    empty=".",
    separator=", ",
    ellipsis="~",
    arrows=("up/down", "left/right"),
)
