"""Bytes over the socket as no HTTP library would send them, and what came back."""

import contextlib
import http.client
import socket
from pathlib import Path

from tests.support.daemon import Reply


def send(path: Path, *pieces: bytes, half_close: bool = False, timeout: float = 15.0) -> Reply:
    """Send `pieces` as they are on a connection of their own and read one answer.

    A daemon that has said no and closed may not have taken everything; that is no error here.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(timeout)
        sock.connect(str(path))
        for piece in pieces:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                sock.sendall(piece)
        if half_close:
            sock.shutdown(socket.SHUT_WR)
        return read(sock)


def read(sock: socket.socket, method: str = "GET") -> Reply:
    """Read one whole answer."""
    answer = http.client.HTTPResponse(sock, method=method)
    try:
        answer.begin()
        headers = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, headers, answer.read())
    finally:
        answer.close()


def post(target: str, body: bytes, *headers: bytes) -> bytes:
    """Return the bytes of a POST with a JSON body and any further header lines."""
    lines = [
        b"POST " + target.encode() + b" HTTP/1.1",
        b"host: localhost",
        b"content-type: application/json",
        b"content-length: %d" % len(body),
        *headers,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
