"""Upstreams over HTTP/2: many requests on one connection, each as good as on one of its own."""

import json
import socket
import ssl
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

from tests.integration.conftest import StartDaemon
from tests.support import raw
from tests.support.answers import PATHS, TEXT, answer, closing, opening, request_body, tokens
from tests.support.configs import base_url, config, upstream
from tests.support.daemon import Daemon
from tests.support.http2 import PATIENCE, Http2Upstream, Stream
from tests.support.proxy import Proxy
from tests.support.reading import error_of, events, finished, text_of
from tests.support.waiting import eventually

DIALECTS = ("openai", "anthropic")
LATE = 0.3
"""Seconds by which an upstream is late: more than the daemon waits for on other connections."""


def _dialect(stream: Stream) -> str:
    return "anthropic" if stream.headers[":path"].endswith("/messages") else "openai"


def _good(stream: Stream) -> None:
    dialect = _dialect(stream)
    if not stream.json.get("stream"):
        stream.answer(json.dumps(answer(dialect)).encode())
        return
    _begun(stream)
    for event in closing(dialect):
        stream.piece(event)
    stream.finish()


def _begun(stream: Stream) -> None:
    dialect = _dialect(stream)
    stream.begin("text/event-stream")
    for event in (*opening(dialect), *tokens(dialect)):
        stream.piece(event)


class Switch:
    """A handler that passes each request to whatever the test set last."""

    def __init__(self) -> None:
        self.handler = _good

    def __call__(self, stream: Stream) -> None:
        self.handler(stream)


class Rig:
    """An HTTP/2 upstream, and what a daemon needs to trust it."""

    def __init__(self, running: ExitStack, folder: Path) -> None:
        authority = trustme.CA()
        known = folder / "known.pem"
        authority.cert_pem.write_to_path(str(known))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", "upstream.example").configure_cert(context)
        self.switch = Switch()
        self.upstream = running.enter_context(Http2Upstream(self.switch, context))
        self.environment = {"SSL_CERT_FILE": str(known)}

    def config(self, **settings: object) -> dict[str, object]:
        """Return a configuration with the upstream in both dialects."""
        return config(
            {
                dialect: upstream(
                    dialect, base_url(dialect, self.upstream.url), http2=True, **settings
                )
                for dialect in DIALECTS
            }
        )


@pytest.fixture
def rig(tmp_path: Path) -> Iterator[Rig]:
    with ExitStack() as running:
        yield Rig(running, tmp_path)


def _ask(daemon: Daemon, dialect: str, *, stream: bool = False) -> str:
    body = request_body(dialect, f"{dialect}/m-1", stream=stream)
    reply = daemon.ask("POST", PATHS[dialect], body)
    assert reply.status == 200, reply.body
    assert reply.headers["x-standby-attempts"] == "1"
    return text_of(reply, dialect, stream=stream)


def _in_flight(daemon: Daemon, provider: str) -> int:
    found = daemon.nodes()[f"provider:{provider}"]["extra"]["in_flight"]
    assert isinstance(found, int)
    return found


@pytest.mark.parametrize("dialect", DIALECTS)
def test_one_connection_answers_again_and_again(
    rig: Rig, start_daemon: StartDaemon, dialect: str
) -> None:
    daemon = start_daemon(rig.config(), rig.environment)
    for stream in (False, True, False, True):
        assert _ask(daemon, dialect, stream=stream) == TEXT
    assert rig.upstream.connections == 1
    received = rig.upstream.streams[0]
    assert received.headers[":authority"] == f"127.0.0.1:{rig.upstream.port}"
    assert "user-agent" not in received.headers
    assert "accept-encoding" not in received.headers


def test_two_hundred_requests_at_one_time_share_connections(
    rig: Rig, start_daemon: StartDaemon
) -> None:
    together = threading.Barrier(200, timeout=PATIENCE)

    def all_at_once(stream: Stream) -> None:
        together.wait()
        _good(stream)

    daemon = start_daemon(rig.config(max_connections=200), rig.environment)
    assert _ask(daemon, "openai") == TEXT
    rig.switch.handler = all_at_once
    with ThreadPoolExecutor(200) as threads:
        texts = list(threads.map(lambda _: _ask(daemon, "openai", stream=True), range(200)))
    assert set(texts) == {TEXT}
    assert rig.upstream.connections <= 3


def test_an_upstream_that_allows_few_streams_is_asked_on_more_connections(
    rig: Rig, start_daemon: StartDaemon
) -> None:
    rig.upstream.max_streams = 4
    together = threading.Barrier(12, timeout=PATIENCE)

    def all_at_once(stream: Stream) -> None:
        together.wait()
        _good(stream)

    daemon = start_daemon(rig.config(max_connections=12), rig.environment)
    assert _ask(daemon, "openai") == TEXT
    rig.switch.handler = all_at_once
    with ThreadPoolExecutor(12) as threads:
        texts = list(threads.map(lambda _: _ask(daemon, "openai"), range(12)))
    assert set(texts) == {TEXT}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_an_upstream_that_ends_its_stream_late_keeps_its_connection(
    rig: Rig, start_daemon: StartDaemon, dialect: str
) -> None:
    ended, kept = threading.Event(), []

    def late(stream: Stream) -> None:
        _begun(stream)
        for event in closing(dialect):
            stream.piece(event)
        ended.wait(PATIENCE)
        kept.append(not stream.was_reset.wait(LATE))
        stream.piece(b": that was all\n\n")
        stream.finish()

    daemon = start_daemon(rig.config(), rig.environment)
    rig.switch.handler = late
    assert _ask(daemon, dialect, stream=True) == TEXT
    rig.switch.handler = _good
    assert _ask(daemon, dialect, stream=True) == TEXT
    assert _in_flight(daemon, dialect) >= 1, "the place is taken until the upstream is done"
    ended.set()
    eventually(lambda: _in_flight(daemon, dialect) == 0, "its place became free")
    assert kept == [True]
    assert _ask(daemon, dialect) == TEXT
    assert rig.upstream.connections == 1


def test_an_upstream_that_never_ends_its_stream_is_waited_for_no_longer_than_it_may_be(
    rig: Rig, start_daemon: StartDaemon
) -> None:
    def never(stream: Stream) -> None:
        _begun(stream)
        for event in closing("openai"):
            stream.piece(event)

    daemon = start_daemon(rig.config(max_connections=1), rig.environment)
    rig.switch.handler = never
    assert _ask(daemon, "openai", stream=True) == TEXT
    assert rig.upstream.streams[0].was_reset.wait(PATIENCE)
    rig.switch.handler = _good
    assert _ask(daemon, "openai", stream=True) == TEXT
    eventually(lambda: _in_flight(daemon, "openai") == 0, "all places are free")


def test_an_upstream_killed_before_it_has_ended_its_stream_frees_its_place(
    rig: Rig, start_daemon: StartDaemon
) -> None:
    def never(stream: Stream) -> None:
        _begun(stream)
        for event in closing("openai"):
            stream.piece(event)

    daemon = start_daemon(rig.config(max_connections=1), rig.environment)
    rig.switch.handler = never
    assert _ask(daemon, "openai", stream=True) == TEXT
    daemon.kill_and_wait("provider:openai")
    rig.switch.handler = _good
    assert _ask(daemon, "openai") == TEXT


@pytest.mark.parametrize("begin", [False, True])
def test_a_client_that_leaves_resets_its_stream_and_harms_no_other(
    rig: Rig, start_daemon: StartDaemon, *, begin: bool
) -> None:
    going_on = threading.Event()

    def wait(stream: Stream) -> None:
        if begin:
            _begun(stream)
        else:
            stream.was_reset.wait(PATIENCE)

    def slow(stream: Stream) -> None:
        _begun(stream)
        going_on.wait(PATIENCE)
        for event in closing("openai"):
            stream.piece(event)
        stream.finish()

    daemon = start_daemon(rig.config(), rig.environment)
    rig.switch.handler = slow
    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(_ask, daemon, "openai", stream=True)
        eventually(lambda: len(rig.upstream.streams) == 1, "the other's request arrives")
        rig.switch.handler = wait
        client = socket.socket(socket.AF_UNIX)
        client.connect(str(daemon.socket))
        body = json.dumps(request_body("openai", "openai/m-1", stream=True)).encode()
        client.sendall(raw.post(PATHS["openai"], body))
        eventually(lambda: len(rig.upstream.streams) == 2, "the request arrives")
        if begin:
            client.recv(100)
        client.close()
        assert rig.upstream.streams[1].was_reset.wait(PATIENCE)
        going_on.set()
        assert other.result(PATIENCE) == TEXT
    assert rig.upstream.connections == 1
    rig.switch.handler = _good
    assert _ask(daemon, "openai") == TEXT


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("how", ["reset", "close"])
def test_a_stream_broken_off_ends_with_an_error(
    rig: Rig, start_daemon: StartDaemon, dialect: str, how: str
) -> None:
    def break_off(stream: Stream) -> None:
        _begun(stream)
        stream.reset() if how == "reset" else stream.connection.close()

    daemon = start_daemon(rig.config(), rig.environment)
    rig.switch.handler = break_off
    body, clean = daemon.read_raw_stream(
        PATHS[dialect], request_body(dialect, f"{dialect}/m-1", stream=True)
    )
    seen = list(events(body))
    assert error_of(seen, dialect) is not None
    assert not finished(seen, dialect)
    assert not clean
    rig.switch.handler = _good
    assert _ask(daemon, dialect) == TEXT


@pytest.mark.parametrize("how", ["reset", "close", "garbage", "silence"])
def test_a_failure_before_the_answer_is_repeated_by_policy(
    rig: Rig, start_daemon: StartDaemon, how: str
) -> None:
    daemon = start_daemon(rig.config(timeouts={"first_token": "300ms"}), rig.environment)

    def fail_once(stream: Stream) -> None:
        rig.switch.handler = _good
        match how:
            case "reset":
                stream.reset()
            case "close":
                stream.connection.close()
            case "garbage":
                stream.begin("text/html")
                stream.piece(b"<html>")
                stream.finish()
            case _:
                stream.was_reset.wait(PATIENCE)

    rig.switch.handler = fail_once
    body = request_body("openai", "openai/m-1", stream=True)
    reply = daemon.ask("POST", PATHS["openai"], body)
    if how == "garbage":
        assert reply.status == 502
    else:
        assert reply.status in {200, 502, 504}
        assert len(rig.upstream.streams) >= 1
    assert _ask(daemon, "openai", stream=True) == TEXT


def test_an_upstream_that_ends_its_connection_in_order_loses_no_request(
    rig: Rig, start_daemon: StartDaemon
) -> None:
    announced, going_on = threading.Event(), threading.Event()

    def announce(stream: Stream) -> None:
        _begun(stream)
        stream.connection.goaway(stream.number)
        announced.set()
        going_on.wait(PATIENCE)
        for event in closing("openai"):
            stream.piece(event)
        stream.finish()

    daemon = start_daemon(rig.config(), rig.environment)
    rig.switch.handler = announce
    with ThreadPoolExecutor(1) as threads:
        under_way = threads.submit(_ask, daemon, "openai", stream=True)
        assert announced.wait(PATIENCE)
        rig.switch.handler = _good
        for _ in range(5):
            assert _ask(daemon, "openai") == TEXT
        assert rig.upstream.connections == 2
        going_on.set()
        assert under_way.result(PATIENCE) == TEXT


def test_a_kept_connection_that_was_closed_is_replaced_unseen(
    rig: Rig, start_daemon: StartDaemon
) -> None:
    daemon = start_daemon(rig.config(), rig.environment)
    for number in range(3):
        assert _ask(daemon, "openai") == TEXT
        rig.upstream.streams[number].connection.close()
    assert rig.upstream.connections == 3


def test_a_killed_provider_fails_its_streams_honestly_and_comes_back(
    rig: Rig, start_daemon: StartDaemon
) -> None:
    daemon = start_daemon(rig.config(), rig.environment)
    rig.switch.handler = _begun
    with ThreadPoolExecutor(1) as threads:
        body = request_body("openai", "openai/m-1", stream=True)
        arrived = threading.Event()
        reading = threads.submit(
            daemon.read_raw_stream, PATHS["openai"], body, lambda _: arrived.set()
        )
        assert arrived.wait(PATIENCE)
        daemon.kill("provider:openai")
        text, clean = reading.result(PATIENCE)
    assert error_of(list(events(text)), "openai") is not None
    assert not clean
    rig.switch.handler = _good
    assert _ask(daemon, "openai") == TEXT


def test_a_long_stream_arrives_whole_though_its_reader_is_slow(
    rig: Rig, start_daemon: StartDaemon
) -> None:
    words = ["x" * 1000 + " "] * 3000

    def long(stream: Stream) -> None:
        stream.begin("text/event-stream")
        for event in (*opening("openai"), *tokens("openai", words), *closing("openai")):
            stream.piece(event)
        stream.finish()

    daemon = start_daemon(rig.config(), rig.environment)
    rig.switch.handler = long
    assert _ask(daemon, "openai", stream=True) == "".join(words)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_it_goes_through_a_proxy_as_well(rig: Rig, start_daemon: StartDaemon, dialect: str) -> None:
    with Proxy(rig.upstream.port) as proxy:
        provider = upstream(
            dialect,
            base_url(dialect, "https://upstream.example"),
            http2=True,
            proxy=f"http://127.0.0.1:{proxy.port}",
        )
        daemon = start_daemon(config({dialect: provider}), rig.environment)
        for stream in (False, True, True):
            assert _ask(daemon, dialect, stream=stream) == TEXT
        assert len(proxy.asked) == rig.upstream.connections == 1
