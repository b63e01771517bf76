"""Bodies handed over in the poller's turn, and requests begun on somebody's behalf."""

import math
import os
import select
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from providers.http import (
    ClientConnection,
    ConnectionLost,
    DeadlineExceeded,
    Truncated,
    request_head,
)

MakeClient = Callable[..., tuple[ClientConnection, trio.SocketStream]]

HEAD = request_head("GET", "/", [(b"host", b"h")])
CHUNKED_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def piece(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


async def started(client: MakeClient) -> tuple[ClientConnection, trio.SocketStream]:
    connection, upstream = client()
    connection.send(HEAD)
    await upstream.send_all(CHUNKED_HEAD)
    await connection.read_head(trio.current_time() + 5)
    return connection, upstream


async def test_pieces_are_handed_over_without_waking_the_relaying_task(client: MakeClient) -> None:
    connection, upstream = await started(client)
    got: list[bytes] = []
    turns: list[int] = []

    def take(data: bytes) -> bool:
        got.append(data)
        return True

    async def relaying() -> None:
        before = trio.lowlevel.current_task()
        assert await connection.relay(take, 30, math.inf) is False
        turns.append(before is trio.lowlevel.current_task())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(relaying)
        for number in range(4):
            await upstream.send_all(piece(b"%d" % number))
            while len(got) <= number:
                await trio.lowlevel.checkpoint()
            assert not turns
        await upstream.send_all(b"0\r\n\r\n")
    assert got == [b"0", b"1", b"2", b"3"]
    assert connection.reusable
    connection.close()


async def test_a_taker_that_has_enough_gets_the_rest_the_next_time(client: MakeClient) -> None:
    connection, upstream = await started(client)
    got: list[bytes] = []

    def one(data: bytes) -> bool:
        got.append(data)
        return False

    await upstream.send_all(piece(b"a"))
    assert await connection.relay(one, 30, math.inf) is True
    await upstream.send_all(piece(b"b") + b"0\r\n\r\n")
    assert await connection.relay(one, 30, math.inf) is True
    assert await connection.relay(one, 30, math.inf) is False
    assert got == [b"a", b"b"]
    connection.close()


async def test_what_the_taker_raises_comes_out_of_the_relay_and_harms_nobody_else(
    client: MakeClient,
) -> None:
    connection, upstream = await started(client)
    other, other_upstream = await started(client)

    def take(data: bytes) -> bool:
        raise ValueError(data.decode())

    await upstream.send_all(piece(b"bad"))
    with pytest.raises(ValueError, match="bad"):
        await connection.relay(take, 30, math.inf)
    assert not connection.closed
    await other_upstream.send_all(piece(b"fine"))
    assert await other.read_piece(trio.current_time() + 5) == b"fine"
    connection.close()
    other.close()


async def test_a_cut_body_and_a_closed_connection_end_the_relay(client: MakeClient) -> None:
    connection, upstream = await started(client)
    await upstream.send_all(b"5\r\nab")
    await upstream.aclose()
    with pytest.raises(Truncated):
        await connection.relay(lambda _: True, 30, math.inf)
    connection, upstream = await started(client)
    async with trio.open_nursery() as nursery:

        async def relaying() -> None:
            with pytest.raises(ConnectionLost) as caught:
                await connection.relay(lambda _: True, 30, math.inf)
            assert str(caught.value.reason) == "enough"

        nursery.start_soon(relaying)
        await wait_all_tasks_blocked()
        connection.close(RuntimeError("enough"))


async def test_silence_is_measured_from_the_last_piece_and_the_end_bounds_it(
    client: MakeClient, autojump_clock: MockClock
) -> None:
    connection, upstream = await started(client)
    begun = trio.current_time()

    async def speak() -> None:
        for _ in range(3):
            await trio.sleep(4)
            await upstream.send_all(piece(b"x"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(speak)
        with pytest.raises(DeadlineExceeded):
            await connection.relay(lambda _: True, 5, math.inf)
        assert 17 <= trio.current_time() - begun < 17.5
        begun = trio.current_time()
        with pytest.raises(DeadlineExceeded):
            await connection.relay(lambda _: True, 50, begun + 2)
        assert 2 <= trio.current_time() - begun < 2.5
    connection.close()


async def test_a_request_begun_for_somebody_tells_of_its_answer_once(client: MakeClient) -> None:
    connection, upstream = client()
    news: list[str] = []
    connection.begin(HEAD, lambda: news.append("news"), trio.current_time() + 5)
    assert await upstream.receive_some() == HEAD
    assert not news
    await upstream.send_all(CHUNKED_HEAD + piece(b"a") + b"0\r\n\r\n")
    while not news:
        await trio.lowlevel.checkpoint()
    assert (await connection.read_head(trio.current_time() + 5)).status == 200
    assert await connection.read_body(10, trio.current_time() + 5) == b"a"
    assert news == ["news"]
    connection.close()


async def test_a_request_begun_for_somebody_tells_of_its_loss_and_of_its_deadline(
    client: MakeClient, autojump_clock: MockClock
) -> None:
    connection, _ = client()
    news: list[str] = []
    connection.begin(HEAD, lambda: news.append("lost"), trio.current_time() + 5)
    connection.close()
    assert news == ["lost"]
    with pytest.raises(ConnectionLost):
        await connection.read_head(trio.current_time() + 5)
    silent, _upstream = client()
    silent.begin(HEAD, lambda: news.append("late"), trio.current_time() + 5)
    await trio.sleep(5.5)
    assert news == ["lost", "late"]
    silent.close()


async def test_that_a_large_request_is_out_is_no_news_of_its_answer(client: MakeClient) -> None:
    connection, upstream = client()
    news: list[str] = []
    large = b"x" * 3_000_000
    connection.begin(HEAD + large, lambda: news.append("news"), trio.current_time() + 5)
    received = 0
    while received < len(HEAD) + len(large):
        received += len(await upstream.receive_some())
    await wait_all_tasks_blocked()
    assert connection.unsent == 0
    assert not news
    await upstream.send_all(CHUNKED_HEAD)
    while not news:
        await trio.lowlevel.checkpoint()
    connection.close()


async def test_the_end_that_comes_in_the_moment_of_a_deadline_is_no_silence(
    client: MakeClient,
) -> None:
    connection, upstream = await started(client)
    got: list[bytes] = []

    def take(data: bytes) -> bool:
        got.append(data)
        return False

    going_on: list[bool] = []

    async def relaying() -> None:
        going_on.append(await connection.relay(take, 30, math.inf))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(relaying)
        await wait_all_tasks_blocked()
        connection.on_deadline()  # the wheel's turn comes just before the poller's
        os.write(upstream.socket.fileno(), piece(b"the end") + b"0\r\n\r\n")
        connection.on_events(select.EPOLLIN)
    assert got == [b"the end"]
    assert going_on == [True]
    connection.close()
