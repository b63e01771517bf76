"""What a chat completion's dialect can express comes back equal, whatever it is."""

import json
from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from providers.wire.translation.chat_codec import CHAT_CODEC
from providers.wire.translation.codec import AnswerFrame, Dropped, Target
from providers.wire.translation.conversation import (
    Conversation,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from providers.wire.translation.reply import (
    Begun,
    Delta,
    Finished,
    PartBegun,
    PartEnded,
    Reply,
    ReplyEvent,
    ReplyUsage,
    StopReason,
    fold,
)

TARGET = Target(model="gpt-6-sol", official=True)
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
names = st.from_regex(r"[a-zA-Z0-9_-]{1,12}", fullmatch=True)
arguments = st.dictionaries(words, words | st.integers(-9, 9), max_size=2).map(json.dumps)
breakpoints = st.sampled_from([{"mode": "explicit"}, {"mode": "explicit", "ttl": "12h"}])


def record(required: dict[str, Any], **optional: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(required, optional=optional)


texts = record({"type": st.just("text"), "text": words}, prompt_cache_breakpoint=breakpoints)
images = record(
    {
        "type": st.just("image_url"),
        "image_url": record(
            {"url": st.sampled_from(["https://e.com/a.png", "data:image/png;base64,AAAA"])},
            detail=st.sampled_from(["auto", "low", "high", "original"]),
        ),
    },
    prompt_cache_breakpoint=breakpoints,
)
sounds = record(
    {
        "type": st.just("input_audio"),
        "input_audio": record({"data": st.just("BBBB"), "format": st.sampled_from(["wav", "mp3"])}),
    }
)
files = record(
    {
        "type": st.just("file"),
        "file": st.sampled_from(
            [
                {"file_id": "file-1"},
                {"filename": "a.pdf", "file_data": "data:application/pdf;base64,CCCC"},
            ]
        ),
    }
)
contents = words | st.lists(texts | images | sounds | files, min_size=1, max_size=3)
plain_contents = words | st.lists(texts, min_size=1, max_size=2)


@st.composite
def turns(draw: st.DrawFn) -> list[dict[str, Any]]:
    """Draw what the user says, what is answered, and perhaps calls with their results."""
    message: dict[str, Any] = {"role": "user", "content": draw(contents)}
    if draw(st.booleans()):
        message["name"] = draw(names)
    said: dict[str, Any] = {"role": "assistant", "content": draw(st.none() | plain_contents)}
    if draw(st.booleans()):
        said["refusal"] = draw(words)
    ids = draw(st.lists(names, max_size=3, unique=True))
    calls: list[dict[str, Any]] = []
    for each in ids:
        if draw(st.booleans()):
            custom = {"name": draw(names), "input": draw(words)}
            calls.append({"id": each, "type": "custom", "custom": custom})
        else:
            function = {"name": draw(names), "arguments": draw(arguments)}
            calls.append({"id": each, "type": "function", "function": function})
    if calls:
        said["tool_calls"] = calls
    results = [
        {"role": "tool", "tool_call_id": each, "content": draw(plain_contents)} for each in ids
    ]
    if said["content"] is None and len(said) == 2:
        return [message]
    return [message, said, *results]


functions = st.builds(
    lambda name, more: {"type": "function", "function": {"name": name, **more}},
    names,
    record(
        {},
        description=words,
        parameters=st.just({"type": "object", "properties": {}}),
        strict=st.booleans(),
    ),
)
customs = st.builds(
    lambda name, form: {"type": "custom", "custom": {"name": name, "format": form}},
    names,
    st.sampled_from(
        [
            {"type": "text"},
            {"type": "grammar", "grammar": {"syntax": "lark", "definition": "start: A"}},
        ]
    ),
)
options = record(
    {},
    max_completion_tokens=st.integers(1, 99),
    temperature=st.floats(0, 2),
    top_p=st.floats(0, 1),
    stop=st.lists(words, min_size=1, max_size=4) | words,
    stream=st.booleans(),
    reasoning_effort=st.sampled_from(["none", "minimal", "low", "medium", "high", "xhigh", "max"]),
    service_tier=st.sampled_from(["default", "flex"]),
    safety_identifier=words,
    seed=st.integers(0, 9),
    logit_bias=st.just({"5": -3}),
    n=st.integers(1, 3),
    metadata=st.dictionaries(names, words, max_size=2),
    verbosity=st.sampled_from(["low", "medium"]),
    web_search_options=st.just({}),
    response_format=st.sampled_from(
        [
            {"type": "text"},
            {"type": "json_object"},
            {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}},
            {"type": "json_schema", "json_schema": {"name": "n", "strict": False}},
        ]
    ),
    something_new=st.integers(),
)
system = st.lists(
    st.builds(
        lambda role, content: {"role": role, "content": content},
        st.sampled_from(["system", "developer"]),
        plain_contents,
    ),
    max_size=2,
)


@st.composite
def requests(draw: st.DrawFn) -> dict[str, Any]:
    messages = draw(system)
    for turn in draw(st.lists(turns(), min_size=1, max_size=3)):
        messages += turn
    tools = draw(st.lists(functions | customs, max_size=3))
    body: dict[str, Any] = {"model": "m", "messages": messages, **draw(options)}
    if tools:
        body["tools"] = tools
        body["tool_choice"] = draw(st.sampled_from(["auto", "none", "required"]))
        body["parallel_tool_calls"] = draw(st.booleans())
    return body


def once(body: bytes) -> tuple[Conversation, bytes]:
    request = CHAT_CODEC.decode_request(body)
    encoded = CHAT_CODEC.encode_request(request, TARGET)
    assert not list(encoded.dropped)
    return request, encoded.body


@given(requests())
def test_a_request_comes_back_equal(body: dict[str, Any]) -> None:
    request, again = once(json.dumps(body).encode())
    back, third = once(again)
    # The model is the provider's, and a stream is asked for with its usage.
    assert (
        msgspec.structs.replace(back, model=request.model, include_usage=request.include_usage)
        == request
    )
    assert third == again


thoughts = st.builds(
    Thinking,
    text=words,
    signature=st.none() | names,
    made_by=st.just("anthropic"),
) | st.builds(Thinking, redacted=names, made_by=st.just("anthropic"))
calls = st.builds(ToolCall, id=names, name=names, arguments=arguments) | st.builds(
    ToolCall, id=names, name=names, arguments=words, custom=st.just(value=True)
)
usages = st.builds(
    ReplyUsage,
    input_tokens=st.integers(0, 99),
    output_tokens=st.integers(0, 99),
    cache_read=st.none() | st.integers(0, 9),
    cache_write=st.none() | st.integers(0, 9),
    reasoning=st.none() | st.integers(0, 9),
    audio_input=st.none() | st.integers(0, 9),
    service_tier=st.none() | st.sampled_from(["default", "flex"]),
)


@st.composite
def replies(draw: st.DrawFn) -> Reply:
    parts: list[Part] = [*draw(st.lists(thoughts, max_size=2))]
    # Without a signature among them, the texts of all thoughts are told as one.
    parts = [each for each in parts if needs_details(parts)]
    if draw(st.booleans()):
        parts.append(Text(draw(words), citations_of="openai"))
    if draw(st.booleans()):
        parts.append(Refusal(draw(words)))
    called = draw(st.lists(calls, max_size=3, unique_by=lambda call: call.id))
    parts += called
    stop: StopReason = draw(st.sampled_from(("end", "length", "content_filter")))
    if called:
        stop = "tool_calls"
    if stop == "end" and parts and isinstance(parts[-1], Refusal):
        stop = "refusal"
    return Reply(
        id="chatcmpl-" + draw(names),
        model=draw(names),
        created=draw(st.integers(0, 2**40)),
        parts=tuple(parts),
        stop=stop,
        usage=draw(st.none() | usages),
    )


def needs_details(parts: Sequence[Part]) -> bool:
    return any(isinstance(part, Thinking) and (part.signature or part.redacted) for part in parts)


def frame() -> AnswerFrame:
    request = Conversation(dialect="openai", model="m", messages=(), include_usage=True)
    return AnswerFrame(request=request, answer_id="x", created=1)


@given(replies())
def test_a_plain_answer_comes_back_equal(reply: Reply) -> None:
    dropped = Dropped()
    assert CHAT_CODEC.decode_reply(CHAT_CODEC.encode_reply(reply, frame(), dropped)) == reply
    assert not list(dropped)


@st.composite
def streams(draw: st.DrawFn) -> tuple[Reply, list[ReplyEvent]]:
    """Draw an answer and the events it may come in; calls may be interleaved."""
    reply = draw(replies())
    events: list[ReplyEvent] = [Begun(reply.id, reply.model, created=reply.created)]
    open_calls: list[tuple[int, str]] = []
    for index, part in enumerate(reply.parts):
        if isinstance(part, ToolCall):
            begun = msgspec.structs.replace(part, arguments="")
            events.append(PartBegun(index, begun))
            open_calls.append((index, part.arguments))
            continue
        if isinstance(part, Thinking):
            events.append(PartBegun(index, msgspec.structs.replace(part, text="", signature=None)))
        elif isinstance(part, Text):
            events.append(PartBegun(index, Text("", citations_of="openai")))
        else:
            events.append(PartBegun(index, Refusal("")))
        text = part.text if isinstance(part, Text | Thinking | Refusal) else ""
        events += [Delta(index, piece) for piece in pieces(draw, text)]
        if isinstance(part, Thinking) and part.signature is not None:
            events.append(Delta(index, signature=part.signature))
        events.append(PartEnded(index))
    rest = [(index, pieces(draw, text)) for index, text in open_calls]
    while any(left for _, left in rest):
        index, left = draw(st.sampled_from([each for each in rest if each[1]]))
        events.append(Delta(index, left.pop(0)))
    events += [PartEnded(index) for index, _ in rest]
    events.append(Finished(reply.stop, usage=reply.usage))
    return reply, events


def pieces(draw: st.DrawFn, text: str) -> list[str]:
    size = draw(st.integers(1, 5))
    return [text[at : at + size] for at in range(0, len(text), size)]


@given(streams())
def test_a_stream_comes_back_as_the_answer_it_amounts_to(
    drawn: tuple[Reply, list[ReplyEvent]],
) -> None:
    reply, events = drawn
    encoder = CHAT_CODEC.stream_encoder(frame())
    decoder = CHAT_CODEC.stream_decoder()
    heard: list[ReplyEvent] = []
    for event in events:
        for block in encoder.encode([event]).split(b"\n\n")[:-1]:
            assert block.startswith(b"data: ")
            heard += decoder.event(b"", block[6:])
    assert fold(heard) == reply
    assert fold(events) == reply
