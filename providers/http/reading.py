"""From bytes to requests: what a client connection does with what it has read, free of any socket.

The reader wraps an httptools parser (llhttp in its strict mode: it refuses obsolete line folding,
bare line feeds, both Content-Length and Transfer-Encoding, and stray control characters) and keeps
what has been parsed. It is fed the same receive buffer again and again, so it copies what it keeps.
"""

from __future__ import annotations

from typing import Protocol

import httptools

from providers.http.errors import BadRequest, without_frames
from providers.http.head_memo import HeadMemo, HeadMemos
from providers.http.messages import Limits, Request

__all__ = ["Allowance", "RequestReader"]

_MOST_MISSES = 8
"""Heads in a row that were not the one before; then this connection's are no longer compared."""

_METHODS: dict[bytes, str] = {
    name.encode("ascii"): name
    for name in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "CONNECT")
}


def _buffer(view: memoryview) -> bytes | bytearray:
    """Return what a view from the beginning of a buffer looks at."""
    buffer = view.obj
    assert isinstance(buffer, bytes | bytearray)
    return buffer


class Allowance(Protocol):
    """Who says how much of requests' bodies may be held."""

    def take(self, size: int) -> None:
        """Hold some bytes more.

        Raises:
            BadRequest: There is no room for them.
        """

    def give(self, size: int) -> None:
        """Hold some bytes less."""


class RequestReader:
    """Parses requests, one after another, and holds the whole ones until they are taken.

    Attributes:
        ready: Whole requests, oldest first.
        failure: What was wrong with the bytes after the last ready request; nothing is read on.
        begun: Whether a request has begun that is not whole yet.
        in_head: Whether that request's head is still incomplete.
        wants_continue: Whether its sender waits for `100 Continue` before sending the body.
        held: Bytes of its body so far.
        allowance: Who is asked before more of a body is held than comes in one read; None for
            nobody.
    """

    __slots__ = (
        "_barren",
        "_body",
        "_charge",
        "_fed",
        "_finished",
        "_grown",
        "_head_checked",
        "_headers",
        "_heads",
        "_hosts",
        "_limits",
        "_memo",
        "_misses",
        "_parser",
        "_size",
        "_url",
        "allowance",
        "begun",
        "failure",
        "held",
        "in_head",
        "ready",
        "wants_continue",
    )

    def __init__(self, limits: Limits, heads: HeadMemos | None = None) -> None:
        self._limits = limits
        self._heads = HeadMemos() if heads is None else heads
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._hosts = 0
        self._body: bytes | bytearray = b""
        self._fed = 0
        self._size = 0
        self._grown = 0
        self._barren = 0
        self._charge = 0
        self.allowance: Allowance | None = None
        self._memo: HeadMemo | None = None
        self._misses = 0
        self._finished = False
        self._head_checked = False
        self.ready: list[Request] = []
        self.failure: BadRequest | None = None
        self.begun = False
        self.in_head = False
        self.wants_continue = False
        self.held = 0
        self._parser: httptools.HttpRequestParser | None = None

    def feed(self, data: memoryview) -> None:
        """Parse what was read; the outcome is in the attributes, errors included."""
        if self._finished or self.failure is not None:
            return
        self._size = len(data)
        fresh = not self.begun and not self.ready
        if fresh and self._memo is not None:
            request = self._memo.match(_buffer(data), self._size, self._limits.max_body)
            if request is not None:
                self._misses = 0
                self.ready.append(request)
                return
        parser = self._parser
        if parser is None:
            parser = self._parser = httptools.HttpRequestParser(self)
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data, upgrade.args[0])
        except httptools.HttpParserError as error:
            self._fail(error, data)
        if self.begun:
            self._check_unfinished(len(data))
        elif fresh and len(self.ready) == 1 and self.failure is None:
            self._remember(data)

    def _remember(self, data: memoryview) -> None:
        """Keep the head of the one request that a read was, unless heads change all the time."""
        if self._misses < _MOST_MISSES:
            self._misses += 1
            self._memo = self._heads.of(_buffer(data), self.ready[0])
            if self._memo is not None:
                # Most of its memory is the parser's, and chances are that it is not needed again.
                self._parser = None
        else:
            self._memo = None

    def close(self) -> None:
        """Let go of the parser (it and this object refer to each other)."""
        self._finished = True
        self._parser = None
        self._memo = None
        if self.allowance is not None:
            self.allowance.give(self._charge + sum(request.charge for request in self.ready))
            self._charge = 0
        self.ready.clear()
        self._body = b""

    @property
    def target(self) -> str:
        """The target of the request that has begun, or failed, as far as it was read."""
        return self._url.decode("latin-1")

    def on_message_begin(self) -> None:
        """A request's first byte."""
        self.begun = True
        self.in_head = True
        self._url = b""
        self._headers = []
        self._hosts = 0
        self._fed = 0
        self._head_checked = False

    def on_url(self, url: bytes) -> None:
        """A piece of the target."""
        self._url = self._url + url if self._url else url

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header line, or a trailer after a chunked body (which is ignored)."""
        if self.in_head:
            name = name.lower()
            if name == b"host":
                self._hosts += 1
            self._headers.append((name, value))

    def on_headers_complete(self) -> None:
        """The end of the head."""
        self.in_head = False
        self._body = b""
        self.held = 0
        limits = self._limits
        if len(self._url) > limits.max_line:
            raise BadRequest(
                414, f"the request's target is longer than {limits.max_line} bytes, the limit here"
            )
        if len(self._headers) > limits.max_headers:
            raise BadRequest(
                431, f"the request has more than {limits.max_headers} headers, the limit here"
            )
        if self._hosts > 1:
            raise BadRequest(400, "the request has more than one Host header")

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        self.held += len(data)
        if self.held > self._limits.max_body:
            raise self._too_large()
        body = self._body
        if not body:
            self._body = data
        elif isinstance(body, bytearray):
            body += data
        else:
            self._body = bytearray(body)
            self._body += data

    def on_message_complete(self) -> None:
        """The request is whole."""
        parser = self._parser
        assert parser is not None
        self.begun = False
        self.wants_continue = False
        version = parser.get_http_version()
        if version not in {"1.1", "1.0"}:
            raise BadRequest(505, f"HTTP version {version} is not spoken here; send HTTP/1.1")
        if len(self.ready) >= self._limits.max_pipelined:
            raise BadRequest(
                400,
                f"more than {self._limits.max_pipelined} requests were sent ahead of their answers",
            )
        headers = self._headers
        if not self._head_checked and self._fed + self._size > self._limits.max_header_bytes:
            self._check_header_bytes()
        raw = parser.get_method()
        body = self._body
        keep_alive = parser.should_keep_alive()
        self.ready.append(
            Request(
                _METHODS.get(raw) or raw.decode("ascii"),
                self._url.decode("ascii"),
                headers,
                body if isinstance(body, bytes) else bytes(body),
                keep_alive=keep_alive,
                http_version=version,
            )
        )
        if self._charge:
            self.ready[-1].charge = self._charge
            self._charge = 0
        self._headers = []
        self._body = b""
        self.held = 0
        if not keep_alive:
            self._finished = True

    def _too_large(self) -> BadRequest:
        return BadRequest(
            413,
            f"the request's body is larger than {self._limits.max_body} bytes, the limit here",
        )

    def _check_header_bytes(self) -> None:
        limit = self._limits.max_header_bytes
        if sum([len(name) + len(value) + 4 for name, value in self._headers]) > limit:
            raise BadRequest(431, f"the request's headers take more than {limit} bytes together")

    def _decline_upgrade(self, data: memoryview, offset: int) -> None:
        """Serve a request for another protocol as the plain request it also is (RFC 9110, 7.8)."""
        request = self.ready[-1]
        if request.method == "CONNECT":
            self.ready.pop()
            self.failure = BadRequest(501, "CONNECT is not served here")
        elif request.header(b"transfer-encoding") or (
            request.header(b"content-length") or b"0"
        ).strip(b"0"):
            self.ready.pop()
            self.failure = BadRequest(400, "a request with a body cannot ask for an upgrade here")
        elif offset < len(data):
            self.feed(data[offset:])

    def _fail(self, error: httptools.HttpParserError, data: memoryview) -> None:
        self.begun = False
        cause = error.__context__
        if isinstance(error, httptools.HttpParserCallbackError) and cause is not None:
            if not isinstance(cause, BadRequest):
                raise cause
            self.failure = without_frames(cause)
        elif self._finished:
            return  # more bytes after a request that said it is the last
        elif isinstance(error, httptools.HttpParserInvalidMethodError):
            word = bytes(data[:24]).split(b" ")[0]
            plausible = word.isalpha() and word.isupper() and word not in _METHODS
            if plausible and self._fed == 0 and len(word) < len(data):
                self.failure = BadRequest(501, f"the method {word.decode()} is not known here")
            else:
                self.failure = BadRequest(400, "malformed request: it does not begin with a method")
        elif "PRI" in str(error) or "HTTP version" in str(error):
            self.failure = BadRequest(505, "only HTTP/1.1 and HTTP/1.0 are spoken here")
        else:
            self.failure = BadRequest(400, f"malformed request: {error}")

    def _check_unfinished(self, size: int) -> None:
        """Look at a request that is not whole yet: is what there is of it acceptable?"""
        limits = self._limits
        if self.in_head:
            # Counted in whole reads, which is exact enough to bound memory; the exact check comes
            # with the end of the head.
            self._fed += size
            if len(self._url) > limits.max_line:
                self.failure = BadRequest(
                    414,
                    f"the request's target is longer than {limits.max_line} bytes, the limit here",
                )
            elif self._fed > limits.max_line + limits.max_header_bytes + size:
                self.failure = BadRequest(
                    431, f"the request's head takes more than {limits.max_header_bytes} bytes"
                )
        elif not self._head_checked:
            self._head_checked = True
            self._grown = self.held
            self._barren = 0
            try:
                self._check_head()
            except BadRequest as failure:
                self.failure = without_frames(failure)
        elif self.held > self._grown:
            self._grown = self.held
            self._barren = 0
            if self.held > self._charge and self.allowance is not None:
                try:
                    self._take(self.held - self._charge)
                except BadRequest as failure:
                    self.failure = without_frames(failure)
        else:
            # No body came, so it was the extension of a chunk or a trailer: neither is used, but
            # the parser gathers a trailer's value until it ends.
            self._barren += size
            if self._barren > limits.max_header_bytes:
                self.failure = BadRequest(
                    431,
                    f"more than {limits.max_header_bytes} bytes came without any of the body",
                )
        if self.failure is not None:
            self.begun = False

    def _take(self, size: int) -> None:
        if self.allowance is not None and size:
            self.allowance.take(size)
            self._charge += size

    def _check_head(self) -> None:
        self._check_header_bytes()
        length = 0
        version = self._parser.get_http_version() if self._parser is not None else ""
        expects = None
        for name, value in self._headers:
            if name == b"content-length":
                length = int(value)
                if length > self._limits.max_body:
                    raise self._too_large()
            if name == b"expect":
                expects = value
        if expects is not None and version != "1.0":
            if expects.lower() != b"100-continue":
                raise BadRequest(417, "the only expectation met here is 100-continue")
            self.wants_continue = self.held == 0
        # Before it is asked for: what there is no room for need not be sent.
        self._take(length or self.held)
