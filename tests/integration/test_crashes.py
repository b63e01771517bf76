"""Parts of the daemon are killed while they work; every request is answered all the same."""

import http.client
import json
import socket
import threading
from collections.abc import Iterator

import httpx2
import openai
import pytest

from tests.support import clients, raw
from tests.support.answers import PATHS, TEXT, WORDS, request_body
from tests.support.clients import OPENAI_ASK
from tests.support.configs import base_url, config, group, simulated, upstream
from tests.support.daemon import Daemon, Reply
from tests.support.faults import good
from tests.support.lockstep import LockStep
from tests.support.reading import text_of
from tests.support.scripted import PATIENCE, Exchange, Scripted
from tests.support.waiting import eventually

DIALECTS = ("openai", "anthropic")


class Held:
    """A handler that does not answer until the test ends the exchange's connection."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.gone = threading.Event()

    def __call__(self, exchange: Exchange) -> None:
        self.asked.set()
        if exchange.wait_gone():
            self.gone.set()


class Upstreams:
    """Two upstreams on one port: `/first/…` does what the test set, `/second/…` answers well."""

    def __init__(self) -> None:
        self.first: LockStep | Held = Held()

    def __call__(self, exchange: Exchange) -> None:
        dialect = "anthropic" if exchange.request.path.endswith("/messages") else "openai"
        if exchange.request.path.startswith("/first/"):
            self.first(exchange)
        else:
            good(exchange, dialect)


@pytest.fixture(scope="module")
def upstreams() -> Upstreams:
    return Upstreams()


@pytest.fixture(scope="module")
def daemon(upstreams: Upstreams) -> Iterator[Daemon]:
    with Scripted(upstreams) as scripted:
        providers = {
            f"{place}-{dialect}": upstream(dialect, base_url(dialect, f"{scripted.url}/{place}"))
            for place in ("first", "second")
            for dialect in DIALECTS
        }
        groups = {dialect: group(f"first-{dialect}", f"second-{dialect}") for dialect in DIALECTS}
        with Daemon(config(providers, groups)) as running:
            yield running


class Asking:
    """One request on a thread of its own."""

    def __init__(self, daemon: Daemon, dialect: str, *, stream: bool) -> None:
        self._daemon = daemon
        self._target = PATHS[dialect]
        self._body = request_body(dialect, dialect, stream=stream)
        self._reply: Reply | None = None
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()

    def _ask(self) -> None:
        self._reply = self._daemon.ask("POST", self._target, self._body)

    def reply(self) -> Reply:
        """Return the answer, waiting for it."""
        self._thread.join(PATIENCE)
        assert self._reply is not None, "the request was never answered"
        return self._reply


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_provider_killed_before_its_answer_is_replaced_unseen(
    daemon: Daemon, upstreams: Upstreams, dialect: str, stream: bool
) -> None:
    held = upstreams.first = Held()
    daemon.wait_health(f"first-{dialect}", alive=True)
    asking = Asking(daemon, dialect, stream=stream)
    assert held.asked.wait(PATIENCE)
    daemon.kill(f"provider:first-{dialect}")
    reply = asking.reply()
    assert reply.status == 200, reply.body
    assert text_of(reply, dialect, stream=stream) == TEXT
    assert reply.headers["x-standby-provider"] == f"second-{dialect}"
    assert reply.headers["x-standby-attempts"] == "2"
    assert held.gone.wait(PATIENCE), "the connections of a killed provider are closed"
    daemon.wait_health(f"first-{dialect}", alive=True)


def test_a_provider_killed_in_mid_stream_is_an_error_and_never_a_clean_end(
    daemon: Daemon, upstreams: Upstreams
) -> None:
    step = upstreams.first = LockStep()
    daemon.wait_health("first-openai", alive=True)
    step.allow(2)
    got: list[str] = []
    with clients.openai_client(daemon.socket) as client:
        stream = client.chat.completions.create(model="openai", messages=OPENAI_ASK, stream=True)
        with pytest.raises(openai.APIError):
            _read_and_kill(daemon, stream, got)
    assert "".join(got) == "".join(WORDS[:2])
    step.wait_gone()
    assert step.gone.wait(PATIENCE)
    eventually(lambda: _serves(daemon), "the killed provider served again")


def _read_and_kill(
    daemon: Daemon,
    stream: openai.Stream[openai.types.chat.ChatCompletionChunk],
    got: list[str],
    *,
    name: str = "provider:first-openai",
    after: int = 2,
) -> None:
    for chunk in stream:
        got += [choice.delta.content for choice in chunk.choices if choice.delta.content]
        if len(got) == after:
            daemon.kill(name)


def _serves(daemon: Daemon) -> bool:
    return bool(daemon.get("/health/providers")["first-openai"]["alive"])


@pytest.mark.parametrize(
    "name",
    [
        "telemetry",
        "failover",
        "breakers",
        "providers",
        "breaker:first-openai",
        "provider:second-openai",
        "poller",
        "deadlines",
        "door:unix",
    ],
)
def test_whatever_is_killed_comes_back_and_requests_go_on(
    daemon: Daemon, upstreams: Upstreams, name: str
) -> None:
    before = daemon.nodes()
    names = frozenset(found for found in before if not found.startswith("connection:"))
    assert before[name]["state"] == "running"
    # A provider that holds its answers would hide whether the path goes on.
    upstreams.first = LockStep()
    upstreams.first.allow(100)
    said = daemon.kill(name)
    assert said["killed"] == name
    body = request_body("openai", "openai", stream=True)
    reply = daemon.ask("POST", PATHS["openai"], body)
    assert reply.status == 200, reply.body
    assert text_of(reply, "openai", stream=True) == TEXT
    daemon.wait_whole(names, said)
    assert daemon.ask("POST", PATHS["openai"], body).status == 200


def test_the_tree_counts_restarts_and_says_why(daemon: Daemon) -> None:
    daemon.kill_and_wait("telemetry")
    shown = daemon.get("/supervision/tree")
    assert shown["schema"] == 1
    assert shown["pid"] == daemon.pid
    telemetry = daemon.nodes()["telemetry"]
    assert telemetry["restarts"] >= 1
    assert "kill" in str(telemetry["last_exit"])
    assert any("telemetry" in str(event) for event in shown["events"])


@pytest.mark.parametrize("name", ["door:unix", "poller", "deadlines", "telemetry", "failover"])
def test_a_request_that_was_half_sent_and_those_after_it_are_answered_on_the_same_connection(
    daemon: Daemon, upstreams: Upstreams, name: str
) -> None:
    upstreams.first = LockStep()
    upstreams.first.allow(100)
    asked = request_body("anthropic", "anthropic", stream=True)
    whole = raw.post(PATHS["anthropic"], json.dumps(asked).encode())
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
        client.settimeout(PATIENCE)
        client.connect(str(daemon.socket))
        for cut in (10, len(whole) - 10):
            client.sendall(whole[:cut])
            daemon.kill_and_wait(name)
            client.sendall(whole[cut:])
            assert text_of(raw.read(client, "POST"), "anthropic", stream=True) == TEXT
        daemon.kill_and_wait(name)
        client.sendall(whole)
        assert text_of(raw.read(client, "POST"), "anthropic", stream=True) == TEXT


@pytest.mark.parametrize("name", ["connections", "doors"])
def test_killed_connections_are_cut_honestly_and_new_ones_served(
    daemon: Daemon, upstreams: Upstreams, name: str
) -> None:
    step = upstreams.first = LockStep()
    daemon.wait_health("first-openai", alive=True)
    step.allow()
    got: list[str] = []
    with clients.openai_client(daemon.socket) as client:
        stream = client.chat.completions.create(model="openai", messages=OPENAI_ASK, stream=True)
        with pytest.raises((openai.APIError, httpx2.TransportError)):
            _read_and_kill(daemon, stream, got, name=name, after=1)
    step.wait_gone()
    assert step.gone.wait(PATIENCE), "what was done for the cut client is cancelled"
    eventually(lambda: _answers(daemon), "new clients were served")
    upstreams.first = LockStep()
    upstreams.first.allow(100)
    body = request_body("openai", "openai", stream=True)
    reply = daemon.ask("POST", PATHS["openai"], body)
    assert text_of(reply, "openai", stream=True) == TEXT


def test_one_killed_connection_harms_no_other(daemon: Daemon, upstreams: Upstreams) -> None:
    step = upstreams.first = LockStep()
    step.allow()
    asking = Asking(daemon, "anthropic", stream=True)
    eventually(lambda: step.sent == 1, "the stream had begun")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as idle:
        idle.settimeout(PATIENCE)
        before = {name for name in daemon.nodes() if name.startswith("connection:")}
        idle.connect(str(daemon.socket))
        idle.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        assert raw.read(idle).status == 200
        # The connection that asked for the tree is in it too, and gone again by the next look.
        fresh = {name for name in daemon.nodes() if name.startswith("connection:")} - before
        for name in fresh:
            daemon.ask("POST", f"/supervision/{name}/kill")
        assert idle.recv(1) == b"", "the killed connection is closed"
    step.allow(len(WORDS))
    reply = asking.reply()
    assert reply.status == 200
    assert text_of(reply, "anthropic", stream=True) == TEXT


def _answers(daemon: Daemon) -> bool:
    try:
        return daemon.ask("GET", "/health").status == 200
    except (OSError, http.client.HTTPException):
        return False


def test_clients_that_come_while_connections_die_are_served_or_cut_and_never_kept_waiting() -> None:
    served: list[int] = []
    cut: list[Exception] = []
    over = threading.Event()

    def come(daemon: Daemon) -> None:
        while not over.is_set():
            try:
                served.append(daemon.ask("GET", "/health", timeout=10).status)
            except TimeoutError:
                raise
            except (OSError, http.client.HTTPException) as error:
                cut.append(error)

    settings = config({"sim-o": simulated("openai")}, {"chat": group("sim-o", model="sim-1")})
    with Daemon(settings) as daemon:
        comers = [threading.Thread(target=come, args=(daemon,)) for _ in range(4)]
        for comer in comers:
            comer.start()
        for number in range(12):
            _kill_if_there(daemon, ("connections", "doors", "door:unix")[number % 3])
            _wait_longer(served, len(served) + 20)
        over.set()
        for comer in comers:
            comer.join(PATIENCE)
            assert not comer.is_alive()
    assert set(served) <= {200, 503}
    assert len(cut) < len(served)


def _kill_if_there(daemon: Daemon, name: str) -> None:
    try:
        daemon.ask("POST", f"/supervision/{name}/kill")
    except (OSError, http.client.HTTPException):
        return  # the connection that carried the order was among those killed


def _wait_longer(served: list[int], length: int) -> None:
    eventually(lambda: len(served) > length, "clients were served")
