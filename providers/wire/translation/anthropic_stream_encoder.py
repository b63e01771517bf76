"""Writing a streamed answer in Anthropic's dialect.

The API has one block open at a time. A part that begins while another is open waits: its events
are held until that one is whole. A tool call is whole as soon as its arguments are one JSON
object; text and thoughts are whole when something else begins. Text and thoughts begin with their
first piece, so that a part without any leaves no empty block: sent back with the conversation, the
API would refuse it.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from providers.wire.translation.anthropic_blocks import ANTHROPIC
from providers.wire.translation.anthropic_parts import fit_call_id
from providers.wire.translation.anthropic_reply import (
    answer_id,
    block_of,
    stop_words,
    usage_words,
)
from providers.wire.translation.codec import FOREIGN_MARK, AnswerFrame, StreamEncoder
from providers.wire.translation.conversation import (
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from providers.wire.translation.custom_tools import wrapped
from providers.wire.translation.reply import (
    Begun,
    Counted,
    Delta,
    Finished,
    PartBegun,
    PartEnded,
    Ping,
    ReplyEvent,
    ReplyUsage,
)

__all__ = ["AnthropicStreamEncoder"]

_encode = msgspec.json.encode
_PING: Final = b'event: ping\ndata: {"type":"ping"}\n\n'
_STOP: Final = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_FOREIGN: Final = f"{FOREIGN_MARK}thoughts"


def _event(kind: str, members: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), _encode({"type": kind, **members}))


def _delta(index: int, kind: str, field: str) -> tuple[bytes, bytes]:
    """Return what stands before and after the text of a delta."""
    before = (
        b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,'
        b'"delta":{"type":"%b","%b":' % (index, kind.encode(), field.encode())
    )
    return before, b"}}\n\n"


class _Block:
    """A part on its way out.

    Attributes:
        part: What it began with.
        held: Its events that wait for their turn.
        ended: Whether it is whole.
        arguments: What has come of a call's arguments.
        signature: What has come of the thoughts' signature: readers take the last event's for the
            whole, so that it goes out in one piece.
    """

    __slots__ = ("arguments", "ended", "held", "part", "signature")

    def __init__(self, part: Part) -> None:
        self.part = part
        self.held: list[Delta] = []
        self.ended = False
        self.arguments: list[str] = []
        self.signature: list[str] = []

    def is_whole(self) -> bool:
        """Tell whether nothing more is to be expected, though its end has not been told."""
        if not isinstance(self.part, ToolCall):
            return True
        if self.part.custom:
            return False
        text = self.part.arguments + "".join(self.arguments)
        if not text:
            return False
        try:
            return isinstance(msgspec.json.decode(text), dict)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False


class AnthropicStreamEncoder(StreamEncoder):
    """Writes one message.

    Args:
        frame: What the answer needs besides.
    """

    def __init__(self, frame: AnswerFrame) -> None:
        self._frame = frame
        self._blocks: dict[int, _Block] = {}
        self._open: int | None = None
        self._waiting: list[int] = []
        self._index = -1
        self._start = b""  # the open block's first event, while it has not gone out
        self._prefix = (b"", b"")  # empty where what comes is not told piece by piece
        self._usage: ReplyUsage | None = None
        self._begun = False
        self._calls = False
        self._over = False

    def encode(self, events: Iterable[ReplyEvent]) -> bytes:
        """See ``StreamEncoder.encode``."""
        out: list[bytes] = []
        for event in events:
            if type(event) is Delta:
                if event.index == self._open:
                    self._write(event, out)
                    if self._waiting and self._blocks[event.index].is_whole():
                        self._next(out)
                else:
                    block = self._blocks.get(event.index)
                    if block is not None:
                        block.held.append(event)
            else:
                self._other(event, out)
        return b"".join(out)

    def _other(self, event: ReplyEvent, out: list[bytes]) -> None:
        if self._over:
            return
        if isinstance(event, Begun):
            self._begin(event, out)
        elif isinstance(event, PartBegun):
            self._part_begun(event, out)
        elif isinstance(event, PartEnded):
            block = self._blocks.get(event.index)
            if block is not None:
                block.ended = True
                if event.index == self._open:
                    self._next(out)
        elif isinstance(event, Counted):
            self._usage = event.usage
        elif isinstance(event, Ping):
            if self._begun:
                out.append(_PING)
        elif isinstance(event, Finished):
            self._finish(event, out)

    def _begin(self, event: Begun, out: list[bytes]) -> None:
        if self._begun:
            return
        self._begun = True
        self._usage = event.usage or self._usage
        message: dict[str, Any] = {
            "id": answer_id(event.id, self._frame),
            "type": "message",
            "role": "assistant",
            "model": event.model or self._frame.request.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_words(event.usage),
        }
        out.append(_event("message_start", {"message": message}))

    def _part_begun(self, event: PartBegun, out: list[bytes]) -> None:
        if not self._begun:
            self._begin(Begun("", ""), out)
        self._blocks[event.index] = _Block(event.part)
        self._waiting.append(event.index)
        if self._open is None:
            self._next(out)
        elif self._blocks[self._open].is_whole():
            self._blocks[self._open].ended = True
            self._next(out)

    def _next(self, out: list[bytes]) -> None:
        """Close the open block and open those that wait, up to one that is not whole."""
        while True:
            if self._open is not None:
                self._close(out)
            if not self._waiting:
                return
            number = self._waiting.pop(0)
            block = self._blocks[number]
            if not self._open_block(number, block, out):
                continue
            held, block.held = block.held, []
            for delta in held:
                self._write(delta, out)
            if not block.ended and not (self._waiting and block.is_whole()):
                return

    def _open_block(self, number: int, block: _Block, out: list[bytes]) -> bool:
        """Open a block; return False for a part that has no place in the API."""
        part = block.part
        begin: dict[str, Any] | None
        kind, field, first = "", "", ""
        if isinstance(part, Text | Refusal):
            kind, field, first = "text_delta", "text", part.text
            begin = {"type": "text", "text": ""}
            if isinstance(part, Text) and part.citations_of == ANTHROPIC and part.citations:
                begin["citations"] = list(part.citations)
        elif isinstance(part, ToolCall):
            self._calls = True
            if not part.custom:
                kind, field, first = "input_json_delta", "partial_json", part.arguments
            begin = {
                "type": "tool_use",
                "id": fit_call_id(part.id),
                "name": part.name,
                "input": {},
            }
        elif isinstance(part, Thinking) and not _is_sealed(part):
            kind, field, first = "thinking_delta", "thinking", part.text
            begin = {"type": "thinking", "thinking": "", "signature": ""}
            if part.signature and part.made_by == ANTHROPIC:
                block.signature.append(part.signature)
        else:
            begin = block_of(part, number, None)
        if begin is None:
            return False
        self._open = number
        self._start = _event(
            "content_block_start", {"index": self._index + 1, "content_block": begin}
        )
        self._prefix = _delta(self._index + 1, kind, field) if kind else (b"", b"")
        if first or not isinstance(part, Text | Refusal | Thinking) or not kind:
            self._announce(out)
        if first:
            out.append(self._prefix[0] + _encode(first) + self._prefix[1])
        return True

    def _announce(self, out: list[bytes]) -> None:
        """Tell that the open block begins."""
        self._index += 1
        out.append(self._start)
        self._start = b""

    def _write(self, delta: Delta, out: list[bytes]) -> None:
        """Write a delta of the open block."""
        before, after = self._prefix
        if delta.text and before:
            if self._start:
                self._announce(out)
            out.append(before + _encode(delta.text) + after)
        assert self._open is not None, "a delta is written to the open block"
        block = self._blocks[self._open]
        part = block.part
        if isinstance(part, ToolCall):
            block.arguments.append(delta.text)
        elif delta.signature is not None and isinstance(part, Thinking):
            if part.made_by == ANTHROPIC:
                block.signature.append(delta.signature)
        elif (
            delta.citation is not None and isinstance(part, Text) and part.citations_of == ANTHROPIC
        ):
            if self._start:
                self._announce(out)
            body = {"type": "citations_delta", "citation": delta.citation}
            out.append(_event("content_block_delta", {"index": self._index, "delta": body}))

    def _close(self, out: list[bytes]) -> None:
        assert self._open is not None, "only an open block is closed"
        block = self._blocks[self._open]
        part = block.part
        self._open = None
        if self._start:
            if not block.signature:
                self._start = b""
                return
            self._announce(out)
        if isinstance(part, Thinking) and not _is_sealed(part):
            proof = "".join(block.signature) or _FOREIGN
            body = {"type": "signature_delta", "signature": proof}
            out.append(_event("content_block_delta", {"index": self._index, "delta": body}))
        elif isinstance(part, ToolCall) and part.custom:
            before, after = _delta(self._index, "input_json_delta", "partial_json")
            text = wrapped(part.arguments + "".join(block.arguments))
            out.append(before + _encode(text) + after)
        out.append(_event("content_block_stop", {"index": self._index}))

    def _finish(self, event: Finished, out: list[bytes]) -> None:
        if not self._begun:
            self._begin(Begun("", ""), out)
        for block in self._blocks.values():
            block.ended = True
        self._next(out)
        self._over = True
        word, sequence = stop_words(event.stop, event.stop_sequence, calls=self._calls)
        delta = {"stop_reason": word, "stop_sequence": sequence}
        usage = usage_words(event.usage or self._usage)
        out.append(_event("message_delta", {"delta": delta, "usage": usage}))
        out.append(_STOP)


def _is_sealed(part: Thinking) -> bool:
    """Tell whether thoughts are of the kind that only this API's provider can read."""
    return part.redacted is not None and part.made_by == ANTHROPIC
