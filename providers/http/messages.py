"""Requests and response heads as values, and heads as bytes to send."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from http import HTTPStatus
from typing import Any

import msgspec

__all__ = [
    "LAST_CHUNK",
    "REASONS",
    "Limits",
    "Request",
    "ResponseHead",
    "chunk",
    "request_head",
    "response_head",
]

Headers = Sequence[tuple[bytes, bytes]]

REASONS: dict[int, str] = {status.value: status.phrase for status in HTTPStatus} | {
    413: "Content Too Large",
    529: "Overloaded",
}
"""The reason phrase of each status."""

LAST_CHUNK = b"0\r\n\r\n"
"""Ends a chunked body."""

_STATUS_LINES: dict[int, bytes] = {
    status: f"HTTP/1.1 {status} {phrase}".encode("ascii") for status, phrase in REASONS.items()
}


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on what a client may send and how long it may take.

    Attributes:
        max_line: Bytes in the request's target.
        max_header_bytes: Bytes in all header lines together.
        max_headers: Number of header lines.
        max_body: Bytes in the body.
        max_pipelined: Requests a client may send ahead of the one being answered.
        header_timeout: Seconds to send the head, from its first byte.
        body_timeout: Seconds to send the body, from the head's end.
        idle_timeout: Seconds a connection may wait for its next request.
        write_timeout: Seconds a client may leave an answer unread.
    """

    max_line: int = 16 * 1024
    max_header_bytes: int = 64 * 1024
    max_headers: int = 128
    max_body: int = 32 * 1024 * 1024
    max_pipelined: int = 64
    header_timeout: float = 10.0
    body_timeout: float = 60.0
    idle_timeout: float = 120.0
    write_timeout: float = 60.0


class Request:
    """One whole request.

    Attributes:
        method: Upper case, `POST`.
        target: As sent, `/v1/models?limit=3`.
        headers: Names in lower case, in the order sent.
        body: The body without its transfer coding.
        keep_alive: Whether the client wants the connection kept.
        http_version: `1.1` or `1.0`; a client of 1.0 cannot read a chunked answer.
        derived: What others have derived from the head, under keys of their own. Requests of one
            connection whose heads are the same share it, and their `headers`, which therefore
            nobody may change; the `content-length` among them is then the first one's.
        charge: Bytes of the body that an allowance was taken for, to be given back.
    """

    __slots__ = (
        "body",
        "charge",
        "derived",
        "headers",
        "http_version",
        "keep_alive",
        "method",
        "target",
    )

    def __init__(
        self,
        method: str,
        target: str,
        headers: list[tuple[bytes, bytes]],
        body: bytes,
        *,
        keep_alive: bool,
        http_version: str,
        derived: dict[object, Any] | None = None,
    ) -> None:
        self.derived: dict[object, Any] = {} if derived is None else derived
        self.method = method
        self.target = target
        self.headers = headers
        self.body = body
        self.charge = 0
        self.keep_alive = keep_alive
        self.http_version = http_version

    @property
    def path(self) -> str:
        """The target's path, without its query; also of a target with scheme and host."""
        target = self.target
        if not target.startswith("/") and "://" in target:
            _, _, rest = target.partition("://")
            slash = rest.find("/")
            target = "/" if slash < 0 else rest[slash:]
        return target.partition("?")[0]

    @property
    def query(self) -> str:
        """What follows the first question mark, or nothing."""
        return self.target.partition("?")[2]

    def header(self, name: bytes) -> bytes | None:
        """The value of the first header of this lower-case name, or None."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path} {len(self.body)} bytes>"


class ResponseHead:
    """Status and headers of a response.

    Attributes:
        status: 200 to 599; interim responses are never shown.
        headers: Names in lower case, in the order sent.
        keep_alive: Whether the upstream keeps the connection after this response.
        has_body: False for what has none by its nature: answers to HEAD, 204, 304.
    """

    __slots__ = ("has_body", "headers", "keep_alive", "status")

    def __init__(
        self,
        status: int,
        headers: list[tuple[bytes, bytes]],
        *,
        keep_alive: bool,
        has_body: bool = True,
    ) -> None:
        self.status = status
        self.headers = headers
        self.keep_alive = keep_alive
        self.has_body = has_body

    def header(self, name: bytes) -> bytes | None:
        """The value of the first header of this lower-case name, or None."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    @property
    def has_length(self) -> bool:
        """Whether the length of the body was announced."""
        return self.header(b"content-length") is not None

    @property
    def chunked(self) -> bool:
        """Whether the body comes in chunks."""
        coding = self.header(b"transfer-encoding")
        return coding is not None and b"chunked" in coding.lower()

    @property
    def eof_delimited(self) -> bool:
        """Whether the body ends where the connection does, so that a cut cannot be told."""
        return self.has_body and not self.has_length and not self.chunked

    def __repr__(self) -> str:
        return f"<ResponseHead {self.status}>"


def _head(first_line: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    lines = [first_line, *map(b": ".join, headers), b"", b""]
    count = len(lines) - 1
    head = b"\r\n".join(lines)
    if head.count(b"\n") != count or head.count(b"\r") != count or b"\0" in head:
        raise ValueError("a header or the first line contains a line break or a null byte")
    return head


def response_head(status: int, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The bytes of a response's head, empty line included.

    Args:
        status: The HTTP status.
        headers: Names and values, sent in this order; nothing is added.

    Raises:
        ValueError: A header contains a line break.
    """
    line = _STATUS_LINES.get(status)
    if line is None:
        line = f"HTTP/1.1 {status} Unknown".encode("ascii")
    return _head(line, headers)


def request_head(method: str, target: str, headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The bytes of a request's head, empty line included.

    Args:
        method: The HTTP method.
        target: Path and query.
        headers: Names and values, sent in this order; nothing is added, `host` included.

    Raises:
        ValueError: A header or the target contains a line break, or the target a blank.
    """
    if " " in target:
        raise ValueError(f"a request target cannot contain a blank: {target!r}")
    return _head(f"{method} {target} HTTP/1.1".encode("latin-1"), headers)


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body; nothing for no data, as an empty chunk would end the body."""
    return b"%x\r\n%b\r\n" % (len(data), data) if data else b""
