"""What is read of the Responses API where it passes as it is."""

import contextlib
import json
from collections.abc import Mapping

import httpx2
import openai
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from openai._streaming import SSEDecoder

from providers.wire import (
    RESPONSES,
    AnswerFault,
    AnswerPeek,
    RequestPeek,
    StreamReader,
    UpstreamError,
    Usage,
    WireError,
)

JSON = b"application/json"
USED = {
    "input_tokens": 9,
    "input_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 1},
    "output_tokens": 5,
    "output_tokens_details": {"reasoning_tokens": 3},
    "total_tokens": 14,
}
ITEM = {"type": "message", "role": "assistant", "content": []}
RESPONSE: Mapping[str, object] = {
    "id": "resp_1",
    "object": "response",
    "model": "m-1",
    "status": "completed",
    "error": None,
    "output": [ITEM],
    "usage": USED,
}


def event(kind: str, **members: object) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **members})}\n\n".encode()


CREATED = event("response.created", response={**RESPONSE, "status": "in_progress", "usage": None})
DELTA = event("response.output_text.delta", output_index=0, content_index=0, delta="x")
COMPLETED = event("response.completed", response=RESPONSE)


def fed(*events: bytes) -> StreamReader:
    reader = RESPONSES.stream_reader()
    for each in events:
        reader.feed(each)
    return reader


@pytest.mark.parametrize(
    ("members", "stream"),
    [
        ({"input": "x"}, False),
        ({"input": [], "stream": True}, True),
        ({"input": None, "stream": None}, False),
        ({"prompt": {"id": "p"}, "stream": False}, False),
    ],
)
def test_a_request_is_read_for_its_model_and_whether_it_streams(
    members: Mapping[str, object], stream: bool
) -> None:
    body = json.dumps({"model": "m-1", **members}).encode()
    assert RESPONSES.peek_request(body) == RequestPeek("m-1", stream)


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"[]", None),
        (b'{"input": "x"}', "model"),
        (b'{"model": "", "input": "x"}', "model"),
        (b'{"model": 5, "input": "x"}', "model"),
        (b'{"model": "m", "input": 5}', "input"),
        (b'{"model": "m", "input": {}}', "input"),
        (b'{"model": "m", "input": "x", "stream": "yes"}', "stream"),
    ],
)
def test_what_is_no_request_is_refused_by_place(body: bytes, param: str | None) -> None:
    with pytest.raises(WireError) as caught:
        RESPONSES.peek_request(body)
    assert caught.value.param == param


def test_a_good_answer_gives_its_usage_status_and_model() -> None:
    peek = RESPONSES.peek_answer(json.dumps(RESPONSE).encode(), JSON)
    assert peek == AnswerPeek(Usage(9, 5, 2, 1, 3), "completed", "m-1")


def test_what_cut_an_answer_short_is_its_reason() -> None:
    details = {"reason": "max_output_tokens"}
    body = {**RESPONSE, "status": "incomplete", "output": [], "incomplete_details": details}
    peek = RESPONSES.peek_answer(json.dumps(body).encode(), JSON)
    assert peek.finish_reason == "max_output_tokens"


def test_an_answer_in_the_background_has_no_output_yet() -> None:
    body = {**RESPONSE, "status": "queued", "output": []}
    assert RESPONSES.peek_answer(json.dumps(body).encode(), JSON) == AnswerPeek()


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        ({"output": []}, "bad_answer"),
        ({"output": None}, "bad_answer"),
        (
            {"status": "failed", "error": {"code": "server_error", "message": "sorry"}},
            "error_body",
        ),
        ({"error": "sorry"}, "error_body"),
    ],
)
def test_an_answer_that_is_none_is_a_fault(change: Mapping[str, object], kind: str) -> None:
    with pytest.raises(AnswerFault) as caught:
        RESPONSES.peek_answer(json.dumps({**RESPONSE, **change}).encode(), JSON)
    assert caught.value.kind == kind


def test_a_stream_begins_with_its_first_token_and_ends_with_the_whole() -> None:
    reader = fed(CREATED)
    assert (reader.started, reader.model, reader.usage) == (False, "m-1", None)
    reader.feed(DELTA)
    assert (reader.started, reader.finished) == (True, False)
    reader.feed(COMPLETED)
    assert (reader.finished, reader.finish_reason) == (True, "completed")
    assert reader.usage == Usage(9, 5, 2, 1, 3)


def test_an_incomplete_response_is_an_end_too() -> None:
    details = {"reason": "content_filter"}
    whole = {**RESPONSE, "status": "incomplete", "incomplete_details": details}
    reader = fed(CREATED, DELTA, event("response.incomplete", response=whole))
    assert (reader.finished, reader.finish_reason) == (True, "content_filter")


def test_events_without_names_are_told_by_their_type() -> None:
    bare = [b"data: " + each.split(b"data: ")[1] for each in (CREATED, DELTA, COMPLETED)]
    assert fed(*bare).finished
    assert fed(*bare[:2]).started


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        (
            event(
                "response.failed",
                response={"error": {"code": "rate_limit_exceeded", "message": "m"}},
            ),
            ("rate_limit_exceeded", "m"),
        ),
        (event("response.failed", response={}), (None, "the response failed")),
        (event("error", code="server_error", message="m", param=None), ("server_error", "m")),
        (event("error", error={"type": "server_error", "message": "m"}), (None, "m")),
        (b"event: error\ndata: oops\n\n", (None, "oops")),
    ],
)
def test_errors_of_a_stream_are_noticed(told: bytes, expected: tuple[str | None, str]) -> None:
    error = fed(CREATED, DELTA, told).error
    assert isinstance(error, UpstreamError)
    assert (error.code, error.message) == expected
    assert error.type in {"", "server_error"}, "what kind of event it is says nothing of it"


@pytest.mark.parametrize("odd", [{"status": 5}, {"incomplete_details": {"reason": ["x"]}}])
def test_an_end_without_a_reason_that_is_a_word_is_an_end(odd: dict[str, object]) -> None:
    reader = fed(CREATED, DELTA, event("response.completed", response={**RESPONSE, **odd}))
    assert (reader.finished, reader.finish_reason) == (True, None)


@pytest.mark.parametrize("junk", [b"data: oops\n\n", b"data: [1]\n\n", b'data: {"type": 5}\n\n'])
def test_what_is_no_event_is_a_fault(junk: bytes) -> None:
    with pytest.raises(AnswerFault):
        fed(CREATED, DELTA, junk)


@given(st.lists(st.sampled_from([CREATED, DELTA, DELTA, b": ping\n\n"]), max_size=8))
def test_no_stream_is_finished_without_its_end(events: list[bytes]) -> None:
    reader = fed(*events)
    reader.end()
    assert not reader.finished
    assert reader.started == (DELTA in events)


def test_the_sdk_raises_an_error_that_comes_in_a_stream() -> None:
    sent = RESPONSES.encode_stream_error(503, "too much", code="busy")
    (told,) = SSEDecoder().iter_bytes(iter([sent]))
    assert told.event == "error"
    data = told.json()
    assert (data["type"], data["code"], data["message"]) == ("error", "busy", "too much")

    def answered(request: httpx2.Request) -> httpx2.Response:
        headers = {"content-type": "text/event-stream"}
        return httpx2.Response(200, headers=headers, content=sent, request=request)

    http = openai.DefaultHttpx2Client(transport=httpx2.MockTransport(answered))
    client = openai.OpenAI(api_key="x", max_retries=0, http_client=http)
    with client, pytest.raises(openai.APIError, match="too much"):
        list(client.responses.create(model="m", input="x", stream=True))


@pytest.mark.parametrize("status", ["failed", "cancelled"])
def test_a_response_that_failed_is_a_fault_though_it_tells_no_error(status: str) -> None:
    with pytest.raises(AnswerFault) as caught:
        RESPONSES.peek_answer(json.dumps({**RESPONSE, "status": status}).encode(), JSON)
    assert caught.value.kind == "error_body"
    assert status in str(caught.value)


def test_a_response_is_good_whatever_else_is_in_it() -> None:
    body = {
        "output": [ITEM],
        "status": [],
        "usage": "much",
        "model": 5,
        "incomplete_details": [],
        "more": 1,
    }
    assert RESPONSES.peek_answer(json.dumps(body).encode(), JSON) == AnswerPeek()
    with pytest.raises(AnswerFault):
        RESPONSES.peek_answer(json.dumps(body).encode(), b"text/html")


def test_a_kind_that_only_the_events_name_tells_counts_all_the_same() -> None:
    bare = b'event: response.output_text.delta\ndata: {"delta": "x"}\n\n'
    assert fed(CREATED, bare).started
    failed = b'event: response.failed\ndata: {"response": {"error": {"message": "no"}}}\n\n'
    assert fed(CREATED, failed).error is not None
    nameless = fed(CREATED, b'data: {"delta": "x"}\n\n', b'event: more\ndata: {"error": null}\n\n')
    assert (nameless.started, nameless.error) == (False, None)


@pytest.mark.parametrize(
    ("told", "started"),
    [
        (event("response.queued", response={**RESPONSE, "status": "queued"}), False),
        (event("response.output_item.added", output_index=0, item=ITEM), True),
        (event("response.output_item.done", output_index=0, item=ITEM), False),
        (event("response.function_call_arguments.delta", delta="{"), True),
        (event("response.reasoning_summary_text.delta", delta="H"), True),
        (event("response.web_search_call.searching", output_index=0), False),
    ],
)
def test_an_answer_has_begun_with_its_first_item_or_piece(told: bytes, started: bool) -> None:
    assert fed(CREATED, told).started is started


OTHERS = (
    COMPLETED,
    event("response.failed", response={}),
    event("error", message="m"),
    b": ping\n\n",
    b"event: response.x.delta\ndata: [1]\n\n",
    b'event: response.x.delta\ndata: {"type": "response.completed"}\n\n',
    b'event: response.x.delta\ndata: {"type": "response.x.delta",\ndata: "a": 1}\n\n',
    b'event: response.x.delta\ndata: {"type": "response.x.delta", "a": "\xff"}\n\n',
    b'event: response.x.delta\r\ndata: {"type": "response.x.delta"}\r\n\r\n',
    b'event: response.x.delta\ndata: {"type": "response.x.delta",\r"a": 1}\n\n',
    b'event: response.created\ndata: {"type": "response.x.delta"}\n\n',
)


@pytest.mark.parametrize("told", OTHERS)
def test_only_a_piece_of_an_answer_may_pass_without_being_judged(told: bytes) -> None:
    assert not fed(CREATED, DELTA).is_ordinary(told)
    assert fed(CREATED, DELTA).is_ordinary(DELTA)
    assert not fed(CREATED).is_ordinary(DELTA), "the first one begins the answer"


def test_the_end_is_known_by_itself() -> None:
    reader = fed()
    assert reader.is_finish(COMPLETED)
    assert reader.is_finish(event("response.incomplete", response={}))
    for other in (CREATED, DELTA, event("response.failed", response={}), b"data: x\n\n", b"\n"):
        assert not reader.is_finish(other)


@given(st.integers(0, len(CREATED + DELTA + COMPLETED)))
@example(len(CREATED + DELTA + COMPLETED) - 1)
@example(len(CREATED + DELTA + COMPLETED) - 2)
@example(len(CREATED + DELTA + COMPLETED) - 3)
def test_a_stream_cut_at_any_byte_is_finished_only_if_its_end_came_whole(at: int) -> None:
    stream = CREATED + DELTA + COMPLETED
    reader = RESPONSES.stream_reader()
    reader.feed(stream[:at])
    reader.end()
    assert reader.finished == (at >= len(stream) - 2), "the empty line may be missing"


@given(st.lists(st.sampled_from([CREATED, DELTA, COMPLETED]), max_size=4), st.data())
def test_it_does_not_matter_how_a_stream_is_cut(events: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(events)
    at = data.draw(st.integers(0, len(stream)))
    pieces = RESPONSES.stream_reader()
    relayed = pieces.feed(stream[:at]), pieces.feed(stream[at:]), pieces.end()
    whole = fed(stream)
    assert b"".join(relayed) == stream[: len(b"".join(relayed))]
    assert (pieces.started, pieces.finished, pieces.usage, pieces.model) == (
        whole.started,
        whole.finished,
        whole.usage,
        whole.model,
    )


NAMES = ["type", "response", "error", "message", "code", "output", "usage", "status", "model"]
KINDS = ["response.completed", "response.failed", "response.created", "error", "x.delta", ""]
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(KINDS) | st.text(),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.binary() | anything.map(lambda value: json.dumps(value).encode()))
def test_junk_is_refused_and_nothing_worse(junk: bytes) -> None:
    with contextlib.suppress(WireError):
        RESPONSES.peek_request(junk)
    with contextlib.suppress(AnswerFault):
        RESPONSES.peek_answer(junk, JSON)


@given(
    st.sampled_from(KINDS),
    st.binary() | anything.map(lambda value: json.dumps(value).encode()),
)
def test_junk_in_a_stream_is_an_error_or_a_fault_or_nothing(kind: str, junk: bytes) -> None:
    line = junk.replace(b"\n", b" ").replace(b"\r", b" ")
    told = b"event: %b\ndata: %b\n\n" % (kind.encode(), line)
    reader = fed(CREATED, DELTA)
    reader.is_ordinary(told)
    reader.is_finish(told)
    with contextlib.suppress(AnswerFault):
        reader.feed(told)
        assert isinstance(reader.error, UpstreamError | None)
        assert isinstance(reader.finish_reason, str | None)


@pytest.mark.parametrize("pieces", [1, 2])
@pytest.mark.parametrize("ends", ["\n\n", "\r\n\r\n", ""])
def test_an_event_that_is_nested_too_deeply_is_a_fault(pieces: int, ends: str) -> None:
    nested = "[" * 9_000 + "]" * 9_000
    told = f'data: {{"type": "response.completed", "response": {nested}}}{ends}'
    reader = fed(CREATED, DELTA)
    size = len(told) // pieces + 1

    def relay() -> None:
        for at in range(0, len(told), size):
            reader.feed(told[at : at + size].encode())
        reader.end()

    with pytest.raises(AnswerFault, match="nested"):
        relay()
    assert reader.feed(COMPLETED) == b"", "it is of no more use"
    assert not reader.finished


def test_an_error_that_is_nested_too_deeply_is_none_that_can_be_read() -> None:
    assert RESPONSES.decode_error(b'{"error": %b}' % (b"[" * 9_000 + b"]" * 9_000)) is None
