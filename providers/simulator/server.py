"""The simulator: a real HTTP server that answers like an LLM provider, well or badly."""

import hmac
import socket
from collections.abc import Mapping
from urllib.parse import unquote

import msgspec
import trio

from providers.http import (
    BadRequest,
    ConnectionLost,
    Limits,
    Listener,
    Peer,
    Poller,
    Request,
    ServerConnection,
    http_date,
    response_head,
)
from providers.patterns import is_pattern, matches_any
from providers.simulator.anthropic_form import AnthropicForm
from providers.simulator.ask import Ask, read_ask
from providers.simulator.chooser import FaultChooser
from providers.simulator.counters import Counters
from providers.simulator.embeddings import EmbeddingsAsk, embeddings_body, read_embeddings_ask
from providers.simulator.exchange import Exchange
from providers.simulator.faults import split_model
from providers.simulator.forms import CREATED, Form
from providers.simulator.openai_form import OpenAIForm
from providers.simulator.settings import SimulatorSettings
from providers.wire import (
    ANTHROPIC,
    OPENAI,
    Dialect,
    ModelEntry,
    OperationName,
    WireError,
    page_of,
)
from supervision import Actor

__all__ = ["Simulator"]

_OPERATIONS: Mapping[str, tuple[Dialect, OperationName]] = {
    operation.path: (dialect, operation.name)
    for dialect in (OPENAI, ANTHROPIC)
    for operation in dialect.operations.values()
}
_READING = frozenset({"GET", "HEAD"})
_FORMS: Mapping[str, Form] = {"openai": OpenAIForm(), "anthropic": AnthropicForm()}


class Simulator(Actor):
    """A simulated upstream that speaks both APIs, each at its own paths, under any prefix.

    Asked for at ``…/v1/chat/completions``, ``…/v1/embeddings``, ``…/v1/messages`` and
    ``…/v1/messages/count_tokens``, it answers, or fails by its rules. Besides there are
    ``GET …/v1/models`` and ``…/v1/models/{id}`` (in Anthropic's dialect with an
    ``anthropic-version`` header), and ``GET /simulator/stats``, which needs no key.

    Its listening socket is given to it and outlives it: while it restarts, the kernel holds new
    connections. Its connections die with it, as a crashed server's do.

    Args:
        settings: How it answers, and how it fails.
        listener: Where it listens; belongs to the caller.
        poller: Where its connections' sockets are watched.
        limits: Bounds on its clients.
    """

    def __init__(
        self,
        settings: SimulatorSettings,
        listener: Listener,
        poller: Poller,
        *,
        limits: Limits | None = None,
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._poller = poller
        self._limits = limits if limits is not None else Limits()
        self._counters = Counters()
        self._connections: set[ServerConnection] = set()
        self._chooser = FaultChooser((), 0, 0.0)
        self._last_id = 0

    async def init(self) -> None:
        """Begin to accept connections."""
        settings = self._settings
        self._chooser = FaultChooser(settings.faults, settings.seed, trio.current_time())
        self._listener.accept_into(self._accept)
        self._listener.resume()

    def cleanup(self) -> None:
        """Stop accepting and drop the connections."""
        self._listener.pause()
        for connection in list(self._connections):
            connection.abort()
        self._connections.clear()

    def describe(self) -> Mapping[str, object]:
        """Return what the tree shows of it."""
        return {"address": self._listener.address, **self._counters.facts()}

    def _accept(self, sock: socket.socket, peer: Peer) -> None:  # noqa: ARG002 - anyone may ask
        if len(self._connections) >= self._settings.max_connections:
            sock.close()
            return
        connection = ServerConnection(self._poller, sock, self._limits)
        try:
            self.spawn(self._serve, connection, sock, name=f"{self.ref.name} connection")
        except RuntimeError:
            connection.abort()  # it is ending this very moment
            return
        self._connections.add(connection)
        self._counters.connections += 1

    async def _serve(self, connection: ServerConnection, sock: socket.socket) -> None:
        """Answer one client's requests until either side has had enough."""
        try:
            while await self._serve_one(connection, sock):
                pass
        except ConnectionLost:
            pass  # the client left or stopped reading: nobody is there to be told
        finally:
            self._counters.connections -= 1
            self._connections.discard(connection)
            connection.close()

    async def _serve_one(self, connection: ServerConnection, sock: socket.socket) -> bool:
        """Answer one request; return whether another may follow."""
        try:
            request = await connection.read_request()
        except BadRequest as bad:
            body = OPENAI.encode_error(bad.status, bad.message)
            headers = [
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(body)),
                (b"connection", b"close"),
                (b"date", http_date()),
            ]
            connection.write(response_head(bad.status, headers), body)
            return False
        if request is None:
            return False
        asked = _operation_of(request.path) if request.method == "POST" else None
        dialect = _dialect_of(request) if asked is None else asked[0]
        self._last_id += 1
        exchange = Exchange(
            connection,
            sock,
            dialect,
            _FORMS[dialect.name],
            self._settings,
            request_id=f"req_sim{self._settings.seed:04x}{self._last_id:012x}",
            keep_alive=request.keep_alive,
            chunked=request.http_version != "1.0",
            head_only=request.method == "HEAD",
        )
        if asked is not None:
            await self._answer(connection, request, asked[1], dialect, exchange)
        else:
            self._answer_aside(request, dialect, exchange)
            await connection.drain()
        return request.keep_alive and not connection.closed

    async def _answer(
        self,
        connection: ServerConnection,
        request: Request,
        operation: OperationName,
        dialect: Dialect,
        exchange: Exchange,
    ) -> None:
        """Answer a request for an answer; a client that leaves ends the work at once."""
        counters = self._counters
        counters.requests += 1
        counters.active += 1
        try:
            with trio.CancelScope() as scope:
                connection.on_gone(lambda: scope.cancel(reason="the client has gone"))
                await self._judge(request, operation, dialect, exchange)
            connection.on_gone(None)
        finally:
            counters.active -= 1
            if exchange.broken:
                counters.broken += 1
            elif exchange.complete:
                counters.completed += 1
            else:
                counters.cancelled += 1

    async def _judge(
        self, request: Request, operation: OperationName, dialect: Dialect, exchange: Exchange
    ) -> None:
        """Check a request as a real upstream would, choose what to do wrong, answer."""
        if self._refused(request, dialect, exchange):
            return
        settings = self._settings
        body = request.body
        ask: Ask | EmbeddingsAsk
        try:
            if operation == "embeddings":
                ask = read_embeddings_ask(body, settings.embedding_dimensions)
            else:
                ask = read_ask(dialect, body, counting=operation == "count_tokens")
            model, suffix = split_model(ask.model)
            self._check_model(model)
            header = request.header(b"x-simulator-fault")
            try:
                fault = self._chooser.choose(header, suffix, trio.current_time())
            except ValueError as error:
                raise WireError(str(error), param="model" if header is None else None) from None
        except WireError as wrong:
            _refuse(exchange, dialect, wrong)
            return
        if fault.name != "none":
            self._counters.faults[fault.name] += 1
        if isinstance(ask, EmbeddingsAsk):
            whole = embeddings_body(ask, model, seed=settings.seed)
            await exchange.answer_whole(whole, {**whole, "data": []}, fault)
        elif operation == "count_tokens":
            await exchange.answer_whole({"input_tokens": ask.input_tokens}, {}, fault)
        else:
            await exchange.answer(ask, model, fault)

    def _refused(self, request: Request, dialect: Dialect, exchange: Exchange) -> bool:
        """Check the headers; send the error and return True where they are wrong."""
        key = self._settings.api_key
        if key is not None:
            bearer = request.header(b"authorization") or b""
            given = request.header(b"x-api-key") or bearer.removeprefix(b"Bearer ")
            if not hmac.compare_digest(given, key.encode()):
                exchange.refuse(401, "Incorrect API key provided" if given else "No API key given")
                return True
        if dialect is ANTHROPIC and request.header(b"anthropic-version") is None:
            exchange.refuse(400, "anthropic-version: header is required")
            return True
        return False

    def _check_model(self, model: str) -> None:
        models = self._settings.models
        if models and not matches_any(model, models):
            raise WireError(
                f"The model `{model}` does not exist or you do not have access to it.",
                param="model",
                code="model_not_found",
                status=404,
            )

    def _answer_aside(self, request: Request, dialect: Dialect, exchange: Exchange) -> None:
        """Answer what is not a request for an answer."""
        path = request.path
        if path == "/simulator/stats" and request.method in _READING:
            exchange.respond(200, msgspec.json.encode(self._counters.facts()))
            return
        if self._refused(request, dialect, exchange):
            return
        try:
            body = self._aside(request, dialect)
        except WireError as wrong:
            _refuse(exchange, dialect, wrong)
        else:
            exchange.respond(200, body)

    def _aside(self, request: Request, dialect: Dialect) -> bytes:
        """Return the answer to a request that is not one for an answer.

        Raises:
            WireError: It is wrong, or there is no such thing.
        """
        path = request.path
        if request.method in _READING and path.endswith("/v1/models"):
            return self._models_page(dialect, request.query)
        if request.method in _READING and "/v1/models/" in path:
            return self._model(dialect, unquote(path.partition("/v1/models/")[2]))
        raise WireError(f"Unknown request: {request.method} {path}", code="unknown_url", status=404)

    def _entries(self) -> list[ModelEntry]:
        names = [name for name in self._settings.models or ("sim-1",) if not is_pattern(name)]
        return [ModelEntry(name, "simulator", CREATED) for name in names]

    def _models_page(self, dialect: Dialect, query: str) -> bytes:
        entries = self._entries()
        if dialect is OPENAI:
            return dialect.models_page(entries)
        page, more = page_of(entries, query)
        return dialect.models_page(page, has_more=more)

    def _model(self, dialect: Dialect, name: str) -> bytes:
        if any(entry.id == name for entry in self._entries()) or matches_any(
            name, self._settings.models
        ):
            return dialect.model_body(ModelEntry(name, "simulator", CREATED))
        raise WireError(f"The model `{name}` does not exist", code="model_not_found", status=404)


def _operation_of(path: str) -> tuple[Dialect, OperationName] | None:
    """Tell what is asked for at a path, whatever stands before it."""
    for end, asked in _OPERATIONS.items():
        if path.endswith(end):
            return asked
    return None


def _dialect_of(request: Request) -> Dialect:
    """Tell the dialect by the path, or by the header that only one of them has."""
    if "/v1/messages" in request.path or request.header(b"anthropic-version") is not None:
        return ANTHROPIC
    return OPENAI


def _refuse(exchange: Exchange, dialect: Dialect, wrong: WireError) -> None:
    """Send the error that a malformed request deserves; Anthropic has no codes of this kind."""
    code = wrong.code if dialect is OPENAI else None
    exchange.refuse(wrong.status, wrong.message, param=wrong.param, code=code)
