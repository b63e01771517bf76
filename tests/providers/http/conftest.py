"""A running poller, and connections with the test's own end of the socket at hand."""

import socket
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import trio

from providers.http import ClientConnection, Limits, Poller, ServerConnection

type_of_pair = tuple[socket.socket, socket.socket]

ServerPair = tuple[ServerConnection, trio.SocketStream]
ClientPair = tuple[ClientConnection, trio.SocketStream]
MakeServer = Callable[..., ServerPair]
MakeClient = Callable[..., ClientPair]


@pytest.fixture
async def poller() -> AsyncIterator[Poller]:
    made = Poller()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.run)
        nursery.start_soon(made.wheel.run)
        yield made
        nursery.cancel_scope.cancel()
    made.close()


def tcp_pair() -> type_of_pair:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client = socket.create_connection(listener.getsockname())
        server, _ = listener.accept()
    return server, client


@pytest.fixture
def ends() -> Iterator[Callable[[str], tuple[socket.socket, trio.SocketStream]]]:
    """Pairs of sockets: ours, and the peer's as a stream that is closed after the test."""
    opened: list[socket.socket] = []

    def make(kind: str) -> tuple[socket.socket, trio.SocketStream]:
        ours, theirs = tcp_pair() if kind == "tcp" else socket.socketpair()
        wrapped = trio.socket.from_stdlib_socket(theirs)
        opened.append(theirs)
        opened.append(ours)
        return ours, trio.SocketStream(wrapped)

    yield make
    for sock in opened:
        sock.close()


@pytest.fixture
def server(
    poller: Poller, ends: Callable[[str], tuple[socket.socket, trio.SocketStream]]
) -> MakeServer:
    def make(kind: str = "unix", **limits: float) -> ServerPair:
        ours, theirs = ends(kind)
        return ServerConnection(poller, ours, Limits(**limits)), theirs  # type: ignore[arg-type]  # a test gives integers where integers belong

    return make


@pytest.fixture
def client(
    poller: Poller, ends: Callable[[str], tuple[socket.socket, trio.SocketStream]]
) -> MakeClient:
    def make(kind: str = "unix") -> ClientPair:
        ours, theirs = ends(kind)
        return ClientConnection(poller, ours), theirs

    return make
