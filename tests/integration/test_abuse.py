"""Clients that behave badly, one by one or by the thousand: the daemon goes on for others."""

import contextlib
import http.client
import json
import random
import resource
import socket
import ssl
import threading
import time
from collections.abc import Iterator

import pytest

from tests.integration.conftest import StartDaemon
from tests.support import raw
from tests.support.answers import PATHS, opening, request_body, tokens
from tests.support.configs import base_url, config, group, simulated, upstream
from tests.support.daemon import Daemon, Reply
from tests.support.scripted import PATIENCE, CallerGone, Exchange, Scripted
from tests.support.waiting import eventually

MANY = 2000
HOARD = 8 * 1024 * 1024
"""Bytes by which the daemon may grow for one client that does not read."""
DEAF = 10
"""Clients that do not read, all at the same time."""
GET = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
ASK = json.dumps(request_body("openai", "chat")).encode()


@pytest.fixture(autouse=True, scope="module")
def _many_descriptors() -> Iterator[None]:
    """Let this process, and the daemons it starts, hold as many connections as the tests need."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 3 * MANY
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip(f"the system allows {hard} open files, {wanted} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Flood:
    """Answers without end, once all who are to ask have asked."""

    def __init__(self, askers: int) -> None:
        self.began = 0
        self.given_up = 0
        self._together = threading.Barrier(askers)
        self._lock = threading.Lock()

    def __call__(self, exchange: Exchange) -> None:
        self._together.wait(PATIENCE)
        with self._lock:
            self.began += 1
        exchange.begin()
        for event in opening("openai"):
            exchange.piece(event)
        words = b"".join(tokens("openai", ["word "] * 500))
        try:
            while True:
                exchange.piece(words)
        except CallerGone:
            with self._lock:
                self.given_up += 1
            raise


def configuration(flood: str = "http://127.0.0.1:9", **more: object) -> dict[str, object]:
    return config(
        {
            "sim-o": simulated("openai"),
            "paced": simulated("openai", tokens_per_second=2.0, answer_words=200),
            "flood": upstream("openai", base_url("openai", flood)),
        },
        {
            "chat": group("sim-o", model="sim-1"),
            "slow": group("paced", model="sim-1"),
            "much": group("flood"),
        },
        **more,
    )


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon(configuration()) as running:
        yield running


@pytest.fixture(scope="module")
def flood() -> Flood:
    return Flood(DEAF)


@pytest.fixture(scope="module")
def hasty(flood: Flood) -> Iterator[Daemon]:
    """A daemon that waits for nobody longer than a second."""
    timeouts = {"header": "1s", "body": "1s", "write": "1s"}
    with Scripted(flood) as there, Daemon(configuration(there.url, timeouts=timeouts)) as running:
        yield running


def connected(daemon: Daemon) -> socket.socket:
    """Return a connection to the daemon."""
    while True:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(PATIENCE)
        try:
            sock.connect(str(daemon.socket))
        except BlockingIOError:  # more come at once than the kernel's queue holds
            sock.close()
            time.sleep(0.001)
        else:
            return sock


@contextlib.contextmanager
def crowd(daemon: Daemon, many: int) -> Iterator[list[socket.socket]]:
    """Many connections at the same time."""
    with contextlib.ExitStack() as stack:
        yield [stack.enter_context(connected(daemon)) for _ in range(many)]


def assert_serves(daemon: Daemon) -> None:
    reply = daemon.ask("POST", PATHS["openai"], ASK)
    assert reply.status == 200


def asking(daemon: Daemon, model: str) -> socket.socket:
    """Return a connection on which a stream has been asked for."""
    sock = connected(daemon)
    body = json.dumps(request_body("openai", model, stream=True)).encode()
    sock.sendall(raw.post(PATHS["openai"], body))
    return sock


def counted(daemon: Daemon, simulator: str, what: str) -> int:
    """Return what a simulator counted by itself."""
    found = daemon.nodes()[f"simulator:{simulator}"]["extra"][what]
    assert isinstance(found, int)
    return found


def refusal(sock: socket.socket) -> Reply | None:
    """Return what a connection is told before it is closed; None when it is closed at once."""
    try:
        return raw.read(sock)
    except (ConnectionError, http.client.BadStatusLine):
        return None


def test_two_thousand_idle_connections_keep_nobody_from_being_served(daemon: Daemon) -> None:
    assert_serves(daemon)  # from here on its upstream connection is open
    before = daemon.open_files()
    with crowd(daemon, MANY) as idle:
        eventually(lambda: daemon.open_files() >= MANY, "all were accepted")
        assert_serves(daemon)
        for sock in random.Random(1).sample(idle, 20):
            sock.sendall(GET)
            assert raw.read(sock).status == 200
    eventually(lambda: daemon.open_files() <= before, "all were let go")
    assert_serves(daemon)


def test_more_connections_than_allowed_are_told_so(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(configuration(limits={"max_connections": 50}))
    with crowd(daemon, 50) as idle:
        for _ in range(100):
            with connected(daemon) as one_more:
                reply = raw.read(one_more)
                assert reply.status == 503
                assert reply.headers["retry-after"]
                assert "too many connections" in reply.json["error"]["message"]
        idle[0].sendall(GET)
        assert raw.read(idle[0]).status == 200, "who is inside is served"
    eventually(lambda: _served(daemon), "there was room again")


def _served(daemon: Daemon) -> bool:
    return daemon.ask("POST", PATHS["openai"], ASK).status == 200


def test_without_descriptors_clients_wait_and_are_served_when_there_are_some() -> None:
    with Daemon(configuration()) as daemon:
        daemon.stop()
        daemon.launcher = ("bash", "-c", 'ulimit -n 64; exec "$@"', "bash")
        daemon.start()
        inside = connected(daemon)
        inside.sendall(GET)
        assert raw.read(inside).status == 200
        with crowd(daemon, 100) as waiting:
            eventually(
                lambda: (
                    "cannot accept connections for the moment: Too many open files" in daemon.log()
                ),
                "it said why it accepts nobody",
            )
            inside.sendall(GET)
            assert raw.read(inside).status == 200, "who is inside is served"
            waiting[-1].sendall(GET)
            for sock in waiting[:-1]:
                sock.close()
            assert raw.read(waiting[-1]).status == 200, "who waited is served"
        inside.close()
        assert daemon.log().count("cannot accept") < 100, "it does not try again and again"
        assert_serves(daemon)


def test_a_thousand_slow_senders_are_told_to_hurry_and_let_go(hasty: Daemon) -> None:
    assert_serves(hasty)
    before = hasty.open_files()
    with crowd(hasty, 1000) as slow:
        for sock in slow:
            sock.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nho")
        assert_serves(hasty)
        for sock in slow[::50]:
            assert raw.read(sock).status == 408
    eventually(lambda: hasty.open_files() <= before, "all were let go")


def test_a_head_that_never_ends_is_ended(hasty: Daemon) -> None:
    """A byte now and then does not count as progress: the head as a whole has its time."""
    with connected(hasty) as sock:
        sock.sendall(b"GET /health HTTP/1.1\r\nx: ")
        ended = threading.Event()

        def drip() -> None:
            with contextlib.suppress(OSError):
                while not ended.wait(0.05):
                    sock.sendall(b"a")

        sender = threading.Thread(target=drip)
        sender.start()
        try:
            assert raw.read(sock).status == 408
        finally:
            ended.set()
            sender.join()


def test_a_body_that_never_comes_is_a_408(hasty: Daemon) -> None:
    whole = raw.post(PATHS["openai"], ASK)
    with connected(hasty) as sock:
        sock.sendall(whole[:-1])
        assert raw.read(sock).status == 408
    assert_serves(hasty)


def test_a_request_that_comes_byte_by_byte_is_answered(daemon: Daemon) -> None:
    with connected(daemon) as sock:
        for byte in raw.post(PATHS["openai"], ASK):
            sock.sendall(bytes([byte]))
        assert raw.read(sock, "POST").status == 200


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_has_said_all_it_will_say_gets_its_answer(
    daemon: Daemon, stream: bool
) -> None:
    body = json.dumps(request_body("openai", "chat", stream=stream)).encode()
    reply = raw.send(daemon.socket, raw.post(PATHS["openai"], body), half_close=True)
    assert reply.status == 200
    assert (b"[DONE]" in reply.body) is stream


def test_a_request_that_is_cut_short_by_half_closing_is_refused(daemon: Daemon) -> None:
    whole = raw.post(PATHS["openai"], ASK)
    for cut in (10, len(whole) - 5):
        with connected(daemon) as sock:
            sock.sendall(whole[:cut])
            sock.shutdown(socket.SHUT_WR)
            reply = refusal(sock)
            assert reply is None or reply.status == 400
    assert_serves(daemon)


@pytest.mark.parametrize(("many", "refused"), [(50, False), (5000, True)])
def test_requests_sent_ahead_are_answered_in_order_up_to_a_bound(
    daemon: Daemon, many: int, refused: bool
) -> None:
    """Beyond it the client is told why before it is cut off: nothing is silently dropped."""
    sent = b"".join(b"GET /%d HTTP/1.1\r\nhost: x\r\n\r\n" % number for number in range(many))
    with connected(daemon) as sock:
        sender = threading.Thread(target=_send_what_is_taken, args=(sock, sent))
        sender.start()
        with sock.makefile("rb") as answers:
            for number in range(many):
                status = int(answers.readline().split()[1])
                headers = http.client.parse_headers(answers)
                message = json.loads(answers.read(int(headers["content-length"])))["error"]
                if status == 400:
                    assert refused
                    assert number >= 50
                    assert "sent ahead of their answers" in message["message"]
                    assert headers["connection"] == "close"
                    break
                assert status == 404
                assert f"nothing is served at /{number};" in message["message"]
            else:
                assert not refused
        sender.join()
    assert_serves(daemon)


def _send_what_is_taken(sock: socket.socket, data: bytes) -> None:
    with contextlib.suppress(ConnectionError):
        sock.sendall(data)


def test_garbage_is_refused_and_harms_nobody(daemon: Daemon) -> None:
    dice = random.Random(2)
    assert_serves(daemon)
    before = daemon.open_files()
    for size in [1, 2, 3, 16, 100, 1000, 20_000, 100_000] * 12:
        with connected(daemon) as sock, contextlib.suppress(ConnectionError):
            sock.sendall(dice.randbytes(size) + b"\r\n\r\n")
            sock.shutdown(socket.SHUT_WR)
            reply = refusal(sock)
            assert reply is None or 400 <= reply.status < 600
    assert_serves(daemon)
    eventually(lambda: daemon.open_files() <= before, "all were let go")


def test_a_client_that_speaks_tls_is_refused(daemon: Daemon) -> None:
    context = ssl.create_default_context()
    with connected(daemon) as sock, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(sock, server_hostname="localhost")
    assert_serves(daemon)


def test_an_upstream_sees_at_once_that_the_client_has_vanished(daemon: Daemon) -> None:
    """Within 100 ms, though its next token is half a second away.

    The best of several tries counts: a busy machine may delay one of them, but a daemon that waits
    for a token, a timer or a look at its clients delays them all.
    """
    delays = []
    for _ in range(10):
        before = counted(daemon, "paced", "cancelled")
        sock = asking(daemon, "slow")
        while b'"content":"' not in sock.recv(65536):
            pass
        sock.close()
        left = time.monotonic()
        eventually(
            lambda before=before: counted(daemon, "paced", "cancelled") > before,  # type: ignore[misc] # bound now, called in this round
            "the simulator saw its request cancelled",
        )
        delays.append(time.monotonic() - left)
    assert min(delays) < 0.1, delays
    assert counted(daemon, "paced", "active") == 0


def test_a_client_that_never_reads_is_ended_and_costs_little(hasty: Daemon, flood: Flood) -> None:
    before = hasty.resident()
    with contextlib.ExitStack() as stack:
        deaf = [stack.enter_context(asking(hasty, "much")) for _ in range(DEAF)]
        eventually(lambda: flood.began == DEAF, "all were being answered at the same time")
        assert_serves(hasty)
        eventually(lambda: flood.given_up == DEAF, "the upstream requests were given up")
        assert hasty.resident() - before < DEAF * HOARD
        for sock in deaf:
            got = b""
            with contextlib.suppress(ConnectionError):
                while piece := sock.recv(1 << 20):
                    got += piece
            assert got.startswith(b"HTTP/1.1 200")
            assert b"[DONE]" not in got, "what was cut off does not look complete"
    # The provider is not to blame.
    hasty.wait_health("flood", in_flight=0, consecutive_failures=0, circuit_state="closed")


def test_clients_that_come_and_go_in_a_hurry_leave_nothing_behind(daemon: Daemon) -> None:
    assert_serves(daemon)
    before = daemon.open_files()
    for round_ in range(5):
        with crowd(daemon, 400) as hurried:
            for place, sock in enumerate(hurried):
                if place % 2:
                    sock.sendall(GET[: (place * 7 + round_) % len(GET)])
    eventually(lambda: daemon.open_files() <= before, "all were let go")
    eventually(
        lambda: (
            not any(name.startswith("connection:") for name in list(daemon.nodes())[1:])
            or len([name for name in daemon.nodes() if name.startswith("connection:")]) <= 1
        ),
        "no task was left but the asker's own",
    )
    assert_serves(daemon)
