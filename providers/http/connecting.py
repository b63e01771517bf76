"""Making connections to upstreams."""

from __future__ import annotations

import errno
import math
import os
import socket
import ssl
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import trio

from providers.http.client import ClientConnection
from providers.http.errors import ConnectError, DeadlineExceeded
from providers.http.poller import Poller
from providers.http.tls import TLSClientConnection, default_ssl_context

__all__ = ["Target", "connect", "plain"]

_BACKLOG_PAUSE = 0.01
"""Seconds before trying again when a Unix socket's queue of connections is full."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where an upstream listens.

    Attributes:
        host: Name or address, without brackets.
        port: TCP port.
        tls: Whether to speak TLS.
        uds: Path of a Unix socket to connect to instead; `host` then only goes into headers.
        base_path: What stands before every request path; empty, or begins but does not end with a
            slash.
    """

    host: str
    port: int
    tls: bool = False
    uds: str | None = None
    base_path: str = ""

    @classmethod
    def from_url(cls, url: str, *, uds: str | None = None) -> Target:
        """Read `http://`, `https://`, or `unix:///path/to.sock` (also `http+unix://%2Fpath/base`).

        Args:
            url: The upstream's base address.
            uds: A Unix socket through which to reach it.

        Raises:
            ValueError: The address is none of these; the text says what is wrong.
        """
        if any(sign.isspace() or not sign.isprintable() for sign in url):
            raise ValueError("an address must not have blanks or control characters")
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ValueError(f"{url!r} is not an address: {error}") from None
        if parts.scheme == "unix":
            if not parts.path:
                raise ValueError(f"{url!r} has no socket path; write unix:///path/to.sock")
            return cls("localhost", 80, uds=unquote(parts.path))
        if parts.username is not None or parts.password is not None:
            raise ValueError("an address must not contain a user name or password")
        if parts.query or parts.fragment:
            raise ValueError(f"{url!r} must not have a query or fragment")
        base_path = parts.path.rstrip("/")
        if parts.scheme == "http+unix":
            if not parts.netloc:
                raise ValueError(f"{url!r} has no socket path; write http+unix://%2Fpath%2Fto.sock")
            return cls("localhost", 80, uds=unquote(parts.netloc), base_path=base_path)
        if parts.scheme not in {"http", "https"}:
            raise ValueError(f"{url!r} must begin with http://, https:// or unix://")
        if not parts.hostname:
            raise ValueError(f"{url!r} has no host")
        tls = parts.scheme == "https"
        return cls(parts.hostname, port or (443 if tls else 80), tls, uds, base_path)

    @property
    def authority(self) -> str:
        """Host and, unless it is the scheme's own, port: what goes into the Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"

    def __str__(self) -> str:
        if self.uds is not None:
            return self.uds
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


async def connect(
    poller: Poller,
    target: Target,
    *,
    deadline: float,
    ssl_context: ssl.SSLContext | None = None,
) -> ClientConnection:
    """Connect to an upstream, TLS handshake included.

    Args:
        poller: Where the connection will be registered.
        target: Where to connect to; of several addresses the first that answers is taken.
        deadline: Absolute `trio.current_time()` seconds.
        ssl_context: Trust for TLS; by default the system's, loaded anew each time.

    Raises:
        ConnectError: No connection; the text says why.
        TLSError: A connection, but no TLS, or not with whom it should be.
        DeadlineExceeded: It took too long.
    """
    with trio.move_on_at(deadline):
        sock = await (_open_unix(target.uds) if target.uds is not None else _open_tcp(target))
        if not target.tls:
            return _adopt(poller, sock)
        return await _secure(poller, sock, target, ssl_context)
    raise DeadlineExceeded(f"connecting to {target} took too long")


def _adopt(poller: Poller, sock: socket.socket) -> ClientConnection:
    try:
        return ClientConnection(poller, sock)
    except BaseException:
        sock.close()
        raise


async def _secure(
    poller: Poller,
    sock: socket.socket,
    target: Target,
    context: ssl.SSLContext | None,
) -> ClientConnection:
    try:
        if context is None:
            context = await trio.to_thread.run_sync(default_ssl_context)
        connection = TLSClientConnection(poller, sock, context, target.host)
    except BaseException:
        sock.close()
        raise
    try:
        await connection.handshake(math.inf)  # the caller bounds the whole
    except BaseException:
        connection.close()
        raise
    return connection


async def _open_tcp(target: Target) -> socket.socket:
    try:
        stream = await trio.open_tcp_stream(target.host, target.port)
    except OSError as error:
        raise ConnectError(f"cannot connect to {target}: {plain(error)}", error) from error
    return socket.socket(fileno=stream.socket.detach())


async def _open_unix(path: str) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.settimeout(0)
        while True:
            code = sock.connect_ex(path)
            if code == 0:
                return sock
            if code != errno.EAGAIN:
                raise OSError(code, os.strerror(code))  # noqa: TRY301 - joins what connect raises
            await trio.sleep(_BACKLOG_PAUSE)
    except OSError as error:
        sock.close()
        raise ConnectError(f"cannot connect to {path}: {plain(error)}", error) from error
    except BaseException:
        sock.close()
        raise


def plain(error: OSError) -> str:
    """Return the first cause of a connect error, in the words of the system."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, BaseExceptionGroup):
            cause = cause.exceptions[0]
            continue
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror[0].lower() + cause.strerror[1:]
        cause = cause.__cause__ or cause.__context__
    return str(error)
