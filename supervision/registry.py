"""A registry: actors known by keys other than their names, with a value for each.

Unlike a name, a key is anything hashable, is taken by the actor itself, and may belong to several
actors at once in a ``duplicate`` registry. An entry lives as long as the incarnation that made it:
it is gone, and the listeners have been told, before the supervisor gets the exit notice.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Hashable
from functools import partial
from typing import Any, Literal

import msgspec

from supervision.errors import SupervisionError
from supervision.reasons import Reason
from supervision.refs import Ref
from supervision.reports import LOGGER


class AlreadyRegistered(SupervisionError):  # noqa: N818 - Elixir's name for it
    """The key is taken: by another living actor in a unique registry, or by this one already.

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
    """One entry: who, and the value it gave."""

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
    """Keys, their owners and values. All of it is synchronous: no message, no wait.

    Args:
        keys: ``unique`` (one owner for each key) or ``duplicate`` (any number of owners).
    """

    def __init__(self, keys: Literal["unique", "duplicate"] = "unique") -> None:
        if keys not in ("unique", "duplicate"):
            raise ValueError(f"keys must be unique or duplicate, not {keys!r}")
        self.kind = keys
        # By key, then by owner: both in the order of registration.
        self._entries: dict[Hashable, dict[Ref, Any]] = {}
        self._by_owner: dict[Ref, dict[Hashable, None]] = {}
        self._unwatch: dict[Ref, Callable[[], None]] = {}
        self._listeners: list[Listener] = []

    def __len__(self) -> int:
        return sum(len(owners) for owners in self._entries.values())

    def register(self, owner: Ref, key: Hashable, value: Any = None) -> None:
        """Take a key for an actor's present incarnation.

        Args:
            owner: the actor, alive; its own ``init`` is the usual place.
            key: anything hashable.
            value: anything.

        Raises:
            AlreadyRegistered: the key is taken.
            ActorDown: the owner is not alive.
        """
        if not owner.alive:
            raise owner.down()
        owners = self._entries.get(key)
        if owners:
            if owner in owners:
                raise AlreadyRegistered(key, owner)
            if self.kind == "unique":
                raise AlreadyRegistered(key, next(iter(owners)))
        if owner not in self._by_owner:
            self._by_owner[owner] = {}
            self._unwatch[owner] = owner.watch(partial(self._ended, owner))
        self._entries.setdefault(key, {})[owner] = value
        self._by_owner[owner][key] = None
        self._tell("register", key, owner, value)

    def unregister(self, owner: Ref, key: Hashable) -> bool:
        """Give a key back.

        Args:
            owner: who has it.
            key: the key.

        Returns:
            False when it did not have it.
        """
        owners = self._entries.get(key)
        if not owners or owner not in owners:
            return False
        value = self._remove(owner, key)
        if not self._by_owner[owner]:
            del self._by_owner[owner]
            self._unwatch.pop(owner)()
        self._tell("unregister", key, owner, value)
        return True

    def lookup(self, key: Hashable) -> list[Registration]:
        """Everyone registered under a key, the earliest first.

        Args:
            key: the key.
        """
        return [Registration(ref, value) for ref, value in self._entries.get(key, {}).items()]

    def whereis(self, key: Hashable) -> Ref | None:
        """The first registered under a key: in a unique registry, the one.

        Args:
            key: the key.
        """
        return next(iter(self._entries.get(key, ())), None)

    def keys(self, owner: Ref) -> list[Hashable]:
        """The keys an actor has, the earliest first.

        Args:
            owner: the actor.
        """
        return list(self._by_owner.get(owner, ()))

    def update(self, owner: Ref, key: Hashable, change: Callable[[Any], Any]) -> Any:
        """Replace an actor's own value.

        Args:
            owner: who has the key.
            key: the key.
            change: makes the new value of the old.

        Returns:
            The new value.

        Raises:
            KeyError: the actor does not have that key.
        """
        owners = self._entries.get(key, {})
        value = owners[owner] = change(owners[owner])
        return value

    def dispatch(self, key: Hashable, message: Any) -> int:
        """Cast a message to everyone under a key.

        Args:
            key: the key.
            message: anything.

        Returns:
            How many it was delivered to.
        """
        return sum(entry.ref.cast(message) for entry in self.lookup(key))

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Have a function told of every registration and its end, from now on.

        Args:
            listener: synchronous and quick; what it raises is logged and goes no further.

        Returns:
            A function that ends it.
        """
        self._listeners.append(listener)

        def end() -> None:
            with contextlib.suppress(ValueError):
                self._listeners.remove(listener)

        return end

    def _remove(self, owner: Ref, key: Hashable) -> Any:
        owners = self._entries[key]
        value = owners.pop(owner)
        if not owners:
            del self._entries[key]
        del self._by_owner[owner][key]
        return value

    def _ended(self, owner: Ref, reason: Reason) -> None:
        """The owner's incarnation has ended: forget all of it, then tell."""
        del reason
        self._unwatch.pop(owner, None)
        gone = [(key, self._remove(owner, key)) for key in self.keys(owner)]
        self._by_owner.pop(owner, None)
        for key, value in gone:
            self._tell("unregister", key, owner, value)

    def _tell(
        self, kind: Literal["register", "unregister"], key: Hashable, ref: Ref, value: Any
    ) -> None:
        if not self._listeners:
            return
        event = RegistryEvent(kind, key, ref, value)
        for listener in tuple(self._listeners):
            try:
                listener(event)
            except Exception:  # noqa: BLE001 - a listener's mistake is its own
                LOGGER.exception("a listener of a registry raised on %s of %r", kind, key)
