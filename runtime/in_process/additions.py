"""Children that were added to the tree while it ran, and stay in it.

A supervisor that is restarted begins with the children of its specification; what was added later
is gone, as in OTP. The keeper, one actor, watches the supervisors and adds them again.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import msgspec
import trio

from runtime.services import ROOT
from supervision import (
    Actor,
    ActorDown,
    AdminError,
    AlreadyPresent,
    AlreadyStarted,
    ChildSpec,
    Down,
    StartFailed,
    System,
    Timer,
)

__all__ = ["Additions"]

_PATIENCE: Final = 10.0
_LOOK_AGAIN: Final = 0.05
_LOOK_AGAIN_AT_MOST: Final = 5.0
"""Seconds to wait for a supervisor that is being restarted, and between two looks: at first, and
where a child does not start again."""


class Additions:
    """What has been added, by supervisor.

    Args:
        system: The running tree.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        self._added: dict[str, list[ChildSpec]] = {}
        self._kept = False

    async def start(self, children: Sequence[tuple[str, ChildSpec]]) -> None:
        """Add children and keep them; all of them or none.

        Args:
            children: Each with the name of its supervisor, in the order in which to start them.

        Raises:
            StartFailed: One of them did not start.
            AdminError: A name is taken.
            ActorDown: A supervisor is not there, and not coming back.
        """
        started: list[tuple[str, ChildSpec]] = []
        try:
            for supervisor, spec in children:
                await self._start(supervisor, spec)
                started.append((supervisor, spec))
        except BaseException:
            with trio.move_on_after(_PATIENCE, shield=True):
                for supervisor, spec in reversed(started):
                    await self._drop(supervisor, spec)
            raise
        for supervisor, spec in children:
            self._added.setdefault(supervisor, []).append(spec)
        if not self._kept:
            self._kept = True
            keeper = ChildSpec("additions", partial(_Keeper, self._system, self._added))
            await self._system.supervisor(ROOT).start_child(keeper, timeout=_PATIENCE)
        else:
            self._system.ref("additions").cast(_Look())

    async def _start(self, supervisor: str, spec: ChildSpec) -> None:
        deadline = trio.current_time() + _PATIENCE
        while True:
            try:
                await self._system.supervisor(supervisor).start_child(spec, timeout=_PATIENCE)
            except ActorDown:
                if trio.current_time() >= deadline:
                    raise
            else:
                return
            await trio.sleep(_LOOK_AGAIN)

    async def _drop(self, supervisor: str, spec: ChildSpec) -> None:
        handle = self._system.supervisor(supervisor)
        with suppress(ActorDown, AdminError):
            await handle.terminate_child(spec.id, timeout=_PATIENCE)
            await handle.delete_child(spec.id, timeout=_PATIENCE)


class _Look(msgspec.Struct, frozen=True):
    """See which supervisors are not watched, and whether they are back."""


class _Keeper(Actor):
    """Adds again what a restarted supervisor has forgotten.

    Args:
        system: The running tree.
        added: What there is to keep; grows.
    """

    def __init__(self, system: System, added: Mapping[str, Sequence[ChildSpec]]) -> None:
        self._system = system
        self._added = added
        self._watched: set[str] = set()
        self._whole: set[str] = set()
        self._pauses: dict[str, float] = {}  # of those with a child that does not start
        self._timer: Timer | None = None

    async def init(self) -> None:
        """Begin to watch; the supervisors are looked at once this actor runs."""
        self.send_after(0, _Look())

    async def handle_cast(self, message: object) -> None:
        """Take note that more has been added."""
        if isinstance(message, _Look):
            await self._look()

    async def handle_info(self, message: object) -> None:
        """Take note that a supervisor has ended, or that it is time to look again."""
        if isinstance(message, Down):
            self._watched.discard(message.ref.name)
            self._whole.discard(message.ref.name)
            self._pauses.pop(message.ref.name, None)
        if isinstance(message, Down | _Look):
            await self._look()

    def describe(self) -> Mapping[str, object]:
        """Return what the tree shows of the keeper."""
        return {"kept": sum(map(len, self._added.values()))}

    async def _look(self) -> None:
        """Watch every supervisor that has been added to, and put back what one has lost."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        waits = []
        for supervisor, specs in self._added.items():
            if supervisor in self._whole:
                continue
            ref = self._system.ref(supervisor)
            if not ref.alive:
                waits.append(_LOOK_AGAIN)
                continue
            if supervisor not in self._watched:
                self._watched.add(supervisor)
                self.monitor(ref)
            if await self._restore(supervisor, specs):
                self._whole.add(supervisor)
                self._pauses.pop(supervisor, None)
            else:
                pause = min(2 * self._pauses.get(supervisor, _LOOK_AGAIN), _LOOK_AGAIN_AT_MOST)
                self._pauses[supervisor] = pause
                waits.append(pause)
        if waits:
            self._timer = self.send_after(min(waits), _Look())

    async def _restore(self, supervisor: str, specs: Sequence[ChildSpec]) -> bool:
        """Put back what a supervisor has lost; tell whether all of it is there.

        One that does not start is not kept by its supervisor, so that nobody else tries again.
        """
        handle = self._system.supervisor(supervisor)
        whole = True
        for spec in specs:
            try:
                await handle.start_child(spec, timeout=_PATIENCE)
            except (AlreadyStarted, AlreadyPresent):
                pass
            except (ActorDown, StartFailed):
                whole = False
        return whole
