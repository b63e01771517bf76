"""Answers as events: however a stream is split, the same; and the same text as the plain answer."""

import json
from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from providers.simulator.anthropic_form import AnthropicForm
from providers.simulator.openai_form import OpenAIForm
from providers.simulator.reply import Call, Choice, Reply
from providers.wire.chat import chat_decoder
from providers.wire.chat_events import ChatEvent, DeltaText, DeltaToolCall, Done, Error
from tests.support.answers import closing, opening, tokens

FORMS: dict[str, OpenAIForm | AnthropicForm] = {
    "openai": OpenAIForm(),
    "anthropic": AnthropicForm(),
}
dialects = st.sampled_from(sorted(FORMS))
words = st.lists(st.text(min_size=1, max_size=8), max_size=8)
cuts = st.lists(st.integers(0, 10_000), max_size=12)


def split(data: bytes, at: Sequence[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in at} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(places)]


def decoded(dialect: str, pieces: Sequence[bytes]) -> list[ChatEvent]:
    decoder = chat_decoder(dialect)
    found = [event for piece in pieces for event in decoder.feed(piece)]
    return [*found, *decoder.end()]


def text(events: Sequence[ChatEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, DeltaText))


@given(
    dialect=dialects,
    said=words,
    cut=cuts,
    line_end=st.sampled_from(["\n", "\r\n", "\r"]),
    broken=st.sampled_from(["", "cut", "malformed", "error"]),
)
def test_however_a_stream_is_split_its_events_are_the_same(
    dialect: str, said: list[str], cut: list[int], line_end: str, broken: str
) -> None:
    parts = [*opening(dialect), b": a comment\n\n", *tokens(dialect, said)]
    if broken == "malformed":
        parts.append(b'event: content_block_delta\ndata: {"half\n\n')
    elif broken == "error":
        parts.append(b'event: error\ndata: {"type":"error","error":{"message":"no"}}\n\n')
    if broken != "cut":
        parts += closing(dialect)
    data = b"".join(parts).replace(b"\n", line_end.encode())
    events = decoded(dialect, split(data, cut))
    assert events == decoded(dialect, [data])
    assert text(events) == "".join(said)
    ends = [event for event in events if isinstance(event, (Done, Error))]
    assert ends == events[-1:]
    assert isinstance(events[-1], Error if broken else Done)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


@given(
    dialect=dialects,
    said=words,
    arguments=st.lists(st.dictionaries(st.text(max_size=4), json_values, min_size=1), max_size=3),
    cut=cuts,
)
def test_a_streams_text_and_tool_calls_are_those_of_the_plain_answer(
    dialect: str, said: list[str], arguments: list[dict[str, object]], cut: list[int]
) -> None:
    calls = tuple(
        Call(id=f"{number}", name="look", arguments=json.dumps(given))
        for number, given in enumerate(arguments)
    )
    said = [] if calls else said or ["so"]  # a simulated answer is either
    choice = Choice(tuple(said), calls, "tool_calls" if calls else "stop")
    reply = Reply("1", "m", (choice,), 3, len(said))
    form = FORMS[dialect]
    script = form.script(reply, include_usage=True)
    data = b"".join((*script.opening, *script.tokens, *script.closing))
    streamed = decoded(dialect, split(data, cut))
    plain = chat_decoder(dialect).whole(json.dumps(form.body(reply)).encode())
    assert text(streamed) == text(plain) == "".join(said)
    assert called(streamed) == called(plain) == arguments
    assert streamed[-1] == plain[-1]


def called(events: Sequence[ChatEvent]) -> list[object]:
    """Return the arguments of each tool call, put together."""
    pieces: dict[int, str] = {}
    for event in events:
        if isinstance(event, DeltaToolCall):
            pieces[event.index] = pieces.get(event.index, "") + event.arguments
    return [json.loads(piece) for piece in pieces.values()]
