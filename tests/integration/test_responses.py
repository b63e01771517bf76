"""The Responses API over the socket: translated for any provider, or passed where it is spoken."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tests.integration.conftest import StartDaemon
from tests.support import clients
from tests.support.clients import SDK_LEAVES_GENERATORS
from tests.support.configs import config, group, simulated, upstream
from tests.support.daemon import Daemon
from tests.support.scripted import Exchange, Scripted
from tests.support.waiting import eventually

WIRES = {"openai": "chat", "anthropic": "talk"}
BOTH = pytest.mark.parametrize("model", sorted(WIRES.values()))
RESPONSES, COMPLETIONS = "/v1/responses", "/v1/completions"
WEATHER: Any = {
    "type": "function",
    "name": "weather",
    "description": "Tells the weather.",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon(
        config(
            {
                "sim-o": simulated("openai"),
                "sim-a": simulated("anthropic"),
                "bad-o": {
                    **simulated("openai", faults=[{"fault": "status_500"}]),
                    "retry": {"max_attempts": 1},
                },
            },
            {
                "chat": group("sim-o", model="sim-1"),
                "talk": group("sim-a", model="sim-1"),
                "mixed": group("bad-o", "sim-a", model="sim-1"),
                "broken": group("bad-o", model="sim-1"),
            },
        )
    ) as running:
        yield running


@BOTH
def test_the_sdk_gets_the_same_plain_and_streamed(daemon: Daemon, model: str) -> None:
    with clients.openai_client(daemon.socket) as client:
        plain = client.responses.create(model=model, input="Count to five.")
        with client.responses.stream(model=model, input="Count to five.") as stream:
            deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
            gathered = stream.get_final_response()
    assert plain.status == gathered.status == "completed"
    assert len(deltas) > 1
    assert "".join(deltas) == gathered.output_text == plain.output_text != ""
    assert plain.usage is not None
    assert plain.usage == gathered.usage
    assert plain._request_id


@SDK_LEAVES_GENERATORS
async def test_the_sdk_gets_responses_on_trio(daemon: Daemon) -> None:
    async with clients.async_openai_client(daemon.socket) as client:
        plain = await client.responses.create(model="talk", input="Count to five.")
        async with await client.responses.create(
            model="talk", input="Count to five.", stream=True
        ) as stream:
            kinds = [event.type async for event in stream]
    assert plain.output_text
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"


@BOTH
def test_a_loop_of_tools_goes_on_with_the_items_as_the_sdk_gives_them(
    daemon: Daemon, model: str
) -> None:
    said: Any = [{"role": "user", "content": "What is the weather in Oslo?"}]
    with clients.openai_client(daemon.socket) as client:
        first = client.responses.create(
            model=model, input=said, tools=[WEATHER], tool_choice="required"
        )
        (call,) = [item for item in first.output if item.type == "function_call"]
        assert set(json.loads(call.arguments)) == {"city"}
        said += first.output
        said.append({"type": "function_call_output", "call_id": call.call_id, "output": "rain"})
        second = client.responses.create(model=model, input=said, tools=[WEATHER])
        assert second.output_text
        said += second.output
        said.append({"role": "user", "content": "Thanks."})
        assert client.responses.create(model=model, input=said, tools=[WEATHER]).output_text


class Place(BaseModel):
    """What is asked for."""

    city: str


@BOTH
def test_an_answer_by_schema_is_parsed(daemon: Daemon, model: str) -> None:
    with clients.openai_client(daemon.socket) as client:
        found = client.responses.parse(model=model, input="Where?", text_format=Place)
    assert isinstance(found.output_parsed, Place)


def test_another_provider_answers_when_one_fails(daemon: Daemon) -> None:
    reply = daemon.ask("POST", RESPONSES, {"model": "mixed", "input": "Hello"})
    assert reply.status == 200
    assert reply.headers["x-standby-provider"] == "sim-a"
    assert reply.json["object"] == "response"


@BOTH
def test_what_has_no_counterpart_is_named_or_refused(daemon: Daemon, model: str) -> None:
    body = {"model": model, "input": "Hello", "max_tool_calls": 2}
    reply = daemon.ask("POST", RESPONSES, body)
    assert reply.status == 200
    assert "max_tool_calls" in reply.headers["x-standby-dropped"].split(", ")
    reply = daemon.ask("POST", RESPONSES, body, {"x-standby-translation": "strict"})
    assert reply.status == 400
    assert reply.json["error"]["param"] == "max_tool_calls"


@BOTH
def test_what_only_openai_keeps_is_refused_by_name(daemon: Daemon, model: str) -> None:
    with (
        clients.openai_client(daemon.socket) as client,
        pytest.raises(openai.BadRequestError, match="previous_response_id") as refused,
    ):
        client.responses.create(model=model, input="Hello", previous_response_id="resp_1")
    assert refused.value.param == "previous_response_id"


@pytest.mark.parametrize("path", [RESPONSES, COMPLETIONS])
@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"input": 5, "prompt": {}}, 400),
        ({"stream": "yes"}, 400),
        ({"model": "nobody"}, 404),
        ({"model": "broken"}, 502),
    ],
)
def test_refusals_are_openais(
    daemon: Daemon, path: str, change: dict[str, object], status: int
) -> None:
    name = "input" if path == RESPONSES else "prompt"
    other = "prompt" if path == RESPONSES else "input"
    body = {"model": "chat", name: "Hello", **change}
    body.pop(other, None)
    reply = daemon.ask("POST", path, body)
    assert reply.status == status
    error = reply.json["error"]
    assert error["message"]
    assert error["type"]
    assert reply.headers["x-request-id"]


OWN = {
    "id": "resp_own",
    "object": "response",
    "created_at": 1,
    "model": "m-1",
    "status": "completed",
    "output": [
        {
            "type": "message",
            "id": "msg_1",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Hi", "annotations": []}],
        }
    ],
    "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5},
}
FAILED = {"error": {"message": "no", "type": "server_error", "code": None}}


def events(*members: dict[str, object]) -> bytes:
    return b"".join(
        b"event: %b\ndata: %b\n\n" % (str(each["type"]).encode(), json.dumps(each).encode())
        for each in members
    )


STREAM = events(
    {"type": "response.created", "sequence_number": 0, "response": {**OWN, "output": []}},
    {"type": "response.output_text.delta", "sequence_number": 1, "delta": "Hi", "own": 1},
    {"type": "response.completed", "sequence_number": 2, "response": OWN},
)


def test_a_server_that_has_the_api_gets_and_gives_every_byte(start_daemon: StartDaemon) -> None:
    received: list[bytes] = []
    answers = [json.dumps(OWN, indent=1).encode(), STREAM]

    def respond(exchange: Exchange) -> None:
        received.append(exchange.request.body)
        assert exchange.request.path == "/responses"
        stream = json.loads(exchange.request.body).get("stream")
        kind = "text/event-stream" if stream else "application/json"
        exchange.answer(200, answers[1 if stream else 0], content_type=kind)

    with Scripted(respond) as scripted:
        running = start_daemon(config({"own": upstream("openai", scripted.url, responses=True)}))
        for stream, answer in zip((False, True), answers, strict=True):
            body = {
                "model": "m-1",
                "previous_response_id": "resp_0",
                "unknown": 1e2,
                "stream": stream,
            }
            sent = json.dumps(body, indent=2).encode()
            reply = running.ask("POST", RESPONSES, sent)
            assert (reply.status, reply.body) == (200, answer)
            assert received.pop() == sent
        eventually(
            lambda: running.get("/health/metrics")["tokens"]["input"] == 6, "both were counted"
        )


def test_a_server_that_has_the_api_is_stood_in_for_by_one_that_has_not(
    start_daemon: StartDaemon,
) -> None:
    with Scripted(lambda exchange: exchange.answer(500, FAILED)) as scripted:
        own = upstream("openai", scripted.url, responses=True, retry={"max_attempts": 1})
        running = start_daemon(
            config(
                {"own": own, "sim": simulated("anthropic")},
                {"pair": group("own", "sim", model="sim-1")},
            )
        )
        body = {"model": "pair", "input": "Hello", "stream": True}
        reply = running.ask("POST", RESPONSES, body)
    assert reply.status == 200
    assert reply.headers["x-standby-provider"] == "sim"
    assert b"event: response.completed\n" in reply.body


@pytest.mark.parametrize(
    "told",
    [
        {"type": "response.failed", "response": {**OWN, "status": "failed", **FAILED}},
        {"type": "error", "code": "server_error", "message": "no", "param": None},
    ],
)
def test_a_stream_in_which_its_server_tells_of_an_error_is_one(
    start_daemon: StartDaemon, told: dict[str, object]
) -> None:
    broken = STREAM.split(b"event: response.completed")[0] + events(told)

    def respond(exchange: Exchange) -> None:
        exchange.answer(200, broken, content_type="text/event-stream")

    with Scripted(respond) as scripted:
        running = start_daemon(config({"own": upstream("openai", scripted.url, responses=True)}))
        body = {"model": "m-1", "input": "Hello", "stream": True}
        reply = running.ask("POST", RESPONSES, body)
        assert reply.status == 502
        assert reply.json["error"]["message"].endswith("own: no")
        eventually(lambda: running.get("/health/metrics")["failed"] == 1, "it counts as failed")


MIXED = {
    "strategy": "priority",
    "members": [{"provider": "sim", "model": "sim-1"}, {"provider": "own", "model": "m-1"}],
}


@pytest.mark.parametrize("wire", WIRES)
def test_only_who_has_the_api_is_asked_for_what_no_other_can_do(
    start_daemon: StartDaemon, wire: str
) -> None:
    answers: list[tuple[int, object]] = [(200, OWN), (200, OWN), (500, FAILED)]
    with Scripted(lambda exchange: exchange.answer(*answers.pop(0))) as scripted:
        own = upstream("openai", scripted.url, responses=True, retry={"max_attempts": 1})
        running = start_daemon(config({"own": own, "sim": simulated(wire)}, {"mixed": MIXED}))
        body = {"model": "mixed", "input": "Hello"}
        assert running.ask("POST", RESPONSES, body).headers["x-standby-provider"] == "sim"
        kept = {**body, "previous_response_id": "resp_0"}
        reply = running.ask("POST", RESPONSES, kept)
        assert (reply.status, reply.headers["x-standby-provider"]) == (200, "own")
        assert "x-standby-dropped" not in reply.headers
        strict = {"x-standby-translation": "strict"}
        reply = running.ask("POST", RESPONSES, {**body, "max_tool_calls": 2}, strict)
        assert (reply.status, reply.headers["x-standby-provider"]) == (200, "own")
        reply = running.ask("POST", RESPONSES, kept)
        assert reply.status == 502
        message = reply.json["error"]["message"]
        assert "sim: previous_response_id" in message
        assert "own: the upstream answered 500" in message
    assert not answers


@pytest.mark.parametrize("ends", [False, True])
def test_a_stream_of_a_server_that_has_the_api_breaks_off_with_an_error(
    start_daemon: StartDaemon, ends: bool
) -> None:
    begun = STREAM.split(b"event: response.completed")[0]

    def respond(exchange: Exchange) -> None:
        exchange.begin()
        exchange.piece(begun)
        if ends:
            exchange.finish()
        else:
            exchange.hang_up()

    with Scripted(respond) as scripted:
        running = start_daemon(config({"own": upstream("openai", scripted.url, responses=True)}))
        with clients.openai_client(running.socket) as client:
            stream = client.responses.create(model="m-1", input="Hello", stream=True)
            kinds = (event.type for event in stream)
            assert "response.output_text.delta" in kinds
            with pytest.raises(openai.APIError, match=r"the stream ended|ended before"):
                list(kinds)


def test_a_server_that_has_the_api_may_refuse_in_its_own_words(start_daemon: StartDaemon) -> None:
    error = {"message": "no such response", "type": "invalid_request_error", "code": "not_found"}
    refusal = json.dumps({"error": {**error, "param": "previous_response_id"}}, indent=1).encode()
    with Scripted(lambda exchange: exchange.answer(400, refusal)) as scripted:
        running = start_daemon(config({"own": upstream("openai", scripted.url, responses=True)}))
        body = {"model": "m-1", "input": "Hello", "previous_response_id": "resp_0"}
        reply = running.ask("POST", RESPONSES, body)
    assert (reply.status, reply.body) == (400, refusal)
