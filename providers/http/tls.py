"""TLS to upstreams: the same client connection with `ssl.SSLObject` between it and the socket."""

from __future__ import annotations

import contextlib
import socket
import ssl
from typing import cast

from providers.http.client import ClientConnection
from providers.http.errors import ConnectionLost, TLSError
from providers.http.poller import Poller

__all__ = ["TLSClientConnection", "default_ssl_context"]


def default_ssl_context() -> ssl.SSLContext:
    """A context that trusts the system's authorities, checks names and speaks TLS 1.2 or later.

    `SSL_CERT_FILE` and `SSL_CERT_DIR` in the environment override where the authorities are.
    Loading them takes some 20 ms, so make one and share it.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


class TLSClientConnection(ClientConnection):
    """A client connection through TLS; `handshake` first.

    Args:
        poller: Where the socket is registered.
        sock: A connected socket.
        context: Trust and versions.
        hostname: The name the certificate must be for, also sent as SNI.
    """

    __slots__ = ("_closed_properly", "_from_socket", "_hostname", "_shaken", "_tls", "_to_socket")

    def __init__(
        self, poller: Poller, sock: socket.socket, context: ssl.SSLContext, hostname: str
    ) -> None:
        self._from_socket = ssl.MemoryBIO()
        self._to_socket = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._from_socket, self._to_socket, server_hostname=hostname)
        self._hostname = hostname
        self._shaken = False
        self._closed_properly = False
        super().__init__(poller, sock)

    async def handshake(self, deadline: float) -> None:
        """Agree on keys and verify the certificate.

        Raises:
            TLSError: It failed; the connection is closed.
            DeadlineExceeded: It took too long; close the connection.
        """
        self._continue_handshake()
        while not self._shaken:
            if self.closed:
                failure = self._loss()
                if isinstance(failure, TLSError):
                    try:
                        raise failure
                    finally:
                        del failure  # its traceback holds this frame
                reason = failure.reason if isinstance(failure, ConnectionLost) else failure
                raise TLSError(
                    f"{self._hostname} closed the connection during the TLS handshake", reason
                )
            await self._wait(deadline)

    def close(self, reason: Exception | None = None) -> None:
        """Close at once, telling the peer that nothing was cut off where the socket takes it."""
        if self._shaken and not self.closed and not self.unsent:
            with contextlib.suppress(ssl.SSLError):  # the peer's own notice is not waited for
                self._tls.unwrap()
            self._flush()
        super().close(reason)

    def _continue_handshake(self) -> None:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLCertVerificationError as error:
            self._flush()
            self._shut(
                TLSError(
                    f"the certificate of {self._hostname} is not accepted: {error.verify_message}",
                    error,
                )
            )
            return
        except ssl.SSLError as error:
            self._flush()
            self._shut(TLSError(f"no TLS with {self._hostname}: {error.reason or error}", error))
            return
        self._flush()
        self._shaken = True
        self._wake()

    def _flush(self) -> None:
        if self._to_socket.pending:
            data = self._to_socket.read()
            try:
                super()._send_raw(data)
            except OSError as error:
                self._stop_sending(error)

    def _send_raw(self, data: bytes) -> None:
        try:
            self._tls.write(data)
        except ssl.SSLError as error:
            raise OSError(f"TLS refuses to send: {error.reason or error}") from error
        super()._send_raw(self._to_socket.read())

    def _on_readable(self) -> None:
        poller = self._poller
        try:
            size = self._sock.recv_into(poller.buffer)
        except BlockingIOError:
            return
        except OSError as error:
            self._on_end(error)
            return
        if not size:
            self._on_end(None)
            return
        self._from_socket.write(poller.view[:size])
        if not self._shaken:
            self._continue_handshake()
        # Everything decrypted now must be taken: the socket will not become ready for it again.
        while self._shaken and not self.closed:
            try:
                size = cast("int", self._tls.read(len(poller.buffer), poller.buffer))
            except ssl.SSLWantReadError:
                break
            except ssl.SSLZeroReturnError:
                size = 0
            except ssl.SSLError as error:
                self._on_end(error)
                return
            if not size:
                self._closed_properly = True
                self._on_end(None)
                return
            self._feed(poller.view[:size])
        if not self.closed:
            self._flush()

    def _ended_properly(self) -> bool:
        """Without the peer's close notice anybody on the way could have cut the stream."""
        return self._closed_properly
