"""Responses as answers, plain and streamed: whole, in order, and the same either way."""

import json
from collections.abc import Iterator, Sequence
from typing import Any, cast

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from providers.wire.translation.codec import FOREIGN_MARK, AnswerFrame, Dropped
from providers.wire.translation.conversation import (
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
from providers.wire.translation.responses_codec import RESPONSES_CODEC
from providers.wire.values import UpstreamError

USAGE = ReplyUsage(input_tokens=9, output_tokens=4, cache_read=2, reasoning=1)
event_adapter: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def frame(**members: object) -> AnswerFrame:
    body = {"model": "asked", "input": "Hello", **members}
    request = RESPONSES_CODEC.decode_request(json.dumps(body).encode())
    return AnswerFrame(request=request, answer_id="a1", created=17)


def plain(*parts: Part, asked: AnswerFrame | None = None, **members: Any) -> dict[str, Any]:
    reply = Reply(
        **{"id": "x", "model": "m-1", "stop": "end", "usage": USAGE, **members}, parts=parts
    )
    written = RESPONSES_CODEC.encode_reply(reply, asked or frame(), Dropped())
    Response.model_validate_json(written, strict=True)
    found: dict[str, Any] = json.loads(written)
    return found


def told(events: Sequence[ReplyEvent], asked: AnswerFrame | None = None) -> list[dict[str, Any]]:
    """Return the events of a stream, each checked against the SDK's type of it."""
    encoder = RESPONSES_CODEC.stream_encoder(asked or frame())
    out = b"".join(encoder.encode([event]) for event in events)
    found = []
    for block in out.decode().split("\n\n")[:-1]:
        name, data = block.split("\n")
        event = json.loads(data.removeprefix("data: "))
        assert name == f"event: {event['type']}"
        event_adapter.validate_json(data.removeprefix("data: "))
        found.append(event)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    return found


def kinds(events: Sequence[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


def streamed(*parts: Part, stop: StopReason = "end") -> list[ReplyEvent]:
    events: list[ReplyEvent] = [Begun("x", "m-1", None, 3)]
    for index, part in enumerate(parts):
        events += [PartBegun(index, part), PartEnded(index)]
    return [*events, Finished(stop, usage=USAGE)]


def test_texts_in_a_row_are_one_message() -> None:
    found = plain(Text("Hel"), Text("lo"), created=3)
    (item,) = found["output"]
    assert (item["type"], item["role"], item["status"]) == ("message", "assistant", "completed")
    assert [part["text"] for part in item["content"]] == ["Hel", "lo"]
    assert (found["id"], found["model"], found["created_at"]) == ("resp_a1", "m-1", 3)
    assert (found["status"], found["incomplete_details"], found["error"]) == (
        "completed",
        None,
        None,
    )
    assert found["usage"] == {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 0},
        "output_tokens": 4,
        "output_tokens_details": {"reasoning_tokens": 1},
        "total_tokens": 13,
    }


def test_what_the_provider_does_not_say_is_not_made_up() -> None:
    found = plain(Text("x"), id="resp_own", model="", usage=None)
    assert (found["id"], found["model"], found["usage"]) == ("resp_own", "asked", None)
    assert found["created_at"] == 17


@pytest.mark.parametrize(
    ("stop", "parts", "status", "reason"),
    [
        ("end", (Text("x"),), "completed", None),
        ("stop_sequence", (Text("x"),), "completed", None),
        ("tool_calls", (ToolCall("c", "f"),), "completed", None),
        ("length", (Text("x"),), "incomplete", "max_output_tokens"),
        ("context_window", (Text("x"),), "incomplete", "max_output_tokens"),
        ("content_filter", (Text("x"),), "incomplete", "content_filter"),
        ("refusal", (), "incomplete", "content_filter"),
        ("refusal", (Refusal("No."),), "completed", None),
        (None, (Text("x"),), "completed", None),
    ],
)
def test_why_it_ended(
    stop: StopReason | None, parts: tuple[Part, ...], status: str, reason: str | None
) -> None:
    found = plain(*parts, stop=stop)
    assert found["status"] == status
    assert found["incomplete_details"] == (reason and {"reason": reason})
    last = told([*streamed(*parts)[:-1], Finished(stop, usage=USAGE)])[-1]
    assert last["type"] == f"response.{status}"
    assert last["response"]["incomplete_details"] == found["incomplete_details"]
    assert last["response"]["output"] == found["output"]


def test_calls_are_items_of_their_own() -> None:
    found = plain(
        Text("See:"), ToolCall("c1", "f", '{"a":1}'), ToolCall("c2", "g", "ls", custom=True)
    )
    message, call, custom = found["output"]
    assert message["type"] == "message"
    assert {**call, "id": ""} == {
        "id": "",
        "type": "function_call",
        "status": "completed",
        "call_id": "c1",
        "name": "f",
        "arguments": '{"a":1}',
    }
    assert (custom["type"], custom["call_id"], custom["input"]) == ("custom_tool_call", "c2", "ls")
    assert len({item["id"] for item in found["output"]}) == 3
    assert [item["id"].split("_")[0] for item in found["output"]] == ["msg", "fc", "ctc"]


def test_no_arguments_are_an_empty_object() -> None:
    assert plain(ToolCall("c", "f"))["output"][0]["arguments"] == "{}"
    item = told(streamed(ToolCall("c", "f")))[-1]["response"]["output"][0]
    assert item["arguments"] == "{}"


@pytest.mark.parametrize(
    "thought",
    [
        Thinking("Hm.", "sig.na+ture/=", made_by="anthropic"),
        Thinking(redacted="EqoB", made_by="anthropic"),
        Thinking("", "only signed", made_by="anthropic"),
        Thinking("Hm."),
    ],
)
def test_thoughts_come_back_as_they_were(thought: Thinking) -> None:
    for item in (
        plain(thought)["output"][0],
        told(streamed(thought))[-1]["response"]["output"][0],
    ):
        body = json.dumps({"model": "m", "input": [item]}).encode()
        ((back,),) = [each.parts for each in RESPONSES_CODEC.decode_request(body).messages]
        assert isinstance(back, Thinking)
        assert (back.text, back.signature, back.redacted, back.made_by) == (
            thought.text,
            thought.signature,
            thought.redacted,
            thought.made_by,
        )
        assert item["encrypted_content"].startswith(FOREIGN_MARK)


def test_citations_of_addresses_are_annotations_and_others_are_named() -> None:
    own = {
        "type": "url_citation",
        "url_citation": {"url": "u", "title": "t", "start_index": 0, "end_index": 1},
    }
    alien = {"type": "char_location", "cited_text": "x"}
    reply = Reply(
        id="x",
        model="m",
        parts=(
            Text("a", citations=(own,), citations_of="openai"),
            Text("b", citations=(alien,), citations_of="anthropic"),
            Opaque("anthropic", "server_tool_use", {}),
        ),
        stop="pause",
    )
    dropped = Dropped()
    found = json.loads(RESPONSES_CODEC.encode_reply(reply, frame(), dropped))
    annotations = [part["annotations"] for part in found["output"][0]["content"]]
    assert annotations == [
        [{"type": "url_citation", "url": "u", "title": "t", "start_index": 0, "end_index": 1}],
        [],
    ]
    assert list(dropped) == ["answer.stop_reason", "answer.output[1].citations", "answer.output[2]"]


def test_an_answer_repeats_what_was_asked() -> None:
    tools = [
        {"type": "function", "name": "f", "description": "d", "parameters": {}, "strict": True},
        {"type": "custom", "name": "g", "description": None, "format": {"type": "text"}},
        {"type": "web_search"},
    ]
    schema = {
        "type": "json_schema",
        "name": "n",
        "description": "d",
        "schema": {"type": "object"},
        "strict": True,
    }
    asked: dict[str, object] = {
        "instructions": "Be brief.",
        "tools": tools,
        "tool_choice": {
            "type": "allowed_tools",
            "mode": "auto",
            "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "g"}],
        },
        "parallel_tool_calls": False,
        "temperature": 0.5,
        "top_p": 0.25,
        "max_output_tokens": 9,
        "max_tool_calls": 2,
        "metadata": {"a": "b"},
        "reasoning": {"effort": "low", "summary": "auto"},
        "text": {"format": schema, "verbosity": "low"},
        "truncation": "auto",
        "safety_identifier": "s",
        "prompt_cache_key": "k",
        "top_logprobs": 2,
    }
    found = plain(Text("x"), asked=frame(**asked))
    assert {name: found[name] for name in asked} == asked
    assert found["store"] is False
    for choice in ("none", {"type": "function", "name": "f"}, {"type": "web_search_preview"}):
        assert plain(asked=frame(tools=tools, tool_choice=choice))["tool_choice"] == choice


def test_a_streamed_text_has_every_event_of_its_life() -> None:
    events: list[ReplyEvent] = [
        Begun("x", "m-1"),
        Ping(),
        PartBegun(0, Text("H")),
        Delta(0, "é\n"),
        Counted(USAGE),
        PartEnded(0),
        Finished("end"),
    ]
    found = told(events)
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
    assert [event["delta"] for event in found if event["type"].endswith("delta")] == ["H", "é\n"]
    assert found[0]["response"]["status"] == found[1]["response"]["status"] == "in_progress"
    assert found[6]["text"] == "Hé\n"
    assert found[-1]["response"]["usage"]["total_tokens"] == 13


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
    first, second = found[-1]["response"]["output"]
    assert (first["call_id"], first["arguments"]) == ("a", '{"x":1}')
    assert (second["call_id"], second["input"]) == ("b", "ls")
    deltas = [(each["output_index"], each["delta"]) for each in found if "delta" in each]
    assert deltas == [(0, '{"x"'), (1, "l"), (0, ":1}"), (1, "s")]


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


def test_nothing_follows_the_end_or_a_failure() -> None:
    encoder = RESPONSES_CODEC.stream_encoder(frame())
    assert encoder.encode(streamed(Text("x")))
    assert encoder.encode([PartBegun(7, Text("y")), Finished("end"), Ping()]) == b""
    assert (
        RESPONSES_CODEC.stream_encoder(frame()).encode([Failed(UpstreamError("", None, "m"))])
        == b""
    )


def test_an_empty_answer_still_begins_and_ends() -> None:
    assert kinds(told([Finished("end")])) == ["created", "in_progress", "completed"]


pieces = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=4), max_size=3)
parts = st.one_of(
    st.just(Text("")),
    st.just(Refusal("")),
    st.builds(ToolCall, st.just("call"), st.just("f")),
    st.builds(ToolCall, st.just("call"), st.just("g"), st.just(""), st.just(True)),  # noqa: FBT003
    st.just(Thinking(made_by="anthropic")),
    st.just(Thinking()),
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
            call = isinstance(part, ToolCall)
            if call:
                part = ToolCall(f"call_{index}", part.name, custom=part.custom)
            events.append(PartBegun(index, part))
            deltas: list[ReplyEvent] = [Delta(index, text) for text in texts]
            if isinstance(part, Thinking) and part.made_by:
                deltas.append(Delta(index, signature="s"))
            still[index] = iter([*deltas, PartEnded(index)])
        else:
            index = draw(st.sampled_from(sorted(still)))
            event = next(still[index], None)
            if event is None:
                del still[index]
            else:
                events.append(event)
    stop = draw(st.sampled_from(["end", "length", "tool_calls", "refusal", "content_filter"]))
    return [*events, Finished(cast("StopReason", stop), usage=USAGE)]


def texts_of(item: dict[str, Any]) -> object:
    """Return what an item says, whatever item its pieces were put in."""
    return {key: value for key, value in item.items() if key not in {"id", "status"}}


@given(streams())
def test_a_stream_is_the_plain_answer_in_pieces(events: list[ReplyEvent]) -> None:
    found = told(events)
    whole = plain(*(reply := fold(events)).parts, stop=reply.stop, created=3)
    last = found[-1]["response"]
    assert {**last, "output": []} == {**whole, "output": []}
    assert [texts_of(item) for item in last["output"]] == [
        texts_of(item) for item in whole["output"]
    ]
    added = [event["output_index"] for event in found if event["type"].endswith("item.added")]
    done = [event["output_index"] for event in found if event["type"].endswith("item.done")]
    assert added == sorted(done) == list(range(len(last["output"])))


@given(streams())
def test_the_sdk_gathers_the_same_from_the_events(events: list[ReplyEvent]) -> None:
    state = ResponseStreamState(input_tools=openai.omit, text_format=openai.omit)
    found = told(events)
    for event in found:
        state.handle_event(event_adapter.validate_python(event))
    gathered = state._completed_response
    if found[-1]["type"] == "response.completed":
        assert gathered is not None
        assert [getattr(item, "id", None) for item in gathered.output] == [
            item["id"] for item in found[-1]["response"]["output"]
        ]
        assert gathered.output_text == "".join(
            part["text"]
            for item in found[-1]["response"]["output"]
            if item["type"] == "message"
            for part in item["content"]
            if part["type"] == "output_text"
        )
