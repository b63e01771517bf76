"""A small HTTP proxy on loopback: tunnels, plain forwarding, passwords, refusals, sudden death."""

import base64
import contextlib
import selectors
import socket
import threading
from types import TracebackType
from typing import Literal, Self

Mood = Literal["helpful", "refusing", "dying", "silent"]


class Proxy:
    """A proxy that reaches every host at one port of this machine, from entry to exit.

    So an upstream may have a name that no resolver knows: only the proxy can have found it.

    Args:
        to: The port where every host is.
        credentials: ``user:password`` that it asks for.
        mood: `refusing` answers 502; `dying` closes instead of answering; `silent` never answers.

    Attributes:
        asked: The first lines of all requests to the proxy itself.
        heads: Their whole heads.
    """

    def __init__(self, to: int, credentials: str | None = None, mood: Mood = "helpful") -> None:
        self._to = to
        self._wanted = None
        if credentials is not None:
            self._wanted = b"Basic " + base64.b64encode(credentials.encode())
        self.mood = mood
        self.asked: list[str] = []
        self.heads: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=512)
        self.port: int = self._listener.getsockname()[1]
        self._open: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []
        self._closing = False

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
        self.cut()
        for thread in self._threads:
            thread.join(10)

    def cut(self) -> None:
        """Break every connection that is open."""
        for sock in list(self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)

    def _start(self, target: object, *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)  # type: ignore[arg-type] # any function
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._start(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        self._open.add(sock)
        try:
            self._talk(sock)
        except OSError:
            pass
        finally:
            self._open.discard(sock)
            sock.close()

    def _talk(self, sock: socket.socket) -> None:
        data = b""
        while b"\r\n\r\n" not in data:
            piece = sock.recv(65536)
            if not piece:
                return
            data += piece
        head, _, rest = data.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        self.asked.append(first.decode())
        self.heads.append(head)
        headers = {
            name.lower(): value for name, _, value in (line.partition(b": ") for line in lines)
        }
        if self.mood == "dying":
            return
        if self.mood == "silent":
            sock.recv(1)
            return
        if self.mood == "refusing":
            sock.sendall(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n")
            return
        if self._wanted is not None and headers.get(b"proxy-authorization") != self._wanted:
            sock.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            return
        with socket.create_connection(("127.0.0.1", self._to)) as beyond:
            if first.startswith(b"CONNECT "):
                sock.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                beyond.sendall(rest)
            else:
                method, url, version = first.split(b" ")
                path = b"/" + url.split(b"://", 1)[1].partition(b"/")[2]
                kept = [line for line in lines if not line.lower().startswith(b"proxy-")]
                beyond.sendall(b"\r\n".join([b" ".join((method, path, version)), *kept, b"", rest]))
            _pump(sock, beyond)


def _pump(one: socket.socket, other: socket.socket) -> None:
    """Copy both ways until either side ends."""
    with selectors.DefaultSelector() as selector:
        selector.register(one, selectors.EVENT_READ, other)
        selector.register(other, selectors.EVENT_READ, one)
        while True:
            for key, _ in selector.select():
                assert isinstance(key.fileobj, socket.socket)
                data = key.fileobj.recv(65536)
                if not data:
                    return
                key.data.sendall(data)
