"""Starting a system and stopping it in order, whatever the world around it does."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from supervision.errors import SpecError, StartFailed, SystemDown
from supervision.process import Child, Process
from supervision.reasons import Reason, unwrap
from supervision.reports import Reports
from supervision.specs import ChildSpec
from supervision.supervisors import make_process
from supervision.system import System

DEFAULT_STOP_TIMEOUT: Final = 60.0
"""Seconds the whole tree gets to stop in order before what is left of it is killed."""


class _Top:
    """What stands above the root supervisor: nobody restarts that one."""

    def __init__(self) -> None:
        self.lineage: tuple[str, ...] = ()
        self.body = trio.CancelScope()
        self.asked = False
        self.down: Reason | None = None

    def child_exited(self, child: Child, process: Process, reason: Reason) -> None:
        """The root has ended: if nobody asked it to, the body of ``open_system`` ends too."""
        del process
        child.owned = None
        child.system.release(child)
        child.system.detach()
        if not self.asked:
            self.down = reason
            self.body.cancel(reason=f"the root supervisor {child.name!r} has ended")


@asynccontextmanager
async def open_system(
    root: ChildSpec,
    *,
    reports: Reports | None = None,
    stop_timeout: float = DEFAULT_STOP_TIMEOUT,
    chance: random.Random | None = None,
) -> AsyncIterator[System]:
    """Run a tree of actors for as long as the ``async with`` block runs.

    The block begins when every child has got through its ``init``. However it ends (by itself, an
    exception, a cancellation from outside, Ctrl-C), the tree is stopped in order: the request goes
    from the root down, the youngest child first, each with the time its specification gives it.

    Args:
        root: the root supervisor.
        reports: where reports go; by default to ``logging`` and a history of 500.
        stop_timeout: seconds the whole tree gets before what is left is killed.
        chance: the source of jitter, to make tests repeatable.

    Yields:
        The system.

    Raises:
        SpecError: ``root`` is no supervisor.
        StartFailed: a child failed to start; those before it have been stopped again.
        SystemDown: the root supervisor gave up; the block was cancelled.
    """
    if root.kind != "supervisor":
        raise SpecError(
            "open_system", [f"the root must be a supervisor, not {root.kind} {root.id!r}"]
        )
    system = System(Reports() if reports is None else reports, chance)
    top = _Top()
    child = Child(root, top, system)
    system.claim(child)
    process = make_process(child)

    def stop(reason: Reason) -> None:
        if not top.asked:
            top.asked = True
            process.ask_to_stop(reason)

    system.attach(child, stop, lambda: top.body.cancel(reason="interrupted"))
    timers = trio.CancelScope(shield=True)
    failure: Reason | None = "killed"
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_run_timers, system, timers)
            process.enter()
            nursery.start_soon(process.run, name=root.id)
            try:
                with top.body:
                    failure = await process.wait_started()
                    if failure is None:
                        yield system
            finally:
                with trio.CancelScope(shield=True):
                    if failure is not None:
                        process.kill()
                    stop("shutdown")
                    process.kill_after(stop_timeout)
                    await process.wait_finished()
                system.release(child)
                system.detach()
                timers.cancel()
    except BaseExceptionGroup as group:
        # Only the block itself can have raised: take away what our nursery put around it.
        error = unwrap(group)
        if error is group:
            raise
        raise error from error.__cause__
    if system.interrupted is not None:
        raise system.interrupted
    if failure is not None:
        raise StartFailed(root.id, failure)
    if top.down is not None:
        raise SystemDown(root.id, top.down)


async def _run_timers(system: System, scope: trio.CancelScope) -> None:
    with scope:
        await system.timers.run()
