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
from supervision.reports import LOGGER

V = TypeVar("V")

_NOTHING: Final = object()


class Job(Generic[V]):
    """A piece of work under way, and the place its result comes to.

    It belongs to its supervisor, not to whoever started it: it goes on when that one ends, and
    anybody may wait for it.

    Attributes:
        name: its name in the system.
    """

    __slots__ = ("_callbacks", "_done", "_failure", "_ref", "_value", "name")

    def __init__(self) -> None:
        self.name = ""
        self._value: Any = _NOTHING
        self._failure: Reason | None = None
        self._done = trio.Event()
        self._callbacks: dict[object, Callable[[Job[V]], object]] = {}
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
        return self.result()

    async def wait_ended(self) -> None:
        """Wait until it has ended, whichever way; see ``result``."""
        await self._done.wait()

    def result(self) -> V:
        """Get what has come, without waiting.

        Returns:
            What the function returned.

        Raises:
            ActorDown: it raised, or was stopped or killed.
            CallTimeout: not done yet.
        """
        if not self.done:
            raise CallTimeout(self.name, 0.0)
        if self._value is _NOTHING:
            cause = self._failure if isinstance(self._failure, BaseException) else None
            raise ActorDown(self.name, self._failure or "normal") from cause
        value: V = self._value
        return value

    def on_done(self, callback: Callable[[Job[V]], object]) -> Callable[[], None]:
        """Have a function told when it has ended: with ``self.ref.send`` an actor gets the job
        itself as a message (``handle_info``) instead of waiting for it.

        Args:
            callback: gets the job; synchronous and quick; what it raises is logged and goes no
                further. Called at once when the job has ended already.

        Returns:
            A function that takes it back; harmless when it has been called.
        """  # noqa: D205 - one sentence
        if self.done:
            self._call(callback)
            return lambda: None
        token = object()
        self._callbacks[token] = callback

        def take_back() -> None:
            self._callbacks.pop(token, None)

        return take_back

    def kill(self, reason: Reason = "killed") -> bool:
        """End it now.

        Args:
            reason: what those who wait for it are told.

        Returns:
            False when it has ended already.
        """
        return not self.done and self._ref is not None and self._ref.kill(reason)

    async def stop(self, *, timeout: float = 5.0) -> bool:
        """Ask it to end, which for a task is to be cancelled, and wait until it has.

        Args:
            timeout: seconds for its cleanup, where that is shielded from cancellation.

        Returns:
            True when it has a result all the same, False when it ended as asked.

        Raises:
            ActorDown: it failed or was killed, before or instead of ending as asked.
            CallTimeout: it is still there. Nothing stronger than a cancellation exists; its
                supervisor reports it, with its stack, until it ends.
        """
        self.kill("shutdown")
        try:
            await self.wait(timeout=timeout)
        except ActorDown as error:
            if error.reason == "shutdown":
                return False
            raise
        return True

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
        if self._value is _NOTHING:
            self._failure = reason
        self._done.set()
        while self._callbacks:
            self._call(self._callbacks.pop(next(iter(self._callbacks))))

    def _call(self, callback: Callable[[Job[V]], object]) -> None:
        try:
            callback(self)
        except Exception:  # noqa: BLE001 - a listener's mistake is its own
            LOGGER.exception("a callback of job %r raised", self.name)
