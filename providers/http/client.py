"""Our connection to an upstream: requests out, responses in, one at a time."""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

from providers.http.answer_reading import ResponseReader
from providers.http.answering import HOLD_BACK, Answering, Relay
from providers.http.errors import ConnectionLost, ProtocolError, Truncated, without_frames
from providers.http.poller import Poller
from providers.http.stream import READ, Stream

__all__ = ["ClientConnection"]


class ClientConnection(Answering, Stream):
    """One keep-alive connection to an upstream.

    `send` a request, `read_head`, then `read_piece` until it returns nothing; then, if `reusable`,
    again. Deadlines are absolute `trio.current_time()` seconds. Sending never raises: what goes
    wrong shows in the reading, where an answer that came before the loss is still delivered.

    Args:
        poller: Where the socket is registered.
        sock: A connected socket; it belongs to this object from now on.

    Attributes:
        closed: Whether the connection is of no more use; body already read can still be taken.
        reused: Whether the present exchange is not the connection's first.
        on_idle_close: Called once when the peer closes the connection, or misbehaves, between two
            exchanges.
    """

    __slots__ = (
        "_exchanges",
        "_failure",
        "_on_answer",
        "_paused",
        "_reader",
        "_relay",
        "_seen",
        "_send_error",
        "_whole",
        "on_idle_close",
    )

    def __init__(self, poller: Poller, sock: socket.socket) -> None:
        self._reader: ResponseReader = ResponseReader()
        self._exchanges = 0
        self._failure: Exception | None = None
        self._send_error: Exception | None = None
        self._paused = False
        self._seen = True
        self._whole = False
        self.on_idle_close: Callable[[], None] | None = None
        self._on_answer: Callable[[], object] | None = None
        self._relay: Relay | None = None
        super().__init__(poller, sock)

    @property
    def reused(self) -> bool:
        """Whether the present exchange is not the connection's first."""
        return self._exchanges > 1

    @property
    def response_started(self) -> bool:
        """Whether any byte of the present exchange's response has come."""
        return self._reader.started

    @property
    def reusable(self) -> bool:
        """Whether another request can be sent: the last response is whole, both keep on."""
        reader = self._reader
        return (
            reader.complete
            and not self.closed
            and not reader.surplus
            and not self.unsent
            and not reader.pieces
            and (reader.head is None or reader.head.keep_alive)
        )

    def send(self, *data: bytes, no_body: bool = False) -> None:
        """Send bytes of a request: at once what the socket takes, the rest in the background.

        Once a complete response has been read, or on a new connection, this begins the next
        exchange; before that, even if the upstream has answered early, it goes on with the present.

        Args:
            data: Head and body, or parts of them; together they leave in one system call.
            no_body: The response will have no body whatever its headers say: the method is HEAD.
        """
        reader = self._reader
        if reader.complete and self._seen:
            self._seen = False
            self._exchanges += 1
            reader.begin(no_body=no_body)
        if self.closed or self._send_error is not None:
            return
        try:
            if len(data) == 1:
                self._send_raw(data[0])
            else:
                self._send_all(data)
        except OSError as error:
            self._stop_sending(error)

    def begin(
        self,
        request: bytes,
        on_answer: Callable[[], object],
        deadline: float,
        *,
        no_body: bool = False,
    ) -> None:
        """Send a request on somebody's behalf and have a function called once there is news of it.

        News is the answer's head, the loss of the connection, or the deadline; which one, the
        reading tells: whoever it is goes on with `read_head`.

        Args:
            request: Head and body.
            on_answer: Called once, by the poller; must not raise.
            deadline: When to call it at the latest.
            no_body: As for `send`.
        """
        self._on_answer = on_answer
        self.send(request, no_body=no_body)
        if self._on_answer is not None:
            self._poller.wheel.arm(self, deadline)

    def close(self, reason: Exception | None = None) -> None:
        """Close at once; a task waiting on the connection gets `ConnectionLost(reason)`."""
        if not self.closed:
            self._shut(ConnectionLost("the connection to the upstream was closed", reason))

    def _resume(self) -> None:
        if not self.closed:
            self._set_mask(self._mask | READ)

    # Called by the poller

    def on_events(self, events: int) -> None:
        """The socket is ready."""
        if events == select.EPOLLIN:
            self._on_readable()
            return
        if events & select.EPOLLOUT:
            try:
                self._send_more()
            except OSError as error:
                self._stop_sending(error)
        if events & ~select.EPOLLOUT and self._registered:
            if self._paused:
                # Hung up with body unread on both sides of the socket: it is read when asked for.
                self._leave()
            else:
                self._on_readable()

    def on_failure(self, error: Exception) -> None:
        """A callback raised: close, telling whoever waits."""
        self._shut(ConnectionLost("the connection to the upstream failed", error))

    def _on_readable(self) -> None:
        poller = self._poller
        try:
            size = self._sock.recv_into(poller.buffer)
        except BlockingIOError:
            return
        except OSError as error:
            self._on_end(error)
            return
        if size:
            self._feed(poller.view[:size])
        else:
            self._on_end(None)

    def _feed(self, data: memoryview) -> None:
        reader = self._reader
        try:
            reader.feed(data)
        except ProtocolError as error:
            self._shut(error)
            return
        relay = self._relay
        if relay is not None and reader.pieces:
            if relay.hand_over(reader.take()) and not reader.complete:
                self.deadline = relay.deadline
                return
            self._relay = None
        if reader.complete:
            if reader.surplus:
                self._shut(ConnectionLost("the upstream sent more than it was asked for"))
            self._wake()
        elif reader.held > HOLD_BACK:
            self._paused = True
            self._set_mask(self._mask & ~READ)
            self._wake()
        elif reader.pieces:
            if not self._whole:
                self._wake()
        elif reader.head is not None and (relay is None or relay.stopped):
            self._wake()

    def _on_end(self, error: Exception | None) -> None:
        """The upstream closed, or the connection broke."""
        reader = self._reader
        error = error or self._send_error
        why = f": {error}" if error is not None else ""
        head = reader.head
        if reader.complete:
            self._shut(ConnectionLost(f"the upstream closed the idle connection{why}", error))
        elif head is not None:
            if head.eof_delimited and error is None and self._ended_properly():
                reader.complete = True
                head.keep_alive = False
                self._shut(ConnectionLost("the upstream closed the connection after its answer"))
            else:
                self._shut(
                    Truncated(f"the upstream's answer ended before it was complete{why}", error)
                )
        elif reader.started:
            self._shut(Truncated(f"the upstream's answer ended within its head{why}", error))
        else:
            self._shut(
                ConnectionLost(f"the upstream closed the connection before it answered{why}", error)
            )

    def _ended_properly(self) -> bool:
        """Whether the end of the stream can be trusted to be the upstream's own doing."""
        return True

    def _stop_sending(self, error: Exception) -> None:
        """The upstream takes no more; it may have answered all the same, so reading goes on."""
        self._send_error = without_frames(error)
        self._outgoing = None
        self.unsent = 0
        if not self.closed:
            self._set_mask(READ if not self._paused else 0)

    def _shut(self, failure: Exception) -> None:
        self._failure = without_frames(failure)
        self._release()
        self._reader.close()
        self._wake()
        callback = self.on_idle_close
        self.on_idle_close = None
        if callback is not None and self._reader.complete:
            callback()
