"""Streams of events: however the bytes are split, the same is relayed and the same is judged."""

import json
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from providers.wire import (
    ANTHROPIC,
    DIALECTS,
    OPENAI,
    AnswerFault,
    StreamReader,
    UpstreamError,
    Usage,
)
from tests.support.answers import closing, opening, tokens

LINE_ENDS = ("\n", "\r\n", "\r")


class Verdict(NamedTuple):
    relayed: bytes
    started: bool
    finished: bool
    error: UpstreamError | None
    usage: Usage | None
    finish_reason: str | None
    model: str | None
    fault: str | None


def follow(reader: StreamReader, pieces: Sequence[bytes]) -> Verdict:
    relayed = []
    fault = None
    try:
        for piece in pieces:
            relayed.append(reader.feed(piece))  # noqa: PERF401 - what came before a fault counts
        relayed.append(reader.end())
    except AnswerFault as found:
        relayed.append(found.events)
        fault = found.message
    return Verdict(
        b"".join(relayed),
        reader.started,
        reader.finished,
        reader.error,
        reader.usage,
        reader.finish_reason,
        reader.model,
        fault,
    )


def split(data: bytes, cuts: Sequence[int]) -> list[bytes]:
    places = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(places)]


CHUNK = '{"model":"m","choices":[{"index":0,"delta":{"content":"é"},"finish_reason":null}]}'
FRAGMENTS = (
    "data: ",
    "data:",
    f"data: {CHUNK}",
    CHUNK,
    'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}',
    'data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":4}}',
    'data: {"error":{"message":"no","type":"server_error"}}',
    "data: [DONE]",
    "event: ping",
    "event: error",
    "event: message_stop",
    'data: {"type":"message_stop"}',
    'data: {"type":"ping"}',
    'data: {"type":"content_block_delta","delta":{"type":"text_delta","text":"x"}}',
    'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}',
    ": a comment",
    "id: 7",
    "\n",
    "\r",
    "\r\n",
    "\n\n",
    "\r\r",
    "\r\n\r\n",
    "{",
    "[1]",
    " ",
)

soups = st.lists(st.sampled_from(FRAGMENTS), max_size=16).map("".join)
cut_lists = st.lists(st.integers(0, 10_000), max_size=30)
starts = st.sampled_from(["", "\ufeff"])


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
@given(soup=soups, start=starts, cuts=cut_lists)
@example(soup="data: [DONE]\r\n\r\n\n", start="", cuts=[14, 15])
@example(soup='data: {"type":"ping"}\n\r', start="", cuts=[22])
@example(soup="data: [DONE]\n\n\n", start="", cuts=[14])
def test_any_bytes_split_in_any_way_give_the_same_relay_and_verdict(
    dialect: str, soup: str, start: str, cuts: list[int]
) -> None:
    data = (start + soup).encode()
    reader = DIALECTS[dialect].stream_reader
    whole = follow(reader(max_event=400), [data])
    assert follow(reader(max_event=400), split(data, cuts)) == whole
    assert follow(reader(max_event=400), [data[i : i + 1] for i in range(len(data))]) == whole
    assert data.removeprefix(b"\xef\xbb\xbf").startswith(whole.relayed) or whole.finished


PIECES = ("a ", "é ", "漢 ", "🙂")
REASONS = {
    "openai": "stop",
    "anthropic": "end_turn",
    "completions": "stop",
    "responses": "completed",
}


def _completions() -> list[bytes]:
    """Return a whole stream of legacy completions."""

    def chunk(text: str, finish: str | None = None) -> bytes:
        choice = {"index": 0, "text": text, "logprobs": None, "finish_reason": finish}
        body = {"id": "cmpl-1", "object": "text_completion", "model": "m-1", "choices": [choice]}
        return f"data: {json.dumps(body, ensure_ascii=False)}\n\n".encode()

    return [*map(chunk, PIECES), chunk("", "stop"), b"data: [DONE]\n\n"]


def _responses() -> list[bytes]:
    """Return a whole stream of the Responses API."""

    def event(kind: str, **members: object) -> bytes:
        body = json.dumps({"type": kind, **members}, ensure_ascii=False)
        return f"event: {kind}\ndata: {body}\n\n".encode()

    response = {"id": "resp_1", "object": "response", "model": "m-1", "output": []}
    at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    return [
        event("response.created", response={**response, "status": "in_progress"}),
        *(event("response.output_text.delta", **at, delta=piece) for piece in PIECES),
        event("response.completed", response={**response, "status": "completed"}),
    ]


def _well_formed(dialect: str, line_end: str, comments: bool) -> bytes:
    if dialect == "completions":
        events = _completions()
    elif dialect == "responses":
        events = _responses()
    else:
        events = [*opening(dialect), *tokens(dialect, PIECES), *closing(dialect)]
    if comments:
        events = [part for event in events for part in (b": keep-alive\n\n", event)]
    return b"".join(events).replace(b"\n", line_end.encode())


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
@given(
    line_end=st.sampled_from(LINE_ENDS), comments=st.booleans(), mark=st.booleans(), cuts=cut_lists
)
def test_a_whole_stream_leaves_byte_for_byte_and_finished(
    dialect: str, line_end: str, comments: bool, mark: bool, cuts: list[int]
) -> None:
    data = _well_formed(dialect, line_end, comments)
    sent = b"\xef\xbb\xbf" + data if mark else data
    verdict = follow(DIALECTS[dialect].stream_reader(), split(sent, cuts))
    assert verdict.relayed == data
    assert verdict.started
    assert verdict.finished
    assert verdict.fault is None
    assert verdict.model == "m-1"
    assert verdict.finish_reason == REASONS[dialect]


@pytest.mark.parametrize("dialect", sorted(DIALECTS))
@given(line_end=st.sampled_from(LINE_ENDS), cut=st.integers(0, 10_000), cuts=cut_lists)
def test_a_stream_that_is_cut_is_never_finished(
    dialect: str, line_end: str, cut: int, cuts: list[int]
) -> None:
    data = _well_formed(dialect, line_end, comments=False)
    # An end that lacks no more than line ends has still said everything.
    end = cut % len(data.rstrip(b"\r\n"))
    verdict = follow(DIALECTS[dialect].stream_reader(), split(data[:end], cuts))
    assert not verdict.finished
    assert data.startswith(verdict.relayed)


def _openai_events(data: bytes) -> list[str]:
    from openai._streaming import SSEDecoder  # the reference: what the SDK's users see

    return [event.data for event in SSEDecoder().iter_bytes(iter([data]))]


def _anthropic_events(data: bytes) -> list[tuple[str | None, str]]:
    from anthropic._streaming import SSEDecoder  # the reference: what the SDK's users see

    return [(event.event, event.data) for event in SSEDecoder().iter_bytes(iter([data]))]


@pytest.mark.parametrize(
    ("reader", "parse"),
    [(OPENAI.stream_reader, _openai_events), (ANTHROPIC.stream_reader, _anthropic_events)],
    ids=["openai", "anthropic"],
)
@given(events=st.lists(st.sampled_from(FRAGMENTS[2:17]), max_size=12), cuts=cut_lists)
def test_the_official_parsers_see_the_same_events_before_and_after(
    reader: Callable[[], StreamReader],
    parse: Callable[[bytes], list[object]],
    events: list[str],
    cuts: list[int],
) -> None:
    data = "".join(f"{event}\n\n" for event in events).encode()
    verdict = follow(reader(), split(data, cuts))
    seen, sent = parse(verdict.relayed), parse(data)
    assert seen == sent[: len(seen)]
    if verdict.fault is None and not verdict.finished and verdict.error is None:
        assert seen == sent
