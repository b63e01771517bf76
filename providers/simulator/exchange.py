"""Answering one request: the ordinary way, or by committing a fault."""

import socket
import struct
from collections.abc import Mapping, Sequence

import msgspec
import trio

from providers.http import LAST_CHUNK, ServerConnection, chunk, http_date, response_head
from providers.simulator.ask import Ask
from providers.simulator.faults import Fault
from providers.simulator.forms import Form, Script
from providers.simulator.reply import Reply, make_reply
from providers.simulator.settings import SimulatorSettings
from providers.wire import Dialect

__all__ = ["Exchange"]

_JSON = b"application/json"
_PAGE = b"<!DOCTYPE html><html><body><h1>Please sign in</h1></body></html>"
_LONGEST = 86_400.0
"""Seconds that a fault which never answers waits at most for its client to give up."""

_BATCH = 64
"""Events of one write where they are sent as fast as possible."""

_RESET = struct.pack("ii", 1, 0)

_REASONS = {
    400: "the simulator was asked to refuse this request",
    401: "Incorrect API key provided",
    402: "Your credit balance is too low",
    403: "You do not have access to this resource",
    404: "The model does not exist or you do not have access to it",
    413: "Request exceeds the maximum allowed number of bytes",
    422: "The request could not be processed",
    429: "Rate limit reached for requests",
    500: "The server had an error while processing your request",
    502: "Bad gateway",
    503: "The engine is currently overloaded, please try again later",
    504: "The request timed out",
    529: "Overloaded",
}


class Exchange:
    """One request on one connection.

    Args:
        connection: The client's connection.
        sock: Its socket, for faults that the connection would not commit.
        dialect: The dialect of the request.
        form: How answers look in it.
        settings: How the simulator behaves.
        request_id: The id of the request.
        keep_alive: Whether the client wants the connection kept.
        chunked: Whether the client understands chunked bodies.
        head_only: Whether the client asked by HEAD, to which no answer has a body.

    Attributes:
        broken: Whether the answer was broken off on purpose; the connection is closed then.
        complete: Whether the answer was written to its end while the client was there.
    """

    def __init__(
        self,
        connection: ServerConnection,
        sock: socket.socket,
        dialect: Dialect,
        form: Form,
        settings: SimulatorSettings,
        *,
        request_id: str,
        keep_alive: bool,
        chunked: bool,
        head_only: bool = False,
    ) -> None:
        self._connection = connection
        self._sock = sock
        self._dialect = dialect
        self._form = form
        self._settings = settings
        self._request_id = request_id
        self._keep_alive = keep_alive
        self._chunked = chunked
        self._head_only = head_only
        self._due = trio.current_time()
        self.broken = False
        self.complete = False

    def respond(
        self,
        status: int,
        body: bytes,
        *,
        content_type: bytes = _JSON,
        headers: Sequence[tuple[bytes, bytes]] = (),
        length: int | None = None,
    ) -> None:
        """Send a whole answer.

        Args:
            status: The HTTP status.
            body: The body.
            content_type: Its content type.
            headers: Further headers.
            length: The length to announce; by default the true one.
        """
        announced = len(body) if length is None else length
        self.complete = not self._connection.closed
        all_headers = [
            (b"content-type", content_type),
            (b"content-length", b"%d" % announced),
            *self._headers(),
            *headers,
        ]
        head = response_head(status, all_headers)
        self._connection.write(head, b"" if self._head_only else body)

    def refuse(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        error_type: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        """Send an error in the dialect.

        Args:
            status: The HTTP status.
            message: What is wrong.
            code: The dialect's code; by default the usual one.
            param: The field that is wrong.
            error_type: The dialect's type; by default the usual one.
            retry_after: Seconds for the Retry-After header.
        """
        body = self._dialect.encode_error(
            status,
            message,
            type=error_type,
            code=code,
            param=param,
            request_id=self._request_id,
        )
        headers = []
        if retry_after is not None:
            headers.append((b"retry-after", f"{retry_after:g}".encode("ascii")))
        self.respond(status, body, headers=headers)

    async def answer(self, ask: Ask, model: str, fault: Fault) -> None:
        """Answer a good request.

        Args:
            ask: The request.
            model: The model's name without its fault.
            fault: What to do wrong.
        """
        if await self._begin(fault):
            settings = self._settings
            reply = make_reply(
                ask,
                model,
                seed=settings.seed,
                words=settings.answer_words,
                refuse=fault.name == "content_filter",
            )
            if ask.stream:
                await self._stream(ask, reply, fault)
            else:
                speed = settings.tokens_per_second
                await self._pace(reply.output_tokens / speed if speed else 0.0)
                form = self._form
                await self._plain(form.body(reply), form.empty_body(reply), fault)
        if not self._connection.closed:
            await self._connection.drain()

    async def answer_whole(
        self, body: Mapping[str, object], empty: Mapping[str, object], fault: Fault
    ) -> None:
        """Answer a good request that is not one for tokens.

        Args:
            body: The answer.
            empty: An answer that holds nothing.
            fault: What to do wrong.
        """
        if fault.name == "content_filter":
            code = fault.name if self._dialect.name == "openai" else None
            self.refuse(400, "The request was refused by a content filter", code=code)
        elif await self._begin(fault):
            await self._plain(body, empty, fault)
        if not self._connection.closed:
            await self._connection.drain()

    async def _begin(self, fault: Fault) -> bool:
        """Wait until the answer begins; return False where the fault came in its place."""
        name = fault.name
        if fault.status is not None:
            self._commit_status(fault.status, fault.number)
        elif name == "insufficient_quota":
            self.refuse(429, "You exceeded your current quota", code=name, error_type=name)
        elif name == "connect_reset":
            self._reset()
        elif name == "hang":
            await trio.sleep(_LONGEST)
        else:
            if name == "slow_first_token" and fault.number is not None:
                self._due += fault.number
            await self._pace(self._settings.latency)
            if name not in {"error_body_200", "html_200", "non_json"}:
                return True
            self._commit_body(name)
        return False

    def _headers(self) -> list[tuple[bytes, bytes]]:
        headers = [
            (b"date", http_date()),
            (self._form.id_header, self._request_id.encode("ascii")),
        ]
        if not self._keep_alive:
            headers.append((b"connection", b"close"))
        return headers

    async def _pace(self, seconds: float) -> None:
        """Wait until the next moment of the schedule; being late once does not delay the rest."""
        self._due += seconds
        if self._due > trio.current_time():
            await trio.sleep_until(self._due)

    def _commit_status(self, status: int, retry_after: float | None) -> None:
        code = "model_not_found" if status == 404 and self._dialect.name == "openai" else None
        self.refuse(status, _REASONS[status], code=code, retry_after=retry_after)

    def _commit_body(self, name: str) -> None:
        if name == "html_200":
            self.respond(200, _PAGE, content_type=b"text/html; charset=utf-8")
        elif name == "non_json":
            self.respond(200, b"upstream connect error or disconnect/reset before headers")
        else:
            self.respond(200, self._dialect.encode_error(500, _REASONS[500]))

    def _reset(self) -> None:
        """Make the kernel answer with a reset instead of an orderly end."""
        self.broken = True
        if not self._connection.closed:
            self._sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._connection.abort()

    def _cut(self) -> None:
        """End the connection in order, though the answer is not whole."""
        self.broken = True
        self._connection.close()

    async def _plain(
        self, content: Mapping[str, object], empty: Mapping[str, object], fault: Fault
    ) -> None:
        name = fault.name
        if name in {"error_first_event", "error_midstream"}:
            self._commit_body("error_body_200")
            return
        body = msgspec.json.encode(empty if name == "empty_completion" else content)
        half = body[: len(body) // 2]
        if name == "malformed_event":
            self.respond(200, half)
        elif name == "wrong_content_type":
            self.respond(200, body, content_type=b"text/plain; charset=utf-8")
        elif name in {"truncated_json", "cut_midstream", "reset_midstream", "stall_midstream"}:
            self.respond(200, half, length=len(body))
            await self._break(name)
        else:
            self.respond(200, body)

    async def _break(self, name: str) -> None:
        """Stop in the middle, in the way the fault says."""
        if name == "stall_midstream":
            await trio.sleep(_LONGEST)
        if name == "reset_midstream":
            await self._connection.drain()
            self._reset()
        else:
            self._cut()

    async def _stream(self, ask: Ask, reply: Reply, fault: Fault) -> None:
        name = fault.name
        form = self._form
        content_type = form.event_type
        if name == "wrong_content_type":
            content_type = b"text/plain; charset=utf-8"
        headers = [
            (b"content-type", content_type),
            (b"cache-control", b"no-cache"),
            *self._headers(),
        ]
        if name == "truncated_json":
            self._chunked = False
            headers.append((b"content-length", b"1000000"))
        elif self._chunked:
            headers.append((b"transfer-encoding", b"chunked"))
        self._connection.write(response_head(200, headers))
        if name == "error_first_event":
            self._send(self._dialect.encode_stream_error(529, _REASONS[529]))
            self._finish()
            return
        if name == "empty_completion":
            script = form.empty_script(reply)
        else:
            script = form.script(reply, include_usage=ask.include_usage)
        await self._perform(script, fault)

    async def _perform(self, script: Script, fault: Fault) -> None:
        """Send a script by the schedule, up to where the fault comes in."""
        name = fault.name
        tokens = script.tokens
        broken = name in {
            "cut_midstream",
            "error_midstream",
            "malformed_event",
            "reset_midstream",
            "stall_midstream",
            "truncated_json",
        }
        if broken:
            number = len(tokens) // 2 if fault.number is None else int(fault.number)
            tokens = tokens[:number]
        await self._send_tokens(script.opening, tokens)
        if name == "error_midstream":
            self._send(self._dialect.encode_stream_error(500, _REASONS[500]))
        elif name == "malformed_event":
            whole = (script.tokens or script.closing)[0]
            self._send(whole[: len(whole) * 2 // 3] + b"\n\n")
        elif broken:
            await self._break(name)
            return
        elif name == "no_done":
            self._send(b"".join(script.closing[:-1]))
        elif name != "no_finish_marker":
            self._finish(b"".join(script.closing))
            return
        self._finish()

    async def _send_tokens(self, opening: Sequence[bytes], tokens: Sequence[bytes]) -> None:
        connection = self._connection
        speed = self._settings.tokens_per_second
        if speed == 0:
            events = [*opening, *tokens]
            for i in range(0, len(events), _BATCH):
                self._send(b"".join(events[i : i + _BATCH]))
                await connection.drain()
                await trio.lowlevel.checkpoint()
            return
        # The first token is due now: what opens the stream comes with it.
        self._send(b"".join((*opening, *tokens[:1])))
        for event in tokens[1:]:
            await self._pace(1 / speed)
            self._send(event)
            await connection.drain()

    def _send(self, events: bytes) -> None:
        self._connection.write(chunk(events) if self._chunked else events)

    def _finish(self, events: bytes = b"") -> None:
        """Send the last events and the end of the body."""
        self.complete = not self._connection.closed
        if self._chunked:
            self._connection.write(chunk(events) + LAST_CHUNK)
        else:
            self._connection.write(events)
            self._connection.close()
