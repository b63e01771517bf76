"""Streamed responses: their events in order and balance, and the same in the end as plain ones."""

from collections.abc import Iterator, Sequence
from typing import Any

import httpx2
import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.responses._responses import ResponseStreamState

from providers.wire.translation.conversation import (
    Opaque,
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
    ReplyEvent,
    ReplyUsage,
    StopReason,
    fold,
)
from providers.wire.translation.responses_codec import RESPONSES_CODEC
from providers.wire.values import UpstreamError
from tests.support.responses import (
    USAGE,
    Follower,
    event_adapter,
    frame,
    plain,
    read,
    streamed,
    told,
)

ENDS = ("completed", "incomplete")


def kinds(events: Sequence[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def whole(events: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return the response that a stream ends with, which its pieces must amount to."""
    followed = Follower(events)
    last = followed.last
    assert last is not None
    assert last["output"] == [followed.done[number] for number in sorted(followed.done)]
    assert [_said(item) for item in followed.items.values()] == [
        _said(item) for item in last["output"]
    ]
    return last


def _said(item: dict[str, Any]) -> dict[str, Any]:
    """Return what of an item is told in pieces, too."""
    return {k: v for k, v in item.items() if k not in {"status", "encrypted_content"}}


def test_a_text_has_every_event_of_its_life() -> None:
    found = told(
        [
            Begun("x", "m-1"),
            Ping(),
            PartBegun(0, Text("H")),
            Delta(0, "é\n"),
            Counted(USAGE),
            PartEnded(0),
            Finished("end"),
        ]
    )
    assert kinds(found) == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert found[2]["item"] == {
        "id": "msg_a10",
        "type": "message",
        "status": "in_progress",
        "role": "assistant",
        "content": [],
    }
    assert [event["delta"] for event in found if "delta" in event] == ["H", "é\n"]
    assert found[6]["text"] == "Hé\n"
    assert whole(found)["output"] == plain(Text("Hé\n"))["output"]


def test_each_piece_goes_out_when_it_comes() -> None:
    encoder = RESPONSES_CODEC.stream_encoder(frame())
    assert b"response.in_progress" in encoder.encode([Begun("x", "m-1")])
    encoder.encode([PartBegun(0, Text(""))])
    assert b'"delta":"a"' in encoder.encode([Delta(0, "a")])
    assert encoder.encode([Ping(), Delta(0, ""), Counted(USAGE)]) == b""


def test_a_call_has_every_event_of_its_life() -> None:
    events: list[ReplyEvent] = [
        Begun("x", "m-1"),
        PartBegun(0, ToolCall("c1", "f", '{"a"')),
        Delta(0, ":1}"),
        PartEnded(0),
        Finished("tool_calls"),
    ]
    found = told(events)
    assert kinds(found)[2:] == [
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    item = found[2]["item"]
    assert (item["call_id"], item["name"], item["arguments"]) == ("c1", "f", "")
    assert (item["type"], item["status"]) == ("function_call", "in_progress")
    assert whole(found)["output"] == plain(ToolCall("c1", "f", '{"a":1}'))["output"]


def test_a_call_of_a_custom_tool_has_its_own_events() -> None:
    found = told(streamed(ToolCall("c1", "sh", "ls", custom=True)))
    assert kinds(found)[2:-1] == [
        "output_item.added",
        "custom_tool_call_input.delta",
        "custom_tool_call_input.done",
        "output_item.done",
    ]
    assert whole(found)["output"][0]["input"] == "ls"


def test_a_refusal_has_its_own_events() -> None:
    found = told(streamed(Refusal("No."), stop="refusal"))
    assert kinds(found)[2:] == [
        "output_item.added",
        "content_part.added",
        "refusal.delta",
        "refusal.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ]
    assert found[3]["part"] == {"type": "refusal", "refusal": ""}
    assert whole(found)["output"][0]["content"] == [{"type": "refusal", "refusal": "No."}]


def test_thoughts_are_told_as_a_summary() -> None:
    found = told(
        [
            Begun("x", "m-1"),
            PartBegun(0, Thinking(made_by="anthropic")),
            Delta(0, "Hm."),
            Delta(0, signature="si"),
            Delta(0, signature="g"),
            PartEnded(0),
            Finished("end"),
        ]
    )
    assert kinds(found)[2:-1] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ]
    thought = Thinking("Hm.", "sig", made_by="anthropic")
    assert whole(found)["output"] == plain(thought)["output"]


@pytest.mark.parametrize(
    "thought",
    [
        Thinking("", "signed", made_by="anthropic"),
        Thinking(redacted="sealed", made_by="anthropic"),
        Thinking(),
    ],
)
def test_thoughts_without_words_have_no_summary(thought: Thinking) -> None:
    found = told(streamed(thought))
    assert kinds(found)[2:-1] == ["output_item.added", "output_item.done"]
    (item,) = whole(found)["output"]
    assert item["summary"] == []
    assert item["encrypted_content"]


def test_sealed_thoughts_may_have_words_too() -> None:
    thought = Thinking("Hm.", redacted="sealed", made_by="anthropic")
    assert whole(told(streamed(thought)))["output"] == plain(thought)["output"]


def test_texts_and_refusals_in_a_row_are_parts_of_one_message() -> None:
    found = told(streamed(Text("a"), Text(""), Refusal("b"), Text("c")))
    (item,) = whole(found)["output"]
    assert [part["type"] for part in item["content"]] == [
        "output_text",
        "output_text",
        "refusal",
        "output_text",
    ]
    assert kinds(found).count("output_item.added") == 1
    assert [event["content_index"] for event in found if "delta" in event] == [0, 2, 3]


def test_interleaved_calls_are_kept_apart() -> None:
    found = told(
        [
            Begun("x", "m-1"),
            PartBegun(0, ToolCall("a", "f")),
            PartBegun(1, ToolCall("b", "g", custom=True)),
            Delta(0, '{"x"'),
            Delta(1, "l"),
            Delta(0, ":1}"),
            Delta(1, "s"),
            PartEnded(1),
            PartEnded(0),
            Finished("tool_calls"),
        ]
    )
    first, second = whole(found)["output"]
    assert (first["call_id"], first["arguments"]) == ("a", '{"x":1}')
    assert (second["call_id"], second["input"]) == ("b", "ls")
    deltas = [(each["output_index"], each["delta"]) for each in found if "delta" in each]
    assert deltas == [(0, '{"x"'), (1, "l"), (0, ":1}"), (1, "s")]


def test_no_arguments_are_an_empty_object_and_no_input_is_empty() -> None:
    found = told(streamed(ToolCall("a", "f"), ToolCall("b", "g", custom=True)))
    call, custom = whole(found)["output"]
    assert (call["arguments"], custom["input"]) == ("{}", "")


def test_a_message_that_others_interrupt_ends_before_them_and_begins_anew() -> None:
    found = told(streamed(Thinking("t"), Text("a"), Text("b"), ToolCall("c", "f"), Text("d")))
    assert [(each["type"], each["output_index"]) for each in found if "item" in each] == [
        ("response.output_item.added", 0),
        ("response.output_item.done", 0),
        ("response.output_item.added", 1),
        ("response.output_item.done", 1),
        ("response.output_item.added", 2),
        ("response.output_item.done", 2),
        ("response.output_item.added", 3),
        ("response.output_item.done", 3),
    ]
    assert [item["type"] for item in whole(found)["output"]] == [
        "reasoning",
        "message",
        "function_call",
        "message",
    ]


def test_a_text_that_goes_on_beside_a_call_stays_in_its_message() -> None:
    found = told(
        [
            Begun("x", "m-1"),
            PartBegun(0, Text("a")),
            PartBegun(1, ToolCall("c", "f")),
            PartBegun(2, Text("c")),
            Delta(0, "b"),
            PartEnded(1),
            PartEnded(2),
            PartEnded(0),
            Finished("length"),
        ]
    )
    first, _, last = whole(found)["output"]
    assert [part["text"] for part in first["content"]] == ["ab"]
    assert [part["text"] for part in last["content"]] == ["c"]
    assert (first["status"], last["status"]) == ("completed", "incomplete")


URL = {"type": "web_search_result_location", "url": "u", "title": "t", "cited_text": "x"}


def test_what_a_text_cites_is_told_when_it_comes_and_again_with_the_whole() -> None:
    found = told(
        [
            Begun("x", "m-1"),
            PartBegun(0, Text("", citations_of="anthropic")),
            Delta(0, "ab"),
            Delta(0, citation=URL),
            Delta(0, citation={"type": "char_location", "cited_text": "x"}),
            PartEnded(0),
            Finished("end"),
        ]
    )
    annotation = {
        "type": "url_citation",
        "start_index": 0,
        "end_index": 2,
        "title": "t",
        "url": "u",
    }
    (event,) = [each for each in found if each["type"].endswith("annotation.added")]
    assert event["annotation"] == annotation
    assert whole(found)["output"][0]["content"][0]["annotations"] == [annotation]


def test_what_a_text_cites_from_the_beginning_is_told_too() -> None:
    text = Text("ab", citations=(URL,), citations_of="anthropic")
    found = whole(told(streamed(text)))
    assert found["output"] == plain(text)["output"]
    assert found["output"][0]["content"][0]["annotations"]


@pytest.mark.parametrize(
    ("begun", "counted", "finished", "expected"),
    [
        (None, None, None, None),
        (USAGE, None, None, 13),
        (ReplyUsage(input_tokens=1), USAGE, None, 13),
        (ReplyUsage(input_tokens=1), ReplyUsage(input_tokens=2), USAGE, 13),
        (None, None, USAGE, 13),
    ],
)
def test_tokens_are_those_that_were_told_last_and_none_where_none_were(
    begun: ReplyUsage | None,
    counted: ReplyUsage | None,
    finished: ReplyUsage | None,
    expected: int | None,
) -> None:
    events: list[ReplyEvent] = [Begun("x", "m-1", begun), PartBegun(0, Text("a")), PartEnded(0)]
    if counted is not None:
        events.append(Counted(counted))
    usage = whole(told([*events, Finished("end", usage=finished)]))["usage"]
    assert (usage and usage["total_tokens"]) == expected


def test_nothing_follows_the_end_or_a_failure() -> None:
    encoder = RESPONSES_CODEC.stream_encoder(frame())
    assert encoder.encode(streamed(Text("x")))
    late: list[ReplyEvent] = [PartBegun(7, Text("y")), Delta(7, "z"), Finished("end"), Ping()]
    assert encoder.encode(late) == b""
    failed = RESPONSES_CODEC.stream_encoder(frame())
    assert failed.encode([Failed(UpstreamError("", None, "m"))]) == b""


def test_what_neither_begins_nor_ends_in_order_still_does_here() -> None:
    encoder = RESPONSES_CODEC.stream_encoder(frame())
    sent = encoder.encode([PartBegun(0, Text("a")), Delta(0, "b"), Finished("end")])
    assert whole(read(sent))["output"] == plain(Text("ab"))["output"]
    assert encoder.encode([Delta(0, "c"), PartEnded(0)]) == b""


def test_an_empty_answer_still_begins_and_ends() -> None:
    assert kinds(told([Finished("end")])) == ["created", "in_progress", "completed"]


def test_parts_that_have_no_place_here_leave_no_gap() -> None:
    parts = (Text("a"), Opaque("anthropic", "server_tool_use", {}), Text("b"))
    found = whole(told(streamed(*parts)))
    assert found["output"] == plain(*parts)["output"]
    assert len(found["output"]) == 1


pieces = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), max_size=3)
parts = st.one_of(
    st.just(Text("")),
    st.just(Text("begun", citations=(URL,), citations_of="anthropic")),
    st.just(Refusal("")),
    st.just(ToolCall("", "f")),
    st.just(ToolCall("", "g", "x", custom=True)),
    st.just(Thinking(made_by="anthropic")),
    st.just(Thinking("begun")),
    st.just(Thinking(redacted="x", made_by="anthropic")),
    st.just(Opaque("anthropic", "server_tool_use", {})),
)


@st.composite
def streams(draw: st.DrawFn) -> list[ReplyEvent]:
    """Return a stream whose parts overlap at random."""
    events: list[ReplyEvent] = [Begun("x", "m-1", None, 3)]
    waiting = [
        (index, part, draw(pieces)) for index, part in enumerate(draw(st.lists(parts, max_size=5)))
    ]
    still: dict[int, Iterator[ReplyEvent]] = {}
    while waiting or still:
        if waiting and (not still or draw(st.booleans())):
            index, part, texts = waiting.pop(0)
            if isinstance(part, ToolCall):
                part = ToolCall(f"call_{index}", part.name, part.arguments, custom=part.custom)
            events.append(PartBegun(index, part))
            deltas: list[ReplyEvent] = [Delta(index, text) for text in texts]
            if isinstance(part, Opaque):
                deltas = []
            if isinstance(part, Thinking) and part.made_by and part.redacted is None:
                deltas += [Delta(index, signature="s"), Delta(index, signature="ig")]
            still[index] = iter([*deltas, PartEnded(index)])
        else:
            index = draw(st.sampled_from(sorted(still)))
            event = next(still[index], None)
            if event is None:
                del still[index]
            else:
                events.append(event)
    stops: list[StopReason | None]
    stops = ["end", "length", "tool_calls", "refusal", "content_filter", None]
    return [*events, Finished(draw(st.sampled_from(stops)), usage=USAGE)]


def ended_plainly(events: list[ReplyEvent]) -> dict[str, Any]:
    """Return the plain answer that a stream amounts to."""
    reply = fold(events)
    return plain(*reply.parts, stop=reply.stop, created=reply.created)


def without_places(response: dict[str, Any]) -> dict[str, Any]:
    """Return a response without the places of citations: a stream cites what it has said so far."""
    for item in response["output"]:
        for part in item.get("content") or ():
            for annotation in part.get("annotations") or ():
                annotation["end_index"] = None
    return response


@given(streams())
def test_a_stream_amounts_to_the_plain_answer(events: list[ReplyEvent]) -> None:
    assert without_places(whole(told(events))) == without_places(ended_plainly(events))


@given(streams(), st.data())
def test_it_does_not_matter_how_events_come_together(
    events: list[ReplyEvent], data: st.DataObject
) -> None:
    encoder = RESPONSES_CODEC.stream_encoder(frame())
    at = data.draw(st.integers(0, len(events)))
    found = encoder.encode(events[:at]) + encoder.encode(events[at:])
    encoder = RESPONSES_CODEC.stream_encoder(frame())
    assert found == b"".join(encoder.encode([event]) for event in events)


@given(streams())
def test_the_sdk_puts_the_same_together_from_the_pieces(events: list[ReplyEvent]) -> None:
    found = told(events)
    state = ResponseStreamState(input_tools=openai.omit, text_format=openai.omit)
    snapshot: Any = None
    for event in found[:-1]:
        state.handle_event(event_adapter.validate_python(event))
    snapshot = state.accumulate_event(event_adapter.validate_python(found[-2]))
    texts = [
        "".join(part.text for part in item.content if part.type == "output_text")
        for item in snapshot.output
        if item.type == "message"
    ]
    expected = ended_plainly(events)["output"]
    assert texts == [
        "".join(part["text"] for part in item["content"] if part["type"] == "output_text")
        for item in expected
        if item["type"] == "message"
    ]
    calls = [
        (each.call_id, each.arguments or "{}")
        for each in snapshot.output
        if each.type == "function_call"
    ]
    assert calls == [
        (item["call_id"], item["arguments"]) for item in expected if item["type"] == "function_call"
    ]


@given(streams())
def test_the_sdks_stream_ends_with_the_plain_answer(events: list[ReplyEvent]) -> None:
    encoder = RESPONSES_CODEC.stream_encoder(frame())
    sent = encoder.encode(events)

    def answered(request: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": "text/event-stream"}
        return httpx2.Response(200, headers=headers, content=sent, request=request)

    http = openai.DefaultHttpx2Client(transport=httpx2.MockTransport(answered))
    client = openai.OpenAI(api_key="x", max_retries=0, http_client=http)
    expected = ended_plainly(events)
    with client, client.responses.stream(model="m", input="x") as stream:
        last: Any = None
        for last in stream:  # noqa: B007 - the last one is what matters
            pass
    assert last.type == f"response.{expected['status']}"
    found = last.response.to_dict(mode="json")
    for item in found["output"]:
        for part in item.get("content") or ():
            part.pop("parsed", None)
        item.pop("parsed_arguments", None)
    assert without_places(found) == without_places(expected)
