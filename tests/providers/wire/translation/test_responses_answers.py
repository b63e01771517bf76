"""Responses as plain answers: whole, as the SDK reads them, and what comes back of them."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.wire import WireError
from providers.wire.translation.codec import FOREIGN_MARK, AnswerFrame, Dropped, Row
from providers.wire.translation.conversation import (
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from providers.wire.translation.reply import Finished, Reply, ReplyUsage, StopReason
from providers.wire.translation.responses_codec import RESPONSES_CODEC
from tests.support.responses import USAGE, frame, plain, streamed, told


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


@pytest.mark.parametrize(
    ("told", "asked", "expected"),
    [
        (None, None, None),
        (None, "flex", "flex"),
        ("priority", "auto", "priority"),
        ("standard", None, "default"),
        ("batch", None, None),
    ],
)
def test_the_class_of_service_is_the_providers_or_else_what_was_asked_for(
    told: str | None, asked: str | None, expected: str | None
) -> None:
    usage = ReplyUsage(input_tokens=1, output_tokens=2, service_tier=told)
    found = plain(Text("x"), usage=usage, asked=frame(service_tier=asked))
    assert found["service_tier"] == expected


def test_tokens_written_to_a_cache_are_told_too() -> None:
    usage = ReplyUsage(input_tokens=9, output_tokens=4, cache_write=5)
    details = plain(Text("x"), usage=usage)["usage"]["input_tokens_details"]
    assert details == {"cached_tokens": 0, "cache_write_tokens": 5}


def test_how_likely_words_were_is_told_with_the_text() -> None:
    word = {"token": "x", "logprob": -0.5, "bytes": [120], "top_logprobs": []}
    found = plain(Thinking("t"), Text("x"), Text("y"), extras={"logprobs": {"content": [word]}})
    assert [part["logprobs"] for part in found["output"][1]["content"]] == [[word], []]


def test_a_refusal_stands_beside_what_was_said() -> None:
    found = plain(Text("Well."), Refusal("No."), stop="refusal")
    assert [part["type"] for part in found["output"][0]["content"]] == ["output_text", "refusal"]
    assert found["status"] == "completed"


@pytest.mark.parametrize(
    ("parts", "statuses"),
    [
        ((Text("x"),), ["incomplete"]),
        ((Text("x"), ToolCall("c", "f", "{")), ["completed", "completed"]),
        ((ToolCall("c", "f"), Text("x")), ["completed", "incomplete"]),
    ],
)
def test_the_message_that_was_cut_short_is_incomplete(
    parts: tuple[Part, ...], statuses: list[str]
) -> None:
    assert [item["status"] for item in plain(*parts, stop="length")["output"]] == statuses


def asked_with(row: Row) -> AnswerFrame | None:
    """Return what an answer to a row's request needs; None where it is refused."""
    body = json.dumps(row.example).encode()
    try:
        request = RESPONSES_CODEC.decode_request(body)
    except WireError:
        return None
    return AnswerFrame(request=request, answer_id="a1", created=17)


@pytest.mark.parametrize(
    "row",
    [pytest.param(row, id=row.field) for row in RESPONSES_CODEC.rows() if asked_with(row)],
)
def test_whatever_was_asked_the_sdk_reads_the_answer(row: Row) -> None:
    asked = asked_with(row)
    found = plain(Text("x"), asked=asked, created=3)
    last = told(streamed(Text("x")), asked)[-1]["response"]
    assert last == found


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
some = st.text("ab./=", min_size=1, max_size=3)
answered = st.one_of(
    st.builds(Text, texts),
    st.builds(Refusal, texts),
    st.builds(ToolCall, some, some, texts.filter(bool), st.booleans()),
    st.builds(Thinking, texts, some, made_by=st.just("anthropic")),
    st.builds(Thinking, texts, redacted=some, made_by=st.sampled_from(["anthropic", "openai"])),
    st.builds(Thinking, texts),
)


@given(st.lists(answered, min_size=1, max_size=5))
def test_what_was_answered_comes_back_as_it_was(parts: list[Part]) -> None:
    output = plain(*parts)["output"]
    body = json.dumps({"model": "m", "input": output}).encode()
    request = RESPONSES_CODEC.decode_request(body)
    back = [
        msgspec.structs.replace(part, id=None) if isinstance(part, Thinking) else part
        for message in request.messages
        for part in message.parts
    ]
    assert back == parts
    assert [message.role for message in request.messages] == ["assistant"] * len(output)
    assert not any(message.extras for message in request.messages)
