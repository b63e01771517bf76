"""An answer on its way to a client that may leave: when it has gone, and when it has all of it."""

import socket
from collections.abc import AsyncIterator

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from providers.http import Limits, Poller, ResponseHead, ServerConnection
from providers.wire import OPENAI
from runtime.doors.answer import DoorAnswer
from runtime.routing.answer import AskerGone

HEAD = ResponseHead(200, [(b"content-type", b"text/event-stream")], keep_alive=True)


class Asked:
    """An answer that has begun, and the other end of its connection."""

    def __init__(self, poller: Poller) -> None:
        ours, self.client = socket.socketpair()
        self.connection = ServerConnection(poller, ours, Limits())
        self.answer = DoorAnswer(self.connection, OPENAI, "req_1", chunked=True, keep_alive=True)

    async def request(self) -> None:
        self.client.sendall(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await self.connection.read_request()

    async def leave(self) -> None:
        self.client.close()
        with trio.fail_after(5):
            while not self.connection.closed:
                await wait_all_tasks_blocked()
                await trio.lowlevel.checkpoint()


@pytest.fixture
async def asked() -> AsyncIterator[Asked]:
    poller = Poller()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(poller.run)
        nursery.start_soon(poller.wheel.run)
        made = Asked(poller)
        await made.request()
        yield made
        made.connection.abort()
        made.client.close()
        nursery.cancel_scope.cancel()
    poller.close()


async def test_one_who_leaves_with_the_whole_of_a_stream_has_had_it(asked: Asked) -> None:
    asked.answer.begin(HEAD, b"data: 1\n\n", "p", 1)
    asked.answer.finish(b"data: [DONE]\n\n")
    await asked.leave()
    await asked.answer.drain()


async def test_one_who_leaves_with_the_whole_of_a_plain_answer_has_had_it(asked: Asked) -> None:
    asked.answer.complete(HEAD, b"{}", "p", 1)
    await asked.leave()
    await asked.answer.drain()


async def test_one_who_leaves_in_the_middle_has_gone(asked: Asked) -> None:
    asked.answer.begin(HEAD, b"data: 1\n\n", "p", 1)
    await asked.leave()
    with pytest.raises(AskerGone):
        await asked.answer.drain()


async def test_one_who_left_before_the_end_was_sent_has_gone(asked: Asked) -> None:
    asked.answer.begin(HEAD, b"data: 1\n\n", "p", 1)
    await asked.leave()
    asked.answer.finish(b"data: [DONE]\n\n")
    with pytest.raises(AskerGone):
        await asked.answer.drain()


async def test_one_who_leaves_while_some_is_still_to_be_sent_has_gone(asked: Asked) -> None:
    asked.answer.complete(HEAD, b"x" * 8_000_000, "p", 1)
    await asked.leave()
    with pytest.raises(AskerGone):
        await asked.answer.drain()


async def test_a_stream_whose_first_events_say_nothing_begins_with_its_head(asked: Asked) -> None:
    asked.answer.begin(HEAD, b"", "p", 1)
    asked.answer.events(b"data: 1\n\n")
    asked.answer.events(b"data: 2\n\n")
    asked.answer.finish(b"data: [DONE]\n\n")
    received = asked.client.recv(65536)
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert received.count(b"HTTP/1.1") == 1
    assert received.endswith(
        b"\r\n\r\n9\r\ndata: 1\n\n\r\n9\r\ndata: 2\n\n\r\ne\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"
    )
