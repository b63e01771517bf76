"""An HTTP/2 upstream over TLS whose every stream the test decides, made with h2."""

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions
import h2.settings

PATIENCE = 20.0
"""Seconds any wait in here may last."""


@dataclass
class Stream:
    """One request and the means to answer it, from any thread."""

    connection: "Connection"
    number: int
    headers: dict[str, str]
    order: list[str]
    body: bytes = b""
    was_reset: threading.Event = field(default_factory=threading.Event)

    @property
    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.body)

    def begin(self, content_type: str, status: int = 200) -> None:
        """Send the head."""
        headers = [(":status", str(status)), ("content-type", content_type)]
        self.connection.do(lambda h2: h2.send_headers(self.number, headers))

    def piece(self, data: bytes) -> None:
        """Send some of the body."""
        for start in range(0, len(data), 16_000):
            part = data[start : start + 16_000]
            self.connection.send(self.number, part)

    def finish(self, last: bytes = b"") -> None:
        """End the answer properly; the end comes in one frame with the last of the body, if any."""
        if last:
            self.connection.do(lambda h2: h2.send_data(self.number, last, end_stream=True))
        else:
            self.connection.do(lambda h2: h2.end_stream(self.number))

    def answer(
        self, body: bytes, status: int = 200, content_type: str = "application/json"
    ) -> None:
        """Send a whole answer."""
        self.begin(content_type, status)
        self.piece(body)
        self.finish()

    def reset(self) -> None:
        """Break the stream off."""
        code = h2.errors.ErrorCodes.INTERNAL_ERROR
        self.connection.do(lambda h2: h2.reset_stream(self.number, code))


class Connection:
    """One connection of a caller's."""

    def __init__(self, upstream: "Http2Upstream", sock: ssl.SSLSocket) -> None:
        self._upstream = upstream
        self._sock = sock
        self._lock = threading.RLock()
        self._h2 = h2.connection.H2Connection(
            h2.config.H2Configuration(client_side=False, header_encoding="utf-8")
        )
        self._streams: dict[int, Stream] = {}

    def do(self, what: Callable[[h2.connection.H2Connection], object]) -> None:
        """Do something with the protocol's state and send what comes of it."""
        with self._lock:
            what(self._h2)
            self._sock.sendall(self._h2.data_to_send())

    def send(self, number: int, data: bytes) -> None:
        """Send some of a stream's body."""
        self.do(lambda h2: h2.send_data(number, data))

    def goaway(self, last: int) -> None:
        """Announce that the connection ends in order, after the stream `last`."""
        frame = b"\0\0\x08\x07\0\0\0\0\0" + last.to_bytes(4, "big") + b"\0\0\0\0"
        with self._lock:
            self._sock.sendall(frame)

    def close(self) -> None:
        """Close at once."""
        with contextlib.suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)

    def serve(self) -> None:
        """Read until the caller is gone."""
        streams = h2.settings.SettingCodes.MAX_CONCURRENT_STREAMS
        self._h2.local_settings = h2.settings.Settings(
            client=False, initial_values={streams: self._upstream.max_streams}
        )
        self.do(lambda h2: h2.initiate_connection())
        while True:
            data = self._sock.recv(65536)
            if not data:
                return
            with self._lock:
                events = self._h2.receive_data(data)
                self._sock.sendall(self._h2.data_to_send())
            for event in events:
                self._on_event(event)

    def _on_event(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            pairs = [(str(name), str(value)) for name, value in event.headers or ()]
            number = event.stream_id or 0
            order = [name for name, _ in pairs]
            self._streams[number] = Stream(self, number, dict(pairs), order)
        elif isinstance(event, h2.events.DataReceived):
            stream = self._streams[event.stream_id or 0]
            stream.body += event.data or b""
            size = event.flow_controlled_length or 0
            self.do(lambda h2: h2.acknowledge_received_data(size, stream.number))
        elif isinstance(event, h2.events.StreamEnded):
            self._upstream.on_request(self._streams[event.stream_id or 0])
        elif isinstance(event, h2.events.StreamReset):
            self._streams[event.stream_id or 0].was_reset.set()


class Http2Upstream:
    """A loopback HTTP/2 server that calls `handler` on a thread for each request.

    Args:
        handler: Answers a stream.
        tls: The certificate; HTTP/2 is offered over it.
        max_streams: How many streams it allows on a connection at one time.

    Attributes:
        streams: All requests so far.
        connections: How many connections there have been.
    """

    def __init__(
        self, handler: Callable[[Stream], None], tls: ssl.SSLContext, max_streams: int = 250
    ) -> None:
        self._handler = handler
        self._tls = tls
        tls.set_alpn_protocols(["h2"])
        self.max_streams = max_streams
        self.streams: list[Stream] = []
        self.connections = 0
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._closing = False
        self._threads: list[threading.Thread] = []

    @property
    def url(self) -> str:
        """The root URL, without a path."""
        return f"https://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)

    def on_request(self, stream: Stream) -> None:
        """A request is whole."""
        self.streams.append(stream)
        self._start(self._answer, stream)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, sock)

    def _serve(self, plain: socket.socket) -> None:
        self.connections += 1
        self._open.add(plain)
        with contextlib.suppress(OSError), self._tls.wrap_socket(plain, server_side=True) as sock:
            self._open.add(sock)
            try:
                Connection(self, sock).serve()
            finally:
                self._open.discard(sock)
        self._open.discard(plain)

    def _answer(self, stream: Stream) -> None:
        with contextlib.suppress(OSError, h2.exceptions.ProtocolError):  # the caller is gone
            self._handler(stream)
