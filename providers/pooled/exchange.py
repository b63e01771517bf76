"""One exchange on a connection of the pool: a helper task that sends a request and reads on."""

import contextlib
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable
from typing import Any, Protocol, cast

import h2.events
import h2.exceptions
import httpcore2
import trio

from providers.http import (
    ConnectError,
    ConnectionLost,
    Poller,
    ProtocolError,
    ResponseHead,
    Truncated,
    without_frames,
)
from providers.http.answer_reading import Received
from providers.http.answering import HOLD_BACK, Answering, Relay
from providers.pooled.network import Network

__all__ = ["Carrier", "PooledExchange", "Route"]

_log = logging.getLogger("standby.http")

_PATIENCE = 2.0
"""Seconds for the upstream to end a stream of a shared connection once its content is over. Nobody
waits meanwhile, and to give up costs the connection: so it is long."""

_TRIES = 3
"""How often a request is begun that the upstream says it did not look at."""


class Carrier(Protocol):
    """The connection that an exchange is on."""

    network: Network | None
    ready: bool
    carried: int

    def release(self, exchange: "PooledExchange") -> None:
        """The exchange is over."""

    def retire(self) -> None:
        """Nothing more is to be begun on it."""


class Route(Protocol):
    """How an exchange gets to its upstream."""

    connect_timeout: float

    def request(self, payload: bytes, extensions: dict[str, Any]) -> httpcore2.Request:
        """Return a request as the library wants it."""

    async def send(self, request: httpcore2.Request) -> httpcore2.Response:
        """Send it on a connection of the pool."""

    def refusal(self, error: Exception | None, status: int | None) -> ConnectError | None:
        """Return what a proxy's refusal means; None where it is none."""

    def too_late(self) -> ConnectError:
        """Return what it means that there was no connection in time."""


class PooledExchange(Answering):
    """An exchange that goes through a proxy, or shares an HTTP/2 connection with others.

    A task of the provider's actor sends the request and reads the answer; at most `HOLD_BACK`
    bytes of it wait here for the asker. Closing it ends that task, which cancels the stream.

    Args:
        poller: Whose wheel keeps the asker's deadlines.
        route: How to get to the upstream.

    Attributes:
        closed: Whether it is over.
        failure: Why, if it went wrong.
    """

    __slots__ = (
        "_again",
        "_carrier",
        "_failure",
        "_no_body",
        "_on_answer",
        "_on_over",
        "_paused",
        "_read_on",
        "_reader",
        "_received_before",
        "_relay",
        "_reused",
        "_route",
        "_scope",
        "_seeing_out",
        "_seen",
        "_stream",
        "_whole",
        "closed",
    )

    def __init__(self, poller: Poller, route: Route) -> None:
        super().__init__(poller)
        self._route = route
        self._reader = Received()
        self._reader.complete = False
        self._carrier: Carrier | None = None
        self._scope: trio.CancelScope | None = None
        self._stream: int | None = None
        self._no_body = False
        self._again = False
        self._reused = False
        self._received_before = 0
        self._failure: Exception | None = None
        self._on_answer: Callable[[], object] | None = None
        self._read_on: trio.Event | None = None
        self._paused = False
        self._relay: Relay | None = None
        self._seen = True
        self._seeing_out = False
        self._on_over: Callable[[], object] | None = None
        self._whole = False
        self.closed = False

    @property
    def failure(self) -> Exception | None:
        """Why it is over, if it went wrong."""
        return self._failure

    @property
    def reused(self) -> bool:
        """Whether its connection had carried another exchange, so that it may have been stale."""
        return self._reused

    @property
    def response_started(self) -> bool:
        """Whether any of the response has come."""
        return self._reader.started

    @property
    def reusable(self) -> bool:
        """Whether the answer is whole and all of it has been taken, or is being seen out."""
        return self._seeing_out or (self._reader.complete and not self._reader.pieces)

    def begin(
        self,
        payload: bytes,
        on_answer: Callable[[], object],
        deadline: float,
        spawn: Callable[[Callable[[], Awaitable[None]]], None],
    ) -> None:
        """Send a request and have a function called once there is news of it.

        Args:
            payload: Head and body.
            on_answer: Called once: the head is there, it failed, or the deadline has passed.
            deadline: When to call it at the latest.
            spawn: Starts the task that carries the exchange out.
        """
        self._on_answer = on_answer
        self._no_body = payload.startswith(b"HEAD ")
        self._poller.wheel.arm(self, deadline)

        async def carry_out() -> None:
            await self._run(payload)

        spawn(carry_out)

    async def see_out(self) -> None:
        """Have the task of this exchange read on to the answer's end, where others share its way.

        Nobody waits for that. A connection of its own is closed instead, as ever, when the end does
        not come at once.
        """
        network = self._carrier.network if self._carrier is not None else None
        if network is None or not network.framed:
            await super().see_out()
            return
        self._reader.take()
        if self.closed or self._reader.complete or self._scope is None:
            return
        self._seeing_out = True
        self._scope.deadline = trio.current_time() + _PATIENCE
        if self._paused:
            self._paused = False
            self._resume()

    def when_over(self, then: Callable[[], object]) -> bool:
        """Have a function called once the answer's end has come, where it is still to come.

        Args:
            then: Called without arguments, in the task of this exchange.

        Returns:
            Whether it will be called.
        """
        if self._seeing_out:
            self._on_over = then
        return self._seeing_out

    def close(self, reason: Exception | None = None) -> None:
        """End it at once; a task waiting for the answer gets `ConnectionLost(reason)`."""
        if not self.closed:
            self._end(ConnectionLost("the connection to the upstream was closed", reason))

    # Called by the connection

    def attach(self, carrier: Carrier) -> None:
        """The request is about to be sent on this connection."""
        self._carrier = carrier
        self._reused = carrier.carried > 1
        network = carrier.network
        self._received_before = network.received if network is not None else 0
        if carrier.ready:
            self.on_connected()

    def on_connected(self) -> None:
        """The connection is there: from now on only the asker's deadlines count."""
        if self._scope is not None:
            self._scope.deadline = float("inf")

    def on_goaway(self, last: int) -> None:
        """The upstream has not begun the streams after this one: send the request elsewhere."""
        if not self._reader.started and (self._stream is None or self._stream > last):
            self._again = True
            if self._scope is not None:
                self._scope.cancel(reason="the upstream did not begin it")

    # In the helper's task

    async def _run(self, payload: bytes) -> None:
        await self._attempt(payload)
        self._seeing_out = False
        if self._on_over is not None:
            self._on_over()

    async def _attempt(self, payload: bytes) -> None:
        """Send the request, again where the upstream did not look at it; read its answer."""
        for _ in range(_TRIES):
            if self.closed:
                return
            self._again = False
            connect_by = trio.current_time() + self._route.connect_timeout
            with trio.CancelScope(deadline=connect_by) as self._scope:
                await self._carry_out(payload)
                return
            if not self._again:
                break
        if not self.closed:
            self._end(
                ConnectionLost("the upstream is ending its connections")
                if self._again
                else self._route.too_late()
            )

    async def _carry_out(self, payload: bytes) -> None:
        """Send the request once and read its answer."""
        self._carrier, self._stream = None, None
        extensions = {"exchange": self, "trace": self._trace}
        try:
            response = await self._route.send(self._route.request(payload, extensions))
            try:
                self._on_head(response)
                body = cast("AsyncGenerator[bytes]", aiter(cast("Any", response.stream)))
                async with contextlib.aclosing(body) as pieces:
                    async for piece in pieces:
                        await self._on_piece(piece)
                self._on_complete()
            finally:
                await response.aclose()
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in here is this exchange's end
            self._end(self._meaning(error))
        finally:
            await self._leave()

    async def _leave(self) -> None:
        """Be off the connection; a stream that is cut short is reset."""
        carrier = self._carrier
        if carrier is None:
            return
        network, stream = carrier.network, self._stream
        if network is not None and network.framed and stream and not self._reader.complete:
            # The library neither tells the upstream nor gives the stream's place back: the
            # connection ends with the streams that are on it now.
            carrier.retire()
            with trio.CancelScope(shield=True):  # bounded: the network's writes are
                await network.reset(stream)
        carrier.release(self)

    async def _trace(self, name: str, info: dict[str, Any]) -> None:
        if name == "http2.send_request_headers.started":
            self._stream = info["stream_id"]

    def _on_head(self, response: httpcore2.Response) -> None:
        status = response.status
        refusal = self._route.refusal(None, status)
        if refusal is not None:
            raise refusal
        if not 200 <= status <= 599:
            raise ProtocolError(f"the upstream answered with status {status}, which is none")
        reader = self._reader
        reader.started = True
        reader.head = ResponseHead(
            status,
            [(name.lower(), value) for name, value in response.headers],
            keep_alive=True,
            has_body=not self._no_body and status not in {204, 304},
        )
        self._wake()

    async def _on_piece(self, piece: bytes) -> None:
        """Hand a piece over, and wait while too much lies here."""
        if not piece or self._seeing_out:
            return
        reader = self._reader
        reader.pieces.append(piece)
        reader.held += len(piece)
        relay = self._relay
        if relay is not None:
            if relay.hand_over(reader.take()):
                self.deadline = relay.deadline
                return
            self._relay = None
            self._wake()
        elif not self._whole or reader.held > HOLD_BACK:
            self._wake()
        while reader.held > HOLD_BACK:
            self._paused = True
            self._read_on = trio.Event()
            await self._read_on.wait()

    def _on_complete(self) -> None:
        self._reader.complete = True
        self._wake()

    def _resume(self) -> None:
        if self._read_on is not None:
            self._read_on.set()

    def _end(self, failure: Exception) -> None:
        """Be over; the first reason counts."""
        if self.closed:
            return
        self.closed = True
        self._poller.wheel.disarm(self)
        if not self._reader.complete:
            self._failure = without_frames(failure)
        if self._scope is not None:
            self._scope.cancel(reason="the exchange is over")
        self._wake()

    def _meaning(self, error: Exception) -> Exception:
        """Return what an error of the library's means, in our words."""
        if isinstance(error, (ConnectError, ProtocolError)):
            return error
        refusal = self._route.refusal(error, None)
        if refusal is not None:
            return refusal
        carrier = self._carrier
        if carrier is None or not carrier.ready:
            return ConnectError(f"there is no connection to the upstream: {error}", error)
        network = carrier.network
        assert network is not None
        reader = self._reader
        if not network.framed and network.received > self._received_before:
            reader.started = True
        why = ""
        if isinstance(error, httpcore2.RemoteProtocolError):
            event = error.args[0] if error.args else None
            if isinstance(event, h2.events.StreamReset):
                why = f": it reset the stream ({_code(event.error_code)})"
            elif isinstance(event, h2.events.ConnectionTerminated):
                why = f": it ended the connection ({_code(event.error_code)})"
            elif not network.ended:
                return ProtocolError(f"the upstream did not answer in HTTP: {error}")
        elif isinstance(error, httpcore2.NetworkError):
            why = f": {error}"
        elif isinstance(error, httpcore2.LocalProtocolError | h2.exceptions.ProtocolError):
            return ProtocolError(f"the upstream did not answer in HTTP/2: {error}")
        else:
            _log.error("an exchange failed for a reason of its own", exc_info=error)
            why = f": {error}"
        if reader.head is not None:
            return Truncated(f"the upstream's answer ended before it was complete{why}", error)
        if reader.started:
            return Truncated(f"the upstream's answer ended within its head{why}", error)
        text = f"the upstream closed the connection before it answered{why}"
        return ConnectionLost(text, error)


def _code(code: object) -> str:
    return str(getattr(code, "name", code))
