"""From bytes to responses: what an upstream's connection does with what it has read.

The counterpart of `reading`, with the same parser, the same strictness and the same buffer.
"""

from __future__ import annotations

import httptools

from providers.http.errors import ProtocolError
from providers.http.messages import ResponseHead

__all__ = ["MAX_BARREN", "Received", "ResponseReader"]

MAX_BARREN = 256 * 1024
"""Bytes in a row without any of the body: a head, interim responses, trailers."""


class Received:
    """What has come of a response and has not been taken.

    Attributes:
        head: The response's head, once it is whole.
        pieces: What there is of the body.
        held: Bytes in `pieces`.
        complete: Whether the response has come to its proper end. True before the first one.
        started: Whether any byte of the response has come.
    """

    __slots__ = ("complete", "head", "held", "pieces", "started")

    def __init__(self) -> None:
        self.head: ResponseHead | None = None
        self.pieces: list[bytes] = []
        self.held = 0
        self.complete = True
        self.started = False

    def take(self) -> bytes:
        """All of the body that has come since the last time."""
        pieces = self.pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.pieces = []
        self.held = 0
        return data


class ResponseReader(Received):
    """Parses the responses of one connection, each after `begin`.

    Attributes:
        surplus: Whether the upstream sent more than it was asked for.
    """

    __slots__ = (
        "_barren",
        "_headers",
        "_in_head",
        "_interim",
        "_no_body",
        "_parser",
        "surplus",
    )

    def __init__(self) -> None:
        self._headers: list[tuple[bytes, bytes]] = []
        self._in_head = False
        self._interim = False
        self._no_body = False
        self._barren = 0
        super().__init__()
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
        self._barren = 0

    def feed(self, data: memoryview) -> None:
        """Parse what was read.

        Raises:
            ProtocolError: It is not HTTP, or its head or trailers are too large.
        """
        before = self.held
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
        if self.held == before and not self.complete:
            # It was of the head, a trailer or a chunk's extension, which the parser gathers.
            self._barren += len(data)
            if self._barren > MAX_BARREN:
                raise ProtocolError(f"{self._barren} bytes came without any of the body")
        elif self._barren:
            self._barren = 0

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
