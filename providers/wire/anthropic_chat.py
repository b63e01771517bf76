"""Decoding the content of messages, plain and streamed, in Anthropic's dialect."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from providers.wire.anthropic import AnthropicDialect
from providers.wire.anthropic_stream import AnthropicStreamReader
from providers.wire.chat_decoder import ChatDecoder
from providers.wire.chat_events import (
    ChatEvent,
    DeltaText,
    DeltaThinking,
    DeltaToolCall,
    Metadata,
)
from providers.wire.events import MAX_EVENT
from providers.wire.values import Usage

__all__ = ["AnthropicChatDecoder"]

_FRAME = frozenset(
    {"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"}
)
"""What every message has; the stop reason is told by ``Done``."""

_SILENT = frozenset({"content_block_stop", "message_stop", "ping"})

_DIALECT: Final = AnthropicDialect()


class _Reader(AnthropicStreamReader):
    """Keeps what it judges good."""

    __slots__ = ("heard",)

    def __init__(self) -> None:
        super().__init__(MAX_EVENT)
        self.heard: list[tuple[bytes, Usage | None]] = []

    def is_ordinary(self, event: bytes) -> bool:
        """Have every event judged."""
        del event
        return False

    def judge(self, block: bytes) -> bool:
        """See ``StreamReader.judge``."""
        over = super().judge(block)
        if self.error is None:
            self.heard.append((block, self.usage))
        return over


class AnthropicChatDecoder(ChatDecoder):
    """Decodes one message."""

    def __init__(self) -> None:
        super().__init__(_DIALECT, _Reader())
        self._tools: set[int] = set()

    def event(self, name: bytes, data: dict[str, Any]) -> Iterator[ChatEvent]:
        """See ``ChatDecoder.event``."""
        kind = data.get("type")
        if not isinstance(kind, str):
            kind = name.decode(errors="replace")
        number = data.get("index", 0)
        index = number if isinstance(number, int) else 0
        part: object
        known: Iterator[ChatEvent] | None = None
        if kind in _SILENT:
            return
        if kind == "content_block_delta" and isinstance(part := data.get("delta"), dict):
            known = self._delta(part, index)
        elif kind == "content_block_start" and isinstance(part := data.get("content_block"), dict):
            known = self._block(part, index)
        elif kind == "message_start" and isinstance(part := data.get("message"), dict):
            known = self.answer(part)
        elif kind == "message_delta":
            known = _ending(data)
        if known is None:
            yield Metadata(extra=data)
        else:
            yield from known

    def answer(self, body: dict[str, Any]) -> Iterator[ChatEvent]:
        """See ``ChatDecoder.answer``."""
        yield Metadata(id=_text(body.get("id")), model=_text(body.get("model")))
        content = body.get("content")
        for index, block in enumerate(content if isinstance(content, list) else ()):
            if isinstance(block, dict):
                known = self._block(block, index)
                yield from known if known is not None else [_whole_block(block, index)]
        extra = _said(body, _FRAME)
        if extra:
            yield Metadata(extra=extra)

    def _block(self, block: Mapping[str, Any], index: int) -> Iterator[ChatEvent] | None:
        """Decode the beginning of a block, or all of it; None for what has no event of its own."""
        kind = block.get("type")
        if kind == "text":
            return _text_block(block, index)
        if kind == "thinking":
            return _thinking(block.get("thinking"), block.get("signature"), index)
        if kind == "tool_use":
            self._tools.add(index)
            given = block.get("input")
            arguments = msgspec.json.encode(given).decode() if given else ""
            call = DeltaToolCall(
                index=index,
                id=_text(block.get("id")),
                name=_text(block.get("name")),
                arguments=arguments,
            )
            return iter([call])
        return None

    def _delta(self, delta: Mapping[str, Any], index: int) -> Iterator[ChatEvent] | None:
        """Decode a piece of a block; None for what has no event of its own."""
        kind = delta.get("type")
        if kind == "text_delta":
            return iter([DeltaText(delta["text"], block=index)] if _text(delta.get("text")) else [])
        if kind == "thinking_delta":
            return _thinking(delta.get("thinking"), None, index)
        if kind == "signature_delta":
            return _thinking(None, delta.get("signature"), index)
        if kind == "input_json_delta" and index in self._tools:
            piece = _text(delta.get("partial_json"))
            return iter([DeltaToolCall(index=index, arguments=piece)] if piece else [])
        return None


def _text_block(block: Mapping[str, Any], index: int) -> Iterator[ChatEvent]:
    if _text(block.get("text")):
        yield DeltaText(block["text"], block=index)
    rest = {key: value for key, value in block.items() if key not in {"type", "text"} and value}
    if rest:
        yield _whole_block({"type": "text", **rest}, index)


def _thinking(text: object, signature: object, index: int) -> Iterator[ChatEvent]:
    if _text(text) or _text(signature):
        yield DeltaThinking(_text(text) or "", block=index, signature=_text(signature))


def _whole_block(block: Mapping[str, Any], index: int) -> Metadata:
    return Metadata(
        extra={"type": "content_block_start", "index": index, "content_block": dict(block)}
    )


def _ending(data: Mapping[str, Any]) -> Iterator[ChatEvent]:
    """Decode what a message's end says beyond its stop reason and usage."""
    extra = _said(data, {"type", "usage", "delta"})
    delta = data.get("delta")
    if isinstance(delta, dict):
        said = _said(delta, {"stop_reason"})
        if said:
            extra["delta"] = said
    if extra:
        yield Metadata(extra=extra)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _said(values: Mapping[str, Any], known: frozenset[str] | set[str]) -> dict[str, Any]:
    """Return what is said beyond what is known; a null says nothing."""
    return {key: value for key, value in values.items() if key not in known and value is not None}
