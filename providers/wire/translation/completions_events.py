"""Decoding and encoding a streamed legacy completion."""

from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

from providers.wire.openai_stream import read_error
from providers.wire.translation.chat_answer_fields import CountedTokens
from providers.wire.translation.chat_reply import answer_id
from providers.wire.translation.chat_usage import decode_stop, decode_usage, encode_usage
from providers.wire.translation.codec import AnswerFrame, StreamDecoder, StreamEncoder
from providers.wire.translation.completions_reply import PREFIX, decode_text_answer, reason_of
from providers.wire.translation.conversation import Refusal, Text
from providers.wire.translation.reply import (
    Begun,
    Counted,
    Delta,
    Failed,
    Finished,
    PartBegun,
    PartEnded,
    ReplyEvent,
    ReplyUsage,
)
from providers.wire.values import UpstreamError

__all__ = ["CompletionsStreamDecoder", "CompletionsStreamEncoder"]

_DONE: Final = b"data: [DONE]\n\n"
_NOTHING: Sequence[ReplyEvent] = ()
_encode = msgspec.json.encode


class CompletionsStreamDecoder(StreamDecoder):
    """Decodes the chunks of one answer; of several choices the first."""

    __slots__ = ("_begun", "_open", "_over", "_reason", "_usage")

    def __init__(self) -> None:
        self._begun = False
        self._open = False
        self._over = False
        self._reason: str | None = None
        self._usage: CountedTokens | None = None

    def event(self, name: bytes, data: bytes) -> Sequence[ReplyEvent]:
        """See ``StreamDecoder.event``."""
        if self._over:
            return _NOTHING
        if data.startswith(b"[DONE]"):
            return self.end()
        chunk = decode_text_answer(data)
        if chunk.error is not None or name == b"error":
            self._over = True
            found = read_error({"error": chunk.error}, is_error=name == b"error")
            return (Failed(found or UpstreamError("", None, "the upstream sent an error")),)
        if chunk.usage is not None:
            self._usage = chunk.usage
        out: list[ReplyEvent] = []
        for choice in chunk.choices or ():
            if choice.index:
                continue
            if not self._begun:
                self._begun = True
                out.append(Begun(chunk.id or "", chunk.model or "", created=chunk.created))
            if choice.text:
                if not self._open:
                    self._open = True
                    out.append(PartBegun(0, Text("")))
                out.append(Delta(0, choice.text))
            if choice.finish_reason:
                self._reason = choice.finish_reason
        return out

    def end(self) -> Sequence[ReplyEvent]:
        """See ``StreamDecoder.end``."""
        if self._over:
            return _NOTHING
        self._over = True
        out: list[ReplyEvent] = [] if self._begun else [Begun("", "")]
        if self._open:
            out.append(PartEnded(0))
        stop = decode_stop(self._reason, called=False, refused=False)
        out.append(Finished(stop, usage=decode_usage(self._usage)))
        return out


class CompletionsStreamEncoder(StreamEncoder):
    """Writes the chunks of one answer: texts and the words of refusals, and nothing else.

    Args:
        frame: What the answer needs besides what its provider sends.
    """

    __slots__ = ("_chunk", "_done", "_frame", "_parts", "_tail", "_usage")

    def __init__(self, frame: AnswerFrame) -> None:
        self._frame = frame
        self._chunk = b""
        self._tail = b""
        self._done = False
        self._usage: ReplyUsage | None = None
        self._parts: set[int] = set()

    def encode(self, events: Iterable[ReplyEvent]) -> bytes:
        """See ``StreamEncoder.encode``."""
        out: list[bytes] = []
        for event in events:
            if type(event) is Delta:
                if event.text and event.index in self._parts:
                    out.append(self._chunk + _encode(event.text) + self._tail)
            elif type(event) is PartBegun:
                part = event.part
                if isinstance(part, Text | Refusal):
                    self._parts.add(event.index)
                    if part.text:
                        out.append(self._chunk + _encode(part.text) + self._tail)
            elif type(event) is Begun:
                self._begin(event)
            elif type(event) is Counted:
                self._usage = event.usage
            elif type(event) is Finished and not self._done:
                self._finish(event, out)
        return b"".join(out)

    def _begin(self, begun: Begun) -> None:
        frame = self._frame
        head = {
            "id": answer_id(begun.id, frame, PREFIX),
            "object": "text_completion",
            "created": begun.created if begun.created is not None else frame.created,
            "model": begun.model or frame.request.model,
        }
        self._usage = begun.usage
        usage = b',"usage":null' if frame.request.include_usage else b""
        self._chunk = b"data: " + _encode(head)[:-1] + b',"choices":[{"text":'
        self._tail = b',"index":0,"logprobs":null,"finish_reason":null}]' + usage + b"}\n\n"

    def _finish(self, finished: Finished, out: list[bytes]) -> None:
        if not self._chunk:
            self._begin(Begun("", ""))
        self._done = True
        reason = b'"' + reason_of(finished.stop).encode() + b'"'
        out.append(self._chunk + b'""' + self._tail.replace(b"null}]", reason + b"}]"))
        usage = finished.usage or self._usage
        if self._frame.request.include_usage and usage is not None:
            head = self._chunk.removesuffix(b'{"text":')
            out.append(head + b'],"usage":' + _encode(encode_usage(usage)) + b"}\n\n")
        out.append(_DONE)
