"""A group that hedges in a running daemon: one of its simulated providers is slow."""

from collections.abc import Iterator, Mapping
from threading import Barrier

import pytest

from tests.integration.conftest import StartDaemon
from tests.support.answers import PATHS, request_body
from tests.support.configs import config, simulated, upstream
from tests.support.daemon import Daemon, Reply
from tests.support.scripted import Exchange, Scripted
from tests.support.waiting import eventually

PATIENCE = 10.0
SLOW, QUICK = {"latency": "30s"}, {"latency": "0ms"}


def hedging(
    *providers: str, model: str = "sim-1", max_attempts: int = 3, **options: object
) -> Mapping[str, object]:
    return {
        "members": [{"provider": name, "model": model} for name in providers],
        "max_attempts": max_attempts,
        "hedge": {
            "enabled": True,
            "minimum_delay": "20ms",
            "maximum_delay": "50ms",
            "budget_percent": 100,
            **options,
        },
    }


PROVIDERS = {
    "slow": simulated(**SLOW),
    "quick": simulated(**QUICK),
    "slow-a": simulated("anthropic", **SLOW),
    "quick-a": simulated("anthropic", **QUICK),
    "sleepy": simulated(latency="200ms"),
    "unknown": simulated(latency="200ms"),
    "other": simulated(),
}

GROUPS = {
    "pair": hedging("slow", "quick"),
    "pair-a": hedging("slow-a", "quick-a"),
    "careful": hedging("sleepy", "other", budget_percent=5),
    "unlearned": hedging("unknown", "other", maximum_delay=None),
}


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon(config(PROVIDERS, GROUPS)) as running:
        yield running


def ask(daemon: Daemon, model: str, *, dialect: str = "openai", stream: bool = False) -> Reply:
    return daemon.ask("POST", PATHS[dialect], request_body(dialect, model, stream=stream))


def told(reply: Reply) -> tuple[int, str, str, bool]:
    headers = reply.headers
    provider, attempts = headers["x-standby-provider"], headers["x-standby-attempts"]
    return reply.status, provider, attempts, headers.get("x-standby-hedged") == "true"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_the_quick_one_answers_for_the_slow_one(daemon: Daemon, dialect: str, stream: bool) -> None:
    suffix = "" if dialect == "openai" else "-a"
    quick, slow = f"quick{suffix}", f"slow{suffix}"
    before = metrics(daemon, quick)
    for _ in range(5):
        reply = ask(daemon, f"pair{suffix}", dialect=dialect, stream=stream)
        assert told(reply) == (200, quick, "2", True)

    def counted() -> bool:
        return metrics(daemon, quick)["hedges_won"] == before["hedges_won"] + 5

    eventually(counted, "all of them were counted")
    lost = metrics(daemon, slow)
    assert (lost["failed"], lost["cancelled"], lost["succeeded"]) == (0, 0, 0)
    assert lost["hedges_cancelled"] == lost["requests"] > 0
    assert daemon.get("/health/providers")[slow]["circuit_state"] == "closed"
    eventually(
        lambda: daemon.nodes()[f"provider:{slow}"]["extra"]["in_flight"] == 0,
        "nothing was under way at the slow one",
    )


def test_most_requests_are_waited_for_when_few_may_be_hedged(daemon: Daemon) -> None:
    hedged = [told(ask(daemon, "careful"))[3] for _ in range(20)]
    assert [at for at, each in enumerate(hedged, 1) if each] == [20]


def test_nothing_is_hedged_before_enough_is_known(daemon: Daemon) -> None:
    assert told(ask(daemon, "unlearned")) == (200, "unknown", "1", False)


def test_when_both_fail_the_asker_is_told_of_both(start_daemon: StartDaemon) -> None:
    both = Barrier(2)

    def fail(exchange: Exchange) -> None:
        both.wait(PATIENCE)  # the second one is asked while the first is under way
        exchange.answer(503, {"error": {"message": exchange.request.path.split("/")[1]}})

    with Scripted(fail) as scripted:
        made = {name: upstream("openai", f"{scripted.url}/{name}") for name in ("one", "two")}
        pair = hedging("one", "two", model="m-1", max_attempts=2)
        daemon = start_daemon(config(made, {"pair": pair}))
        reply = ask(daemon, "pair")
        assert (reply.status, reply.headers["x-standby-attempts"]) == (503, "2")
        assert reply.headers["x-standby-hedged"] == "true"
        assert b"one: " in reply.body
        assert b"two: " in reply.body


def metrics(daemon: Daemon, provider: str) -> Mapping[str, int]:
    found = daemon.ask("GET", "/health/metrics").json["providers"]
    nothing = dict.fromkeys(
        ("requests", "hedges_won", "failed", "cancelled", "succeeded", "hedges_cancelled"), 0
    )
    return {**nothing, **found.get(provider, {})}
