"""Whatever is sent in place of an Anthropic answer, it is passed over or refused in words."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.wire import WireError
from providers.wire.translation.anthropic_codec import ANTHROPIC_CODEC
from providers.wire.translation.codec import AnswerFrame, Dropped
from providers.wire.translation.codecs import front_codec_of
from providers.wire.translation.conversation import Conversation, Message, Text
from providers.wire.translation.reply import (
    Begun,
    Delta,
    Failed,
    Finished,
    PartBegun,
    PartEnded,
    ReplyEvent,
    fold,
)
from tests.support.junk import junk, spoilt

DIALECTS = ["anthropic", "openai", "responses", "completions"]
CITED = {"type": "char_location", "cited_text": "so", "document_index": 0}
USAGE = {
    "input_tokens": 5,
    "output_tokens": 7,
    "cache_read_input_tokens": 2,
    "cache_creation_input_tokens": 3,
    "cache_creation": {"ephemeral_5m_input_tokens": 1, "ephemeral_1h_input_tokens": 2},
    "output_tokens_details": {"thinking_tokens": 1},
    "service_tier": "standard",
    "inference_geo": "eu",
}
ANSWER: dict[str, Any] = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [
        {"type": "thinking", "thinking": "Hm", "signature": "s"},
        {"type": "redacted_thinking", "data": "d"},
        {"type": "text", "text": "so", "citations": [CITED]},
        {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {"query": "x"}},
        {"type": "web_search_tool_result", "tool_use_id": "s1", "content": [{"url": "u"}]},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": [1, None]}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "stop_details": None,
    "container": {"id": "c", "expires_at": "2027-01-01T00:00:00Z"},
    "usage": USAGE,
}
EVENTS: list[dict[str, Any]] = [
    {"type": "message_start", "message": {**ANSWER, "content": [], "stop_reason": None}},
    {"type": "ping"},
    {
        "type": "content_block_start",
        "index": 0,
        "content_block": {"type": "thinking", "thinking": "", "signature": ""},
    },
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "thinking_delta", "thinking": "Hm"},
    },
    {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "signature_delta", "signature": "s"},
    },
    {"type": "content_block_stop", "index": 0},
    {
        "type": "content_block_start",
        "index": 1,
        "content_block": {"type": "text", "text": "", "citations": []},
    },
    {
        "type": "content_block_delta",
        "index": 1,
        "delta": {"type": "citations_delta", "citation": CITED},
    },
    {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "so"}},
    {"type": "content_block_stop", "index": 1},
    {
        "type": "content_block_start",
        "index": 2,
        "content_block": {"type": "server_tool_use", "id": "s1", "name": "w", "input": {}},
    },
    {
        "type": "content_block_delta",
        "index": 2,
        "delta": {"type": "input_json_delta", "partial_json": '{"query":"x"}'},
    },
    {"type": "content_block_stop", "index": 2},
    {
        "type": "content_block_start",
        "index": 3,
        "content_block": {"type": "tool_use", "id": "t1", "name": "f", "input": {}},
    },
    {
        "type": "content_block_delta",
        "index": 3,
        "delta": {"type": "input_json_delta", "partial_json": '{"a":1}'},
    },
    {"type": "content_block_stop", "index": 3},
    {"type": "message_delta", "delta": {"stop_reason": "tool_use"}, "usage": USAGE},
    {"type": "message_stop"},
]


def frame(dialect: str) -> AnswerFrame:
    said = Message("user", (Text("x"),))
    asked = Conversation(dialect=dialect, model="m", messages=(said,), include_usage=True)
    return AnswerFrame(request=asked, answer_id="x", created=1)


def in_balance(events: Iterable[ReplyEvent]) -> None:
    """Check that parts are numbered as they begin, and that nothing comes of one that is over."""
    begun: set[int] = set()
    ended: set[int] = set()
    for event in events:
        if isinstance(event, PartBegun):
            assert event.index == len(begun)
            begun.add(event.index)
        elif isinstance(event, Delta | PartEnded):
            assert event.index in begun - ended
            if isinstance(event, PartEnded):
                ended.add(event.index)
        elif isinstance(event, Finished):
            assert begun == ended


@given(spoilt([ANSWER]), st.sampled_from(DIALECTS))
def test_a_spoilt_answer_is_read_as_far_as_it_goes_or_refused(body: Any, dialect: str) -> None:
    try:
        reply = ANTHROPIC_CODEC.decode_reply(json.dumps(body).encode())
    except WireError:
        return  # any other exception is a failure
    json.loads(front_codec_of(dialect).encode_reply(reply, frame(dialect), Dropped()))


@given(st.lists(st.integers(0, len(EVENTS) - 1), max_size=4), spoilt([EVENTS]), st.booleans())
def test_of_a_spoilt_stream_a_whole_answer_is_made_or_it_is_refused(
    again: list[int], events: list[Any], named: bool
) -> None:
    for at in again:
        events.insert(at, EVENTS[at])
    decoder = ANTHROPIC_CODEC.stream_decoder()
    heard: list[ReplyEvent] = []
    try:
        for event in events:
            kind = event.get("type") if isinstance(event, dict) else None
            name = kind.encode() if named and isinstance(kind, str) else b""
            heard += decoder.event(name, json.dumps(event).encode())
        heard += decoder.end()
    except WireError:
        return  # any other exception is a failure
    in_balance(heard)
    if not isinstance(heard[-1], Failed) and isinstance(heard[0], Begun):
        fold(heard)
    for dialect in DIALECTS:
        encoder = front_codec_of(dialect).stream_encoder(frame(dialect))
        for event in heard:
            encoder.encode([event])


def test_a_block_that_begins_where_another_never_stopped_ends_that() -> None:
    decoder = ANTHROPIC_CODEC.stream_decoder()
    heard: list[ReplyEvent] = []
    for at in (0, 6, 8, 6, 10, 11, 13, 13, 14, 17):
        # All of them have the same number.
        event = {**EVENTS[at], "index": 1}
        heard += decoder.event(b"", json.dumps(event).encode())
    in_balance(heard)
    kinds = [type(part).__name__ for part in fold(heard).parts]
    assert kinds == ["Text", "Text", "Opaque", "ToolCall", "ToolCall"]


@given(st.binary(max_size=40) | junk.map(json.dumps).map(str.encode))
def test_junk_in_place_of_a_request_is_refused(body: bytes) -> None:
    with pytest.raises(WireError):
        ANTHROPIC_CODEC.decode_request(body)
