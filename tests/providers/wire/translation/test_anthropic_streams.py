"""Streamed messages on the wire: as Anthropic's own client reads them, and however they are cut."""

import json
from collections.abc import Iterator, Sequence
from typing import Any

import httpx2
import pytest
from anthropic import Anthropic, APIStatusError, DefaultHttpxClient
from hypothesis import given
from hypothesis import strategies as st

from providers.wire import ANTHROPIC
from providers.wire.translation.anthropic_codec import ANTHROPIC_CODEC
from providers.wire.translation.codec import AnswerFrame, Dropped
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
from providers.wire.translation.translation import StreamTranslator

CITED = {
    "type": "char_location",
    "cited_text": "so",
    "document_index": 0,
    "document_title": "T",
    "file_id": None,
    "start_char_index": 0,
    "end_char_index": 2,
}
SEARCH = {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"q": "x"}}
PARTS: dict[str, list[Part]] = {
    "text": [Text("Hello\n\ndata: there, é 𝄞\u2028")],
    "thoughts": [Thinking("Hm.", "c2ln", made_by="anthropic"), Text("Hi")],
    "sealed thoughts": [Thinking(redacted="c2ln", made_by="anthropic"), Text("Hi")],
    "thoughts of others": [Thinking("Hm.\r\n"), Text("Hi")],
    "calls": [
        Text("Look"),
        ToolCall("toolu_1", "f", '{"a": "é", "b": [1, null, 1.5]}'),
        ToolCall("call 2", "g", "{}"),
        ToolCall("toolu_3", "h"),
    ],
    "no object": [ToolCall("toolu_1", "sh", 'ls "a"', custom=True), Text("x")],
    "refusal": [Refusal("I won't.")],
    "citations": [Text("so", citations=(CITED, CITED), citations_of="anthropic")],
    "a server's tool": [Opaque("anthropic", "server_tool_use", SEARCH), Text("x")],
    "nothing": [],
}
USAGE = ReplyUsage(
    input_tokens=9, output_tokens=4, cache_read=2, cache_write=3, cache_write_1h=1, reasoning=1
)


def frame() -> AnswerFrame:
    said = Message("user", (Text("x"),))
    asked = Conversation(dialect="anthropic", model="asked", messages=(said,))
    return AnswerFrame(request=asked, answer_id="a1", created=17)


def events_of(
    parts: Sequence[Part], stop: StopReason | None, usage: ReplyUsage | None
) -> list[ReplyEvent]:
    """Return the events of an answer whose parts come in two pieces and are all open at once."""
    begun: list[ReplyEvent] = []
    first: list[ReplyEvent] = []
    second: list[ReplyEvent] = []
    for index, part in enumerate(parts):
        rest: list[ReplyEvent] = [PartEnded(index)]
        if isinstance(part, ToolCall):
            half = len(part.arguments) // 2
            begun.append(PartBegun(index, ToolCall(part.id, part.name, custom=part.custom)))
            first.append(Delta(index, part.arguments[:half]))
            second += [Delta(index, part.arguments[half:]), *rest]
        elif isinstance(part, Text):
            cited = [Delta(index, citation=each) for each in part.citations]
            empty = Text("", citations_of=part.citations_of)
            begun += [PartBegun(index, empty), Delta(index, part.text), *cited, *rest]
        else:
            begun += [PartBegun(index, part), *rest]
    counted: list[ReplyEvent] = [] if usage is None else [Counted(usage)]
    said = [*begun, Ping(), *first, *counted, *second]
    return [Begun("msg_1", "m-1"), *said, Finished(stop, None, usage)]


def client(body: bytes | Iterator[bytes], kind: str = "text/event-stream") -> Anthropic:
    """Return the official client of a server that answers so."""

    def answered(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": kind}, content=body)

    http = DefaultHttpxClient(transport=httpx2.MockTransport(answered))
    return Anthropic(api_key="k", base_url="http://localhost", http_client=http, max_retries=0)


def streamed(body: bytes, cuts: Sequence[int] = ()) -> tuple[dict[str, Any], str]:
    """Return the message that the official client makes of a stream, and the texts it told."""

    def pieces() -> Iterator[bytes]:
        ends = sorted({cut % (len(body) + 1) for cut in cuts})
        for start, end in zip([0, *ends], [*ends, len(body)], strict=True):
            yield body[start:end]

    asked: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    with client(pieces()) as sdk, sdk.messages.stream(**asked) as stream:
        texts = "".join(stream.text_stream)
        found: dict[str, Any] = stream.get_final_message().model_dump()
    return without_counts_at_the_end(found), texts


def plain(body: bytes) -> dict[str, Any]:
    """Return the message that the official client makes of a plain answer."""
    asked: Any = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "x"}]}
    with client(body, "application/json") as sdk:
        return without_counts_at_the_end(sdk.messages.create(**asked).model_dump())


def without_counts_at_the_end(message: dict[str, Any]) -> dict[str, Any]:
    """Leave out what the client takes from the beginning of a stream only."""
    for block in message["content"]:
        block.pop("parsed_output", None)
    message.pop("parsed_output", None)
    del message["usage"]["cache_creation"]
    return message


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("usage", [USAGE, None])
def test_the_official_client_reads_the_same_from_a_stream_as_from_a_plain_answer(
    name: str, usage: ReplyUsage | None
) -> None:
    parts = PARTS[name]
    called = any(isinstance(part, ToolCall) for part in parts)
    stop: StopReason = "tool_calls" if called else "end"
    events = events_of(parts, stop, usage)
    reply = Reply(id="msg_1", model="m-1", parts=tuple(parts), stop=stop, usage=usage)
    expected = plain(ANTHROPIC_CODEC.encode_reply(reply, frame(), Dropped()))
    message, texts = streamed(ANTHROPIC_CODEC.stream_encoder(frame()).encode(events))
    assert message == expected
    assert texts == "".join(block["text"] for block in expected["content"] if "text" in block)
    assert len(message["content"]) == len(parts)


def test_the_official_client_raises_the_error_that_ends_a_stream() -> None:
    encoder = ANTHROPIC_CODEC.stream_encoder(frame())
    begun = encoder.encode([Begun("msg_1", "m-1"), PartBegun(0, Text("")), Delta(0, "Hel")])
    error = ANTHROPIC.encode_stream_error(529, "Too much to do.")
    with pytest.raises(APIStatusError, match=r"Too much to do\."):
        streamed(begun + error)


@pytest.mark.parametrize(
    ("at_first", "later", "expected"),
    [
        ({"input_tokens": 9, "output_tokens": 1}, [{"output_tokens": 4}], (9, 4, None)),
        (
            {"input_tokens": 9, "output_tokens": 1, "cache_read_input_tokens": 5},
            [{"output_tokens": 2}, {"output_tokens": 4, "cache_read_input_tokens": None}],
            (14, 4, 5),
        ),
        (
            None,
            [{"input_tokens": 9, "output_tokens": 4, "cache_read_input_tokens": 0}],
            (9, 4, 0),
        ),
        ({"input_tokens": 9, "output_tokens": 1}, [None], (9, 1, None)),
        ({"input_tokens": 9, "output_tokens": 1}, [{"input_tokens": 7}], (7, 1, None)),
        (None, [None], None),
        (None, [{}], None),
    ],
)
def test_tokens_are_the_last_that_were_told_of_each_kind(
    at_first: object, later: list[object], expected: tuple[int, int, int | None] | None
) -> None:
    decoder = ANTHROPIC_CODEC.stream_decoder()
    message = {"id": "msg_1", "model": "m", "content": [], "usage": at_first}
    events: list[dict[str, object]] = [
        {"type": "message_start", "message": message},
        *({"type": "message_delta", "delta": {}, "usage": usage} for usage in later),
        {"type": "message_stop"},
    ]
    heard: list[ReplyEvent] = []
    for event in events:
        heard += decoder.event(b"", json.dumps(event).encode())
    usage = fold(heard).usage
    told = None if usage is None else (usage.input_tokens, usage.output_tokens, usage.cache_read)
    assert told == expected


EVERYTHING = [part for name in ("thoughts", "citations", "a server's tool") for part in PARTS[name]]


@given(
    st.lists(st.integers(0, 10**6), max_size=8),
    st.lists(st.integers(0, 10**6), max_size=8),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_however_a_stream_is_cut_it_is_read_and_written_the_same(
    cuts: list[int], again: list[int], line_end: str
) -> None:
    calls = [ToolCall("toolu_1", "f", '{"a": 1}'), ToolCall("toolu_2", "g", "{}")]
    said = ANTHROPIC_CODEC.stream_encoder(frame()).encode(
        events_of([*EVERYTHING, *calls], "tool_calls", USAGE)
    )
    given_ = said.replace(b"\n", line_end.encode())
    reader = ANTHROPIC.stream_reader()
    translator = StreamTranslator(ANTHROPIC_CODEC, ANTHROPIC_CODEC, frame())
    out = b""
    ends = sorted({cut % (len(given_) + 1) for cut in cuts})
    for start, end in zip([0, *ends], [*ends, len(given_)], strict=True):
        out += translator.feed(reader.feed(given_[start:end]))
    out += translator.finish(reader.end())
    assert reader.finished
    assert streamed(out, again) == streamed(said)
