"""The failover manager: it owns the groups and publishes a plan for each.

It runs no provider call, ever. Whoever has a request reads the group's published plan and does the
calling in a task of its own; the manager only hears how it went.
"""

from collections.abc import Callable, Mapping, Sequence

import msgspec
import trio

from runtime.outcome import Attempt, AttemptKind, PanicProbes
from runtime.routing.first_token import FirstTokens
from runtime.routing.plan import Group, Outlook, Plan, Ready, make_plan
from runtime.routing.standings import Standings
from supervision import Actor, Published, Ref, Table, TableWriter, Timer

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
        first_tokens: How soon each member's first token is to be expected.
        opened: Whether a manager has published here before.
        due: When the plan of each group is to be remade, where that is so; the manager's alone.
    """

    __slots__ = ("due", "first_tokens", "opened", "plans", "standings")

    def __init__(self) -> None:
        self.plans: Table[str, Plan] = Table(name="the plans of the failover groups")
        self.standings = Standings()
        self.first_tokens = FirstTokens()
        self.opened: Published[bool] = Published(initial=False, name="the failover board")
        self.due: dict[str, float] = {}

    def counts(self, attempt: Attempt) -> bool:
        """Count an ordinary success where it is published; tell whether it was one.

        Who has had one asks this first: a message to the manager and its turn cost more than the
        counting. All that is more than a number - failures, hedges, what a panic let through - is
        the manager's to hear.

        Args:
            attempt: What came of it; of a request that went to a group.
        """
        if attempt.kind != "ok" or attempt.hedge is not None or attempt.group is None:
            return False
        plan = self.plans.get(attempt.group)
        if plan is None or plan.cursors.probes > plan.cursors.told:
            return False
        self._count(attempt, attempt.number, late=False)
        return True

    def count(self, attempt: Attempt) -> None:
        """Count any attempt of a request that went to a group.

        Args:
            attempt: What came of it.
        """
        number = attempt.number
        if attempt.hedge == "second" and attempt.raced == "won":
            number -= 1  # the one before was late, which is no failure
        self._count(attempt, number, late=attempt.hedge == "first" and attempt.superseded)

    def _count(self, attempt: Attempt, number: int, *, late: bool) -> None:
        provider, kind = attempt.provider, attempt.kind
        if attempt.operation == "chat":
            row = self.first_tokens.known(provider, attempt.model)
            if row is not None:
                duration = attempt.duration
                row.count(
                    kind,
                    attempt.first_token,
                    duration,
                    attempt.started + duration,
                    stream=attempt.stream,
                    late=late,
                )
        assert attempt.group is not None, "only attempts of groups are counted"
        self.standings.count(attempt.group, provider, kind, number)


class RegisterGroup(msgspec.Struct, frozen=True):
    """Called: add a group, or put it in the place of the one of the same name.

    Attributes:
        group: The group.
        told: Told of it in the step in which its plan is published, so that no request can come
            in between and be led to members that the plan no longer has; must not wait or raise.
    """

    group: Group
    told: Callable[[Group], object] | None = None


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
        model: The model that was asked for; None for the caller's own.
        duration: Seconds it took, as a measure of the provider's speed; None when not known.
    """

    group: str
    provider: str
    kind: AttemptKind
    number: int = 1
    model: str | None = None
    duration: float | None = None


class _Rebalance(msgspec.Struct, frozen=True):
    """It is time to look at the members of a group anew."""

    group: str


class FailoverManager(Actor):
    """The owner of all groups.

    The first incarnation publishes the groups it is given. A later one goes on with what is
    published, groups registered meanwhile included, and whose turn it is.

    Where a strategy goes by what changes slowly, the plan is remade at the group's
    ``rebalance_interval``.

    Args:
        board: Where it publishes.
        groups: The groups to begin with.
        ready: Tells whether a provider would take a request.
        outlook: What else plans look at; its first tokens must be the board's.
        observer: The actor that hears of panic, by name.
    """

    poison_limit = 3

    def __init__(
        self,
        board: FailoverBoard,
        groups: Sequence[Group],
        ready: Ready,
        outlook: Outlook | None = None,
        *,
        observer: str = "telemetry",
    ) -> None:
        self._board = board
        self._groups = groups
        self._ready = ready
        self._outlook = outlook or Outlook(first_tokens=board.first_tokens)
        self._observer_name = observer
        self._observer: Ref | None = None
        self._plans: TableWriter[str, Plan] | None = None
        self._timers: dict[str, Timer] = {}

    async def init(self) -> None:
        """Publish the groups, or take over those that are published."""
        board = self._board
        self._plans = board.plans.writer(self.ref)
        opened = board.opened.writer(self.ref)
        self._observer = self.system.ref(self._observer_name)
        for plan in board.plans.values():
            # Rows of the incarnation before become this one's; its plans go on as they are.
            self._plans.put(plan.group.name, plan)
            if plan.rebalances:
                name = plan.group.name
                self._rebalance_at(name, board.due.get(name, trio.current_time()))
        if not board.opened.value:
            for group in self._groups:
                self._publish(group)
            opened.set(True)

    async def handle_cast(self, message: Attempt | ProviderResult) -> None:
        """Count how an attempt went; one outside any group is nothing to this manager."""
        group = message.group
        if group is None:
            return
        board = self._board
        if type(message) is Attempt:
            board.count(message)
        elif type(message) is ProviderResult:
            provider, kind = message.provider, message.kind
            row = board.first_tokens.known(provider, message.model)
            if row is not None and message.duration is not None:
                served = message.duration if kind == "ok" else None
                now = trio.current_time()
                row.count(kind, served, message.duration, now, stream=False)
            board.standings.count(group, provider, kind, message.number)
        self._tell_of_panic(group)

    async def handle_info(self, message: object) -> None:
        """Remake the plan of a group when it is time to."""
        if isinstance(message, _Rebalance):
            plan = self._board.plans.get(message.group)
            if plan is not None:
                self._publish(plan.group)

    async def handle_call(self, message: RegisterGroup | UnregisterGroup, caller: object) -> bool:
        """Change the groups."""
        del caller
        if isinstance(message, RegisterGroup):
            self._publish(message.group)
            if message.told is not None:
                message.told(message.group)
            return True
        assert self._plans is not None
        known = message.name in self._board.plans
        self._plans.delete(message.name)
        self._cancel_timer(message.name)
        self._board.due.pop(message.name, None)
        self._board.standings.forget(message.name)
        return known

    def describe(self) -> Mapping[str, object]:
        """Return what the tree shows of the manager."""
        now = trio.current_time()
        return {
            "groups": {name: plan.strategy for name, plan in self._board.plans.items()},
            "panic": [name for name, plan in self._board.plans.items() if plan.panics(now)],
        }

    def _publish(self, group: Group) -> None:
        assert self._plans is not None
        before = self._board.plans.get(group.name)
        plan = make_plan(group, self._ready, before, outlook=self._outlook)
        plan.prepare(trio.current_time())
        self._plans.put(group.name, plan)
        self._rebalance_later(plan)

    def _rebalance_later(self, plan: Plan) -> None:
        name = plan.group.name
        self._cancel_timer(name)
        self._board.due.pop(name, None)
        if plan.rebalances:
            self._rebalance_at(name, trio.current_time() + plan.group.rebalance_interval)

    def _rebalance_at(self, name: str, due: float) -> None:
        self._board.due[name] = due
        self._timers[name] = self.send_after(due - trio.current_time(), _Rebalance(name))

    def _cancel_timer(self, group: str) -> None:
        timer = self._timers.pop(group, None)
        if timer is not None:
            timer.cancel()

    def _tell_of_panic(self, group: str) -> None:
        """Report what plans have let through; they are read without a message and cannot say so."""
        plan = self._board.plans.get(group)
        if plan is None:
            return
        cursors = plan.cursors
        new = cursors.probes - cursors.told
        if new > 0 and self._observer is not None:
            cursors.told += new
            self._observer.cast(PanicProbes(group=group, count=new))
