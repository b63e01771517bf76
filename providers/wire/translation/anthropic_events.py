"""Reading a streamed answer in Anthropic's dialect."""

from collections.abc import Sequence
from typing import Any

import msgspec

from providers.wire.anthropic_stream import read_error
from providers.wire.translation.anthropic_blocks import read_block
from providers.wire.translation.anthropic_reply import stop_reason, usage_of
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
        ended = [PartEnded(number) for number in sorted(self._open.values())]
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
            part = read_block({**block, "input": {}}, "answer.content", index)
            if isinstance(call_id, str) and isinstance(name, str):
                part = ToolCall(call_id, name)
        elif block.get("type") == "thinking":
            part = read_block({"thinking": "", **block}, "answer.content", index)
        elif block.get("type") == "text":
            part = read_block({**block, "text": block.get("text") or ""}, "answer.content", index)
        else:
            part = read_block(block, "answer.content", index)
        if isinstance(part, Opaque):
            # Its arguments may come piece by piece: it is told when it is whole.
            self._opaque[index] = part, []
            return ()
        number = self._parts
        self._parts += 1
        self._open[index] = number
        return (PartBegun(number, part),)

    def _other_delta(self, event: dict[str, Any]) -> Sequence[ReplyEvent]:
        index, delta = event.get("index"), event.get("delta")
        if not isinstance(index, int) or not isinstance(delta, dict):
            return ()
        if index in self._opaque:
            piece = delta.get("partial_json")
            if isinstance(piece, str):
                self._opaque[index][1].append(piece)
            return ()
        number = self._open.get(index)
        if number is None or delta.get("type") != "citations_delta":
            return ()
        citation = delta.get("citation")
        return (Delta(number, citation=citation),) if isinstance(citation, dict) else ()

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
