"""Every strategy in a running daemon, in front of simulated providers that differ."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.support.answers import PATHS, error_body, request_body
from tests.support.configs import base_url, config, group, simulated, upstream
from tests.support.daemon import Daemon, Reply
from tests.support.faults import good
from tests.support.scripted import Exchange, Scripted
from tests.support.waiting import eventually


def members(strategy: str, *entries: Mapping[str, object], **options: object) -> dict[str, object]:
    """Return a group whose members have more to say than their names."""
    return {
        "strategy": strategy,
        "members": [{"model": "sim-1", **entry} for entry in entries],
        **options,
    }


def failing(fault: str, wire: str = "openai") -> Mapping[str, object]:
    return simulated(wire, faults=[{"fault": fault}])


PROVIDERS: Mapping[str, Mapping[str, object]] = {
    "one": simulated(),
    "two": simulated(),
    "three": simulated(),
    "slow": simulated(latency="300ms"),
    "sick": failing("status_503"),
    "prudish": failing("content_filter"),
    "prudish-a": failing("content_filter", "anthropic"),
    "open-a": simulated("anthropic"),
    "short": failing("status_413"),
    "ignorant": failing("status_404"),
}

PRUDISH: Mapping[str, object] = {"fallback_on": ["content_filter"]}

GROUPS: Mapping[str, Mapping[str, object]] = {
    "weighted": members("load_balanced", {"provider": "one", "weight": 3}, {"provider": "two"}),
    "fastest": members("fastest_first", {"provider": "slow"}, {"provider": "one"}),
    "healthy": members(
        "health_aware", {"provider": "sick"}, {"provider": "two"}, rebalance_interval="200ms"
    ),
    "cheap": members(
        "cost_optimized",
        {"provider": "three", "cost_tier": 2},
        {"provider": "one", "cost_tier": 1},
        {"provider": "two", "cost_tier": 1},
    ),
    "adapting": members("adaptive", {"provider": "slow"}, {"provider": "three"}),
    "careful": members("priority", {"provider": "prudish"}, {"provider": "one"}, **PRUDISH),
    "careful-a": members("priority", {"provider": "prudish-a"}, {"provider": "open-a"}, **PRUDISH),
    "careful-mixed": members("priority", {"provider": "prudish-a"}, {"provider": "one"}, **PRUDISH),
    "strict": members("priority", {"provider": "prudish"}, {"provider": "one"}),
    "hopeless": members("priority", {"provider": "prudish"}, {"provider": "sick"}, **PRUDISH),
    "roomy": members(
        "priority",
        {"provider": "short", "context_window": 8_000},
        {"provider": "two", "context_window": 8_000},
        {"provider": "one", "context_window": 128_000},
        fallback_on=["context_too_long"],
    ),
    "learned": members("priority", {"provider": "ignorant"}, {"provider": "one"}),
    "stubborn": members("priority", {"provider": "ignorant"}, {"provider": "one"}, fallback_on=[]),
}


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon(config(PROVIDERS, GROUPS)) as running:
        yield running


def ask(daemon: Daemon, model: str, *, dialect: str = "openai", stream: bool = False) -> Reply:
    return daemon.ask("POST", PATHS[dialect], request_body(dialect, model, stream=stream))


def served(daemon: Daemon, model: str, *, dialect: str = "openai", stream: bool = False) -> str:
    reply = ask(daemon, model, dialect=dialect, stream=stream)
    assert reply.status == 200, reply.body
    return reply.headers["x-standby-provider"]


def standing(daemon: Daemon, name: str) -> Mapping[str, Any]:
    # When nobody can answer the status is 503, and all the same this is told.
    found = daemon.ask("GET", "/health/detailed").json["groups"][name]["standing"]
    assert isinstance(found, dict)
    return found


def test_load_balanced_serves_by_weight_exactly(daemon: Daemon) -> None:
    assert Counter(served(daemon, "weighted") for _ in range(40)) == {"one": 30, "two": 10}
    order = standing(daemon, "weighted")["order"]
    assert {place["provider"]: place["weight"] for place in order} == {"one": 3, "two": 1}


def test_fastest_first_learns_who_is_fast(daemon: Daemon) -> None:
    def learned() -> bool:
        served(daemon, "fastest", stream=True)
        return all(place["first_token"] for place in standing(daemon, "fastest")["order"])

    eventually(learned, "both had been measured")
    turns = Counter(served(daemon, "fastest", stream=True) for _ in range(15))
    assert turns["one"] >= 14, "one look at the slow one is allowed"
    first, second = standing(daemon, "fastest")["order"]
    assert (first["provider"], second["provider"]) == ("one", "slow")
    assert first["score"] < 0.3 <= second["score"]


def test_health_aware_asks_the_sick_one_last(daemon: Daemon) -> None:
    assert served(daemon, "healthy") == "two"

    def turned() -> bool:
        assert served(daemon, "healthy") == "two"
        return bool(standing(daemon, "healthy")["order"][0]["provider"] == "two")

    eventually(turned, "its health had fallen below the threshold")
    assert ask(daemon, "healthy").headers["x-standby-attempts"] == "1"


def test_cost_optimized_stays_in_the_cheapest_tier(daemon: Daemon) -> None:
    assert Counter(served(daemon, "cheap") for _ in range(20)) == {"one": 10, "two": 10}


def test_adaptive_prefers_the_quicker_one(daemon: Daemon) -> None:
    def learned() -> bool:
        served(daemon, "adapting", stream=True)
        return all(place["first_token"] for place in standing(daemon, "adapting")["order"])

    eventually(learned, "both had been measured")
    turns = Counter(served(daemon, "adapting", stream=True) for _ in range(15))
    assert turns["three"] >= 14
    assert {place["status"] for place in standing(daemon, "adapting")["order"]} == {"ready"}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("dialect", "group", "other"),
    [
        ("openai", "careful", "one"),
        ("anthropic", "careful-a", "open-a"),
        ("openai", "careful-mixed", "one"),
        ("anthropic", "careful-mixed", "one"),
    ],
)
def test_a_refused_answer_is_asked_for_elsewhere_unseen(
    daemon: Daemon, dialect: str, group: str, other: str, stream: bool
) -> None:
    reply = ask(daemon, group, dialect=dialect, stream=stream)
    assert reply.status == 200
    assert reply.headers["x-standby-provider"] == other
    assert reply.headers["x-standby-attempts"] == "2"
    assert b"content_filter" not in reply.body
    assert b':"refusal"' not in reply.body


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["strict", "hopeless"])
def test_a_refused_answer_is_passed_on_where_nothing_else_is_said_or_nobody_else_answers(
    daemon: Daemon, model: str, stream: bool
) -> None:
    reply = ask(daemon, model, stream=stream)
    assert reply.status == 200
    assert reply.headers["x-standby-provider"] == "prudish"
    assert b"content_filter" in reply.body
    assert not stream or reply.body.rstrip().endswith(b"data: [DONE]")


def test_a_prompt_that_is_too_long_goes_to_a_larger_window(daemon: Daemon) -> None:
    reply = ask(daemon, "roomy")
    assert reply.headers["x-standby-provider"] == "one"
    assert reply.headers["x-standby-attempts"] == "2"


def test_an_unknown_model_is_carried_on_unless_the_group_says_otherwise(daemon: Daemon) -> None:
    assert served(daemon, "learned") == "one"
    refused = ask(daemon, "stubborn")
    assert refused.status == 404
    assert refused.headers["x-standby-provider"] == "ignorant"


def test_when_all_circuits_are_open_one_request_finds_out_that_the_outage_is_over() -> None:
    well: set[str] = set()

    def act(exchange: Exchange) -> None:
        name = exchange.request.path.split("/")[1]
        if name in well:
            good(exchange, "openai")
        else:
            exchange.answer(500, error_body("openai", "scripted_error", "scripted"))

    with Scripted(act) as scripted:
        breaker = {"failure_threshold": 1, "recovery_timeout": "5m"}
        providers = {
            name: upstream(
                "openai", base_url("openai", f"{scripted.url}/{name}"), circuit_breaker=breaker
            )
            for name in ("left", "right")
        }
        settings = config(providers, {"both": group("left", "right")}, retry={"max_attempts": 1})
        with Daemon(settings) as daemon:
            assert ask(daemon, "both").status == 502
            for name in ("left", "right"):
                daemon.wait_health(name, circuit_state="open")
            assert standing(daemon, "both")["panic"] is True
            well.update({"left", "right"})
            assert served(daemon, "both") == "left"
            daemon.wait_health("left", circuit_state="closed")
            shown = standing(daemon, "both")
            assert (shown["panic"], shown["panic_probes"]) == (False, 1)
            assert [place["status"] for place in shown["order"]] == ["ready", "open"]
            eventually(
                lambda: daemon.get("/health/metrics")["panic_probes"] == 1,
                "the metrics showed the request that was let through",
            )
            assert served(daemon, "both") == "left"
