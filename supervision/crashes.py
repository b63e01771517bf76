"""What escapes a child's task, made into an exit reason and a report."""

from __future__ import annotations

import contextlib
import inspect
import opcode
import os
import traceback
from types import FrameType, TracebackType
from typing import Final

from supervision.process import Child
from supervision.reasons import Reason, describe_reason, root_causes, unwrap

_SUSPECTS: Final = 1000
_RESUMABLE: Final = inspect.CO_COROUTINE | inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR
_YIELD: Final = opcode.opmap["YIELD_VALUE"]
_HERE: Final = os.path.dirname(__file__) + os.sep  # noqa: PTH120 - compared with strings


def crash_reason(
    child: Child, error: BaseException, last_message: str | None = None
) -> BaseException:
    """Make the exit reason of an exception that escaped, and report it as a crash.

    Args:
        child: whose task it escaped.
        error: what escaped.
        last_message: the shape of the message in work.

    Returns:
        The exception, out of the groups of one that nurseries put around it.
    """
    error = unwrap(error)
    error.__traceback__ = _without_machinery(error.__traceback__)
    child.report(
        "crash",
        "crashed",
        describe_reason(error),
        last_message=last_message,
        traceback="".join(traceback.format_exception(error, limit=-40)),
    )
    # The exception is kept as the last exit reason. What its frames hold is not: the dead actor,
    # its last message and its connections.
    for cause in (error, *root_causes(error)):
        _clear_frames(cause.__traceback__)
    return error


def _clear_frames(trace: TracebackType | None) -> None:
    """Let go of what the frames hold, except of those that still have work to do.

    An exception object that several tasks raise has the frames of all of them in its traceback,
    and one of those may be in the middle of its ``finally``. To clear the frame of a suspended
    coroutine would be to close it, here, in the wrong task (since Python 3.13 it is an error).
    """
    while trace is not None:
        if not _is_suspended(trace.tb_frame):
            with contextlib.suppress(RuntimeError):  # it runs just now
                trace.tb_frame.clear()
        trace = trace.tb_next


def _is_suspended(frame: FrameType) -> bool:
    """Whether a coroutine's frame stands at a yield: what it does last when it is suspended."""
    code, last = frame.f_code, frame.f_lasti
    return bool(code.co_flags & _RESUMABLE) and last >= 0 and code.co_code[last] == _YIELD


def blame(child: Child, key: object) -> None:
    """Count a crash against the message in work; the oldest suspects are forgotten.

    Args:
        child: who crashed on it.
        key: what makes the message the same one, sent again.
    """
    counts = child.poison
    if counts is None:
        counts = child.poison = {}
    counts[key] = counts.pop(key, 0) + 1
    while len(counts) > _SUSPECTS:
        del counts[next(iter(counts))]


def _without_machinery(trace: TracebackType | None) -> TracebackType | None:
    """Leave out the outermost frames, which are this package's and the same for every crash."""
    inner = trace
    while inner is not None and inner.tb_frame.f_code.co_filename.startswith(_HERE):
        inner = inner.tb_next
    return trace if inner is None else inner


def interrupt_reason(child: Child, error: BaseException) -> Reason:
    """Ctrl-C or ``SystemExit`` struck in a task: have the whole system stop and raise it.

    Args:
        child: whose task it struck.
        error: it, or a group that a nursery made of it and others.

    Returns:
        The exit reason.
    """
    if isinstance(error, BaseExceptionGroup):
        interrupts = error.subgroup((KeyboardInterrupt, SystemExit))
        if interrupts is None:
            return crash_reason(child, error)
        error = root_causes(interrupts)[0]
    child.system.interrupt(error)
    return "interrupted"
