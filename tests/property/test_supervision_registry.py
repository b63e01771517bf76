"""A registry against a model: dictionaries of lists, with actors that live and die."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Literal

import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from supervision import (
    Actor,
    ActorDown,
    AlreadyRegistered,
    ChildSpec,
    Registry,
    RegistryEvent,
    Reports,
    open_system,
    supervisor,
)

OWNERS = ("a", "b", "c")
KEYS = ("x", "y", 3)
owners = st.sampled_from(OWNERS)
keys = st.sampled_from(KEYS)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("register"), owners, keys, st.integers(0, 9)),
        st.tuples(st.just("unregister"), owners, keys),
        st.tuples(st.just("update"), owners, keys),
        st.tuples(st.sampled_from(("kill", "terminate", "restart")), owners),
    ),
    max_size=40,
)


class Model:
    """Entries in the order they were made, and who lives."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.entries: list[tuple[Hashable, str, int]] = []
        self.alive = set(OWNERS)
        self.events: list[tuple[str, Hashable, str]] = []

    def register(self, owner: str, key: Hashable, value: int) -> str:
        if owner not in self.alive:
            return "down"
        held = [entry for entry in self.entries if entry[0] == key]
        if any(entry[1] == owner for entry in held) or (held and self.kind == "unique"):
            return "taken"
        self.entries.append((key, owner, value))
        self.events.append(("register", key, owner))
        return "ok"

    def unregister(self, owner: str, key: Hashable) -> bool:
        found = [entry for entry in self.entries if entry[:2] == (key, owner)]
        for entry in found:
            self.entries.remove(entry)
            self.events.append(("unregister", key, owner))
        return bool(found)

    def end(self, owner: str) -> None:
        for key, name, _ in list(self.entries):
            if name == owner:
                self.unregister(owner, key)


async def run_program(kind: Literal["unique", "duplicate"], program: list[tuple[Any, ...]]) -> None:
    registry, model = Registry(kind), Model(kind)
    events: list[RegistryEvent] = []
    registry.listen(events.append)
    specs = [ChildSpec(name, Actor) for name in OWNERS]
    root = supervisor("root", specs, max_restarts=1000)
    async with open_system(root, reports=Reports(log=False)) as system:
        handle = system.supervisor("root")
        for step in program:
            match step:
                case ("register", owner, key, value):
                    try:
                        registry.register(system.ref(owner), key, value)
                        answer = "ok"
                    except AlreadyRegistered:
                        answer = "taken"
                    except ActorDown:
                        answer = "down"
                    assert answer == model.register(owner, key, value)
                case ("unregister", owner, key):
                    gone = registry.unregister(system.ref(owner), key)
                    assert gone == model.unregister(owner, key)
                case ("update", owner, key):
                    index = next(
                        (i for i, e in enumerate(model.entries) if e[:2] == (key, owner)), None
                    )
                    try:
                        registry.update(system.ref(owner), key, lambda value: value + 100)
                    except KeyError:
                        assert index is None
                    else:
                        assert index is not None
                        entry = model.entries[index]
                        model.entries[index] = (entry[0], entry[1], entry[2] + 100)
                case ("kill", owner):
                    if system.kill(owner):
                        model.end(owner)
                case ("terminate", owner):
                    await handle.terminate_child(owner)
                    model.end(owner)
                    model.alive.discard(owner)
                case ("restart", owner):
                    if owner not in model.alive:
                        await handle.restart_child(owner)
                        model.alive.add(owner)
            await trio.testing.wait_all_tasks_blocked()
            for key in KEYS:
                found = [(key, entry.ref.name, entry.value) for entry in registry.lookup(key)]
                assert found == [entry for entry in model.entries if entry[0] == key]
            for owner in OWNERS:
                assert registry.keys(system.ref(owner)) == [
                    key for key, name, _ in model.entries if name == owner
                ]
            assert len(registry) == len(model.entries)
            told = [(event.kind, event.key, event.ref.name) for event in events]
            assert told == model.events
    assert len(registry) == 0


@settings(max_examples=200, deadline=None)
@given(kind=st.sampled_from(("unique", "duplicate")), program=steps)
def test_a_registry_does_what_the_model_does(
    kind: Literal["unique", "duplicate"], program: list[tuple[Any, ...]]
) -> None:
    trio.run(run_program, kind, program, clock=trio.testing.MockClock(autojump_threshold=0))
