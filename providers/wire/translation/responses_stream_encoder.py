"""Writing a streamed answer of the Responses API.

Several items may be open at once: each event tells which one it is of. Texts and refusals that
follow each other are parts of one message.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from providers.wire.translation.codec import AnswerFrame, StreamEncoder
from providers.wire.translation.conversation import Part, Refusal, Text, Thinking, ToolCall
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
from providers.wire.translation.responses_reply import (
    ResponseWriter,
    annotations_of,
    call_item,
    incomplete_reason,
    refusal_part,
    text_part,
)
from providers.wire.translation.responses_thoughts import packed, reasoning_item

__all__ = ["ResponsesStreamEncoder"]

_encode = msgspec.json.encode

_NO_ITEMS: Final = b"[]"


class _Item:
    """An item that has been begun.

    Attributes:
        number: Its number in the response.
        id: Its id.
        open: How many of its parts are open.
        closing: Whether nothing more will be added to it.
        content: The parts of a message that are whole, by their number.
        parts: How many parts a message has.
        written: The item, whole, as JSON; empty while it is not.
    """

    __slots__ = ("closing", "content", "id", "number", "open", "parts", "written")

    def __init__(self, number: int, item_id: str) -> None:
        self.number = number
        self.id = item_id
        self.open = 0
        self.closing = False
        self.content: dict[int, dict[str, Any]] = {}
        self.parts = 0
        self.written = b""


class _Open:
    """A part that is being told.

    Attributes:
        part: What it began with.
        item: The item it is in, or is.
        number: Its number in the message.
        texts: What has come of it.
        signature: What has come of the proof of thoughts.
        citations: What it cites.
        before: What stands before the sequence number of its deltas; empty for thoughts that have
            no words yet.
    """

    __slots__ = ("before", "citations", "item", "number", "part", "signature", "texts")

    def __init__(self, part: Part, item: _Item, number: int, before: bytes) -> None:
        self.part = part
        self.item = item
        self.number = number
        self.texts: list[str] = []
        self.signature: list[str] = []
        self.citations: list[dict[str, Any]] = []
        self.before = before


class ResponsesStreamEncoder(StreamEncoder):
    """Writes one response.

    Args:
        frame: What the answer needs besides.
    """

    def __init__(self, frame: AnswerFrame) -> None:
        self._writer = ResponseWriter(frame)
        self._sequence = 0
        self._items: list[_Item] = []
        self._message: _Item | None = None
        self._open: dict[int, _Open] = {}
        self._usage: ReplyUsage | None = None
        self._begun = False
        self._refused = False
        self._over = False

    def encode(self, events: Iterable[ReplyEvent]) -> bytes:
        """See ``StreamEncoder.encode``."""
        out: list[bytes] = []
        for event in events:
            if type(event) is Delta:
                part = self._open.get(event.index)
                if part is None:
                    continue
                text = event.text
                if text:
                    part.texts.append(text)
                    before = part.before or self._summary_begun(part, out)
                    out.append(b'%b%d,"delta":%b}\n\n' % (before, self._sequence, _encode(text)))
                    self._sequence += 1
                if event.signature is not None:
                    part.signature.append(event.signature)
                if event.citation is not None:
                    self._cite(part, event.citation, out)
            elif not self._over:
                self._other(event, out)
        return b"".join(out)

    def _other(self, event: ReplyEvent, out: list[bytes]) -> None:
        if isinstance(event, Begun):
            self._begin(event, out)
        elif isinstance(event, PartBegun):
            self._part_begun(event, out)
        elif isinstance(event, PartEnded):
            part = self._open.pop(event.index, None)
            if part is not None:
                self._part_ended(part, out)
        elif isinstance(event, Counted):
            self._usage = event.usage
        elif isinstance(event, Finished):
            self._finish(event, out)

    def _event(self, kind: str, members: bytes) -> bytes:
        """Return an event, given its members as JSON without the brackets."""
        name = kind.encode()
        event = b'event: %b\ndata: {"type":"%b","sequence_number":%d,%b}\n\n' % (
            name,
            name,
            self._sequence,
            members,
        )
        self._sequence += 1
        return event

    def _of_item(self, kind: str, item: _Item, members: dict[str, Any]) -> bytes:
        """Return an event about an item."""
        told = {"item_id": item.id, "output_index": item.number, **members}
        return self._event(kind, _encode(told)[1:-1])

    def _begin(self, event: Begun, out: list[bytes]) -> None:
        if self._begun:
            return
        self._begun = True
        self._usage = event.usage or self._usage
        self._writer.begin(event.id, event.model, event.created)
        response = b'"response":' + self._writer.written("in_progress", _NO_ITEMS)
        out.append(self._event("response.created", response))
        out.append(self._event("response.in_progress", response))

    def _part_begun(self, event: PartBegun, out: list[bytes]) -> None:
        if not self._begun:
            self._begin(Begun("", ""), out)
        part = event.part
        if isinstance(part, Text | Refusal):
            opened = self._said(part, out)
            first = part.text
        elif isinstance(part, ToolCall):
            opened = self._call(part, out)
            first = part.arguments
        elif isinstance(part, Thinking):
            opened = self._thought(part, out)
            first = part.text
        else:
            return  # it has no place in this API
        self._open[event.index] = opened
        begun = [Delta(event.index, first)] if first else []
        if isinstance(part, Text) and part.citations:
            begun += [Delta(event.index, citation=citation) for citation in part.citations]
        if begun:
            out.append(self.encode(begun))

    def _new_item(self, kind: str) -> _Item:
        item = _Item(len(self._items), self._writer.item_id(kind, len(self._items)))
        self._items.append(item)
        return item

    def _end_message(self, out: list[bytes]) -> None:
        """See to it that what follows is not part of the message before."""
        message, self._message = self._message, None
        if message is not None:
            message.closing = True
            if not message.open:
                self._message_done(message, out)

    def _delta(self, kind: str, item: _Item, more: bytes) -> bytes:
        name = kind.encode()
        return (
            b'event: %b\ndata: {"type":"%b","item_id":"%b","output_index":%d,%b"sequence_number":'
            % (name, name, item.id.encode(), item.number, more)
        )

    def _said(self, part: Text | Refusal, out: list[bytes]) -> _Open:
        item = self._message
        if item is None:
            item = self._message = self._new_item("message")
            begun = self._message_item(item, "in_progress", [])
            out.append(self._added(item, begun))
        number = item.parts
        item.parts += 1
        item.open += 1
        at = b'"content_index":%d,' % number
        if isinstance(part, Refusal):
            self._refused = True
            empty = refusal_part("")
            before = self._delta("response.refusal.delta", item, at)
        else:
            empty = text_part("", [])
            before = self._delta("response.output_text.delta", item, at + b'"logprobs":[],')
        members = {"content_index": number, "part": empty}
        out.append(self._of_item("response.content_part.added", item, members))
        return _Open(part, item, number, before)

    def _call(self, part: ToolCall, out: list[bytes]) -> _Open:
        self._end_message(out)
        kind = "custom_tool_call" if part.custom else "function_call"
        item = self._new_item(kind)
        out.append(self._added(item, call_item(part, item.id, "", "in_progress")))
        delta = (
            "response.custom_tool_call_input.delta"
            if part.custom
            else "response.function_call_arguments.delta"
        )
        return _Open(part, item, 0, self._delta(delta, item, b""))

    def _thought(self, part: Thinking, out: list[bytes]) -> _Open:
        self._end_message(out)
        item = self._new_item("reasoning")
        out.append(self._added(item, reasoning_item(item.id, [], "")))
        opened = _Open(part, item, 0, b"")
        if part.signature is not None:
            opened.signature.append(part.signature)
        return opened

    def _summary_begun(self, part: _Open, out: list[bytes]) -> bytes:
        """Begin the summary of thoughts with their first words, as they may have none."""
        members = {"summary_index": 0, "part": {"type": "summary_text", "text": ""}}
        out.append(self._of_item("response.reasoning_summary_part.added", part.item, members))
        kind = "response.reasoning_summary_text.delta"
        part.before = self._delta(kind, part.item, b'"summary_index":0,')
        return part.before

    def _added(self, item: _Item, told: dict[str, Any]) -> bytes:
        members = _encode({"output_index": item.number, "item": told})[1:-1]
        return self._event("response.output_item.added", members)

    def _cite(self, part: _Open, citation: dict[str, Any], out: list[bytes]) -> None:
        if not isinstance(part.part, Text):
            return
        text = "".join(part.texts)
        part.texts[:] = (text,)  # lest many citations join the same pieces over and over
        found, _ = annotations_of(
            Text(text, citations=(citation,), citations_of=_made_in(part.part, citation))
        )
        for each in found:
            members = {
                "content_index": part.number,
                "annotation_index": len(part.citations),
                "annotation": each,
            }
            part.citations.append(each)
            kind = "response.output_text.annotation.added"
            out.append(self._of_item(kind, part.item, members))

    def _part_ended(self, part: _Open, out: list[bytes]) -> None:
        text = "".join(part.texts)
        told, item = part.part, part.item
        if isinstance(told, Text | Refusal):
            self._said_ended(part, text, out)
        elif isinstance(told, ToolCall):
            text = text or ("" if told.custom else "{}")
            if told.custom:
                kind, members = "response.custom_tool_call_input.done", {"input": text}
            else:
                kind = "response.function_call_arguments.done"
                members = {"name": told.name, "arguments": text}
            out.append(self._of_item(kind, item, members))
            self._done(item, call_item(told, item.id, text, "completed"), out)
        elif isinstance(told, Thinking):
            self._thought_ended(part, told, text, out)

    def _said_ended(self, part: _Open, text: str, out: list[bytes]) -> None:
        item = part.item
        at = {"content_index": part.number}
        if isinstance(part.part, Refusal):
            whole = refusal_part(text)
            out.append(self._of_item("response.refusal.done", item, {**at, "refusal": text}))
        else:
            whole = text_part(text, part.citations)
            members = {**at, "text": text, "logprobs": []}
            out.append(self._of_item("response.output_text.done", item, members))
        out.append(self._of_item("response.content_part.done", item, {**at, "part": whole}))
        item.content[part.number] = whole
        item.open -= 1
        if item.closing and not item.open:
            self._message_done(item, out)

    def _thought_ended(self, part: _Open, told: Thinking, text: str, out: list[bytes]) -> None:
        item = part.item
        if part.before:
            at = {"summary_index": 0}
            members = {**at, "text": text}
            out.append(self._of_item("response.reasoning_summary_text.done", item, members))
            members = {**at, "part": {"type": "summary_text", "text": text}}
            out.append(self._of_item("response.reasoning_summary_part.done", item, members))
        proof = "".join(part.signature) or None
        thought = msgspec.structs.replace(told, signature=proof)
        whole = reasoning_item(item.id, [text] if text else [], packed(thought))
        self._done(item, whole, out)

    def _message_item(
        self, item: _Item, status: str, content: list[dict[str, Any]]
    ) -> dict[str, Any]:
        return {
            "id": item.id,
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": content,
        }

    def _message_done(self, item: _Item, out: list[bytes], status: str = "completed") -> None:
        content = [item.content[number] for number in sorted(item.content)]
        self._done(item, self._message_item(item, status, content), out)

    def _done(self, item: _Item, whole: dict[str, Any], out: list[bytes]) -> None:
        item.written = _encode(whole)
        members = b'"output_index":%d,"item":%b' % (item.number, item.written)
        out.append(self._event("response.output_item.done", members))

    def _finish(self, event: Finished, out: list[bytes]) -> None:
        if not self._begun:
            self._begin(Begun("", ""), out)
        reason = incomplete_reason(event.stop, refused=self._refused)
        for part in self._open.values():
            self._part_ended(part, out)
        self._open.clear()
        message, self._message = self._message, None
        if message is not None:
            last = message is self._items[-1] and reason is not None
            self._message_done(message, out, "incomplete" if last else "completed")
        self._over = True
        status = "completed" if reason is None else "incomplete"
        output = b"[" + b",".join([item.written for item in self._items]) + b"]"
        response = self._writer.written(
            status, output, usage=event.usage or self._usage, reason=reason
        )
        out.append(self._event(f"response.{status}", b'"response":' + response))


def _made_in(part: Text, citation: dict[str, Any]) -> str:
    """Return the dialect whose words a citation of a stream is in."""
    if part.citations_of:
        return part.citations_of
    return "openai" if citation.get("type") == "url_citation" else "anthropic"
