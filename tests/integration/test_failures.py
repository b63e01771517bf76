"""Every failure before the first token: another provider answers unseen, or an honest error.

One daemon holds a provider for each fault, dialect, mode and outcome, so that what one request
does to a provider's breaker, gate or account cannot reach another test.
"""

import json
import socket
from collections.abc import Iterator, Mapping

import pytest

from tests.support.answers import PATHS, TEXT, request_body
from tests.support.configs import base_url, config, group, upstream
from tests.support.daemon import Daemon, Reply
from tests.support.faults import FAULTS, by_path
from tests.support.reading import text_of
from tests.support.scripted import Scripted
from tests.support.waiting import eventually

DIALECTS = ("openai", "anthropic")
CASES = [
    pytest.param(fault, dialect, stream, id=f"{fault}-{dialect}-{'stream' if stream else 'plain'}")
    for fault in (*FAULTS, "refused")
    for dialect in DIALECTS
    for stream in (False, True)
    if fault == "refused" or (FAULTS[fault].streamed if stream else FAULTS[fault].plain)
]
SHORT, AMPLE = "400ms", "30s"
"""How long a provider may be silent here before it counts as failed: long where it is not silent,
so that a busy machine makes no other failure of it."""


def _name(purpose: str, fault: str, dialect: str, *, stream: bool) -> str:
    return f"{purpose}-{fault}-{dialect}-{'stream' if stream else 'plain'}"


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Scripted(by_path) as scripted, socket.create_server(("127.0.0.1", 0)) as closed:
        dead = f"http://127.0.0.1:{closed.getsockname()[1]}"
        closed.close()
        providers: dict[str, Mapping[str, object]] = {
            f"good-{dialect}": upstream(dialect, base_url(dialect, f"{scripted.url}/good"))
            for dialect in DIALECTS
        }
        groups: dict[str, Mapping[str, object]] = {}
        for case in CASES:
            fault, dialect, stream = case.values
            assert isinstance(fault, str)
            assert isinstance(dialect, str)
            root = dead if fault == "refused" else f"{scripted.url}/{fault}"
            patience = SHORT if fault.startswith("silent") else AMPLE
            for purpose in ("over", "only"):
                name = _name(purpose, fault, dialect, stream=bool(stream))
                providers[f"p-{name}"] = upstream(
                    dialect,
                    base_url(dialect, root),
                    timeouts={"first_token": patience, "total": patience},
                    retry={"max_attempts": 1},
                )
                others = (f"good-{dialect}",) if purpose == "over" else ()
                groups[f"g-{name}"] = group(f"p-{name}", *others)
        with Daemon(config(providers, groups)) as running:
            yield running


def _ask(daemon: Daemon, name: str, dialect: str, *, stream: bool) -> Reply:
    return daemon.ask("POST", PATHS[dialect], request_body(dialect, f"g-{name}", stream=stream))


@pytest.mark.parametrize(("fault", "dialect", "stream"), CASES)
def test_another_provider_answers_and_nobody_notices(
    daemon: Daemon, fault: str, dialect: str, stream: bool
) -> None:
    name = _name("over", fault, dialect, stream=stream)
    reply = _ask(daemon, name, dialect, stream=stream)
    assert reply.status == 200, reply.body
    assert text_of(reply, dialect, stream=stream) == TEXT
    assert reply.headers["x-standby-provider"] == f"good-{dialect}"
    assert reply.headers["x-standby-attempts"] == "2"


@pytest.mark.parametrize(("fault", "dialect", "stream"), CASES)
def test_with_nothing_left_the_asker_gets_an_honest_error_in_its_dialect(
    daemon: Daemon, fault: str, dialect: str, stream: bool
) -> None:
    name = _name("only", fault, dialect, stream=stream)
    reply = _ask(daemon, name, dialect, stream=stream)
    status = 502 if fault == "refused" else FAULTS[fault].status
    if status == 529 and dialect == "openai":
        status = 503  # only Anthropic's API has a status for too much to do
    assert reply.status == status, reply.body
    assert reply.headers["content-type"].startswith("application/json")
    assert reply.headers["x-should-retry"] == "false"
    assert reply.headers["x-standby-attempts"] == "1"
    assert reply.headers["x-standby-provider"] == f"p-{name}"
    error = reply.json["error"]
    assert f"p-{name}" in error["message"], "the error names the provider"
    assert error["type"]
    if dialect == "anthropic":
        assert reply.json["type"] == "error"
        assert reply.headers["request-id"]
    else:
        assert {"message", "type", "param", "code"} <= set(error)
        assert reply.headers["x-request-id"]
    if reply.status == 429:
        # The SDKs wait as long as this says before their own retry, so it must be bearable.
        assert 0 < float(reply.headers["retry-after"]) <= 60


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_provider_that_failed_is_shown_with_its_last_error(daemon: Daemon, dialect: str) -> None:
    name = _name("only", "status-500", dialect, stream=False)
    _ask(daemon, name, dialect, stream=False)
    shown = eventually(
        lambda: daemon.get("/health/providers")[f"p-{name}"]["last_error"],
        "the provider's last error was shown",
    )
    assert "500" in json.dumps(shown)
