"""From the bytes of an answer to its events: what is alike in every dialect.

Splitting into events and judging them is the dialect's own ``StreamReader``, the same that the
daemon relays by: what it takes for complete, broken or malformed is so here. A decoder adds what
the reader does not look at, the content.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Protocol

import msgspec

from providers.wire.chat_events import ChatEvent, Done, Error, Metadata
from providers.wire.dialect import Dialect
from providers.wire.events import fields
from providers.wire.faults import AnswerFault
from providers.wire.values import UpstreamError, Usage

__all__ = ["ChatDecoder", "HearingReader"]

_any_decoder = msgspec.json.Decoder()


class HearingReader(Protocol):
    """A dialect's ``StreamReader`` that keeps the events it has judged good.

    Attributes:
        heard: Each event's lines, and what had been counted when it was judged.
    """

    heard: list[tuple[bytes, Usage | None]]
    finished: bool
    error: UpstreamError | None
    usage: Usage | None
    finish_reason: str | None

    def feed(self, piece: bytes) -> bytes:
        """See ``StreamReader.feed``."""

    def end(self) -> bytes:
        """See ``StreamReader.end``."""


class ChatDecoder(ABC):
    """Decodes one answer.

    However the bytes of a stream were split, the events are the same. Once a ``Done`` or an
    ``Error`` has come out, nothing else does.

    Args:
        dialect: The dialect it is in.
        reader: Splits and judges the stream.
    """

    def __init__(self, dialect: Dialect, reader: HearingReader) -> None:
        self._dialect = dialect
        self._reader = reader
        self._told: Usage | None = None
        self._over = False

    @property
    def over(self) -> bool:
        """Whether the last event has come out."""
        return self._over

    def feed(self, piece: bytes) -> list[ChatEvent]:
        """Take the next bytes of a stream; return the events they completed."""
        if self._over:
            return []
        try:
            self._reader.feed(piece)
        except AnswerFault as fault:
            return self._broken(fault.message)
        return self._judged()

    def end(self) -> list[ChatEvent]:
        """Take note that the stream has ended; return the last events, an ``Error`` if too soon."""
        if self._over:
            return []
        try:
            self._reader.end()
        except AnswerFault as fault:
            return self._broken(fault.message)
        found = self._judged()
        if not self._over:
            found += self._broken("the stream ended without its finish marker")
        return found

    def whole(self, body: bytes) -> list[ChatEvent]:
        """Return the events of a plain answer.

        Args:
            body: The whole body of an answer with a status of success.
        """
        try:
            peek = self._dialect.peek_answer(body, None)
        except AnswerFault as fault:
            self._over = True
            return [Error(message=fault.message, kind="bad_answer", code=fault.error_code)]
        found = list(self.answer(_any_decoder.decode(body)))
        self._over = True
        return [*found, Done(peek.finish_reason, peek.usage)]

    def abort(self, error: Error) -> list[ChatEvent]:
        """End the answer for a reason that lies outside its bytes.

        Args:
            error: The reason.

        Returns:
            It; nothing when the answer had ended before.
        """
        if self._over:
            return []
        self._over = True
        return [error]

    @abstractmethod
    def event(self, name: bytes, data: dict[str, Any]) -> Iterator[ChatEvent]:
        """Decode one event of a stream.

        Args:
            name: Its name; empty without one.
            data: Its data.
        """

    @abstractmethod
    def answer(self, body: dict[str, Any]) -> Iterator[ChatEvent]:
        """Decode a plain answer, but for usage and finish reason."""

    def _judged(self) -> list[ChatEvent]:
        """Return the events of what the reader has heard since the last time."""
        reader = self._reader
        found = self._contents()
        if reader.error is not None:
            self._over = True
            error = reader.error
            found.append(
                Error(
                    message=error.message,
                    status=error.status,
                    code=error.code or error.type or None,
                )
            )
        elif reader.finished:
            self._over = True
            found.append(Done(reader.finish_reason, reader.usage))
        return found

    def _broken(self, message: str) -> list[ChatEvent]:
        return [*self._contents(), *self.abort(Error(message=message))]

    def _contents(self) -> list[ChatEvent]:
        """Return the contents of what the reader has heard since the last time."""
        found: list[ChatEvent] = []
        for block, usage in self._reader.heard:
            name, data = fields(block)
            text = (data or b"").strip()
            if text.startswith(b"{"):  # a mark such as [DONE] is none
                found += self.event(name, _any_decoder.decode(text))
            if usage is not None and usage != self._told:
                self._told = usage
                found.append(Metadata(usage=usage))
        self._reader.heard.clear()
        return found
