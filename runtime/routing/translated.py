"""The asker's side of an exchange with a provider of another API.

Between such an exchange and the asker stands a ``TranslatedAnswer``. All above it - hedging,
joining broken streams, the door - sees the asker's dialect only.
"""

from providers.http import ResponseHead
from providers.translated_headers import translated_headers
from providers.wire import Dialect
from providers.wire.translation.counting import Counting
from providers.wire.translation.translation import StreamTranslator, Translation
from runtime.routing.answer import Answer

__all__ = ["DROPPED", "TranslatedAnswer"]

DROPPED = b"x-standby-dropped"
"""The header that names what was not carried over."""

_MOST_SHOWN = 2000
"""Characters of names in that header."""


class TranslatedAnswer:
    """An answer that arrives in a provider's dialect and goes on in the asker's.

    Implements ``Answer``.

    Args:
        answer: Where it goes.
        translation: How it is translated.
        asker: The asker's dialect.
        provider: The provider's dialect.
    """

    __slots__ = ("_answer", "_asker", "_provider", "_stream", "_translation", "_waiting")

    def __init__(
        self,
        answer: Answer,
        translation: Translation | Counting,
        asker: Dialect,
        provider: Dialect,
    ) -> None:
        self._answer = answer
        self._translation = translation
        self._asker = asker
        self._provider = provider
        self._stream: StreamTranslator | None = None
        self._waiting: tuple[ResponseHead, str, int] | None = None

    def complete(self, head: ResponseHead, body: bytes, provider: str, attempts: int) -> None:
        """Send a whole plain answer."""
        translated = self._translation.answer(body)
        self._answer.complete(self._head(head, b"application/json"), translated, provider, attempts)

    def begin(self, head: ResponseHead, events: bytes, provider: str, attempts: int) -> None:
        """Send the head of a streamed answer and its first events."""
        assert isinstance(self._translation, Translation), "a count is never streamed"
        self._stream = self._translation.stream()
        if events:
            self._begin(head, self._stream.feed(events), provider, attempts)
        else:
            # All of it comes in one piece: nothing begins before that has proved translatable.
            self._waiting = head, provider, attempts

    def events(self, events: bytes) -> None:
        """Send what further events amount to."""
        assert self._stream is not None, "a stream begins with a head"
        translated = self._stream.feed(events)
        if translated:
            self._answer.events(translated)

    def finish(self, events: bytes) -> None:
        """Send the last events and end the stream properly."""
        assert self._stream is not None, "a stream begins with a head"
        translated = self._stream.finish(events)
        if self._waiting is not None:
            (head, provider, attempts), self._waiting = self._waiting, None
            self._begin(head, b"", provider, attempts)
        self._answer.finish(translated)

    def break_off(self, message: str | None) -> None:
        """End the stream as broken; with the upstream's own error, in the asker's dialect."""
        if message is None:
            error = None if self._stream is None else self._stream.error
            if error is None:
                message = "the upstream sent an error"
            else:
                event = self._asker.encode_stream_error(error.status or 502, error.message)
                self._answer.events(event)
        self._answer.break_off(message)

    @property
    def crowded(self) -> bool:
        """Whether to ``drain`` before more is sent."""
        return self._answer.crowded

    async def drain(self) -> None:
        """Wait until the asker has taken most of what was sent.

        Raises:
            AskerGone: When there is nobody left to take it.
        """
        await self._answer.drain()

    def _begin(self, head: ResponseHead, events: bytes, provider: str, attempts: int) -> None:
        head = self._head(head, b"text/event-stream; charset=utf-8")
        self._answer.begin(head, events, provider, attempts)

    def _head(self, head: ResponseHead, content_type: bytes) -> ResponseHead:
        """Return the answer's head as a provider of the asker's API would have sent it."""
        headers = translated_headers(head.headers, self._provider.family, self._asker.family)
        headers.append((b"content-type", content_type))
        dropped = list(self._translation.dropped)
        if dropped:
            headers.append((DROPPED, _listed(dropped)))
        return ResponseHead(head.status, headers, keep_alive=head.keep_alive)


def _listed(names: list[str]) -> bytes:
    """Return names with commas between, as many as a header should hold."""
    shown: list[str] = []
    size = 0
    for name in names:
        printable = "".join(each if " " < each < "\x7f" and each != "," else "?" for each in name)
        size += len(printable) + 2
        if size > _MOST_SHOWN:
            shown.append(f"and-{len(names) - len(shown)}-more")
            break
        shown.append(printable)
    return ", ".join(shown).encode("ascii")
