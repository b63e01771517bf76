"""An answer in the inner representation, plain and event by event.

A plain answer is a ``Reply``. A streamed one is a sequence of ``ReplyEvent``s: one ``Begun``; then
for each part a ``PartBegun``, its deltas and a ``PartEnded``; in between ``Counted`` and ``Ping``;
at the end one ``Finished``. Parts are numbered from 0 in the order they begin and several may be
open at once, as some APIs interleave tool calls; encoders of APIs that cannot do that put them in
order. ``fold`` makes the plain answer of a stream.
"""

from collections.abc import Iterable
from typing import Any, Literal

import msgspec

from providers.wire.translation.conversation import (
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from providers.wire.values import UpstreamError

__all__ = [
    "Begun",
    "Counted",
    "Delta",
    "Failed",
    "Finished",
    "PartBegun",
    "PartEnded",
    "Ping",
    "Reply",
    "ReplyEvent",
    "ReplyUsage",
    "StopReason",
    "fold",
]

StopReason = Literal[
    "end",
    "stop_sequence",
    "length",
    "tool_calls",
    "refusal",
    "content_filter",
    "pause",
    "context_window",
]
"""Why an answer ended.

- ``end``: the model had said all.
- ``stop_sequence``: it was about to say a stop sequence.
- ``length``: the bound on tokens was reached.
- ``tool_calls``: tools are to be called.
- ``refusal``: the model refuses.
- ``content_filter``: a filter cut it off.
- ``pause``: the provider wants to be asked to go on (Anthropic's ``pause_turn``).
- ``context_window``: the model's context window was full.
"""


class ReplyUsage(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """Tokens of an answer. The parts are contained in the totals.

    Attributes:
        input_tokens: All tokens of the prompt, those read from and written to a cache included.
        output_tokens: All tokens of the answer, thoughts included.
        cache_read: Those of the prompt that were read from a cache; None where nothing was said.
        cache_write: Those of the prompt that were written to a cache.
        cache_write_1h: Those of ``cache_write`` that are kept for an hour.
        reasoning: Those of the answer that were thoughts.
        audio_input: Those of the prompt that were sound.
        audio_output: Those of the answer that were sound.
        service_tier: The class of service that was given, in the provider's word.
        extras: What else the provider counted, in its own words.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read: int | None = None
    cache_write: int | None = None
    cache_write_1h: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    service_tier: str | None = None
    extras: dict[str, Any] = {}


class Reply(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """A whole answer.

    Attributes:
        id: The provider's id of it; empty where it gave none.
        model: The model that answered, as the provider names it; empty where it did not say.
        parts: The message: ``Text``, ``Thinking``, ``ToolCall``, ``Refusal`` and ``Opaque``.
        stop: Why it ended; None where the provider did not say.
        stop_sequence: The stop sequence it ended at.
        usage: Tokens; None where the provider did not say.
        created: When, in seconds since the epoch; None where the provider did not say.
        extras: Further members that only the provider's dialect knows.
    """

    id: str
    model: str
    parts: tuple[Part, ...] = ()
    stop: StopReason | None = None
    stop_sequence: str | None = None
    usage: ReplyUsage | None = None
    created: int | None = None
    extras: dict[str, Any] = {}


class Begun(msgspec.Struct, frozen=True, gc=False):
    """The answer begins: the first event, once."""

    id: str
    model: str
    usage: ReplyUsage | None = None
    created: int | None = None


class PartBegun(msgspec.Struct, frozen=True):
    """A part begins.

    Attributes:
        index: Its number.
        part: What is known of it: a ``ToolCall`` always with id and name. What it holds already is
            its beginning, and deltas follow; an ``Opaque`` is whole.
    """

    index: int
    part: Part


class Delta(msgspec.Struct, frozen=True, gc=False):
    """The next piece of an open part.

    Attributes:
        index: The part's number.
        text: Text of a ``Text``, ``Thinking`` or ``Refusal``; arguments of a ``ToolCall``.
        signature: The signature of a ``Thinking``, or its next piece.
        citation: A citation of a ``Text``, in the provider's words.
    """

    index: int
    text: str = ""
    signature: str | None = None
    citation: dict[str, Any] | None = None


class PartEnded(msgspec.Struct, frozen=True, gc=False):
    """A part is whole."""

    index: int


class Counted(msgspec.Struct, frozen=True, gc=False):
    """Tokens so far; each replaces the one before."""

    usage: ReplyUsage


class Ping(msgspec.Struct, frozen=True, gc=False):
    """The provider is still there."""


class Finished(msgspec.Struct, frozen=True, gc=False):
    """The answer is complete: the last event, once, after every part has ended.

    Attributes:
        stop: Why it ended; None where the provider did not say.
        stop_sequence: The stop sequence it ended at.
        usage: All tokens; None where the provider never said.
    """

    stop: StopReason | None = None
    stop_sequence: str | None = None
    usage: ReplyUsage | None = None


class Failed(msgspec.Struct, frozen=True):
    """The provider sent an error in place of the rest; nothing follows."""

    error: UpstreamError


ReplyEvent = Begun | PartBegun | Delta | PartEnded | Counted | Ping | Finished | Failed
"""What a streamed answer is made of."""


class _Open:
    """What has come of one part."""

    __slots__ = ("citations", "part", "signature", "texts")

    def __init__(self, part: Part) -> None:
        self.part = part
        self.texts: list[str] = []
        self.signature: list[str] = []
        self.citations: list[dict[str, Any]] = []

    def whole(self) -> Part:
        part = self.part
        text = "".join(self.texts)
        if isinstance(part, Text):
            citations = (*part.citations, *self.citations)
            return msgspec.structs.replace(part, text=part.text + text, citations=citations)
        if isinstance(part, Thinking):
            signature = (part.signature or "") + "".join(self.signature)
            return msgspec.structs.replace(part, text=part.text + text, signature=signature or None)
        if isinstance(part, ToolCall):
            return msgspec.structs.replace(part, arguments=part.arguments + text)
        if isinstance(part, Refusal):
            return Refusal(part.text + text)
        assert isinstance(part, Opaque), "answers hold no other parts"
        return part


def fold(events: Iterable[ReplyEvent]) -> Reply:
    """Return the plain answer that a complete stream amounts to.

    Args:
        events: All events of the stream.

    Raises:
        ValueError: The stream is not complete, or failed.
    """
    begun: Begun | None = None
    finished: Finished | None = None
    usage: ReplyUsage | None = None
    parts: dict[int, _Open] = {}
    for event in events:
        if isinstance(event, Delta):
            part = parts[event.index]
            part.texts.append(event.text)
            if event.signature is not None:
                part.signature.append(event.signature)
            if event.citation is not None:
                part.citations.append(event.citation)
        elif isinstance(event, PartBegun):
            parts[event.index] = _Open(event.part)
        elif isinstance(event, Begun):
            begun = event
            usage = event.usage or usage
        elif isinstance(event, Counted):
            usage = event.usage
        elif isinstance(event, Finished):
            finished = event
        elif isinstance(event, Failed):
            raise ValueError(f"the stream failed: {event.error.message}")  # noqa: TRY004 - a broken stream, not a wrong type
    if begun is None or finished is None:
        raise ValueError("the stream is not complete")
    return Reply(
        id=begun.id,
        model=begun.model,
        parts=tuple(parts[index].whole() for index in sorted(parts)),
        stop=finished.stop,
        stop_sequence=finished.stop_sequence,
        usage=finished.usage or usage,
        created=begun.created,
    )
