"""References: stable names for actors that come and go.

A ``Ref`` belongs to a name, not to an incarnation: take it once, even before the actor has
started, and use it across restarts. Sending is one attribute read away from the mailbox.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

import trio

from supervision.calls import PendingCall
from supervision.errors import ActorDown, CallTimeout, NoProcess
from supervision.reasons import Reason
from supervision.timers import Timers
from supervision.waits import CURRENT, Node, check_no_ring

CAST: Final = 0
INFO: Final = 1

DownCallback = Callable[[Reason], None]
TaskStarter = Callable[
    [Callable[..., Awaitable[Any]], tuple[Any, ...], str | None, float | str], str
]
"""Function, arguments, name, shutdown (seconds or a word); gives the name."""


class Recipient(Protocol):
    """What a reference needs of the incarnation behind it."""

    def request(self, message: Any, deadline: float) -> PendingCall:
        """Queue a call."""

    def post(self, kind: int, message: Any) -> bool:
        """Queue a cast or a plain message, within the mailbox's bound."""

    def kill(self, reason: Reason = "killed") -> bool:
        """End it now."""

    def ask_to_stop(self, reason: Reason) -> None:
        """Begin the orderly stop; returns at once."""

    def watch(self, callback: DownCallback, *, first: bool = False) -> Callable[[], None]:
        """Call back once when it has ended, first or in turn; returns how to take that back."""

    @property
    def node(self) -> Node:
        """Its place among those who wait for each other."""

    @property
    def timers(self) -> Timers:
        """The timers of its system."""

    @property
    def starter(self) -> TaskStarter | None:
        """A dynamic supervisor's way to start a task at once; nobody else has one."""


class Ref:
    """The name of an actor, supervisor or task, and the way to whatever lives under it now.

    Obtained from ``system.ref(name)`` at any time. Tasks have no mailbox: to them only ``kill``,
    ``alive`` and the monitors apply.

    Attributes:
        name: the name.
        incarnation: how many lives it has had; 0 before the first.
    """

    __slots__ = ("__weakref__", "_gone", "_living", "_reason", "_recipient", "incarnation", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.incarnation = 0
        self._recipient: Recipient | None = None
        self._living: Recipient | None = None
        self._reason: Reason = "noproc"
        self._gone = True

    def __repr__(self) -> str:
        return f"<Ref {self.name!r} {'alive' if self.alive else 'down'} #{self.incarnation}>"

    @property
    def alive(self) -> bool:
        """Whether an incarnation runs and takes messages."""
        return self._recipient is not None

    # ---- sending

    def cast(self, message: Any) -> bool:
        """Send a message for ``handle_cast``. Never raises, never waits.

        Args:
            message: anything.

        Returns:
            False when it was not delivered: nobody there, or the mailbox is full.
        """
        recipient = self._recipient
        return recipient is not None and recipient.post(CAST, message)

    def send(self, message: Any) -> bool:
        """Send a plain message, for ``handle_info``. Never raises, never waits.

        Args:
            message: anything.

        Returns:
            False when it was not delivered.
        """
        recipient = self._recipient
        return recipient is not None and recipient.post(INFO, message)

    def send_request(self, message: Any, *, deadline: float = math.inf) -> PendingCall:
        """Ask without waiting yet (OTP's ``gen_server:send_request``).

        Args:
            message: the question, for ``handle_call``.
            deadline: absolute ``trio.current_time()``; past it the call is dropped unexecuted and
                fails with ``CallTimeout``.

        Returns:
            The slot the answer comes to.

        Raises:
            ActorDown: between two incarnations, or ended.
            NoProcess: nothing of that name.
            MailboxFull: the mailbox is at its bound.
        """
        recipient = self._recipient
        if recipient is None:
            raise self.down()
        return recipient.request(message, deadline)

    async def call(self, message: Any, *, timeout: float = 5.0) -> Any:
        """Ask and wait for the answer.

        Args:
            message: the question, for ``handle_call``.
            timeout: seconds; ``math.inf`` sets no timer, for where the caller has a deadline.

        Returns:
            The reply.

        Raises:
            ActorDown: it is down or ends before it answers; at once.
            NoProcess: nothing of that name.
            CallTimeout: no answer in time. The call is withdrawn: still queued, it is never
                executed; already in work, its reply vanishes.
            CallingSelf: an actor asks itself.
            CallCycle: the asked one waits for the asker.
            MailboxFull: the mailbox is at its bound.
            ValueError: ``timeout`` is negative or no number.
        """
        if not timeout >= 0:
            check_timeout(timeout)
        recipient = self._recipient
        if recipient is None:
            raise self.down()
        asker = CURRENT.get()
        if asker is not None:
            check_no_ring(asker, recipient.node)
        deadline = trio.current_effective_deadline()
        if timeout == math.inf:
            return await recipient.request(message, deadline).wait()
        due = trio.current_time() + timeout
        call = recipient.request(message, min(deadline, due))
        call.expire_at(due, timeout, recipient.timers)
        try:
            return await call.wait()
        finally:
            del call  # it keeps its failure, whose traceback holds this frame

    async def stop(self, reason: Reason = "normal", *, timeout: float = math.inf) -> None:
        """Have the present incarnation end in order, and wait until it has (``GenServer.stop``).

        It handles the messages that came before, then terminates. Its supervisor then deals with
        the end as with any other: a permanent child is restarted. A task is cancelled.

        Args:
            reason: the exit reason; ``normal`` and ``shutdown`` count as orderly.
            timeout: seconds to wait.

        Raises:
            ActorDown: it is down already, or ended for another reason, which is ``reason``.
            NoProcess: nothing of that name.
            CallTimeout: it has not ended yet; it was asked to and still will.
            CallingSelf: an actor waits for its own end; ``Actor.stop`` is what it wants.
            CallCycle: the one to be stopped waits for the asker.
            ValueError: ``timeout`` is negative or no number.
        """
        check_timeout(timeout)
        living = self._living
        if living is None:
            raise self.down()
        asker, target = CURRENT.get(), living.node
        if asker is not None:
            check_no_ring(asker, target)
        with trio.move_on_after(timeout):
            living.ask_to_stop(reason)
            if asker is not None:
                asker.awaiting.append(target)
            try:
                ended = await self.wait_down()
            finally:
                if asker is not None:
                    asker.awaiting.remove(target)
            if ended != reason:
                raise ActorDown(self.name, ended)
            return
        raise CallTimeout(self.name, timeout)

    def kill(self, reason: Reason = "killed") -> bool:
        """End the present incarnation now, whatever it is doing; it cannot refuse.

        ``terminate`` does not run, ``cleanup`` does. Its supervisor restarts it by its own rules.

        Args:
            reason: what its exit reason will be.

        Returns:
            False when nothing runs under the name.
        """
        living = self._living
        return living is not None and living.kill(reason)

    # ---- watching

    def watch(self, callback: DownCallback, *, first: bool = False) -> Callable[[], None]:
        """Call back when the present incarnation has ended: the ground of all monitors.

        Args:
            callback: gets the exit reason; synchronous, must not raise. Called at once with
                ``"noproc"`` (or the last reason) when nothing runs under the name.
            first: before those that watch already: for what is kept in the actor's name and must
                be gone when anybody else learns of its end.

        Returns:
            A function that takes it back; harmless when it has been called.
        """
        if self._living is None:
            callback(self._reason)
            return _nothing
        return self._living.watch(callback, first=first)

    async def wait_down(self) -> Reason:
        """Wait until the present incarnation has ended.

        Returns:
            Its exit reason; that of the last one when nothing runs now.
        """
        ended = trio.Event()
        reasons: list[Reason] = []

        def note(reason: Reason) -> None:
            reasons.append(reason)
            ended.set()

        unwatch = self.watch(note)
        try:
            await ended.wait()
        finally:
            unwatch()
        return reasons[0]

    # ---- for the machinery

    def bind(self, recipient: Recipient, incarnation: int) -> None:
        """A new incarnation takes messages now; called by the machinery only."""
        self._recipient = self._living = recipient
        self.incarnation = incarnation
        self._gone = False

    def close(self, recipient: Recipient, reason: Reason) -> None:
        """That incarnation takes no more messages, but lives; called by the machinery only."""
        self._recipient = None
        self._living = recipient
        self._reason = reason

    def unbind(self, recipient: Recipient, reason: Reason) -> None:
        """That incarnation has ended; called by the machinery only."""
        if self._living is recipient:
            self._recipient = self._living = None
            self._reason = reason

    def note_down(self, reason: Reason, incarnation: int) -> None:
        """Something of that name exists but takes no messages; called by the machinery only."""
        self._reason = reason
        self._gone = False
        self.incarnation = incarnation

    def forget(self) -> None:
        """The name is free again; called by the machinery only."""
        self._gone = True

    def starter(self) -> TaskStarter | None:
        """How to start a task under it at once, when it is a dynamic supervisor."""
        return None if self._recipient is None else self._recipient.starter

    def down(self) -> ActorDown:
        """The exception that says why nobody is there."""
        if self._gone:
            return NoProcess(self.name, self._reason)
        return ActorDown(self.name, self._reason)


def check_timeout(seconds: float) -> None:
    """Refuse what is no time to wait, before anything is sent.

    Args:
        seconds: 0 or more, or ``math.inf``.

    Raises:
        ValueError: it is negative or no number.
    """
    if not seconds >= 0:
        raise ValueError(f"timeout must be 0 or more seconds, not {seconds!r}")


def _nothing() -> None:
    """There is nothing to take back."""
