"""A queue in which clients take turns, whatever the number of requests each of them brings.

Round robin over clients is deficit round robin (Shreedhar and Varghese, 1995) where every request
costs the same: one place. It is max-min fair: who asks for less than an equal share gets all he
asks for, the others share the rest equally. A client may go by several names; these take turns
within its own turns, so that nobody gains by inventing names. When the queue is too full, the
newest request of whoever holds the most places leaves (longest queue drop: Suter, Lakshman,
Stiliadis and Choudhury, 1998). Every operation takes constant time.
"""

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from typing import Generic, NamedTuple, TypeVar

__all__ = ["UNNAMED", "ClientKey", "FairQueue"]

Item = TypeVar("Item", bound=Hashable)
Key = TypeVar("Key", bound=Hashable)


class ClientKey(NamedTuple):
    """Who asks.

    Attributes:
        source: The client that takes turns with others: a process, an address.
        name: What it calls the part of itself that asks; parts share its turns.
    """

    source: str
    name: str = ""


UNNAMED = ClientKey("")
"""All who do not say who they are, as one client."""


class _Places(Generic[Key]):
    """How many places each key holds, and who holds the most."""

    __slots__ = ("_counts", "_levels", "_most")

    def __init__(self) -> None:
        self._counts: dict[Key, int] = {}
        self._levels: dict[int, OrderedDict[Key, None]] = {}
        self._most = 0

    def __len__(self) -> int:
        return len(self._counts)

    def take(self, key: Key) -> None:
        """Count one place more."""
        held = self._counts.get(key, 0)
        if held:
            self._leave(held, key)
        self._enter(held + 1, key)
        self._most = max(self._most, held + 1)

    def held_by(self, key: Key) -> int:
        """Return how many a key holds."""
        return self._counts.get(key, 0)

    def up_to(self, most: int) -> int:
        """Return how many are held together, where none counts for more than ``most``."""
        return sum(min(held, most) for held in self._counts.values())

    def give(self, key: Key) -> None:
        """Count one place less; nothing is kept of who holds none."""
        held = self._counts[key]
        self._leave(held, key)
        if held > 1:
            self._enter(held - 1, key)
        else:
            del self._counts[key]
        if self._most not in self._levels:  # its last one has just come down by one
            self._most -= 1

    def heaviest(self) -> Key:
        """Return who holds the most places; of several, who came to hold that many last."""
        return next(reversed(self._levels[self._most]))

    def _enter(self, held: int, key: Key) -> None:
        self._counts[key] = held
        level = self._levels.get(held)
        if level is None:
            level = self._levels[held] = OrderedDict()
        level[key] = None

    def _leave(self, held: int, key: Key) -> None:
        level = self._levels[held]
        del level[key]
        if not level:
            del self._levels[held]


class _Source(Generic[Item]):
    """What one client waits for: a line for each of its names, in the order of their turns."""

    __slots__ = ("lines", "places")

    def __init__(self) -> None:
        self.lines: OrderedDict[str, OrderedDict[Item, None]] = OrderedDict()
        self.places: _Places[str] = _Places()


class FairQueue(Generic[Item]):
    """Items of many clients, served in turn."""

    __slots__ = ("_owners", "_places", "_sources")

    def __init__(self) -> None:
        self._owners: dict[Item, ClientKey] = {}
        self._sources: OrderedDict[str, _Source[Item]] = OrderedDict()
        self._places: _Places[str] = _Places()

    def __len__(self) -> int:
        return len(self._owners)

    def __contains__(self, item: Item) -> bool:
        return item in self._owners

    def __iter__(self) -> Iterator[Item]:
        """Go through the items in the order in which they would be served if nobody came."""
        rounds = [
            [list(line) for line in source.lines.values()] for source in self._sources.values()
        ]
        turns = [_in_turn(lines) for lines in rounds]
        yield from _in_turn(turns)

    @property
    def clients(self) -> int:
        """How many clients wait; names within a client are not counted apart."""
        return len(self._places)

    def turn(self, client: ClientKey) -> int:
        """Return as the how-manieth the newest item of a client will be served, if nobody comes.

        Counted for the client as a whole; which of its names comes first is left out of account.
        Takes a step for each client, where a look at the whole queue would not tell more.

        Args:
            client: The client.
        """
        return self._places.up_to(self._places.held_by(client.source))

    def push(self, client: ClientKey, item: Item) -> None:
        """Let an item wait behind the others of its client and name.

        A client that had nothing here gets its turn after everybody who waits now.

        Args:
            client: Whose it is.
            item: The item; it must not be waiting already.

        Raises:
            ValueError: It is waiting already.
        """
        if item in self._owners:
            raise ValueError(f"{item!r} is waiting already")
        self._owners[item] = client
        source = self._sources.get(client.source)
        if source is None:
            source = self._sources[client.source] = _Source()
        line = source.lines.get(client.name)
        if line is None:
            line = source.lines[client.name] = OrderedDict()
        line[item] = None
        source.places.take(client.name)
        self._places.take(client.source)

    def pop(self) -> Item | None:
        """Take out the oldest item of the client whose turn it is; None when nobody waits."""
        if not self._owners:
            return None
        source_name, source = next(iter(self._sources.items()))
        name, line = next(iter(source.lines.items()))
        item = next(iter(line))
        # Turns move on before the item leaves: what becomes empty goes whatever its turn.
        self._sources.move_to_end(source_name)
        source.lines.move_to_end(name)
        self.discard(item)
        return item

    def discard(self, item: Item) -> bool:
        """Take an item out that waits no longer; turns stay as they are.

        Args:
            item: The item.

        Returns:
            Whether it was there.
        """
        client = self._owners.pop(item, None)
        if client is None:
            return False
        source = self._sources[client.source]
        line = source.lines[client.name]
        del line[item]
        source.places.give(client.name)
        self._places.give(client.source)
        if not line:
            del source.lines[client.name]
            if not source.lines:
                del self._sources[client.source]
        return True

    def shed(self) -> Item | None:
        """Take out the newest item of the client with the most items; None when nobody waits.

        Within the client it is the name with the most. Of several with equally many, the one who
        came to have that many last: right after a ``push`` of one of those, what was pushed.
        """
        if not self._owners:
            return None
        source = self._sources[self._places.heaviest()]
        item = next(reversed(source.lines[source.places.heaviest()]))
        self.discard(item)
        return item


def _in_turn(lines: list[list[Item]] | list[Iterator[Item]]) -> Iterator[Item]:
    """Go through several sequences at once, one item of each in every round."""
    going = [iter(line) for line in lines]
    while going:
        remaining = []
        for line in going:
            try:
                item = next(line)
            except StopIteration:
                continue
            yield item
            remaining.append(line)
        going = remaining
