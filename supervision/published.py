"""Published values and tables: written by one owner, read by anyone as a plain attribute.

What Elixir does with ETS. They are made outside the actor that writes them and handed to it, so
they outlive its crash: readers see the last state until the next incarnation writes again. Only
one living owner at a time gets a writer, and the writer of a dead incarnation writes no more.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Generic, TypeVar

from supervision.errors import AlreadyOwned
from supervision.refs import Ref

K = TypeVar("K")
V = TypeVar("V")
D = TypeVar("D")


class Ownership:
    """Who may write: the incarnation that asked last, while no other name is alive.

    Args:
        what: what is owned, in words, for the error.
    """

    __slots__ = ("_incarnation", "_owner", "_what")

    def __init__(self, what: str) -> None:
        self._what = what
        self._owner: Ref | None = None
        self._incarnation = 0

    @property
    def owner(self) -> Ref | None:
        """Who asked for it last."""
        return self._owner

    def take(self, owner: Ref) -> None:
        """Make an actor the owner.

        Raises:
            AlreadyOwned: another one is, and it is alive.
        """
        held = self._owner
        if held is not None and held is not owner and self.is_held():
            raise AlreadyOwned(self._what, held.name)
        self._owner = owner
        self._incarnation = owner.incarnation

    def is_held(self) -> bool:
        """Whether the incarnation that took it still lives."""
        owner = self._owner
        return owner is not None and owner.alive and owner.incarnation == self._incarnation

    def check(self, owner: Ref, incarnation: int) -> None:
        """Refuse a writer that has been succeeded.

        Raises:
            AlreadyOwned: another owner, or a later incarnation of the same, has taken it.
        """
        if self._owner is not owner or self._incarnation != incarnation:
            raise AlreadyOwned(self._what, self._owner.name if self._owner else "nobody")


class Published(Generic[V]):
    """One value.

    Args:
        initial: what readers see before the owner has written.
        name: for error messages.

    Attributes:
        value: the present value; read it, never set it: that is the writer's.
    """

    __slots__ = ("ownership", "value")

    def __init__(self, initial: V, *, name: str = "a published value") -> None:
        self.value = initial
        self.ownership = Ownership(name)

    def writer(self, owner: Ref) -> PublishedWriter[V]:
        """Become the owner; call it in the actor's ``init``.

        Args:
            owner: the actor's own reference.

        Returns:
            What sets the value.

        Raises:
            AlreadyOwned: another living actor is the owner.
        """
        self.ownership.take(owner)
        return PublishedWriter(self, owner)


class PublishedWriter(Generic[V]):
    """The owner's way to set a published value."""

    __slots__ = ("_incarnation", "_owner", "_published")

    def __init__(self, published: Published[V], owner: Ref) -> None:
        self._published = published
        self._owner = owner
        self._incarnation = owner.incarnation

    def set(self, value: V) -> None:
        """Publish a new value, at once visible to all.

        Args:
            value: best an immutable one, replaced whole.

        Raises:
            AlreadyOwned: a later incarnation or another owner has taken over.
        """
        self._published.ownership.check(self._owner, self._incarnation)
        self._published.value = value


class Table(Mapping[K, V]):
    """Many values by key, read like a dictionary; each row has one living owner.

    Several actors may share a table, each with rows of its own (a breaker for each provider); one
    actor may own them all.

    Args:
        name: for error messages.
    """

    __slots__ = ("get", "name", "owners", "rows")

    def __init__(self, *, name: str = "a published table") -> None:
        self.name = name
        self.rows: dict[K, V] = {}
        self.owners: dict[K, Ref] = {}
        # The hot read: the dictionary's own method, with no Python frame around it.
        self.get = self.rows.get  # type: ignore[method-assign]  # the same contract

    def __getitem__(self, key: K) -> V:
        return self.rows[key]

    def __iter__(self) -> Iterator[K]:
        # A copy: readers may wait in the middle while an owner writes.
        return iter(tuple(self.rows))

    def __len__(self) -> int:
        return len(self.rows)

    def __contains__(self, key: object) -> bool:
        return key in self.rows

    def writer(self, owner: Ref) -> TableWriter[K, V]:
        """Get what writes rows; call it in the actor's ``init``.

        Args:
            owner: the actor's own reference.
        """
        return TableWriter(self, owner)


class TableWriter(Generic[K, V]):
    """One owner's way to write rows: its own, new ones, and those of owners that are dead."""

    __slots__ = ("_incarnation", "_owner", "_table")

    def __init__(self, table: Table[K, V], owner: Ref) -> None:
        self._table = table
        self._owner = owner
        self._incarnation = owner.incarnation

    def put(self, key: K, value: V) -> None:
        """Set one row, at once visible to all.

        Raises:
            AlreadyOwned: another living actor owns the row, or a later incarnation has taken over.
        """
        self._own(key)
        self._table.rows[key] = value

    def delete(self, key: K) -> None:
        """Remove one row; nothing happens when there is none.

        Raises:
            AlreadyOwned: another living actor owns the row, or a later incarnation has taken over.
        """
        self._own(key)
        self._table.rows.pop(key, None)
        del self._table.owners[key]

    def clear(self) -> None:
        """Remove all rows of this owner."""
        mine = [key for key, owner in self._table.owners.items() if owner is self._owner]
        for key in mine:
            self.delete(key)

    def _own(self, key: K) -> None:
        owner = self._owner
        if owner.incarnation != self._incarnation:
            raise AlreadyOwned(self._table.name, owner.name)
        owners = self._table.owners
        held = owners.get(key)
        if held is not owner:
            if held is not None and held.alive:
                raise AlreadyOwned(f"row {key!r} of {self._table.name}", held.name)
            owners[key] = owner
