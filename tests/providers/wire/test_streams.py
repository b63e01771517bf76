"""What a followed stream says of itself: begun, finished, failed, counted."""

import json

import pytest

from providers.wire import ANTHROPIC, OPENAI, AnswerFault, StreamReader, Usage
from tests.support.answers import (
    OPENAI_DONE,
    anthropic_event,
    closing,
    openai_chunk,
    openai_opening,
    openai_tokens,
    opening,
    tokens,
)

DIALECTS = {"openai": OPENAI, "anthropic": ANTHROPIC}


@pytest.fixture(params=sorted(DIALECTS))
def dialect(request: pytest.FixtureRequest) -> str:
    assert isinstance(request.param, str)
    return request.param


def fed(dialect: str, *pieces: bytes) -> StreamReader:
    reader = DIALECTS[dialect].stream_reader()
    for piece in pieces:
        reader.feed(piece)
    return reader


def test_a_stream_has_not_started_before_its_first_token(dialect: str) -> None:
    assert not fed(dialect, *opening(dialect)).started
    reader = fed(dialect, *opening(dialect), tokens(dialect)[0])
    assert reader.started
    assert not reader.finished


def test_a_whole_stream_is_finished_with_its_usage_and_reason(dialect: str) -> None:
    reader = fed(dialect, *opening(dialect), *tokens(dialect), *closing(dialect))
    assert reader.finished
    assert reader.finish_reason == ("stop" if dialect == "openai" else "end_turn")
    assert reader.model == "m-1"
    if dialect == "anthropic":
        assert reader.usage == Usage(3, 5)


def test_all_but_the_marker_is_not_finished_even_at_an_orderly_end(dialect: str) -> None:
    reader = fed(dialect, *opening(dialect), *tokens(dialect), *closing(dialect)[:-1])
    assert reader.end() == b""
    assert not reader.finished


def test_nothing_is_relayed_after_the_finish_marker(dialect: str) -> None:
    reader = fed(dialect, *opening(dialect), *tokens(dialect))
    last = b"".join(closing(dialect))
    assert reader.feed(last + b": more\n\n" + tokens(dialect)[0]) == last
    assert reader.feed(tokens(dialect)[0]) == b""
    assert reader.end() == b""
    assert reader.pending == 0


def test_a_marker_without_its_empty_line_counts_at_an_orderly_end(dialect: str) -> None:
    *most, last = closing(dialect)
    for missing in (1, 2):
        reader = fed(dialect, *opening(dialect), *tokens(dialect), *most)
        assert reader.feed(last[:-missing]) == b""
        assert reader.end() == last
        assert reader.finished


def test_an_unfinished_event_is_dropped_at_the_end(dialect: str) -> None:
    reader = fed(dialect, *opening(dialect), tokens(dialect)[0], tokens(dialect)[1][:-1])
    assert reader.pending == len(tokens(dialect)[1]) - 1
    assert reader.end() == b""
    assert not reader.finished


@pytest.mark.parametrize("broken", [b'{"a": ', b"[1, 2]", b'"text"', b"oops", b'{"a": "\xff"}'])
@pytest.mark.parametrize("started", [False, True])
def test_a_malformed_event_is_a_fault_that_keeps_the_good_ones_before(
    dialect: str, broken: bytes, started: bool
) -> None:
    reader = fed(dialect, *opening(dialect), *(tokens(dialect)[:1] if started else ()))
    good = tokens(dialect)[1] if started else b": quiet\n\n"
    with pytest.raises(AnswerFault) as caught:
        reader.feed(good + b"event: content_block_delta\ndata: " + broken + b"\n\n")
    assert caught.value.events == good
    assert caught.value.kind == "bad_answer"
    assert reader.feed(tokens(dialect)[1]) == b""


def test_an_event_that_grows_too_large_is_a_fault_before_it_is_whole(dialect: str) -> None:
    reader = DIALECTS[dialect].stream_reader(max_event=1000)
    reader.feed(b"data: " + b"x" * 900)
    with pytest.raises(AnswerFault, match="larger than 1000 bytes"):
        reader.feed(b"x" * 100)


def test_a_large_event_in_many_pieces_is_relayed_whole() -> None:
    event = openai_chunk({"content": "x" * 300_000})
    reader = fed("openai", *openai_opening())
    relayed = [reader.feed(event[i : i + 1000]) for i in range(0, len(event), 1000)]
    assert [piece for piece in relayed if piece] == [event]
    assert reader.started


def test_comments_and_unknown_events_pass(dialect: str) -> None:
    reader = fed(dialect, *opening(dialect), tokens(dialect)[0])
    for event in (
        b": keep-alive\n\n",
        b"event: brand_new\ndata: {}\n\n",
        b"id: 4\nretry: 100\n\n",
        b'data: {"type":"from_the_future","x":[1]}\n\n',
        b"data:\n\n",
        b'data: {"type":\ndata: "ping"}\n\n',
    ):
        assert reader.feed(event) == event
    assert not reader.finished
    assert reader.error is None


@pytest.mark.parametrize("content_type", [None, b"", b"text/event-stream", b"Text/Event-Stream; x"])
def test_an_event_stream_is_one_by_its_content_type(content_type: bytes | None) -> None:
    OPENAI.stream_reader().check_head(content_type)


@pytest.mark.parametrize("content_type", [b"application/json", b"text/html; charset=utf-8"])
def test_another_content_type_is_a_fault(content_type: bytes) -> None:
    with pytest.raises(AnswerFault, match="instead of an event stream"):
        OPENAI.stream_reader().check_head(content_type)


@pytest.mark.parametrize(
    "delta",
    [
        {"content": "x"},
        {"refusal": "no"},
        {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]},
        {"function_call": {"name": "f"}},
        {"reasoning_content": "hm"},
        {"reasoning": "hm"},
        {"audio": {"data": "AA=="}},
        {"content": [{"type": "text", "text": "x"}]},
    ],
)
def test_each_sort_of_first_token_starts_an_openai_stream(delta: dict[str, object]) -> None:
    assert fed("openai", openai_chunk(delta)).started


@pytest.mark.parametrize(
    "delta", [{}, {"role": "assistant"}, {"content": ""}, {"content": None, "tool_calls": []}]
)
def test_an_empty_delta_starts_nothing(delta: dict[str, object]) -> None:
    assert not fed("openai", openai_chunk(delta)).started


@pytest.mark.parametrize(
    ("event", "starts"),
    [
        ({"content_block": {"type": "text", "text": ""}}, False),
        ({"content_block": {"type": "thinking", "thinking": "", "signature": ""}}, False),
        ({"content_block": {"type": "tool_use", "id": "t", "name": "f", "input": {}}}, True),
        ({"content_block": {"type": "redacted_thinking", "data": "x"}}, True),
        ({"delta": {"type": "text_delta", "text": ""}}, False),
        ({"delta": {"type": "text_delta", "text": "x"}}, True),
        ({"delta": {"type": "thinking_delta", "thinking": "x"}}, True),
        ({"delta": {"type": "input_json_delta", "partial_json": ""}}, True),
    ],
)
def test_each_sort_of_first_token_starts_an_anthropic_stream(
    event: dict[str, object], starts: bool
) -> None:
    name = "content_block_start" if "content_block" in event else "content_block_delta"
    assert fed("anthropic", anthropic_event(name, {"index": 0, **event})).started is starts


def test_a_finish_without_a_token_counts_as_started() -> None:
    assert fed("openai", openai_chunk({}, "content_filter")).finish_reason == "content_filter"
    assert fed("openai", openai_chunk({}, "stop")).started
    delta = {"delta": {"stop_reason": "refusal"}, "usage": {"output_tokens": 1}}
    assert fed("anthropic", anthropic_event("message_delta", delta)).started


def test_done_alone_is_finished_but_not_started() -> None:
    reader = fed("openai", *openai_opening(), OPENAI_DONE)
    assert reader.finished
    assert not reader.started


def test_a_server_without_done_is_finished_when_every_choice_is_and_the_marker_is_supplied() -> (
    None
):
    reader = OPENAI.stream_reader(done_required=False)
    reader.feed(_choice(0, "a", None) + _choice(1, "b", None) + _choice(0, "", "stop"))
    assert reader.end() == b""
    assert not reader.finished, "the second choice has not ended"
    reader = OPENAI.stream_reader(done_required=False)
    reader.feed(_choice(0, "a", None) + _choice(1, "b", "length") + _choice(0, "", "stop"))
    assert reader.end() == OPENAI_DONE
    assert reader.finished


def _choice(index: int, content: str, finish: str | None) -> bytes:
    choice = {"index": index, "delta": {"content": content}, "finish_reason": finish}
    return b"data: " + json.dumps({"choices": [choice]}).encode() + b"\n\n"


def test_openai_usage_is_read_with_its_parts_wherever_it_comes() -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    event = b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n"
    expected = Usage(100, 20, 60, 10, 5)
    assert fed("openai", event).usage == expected
    assert fed("openai", *openai_tokens(), event, OPENAI_DONE).usage == expected


@pytest.mark.parametrize("usage", [None, [], "many", {"prompt_tokens": "3"}, {}])
def test_strange_usage_spoils_nothing(usage: object) -> None:
    event = b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n"
    reader = fed("openai", *openai_tokens(), event, OPENAI_DONE)
    assert reader.usage is None
    assert reader.finished


def test_anthropic_usage_is_cumulative_and_counts_the_cache_into_the_prompt() -> None:
    start = {
        "message": {
            "model": "claude-x",
            "usage": {
                "input_tokens": 10,
                "cache_read_input_tokens": 100,
                "cache_creation_input_tokens": 50,
                "output_tokens": 1,
            },
        }
    }
    end = {
        "delta": {"stop_reason": "end_turn"},
        "usage": {"output_tokens": 30, "output_tokens_details": {"thinking_tokens": 7}},
    }
    reader = fed("anthropic", anthropic_event("message_start", start))
    assert reader.usage == Usage(160, 1, 100, 50)
    reader.feed(anthropic_event("message_delta", end))
    assert reader.usage == Usage(160, 30, 100, 50, 7)


@pytest.mark.parametrize("before", [0, 2])
def test_an_error_event_is_relayed_and_ends_the_stream(dialect: str, before: int) -> None:
    sent = DIALECTS[dialect].encode_stream_error(529, "too much to do")
    reader = fed(dialect, *opening(dialect), *tokens(dialect)[:before])
    assert reader.feed(sent + tokens(dialect)[0]) == sent
    assert reader.error is not None
    assert reader.error.message == "too much to do"
    assert reader.error.status == (503 if dialect == "openai" else 529)
    assert not reader.finished
    assert reader.feed(b"".join(closing(dialect))) == b""
    assert not reader.finished


@pytest.mark.parametrize(
    ("event", "known"),
    [
        (b'data: {"error": "model crashed"}\n\n', True),
        (b'data: {"object": "error", "message": "model crashed", "code": 500}\n\n', False),
        (b'event: error\ndata: {"message": "model crashed"}\n\n', False),
        (b"event: error\ndata: model crashed\n\n", False),
    ],
)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
@pytest.mark.parametrize("together", [False, True])
def test_errors_in_the_shapes_of_other_servers_are_errors_and_relayed_where_sdks_know_them(
    event: bytes, line_end: bytes, *, known: bool, together: bool
) -> None:
    event = event.replace(b"\n", line_end)
    *before, last = openai_tokens()
    last = last.replace(b"\n", line_end)
    reader = fed("openai", *before)
    relayed = reader.feed(last + event) if together else reader.feed(last) + reader.feed(event)
    assert reader.error is not None
    assert reader.error.message == "model crashed"
    assert reader.odd_error is not known
    assert relayed == last + (event if known else b"")


def test_an_error_event_without_its_name_is_none_to_anthropics_sdk() -> None:
    reader = fed("anthropic", *opening("anthropic"), *tokens("anthropic"))
    failed = b'data: {"type": "error", "error": {"type": "api_error", "message": "no"}}\n\n'
    assert reader.feed(failed) == b""
    assert reader.error is not None
    assert reader.odd_error
