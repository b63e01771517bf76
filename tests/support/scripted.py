"""An upstream whose every byte the test decides: for lock-step and for faults nobody else makes.

A handler is called for each request with an `Exchange` and answers through it, or breaks it. It
runs on a thread of its own and may wait for the test (bounded), which is what lets a test prove
the order of events without a clock.
"""

import contextlib
import json
import socket
import ssl
import struct
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

PATIENCE = 20.0
"""Seconds any wait in here may last."""


class CallerGone(Exception):  # noqa: N818 - an event of the script, not an error
    """The caller closed the connection while the handler was still answering."""


@dataclass(frozen=True)
class Received:
    """One request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.body)


class Exchange:
    """One request and the means to answer it."""

    def __init__(self, sock: socket.socket, request: Received) -> None:
        self.request = request
        self.sock = sock
        self.reusable = True

    def raw(self, data: bytes) -> None:
        """Send bytes as they are."""
        try:
            self.sock.sendall(data)
        except OSError as error:
            raise CallerGone from error

    def answer(
        self,
        status: int,
        body: object,
        *,
        content_type: str = "application/json",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """Send a whole answer; a body that is not bytes is sent as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.raw(
            _head(
                status,
                {
                    "content-type": content_type,
                    "content-length": str(len(data)),
                    **(headers or {}),
                },
            )
            + data
        )

    def begin(self, content_type: str = "text/event-stream") -> None:
        """Send the head of a chunked answer."""
        self.raw(_head(200, {"content-type": content_type, "transfer-encoding": "chunked"}))

    def piece(self, data: bytes) -> None:
        """Send one chunk."""
        self.raw(b"%x\r\n%b\r\n" % (len(data), data))

    def finish(self) -> None:
        """End a chunked answer properly."""
        self.raw(b"0\r\n\r\n")

    def hang_up(self) -> None:
        """Close the connection in the middle of the answer, in order (FIN)."""
        self.reusable = False

    def reset(self) -> None:
        """Close the connection with a reset (RST)."""
        self.reusable = False
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def wait_gone(self, within: float = PATIENCE) -> bool:
        """Wait until the caller closes the connection; tell whether it did."""
        self.reusable = False
        self.sock.settimeout(within)
        try:
            return self.sock.recv(1) == b""
        except TimeoutError:
            return False
        except OSError:
            return True


Handler = Callable[[Exchange], None]


class Scripted:
    """A loopback HTTP server that calls `handler` for each request, from entry to exit.

    `requests` are all requests so far. An exception of the handler other than `CallerGone` fails
    the test when the block is left.

    Args:
        handler: Answers a request.
        tls: Speak TLS with this; callers who refuse the certificate are no error.
    """

    def __init__(self, handler: Handler, tls: ssl.SSLContext | None = None) -> None:
        self.handler = handler
        self._tls = tls
        self.requests: list[Received] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        self._errors: list[BaseException] = []
        self._closing = False

    @property
    def url(self) -> str:
        """The root URL, without a path."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        """Begin to accept."""
        self._start(self._accept)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close every connection, wait for the handlers, and raise what one of them raised."""
        with self._lock:
            self._closing = True
            for sock in (self._listener, *self._open):
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
        for thread in tuple(self._threads):
            thread.join(PATIENCE + 5)
        self._listener.close()
        if error is None and self._errors:
            raise self._errors[0]

    def _start(self, run: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=run, args=args, name="scripted", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                if self._closing:
                    sock.close()
                    return
                self._open.add(sock)
            self._start(self._serve, sock)

    def _serve(self, plain: socket.socket) -> None:
        plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock = plain
        try:
            if self._tls is not None:
                plain.settimeout(PATIENCE)
                sock = self._tls.wrap_socket(plain, server_side=True)
                with self._lock:
                    self._open = {*self._open - {plain}, sock}
            with sock.makefile("rb") as reader:
                while (request := _read_request(reader)) is not None:
                    exchange = Exchange(sock, request)
                    self.requests.append(request)
                    self.handler(exchange)
                    if not exchange.reusable:
                        return
        except (CallerGone, OSError):
            pass
        except BaseException as error:  # noqa: BLE001 - raised again in the test's own thread
            self._errors.append(error)
        finally:
            with self._lock:
                self._open -= {plain, sock}
            sock.close()
            plain.close()


def _read_request(reader: Any) -> Received | None:
    line = reader.readline()
    if not line:
        return None
    words = line.decode("latin-1").split(" ")
    if len(words) != 3 or not words[2].startswith("HTTP/"):
        return None  # someone who speaks another protocol
    method, path, _ = words
    headers: dict[str, str] = {}
    while (header := reader.readline().decode("latin-1").strip()) != "":
        name, _, value = header.partition(":")
        headers[name.lower()] = value.strip()
    assert "transfer-encoding" not in headers, "the caller sends its body with a length"
    body = reader.read(int(headers.get("content-length", "0")))
    return Received(method, path, headers, body)


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [
        f"HTTP/1.1 {status} Scripted",
        *(f"{name}: {value}" for name, value in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
