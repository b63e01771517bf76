import contextlib
import os
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import trio
import trio.testing

from providers.http import (
    LAST_CHUNK,
    BadRequest,
    ConnectionLost,
    DeadlineExceeded,
    Poller,
    Request,
    ServerConnection,
    chunk,
    response_head,
)

ServerPair = tuple[ServerConnection, trio.SocketStream]
MakeServer = Callable[..., ServerPair]

POST = b"POST /v1/x?y=1 HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\nX-Name: Value\r\n\r\nhello"
GET = b"GET /a HTTP/1.1\r\nHost: here\r\n\r\n"


def ok(body: bytes) -> bytes:
    return response_head(200, [(b"content-length", b"%d" % len(body))]) + body


async def received(stream: trio.SocketStream) -> bytes:
    """Everything up to the end of the stream."""
    data = b""
    with trio.fail_after(300):
        async for piece in stream:
            data += piece
    return data


async def echo(connection: ServerConnection) -> list[Request]:
    """Answer each request with its body, as a door would; returns them."""
    seen = []
    try:
        while (request := await connection.read_request()) is not None:
            seen.append(request)
            connection.write(ok(request.target.encode() + b" " + request.body))
            await connection.drain()
            if not request.keep_alive:
                break
    except BadRequest as bad:
        body = bad.message.encode()
        connection.write(response_head(bad.status, [(b"content-length", b"%d" % len(body))]), body)
    connection.close()
    return seen


async def test_a_request_arrives_whole_with_its_parts(
    server: MakeServer, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = server()
    await client.send_all(POST)
    request = await connection.read_request()
    assert request is not None
    assert (request.method, request.target) == ("POST", "/v1/x?y=1")
    assert (request.path, request.query) == ("/v1/x", "y=1")
    assert request.headers == [
        (b"host", b"here"),
        (b"content-length", b"5"),
        (b"x-name", b"Value"),
    ]
    assert request.header(b"x-name") == b"Value"
    assert request.header(b"absent") is None
    assert request.body == b"hello"
    assert request.keep_alive
    assert request.http_version == "1.1"
    connection.write(ok(b"fine"))
    assert await client.receive_some() == ok(b"fine")
    connection.close()


async def test_a_request_sent_byte_by_byte_arrives_once(
    server: MakeServer, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = server()
    async with trio.open_nursery() as nursery:

        async def send() -> None:
            for index in range(len(POST)):
                await client.send_all(POST[index : index + 1])
                await trio.testing.wait_all_tasks_blocked()

        nursery.start_soon(send)
        request = await connection.read_request()
        assert request is not None
        assert request.body == b"hello"
    connection.close()


async def test_a_connection_serves_one_request_after_another(
    server: MakeServer, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = server()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo, connection)
        for _ in range(3):
            await client.send_all(POST)
            assert await client.receive_some() == ok(b"/v1/x?y=1 hello")
        await client.aclose()
    assert connection.closed


async def test_pipelined_requests_are_answered_in_order(
    server: MakeServer, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = server()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo, connection)
        await client.send_all(b"".join(GET.replace(b"/a", b"/%d" % n) for n in range(40)))
        expected = b"".join(ok(b"/%d " % n) for n in range(40))
        data = b""
        while len(data) < len(expected):
            data += await client.receive_some()
        assert data == expected
        await client.send_all(GET)
        assert await client.receive_some() == ok(b"/a ")
        await client.aclose()


async def test_more_pipelined_requests_than_allowed_are_refused_after_the_allowed_ones(
    server: MakeServer, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = server(max_pipelined=3)
    await client.send_all(GET * 10)
    await echo(connection)
    answer = await received(client)
    assert answer.startswith(ok(b"/a ") * 3 + b"HTTP/1.1 400 ")


async def test_a_pipelining_client_that_never_stops_is_read_only_as_far_as_is_bounded(
    server: MakeServer, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = server()
    await client.send_all(GET)
    assert await connection.read_request() is not None
    body = b"x" * 100_000
    ahead = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n" + body
    with trio.move_on_after(1) as scope:
        while True:
            await client.send_all(ahead)
    assert scope.cancelled_caught
    connection.close()


async def test_a_chunked_body_is_put_together_and_its_trailers_are_no_headers(
    server: MakeServer, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = server()
    await client.send_all(
        b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"3;ext=1\r\nabc\r\n4\r\ndefg\r\n0\r\nX-Trailer: t\r\n\r\n" + GET
    )
    request = await connection.read_request()
    assert request is not None
    assert request.body == b"abcdefg"
    assert request.header(b"x-trailer") is None
    following = await connection.read_request()
    assert following is not None
    assert following.headers == [(b"host", b"here")]
    connection.close()


async def test_a_client_that_expects_100_continue_is_told_to_go_on(
    server: MakeServer, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = server()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo, connection)
        await client.send_all(
            b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-Continue\r\n\r\n"
        )
        assert await client.receive_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send_all(b"ab")
        assert await client.receive_some() == ok(b"/ ab")
        await client.aclose()


async def test_100_continue_waits_for_its_turn_behind_a_pipelined_request(
    server: MakeServer, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = server()
    await client.send_all(GET)
    assert await connection.read_request() is not None
    await client.send_all(
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
    )
    await trio.testing.wait_all_tasks_blocked()
    connection.write(ok(b"first"))
    assert await client.receive_some() == ok(b"first")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo, connection)
        assert await client.receive_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send_all(b"ab")
        assert await client.receive_some() == ok(b"/ ab")
        await client.aclose()


async def test_a_body_announced_as_too_large_is_refused_before_it_is_sent(
    server: MakeServer, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = server(max_body=1000)
    await client.send_all(
        b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1001\r\nExpect: 100-continue\r\n\r\n"
    )
    await echo(connection)
    assert (await client.receive_some()).startswith(b"HTTP/1.1 413 Content Too Large\r\n")


async def test_a_client_that_sends_on_still_gets_to_read_why_it_was_refused(
    server: MakeServer, autojump_clock: trio.testing.MockClock
) -> None:
    for kind in ("unix", "tcp"):
        connection, client = server(kind, max_body=1000)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(echo, connection)
            await client.send_all(
                b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3000000\r\n\r\n" + b"x" * 3_000_000
            )
            await client.send_eof()
            assert (await received(client)).startswith(b"HTTP/1.1 413 ")


CHUNKED = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (CHUNKED + b"3\r\nabc\r\n" * 400, 413),
        (b"GET /" + b"a" * 3000 + b" HTTP/1.1\r\nHost: h\r\n\r\n", 414),
        (b"GET /" + b"a" * 30_000, 414),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 9000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: h\r\nX: " + b"a" * 1_000_000, 431),
        (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"X: 1\r\n" * 20 + b"\r\n", 431),
        (b"POST / HTTP/1.1\r\nX: " + b"a" * 9000 + b"\r\nContent-Length: 3\r\n\r\na", 431),
        (b"GET / HTTP/1.1\r\nHost: h\r\nA: b\r\n c\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nA: b\rc\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nA: b\0c\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nA : b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: h\n\n", 400),
        (b"GET /a b HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: h\r\nHost: g\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01", 400),
        (b"{}\r\n\r\n", 400),
        (CHUNKED[:-2] + b"Content-Length: 3\r\n\r\nabc", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
        (CHUNKED + b"zz\r\n", 400),
        (CHUNKED + b"-3\r\nabc\r\n0\r\n\r\n", 400),
        (CHUNKED + b"f" * 17 + b"\r\n", 400),
        (CHUNKED + b"3\nabc\r\n0\r\n\r\n", 400),
        (CHUNKED + b"3\r\nabc\n0\r\n\r\n", 400),
        (CHUNKED + b"3\r\nabc\r\n0\r\nContent-Length: 7\r\n\r\n", 400),
        (CHUNKED + b"1;" + b"a" * 1_000_000, 431),
        (CHUNKED + b"1\r\na\r\n0\r\nX: " + b"a" * 1_000_000, 431),
        (CHUNKED[:-2] + b"Transfer-Encoding: identity\r\n\r\n3\r\nabc\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: 3, 3\r\n\r\nabc", 400),
        (b"POST / HTTP/1.1\r\nContent-Length: +3\r\n\r\nabc", 400),
        (b"GET / HTTP/1.1\r\nHost: h\nX: y\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHo\0st: h\r\n\r\n", 400),
        (b"GET /\0 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"get / HTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (b"GET\t/\tHTTP/1.1\r\nHost: h\r\n\r\n", 400),
        (
            b"PUT / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: x\r\nContent-Length: 3\r\n\r\nabc",
            400,
        ),
        (b"POST / HTTP/1.1\r\nContent-Length: 3\r\nExpect: more\r\n\r\n", 417),
        (b"BREW /pot HTTP/1.1\r\nHost: h\r\n\r\n", 501),
        (b"CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\n", 501),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505),
        (b"GET / HTTP/1.7\r\nHost: h\r\n\r\n", 505),
        (b"GET /\r\n\r\n", 505),
    ],
)
async def test_what_cannot_be_served_is_answered_with_its_status_and_the_end(
    server: MakeServer, sent: bytes, status: int, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = server(max_line=2000, max_header_bytes=8000, max_headers=16, max_body=1000)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(echo, connection)
        with contextlib.suppress(trio.BrokenResourceError):
            await client.send_all(sent)
        answer = await received(client)
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert connection.closed


async def test_a_bad_request_behind_a_good_one_does_not_spoil_it(
    server: MakeServer, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = server()
    await client.send_all(GET + b"nonsense\r\n\r\n")
    seen = await echo(connection)
    assert len(seen) == 1
    assert (await received(client)).startswith(ok(b"/a ") + b"HTTP/1.1 400 ")


async def test_an_upgrade_that_is_not_offered_is_served_as_the_plain_request(
    server: MakeServer, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = server()
    await client.send_all(
        b"GET /u HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n" * 3 + GET
    )
    await client.send_eof()
    seen = await echo(connection)
    assert [request.target for request in seen] == ["/u", "/u", "/u", "/a"]


@pytest.mark.parametrize(
    ("head", "keep_alive"),
    [
        (b"GET / HTTP/1.0\r\n\r\n", False),
        (b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", True),
        (b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", False),
        (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", True),
    ],
)
async def test_whether_the_connection_is_kept_follows_version_and_header(
    server: MakeServer, head: bytes, keep_alive: bool, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = server()
    await client.send_all(head)
    request = await connection.read_request()
    assert request is not None
    assert request.keep_alive is keep_alive
    connection.close()


async def test_nothing_after_a_last_request_is_served(
    server: MakeServer, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = server()
    await client.send_all(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" + GET)
    seen = await echo(connection)
    assert len(seen) == 1
    assert await received(client) == ok(b"/ ")


async def test_a_target_with_scheme_and_host_has_the_path_behind_them(
    server: MakeServer, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = server()
    await client.send_all(b"GET http://host/v1/models?a=b HTTP/1.1\r\nHost: host\r\n\r\n")
    request = await connection.read_request()
    assert request is not None
    assert (request.path, request.query) == ("/v1/models", "a=b")
    connection.close()


# Time


async def test_a_silent_connection_is_closed_silently(
    server: MakeServer, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = server(idle_timeout=20)
    begin = trio.current_time()
    assert await connection.read_request() is None
    assert 20 <= trio.current_time() - begin < 20.3
    assert await received(client) == b""


@pytest.mark.parametrize(
    ("beginning", "timeout", "part"),
    [(b"GET /", 3.0, "head"), (b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\na", 7.0, "body")],
)
async def test_a_request_that_trickles_in_is_cut_off_in_time(
    server: MakeServer,
    beginning: bytes,
    timeout: float,
    part: str,
    autojump_clock: trio.testing.MockClock,
) -> None:
    connection, client = server(header_timeout=3, body_timeout=7, idle_timeout=100)
    begin = trio.current_time()
    async with trio.open_nursery() as nursery:

        async def trickle() -> None:
            await client.send_all(beginning)
            while True:
                await trio.sleep(1)
                await client.send_all(b"a")

        nursery.start_soon(trickle)
        with pytest.raises(BadRequest, match=part) as caught:
            await connection.read_request()
        nursery.cancel_scope.cancel()
    assert caught.value.status == 408
    assert timeout <= trio.current_time() - begin < timeout + 0.3
    connection.close()


async def test_time_spent_on_an_answer_does_not_count_against_the_next_request(
    server: MakeServer, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = server(header_timeout=3, body_timeout=3, idle_timeout=5)
    await client.send_all(GET + GET[:10])
    assert await connection.read_request() is not None
    await trio.sleep(1000)
    async with trio.open_nursery() as nursery:

        async def send_rest() -> None:
            await trio.sleep(2)
            await client.send_all(GET[10:])

        nursery.start_soon(send_rest)
        assert await connection.read_request() is not None
    connection.close()


# Coming and going


async def test_a_client_that_closed_ends_the_serving(
    server: MakeServer, autojump_clock: trio.testing.MockClock
) -> None:
    for kind in ("unix", "tcp"):
        connection, client = server(kind)
        await client.aclose()
        assert await connection.read_request() is None
        assert connection.closed
        assert await connection.read_request() is None


async def test_a_client_that_ends_within_a_request_is_told_so(
    server: MakeServer, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = server()
    await client.send_all(POST[:-2])
    await client.send_eof()
    await echo(connection)
    assert (await received(client)).startswith(b"HTTP/1.1 400 ")


async def test_a_client_that_half_closed_its_unix_socket_gets_its_answers(
    server: MakeServer, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = server()
    gone: list[int] = []
    await client.send_all(POST + GET)
    await client.send_eof()
    for expected in (b"/v1/x?y=1 hello", b"/a "):
        request = await connection.read_request()
        assert request is not None
        connection.on_gone(lambda: gone.append(1))
        await trio.sleep(10)
        connection.write(ok(expected))
    assert await connection.read_request() is None
    assert await received(client) == ok(b"/v1/x?y=1 hello") + ok(b"/a ")
    assert not gone


async def depart_by_closing(client: trio.SocketStream) -> None:
    await client.aclose()


async def depart_by_reset(client: trio.SocketStream) -> None:
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    await client.aclose()


async def depart_by_half_closing(client: trio.SocketStream) -> None:
    await client.send_eof()


@pytest.mark.parametrize(
    ("kind", "depart"),
    [
        ("unix", depart_by_closing),
        ("tcp", depart_by_closing),
        ("tcp", depart_by_reset),
        ("tcp", depart_by_half_closing),
    ],
)
@pytest.mark.parametrize("ahead", [b"", GET[:7], GET, POST * 50])
async def test_a_departure_while_the_answer_is_made_is_noticed_at_once(
    server: MakeServer,
    kind: str,
    depart: Callable[[trio.SocketStream], Awaitable[None]],
    ahead: bytes,
    autojump_clock: trio.testing.MockClock,
) -> None:
    connection, client = server(kind)
    await client.send_all(POST)
    assert await connection.read_request() is not None
    await client.send_all(ahead) if ahead else None
    await trio.testing.wait_all_tasks_blocked()
    with trio.CancelScope() as scope:
        connection.on_gone(scope.cancel)
        begin = trio.current_time()
        await depart(client)
        await trio.sleep(1000)
    assert trio.current_time() - begin < 0.5
    assert connection.closed
    connection.write(ok(b"into the void"))
    with pytest.raises(ConnectionLost):
        await connection.drain()
    assert await connection.read_request() is None


async def test_whoever_asks_after_the_departure_learns_of_it_at_once(
    server: MakeServer, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = server()
    await client.send_all(POST)
    assert await connection.read_request() is not None
    await client.aclose()
    await trio.testing.wait_all_tasks_blocked()
    gone: list[int] = []
    connection.on_gone(lambda: gone.append(1))
    assert gone == [1]


async def test_a_departure_after_the_answer_is_no_departure_from_it(
    server: MakeServer, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = server()
    await client.send_all(POST)
    assert await connection.read_request() is not None
    gone: list[int] = []
    connection.on_gone(lambda: gone.append(1))
    connection.write(ok(b""))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.read_request)
        await trio.testing.wait_all_tasks_blocked()
        await client.aclose()
    assert not gone


async def test_idle_is_between_requests_only(
    server: MakeServer, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = server()
    seen = [connection.idle]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.read_request)
        for part in (b"", GET[:5], GET[5:]):
            await client.send_all(part)
            await trio.testing.wait_all_tasks_blocked()
            seen.append(connection.idle)
    assert seen == [True, True, False, False]
    connection.close()


async def test_a_cancelled_wait_loses_no_request(
    server: MakeServer, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = server()
    with trio.move_on_after(1):
        await connection.read_request()
    await client.send_all(POST[:30])
    with trio.move_on_after(1):
        await connection.read_request()
    await client.send_all(POST[30:])
    request = await connection.read_request()
    assert request is not None
    assert request.body == b"hello"
    connection.close()


async def test_only_one_task_may_wait_on_a_connection(
    server: MakeServer, autojump_clock: trio.testing.MockClock
) -> None:
    connection, _ = server()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(connection.read_request)
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(trio.BusyResourceError):
            await connection.read_request()
        nursery.cancel_scope.cancel()
    connection.close()


# Writing


@pytest.fixture
async def large_answer(server: MakeServer) -> AsyncIterator[ServerPair]:
    connection, client = server(write_timeout=30)
    await client.send_all(GET)
    assert await connection.read_request() is not None
    connection.write(response_head(200, [(b"content-length", b"4000000")]), b"x" * 4_000_000)
    yield connection, client
    connection.abort()


async def test_drain_waits_for_a_slow_reader_and_every_byte_arrives(
    large_answer: ServerPair, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = large_answer
    assert connection.unsent > 1_000_000
    drained = trio.Event()
    async with trio.open_nursery() as nursery:

        async def drain() -> None:
            await connection.drain()
            drained.set()

        nursery.start_soon(drain)
        await trio.sleep(20)
        assert not drained.is_set()
        data = b""
        while not data.endswith(b"\r\n\r\n" + b"x" * 4_000_000):
            data += await client.receive_some()
        await drained.wait()
    assert connection.unsent == 0


async def test_a_client_that_reads_nothing_is_cut_off_after_the_write_timeout(
    large_answer: ServerPair, autojump_clock: trio.testing.MockClock
) -> None:
    connection, _ = large_answer
    begin = trio.current_time()
    with pytest.raises(ConnectionLost) as caught:
        await connection.drain()
    assert isinstance(caught.value.reason, DeadlineExceeded)
    assert 30 <= trio.current_time() - begin < 30.3
    assert connection.closed


async def test_closing_still_sends_what_is_unsent(
    large_answer: ServerPair, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = large_answer
    connection.close()
    assert connection.closed
    assert (await received(client)).endswith(b"\r\n\r\n" + b"x" * 4_000_000)


async def test_closing_gives_up_on_a_client_that_reads_nothing(
    large_answer: ServerPair, poller: Poller, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = large_answer
    connection.close()
    assert len(poller) == 1
    await trio.sleep(31)
    assert len(poller) == 0
    assert len(await received(client)) < 4_000_000


async def test_aborting_drops_what_is_unsent(
    large_answer: ServerPair, poller: Poller, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = large_answer
    connection.abort()
    assert len(poller) == 0
    assert len(await received(client)) < 4_000_000


async def test_many_small_writes_behind_a_full_socket_arrive_in_order(
    large_answer: ServerPair, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = large_answer
    for number in range(3000):
        connection.write(chunk(b"%d" % number))
    connection.write(LAST_CHUNK)
    connection.close()
    data = await received(client)
    expected = b"".join(chunk(b"%d" % number) for number in range(3000)) + LAST_CHUNK
    assert data.endswith(b"x" + expected)


async def test_a_task_waiting_for_a_reader_learns_that_the_reader_has_gone(
    large_answer: ServerPair, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = large_answer
    async with trio.open_nursery() as nursery:

        async def drain() -> None:
            with pytest.raises(ConnectionLost):
                await connection.drain()

        nursery.start_soon(drain)
        await trio.testing.wait_all_tasks_blocked()
        await client.aclose()


# Who


async def test_the_peer_of_a_unix_socket_is_known_by_process_and_user(
    server: MakeServer, autojump_clock: trio.testing.MockClock
) -> None:
    connection, _ = server()
    assert (connection.peer.pid, connection.peer.uid, connection.peer.gid) == (
        os.getpid(),
        os.getuid(),
        os.getgid(),
    )
    connection.close()


async def test_the_peer_over_tcp_is_known_by_address(
    server: MakeServer, autojump_clock: trio.testing.MockClock
) -> None:
    connection, client = server("tcp")
    host, port = client.socket.getsockname()
    assert connection.peer.address == f"{host}:{port}"
    assert connection.peer.uid is None
    connection.close()
