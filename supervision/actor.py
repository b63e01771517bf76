"""Actors: one task, one mailbox, one message at a time. Subclass ``Actor``."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Literal, Protocol

import msgspec

from supervision.calls import PendingCall
from supervision.reasons import Reason
from supervision.refs import Ref
from supervision.reports import message_shape
from supervision.system import System
from supervision.timers import Timer


class Continue(msgspec.Struct, frozen=True):
    """Returned by ``init``: call ``handle_continue(argument)`` before any message is taken.

    Args:
        argument: anything.
    """

    argument: Any = None


class Ignore(msgspec.Struct, frozen=True):
    """Returned by ``init``: there is nothing to do for this actor; it ends in order at once.

    Its specification stays with the supervisor, stopped, unless it is temporary.
    """


IGNORE: Final = Ignore()


class Monitor:
    """One watch over one incarnation, by which its ``Down`` is told from others.

    Attributes:
        ref: whom it watches.
    """

    __slots__ = ("_unwatch", "ref")

    def __init__(self, ref: Ref) -> None:
        self.ref = ref
        self._unwatch: Callable[[], None] | None = None

    def __repr__(self) -> str:
        return f"<Monitor of {self.ref.name!r}>"

    def arm(self, unwatch: Callable[[], None]) -> None:
        """Remember how to take it back; called by the machinery only."""
        self._unwatch = unwatch

    def cancel(self) -> None:
        """Watch no more (OTP's ``demonitor``); a ``Down`` already in the mailbox stays there."""
        if self._unwatch is not None:
            self._unwatch()
            self._unwatch = None


class Down(msgspec.Struct, frozen=True):
    """Comes to ``handle_info`` when a monitored incarnation has ended.

    Attributes:
        ref: who.
        reason: why; ``"noproc"`` when it was not there when the monitor was set.
        monitor: which monitor this answers.
    """

    ref: Ref
    reason: Reason
    monitor: Monitor


class Incarnation(Protocol):
    """What an actor can ask of the machinery that runs it."""

    def spawn(
        self, run: Callable[..., Awaitable[Any]], args: tuple[Any, ...], name: str | None
    ) -> None:
        """Start a helper task."""

    def send_after(self, seconds: float, message: Any) -> Timer:
        """Send itself a message later."""

    def monitor(self, ref: Ref) -> Monitor:
        """Watch another."""

    def continue_with(self, argument: Any) -> None:
        """Call ``handle_continue`` next."""

    def stop(self, reason: Reason) -> None:
        """End in order."""

    def note_unexpected(self, message: Any) -> None:
        """Nobody wanted that message."""


class Actor:
    """One task with a mailbox. Override the handlers you need; run it through a ``ChildSpec``.

    A handler runs alone: the next message waits until it returns. An exception that escapes one
    ends the incarnation; the supervisor decides what then. State lives in ``self`` and dies with
    the incarnation: a restart calls the factory again.

    Attributes:
        mailbox_limit: how many messages may wait. The bound is for calls, casts and plain
            messages; stop requests, timers and ``Down`` always pass.
        overflow: what a full mailbox does. Either way the newest message is the one that is
            lost, it is counted, a call raises ``MailboxFull`` and a cast returns False.
            ``reject`` leaves it at that: the senders look. ``drop`` is for mailboxes whose
            senders do not look: the loss is also reported, at most once a minute.
        idle_timeout: seconds without a message after which ``handle_idle`` is called.
        poison_limit: after how many crashes on the same message it is set aside; 0: never.
        ref: its own reference, set before ``init``.
        system: the system it runs in, set before ``init``.
    """

    mailbox_limit: int = 10_000
    overflow: Literal["reject", "drop"] = "reject"
    idle_timeout: float = math.inf
    poison_limit: int = 0
    ref: Ref
    system: System
    _incarnation: Incarnation | None = None

    # ---- override these

    async def init(self) -> Continue | Ignore | None:
        """Get ready; the starter waits until it returns, so put long work in a continuation.

        Returns:
            ``None``, ``Continue(argument)`` or ``IGNORE``.
        """
        return None

    async def handle_call(self, message: Any, caller: PendingCall) -> object:
        """Answer a question.

        Args:
            message: the question.
            caller: the slot for the answer, if it is to come later or is to be an exception.

        Returns:
            The reply, or ``NO_REPLY`` when ``caller`` is or will be answered by hand.
        """
        del caller
        raise LookupError(f"{type(self).__qualname__} takes no call {message_shape(message)}")

    async def handle_cast(self, message: Any) -> None:
        """Take a message that wants no answer.

        Args:
            message: what was cast.
        """
        raise LookupError(f"{type(self).__qualname__} takes no cast {message_shape(message)}")

    async def handle_info(self, message: Any) -> None:
        """Take anything else: plain messages, timers, ``Down``.

        By default it is dropped; the first of each incarnation is reported.

        Args:
            message: what was sent.
        """
        self._life().note_unexpected(message)

    async def handle_continue(self, argument: Any) -> None:
        """Go on after ``init`` returned ``Continue``, before any message.

        Args:
            argument: the one given to ``Continue`` or ``continue_with``.
        """

    async def handle_idle(self) -> None:
        """Nothing has come for ``idle_timeout`` seconds."""

    async def terminate(self, reason: Reason) -> None:
        """Take leave: called on an orderly stop only, with ``shutdown`` seconds at most.

        Args:
            reason: why it stops.
        """

    def cleanup(self) -> None:
        """Let go of what it owns. Always called, once, when the incarnation ends, however it ends.

        Called before anybody learns of the end; must be quick and not wait.
        """

    def describe(self) -> Mapping[str, object]:
        """Facts to show in the tree; cheap, synchronous, without secrets."""
        return {}

    def describe_message(self, message: Any) -> str:
        """What a crash report says of the message in work: by default only its type.

        Args:
            message: the message; its contents may be secret.
        """
        return message_shape(message)

    def poison_key(self, message: Any) -> object:
        """What makes two messages the same one, sent again.

        Args:
            message: a call, cast or plain message.

        Returns:
            Something hashable; by default the message, or its ``repr`` if it has no hash.
        """
        try:
            hash(message)
        except TypeError:
            return repr(message)
        return message

    # ---- use these

    def spawn(
        self, run: Callable[..., Awaitable[Any]], *args: Any, name: str | None = None
    ) -> None:
        """Start a helper task in the actor's own nursery: its crash is the actor's crash.

        Args:
            run: an async function.
            args: its arguments.
            name: for debuggers.
        """
        self._life().spawn(run, args, name)

    def send_after(self, seconds: float, message: Any) -> Timer:
        """Have a message come to ``handle_info`` later; it dies with the incarnation.

        Args:
            seconds: from now.
            message: anything.

        Returns:
            The timer, to cancel it by.
        """
        return self._life().send_after(seconds, message)

    def monitor(self, ref: Ref) -> Monitor:
        """Have a ``Down`` come to ``handle_info`` when another's present incarnation has ended.

        Args:
            ref: whom to watch; if nobody is there, the ``Down`` comes at once.

        Returns:
            The monitor, to cancel it by.
        """
        return self._life().monitor(ref)

    def continue_with(self, argument: Any) -> None:
        """Have ``handle_continue`` called right after this handler, before any message.

        Args:
            argument: anything.
        """
        self._life().continue_with(argument)

    def stop(self, reason: Reason = "normal") -> None:
        """End in order after this handler: ``terminate`` runs, waiting messages do not.

        In ``init`` it makes the start fail with that reason, without ``terminate``.

        Args:
            reason: the exit reason; ``normal`` and ``shutdown`` count as orderly.
        """
        self._life().stop(reason)

    # ---- for the machinery

    def attach(self, incarnation: Incarnation, ref: Ref, system: System) -> None:
        """Connect the actor with what runs it; called by the machinery only.

        Raises:
            TypeError: the factory returned an actor that has lived before.
        """
        if self._incarnation is not None:
            raise TypeError("start must make a new actor for each incarnation")
        self._incarnation = incarnation
        self.ref = ref
        self.system = system

    def _life(self) -> Incarnation:
        if self._incarnation is None:
            raise RuntimeError(f"{type(self).__qualname__} is not running")
        return self._incarnation
