"""Answers in Anthropic's dialect: read and written, plain and streamed, the same either way."""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message as SdkMessage
from anthropic.types import RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from providers.wire import WireError
from providers.wire.translation.anthropic_codec import ANTHROPIC_CODEC
from providers.wire.translation.codec import FOREIGN_MARK, AnswerFrame, Dropped
from providers.wire.translation.conversation import (
    Conversation,
    Message,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from providers.wire.translation.reply import (
    Begun,
    Counted,
    Delta,
    Failed,
    Finished,
    PartBegun,
    PartEnded,
    Ping,
    Reply,
    ReplyEvent,
    ReplyUsage,
    StopReason,
    fold,
)
from providers.wire.values import UpstreamError

USAGE = ReplyUsage(input_tokens=9, output_tokens=4)
CITED = {
    "type": "char_location",
    "cited_text": "so",
    "document_index": 0,
    "document_title": "T",
    "file_id": None,
    "start_char_index": 0,
    "end_char_index": 2,
}
SEARCH = {
    "type": "server_tool_use",
    "id": "srvtoolu_1",
    "name": "web_search",
    "input": {"query": "x"},
    "caller": {"type": "direct"},
}
MARK = f"{FOREIGN_MARK}thoughts"
_event_adapter: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)


def frame() -> AnswerFrame:
    asked = Conversation(
        dialect="anthropic", model="asked", messages=(Message("user", (Text("x"),)),)
    )
    return AnswerFrame(request=asked, answer_id="a1", created=17)


def own(text: str, *citations: dict[str, Any]) -> Text:
    """Return a text as it is read from an answer."""
    return Text(text, citations=citations, citations_of="anthropic")


def plain(*parts: Part, **members: Any) -> tuple[dict[str, Any], list[str]]:
    """Return a plain answer, checked against the SDK's type of it, and what is not in it."""
    reply = Reply(
        **{"id": "msg_1", "model": "m-1", "stop": "end", "usage": USAGE, **members}, parts=parts
    )
    dropped = Dropped()
    written = ANTHROPIC_CODEC.encode_reply(reply, frame(), dropped)
    SdkMessage.model_validate_json(written, strict=True)
    return json.loads(written), list(dropped)


def read(**members: object) -> Reply:
    """Return a provider's plain answer as it is read."""
    body = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m-1",
        "content": [],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 4},
        **members,
    }
    return ANTHROPIC_CODEC.decode_reply(json.dumps(body).encode())


# --- plain answers

BLOCKS: list[tuple[dict[str, Any], Part]] = [
    ({"type": "text", "text": "Hé"}, own("Hé")),
    ({"type": "text", "text": "so", "citations": [CITED]}, own("so", CITED)),
    (
        {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
        Thinking("Hm.", "sig", made_by="anthropic"),
    ),
    (
        {"type": "thinking", "thinking": "", "signature": "sig"},
        Thinking("", "sig", made_by="anthropic"),
    ),
    (
        {"type": "redacted_thinking", "data": "sealed"},
        Thinking(redacted="sealed", made_by="anthropic"),
    ),
    (
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {"a": [1, None]}},
        ToolCall("toolu_1", "f", '{"a":[1,null]}'),
    ),
    (
        {"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}},
        ToolCall("toolu_1", "f", "{}"),
    ),
    (SEARCH, Opaque("anthropic", "server_tool_use", SEARCH)),
]


@pytest.mark.parametrize(("block", "part"), BLOCKS)
def test_every_block_is_read_and_written_the_same(block: dict[str, Any], part: Part) -> None:
    assert read(content=[block]).parts == (part,)
    found, dropped = plain(part)
    assert found["content"] == [block]
    assert not dropped


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (Text("x"), {"type": "text", "text": "x"}),
        (Refusal("No."), {"type": "text", "text": "No."}),
        (Thinking("Hm."), {"type": "thinking", "thinking": "Hm.", "signature": MARK}),
        (
            Thinking("Hm.", "sig", made_by="openai"),
            {"type": "thinking", "thinking": "Hm.", "signature": MARK},
        ),
        (
            Thinking("Hm.", redacted="sealed", made_by="responses"),
            {"type": "thinking", "thinking": "Hm.", "signature": MARK},
        ),
        (
            Thinking("Hm.", made_by="anthropic"),
            {"type": "thinking", "thinking": "Hm.", "signature": MARK},
        ),
        (
            ToolCall("t", "f", "["),
            {"type": "tool_use", "id": "t", "name": "f", "input": {"INVALID_JSON": "["}},
        ),
        (ToolCall("t", "f"), {"type": "tool_use", "id": "t", "name": "f", "input": {}}),
        (
            ToolCall("t", "f", "ls", custom=True),
            {"type": "tool_use", "id": "t", "name": "f", "input": {"input": "ls"}},
        ),
    ],
)
def test_what_others_answer_is_put_in_blocks(part: Part, block: dict[str, object]) -> None:
    found, dropped = plain(part)
    assert found["content"] == [block]
    assert not dropped


@pytest.mark.parametrize(
    "part",
    [
        Text(""),
        Refusal(""),
        Thinking(),
        Thinking("", "sig", made_by="openai"),
        Thinking(redacted="sealed", made_by="responses"),
    ],
)
def test_what_says_nothing_is_no_block(part: Part) -> None:
    assert plain(part, Text("x")) == plain(Text("x"))
    assert told_parts(part, Text("x")) == told_parts(Text("x"))


def test_what_has_no_place_in_an_answer_is_named() -> None:
    url = {"type": "url_citation", "url_citation": {"url": "u"}}
    parts = (
        Text("x"),
        Text("y", citations=(url,), citations_of="openai"),
        Opaque("responses", "web_search_call", {}),
    )
    found, dropped = plain(*parts, extras={"logprobs": {}, "system_fingerprint": "f"})
    assert [block["text"] for block in found["content"]] == ["x", "y"]
    assert dropped == [
        "answer.content[1].annotations",
        "answer.content[2]",
        "answer.logprobs",
    ]


STOPS: list[tuple[str, StopReason]] = [
    ("end_turn", "end"),
    ("max_tokens", "length"),
    ("refusal", "refusal"),
    ("pause_turn", "pause"),
    ("model_context_window_exceeded", "context_window"),
]


@pytest.mark.parametrize(("word", "stop"), STOPS)
def test_why_an_answer_ended(word: str, stop: StopReason) -> None:
    assert read(stop_reason=word).stop == stop
    found, _ = plain(Text("x"), stop=stop)
    assert (found["stop_reason"], found["stop_sequence"]) == (word, None)
    assert told_end(stop) == {"stop_reason": word, "stop_sequence": None}


@pytest.mark.parametrize(
    ("parts", "stop", "sequence", "word", "told"),
    [
        ((Text("x"),), "stop_sequence", "END", "stop_sequence", "END"),
        ((Text("x"),), "stop_sequence", None, "end_turn", None),
        ((Text("x"),), "end", "END", "end_turn", None),
        ((Text("x"),), "content_filter", None, "refusal", None),
        ((Text("x"),), "tool_calls", None, "end_turn", None),
        ((Text("x"),), None, None, "end_turn", None),
        ((ToolCall("t", "f"),), "tool_calls", None, "tool_use", None),
        ((ToolCall("t", "f"),), "end", None, "tool_use", None),
        ((ToolCall("t", "f"),), None, None, "tool_use", None),
        ((ToolCall("t", "f"),), "length", None, "max_tokens", None),
        ((ToolCall("t", "f"),), "stop_sequence", "END", "stop_sequence", "END"),
    ],
)
def test_why_an_answer_ended_follows_from_what_it_holds(
    parts: tuple[Part, ...],
    stop: StopReason | None,
    sequence: str | None,
    word: str,
    told: str | None,
) -> None:
    found, _ = plain(*parts, stop=stop, stop_sequence=sequence)
    expected = {"stop_reason": word, "stop_sequence": told}
    assert {name: found[name] for name in expected} == expected
    assert told_end(stop, sequence, *parts) == expected


def test_other_reasons_and_none_are_read_too() -> None:
    assert read(stop_reason="tool_use").stop == "tool_calls"
    assert read(stop_reason="bored").stop == "end"
    assert read(stop_reason=None).stop is None
    found = read(stop_reason="stop_sequence", stop_sequence="END")
    assert (found.stop, found.stop_sequence) == ("stop_sequence", "END")


COUNTS: list[tuple[dict[str, Any], ReplyUsage]] = [
    ({"input_tokens": 9, "output_tokens": 4}, USAGE),
    (
        {
            "input_tokens": 1,
            "output_tokens": 4,
            "cache_read_input_tokens": 20,
            "cache_creation_input_tokens": 300,
            "cache_creation": {
                "ephemeral_5m_input_tokens": 100,
                "ephemeral_1h_input_tokens": 200,
            },
            "output_tokens_details": {"thinking_tokens": 3},
            "service_tier": "priority",
        },
        ReplyUsage(
            input_tokens=321,
            output_tokens=4,
            cache_read=20,
            cache_write=300,
            cache_write_1h=200,
            reasoning=3,
            service_tier="priority",
        ),
    ),
    (
        {
            "input_tokens": 1,
            "output_tokens": 0,
            "cache_read_input_tokens": 0,
            "cache_creation_input_tokens": 0,
        },
        ReplyUsage(input_tokens=1, cache_read=0, cache_write=0),
    ),
]


@pytest.mark.parametrize(("words", "usage"), COUNTS)
def test_tokens_are_counted_with_the_cache_inside_and_told_with_it_outside(
    words: dict[str, Any], usage: ReplyUsage
) -> None:
    assert read(usage=words).usage == usage
    assert plain(Text("x"), usage=usage)[0]["usage"] == words
    events = told([Begun("x", "m", usage), Finished("end", usage=usage)])
    assert events[0]["message"]["usage"] == events[-2]["usage"] == words


@pytest.mark.parametrize("usage", [None, {}, 5, {"input_tokens": "9"}, {"input_tokens": True}])
def test_tokens_that_are_not_told_are_not_made_up(usage: object) -> None:
    assert read(usage=usage).usage is None


def test_what_else_an_answer_tells_is_kept() -> None:
    counted = {"input_tokens": 1, "output_tokens": 2, "inference_geo": "eu", "speed": None}
    found = read(usage=counted, container={"id": "c"}, stop_details=None)
    assert found.extras == {"container": {"id": "c"}}
    assert found.usage == ReplyUsage(
        input_tokens=1, output_tokens=2, extras={"inference_geo": "eu"}
    )


def test_a_class_of_service_of_others_is_not_told() -> None:
    usage = ReplyUsage(input_tokens=1, output_tokens=2, service_tier="flex")
    assert plain(Text("x"), usage=usage)[0]["usage"] == {"input_tokens": 1, "output_tokens": 2}


@pytest.mark.parametrize(
    ("given_", "expected"),
    [("msg_7", "msg_7"), ("chatcmpl-7", "msg_a1"), ("", "msg_a1")],
)
def test_an_answer_has_an_id_and_a_model_in_any_case(given_: str, expected: str) -> None:
    found, _ = plain(Text("x"), id=given_, model="")
    assert (found["id"], found["model"]) == (expected, "asked")
    begun = told([Begun(given_, ""), Finished("end")])[0]["message"]
    assert (begun["id"], begun["model"]) == (expected, "asked")


@pytest.mark.parametrize(
    "content", [[5], [{}], [{"type": "text"}], [{"type": "tool_use", "name": "f"}]]
)
def test_an_answer_whose_blocks_are_broken_is_refused(content: list[object]) -> None:
    with pytest.raises(WireError) as caught:
        read(content=content)
    assert str(caught.value.param).startswith("answer.content[0]")


# --- reading streams


def events_of(*events: Mapping[str, Any], end: bool = True) -> list[ReplyEvent]:
    """Return what a provider's events amount to."""
    decoder = ANTHROPIC_CODEC.stream_decoder()
    found: list[ReplyEvent] = []
    for event in events:
        found += decoder.event(event["type"].encode(), json.dumps(event).encode())
    return [*found, *decoder.end()] if end else found


def start(usage: object = None, **members: object) -> dict[str, Any]:
    message = {"id": "msg_1", "model": "m-1", "content": [], "usage": usage, **members}
    return {"type": "message_start", "message": message}


def block_start(index: int, **block: object) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": block}


def block_delta(index: int, kind: str, **delta: object) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind, **delta}}


def block_stop(index: int) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def end(reason: str | None = "end_turn", **usage: object) -> list[dict[str, Any]]:
    delta = {"stop_reason": reason, "stop_sequence": None}
    return [
        {"type": "message_delta", "delta": delta, "usage": usage},
        {"type": "message_stop"},
    ]


def test_every_kind_of_block_is_read_piece_by_piece() -> None:
    found = events_of(
        start({"input_tokens": 9, "output_tokens": 1}),
        {"type": "ping"},
        block_start(0, type="thinking", thinking="", signature=""),
        block_delta(0, "thinking_delta", thinking="H"),
        block_delta(0, "thinking_delta", thinking="m"),
        block_delta(0, "signature_delta", signature="si"),
        block_delta(0, "signature_delta", signature="g"),
        block_stop(0),
        block_start(1, type="text", text=""),
        block_delta(1, "text_delta", text="Hé"),
        block_delta(1, "text_delta", text="!"),
        block_delta(1, "citations_delta", citation=CITED),
        block_stop(1),
        block_start(2, type="tool_use", id="t", name="f", input={}),
        block_delta(2, "input_json_delta", partial_json=""),
        block_delta(2, "input_json_delta", partial_json='{"a"'),
        block_delta(2, "input_json_delta", partial_json=": 1}"),
        block_stop(2),
        *end("tool_use", output_tokens=4),
    )
    assert found == [
        Begun("msg_1", "m-1", ReplyUsage(input_tokens=9, output_tokens=1)),
        Ping(),
        PartBegun(0, Thinking(made_by="anthropic")),
        Delta(0, "H"),
        Delta(0, "m"),
        Delta(0, signature="si"),
        Delta(0, signature="g"),
        PartEnded(0),
        PartBegun(1, own("")),
        Delta(1, "Hé"),
        Delta(1, "!"),
        Delta(1, citation=CITED),
        PartEnded(1),
        PartBegun(2, ToolCall("t", "f")),
        Delta(2, ""),
        Delta(2, '{"a"'),
        Delta(2, ": 1}"),
        PartEnded(2),
        Counted(USAGE),
        Finished("tool_calls", None, USAGE),
    ]
    assert fold(found).parts == (
        Thinking("Hm", "sig", made_by="anthropic"),
        own("Hé!", CITED),
        ToolCall("t", "f", '{"a": 1}'),
    )


@pytest.mark.parametrize(
    ("block", "part"),
    [
        ({"type": "text", "text": "Hi", "citations": [CITED]}, own("Hi", CITED)),
        ({"type": "text", "text": None}, own("")),
        (
            {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
            ToolCall("t", "f", '{"a":1}'),
        ),
        ({"type": "tool_use", "id": "t", "name": "f"}, ToolCall("t", "f")),
        (
            {"type": "thinking", "thinking": "Hm", "signature": "s"},
            Thinking("Hm", "s", made_by="anthropic"),
        ),
        ({"type": "thinking"}, Thinking(made_by="anthropic")),
        ({"type": "redacted_thinking", "data": "d"}, Thinking(redacted="d", made_by="anthropic")),
    ],
)
def test_what_a_block_begins_with_is_kept(block: dict[str, Any], part: Part) -> None:
    found = events_of(start(), block_start(0, **block), block_stop(0), *end())
    assert found[1:3] == [PartBegun(0, part), PartEnded(0)]


@pytest.mark.parametrize(
    ("pieces", "given_"),
    [([], {}), (['{"qu', 'ery": "x"}'], {"query": "x"}), (['{"qu'], '{"qu')],
)
@pytest.mark.parametrize("stopped", [True, False])
def test_a_block_of_anthropics_own_is_told_when_it_is_whole(
    pieces: list[str], given_: object, stopped: bool
) -> None:
    found = events_of(
        start(),
        block_start(0, type="server_tool_use", id="s", name="web_search", input={}),
        *(block_delta(0, "input_json_delta", partial_json=piece) for piece in pieces),
        *([block_stop(0)] if stopped else []),
        block_start(1, type="text", text="x"),
        block_stop(1),
        *end(),
    )
    body = {"type": "server_tool_use", "id": "s", "name": "web_search", "input": given_}
    whole = Opaque("anthropic", "server_tool_use", body)
    assert fold(found).parts == ((whole, own("x")) if stopped else (own("x"), whole))


def test_blocks_left_open_end_with_the_message() -> None:
    found = events_of(start(), block_start(0, type="text", text="x"), *end())
    assert found[2:] == [PartEnded(0), Finished("end")]


def test_the_stream_ends_without_its_last_event_too() -> None:
    events = [start(), block_start(0, type="text", text="x"), end("max_tokens")[0]]
    found = events_of(*events)
    assert found[-2:] == [PartEnded(0), Finished("length")]


def test_why_a_stream_ended_and_its_tokens_may_be_told_one_after_the_other() -> None:
    told_ = {"type": "message_delta", "delta": {"stop_reason": "stop_sequence"}, "usage": {}}
    sequence = {"type": "message_delta", "delta": {"stop_sequence": "END"}}
    counts = [
        {"type": "message_delta", "delta": {}, "usage": {"output_tokens": number}}
        for number in (1, 4)
    ]
    first = {"input_tokens": 9, "output_tokens": 0}
    found = events_of(start(first), told_, sequence, *counts)
    one = ReplyUsage(input_tokens=9, output_tokens=1)
    assert found[1:] == [Counted(one), Counted(USAGE), Finished("stop_sequence", "END", USAGE)]


def test_nothing_follows_the_end() -> None:
    decoder = ANTHROPIC_CODEC.stream_decoder()
    for event in (start(), *end()):
        decoder.event(event["type"].encode(), json.dumps(event).encode())
    assert not decoder.event(b"ping", b'{"type":"ping"}')
    assert not decoder.end()


def test_an_error_in_the_middle_ends_the_stream() -> None:
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "Busy"}}
    found = events_of(start(), error, block_start(0, type="text", text="x"), *end())
    assert found == [
        Begun("msg_1", "m-1"),
        Failed(UpstreamError("overloaded_error", None, "Busy", 529)),
    ]


@pytest.mark.parametrize(
    "event",
    [
        {"type": "content_block_sparkle", "index": 0},
        {"type": "content_block_start", "index": "0", "content_block": {"type": "text"}},
        {"type": "content_block_start", "index": 0, "content_block": "text"},
        {"type": "content_block_stop", "index": None},
        {"type": "content_block_stop", "index": 9},
        {"type": "message_start", "message": {"id": "msg_2", "model": "m-2"}},
        {"type": "message_delta", "delta": None, "usage": None},
        block_delta(0, "sparkle_delta", text="x"),
        block_delta(0, "citations_delta", citation=5),
        block_delta(9, "text_delta", text="x"),
        {"type": "content_block_delta", "index": 0, "delta": {"type": 5}},
        {"type": "content_block_delta", "index": 0, "delta": 5},
        {"type": "content_block_delta", "index": 0},
    ],
)
def test_what_is_not_known_is_passed_over(event: dict[str, Any]) -> None:
    before, after = [start(), block_start(0, type="text", text="x")], [block_stop(0), *end()]
    assert events_of(*before, event, *after) == events_of(*before, *after)


def test_an_event_without_a_name_is_told_by_its_type() -> None:
    decoder = ANTHROPIC_CODEC.stream_decoder()
    found: list[ReplyEvent] = []
    events = (
        start(),
        block_start(0, type="text", text=""),
        block_delta(0, "text_delta", text="x"),
        block_delta(0, "signature_delta", signature="s"),
        block_delta(0, "citations_delta", citation=CITED),
        block_stop(0),
    )
    for event in events:
        found += decoder.event(b"", json.dumps(event).encode())
    assert found == [
        Begun("msg_1", "m-1"),
        PartBegun(0, own("")),
        Delta(0, "x"),
        Delta(0, signature="s"),
        Delta(0, citation=CITED),
        PartEnded(0),
    ]


# --- writing streams


def told(events: Iterable[ReplyEvent]) -> list[dict[str, Any]]:
    """Return the events of a stream, each of the SDK's type, in order and in balance."""
    encoder = ANTHROPIC_CODEC.stream_encoder(frame())
    stream = b"".join(encoder.encode([event]) for event in events).decode()
    blocks = stream.split("\n\n")
    assert blocks.pop() == "", "the last event is whole"
    found: list[dict[str, Any]] = []
    for block in blocks:
        name, data = block.split("\n")
        assert data.startswith("data: ")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        if event["type"] != "ping":
            _event_adapter.validate_json(data.removeprefix("data: "), strict=True)
        found.append(event)
    in_balance([event for event in found if event["type"] != "ping"])
    return found


def in_balance(events: Sequence[dict[str, Any]]) -> None:
    kinds = [event["type"] for event in events]
    assert (kinds[0], kinds[-2:]) == ("message_start", ["message_delta", "message_stop"])
    open_, begun = None, 0
    for event in events[1:-2]:
        kind = event["type"].removeprefix("content_block_")
        assert kind in {"start", "delta", "stop"}
        if kind == "start":
            assert (open_, event["index"]) == (None, begun)
            open_, begun = begun, begun + 1
        else:
            assert event["index"] == open_
            open_ = None if kind == "stop" else open_
    assert open_ is None


def streamed(*parts: Part) -> list[ReplyEvent]:
    """Return the events of parts that come whole, one after the other."""
    found: list[ReplyEvent] = []
    for index, part in enumerate(parts):
        found += [PartBegun(index, part), PartEnded(index)]
    return found


def told_parts(*parts: Part) -> list[dict[str, Any]]:
    return told([Begun("msg_1", "m-1"), *streamed(*parts), Finished("end")])


def told_end(stop: StopReason | None, sequence: str | None = None, *parts: Part) -> dict[str, Any]:
    events = [Begun("msg_1", "m-1"), *streamed(*parts), Finished(stop, sequence)]
    delta: dict[str, Any] = told(events)[-2]["delta"]
    return delta


def accumulated(events: Sequence[dict[str, Any]]) -> SdkMessage:
    """Return the message that the SDK makes of a stream."""
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for event in events:
        if event["type"] != "ping":
            snapshot = accumulate_event(
                event=event,  # type: ignore[arg-type]  # the SDK makes its own types of it
                current_snapshot=snapshot,
                json_bufs=buffers,
            )
    return SdkMessage.model_validate(snapshot.model_dump())


def test_a_text_has_every_event_of_its_life() -> None:
    found = told(
        [
            Begun("msg_1", "m-1", USAGE),
            Ping(),
            PartBegun(0, Text("H")),
            Delta(0, "é\n"),
            Counted(USAGE),
            PartEnded(0),
            Finished("end"),
        ]
    )
    assert [event["type"] for event in found] == [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
    ]
    assert found[0]["message"] == {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m-1",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 9, "output_tokens": 4},
    }
    assert found[2]["content_block"] == {"type": "text", "text": ""}
    assert [event["delta"]["text"] for event in found[3:5]] == ["H", "é\n"]
    assert found[-2]["usage"] == {"input_tokens": 9, "output_tokens": 4}


def test_each_piece_goes_out_when_it_comes() -> None:
    encoder = ANTHROPIC_CODEC.stream_encoder(frame())
    assert b"message_start" in encoder.encode([Begun("x", "m-1")])
    encoder.encode([PartBegun(0, Text(""))])
    assert encoder.encode([Delta(0, "a")]).endswith(b'"text":"a"}}\n\n')
    assert encoder.encode([Delta(0, "b")]).count(b"\n\n") == 1
    assert encoder.encode([Delta(0, ""), Counted(USAGE)]) == b""


def test_a_stream_that_says_nothing_is_whole_all_the_same() -> None:
    assert [event["type"] for event in told([Finished("end")])] == [
        "message_start",
        "message_delta",
        "message_stop",
    ]
    found = told([Ping(), PartBegun(0, Text("x")), Finished("end"), Finished("end"), Ping()])
    assert [event["type"] for event in found].count("ping") == 0, (
        "nothing had begun, or all was over"
    )
    (block,) = accumulated(found).content
    assert block.to_dict()["text"] == "x"


def test_a_failure_is_for_the_caller_to_tell() -> None:
    encoder = ANTHROPIC_CODEC.stream_encoder(frame())
    assert encoder.encode([Failed(UpstreamError("", None, "x"))]) == b""


def test_calls_whose_pieces_are_mixed_are_told_one_after_the_other() -> None:
    found = told(
        [
            Begun("msg_1", "m-1"),
            PartBegun(0, ToolCall("a", "f")),
            Delta(0, '{"x"'),
            PartBegun(1, ToolCall("b c", "g", "{")),
            Delta(1, '"y":'),
            Delta(0, ":1}"),
            Delta(1, "2}"),
            PartBegun(2, Text("Done.")),
            PartEnded(0),
            PartEnded(1),
            PartEnded(2),
            Finished("tool_calls"),
        ]
    )
    first, second, text = (block.to_dict() for block in accumulated(found).content)
    assert (first["id"], first["input"]) == ("a", {"x": 1})
    assert (second["name"], second["input"]) == ("g", {"y": 2})
    assert str(second["id"]).startswith("toolu_")
    assert text["text"] == "Done."


def test_a_call_goes_out_at_once_when_the_one_before_is_complete() -> None:
    encoder = ANTHROPIC_CODEC.stream_encoder(frame())
    encoder.encode([Begun("x", "m"), PartBegun(0, ToolCall("a", "f")), Delta(0, '{"x":1')])
    assert encoder.encode([PartBegun(1, ToolCall("b", "g")), Delta(1, '{"y":')]) == b""
    out = encoder.encode([Delta(0, "}")])
    assert out.index(b"content_block_stop") < out.index(b'"b"') < out.index(b'{\\"y\\":')
    assert b"2}" in encoder.encode([Delta(1, "2}")])


def test_a_call_of_free_text_is_told_as_an_object() -> None:
    found = told(
        [
            Begun("msg_1", "m-1"),
            PartBegun(0, ToolCall("a", "sh", "l", custom=True)),
            PartBegun(1, Text("x")),
            Delta(0, 's "'),
            PartEnded(0),
            PartEnded(1),
            Finished("tool_calls"),
        ]
    )
    call, text = accumulated(found).content
    assert call.to_dict()["input"] == {"input": 'ls "'}
    assert text.to_dict()["text"] == "x"


@pytest.mark.parametrize(
    ("thought", "deltas", "block"),
    [
        (
            Thinking(made_by="anthropic"),
            [Delta(0, "Hm."), Delta(0, signature="s"), Delta(0, signature="t")],
            {"type": "thinking", "thinking": "Hm.", "signature": "st"},
        ),
        (
            Thinking("", "s", made_by="anthropic"),
            [],
            {"type": "thinking", "thinking": "", "signature": "s"},
        ),
        (
            Thinking("H"),
            [Delta(0, "m."), Delta(0, signature="theirs")],
            {"type": "thinking", "thinking": "Hm.", "signature": MARK},
        ),
        (
            Thinking(redacted="theirs", made_by="responses"),
            [Delta(0, "Hm.")],
            {"type": "thinking", "thinking": "Hm.", "signature": MARK},
        ),
        (
            Thinking(redacted="sealed", made_by="anthropic"),
            [Delta(0, "Hm.")],
            {"type": "redacted_thinking", "data": "sealed"},
        ),
    ],
)
def test_thoughts_have_their_makers_proof_or_a_mark(
    thought: Thinking, deltas: list[Delta], block: dict[str, Any]
) -> None:
    found = told([Begun("x", "m"), PartBegun(0, thought), *deltas, PartEnded(0), Finished("end")])
    assert [each.to_dict() for each in accumulated(found).content] == [block]
    kinds = {event["delta"]["type"] for event in found if event["type"] == "content_block_delta"}
    assert kinds <= {"thinking_delta", "signature_delta"}


def test_citations_are_told_in_this_apis_words_only() -> None:
    url = {"type": "url_citation", "cited_text": "x", "url_citation": {"url": "u"}}
    parts: list[ReplyEvent] = [
        PartBegun(0, own("so", CITED)),
        Delta(0, citation=CITED),
        PartEnded(0),
        PartBegun(1, Text("it is", citations_of="openai")),
        Delta(1, citation=url),
        PartEnded(1),
    ]
    first, second = accumulated(told([Begun("x", "m"), *parts, Finished("end")])).content
    assert first.to_dict()["citations"] == [CITED, CITED]
    assert (second.to_dict()["text"], second.to_dict()["citations"]) == ("it is", None)


def test_parts_of_other_apis_leave_no_gap() -> None:
    found = told_parts(Opaque("responses", "x", {}), Text("x"), Opaque("openai", "y", {}), own("y"))
    assert [block.to_dict()["text"] for block in accumulated(found).content] == ["x", "y"]


# --- the same, plain and streamed

words = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
some = st.text("ab_-", min_size=1, max_size=4)
given_arguments = st.dictionaries(words, words | st.integers(-9, 9) | st.none(), max_size=2).map(
    json.dumps
)
own_parts: st.SearchStrategy[Part] = st.one_of(
    st.builds(own, words.filter(bool)),
    st.builds(own, words.filter(bool), st.just(CITED)),
    st.builds(Thinking, words, some, made_by=st.just("anthropic")),
    st.builds(Thinking, redacted=some, made_by=st.just("anthropic")),
    st.builds(ToolCall, some, some, given_arguments),
    st.just(Opaque("anthropic", "server_tool_use", SEARCH)),
)
any_parts = own_parts | st.one_of(
    st.builds(Text, words),
    st.builds(Text, words.filter(bool), citations=st.just(({"url": "u"},)), citations_of=some),
    st.builds(Refusal, words),
    st.builds(Thinking, words),
    st.builds(Thinking, words, some, made_by=st.just("openai")),
    st.builds(Thinking, words, redacted=some, made_by=st.just("responses")),
    st.builds(ToolCall, some, some, st.just("")),
    st.builds(lambda name, text: ToolCall("t", name, text, custom=True), some, words),
    st.just(Opaque("responses", "web_search_call", {"id": "x"})),
)
usages = st.none() | st.builds(
    lambda fresh, read_, write, long, out: ReplyUsage(
        input_tokens=fresh + (read_ or 0) + (write or 0),
        output_tokens=out,
        cache_read=read_,
        cache_write=write,
        cache_write_1h=None if write is None else min(long, write),
        reasoning=out // 2,
    ),
    *(st.integers(0, 9), st.none() | st.integers(0, 9), st.none() | st.integers(0, 9)),
    *(st.integers(0, 9), st.integers(0, 9)),
)


stops: st.SearchStrategy[StopReason | None] = st.sampled_from(
    ["end", "length", "tool_calls", "refusal", None]
)


def cut(draw: st.DrawFn, index: int, part: Part) -> list[ReplyEvent]:
    """Return the events of one part, its text in pieces."""
    if isinstance(part, Opaque):
        return [PartBegun(index, part)]
    text = part.arguments if isinstance(part, ToolCall) else getattr(part, "text", "")
    size = draw(st.integers(1, 4))
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    first = pieces.pop(0) if draw(st.booleans()) and pieces else ""
    begun: Part
    rest: list[ReplyEvent] = [Delta(index, piece) for piece in pieces]
    if isinstance(part, ToolCall):
        begun = ToolCall(part.id, part.name, first, custom=part.custom)
    elif isinstance(part, Thinking):
        begun = Thinking(first, None, part.redacted, part.made_by)
        if part.signature is not None:
            rest += [Delta(index, signature=each) for each in part.signature]
    elif isinstance(part, Text):
        begun = Text(first, citations_of=part.citations_of)
        rest += [Delta(index, citation=each) for each in part.citations]
    else:
        begun = Refusal(first)
    return [PartBegun(index, begun), *rest]


@st.composite
def streams(draw: st.DrawFn, parts: st.SearchStrategy[Part]) -> list[ReplyEvent]:
    """Draw a stream whose calls overlap with whatever begins before they are complete."""
    usage = draw(usages)
    found: list[ReplyEvent] = [Begun("msg_1", "m-1", usage if draw(st.booleans()) else None)]
    open_: dict[int, list[ReplyEvent]] = {}

    def go_on(index: int) -> None:
        found.append(open_[index].pop(0) if open_[index] else PartEnded(index))
        if type(found[-1]) is PartEnded:
            del open_[index]

    for index, part in enumerate(draw(st.lists(parts, max_size=5))):
        begun, *rest = cut(draw, index, part)
        found.append(begun)
        open_[index] = rest
        for _ in range(draw(st.integers(0, 5))):
            if open_:
                go_on(draw(st.sampled_from(sorted(open_))))
        while not isinstance(part, ToolCall) and open_.get(index):
            go_on(index)
    if draw(st.booleans()):
        found.append(Ping())
    while open_:
        go_on(draw(st.sampled_from(sorted(open_))))
    stop = draw(stops)
    if draw(st.booleans()) and usage is not None:
        return [*found, Counted(usage), Finished(stop)]
    return [*found, Finished(stop, None, usage)]


def whole(message: SdkMessage) -> dict[str, Any]:
    """Return a message as the SDK tells it, without what it does not take from a stream's end."""
    found = message.model_dump()
    del found["usage"]["cache_creation"]
    return found


@given(streams(any_parts))
def test_a_streamed_answer_is_the_plain_one_in_pieces(events: list[ReplyEvent]) -> None:
    written = ANTHROPIC_CODEC.encode_reply(fold(events), frame(), Dropped())
    assert whole(accumulated(told(events))) == whole(SdkMessage.model_validate_json(written))


@given(streams(own_parts))
def test_a_stream_that_was_written_is_read_as_what_it_was(events: list[ReplyEvent]) -> None:
    encoder, decoder = ANTHROPIC_CODEC.stream_encoder(frame()), ANTHROPIC_CODEC.stream_decoder()
    again: list[ReplyEvent] = []
    for block in encoder.encode(events).split(b"\n\n")[:-1]:
        name, data = block.split(b"\n")
        again += decoder.event(name.removeprefix(b"event: "), data.removeprefix(b"data: "))
    expected, found = fold(events), fold(again)
    assert found.parts == expected.parts
    written = ANTHROPIC_CODEC.encode_reply(expected, frame(), Dropped())
    assert found.stop == ANTHROPIC_CODEC.decode_reply(written).stop


@given(
    st.lists(own_parts, max_size=4),
    st.sampled_from(["end", "length", "refusal", "pause", "context_window", "stop_sequence"]),
    usages,
)
def test_a_plain_answer_that_was_written_is_read_as_what_it_was(
    parts: list[Part], stop: StopReason, usage: ReplyUsage | None
) -> None:
    called = any(isinstance(part, ToolCall) for part in parts)
    reply = Reply(
        id="msg_1",
        model="m-1",
        parts=tuple(parts),
        stop="tool_calls" if called and stop == "end" else stop,
        stop_sequence="END" if stop == "stop_sequence" else None,
        usage=usage or ReplyUsage(),
    )
    dropped = Dropped()
    written = ANTHROPIC_CODEC.encode_reply(reply, frame(), dropped)
    assert compact(ANTHROPIC_CODEC.decode_reply(written)) == compact(reply)
    assert not dropped


def compact(reply: Reply) -> tuple[Reply, list[Any]]:
    """Return an answer and the arguments of its calls: how those are spaced means nothing."""
    parts: list[Part] = []
    arguments: list[Any] = []
    for part in reply.parts:
        if isinstance(part, ToolCall):
            parts.append(ToolCall(part.id, part.name))
            arguments.append(json.loads(part.arguments))
        else:
            parts.append(part)
    return Reply(
        id=reply.id,
        model=reply.model,
        parts=tuple(parts),
        stop=reply.stop,
        stop_sequence=reply.stop_sequence,
        usage=reply.usage,
        extras=reply.extras,
    ), arguments
