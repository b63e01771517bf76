"""The connections of one provider that go through a proxy or speak HTTP/2."""

import ssl
from typing import Any

import httpcore2

from providers.http import ConnectError, Poller, Target
from providers.pooled.connection import PooledConnection, StreamBound
from providers.pooled.exchange import PooledExchange
from providers.pooled.network import Backend
from providers.proxies import Proxy

__all__ = ["Pool"]


class _Direct(httpcore2.AsyncConnectionPool):
    """The library's pool, of connections that tell more of themselves."""

    layers: int
    bound: StreamBound

    def create_connection(self, origin: httpcore2.Origin) -> httpcore2.AsyncConnectionInterface:
        return PooledConnection(super().create_connection(origin), self.layers, self.bound)


class _Proxied(httpcore2.AsyncHTTPProxy):
    """The same through a proxy."""

    layers: int
    bound: StreamBound

    def create_connection(self, origin: httpcore2.Origin) -> httpcore2.AsyncConnectionInterface:
        return PooledConnection(super().create_connection(origin), self.layers, self.bound)


class Pool:
    """Makes exchanges, and keeps the connections they leave behind.

    Args:
        target: The upstream.
        poller: Whose wheel keeps the askers' deadlines.
        proxy: What stands in between, if anything.
        http2: Whether to offer HTTP/2.
        ssl_context: Trust for the upstream's TLS; it belongs to the pool from now on.
        proxy_ssl_context: Trust for the proxy's own TLS.
        max_connections: How many connections there may be at one time.
        connect_timeout: Seconds for a connection, tunnel and TLS included.
    """

    def __init__(
        self,
        target: Target,
        poller: Poller,
        *,
        proxy: Proxy | None,
        http2: bool,
        ssl_context: ssl.SSLContext | None,
        proxy_ssl_context: ssl.SSLContext | None,
        max_connections: int,
        connect_timeout: float,
    ) -> None:
        self._target = target
        self._poller = poller
        self._proxy = proxy
        self.connect_timeout = connect_timeout
        self._scheme = b"https" if target.tls else b"http"
        # The scheme's own is left out of the address that a proxy is given.
        self._port = None if target.port == (443 if target.tls else 80) else target.port
        if proxy is None:
            self._pool: _Direct | _Proxied = _Direct(
                ssl_context=ssl_context,
                max_connections=max_connections,
                http2=http2,
                network_backend=Backend(str(target)),
            )
            self._pool.layers = int(target.tls)
        else:
            scheme = b"https" if proxy.tls else b"http"
            self._pool = _Proxied(
                httpcore2.URL(
                    scheme=scheme, host=proxy.host.encode("ascii"), port=proxy.port, target=b"/"
                ),
                proxy_auth=_encoded(proxy.credentials),
                ssl_context=ssl_context,
                proxy_ssl_context=proxy_ssl_context if proxy.tls else None,
                max_connections=max_connections,
                http2=http2,
                network_backend=Backend(f"the proxy {proxy}"),
            )
            self._pool.layers = int(target.tls) + int(proxy.tls)
        self._pool.bound = StreamBound()

    def exchange(self) -> PooledExchange:
        """Return an exchange that has not begun."""
        return PooledExchange(self._poller, self)

    def __len__(self) -> int:
        """How many connections there are."""
        return len(self._pool.connections)

    def close_idle(self, since: float) -> None:
        """Close the connections that have been idle since then or longer."""
        for connection in self._connections():
            if connection.is_idle() and connection.idle_since <= since:
                connection.retire()

    def close(self) -> None:
        """Close every connection now."""
        for connection in self._connections():
            connection.retire()
            connection.shut()

    def _connections(self) -> list[PooledConnection]:
        return [each for each in self._pool.connections if isinstance(each, PooledConnection)]

    # What an exchange asks for

    def request(self, payload: bytes, extensions: dict[str, Any]) -> httpcore2.Request:
        """Return a request as the library wants it, with the headers it has and no others."""
        head, _, body = payload.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        method, path, _ = first.split(b" ")
        headers = []
        for line in lines:
            name, _, value = line.partition(b": ")
            headers.append((name, value))
        return httpcore2.Request(
            method,
            httpcore2.URL(
                scheme=self._scheme,
                host=self._target.host.encode("ascii"),
                port=self._port,
                target=path,
            ),
            headers=headers,
            content=body,
            extensions=extensions,
        )

    async def send(self, request: httpcore2.Request) -> httpcore2.Response:
        """Send it on a connection of the pool."""
        return await self._pool.handle_async_request(request)

    def refusal(self, error: Exception | None, status: int | None) -> ConnectError | None:
        """Return what a proxy's refusal means; None where it is none."""
        proxy = self._proxy
        if proxy is None:
            return None
        if isinstance(error, httpcore2.ProxyError):
            return ConnectError(f"the proxy {proxy} refuses to connect: {error}", error)
        if status == 407 and not self._target.tls:
            text = f"the proxy {proxy} refuses to connect: 407 Proxy Authentication Required"
            return ConnectError(text)
        return None

    def too_late(self) -> ConnectError:
        """Return what it means that there was no connection in time."""
        through = f" through the proxy {self._proxy}" if self._proxy is not None else ""
        return ConnectError(
            f"no connection to {self._target}{through} within {self.connect_timeout:g} s"
        )


def _encoded(credentials: tuple[str, str] | None) -> tuple[bytes, bytes] | None:
    if credentials is None:
        return None
    return credentials[0].encode(), credentials[1].encode()
