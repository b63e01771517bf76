"""Connections that end badly are freed at once: none is kept by the error it ended with."""

import contextlib
from collections.abc import Callable

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from providers.http import (
    BadRequest,
    ClientConnection,
    ConnectionLost,
    DeadlineExceeded,
    ProtocolError,
    ServerConnection,
)
from tests.support.garbage import collected

MakeServer = Callable[..., tuple[ServerConnection, trio.SocketStream]]
MakeClient = Callable[..., tuple[ClientConnection, trio.SocketStream]]

GET = b"GET /a HTTP/1.1\r\nHost: here\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n"


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"BREW / HTTP/1.1\r\n\r\n",
        b"GET / HTTP/1.1\r\nBad Header: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 99999999999\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: here\r\nX: " + 100_000 * b"x" + b"\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n\r\nhalf",
    ],
)
async def test_a_bad_request_leaves_no_cycle_behind(server: MakeServer, data: bytes) -> None:
    async def meet() -> None:
        connection, client = server()
        await client.send_all(data)
        await client.send_eof()
        with pytest.raises(BadRequest):
            await connection.read_request()
        connection.abort()

    await meet()
    with collected() as found:
        await meet()
    assert found == []


@pytest.mark.parametrize("reads", [False, True])
async def test_a_client_that_leaves_before_its_answer_leaves_no_cycle_behind(
    server: MakeServer, autojump_clock: MockClock, reads: bool
) -> None:
    async def meet() -> None:
        connection, client = server()
        await client.send_all(GET)
        assert await connection.read_request()
        connection.on_gone(connection.abort)
        if not reads:
            client.socket.close()
        for _ in range(20):
            connection.write(bytes(100_000))
        with pytest.raises(ConnectionLost):
            await connection.drain()
        connection.close()
        del connection

    await meet()
    with collected() as found:
        await meet()
    assert found == []


@pytest.mark.parametrize(
    "data",
    [b"", b"HTTP/1.1 2", b"nonsense\r\n\r\n", HEAD, HEAD + b"half", HEAD + bytes(2000)],
)
@pytest.mark.parametrize("hangs_up", [False, True])
@pytest.mark.parametrize("how", ["whole", "relayed", "sent more", "closed"])
async def test_a_bad_answer_leaves_no_cycle_behind(
    client: MakeClient, autojump_clock: MockClock, data: bytes, hangs_up: bool, how: str
) -> None:
    def take(_piece: bytes) -> bool:
        if len(data) > 1000:
            raise ValueError("the taker failed")
        return True

    async def meet() -> None:
        connection, upstream = client()
        deadline = trio.current_time() + 5
        connection.send(GET)
        await upstream.send_all(data)
        if hangs_up:
            await upstream.aclose()
        with contextlib.suppress(ConnectionLost, DeadlineExceeded, ProtocolError, ValueError):
            if how == "closed":
                await wait_all_tasks_blocked()
                connection.close(ValueError("no longer wanted"))
            await connection.read_head(deadline)
            if how == "relayed":
                await connection.relay(take, 1.0, deadline)
            elif how == "sent more":
                connection.send(GET)
                await connection.read_body(100, deadline)
            else:
                await connection.read_body(1000, deadline)
        connection.close()

    await meet()
    with collected() as found:
        await meet()
    assert found == []
