"""The administrative calls of supervisors, with OTP's results as values and exceptions."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Literal, TypeVar

import msgspec

from supervision.job_stream import JobStream, StreamPlan
from supervision.jobs import Job
from supervision.refs import Ref
from supervision.specs import ChildSpec

T = TypeVar("T")
V = TypeVar("V")


class ChildInfo(msgspec.Struct, frozen=True):
    """One row of ``which_children``.

    Attributes:
        id: the child's name.
        state: ``running`` (OTP shows its pid), ``restarting`` or ``stopped`` (``undefined``).
        kind: ``worker`` or ``supervisor``.
    """

    id: str
    state: Literal["running", "restarting", "stopped"]
    kind: Literal["worker", "supervisor"]


class ChildCounts(msgspec.Struct, frozen=True):
    """``count_children``: all specifications, those running, and all by kind, dead ones too."""

    specs: int
    active: int
    supervisors: int
    workers: int


class StartChild(msgspec.Struct, frozen=True):
    """Ask a supervisor to add and start a child."""

    spec: ChildSpec


class Admin(msgspec.Struct, frozen=True):
    """Ask a supervisor to do something with the child of that id."""

    verb: Literal["terminate", "restart", "delete", "show", "spec"]
    id: str


class Listing(msgspec.Struct, frozen=True):
    """Ask a supervisor for its children, or their counts."""

    counts: bool


class SupervisorHandle:
    """A supervisor's name with its administrative calls; it outlives the supervisor's restarts.

    All calls raise ``ActorDown`` or ``NoProcess`` when the supervisor is not there. ``timeout`` is
    in seconds everywhere, without bound by default, as in OTP: a child's start is bounded by its
    ``start_timeout``, its end by its ``shutdown``.

    Args:
        ref: the supervisor's reference.
        find: how to get the reference for a child's name.
    """

    __slots__ = ("_find", "ref")

    def __init__(self, ref: Ref, find: Callable[[str], Ref]) -> None:
        self.ref = ref
        self._find = find

    def __repr__(self) -> str:
        return f"<SupervisorHandle {self.ref.name!r}>"

    async def start_child(self, spec: ChildSpec, *, timeout: float = math.inf) -> Ref | None:
        """Add a child and start it.

        Args:
            spec: the child; its id must be new in the system.
            timeout: seconds to wait.

        Returns:
            The child's reference; ``None`` when its ``init`` returned ``IGNORE``.

        Raises:
            AlreadyStarted: a child of that id runs, or something else of that name.
            AlreadyPresent: the supervisor has that id, not running.
            MaxChildren: a dynamic supervisor is full.
            StartFailed: it did not start; it is not kept.
            CallTimeout: no answer in time.
        """
        started: Ref | None = await self.ref.call(StartChild(spec), timeout=timeout)
        return started

    async def terminate_child(self, id: str, *, timeout: float = math.inf) -> None:  # noqa: A002 - the field's name
        """Stop a child; it is not restarted. Its specification stays, unless it is temporary.

        Args:
            id: the child. One that does not run is fine; a restart under way is called off.
            timeout: seconds to wait.

        Raises:
            ChildNotFound: no such child.
            CallTimeout: no answer in time.
        """
        await self.ref.call(Admin("terminate", id), timeout=timeout)

    async def restart_child(self, id: str, *, timeout: float = math.inf) -> Ref | None:  # noqa: A002 - the field's name
        """Start a stopped child again.

        Args:
            id: the child.
            timeout: seconds to wait.

        Returns:
            Its reference; ``None`` when its ``init`` returned ``IGNORE``.

        Raises:
            ChildRunning: it runs.
            ChildRestarting: it is being restarted anyway.
            ChildNotFound: no such child.
            StartFailed: it did not start; its specification stays.
            CallTimeout: no answer in time.
        """
        started: Ref | None = await self.ref.call(Admin("restart", id), timeout=timeout)
        return started

    async def delete_child(self, id: str, *, timeout: float = math.inf) -> None:  # noqa: A002 - the field's name
        """Forget a stopped child.

        Args:
            id: the child.
            timeout: seconds to wait.

        Raises:
            ChildRunning: it runs; stop it first.
            ChildRestarting: it is being restarted; stop it first.
            ChildNotFound: no such child.
            CallTimeout: no answer in time.
        """
        await self.ref.call(Admin("delete", id), timeout=timeout)

    async def which_children(self, *, timeout: float = math.inf) -> list[ChildInfo]:
        """List the children, the newest first.

        Args:
            timeout: seconds to wait.
        """
        listed: list[ChildInfo] = await self.ref.call(Listing(counts=False), timeout=timeout)
        return listed

    async def which_child(self, id: str, *, timeout: float = math.inf) -> ChildInfo:  # noqa: A002 - the field's name
        """One row of ``which_children``.

        Args:
            id: the child.
            timeout: seconds to wait.

        Raises:
            ChildNotFound: no such child.
            CallTimeout: no answer in time.
        """
        row: ChildInfo = await self.ref.call(Admin("show", id), timeout=timeout)
        return row

    async def get_childspec(self, id: str, *, timeout: float = math.inf) -> ChildSpec:  # noqa: A002 - the field's name
        """The specification of a child.

        Args:
            id: the child.
            timeout: seconds to wait.

        Raises:
            ChildNotFound: no such child.
            CallTimeout: no answer in time.
        """
        spec: ChildSpec = await self.ref.call(Admin("spec", id), timeout=timeout)
        return spec

    async def count_children(self, *, timeout: float = math.inf) -> ChildCounts:
        """Count the children.

        Args:
            timeout: seconds to wait.
        """
        counted: ChildCounts = await self.ref.call(Listing(counts=True), timeout=timeout)
        return counted

    def start_task(
        self,
        run: Callable[..., Awaitable[Any]],
        *args: Any,
        name: str | None = None,
        shutdown: float | str = 5.0,
    ) -> str:
        """Start a temporary task under a dynamic supervisor, now and without a message.

        The cheap way for short-lived work such as one client connection: little more than
        trio's ``start_soon``. No progress report is made of it; a crash is reported.

        Args:
            run: an async function.
            args: its arguments.
            name: its name in the system; by default the supervisor's name and a number.
            shutdown: as for any child, what it gets when it is terminated or its supervisor stops.

        Returns:
            The name.

        Raises:
            MaxChildren: the supervisor is full.
            AlreadyStarted: the name is taken.
            ActorDown: the supervisor is down or stopping.
            SpecError: ``shutdown`` is none.
            TypeError: it is not a dynamic supervisor.
        """
        starter = self.ref.starter()
        if starter is None:
            if not self.ref.alive:
                raise self.ref.down()
            raise TypeError(f"{self.ref.name!r} is not a dynamic supervisor")
        return starter(run, args, name, shutdown)

    def async_nolink(
        self,
        run: Callable[..., Awaitable[V]],
        *args: Any,
        name: str | None = None,
        shutdown: float | str = 5.0,
    ) -> Job[V]:
        """Start a temporary task under a dynamic supervisor and get its result later.

        Nobody but those who wait for the job is touched by its failure, which is reported as a
        crash; the job goes on when its starter ends.

        Args:
            run: an async function.
            args: its arguments.
            name: its name in the system; by default the supervisor's name and a number.
            shutdown: as for any child, what it gets when it is terminated or its supervisor stops.

        Returns:
            The job, to wait for, to stop or to kill.

        Raises:
            MaxChildren: the supervisor is full.
            AlreadyStarted: the name is taken.
            ActorDown: the supervisor is down or stopping.
            SpecError: ``shutdown`` is none.
            TypeError: it is not a dynamic supervisor.
        """
        job: Job[V] = Job()
        job.follow(self._find(self.start_task(job.work, run, args, name=name, shutdown=shutdown)))
        return job

    def async_stream(
        self,
        run: Callable[[T], Awaitable[V]],
        items: Iterable[T],
        *,
        max_concurrency: int,
        ordered: bool = True,
        timeout: float = 5.0,
        on_timeout: Literal["raise", "kill"] = "raise",
        shutdown: float | str = 5.0,
    ) -> JobStream[T, V]:
        """Run a function on many items, some at a time, each in a job; a failure is an outcome.

        Use it as ``async with … as outcomes:`` and ``async for outcome in outcomes:``; see
        ``JobStream``.

        Args:
            run: an async function of one item.
            items: taken one by one as there is room, so they may be without end.
            max_concurrency: how many jobs run at a time, 1 or more.
            ordered: outcomes come in the order of the items, and those that are ready before
                their turn are kept; else as they become ready.
            timeout: seconds each job may take, counted from its own start.
            on_timeout: a job that takes longer is ended, and then: ``raise`` raises
                ``CallTimeout`` at once and ends the others too; ``kill`` makes an outcome with
                the reason ``"timeout"`` of it.
            shutdown: seconds for the cleanup of jobs that are ended, or ``"brutal_kill"``.

        Returns:
            The stream; no job starts before the first outcome is asked for.

        Raises:
            SpecError: with one sentence for each mistake.
        """
        plan = StreamPlan(max_concurrency, ordered, timeout, on_timeout, shutdown)

        def start(work: Callable[..., Awaitable[Any]], item: T) -> Job[Any]:
            return self.async_nolink(work, item, shutdown=shutdown)

        return JobStream(start, run, items, plan)
