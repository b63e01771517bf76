"""The picture of the tree that ``system.snapshot()`` takes, without a message to anyone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Final, Literal

import msgspec
import trio

from supervision.reasons import describe_reason

State = Literal["starting", "running", "restarting", "stopping", "stopped"]

_HERE: Final = os.path.dirname(__file__) + os.sep  # noqa: PTH120 - compared with code objects' file names, strings
_TRIO: Final = os.path.dirname(trio.__file__) + os.sep  # noqa: PTH120 - the same
_MAX_FRAMES: Final = 100


class RestartBudget(msgspec.Struct, frozen=True):
    """How much of a supervisor's tolerance is used: ``used`` of ``max`` within ``seconds``."""

    used: int
    max: int
    seconds: float


class MailboxView(msgspec.Struct, frozen=True):
    """A mailbox: messages in it ``now``, at its ``peak``, its ``limit``, and how many were
    refused or dropped because it was full, or ``expired`` unexecuted."""  # noqa: D205, D209 - one sentence

    now: int
    peak: int
    limit: int
    dropped: int
    expired: int


class TreeNode(msgspec.Struct, kw_only=True):
    """One child and, for a supervisor, all below it.

    Attributes:
        name: its id.
        kind: ``actor``, ``task`` or ``supervisor``.
        state: ``starting``, ``running``, ``restarting``, ``stopping`` or ``stopped``.
        incarnation: how many lives it has had.
        uptime: seconds this incarnation has run, ``None`` when it does not.
        restarts: how often its supervisor has restarted it.
        restart: its restart type.
        restart_budget: supervisors: what of the intensity is used.
        mailbox: actors: how full.
        handled: messages taken from the mailbox by this incarnation.
        last_exit: why the previous incarnation ended.
        strategy: supervisors: ``one_for_one`` …
        waiting_in: what its task waits in: ``mailbox``, ``call to 'x' in …`` or ``file:line
            function``.
        meta: from its specification.
        extra: from the actor's ``describe()``.
        children: supervisors: in start order.
    """

    name: str
    kind: Literal["actor", "task", "supervisor"]
    state: State
    incarnation: int
    uptime: float | None
    restarts: int
    restart: str
    restart_budget: RestartBudget | None = None
    mailbox: MailboxView | None = None
    handled: int = 0
    last_exit: str | None = None
    strategy: str | None = None
    waiting_in: str | None = None
    meta: Mapping[str, object] = {}
    extra: Mapping[str, object] = {}
    children: list[TreeNode] = []

    def walk(self) -> Iterator[TreeNode]:
        """This node and all below it, parents before children."""
        yield self
        for child in self.children:
            yield from child.walk()

    def find(self, name: str) -> TreeNode | None:
        """The node of that name at or below this one."""
        return next((node for node in self.walk() if node.name == name), None)


def where(task: trio.lowlevel.Task) -> str | None:
    """Where a task waits, as its own code sees it.

    Args:
        task: a task that is not running at this moment.

    Returns:
        ``file:line function`` of the innermost frame outside trio and this package, ``None``
        when there is none (the task waits in the package's own loop) or it cannot be seen.
    """
    found = None
    for frame, line in task.iter_await_frames():
        code = frame.f_code
        if not code.co_filename.startswith((_HERE, _TRIO)):
            found = (code, line)
    if found is None:
        return None
    code, line = found
    return f"{os.path.basename(code.co_filename)}:{line} {code.co_qualname}"  # noqa: PTH119 - a string from a code object


def stack(task: trio.lowlevel.Task) -> str:
    """The whole chain of frames a task waits in, outermost first, as text.

    Args:
        task: a task that is not running at this moment.
    """
    lines = []
    for number, (frame, line) in enumerate(task.iter_await_frames()):
        if number >= _MAX_FRAMES:
            lines.append("  …")
            break
        code = frame.f_code
        lines.append(f'  File "{code.co_filename}", line {line}, in {code.co_qualname}')
    return "\n".join(lines)


def facts_of(describe: Callable[[], Mapping[str, object]]) -> Mapping[str, object]:
    """Ask an actor for facts to show; an error in that is shown, not raised.

    Args:
        describe: the actor's own ``describe``.
    """
    try:
        return describe()
    except Exception as error:  # noqa: BLE001 - a broken description must not break the picture
        return {"describe failed": describe_reason(error)}
