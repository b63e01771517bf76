"""Embeddings, token counts and models, with the official SDKs and through failures."""

import base64
import gzip
import json
import struct
from collections.abc import Iterator

import anthropic
import openai
import pytest

from tests.integration.conftest import StartDaemon
from tests.support import clients, raw
from tests.support.clients import ANTHROPIC_ASK
from tests.support.configs import UNTRIPPED, config, group, simulated, upstream
from tests.support.daemon import Daemon, Reply
from tests.support.scripted import Exchange, Scripted
from tests.support.waiting import eventually

SIZE = 8
MANY = tuple(f"many-{number:02}" for number in range(45))
EMBEDDINGS = "/v1/embeddings"
COUNT = "/v1/messages/count_tokens"
BODIES: dict[str, dict[str, object]] = {
    EMBEDDINGS: {"input": "hello"},
    COUNT: {"messages": [{"role": "user", "content": "hello"}]},
}
BOTH = pytest.mark.parametrize("path", sorted(BODIES))


def _failing(wire: str) -> dict[str, object]:
    broken = simulated(wire, faults=[{"fault": "status_500"}])
    return {**broken, "retry": {"max_attempts": 1}}


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon(
        config(
            {
                "sim-o": simulated("openai", embedding_dimensions=SIZE),
                "sim-a": simulated("anthropic"),
                "bad-o": _failing("openai"),
                "bad-a": _failing("anthropic"),
                "lots": {**simulated("anthropic"), "models": list(MANY)},
            },
            {
                "chat": group("sim-o", model="sim-1"),
                "talk": group("sim-a", model="sim-1"),
                "mixed": group("bad-o", "bad-a", "sim-o", "sim-a", model="sim-1"),
                "broken": group("bad-o", "bad-a", model="sim-1"),
            },
            models={"fast": {"group": "chat"}},
        )
    ) as running:
        yield running


def ask(daemon: Daemon, path: str, model: str, **headers: str) -> Reply:
    return daemon.ask("POST", path, {"model": model, **BODIES[path]}, headers)


@pytest.mark.parametrize("model", ["chat", "fast", "sim-o/sim-1", "mixed"])
def test_openai_sdk_gets_embeddings(daemon: Daemon, model: str) -> None:
    with clients.openai_client(daemon.socket) as client:
        answer = client.embeddings.create(model=model, input=["one", "two"])
        floats = client.embeddings.create(model=model, input="two", encoding_format="float")
        short = client.embeddings.create(model=model, input="two", dimensions=3)
    assert [each.index for each in answer.data] == [0, 1]
    assert [len(each.embedding) for each in answer.data] == [SIZE, SIZE]
    assert answer.data[1].embedding == floats.data[0].embedding
    assert len(short.data[0].embedding) == 3
    assert answer.usage.prompt_tokens > 0


async def test_openai_sdk_gets_embeddings_and_models_on_trio(daemon: Daemon) -> None:
    async with clients.async_openai_client(daemon.socket) as client:
        answer = await client.embeddings.create(model="chat", input="one")
        names = [model.id async for model in client.models.list()]
        one = await client.models.retrieve("chat")
    assert len(answer.data[0].embedding) == SIZE
    assert {"chat", "talk", "fast", *MANY} <= set(names)
    assert (one.id, one.object, one.owned_by) == ("chat", "model", "standby")


@pytest.mark.parametrize("model", ["talk", "sim-a/sim-1"])
def test_anthropic_sdk_counts_what_the_answer_then_reports(daemon: Daemon, model: str) -> None:
    with clients.anthropic_client(daemon.socket) as client:
        counted = client.messages.count_tokens(model=model, messages=ANTHROPIC_ASK)
        answer = client.messages.create(model=model, max_tokens=9, messages=ANTHROPIC_ASK)
    assert counted.input_tokens == answer.usage.input_tokens > 0


async def test_anthropic_sdk_counts_and_lists_on_trio(daemon: Daemon) -> None:
    async with clients.async_anthropic_client(daemon.socket) as client:
        counted = await client.messages.count_tokens(model="talk", messages=ANTHROPIC_ASK)
        beta = await client.beta.messages.count_tokens(
            model="talk", messages=[{"role": "user", "content": "Count to five."}]
        )
        names = [model.id async for model in client.models.list()]
        one = await client.models.retrieve("talk")
    assert counted.input_tokens == beta.input_tokens > 0
    assert len(names) == len(set(names))
    assert {"chat", "talk", "fast", *MANY} <= set(names)
    assert (one.id, one.type, one.display_name) == ("talk", "model", "talk")


def test_anthropic_sdk_goes_through_the_pages_of_models_in_both_directions(daemon: Daemon) -> None:
    with (
        clients.anthropic_client(daemon.socket) as client,
        clients.openai_client(daemon.socket) as other,
    ):
        everything = [model.id for model in other.models.list()]
        first = client.models.list(limit=7)
        forth = [model.id for model in first]
        back = [model.id for model in client.models.list(limit=7, before_id=everything[-1])]
        rest = [model.id for model in client.models.list(after_id=everything[1])]
    assert len(everything) > 45
    assert forth == everything
    assert (first.first_id, first.last_id, first.has_more) == (everything[0], everything[6], True)
    assert sorted(back) == sorted(everything[:-1])
    assert back[:7] == everything[-8:-1]
    assert rest == everything[2:]


@pytest.mark.parametrize("name", ["chat", "fast", "many-07", "sim-o/sim-1", "sim-o/maker/m 1"])
def test_both_sdks_retrieve_any_name_that_can_be_asked_for(daemon: Daemon, name: str) -> None:
    with clients.openai_client(daemon.socket) as client:
        assert client.models.retrieve(name).id == name
    with clients.anthropic_client(daemon.socket) as other:
        assert other.models.retrieve(name).id == name


@pytest.mark.parametrize("target", ["/v1/models/sim-o/sim-1", "/v1/models/sim-o%2Fsim-1"])
def test_the_slash_of_a_models_name_may_be_encoded_or_not(daemon: Daemon, target: str) -> None:
    reply = daemon.ask("GET", target)
    assert reply.status == 200
    assert reply.json["id"] == "sim-o/sim-1"
    assert reply.json["owned_by"] == "sim-o"


def test_an_unknown_model_is_not_found_in_either_dialect(daemon: Daemon) -> None:
    with clients.openai_client(daemon.socket) as client:
        with pytest.raises(openai.NotFoundError, match="did you mean 'chat'") as missing:
            client.models.retrieve("chta")
        assert missing.value.code == "model_not_found"
        with pytest.raises(openai.NotFoundError, match="did you mean 'chat'"):
            client.embeddings.create(model="chta", input="x")
    with clients.anthropic_client(daemon.socket) as other:
        with pytest.raises(anthropic.NotFoundError, match="did you mean 'talk'"):
            other.models.retrieve("takl")
        with pytest.raises(anthropic.NotFoundError, match="did you mean 'talk'"):
            other.messages.count_tokens(model="takl", messages=ANTHROPIC_ASK)


@BOTH
def test_the_next_provider_of_the_same_dialect_answers_when_one_fails(
    daemon: Daemon, path: str
) -> None:
    reply = ask(daemon, path, "mixed")
    assert reply.status == 200
    assert reply.headers["x-standby-provider"] == ("sim-o" if path == EMBEDDINGS else "sim-a")
    assert reply.headers["x-standby-attempts"] == "2"


def test_when_all_who_can_fail_the_error_names_them_and_no_other(daemon: Daemon) -> None:
    reply = ask(daemon, EMBEDDINGS, "broken")
    message = reply.json["error"]["message"]
    assert reply.status == 502
    assert reply.headers["x-should-retry"] == "false"
    assert "bad-o" in message
    assert "bad-a" not in message


def test_embeddings_of_a_model_whose_api_has_none_are_a_clear_400(daemon: Daemon) -> None:
    reply = ask(daemon, EMBEDDINGS, "talk")
    assert reply.status == 400
    assert "'talk'" in reply.json["error"]["message"]
    assert "anthropic API only, which has no embeddings" in reply.json["error"]["message"]


@pytest.mark.parametrize(("model", "attempts"), [("chat", "0"), ("broken", "1")])
def test_tokens_that_nobody_can_count_are_estimated_and_marked(
    daemon: Daemon, model: str, attempts: str
) -> None:
    reply = ask(daemon, COUNT, model)
    assert reply.status == 200
    assert reply.headers["x-standby-estimated"] == "true"
    assert reply.headers["x-standby-attempts"] == attempts
    assert reply.headers["request-id"]
    assert reply.json["input_tokens"] > 0


def test_counted_tokens_are_not_marked(daemon: Daemon) -> None:
    assert "x-standby-estimated" not in ask(daemon, COUNT, "talk").headers


@BOTH
@pytest.mark.parametrize(("method", "status"), [("GET", 405), ("HEAD", 405), ("OPTIONS", 204)])
def test_another_method_is_told_which_there_is(
    daemon: Daemon, path: str, method: str, status: int
) -> None:
    reply = daemon.ask(method, path)
    assert reply.status == status
    assert reply.headers["allow"] == "OPTIONS, POST"
    assert reply.headers["date"].endswith(" GMT")
    assert bool(reply.body) is (method == "GET")


def test_a_model_can_be_looked_at_by_head(daemon: Daemon) -> None:
    found = daemon.ask("HEAD", "/v1/models/chat")
    assert (found.status, found.body) == (200, b"")
    assert int(found.headers["content-length"]) > 0
    assert daemon.ask("HEAD", "/v1/models/nobody").status == 404
    assert daemon.ask("OPTIONS", "/v1/models/a/b").headers["allow"] == "GET, HEAD, OPTIONS"


@pytest.mark.parametrize(
    ("body", "words"),
    [(b"", "no body"), (b"{", "not JSON"), (b'{"input":"x"}', "model: the field is missing")],
)
@BOTH
def test_a_bad_request_is_a_400_in_its_dialect(
    daemon: Daemon, path: str, body: bytes, words: str
) -> None:
    reply = daemon.ask("POST", path, body)
    assert reply.status == 400
    assert words in reply.json["error"]["message"]
    assert ("type" in reply.json) is (path == COUNT)


@pytest.mark.parametrize(
    "coding", [{"content-encoding": "gzip"}, {"transfer-encoding": "gzip, chunked"}]
)
def test_a_compressed_body_is_refused_by_the_name_of_its_coding(
    daemon: Daemon, coding: dict[str, str]
) -> None:
    body = gzip.compress(json.dumps({"model": "chat", "input": "x"}).encode())
    lines = [f"{name}: {value}".encode() for name, value in coding.items()]
    if "transfer-encoding" in coding:
        head = b"POST /v1/embeddings HTTP/1.1\r\nhost: h\r\n%b\r\n\r\n" % lines[0]
        data = head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    else:
        data = raw.post(EMBEDDINGS, body, *lines)
    reply = raw.send(daemon.socket, data)
    assert reply.status == 415
    assert "gzip" in reply.json["error"]["message"]


def test_a_body_in_chunks_with_extensions_and_trailers_is_taken_whole(daemon: Daemon) -> None:
    body = json.dumps({"model": "chat", "input": ["one", "two"]}).encode()
    head = b"POST //v1/embeddings HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n"
    first, second = body[:9], body[9:]
    framed = b"%x;note=%b\r\n%b\r\n" % (len(first), b"n" * 5000, first)
    framed += b"%X\r\n%b\r\n0\r\nX-Sum: 1\r\n\r\n" % (len(second), second)
    reply = raw.send(daemon.socket, head, framed)
    assert reply.status == 200
    assert len(reply.json["data"]) == 2


@BOTH
def test_failures_are_counted_and_open_the_breaker_that_all_requests_share(path: str) -> None:
    breaker = {"failure_threshold": 2, "minimum_calls": 2}
    wire = "openai" if path == EMBEDDINGS else "anthropic"
    with Daemon(
        config(
            {"only": _failing(wire)},
            {"chat": group("only", model="sim-1")},
            circuit_breaker={**UNTRIPPED, **breaker},
        )
    ) as running:

        def state() -> tuple[object, object]:
            seen = running.ask("GET", "/health").json
            circuit = seen["providers"]["only"]["circuit_state"]
            return circuit, seen["metrics"]["total_requests"]

        assert state() == ("closed", 0)
        told = 502 if path == EMBEDDINGS else 200  # token counts can be estimated
        assert [ask(running, path, "chat").status for _ in range(2)] == [told, told]
        eventually(lambda: state() == ("open", 2), "both are counted and the circuit is open")


VECTOR = [0.5, -0.25]
PACKED = base64.b64encode(struct.pack("<2f", *VECTOR)).decode()


@pytest.mark.parametrize("own", [VECTOR, PACKED], ids=["lists", "base64"])
def test_vectors_come_as_asked_for_from_a_server_that_has_one_form_only(
    start_daemon: StartDaemon, own: object
) -> None:
    def embed(exchange: Exchange) -> None:
        data = [{"object": "embedding", "index": 0, "embedding": own}]
        usage = {"prompt_tokens": 1, "total_tokens": 1}
        exchange.answer(200, {"object": "list", "data": data, "model": "e", "usage": usage})

    with Scripted(embed) as scripted:
        running = start_daemon(config({"other": upstream("openai", scripted.url)}))
        body = {"model": "other/e", "input": "x"}
        shown = {
            form: running.ask("POST", EMBEDDINGS, {**body, "encoding_format": form}).json
            for form in ("float", "base64")
        }
        with clients.openai_client(running.socket) as client:
            read = client.embeddings.create(model="other/e", input="x")
    assert shown["float"]["data"][0]["embedding"] == VECTOR
    assert shown["base64"]["data"][0]["embedding"] == PACKED
    assert read.data[0].embedding == VECTOR


COUNTED = "/v1/responses/input_tokens"
ASKS: dict[str, dict[str, object]] = {
    COUNT: {"messages": [{"role": "user", "content": "Hello there"}]},
    COUNTED: {"input": "Hello there"},
}
ANY_COUNT = pytest.mark.parametrize("path", sorted(ASKS))


def _counts(exchange: Exchange) -> None:
    assert exchange.request.path in {"/responses/input_tokens", "/v1/messages/count_tokens"}
    exchange.answer(200, {"object": "response.input_tokens", "input_tokens": 42})


def _does_not_count(exchange: Exchange) -> None:
    exchange.answer(404, {"error": {"message": "no such path", "type": "invalid_request_error"}})


def _in_form(path: str, body: dict[str, object]) -> bool:
    return body.get("object") == (None if path == COUNT else "response.input_tokens")


@ANY_COUNT
@pytest.mark.parametrize("kind", ["openai", "anthropic"])
def test_tokens_are_counted_by_whoever_counts_whatever_the_api(
    start_daemon: StartDaemon, path: str, kind: str
) -> None:
    more = {"responses": True} if kind == "openai" else {}
    with Scripted(_counts) as scripted:
        running = start_daemon(config({"own": upstream(kind, scripted.url, **more)}))
        reply = running.ask("POST", path, {"model": "own/m-1", **ASKS[path]})
    assert (reply.status, reply.json["input_tokens"]) == (200, 42)
    native = (kind == "anthropic") == (path == COUNT)
    assert native or _in_form(path, reply.json)
    assert "x-standby-estimated" not in reply.headers
    assert reply.headers["x-standby-provider"] == "own"


@ANY_COUNT
@pytest.mark.parametrize("responses", [True, False])
def test_tokens_that_a_server_does_not_count_are_estimated_and_marked(
    start_daemon: StartDaemon, path: str, responses: bool
) -> None:
    with Scripted(_does_not_count) as scripted:
        own = upstream("openai", scripted.url, responses=responses)
        running = start_daemon(config({"own": own}))
        reply = running.ask("POST", path, {"model": "own/m-1", **ASKS[path]})
    if path == COUNTED and responses:
        assert reply.status == 404, "a refusal in the asker's own API is passed on"
        return
    assert reply.status == 200
    assert reply.headers["x-standby-estimated"] == "true"
    assert reply.json["input_tokens"] > 0
    assert _in_form(path, reply.json)


def test_openais_sdk_counts_tokens_of_a_claude_model(daemon: Daemon) -> None:
    with clients.openai_client(daemon.socket) as client:
        counted = client.responses.input_tokens.count(model="talk", input="Count to five.")
        answer = client.responses.create(model="talk", input="Count to five.")
    assert answer.usage is not None
    assert counted.input_tokens == answer.usage.input_tokens
