"""One connection of the pool: who is on it, and whether it takes more."""

import httpcore2
import trio

from providers.pooled.exchange import PooledExchange
from providers.pooled.network import CONNECTING, Network

__all__ = ["MOST_STREAMS", "PooledConnection", "StreamBound"]

MOST_STREAMS = 100
"""Streams on one HTTP/2 connection: as many as httpcore2 ever opens."""


class StreamBound:
    """How many streams an upstream allows on one connection: its last word, also for new ones.

    Attributes:
        streams: The number.
    """

    __slots__ = ("streams",)

    def __init__(self) -> None:
        self.streams = MOST_STREAMS


class PooledConnection(httpcore2.AsyncConnectionInterface):
    """A connection of httpcore2's, with what the pool has to know of it besides.

    Args:
        inner: The library's own.
        layers: How many TLS layers it has once it is ready: of the proxy, of the upstream.
        bound: What the upstream's connections have said of their streams.

    Attributes:
        network: Its socket, once there is one.
        ready: Whether it is connected, tunnel and TLS included.
        carried: How many exchanges it has begun.
        idle_since: When the last exchange on it ended, on the clock of ``trio.current_time``.
    """

    def __init__(
        self, inner: httpcore2.AsyncConnectionInterface, layers: int, bound: StreamBound
    ) -> None:
        self._inner = inner
        self._layers = layers
        self._active: set[PooledExchange] = set()
        self._retired = False
        self._failed = False
        self._bound = bound
        self.network: Network | None = None
        self.ready = False
        self.carried = 0
        self.idle_since = trio.current_time()

    async def handle_async_request(self, request: httpcore2.Request) -> httpcore2.Response:
        """Send a request and return its response once its head is there."""
        exchange: PooledExchange = request.extensions["exchange"]
        if self._retired or self._failed:
            raise httpcore2.ConnectionNotAvailable
        self._active.add(exchange)
        self.carried += 1
        exchange.attach(self)
        CONNECTING.set(self)
        try:
            return await self._inner.handle_async_request(request)
        except httpcore2.ConnectionNotAvailable:
            self.release(exchange)
            raise
        except BaseException:
            if not self.ready and self._active == {exchange}:
                # The library would count it among its connections for ever.
                self._failed = True
                self.shut()
            raise

    def release(self, exchange: PooledExchange) -> None:
        """Take note that an exchange has ended."""
        self._active.discard(exchange)
        self.idle_since = trio.current_time()
        if self._retired and not self._active:
            self.shut()

    def retire(self) -> None:
        """Begin nothing more on this connection; what is under way goes on."""
        self._retired = True
        if not self._active:
            self.shut()

    def shut(self) -> None:
        """Close the socket now."""
        if self.network is not None:
            self.network.close()

    def on_layer(self, network: Network) -> None:
        """The socket is connected, or TLS is spoken over it from now on."""
        self.network = network
        if network.layers == self._layers:
            self.ready = True
            for exchange in self._active:
                exchange.on_connected()

    def on_max_streams(self, count: int) -> None:
        """The upstream allows this many streams at one time."""
        self._bound.streams = max(1, min(count, MOST_STREAMS))

    def on_goaway(self, last: int) -> None:
        """The upstream will in order end the connection; streams after this one were not begun."""
        self._retired = True
        for exchange in list(self._active):
            exchange.on_goaway(last)

    @property
    def shared(self) -> bool:
        """Whether HTTP/2 was agreed on."""
        return self.network is not None and self.network.framed

    def can_handle_request(self, origin: httpcore2.Origin) -> bool:
        """Tell whether it leads to this origin."""
        return self._inner.can_handle_request(origin)

    def is_available(self) -> bool:
        """Tell whether another request can be begun on it."""
        return (
            not self._retired
            and not self._failed
            and len(self._active) < self._bound.streams
            and self._inner.is_available()
        )

    def can_multiplex(self) -> bool:
        """Tell whether it carries several exchanges at one time."""
        return self.shared

    def has_expired(self) -> bool:
        """Tell whether it is to be closed, unused as it is."""
        return (self._retired and not self._active) or self._inner.has_expired()

    def is_connected(self) -> bool:
        """Tell whether there is a socket."""
        return self._inner.is_connected()

    def is_idle(self) -> bool:
        """Tell whether nothing is under way on it."""
        return not self._active and self._inner.is_idle()

    def is_closed(self) -> bool:
        """Tell whether it is of no more use."""
        return self._failed or self._inner.is_closed()

    def info(self) -> str:
        """Describe it."""
        return self._inner.info()

    async def aclose(self) -> None:
        """Close it."""
        await self._inner.aclose()
