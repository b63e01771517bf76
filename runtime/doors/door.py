"""A door: accepts clients on one listening socket and gives each a task of its own.

The listening socket is not the door's: it is handed to it, so that clients who come while the door
is being restarted wait in the kernel's queue instead of being turned away. The connections are not
its children either, but those of a dynamic supervisor beside it: a door that dies harms no client
who is already inside.
"""

import logging
import os
import socket
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count

import msgspec
import trio

from providers.http import (
    Limits,
    Listener,
    Peer,
    Poller,
    ServerConnection,
    http_date,
    response_head,
)
from providers.wire import OPENAI
from runtime.doors.session import Session
from supervision import Actor, ActorDown, MaxChildren, NoProcess, SupervisorHandle

__all__ = ["Door", "OpenSessions", "own_users"]

_log = logging.getLogger("standby.door")

_RETRY = 0.02
"""Seconds between looks for the connections' supervisor while it is being restarted."""

_BUSY_BODY = OPENAI.encode_error(503, "too many connections to this daemon")
_BUSY_HEADERS = (
    (b"content-type", b"application/json"),
    (b"content-length", b"%d" % len(_BUSY_BODY)),
    (b"retry-after", b"1"),
    (b"connection", b"close"),
)


class OpenSessions:
    """The sessions that are open, for an orderly end."""

    def __init__(self) -> None:
        self._sessions: set[Session] = set()
        self._changed = trio.Event()

    def __len__(self) -> int:
        return len(self._sessions)

    async def serve(
        self, sock: socket.socket, open_session: Callable[[socket.socket], Session]
    ) -> None:
        """Serve a client, and count its session as open meanwhile.

        Args:
            sock: The client's socket; it belongs to this call from now on.
            open_session: Makes the session.
        """
        session = open_session(sock)
        self._sessions.add(session)
        try:
            await session.serve()
        finally:
            self._sessions.discard(session)
            self._changed.set()

    async def drain(self, timeout: float) -> int:
        """Let answers under way finish, close what is idle.

        Args:
            timeout: Seconds to wait for them.

        Returns:
            How many were still open then.
        """
        # The tasks of clients who came at the last moment get to say that they are there.
        await trio.lowlevel.checkpoint()
        for session in tuple(self._sessions):
            session.close_when_idle()
        with trio.move_on_after(timeout):
            while self._sessions:
                self._changed = trio.Event()
                await self._changed.wait()
        return len(self._sessions)


def _session_on(
    poller: Poller,
    limits: Limits,
    open_session: Callable[[ServerConnection], Session],
    sock: socket.socket,
) -> Session:
    """Return the session of a client's socket."""
    try:
        connection = ServerConnection(poller, sock, limits)
    except BaseException:
        sock.close()
        raise
    return open_session(connection)


class _Retry(msgspec.Struct, frozen=True):
    """Look again whether the connections' supervisor is there."""


class Door(Actor):
    """Accepts clients and starts a task for each.

    A client is given its task at the moment it is accepted: there is no time in between in which
    the door's end could lose it.

    Args:
        name: The door's short name, for the names of its connections.
        listener: The listening socket, which outlives this actor.
        poller: Where connections are watched.
        limits: Bounds on what a client may send.
        sessions: Where open sessions are counted.
        open_session: Makes the session of a connection.
        numbers: Where the numbers in connections' names come from.
        waiting: Clients that have been accepted and have no task yet; outlives this actor.
        users: User ids that may connect to a Unix socket; None lets the socket's mode decide.
    """

    def __init__(
        self,
        *,
        name: str,
        listener: Listener,
        poller: Poller,
        limits: Limits,
        sessions: OpenSessions,
        open_session: Callable[[ServerConnection], Session],
        numbers: "count[int]",
        waiting: "deque[socket.socket]",
        users: frozenset[int] | None = None,
    ) -> None:
        self._name = name
        self._listener = listener
        self._poller = poller
        self._limits = limits
        self._connections: SupervisorHandle | None = None
        self._sessions = sessions
        self._open_session = partial(_session_on, poller, limits, open_session)
        self._numbers = numbers
        self._users = users
        self._waiting = waiting
        self._refused = 0

    async def init(self) -> None:
        """Begin to accept."""
        self._connections = self.system.supervisor("connections")
        self._listener.accept_into(self._accepted)
        self._go_on()

    async def handle_info(self, message: object) -> None:
        """Try again to serve those who came while the connections' supervisor was away."""
        if isinstance(message, _Retry):
            self._go_on()

    def cleanup(self) -> None:
        """Leave new clients to the kernel's queue until the next incarnation."""
        self._listener.pause()

    def describe(self) -> Mapping[str, object]:
        """Return what the tree shows of a door."""
        return {
            "address": self._listener.address,
            "accepted": self._listener.accepted,
            "refused": self._refused,
            "connections": len(self._sessions),
        }

    def _accepted(self, sock: socket.socket, peer: Peer) -> None:
        if self._users is not None and peer.uid not in self._users:
            self._refused += 1
            _log.warning("refused a connection of user %s (pid %s)", peer.uid, peer.pid)
            sock.close()
        else:
            self._admit(sock)

    def _admit(self, sock: socket.socket) -> None:
        """Give a client a task; keep it waiting, and accept no more, while nobody can hold it."""
        assert self._connections is not None
        name = f"connection:{self._name}:{next(self._numbers)}"
        try:
            self._connections.start_task(self._sessions.serve, sock, self._open_session, name=name)
        except MaxChildren:
            self._turn_away(sock)
        except (ActorDown, NoProcess):
            self._waiting.append(sock)
            self._listener.pause()
            self.send_after(_RETRY, _Retry())

    def _go_on(self) -> None:
        """Serve who has waited, then accept again unless they still have to wait."""
        waiting = [self._waiting.popleft() for _ in range(len(self._waiting))]
        for sock in waiting:
            self._admit(sock)
        if not self._waiting:
            self._listener.resume()

    def _turn_away(self, sock: socket.socket) -> None:
        self._refused += 1
        connection = ServerConnection(self._poller, sock, self._limits)
        head = response_head(503, [*_BUSY_HEADERS, (b"date", http_date())])
        connection.write(head, _BUSY_BODY)
        connection.close()


def own_users() -> frozenset[int]:
    """Return the users who may connect to the private socket: its owner and root."""
    return frozenset({os.geteuid(), 0})
