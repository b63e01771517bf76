"""What tests of the Responses API's answers share: answers and streams, checked by the SDK's types.

A stream is followed here event by event, in a way of its own, so that what the pieces amount to can
be compared with what its last event says.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from providers.wire.translation.codec import AnswerFrame, Dropped
from providers.wire.translation.conversation import Part
from providers.wire.translation.reply import (
    Begun,
    Finished,
    PartBegun,
    PartEnded,
    Reply,
    ReplyEvent,
    ReplyUsage,
    StopReason,
)
from providers.wire.translation.responses_codec import RESPONSES_CODEC

__all__ = ["USAGE", "Follower", "event_adapter", "frame", "plain", "read", "streamed", "told"]

USAGE = ReplyUsage(input_tokens=9, output_tokens=4, cache_read=2, reasoning=1)
event_adapter: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def frame(**members: object) -> AnswerFrame:
    body = {"model": "asked", "input": "Hello", **members}
    request = RESPONSES_CODEC.decode_request(json.dumps(body).encode())
    return AnswerFrame(request=request, answer_id="a1", created=17)


def plain(*parts: Part, asked: AnswerFrame | None = None, **members: Any) -> dict[str, Any]:
    """Return a plain answer, checked against the SDK's type of it."""
    reply = Reply(
        **{"id": "x", "model": "m-1", "stop": "end", "usage": USAGE, **members}, parts=parts
    )
    written = RESPONSES_CODEC.encode_reply(reply, asked or frame(), Dropped())
    Response.model_validate_json(written, strict=True)
    found: dict[str, Any] = json.loads(written)
    return found


def streamed(*parts: Part, stop: StopReason = "end") -> list[ReplyEvent]:
    """Return a stream in which each part comes whole, after the one before."""
    events: list[ReplyEvent] = [Begun("x", "m-1", None, 3)]
    for index, part in enumerate(parts):
        events += [PartBegun(index, part), PartEnded(index)]
    return [*events, Finished(stop, usage=USAGE)]


def told(events: Iterable[ReplyEvent], asked: AnswerFrame | None = None) -> list[dict[str, Any]]:
    """Return the events of a stream, each checked against the SDK's type of it."""
    encoder = RESPONSES_CODEC.stream_encoder(asked or frame())
    return read(b"".join(encoder.encode([event]) for event in events))


def read(stream: bytes) -> list[dict[str, Any]]:
    """Return the events that a stream's bytes hold, each checked, and numbered without a gap."""
    blocks = stream.decode().split("\n\n")
    assert blocks.pop() == "", "the last event is whole"
    found: list[dict[str, Any]] = []
    for block in blocks:
        name, data = block.split("\n")
        assert data.startswith("data: ")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        event_adapter.validate_json(data.removeprefix("data: "), strict=True)
        assert event["sequence_number"] == len(found)
        found.append(event)
    return found


class Follower:
    """Puts together what a stream's pieces say, and sees to it that they come in their order.

    Attributes:
        items: By number, the items, made of what was added and of the deltas alone.
        done: By number, the items as they were told when they were whole.
        last: The response that ended the stream; None before.
    """

    def __init__(self, events: Sequence[dict[str, Any]]) -> None:
        self.items: dict[int, dict[str, Any]] = {}
        self.done: dict[int, dict[str, Any]] = {}
        self.last: dict[str, Any] | None = None
        self._id = ""
        self._whole: set[tuple[int, str, int]] = set()
        for number, event in enumerate(events):
            assert self.last is None, "nothing follows the end"
            kind = event["type"].removeprefix("response.")
            if "response" in event:
                self._response(number, kind, event["response"])
            else:
                assert number > 1, "the response is told of first"
                self._event(kind, event)

    def _response(self, number: int, kind: str, response: dict[str, Any]) -> None:
        if kind in {"created", "in_progress"}:
            assert number == ("created", "in_progress").index(kind)
            assert (response["status"], response["output"]) == ("in_progress", [])
            assert response["usage"] is None
            self._id = self._id or response["id"]
        else:
            assert kind in {"completed", "incomplete"}
            assert response["status"] == kind
            assert set(self.done) == set(self.items), "every item has ended"
            self.last = response
        assert response["id"] == self._id

    def _event(self, kind: str, event: dict[str, Any]) -> None:
        number = event["output_index"]
        if kind == "output_item.added":
            assert number == len(self.items)
            self.items[number] = event["item"]
            return
        item = self.items[number]
        assert number not in self.done, "an item that is whole stays as it is"
        if kind == "output_item.done":
            assert event["item"]["id"] == item["id"]
            self.done[number] = event["item"]
            return
        assert event["item_id"] == item["id"]
        subject, _, what = kind.rpartition(".")
        if subject in {"content_part", "reasoning_summary_part"}:
            self._part(number, subject, what, event)
        elif subject in {"function_call_arguments", "custom_tool_call_input"}:
            name = subject.rpartition("_")[2]
            if what == "delta":
                item[name] += event["delta"]
            else:
                assert event[name] == (item[name] or {"arguments": "{}", "input": ""}[name])
                item[name] = event[name]
        else:
            self._text(number, subject, what, event)

    def _part(self, number: int, subject: str, what: str, event: dict[str, Any]) -> None:
        field = {"content_part": "content", "reasoning_summary_part": "summary"}[subject]
        place = event[f"{field}_index"]
        parts = self.items[number][field]
        if what == "added":
            assert place == len(parts)
            parts.append(event["part"])
        else:
            assert (number, field, place) in self._whole, "its text was told whole before"
            assert event["part"] == parts[place]

    def _text(self, number: int, subject: str, what: str, event: dict[str, Any]) -> None:
        if subject == "output_text.annotation":
            part = self.items[number]["content"][event["content_index"]]
            assert event["annotation_index"] == len(part["annotations"])
            part["annotations"].append(event["annotation"])
            return
        field = "summary" if subject == "reasoning_summary_text" else "content"
        place = event[f"{field}_index"]
        part = self.items[number][field][place]
        name = "refusal" if subject == "refusal" else "text"
        assert (number, field, place) not in self._whole, "a text that is whole stays as it is"
        if what == "delta":
            assert event["delta"]
            part[name] += event["delta"]
        else:
            assert event[name] == part[name]
            self._whole.add((number, field, place))
