"""Events of any JSON, of any types: a reader judges them, and what it finds good can be joined."""

import json
from typing import Any

from hypothesis import example, given, settings
from hypothesis import strategies as st

from providers.wire import DIALECTS, AnswerFault
from providers.wire.anthropic_continuation import AnthropicContinuation
from providers.wire.continuation import Continuation
from providers.wire.openai_continuation import OpenAIContinuation
from tests.support.answers import (
    anthropic_event,
    anthropic_opening,
    anthropic_tokens,
    closing,
    openai_chunk,
    request_body,
)

WORDS = (
    "text",
    "thinking",
    "tool_use",
    "text_delta",
    "thinking_delta",
    "input_json_delta",
    "",
    "x",
)
MEMBERS = ("type", "text", "thinking", "content", "index", "id", "role", "tool_calls", "function")
leaves = st.none() | st.booleans() | st.integers(-1, 3) | st.just(2**70) | st.sampled_from(WORDS)
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(MEMBERS), inner),
    max_leaves=6,
)
deltas = st.dictionaries(st.sampled_from(MEMBERS), anything, max_size=4)


def openai_junk(delta: Any, index: Any, other: Any) -> bytes:
    choice = {"index": index, "delta": delta, "finish_reason": other}
    return b"data: " + json.dumps({"choices": [choice], "usage": other}).encode() + b"\n\n"


openai_events = st.builds(openai_junk, deltas | anything, anything, anything)
anthropic_events = st.builds(
    lambda kind, index, part, other: anthropic_event(
        kind,
        {"index": index, "delta": part, "content_block": part, "message": other, "usage": other},
    ),
    st.sampled_from(
        [
            "message_start",
            "message_delta",
            "ping",
            "other",
            "content_block_start",
            "content_block_delta",
            "content_block_stop",
        ]
    ),
    anything,
    deltas | anything,
    anything,
)

JOINERS: dict[str, type[Continuation]] = {
    "openai": OpenAIContinuation,
    "anthropic": AnthropicContinuation,
}
BEGUN = {
    "openai": openai_chunk({"role": "assistant", "content": "one two "}),
    "anthropic": b"".join([*anthropic_opening(), *anthropic_tokens(["one two "])]),
}


def relayed(dialect: str, told: list[bytes]) -> list[bytes]:
    """Return what goes on to be joined: all up to the first event that is no good."""
    reader = DIALECTS[dialect].stream_reader()
    good = []
    for event in told:
        try:
            good.append(reader.feed(event))
        except AnswerFault:
            break
    return good


def check(dialect: str, first: list[bytes], second: list[bytes], *, begun: bool) -> None:
    body = request_body(dialect, "m", stream=True)
    joined = JOINERS[dialect](json.dumps(body).encode())
    opening = [BEGUN[dialect]] if begun else []
    for event in relayed(dialect, [*opening, *first]):
        joined.feed(event)
    if joined.cut() is not None or joined.whole:
        return
    json.loads(joined.request("instruction"))
    for event in relayed(dialect, [*opening, *second, *closing(dialect)]):
        joined.feed(event)


@settings(max_examples=300)
@given(
    first=st.lists(openai_events, max_size=3),
    second=st.lists(openai_events, max_size=3),
    begun=st.booleans(),
)
@example(first=[b"event: error\ndata: mere words\n\n"], second=[], begun=True)
@example(first=[], second=[b'data: {"choices":[],"x":1e400}\n\n'], begun=True)
def test_any_chunks_can_be_judged_and_joined(
    *, first: list[bytes], second: list[bytes], begun: bool
) -> None:
    check("openai", first, second, begun=begun)


@settings(max_examples=300)
@given(
    first=st.lists(anthropic_events, max_size=3),
    second=st.lists(anthropic_events, max_size=3),
    begun=st.booleans(),
)
@example(
    first=[anthropic_event("content_block_start", {"content_block": {"type": []}})],
    second=[],
    begun=False,
)
@example(first=[], second=[anthropic_event("content_block_stop", {"index": {}})], begun=True)
@example(first=[b"event: error\ndata: mere words\n\n"], second=[], begun=True)
def test_any_events_of_a_message_can_be_judged_and_joined(
    *, first: list[bytes], second: list[bytes], begun: bool
) -> None:
    check("anthropic", first, second, begun=begun)
