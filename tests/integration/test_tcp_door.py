"""The optional door on loopback TCP: a token, no strange hosts, otherwise the same answers."""

import http.client
import json
import socket
from collections.abc import Iterator

import anthropic
import openai
import pytest

from tests.support.answers import PATHS, request_body
from tests.support.clients import ANTHROPIC_ASK, OPENAI_ASK
from tests.support.configs import config, group, simulated
from tests.support.daemon import Daemon

TOKEN = "token-of-the-tcp-door-9f8e7d"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    assert isinstance(port, int)
    return port


@pytest.fixture(scope="module")
def port() -> int:
    return _free_port()


@pytest.fixture(scope="module")
def daemon(port: int) -> Iterator[Daemon]:
    with Daemon(
        config(
            {"sim-o": simulated("openai"), "sim-a": simulated("anthropic")},
            {"chat": group("sim-o", model="sim-1"), "talk": group("sim-a", model="sim-1")},
            tcp={"enabled": True, "host": "127.0.0.1", "port": port, "token": "${DOOR_TOKEN}"},
        ),
        {"DOOR_TOKEN": TOKEN},
    ) as running:
        yield running
        assert TOKEN not in running.log()


def _ask(port: int, headers: dict[str, str]) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        connection.request(
            "POST", PATHS["openai"], json.dumps(request_body("openai", "chat")), headers
        )
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


def test_both_sdks_work_with_the_token_as_their_key(daemon: Daemon, port: int) -> None:
    root = f"http://127.0.0.1:{port}"
    with openai.OpenAI(api_key=TOKEN, base_url=f"{root}/v1", max_retries=0) as client:
        answer = client.chat.completions.create(model="chat", messages=OPENAI_ASK)
        assert answer.choices[0].message.content
        stream = client.chat.completions.create(model="chat", messages=OPENAI_ASK, stream=True)
        pieces = [choice.delta.content or "" for chunk in stream for choice in chunk.choices]
        assert "".join(pieces) == answer.choices[0].message.content
    with anthropic.Anthropic(api_key=TOKEN, base_url=root, max_retries=0) as other:
        message = other.messages.create(model="talk", max_tokens=9, messages=ANTHROPIC_ASK)
        assert message.content


@pytest.mark.parametrize("token", [None, "", "wrong", TOKEN + "x"])
def test_without_the_token_nothing_is_answered(
    daemon: Daemon, port: int, token: str | None
) -> None:
    headers = {} if token is None else {"authorization": f"Bearer {token}"}
    status, body = _ask(port, headers)
    assert status == 401
    assert TOKEN.encode() not in body
    with pytest.raises(openai.AuthenticationError):
        _list_models(port, token or "none")


def _list_models(port: int, key: str) -> None:
    with openai.OpenAI(
        api_key=key, base_url=f"http://127.0.0.1:{port}/v1", max_retries=0
    ) as client:
        client.models.list()


def test_a_foreign_host_name_is_refused(daemon: Daemon, port: int) -> None:
    status, _ = _ask(port, {"authorization": f"Bearer {TOKEN}", "host": "evil.example"})
    assert status in {403, 421}


@pytest.mark.parametrize("target", ["/health", "/supervision/tree", "/v1/models"])
def test_the_daemons_own_pages_need_the_token_too(daemon: Daemon, port: int, target: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        connection.request("GET", target)
        assert connection.getresponse().status == 401
    finally:
        connection.close()


def test_the_socket_still_needs_none(daemon: Daemon) -> None:
    assert daemon.ask("GET", "/health").status == 200
