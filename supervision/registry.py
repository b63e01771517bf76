"""A registry: actors known by keys other than their names, with a value for each.

Unlike a name, a key is anything hashable, is taken by the actor itself, and may belong to several
actors at once in a ``duplicate`` registry. An entry lives as long as the incarnation that made it:
it is gone, and the listeners have been told, before anybody learns of that incarnation's end,
monitors and callers as well as the supervisor.

Where Elixir takes match specifications, a plain function of the value does here.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from functools import partial
from itertools import count
from typing import Any, Literal

import msgspec

from supervision.errors import SupervisionError
from supervision.reasons import Reason
from supervision.refs import Ref
from supervision.reports import LOGGER


class AlreadyRegistered(SupervisionError):  # noqa: N818 - Elixir's name for it
    """The key is taken: by another living actor, or by this one already.

    Args:
        key: the key.
        owner: who has it.
    """

    def __init__(self, key: Hashable, owner: Ref) -> None:
        super().__init__(key, owner)
        self.key = key
        self.owner = owner

    def __str__(self) -> str:
        return f"key {self.key!r} is already registered by {self.owner.name!r}"


class Registration(msgspec.Struct, frozen=True):
    """One entry under a known key: who, and the value it gave."""

    ref: Ref
    value: Any


class RegistryEntry(msgspec.Struct, frozen=True):
    """One entry with its key, as ``select`` lists them."""

    key: Hashable
    ref: Ref
    value: Any


class RegistryEvent(msgspec.Struct, frozen=True):
    """What listeners are told.

    Attributes:
        kind: ``register`` or ``unregister``.
        key: the key.
        ref: the owner.
        value: its value at that moment.
    """

    kind: Literal["register", "unregister"]
    key: Hashable
    ref: Ref
    value: Any


Listener = Callable[[RegistryEvent], None]


class Registry:
    """Keys, their owners and values. All of it is synchronous: no message, no wait, no lock.

    Keys are compared as those of a dictionary are.

    Args:
        keys: ``unique`` (one owner for each key) or ``duplicate`` (any number of owners, each as
            often as it likes).
        meta: facts about the registry itself, to begin with.

    Attributes:
        kind: ``unique`` or ``duplicate``.
        meta: those facts, an ordinary dictionary; they outlive every actor.
    """

    def __init__(
        self,
        keys: Literal["unique", "duplicate"] = "unique",
        *,
        meta: Mapping[Hashable, Any] | None = None,
    ) -> None:
        if keys not in ("unique", "duplicate"):
            raise ValueError(f"keys must be unique or duplicate, not {keys!r}")
        self.kind = keys
        self.meta: dict[Hashable, Any] = dict(meta or {})
        # Entries by key, then by a running number: in the order of registration, and an owner's
        # are found and removed without a walk over everybody else's.
        self._entries: dict[Hashable, dict[int, Registration]] = {}
        self._by_owner: dict[Ref, dict[Hashable, dict[int, None]]] = {}
        self._unwatch: dict[Ref, Callable[[], None]] = {}
        self._number = count()
        self._listeners: dict[object, Listener] = {}

    def __len__(self) -> int:
        return sum(len(entries) for entries in self._entries.values())

    # ---- entries come and go

    def register(self, owner: Ref, key: Hashable, value: Any = None) -> None:
        """Take a key for an actor's present incarnation.

        Args:
            owner: the actor, alive; its own ``init`` is the usual place.
            key: anything hashable.
            value: anything.

        Raises:
            AlreadyRegistered: the key of a unique registry is taken, if only by the owner itself.
            ActorDown: the owner is not alive.
        """
        if not owner.alive:
            raise owner.down()
        entries = self._entries.get(key)
        if entries and self.kind == "unique":
            raise AlreadyRegistered(key, next(iter(entries.values())).ref)
        if entries is None:
            entries = self._entries[key] = {}
        if owner not in self._by_owner:
            self._by_owner[owner] = {}
            self._unwatch[owner] = owner.watch(partial(self._ended, owner), first=True)
        number = next(self._number)
        entries[number] = Registration(owner, value)
        self._by_owner[owner].setdefault(key, {})[number] = None
        self._tell("register", key, owner, value)

    def unregister(self, owner: Ref, key: Hashable) -> bool:
        """Give a key back, with every entry the owner has under it.

        Args:
            owner: who has it.
            key: the key.

        Returns:
            False when it did not have it.
        """
        return self._drop(owner, key, list(self._by_owner.get(owner, {}).get(key, ()))) > 0

    def unregister_match(
        self, owner: Ref, key: Hashable, accepts: Callable[[Any], bool]
    ) -> int:  # fmt: skip
        """Give back those of an owner's entries under a key whose value is of a kind.

        Args:
            owner: who has them.
            key: the key.
            accepts: asked with each value; if it raises, nothing is given back.

        Returns:
            How many went.
        """
        entries = self._entries.get(key, {})
        numbers = list(self._by_owner.get(owner, {}).get(key, ()))
        return self._drop(owner, key, [n for n in numbers if accepts(entries[n].value)])

    def update(self, owner: Ref, key: Hashable, change: Callable[[Any], Any]) -> Any:
        """Replace an actor's own value; listeners are not told.

        Args:
            owner: who has the key.
            key: the key.
            change: makes the new value of the old; if it raises, the old one stays.

        Returns:
            The new value.

        Raises:
            KeyError: the actor does not have that key; ``change`` was not called.
            TypeError: the registry is a duplicate one, where an owner may have many values.
        """
        if self.kind == "duplicate":
            raise TypeError("update is for unique registries: here an owner may have many values")
        number = next(iter(self._by_owner.get(owner, {})[key]))
        entries = self._entries[key]
        value = change(entries[number].value)
        if number not in entries:
            raise KeyError(key)  # `change` itself gave the key back
        entries[number] = Registration(owner, value)
        return value

    # ---- reading

    def lookup(self, key: Hashable) -> list[Registration]:
        """Every entry under a key, the earliest first.

        Args:
            key: the key.
        """
        return list(self._entries.get(key, {}).values())

    def whereis(self, key: Hashable) -> Ref | None:
        """The first registered under a key: in a unique registry, the one.

        The reference belongs to the owner's name, so it outlives the owner's restarts.

        Args:
            key: the key.
        """
        first = next(iter(self._entries.get(key, {}).values()), None)
        return None if first is None else first.ref

    def keys(self, owner: Ref) -> list[Hashable]:
        """The keys an actor has, the earliest first, each as often as it has it.

        Args:
            owner: the actor.
        """
        held = self._by_owner.get(owner, {})
        return [key for key, numbers in held.items() for _ in numbers]

    def values(self, owner: Ref, key: Hashable) -> list[Any]:
        """The values an actor has under a key, the earliest first.

        Args:
            owner: the actor.
            key: the key.
        """
        entries = self._entries.get(key, {})
        return [entries[number].value for number in self._by_owner.get(owner, {}).get(key, ())]

    def match(self, key: Hashable, accepts: Callable[[Any], bool]) -> list[Registration]:
        """Every entry under a key whose value is of a kind, the earliest first.

        Args:
            key: the key.
            accepts: asked with each value.
        """
        return [entry for entry in self.lookup(key) if accepts(entry.value)]

    def select(self, accepts: Callable[[RegistryEntry], bool] | None = None) -> list[RegistryEntry]:
        """Entries under whatever key: those under one key together, the earliest first.

        Args:
            accepts: asked with each entry; ``None`` takes them all.
        """
        every = [
            RegistryEntry(key, entry.ref, entry.value)
            for key, entries in self._entries.items()
            for entry in entries.values()
        ]
        return every if accepts is None else [entry for entry in every if accepts(entry)]

    def dispatch(self, key: Hashable, message: Any) -> int:
        """Cast a message to everyone under a key, once for each entry.

        Args:
            key: the key.
            message: anything.

        Returns:
            How many were delivered.
        """
        return sum(entry.ref.cast(message) for entry in self.lookup(key))

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Have a function told of every registration and its end, from now on.

        Args:
            listener: synchronous and quick; what it raises is logged and goes no further.

        Returns:
            A function that ends it.
        """
        token = object()
        self._listeners[token] = listener

        def end() -> None:
            self._listeners.pop(token, None)

        return end

    # ---- inside

    def _drop(self, owner: Ref, key: Hashable, numbers: list[int]) -> int:
        """Remove some of an owner's entries under a key, stop watching when it has none, tell."""
        values = [self._remove(owner, key, number) for number in numbers]
        if values and not self._by_owner[owner]:
            del self._by_owner[owner]
            self._unwatch.pop(owner)()
        for value in values:
            self._tell("unregister", key, owner, value)
        return len(values)

    def _remove(self, owner: Ref, key: Hashable, number: int) -> Any:
        entries, held = self._entries[key], self._by_owner[owner]
        value = entries.pop(number).value
        if not entries:
            del self._entries[key]
        del held[key][number]
        if not held[key]:
            del held[key]
        return value

    def _ended(self, owner: Ref, reason: Reason) -> None:
        """The owner's incarnation has ended: forget all of it, then tell."""
        del reason
        self._unwatch.pop(owner, None)
        held = {key: list(numbers) for key, numbers in self._by_owner.get(owner, {}).items()}
        gone = [
            (key, self._remove(owner, key, number))
            for key, numbers in held.items()
            for number in numbers
        ]
        self._by_owner.pop(owner, None)
        for key, value in gone:
            self._tell("unregister", key, owner, value)

    def _tell(
        self, kind: Literal["register", "unregister"], key: Hashable, ref: Ref, value: Any
    ) -> None:
        if not self._listeners:
            return
        event = RegistryEvent(kind, key, ref, value)
        for listener in tuple(self._listeners.values()):
            try:
                listener(event)
            except Exception:  # noqa: BLE001 - a listener's mistake is its own
                LOGGER.exception("a listener of a registry raised on %s of %r", kind, key)
