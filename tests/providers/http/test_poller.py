import logging
import socket

import pytest
import trio
import trio.testing

from providers.http import (
    ClientConnection,
    Limits,
    Poller,
    ServerConnection,
    request_head,
    response_head,
)

BODY = b"b" * 20_000
HEAD = request_head("POST", "/", [(b"host", b"h"), (b"content-length", b"20000")])


async def serve(connection: ServerConnection) -> None:
    while (request := await connection.read_request()) is not None:
        connection.write(
            response_head(200, [(b"content-length", b"%d" % len(request.body))]), request.body
        )
        await connection.drain()


async def ask(connection: ClientConnection, times: int) -> None:
    for _ in range(times):
        deadline = trio.current_time() + 60
        connection.send(HEAD, BODY)
        assert (await connection.read_head(deadline)).status == 200
        assert await connection.read_body(100_000, deadline) == BODY
    connection.close()


async def test_killing_the_pumping_tasks_under_load_loses_nothing() -> None:
    poller = Poller()
    kills = 0
    async with trio.open_nursery() as pumps, trio.open_nursery() as nursery:

        async def pump_and_die() -> None:
            nonlocal kills
            while True:
                with trio.CancelScope() as scope:
                    async with trio.open_nursery() as inner:
                        inner.start_soon(poller.run)
                        inner.start_soon(poller.wheel.run)
                        for _ in range(5):
                            await trio.lowlevel.checkpoint()
                        scope.cancel()
                kills += 1

        pumps.start_soon(pump_and_die)
        for _ in range(20):
            ours, theirs = socket.socketpair()
            nursery.start_soon(serve, ServerConnection(poller, ours, Limits()))
            nursery.start_soon(ask, ClientConnection(poller, theirs), 30)
        while len(nursery.child_tasks) > 0:
            await trio.lowlevel.checkpoint()
        pumps.cancel_scope.cancel()
    assert kills > 10
    assert len(poller) == 0
    poller.close()


async def test_a_connection_whose_callback_fails_is_the_only_one_closed(
    poller: Poller, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        failed: Exception | None = None

        def on_events(self, events: int) -> None:
            raise ValueError("broken")

        def on_failure(self, error: Exception) -> None:
            self.failed = error
            poller.retire(theirs)
            raise ValueError("broken again")

    ours, theirs = socket.socketpair()
    broken = Broken()
    poller.add(theirs.fileno(), broken, 1)
    good, other = socket.socketpair()
    connection = ServerConnection(poller, good, Limits())
    with caplog.at_level(logging.CRITICAL, logger="standby.http"):
        ours.send(b"x")
        await trio.testing.wait_all_tasks_blocked()
    assert isinstance(broken.failed, ValueError)
    assert poller.failures == 1
    assert len(poller) == 1
    other.send(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
    assert await connection.read_request() is not None
    connection.close()
    ours.close()
    other.close()


async def test_only_one_task_may_pump(poller: Poller) -> None:
    await trio.testing.wait_all_tasks_blocked()
    with pytest.raises(RuntimeError, match="another task"):
        await poller.run()


async def test_closing_the_poller_closes_its_connections_and_tells_who_waits() -> None:
    poller = Poller()
    ours, theirs = socket.socketpair()
    connection = ServerConnection(poller, ours, Limits())
    async with trio.open_nursery() as nursery:

        async def pump() -> None:
            with pytest.raises(trio.ClosedResourceError):
                await poller.run()

        nursery.start_soon(pump)
        nursery.start_soon(connection.read_request)
        await trio.testing.wait_all_tasks_blocked()
        poller.close()
    assert connection.closed
    assert theirs.recv(1) == b""
    theirs.close()
