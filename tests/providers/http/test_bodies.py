"""Who is asked before more of a body is held than comes in one read, and what is given back."""

import contextlib

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from providers.http import BadRequest, ServerConnection, chunk, response_head
from tests.providers.http.conftest import MakeServer

ANSWER = response_head(200, [(b"content-length", b"0")])
LARGE = 600_000


class Purse:
    """An allowance with a bound."""

    def __init__(self, most: int = 1_000_000) -> None:
        self.most = most
        self.held = 0
        self.highest = 0

    def take(self, size: int) -> None:
        assert size > 0
        if self.held + size > self.most:
            raise BadRequest(503, "no room", retry_after=2.0)
        self.held += size
        self.highest = max(self.highest, self.held)

    def give(self, size: int) -> None:
        self.held -= size
        assert self.held >= 0


def head(*lines: bytes) -> bytes:
    return b"\r\n".join([b"POST /v1/messages HTTP/1.1", b"host: x", *lines]) + b"\r\n\r\n"


def sized(size: int) -> bytes:
    return head(b"content-length: %d" % size)


def bounded(made: MakeServer, purse: Purse) -> tuple[ServerConnection, trio.SocketStream]:
    connection, stream = made()
    connection.bound_bodies(purse)
    return connection, stream


async def test_a_length_is_taken_when_it_is_announced_and_given_back_after_the_answer(
    server: MakeServer,
) -> None:
    purse = Purse()
    connection, stream = bounded(server, purse)
    async with trio.open_nursery() as nursery:

        async def send() -> None:
            await stream.send_all(sized(LARGE) + b"x")
            await wait_all_tasks_blocked()
            assert purse.held == LARGE, "before it has come"
            await stream.send_all(b"x" * (LARGE - 1))
            await stream.send_eof()

        nursery.start_soon(send)
        request = await connection.read_request()
        assert request is not None
        assert len(request.body) == LARGE
        assert purse.held == LARGE, "as long as it is being answered"
        connection.write(ANSWER)
        assert await connection.read_request() is None
        assert purse.held == 0


async def test_chunks_are_taken_as_they_come(server: MakeServer) -> None:
    purse = Purse()
    connection, stream = bounded(server, purse)
    async with trio.open_nursery() as nursery:

        async def send() -> None:
            await stream.send_all(head(b"transfer-encoding: chunked"))
            for _ in range(30):
                await stream.send_all(chunk(b"x" * 20_000))
                await wait_all_tasks_blocked()
            assert purse.held == LARGE
            await stream.send_all(b"0\r\n\r\n")

        nursery.start_soon(send)
        request = await connection.read_request()
    assert request is not None
    assert len(request.body) == LARGE
    connection.close()
    assert purse.held == 0


async def test_what_comes_in_one_read_is_not_counted(server: MakeServer) -> None:
    purse = Purse(most=0)
    connection, stream = bounded(server, purse)
    await stream.send_all((sized(5000) + b"x" * 5000) * 2)
    for _ in range(2):
        request = await connection.read_request()
        assert request is not None
        assert len(request.body) == 5000
    connection.close()


@pytest.mark.parametrize("expecting", [False, True])
async def test_a_body_for_which_there_is_no_room_is_refused_before_it_comes(
    server: MakeServer, expecting: bool
) -> None:
    purse = Purse(most=LARGE - 1)
    connection, stream = bounded(server, purse)
    more = (b"expect: 100-continue",) if expecting else ()
    await stream.send_all(head(b"content-length: %d" % LARGE, *more))
    with pytest.raises(BadRequest) as caught:
        await connection.read_request()
    assert (caught.value.status, caught.value.retry_after) == (503, 2.0)
    assert connection.refused_target == "/v1/messages"
    connection.close()
    assert purse.held == purse.highest == 0


async def test_chunks_beyond_what_there_is_room_for_are_refused_and_the_rest_given_back(
    server: MakeServer,
) -> None:
    purse = Purse(most=100_000)
    connection, stream = bounded(server, purse)
    async with trio.open_nursery() as nursery:

        async def send() -> None:
            await stream.send_all(head(b"transfer-encoding: chunked"))
            for _ in range(6):
                await wait_all_tasks_blocked()
                await stream.send_all(chunk(b"x" * 20_000))

        nursery.start_soon(send)
        with pytest.raises(BadRequest) as caught:
            await connection.read_request()
    assert caught.value.status == 503
    assert 0 < purse.highest <= 100_000
    connection.close()
    assert purse.held == 0


async def test_a_sender_that_leaves_in_the_middle_gives_everything_back(server: MakeServer) -> None:
    purse = Purse()
    connection, stream = bounded(server, purse)
    await stream.send_all(sized(LARGE) + b"x")
    async with trio.open_nursery() as nursery:

        async def leave() -> None:
            await wait_all_tasks_blocked()
            assert purse.held == LARGE
            await stream.aclose()

        nursery.start_soon(leave)
        with contextlib.suppress(BadRequest):  # or nothing, when its end is seen with the rest
            assert await connection.read_request() is None
    connection.close()
    assert purse.held == 0


async def test_bodies_sent_ahead_are_given_back_one_by_one(server: MakeServer) -> None:
    purse = Purse()
    connection, stream = bounded(server, purse)
    body = b"x" * 100_000
    first = sized(len(body)) + body
    await stream.send_all(first[:90_000])
    async with trio.open_nursery() as nursery:

        async def send() -> None:
            await wait_all_tasks_blocked()
            await stream.send_all(first[90_000:] + sized(len(body)) + body[:90_000])
            await wait_all_tasks_blocked()
            await stream.send_all(body[90_000:])
            await stream.send_eof()

        nursery.start_soon(send)
        for _ in range(2):
            request = await connection.read_request()
            assert request is not None
            assert request.body == body
            assert len(body) <= purse.held <= 2 * len(body)
            connection.write(ANSWER)
        assert await connection.read_request() is None
    assert purse.held == 0
