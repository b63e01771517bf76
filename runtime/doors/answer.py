"""The asker's side of an exchange: turns an upstream's answer into bytes on a client connection."""

import math
from collections.abc import Iterable, Sequence

from providers.http import (
    LAST_CHUNK,
    ConnectionLost,
    ResponseHead,
    ServerConnection,
    chunk,
    http_date,
    response_head,
)
from providers.interface import HOP_BY_HOP
from providers.wire import Dialect
from runtime.routing.answer import AskerGone

__all__ = ["HEDGED", "REQUEST_ID_HEADERS", "DoorAnswer", "relayed_headers"]

REQUEST_ID_HEADERS = {"openai": b"x-request-id", "anthropic": b"request-id"}
"""The header in which the SDKs of each family of dialects look for the id of a request."""

_NOT_RELAYED = HOP_BY_HOP | {
    b"alt-svc",  # speaks of the upstream's address, not of this one
    b"content-length",
    b"set-cookie",  # cookies between the daemon and a provider are nobody else's
    b"strict-transport-security",
    b"x-standby-provider",
    b"x-standby-attempts",
    b"x-standby-hedged",
    b"x-standby-upstream-request-id",
}

HEDGED = (b"x-standby-hedged", b"true")
"""Tells the asker that a second provider was asked because the first was late."""

_ORDINARY = frozenset({b"keep-alive", b"close"})
"""Values of ``Connection`` that name no header which would otherwise be relayed."""

_LOOKED_AT = _NOT_RELAYED | {b"connection", b"date", *REQUEST_ID_HEADERS.values()}


class DoorAnswer:
    """One answer on one client connection.

    Args:
        connection: The client's connection.
        dialect: The asker's dialect.
        request_id: The daemon's id of the request.
        chunked: Whether the client understands chunked bodies (HTTP/1.1).
        keep_alive: Whether the connection stays open after a complete answer.
        deadline: When the client must have taken it, on the clock of ``trio.current_time``.
    """

    __slots__ = (
        "_chunked",
        "_connection",
        "_deadline",
        "_delimited",
        "_dialect",
        "_head",
        "_id_header",
        "_keep_alive",
        "_request_id",
        "_taken",
        "begun",
        "complete_answer",
        "hedged",
        "status",
    )

    def __init__(
        self,
        connection: ServerConnection,
        dialect: Dialect,
        request_id: str,
        *,
        chunked: bool,
        keep_alive: bool,
        deadline: float = math.inf,
    ) -> None:
        self._connection = connection
        self._deadline = deadline
        self._dialect = dialect
        self._request_id = request_id
        self._id_header = REQUEST_ID_HEADERS[dialect.family]
        self._chunked = chunked
        self._delimited = False
        self._keep_alive = keep_alive
        self._head = b""
        self._taken = False
        self.hedged = False
        self.begun = False
        self.complete_answer = False
        self.status = 0

    def complete(self, head: ResponseHead, body: bytes, provider: str, attempts: int) -> None:
        """Send a whole plain answer."""
        own = [(b"content-length", b"%d" % len(body))]
        if not self._keep_alive:
            own.append((b"connection", b"close"))
        self.begun = self.complete_answer = self._delimited = True
        self._connection.write(self._render(head, own, provider, attempts) + body)
        self._taken = not (self._connection.unsent or self._connection.closed)

    def begin(self, head: ResponseHead, events: bytes, provider: str, attempts: int) -> None:
        """Send the head of a streamed answer and its first events; the head never goes alone."""
        own = []
        if self._chunked:
            own.append((b"transfer-encoding", b"chunked"))
        if not (self._keep_alive and self._chunked):
            own.append((b"connection", b"close"))
        rendered = self._render(head, own, provider, attempts)
        self.begun = True
        self._delimited = self._chunked
        if events:
            self._connection.write(rendered + self._framed(events))
        else:
            self._head = rendered

    def events(self, events: bytes) -> None:
        """Send further events, after the head where there were none before."""
        framed = chunk(events) if self._chunked else events
        if self._head:
            framed = self._head + framed
            self._head = b""
        self._connection.write(framed)

    def finish(self, events: bytes) -> None:
        """Send the last events and the end of the stream in one write."""
        end = LAST_CHUNK if self._chunked else b""
        framed = self._framed(events) if events else b""
        self._connection.write(self._head + framed + end)
        self._head = b""
        self.complete_answer = True
        self._taken = not (self._connection.unsent or self._connection.closed)

    def break_off(self, message: str | None) -> None:
        """Send an error event and no closing chunk: the caller must close the connection."""
        if message is not None:
            event = self._dialect.encode_stream_error(502, message, request_id=self._request_id)
            self._connection.write(self._head + self._framed(event))
            self._head = b""

    @property
    def ends_connection(self) -> bool:
        """Whether nothing can follow on the connection: the answer broke, or ends where it does."""
        return self.begun and not (self.complete_answer and self._delimited)

    @property
    def crowded(self) -> bool:
        """Whether the client should take some of its answer before more is sent, or has left."""
        return self._connection.crowded

    async def drain(self) -> None:
        """Wait until the client has taken most of what was sent.

        Once the system has taken all of an answer nothing can be told of the client any more: one
        that is gone then had what it wanted.

        Raises:
            AskerGone: When it has left, takes nothing for too long, or has not taken most of it
                when its time is up.
        """
        if self._taken:
            return
        try:
            await self._connection.drain(self._deadline)
        except ConnectionLost as lost:
            raise AskerGone(str(lost)) from lost

    def _framed(self, events: bytes) -> bytes:
        return chunk(events) if self._chunked else events

    def _render(
        self,
        head: ResponseHead,
        own: Iterable[tuple[bytes, bytes]],
        provider: str,
        attempts: int,
    ) -> bytes:
        self.status = head.status
        id_header = self._id_header
        headers = relayed_headers(head.headers, id_header)
        headers += own
        headers += (
            (id_header, self._request_id.encode("ascii")),
            (b"x-standby-provider", provider.encode("ascii")),
            (b"x-standby-attempts", b"%d" % attempts),
        )
        if self.hedged:
            headers.append(HEDGED)
        return response_head(head.status, headers)


def relayed_headers(
    headers: Sequence[tuple[bytes, bytes]], id_header: bytes
) -> list[tuple[bytes, bytes]]:
    """Return the headers of an upstream's answer that the asker gets.

    Those of the upstream's own connection stay behind, the ones that its ``Connection`` header
    names among them (RFC 9110, section 7.6.1). Its request id goes by another name, as the asker's
    is the daemon's. A ``Date`` is added where it gave none.

    Args:
        headers: The upstream's headers, names in lower case.
        id_header: The header of the asker's dialect for the id of a request.
    """
    relayed = []
    named: set[bytes] | None = None
    dated = False
    for pair in headers:
        name = pair[0]
        if name not in _LOOKED_AT:
            relayed.append(pair)
        elif name in _NOT_RELAYED:
            if name == b"connection" and pair[1] not in _ORDINARY:
                named = named or set()
                named.update(each.strip() for each in pair[1].lower().split(b","))
        elif name == id_header:
            relayed.append((b"x-standby-upstream-request-id", pair[1]))
        else:
            relayed.append(pair)
            dated = dated or name == b"date"
    if named is not None:
        relayed = [pair for pair in relayed if pair[0] not in named]
        dated = dated and b"date" not in named
    if not dated:
        relayed.append((b"date", http_date()))
    return relayed
