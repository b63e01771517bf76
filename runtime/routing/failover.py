"""The failover manager: it owns the groups and publishes a plan for each.

It runs no provider call, ever. Whoever has a request reads the group's published plan and does the
calling in a task of its own; the manager only hears how it went.
"""

from collections.abc import Mapping, Sequence

import msgspec

from runtime.outcome import Attempt, AttemptKind
from runtime.routing.plan import Group, Plan, Ready, make_plan
from runtime.routing.standings import Standings
from supervision import Actor, Published, Table, TableWriter

__all__ = [
    "FailoverBoard",
    "FailoverManager",
    "ProviderResult",
    "RegisterGroup",
    "UnregisterGroup",
]


class FailoverBoard:
    """What the failover manager publishes. Made outside it, so that it outlives its crashes.

    Attributes:
        plans: The plan of each group, by name.
        standings: How the members have done.
        opened: Whether a manager has published here before.
    """

    __slots__ = ("opened", "plans", "standings")

    def __init__(self) -> None:
        self.plans: Table[str, Plan] = Table(name="the plans of the failover groups")
        self.standings = Standings()
        self.opened: Published[bool] = Published(initial=False, name="the failover board")


class RegisterGroup(msgspec.Struct, frozen=True):
    """Called: add a group, or put it in the place of the one of the same name."""

    group: Group


class UnregisterGroup(msgspec.Struct, frozen=True):
    """Called: drop a group. The reply tells whether there was one."""

    name: str


class ProviderResult(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Cast: how a call went that was no attempt of a request.

    Attributes:
        group: The group.
        provider: The provider that was called.
        kind: How it ended.
        number: The number of the call among those for the same thing, from 1.
    """

    group: str
    provider: str
    kind: AttemptKind
    number: int = 1


class FailoverManager(Actor):
    """The owner of all groups.

    The first incarnation publishes the groups it is given. A later one goes on with what is
    published, groups registered meanwhile included, and whose turn it is.

    Args:
        board: Where it publishes.
        groups: The groups to begin with.
        ready: Tells whether a provider would take a request.
    """

    poison_limit = 3

    def __init__(self, board: FailoverBoard, groups: Sequence[Group], ready: Ready) -> None:
        self._board = board
        self._groups = groups
        self._ready = ready
        self._plans: TableWriter[str, Plan] | None = None

    async def init(self) -> None:
        """Publish the groups, or take over those that are published."""
        board = self._board
        self._plans = board.plans.writer(self.ref)
        opened = board.opened.writer(self.ref)
        if not board.opened.value:
            for group in self._groups:
                self._publish(group)
            opened.set(True)

    async def handle_cast(self, message: Attempt | ProviderResult) -> None:
        """Count how an attempt went; one outside any group is nothing to this manager."""
        if message.group is not None:
            self._board.standings.count(
                message.group, message.provider, message.kind, message.number
            )

    async def handle_call(self, message: RegisterGroup | UnregisterGroup, caller: object) -> bool:
        """Change the groups."""
        del caller
        if isinstance(message, RegisterGroup):
            self._publish(message.group)
            return True
        assert self._plans is not None
        known = message.name in self._board.plans
        self._plans.delete(message.name)
        self._board.standings.forget(message.name)
        return known

    def describe(self) -> Mapping[str, object]:
        """Return what the tree shows of the manager."""
        return {
            "groups": {name: plan.strategy for name, plan in self._board.plans.items()},
        }

    def _publish(self, group: Group) -> None:
        assert self._plans is not None
        before = self._board.plans.get(group.name)
        self._plans.put(group.name, make_plan(group, self._ready, before))
