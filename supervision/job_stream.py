"""Many items through one function, some at a time, each in a job under a dynamic supervisor
(Elixir's ``Task.Supervisor.async_stream_nolink``)."""  # noqa: D205, D209 - one paragraph

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from types import TracebackType
from typing import Any, Final, Generic, TypeVar

import msgspec
import trio

from supervision.errors import ActorDown, CallTimeout, SpecError
from supervision.jobs import Job
from supervision.reasons import Reason

T = TypeVar("T")
V = TypeVar("V")

_TIMED_OUT: Final = object()
_BRUTAL: Final = "brutal_kill"
_PATIENCE: Final = 5.0
"""Seconds that jobs ended by brutal kill are waited for; their supervisor reports them then."""


class StreamPlan(msgspec.Struct, frozen=True):
    """How a stream runs: the options of ``SupervisorHandle.async_stream``, checked when made."""

    max_concurrency: int
    ordered: bool
    timeout: float
    on_timeout: str
    shutdown: float | str

    def __post_init__(self) -> None:
        found = []
        if not _is_count(self.max_concurrency):
            found.append(
                f"max_concurrency must be a whole number, 1 or more, not {self.max_concurrency!r}"
            )
        if not _is_time(self.timeout):
            found.append(f"timeout must be a number of seconds, 0 or more, not {self.timeout!r}")
        if self.on_timeout not in ("raise", "kill"):
            found.append(f"on_timeout must be raise or kill, not {self.on_timeout!r}")
        if self.shutdown != _BRUTAL and (not _is_time(self.shutdown) or self.shutdown == math.inf):
            found.append(
                f"shutdown must be a number of seconds (0 or more) or {_BRUTAL}, "
                f"not {self.shutdown!r}"
            )
        if found:
            raise SpecError("async_stream", found)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 1


def _is_time(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0


class JobOutcome(msgspec.Struct, Generic[T, V], frozen=True):
    """How it went with one item.

    Attributes:
        item: the item.
        name: the name its job had.
        value: what the function returned.
        reason: why it returned nothing: its exception, ``"timeout"``, ``"shutdown"``, ``"killed"``;
            ``None`` when it did return.
    """

    item: T
    name: str
    value: V | None = None
    reason: Reason | None = None

    @property
    def ok(self) -> bool:
        """Whether the function returned."""
        return self.reason is None

    def result(self) -> V | None:
        """What the function returned.

        Raises:
            ActorDown: it did not return; the exception is the cause.
        """
        if self.reason is not None:
            cause = self.reason if isinstance(self.reason, BaseException) else None
            raise ActorDown(self.name, self.reason) from cause
        return self.value


class JobStream(Generic[T, V]):
    """The outcomes of many items, as they come.

    New jobs start only while an outcome is waited for, so a slow reader slows the work down. When
    the ``async with`` block ends, however it ends, jobs that still run are ended and waited for,
    and the items are closed if they are a generator.
    """

    def __init__(
        self,
        start: Callable[[Callable[..., Awaitable[Any]], T], Job[Any]],
        run: Callable[[T], Awaitable[V]],
        items: Iterable[T],
        plan: StreamPlan,
    ) -> None:
        self._start = start
        self._run = run
        self._items = iter(items)
        self._plan = plan
        self._state = "new"
        self._begun = 0
        self._delivered = 0
        self._running: dict[int, Job[Any]] = {}
        self._ready: dict[int, JobOutcome[T, V]] = {}
        self._overrun: str | None = None
        self._error: Exception | None = None
        self._wake: trio.Event | None = None

    async def __aenter__(self) -> JobStream[T, V]:
        if self._state != "new":
            raise RuntimeError("a stream of jobs is used once")
        self._state = "open"
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._state = "closed"
        try:
            await self._end_jobs()
        finally:
            close = getattr(self._items, "close", None)
            if close is not None:
                close()

    def __aiter__(self) -> JobStream[T, V]:
        return self

    async def __anext__(self) -> JobOutcome[T, V]:
        """Wait for the next outcome.

        Raises:
            CallTimeout: a job took too long, and ``on_timeout`` is ``raise``.
            MaxChildren: the supervisor is full.
            ActorDown: the supervisor is down or stopping.
        """
        if self._state == "new":
            raise RuntimeError("a stream of jobs is opened with `async with`")
        await trio.lowlevel.checkpoint()
        while True:
            if self._overrun is not None:
                raise CallTimeout(self._overrun, self._plan.timeout)
            if self._state == "closed":
                raise StopAsyncIteration
            if self._state == "open":
                self._fill()
            position = self._delivered if self._plan.ordered else next(iter(self._ready), -1)
            outcome = self._ready.pop(position, None)
            if outcome is not None:
                self._delivered += 1
                return outcome
            if self._error is not None:
                self._state = "closed"  # as a generator that has raised
                raise self._error
            if not self._running:
                raise StopAsyncIteration
            if self._wake is None:
                self._wake = trio.Event()
            await self._wake.wait()

    def _fill(self) -> None:
        """Start jobs while there is room; a failure comes out after what is ready already."""
        try:
            while len(self._running) < self._plan.max_concurrency:
                item = next(self._items)
                job = self._start(self._bounded, item)
                self._running[self._begun] = job
                job.on_done(partial(self._ended, self._begun, item))
                self._begun += 1
        except StopIteration:
            self._state = "exhausted"
        except Exception as error:  # noqa: BLE001 - it is raised by whoever waits
            self._state = "exhausted"
            self._error = error

    async def _bounded(self, item: T) -> object:
        """One job: the function, within its time."""
        with trio.move_on_after(self._plan.timeout):
            return await self._run(item)
        return _TIMED_OUT

    def _ended(self, position: int, item: T, job: Job[Any]) -> None:
        del self._running[position]
        try:
            value = job.result()
        except ActorDown as error:
            self._ready[position] = JobOutcome(item, job.name, None, error.reason)
        else:
            if value is not _TIMED_OUT:
                self._ready[position] = JobOutcome(item, job.name, value)
            else:
                self._ready[position] = JobOutcome(item, job.name, None, "timeout")
                if self._plan.on_timeout == "raise" and self._overrun is None:
                    self._overrun = job.name
        if self._wake is not None:
            self._wake.set()
            self._wake = None

    async def _end_jobs(self) -> None:
        brutal = self._plan.shutdown == _BRUTAL
        jobs = list(self._running.values())
        for job in jobs:
            job.kill("killed" if brutal else "shutdown")
        patience = _PATIENCE if isinstance(self._plan.shutdown, str) else self._plan.shutdown
        with trio.move_on_after(patience, shield=True):
            for job in jobs:
                await job.wait_ended()
