"""Which provider is asked, and which is left alone: seen from outside, counted at the upstream."""

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping

import pytest

from tests.support import raw
from tests.support.answers import PATHS, answer, error_body, request_body
from tests.support.configs import base_url, config, group, simulated, upstream
from tests.support.daemon import Daemon, Reply
from tests.support.faults import good
from tests.support.scripted import PATIENCE, Exchange, Scripted
from tests.support.waiting import eventually


class Upstreams:
    """Many upstreams on one port, told apart by path; good unless told otherwise; counted."""

    def __init__(self) -> None:
        self.acts: dict[str, Callable[[Exchange], None]] = {}
        self.asked: Counter[str] = Counter()
        self.release = threading.Event()

    def __call__(self, exchange: Exchange) -> None:
        name = exchange.request.path.split("/")[1]
        self.asked[name] += 1
        act = self.acts.get(name)
        if act is None:
            good(exchange, "openai")
        else:
            act(exchange)

    def fail(self, name: str, status: int, **headers: str) -> None:
        """Answer with an error from now on."""
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        words = headers.pop("words", "scripted")
        body = error_body("openai", "scripted_error", words)
        self.acts[name] = lambda exchange: exchange.answer(status, body, headers=named)

    def spend(self, name: str) -> None:
        """Answer well from now on, and say that nothing is left of the rate limit."""
        said = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "9s"}
        self.acts[name] = lambda exchange: exchange.answer(200, answer("openai"), headers=said)

    def hold(self, name: str) -> None:
        """Answer only once `release` is set."""

        def act(exchange: Exchange) -> None:
            assert self.release.wait(PATIENCE)
            good(exchange, "openai")

        self.acts[name] = act

    def recover(self, name: str) -> None:
        """Answer well again."""
        self.acts.pop(name, None)


NAMES = (
    *("one", "two", "three"),
    *("breaking", "breaking-spare"),
    *("limited", "limited-spare"),
    *("locked-out", "locked-out-spare"),
    *("narrow", "narrow-spare"),
    "queueless",
    *("spent", "spent-spare"),
    *("one-model", "one-model-spare"),
    *("steered", "steered-spare"),
    *("waiting", "waiting-too"),
)


@pytest.fixture(scope="module")
def upstreams() -> Upstreams:
    return Upstreams()


@pytest.fixture(scope="module")
def daemon(upstreams: Upstreams) -> Iterator[Daemon]:
    with Scripted(upstreams) as scripted:
        special: Mapping[str, Mapping[str, object]] = {
            "breaking": {
                "circuit_breaker": {"failure_threshold": 3, "recovery_timeout": "300ms"},
                "retry": {"max_attempts": 1},
            },
            "narrow": {"max_connections": 1, "queue_limit": 1},
            "queueless": {"max_connections": 8, "queue_limit": 0},
        }
        providers = {
            name: upstream(
                "openai", base_url("openai", f"{scripted.url}/{name}"), **special.get(name, {})
            )
            for name in NAMES
        }
        groups = {
            "rotating": group("one", "two", "three", strategy="round_robin"),
            "ordered": group("two", "one", "three"),
            "narrow-only": group("narrow"),
            "queueless": group("queueless"),
        }
        for name in (
            *("breaking", "limited", "locked-out", "narrow"),
            *("spent", "one-model", "steered"),
        ):
            groups[name] = group(name, f"{name}-spare")
        groups["all-waiting"] = group("waiting", "waiting-too")
        with Daemon(config(providers, groups)) as running:
            yield running


def _ask(daemon: Daemon, model: str, *, stream: bool = False) -> Reply:
    return daemon.ask("POST", PATHS["openai"], request_body("openai", model, stream=stream))


def _served(daemon: Daemon, model: str) -> str:
    reply = _ask(daemon, model)
    assert reply.status == 200, reply.body
    return reply.headers["x-standby-provider"]


def test_round_robin_rotates_exactly(daemon: Daemon) -> None:
    served = [_served(daemon, "rotating") for _ in range(12)]
    assert set(served[:3]) == {"one", "two", "three"}
    assert served == served[:3] * 4


def test_priority_asks_the_first_as_long_as_it_answers(
    daemon: Daemon, upstreams: Upstreams
) -> None:
    assert {_served(daemon, "ordered") for _ in range(6)} == {"two"}
    upstreams.fail("two", 503)
    assert {_served(daemon, "ordered") for _ in range(3)} == {"one"}
    upstreams.recover("two")
    assert _served(daemon, "ordered") == "two"


def test_a_breaker_opens_spares_its_upstream_and_closes_again(
    daemon: Daemon, upstreams: Upstreams
) -> None:
    upstreams.fail("breaking", 500)
    while daemon.get("/health/providers")["breaking"]["circuit_state"] == "closed":
        assert upstreams.asked["breaking"] <= 10, "it never opened"
        assert _served(daemon, "breaking") == "breaking-spare"
    asked = upstreams.asked["breaking"]
    assert daemon.get("/health")["status"] == "degraded"
    assert _served(daemon, "breaking") == "breaking-spare"
    assert upstreams.asked["breaking"] == asked, "an open breaker lets nothing through"
    upstreams.recover("breaking")
    eventually(lambda: _served(daemon, "breaking") == "breaking", "it was asked again")
    daemon.wait_health("breaking", circuit_state="closed", healthy=True)


def test_a_rate_limited_upstream_is_left_alone_without_being_called_broken(
    daemon: Daemon, upstreams: Upstreams
) -> None:
    upstreams.fail("limited", 429, retry_after="30")
    for _ in range(5):
        assert _served(daemon, "limited") == "limited-spare"
    assert upstreams.asked["limited"] == 1
    shown = daemon.get("/health/providers")["limited"]
    assert shown["circuit_state"] == "closed"
    assert 20 < shown["gate_opens_in"] <= 30


def test_a_provider_that_has_nothing_left_is_spared_before_it_refuses(
    daemon: Daemon, upstreams: Upstreams
) -> None:
    upstreams.spend("spent")
    assert _served(daemon, "spent") == "spent"
    for _ in range(5):
        assert _served(daemon, "spent") == "spent-spare"
    assert upstreams.asked["spent"] == 1
    shown = daemon.get("/health/providers")["spent"]
    assert 0 < shown["gate_opens_in"] <= 9
    eventually(
        lambda: (
            daemon.get("/health/metrics")["providers"].get("spent", {}).get("gate_closed")
            == {"429": 0, "headers": 1}
        ),
        "telemetry had counted it",
    )


def test_when_all_ask_for_patience_the_asker_hears_the_soonest_time(
    daemon: Daemon, upstreams: Upstreams
) -> None:
    upstreams.fail("waiting", 429, retry_after="3000")
    upstreams.fail("waiting-too", 429, retry_after="40")
    for _ in range(3):
        # Who has less patience than the providers ask for is told at once.
        hurry = {"x-request-timeout": "20"}
        body = request_body("openai", "all-waiting")
        reply = daemon.ask("POST", PATHS["openai"], body, hurry)
        assert reply.status == 429
        assert reply.headers["x-should-retry"] == "false"
        assert 30 < int(reply.headers["retry-after"]) <= 40
        assert 30_000 < int(reply.headers["retry-after-ms"]) <= 40_000
    assert upstreams.asked["waiting"] == upstreams.asked["waiting-too"] == 1


def test_a_403_about_one_model_leaves_the_provider_in_use(
    daemon: Daemon, upstreams: Upstreams
) -> None:
    upstreams.fail("one-model", 403, words="Project p does not have access to model m-1")
    for _ in range(3):
        assert _served(daemon, "one-model") == "one-model-spare"
    assert upstreams.asked["one-model"] == 3
    shown = daemon.get("/health/providers")["one-model"]
    assert shown["healthy"]
    assert not shown["set_aside"]


def test_a_person_steers_a_breaker_at_the_door(daemon: Daemon, upstreams: Upstreams) -> None:
    def told(command: str) -> tuple[str, str]:
        reply = daemon.ask("POST", f"/control/breakers/steered/{command}")
        assert reply.status == 200, reply.body
        return reply.json["before"], reply.json["breaker"]["state"]

    assert told("open") == ("closed", "forced_open")
    assert _served(daemon, "steered") == "steered-spare"
    assert daemon.get("/health")["status"] == "degraded"
    shown = daemon.get("/health/providers")["steered"]
    assert shown["circuit_state"] == "open"
    assert shown["breaker"]["reason"] == "held open by hand"
    daemon.kill("breaker:steered")
    assert _served(daemon, "steered") == "steered-spare", "what a person said outlives the task"
    eventually(
        lambda: daemon.ask("POST", "/control/breakers/steered/close").status == 200,
        "the breaker's task was back",
    )
    upstreams.fail("steered", 500)
    for _ in range(12):
        assert _served(daemon, "steered") == "steered-spare"
    assert daemon.get("/health/providers")["steered"]["breaker"]["state"] == "forced_closed"
    assert told("disable") == ("forced_closed", "disabled")
    upstreams.recover("steered")
    assert told("reset") == ("disabled", "closed")
    assert _served(daemon, "steered") == "steered"


def test_what_cannot_be_steered_is_refused_in_words(daemon: Daemon) -> None:
    reply = daemon.ask("POST", "/control/breakers/steerd/open")
    assert reply.status == 404
    assert "no provider steerd; did you mean steered" in reply.json["error"]["message"]
    assert daemon.ask("GET", "/control/breakers/steered/open").status == 405
    assert daemon.ask("POST", "/control/breakers/steered/burn").status == 404


def test_the_retry_budget_is_shown(daemon: Daemon) -> None:
    _served(daemon, "ordered")
    for where in ("/health/detailed", "/health/metrics"):
        budget = daemon.get(where)["retry_budget"]
        assert set(budget) == {"left", "requests", "retries", "granted", "refused"}
        assert budget["left"] > 0
        assert budget["requests"] > 0


def test_an_upstream_that_refuses_the_key_is_set_aside(
    daemon: Daemon, upstreams: Upstreams
) -> None:
    upstreams.fail("locked-out", 401)
    assert _served(daemon, "locked-out") == "locked-out-spare"
    daemon.wait_health("locked-out", healthy=False)
    for _ in range(5):
        assert _served(daemon, "locked-out") == "locked-out-spare"
    assert upstreams.asked["locked-out"] == 1


def test_a_full_provider_sheds_at_once_to_the_next(daemon: Daemon, upstreams: Upstreams) -> None:
    upstreams.release.clear()
    upstreams.hold("narrow")
    body = b'{"model": "narrow-only", "messages": []}'
    waiting: list[socket.socket] = []
    try:
        for held in ({"in_flight": 1, "queued": 0}, {"in_flight": 1, "queued": 1}):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            waiting.append(sock)
            sock.settimeout(PATIENCE)
            sock.connect(str(daemon.socket))
            sock.sendall(raw.post(PATHS["openai"], body))
            daemon.wait_health("narrow", **held)
        assert _served(daemon, "narrow") == "narrow-spare"
        refused = _ask(daemon, "narrow-only")
        assert refused.status in {429, 503}
        assert "narrow" in refused.json["error"]["message"]
        upstreams.release.set()
        assert [raw.read(sock, "POST").status for sock in waiting] == [200, 200]
    finally:
        upstreams.release.set()
        for sock in waiting:
            sock.close()


def test_a_provider_without_a_queue_still_answers(daemon: Daemon) -> None:
    assert _served(daemon, "queueless") == "queueless"
    replies: list[int] = []
    askers = [
        threading.Thread(target=lambda: replies.append(_ask(daemon, "queueless").status))
        for _ in range(4)
    ]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join(PATIENCE)
    assert replies == [200] * 4, "there is room for all of them at one time"


def test_a_silent_upstream_is_given_up_when_the_askers_own_time_is_up(
    daemon: Daemon, upstreams: Upstreams
) -> None:
    upstreams.release.clear()
    upstreams.hold("three")
    body = request_body("openai", "three/m-1")
    reply = daemon.ask("POST", PATHS["openai"], body, {"x-stainless-read-timeout": "0.3"})
    upstreams.release.set()
    upstreams.recover("three")
    assert reply.status == 504
    assert "three" in reply.json["error"]["message"]


def test_more_clients_than_allowed_are_told_so() -> None:
    settings = config(
        {"sim-o": simulated("openai")},
        {"chat": group("sim-o", model="sim-1")},
        limits={"max_connections": 3},
    )
    with Daemon(settings) as daemon:
        inside = [socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) for _ in range(3)]
        try:
            for sock in inside:
                sock.settimeout(PATIENCE)
                sock.connect(str(daemon.socket))
                sock.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
                assert raw.read(sock).status == 200
            with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as outside:
                outside.settimeout(PATIENCE)
                outside.connect(str(daemon.socket))
                assert raw.read(outside).status == 503
        finally:
            for sock in inside:
                sock.close()
        eventually(lambda: _ask(daemon, "chat").status == 200, "there was room again")
