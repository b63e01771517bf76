"""What passes between a program and its provider untouched: bytes, queries, headers."""

import http.client
import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support import raw
from tests.support.answers import request_body
from tests.support.configs import config, group, upstream
from tests.support.daemon import Daemon
from tests.support.scripted import Exchange, Scripted

EMBEDDINGS = "/v1/embeddings"
VECTOR = (
    b'{"object":"list",  "data":[{"index":0,"embedding":"AACAPw=="}],"new":{"a":1.50},"model":"m"}'
)


def _echo(exchange: Exchange) -> None:
    """Answer with what the caller wants, and with headers of every sort."""
    headers = {
        "x-request-id": "theirs",
        "x-ratelimit-remaining-requests": "59",
        "openai-processing-ms": "12",
        "anthropic-ratelimit-tokens-reset": "2026-11-23T00:00:00Z",
        "x-unknown-header": "kept",
        "x-hop": "dropped",
        "connection": "keep-alive, X-Hop",
    }
    if "fail" in exchange.request.json:
        exchange.answer(500, b"oops", headers=headers)
    elif "refuse" in exchange.request.json:
        error = {"error": {"message": "too odd", "type": "odd", "param": "input", "code": "odd"}}
        exchange.answer(422, error, headers=headers)
    elif exchange.request.path.partition("?")[0].endswith("/embeddings"):
        exchange.answer(200, VECTOR, headers=headers)
    elif exchange.request.path.partition("?")[0].endswith("/count_tokens"):
        exchange.answer(200, b'{"input_tokens" : 7}', headers=headers)
    else:
        message = {"role": "assistant", "content": [{"type": "text", "text": "x"}]}
        whole = {"type": "message", "model": "m-1", "stop_reason": "end_turn", **message}
        exchange.answer(200, whole, headers=headers)


@pytest.fixture(scope="module")
def scripted() -> Iterator[Scripted]:
    with Scripted(_echo) as running:
        yield running


@pytest.fixture(scope="module")
def relay(scripted: Scripted) -> Iterator[Daemon]:
    with Daemon(
        config(
            {
                "up-o": upstream("openai", f"{scripted.url}/base/v1"),
                "up-a": upstream("anthropic", f"{scripted.url}/base"),
            },
            {"o": group("up-o"), "a": group("up-a")},
        )
    ) as running:
        yield running


def test_bytes_pass_untouched_but_for_the_model(relay: Daemon, scripted: Scripted) -> None:
    body = b'{ "new" : [1.0e3,{"model":"x"}],\n"input":"\\u00e9","model" : "o" , "dimensions":1,'
    body += b'"encoding_format":"base64"}'
    reply = relay.ask("POST", EMBEDDINGS, body)
    assert reply.body == VECTOR
    assert scripted.requests[-1].path == "/base/v1/embeddings"
    assert scripted.requests[-1].body == body.replace(b'"o"', b'"m-1"')


@pytest.mark.parametrize(
    ("target", "upstream_target"),
    [
        ("/v1/messages?beta=true", "/base/v1/messages?beta=true"),
        ("/v1/messages/count_tokens?beta=true", "/base/v1/messages/count_tokens?beta=true"),
        ("/v1/messages?a=%2F&a=b+c&d", "/base/v1/messages?a=%2F&a=b+c&d"),
        ("//v1/messages?beta=true", "/base/v1/messages?beta=true"),
        ("http://localhost/v1/messages?x=//y", "/base/v1/messages?x=//y"),
        ("/v1/messages", "/base/v1/messages"),
    ],
)
def test_the_query_goes_to_the_upstream(
    relay: Daemon, scripted: Scripted, target: str, upstream_target: str
) -> None:
    for _ in range(2):  # the second one's head is known already
        reply = relay.ask("POST", target, request_body("anthropic", "a"))
        assert reply.status == 200
        assert scripted.requests[-1].path == upstream_target


def test_headers_go_up_and_come_down(relay: Daemon, scripted: Scripted) -> None:
    sent = {
        "anthropic-beta": "some-beta-2026-01-01",
        "openai-organization": "org-1",
        "openai-project": "proj-1",
        "x-stainless-retry-count": "1",
        "idempotency-key": "key-1",
        "user-agent": "agent/1",
        "x-unknown": "kept",
        "x-near": "dropped",
        "connection": "keep-alive, X-Near",
        "authorization": "Bearer askers-own",
        "cookie": "a=b",
    }
    body = {"model": "o", "input": "x"}
    reply = relay.ask("POST", EMBEDDINGS, body, sent)
    up = scripted.requests[-1].headers
    kept = {
        name for name in sent if name not in {"x-near", "connection", "authorization", "cookie"}
    }
    assert {name: up[name] for name in kept} == {name: sent[name] for name in kept}
    assert "askers-own" not in str(up)
    assert not {"x-near", "cookie"} & set(up)
    down = reply.headers
    assert down["x-ratelimit-remaining-requests"] == "59"
    assert down["openai-processing-ms"] == "12"
    assert down["anthropic-ratelimit-tokens-reset"] == "2026-11-23T00:00:00Z"
    assert down["x-unknown-header"] == "kept"
    assert down["x-standby-upstream-request-id"] == "theirs"
    assert down["x-request-id"].startswith("req_")
    assert "x-hop" not in down
    assert down["date"].endswith(" GMT")


def test_an_error_that_is_passed_on_keeps_the_upstreams_headers(relay: Daemon) -> None:
    reply = relay.ask("POST", EMBEDDINGS, {"model": "o", "input": "x", "refuse": True})
    assert reply.status == 422
    assert reply.json["error"]["code"] == "odd"
    assert reply.headers["content-type"] == "application/json"
    assert reply.headers["x-ratelimit-remaining-requests"] == "59"
    assert reply.headers["x-standby-upstream-request-id"] == "theirs"
    assert reply.headers["x-request-id"].startswith("req_")
    assert reply.headers["x-standby-provider"] == "up-o"
    assert "x-hop" not in reply.headers


def test_of_a_failure_the_upstreams_own_id_is_told(relay: Daemon) -> None:
    reply = relay.ask("POST", EMBEDDINGS, {"model": "o", "input": "x", "fail": True})
    assert reply.status == 502
    assert reply.headers["x-standby-upstream-request-id"] == "theirs"
    assert reply.headers["x-request-id"].startswith("req_")
    assert "x-unknown-header" not in reply.headers


def test_no_header_is_sent_twice(relay: Daemon) -> None:
    for more in ({}, {"refuse": True}):
        body = json.dumps({"model": "o", "input": "x", **more}).encode()
        names = _names(relay, raw.post(EMBEDDINGS, body))
        assert len(names) == len(set(names))
        assert names.count("date") == 1


def _names(daemon: Daemon, data: bytes) -> list[str]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(15)
        sock.connect(str(daemon.socket))
        sock.sendall(data)
        answer: Any = http.client.HTTPResponse(sock)
        answer.begin()
        names = [name.lower() for name, _ in answer.getheaders()]
        answer.read()
        return names
