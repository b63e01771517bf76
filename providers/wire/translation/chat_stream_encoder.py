"""Encoding a streamed chat completion."""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from providers.wire.translation.chat_citations import annotation
from providers.wire.translation.chat_reply import answer_id
from providers.wire.translation.chat_thoughts import details_of, format_of
from providers.wire.translation.chat_usage import encode_stop, encode_usage, tier_of
from providers.wire.translation.codec import FOREIGN_MARK, AnswerFrame, StreamEncoder
from providers.wire.translation.conversation import Opaque, Refusal, Text, Thinking, ToolCall
from providers.wire.translation.reply import (
    Begun,
    Counted,
    Delta,
    Finished,
    PartBegun,
    PartEnded,
    ReplyEvent,
    ReplyUsage,
)

__all__ = ["ChatStreamEncoder"]

_DONE: Final = b"data: [DONE]\n\n"
_encode = msgspec.json.encode


class _Part:
    """A part that has begun.

    Attributes:
        head: All of a chunk up to the text of its delta.
        tail: All of it after that.
        part: The part as it began.
        texts: What has come of it, where it is needed at its end.
        number: The call's or the thought's number in the answer.
        start: Where a text begins, in characters of the whole content.
        length: What has come of a text, in characters.
        silent: Whether the asker's dialect has no place for it.
    """

    __slots__ = (
        "citations",
        "head",
        "length",
        "number",
        "part",
        "silent",
        "start",
        "tail",
        "texts",
    )

    def __init__(self, part: Text | Thinking | ToolCall | Refusal | Opaque) -> None:
        self.part = part
        self.head = b""
        self.tail = b""
        self.number = 0
        self.start = 0
        self.length = 0
        self.silent = False
        self.texts: list[str] | None = None
        self.citations: list[dict[str, Any]] = []


class ChatStreamEncoder(StreamEncoder):
    """Writes the chunks of one answer.

    Args:
        frame: What the answer needs besides what its provider sends.
    """

    __slots__ = (
        "_calls",
        "_chunk",
        "_done",
        "_frame",
        "_length",
        "_parts",
        "_refused",
        "_tail",
        "_thoughts",
        "_usage",
    )

    def __init__(self, frame: AnswerFrame) -> None:
        self._frame = frame
        self._chunk = b""
        self._tail = b""
        self._done = False
        self._calls = 0
        self._thoughts = 0
        self._length = 0
        self._refused = False
        self._usage: ReplyUsage | None = None
        self._parts: dict[int, _Part] = {}

    def encode(self, events: Iterable[ReplyEvent]) -> bytes:
        """See ``StreamEncoder.encode``."""
        out: list[bytes] = []
        for event in events:
            if type(event) is Delta:
                part = self._parts.get(event.index)
                if part is not None and not part.silent:
                    self._delta(part, event, out)
            else:
                self._other(event, out)
        return b"".join(out)

    def _delta(self, part: _Part, delta: Delta, out: list[bytes]) -> None:
        text = delta.text
        if text:
            out.append(part.head + _encode(text) + part.tail)
            if part.texts is not None:
                part.texts.append(text)
            part.length += len(text)
        if delta.signature is not None:
            kept = part.part
            if type(kept) is Thinking:
                proof = (kept.signature or "") + delta.signature
                part.part = msgspec.structs.replace(kept, signature=proof)
        if delta.citation is not None:
            part.citations.append(delta.citation)

    def _other(self, event: ReplyEvent, out: list[bytes]) -> None:
        if type(event) is PartBegun:
            self._begin_part(event, out)
        elif type(event) is PartEnded:
            part = self._parts.pop(event.index, None)
            if part is not None and not part.silent:
                self._end_part(part, out)
        elif type(event) is Begun:
            self._begin(event, out)
        elif type(event) is Counted:
            self._usage = event.usage
        elif type(event) is Finished and not self._done:
            self._finish(event, out)

    def _begin(self, begun: Begun, out: list[bytes]) -> None:
        frame = self._frame
        head = {
            "id": answer_id(begun.id, frame, "chatcmpl-"),
            "object": "chat.completion.chunk",
            "created": begun.created if begun.created is not None else frame.created,
            "model": begun.model or frame.request.model,
        }
        self._usage = begun.usage
        self._chunk = b"data: " + _encode(head)[:-1] + b',"choices":['
        usage = b',"usage":null' if frame.request.include_usage else b""
        self._tail = b"]" + usage + b"}\n\n"
        self._send(b'{"role":"assistant","content":null,"refusal":null}', out)

    def _send(self, delta: bytes, out: list[bytes]) -> None:
        out.append(
            self._chunk
            + b'{"index":0,"delta":'
            + delta
            + b',"logprobs":null,"finish_reason":null}'
            + self._tail
        )

    def _open(self, part: _Part, before: bytes, after: bytes) -> None:
        """Say what stands around the texts of a part's deltas."""
        part.head = self._chunk + b'{"index":0,"delta":' + before
        part.tail = after + b',"logprobs":null,"finish_reason":null}' + self._tail

    def _begin_part(self, event: PartBegun, out: list[bytes]) -> None:
        given = event.part
        assert isinstance(given, Text | Thinking | ToolCall | Refusal | Opaque)
        part = self._parts[event.index] = _Part(given)
        if type(given) is Text:
            part.start = self._length
            part.citations += given.citations
            self._open(part, b'{"content":', b"}")
        elif type(given) is ToolCall:
            self._begin_call(part, given, out)
            return
        elif type(given) is Thinking:
            self._begin_thought(part, given, out)
        elif type(given) is Refusal:
            self._refused = True
            self._open(part, b'{"refusal":', b"}")
        else:
            part.silent = True
            return
        if given.text:
            out.append(part.head + _encode(given.text) + part.tail)
            part.length = len(given.text)

    def _begin_call(self, part: _Part, call: ToolCall, out: list[bytes]) -> None:
        part.number = self._calls
        self._calls += 1
        part.length = len(call.arguments)
        if self._frame.request.old_calls:
            # Such an asker knows one call only.
            part.silent = part.number > 0
            if not part.silent:
                function = {"name": call.name, "arguments": call.arguments}
                self._send(_encode({"function_call": function}), out)
                self._open(part, b'{"function_call":{"arguments":', b"}}")
            return
        kind, text = ("custom", "input") if call.custom else ("function", "arguments")
        first = {
            "index": part.number,
            "id": call.id,
            "type": kind,
            kind: {"name": call.name, text: call.arguments},
        }
        self._send(_encode({"tool_calls": [first]}), out)
        before = f'{{"tool_calls":[{{"index":{part.number},"{kind}":{{"{text}":'
        self._open(part, before.encode(), b"}}]}")

    def _begin_thought(self, part: _Part, thought: Thinking, out: list[bytes]) -> None:
        part.number = self._thoughts
        self._thoughts += 1
        self._open(part, b'{"reasoning_content":', b"}")
        name = format_of(thought.made_by)
        if thought.redacted is not None:
            hidden = details_of(thought, part.number)
            self._send(_encode({"reasoning_details": hidden}), out)
        elif name is not None:
            # Told once: clients that join the pieces of a thought append all their strings.
            part.texts = [thought.text]
            kind = "reasoning.summary" if thought.summary else "reasoning.text"
            detail: dict[str, Any] = {"type": kind, "format": name, "index": part.number}
            if thought.id is not None:
                detail["id"] = thought.id
            self._send(_encode({"reasoning_details": [detail]}), out)

    def _end_part(self, part: _Part, out: list[bytes]) -> None:
        given = part.part
        if type(given) is Text:
            end = part.start + part.length
            self._length = max(self._length, end)
            if part.citations:
                self._cite(part, given.citations_of, end, out)
        elif type(given) is ToolCall:
            if not part.length and not given.custom:
                out.append(part.head + b'"{}"' + part.tail)
        elif type(given) is Thinking and part.texts is not None:
            text = "".join(part.texts)
            detail: dict[str, Any] = {"index": part.number}
            if given.summary:
                detail |= {"type": "reasoning.summary", "summary": text}
            else:
                detail |= {"type": "reasoning.text", "text": text}
            if given.signature is not None and not given.signature.startswith(FOREIGN_MARK):
                detail["signature"] = given.signature
            self._send(_encode({"reasoning_details": [detail]}), out)

    def _cite(self, part: _Part, made_in: str, end: int, out: list[bytes]) -> None:
        found = [annotation(each, made_in, part.start, end) for each in part.citations]
        annotations = [each for each in found if each is not None]
        if annotations:
            self._send(_encode({"annotations": annotations}), out)

    def _finish(self, finished: Finished, out: list[bytes]) -> None:
        if not self._chunk:
            self._begin(Begun("", ""), out)
        self._done = True
        frame = self._frame
        reason = encode_stop(
            finished.stop, refused=self._refused, old_calls=frame.request.old_calls
        )
        out.append(
            self._chunk
            + b'{"index":0,"delta":{},"logprobs":null,"finish_reason":"'
            + reason.encode()
            + b'"}'
            + self._tail
        )
        usage = finished.usage or self._usage
        if frame.request.include_usage and usage is not None:
            counted = _encode(encode_usage(usage))
            tier = tier_of(usage)
            served = b',"service_tier":' + _encode(tier) if tier is not None else b""
            out.append(self._chunk + b'],"usage":' + counted + served + b"}\n\n")
        out.append(_DONE)
