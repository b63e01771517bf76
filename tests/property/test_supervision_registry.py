"""A registry against a model: a plain list of entries, with actors that live, crash and die.

The machine drives a real tree of actors on a virtual clock, one step for each rule.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass, field
from typing import Literal, TypeVar, cast

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from supervision import (
    Actor,
    ActorDown,
    AlreadyRegistered,
    ChildSpec,
    Registry,
    RegistryEvent,
    Reports,
    System,
    open_system,
    supervisor,
)
from tests.support.guest_run import GuestRun

V = TypeVar("V")
OWNERS = ("a", "b", "c")
KEYS = ("x", "y", 3)
owners = st.sampled_from(OWNERS)
keys = st.sampled_from(KEYS)
values = st.integers(0, 9)


@dataclass
class Model:
    """Entries in the order they were made, and who lives."""

    kind: str
    entries: list[tuple[Hashable, str, int]] = field(default_factory=list)
    alive: set[str] = field(default_factory=lambda: set(OWNERS))
    events: list[tuple[str, Hashable, str, int]] = field(default_factory=list)

    def register(self, owner: str, key: Hashable, value: int) -> str:
        if owner not in self.alive:
            return "down"
        held = [entry[1] for entry in self.entries if entry[0] == key]
        if held and self.kind == "unique":
            return f"taken by {held[0]}"
        self.entries.append((key, owner, value))
        self.events.append(("register", key, owner, value))
        return "ok"

    def drop(self, accepts: Callable[[tuple[Hashable, str, int]], bool]) -> int:
        gone = [entry for entry in self.entries if accepts(entry)]
        self.entries = [entry for entry in self.entries if not accepts(entry)]
        self.events += [("unregister", *entry) for entry in gone]
        return len(gone)

    def of(self, owner: str, key: Hashable) -> list[int]:
        return [value for k, o, value in self.entries if (k, o) == (key, owner)]


class RegistryMachine(RuleBasedStateMachine):
    """Whatever happens in whatever order, registry and model hold the same."""

    run: GuestRun
    system: System

    @initialize(kind=st.sampled_from(("unique", "duplicate")))
    def begin(self, kind: Literal["unique", "duplicate"]) -> None:
        self.registry, self.model = Registry(kind), Model(kind)
        self.events: list[RegistryEvent] = []
        self.registry.listen(self.events.append)
        self.seen_at_end: list[list[Hashable]] = []
        root = supervisor("root", [ChildSpec(name, Actor) for name in OWNERS], max_restarts=10_000)

        async def main(serve: Callable[[], Awaitable[None]]) -> None:
            async with open_system(root, reports=Reports(log=False)) as self.system:
                await serve()

        self.run = GuestRun(main)

    def do(self, step: Callable[[], Awaitable[V]]) -> V:
        answer = self.run.step(step)
        return cast("V", answer)  # the run does not end before teardown

    def teardown(self) -> None:
        if hasattr(self, "run"):
            self.run.end()
            assert (len(self.registry), self.registry.select()) == (0, [])
            assert all(keys == [] for keys in self.seen_at_end)

    @rule(owner=owners, key=keys, value=values)
    def register(self, owner: str, key: Hashable, value: int) -> None:
        async def step() -> str:
            try:
                self.registry.register(self.system.ref(owner), key, value)
            except AlreadyRegistered as error:
                return f"taken by {error.owner.name}"
            except ActorDown:
                return "down"
            return "ok"

        assert self.do(step) == self.model.register(owner, key, value)

    @rule(owner=owners, key=keys)
    def unregister(self, owner: str, key: Hashable) -> None:
        async def step() -> bool:
            return self.registry.unregister(self.system.ref(owner), key)

        assert self.do(step) == (self.model.drop(lambda e: e[:2] == (key, owner)) > 0)

    @rule(owner=owners, key=keys, most=values)
    def unregister_match(self, owner: str, key: Hashable, most: int) -> None:
        async def step() -> int:
            ref = self.system.ref(owner)
            return self.registry.unregister_match(ref, key, lambda value: value <= most)

        gone = self.model.drop(lambda e: e[:2] == (key, owner) and e[2] <= most)
        assert self.do(step) == gone

    @precondition(lambda self: self.model.kind == "unique")
    @rule(owner=owners, key=keys)
    def update(self, owner: str, key: Hashable) -> None:
        async def step() -> int | None:
            try:
                return int(self.registry.update(self.system.ref(owner), key, lambda v: v + 1))
            except KeyError:
                return None

        new = self.do(step)
        assert new == next((value + 1 for value in self.model.of(owner, key)), None)
        if new is not None:
            self.model.entries = [
                (k, o, new) if (k, o) == (key, owner) else (k, o, v)
                for k, o, v in self.model.entries
            ]

    @rule(owner=owners)
    def watch(self, owner: str) -> None:
        """Whoever watches, however early, finds the owner's entries gone at its end."""

        async def step() -> None:
            ref = self.system.ref(owner)
            if ref.alive:
                ref.watch(lambda _: self.seen_at_end.append(self.registry.keys(ref)))

        self.do(step)

    @rule(owner=owners)
    def kill(self, owner: str) -> None:
        async def step() -> bool:
            return self.system.kill(owner)

        assert self.do(step) == (owner in self.model.alive)
        self.drop_by_key(owner)

    @rule(owner=owners)
    def terminate(self, owner: str) -> None:
        async def step() -> None:
            await self.system.supervisor("root").terminate_child(owner)

        self.do(step)
        self.drop_by_key(owner)
        self.model.alive.discard(owner)

    @rule(owner=owners)
    def restart(self, owner: str) -> None:
        if owner in self.model.alive:
            return

        async def step() -> None:
            await self.system.supervisor("root").restart_child(owner)

        self.do(step)
        self.model.alive.add(owner)

    def drop_by_key(self, owner: str) -> None:
        """An end gives the keys back one after the other, in the order they were first taken."""
        for key in dict.fromkeys(entry[0] for entry in self.model.entries if entry[1] == owner):
            self.model.drop(lambda e, key=key: e[:2] == (key, owner))  # type: ignore[misc]  # a default is how a lambda in a loop keeps its own key

    @invariant()
    def same(self) -> None:
        if not hasattr(self, "run"):
            return
        self.do(self.compare)

    async def compare(self) -> None:
        registry, entries = self.registry, self.model.entries
        for key in KEYS:
            mine = [entry for entry in entries if entry[0] == key]
            found = [(key, entry.ref.name, entry.value) for entry in registry.lookup(key)]
            assert found == mine
            first = registry.whereis(key)
            assert (None if first is None else first.name) == (mine[0][1] if mine else None)
            for owner in OWNERS:
                assert registry.values(self.system.ref(owner), key) == self.model.of(owner, key)
        for owner in OWNERS:
            held = [key for key, name, _ in entries if name == owner]
            assert sorted(map(str, registry.keys(self.system.ref(owner)))) == sorted(map(str, held))
        everything = {(entry.key, entry.ref.name, entry.value) for entry in registry.select()}
        assert everything == set(entries)
        assert len(registry) == len(registry.select()) == len(entries)
        told = [(event.kind, event.key, event.ref.name, event.value) for event in self.events]
        assert told == self.model.events


TestRegistry = RegistryMachine.TestCase
TestRegistry.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)
