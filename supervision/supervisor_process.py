"""The task behind a supervisor: its nursery, its mailbox, and how it starts and stops children.

Everything comes to it as a message: exit notices, restarts that are due, administrative calls and
the request to stop. It handles one at a time, so its view of its children is never torn; a restart
that failed goes back into the mailbox behind whatever waits there.
"""

from __future__ import annotations

import contextvars
import math
from abc import abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Final

import msgspec
import trio

from supervision.calls import OpenCalls, PendingCall, fail_all
from supervision.crashes import crash_reason, interrupt_reason
from supervision.errors import MailboxFull, StartFailed, SupervisionError
from supervision.intensity import RestartLog
from supervision.process import Child, Process
from supervision.reasons import Reason, Shutdown, describe_reason, is_orderly
from supervision.specs import ChildSpec
from supervision.tree import RestartBudget, TreeNode
from supervision.waits import CURRENT

MAX_ADMIN_CALLS: Final = 10_000
"""How many administrative calls may wait at one supervisor."""


class Exit(msgspec.Struct, frozen=True):
    """An exit notice."""

    child: Child
    process: Process
    reason: Reason


class Retry(msgspec.Struct, frozen=True):
    """A restart failed: try again, which counts as another restart."""

    child: Child
    ticket: object


class Due(msgspec.Struct, frozen=True):
    """The back-off is over: start those who wait with this ticket."""

    ticket: object


class Stop(msgspec.Struct, frozen=True):
    """Stop in order."""

    reason: Reason


MakeProcess = Callable[[Child], Process]


class SupervisorProcess(Process):
    """One incarnation of a supervisor.

    Attributes:
        plan: what it was specified as.
        log: its restarts, for the intensity rule.
        children: by name, in start order.
        ending: its exit reason, once it has decided to end.
    """

    kind: ClassVar[str] = "supervisor"

    __slots__ = (
        "_context",
        "_make",
        "_nursery",
        "_open_calls",
        "_receive",
        "_send",
        "children",
        "ending",
        "log",
        "plan",
    )

    def __init__(self, child: Child, make: MakeProcess) -> None:
        super().__init__(child)
        plan = child.spec.plan
        assert plan is not None
        self.plan = plan
        self.log = RestartLog(plan.max_restarts, plan.max_seconds)
        self.children: dict[str, Child] = {}
        self.ending: Reason | None = None
        self._make = make
        self._send, self._receive = trio.open_memory_channel[Any](math.inf)
        self._open_calls: OpenCalls = {}
        self._nursery: trio.Nursery | None = None
        self._context: contextvars.Context | None = None

    @property
    def lineage(self) -> tuple[str, ...]:
        """Its name and those above it, nearest first."""
        return (self.name, *self.child.parent.lineage)

    # ---- what arrives

    def request(self, message: Any, deadline: float) -> PendingCall:
        """Queue an administrative call."""
        if len(self._open_calls) >= MAX_ADMIN_CALLS:
            raise MailboxFull(self.name, MAX_ADMIN_CALLS)
        call = PendingCall(message, deadline, self, self._open_calls)
        self._send.send_nowait(call)
        return call

    def tell(self, message: Exit | Retry | Due | Stop) -> None:
        """Put a message of the machinery into the mailbox."""
        if not self.finished:
            self._send.send_nowait(message)

    def child_exited(self, child: Child, process: Process, reason: Reason) -> None:
        """Take an exit notice."""
        self.tell(Exit(child, process, reason))

    def ask_to_stop(self, reason: Reason) -> None:
        """Stop after the messages that came before."""
        self.phase = "stopping"
        self.tell(Stop(reason))

    # ---- life

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Supervise until asked to stop, killed, or out of patience."""
        CURRENT.set(self)
        self.task = trio.lowlevel.current_task()
        reason: Reason = "killed"
        try:
            with self.scope:
                async with trio.open_nursery() as self._nursery:
                    # Children inherit this context, not that of whoever happens to start them.
                    self._context = contextvars.copy_context()
                    try:
                        reason = await self._live()
                    finally:
                        await self._reap()
            if self.scope.cancelled_caught:
                reason = self.reason_of_cancel()
        except Exception as error:  # noqa: BLE001 - whatever escapes is the exit reason
            reason = crash_reason(self.child, error)
        except (KeyboardInterrupt, SystemExit, BaseExceptionGroup) as error:
            reason = interrupt_reason(self.child, error)
        finally:
            self._let_go_of_children()
            self._send.close()
            self._receive.close()
            self._nursery = self._context = None  # they point back here
            self.finish(reason)
            del reason  # an exception's traceback points at this frame: no cycle, please

    def _let_go_of_children(self) -> None:
        """Free their names and keep their counts; they point back here."""
        children, self.children = self.children, {}
        for child in children.values():
            child.system.release(child)
            child.owned = None  # its exit notice may have come too late to be read
        if self.plan.strategy != "dynamic":
            self.child.below = {name: child.former() for name, child in children.items()}

    async def _live(self) -> Reason:
        self.open()
        failure = await self._begin()
        if failure is not None:
            return failure
        self.acknowledge()
        while self.ending is None:
            message = await self._receive.receive()
            if type(message) is PendingCall:
                if not message.settled:
                    await self._answer(message)
            elif isinstance(message, Exit):
                await self.on_exit(message)
            elif isinstance(message, Retry):
                await self.on_retry(message)
            elif isinstance(message, Due):
                await self.on_due(message)
            else:
                assert isinstance(message, Stop)
                self.ending = message.reason
            message = None  # it may hold a specification that nobody else needs any more
        self.phase = "stopping"
        self.close(self.ending)
        fail_all(self._open_calls, self.name, self.ending)
        await self.stop_all()
        return self.ending

    async def _begin(self) -> Reason | None:
        """Start the children one after the other; roll back when one fails."""
        former = self.child.below or {}
        for spec in self.plan.children:
            try:
                child = self.add(spec)
            except SupervisionError as error:
                failure: Reason | None = error
            else:
                if spec.id in former:
                    child.inherit(former[spec.id])
                failure = await self.start(child)
            if failure is not None:
                self.phase = "stopping"
                self.close(failure)
                await self.stop_all()
                return Shutdown(StartFailed(spec.id, failure))
        return None

    async def _answer(self, call: PendingCall) -> None:
        try:
            answer = await self.administer(call.message)
        except SupervisionError as error:
            call.fail(error)
        else:
            call.reply(answer)

    async def _reap(self) -> None:
        """Whoever still lives when the supervisor itself was killed dies with it."""
        living = [child.process for child in self.children.values() if child.process is not None]
        for process in living:
            process.kill()
        if living:
            with trio.CancelScope(shield=True):
                await self.wait_for_all(living)

    def settle(self, reason: Reason) -> None:
        """Fail every open administrative call."""
        fail_all(self._open_calls, self.name, reason)

    # ---- for the strategies

    @abstractmethod
    async def on_exit(self, notice: Exit) -> None:
        """A child has ended."""

    @abstractmethod
    async def on_retry(self, retry: Retry) -> None:
        """A failed restart has come back through the mailbox."""

    @abstractmethod
    async def on_due(self, due: Due) -> None:
        """A back-off is over."""

    @abstractmethod
    async def administer(self, message: Any) -> object:
        """Do what an administrative call asks for; its refusals are ``SupervisionError``."""

    @abstractmethod
    async def stop_all(self) -> None:
        """Stop every child."""

    # ---- children

    def add(self, spec: ChildSpec, name: str | None = None) -> Child:
        """Enter a specification, not started yet, under its id or another name.

        Raises:
            AlreadyStarted: the name is taken.
        """
        child = Child(spec, self, self.child.system, name)
        child.system.claim(child)
        self.children[child.name] = child
        return child

    def remove(self, child: Child) -> None:
        """Forget a child that does not run."""
        del self.children[child.name]
        child.system.release(child)

    def launch(self, process: Process) -> None:
        """Set an incarnation's task going."""
        assert self._nursery is not None
        assert self._context is not None
        process.enter()
        nursery = self._nursery
        self._context.run(lambda: nursery.start_soon(process.run, name=process.name))

    async def start(self, child: Child) -> Reason | None:
        """Start an incarnation and wait until it is ready; report how it went.

        Returns:
            ``None`` when it is ready, or had nothing to do (then a temporary child is forgotten
            already); else why it failed. A failed child is stopped.
        """
        process = self._make(child)
        child.resting = "stopped"
        child.ticket = None
        if child.spec.start_timeout != math.inf:
            process.kill_after(child.spec.start_timeout)
        self.launch(process)
        self.awaiting.append(process)
        try:
            failure = await process.wait_started()
        finally:
            self.awaiting.remove(process)
        child.ignored = process.ignored
        if failure is not None:
            child.owned = None
            child.report("supervisor", "start_error", describe_reason(failure))
        elif child.ignored:
            child.owned = None
            await process.wait_finished()
            if self.forgets(child):
                self.remove(child)
        else:
            child.report("progress", "started", "")
        return failure

    def forgets(self, child: Child) -> bool:
        """Whether a child that does not run any more is forgotten with its specification."""
        return child.spec.restart == "temporary"

    async def stop(self, child: Child) -> None:
        """Stop a child and wait until it has ended; it is not restarted."""
        process, child.owned = child.owned, None
        child.ticket = None
        child.resting = "stopped"
        if process is None:
            return
        self.begin_stop(process)
        await self.wait_for_all([process])
        reason = process.exit_reason
        if not self.stopped_as_asked(child, reason):
            child.report("supervisor", "shutdown_error", describe_reason(reason))

    def begin_stop(self, process: Process) -> None:
        """Ask an incarnation to stop, within the time its specification gives it."""
        shutdown = process.child.spec.shutdown
        if shutdown == "infinity":
            process.ask_to_stop("shutdown")
        elif isinstance(shutdown, str):
            process.kill()
        else:
            process.ask_to_stop("shutdown")
            process.kill_after(shutdown)

    def stopped_as_asked(self, child: Child, reason: Reason) -> bool:
        """Whether a stopped child ended as it was asked to (OTP's test for a shutdown error).

        One that was ending by itself just then may have done so in order, unless it is permanent.
        """
        if reason == ("killed" if child.spec.shutdown == "brutal_kill" else "shutdown"):
            return True
        if child.spec.kind == "supervisor" and isinstance(reason, Shutdown):
            return True  # it gave up; OTP's says a plain "shutdown" then
        return child.spec.restart != "permanent" and is_orderly(reason)

    async def wait_for_all(self, processes: list[Process]) -> None:
        """Wait until all have ended, visible to others as a wait for them."""
        for process in processes:
            self.awaiting.append(process)
            try:
                await process.wait_finished()
            finally:
                self.awaiting.remove(process)

    # ---- for the picture

    def draw(self, node: TreeNode) -> None:
        """Add the restart budget and the children."""
        node.restart_budget = RestartBudget(
            used=self.log.used(trio.current_time()),
            max=self.log.max_restarts,
            seconds=self.log.max_seconds,
        )
        node.children = [child.node() for child in self.children.values()]
        if self.awaiting:
            node.waiting_in = "waits for " + ", ".join(repr(each.name) for each in self.awaiting)
        elif self.phase == "running":
            node.waiting_in = "mailbox"
