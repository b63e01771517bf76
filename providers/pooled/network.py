"""The sockets under the connections of the pool, as httpcore2 wants them.

What this adds to the library's own: errors in our words; a connection whose writes no cancelled
request can tear in two, so that those who share it are not harmed; streams reset by frame; and a
look at the frames that say how long a shared connection will last.
"""

import ssl
from collections.abc import Iterable
from contextvars import ContextVar
from typing import Any, Protocol

import httpcore2
import trio

from providers.http import ConnectError, TLSError
from providers.http.connecting import plain

__all__ = ["CONNECTING", "Backend", "Network", "Owner"]

_WRITE_LIMIT = 5.0
"""Seconds for the upstream to take one write (16 KiB at most) on a shared connection."""

_FRAME_HEAD = 9
_SETTINGS = 4
_GOAWAY = 7
_MAX_STREAMS = 3
_LOOKED_AT = 16 * 1024
"""Bytes up to which a frame is held to be looked at whole."""


class Owner(Protocol):
    """The connection that a socket is for."""

    network: "Network | None"

    def on_layer(self, network: "Network") -> None:
        """The socket is connected, or TLS is spoken over it from now on."""

    def on_max_streams(self, count: int) -> None:
        """The upstream allows this many streams at one time."""

    def on_goaway(self, last: int) -> None:
        """The upstream will in order end the connection; streams after this one were not begun."""


CONNECTING: ContextVar[Owner] = ContextVar("connecting")
"""For which connection the present task is opening a socket."""


class Network(httpcore2.AsyncNetworkStream):
    """One socket, with or without TLS over it.

    Args:
        owner: The connection it is for.
        socket: The socket.
        secure: TLS over it, if any.
        layers: How many TLS layers there are.

    Attributes:
        received: Bytes that have come so far.
        ended: Whether the other side has closed it, or it broke.
        framed: Whether HTTP/2 was agreed on.
        layers: How many TLS layers there are.
    """

    def __init__(
        self,
        owner: Owner,
        socket: trio.SocketStream,
        secure: "trio.SSLStream[Any] | None" = None,
        layers: int = 0,
    ) -> None:
        self._owner = owner
        self._socket = socket
        self._secure = secure
        self._stream: trio.abc.Stream = secure or socket
        self._lock = trio.Lock()
        self._held = b""
        self._passing = 0
        self.layers = layers
        self.received = 0
        self.ended = False
        self.framed = secure is not None and secure.selected_alpn_protocol() == "h2"

    async def read(
        self,
        max_bytes: int,
        timeout: float | None = None,  # noqa: ARG002 - deadlines are the exchange's
    ) -> bytes:
        """Read some bytes; nothing where the other side closed properly."""
        while True:
            try:
                data = bytes(await self._stream.receive_some(max_bytes))
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                self.ended = True
                raise httpcore2.ReadError(_words(error)) from error
            if not data:
                self.ended = True
                return data
            self.received += len(data)
            if self.framed:
                data = self._sift(data)
            if data:
                return data

    async def write(
        self,
        buffer: bytes,
        timeout: float | None = None,  # noqa: ARG002 - deadlines are the exchange's
    ) -> None:
        """Send bytes; whole frames, on a shared connection, whatever becomes of who sends them."""
        if not buffer:
            return
        try:
            if not self.framed:
                await self._stream.send_all(buffer)
                return
            with trio.CancelScope(
                shield=True, deadline=trio.current_time() + _WRITE_LIMIT
            ) as scope:
                async with self._lock:
                    await self._stream.send_all(buffer)
            if scope.cancelled_caught:
                self.close()
                raise httpcore2.WriteError("the upstream takes nothing any more")
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise httpcore2.WriteError(_words(error)) from error

    async def reset(self, stream: int) -> None:
        """Tell the upstream that nobody waits for a stream any more (``RST_STREAM``, cancel)."""
        frame = b"\x00\x00\x04\x03\x00" + stream.to_bytes(4, "big") + (8).to_bytes(4, "big")
        try:
            await self.write(frame)
        except httpcore2.WriteError:
            self.close()

    async def aclose(self) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close the socket at once; whoever reads or writes gets an error."""
        self._socket.socket.close()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002 - deadlines are the exchange's
    ) -> httpcore2.AsyncNetworkStream:
        """Agree on keys with whoever is at the other end and verify the certificate.

        Raises:
            TLSError: It failed; the socket is closed.
        """
        secure = trio.SSLStream(self._stream, ssl_context, server_hostname=server_hostname)
        try:
            await secure.do_handshake()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self.close()
            raise _tls_error(server_hostname, error) from error
        except BaseException:
            self.close()
            raise
        network = Network(self._owner, self._socket, secure, self.layers + 1)
        self._owner.on_layer(network)
        return network

    def get_extra_info(self, info: str) -> Any:
        """Return what the library asks for: the TLS state, or whether bytes lie unread."""
        if info == "ssl_object":
            return self._secure
        if info == "is_readable":
            return self._socket.socket.is_readable()
        return None

    def _sift(self, data: bytes) -> bytes:
        """Return what the library is to see of bytes in frames.

        It would end every stream of a connection that announces its end, also those that the
        upstream goes on with; that frame is kept from it.
        """
        data = self._held + data
        seen = []
        while data:
            if self._passing:
                seen.append(data[: self._passing])
                data = data[self._passing :]
                self._passing -= len(seen[-1])
                continue
            if len(data) < _FRAME_HEAD:
                break
            size, kind = int.from_bytes(data[:3], "big"), data[3]
            if kind not in {_SETTINGS, _GOAWAY} or size > _LOOKED_AT:
                self._passing = _FRAME_HEAD + size
                continue
            end = _FRAME_HEAD + size
            if len(data) < end:
                break
            if self._look(kind, data[_FRAME_HEAD:end]):
                seen.append(data[:end])
            data = data[end:]
        self._held = data
        return b"".join(seen)

    def _look(self, kind: int, payload: bytes) -> bool:
        """Take note of a frame; return whether the library is to see it."""
        if kind == _SETTINGS:
            for start in range(0, len(payload) - 5, 6):
                if int.from_bytes(payload[start : start + 2], "big") == _MAX_STREAMS:
                    self._owner.on_max_streams(
                        int.from_bytes(payload[start + 2 : start + 6], "big")
                    )
            return True
        if len(payload) < 8 or payload[4:8] != b"\0\0\0\0":
            return True  # ended in anger: nothing on it goes on
        self._owner.on_goaway(int.from_bytes(payload[:4], "big") & 0x7FFFFFFF)
        return False


class Backend(httpcore2.AsyncNetworkBackend):
    """Opens sockets for the connection that the present task is making.

    Args:
        to: What is connected to, in words: the upstream, or the proxy.
    """

    def __init__(self, to: str) -> None:
        self._to = to

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - deadlines are the exchange's
        local_address: str | None = None,  # noqa: ARG002 - the system chooses
        socket_options: Iterable[httpcore2.SOCKET_OPTION] | None = None,  # noqa: ARG002 - none
    ) -> httpcore2.AsyncNetworkStream:
        """Connect.

        Raises:
            ConnectError: No connection; the text says why.
        """
        try:
            stream = await trio.open_tcp_stream(host, port)
        except OSError as error:
            raise ConnectError(f"cannot connect to {self._to}: {plain(error)}", error) from error
        network = Network(CONNECTING.get(), stream)
        CONNECTING.get().on_layer(network)
        return network


def _words(error: Exception) -> str:
    cause = error.__cause__
    return plain(cause) if isinstance(cause, OSError) else str(error)


def _tls_error(name: str | None, error: Exception) -> TLSError:
    cause = error.__cause__
    if isinstance(cause, ssl.SSLCertVerificationError):
        why = f"the certificate of {name} is not accepted: {cause.verify_message}"
    elif isinstance(cause, ssl.SSLEOFError) or not isinstance(cause, ssl.SSLError):
        why = f"{name} closed the connection during the TLS handshake"
    else:
        why = f"no TLS with {name}: {cause.reason or cause}"
    return TLSError(why, cause if isinstance(cause, Exception) else error)
