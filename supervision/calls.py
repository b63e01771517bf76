"""The one-shot slot between an asker and the actor that answers.

One object has both faces: the asker holds it to ``wait``, the actor gets it as ``caller``. It is
built on ``trio.lowlevel.wait_task_rescheduled`` because a channel or an event for each call costs
more than the call itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeAlias

import trio

from supervision.errors import ActorDown, CallTimeout
from supervision.reasons import Reason
from supervision.timers import Timer, Timers
from supervision.waits import CURRENT, Node, check_no_ring


class _NoReply:
    """The type of ``NO_REPLY``."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "NO_REPLY"


NO_REPLY: Final = _NoReply()
"""What ``handle_call`` returns when the answer will come later through ``caller``."""

_OPEN: Final = 0
_REPLIED: Final = 1
_FAILED: Final = 2
_WITHDRAWN: Final = 3
_EXPIRED: Final = 4


class PendingCall:
    """A question that has been sent and not yet settled.

    Args:
        message: the question.
        deadline: absolute ``trio.current_time()`` after which it is dropped unexecuted.
        target: the incarnation that was asked.
        unsettled: that incarnation's open calls, oldest first; a settled call leaves them.
    """

    __slots__ = (
        "_on_withdrawn",
        "_outcome",
        "_state",
        "_target",
        "_timeout",
        "_timer",
        "_unsettled",
        "_waiter",
        "deadline",
        "message",
    )

    def __init__(self, message: Any, deadline: float, target: Node, unsettled: OpenCalls) -> None:
        self.message = message
        self.deadline = deadline
        self._target = target
        self._unsettled = unsettled
        self._state = _OPEN
        self._outcome: Any = None
        self._waiter: trio.lowlevel.Task | None = None
        self._timer: Timer | None = None
        self._timeout: float | None = None
        self._on_withdrawn: Callable[[], None] | None = None
        unsettled[self] = None

    def __repr__(self) -> str:
        state = ("open", "replied", "failed", "withdrawn", "expired")[self._state]
        return f"<PendingCall to {self._target.name!r}, {state}>"

    # ---- the asker's face

    async def wait(self) -> Any:
        """Wait for the answer. Cancelling the wait withdraws the call.

        Returns:
            The reply.

        Raises:
            ActorDown: the actor ended first; raised at the moment it ends.
            CallTimeout: its timeout is over, or the deadline in the message had passed when the
                actor came to it.
            CallingSelf: the asker is the actor itself.
            CallCycle: the actor waits, perhaps through others, for the asker.
            Exception: whatever the actor passed to ``fail``.
        """
        if self._state == _OPEN:
            if self._waiter is not None:
                raise trio.BusyResourceError("another task already waits for this answer")
            asker = CURRENT.get()
            if asker is None:
                self._waiter = trio.lowlevel.current_task()
                await trio.lowlevel.wait_task_rescheduled(self._abort)
            else:
                await self._wait_as(asker)
        else:
            await trio.lowlevel.checkpoint()
        if self._state == _REPLIED:
            return self._outcome
        if self._state == _FAILED:
            failure: BaseException = self._outcome
            try:
                raise failure
            finally:
                # The failure's traceback would otherwise point back at this frame: a cycle that
                # only the garbage collector could free.
                del failure, self
        if self._state == _EXPIRED:
            raise CallTimeout(self._target.name, self._timeout)
        raise ActorDown(self._target.name, "the call was withdrawn")

    def withdraw(self) -> None:
        """Give the call up: still queued it is never executed, a later reply vanishes."""
        self._give_up(_WITHDRAWN)

    def expire_at(self, due: float, timeout: float, timers: Timers) -> None:
        """Give it up with ``CallTimeout`` unless it is settled before a time.

        A timer among the system's costs a quarter of a cancel scope around the wait, and is as
        exact: an answer at that very moment is too late, whoever runs first.

        Args:
            due: absolute ``trio.current_time()``.
            timeout: how many seconds that was from the beginning, for the error's text.
            timers: the system's timers.
        """
        self._timeout = timeout
        self._timer = timers.at(due, self.expire)

    # ---- the actor's face

    @property
    def abandoned(self) -> bool:
        """Whether the asker has gone: it was cancelled, timed out or withdrew."""
        return self._state >= _WITHDRAWN

    @property
    def settled(self) -> bool:
        """Whether it is answered, failed or withdrawn: nothing more can happen to it."""
        return self._state != _OPEN

    def on_withdrawn(self, callback: Callable[[], None] | None) -> None:
        """Have work stopped when the asker goes: called once, at once, never after a reply.

        Args:
            callback: a synchronous function that does not raise; ``None`` takes it back.
        """
        if self.abandoned and callback is not None:
            callback()
        else:
            self._on_withdrawn = callback

    def reply(self, value: object) -> bool:
        """Answer.

        Args:
            value: what the asker's ``wait`` returns.

        Returns:
            False when it changed nothing: already settled, or the asker is gone.
        """
        return self._settle(_REPLIED, value)

    def fail(self, error: BaseException) -> bool:
        """Answer with an exception that the asker's ``wait`` raises; the actor lives on.

        Args:
            error: the exception, used for this asker only.

        Returns:
            False when it changed nothing: already settled, or the asker is gone.
        """
        return self._settle(_FAILED, error)

    def expire(self) -> None:
        """Its time is over: the asker gets ``CallTimeout``, a later reply vanishes."""
        self._give_up(_EXPIRED)

    # ---- inside

    def _settle(self, state: int, outcome: object) -> bool:
        if self._state != _OPEN:
            return False
        timer = self._timer
        if timer is not None:
            if timer.when <= trio.current_time():
                self.expire()
                return False
            timer.cancel()
        self._state = state
        self._outcome = outcome
        if state == _FAILED:
            self._on_withdrawn = None  # mostly it knows of this call
        self._unsettled.pop(self, None)
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            trio.lowlevel.reschedule(waiter)
        return True

    def _give_up(self, state: int) -> None:
        if self._state != _OPEN:
            return
        self._state = state
        self._unsettled.pop(self, None)
        if self._timer is not None:
            self._timer.cancel()
        callback = self._on_withdrawn
        if callback is not None:
            self._on_withdrawn = None
            callback()
        if self._waiter is not None:
            self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        assert waiter is not None
        trio.lowlevel.reschedule(waiter)

    def _abort(self, _: trio.lowlevel.RaiseCancelT) -> trio.lowlevel.Abort:
        self._waiter = None
        self.withdraw()
        return trio.lowlevel.Abort.SUCCEEDED

    async def _wait_as(self, asker: Node) -> None:
        """Wait on behalf of an actor: refused when it would close a ring, seen by others."""
        try:
            check_no_ring(asker, self._target)
        except Exception:
            self.withdraw()
            raise
        asker.awaiting.append(self._target)
        try:
            self._waiter = trio.lowlevel.current_task()
            await trio.lowlevel.wait_task_rescheduled(self._abort)
        finally:
            asker.awaiting.remove(self._target)


OpenCalls: TypeAlias = dict[PendingCall, None]
"""Calls that wait for their answer, in the order they came (a dictionary used as ordered set)."""


def fail_all(unsettled: OpenCalls, name: str, reason: Reason) -> None:
    """Fail every open call of an incarnation that has ended, queued or accepted alike.

    Args:
        unsettled: the incarnation's open calls; empty afterwards, the oldest failed first.
        name: the actor's name.
        reason: why it ended.
    """
    while unsettled:
        next(iter(unsettled)).fail(ActorDown(name, reason))
