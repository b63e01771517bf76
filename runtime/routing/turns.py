"""Whose turn it is: the moving parts of plans, which outlive the plans and their manager."""

import math

from runtime.routing.group import Candidate
from runtime.routing.hedge_policy import Hedger

__all__ = ["Cursor", "Cursors", "Key", "Turn"]

Key = tuple[str, str | None]
"""A member: its provider, and its model."""


class Turn:
    """What a member has in hand towards its next turn, where turns go by weight.

    Attributes:
        credit: Grows with every request by the member's weight, and falls with each turn by the
            weights of all who take turns with it.
        whole: Those weights together, when it was last counted: what one turn is worth.
    """

    __slots__ = ("credit", "whole")

    def __init__(self) -> None:
        self.credit = 0.0
        self.whole = 0.0

    def within(self, whole: float) -> float:
        """Return the credit as it is among others: as many turns as before, and not as much weight.

        A turn not yet had among members of 98, 1 and 1 is worth 100; taken for as much among the
        last two it would be fifty turns.

        Args:
            whole: The weights of those who take turns now.
        """
        return self.credit * whole / self.whole if self.credit else 0.0


class Cursor:
    """The turns of a group, or of a part of it that is asked alone.

    Attributes:
        members: The members that ``at`` counts.
        at: The place of the member that the next request begins with.
        since_look: Requests since one last began with a member only to see how it is.
        panic_ends: When the next request may be let through to a member that is kept back.
        next_probe: The place among the seats where the next of them is looked for.
    """

    __slots__ = ("_turns", "at", "members", "next_probe", "panic_ends", "since_look")

    def __init__(self) -> None:
        self.members: tuple[Candidate, ...] = ()
        self.at = 0
        self.since_look = 0
        self.panic_ends = -math.inf
        self.next_probe = 0
        self._turns: dict[Key, Turn] = {}

    def follow(self, members: tuple[Candidate, ...]) -> None:
        """Go over to other members, at the next of the old ones that is still among them.

        Args:
            members: The members from now on.
        """
        upcoming = self.members[self.at :] + self.members[: self.at]
        places = {(member.provider, member.model): at for at, member in enumerate(members)}
        at = next(
            (places[key] for old in upcoming if (key := (old.provider, old.model)) in places), 0
        )
        self.at = at
        self.members = members
        self._turns = {key: turn for key, turn in self._turns.items() if key in places}

    def turn(self, key: Key) -> Turn:
        """Return what a member has in hand.

        Args:
            key: The member.
        """
        return self._turns.setdefault(key, Turn())


class Cursors:
    """The moving parts of one group.

    Attributes:
        looks: Members that were not measured lately and are worth a look.
        probes: Requests let through to members that were kept back, because no other was left.
        told: How many of ``probes`` have been reported.
        hedger: What says when a request is hedged; None when none is.
    """

    __slots__ = ("_cursors", "hedger", "looks", "probes", "told")

    def __init__(self) -> None:
        self._cursors: dict[frozenset[str] | None, Cursor] = {}
        self.looks: set[Key] = set()
        self.probes = 0
        self.told = 0
        self.hedger: Hedger | None = None

    def of(self, part: frozenset[str] | None) -> Cursor:
        """Return the cursor of a part of the group.

        Args:
            part: The providers in it; None for the whole group.
        """
        return self._cursors.setdefault(part, Cursor())
