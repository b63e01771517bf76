"""Registries: who may take a key, and how entries go with their owners."""

from __future__ import annotations

import gc
import weakref
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio.testing

from supervision import (
    Actor,
    ActorDown,
    AlreadyRegistered,
    ChildSpec,
    Down,
    NoProcess,
    PendingCall,
    Registration,
    Registry,
    RegistryEntry,
    RegistryEvent,
    Reports,
    StartFailed,
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


async def test_a_key_taken_stays_with_its_owner_and_costs_nothing_to_ask_for_again() -> None:
    registry = Registry()
    async with members(registry, a="hello", b="") as system:
        a, b = system.ref("a"), system.ref("b")
        for asker in (a, b):
            with pytest.raises(AlreadyRegistered) as caught:
                registry.register(asker, "hello", "other")
            assert caught.value.owner is a
        assert (registry.keys(a), registry.values(a, "hello")) == (["hello"], [1])
        assert (registry.keys(b), registry.values(b, "hello")) == ([], [])
        assert len(registry) == 1
        system.kill("b")  # whose refused registration left nothing to clean up
        await settle()
        assert registry.lookup("hello") == [Registration(a, 1)]


async def test_a_duplicate_key_has_many_owners_each_as_often_as_it_likes() -> None:
    registry = Registry("duplicate")
    async with members(registry, a="topic", b="topic", c="") as system:
        a, b = system.ref("a"), system.ref("b")
        registry.register(a, "topic", "again")
        registry.register(a, "other", "more")
        assert registry.lookup("topic") == [
            Registration(a, 1),
            Registration(b, 1),
            Registration(a, "again"),
        ]
        assert registry.keys(a) == ["topic", "topic", "other"]
        assert registry.values(a, "topic") == [1, "again"]
        assert registry.values(b, "topic") == [1]
        assert registry.values(system.ref("c"), "topic") == []
        assert len(registry) == 4


async def test_dispatch_tells_everyone_under_a_key_once_for_each_entry() -> None:
    registry = Registry("duplicate")
    async with members(registry, a="topic topic", b="topic", c="else") as system:
        assert registry.dispatch("topic", "news") == 3
        assert registry.dispatch("nothing", "news") == 0
        heard = [await system.ref(name).call("heard") for name in "abc"]
        assert heard == [["news", "news"], ["news"], []]
        system.kill("b")
        assert registry.dispatch("topic", "more") == 3, "it is not dead before it has ended"
        await settle()
        assert registry.dispatch("topic", "more") == 3


async def test_dispatch_under_a_unique_key_tells_the_one() -> None:
    registry = Registry()
    async with members(registry, a="key", b="") as system:
        assert registry.dispatch("key", "news") == 1
        assert [await system.ref(name).call("heard") for name in "ab"] == [["news"], []]


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


async def test_entries_are_gone_even_for_those_who_watched_before_they_were_made() -> None:
    registry = Registry()
    seen: list[object] = []
    registry.listen(lambda event: seen.append(event.kind))
    async with members(registry, a="") as system:
        a = system.ref("a")
        a.watch(lambda _: seen.append(registry.whereis("late")))
        registry.register(a, "late")
        system.kill("a")
        await settle()
        assert seen == ["register", "unregister", None]


async def test_a_down_message_finds_the_entry_gone() -> None:
    registry = Registry()
    seen: list[object] = []

    class Watcher(Actor):
        async def init(self) -> None:
            self.monitor(self.system.ref("a"))

        async def handle_info(self, message: Any) -> None:
            assert isinstance(message, Down)
            seen.append(registry.lookup("key"))

    async with members(registry, a="") as system:
        await system.supervisor("root").start_child(ChildSpec("w", Watcher))
        registry.register(system.ref("a"), "key")
        await system.supervisor("root").terminate_child("a")
        await settle()
        assert seen == [[]]


async def test_a_key_is_free_for_another_as_soon_as_its_owner_has_ended() -> None:
    registry = Registry()
    async with members(registry, a="key", b="") as system:
        b = system.ref("b")
        system.ref("a").watch(lambda _: registry.register(b, "key", "heir"))
        await system.supervisor("root").terminate_child("a")
        assert registry.lookup("key") == [Registration(b, "heir")]


async def test_a_reference_found_by_key_stays_good_across_the_owners_restart() -> None:
    registry = Registry()
    async with members(registry, a="key"):
        found = registry.whereis("key")
        assert found is not None
        assert found.cast("crash")
        await settle()
        assert found.cast("hello")
        assert await found.call("heard") == ["hello"]
        assert registry.whereis("key") is found
        assert found.incarnation == 2


async def test_an_actor_that_finds_its_key_taken_does_not_start_and_says_by_whom() -> None:
    registry = Registry()
    async with members(registry, a="key") as system:
        spec = ChildSpec("b", lambda: Member(registry, "free", "key"))
        with pytest.raises(StartFailed, match="'key' is already registered by 'a'") as caught:
            await system.supervisor("root").start_child(spec)
        assert isinstance(caught.value.reason, AlreadyRegistered)
        assert caught.value.reason.owner is system.ref("a")
        assert registry.whereis("free") is None, "what it took before it failed is given back"


async def test_a_registry_is_empty_before_the_first_and_counts_what_it_has() -> None:
    registry = Registry()
    assert (len(registry), registry.select(), registry.lookup("key")) == (0, [], [])
    async with members(registry, a="hello world"):
        assert len(registry) == 2


async def test_match_asks_a_function_about_the_values_under_one_key() -> None:
    registry = Registry("duplicate")
    async with members(registry, a="") as system:
        a = system.ref("a")
        for value in ((1, "atom", 1), (2, "atom", 2)):
            registry.register(a, "hello", value)
        registry.register(a, "world", {"a": "a", "b": "b"})

        def matched(key: str, accepts: Callable[[Any], bool]) -> list[Any]:
            return [entry.value for entry in registry.match(key, accepts)]

        assert matched("hello", lambda value: value[0] == 1) == [(1, "atom", 1)]
        assert matched("hello", lambda value: value[1] == "atom") == [
            (1, "atom", 1),
            (2, "atom", 2),
        ]
        assert matched("hello", lambda value: value[0] > 3) == []
        assert matched("world", lambda value: value.get("b") == "b") == [{"a": "a", "b": "b"}]
        assert matched("nothing", lambda _: True) == []


async def test_select_lists_entries_under_all_keys_with_key_owner_and_value() -> None:
    registry = Registry()
    async with members(registry, a="hello", b="world") as system:
        a, b = system.ref("a"), system.ref("b")
        hello, world = RegistryEntry("hello", a, 1), RegistryEntry("world", b, 1)
        assert registry.select() == [hello, world]
        assert registry.select(lambda entry: entry.key == "hello") == [hello]
        assert registry.select(lambda entry: entry.ref is b and entry.value > 0) == [world]
        assert registry.select(lambda entry: entry.value > 1) == []


async def test_unregister_match_takes_only_the_owners_entries_that_are_accepted() -> None:
    registry = Registry("duplicate")
    async with members(registry, a="hello", b="hello") as system:
        a, b = system.ref("a"), system.ref("b")
        registry.register(a, "hello", 2)
        events: list[RegistryEvent] = []
        registry.listen(events.append)
        assert registry.unregister_match(a, "hello", lambda value: value > 2) == 0
        assert registry.unregister_match(a, "nothing", lambda _: True) == 0
        with pytest.raises(ZeroDivisionError):
            registry.unregister_match(a, "hello", lambda value: 1 // (2 - value) > 0)
        assert len(registry.lookup("hello")) == 3
        assert registry.unregister_match(a, "hello", lambda value: value < 2) == 1
        assert registry.lookup("hello") == [Registration(b, 1), Registration(a, 2)]
        assert registry.unregister_match(a, "hello", lambda _: True) == 1
        assert registry.lookup("hello") == [Registration(b, 1)]
        assert registry.keys(a) == []
        assert [(event.ref, event.value) for event in events] == [(a, 1), (a, 2)]


async def test_unregister_takes_all_the_owners_entries_under_a_key_and_nobody_elses() -> None:
    registry = Registry("duplicate")
    async with members(registry, a="hello world", b="hello") as system:
        a, b = system.ref("a"), system.ref("b")
        registry.register(a, "hello", 2)
        assert registry.unregister(a, "hello")
        assert registry.lookup("hello") == [Registration(b, 1)]
        assert registry.keys(a) == ["world"]
        assert registry.unregister(a, "world")
        assert registry.keys(a) == []
        registry.register(a, "hello", 3)
        system.kill("a")
        await settle()
        assert registry.values(a, "hello") == [2], "watched again, and made anew by incarnation 2"


async def test_an_actor_without_a_key_is_not_held_on_to() -> None:
    registry = Registry()
    async with open_system(supervisor("root", [ChildSpec("a", Actor)])) as system:
        a = system.ref("a")
        registry.register(a, "hello")
        registry.register(a, "world")
        registry.unregister(a, "hello")
        held = weakref.ref(registry)
        del registry
        gc.collect()
        kept = held()
        assert kept is not None, "it must hear of the end of an actor that has a key"
        kept.unregister(a, "world")
        del kept
        gc.collect()
        assert held() is None


async def test_any_hashable_thing_is_a_key_and_none_has_a_meaning_of_its_own() -> None:
    registry = Registry("duplicate")
    tricky: list[Hashable] = ["_", "$1", None, (), ("_", 1), frozenset({1}), ..., object()]
    async with members(registry, a="") as system:
        a = system.ref("a")
        for number, key in enumerate(tricky):
            registry.register(a, key, number)
        assert [registry.lookup(key)[0].value for key in tricky] == list(range(len(tricky)))
        assert [len(registry.match(key, lambda _: True)) for key in tricky] == [1] * len(tricky)
        assert registry.unregister(a, None)
        assert registry.unregister_match(a, "_", lambda value: value == 0) == 1
        assert registry.keys(a) == [key for key in tricky if key not in (None, "_")]


async def test_keys_compare_as_those_of_a_dictionary_do() -> None:
    registry = Registry()
    async with members(registry, a="") as system:
        registry.register(system.ref("a"), 1)
        with pytest.raises(AlreadyRegistered):
            registry.register(system.ref("a"), 1.0)
        registry.register(system.ref("a"), "1")
        assert registry.keys(system.ref("a")) == [1, "1"]


def test_facts_about_the_registry_itself_are_kept_beside_it() -> None:
    registry = Registry(meta={"owner": "shop"})
    registry.meta["since"] = 3
    assert registry.meta == {"owner": "shop", "since": 3}
    assert Registry().meta == {}


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
    asked: list[object] = []

    def change(value: Any) -> Any:
        asked.append(value)
        return value + 1

    async with members(registry, a="key", b="") as system:
        a, b = system.ref("a"), system.ref("b")
        assert registry.update(a, "key", change) == 2
        assert registry.lookup("key") == [Registration(a, 2)]
        for owner, key in ((b, "key"), (a, "nothing")):
            with pytest.raises(KeyError):
                registry.update(owner, key, change)
        assert asked == [1], "called with the old value, and only for the owner"


async def test_an_update_that_raises_changes_nothing_and_one_that_unregisters_stays_gone() -> None:
    registry = Registry()
    async with members(registry, a="key") as system:
        a = system.ref("a")
        with pytest.raises(ZeroDivisionError):
            registry.update(a, "key", lambda value: value // 0)
        assert registry.values(a, "key") == [1]
        with pytest.raises(KeyError):
            registry.update(a, "key", lambda _: registry.unregister(a, "key"))
        assert (len(registry), registry.lookup("key"), registry.keys(a)) == (0, [], [])


async def test_update_is_refused_where_an_owner_may_have_many_values() -> None:
    registry = Registry("duplicate")
    async with members(registry, a="key") as system:
        with pytest.raises(TypeError, match="update is for unique registries"):
            registry.update(system.ref("a"), "key", lambda value: value)


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


async def test_a_listener_ended_twice_takes_nobody_else_with_it() -> None:
    registry = Registry()
    events: list[RegistryEvent] = []
    registry.listen(events.append)
    end = registry.listen(events.append)
    end()
    end()
    async with members(registry, a="key"):
        assert len(events) == 1


def test_a_registry_is_unique_or_duplicate() -> None:
    kind: Any = "some"
    with pytest.raises(ValueError, match="keys must be unique or duplicate, not 'some'"):
        Registry(kind)
