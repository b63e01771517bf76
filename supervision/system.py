"""The system: the names, the reports and the timers that all actors of one tree share."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Protocol
from weakref import WeakValueDictionary

import trio

from supervision.errors import AlreadyStarted, NoProcess
from supervision.handles import SupervisorHandle
from supervision.reasons import Reason
from supervision.refs import Ref
from supervision.reports import Reports
from supervision.timers import Timers
from supervision.tree import TreeNode


class Entry(Protocol):
    """What the register of names keeps for each: a child of some supervisor."""

    name: str

    def reference(self) -> Ref:
        """The reference to it."""

    def bind_late(self, ref: Ref) -> None:
        """Tell a new reference what lives under the name now."""

    def node(self) -> TreeNode:
        """Its picture, with all below it."""


class System:
    """A running tree of actors, as ``open_system`` yields it.

    Attributes:
        reports: crash, supervisor and progress reports; their history and subscribers.
        timers: for timers that belong to no actor.
        chance: the source of jitter.
    """

    def __init__(self, reports: Reports, chance: random.Random | None = None) -> None:
        self.reports = reports
        self.timers = Timers()
        self.chance = random.Random() if chance is None else chance
        self._entries: dict[str, Entry] = {}
        self._refs: WeakValueDictionary[str, Ref] = WeakValueDictionary()
        self._root: Entry | None = None
        self._stop_root: Callable[[Reason], None] | None = None
        self._closed = trio.Event()
        self._interrupt: BaseException | None = None
        self._on_interrupt: Callable[[], None] | None = None

    # ---- names

    def ref(self, name: str) -> Ref:
        """The reference for a name, whether or not anything runs under it yet.

        Args:
            name: a child's id.

        Returns:
            Always the same object for the same name, as long as somebody holds it.
        """
        found = self._refs.get(name)
        if found is None:
            found = self._refs[name] = Ref(name)
            entry = self._entries.get(name)
            if entry is not None:
                entry.bind_late(found)
        return found

    def whereis(self, name: str) -> Ref | None:
        """The reference for a name if something runs under it now.

        Args:
            name: a child's id.
        """
        entry = self._entries.get(name)
        if entry is None:
            return None
        ref = entry.reference()
        return ref if ref.alive else None

    def names(self) -> list[str]:
        """Every name in the tree, running or not, in the order they were added."""
        return list(self._entries)

    def kill(self, name: str, reason: Reason = "killed") -> bool:
        """Kill whatever runs under a name; its supervisor deals with it by its rules.

        Args:
            name: a child's id.
            reason: its exit reason.

        Returns:
            False when nothing runs under the name.
        """
        entry = self._entries.get(name)
        return entry is not None and entry.reference().kill(reason)

    def supervisor(self, name: str) -> SupervisorHandle:
        """The administrative calls of a supervisor.

        Args:
            name: the supervisor's id; it need not have started yet.
        """
        return SupervisorHandle(self.ref(name), self.ref)

    # ---- the whole

    def snapshot(self) -> TreeNode:
        """A picture of the whole tree, taken without a message to anyone, stuck or not.

        Raises:
            NoProcess: the tree has ended.
        """
        if self._root is None or self._closed.is_set():
            raise NoProcess("the root supervisor")
        return self._root.node()

    async def stop(self, reason: Reason = "shutdown") -> None:
        """Stop the tree in order, the youngest child first, and wait until it has ended.

        Args:
            reason: the exit reason everyone gets.
        """
        if self._stop_root is not None:
            self._stop_root(reason)
        await self._closed.wait()

    def request_stop(self, reason: Reason = "shutdown") -> None:
        """Begin to stop the tree in order, without waiting; an actor may call it."""
        if self._stop_root is not None:
            self._stop_root(reason)

    async def wait_closed(self) -> None:
        """Wait until the tree has ended, for whatever reason."""
        await self._closed.wait()

    # ---- for the machinery

    def claim(self, entry: Entry) -> None:
        """Register a child under its name; called by the machinery only.

        Raises:
            AlreadyStarted: the name is taken.
        """
        if entry.name in self._entries:
            raise AlreadyStarted(entry.name)
        self._entries[entry.name] = entry

    def release(self, entry: Entry) -> None:
        """Free the name of a child that is no more; called by the machinery only."""
        if self._entries.get(entry.name) is entry:
            del self._entries[entry.name]
            ref = self._refs.get(entry.name)
            if ref is not None:
                ref.forget()

    def known_ref(self, name: str) -> Ref | None:
        """The reference for a name if somebody holds one; called by the machinery only."""
        return self._refs.get(name)

    def attach(
        self, root: Entry, stop: Callable[[Reason], None], interrupted: Callable[[], None]
    ) -> None:
        """Name the root; called by ``open_system`` only."""
        self._root = root
        self._stop_root = stop
        self._on_interrupt = interrupted

    def detach(self) -> None:
        """The tree has ended; called by ``open_system`` only."""
        self._stop_root = None
        self._closed.set()

    def interrupt(self, error: BaseException) -> None:
        """Ctrl-C or ``SystemExit`` struck inside an actor: stop in order, raise it at the end."""
        if self._interrupt is None:
            self._interrupt = error
        if self._on_interrupt is not None:
            self._on_interrupt()

    @property
    def interrupted(self) -> BaseException | None:
        """What ``interrupt`` was told, for ``open_system`` to raise."""
        return self._interrupt
