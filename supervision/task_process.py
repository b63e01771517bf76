"""The task behind a task child: no mailbox, stopped by cancellation."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar

import trio

from supervision.crashes import crash_reason, interrupt_reason
from supervision.process import Child, Process
from supervision.reasons import Reason
from supervision.refs import Ref
from supervision.system import System
from supervision.tree import TreeNode, where
from supervision.waits import CURRENT


class TaskContext:
    """What a task child with ``context=True`` gets.

    Attributes:
        ref: its own reference.
        system: the system it runs in.
    """

    __slots__ = ("_acknowledge", "ref", "system")

    def __init__(self, ref: Ref, system: System, acknowledge: Callable[[], None]) -> None:
        self.ref = ref
        self.system = system
        self._acknowledge = acknowledge

    def started(self) -> None:
        """Say that the start went through; the supervisor goes on to the next child."""
        self._acknowledge()


class TaskProcess(Process):
    """One incarnation of a task child."""

    kind: ClassVar[str] = "task"

    __slots__ = ("_args", "_run", "_stop_reason")

    def __init__(
        self,
        child: Child,
        run: Callable[..., Awaitable[Any]] | None = None,
        args: tuple[Any, ...] = (),
    ) -> None:
        super().__init__(child)
        self._run = child.spec.start if run is None else run
        self._args = args
        self._stop_reason: Reason | None = None

    def enter(self) -> None:
        """Become the present incarnation; a task can be killed by name from then on."""
        super().enter()
        self.open()

    def ask_to_stop(self, reason: Reason) -> None:
        """Cancel it: a task without a mailbox has no other ear."""
        if self._stop_reason is None:
            self._stop_reason = reason
        self.phase = "stopping"
        self.scope.cancel(reason=f"{self.name} is stopped by its supervisor")

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Run the function, and make an exit reason of whatever ends it."""
        CURRENT.set(None)
        self.task = trio.lowlevel.current_task()
        reason: Reason = "killed"
        try:
            with self.scope:
                child = self.child
                if child.spec.context:
                    self._args = (TaskContext(child.reference(), child.system, self._started_now),)
                else:
                    self._started_now()
                await self._run(*self._args)
                reason = "normal"
            if self.scope.cancelled_caught:
                reason = self.reason_of_cancel()
        except Exception as error:  # noqa: BLE001 - whatever escapes is the exit reason
            reason = crash_reason(self.child, error)
        except (KeyboardInterrupt, SystemExit, BaseExceptionGroup) as error:
            reason = interrupt_reason(self.child, error)
        finally:
            if not self.acknowledged and reason == "normal":
                reason = RuntimeError("the task ended before it called started()")
            self.finish(reason)
            del reason  # an exception's traceback points at this frame: no cycle, please

    def reason_of_cancel(self) -> Reason:
        """A kill outranks a stop."""
        reason = super().reason_of_cancel()
        if self._stop_reason is not None and reason == "killed":
            return self._stop_reason
        return reason

    def _started_now(self) -> None:
        if not self.acknowledged:
            if self.scope.deadline != math.inf:
                self.scope.deadline = math.inf
            self.acknowledge()

    def draw(self, node: TreeNode) -> None:
        """Add where it waits."""
        node.waiting_in = None if self.task is None else where(self.task)
