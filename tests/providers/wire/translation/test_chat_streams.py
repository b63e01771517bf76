"""Streamed chat completions: those of all servers are read, and written as the SDK reads them."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

import pytest

from providers.wire.translation.chat_codec import CHAT_CODEC
from providers.wire.translation.codec import FOREIGN_MARK, AnswerFrame, Dropped
from providers.wire.translation.conversation import (
    Conversation,
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


def chunk(delta: object = None, reason: str | None = None, **members: object) -> dict[str, object]:
    body: dict[str, object] = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 17,
        "model": "m-1",
    }
    if delta is not None or reason is not None:
        body["choices"] = [{"index": 0, "delta": delta or {}, "finish_reason": reason}]
    return body | members


def call(index: int | None = None, **members: Any) -> dict[str, object]:
    """Return the delta of one piece of a tool call."""
    function = {key: members.pop(key) for key in ("name", "arguments") if key in members}
    piece: dict[str, object] = {**members, "function": function}
    if index is not None:
        piece["index"] = index
    return {"tool_calls": [piece]}


def heard(*chunks: object, done: bool = True) -> list[ReplyEvent]:
    decoder = CHAT_CODEC.stream_decoder()
    events: list[ReplyEvent] = []
    for each in chunks:
        events += decoder.event(b"", json.dumps(each).encode())
    if done:
        events += decoder.event(b"", b"[DONE]")
    events += decoder.end()
    return events


def answer(*chunks: object) -> Reply:
    return fold(heard(*chunks))


FIRST = chunk({"role": "assistant", "content": ""})
LAST = chunk({}, "stop")
CALLED = chunk({}, "tool_calls")


def balanced(events: Iterable[ReplyEvent]) -> bool:
    begun: set[int] = set()
    ended: set[int] = set()
    for event in events:
        if isinstance(event, PartBegun):
            assert event.index == len(begun)
            begun.add(event.index)
        elif isinstance(event, PartEnded):
            assert event.index in begun - ended
            ended.add(event.index)
        elif isinstance(event, Delta):
            assert event.index in begun - ended
    return begun == ended


# --- decoding ---


def test_text_comes_out_piece_by_piece_as_it_is_said() -> None:
    decoder = CHAT_CODEC.stream_decoder()
    assert decoder.event(b"", json.dumps(FIRST).encode()) == [Begun("chatcmpl-1", "m-1", None, 17)]
    assert decoder.event(b"", json.dumps(chunk({"content": "Hel"})).encode()) == [
        PartBegun(0, Text("", citations_of="openai")),
        Delta(0, "Hel"),
    ]
    assert decoder.event(b"", json.dumps(chunk({"content": "lo"})).encode()) == [Delta(0, "lo")]
    assert decoder.event(b"", json.dumps(LAST).encode()) == [PartEnded(0)]
    counted = chunk(choices=[], usage={"prompt_tokens": 3, "completion_tokens": 2})
    assert decoder.event(b"", json.dumps(counted).encode()) == ()
    assert decoder.event(b"", b"[DONE]") == [
        Finished("end", usage=ReplyUsage(input_tokens=3, output_tokens=2))
    ]
    assert decoder.end() == ()


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param(
            [
                call(0, id="a", name="f", arguments=""),
                call(0, arguments='{"x"'),
                call(0, arguments=":1}"),
                call(1, id="b", name="g", arguments='{"y":2}'),
            ],
            id="one after the other",
        ),
        pytest.param(
            [
                call(0, id="a", name="f", arguments='{"x"'),
                call(1, id="b", name="g", arguments='{"y"'),
                call(0, arguments=":1}"),
                call(1, arguments=":2}"),
            ],
            id="interleaved",
        ),
        pytest.param(
            [
                call(id="a", name="f", arguments='{"x":1}'),
                call(id="b", name="g", arguments='{"y":2}'),
            ],
            id="whole, without numbers",
        ),
        pytest.param(
            [
                call(id="a", name="f", arguments='{"x"'),
                call(arguments=":1}"),
                call(id="b", name="g"),
                call(arguments='{"y":2}'),
            ],
            id="in pieces, without numbers",
        ),
        pytest.param(
            [
                call(0, id="a", name="f", arguments='{"x"'),
                call(0, arguments=":1}"),
                call(0, id="b", name="g", arguments='{"y"'),
                call(0, arguments=":2}"),
            ],
            id="all numbered 0",
        ),
        pytest.param(
            [
                call(0, name="f", arguments='{"x"'),
                call(0, id="a", arguments=":1}"),
                call(1, id="b"),
                call(1, arguments='{"y":'),
                call(1, name="g", arguments="2}"),
            ],
            id="ids and names late",
        ),
        pytest.param(
            [
                call(0, id="a", name="f", arguments='{"x"'),
                call(0, id="a", name="f", arguments=":1}"),
                call(1, id="b", name="g", arguments='{"y":2}'),
            ],
            id="id and name each time",
        ),
        pytest.param(
            [
                {
                    "tool_calls": [
                        {"index": 0, "id": "a", "function": {"name": "f", "arguments": '{"x":1}'}},
                        {"index": 1, "id": "b", "function": {"name": "g", "arguments": '{"y":2}'}},
                    ]
                }
            ],
            id="both in one chunk",
        ),
        pytest.param(
            [
                call(0, id="a", name="f", arguments={"x": 1}),
                call(1, id="b", name="g", arguments='{"y":2}'),
            ],
            id="arguments as an object",
        ),
    ],
)
def test_calls_are_kept_apart_however_they_come(pieces: Sequence[object]) -> None:
    events = heard(FIRST, *(chunk(piece) for piece in pieces), CALLED)
    assert balanced(events)
    reply = fold(events)
    assert reply.parts == (ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", '{"y":2}'))
    assert reply.stop == "tool_calls"


def test_a_call_without_arguments_has_none() -> None:
    reply = answer(FIRST, chunk(call(0, id="a", name="f", arguments="")), CALLED)
    assert reply.parts == (ToolCall("a", "f"),)


def test_a_call_that_never_had_an_id_is_given_one_at_the_end() -> None:
    events = heard(FIRST, chunk(call(0, name="f", arguments="{}")), CALLED)
    reply = fold(events)
    part = reply.parts[0]
    assert isinstance(part, ToolCall)
    assert part.id
    assert (part.name, part.arguments) == ("f", "{}")
    assert fold(heard(FIRST, chunk(call(0, name="f", arguments="{}")), CALLED)) == reply


def test_a_call_of_a_custom_tool_is_one() -> None:
    first = {"index": 0, "id": "a", "type": "custom", "custom": {"name": "sh", "input": "l"}}
    more = {"index": 0, "custom": {"input": "s"}}
    reply = answer(FIRST, chunk({"tool_calls": [first]}), chunk({"tool_calls": [more]}), CALLED)
    assert reply.parts == (ToolCall("a", "sh", "ls", custom=True),)


def test_a_call_from_before_there_were_tools_is_one() -> None:
    reply = answer(
        FIRST,
        chunk({"function_call": {"name": "f", "arguments": ""}}),
        chunk({"function_call": {"arguments": "{}"}}),
        chunk({}, "function_call"),
    )
    part = reply.parts[0]
    assert isinstance(part, ToolCall)
    assert (part.name, part.arguments, reply.stop) == ("f", "{}", "tool_calls")


def test_text_after_calls_is_a_part_of_its_own() -> None:
    events = heard(
        FIRST,
        chunk({"content": "a"}),
        chunk(call(0, id="c", name="f", arguments="{}")),
        chunk({"content": "b"}),
        chunk({"content": "c"}),
        CALLED,
    )
    assert balanced(events)
    assert fold(events).parts == (
        Text("a", citations_of="openai"),
        ToolCall("c", "f", "{}"),
        Text("bc", citations_of="openai"),
    )


@pytest.mark.parametrize("member", ["reasoning_content", "reasoning"])
def test_thoughts_come_before_the_text(member: str) -> None:
    events = heard(
        chunk({"role": "assistant", member: "Let "}),
        chunk({member: "me.", "content": ""}),
        chunk({member: None, "content": "Hi"}),
        LAST,
    )
    assert balanced(events)
    assert fold(events).parts == (Thinking("Let me."), Text("Hi", citations_of="openai"))


def test_thoughts_told_twice_are_heard_once_with_their_signature() -> None:
    detail = {"type": "reasoning.text", "format": "anthropic-claude-v1", "index": 0}
    reply = answer(
        chunk({"reasoning": "Let ", "reasoning_details": [{**detail, "text": "Let "}]}),
        chunk({"reasoning": "me.", "reasoning_details": [{**detail, "text": "me."}]}),
        chunk({"reasoning_details": [{**detail, "signature": "c2ln"}]}),
        chunk({"content": "Hi"}),
        LAST,
    )
    assert reply.parts[0] == Thinking("Let me.", signature="c2ln", made_by="anthropic")


def test_thoughts_in_details_alone_are_heard() -> None:
    reply = answer(
        chunk({"reasoning_details": [{"type": "reasoning.summary", "summary": "Sum", "index": 0}]}),
        chunk({"content": "Hi"}),
        LAST,
    )
    assert reply.parts[0] == Thinking("Sum", summary=True)


def test_a_content_in_parts_is_heard() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}
    reply = answer(
        chunk({"content": [thinking]}), chunk({"content": [{"type": "text", "text": "Hi"}]}), LAST
    )
    assert reply.parts == (Thinking("Hm"), Text("Hi", citations_of="openai"))


def test_a_refusal_is_one_by_its_words() -> None:
    reply = answer(FIRST, chunk({"refusal": "I "}), chunk({"refusal": "won't"}), LAST)
    assert reply.parts == (Refusal("I won't"),)
    assert reply.stop == "refusal"


def test_citations_belong_to_the_text() -> None:
    cited = {
        "type": "url_citation",
        "url_citation": {"start_index": 0, "end_index": 2, "title": "T", "url": "https://e.com"},
    }
    reply = answer(FIRST, chunk({"content": "Hi"}), chunk({"annotations": [cited]}), LAST)
    assert reply.parts == (Text("Hi", citations=(cited,), citations_of="openai"),)


@pytest.mark.parametrize(
    ("chunks", "expected"),
    [
        ([chunk({}, "stop")], None),
        ([chunk({}, "stop", usage={"prompt_tokens": 5, "completion_tokens": 7})], (5, 7)),
        (
            [
                chunk({"content": "b"}, usage={"prompt_tokens": 5, "completion_tokens": 1}),
                chunk({}, "stop", usage={"prompt_tokens": 5, "completion_tokens": 7}),
            ],
            (5, 7),
        ),
        (
            [
                chunk({}, "stop", usage=None),
                chunk(choices=[], usage={"prompt_tokens": 5.0, "completion_tokens": 7}),
            ],
            (5, 7),
        ),
    ],
    ids=["never", "with the finish", "in every chunk", "alone and odd"],
)
def test_usage_is_the_last_that_was_told(
    chunks: list[object], expected: tuple[int, int] | None
) -> None:
    usage = answer(FIRST, chunk({"content": "a"}), *chunks).usage
    assert (usage and (usage.input_tokens, usage.output_tokens)) == expected


@pytest.mark.parametrize(
    ("reason", "stop"),
    [
        ("stop", "end"),
        ("length", "length"),
        ("content_filter", "content_filter"),
        ("eos_token", "end"),
        (None, None),
    ],
)
def test_reasons_of_an_end_are_understood(reason: str | None, stop: StopReason | None) -> None:
    assert answer(FIRST, chunk({"content": "a"}), chunk({}, reason)).stop == stop


def test_stop_after_calls_means_the_calls() -> None:
    assert answer(FIRST, chunk(call(0, id="a", name="f")), LAST).stop == "tool_calls"


def test_an_opening_without_choices_is_waited_past() -> None:
    opening = {"id": "", "model": "", "choices": [], "prompt_filter_results": []}
    reply = answer(opening, FIRST, chunk({"content": "a"}), LAST)
    assert (reply.id, reply.model) == ("chatcmpl-1", "m-1")


def test_a_second_choice_is_not_heard() -> None:
    other = {"index": 1, "delta": {"content": "no"}, "finish_reason": "stop"}
    reply = answer(FIRST, chunk({"content": "a"}), chunk(choices=[other]), LAST)
    assert reply.parts == (Text("a", citations_of="openai"),)


def test_an_error_in_the_stream_is_a_failure_and_nothing_follows() -> None:
    error = {"error": {"message": "boom", "type": "server_error", "code": None}}
    events = heard(FIRST, error, chunk({"content": "late"}))
    assert isinstance(events[-1], Failed)
    assert events[-1].error.message == "boom"
    assert not any(isinstance(event, Finished | Delta) for event in events)


def test_values_of_wrong_types_count_as_not_there() -> None:
    odd = {
        "id": 5,
        "choices": [
            {
                "index": 0,
                "delta": {"content": "Hi", "tool_calls": "none", "reasoning": 3, "refusal": False},
                "finish_reason": 0,
            }
        ],
        "usage": "free",
    }
    reply = answer(odd, chunk({"content": "!", "tool_calls": [5]}), LAST)
    assert reply.parts == (Text("Hi!", citations_of="openai"),)


# --- encoding ---


def frame(**members: Any) -> AnswerFrame:
    request = Conversation(dialect="openai", model="asked", messages=(), stream=True, **members)
    return AnswerFrame(request=request, answer_id="xyz", created=99)


def told(
    parts: Iterable[Part], stop: StopReason | None = "end", usage: ReplyUsage | None = None
) -> list[ReplyEvent]:
    """Return the events of an answer, each part's text in two pieces."""
    events: list[ReplyEvent] = [Begun("msg_1", "claude-1"), Ping()]
    for index, part in enumerate(parts):
        if isinstance(part, Text):
            events.append(PartBegun(index, Text("", citations_of=part.citations_of)))
            text = part.text
        elif isinstance(part, Thinking):
            begun = Thinking(made_by=part.made_by, redacted=part.redacted, id=part.id)
            events.append(PartBegun(index, begun))
            text = part.text
        elif isinstance(part, ToolCall):
            events.append(PartBegun(index, ToolCall(part.id, part.name, custom=part.custom)))
            text = part.arguments
        elif isinstance(part, Refusal):
            events.append(PartBegun(index, Refusal("")))
            text = part.text
        else:
            events.append(PartBegun(index, part))
            text = ""
        middle = len(text) // 2
        events += [Delta(index, piece) for piece in (text[:middle], text[middle:]) if piece]
        if isinstance(part, Text):
            events += [Delta(index, citation=each) for each in part.citations]
        if isinstance(part, Thinking) and part.signature is not None:
            events.append(Delta(index, signature=part.signature))
        events.append(PartEnded(index))
    events.append(Finished(stop, usage=usage))
    return events


def written(events: Iterable[ReplyEvent], **members: Any) -> list[Any]:
    """Return the chunks that events amount to, each event encoded for itself."""
    encoder = CHAT_CODEC.stream_encoder(frame(**members))
    data = b"".join(encoder.encode([event]) for event in events)
    assert data.endswith(b"data: [DONE]\n\n")
    blocks = data.split(b"\n\n")
    assert all(block.startswith(b"data: ") for block in blocks[:-1])
    return [json.loads(block[6:]) for block in blocks[:-2]]


def test_the_role_comes_first_the_reason_once_and_all_chunks_have_one_head() -> None:
    chunks = written(told([Text("Hello"), ToolCall("a", "f", "{}")], "tool_calls"))
    heads = {(each["id"], each["created"], each["model"], each["object"]) for each in chunks}
    assert heads == {("chatcmpl-xyz", 99, "claude-1", "chat.completion.chunk")}
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    reasons = [each["choices"][0]["finish_reason"] for each in chunks]
    assert reasons == [None] * (len(chunks) - 1) + ["tool_calls"]


def test_usage_is_told_only_to_who_asked_for_it() -> None:
    usage = ReplyUsage(input_tokens=3, output_tokens=4, cache_read=2, reasoning=1)
    chunks = written(told([Text("Hi")], usage=usage))
    assert not any("usage" in each for each in chunks)
    chunks = written(told([Text("Hi")], usage=usage), include_usage=True)
    assert all(each["usage"] is None for each in chunks[:-1])
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"] == {
        "prompt_tokens": 3,
        "completion_tokens": 4,
        "total_tokens": 7,
        "prompt_tokens_details": {"cached_tokens": 2},
        "completion_tokens_details": {"reasoning_tokens": 1},
    }


def test_usage_that_nobody_told_is_not_invented() -> None:
    chunks = written(told([Text("Hi")]), include_usage=True)
    assert all(each["choices"] for each in chunks)


def test_usage_counted_on_the_way_is_told_at_the_end() -> None:
    events = told([Text("Hi")])
    events.insert(-1, Counted(ReplyUsage(input_tokens=1, output_tokens=2)))
    assert written(events, include_usage=True)[-1]["usage"]["total_tokens"] == 3


def test_interleaved_calls_keep_their_numbers() -> None:
    events: list[ReplyEvent] = [
        Begun("", ""),
        PartBegun(0, ToolCall("a", "f")),
        PartBegun(1, ToolCall("b", "g")),
        Delta(0, '{"x"'),
        Delta(1, '{"y"'),
        Delta(0, ":1}"),
        Delta(1, ":2}"),
        PartEnded(0),
        PartEnded(1),
        Finished("tool_calls"),
    ]
    pieces = [
        (piece["index"], piece["function"]["arguments"])
        for each in written(events)
        for piece in each["choices"][0]["delta"].get("tool_calls", ())
    ]
    assert pieces == [(0, ""), (1, ""), (0, '{"x"'), (1, '{"y"'), (0, ":1}"), (1, ":2}")]


def test_a_call_without_arguments_has_an_empty_object() -> None:
    assert (
        parsed(told([ToolCall("a", "f")], "tool_calls")).message.tool_calls[0].function.arguments
        == "{}"
    )


def test_an_asker_of_old_calls_gets_the_first_as_a_function_call() -> None:
    events = told([ToolCall("a", "f", '{"x":1}'), ToolCall("b", "g", "{}")], "tool_calls")
    chunks = written(events, old_calls=True)
    calls = [each["choices"][0]["delta"].get("function_call") for each in chunks]
    calls = [each for each in calls if each]
    assert calls[0]["name"] == "f"
    assert "".join(each["arguments"] for each in calls) == '{"x":1}'
    assert chunks[-1]["choices"][0]["finish_reason"] == "function_call"
    assert "tool_calls" not in json.dumps(chunks)


def test_no_foreign_mark_is_told_as_a_signature() -> None:
    thought = Thinking("Hm", signature=FOREIGN_MARK + "x", made_by="anthropic")
    assert FOREIGN_MARK not in json.dumps(written(told([thought])))


def test_a_part_without_a_place_is_passed_over() -> None:
    opaque = Opaque("anthropic", "server_tool_use", {"type": "server_tool_use"})
    assert parsed(told([opaque, Text("Hi")])).message.content == "Hi"


def test_a_failure_ends_nothing() -> None:
    from providers.wire import UpstreamError

    encoder = CHAT_CODEC.stream_encoder(frame())
    assert encoder.encode([Failed(UpstreamError("t", None, "m"))]) == b""


# --- with the official SDK ---


def parsed(events: Iterable[ReplyEvent], **members: Any) -> Any:
    """Return the choice that the official SDK makes of a stream."""
    return sdk_completion(events, **members).choices[0]


def sdk_completion(events: Iterable[ReplyEvent], **members: Any) -> Any:
    import httpx2
    from openai import DefaultHttpx2Client, OpenAI

    data = CHAT_CODEC.stream_encoder(frame(**members)).encode(events)

    def answered(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=data)

    with (
        DefaultHttpx2Client(transport=httpx2.MockTransport(answered)) as http,
        OpenAI(api_key="k", base_url="http://localhost/v1", http_client=http) as client,
        client.chat.completions.stream(
            model="m", messages=[{"role": "user", "content": "x"}]
        ) as stream,
    ):
        return stream.get_final_completion()


CITED = {
    "type": "web_search_result_location",
    "url": "https://e.com",
    "title": "T",
    "cited_text": "x",
}
THOUGHT = Thinking("Let me see.", signature="c2ln", made_by="anthropic")
PARTS: dict[str, list[Part]] = {
    "text": [Text("Hello there")],
    "thoughts": [THOUGHT, Text("Hi")],
    "two thoughts": [THOUGHT, Thinking(redacted="abc", made_by="anthropic"), Text("Hi")],
    "thoughts without a proof": [Thinking("Let me see."), Text("Hi")],
    "calls": [Text("Look"), ToolCall("toolu_1", "f", '{"a":"é"}'), ToolCall("toolu_2", "g", "{}")],
    "calls alone": [ToolCall("toolu_1", "f", "{}")],
    "refusal": [Refusal("I won't.")],
    "citations": [
        Text("Well: ", citations_of="anthropic"),
        Text("so it is", citations=(CITED,), citations_of="anthropic"),
    ],
    "nothing": [],
}


@pytest.mark.parametrize("name", PARTS)
def test_the_official_sdk_reads_the_same_from_a_stream_as_from_a_plain_answer(name: str) -> None:
    from openai.types.chat import ChatCompletion

    parts = PARTS[name]
    called = any(isinstance(part, ToolCall) for part in parts)
    stop: StopReason = "tool_calls" if called else "end"
    usage = ReplyUsage(input_tokens=3, output_tokens=4, reasoning=1)
    reply = Reply(id="msg_1", model="claude-1", parts=tuple(parts), stop=stop, usage=usage)
    plain = CHAT_CODEC.encode_reply(reply, frame(), Dropped())
    expected = ChatCompletion.model_validate_json(plain)
    got = sdk_completion(told(parts, stop, usage), include_usage=True)
    assert got.usage == expected.usage
    assert (got.id, got.model, got.created) == (expected.id, expected.model, expected.created)
    choice, other = got.choices[0], expected.choices[0]
    assert choice.finish_reason == other.finish_reason
    for member in ("role", "content", "refusal", "reasoning_content", "annotations"):
        assert plain_of(getattr(choice.message, member, None)) == plain_of(
            getattr(other.message, member, None)
        )
    assert calls_of(choice.message) == calls_of(other.message)
    details = getattr(other.message, "reasoning_details", None)
    streamed = getattr(choice.message, "reasoning_details", None)
    assert sent_back(streamed) == sent_back(details)


def calls_of(message: Any) -> list[tuple[str, str, str, str]]:
    return [
        (call.id, call.type, call.function.name, call.function.arguments)
        for call in message.tool_calls or ()
    ]


def plain_of(value: Any) -> Any:
    return [each.model_dump() for each in value] if isinstance(value, list) else value


def sent_back(details: Any) -> tuple[Part, ...]:
    """Return what is read of thoughts that an SDK's user sends back."""
    message = {"role": "assistant", "content": "x", "reasoning_details": details}
    body = {"model": "m", "messages": [message]}
    return CHAT_CODEC.decode_request(json.dumps(body).encode()).messages[0].parts


def test_citations_are_of_the_whole_content() -> None:
    choice = parsed(told(PARTS["citations"]))
    assert [each.model_dump() for each in choice.message.annotations] == [
        {
            "type": "url_citation",
            "url_citation": {
                "start_index": 6,
                "end_index": 14,
                "title": "T",
                "url": "https://e.com",
            },
        }
    ]
