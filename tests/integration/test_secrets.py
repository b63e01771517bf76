"""Keys go to their own provider and nowhere else: not to askers, logs, health or the tree."""

import json
from collections.abc import Iterator

import openai
import pytest

from tests.support import clients
from tests.support.answers import PATHS, openai_answer, request_body
from tests.support.clients import OPENAI_ASK
from tests.support.configs import base_url, config, group, upstream
from tests.support.daemon import Daemon
from tests.support.scripted import Exchange, Scripted
from tests.support.waiting import eventually

WRONG = "sk-wrong-55aa77cc99ee"
RIGHT = "sk-right-11bb22dd33ff"
IN_HEADER = "proxy-secret-0042"
SECRETS = (WRONG, RIGHT, IN_HEADER)


def _checks_keys(exchange: Exchange) -> None:
    headers = exchange.request.headers
    sent = headers.get("authorization", "").removeprefix("Bearer ") or headers.get("x-api-key", "")
    if sent == RIGHT:
        exchange.answer(200, openai_answer())
        return
    # Real providers repeat part of the key, some all of it.
    error = {"message": f"Incorrect API key provided: {sent}.", "type": "invalid_request_error"}
    exchange.answer(401, {"error": {**error, "param": None, "code": "invalid_api_key"}})


@pytest.fixture(scope="module")
def scripted() -> Iterator[Scripted]:
    with Scripted(_checks_keys) as running:
        yield running


@pytest.fixture(scope="module")
def daemon(scripted: Scripted) -> Iterator[Daemon]:
    at = base_url("openai", scripted.url)
    with Daemon(
        config(
            {
                "wrong": upstream("openai", at, api_key="${WRONG_KEY}"),
                "right": upstream(
                    "openai", at, api_key="${RIGHT_KEY}", headers={"x-proxy-auth": "${PROXY_KEY}"}
                ),
            },
            {"only-wrong": group("wrong"), "chat": group("wrong", "right")},
            logging={"level": "debug"},
        ),
        {"WRONG_KEY": WRONG, "RIGHT_KEY": RIGHT, "PROXY_KEY": IN_HEADER},
    ) as running:
        yield running


def test_a_wrong_key_is_a_502_that_names_the_provider_and_not_the_key(daemon: Daemon) -> None:
    with (
        clients.openai_client(daemon.socket) as client,
        pytest.raises(openai.InternalServerError) as caught,
    ):
        client.chat.completions.create(model="only-wrong", messages=OPENAI_ASK)
    assert caught.value.status_code == 502
    assert "wrong" in str(caught.value)
    assert WRONG not in str(caught.value)
    assert WRONG not in caught.value.response.text


def test_the_next_provider_gets_its_own_key_and_never_the_askers(
    daemon: Daemon, scripted: Scripted
) -> None:
    scripted.requests.clear()
    reply = daemon.ask(
        "POST",
        PATHS["openai"],
        request_body("openai", "chat"),
        {"authorization": f"Bearer {clients.KEY}", "x-api-key": clients.KEY, "cookie": "a=b"},
    )
    assert reply.status == 200, reply.body
    assert reply.headers["x-standby-provider"] == "right"
    last = scripted.requests[-1].headers
    assert last["authorization"] == f"Bearer {RIGHT}"
    assert last["x-proxy-auth"] == IN_HEADER
    for request in scripted.requests:
        assert clients.KEY not in json.dumps(dict(request.headers))
        assert "cookie" not in request.headers
        assert not any(name.startswith("x-standby") for name in request.headers)


def test_no_key_appears_in_anything_the_daemon_says(daemon: Daemon) -> None:
    daemon.ask("POST", PATHS["openai"], request_body("openai", "only-wrong"))
    daemon.kill_and_wait("provider:wrong")
    said = [
        daemon.ask("GET", target).body.decode()
        for target in (
            "/health",
            "/health/detailed",
            "/health/providers",
            "/health/metrics",
            "/supervision/tree",
            "/v1/models",
        )
    ]
    for verb in (["status"], ["status", "--json"], ["tree", "--once"], ["tree", "--json"]):
        done = daemon.command(*verb, "--socket", str(daemon.socket))
        said.append(done.stdout + done.stderr)
    said.append(daemon.command("check", "--config", str(daemon.config_path)).stdout)
    said.append(daemon.log())
    for text in said:
        for secret in (*SECRETS, clients.KEY):
            assert secret not in text


def test_the_log_says_what_went_wrong_with_the_key(daemon: Daemon) -> None:
    daemon.ask("POST", PATHS["openai"], request_body("openai", "only-wrong"))
    daemon.wait_health("wrong", healthy=False)
    eventually(
        lambda: daemon.get("/health/providers")["wrong"]["last_error"],
        "the provider's last error was shown",
    )
