"""What every child has in common: its entry with its supervisor, and one incarnation of it.

A ``Child`` lasts as long as the specification; a ``Process`` is one life of it, one trio task. The
task never lets an exception escape (a nursery would cancel all siblings): whatever ends it becomes
an exit reason, and ``finish`` hands that on, in this order: the name is unbound, open calls fail,
monitors are told, and last the supervisor gets its exit notice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Literal, Protocol

import trio

from supervision.calls import PendingCall
from supervision.former import Former
from supervision.overdue import Overdue
from supervision.reasons import Reason, describe_reason
from supervision.refs import DownCallback, Ref, TaskStarter
from supervision.reports import Report
from supervision.specs import ChildSpec
from supervision.system import System
from supervision.timers import Timers
from supervision.tree import State, TreeNode, stack
from supervision.waits import Node
from supervision.watchers import Watchers


class Parent(Protocol):
    """What a child needs of its supervisor."""

    @property
    def lineage(self) -> tuple[str, ...]:
        """The supervisor's name and those above it, nearest first."""

    def child_exited(self, child: Child, process: Process, reason: Reason) -> None:
        """An incarnation that had been acknowledged has ended."""


class Child:
    """A supervisor's entry for one specification.

    Attributes:
        spec: how to start it.
        name: its id; tasks started by the thousand share one specification and differ in this.
        process: the incarnation that lives, if one does.
        owned: the incarnation that the supervisor believes to live: it may have ended already
            with its exit notice still in the supervisor's mailbox.
        ticket: which round of restarts it waits for, if it waits for one.
        resting: its state when none lives: ``stopped`` or ``restarting``.
        incarnation: lives so far.
        ignored: whether its last start said that there is nothing to do.
        restarts: restarts by the supervisor so far.
        last_exit: why the last one ended.
        killed: whether the last one was told to end by a kill.
        retries: restarts in a row without a healthy period, for the back-off.
        below: of a supervisor: what its former entries counted, by name.
        poison: how often which message has crashed it.
    """

    __slots__ = (
        "below",
        "ignored",
        "incarnation",
        "killed",
        "last_exit",
        "name",
        "owned",
        "parent",
        "poison",
        "process",
        "ref",
        "restarts",
        "resting",
        "retries",
        "spec",
        "system",
        "ticket",
    )

    def __init__(
        self, spec: ChildSpec, parent: Parent, system: System, name: str | None = None
    ) -> None:
        self.spec = spec
        self.name = spec.id if name is None else name
        self.parent = parent
        self.system = system
        self.process: Process | None = None
        self.owned: Process | None = None
        self.ticket: object = None
        self.ref: Ref | None = None
        self.resting: Literal["stopped", "restarting"] = "stopped"
        self.ignored = False
        self.incarnation = 0
        self.restarts = 0
        self.retries = 0
        self.last_exit: Reason | None = None
        self.killed = False
        self.below: dict[str, Former] | None = None
        self.poison: dict[object, int] | None = None

    def former(self) -> Former:
        """What the entry that replaces this one after its supervisor's restart takes over."""
        return Former(self.incarnation, self.restarts, self.last_exit, self.below)

    def inherit(self, former: Former) -> None:
        """Take over the counts of the entry it replaces after its supervisor's restart."""
        self.incarnation = former.incarnation
        self.restarts = former.restarts
        self.last_exit = former.last_exit
        self.below = former.below

    @property
    def state(self) -> State:
        """What readers of the tree see."""
        return self.resting if self.process is None else self.process.phase

    def reference(self) -> Ref:
        """Its reference, made when first asked for and kept as long as the entry."""
        if self.ref is None:
            self.ref = self.system.ref(self.name)
        return self.ref

    def bind_late(self, ref: Ref) -> None:
        """Tell a reference made after the start what it refers to, and keep it to tell it more."""
        self.ref = ref
        process = self.process
        if process is not None and process.accepting:
            ref.bind(process, self.incarnation)
        elif process is not None:
            ref.note_down(process.exit_reason, self.incarnation)
            ref.close(process, process.exit_reason)
        else:
            ref.note_down(self.last_exit or "noproc", self.incarnation)

    def node(self) -> TreeNode:
        """This child in the picture of the tree."""
        spec = self.spec
        process = self.process
        node = TreeNode(
            name=self.name,
            kind=spec.kind,
            state=self.state,
            incarnation=self.incarnation,
            uptime=None if process is None else trio.current_time() - process.started_at,
            restarts=self.restarts,
            restart=spec.restart,
            last_exit=None if self.last_exit is None else describe_reason(self.last_exit),
            strategy=None if spec.plan is None else spec.plan.strategy,
            meta=spec.meta,
        )
        if process is not None:
            process.draw(node)
        return node

    def report(
        self,
        kind: Literal["crash", "supervisor", "progress"],
        context: Any,
        reason: str,
        *,
        last_message: str | None = None,
        traceback: str | None = None,
    ) -> Report:
        """Publish a report about this child."""
        return self.system.reports.publish(
            kind,
            context,
            name=self.name,
            ancestors=self.parent.lineage,
            incarnation=self.incarnation,
            restarts=self.restarts,
            reason=reason,
            last_message=last_message,
            traceback=traceback,
        )


class Process(Node, ABC):
    """One incarnation: one task in its supervisor's nursery, with a kill switch of its own.

    Attributes:
        phase: ``starting``, ``running`` or ``stopping``.
        accepting: whether it takes messages.
        finished: whether it has ended.
        acknowledged: whether its start went through, so that its end is its supervisor's affair.
        ignored: its ``init`` said that there is nothing to do.
        scope: its kill switch; shielded, so that an outer cancellation reaches it only as the
            ordered stop its supervisor makes of it.
    """

    __slots__ = (
        "_done",
        "_kill_reason",
        "_overdue",
        "_started",
        "_watchers",
        "accepting",
        "acknowledged",
        "child",
        "exit_reason",
        "finished",
        "ignored",
        "phase",
        "scope",
        "started_at",
        "task",
    )

    kind: ClassVar[str]

    def __init__(self, child: Child) -> None:
        super().__init__(child.name)
        self.child = child
        self.scope = trio.CancelScope(shield=True)
        self.phase: Literal["starting", "running", "stopping"] = "starting"
        self.accepting = False
        self.finished = False
        self.acknowledged = False
        self.ignored = False
        self.exit_reason: Reason = "normal"
        self.started_at = trio.current_time()
        self.task: trio.lowlevel.Task | None = None
        self._kill_reason: Reason | None = None
        self._overdue: Overdue | None = None
        self._done: trio.Event | None = None
        self._started: trio.Event | None = None
        self._watchers: Watchers | None = None

    @property
    def node(self) -> Node:
        """Itself, as the graph of waits sees it."""
        return self

    @property
    def timers(self) -> Timers:
        """The timers of its system."""
        return self.child.system.timers

    @property
    def starter(self) -> TaskStarter | None:
        """Only a dynamic supervisor starts tasks."""
        return None

    # ---- what the kinds of children do in their own way

    @abstractmethod
    async def run(self) -> None:
        """Live. Never raises; calls ``finish`` at its very end."""

    @abstractmethod
    def ask_to_stop(self, reason: Reason) -> None:
        """Begin the orderly stop; returns at once."""

    def draw(self, node: TreeNode) -> None:
        """Add to the picture what only this kind knows."""

    def request(self, message: Any, deadline: float) -> PendingCall:
        """Queue a call; only those with a mailbox can."""
        del message, deadline
        raise TypeError(f"{self.name!r} is a {self.kind} without a mailbox: it takes no calls")

    def post(self, kind: int, message: Any) -> bool:
        """Queue a message; only those with a mailbox can."""
        del kind, message
        return False

    # ---- beginning

    def enter(self) -> None:
        """Become the child's present incarnation."""
        child = self.child
        child.process = child.owned = self
        child.incarnation += 1

    def open(self) -> None:
        """Begin to take messages under the name."""
        child = self.child
        self.accepting = True
        ref = child.ref
        if ref is None:
            ref = child.system.known_ref(child.name)
        if ref is not None:
            child.ref = ref
            ref.bind(self, child.incarnation)

    def acknowledge(self) -> None:
        """The start went through."""
        self.acknowledged = True
        self.phase = "running"
        if self._overdue is not None and not self.scope.cancel_called:
            self._overdue.cancel()
        if self._started is not None:
            self._started.set()

    async def wait_started(self) -> Reason | None:
        """Wait until the start went through or failed.

        Returns:
            ``None`` when it went through, else why not.
        """
        if not (self.acknowledged or self.finished):
            self._started = trio.Event()
            await self._started.wait()
        return None if self.acknowledged else self.exit_reason

    # ---- ending

    def kill(self, reason: Reason = "killed") -> bool:
        """End it now; nothing it does can refuse, except a shield of its own."""
        if self.finished:
            return False
        if self._kill_reason is None:
            self._kill_reason = reason
            self._expect_end(0)
        self.scope.cancel(reason=f"{self.name}: {describe_reason(reason)}")
        return True

    def kill_after(self, seconds: float) -> None:
        """Kill it unless it has ended by then."""
        self.scope.deadline = trio.current_time() + seconds
        self._expect_end(seconds)

    def _expect_end(self, seconds: float) -> None:
        """Report it when it outlives its kill, that many seconds from now."""
        if self._overdue is None:
            self._overdue = Overdue(self.timers, self._report_stuck)
        self._overdue.expect_end(seconds)

    def _report_stuck(self) -> None:
        """Report that it was killed and has not ended, with its stack."""
        self.child.report(
            "supervisor",
            "unkillable",
            "it was killed and does not end",
            traceback=None if self.task is None else stack(self.task),
        )

    def reason_of_cancel(self) -> Reason:
        """The exit reason when its own scope was what ended it."""
        if self._kill_reason is not None:
            return self._kill_reason
        if not self.acknowledged:
            return f"it did not get through its start in {self.child.spec.start_timeout:g} s"
        return "killed"

    def watch(self, callback: DownCallback, *, first: bool = False) -> Callable[[], None]:
        """Call back when it has ended, first or in turn; returns how to take that back."""
        if self.finished:
            callback(self.exit_reason)
            return lambda: None
        if self._watchers is None:
            self._watchers = Watchers()
        return self._watchers.add(callback, first=first)

    async def wait_finished(self) -> Reason:
        """Wait until it has ended.

        Returns:
            Its exit reason.
        """
        if not self.finished:
            if self._done is None:
                self._done = trio.Event()
            await self._done.wait()
        return self.exit_reason

    def close(self, reason: Reason) -> None:
        """Take no more messages under the name."""
        if self.accepting:
            self.accepting = False
            self.exit_reason = reason
            if self.child.ref is not None:
                self.child.ref.close(self, reason)

    def finish(self, reason: Reason) -> None:
        """The very end: see the module's text for the order of things."""
        child = self.child
        self.finished = True
        self.exit_reason = reason
        child.last_exit = reason
        child.killed = self._kill_reason is not None
        if child.process is self:
            child.process = None
        self.accepting = False
        if child.ref is not None:
            child.ref.unbind(self, reason)
        self.settle(reason)
        self.task = None  # its context points back here
        if self._overdue is not None:
            self._overdue.cancel()
            self._overdue = None  # it points back here
        if self._watchers is not None:
            self._watchers.tell(reason)
        if self._started is not None:
            self._started.set()
        if self._done is not None:
            self._done.set()
        if self.acknowledged:
            child.parent.child_exited(child, self, reason)

    def settle(self, reason: Reason) -> None:
        """Settle what others still expect of it."""
