"""A client that leaves cancels its request at the upstream, at once and in every phase."""

import json
import socket
import struct
import threading
from collections.abc import Iterator

import pytest

from tests.support import clients, raw
from tests.support.answers import PATHS, request_body
from tests.support.clients import OPENAI_ASK
from tests.support.configs import base_url, config, group, simulated, upstream
from tests.support.daemon import Daemon
from tests.support.lockstep import LockStep
from tests.support.scripted import PATIENCE, Exchange, Scripted
from tests.support.waiting import eventually

DIALECTS = ("openai", "anthropic")


class Switch:
    """A handler that passes each request to whatever the test set last."""

    def __init__(self) -> None:
        self.handler: LockStep | Never | None = None

    def __call__(self, exchange: Exchange) -> None:
        assert self.handler is not None
        self.handler(exchange)


class Never:
    """A handler that never answers and notes when the asker hangs up."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.gone = threading.Event()

    def __call__(self, exchange: Exchange) -> None:
        self.asked.set()
        if exchange.wait_gone():
            self.gone.set()


@pytest.fixture(scope="module")
def switch() -> Switch:
    return Switch()


@pytest.fixture(scope="module")
def daemon(switch: Switch) -> Iterator[Daemon]:
    with (
        Scripted(switch) as scripted,
        Daemon(
            config(
                {
                    "o": upstream("openai", base_url("openai", scripted.url)),
                    "a": upstream("anthropic", base_url("anthropic", scripted.url)),
                    "spare": upstream("openai", base_url("openai", scripted.url)),
                    "paced": simulated("openai", tokens_per_second=5.0, answer_words=200),
                },
                {
                    "openai": group("o", "spare"),
                    "anthropic": group("a"),
                    "paced-chat": group("paced", model="sim-1"),
                },
            )
        ) as running,
    ):
        yield running


def _asking(daemon: Daemon, dialect: str, *, stream: bool) -> socket.socket:
    """Return a connection on which a request has been sent."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(PATIENCE)
    sock.connect(str(daemon.socket))
    body = json.dumps(request_body(dialect, dialect, stream=stream)).encode()
    sock.sendall(raw.post(PATHS[dialect], body))
    return sock


def _idle(daemon: Daemon, provider: str) -> bool:
    entry = daemon.get("/health/providers")[provider]
    return bool(entry["in_flight"] == 0 and entry["queued"] == 0)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("stream", [False, True])
def test_leaving_before_the_answer_cancels_the_upstream_request(
    daemon: Daemon, switch: Switch, dialect: str, stream: bool
) -> None:
    never = switch.handler = Never()
    with _asking(daemon, dialect, stream=stream):
        assert never.asked.wait(PATIENCE)
    assert never.gone.wait(PATIENCE), "the upstream never saw its asker leave"
    eventually(lambda: _idle(daemon, dialect[0]), "nothing was in flight any more")


@pytest.mark.parametrize("dialect", DIALECTS)
def test_leaving_in_the_middle_of_a_stream_cancels_the_upstream_request(
    daemon: Daemon, switch: Switch, dialect: str
) -> None:
    step = switch.handler = LockStep()
    step.allow()
    with _asking(daemon, dialect, stream=True) as sock:
        got = b""
        while b"one " not in got:
            got += sock.recv(65536)
        step.wait_gone()
    assert step.gone.wait(PATIENCE), "the upstream never saw its asker leave"
    eventually(lambda: _idle(daemon, dialect[0]), "nothing was in flight any more")


def test_a_reset_counts_as_leaving(daemon: Daemon, switch: Switch) -> None:
    never = switch.handler = Never()
    with _asking(daemon, "openai", stream=True) as sock:
        assert never.asked.wait(PATIENCE)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    assert never.gone.wait(PATIENCE)


def test_leaving_is_no_failure_and_asks_no_second_provider(daemon: Daemon, switch: Switch) -> None:
    never = switch.handler = Never()
    before = daemon.get("/health/providers")
    for _ in range(10):
        never.asked.clear()
        with _asking(daemon, "openai", stream=True):
            assert never.asked.wait(PATIENCE)
    eventually(lambda: _idle(daemon, "o"), "nothing was in flight any more")
    after = daemon.get("/health/providers")
    assert after["o"]["circuit_state"] == "closed"
    assert after["o"]["healthy"]
    assert after["spare"]["connections"] == before["spare"]["connections"]


def test_the_sdk_closing_its_stream_cancels_the_simulated_upstream(daemon: Daemon) -> None:
    with clients.openai_client(daemon.socket) as client:
        stream = client.chat.completions.create(
            model="paced-chat", messages=OPENAI_ASK, stream=True
        )
        for chunk in stream:
            if chunk.choices and chunk.choices[0].delta.content:
                break
        assert daemon.get("/health/providers")["paced"]["in_flight"] == 1
        before = daemon.nodes()["simulator:paced"]["extra"]["cancelled"]
        stream.close()
        eventually(lambda: _idle(daemon, "paced"), "nothing was in flight any more")
        eventually(
            lambda: daemon.nodes()["simulator:paced"]["extra"]["cancelled"] == before + 1,
            "the simulated upstream had seen its asker leave",
        )


def test_many_that_leave_at_once_leave_nothing_behind(daemon: Daemon, switch: Switch) -> None:
    before = daemon.open_files()
    switch.handler = Never()
    asking = [_asking(daemon, "openai", stream=bool(n % 2)) for n in range(50)]
    # An upstream connection that is ready only after its asker has left would be kept for others.
    daemon.wait_health("o", in_flight=50)
    for sock in asking:
        sock.close()
    eventually(lambda: _idle(daemon, "o"), "nothing was in flight any more")
    eventually(lambda: daemon.open_files() <= before, "every socket was closed")
    entry = daemon.get("/health/providers")["o"]
    assert entry["circuit_state"] == "closed"


def test_leaving_in_mid_stream_is_no_failure_of_the_provider() -> None:
    flowing = simulated("openai", tokens_per_second=400.0, answer_words=2000)
    settings = config(
        {"sim-o": flowing, "spare": flowing},
        {"openai": group("sim-o", "spare", model="sim-1")},
        circuit_breaker={"failure_threshold": 3},
    )
    with Daemon(settings) as daemon:
        for _ in range(8):
            with _asking(daemon, "openai", stream=True) as sock:
                got = b""
                while got.count(b"data: ") < 3:
                    got += sock.recv(65536)
        eventually(lambda: _idle(daemon, "sim-o"), "nothing was in flight any more")
        providers = daemon.get("/health/providers")
        assert providers["sim-o"]["circuit_state"] == "closed"
        assert providers["sim-o"]["healthy"]
        assert providers["sim-o"]["health_score"] == 1
        assert providers["spare"]["connections"] == 0, "nobody else was asked in its place"
