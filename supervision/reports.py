"""What happened in the tree, as structured events: crash, supervisor and progress reports.

Each report goes to the logger ``standby.supervision`` (one line of text, the report itself in the
record's ``report`` attribute), into a bounded history, and to every subscriber.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

import msgspec
import trio

LOGGER: Final = logging.getLogger("standby.supervision")
"""Where reports are logged: crashes as errors, supervisor reports as warnings, progress as info."""

_LEVELS: Final[Mapping[str, int]] = {
    "crash": logging.ERROR,
    "supervisor": logging.WARNING,
    "progress": logging.INFO,
}

Kind = Literal["crash", "supervisor", "progress"]
Context = Literal[
    "started",
    "crashed",
    "start_error",
    "child_terminated",
    "shutdown_error",
    "shutdown",
    "unkillable",
    "overflow",
    "poison",
    "cleanup_error",
    "unexpected",
]


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One event.

    Attributes:
        kind: ``crash`` (an exception ended an incarnation), ``supervisor`` (what a supervisor saw
            or decided) or ``progress`` (a child has started).
        context: OTP's errorContext, and a few of our own: ``started``, ``crashed``,
            ``start_error``, ``child_terminated``, ``shutdown_error``, ``shutdown`` (the
            supervisor gives up), ``unkillable``, ``overflow``, ``poison``, ``cleanup_error``,
            ``unexpected``.
        name: whom it is about (the offender).
        supervisor: whose child it is; ``None`` for the root.
        ancestors: the supervisors above, nearest first.
        incarnation: the offender's incarnation number, from 1.
        restarts: how often it has been restarted before this.
        reason: why, in one line.
        last_message: the shape of the message it was handling, never its contents.
        traceback: the stack of the exception, or of a task that does not end.
        at: wall-clock seconds since 1970.
        clock: ``trio.current_time()``.
    """

    kind: Kind
    context: Context
    name: str
    supervisor: str | None
    ancestors: tuple[str, ...]
    incarnation: int
    restarts: int
    reason: str
    at: float
    clock: float
    last_message: str | None = None
    traceback: str | None = None

    def line(self) -> str:
        """The report as one line of text."""
        under = f" under {self.supervisor!r}" if self.supervisor is not None else ""
        text = f"{self.context.replace('_', ' ')}: {self.name!r} #{self.incarnation}{under}"
        if self.reason:
            text += f": {self.reason}"
        if self.last_message is not None:
            text += f" (handling {self.last_message})"
        return text


class Reports:
    """The place all reports of a system go through.

    Args:
        history: how many reports are kept.
        log: whether they go to ``logging`` too.
    """

    def __init__(self, *, history: int = 500, log: bool = True) -> None:
        self.history: deque[Report] = deque(maxlen=history)
        self.counts: dict[str, int] = dict.fromkeys(_LEVELS, 0)
        self._log = log
        self._subscribers: list[Callable[[Report], None]] = []

    def subscribe(self, subscriber: Callable[[Report], None]) -> Callable[[], None]:
        """Have a function called with every report from now on.

        Args:
            subscriber: synchronous and quick; what it raises is logged and goes no further.

        Returns:
            A function that ends the subscription.
        """
        self._subscribers.append(subscriber)

        def unsubscribe() -> None:
            with contextlib.suppress(ValueError):
                self._subscribers.remove(subscriber)

        return unsubscribe

    def publish(
        self,
        kind: Kind,
        context: Context,
        *,
        name: str,
        ancestors: tuple[str, ...],
        incarnation: int,
        restarts: int,
        reason: str,
        last_message: str | None = None,
        traceback: str | None = None,
    ) -> Report:
        """Make a report and hand it round.

        Args:
            kind: see ``Report``; so are the others.
            context: what happened.
            name: the offender.
            ancestors: the supervisors above it, nearest first.
            incarnation: which of its lives.
            restarts: restarts before.
            reason: one line.
            last_message: shape of the message in work.
            traceback: stack as text.

        Returns:
            The report.
        """
        report = Report(
            kind=kind,
            context=context,
            name=name,
            supervisor=ancestors[0] if ancestors else None,
            ancestors=ancestors,
            incarnation=incarnation,
            restarts=restarts,
            reason=reason,
            at=time.time(),
            clock=trio.current_time(),
            last_message=last_message,
            traceback=traceback,
        )
        self.history.append(report)
        self.counts[kind] += 1
        if self._log:
            text = report.line()
            if traceback is not None:
                text += "\n" + traceback.rstrip()
            LOGGER.log(_LEVELS[kind], "%s", text, extra={"report": report})
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(report)
            except Exception:
                LOGGER.exception("a subscriber of the reports raised on %s", report.line())
        return report


def message_shape(message: Any) -> str:
    """Describe a message without giving away its contents: they may hold secrets.

    Args:
        message: anything.

    Returns:
        The type's name; for a tuple, the names of its members' types.
    """
    if type(message) is tuple:
        return "(" + ", ".join(type(member).__name__ for member in message[:8]) + ")"
    return type(message).__qualname__
