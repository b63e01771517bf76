"""An answer that is passed through: framed as its upstream framed it, and when a client has it."""

import socket
from collections.abc import AsyncIterator, Callable

import pytest
import trio

from providers.http import Limits, Poller, ResponseHead, ServerConnection
from providers.wire import OPENAI
from runtime.doors.untouched_answer import UntouchedAnswer

LENGTH = (b"content-length", b"5")
CHUNKED = (b"transfer-encoding", b"chunked")


def head(*headers: tuple[bytes, bytes], status: int = 200, has_body: bool = True) -> ResponseHead:
    return ResponseHead(status, list(headers), keep_alive=True, has_body=has_body)


class Asked:
    """An answer that is to come, and the other end of its connection."""

    def __init__(self, poller: Poller, *, chunked: bool = True) -> None:
        ours, self.client = socket.socketpair()
        self.connection = ServerConnection(poller, ours, Limits())
        self.answer = UntouchedAnswer(
            self.connection, OPENAI, "req_1", chunked=chunked, keep_alive=True
        )

    def got(self) -> tuple[list[bytes], bytes]:
        """Return the header lines that say how the body is framed, and the body as sent."""
        lines, _, body = self.client.recv(65536).partition(b"\r\n\r\n")
        framing = (b"content-length", b"transfer-encoding", b"connection")
        return [line for line in lines.split(b"\r\n") if line.startswith(framing)], body


Ask = Callable[..., Asked]


@pytest.fixture
async def ask() -> AsyncIterator[Ask]:
    poller = Poller()
    made: list[Asked] = []

    def asked(*, chunked: bool = True) -> Asked:
        made.append(Asked(poller, chunked=chunked))
        return made[-1]

    yield asked
    for each in made:
        each.connection.abort()
        each.client.close()
    poller.close()


@pytest.mark.parametrize(
    ("answered", "framing", "body"),
    [
        (head(LENGTH), [b"content-length: 5"], b"hello"),
        (head(CHUNKED), [b"transfer-encoding: chunked"], b"5\r\nhello\r\n0\r\n\r\n"),
        (head(), [b"transfer-encoding: chunked"], b"5\r\nhello\r\n0\r\n\r\n"),
        (head(LENGTH, CHUNKED), [b"transfer-encoding: chunked"], b"5\r\nhello\r\n0\r\n\r\n"),
    ],
)
async def test_a_length_stays_and_all_else_goes_in_chunks(
    ask: Ask, answered: ResponseHead, framing: list[bytes], body: bytes
) -> None:
    asked = ask()
    asked.answer.begin(answered, b"", "p", 1)
    asked.answer.events(b"hello")
    asked.answer.finish(b"")
    assert asked.got() == (framing, body)
    assert not asked.answer.ends_connection


async def test_to_http_1_0_a_body_without_a_length_ends_with_the_connection(ask: Ask) -> None:
    asked = ask(chunked=False)
    asked.answer.begin(head(CHUNKED), b"he", "p", 1)
    asked.answer.finish(b"llo")
    assert asked.got() == ([b"connection: close"], b"hello")
    assert asked.answer.ends_connection


@pytest.mark.parametrize(
    ("answered", "framing"),
    [
        (head(LENGTH, has_body=False), [b"content-length: 5"]),
        (head(CHUNKED, has_body=False), []),
        (head(LENGTH, status=304, has_body=False), [b"content-length: 5"]),
        (head(LENGTH, status=204, has_body=False), []),
    ],
)
async def test_where_no_body_follows_none_is_framed(
    ask: Ask, answered: ResponseHead, framing: list[bytes]
) -> None:
    asked = ask()
    asked.answer.begin(answered, b"", "p", 1)
    asked.answer.finish(b"")
    assert asked.got() == (framing, b"")
    assert not asked.answer.ends_connection


@pytest.mark.parametrize("answered", [head(LENGTH), head(LENGTH, has_body=False)])
async def test_one_who_leaves_with_the_last_byte_has_had_it_all(
    ask: Ask, answered: ResponseHead
) -> None:
    asked = ask()
    asked.answer.begin(answered, b"hello" if answered.has_body else b"", "p", 1)
    asked.client.close()
    asked.answer.finish(b"")
    with trio.fail_after(1):
        await asked.answer.drain()


async def test_what_breaks_off_is_never_complete_and_nothing_is_added(ask: Ask) -> None:
    asked = ask()
    asked.answer.begin(head(LENGTH), b"he", "p", 1)
    asked.answer.break_off(None)
    assert asked.got() == ([b"content-length: 5"], b"he")
    assert asked.answer.ends_connection
