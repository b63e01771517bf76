"""The task of a provider that is reached through a proxy, or over HTTP/2."""

import math
from collections.abc import Mapping
from functools import partial

import trio

from providers.actor import Acquire, ProviderActor, Release
from providers.failures import Failure, FailureKind
from providers.http import ConnectError, Poller, TLSError, default_ssl_context
from providers.interface import ProviderInterface
from providers.pooled.exchange import PooledExchange
from providers.pooled.pool import Pool
from providers.proxies import Proxy
from supervision import PendingCall

__all__ = ["PooledProviderActor"]


class PooledProviderActor(ProviderActor):
    """As `ProviderActor`, with the connections in a pool that exchanges may share.

    Each exchange is a helper task of this actor, and ends with it.

    Args:
        provider: How to speak to the upstream.
        poller: Whose wheel keeps the askers' deadlines.
    """

    def __init__(self, provider: ProviderInterface, poller: Poller) -> None:
        super().__init__(provider, poller)
        url = provider.settings.proxy
        self._proxy = Proxy.from_url(url) if url is not None else None
        self._pool: Pool | None = None

    async def init(self) -> None:
        """Load the trust store and make the pool."""
        target, proxy, settings = self._provider.target, self._proxy, self._settings
        await super().init()
        through = None
        if proxy is not None and proxy.tls:
            through = await trio.to_thread.run_sync(default_ssl_context)
        self._pool = Pool(
            target,
            self._poller,
            proxy=proxy,
            http2=settings.http2,
            ssl_context=self._ssl,
            proxy_ssl_context=through,
            max_connections=settings.max_connections,
            connect_timeout=settings.connect_timeout,
        )

    async def handle_call(self, message: object, caller: PendingCall) -> object:
        """Begin an exchange now, or let the asker wait for its turn."""
        assert self._pool is not None
        if isinstance(message, Acquire) and message.fresh:
            self._pool.close_idle(math.inf)  # one of them has just proved stale
        return await super().handle_call(message, caller)

    async def handle_cast(self, message: object) -> None:
        """Take an exchange back and begin one for whoever waits."""
        if (
            isinstance(message, Release)
            and isinstance(message.connection, PooledExchange)
            and message.connection.when_over(partial(self.ref.cast, message))
        ):
            return  # its place is taken until the upstream is done with it
        await super().handle_cast(message)
        if self._sweep_at == math.inf:
            self._sweep_later()

    def cleanup(self) -> None:
        """Close every connection: askers in mid-exchange learn at once that their provider died."""
        super().cleanup()
        if self._pool is not None:
            self._pool.close()

    def describe(self) -> Mapping[str, object]:
        """Return what the tree shows of a provider."""
        facts = dict(super().describe())
        facts["connections"] = len(self._pool or ())
        if self._proxy is not None:
            facts["proxy"] = str(self._proxy)
        facts["http2"] = self._settings.http2
        return facts

    def _open_where_needed(self) -> None:
        """Begin the exchanges of those who wait, within the limit."""
        assert self._pool is not None
        while self._waiting and len(self._busy) < self._settings.max_connections:
            waiter = self._waiting.take(kept=False)
            assert waiter is not None
            self._begin(self._pool.exchange(), waiter)

    def _begin(self, exchange: PooledExchange, caller: PendingCall) -> None:
        message: Acquire = caller.message
        self._busy.add(exchange)
        caller.on_withdrawn(partial(self._abandon, exchange))
        exchange.begin(
            message.request or b"",
            partial(self._on_answer, exchange, caller),
            message.deadline,
            partial(self.spawn, name=f"{self.ref.name} exchange"),
        )

    def _on_answer(self, exchange: PooledExchange, caller: PendingCall) -> None:
        """There is news of an exchange: without a connection there is nothing to lend."""
        failure = exchange.failure
        if not isinstance(failure, ConnectError):
            caller.reply(exchange)
            return
        kind: FailureKind = "tls" if isinstance(failure, TLSError) else "connect"
        self._last_error = str(failure)
        self._busy.discard(exchange)
        self._unserved += 1
        caller.fail(Failure(kind, self._provider.name, str(failure)))
        self._open_where_needed()

    def _sweep(self) -> None:
        super()._sweep()
        pool = self._pool
        assert pool is not None
        pool.close_idle(trio.current_time() - self._settings.idle_timeout)
        if len(pool):
            self._sweep_later()
