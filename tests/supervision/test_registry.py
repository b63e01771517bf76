"""Registries: who may take a key, and how entries go with their owners."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio.testing

from supervision import (
    Actor,
    ActorDown,
    AlreadyRegistered,
    ChildSpec,
    NoProcess,
    PendingCall,
    Registration,
    Registry,
    RegistryEvent,
    Reports,
    System,
    open_system,
    supervisor,
)

settle = trio.testing.wait_all_tasks_blocked


class Member(Actor):
    """Registers itself in its init, as an actor should."""

    def __init__(self, registry: Registry, *keys: str) -> None:
        self.registry = registry
        self.keys = keys
        self.heard: list[Any] = []

    async def init(self) -> None:
        for key in self.keys:
            self.registry.register(self.ref, key, self.ref.incarnation)

    async def handle_cast(self, message: Any) -> None:
        if message == "crash":
            raise ValueError(message)
        self.heard.append(message)

    async def handle_call(self, message: Any, caller: PendingCall) -> object:
        return self.heard


@asynccontextmanager
async def members(registry: Registry, **keys: str) -> AsyncIterator[System]:
    def factory(words: str) -> Any:
        return lambda: Member(registry, *words.split())

    specs = [ChildSpec(name, factory(words)) for name, words in keys.items()]
    async with open_system(supervisor("root", specs), reports=Reports(log=False)) as system:
        yield system


async def test_a_unique_key_has_one_owner_with_a_value() -> None:
    registry = Registry()
    async with members(registry, a="left right", b="") as system:
        a, b = system.ref("a"), system.ref("b")
        assert registry.lookup("left") == [Registration(a, 1)]
        assert registry.whereis("right") is a
        assert registry.whereis("nowhere") is None
        assert registry.keys(a) == ["left", "right"]
        assert len(registry) == 2
        with pytest.raises(AlreadyRegistered, match="key 'left' is already registered by 'a'"):
            registry.register(b, "left")


async def test_a_duplicate_key_has_many_owners_but_each_only_once() -> None:
    registry = Registry("duplicate")
    async with members(registry, a="topic", b="topic", c="") as system:
        a, b = system.ref("a"), system.ref("b")
        assert registry.lookup("topic") == [Registration(a, 1), Registration(b, 1)]
        with pytest.raises(AlreadyRegistered):
            registry.register(a, "topic")
        assert registry.dispatch("topic", "news") == 2
        assert registry.dispatch("nothing", "news") == 0
        assert [await system.ref(name).call("heard") for name in "abc"] == [["news"], ["news"], []]


async def test_entries_go_with_their_incarnation_and_come_back_with_the_next() -> None:
    registry = Registry()
    async with members(registry, a="key") as system:
        system.ref("a").cast("crash")
        await settle()
        assert registry.lookup("key") == [Registration(system.ref("a"), 2)]
    assert registry.lookup("key") == []
    assert len(registry) == 0


async def test_entries_are_gone_when_the_end_of_their_owner_is_known() -> None:
    registry = Registry()
    seen: list[object] = []
    async with members(registry, a="key") as system:
        system.ref("a").watch(lambda _: seen.append(registry.whereis("key")))
        system.kill("a")
        await settle()
        assert seen == [None]


async def test_unregister_frees_the_key_at_once() -> None:
    registry = Registry()
    async with members(registry, a="key", b="") as system:
        a, b = system.ref("a"), system.ref("b")
        assert not registry.unregister(b, "key")
        assert registry.unregister(a, "key")
        assert not registry.unregister(a, "key")
        registry.register(b, "key", "mine")
        assert registry.lookup("key") == [Registration(b, "mine")]


async def test_an_owner_updates_its_own_value_only() -> None:
    registry = Registry()
    async with members(registry, a="key", b="") as system:
        assert registry.update(system.ref("a"), "key", lambda value: value + 1) == 2
        assert registry.lookup("key")[0].value == 2
        with pytest.raises(KeyError):
            registry.update(system.ref("b"), "key", lambda value: value)


async def test_the_dead_and_the_unknown_register_nothing() -> None:
    registry = Registry()
    async with members(registry, a="") as system:
        with pytest.raises(NoProcess):
            registry.register(system.ref("nobody"), "key")
    with pytest.raises(ActorDown):
        registry.register(system.ref("a"), "key")
    assert len(registry) == 0


async def test_listeners_hear_of_every_registration_and_its_end(caplog: Any) -> None:
    registry = Registry()
    events: list[RegistryEvent] = []

    def bad(event: RegistryEvent) -> None:
        raise OSError("listener")

    registry.listen(bad)
    end = registry.listen(events.append)
    async with members(registry, a="key") as system:
        a = system.ref("a")
        system.kill("a")
        await settle()
        registry.unregister(a, "key")
        end()
        end()
        registry.register(a, "unheard")
    assert [(event.kind, event.key, event.value) for event in events] == [
        ("register", "key", 1),
        ("unregister", "key", 1),
        ("register", "key", 2),
        ("unregister", "key", 2),
    ]
    assert "a listener of a registry raised" in caplog.text


def test_a_registry_is_unique_or_duplicate() -> None:
    kind: Any = "some"
    with pytest.raises(ValueError, match="keys must be unique or duplicate, not 'some'"):
        Registry(kind)
