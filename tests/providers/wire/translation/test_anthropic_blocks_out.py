"""Blocks of a stream in Anthropic's dialect, where what comes from elsewhere does not suit them."""

import json
from typing import Any

from providers.wire.translation.anthropic_codec import ANTHROPIC_CODEC
from providers.wire.translation.codec import AnswerFrame
from providers.wire.translation.conversation import Conversation, Message, Text, Thinking, ToolCall
from providers.wire.translation.reply import (
    Begun,
    Delta,
    Finished,
    PartBegun,
    PartEnded,
    ReplyEvent,
)

ASKED = Conversation(dialect="anthropic", model="m", messages=(Message("user", (Text("x"),)),))


def told(*events: ReplyEvent) -> list[dict[str, Any]]:
    frame = AnswerFrame(request=ASKED, answer_id="a", created=1)
    out = ANTHROPIC_CODEC.stream_encoder(frame).encode([Begun("x", "m"), *events, Finished("end")])
    return [json.loads(line[6:]) for line in out.decode().split("\n") if line.startswith("data: ")]


def deltas(events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each["delta"] for each in events if each["type"] == "content_block_delta"]


def test_a_signature_that_came_in_pieces_goes_out_whole_after_the_thoughts() -> None:
    found = deltas(
        told(
            PartBegun(0, Thinking("", "a", made_by="anthropic")),
            Delta(0, "Hm.", signature="b"),
            Delta(0, signature="c"),
            PartEnded(0),
        )
    )
    assert found == [
        {"type": "thinking_delta", "thinking": "Hm."},
        {"type": "signature_delta", "signature": "abc"},
    ]


def test_a_call_is_not_taken_for_complete_before_its_arguments_are_an_object() -> None:
    found = told(
        PartBegun(0, ToolCall("call_a", "f")),
        PartBegun(1, ToolCall("call_b", "g")),
        Delta(0, "1"),
        Delta(1, '{"b":2}'),
        Delta(0, "2"),
        PartEnded(1),
        PartEnded(0),
    )
    by_block: dict[int, str] = {}
    for each in found:
        if each["type"] == "content_block_delta":
            index = each["index"]
            by_block[index] = by_block.get(index, "") + each["delta"]["partial_json"]
    assert by_block == {0: "12", 1: '{"b":2}'}
