"""Everything that can go wrong between actors, as one small tree of exceptions.

``SupervisionError`` is the root. ``ActorDown`` and its kind are what an asker meets in normal
operation and should expect; ``AdminError`` and its kind are the refusals of a supervisor's
administrative calls (OTP's ``{error, already_present}`` and friends, each with its ``code``); the
rest are mistakes of the program.
"""

# ruff: noqa: N818 - each name says what happened; a suffix would only lengthen it
from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from supervision.reasons import Reason, describe_reason


class SupervisionError(Exception):
    """The root of every exception this package raises on purpose."""


class ActorDown(SupervisionError):
    """The actor ended before it answered, or is not running now.

    You get it at once, never after a timeout: when the call is made to an actor that is between
    two incarnations, and when the actor dies with the call queued or accepted but unanswered.

    Args:
        name: the actor's name.
        reason: why it ended: ``"normal"``, ``"shutdown"``, ``"killed"`` or the exception.
    """

    def __init__(self, name: str, reason: Reason) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"actor {self.name!r} is down: {describe_reason(self.reason)}"


class NoProcess(ActorDown):
    """Nothing is registered under this name: never started, or gone for good."""

    def __init__(self, name: str, reason: Reason = "noproc") -> None:
        super().__init__(name, reason)

    def __str__(self) -> str:
        return f"no actor is registered as {self.name!r}"


class CallTimeout(SupervisionError, TimeoutError):
    """The answer did not come in time; the call was withdrawn and will not be executed later.

    Args:
        name: the actor that was asked.
        timeout: the seconds waited, or ``None`` where the deadline came with the message.
    """

    def __init__(self, name: str, timeout: float | None = None) -> None:
        super().__init__(name, timeout)
        self.name = name
        self.timeout = timeout

    def __str__(self) -> str:
        if self.timeout is None:
            return f"the call to {self.name!r} passed its deadline unanswered"
        return f"no answer from {self.name!r} within {self.timeout:g} s"


class CallingSelf(SupervisionError):
    """An actor called itself: it would wait for ever, because it is the one who must answer."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"actor {self.name!r} calls itself and would wait for ever"


class CallCycle(SupervisionError):
    """A call would close a ring of actors that all wait for each other.

    Args:
        path: the names around the ring, first and last the same.
    """

    def __init__(self, path: Sequence[str]) -> None:
        super().__init__(tuple(path))
        self.path = tuple(path)

    def __str__(self) -> str:
        return "these would wait for each other for ever: " + " → ".join(self.path)


class MailboxFull(SupervisionError):
    """The mailbox holds as many messages as its bound allows; nothing was sent."""

    def __init__(self, name: str, limit: int) -> None:
        super().__init__(name, limit)
        self.name = name
        self.limit = limit

    def __str__(self) -> str:
        return f"the mailbox of {self.name!r} is full ({self.limit} messages)"


class PoisonMessage(SupervisionError):
    """The message was refused because it has crashed this actor too often.

    Args:
        name: the actor's name.
        crashes: how many times the message has crashed it.
    """

    def __init__(self, name: str, crashes: int) -> None:
        super().__init__(name, crashes)
        self.name = name
        self.crashes = crashes

    def __str__(self) -> str:
        return f"{self.name!r} sets this message aside: it has crashed it {self.crashes} times"


class SpecError(SupervisionError):
    """A child specification is wrong; nothing was started.

    Args:
        subject: which specification, in words.
        problems: one sentence per mistake.
    """

    def __init__(self, subject: str, problems: Sequence[str]) -> None:
        super().__init__(subject, tuple(problems))
        self.subject = subject
        self.problems = tuple(problems)

    def __str__(self) -> str:
        return f"{self.subject}: " + "; ".join(self.problems)


class StartFailed(SupervisionError):
    """A child could not be started.

    Args:
        name: the child.
        reason: what its start or ``init`` ended with.
    """

    def __init__(self, name: str, reason: Reason) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.name!r} failed to start: {describe_reason(self.reason)}"


class SystemDown(SupervisionError):
    """The root supervisor ended although nobody asked the system to stop."""

    def __init__(self, name: str, reason: Reason) -> None:
        super().__init__(name, reason)
        self.name = name
        self.reason = reason

    def __str__(self) -> str:
        return f"the system {self.name!r} went down: {describe_reason(self.reason)}"


class AlreadyOwned(SupervisionError):
    """A published value or table has a living owner, and only that one may write."""

    def __init__(self, what: str, owner: str) -> None:
        super().__init__(what, owner)
        self.what = what
        self.owner = owner

    def __str__(self) -> str:
        return f"{self.what} is written by {self.owner!r}, which is alive"


class AdminError(SupervisionError):
    """A supervisor refused an administrative call; ``code`` is OTP's word for the refusal."""

    code: ClassVar[str] = "error"
    text: ClassVar[str] = "was refused"

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name

    def __str__(self) -> str:
        return f"child {self.name!r} {self.text}"


class AlreadyStarted(AdminError):
    """A child, or anything else in the system, runs under that name."""

    code = "already_started"
    text = "is already started"


class AlreadyPresent(AdminError):
    """The supervisor has a specification with that id; it is stopped or restarting."""

    code = "already_present"
    text = "is already specified (restart or delete it)"


class ChildRunning(AdminError):
    """The child runs; stop it first."""

    code = "running"
    text = "is running"


class ChildRestarting(AdminError):
    """The supervisor is busy restarting the child."""

    code = "restarting"
    text = "is being restarted"


class ChildNotFound(AdminError):
    """The supervisor has no child of that id."""

    code = "not_found"
    text = "is not a child of this supervisor"


class MaxChildren(AdminError):
    """The supervisor already has as many children as it may, those being restarted included.

    Args:
        name: the child that was not started.
        supervisor: who is full.
        limit: its ``max_children``.
    """

    code = "max_children"

    def __init__(self, name: str, supervisor: str, limit: float) -> None:
        super().__init__(name)
        self.args = (name, supervisor, limit)
        self.supervisor = supervisor
        self.limit = limit

    def __str__(self) -> str:
        return (
            f"child {self.name!r} was not started: {self.supervisor!r} has as many children as "
            f"its max_children allows ({self.limit})"
        )
