from collections.abc import Callable

import pytest
import trio
import trio.testing

from providers.http import (
    ClientConnection,
    ConnectionLost,
    DeadlineExceeded,
    ProtocolError,
    Truncated,
    request_head,
)

MakeClient = Callable[..., tuple[ClientConnection, trio.SocketStream]]

HEAD = request_head("GET", "/", [(b"host", b"h")])
FIXED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Name: V\r\n\r\nhello"
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"


def soon() -> float:
    return trio.current_time() + 30


@pytest.mark.parametrize(("answer", "body"), [(FIXED, b"hello"), (CHUNKED, b"abcde")])
async def test_responses_are_read_one_after_another_on_one_connection(
    client: MakeClient, answer: bytes, body: bytes
) -> None:
    connection, upstream = client()
    for number in range(3):
        connection.send(HEAD, b"")
        assert connection.reused is (number > 0)
        assert await upstream.receive_some() == HEAD
        assert not connection.reusable
        await upstream.send_all(answer)
        head = await connection.read_head(soon())
        assert head.status == 200
        assert await connection.read_body(100, soon()) == body
        assert await connection.read_piece(soon()) == b""
        assert connection.reusable
    connection.close()


async def test_a_body_comes_in_pieces_as_it_is_sent(client: MakeClient) -> None:
    connection, upstream = client()
    connection.send(HEAD)
    await upstream.send_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    head = await connection.read_head(soon())
    assert (head.chunked, head.has_length, head.eof_delimited) == (True, False, False)
    for number in range(5):
        await upstream.send_all(b"1\r\n%d\r\n" % number)
        assert await connection.read_piece(soon()) == b"%d" % number
    await upstream.send_all(b"0\r\n\r\n")
    assert await connection.read_piece(soon()) == b""
    connection.close()


@pytest.mark.parametrize(
    ("answer", "no_body"),
    [
        (b"HTTP/1.1 204 No Content\r\n\r\n", False),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n", True),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nA: b\r\n\r\n" + FIXED[:-5], True),
    ],
)
async def test_responses_without_a_body_end_with_their_head(
    client: MakeClient, answer: bytes, no_body: bool
) -> None:
    connection, upstream = client()
    for _ in range(2):
        connection.send(HEAD, no_body=no_body)
        await upstream.send_all(answer)
        head = await connection.read_head(soon())
        assert not head.has_body
        assert await connection.read_piece(soon()) == b""
        assert connection.reusable
    connection.send(HEAD)
    await upstream.send_all(FIXED)
    assert await connection.read_body(100, soon()) == b"hello"
    connection.close()


async def test_a_body_may_end_with_the_connection_when_nothing_else_ends_it(
    client: MakeClient,
) -> None:
    connection, upstream = client()
    connection.send(HEAD)
    assert await upstream.receive_some() == HEAD
    await upstream.send_all(b"HTTP/1.1 200 OK\r\n\r\nall there is")
    head = await connection.read_head(soon())
    assert head.eof_delimited
    await upstream.aclose()
    assert await connection.read_body(100, soon()) == b"all there is"
    assert not connection.reusable


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 2", FIXED[:-1], CHUNKED[:-5], CHUNKED[:-9], CHUNKED[:-1]]
)
async def test_an_answer_that_ends_early_is_never_taken_for_whole(
    client: MakeClient, answer: bytes
) -> None:
    connection, upstream = client()
    connection.send(HEAD)
    await upstream.send_all(answer)
    await upstream.aclose()

    async def read() -> None:
        await connection.read_head(soon())
        await connection.read_body(100, soon())

    with pytest.raises(Truncated):
        await read()
    assert connection.closed


async def test_an_upstream_that_closes_unasked_is_told_from_one_that_breaks_off(
    client: MakeClient,
) -> None:
    connection, upstream = client()
    connection.send(HEAD)
    await upstream.aclose()
    with pytest.raises(ConnectionLost) as caught:
        await connection.read_head(soon())
    assert not isinstance(caught.value, Truncated)
    assert not connection.response_started


@pytest.mark.parametrize(
    "answer",
    [
        b"<html>",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        b"HTTP/1.1 99 No\r\n\r\n",
        b"HTTP/1.1 700 No\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n",
    ],
)
async def test_what_is_not_http_is_refused(client: MakeClient, answer: bytes) -> None:
    connection, upstream = client()
    connection.send(HEAD)
    await upstream.send_all(answer)
    with pytest.raises(ProtocolError):
        await connection.read_head(soon())
    assert connection.closed


async def test_a_wait_ends_at_its_deadline(
    client: MakeClient, autojump_clock: trio.testing.MockClock
) -> None:
    connection, upstream = client()
    connection.send(HEAD)
    begin = trio.current_time()
    with pytest.raises(DeadlineExceeded):
        await connection.read_head(begin + 5)
    assert 5 <= trio.current_time() - begin < 5.3
    await upstream.send_all(FIXED[:-2])
    assert await connection.read_piece(begin + 10) == b"hel"
    with pytest.raises(DeadlineExceeded):
        await connection.read_piece(begin + 20)
    connection.close()


async def test_closing_wakes_the_waiting_task_with_the_reason(client: MakeClient) -> None:
    connection, _ = client()
    connection.send(HEAD)
    reason = RuntimeError("the provider is going down")
    async with trio.open_nursery() as nursery:

        async def wait() -> None:
            with pytest.raises(ConnectionLost) as caught:
                await connection.read_head(soon())
            assert caught.value.reason is reason

        nursery.start_soon(wait)
        await trio.testing.wait_all_tasks_blocked()
        connection.close(reason)
    with pytest.raises(ConnectionLost):
        await connection.read_head(soon())


@pytest.mark.parametrize("unasked", [b"", FIXED, b"x"])
async def test_what_happens_on_an_idle_connection_is_noticed_at_once(
    client: MakeClient, unasked: bytes
) -> None:
    connection, upstream = client()
    connection.send(HEAD)
    await upstream.send_all(FIXED)
    assert await connection.read_body(100, soon()) == b"hello"
    closed: list[int] = []
    connection.on_idle_close = lambda: closed.append(1)
    if unasked:
        await upstream.send_all(unasked)
    else:
        await upstream.aclose()
    await trio.testing.wait_all_tasks_blocked()
    assert closed == [1]
    assert connection.closed
    assert not connection.reusable


async def test_more_than_was_asked_for_leaves_the_answer_good_and_the_connection_not(
    client: MakeClient,
) -> None:
    connection, upstream = client()
    connection.send(HEAD)
    await upstream.send_all(FIXED + FIXED)
    assert (await connection.read_head(soon())).status == 200
    assert await connection.read_body(100, soon()) == b"hello"
    assert not connection.reusable


async def test_reading_from_the_upstream_pauses_while_its_answer_is_not_taken(
    client: MakeClient,
) -> None:
    size = 40_000_000
    for kind in ("unix", "tcp"):
        connection, upstream = client(kind)
        connection.send(HEAD)
        async with trio.open_nursery() as nursery:
            sent: list[int] = []

            async def send(upstream: trio.SocketStream = upstream, sent: list[int] = sent) -> None:
                await upstream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
                for _ in range(40):
                    await upstream.send_all(b"x" * 1_000_000)
                    sent.append(1)
                await upstream.aclose()

            nursery.start_soon(send)
            await connection.read_head(soon())
            await trio.testing.wait_all_tasks_blocked()
            assert len(sent) < 30
            total = 0
            while piece := await connection.read_piece(soon()):
                assert len(piece) <= 512 * 1024
                total += len(piece)
            assert total == size


async def test_a_body_larger_than_the_limit_is_refused(client: MakeClient) -> None:
    connection, upstream = client()
    connection.send(HEAD)
    await upstream.send_all(FIXED)
    with pytest.raises(ProtocolError, match="larger than 4 bytes"):
        await connection.read_body(4, soon())
    assert connection.closed


async def test_an_upstream_may_answer_without_reading_the_whole_request(
    client: MakeClient,
) -> None:
    connection, upstream = client()
    connection.send(HEAD, b"x" * 5_000_000)
    assert connection.unsent
    await upstream.send_all(FIXED)
    assert (await connection.read_head(soon())).status == 200
    assert await connection.read_body(10, soon()) == b"hello"
    assert not connection.reusable
    connection.close()


async def test_an_answer_sent_before_the_connection_broke_is_still_delivered(
    client: MakeClient,
) -> None:
    connection, upstream = client()
    connection.send(HEAD)
    await upstream.send_all(FIXED)
    await upstream.aclose()
    connection.send(b"more")
    assert (await connection.read_head(soon())).status == 200
    assert await connection.read_body(10, soon()) == b"hello"


async def test_a_large_request_arrives_whole(client: MakeClient) -> None:
    connection, upstream = client()
    body = bytes(range(256)) * 20_000
    connection.send(HEAD, body[:3_000_000])
    connection.send(body[3_000_000:])
    data = b""
    while len(data) < len(HEAD) + len(body):
        data += await upstream.receive_some()
    assert data == HEAD + body
    connection.close()
