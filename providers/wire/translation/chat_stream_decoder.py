"""Decoding a streamed chat completion.

Text, thoughts and refusals are parts one after the other: each ends when another begins. Tool
calls stay open until the answer's finish, as servers interleave them. A call begins when its id and
its name are known; what comes of its arguments before that is held.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import msgspec

from providers.wire.openai_stream import read_error
from providers.wire.translation.chat_answer_fields import (
    Answer,
    Call,
    CountedTokens,
    Said,
    decode_answer,
    decode_chunk,
)
from providers.wire.translation.chat_reply import list_texts, made_id
from providers.wire.translation.chat_thoughts import maker_of
from providers.wire.translation.chat_usage import decode_stop, decode_usage
from providers.wire.translation.codec import StreamDecoder
from providers.wire.translation.conversation import Refusal, Text, Thinking, ToolCall
from providers.wire.translation.reply import (
    Begun,
    Delta,
    Failed,
    Finished,
    PartBegun,
    PartEnded,
    ReplyEvent,
)
from providers.wire.values import UpstreamError

__all__ = ["ChatStreamDecoder"]

_NOTHING: Sequence[ReplyEvent] = ()


class _Call:
    """A tool call that has been heard of."""

    __slots__ = ("custom", "ended", "held", "id", "name", "number", "part")

    def __init__(self, number: int) -> None:
        self.number = number
        self.id = ""
        self.name = ""
        self.custom = False
        self.held = ""
        self.part = -1
        self.ended = False


class ChatStreamDecoder(StreamDecoder):
    """Decodes the chunks of one answer; of several choices the first."""

    __slots__ = (
        "_begun",
        "_calls",
        "_id",
        "_kind",
        "_last_call",
        "_numbered",
        "_old_call",
        "_over",
        "_part",
        "_parts",
        "_reason",
        "_refused",
        "_thought_index",
        "_thoughts_told",
        "_tier",
        "_usage",
    )

    def __init__(self) -> None:
        self._begun = False
        self._over = False
        self._id = ""
        self._parts = 0
        self._part = -1
        self._kind: Literal["", "text", "thinking", "refusal"] = ""
        self._calls: list[_Call] = []
        self._numbered: dict[int, _Call] = {}
        self._last_call: _Call | None = None
        self._old_call: _Call | None = None
        self._thought_index: object = None
        self._thoughts_told = False
        self._reason: str | None = None
        self._refused = False
        self._usage: CountedTokens | None = None
        self._tier: str | None = None

    def event(self, name: bytes, data: bytes) -> Sequence[ReplyEvent]:
        """See ``StreamDecoder.event``."""
        if self._over:
            return _NOTHING
        if data.startswith(b"[DONE]"):
            return self.end()
        if not data.strip():
            return _NOTHING
        chunk = decode_chunk(data) if self._begun else decode_answer(data)
        if chunk.error is not None or name == b"error":
            return self._failed(chunk.error, named=name == b"error")
        if chunk.usage is not None:
            self._usage = chunk.usage
        if chunk.service_tier is not None:
            self._tier = chunk.service_tier
        choices = chunk.choices
        if not choices:
            return _NOTHING if chunk.usage is not None else self._other(data)
        out: list[ReplyEvent] = []
        if not self._begun:
            assert isinstance(chunk, Answer)
            self._begun = True
            self._id = chunk.id or ""
            usage = decode_usage(chunk.usage)
            out.append(Begun(self._id, chunk.model or "", usage, chunk.created))
        for choice in choices:
            if choice.index:
                continue
            if choice.delta is not None:
                self._said(choice.delta, out)
            if choice.finish_reason:
                self._reason = choice.finish_reason
                self._close_all(out)
        return out

    def end(self) -> Sequence[ReplyEvent]:
        """See ``StreamDecoder.end``."""
        if self._over:
            return _NOTHING
        self._over = True
        out: list[ReplyEvent] = []
        if not self._begun:
            out.append(Begun("", ""))
        self._close_all(out)
        called = any(call.part >= 0 for call in self._calls)
        stop = decode_stop(self._reason, called=called, refused=self._refused)
        out.append(Finished(stop, usage=decode_usage(self._usage, self._tier)))
        return out

    def _other(self, data: bytes) -> Sequence[ReplyEvent]:
        """Look at a chunk that says nothing of the answer: errors have more than one shape."""
        try:
            body = msgspec.json.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _NOTHING
        found = read_error(body) if isinstance(body, dict) else None
        if found is None:
            return _NOTHING
        self._over = True
        return (Failed(found),)

    def _failed(self, error: object, *, named: bool) -> Sequence[ReplyEvent]:
        self._over = True
        found = read_error({"error": error}, is_error=named)
        return (Failed(found or UpstreamError("", None, "the upstream sent an error")),)

    def _said(self, said: Said, out: list[ReplyEvent]) -> None:
        content = said.content
        if (
            self._kind == "text"
            and type(content) is str
            and content
            and not (said.tool_calls or said.reasoning or said.reasoning_content)
            and not (said.refusal or said.annotations or said.reasoning_details)
            and said.function_call is None
        ):
            out.append(Delta(self._part, content))
            return
        thought = said.reasoning_content or said.reasoning
        if isinstance(content, list):
            inner, content = list_texts(content)
            thought = thought or inner
        if said.reasoning_details:
            self._details(said.reasoning_details, thought or "", out)
        elif thought:
            self._thought(thought, out)
        if content:
            if self._kind != "text":
                self._begin("text", Text("", citations_of="openai"), out)
            out.append(Delta(self._part, content))
        if said.annotations:
            if self._kind != "text":
                self._begin("text", Text("", citations_of="openai"), out)
            cited = [each for each in said.annotations if isinstance(each, dict)]
            out += [Delta(self._part, citation=each) for each in cited]
        if said.refusal:
            self._refused = True
            if self._kind != "refusal":
                self._begin("refusal", Refusal(""), out)
            out.append(Delta(self._part, said.refusal))
        for call in said.tool_calls or ():
            self._call(call, out)
        old = said.function_call
        if old is not None:
            if self._old_call is None:
                self._old_call = self._new_call()
                self._old_call.id = made_id(self._id, 0, old.name or "")
            self._add(self._old_call, Call(function=old), out)

    def _begin(
        self,
        kind: Literal["text", "thinking", "refusal"],
        part: Text | Thinking | Refusal,
        out: list[ReplyEvent],
    ) -> None:
        self._end_part(out)
        self._kind = kind
        self._part = self._parts
        self._parts += 1
        out.append(PartBegun(self._part, part))

    def _end_part(self, out: list[ReplyEvent]) -> None:
        if self._kind:
            out.append(PartEnded(self._part))
            self._kind = ""

    def _thought(self, text: str, out: list[ReplyEvent]) -> None:
        self._thoughts_told = True
        if self._kind != "thinking":
            self._thought_index = None
            self._begin("thinking", Thinking(), out)
        out.append(Delta(self._part, text))

    def _details(self, details: list[object], thought: str, out: list[ReplyEvent]) -> None:
        """Take ``reasoning_details``; their texts only where they are told nowhere else."""
        for detail in details:
            if not isinstance(detail, dict):
                continue
            kind, index = detail.get("type"), detail.get("index")
            made_by = maker_of(detail.get("format"))
            begun = Thinking(made_by=made_by, id=_string(detail, "id") or None)
            redacted = _string(detail, "data")
            if redacted:
                if made_by:
                    hidden = msgspec.structs.replace(begun, redacted=redacted)
                    self._begin("thinking", hidden, out)
                    self._thought_index = index
                continue
            text, thought = thought, ""
            if text:
                self._thoughts_told = True
            elif not self._thoughts_told:
                text = _string(detail, "text") or _string(detail, "summary")
            if self._kind != "thinking" or self._thought_index not in (None, index):
                if not text and not made_by:
                    continue
                if kind == "reasoning.summary":
                    begun = msgspec.structs.replace(begun, summary=True)
                self._begin("thinking", begun, out)
            self._thought_index = index
            signature = _string(detail, "signature")
            if text or signature:
                out.append(Delta(self._part, text, signature or None))
        if thought:
            self._thought(thought, out)

    def _new_call(self) -> _Call:
        call = self._last_call = _Call(len(self._calls))
        self._calls.append(call)
        return call

    def _call(self, piece: Call, out: list[ReplyEvent]) -> None:
        """Find the call that a piece belongs to, and add the piece to it."""
        index = piece.index
        call = self._last_call if index is None else self._numbered.get(index)
        other = piece.id if call is not None and piece.id != call.id else None
        if (
            call is None
            # Some servers number all calls 0: another id and a name make another call.
            or (other and call.id and (piece.name or index is None))
            # Without number and id only a further name tells that a call begins.
            or (index is None and not piece.id and piece.name and call.name)
        ):
            known = self._by_id(piece.id) if piece.id else None
            call = known or self._new_call()
            if index is not None:
                self._numbered[index] = call
        self._last_call = call
        self._add(call, piece, out)

    def _by_id(self, call_id: str) -> _Call | None:
        for call in self._calls:
            if call.id == call_id:
                return call
        return None

    def _add(self, call: _Call, piece: Call, out: list[ReplyEvent]) -> None:
        """Add a piece to a call, and begin it as soon as all is known that it begins with."""
        arguments = piece.arguments
        if call.part >= 0:
            if arguments and not call.ended:
                out.append(Delta(call.part, arguments))
            return
        call.id = call.id or piece.id or ""
        call.name = call.name or piece.name
        call.custom = call.custom or piece.custom is not None
        call.held += arguments
        if call.id and call.name:
            self._begin_call(call, out)

    def _begin_call(self, call: _Call, out: list[ReplyEvent]) -> None:
        self._end_part(out)
        call.part = self._parts
        self._parts += 1
        out.append(PartBegun(call.part, ToolCall(call.id, call.name, custom=call.custom)))
        if call.held:
            out.append(Delta(call.part, call.held))
            call.held = ""

    def _close_all(self, out: list[ReplyEvent]) -> None:
        """End all parts; a call that never had an id is given one, one without a name is none."""
        self._end_part(out)
        for call in self._calls:
            if call.part < 0 and call.name:
                call.id = made_id(self._id, call.number, call.name)
                self._begin_call(call, out)
            if call.part >= 0 and not call.ended:
                call.ended = True
                out.append(PartEnded(call.part))


def _string(detail: Mapping[str, Any], name: str) -> str:
    value = detail.get(name)
    return value if isinstance(value, str) else ""
