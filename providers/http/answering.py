"""Taking an upstream's answer: the side that is the same however its bytes are got."""

from __future__ import annotations

import copy
from collections.abc import Callable

import trio

from providers.http.answer_reading import Received
from providers.http.errors import ConnectionLost, DeadlineExceeded, ProtocolError
from providers.http.messages import ResponseHead
from providers.http.waiting import Waiting

__all__ = ["HOLD_BACK", "Answering", "Relay"]

HOLD_BACK = 256 * 1024
"""Bytes of a body that are held unread before reading from the upstream pauses."""

_FAREWELL = 0.1
"""Seconds to wait for the end of a message whose content is known to be over."""


class Relay:
    """Where a body goes while it is relayed, and what has come of that."""

    __slots__ = ("_now", "end", "error", "silence", "stopped", "take")

    def __init__(
        self,
        take: Callable[[bytes], bool],
        silence: float,
        end: float,
        now: Callable[[], float],
    ) -> None:
        self._now = now
        self.take = take
        self.silence = silence
        self.end = end
        self.stopped = False
        self.error: Exception | None = None

    @property
    def deadline(self) -> float:
        """When silence from now on has lasted too long."""
        return min(self.end, self._now() + self.silence)

    def hand_over(self, data: bytes) -> bool:
        """Give the taker a piece; return whether it wants more."""
        try:
            more = self.take(data)
        except Exception as error:  # noqa: BLE001 - raised again in the task that relays
            self.error = error
            more = False
        self.stopped = not more
        return more


class Answering(Waiting):
    """Reads an answer that somebody else fills in, and wakes this side when there is news.

    Mixed into what has these attributes; whoever fills the answer in keeps `_reader`, `_failure`
    and `closed`, and calls `_wake`.
    """

    # Empty, but not written as (): mypy would hold that against the subclasses' slots used here.
    __slots__ = tuple[str, ...]()

    closed: bool
    _failure: Exception | None
    _on_answer: Callable[[], object] | None
    _paused: bool
    _reader: Received
    _relay: Relay | None
    _seen: bool
    _whole: bool

    async def read_head(self, deadline: float) -> ResponseHead:
        """Wait for the response's status and headers; interim responses are passed over.

        Raises:
            DeadlineExceeded: They did not come in time.
            ConnectionLost: The connection ended before them.
            ProtocolError: What came is not HTTP.
        """
        reader = self._reader
        while reader.head is None:
            if self.closed:
                raise self._loss()
            await self._wait(deadline)
        self._seen = True
        return reader.head

    async def read_piece(self, deadline: float) -> bytes:
        """Wait for more of the body: all that has come since the last call.

        Returns:
            Bytes without their transfer coding; empty exactly once the body came to its proper end.

        Raises:
            DeadlineExceeded: Nothing came in time.
            Truncated: The connection ended before the body did.
            ConnectionLost: The connection was closed from this side.
            ProtocolError: The body's framing is broken.
        """
        reader = self._reader
        self._seen = True
        while not reader.pieces:
            if reader.complete:
                return b""
            if self.closed:
                raise self._loss()
            await self._wait(deadline)
        data = reader.take()
        if self._paused:
            self._paused = False
            self._resume()
        return data

    async def relay(self, take: Callable[[bytes], bool], silence: float, end: float) -> bool:
        """Hand the body over piece by piece as it is read, without a turn of the waiting task.

        Args:
            take: Gets all that has come since the last time; tells whether it wants more.
            silence: Seconds between two pieces at most.
            end: Absolute deadline of the whole.

        Returns:
            True when `take` wanted no more, False when the body came to its proper end.

        Raises:
            Exception: What `take` raised.
            DeadlineExceeded: It was silent for too long, or the end has come.
            Truncated, ConnectionLost, ProtocolError: As `read_piece`.
        """
        reader = self._reader
        relay = Relay(take, silence, end, self._poller.now)
        if reader.pieces:
            relay.hand_over(await self.read_piece(end))
        while not relay.stopped:
            if reader.complete and not reader.pieces:
                return False
            if self.closed:
                raise self._loss()
            self._relay = relay
            try:
                await self._wait(relay.deadline)
            except DeadlineExceeded:
                # What came in that very moment has been taken all the same, be it the end of all.
                if not relay.stopped:
                    raise
            finally:
                self._relay = None
        if relay.error is not None:
            error, relay.error = relay.error, None
            try:
                raise error
            finally:
                del error  # its traceback holds this frame
        return True

    async def read_body(self, limit: int, deadline: float) -> bytes:
        """Wait for the whole body.

        Args:
            limit: Bytes it may have at most.
            deadline: When to give up.

        Raises:
            ProtocolError: The body is larger than the limit; the connection is closed.
            DeadlineExceeded, Truncated, ConnectionLost: As `read_piece`.
        """
        reader = self._reader
        self._seen = True
        self._whole = True
        try:
            if reader.complete:
                data = reader.take()
            else:
                data = await self.read_piece(deadline)
            if not reader.complete and len(data) <= limit:
                body = bytearray(data)
                while len(body) <= limit and (piece := await self.read_piece(deadline)):
                    body += piece
                data = bytes(body)
        finally:
            self._whole = False
        if len(data) > limit:
            text = f"the upstream's answer is larger than {limit} bytes"
            self.close(ProtocolError(text))
            raise ProtocolError(text)
        if not self.closed and self._paused:
            self._paused = False
            self._resume()
        return data

    async def see_out(self) -> None:
        """Wait a moment for the end of an answer whose content is over; close where none comes.

        What still comes of it is dropped. The asker has all of it and may leave meanwhile: that is
        no reason to cut the upstream off, so that this cannot be cancelled.
        """
        deadline = trio.current_time() + _FAREWELL
        try:
            with trio.CancelScope(shield=True):
                while await self.read_piece(deadline):
                    pass
        except (ConnectionLost, DeadlineExceeded, ProtocolError):
            self.close()

    def close(self, reason: Exception | None = None) -> None:
        """Close at once; a task waiting for the answer gets `ConnectionLost(reason)`."""
        raise NotImplementedError

    def on_deadline(self) -> None:
        """The deadline of what is waited for has passed."""
        if self._on_answer is None:
            super().on_deadline()
        else:
            self._wake()

    def _wake(self) -> None:
        on_answer = self._on_answer
        if on_answer is None:
            super()._wake()
        else:
            self._on_answer = None
            on_answer()

    def _resume(self) -> None:
        """Read on after a pause: what was held has been taken."""
        raise NotImplementedError

    def _loss(self) -> Exception:
        """Return what to raise now that the connection is closed.

        A copy: what is raised gets a traceback, whose frames hold this object, which keeps its own.
        """
        failure = self._failure
        if failure is None:
            return ConnectionLost("the connection to the upstream is closed")
        return copy.copy(failure)
