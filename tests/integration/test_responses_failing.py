"""What fails on the way is told as OpenAI tells it: to Responses and to legacy completions."""

import http.client
import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest

from tests.support import clients
from tests.support.clients import SDK_LEAVES_GENERATORS
from tests.support.configs import config, group, simulated
from tests.support.daemon import Daemon, Reply, UnixConnection

RESPONSES, COMPLETIONS = "/v1/responses", "/v1/completions"
PATHS = pytest.mark.parametrize("path", [RESPONSES, COMPLETIONS])
WIRES = ("openai", "anthropic")
WIRE = pytest.mark.parametrize("wire", WIRES)
STREAMED = pytest.mark.parametrize("stream", [False, True])

AT_ONCE = {
    "status_400": (400, openai.BadRequestError),
    "status_401": (502, openai.InternalServerError),
    "status_402": (502, openai.InternalServerError),
    "status_404": (404, openai.NotFoundError),
    "status_413": (413, openai.APIStatusError),
    "status_429:60": (429, openai.RateLimitError),
    "status_500": (502, openai.InternalServerError),
    "status_503": (503, openai.InternalServerError),
    "error_body_200": (502, openai.InternalServerError),
    "html_200": (502, openai.InternalServerError),
    "empty_completion": (502, openai.InternalServerError),
    "connect_reset": (502, openai.InternalServerError),
    "hang": (504, openai.InternalServerError),
}
"""What becomes of each fault that shows before the first token."""

MIDWAY = {
    "cut_midstream": "ended before it was complete",
    "reset_midstream": "ended before it was complete",
    "error_midstream": "The server had an error",
    "malformed_event": "not JSON",
    "stall_midstream": "silent for 0.5 s",
    "no_finish_marker": "without its finish marker",
}
"""What is said of each fault that breaks a stream."""


def name_of(wire: str, fault: str) -> str:
    return f"{wire}-{fault.partition(':')[0].replace('_', '-')}"


def failing(wire: str, fault: str) -> dict[str, object]:
    pace = {"tokens_per_second": 100} if fault in MIDWAY else {}
    return {
        **simulated(wire, faults=[{"fault": fault}], **pace),
        "retry": {"max_attempts": 1},
        "timeouts": {"first_token": "1s", "stall": "500ms", "total": "2s"},
    }


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    broken = {
        name_of(wire, fault): failing(wire, fault)
        for wire in WIRES
        for fault in (*AT_ONCE, *MIDWAY)
    }
    good = {f"good-{wire}": simulated(wire) for wire in WIRES}
    groups = {"chat": group("good-openai", model="sim-1")}
    # One is not kept waiting until a provider may be asked again.
    bounds = {"limits": {"max_body": "64KiB"}, "timeouts": {"request": "5s"}}
    settings = config({**broken, **good}, groups, **bounds)
    with Daemon(settings) as running:
        yield running


def body_of(path: str, model: str, *, stream: bool = False) -> dict[str, object]:
    name = "input" if path == RESPONSES else "prompt"
    return {"model": model, name: "Count to five.", "stream": stream}


def error_of(reply: Reply) -> dict[str, Any]:
    """Return the error that an answer holds, which must be of OpenAI's shape."""
    assert reply.headers["content-type"].startswith("application/json")
    assert reply.headers["x-request-id"]
    body = reply.json
    assert body.keys() == {"error"}
    error: dict[str, Any] = body["error"]
    assert error.keys() == {"message", "type", "param", "code"}
    assert error["message"]
    assert error["type"]
    return error


@pytest.mark.parametrize("fault", sorted(AT_ONCE))
@PATHS
@WIRE
@STREAMED
def test_what_fails_before_the_first_token_is_answered_with_an_error(
    daemon: Daemon, path: str, wire: str, fault: str, *, stream: bool
) -> None:
    name = name_of(wire, fault)
    reply = daemon.ask("POST", path, body_of(path, f"{name}/sim-1", stream=stream))
    assert reply.status == AT_ONCE[fault][0]
    error = error_of(reply)
    if reply.status in {429, 502, 503, 504}:
        assert name in error["message"]
    if reply.status == 429:
        assert 0 < int(reply.headers["retry-after"]) <= 60
    assert reply.headers["x-should-retry"] == "false"


@pytest.mark.parametrize("fault", sorted(AT_ONCE))
@WIRE
@STREAMED
def test_the_sdk_raises_what_it_would_for_openai(
    daemon: Daemon, wire: str, fault: str, *, stream: bool
) -> None:
    status, kind = AT_ONCE[fault]
    with (
        clients.openai_client(daemon.socket) as client,
        pytest.raises(kind) as raised,
    ):
        client.responses.create(model=f"{name_of(wire, fault)}/sim-1", input="x", stream=stream)
    assert isinstance(raised.value, openai.APIStatusError)
    assert raised.value.status_code == status
    assert raised.value.request_id


def broken_stream(daemon: Daemon, path: str, body: object) -> tuple[bytes, bool]:
    """Return what came of a stream, and whether it ended in order."""
    connection = UnixConnection(daemon.socket, 15.0)
    try:
        connection.request("POST", path, json.dumps(body).encode())
        answer = connection.getresponse()
        assert answer.status == 200
        try:
            return answer.read(), True
        except http.client.IncompleteRead as cut:
            return cut.partial, False
    finally:
        connection.close()


@pytest.mark.parametrize("fault", MIDWAY)
@WIRE
def test_a_stream_that_breaks_ends_with_an_error_and_never_as_if_whole(
    daemon: Daemon, wire: str, fault: str
) -> None:
    name = name_of(wire, fault)
    text, in_order = broken_stream(
        daemon, RESPONSES, body_of(RESPONSES, f"{name}/sim-1", stream=True)
    )
    assert not in_order
    blocks = text.decode().split("\n\n")
    assert blocks.pop() == ""
    kinds = [block.partition("\n")[0].removeprefix("event: ") for block in blocks]
    assert kinds[:2] == ["response.created", "response.in_progress"]
    assert "response.output_text.delta" in kinds
    assert kinds[-1] == "error"
    assert not {"response.completed", "response.incomplete", "response.failed"} & set(kinds)
    error = json.loads(blocks[-1].partition("data: ")[2])
    assert error["type"] == "error"
    assert MIDWAY[fault] in error["message"]
    assert error["code"]


@pytest.mark.parametrize("fault", MIDWAY)
@WIRE
def test_a_stream_of_legacy_completions_that_breaks_ends_with_an_error(
    daemon: Daemon, wire: str, fault: str
) -> None:
    name = name_of(wire, fault)
    text, in_order = broken_stream(
        daemon, COMPLETIONS, body_of(COMPLETIONS, f"{name}/sim-1", stream=True)
    )
    assert not in_order
    last = json.loads(text.decode().rstrip().rpartition("data: ")[2])
    assert MIDWAY[fault] in last["error"]["message"]
    assert b"[DONE]" not in text


@pytest.mark.parametrize("fault", MIDWAY)
@WIRE
def test_the_sdk_raises_when_a_stream_breaks(daemon: Daemon, wire: str, fault: str) -> None:
    name = name_of(wire, fault)
    with clients.openai_client(daemon.socket) as client:
        stream = client.responses.create(model=f"{name}/sim-1", input="x", stream=True)
        kinds = (event.type for event in stream)
        assert "response.output_text.delta" in kinds
        with pytest.raises(openai.APIError, match=MIDWAY[fault]):
            list(kinds)


@SDK_LEAVES_GENERATORS
@WIRE
async def test_the_sdk_raises_on_trio_when_a_stream_breaks(daemon: Daemon, wire: str) -> None:
    name = name_of(wire, "cut_midstream")
    async with (
        clients.async_openai_client(daemon.socket) as client,
        client.responses.stream(model=f"{name}/sim-1", input="x") as stream,
    ):
        with pytest.raises(openai.APIError, match=MIDWAY["cut_midstream"]):
            await stream.get_final_response()


@pytest.mark.parametrize(
    ("body", "status", "param"),
    [
        (b"", 400, None),
        (b"{", 400, None),
        (b"[]", 400, None),
        (b'{"model": 5}', 400, "model"),
        (b'{"input": "x", "prompt": "x"}', 400, "model"),
        (b'{"model": "nobody", "input": "x", "prompt": "x"}', 404, "model"),
        (b'{"model": "chat"}', 400, "?"),
        (b'{"model": "chat", "input": [5], "prompt": {}}', 400, "?"),
        (b'{"model": "chat", "input": "x", "prompt": "x", "temperature": "hot"}', 400, "?"),
        (b'{"model": "chat", "input": "%b"}' % (b"x" * 70_000), 413, None),
    ],
)
@PATHS
def test_what_is_no_request_is_refused(
    daemon: Daemon, path: str, body: bytes, status: int, param: str | None
) -> None:
    reply = daemon.ask("POST", path, body)
    assert reply.status == status
    error = error_of(reply)
    assert error["type"] == "invalid_request_error"
    if param != "?":
        assert error["param"] == param


@PATHS
def test_another_method_is_refused(daemon: Daemon, path: str) -> None:
    reply = daemon.ask("PUT", path, b"{}")
    assert reply.status == 405
    assert "POST" in reply.headers["allow"]
    assert error_of(reply)["type"] == "invalid_request_error"


def test_responses_are_kept_by_nobody(daemon: Daemon) -> None:
    with clients.openai_client(daemon.socket) as client:
        made = client.responses.create(model="chat", input="Hello", store=True)
        assert made.to_dict()["store"] is False
        with pytest.raises(openai.NotFoundError):
            client.responses.retrieve(made.id)
        with pytest.raises(openai.NotFoundError):
            client.responses.delete(made.id)


@pytest.mark.parametrize(
    ("items", "param"),
    [
        ({"input": []}, "input"),
        ({"input": [{"role": "tool", "content": "x"}]}, "input[0].role"),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "input[0]"),
        ({"input": "x", "tools": [{"type": "function"}]}, "tools[0].name"),
        ({"input": "x", "tool_choice": "any"}, "tool_choice"),
        ({"input": "x", "conversation": "conv_1"}, "conversation"),
        ({"prompt": {"id": "pmpt_1"}}, "prompt"),
        ({"input": "x", "background": True}, "background"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "f"}]}]}, None),
    ],
)
@pytest.mark.parametrize("model", ["good-openai/sim-1", "good-anthropic/sim-1"])
@STREAMED
def test_what_cannot_be_translated_is_refused_by_place(
    daemon: Daemon, model: str, items: dict[str, object], param: str | None, *, stream: bool
) -> None:
    reply = daemon.ask("POST", RESPONSES, {"model": model, "stream": stream, **items})
    assert reply.status == 400
    assert error_of(reply)["param"] == (param or "input[0].content[0]")
