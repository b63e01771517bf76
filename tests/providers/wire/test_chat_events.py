"""Answers of both dialects as events: what is text, thought, tool call, and what is the end."""

import json
from collections.abc import Sequence

import pytest

from providers.wire import Usage
from providers.wire.chat import chat_decoder
from providers.wire.chat_events import (
    ChatEvent,
    DeltaText,
    DeltaThinking,
    DeltaToolCall,
    Done,
    Error,
    Metadata,
)
from tests.support.answers import OPENAI_DONE, closing, openai_chunk, opening, tokens
from tests.support.answers import anthropic_event as event_of


def anthropic_event(name: str, **data: object) -> bytes:
    return event_of(name, data)


def decoded(dialect: str, *pieces: bytes) -> list[ChatEvent]:
    decoder = chat_decoder(dialect)
    found = [event for piece in pieces for event in decoder.feed(piece)]
    return [*found, *decoder.end()]


def whole(dialect: str, body: object) -> list[ChatEvent]:
    return chat_decoder(dialect).whole(json.dumps(body).encode())


def delta_of(**delta: object) -> bytes:
    return openai_chunk(delta)


def text(events: Sequence[ChatEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, DeltaText))


def content(events: Sequence[ChatEvent]) -> list[ChatEvent]:
    """All but what is known of the answer as a whole."""
    return [e for e in events if not isinstance(e, Metadata) or e.extra is not None]


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_a_stream_is_metadata_then_text_then_done(dialect: str) -> None:
    words = ["Once ", "upon ", "a\ttime ☃"]
    events = decoded(dialect, *opening(dialect), *tokens(dialect, words), *closing(dialect))
    assert isinstance(events[0], Metadata)
    assert (bool(events[0].id), events[0].model) == (True, "m-1")
    assert [e.text for e in events if isinstance(e, DeltaText)] == words
    assert isinstance(events[-1], Done)
    assert events[-1].finish_reason == ("stop" if dialect == "openai" else "end_turn")
    assert not any(isinstance(e, (Done, Error)) for e in events[:-1])


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize("kept", [0, 1, 2])
def test_a_stream_without_its_finish_marker_is_an_error_and_never_done(
    dialect: str, kept: int
) -> None:
    """Wherever it is cut: before a token, between two, or right before the marker."""
    pieces = [*opening(dialect), *tokens(dialect), *closing(dialect)[:-1]]
    events = decoded(dialect, *pieces[: kept or len(pieces)])
    assert isinstance(events[-1], Error)
    assert "finish marker" in events[-1].message
    assert not any(isinstance(event, Done) for event in events)


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_an_error_event_ends_the_stream(dialect: str) -> None:
    error = {"error": {"type": "overloaded_error", "message": "too much"}}
    if dialect == "openai":
        event = b"data: " + json.dumps(error).encode() + b"\n\n"
    else:
        event = anthropic_event("error", **error)
    events = decoded(dialect, *opening(dialect), *tokens(dialect), event, *closing(dialect))
    assert text(events)
    assert isinstance(events[-1], Error)
    assert (events[-1].message, events[-1].code) == ("too much", "overloaded_error")
    assert not any(isinstance(event, Done) for event in events)


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_a_malformed_event_is_an_error_after_the_good_ones(dialect: str) -> None:
    begun = b"".join([*opening(dialect), *tokens(dialect, ["good"])])
    name = b"" if dialect == "openai" else b"event: content_block_delta\n"
    events = decoded(dialect, begun + name + b'data: {"half\n\n')
    assert text(events) == "good"
    assert isinstance(events[-1], Error)
    assert decoded(dialect, begun)[-1] != events[-1]


def test_openais_tool_calls_come_piece_by_piece() -> None:
    events = decoded(
        "openai",
        delta_of(role="assistant", content=None),
        delta_of(
            tool_calls=[
                {"index": 0, "id": "call_1", "function": {"name": "look", "arguments": ""}},
                {"index": 1, "id": "call_2", "function": {"name": "find", "arguments": "{}"}},
            ]
        ),
        delta_of(tool_calls=[{"index": 0, "function": {"arguments": '{"a":'}}]),
        delta_of(tool_calls=[{"index": 0, "function": {"arguments": "1}"}}]),
        OPENAI_DONE,
    )
    assert content(events) == [
        DeltaToolCall(index=0, id="call_1", name="look"),
        DeltaToolCall(index=1, id="call_2", name="find", arguments="{}"),
        DeltaToolCall(index=0, arguments='{"a":'),
        DeltaToolCall(index=0, arguments="1}"),
        Done(),
    ]


def test_openais_reasoning_is_told_once_though_it_is_sent_under_two_names() -> None:
    events = decoded(
        "openai",
        delta_of(reasoning="hm", reasoning_content="hm", content="yes"),
        OPENAI_DONE,
    )
    assert content(events) == [DeltaThinking("hm"), DeltaText("yes"), Done()]


def test_what_openai_has_no_event_for_is_kept_in_its_own_words() -> None:
    chunk = {
        "id": "c",
        "obfuscation": "xxxx",
        "prompt_filter_results": [{"a": 1}],
        "choices": [
            {"index": 0, "delta": {"refusal": "no"}, "logprobs": {"content": []}},
            {"index": 1, "delta": {"content": "b"}, "finish_reason": "length"},
        ],
    }
    events = decoded("openai", b"data: " + json.dumps(chunk).encode() + b"\n\n")
    assert content(events)[:2] == [
        DeltaText("b", choice=1),
        Metadata(
            extra={
                "prompt_filter_results": [{"a": 1}],
                "choices": [
                    {"index": 0, "logprobs": {"content": []}, "delta": {"refusal": "no"}},
                    {"index": 1, "finish_reason": "length"},
                ],
            }
        ),
    ]


def test_anthropics_thoughts_signatures_and_tool_calls_keep_their_blocks() -> None:
    start = {"type": "thinking", "thinking": "", "signature": ""}
    tool = {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}

    def delta(index: int, **part: object) -> bytes:
        return anthropic_event("content_block_delta", index=index, delta=part)

    def block(index: int, part: object) -> bytes:
        return anthropic_event("content_block_start", index=index, content_block=part)

    server_tool = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {}}
    events = decoded(
        "anthropic",
        block(0, start),
        delta(0, type="thinking_delta", thinking="hm"),
        delta(0, type="signature_delta", signature="sig"),
        block(1, server_tool),
        delta(1, type="input_json_delta", partial_json='{"q":1}'),
        block(2, tool),
        delta(2, type="input_json_delta", partial_json=""),
        delta(2, type="input_json_delta", partial_json='{"a":1}'),
        block(3, {"type": "text", "text": ""}),
        delta(3, type="text_delta", text="so"),
        delta(3, type="citations_delta", citation={"n": 1}),
        anthropic_event(
            "ping",
        ),
        anthropic_event("message_delta", delta={"stop_reason": "tool_use"}),
        anthropic_event(
            "message_stop",
        ),
    )
    assert content(events) == [
        DeltaThinking("hm", block=0),
        DeltaThinking("", block=0, signature="sig"),
        Metadata(extra={"type": "content_block_start", "index": 1, "content_block": server_tool}),
        Metadata(
            extra={
                "type": "content_block_delta",
                "index": 1,
                "delta": {"type": "input_json_delta", "partial_json": '{"q":1}'},
            }
        ),
        DeltaToolCall(index=2, id="toolu_1", name="look"),
        DeltaToolCall(index=2, arguments='{"a":1}'),
        DeltaText("so", block=3),
        Metadata(
            extra={
                "type": "content_block_delta",
                "index": 3,
                "delta": {"type": "citations_delta", "citation": {"n": 1}},
            }
        ),
        Done("tool_use"),
    ]


def test_usage_is_told_whenever_it_changes_and_again_at_the_end() -> None:
    message = {"id": "msg", "model": "m", "usage": {"input_tokens": 3, "output_tokens": 1}}
    events = decoded(
        "anthropic",
        anthropic_event("message_start", message=message),
        *tokens("anthropic", ["a"]),
        anthropic_event(
            "message_delta",
            delta={"stop_reason": "end_turn", "stop_sequence": None},
            usage={"output_tokens": 9},
        ),
        anthropic_event(
            "message_stop",
        ),
    )
    told = [e.usage for e in events if isinstance(e, Metadata) and e.usage is not None]
    assert told == [Usage(3, 1), Usage(3, 9)]
    assert events[-1] == Done("end_turn", Usage(3, 9))


def test_openais_usage_is_told_as_soon_as_it_is_known() -> None:
    last = {"id": "c", "choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 2}}
    events = decoded(
        "openai",
        delta_of(content="a"),
        b"data: " + json.dumps(last).encode() + b"\n\n",
        OPENAI_DONE,
    )
    assert events[-2:] == [Metadata(usage=Usage(3, 2)), Done(None, Usage(3, 2))]


def test_a_plain_completion_has_the_same_events_as_a_stream() -> None:
    message = {
        "role": "assistant",
        "content": "yes",
        "reasoning_content": "hm",
        "refusal": None,
        "annotations": [],
        "tool_calls": [{"id": "c1", "function": {"name": "look", "arguments": "{}"}}],
    }
    body = {
        "id": "c",
        "object": "chat.completion",
        "model": "m",
        "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2},
    }
    assert whole("openai", body) == [
        Metadata(id="c", model="m"),
        DeltaThinking("hm"),
        DeltaText("yes"),
        DeltaToolCall(index=0, id="c1", name="look", arguments="{}"),
        Done("tool_calls", Usage(3, 2)),
    ]


def test_a_plain_message_has_the_same_events_as_a_stream() -> None:
    cited = {"type": "text", "text": "no", "citations": [{"n": 1}]}
    redacted = {"type": "redacted_thinking", "data": "x"}
    body = {
        "id": "msg",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "sig"},
            redacted,
            {"type": "text", "text": "yes"},
            cited,
            {"type": "tool_use", "id": "t", "name": "look", "input": {"a": 1}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 2},
    }
    assert whole("anthropic", body) == [
        Metadata(id="msg", model="m"),
        DeltaThinking("hm", block=0, signature="sig"),
        Metadata(extra={"type": "content_block_start", "index": 1, "content_block": redacted}),
        DeltaText("yes", block=2),
        DeltaText("no", block=3),
        Metadata(
            extra={
                "type": "content_block_start",
                "index": 3,
                "content_block": {"type": "text", "citations": [{"n": 1}]},
            }
        ),
        DeltaToolCall(index=4, id="t", name="look", arguments='{"a":1}'),
        Done("tool_use", Usage(3, 2)),
    ]


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_a_plain_answer_that_is_none_is_an_error(dialect: str) -> None:
    (event,) = chat_decoder(dialect).whole(b"<html>")
    assert isinstance(event, Error)
    assert event.kind == "bad_answer"


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_nothing_comes_out_after_the_last_event(dialect: str) -> None:
    decoder = chat_decoder(dialect)
    for piece in (*opening(dialect), *tokens(dialect), *closing(dialect)):
        decoder.feed(piece)
    assert decoder.over
    assert decoder.feed(tokens(dialect)[0]) == decoder.end() == []
    assert decoder.abort(Error(message="late")) == []
