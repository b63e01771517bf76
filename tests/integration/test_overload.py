"""More requests than can be served: who is served, who is sent away, and how each is told."""

import json
import resource
import socket
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack

import pytest

from tests.integration.conftest import StartDaemon
from tests.support import raw
from tests.support.answers import PATHS, openai_answer
from tests.support.configs import base_url, config, group, simulated, upstream
from tests.support.crowd import Crowd
from tests.support.daemon import Daemon, Reply
from tests.support.scripted import PATIENCE, Exchange, Scripted
from tests.support.waiting import eventually


class Turnstile:
    """An upstream that answers as many requests as it is told to, and notes who asked."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self._places = threading.Semaphore(0)

    def __call__(self, exchange: Exchange) -> None:
        self.order.append(exchange.request.json["user"])
        assert self._places.acquire(timeout=PATIENCE)
        exchange.answer(200, openai_answer())

    def let_pass(self, many: int) -> None:
        for _ in range(many):
            self._places.release()


@pytest.fixture
def turnstile() -> Iterator[tuple[Turnstile, Scripted]]:
    made = Turnstile()
    with Scripted(made) as server:
        yield made, server
        made.let_pass(10_000)


def settings(server: Scripted, *, limits: Mapping[str, object], **provider: object) -> object:
    one = upstream("openai", base_url("openai", server.url), **provider)
    return config({"one": one}, {"chat": group("one")}, limits=dict(limits))


def body(who: str) -> dict[str, object]:
    return {"model": "chat", "user": who, "messages": [{"role": "user", "content": "hi"}]}


def asking(daemon: Daemon, who: str, *headers: bytes) -> socket.socket:
    """Return a connection of this process on which something has been asked."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(PATIENCE)
    sock.connect(str(daemon.socket))
    sock.sendall(raw.post(PATHS["openai"], json.dumps(body(who)).encode(), *headers))
    return sock


def assert_told_to_come_again(refused: Reply, status: int) -> None:
    assert refused.status == status
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    assert refused.headers["x-should-retry"] == "true"
    assert refused.json["error"]["message"]


def admission(daemon: Daemon) -> Mapping[str, object]:
    found = daemon.get("/health/detailed")["admission"]
    assert isinstance(found, dict)
    return found


def test_who_asks_one_at_a_time_takes_turns_with_a_process_that_asks_fifty_times_at_once(
    start_daemon: StartDaemon, turnstile: tuple[Turnstile, Scripted]
) -> None:
    gate, server = turnstile
    daemon = start_daemon(settings(server, limits={}, max_connections=1))
    with Crowd(daemon.socket, 50, PATHS["openai"], body("greedy")) as greedy:
        daemon.wait_health("one", in_flight=1, queued=49, clients_waiting=1)
        for number in range(10):
            with asking(daemon, "modest") as modest:
                daemon.wait_health("one", clients_waiting=2)
                # The one under way, one of the other client, and its own.
                gate.let_pass(3)
                assert raw.read(modest, "POST").status == 200, number
        assert Counter(gate.order)["greedy"] <= 2 * 10 + 1
        gate.let_pass(50)
        assert [reply.status for reply in greedy.replies()] == [200] * 50
    assert daemon.get("/health/providers")["one"]["shed"] == 0


def test_names_within_a_process_share_its_turns(
    start_daemon: StartDaemon, turnstile: tuple[Turnstile, Scripted]
) -> None:
    gate, server = turnstile
    daemon = start_daemon(settings(server, limits={}, max_connections=1))
    with (
        Crowd(daemon.socket, 6, PATHS["openai"], body("plain")) as plain,
        ExitStack() as askers,
    ):
        daemon.wait_health("one", in_flight=1, queued=5)
        for number in range(3):
            # Each is in the queue before the next one comes.
            line = f"x-standby-client: part {number}".encode()
            askers.enter_context(asking(daemon, f"part {number}", line))
            daemon.wait_health("one", queued=6 + number)
        gate.let_pass(9)
        assert [reply.status for reply in plain.replies()] == [200] * 6
    parts = [number for number, who in enumerate(gate.order) if who != "plain"]
    assert gate.order[:1] == ["plain"], "which was under way"
    assert parts == [2, 4, 6], "many names have the turns of one client"
    assert [gate.order[number] for number in parts] == ["part 0", "part 1", "part 2"]
    assert "x-standby-client" not in server.requests[2].headers


def test_a_full_queue_sheds_the_newest_of_the_client_with_the_most_at_once(
    start_daemon: StartDaemon, turnstile: tuple[Turnstile, Scripted]
) -> None:
    gate, server = turnstile
    daemon = start_daemon(settings(server, limits={}, max_connections=2, queue_limit=10))
    with Crowd(daemon.socket, 40, PATHS["openai"], body("greedy")) as greedy, ExitStack() as stack:
        daemon.wait_health("one", in_flight=2, queued=10, shed=28)
        modest = [stack.enter_context(asking(daemon, "modest")) for _ in range(5)]
        daemon.wait_health("one", in_flight=2, queued=10, shed=33, clients_waiting=2)
        with asking(daemon, "modest") as one_more:
            assert_told_to_come_again(raw.read(one_more, "POST"), 503)
        assert len(gate.order) == 2, "nobody has been answered so far"
        gate.let_pass(12)
        assert [raw.read(sock, "POST").status for sock in modest] == [200] * 5
        replies = greedy.replies()
    assert Counter(reply.status for reply in replies) == {200: 7, 503: 33}
    for reply in replies:
        if reply.status != 200:
            assert_told_to_come_again(reply, 503)
            assert "one" in reply.json["error"]["message"]
    gate.let_pass(1)
    assert daemon.ask("POST", PATHS["openai"], body("later")).status == 200
    eventually(
        lambda: daemon.get("/health/metrics")["shed"]["queue"] == 34, "the counts tell of all"
    )


def test_a_full_provider_is_passed_over_for_the_next_one(
    start_daemon: StartDaemon, turnstile: tuple[Turnstile, Scripted]
) -> None:
    gate, server = turnstile
    one = upstream("openai", base_url("openai", server.url), max_connections=1, queue_limit=3)
    members = [{"provider": "one", "model": "m-1"}, {"provider": "spare", "model": "sim-1"}]
    providers = {"one": one, "spare": simulated()}
    daemon = start_daemon(config(providers, {"chat": {"members": members}}))
    with Crowd(daemon.socket, 24, PATHS["openai"], body("greedy")) as greedy:
        daemon.wait_health("one", in_flight=1, queued=3, shed=20)
        gate.let_pass(4)
        replies = greedy.replies()
    assert [reply.status for reply in replies] == [200] * 24
    served = Counter(reply.headers["x-standby-provider"] for reply in replies)
    assert served == {"one": 4, "spare": 20}


def test_the_front_refuses_a_greedy_client_with_429_and_the_last_place_is_for_others(
    start_daemon: StartDaemon, turnstile: tuple[Turnstile, Scripted]
) -> None:
    gate, server = turnstile
    daemon = start_daemon(settings(server, limits={"max_in_flight": 9}, max_connections=20))
    with Crowd(daemon.socket, 30, PATHS["openai"], body("greedy")) as greedy:
        eventually(lambda: admission(daemon)["shed"]["client"] == 22, "22 were sent away")  # type: ignore[index]  # JSON
        with asking(daemon, "modest") as modest:
            eventually(lambda: admission(daemon)["in_flight"] == 9, "it was let in")
            assert_told_to_come_again(daemon.ask("POST", PATHS["openai"], body("late")), 503)
            reply = daemon.ask("POST", PATHS["anthropic"], body("late"))
            assert_told_to_come_again(reply, 503)
            assert reply.json["type"] == "error"
            assert daemon.get("/health")["status"] == "healthy"
            assert daemon.nodes()["provider:one"]["extra"]["in_flight"] == 9
            gate.let_pass(9)
            assert raw.read(modest, "POST").status == 200
        replies = greedy.replies()
    assert Counter(reply.status for reply in replies) == {200: 8, 429: 22}
    for reply in replies:
        if reply.status != 200:
            assert_told_to_come_again(reply, 429)
            assert reply.json["error"]["type"] == "rate_limit_error"
    eventually(
        lambda: (
            daemon.get("/health/metrics")["shed"]
            == {"front": 2, "client": 22, "bodies": 0, "queue": 0}
        ),
        "the counts tell of all",
    )
    assert admission(daemon)["in_flight"] == 0


def test_a_client_may_be_given_a_bound_of_its_own(
    start_daemon: StartDaemon, turnstile: tuple[Turnstile, Scripted]
) -> None:
    gate, server = turnstile
    daemon = start_daemon(
        settings(server, limits={"max_in_flight_per_client": 3}, max_connections=20)
    )
    with Crowd(daemon.socket, 5, PATHS["openai"], body("greedy")) as greedy:
        with asking(daemon, "modest") as modest:
            eventually(lambda: len(gate.order) == 4, "all who may are asked for")
            gate.let_pass(4)
            assert raw.read(modest, "POST").status == 200
        assert Counter(reply.status for reply in greedy.replies()) == {200: 3, 429: 2}


def big(daemon: Daemon, size: int, sent: int, target: str, *headers: bytes) -> socket.socket:
    """Return a connection on which a body is on its way that has not come whole."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(PATIENCE)
    sock.connect(str(daemon.socket))
    request = raw.post(target, b" " * size, *headers)
    sock.sendall(request[: len(request) - size + sent])
    return sock


def test_bodies_are_not_read_without_bound_at_the_same_time(start_daemon: StartDaemon) -> None:
    mega = 1024 * 1024
    daemon = start_daemon(
        config(
            {"sim": simulated()},
            {"chat": group("sim", model="sim-1")},
            limits={"max_body": "1MiB", "max_held_bytes": "4MiB"},
        )
    )
    with ExitStack() as stack:
        held = [stack.enter_context(big(daemon, mega, 1000, PATHS["openai"])) for _ in range(3)]
        eventually(lambda: admission(daemon)["held_bytes"] == 3 * mega, "three are on their way")
        for wire, line in (("openai", b"x-y: z"), ("anthropic", b"expect: 100-continue")):
            with big(daemon, mega, 0, PATHS[wire], line) as too_much:
                refused = raw.read(too_much)
                assert_told_to_come_again(refused, 503)
                assert ("type" in refused.json) == (wire == "anthropic")
        assert daemon.ask("POST", PATHS["openai"], body("small")).status == 200
        whole = {**body("big"), "padding": "x" * (mega - 1000)}
        held.pop().close()
        eventually(lambda: admission(daemon)["held_bytes"] == 2 * mega, "one has left")
        assert daemon.ask("POST", PATHS["openai"], whole).status == 200
        assert admission(daemon)["held_bytes"] == 2 * mega, "an answered one counts no more"
    eventually(lambda: admission(daemon)["held_bytes"] == 0, "all have left")
    assert admission(daemon)["shed"] == {"front": 0, "client": 0, "bodies": 2}


def kept(daemon: Daemon) -> socket.socket:
    """Return a connection that has been served: it is not in the kernel's queue."""
    sock = asking(daemon, "first")
    assert raw.read(sock, "POST").status == 200
    return sock


def test_two_thousand_requests_to_one_slow_provider_are_each_answered_or_refused(
    start_daemon: StartDaemon,
) -> None:
    many = 2000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2 * many:
        pytest.skip(f"the system allows {hard} open files, {2 * many} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2 * many), hard))
    try:
        slow = {**simulated(latency="20ms"), "max_connections": 4, "queue_limit": 100}
        daemon = start_daemon(config({"slow": slow}, {"chat": group("slow", model="sim-1")}))
        with (
            kept(daemon) as inside,
            Crowd(daemon.socket, many, PATHS["openai"], body("crowd")) as crowd,
        ):
            for _ in range(20):
                inside.sendall(raw.post(PATHS["openai"], json.dumps(body("modest")).encode()))
                assert raw.read(inside, "POST").status == 200, "another one is served each time"
            replies = crowd.replies()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    statuses = Counter(reply.status for reply in replies)
    assert set(statuses) == {200, 503}
    assert statuses[200] >= 104
    for reply in replies:
        if reply.status == 503:
            assert_told_to_come_again(reply, 503)
    assert daemon.ask("POST", PATHS["openai"], body("later")).status == 200
    eventually(lambda: admission(daemon)["in_flight"] == 0, "nothing was left behind")
    daemon.wait_health("slow", in_flight=0, queued=0, clients_waiting=0)


def test_who_waits_in_a_full_queue_is_answered_though_the_provider_is_killed_again_and_again(
    start_daemon: StartDaemon,
) -> None:
    slow = {**simulated(latency="100ms"), "max_connections": 4, "queue_limit": 50}
    daemon = start_daemon(config({"slow": slow}, {"chat": group("slow", model="sim-1")}))
    with Crowd(daemon.socket, 300, PATHS["openai"], body("crowd")) as crowd:
        for name in ("provider:slow", "poller", "provider:slow", "providers", "deadlines") * 2:
            daemon.kill_and_wait(name)
        replies = crowd.replies()
    statuses = Counter(reply.status for reply in replies)
    assert set(statuses) == {200, 503}
    assert statuses[200] >= 54, "whoever had a place, or one in the queue"
    for reply in replies:
        if reply.status == 503:
            assert_told_to_come_again(reply, 503)
    eventually(lambda: admission(daemon)["in_flight"] == 0, "nothing was left behind")
    daemon.wait_health("slow", in_flight=0, queued=0, clients_waiting=0)
    (chat,) = daemon.get("/health/detailed")["groups"].values()
    assert [member["in_flight"] for member in chat["standing"]["order"]] == [0]
