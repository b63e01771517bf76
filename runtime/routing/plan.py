"""Plans: which provider to try first, second, third, decided without a message.

A plan is made by the failover manager when a group changes and read by every request. Its only
moving part is the cursor of a round, which lives outside the plan, so that it survives the plan's
being remade and the manager's being restarted.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal

import msgspec

__all__ = [
    "STRATEGIES",
    "Candidate",
    "Cursors",
    "Group",
    "Plan",
    "PriorityPlan",
    "Ready",
    "RoundRobinPlan",
    "Strategy",
    "make_plan",
]

Strategy = Literal["priority", "round_robin"]
"""How the order of a request is chosen."""

Ready = Callable[[str, float], bool]
"""Tells whether a provider would take a request at a time; must not change anything."""


class Candidate(msgspec.Struct, frozen=True):
    """One provider that may answer.

    Attributes:
        provider: Its name.
        model: The model to ask it for; None keeps the asker's.
    """

    provider: str
    model: str | None = None


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Providers that stand in for each other.

    Attributes:
        name: The group's name.
        members: Its providers, first choice first.
        strategy: How the order of a request is chosen.
        max_attempts: Exchanges for one request at most, over all members.

    Raises:
        ValueError: When it is empty, names a member twice, or allows no attempt.
    """

    name: str
    members: tuple[Candidate, ...]
    strategy: Strategy = "priority"
    max_attempts: int = 3

    def __post_init__(self) -> None:
        if not self.members:
            raise ValueError(f"group {self.name} has no members")
        if len(set(self.members)) < len(self.members):
            raise ValueError(f"group {self.name} names the same provider and model twice")
        if self.max_attempts < 1:
            raise ValueError(
                f"max_attempts of group {self.name} must be at least 1, not {self.max_attempts}"
            )
        if self.strategy not in STRATEGIES:
            known = ", ".join(STRATEGIES)
            raise ValueError(
                f"strategy of group {self.name} must be one of {known}, not {self.strategy}"
            )


class Cursor:
    """Whose turn it is.

    Attributes:
        members: The members that ``at`` counts.
        at: The place of the member that the next request begins with.
    """

    __slots__ = ("at", "members")

    def __init__(self) -> None:
        self.members: tuple[Candidate, ...] = ()
        self.at = 0

    def follow(self, members: tuple[Candidate, ...]) -> None:
        """Go over to other members, at the next of the old ones that is still among them.

        Args:
            members: The members from now on.
        """
        upcoming = self.members[self.at :] + self.members[: self.at]
        staying = next((member for member in upcoming if member in members), None)
        self.at = 0 if staying is None else members.index(staying)
        self.members = members


class Cursors:
    """The cursors of one group: one for all its members, one for each part that is asked alone."""

    __slots__ = ("_cursors",)

    def __init__(self) -> None:
        self._cursors: dict[frozenset[str] | None, Cursor] = {}

    def of(self, part: frozenset[str] | None) -> Cursor:
        """Return the cursor of a part of the group.

        Args:
            part: The providers in it; None for the whole group.
        """
        return self._cursors.setdefault(part, Cursor())


class Plan(ABC):
    """The candidates of one group and the order to try them in.

    Attributes:
        group: The group.
        candidates: Its members, first choice first.
        max_attempts: Exchanges for one request at most.

    Args:
        group: The group.
        ready: Tells whether a provider would take a request.
        cursors: Where turns are kept beyond the life of this plan.
        part: Leave out all providers but these; None for none.
    """

    __slots__ = ("_cursors", "_parts", "_ready", "candidates", "group", "max_attempts")

    def __init__(
        self,
        group: Group,
        ready: Ready,
        cursors: Cursors | None = None,
        part: frozenset[str] | None = None,
    ) -> None:
        self.group = group
        self.max_attempts = group.max_attempts
        self.candidates: tuple[Candidate, ...] = tuple(
            member for member in group.members if part is None or member.provider in part
        )
        self._ready = ready
        self._cursors = cursors or Cursors()
        self._parts: dict[frozenset[str], Plan] = {}

    def __repr__(self) -> str:
        names = ", ".join(candidate.provider for candidate in self.candidates)
        return f"<{type(self).__name__} of {self.group.name}: {names}>"

    @property
    def strategy(self) -> Strategy:
        """How the order is chosen."""
        return self.group.strategy

    @property
    def cursors(self) -> Cursors:
        """The turns, to be handed to the plan that follows this one."""
        return self._cursors

    def within(self, providers: frozenset[str]) -> "Plan":
        """Return the plan over some of the group's providers only, with turns of its own.

        Those that cannot take a request for what it is (they speak another dialect, say) must not
        use up turns, or their neighbours would get twice their share.

        Args:
            providers: The providers that may be asked.
        """
        part = self._parts.get(providers)
        if part is None:
            part = type(self)(self.group, self._ready, self._cursors, providers)
            self._parts[providers] = part
        return part

    @abstractmethod
    def order(self, now: float) -> Sequence[Candidate]:
        """Return the candidates in the order for the next request.

        Args:
            now: The present time.
        """


class PriorityPlan(Plan):
    """The members as listed: the second is asked when the first fails or is passed over."""

    __slots__ = ()

    def order(self, now: float) -> Sequence[Candidate]:
        """Return the members as listed."""
        del now
        return self.candidates


class RoundRobinPlan(Plan):
    """Each request begins with the next member, in strict rotation.

    Members that are not ready are passed over without using up a turn of those that are: of three
    with one down, the other two alternate, where a plain rotation would give one of them two
    turns of three. When none is ready the rotation goes through all.
    """

    __slots__ = ("_cursor", "_providers", "_rotations")

    def __init__(
        self,
        group: Group,
        ready: Ready,
        cursors: Cursors | None = None,
        part: frozenset[str] | None = None,
    ) -> None:
        super().__init__(group, ready, cursors, part)
        members = self.candidates
        self._cursor = self._cursors.of(part)
        self._providers = tuple(member.provider for member in members)
        self._rotations = tuple(members[at:] + members[:at] for at in range(len(members)))

    def order(self, now: float) -> Sequence[Candidate]:
        """Return the members, beginning with the next one that is ready."""
        rotations = self._rotations
        if not rotations:
            return ()
        cursor = self._cursor
        if cursor.members is not self.candidates:
            cursor.follow(self.candidates)
        at = cursor.at
        providers = self._providers
        size = len(providers)
        ready = self._ready
        if not ready(providers[at], now):
            for step in range(1, size):
                if ready(providers[(at + step) % size], now):
                    at = (at + step) % size
                    break
        cursor.at = (at + 1) % size
        return rotations[at]


STRATEGIES: Final[Mapping[str, type[Plan]]] = MappingProxyType(
    {"priority": PriorityPlan, "round_robin": RoundRobinPlan}
)
"""The plan that each strategy makes."""


def make_plan(group: Group, ready: Ready, before: Plan | None = None) -> Plan:
    """Return the plan of a group.

    Args:
        group: The group.
        ready: Tells whether a provider would take a request.
        before: The group's plan until now, whose turns are kept.
    """
    return STRATEGIES[group.strategy](group, ready, None if before is None else before.cursors)
