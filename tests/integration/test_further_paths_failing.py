"""The rest of a provider's API when things go wrong: bounded, cancelled, counted, asked once."""

import http.client
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.integration.conftest import StartDaemon
from tests.support import raw
from tests.support.answers import PATHS, request_body
from tests.support.configs import config, upstream
from tests.support.daemon import Daemon, UnixConnection
from tests.support.scripted import PATIENCE, Exchange, Scripted
from tests.support.waiting import eventually

QUICK = {"timeouts": {"total": "600ms", "stall": "300ms", "connect": "300ms"}}
BREAKER = {"failure_threshold": 3, "minimum_calls": 100, "recovery_timeout": "1m"}


def _answer(exchange: Exchange) -> None:
    exchange.answer(200, {"path": exchange.request.path})


def _never(exchange: Exchange) -> None:
    exchange.wait_gone()


class Switch:
    """A handler that passes each request to whatever the test set."""

    def __init__(self) -> None:
        self.handler: Callable[[Exchange], None] = _answer

    def __call__(self, exchange: Exchange) -> None:
        self.handler(exchange)


@pytest.fixture
def switch() -> Switch:
    return Switch()


@pytest.fixture
def scripted(switch: Switch) -> Iterator[Scripted]:
    with Scripted(switch) as running:
        yield running


@pytest.fixture
def start(start_daemon: StartDaemon, scripted: Scripted) -> Callable[..., Daemon]:
    """A function that starts a daemon whose provider `up` is asked; with more settings of it."""

    def started(limits: Mapping[str, object] | None = None, **settings: object) -> Daemon:
        provider = upstream("openai", f"{scripted.url}/v1", **settings)
        return start_daemon(config({"up": provider}, limits=limits or {}))

    return started


def _passed(daemon: Daemon) -> Mapping[str, Any]:
    found = daemon.get("/health/metrics")["passthrough"]
    assert isinstance(found, dict)
    return found


def _counted(daemon: Daemon, **counts: object) -> Mapping[str, Any]:
    """Wait until these counts are shown; return those of the provider."""

    def look() -> bool:
        passed = _passed(daemon)
        return all(passed[name] == value for name, value in counts.items())

    eventually(look, f"the metrics showed {counts}")
    found = daemon.get("/health/metrics")["providers"]["up"]["passthrough"]
    assert isinstance(found, dict)
    return found


def test_requests_are_counted_and_shown(start: Callable[..., Daemon], switch: Switch) -> None:
    daemon = start()
    assert daemon.ask("GET", "/up/v1/files").status == 200
    assert daemon.ask("POST", "/up/v1/files", b"x").status == 200
    switch.handler = lambda exchange: exchange.answer(404, {})
    assert daemon.ask("GET", "/up/v1/nothing").status == 404
    switch.handler = lambda exchange: exchange.answer(503, {})
    assert daemon.ask("GET", "/up/v1/files").status == 503
    provider = _counted(daemon, requests=4, succeeded=2, refused=1, failed=1, cancelled=0)
    assert provider["statuses"] == {"200": 2, "404": 1, "503": 1}
    assert provider["failures"] == {"client_error": 1, "server_error": 1}
    assert provider["avg_response_time"] > 0
    metrics = daemon.get("/health/metrics")
    assert (metrics["total_requests"], metrics["success_rate"]) == (0, 1.0)
    assert metrics["providers"]["up"]["requests"] == 0
    facts = daemon.get("/health/providers")["up"]
    assert facts["last_error"] == "the upstream answered 503"
    assert facts["breaker"]["failures"] == 1
    assert facts["metrics"]["passthrough"]["requests"] == 4
    status = daemon.command("status", "--socket", str(daemon.socket))
    assert "4 passed through" in status.stdout


def test_failures_open_the_circuit_and_an_open_circuit_refuses(
    start: Callable[..., Daemon], switch: Switch, scripted: Scripted
) -> None:
    daemon = start(circuit_breaker=BREAKER)
    switch.handler = lambda exchange: exchange.answer(500, {})
    for _ in range(3):
        assert daemon.ask("GET", "/up/v1/files").status == 500
    daemon.wait_health("up", circuit_state="open")
    asked = len(scripted.requests)
    reply = daemon.ask("GET", "/up/v1/files")
    assert reply.status == 503
    assert 1 <= int(reply.headers["retry-after"]) <= 60
    assert reply.headers["x-standby-attempts"] == "0"
    assert "circuit" in reply.json["error"]["message"]
    assert daemon.ask("POST", PATHS["openai"], request_body("openai", "m-1")).status == 503
    assert len(scripted.requests) == asked
    provider = _counted(daemon, requests=4, failed=4)
    assert provider["requests"] == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 429, 501])
def test_refusals_say_nothing_of_the_provider(
    start: Callable[..., Daemon], switch: Switch, status: int
) -> None:
    """Another part of the API has limits and permissions of its own: models are asked as ever."""
    daemon = start(circuit_breaker=BREAKER)
    switch.handler = lambda exchange: exchange.answer(status, {}, headers={"retry-after": "30"})
    for _ in range(4):
        assert daemon.ask("GET", "/up/v1/files").status == status
    _counted(daemon, requests=4, refused=4 if status < 500 else 0)
    facts = daemon.get("/health/providers")["up"]
    assert (facts["circuit_state"], facts["set_aside"], facts["healthy"]) == ("closed", False, True)
    assert (facts["gate_opens_in"], facts["breaker"]["failures"]) == (0, 0)


def test_a_refused_probe_leaves_the_circuit_half_open(
    start: Callable[..., Daemon], switch: Switch
) -> None:
    daemon = start(circuit_breaker={**BREAKER, "recovery_timeout": "100ms"})
    switch.handler = lambda exchange: exchange.answer(500, {})
    for _ in range(3):
        daemon.ask("GET", "/up/v1/files")
    daemon.wait_health("up", circuit_state="half_open")
    switch.handler = lambda exchange: exchange.answer(404, {})
    assert daemon.ask("GET", "/up/v1/files").status == 404
    assert daemon.get("/health/providers")["up"]["circuit_state"] == "half_open"
    switch.handler = _answer
    assert daemon.ask("GET", "/up/v1/files").status == 200
    daemon.wait_health("up", circuit_state="closed")


def test_nobody_listening_is_a_502_and_asked_once(start_daemon: StartDaemon) -> None:
    nowhere = upstream("anthropic", "http://127.0.0.1:9", **QUICK)
    daemon = start_daemon(config({"up": nowhere}))
    reply = daemon.ask("POST", "/up/v1/files", b"x")
    assert reply.status == 502
    assert reply.json["type"] == "error"
    assert reply.headers["x-standby-attempts"] == "1"
    assert "x-should-retry" not in reply.headers
    assert _counted(daemon, failed=1)["failures"] == {"connect": 1}


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_connection_that_is_lost_before_the_answer_is_a_502_and_asked_once(
    start: Callable[..., Daemon], switch: Switch, scripted: Scripted, method: str
) -> None:
    daemon = start()
    switch.handler = lambda exchange: exchange.hang_up()
    reply = daemon.ask(method, "/up/v1/files", b"x")
    assert (reply.status, len(scripted.requests)) == (502, 1)
    assert _counted(daemon, failed=1)["failures"] == {"reset": 1}


@pytest.mark.parametrize(
    ("method", "times"), [("GET", 2), ("DELETE", 2), ("POST", 1), ("PATCH", 1)]
)
def test_only_what_may_be_repeated_is_sent_again_on_a_connection_that_proved_stale(
    start: Callable[..., Daemon], switch: Switch, scripted: Scripted, method: str, times: int
) -> None:
    daemon = start()
    assert daemon.ask("GET", "/up/v1/files").status == 200  # its connection is kept
    asked = len(scripted.requests)

    def hangs_up_once(exchange: Exchange) -> None:
        switch.handler = _answer
        exchange.hang_up()

    switch.handler = hangs_up_once
    reply = daemon.ask(method, "/up/v1/files", b"x")
    assert reply.status == (200 if times == 2 else 502)
    assert len(scripted.requests) == asked + times


def test_a_provider_that_dies_with_a_request_is_not_asked_again(
    start: Callable[..., Daemon], switch: Switch, scripted: Scripted
) -> None:
    daemon = start()
    asked = threading.Event()

    def handler(exchange: Exchange) -> None:
        asked.set()
        exchange.wait_gone()

    switch.handler = handler
    with ThreadPoolExecutor() as threads:
        reply = threads.submit(daemon.ask, "POST", "/up/v1/files", b"x")
        assert asked.wait(PATIENCE)
        daemon.kill("provider:up")
        said = reply.result(PATIENCE)
    assert said.status == 503
    assert len(scripted.requests) == 1
    switch.handler = _answer
    assert daemon.ask("GET", "/up/v1/files").status == 200


@pytest.mark.parametrize("framing", [b"content-length: 100", b"transfer-encoding: chunked"])
def test_an_answer_that_breaks_off_never_looks_whole(
    start: Callable[..., Daemon], switch: Switch, framing: bytes
) -> None:
    daemon = start()

    def handler(exchange: Exchange) -> None:
        exchange.raw(b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % framing)
        exchange.raw(b"5\r\nhello\r\n" if b"chunked" in framing else b"hello")
        exchange.hang_up()

    switch.handler = handler
    with pytest.raises(http.client.IncompleteRead) as broken:
        daemon.ask("GET", "/up/v1/files/f/content")
    assert broken.value.partial == b"hello", "nothing of ours is mixed into it"
    assert _counted(daemon, failed=1)["failures"] == {"reset": 1}


@pytest.mark.parametrize("begun", [False, True])
def test_an_asker_who_leaves_cancels_the_upstream_at_once(
    start: Callable[..., Daemon], switch: Switch, begun: bool
) -> None:
    daemon = start()
    asked, gone = threading.Event(), threading.Event()

    def handler(exchange: Exchange) -> None:
        if begun:
            exchange.begin()
            exchange.piece(b"data: 1\n\n")
        asked.set()
        if exchange.wait_gone():
            gone.set()

    switch.handler = handler
    connection = UnixConnection(daemon.socket, 15)
    connection.request("POST", "/up/v1/responses", b"{}")
    assert asked.wait(PATIENCE)
    if begun:
        answer = connection.getresponse()
        assert answer.read1(100) == b"data: 1\n\n"
        answer.close()
    connection.close()
    assert gone.wait(PATIENCE)
    assert _counted(daemon, cancelled=1)["cancelled"] == 1


def test_no_answer_in_time_is_a_504(start: Callable[..., Daemon], switch: Switch) -> None:
    daemon = start(**QUICK)
    switch.handler = _never
    reply = daemon.ask("GET", "/up/v1/files")
    assert reply.status == 504
    assert "no answer within 0.6 s (its timeouts.total)" in reply.json["error"]["message"]
    assert _counted(daemon, failed=1)["failures"] == {"timeout": 1}


def test_the_askers_own_time_counts_too(start: Callable[..., Daemon], switch: Switch) -> None:
    daemon = start()
    switch.handler = _never
    reply = daemon.ask("GET", "/up/v1/files", None, {"x-standby-timeout": "200ms"})
    assert reply.status == 504
    assert "x-standby-timeout" in reply.json["error"]["message"]


def test_silence_within_an_answer_ends_it(start: Callable[..., Daemon], switch: Switch) -> None:
    daemon = start(timeouts={"stall": "300ms"})

    def handler(exchange: Exchange) -> None:
        exchange.begin()
        exchange.piece(b"data: 1\n\n")
        exchange.wait_gone()

    switch.handler = handler
    with pytest.raises(http.client.IncompleteRead) as broken:
        daemon.ask("GET", "/up/v1/events")
    assert broken.value.partial == b"data: 1\n\n"
    assert _counted(daemon, failed=1)["failures"] == {"stall": 1}


def test_a_body_beyond_the_doors_limit_is_refused(
    start: Callable[..., Daemon], scripted: Scripted
) -> None:
    daemon = start({"max_body": "64KiB"})
    reply = daemon.ask("POST", "/up/v1/files", b"x" * 70_000)
    assert reply.status == 413
    assert not scripted.requests
    assert daemon.ask("POST", "/up/v1/files", b"x" * 60_000).status == 200


def test_they_share_the_providers_connections_with_all_others(
    start: Callable[..., Daemon], switch: Switch, scripted: Scripted
) -> None:
    daemon = start(max_connections=1, queue_limit=0)
    asked, go_on = threading.Event(), threading.Event()

    def handler(exchange: Exchange) -> None:
        asked.set()
        assert go_on.wait(PATIENCE)
        _answer(exchange)

    switch.handler = handler
    with ThreadPoolExecutor() as threads:
        first = threads.submit(daemon.ask, "GET", "/up/v1/files")
        assert asked.wait(PATIENCE)
        second = daemon.ask("GET", "/up/v1/files")
        go_on.set()
        assert first.result(PATIENCE).status == 200
    assert second.status == 503
    assert second.headers["x-should-retry"] == "true"
    assert len(scripted.requests) == 1
    assert daemon.ask("GET", "/up/v1/files").status == 200
    assert daemon.nodes()["provider:up"]["extra"]["opened"] == 1


def test_they_share_the_places_at_the_door_with_all_others(
    start: Callable[..., Daemon], switch: Switch, scripted: Scripted
) -> None:
    daemon = start({"max_in_flight": 1})
    asked, go_on = threading.Event(), threading.Event()

    def handler(exchange: Exchange) -> None:
        asked.set()
        assert go_on.wait(PATIENCE)
        _answer(exchange)

    switch.handler = handler
    with ThreadPoolExecutor() as threads:
        first = threads.submit(daemon.ask, "GET", "/up/v1/files")
        assert asked.wait(PATIENCE)
        second = daemon.ask("GET", "/up/v1/files")
        go_on.set()
        assert first.result(PATIENCE).status == 200
    assert second.status == 503
    assert (second.headers["x-should-retry"], len(scripted.requests)) == ("true", 1)
    assert daemon.ask("GET", "/up/v1/files").status == 200


def test_a_broken_head_is_answered_in_the_providers_dialect(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(config({"up": upstream("anthropic", "http://127.0.0.1:9")}))
    reply = raw.send(
        daemon.socket,
        b"POST /up/v1/files HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
    )
    assert (reply.status, reply.json["type"]) == (400, "error")
