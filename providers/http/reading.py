"""From bytes to messages: what a connection does with what it has read, free of any socket.

Both readers wrap an httptools parser (llhttp in its strict mode: it refuses obsolete line folding,
bare line feeds, both Content-Length and Transfer-Encoding, and stray control characters) and keep
what has been parsed. They are fed the same receive buffer again and again, so they copy what they
keep.
"""

from __future__ import annotations

import httptools

from providers.http.errors import BadRequest, ProtocolError
from providers.http.head_memo import HeadMemo
from providers.http.messages import Limits, Request, ResponseHead

__all__ = ["RequestReader", "ResponseReader"]

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


class RequestReader:
    """Parses requests, one after another, and holds the whole ones until they are taken.

    Attributes:
        ready: Whole requests, oldest first.
        failure: What was wrong with the bytes after the last ready request; nothing is read on.
        begun: Whether a request has begun that is not whole yet.
        in_head: Whether that request's head is still incomplete.
        wants_continue: Whether its sender waits for `100 Continue` before sending the body.
        held: Bytes of its body so far.
    """

    __slots__ = (
        "_body",
        "_fed",
        "_finished",
        "_head_checked",
        "_headers",
        "_hosts",
        "_limits",
        "_memo",
        "_misses",
        "_parser",
        "_size",
        "_url",
        "begun",
        "failure",
        "held",
        "in_head",
        "ready",
        "wants_continue",
    )

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._url = b""
        self._headers: list[tuple[bytes, bytes]] = []
        self._hosts = 0
        self._body: bytes | bytearray = b""
        self._fed = 0
        self._size = 0
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
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)

    def feed(self, data: memoryview) -> None:
        """Parse what was read; the outcome is in the attributes, errors included."""
        parser = self._parser
        if parser is None or self._finished or self.failure is not None:
            return
        self._size = len(data)
        fresh = not self.begun and not self.ready
        if fresh and self._memo is not None:
            request = self._memo.match(_buffer(data), self._size, self._limits.max_body)
            if request is not None:
                self._misses = 0
                self.ready.append(request)
                return
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
            self._memo = HeadMemo.of(_buffer(data), self.ready[0])
        else:
            self._memo = None

    def close(self) -> None:
        """Let go of the parser (it and this object refer to each other)."""
        self._parser = None
        self.ready.clear()
        self._body = b""

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
            self.failure = cause
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
            try:
                self._check_head()
            except BadRequest as failure:
                self.failure = failure
        if self.failure is not None:
            self.begun = False

    def _check_head(self) -> None:
        self._check_header_bytes()
        version = self._parser.get_http_version() if self._parser is not None else ""
        expects = None
        for name, value in self._headers:
            if name == b"content-length" and int(value) > self._limits.max_body:
                raise self._too_large()
            if name == b"expect":
                expects = value
        if expects is not None and version != "1.0":
            if expects.lower() != b"100-continue":
                raise BadRequest(417, "the only expectation met here is 100-continue")
            self.wants_continue = self.held == 0


class ResponseReader:
    """Parses the responses of one connection, each after `begin`.

    Attributes:
        head: The response's head, once it is whole.
        pieces: What has been parsed of the body and not taken.
        held: Bytes in `pieces`.
        complete: Whether the response has come to its proper end. True before the first one.
        started: Whether any byte of the response has come.
        surplus: Whether the upstream sent more than it was asked for.
    """

    __slots__ = (
        "_headers",
        "_in_head",
        "_interim",
        "_no_body",
        "_parser",
        "complete",
        "head",
        "held",
        "pieces",
        "started",
        "surplus",
    )

    def __init__(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._in_head = False
        self._interim = False
        self._no_body = False
        self.head: ResponseHead | None = None
        self.pieces: list[bytes] = []
        self.held = 0
        self.complete = True
        self.started = False
        self.surplus = False
        self._parser: httptools.HttpResponseParser | None = httptools.HttpResponseParser(self)

    def begin(self, *, no_body: bool = False) -> None:
        """Await the next response; without a body, whatever its headers say, when `no_body`."""
        self.head = None
        self.pieces = []
        self.held = 0
        self.complete = False
        self.started = False
        self._no_body = no_body
        self._interim = False

    def feed(self, data: memoryview) -> None:
        """Parse what was read.

        Raises:
            ProtocolError: It is not HTTP.
        """
        parser = self._parser
        if self.complete or parser is None:
            self.surplus = True
            return
        self.started = True
        try:
            parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            raise ProtocolError("the upstream switched protocols without being asked") from None
        except httptools.HttpParserError as error:
            self._refuse(error)

    def close(self) -> None:
        """Let go of the parser (it and this object refer to each other)."""
        self._parser = None

    def _refuse(self, error: httptools.HttpParserError) -> None:
        if self.complete:
            self.surplus = True
            return
        cause = error.__context__
        if isinstance(error, httptools.HttpParserCallbackError) and cause is not None:
            raise cause from None
        raise ProtocolError(f"the upstream did not answer in HTTP/1.1: {error}") from None

    def take(self) -> bytes:
        """All of the body that has been parsed since the last time."""
        pieces = self.pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.pieces = []
        self.held = 0
        return data

    def on_message_begin(self) -> None:
        """A response's first byte."""
        if self.complete:
            self.surplus = True
            raise ProtocolError("the upstream sent more than one response")
        self._headers = []
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header line, or a trailer after a chunked body (which is ignored)."""
        if self._in_head:
            self._headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        """The end of the head."""
        self._in_head = False
        parser = self._parser
        assert parser is not None
        status = parser.get_status_code()
        if 100 < status < 200 or status == 100:
            if status == 101:
                raise ProtocolError("the upstream switched protocols without being asked")
            self._interim = True
            return
        if not 200 <= status <= 599:
            raise ProtocolError(f"the upstream answered with status {status}, which is none")
        self._interim = False
        self.head = ResponseHead(
            status,
            self._headers,
            keep_alive=parser.should_keep_alive(),
            has_body=not self._no_body and status not in {204, 304},
        )
        if self._no_body:
            # The parser cannot be told that no body follows, so a new one takes over.
            self._parser = httptools.HttpResponseParser(self)
            self.complete = True

    def on_body(self, data: bytes) -> None:
        """A piece of the body."""
        if self._no_body:
            self.surplus = True
            return
        self.pieces.append(data)
        self.held += len(data)

    def on_message_complete(self) -> None:
        """The response is whole, unless it was an interim one."""
        if not self._interim:
            self.complete = True
