"""The restart strategies and the administrative calls: what a supervisor decides.

``StaticSupervisor`` is one_for_one, one_for_all and rest_for_one; ``DynamicSupervisor`` restarts
one for one, forgets its temporary children on the spot and stops all at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any, Final

import trio

from supervision.actor_process import ActorProcess
from supervision.errors import (
    ActorDown,
    AlreadyPresent,
    AlreadyStarted,
    ChildNotFound,
    ChildRestarting,
    ChildRunning,
    MaxChildren,
    SpecError,
    StartFailed,
    SupervisionError,
)
from supervision.handles import Admin, ChildCounts, ChildInfo, Listing, StartChild
from supervision.process import Child, Process
from supervision.reasons import Reason, Shutdown, describe_reason, is_orderly
from supervision.refs import Ref, TaskStarter
from supervision.specs import ChildSpec
from supervision.supervisor_process import Due, Exit, Retry, SupervisorProcess
from supervision.task_process import TaskProcess


def make_process(child: Child) -> Process:
    """Make the incarnation that a child's specification asks for; its task is not started."""
    spec = child.spec
    if spec.kind == "actor":
        return ActorProcess(child)
    if spec.kind == "task":
        return TaskProcess(child)
    assert spec.plan is not None
    if spec.plan.strategy == "dynamic":
        return DynamicSupervisor(child, make_process)
    return StaticSupervisor(child, make_process)


class StaticSupervisor(SupervisorProcess):
    """One incarnation of a supervisor whose children stand in an order."""

    __slots__ = ()

    # ---- restarting

    async def on_exit(self, notice: Exit) -> None:
        """Restart, keep or forget a child that has ended by itself."""
        child, reason = notice.child, notice.reason
        if child.owned is not notice.process:
            return  # stopped meanwhile, or its start was its end
        child.owned = None
        if self.child.system.interrupted is not None:
            return  # Ctrl-C: everything is about to stop
        restart = child.spec.restart
        if restart == "permanent" or not is_orderly(reason):
            child.report("supervisor", "child_terminated", describe_reason(reason))
        if restart == "permanent" or (restart == "transient" and not is_orderly(reason)):
            if trio.current_time() - notice.process.started_at >= self._healthy_after():
                child.retries = 0
            await self._restart(child)
            return
        if self.forgets(child):
            self.remove(child)
        self._consider_auto_shutdown(child)

    async def on_retry(self, retry: Retry) -> None:
        """Try once more what failed, unless it was called off meanwhile."""
        if retry.child.ticket is retry.ticket:
            await self._restart(retry.child)

    async def on_due(self, due: Due) -> None:
        """Start those whose back-off is over."""
        await self._start_waiting(due.ticket)

    async def _restart(self, child: Child) -> None:
        """One round of restarting: count it, clear the way, then start now or later."""
        if not self.log.add(trio.current_time()):
            self._give_up(child)
            return
        ticket = object()
        for other in reversed(self._affected(child)):
            if other is not child:
                await self.stop(other)
                if other.spec.restart == "temporary":
                    self.remove(other)
                    continue
            other.resting = "restarting"
            other.ticket = ticket
        child.retries += 1
        backoff = self.plan.backoff
        if backoff is None:
            await self._start_waiting(ticket)
        else:
            system = self.child.system
            delay = backoff.delay(child.retries, system.chance, killed=child.killed)
            system.timers.after(delay, lambda: self.tell(Due(ticket)))

    def _affected(self, child: Child) -> list[Child]:
        """Whom the strategy restarts with a child, in start order."""
        if self.plan.strategy == "one_for_all":
            return list(self.children.values())
        if self.plan.strategy == "rest_for_one":
            all_children = list(self.children.values())
            return all_children[all_children.index(child) :]
        return [child]

    async def _start_waiting(self, ticket: object) -> None:
        """Start the children that wait with a ticket, in order.

        A failure goes to the mailbox, to be tried again behind what waits there. Those behind the
        one that failed are stopped until then, as in OTP: the next round takes them along, and if
        it is called off they stay as they are.
        """
        waiting = [child for child in self.children.values() if child.ticket is ticket]
        for number, child in enumerate(waiting):
            child.restarts += 1
            if await self.start(child) is None:
                continue
            child.resting = "restarting"
            child.ticket = ticket
            for other in waiting[number + 1 :]:
                other.resting = "stopped"
                other.ticket = None
            self.tell(Retry(child, ticket))
            return

    def _give_up(self, child: Child) -> None:
        log = self.log
        text = f"more than {log.max_restarts} restarts in {log.max_seconds:g} s"
        child.report("supervisor", "shutdown", f"{self.name!r} gives up: {text}")
        self.ending = Shutdown(f"{text}, last of {child.name!r}")

    def _healthy_after(self) -> float:
        backoff = self.plan.backoff
        return 0.0 if backoff is None else backoff.healthy_after

    def _consider_auto_shutdown(self, child: Child) -> None:
        rule = self.plan.auto_shutdown
        if rule == "never" or not child.spec.significant:
            return
        if rule == "all_significant" and any(
            other.spec.significant and (other.owned is not None or other.ticket is not None)
            for other in self.children.values()
        ):
            return
        self.ending = "shutdown"

    async def stop_all(self) -> None:
        """Stop the children one by one, the youngest first."""
        for child in reversed(list(self.children.values())):
            await self.stop(child)

    # ---- administrative calls

    async def administer(self, message: Any) -> object:
        """Do what an administrative call asks for."""
        if isinstance(message, StartChild):
            return await self._start_child(message.spec)
        if isinstance(message, Listing):
            return self._count() if message.counts else self._list()
        if not isinstance(message, Admin):
            raise SupervisionError(f"{self.name!r} is a supervisor: it takes administrative calls")
        child = self.children.get(message.id)
        if child is None:
            raise ChildNotFound(message.id)
        if message.verb == "terminate":
            await self.stop(child)
            if self.forgets(child):
                self.remove(child)
            return None
        if message.verb == "show":
            return _info(child)
        if message.verb == "spec":
            return child.spec
        if child.owned is not None:
            raise ChildRunning(child.name)
        if child.ticket is not None:
            raise ChildRestarting(child.name)
        if message.verb == "delete":
            self.remove(child)
            return None
        return self._ref_or_raise(child, await self.start(child))

    async def _start_child(self, spec: ChildSpec) -> Ref | None:
        if not isinstance(spec, ChildSpec):
            raise SpecError("start_child", [f"expected a ChildSpec, not {spec!r}"])
        if spec.significant and self.plan.auto_shutdown == "never":
            raise SpecError(
                f"child {spec.id!r}", [f"significant, but auto_shutdown of {self.name!r} is never"]
            )
        present = self.children.get(spec.id)
        if present is not None:
            raise (AlreadyPresent if present.owned is None else AlreadyStarted)(spec.id)
        self.check_room(spec.id)
        child = self.add(spec)
        failure = await self.start(child)
        if failure is not None:
            self.remove(child)
        return self._ref_or_raise(child, failure)

    def check_room(self, name: str) -> None:
        """Raise ``MaxChildren`` when there is no room for one more."""
        if len(self.children) >= self.plan.max_children:
            raise MaxChildren(name, self.name, self.plan.max_children)

    def _ref_or_raise(self, child: Child, failure: Reason | None) -> Ref | None:
        if failure is not None:
            raise StartFailed(child.name, failure)
        return None if child.ignored else child.reference()

    def _list(self) -> list[ChildInfo]:
        return [_info(child) for child in reversed(self.children.values())]

    def _count(self) -> ChildCounts:
        children = self.children.values()
        supervisors = sum(child.spec.kind == "supervisor" for child in children)
        return ChildCounts(
            specs=len(children),
            active=sum(child.owned is not None for child in children),
            supervisors=supervisors,
            workers=len(children) - supervisors,
        )


def _info(child: Child) -> ChildInfo:
    return ChildInfo(
        child.name,
        "running"
        if child.owned is not None
        else "restarting"
        if child.ticket is not None
        else "stopped",
        "supervisor" if child.spec.kind == "supervisor" else "worker",
    )


# Checked once, shared by all tasks: a check for each would cost as much as the task.
_ANY_TASK: Final = ChildSpec("task", trio.sleep_forever, "task", "temporary")


class DynamicSupervisor(StaticSupervisor):
    """One incarnation of a supervisor whose children come and go."""

    __slots__ = ("_number",)

    def __init__(self, child: Child, make: Callable[[Child], Process]) -> None:
        super().__init__(child, make)
        self._number = count(1)

    @property
    def starter(self) -> TaskStarter:
        """How tasks are started at once, without a message."""
        return self._start_task

    def _start_task(
        self,
        run: Callable[..., Awaitable[Any]],
        args: tuple[Any, ...],
        name: str | None,
        shutdown: float | str,
    ) -> str:
        if self.phase != "running" or self.scope.cancel_called:
            raise ActorDown(self.name, "stopping")
        if name is None:
            name = f"{self.name}:{next(self._number)}"
        self.check_room(name)
        spec = _ANY_TASK
        if shutdown != spec.shutdown:
            spec = ChildSpec(name, run, "task", "temporary", shutdown)
        child = self.add(spec, name)
        self.launch(TaskProcess(child, run, args))
        return name

    def child_exited(self, child: Child, process: Process, reason: Reason) -> None:
        """Forget a temporary child on the spot; others need a restart, which is a message."""
        if child.spec.restart != "temporary" or child.owned is not process or process.ignored:
            super().child_exited(child, process, reason)
            return
        child.owned = None
        if not is_orderly(reason):
            child.report("supervisor", "child_terminated", describe_reason(reason))
        self.remove(child)

    def forgets(self, child: Child) -> bool:
        """A child that does not run is forgotten, whatever its restart type."""
        return child.owned is None

    async def stop_all(self) -> None:
        """Stop all children at the same time; what went wrong is reported once for each reason."""
        stopping: list[Process] = []
        for child in list(self.children.values()):
            process, child.owned = child.owned, None
            child.ticket = None
            child.resting = "stopped"
            if process is not None:
                self.begin_stop(process)
                stopping.append(process)
        await self.wait_for_all(stopping)
        errors = Counter(
            describe_reason(process.exit_reason)
            for process in stopping
            if not self.stopped_as_asked(process.child, process.exit_reason)
        )
        for text, times in errors.items():
            self.child.report("supervisor", "shutdown_error", f"{times} children ended so: {text}")
