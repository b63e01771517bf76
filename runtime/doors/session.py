"""One client connection: reads requests, hands each to its route, notices departures."""

import math
from collections.abc import Awaitable, Callable, Iterable, Sequence

import trio

from providers.fair_queue import UNNAMED, ClientKey
from providers.http import (
    BadRequest,
    ConnectionLost,
    Request,
    ServerConnection,
    http_date,
    response_head,
)
from providers.wire import ANTHROPIC, OPENAI, Dialect
from runtime.admission import Admission, Admitted, Refused
from runtime.doors.access import Access
from runtime.doors.answer import REQUEST_ID_HEADERS, DoorAnswer
from runtime.doors.route_table import Routes
from runtime.doors.untouched_answer import UntouchedAnswer
from runtime.identifiers import RequestIds
from runtime.routing.answer import AskerGone

__all__ = [
    "MAY_RETRY",
    "UNASKED",
    "Access",
    "Handler",
    "Routes",
    "Session",
    "client_name",
    "dialect_of",
]

Handler = Callable[["Session", Request], Awaitable[None]]
"""Answers one request on its session."""

_JSON = (b"content-type", b"application/json")

_MESSAGES = "/v1/messages"

_MOST_NAME = 64
"""Characters of the name of a part of a client; what is beyond does not count."""

MAY_RETRY = (b"x-should-retry", b"true")
"""Nothing was done for a request that was shed: repeating it later multiplies nothing."""

UNASKED = (b"x-standby-attempts", b"0")
"""Tells the asker that no provider was asked."""


class Session:
    """One client connection, from its first request to its end.

    Args:
        connection: The connection.
        routes: What is served here.
        access: Who is let in.
        ids: Where request ids come from.
        admission: Who says how many requests are let in; None lets all in.

    Attributes:
        request_id: The id of the request being answered.
        segment: The value of the variable segment of its path.
    """

    __slots__ = (
        "_access",
        "_admission",
        "_answer",
        "_client",
        "_close_after",
        "_head_only",
        "_ids",
        "_inside",
        "_responded",
        "_routes",
        "_scope",
        "connection",
        "request_id",
        "segment",
    )

    def __init__(
        self,
        connection: ServerConnection,
        routes: Routes[Handler],
        access: Access,
        ids: RequestIds,
        admission: Admission | None = None,
    ) -> None:
        self.connection = connection
        self._admission = admission
        self._client: Admitted | None = None
        self._inside: Admitted | None = None
        self._routes = routes
        self._access = access
        self._ids = ids
        self._close_after = False
        self._head_only = False
        self._answer: DoorAnswer | None = None
        self._responded = False
        self._scope = trio.CancelScope()
        self.request_id = ""
        self.segment = ""

    async def serve(self) -> None:
        """Answer requests until the client or the daemon has had enough.

        A client that leaves in the middle of an answer cancels everything done for it. Closes the
        connection in every case.
        """
        admission = self._admission
        client = None
        if admission is not None:
            client = self._client = admission.arrive(self.connection.peer)
            self.connection.bound_bodies(client)
        try:
            with self._scope:
                while not self._close_after:
                    await self._serve_one()
        except (AskerGone, ConnectionLost):
            pass  # the client left or stopped reading: nobody is there to be told
        finally:
            self.connection.close()
            if admission is not None and client is not None:
                admission.depart(client)

    def close_when_idle(self) -> None:
        """Let the answer under way be the last; close at once when there is none."""
        self._close_after = True
        if not self.request_id and self.connection.idle:
            self._scope.cancel(reason="the door is closing")

    async def _serve_one(self) -> None:
        connection = self.connection
        self.request_id = ""
        self._head_only = False
        self._answer = None
        self._responded = False
        try:
            request = await connection.read_request()
        except BadRequest as bad:
            self._close_after = True
            self.request_id = self._ids.new()
            target = connection.refused_target
            dialect = self._routes.dialect_at(target.partition("?")[0])
            if dialect is None:
                dialect = ANTHROPIC if target.startswith(_MESSAGES) else OPENAI
            again = bad.retry_after
            headers = [UNASKED] if again is None else [UNASKED, MAY_RETRY]
            self.refuse(dialect, bad.status, bad.message, retry_after=again, headers=headers)
            await connection.drain()
            return
        if request is None:
            self._close_after = True
            return
        self.request_id = self._ids.new()
        self._head_only = request.method == "HEAD"
        if not request.keep_alive:
            self._close_after = True
        connection.on_gone(self._client_gone)
        try:
            await self._dispatch(request)
        except (AskerGone, ConnectionLost):
            raise
        except Exception:
            # A defect of ours, which the crash report will show; the client is told all the same.
            self._close_after = True
            if not self._has_begun():
                self.refuse(
                    self._dialect_of(request), 500, "the daemon failed to handle this request"
                )
            raise
        finally:
            client = self._inside
            if client is not None:
                self._inside = None
                client.admission.leave(client)

    def _has_begun(self) -> bool:
        """Tell whether any of the answer to the present request has been written."""
        return self._responded or (self._answer is not None and self._answer.begun)

    def _client_gone(self) -> None:
        self._scope.cancel(reason="the client is gone")

    async def _dispatch(self, request: Request) -> None:
        refused = self._access.refusal(request)
        if refused is not None:
            self.refuse(self._dialect_of(request), *refused, headers=[UNASKED])
            return
        routes = self._routes
        found = request.derived.get(routes)  # a target that came before has been found before
        if found is None:
            found = request.derived[routes] = routes.find(request.path)
        if found is None and request.target == "*" and request.method == "OPTIONS":
            self.respond(204, b"", [(b"allow", b"GET, HEAD, OPTIONS, POST")])
            return
        if found is None:
            known = ", ".join(self._routes.paths)
            message = f"nothing is served at {request.path}; there is {known}"
            self.refuse(dialect_of(request), 404, message)
            return
        methods, self.segment = found
        handler = methods.get("GET" if request.method == "HEAD" else request.method)
        if handler is not None:
            client = self._client
            if client is not None and handler in self._routes.bounded:
                full = client.admission.enter(client)
                if full is not None:
                    self._shed(request, full)
                    return
                self._inside = client
            await handler(self, request)
            return
        allowed = ", ".join(sorted({*methods, "OPTIONS", *(["HEAD"] if "GET" in methods else [])}))
        allow = (b"allow", allowed.encode("ascii"))
        if request.method == "OPTIONS":
            self.respond(204, b"", [allow])
        else:
            message = f"{request.path} takes {allowed}, not {request.method}"
            self.refuse(self._dialect_of(request), 405, message, headers=[allow])

    def _dialect_of(self, request: Request) -> Dialect:
        """Return the dialect in which the asker expects errors, by path and headers."""
        return self._routes.dialect_at(request.path) or dialect_of(request)

    def _shed(self, request: Request, refused: Refused) -> None:
        """Refuse a request because there are too many."""
        self.refuse(
            self._dialect_of(request),
            refused.status,
            refused.message,
            retry_after=refused.retry_after,
            headers=[MAY_RETRY, UNASKED],
        )

    def client(self, request: Request) -> ClientKey:
        """Return who asks: the client, or the part of it that the request names.

        Args:
            request: The request, which may have an ``x-standby-client``.
        """
        key = UNNAMED if self._client is None else self._client.key
        name = client_name(request)
        return ClientKey(key.source, name) if name else key

    def answer(self, request: Request, dialect: Dialect, deadline: float = math.inf) -> DoorAnswer:
        """Return where a forwarded answer goes.

        Args:
            request: What is answered.
            dialect: The asker's dialect.
            deadline: When the asker must have taken it, on the clock of ``trio.current_time``.
        """
        self._answer = DoorAnswer(
            self.connection,
            dialect,
            self.request_id,
            chunked=request.http_version != "1.0",
            keep_alive=not self._close_after,
            deadline=deadline,
        )
        return self._answer

    def answer_untouched(
        self, request: Request, dialect: Dialect, deadline: float
    ) -> UntouchedAnswer:
        """Return where an answer goes that is passed through as it comes.

        Args:
            request: What is answered.
            dialect: The provider's dialect.
            deadline: When the asker must have taken it, on the clock of ``trio.current_time``.
        """
        answer = self._answer = UntouchedAnswer(
            self.connection,
            dialect,
            self.request_id,
            chunked=request.http_version != "1.0",
            keep_alive=not self._close_after,
            deadline=deadline,
        )
        return answer

    def close_after_answer(self) -> None:
        """Close the connection once the answer under way has been written."""
        self._close_after = True

    def respond(
        self,
        status: int,
        body: bytes,
        headers: Iterable[tuple[bytes, bytes]] = (_JSON,),
    ) -> None:
        """Write a whole answer of the daemon's own; to HEAD without its body.

        Args:
            status: The HTTP status.
            body: The body.
            headers: Headers besides ``content-length`` and ``connection``, and ``date`` where it is
                to be the present time.
        """
        self._responded = True
        all_headers = [*headers]
        if all(name != b"date" for name, _ in all_headers):
            all_headers.append((b"date", http_date()))
        if status != 204:
            all_headers.append((b"content-length", b"%d" % len(body)))
        if self._close_after:
            all_headers.append((b"connection", b"close"))
        head = response_head(status, all_headers)
        self.connection.write(head if self._head_only or status == 204 else head + body)

    def refuse(
        self,
        dialect: Dialect,
        status: int,
        message: str,
        *,
        error_type: str | None = None,
        code: str | None = None,
        param: str | None = None,
        retry_after: float | None = None,
        headers: Sequence[tuple[bytes, bytes]] = (),
    ) -> None:
        """Write an error in the asker's dialect.

        Args:
            dialect: The asker's dialect.
            status: The HTTP status.
            message: What is wrong and where.
            error_type: The dialect's error type; None for the status's usual one.
            code: OpenAI's error code.
            param: The field that is wrong.
            retry_after: Seconds after which it is worth asking again.
            headers: Further headers.
        """
        body = dialect.encode_error(
            status,
            message,
            type=error_type,
            code=code,
            param=param,
            request_id=self.request_id,
        )
        own = [
            _JSON,
            (REQUEST_ID_HEADERS[dialect.family], self.request_id.encode("ascii")),
            *headers,
        ]
        if retry_after is not None:
            own.append((b"retry-after", b"%d" % max(1, math.ceil(retry_after))))
            own.append((b"retry-after-ms", b"%d" % max(1, math.ceil(retry_after * 1000))))
        self.respond(status, body, own)


def client_name(request: Request) -> str:
    """Return what a client calls the part of itself that asks; nothing when it does not say."""
    known: str | None = request.derived.get(client_name)
    if known is None:
        given = request.header(b"x-standby-client") or b""
        known = request.derived[client_name] = given[:_MOST_NAME].decode("latin-1")
    return known


def dialect_of(request: Request) -> Dialect:
    """Return the dialect in which an asker expects errors, by path and headers."""
    if request.path.startswith(_MESSAGES) or request.header(b"anthropic-version"):
        return ANTHROPIC
    return OPENAI
