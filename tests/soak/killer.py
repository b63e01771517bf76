"""Kills one part of a running daemon after another, on the dot, whatever the ones before do."""

import json
import math
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import msgspec
import trio

from tests.soak.client import Client, CutError

__all__ = ["Killer", "Kills"]

_LOOK = 0.5
"""Seconds between two looks at who is there to be killed."""

_PATIENCE = 5.0
"""Seconds within which an order to kill must be answered, however much is being killed."""

_LEAST = 0.9
"""Share of the kills that were due which must have been done."""

_CONNECTION = "connection:"
_ROOT = "standby"
_CUTS_CLIENTS = frozenset({"connections", "doors"})
"""Supervisors of the client connections themselves: their death cuts every client off, which no
daemon can answer. They are left alone; single connections are killed."""

_UPSTREAM = "simulator"
"""Simulators stand for the world outside: they fail by their schedule and are not killed."""


class Kills(msgspec.Struct):
    """What became of the kills.

    Attributes:
        every: Seconds from one to the next.
        due: How many should have been done.
        done: How many were, by the parts' names without number.
        connections: Client connections among them.
        down: Orders for parts that were down at the time; another part was killed in their stead.
        late: Orders that were not answered in time.
        slowest: Seconds until the slowest order was answered.
    """

    every: float = math.inf
    due: int = 0
    done: Counter[str] = msgspec.field(default_factory=Counter)
    connections: int = 0
    down: int = 0
    late: int = 0
    slowest: float = 0.0

    def mistakes(self) -> list[str]:
        """Return what must not be, in words."""
        found = []
        if self.done.total() < _LEAST * self.due:
            found.append(f"{self.done.total()} parts were killed, not {self.due}")
        if self.late:
            found.append(f"{self.late} orders to kill were not answered in {_PATIENCE:g} s")
        return found


class Killer:
    """Kills a part drawn from all there are, supervisors included, at regular times.

    Args:
        path: The daemon's socket.
        kills: Where to count.
        dice: Who draws.
    """

    def __init__(self, path: Path, kills: Kills, dice: random.Random) -> None:
        self._client = Client(path)
        self._kills = kills
        self._dice = dice
        self._victims: Sequence[str] = ()
        self._looked = -math.inf
        self.over = False

    async def run(self) -> None:
        """Kill until it is over, each time in a task of its own: none waits for those before."""
        kills = self._kills
        due = trio.current_time()
        async with trio.open_nursery() as nursery:
            while True:
                due += kills.every
                await trio.sleep_until(due)
                if self.over:
                    break
                kills.due += 1
                nursery.start_soon(self._kill)
        await self._client.aclose()

    async def _kill(self) -> None:
        """Kill somebody; whoever is down just then is passed over for another."""
        began = trio.current_time()
        with trio.move_on_after(_PATIENCE) as patience:
            while not await self._kill_one_of(await self._look()):
                await trio.lowlevel.checkpoint()
            self._kills.slowest = max(self._kills.slowest, trio.current_time() - began)
        self._kills.late += patience.cancelled_caught

    async def _kill_one_of(self, victims: Sequence[str]) -> bool:
        kills = self._kills
        for name in self._dice.sample(victims, len(victims)):
            try:
                killed = (await self._client.ask("POST", f"/supervision/{name}/kill")).status == 200
            except CutError:
                # Another order killed the connection of this one; or it was its own.
                killed = name.startswith(_CONNECTION)
            if killed:
                kills.done[name.partition(":")[0]] += 1
                kills.connections += name.startswith(_CONNECTION)
                return True
            kills.down += 1
        return False

    async def _look(self) -> Sequence[str]:
        """Return who may be killed, as of not long ago."""
        if trio.current_time() >= self._looked + _LOOK or not self._victims:
            try:
                tree = json.loads((await self._client.ask("GET", "/supervision/tree")).body)["tree"]
            except CutError:
                return self._victims  # it was the connection's turn to be killed
            self._looked = trio.current_time()
            self._victims = _victims(tree)
        return self._victims


def _victims(tree: dict[str, object]) -> Sequence[str]:
    """Return the names that may be killed; of all client connections together one at most.

    The many connections would otherwise be nearly all who are killed.
    """
    names: list[str] = []
    connections: list[str] = []

    def walk(node: dict[str, object]) -> None:
        name = str(node["name"])
        if name.startswith(_CONNECTION):
            connections.append(name)
        elif name != _ROOT and name not in _CUTS_CLIENTS and not name.startswith(_UPSTREAM):
            names.append(name)
        children = node.get("children") or []
        assert isinstance(children, list)
        for child in children:
            walk(child)

    walk(tree)
    return [*names, *connections[-1:]]
