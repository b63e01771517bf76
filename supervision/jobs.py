"""Jobs: short-lived work under a dynamic supervisor whose result somebody wants (Elixir's
``Task.Supervisor.async_nolink``). A job that fails hurts nobody but whoever waits for it."""  # noqa: D205, D209 - one paragraph

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any, Final, Generic, TypeVar

import trio

from supervision.errors import ActorDown, CallTimeout
from supervision.reasons import Reason
from supervision.refs import Ref

V = TypeVar("V")

_NOTHING: Final = object()


class Job(Generic[V]):
    """A piece of work under way, and the place its result comes to.

    Attributes:
        name: its name in the system.
    """

    __slots__ = ("_done", "_failure", "_ref", "_value", "name")

    def __init__(self) -> None:
        self.name = ""
        self._value: Any = _NOTHING
        self._failure: Reason | None = None
        self._done = trio.Event()
        self._ref: Ref | None = None

    def __repr__(self) -> str:
        return f"<Job {self.name!r} {'done' if self.done else 'under way'}>"

    @property
    def done(self) -> bool:
        """Whether it has ended, one way or the other."""
        return self._done.is_set()

    async def wait(self, *, timeout: float = math.inf) -> V:
        """Wait for the result; any number of tasks may, any number of times.

        Cancelling the wait, or its timeout, leaves the job alone.

        Args:
            timeout: seconds.

        Returns:
            What the function returned.

        Raises:
            ActorDown: it raised (the exception is the ``reason`` and the cause), or was stopped
                or killed.
            CallTimeout: not done yet.
        """
        with trio.move_on_after(timeout):
            await self._done.wait()
        if not self.done:
            raise CallTimeout(self.name, timeout)
        if self._failure is not None:
            cause = self._failure if isinstance(self._failure, BaseException) else None
            raise ActorDown(self.name, self._failure) from cause
        value: V = self._value
        return value

    def kill(self, reason: Reason = "killed") -> bool:
        """End it now.

        Args:
            reason: what those who wait for it are told.

        Returns:
            False when it has ended already.
        """
        return not self.done and self._ref is not None and self._ref.kill(reason)

    # ---- for the machinery

    async def work(self, run: Callable[..., Awaitable[V]], args: tuple[Any, ...]) -> None:
        """Be the task; called by the machinery only."""
        self._value = await run(*args)

    def follow(self, ref: Ref) -> None:
        """Watch the task that was started for it; called by the machinery only."""
        self.name = ref.name
        self._ref = ref
        ref.watch(self._ended)

    def _ended(self, reason: Reason) -> None:
        if self._value is _NOTHING or reason != "normal":
            self._failure = reason
        self._done.set()
