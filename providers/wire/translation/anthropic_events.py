"""Reading a streamed answer in Anthropic's dialect."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from providers.wire.anthropic_stream import read_error
from providers.wire.translation.anthropic_reply import answer_part, stop_reason, usage_of
from providers.wire.translation.codec import StreamDecoder
from providers.wire.translation.conversation import Opaque, ToolCall
from providers.wire.translation.reply import (
    Begun,
    Counted,
    Delta,
    Failed,
    Finished,
    PartBegun,
    PartEnded,
    Ping,
    ReplyEvent,
    StopReason,
)

__all__ = ["AnthropicStreamDecoder"]


class _DeltaBody(msgspec.Struct, gc=False):
    type: str = ""
    text: str | None = None
    partial_json: str | None = None
    thinking: str | None = None
    signature: str | None = None


class _DeltaEvent(msgspec.Struct, gc=False):
    delta: _DeltaBody
    index: int = 0
    type: str = ""


_delta_decoder = msgspec.json.Decoder(_DeltaEvent)
_any_decoder = msgspec.json.Decoder()
_TEXTS: Final[Mapping[str, str]] = {
    "text_delta": "text",
    "input_json_delta": "partial_json",
    "thinking_delta": "thinking",
}
"""The member that holds the text of a delta, by the delta's type."""


class AnthropicStreamDecoder(StreamDecoder):
    """Reads the events of one message."""

    def __init__(self) -> None:
        self._usage: dict[str, Any] = {}
        self._stop: StopReason | None = None
        self._sequence: str | None = None
        self._open: dict[int, int] = {}
        self._opaque: dict[int, tuple[Opaque, list[str]]] = {}
        self._parts = 0
        self._over = False
        self._begun = False

    def event(self, name: bytes, data: bytes) -> Sequence[ReplyEvent]:
        """See ``StreamDecoder.event``."""
        if self._over:
            return ()
        if name == b"content_block_delta":
            try:
                event = _delta_decoder.decode(data)
            except msgspec.ValidationError:
                return self._loosely(name, data)
            number = self._open.get(event.index)
            if number is not None:
                delta = event.delta
                kind = delta.type
                if kind == "text_delta":
                    return (Delta(number, delta.text or ""),)
                if kind == "input_json_delta":
                    return (Delta(number, delta.partial_json or ""),)
                if kind == "thinking_delta":
                    return (Delta(number, delta.thinking or ""),)
                if kind == "signature_delta":
                    return (Delta(number, signature=delta.signature or ""),)
        return self._loosely(name, data)

    def end(self) -> Sequence[ReplyEvent]:
        """See ``StreamDecoder.end``."""
        if self._over:
            return ()
        self._over = True
        ended: list[ReplyEvent] = [PartEnded(number) for number in sorted(self._open.values())]
        for index in sorted(self._opaque):
            ended += self._block_stop(index)
        return (*ended, Finished(self._stop, self._sequence, usage_of(self._usage)))

    def _loosely(self, name: bytes, data: bytes) -> Sequence[ReplyEvent]:
        """Read an event of any kind."""
        event = _any_decoder.decode(data)
        if not isinstance(event, dict):
            return ()
        kind = event.get("type")
        if not isinstance(kind, str):
            kind = name.decode(errors="replace")
        if kind == "error" or name == b"error":
            self._over = True
            return (Failed(read_error(event)),)
        if kind == "ping":
            return (Ping(),)
        if kind == "message_start":
            return self._start(event)
        if kind == "content_block_start":
            return self._block_start(event)
        if kind == "content_block_delta":
            return self._other_delta(event)
        if kind == "content_block_stop":
            return self._block_stop(event.get("index"))
        if kind == "message_delta":
            return self._message_delta(event)
        if kind == "message_stop":
            return self.end()
        return ()

    def _start(self, event: dict[str, Any]) -> Sequence[ReplyEvent]:
        message = event.get("message")
        if self._begun or not isinstance(message, dict):
            return ()
        self._begun = True
        self._count(message.get("usage"))
        known = [message.get(key) for key in ("id", "model")]
        told = [each if isinstance(each, str) else "" for each in known]
        return (Begun(told[0], told[1], usage_of(self._usage)),)

    def _count(self, usage: object) -> bool:
        if not isinstance(usage, dict):
            return False
        said = {key: value for key, value in usage.items() if value is not None}
        self._usage.update(said)
        return bool(said)

    def _block_start(self, event: dict[str, Any]) -> Sequence[ReplyEvent]:
        index, block = event.get("index"), event.get("content_block")
        if not isinstance(index, int) or not isinstance(block, dict):
            return ()
        if block.get("type") == "tool_use" and block.get("input") in ({}, None):
            call_id, name = block.get("id"), block.get("name")
            part = answer_part({**block, "input": {}}, index)
            if isinstance(call_id, str) and isinstance(name, str):
                part = ToolCall(call_id, name)
        elif block.get("type") == "thinking":
            part = answer_part({"thinking": "", **block}, index)
        elif block.get("type") == "text":
            part = answer_part({**block, "text": block.get("text") or ""}, index)
        else:
            part = answer_part(block, index)
        ended = self._block_stop(index)  # of another that was never stopped
        if isinstance(part, Opaque):
            # Its arguments may come piece by piece: it is told when it is whole.
            self._opaque[index] = part, []
            return ended
        number = self._parts
        self._parts += 1
        self._open[index] = number
        return (*ended, PartBegun(number, part))

    def _other_delta(self, event: dict[str, Any]) -> Sequence[ReplyEvent]:
        index, delta = event.get("index"), event.get("delta")
        if not isinstance(index, int) or not isinstance(delta, dict):
            return ()
        if index in self._opaque:
            piece = delta.get("partial_json")
            if isinstance(piece, str):
                self._opaque[index][1].append(piece)
            return ()
        number, kind = self._open.get(index), delta.get("type")
        if number is None or not isinstance(kind, str):
            return ()
        if kind == "citations_delta":
            citation = delta.get("citation")
            return (Delta(number, citation=citation),) if isinstance(citation, dict) else ()
        if kind == "signature_delta":
            signature = delta.get("signature")
            return (Delta(number, signature=signature),) if isinstance(signature, str) else ()
        text = delta.get(_TEXTS.get(kind, ""))
        return (Delta(number, text),) if isinstance(text, str) else ()

    def _block_stop(self, index: object) -> Sequence[ReplyEvent]:
        if not isinstance(index, int):
            return ()
        if index in self._opaque:
            part, pieces = self._opaque.pop(index)
            if pieces:
                text = "".join(pieces)
                try:
                    part = Opaque(
                        part.dialect,
                        part.kind,
                        {**part.body, "input": _any_decoder.decode(text)},
                    )
                except msgspec.DecodeError:
                    part = Opaque(part.dialect, part.kind, {**part.body, "input": text})
            number = self._parts
            self._parts += 1
            return (PartBegun(number, part), PartEnded(number))
        found = self._open.pop(index, None)
        return () if found is None else (PartEnded(found),)

    def _message_delta(self, event: dict[str, Any]) -> Sequence[ReplyEvent]:
        delta = event.get("delta")
        if isinstance(delta, dict):
            self._stop = stop_reason(delta.get("stop_reason")) or self._stop
            sequence = delta.get("stop_sequence")
            self._sequence = sequence if isinstance(sequence, str) else self._sequence
        if not self._count(event.get("usage")):
            return ()
        usage = usage_of(self._usage)
        return () if usage is None else (Counted(usage),)
