"""A provider's task: admission, its queue, its connections, and its end."""

import contextlib
import socket
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from providers.actor import Acquire, Release, Trouble
from providers.failures import Failure
from providers.fair_queue import ClientKey
from providers.http import ClientConnection, ConnectionLost
from supervision import ActorDown, PendingCall
from tests.providers import scripted
from tests.runtime.routing.rig import Rig, one, rig


async def acquire(running: Rig, deadline: float = 1e9, *, fresh: bool = False) -> ClientConnection:
    connection = await asked(running, deadline, fresh=fresh).wait()
    assert isinstance(connection, ClientConnection)
    return connection


def asked(running: Rig, deadline: float = 1e9, *, fresh: bool = False) -> PendingCall:
    actor = running.system.ref("provider:a")
    return actor.send_request(Acquire(trio.current_time() + deadline, fresh=fresh))


def release(running: Rig, connection: ClientConnection) -> None:
    running.system.ref("provider:a").cast(Release(connection))


async def test_a_connection_that_came_back_is_lent_again_but_not_to_who_wants_a_new_one(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path) as running:
        first = await acquire(running)
        release(running, first)
        assert await acquire(running) is first
        release(running, first)
        assert await acquire(running, fresh=True) is not first


async def test_no_more_than_the_limit_are_lent_and_the_others_wait_their_turn(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, max_connections=2) as running:
        lent = [await acquire(running), await acquire(running)]
        order: list[str] = []

        async def wait(name: str) -> None:
            release(running, await acquire(running))
            order.append(name)

        async with trio.open_nursery() as nursery:
            for name in "xyz":
                nursery.start_soon(wait, name)
                await wait_all_tasks_blocked()
            assert running.facts()["queued"] == 3
            release(running, lent[0])
        assert order == ["x", "y", "z"]
        assert running.facts()["opened"] == 2


async def test_who_wants_a_new_connection_at_the_limit_never_gets_the_one_that_comes_back(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, max_connections=1) as running:
        lent = await acquire(running)
        wants_new, takes_any = asked(running, fresh=True), asked(running)
        await wait_all_tasks_blocked()
        release(running, lent)
        assert await takes_any.wait() is lent
        release(running, lent)
        new = await wants_new.wait()
        assert new is not lent
        assert lent.closed
        await trio.sleep(1)
        assert running.servers[0].open == 1
        assert running.facts()["opened"] == 2


async def test_a_closed_connection_that_comes_back_makes_room_for_a_new_one(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, max_connections=1) as running:
        lent = await acquire(running)
        waiting = asked(running)
        lent.close()
        release(running, lent)
        assert await waiting.wait() is not lent


async def test_a_waiter_is_told_when_its_time_is_up_also_after_a_long_calm(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, max_connections=1, idle_timeout=3600.0) as running:
        lent = await acquire(running)
        release(running, lent)  # a look at idle connections is now due in a quarter of an hour
        await trio.sleep(1)
        assert await acquire(running) is lent
        before = trio.current_time()
        with pytest.raises(Failure) as caught:
            await asked(running, 1.0).wait()
        assert caught.value.kind == "queue_full"
        assert trio.current_time() - before < 1.5


async def test_those_who_left_do_not_fill_the_queue_nor_have_connections_opened_for_them(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, max_connections=1, queue_limit=2) as running:
        lent = await acquire(running)
        gone = [asked(running), asked(running)]
        await wait_all_tasks_blocked()
        for each in gone:
            each.withdraw()
        staying = asked(running)
        await wait_all_tasks_blocked()
        assert running.facts()["queued"] == 1
        release(running, lent)
        assert await staying.wait() is lent
        assert running.facts()["opened"] == 1


async def test_a_full_queue_refuses_at_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with one(tmp_path, max_connections=1, queue_limit=1) as running:
        await acquire(running)
        asked(running)
        with pytest.raises(Failure) as caught:
            await asked(running).wait()
        assert caught.value.kind == "queue_full"
        assert trio.current_time() < 1


async def test_unused_connections_are_closed_after_their_time(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, idle_timeout=8.0) as running:
        release(running, await acquire(running))
        await trio.sleep(12)
        assert running.facts()["connections"] == 0
        assert running.servers[0].open == 0


async def test_a_connection_whose_giving_back_was_lost_does_not_take_a_place_for_ever(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, max_connections=1) as running:
        (await acquire(running)).close()
        connection = await acquire(running, 2.0)
        assert not connection.closed


async def test_the_end_of_the_task_closes_what_it_lent_and_fails_who_waits(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, max_connections=2) as running:
        lent, idle = await acquire(running), await acquire(running)
        release(running, idle)
        third = await acquire(running)
        waiting = asked(running)
        await wait_all_tasks_blocked()
        running.system.kill("provider:a")
        with pytest.raises(ActorDown):
            await waiting.wait()
        with pytest.raises(ConnectionLost) as caught:
            await lent.read_head(trio.current_time() + 1)
        assert isinstance(caught.value.reason, ActorDown)
        assert third.closed
        await wait_all_tasks_blocked()
        await trio.sleep(1)
        assert running.servers[0].open == 0
        release(running, lent)  # from the life before: it changes nothing
        assert not (await acquire(running)).closed
        assert running.facts()["in_flight"] == 1


async def test_a_killed_task_in_the_middle_of_connecting_leaves_nothing_open(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path) as running:
        waiting = asked(running)
        running.system.kill("provider:a")
        with contextlib.suppress(ActorDown):
            await waiting.wait()
        await trio.sleep(1)
        assert running.servers[0].open == 0


@pytest.mark.parametrize(
    "url",
    [
        "http+unix://%2Fnowhere%2Fat-all/v1",
        "http+unix://%2F" + "x" * 200 + "/v1",
        "http://" + "x" * 70 + ".invalid/v1",
    ],
)
async def test_an_address_that_cannot_be_reached_fails_the_asker_and_not_the_task(url: str) -> None:
    async with rig({"a": scripted.provider("a", base_url=url)}) as running:
        with pytest.raises(Failure) as caught:
            await acquire(running)
        assert caught.value.kind == "connect"
        actor = running.system.ref("provider:a")
        assert (actor.alive, actor.incarnation) == (True, 1)
        assert running.facts()["last_error"] == caught.value.message
        assert running.facts()["connecting"] == 0


async def test_the_last_trouble_is_shown(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with one(tmp_path) as running:
        running.system.ref("provider:a").cast(Trouble("it hurts"))
        await wait_all_tasks_blocked()
        assert running.facts()["last_error"] == "it hurts"


def asked_by(running: Rig, source: str, deadline: float = 1e9, limit: float = 0.0) -> PendingCall:
    now = trio.current_time()
    acquire = Acquire(now + deadline, client=ClientKey(source), limit=now + limit)
    return running.system.ref("provider:a").send_request(acquire)


async def serve(running: Rig, connection: ClientConnection, many: int, every: float) -> None:
    """Give a connection back again and again, as exchanges that take some time do."""
    for _ in range(many):
        await trio.sleep(every)
        release(running, connection)
        await wait_all_tasks_blocked()


async def test_clients_take_turns_and_each_is_served_in_the_order_it_asked(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, max_connections=1) as running:
        lent = await acquire(running)
        order: list[str] = []

        async def wait(who: str, call: PendingCall) -> None:
            release(running, await call.wait())
            order.append(who)

        async with trio.open_nursery() as nursery:
            for who in ("a1", "a2", "a3", "b1", "b2", "c1"):
                nursery.start_soon(wait, who, asked_by(running, who[0]))
                await wait_all_tasks_blocked()
            assert running.facts()["clients_waiting"] == 3
            release(running, lent)
        assert order == ["a1", "b1", "c1", "a2", "b2", "a3"]
        assert running.facts()["clients_waiting"] == 0


async def test_a_full_queue_gives_the_place_of_the_greediest_to_who_has_less(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, max_connections=1, queue_limit=3) as running:
        lent = await acquire(running)
        greedy = [asked_by(running, "greedy") for _ in range(3)]
        modest = asked_by(running, "modest")
        with pytest.raises(Failure) as caught:
            await greedy[2].wait()
        assert (caught.value.kind, caught.value.retry_after) == ("queue_full", 1.0)
        assert trio.current_time() < 1
        facts = running.facts()
        assert (facts["queued"], facts["shed"], facts["clients_waiting"]) == (3, 1, 2)
        for call in (greedy[0], modest, greedy[1]):
            release(running, lent)
            assert await call.wait() is lent


async def test_who_could_not_be_served_in_time_is_told_at_once(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, max_connections=1) as running:
        lent = await acquire(running)
        waiting = [asked_by(running, "many") for _ in range(40)]
        await serve(running, lent, 20, every=0.5)  # two a second, twenty are left
        before = trio.current_time()
        late = asked_by(running, "many", 5.0)
        with pytest.raises(Failure) as caught:
            await late.wait()
        assert trio.current_time() - before < 0.1
        assert caught.value.kind == "queue_full"
        assert "too late" in caught.value.message
        assert caught.value.retry_after == pytest.approx(10.5, abs=1.0)
        other = asked_by(running, "other", 5.0)
        await wait_all_tasks_blocked()
        assert not other.settled, "its client's turn comes next"
        for call in waiting:
            call.withdraw()
        assert running.facts()["queued"] == 1


async def test_who_waits_is_told_as_soon_as_it_is_clear_that_it_waits_in_vain(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, max_connections=1) as running:
        lent = await acquire(running)
        hurried = [asked_by(running, "many", 30.0) for _ in range(40)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, running, lent, 12, 1.0)
            with pytest.raises(Failure) as caught:
                await hurried[-1].wait()
        assert "too late" in caught.value.message
        assert trio.current_time() < 20


async def test_who_waits_in_vain_for_an_upstream_that_cannot_be_reached_is_told_early(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    with socket.socket(socket.AF_UNIX) as full, socket.socket(socket.AF_UNIX) as first:
        full.bind(str(tmp_path / "full"))
        full.listen(0)
        first.connect(str(tmp_path / "full"))  # nobody else gets in, and nobody is refused
        url = "http+unix://" + str(tmp_path / "full").replace("/", "%2F") + "/v1"
        provider = scripted.provider("a", base_url=url, max_connections=2, connect_timeout=1.0)
        async with rig({"a": provider}) as running:
            calls = [asked(running, 12.0) for _ in range(40)]
            with pytest.raises(Failure) as caught:
                await calls[0].wait()
            assert caught.value.kind == "connect"
            with pytest.raises(Failure) as caught:
                await calls[-1].wait()
            assert caught.value.kind == "queue_full"
            assert "too late" in caught.value.message
            assert trio.current_time() < 6  # ten attempts in five seconds have shown the rate
            with pytest.raises(Failure) as caught:
                await calls[10].wait()
            assert caught.value.kind == "connect", "its turn comes in time"


async def test_time_in_the_queue_is_not_taken_from_the_time_for_the_answer(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, max_connections=1) as running:
        lent = await acquire(running)
        free, bound = (
            asked_by(running, "a", 10.0, limit=100.0),
            asked_by(running, "a", 10.0, limit=12.0),
        )
        began = trio.current_time()
        for call, deadline, waited in ((free, 14.0, 4.0), (bound, 12.0, 8.0)):
            await trio.sleep(4)
            release(running, lent)
            assert await call.wait() is lent
            assert call.message.deadline - began == pytest.approx(deadline, abs=0.1)
            assert call.message.waited == pytest.approx(waited, abs=0.1)


async def test_who_wants_a_new_connection_is_passed_over_once_at_most(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, max_connections=1) as running:
        lent = await acquire(running)
        wants_new, first, second = asked(running, fresh=True), asked(running), asked(running)
        await wait_all_tasks_blocked()
        release(running, lent)
        assert await first.wait() is lent
        release(running, lent)
        assert await wants_new.wait() is not lent
        assert not second.settled
