"""Published values and tables: one living owner writes, all read, crashes change nothing."""

from __future__ import annotations

from typing import Any

import pytest
import trio.testing

from supervision import (
    Actor,
    AlreadyOwned,
    ChildSpec,
    PendingCall,
    Published,
    PublishedWriter,
    Reports,
    StartFailed,
    Table,
    TableWriter,
    open_system,
    supervisor,
)

settle = trio.testing.wait_all_tasks_blocked


class Publisher(Actor):
    def __init__(self, value: Published[int], table: Table[str, int]) -> None:
        self.value = value
        self.table = table

    async def init(self) -> None:
        self.one = self.value.writer(self.ref)
        self.many = self.table.writer(self.ref)

    async def handle_cast(self, message: Any) -> None:
        if message == "crash":
            raise ValueError(message)
        self.one.set(message)
        self.many.put("key", message)

    async def handle_call(self, message: Any, caller: PendingCall) -> object:
        return (self.one, self.many)


def quiet() -> Reports:
    return Reports(log=False)


async def test_values_outlive_the_crash_and_the_next_incarnation_writes_on() -> None:
    value, table = Published(0), Table[str, int]()
    root = supervisor("root", [ChildSpec("p", lambda: Publisher(value, table))])
    async with open_system(root, reports=quiet()) as system:
        owner = system.ref("p")
        owner.cast(1)
        await settle()
        assert (value.value, table["key"], table.get("key"), table.get("none")) == (1, 1, 1, None)
        owner.cast("crash")
        await settle()
        assert (value.value, dict(table)) == (1, {"key": 1})
        owner.cast(2)
        await settle()
        assert (value.value, dict(table)) == (2, {"key": 2})
    assert (value.value, "key" in table, len(table)) == (2, True, 1)


async def test_the_writer_of_a_dead_incarnation_writes_no_more() -> None:
    value, table = Published(0), Table[str, int]()
    root = supervisor("root", [ChildSpec("p", lambda: Publisher(value, table))])
    async with open_system(root, reports=quiet()) as system:
        one: PublishedWriter[int]
        many: TableWriter[str, int]
        one, many = await system.ref("p").call("writers")
        system.kill("p")
        await settle()
        with pytest.raises(AlreadyOwned):
            one.set(9)
        with pytest.raises(AlreadyOwned):
            many.put("key", 9)
        with pytest.raises(AlreadyOwned):
            many.delete("key")


async def test_a_second_living_owner_of_a_value_is_refused() -> None:
    value = Published(0, name="the value")

    def publisher() -> Publisher:
        return Publisher(value, Table())

    specs = [ChildSpec("p", publisher), ChildSpec("q", publisher)]
    with pytest.raises(StartFailed, match="the value is written by 'p', which is alive"):
        async with open_system(supervisor("root", specs), reports=quiet()):
            pass


async def test_an_heir_may_take_over_when_the_owner_is_gone() -> None:
    value, table = Published(0), Table[str, int]()
    spec = ChildSpec("p", lambda: Publisher(value, table), restart="temporary")
    async with open_system(supervisor("root", [spec]), reports=quiet()) as system:
        system.ref("p").cast(1)
        await settle()
        system.kill("p")
        await settle()
        await system.supervisor("root").start_child(
            ChildSpec("heir", lambda: Publisher(value, table))
        )
        system.ref("heir").cast(2)
        await settle()
        assert (value.value, table["key"]) == (2, 2)


async def test_actors_share_a_table_each_with_rows_of_its_own() -> None:
    table = Table[str, int](name="the table")

    class Keeper(Actor):
        async def handle_call(self, message: Any, caller: PendingCall) -> object:
            writer = table.writer(self.ref)
            try:
                match message:
                    case ("put", key):
                        writer.put(key, len(self.ref.name))
                    case ("delete", key):
                        writer.delete(key)
                    case "clear":
                        writer.clear()
            except AlreadyOwned as error:
                return str(error)
            return sorted(table)

    specs = [ChildSpec("a", Keeper), ChildSpec("bb", Keeper)]
    async with open_system(supervisor("root", specs), reports=quiet()) as system:
        a, b = system.ref("a"), system.ref("bb")
        assert await a.call(("put", "x")) == ["x"]
        assert await b.call(("put", "y")) == ["x", "y"]
        refusal = "row 'x' of the table is written by 'a', which is alive"
        assert await b.call(("put", "x")) == refusal
        assert await b.call(("delete", "x")) == refusal
        assert await b.call("clear") == ["x"]
        assert await b.call(("delete", "never there")) == ["x"]
