"""One request and its answer, on their way between two APIs."""

from collections.abc import Sequence

from providers.wire.events import fields
from providers.wire.faults import AnswerFault, WireError
from providers.wire.translation.codec import (
    AnswerFrame,
    Codec,
    Dropped,
    Encoded,
    FrontCodec,
    Target,
)
from providers.wire.translation.custom_tools import (
    CustomCalls,
    custom_names,
    with_custom_calls,
)
from providers.wire.translation.reply import Failed, ReplyEvent
from providers.wire.values import UpstreamError

__all__ = ["StreamTranslator", "Translation"]

_NOT_AS_SAID = (WireError, LookupError, TypeError, ValueError, ArithmeticError, RecursionError)
"""What comes of an answer that is not what the provider's API says it sends."""


class Translation:
    """Translates one request for one provider, and what it answers for the asker.

    Args:
        front: The asker's API.
        back: The provider's.
        body: The asker's request.
        target: To whom it goes.
        answer_id: See ``AnswerFrame``.
        created: Now, in seconds since the epoch.

    Raises:
        WireError: The request is not what the asker's API asks for, or cannot be put into the
            provider's.

    Attributes:
        body: The provider's request.
        headers: Headers that it needs besides.
        dropped: What is not carried over faithfully: so far of the request, then of the answer.
    """

    __slots__ = ("_back", "_custom", "_frame", "_front", "body", "dropped", "headers")

    def __init__(
        self,
        front: FrontCodec,
        back: Codec,
        body: bytes,
        target: Target,
        *,
        answer_id: str,
        created: int,
    ) -> None:
        try:
            request = front.decode_request(body)
            encoded: Encoded = back.encode_request(request, target)
        except RecursionError:
            raise WireError("the body is nested too deeply", code="invalid_json") from None
        self._front = front
        self._back = back
        self._custom = custom_names(request) if request.tools else frozenset()
        self._frame = AnswerFrame(request=request, answer_id=answer_id, created=created)
        self.body = encoded.body
        self.headers: Sequence[tuple[bytes, bytes]] = encoded.headers
        self.dropped: Dropped = encoded.dropped

    def answer(self, body: bytes) -> bytes:
        """Translate a plain answer.

        Args:
            body: An answer that the provider's dialect has found good.

        Raises:
            AnswerFault: It is not what the provider's API says it sends.
        """
        try:
            reply = self._back.decode_reply(body)
            if self._custom:
                reply = with_custom_calls(reply, self._custom)
            return self._front.encode_reply(reply, self._frame, self.dropped)
        except _NOT_AS_SAID as error:
            raise AnswerFault(f"the upstream's answer cannot be translated: {error}") from error

    def stream(self) -> "StreamTranslator":
        """Return what translates a streamed answer."""
        return StreamTranslator(self._front, self._back, self._frame, self._custom)


class StreamTranslator:
    """Translates one streamed answer, event by event.

    Args:
        front: The asker's API.
        back: The provider's.
        frame: What the answer needs besides.
        custom: The names of the custom tools that the asker offered.

    Attributes:
        error: The error that the provider sent in the middle of it; None when it has not.
    """

    __slots__ = ("_custom", "_decoder", "_encoder", "error")

    def __init__(
        self,
        front: FrontCodec,
        back: Codec,
        frame: AnswerFrame,
        custom: frozenset[str] = frozenset(),
    ) -> None:
        self._custom = CustomCalls(custom) if custom else None
        self._decoder = back.stream_decoder()
        self._encoder = front.stream_encoder(frame)
        self.error: UpstreamError | None = None

    def feed(self, events: bytes) -> bytes:
        """Translate whole events, as the provider's ``StreamReader`` gives them.

        Args:
            events: They, in the provider's dialect.

        Returns:
            What they amount to in the asker's; may be empty.

        Raises:
            AnswerFault: An event is not what the provider's API says it sends.
        """
        try:
            return self._encoded(self._decoded(events))
        except _NOT_AS_SAID as error:
            raise _untranslatable(error) from error

    def _decoded(self, events: bytes) -> list[ReplyEvent]:
        if b"\r" in events:
            events = events.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        decode = self._decoder.event
        found: list[ReplyEvent] = []
        for block in events.split(b"\n\n"):
            if not block:
                continue
            if block.startswith(b"data: ") and block.find(b"\n") < 0:
                found += decode(b"", block[6:])
                continue
            name, data = fields(block)
            if data is not None:
                found += decode(name, data)
        return found

    def finish(self, events: bytes) -> bytes:
        """Translate the last events of a complete answer, its end included.

        Raises:
            AnswerFault: See ``feed``.
        """
        last = self.feed(events)
        try:
            return last + self._encoded(self._decoder.end())
        except _NOT_AS_SAID as error:
            raise _untranslatable(error) from error

    def _encoded(self, events: Sequence[ReplyEvent]) -> bytes:
        if not events:
            return b""
        last = events[-1]
        if type(last) is Failed:
            self.error = last.error
        if self._custom is not None:
            events = self._custom.turned(events)
        return self._encoder.encode(events)


def _untranslatable(error: Exception) -> AnswerFault:
    return AnswerFault(f"an event of the stream cannot be translated: {error}")
