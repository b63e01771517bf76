"""The long-lived task of one provider: it owns the upstream connections and admits exchanges.

Its mailbox takes few messages. ``Acquire`` brings a request: the actor sends it on a connection,
and the reply is that connection once the answer has begun, or a ``Failure``. ``Release`` gives the
connection back. The bytes of an answer never pass through here; the asker reads them itself. The
connections belong to this actor all the same: when it ends, however it ends, they are closed, and
every asker learns it at once.
"""

import math
import ssl
from collections import deque
from collections.abc import Mapping
from functools import partial

import msgspec
import trio

from providers.failures import Failure
from providers.http import (
    ClientConnection,
    ConnectionLost,
    DeadlineExceeded,
    Poller,
    TLSError,
    UpstreamConnection,
    connect,
    default_ssl_context,
)
from providers.interface import ProviderInterface
from providers.waiting_askers import Acquire, WaitingAskers
from supervision import NO_REPLY, Actor, ActorDown, PendingCall, Timer

__all__ = ["Acquire", "ProviderActor", "Release", "Trouble"]

_SWEEP = 0.25
"""Seconds between looks at waiting askers whose time is up."""


class Release(msgspec.Struct, frozen=True):
    """Give a connection back; one that cannot be used again is closed already."""

    connection: UpstreamConnection


class Trouble(msgspec.Struct, frozen=True):
    """Hear of an exchange that failed, to show it.

    Attributes:
        message: What went wrong, in plain words, without secrets.
    """

    message: str


class _Sweep(msgspec.Struct, frozen=True):
    """Look at what has waited or idled too long."""


class ProviderActor(Actor):
    """One provider: admission, its queue, its connections.

    At most ``max_connections`` exchanges run at one time; at most ``queue_limit`` askers wait.
    Clients take turns; the askers of one client are served in the order they came. When one asker
    more than ``queue_limit`` waits, the newest of the client with the most is refused. So is, at
    once, who could not be served before its deadline, as far as the present rate of service tells.

    Args:
        provider: How to speak to the upstream.
        poller: Where the connections' sockets are watched.
    """

    mailbox_limit = 100_000

    def __init__(self, provider: ProviderInterface, poller: Poller) -> None:
        self._provider = provider
        self._settings = provider.settings
        self._poller = poller
        self._ssl: ssl.SSLContext | None = None
        self._idle: deque[tuple[ClientConnection, float]] = deque()
        self._busy: set[UpstreamConnection] = set()
        self._connecting = 0
        self._waiting = WaitingAskers(provider.name, self._settings.queue_limit)
        self._sweep_at = math.inf
        self._sweep_timer: Timer | None = None
        self._served = 0
        self._unserved = 0
        self._opened = 0
        self._last_error: str | None = None

    async def init(self) -> None:
        """Load the trust store once, where the upstream is reached by TLS."""
        if self._provider.target.tls:
            self._ssl = await trio.to_thread.run_sync(default_ssl_context)

    async def handle_call(self, message: object, caller: PendingCall) -> object:
        """Lend a connection now, or let the asker wait for one."""
        if not isinstance(message, Acquire):
            raise TypeError(f"{self._provider.name} takes Acquire calls, not {message!r}")
        if not message.fresh:
            connection = self._take_idle()
            if connection is not None:
                self._lend(connection, caller)
                return NO_REPLY
        self._waiting.enter(caller, self._free, self._freed)
        self._open_where_needed()
        self._sweep_later()
        return NO_REPLY

    async def handle_cast(self, message: object) -> None:
        """Take a connection back and hand it to whoever waits."""
        if isinstance(message, Release):
            connection = message.connection
            self._busy.discard(connection)
            self._served += 1
            if not connection.closed and isinstance(connection, ClientConnection):
                self._hand_on(connection)
            else:
                self._open_where_needed()
        elif isinstance(message, Trouble):
            self._last_error = message.message

    async def handle_info(self, message: object) -> None:
        """Look after what time has overtaken."""
        if isinstance(message, _Sweep):
            self._sweep()

    def cleanup(self) -> None:
        """Close every connection: askers in mid-exchange learn at once that their provider died."""
        reason = ActorDown(self.ref.name, "its provider ended")
        for connection in (*self._busy, *(kept for kept, _ in self._idle)):
            connection.close(reason)
        self._busy.clear()
        self._idle.clear()

    def describe(self) -> Mapping[str, object]:
        """Return what the tree shows of a provider."""
        return {
            "provider": self._provider.name,
            "in_flight": len(self._busy),
            "queued": len(self._waiting),
            "clients_waiting": self._waiting.clients,
            "shed": self._waiting.shed,
            "connections": len(self._busy) + len(self._idle),
            "connecting": self._connecting,
            "opened": self._opened,
            "served": self._served,
            "last_error": self._last_error,
        }

    @property
    def _free(self) -> int:
        """How many more exchanges there may be now."""
        return self._settings.max_connections - len(self._busy)

    @property
    def _freed(self) -> int:
        """How many have made room for others: served, left, or failed for want of a connection."""
        return self._served + self._unserved

    def _take_idle(self) -> ClientConnection | None:
        """Return the most recently used idle connection that is still open."""
        while self._idle:
            connection, _ = self._idle.pop()
            if not connection.closed:
                return connection
        return None

    def _lend(self, connection: ClientConnection, caller: PendingCall) -> None:
        """Let an asker have a connection, its request already on the way where it gave one."""
        self._busy.add(connection)
        message: Acquire = caller.message
        if message.request is None:
            caller.reply(connection)
        else:
            caller.on_withdrawn(partial(self._abandon, connection))
            on_answer = partial(caller.reply, connection)
            connection.begin(message.request, on_answer, message.deadline, no_body=message.no_body)

    def _abandon(self, connection: UpstreamConnection) -> None:
        """An asker left before its answer began: the upstream need not go on."""
        connection.close()
        self._busy.discard(connection)
        self._unserved += 1
        self._open_where_needed()

    def _hand_on(self, connection: ClientConnection, *, kept: bool = True) -> None:
        """Give an open connection to the next who waits for such a one, or keep it."""
        waiting = self._waiting
        if waiting:
            if kept and waiting.renewal_is_due():
                connection.close()
                self._open_where_needed()
                return
            waiter = waiting.take(kept=kept)
            if waiter is not None:
                self._lend(connection, waiter)
                return
        self._idle.append((connection, self._poller.now()))
        if waiting:  # for new ones: the place of this one may be what they lacked
            self._open_where_needed()
        if self._sweep_at == math.inf:
            self._sweep_later()

    def _open_where_needed(self) -> None:
        """Start as many connection attempts as there are askers without one, within the limit.

        A kept connection makes room for a new one: it is there only for an asker who wants that.
        """
        limit = self._settings.max_connections
        while self._connecting < len(self._waiting) and len(self._busy) + self._connecting < limit:
            if self._idle and len(self._busy) + len(self._idle) + self._connecting >= limit:
                self._idle.popleft()[0].close()
            self._connecting += 1
            self.spawn(self._connect, name=f"{self.ref.name} connecting")

    async def _connect(self) -> None:
        """Open one connection for whoever waits first; runs beside the mailbox, in this actor."""
        target = self._provider.target
        try:
            connection = await connect(
                self._poller,
                target,
                deadline=trio.current_time() + self._settings.connect_timeout,
                ssl_context=self._ssl,
            )
        except TLSError as error:
            self._connect_failed(Failure("tls", self._provider.name, str(error)))
        except (ConnectionLost, OSError, ValueError) as error:
            # Also what the system refuses (descriptors) and names that cannot be looked up: the
            # exchanges under way on other connections have no part in it.
            self._connect_failed(Failure("connect", self._provider.name, str(error)))
        except DeadlineExceeded:
            waited = f"no connection to {target} within {self._settings.connect_timeout:g} s"
            self._connect_failed(Failure("connect", self._provider.name, waited))
        else:
            self._connecting -= 1
            self._opened += 1
            self._hand_on(connection, kept=False)

    def _connect_failed(self, failure: Failure) -> None:
        """Tell the asker whose turn it is; the others get attempts of their own."""
        self._connecting -= 1
        self._last_error = failure.message
        waiter = self._waiting.take(kept=False)
        if waiter is not None:
            self._unserved += 1
            waiter.fail(failure)
        self._open_where_needed()

    def _sweep_later(self) -> None:
        pause = _SWEEP if self._waiting else self._idle_pause()
        at = trio.current_time() + pause
        if at < self._sweep_at:
            if self._sweep_timer is not None:
                self._sweep_timer.cancel()
            self._sweep_at = at
            self._sweep_timer = self.send_after(pause, _Sweep())

    def _idle_pause(self) -> float:
        return max(1.0, self._settings.idle_timeout / 4)

    def _sweep(self) -> None:
        """Fail the askers whose time is up, close what has idled too long."""
        self._sweep_at = math.inf
        now = trio.current_time()
        if self._waiting:
            self._waiting.sweep(self._free, self._freed)
        oldest = now - self._settings.idle_timeout
        while self._idle and (self._idle[0][1] <= oldest or self._idle[0][0].closed):
            self._idle.popleft()[0].close()
        gone = [connection for connection in self._busy if connection.closed]
        self._busy.difference_update(gone)
        self._open_where_needed()
        if self._waiting or self._idle:
            self._sweep_later()
