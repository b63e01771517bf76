"""What the daemon says of itself: health, models, the tree."""

from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.support.answers import PATHS, request_body
from tests.support.configs import config, group, simulated, upstream
from tests.support.daemon import Daemon
from tests.support.waiting import eventually

MEMBERS = ("sim-o", "sim-a")


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon(
        config(
            {
                "sim-o": simulated("openai"),
                "sim-a": simulated("anthropic"),
                "no-key": {"kind": "openai", "api_key": "", "models": ["gpt-x"]},
            },
            {
                "chat": group("no-key", "sim-o", model="sim-1"),
                "talk": group("sim-a", model="sim-1"),
            },
        )
    ) as running:
        for number in range(10):
            dialect = ("openai", "anthropic")[number % 2]
            body = request_body(dialect, ("chat", "talk")[number % 2], stream=number > 5)
            reply = running.ask("POST", PATHS[dialect], body)
            assert reply.status == 200, reply.body
        eventually(
            lambda: running.get("/health")["metrics"]["total_requests"] == 10,
            "telemetry had counted ten requests",
        )
        yield running


def _number(value: object, low: float = 0, high: float = float("inf")) -> None:
    assert isinstance(value, int | float)
    assert not isinstance(value, bool)
    assert low <= value <= high


def test_health_has_exactly_the_documented_shape(daemon: Daemon) -> None:
    health = daemon.get("/health")
    assert set(health) == {"status", "providers", "metrics"}
    assert health["status"] == "healthy"
    for name in MEMBERS:
        entry = health["providers"][name]
        assert set(entry) == {"healthy", "circuit_state", "health_score"}
        assert entry["healthy"] is True
        assert entry["circuit_state"] == "closed"
        _number(entry["health_score"], 0, 1)
    metrics = health["metrics"]
    assert set(metrics) == {"total_requests", "success_rate", "avg_response_time"}
    assert metrics["total_requests"] == 10
    assert metrics["success_rate"] == 1
    _number(metrics["avg_response_time"])


def test_detailed_health_says_who_and_since_when(daemon: Daemon) -> None:
    detail = daemon.get("/health/detailed")
    assert detail["pid"] == daemon.pid
    assert detail["socket"] == str(daemon.socket)
    assert detail["version"]
    assert detail["started_at"]
    _number(detail["uptime"])
    assert set(detail["groups"]) == {"chat", "talk"}
    assert set(detail["providers"]) == {"sim-o", "sim-a", "no-key"}


def _providers(daemon: Daemon) -> Mapping[str, Any]:
    providers = daemon.get("/health/providers")
    assert isinstance(providers, dict)
    return providers


def test_provider_health_shows_each_one_in_detail(daemon: Daemon) -> None:
    providers = _providers(daemon)
    for name, wire in zip(MEMBERS, ("openai", "anthropic"), strict=True):
        entry = providers[name]
        assert entry["kind"] == "simulated"
        assert entry["wire"] == wire
        assert entry["configured"] is True
        assert entry["alive"] is True
        assert entry["circuit_state"] == "closed"
        assert entry["in_flight"] == 0
        assert entry["queued"] == 0
        _number(entry["connections"])
    detailed = daemon.get("/health/detailed")["providers"]
    for name, entry in providers.items():
        assert set(entry) == set(detailed[name]), name


def test_a_provider_without_its_key_is_shown_and_skipped(daemon: Daemon) -> None:
    entry = _providers(daemon)["no-key"]
    assert entry["configured"] is False
    assert "key" in entry["missing"]
    reply = daemon.ask("POST", PATHS["openai"], request_body("openai", "chat"))
    assert reply.status == 200
    assert reply.headers["x-standby-provider"] == "sim-o"
    assert reply.headers["x-standby-attempts"] == "1"


def test_metrics_count_what_was_asked(daemon: Daemon) -> None:
    metrics = daemon.get("/health/metrics")
    assert metrics["total_requests"] >= 10
    assert metrics["success_rate"] == 1
    _number(metrics["avg_response_time"])


def test_the_tree_has_the_documented_parts(daemon: Daemon) -> None:
    shown = daemon.get("/supervision/tree")
    assert shown["pid"] == daemon.pid
    assert shown["tree"]["name"] == "standby"
    assert shown["tree"]["kind"] == "supervisor"
    nodes = daemon.nodes()
    wanted = {
        "telemetry",
        "breakers",
        "breaker:sim-o",
        "breaker:sim-a",
        "providers",
        "provider:sim-o",
        "provider:sim-a",
        "failover",
        "doors",
        "door:unix",
    }
    assert wanted <= set(nodes)
    for name in wanted:
        assert nodes[name]["state"] == "running", name
        assert nodes[name]["incarnation"] == 1, name
        assert nodes[name]["restarts"] == 0, name
    _number(nodes["telemetry"]["mailbox"]["limit"], 1)
    assert nodes["breakers"]["strategy"] == "one_for_one"


def test_models_are_listed_for_both_dialects(daemon: Daemon) -> None:
    listed = daemon.get("/v1/models")
    assert listed["object"] == "list"
    names = {entry["id"] for entry in listed["data"]}
    assert {"chat", "talk", "sim-1"} <= names
    reply = daemon.ask("GET", "/v1/models", headers={"anthropic-version": "2023-06-01"})
    assert reply.status == 200
    assert all(entry["type"] == "model" for entry in reply.json["data"])
    assert "has_more" in reply.json


def test_a_daemon_with_a_dead_upstream_says_degraded_and_goes_on() -> None:
    dead = upstream("openai", "http://127.0.0.1:1/v1")
    settings = config(
        {"dead": dead, "sim-o": simulated("openai")},
        {"chat": group("dead", "sim-o", model="sim-1")},
        circuit_breaker={"failure_threshold": 2},
    )
    with Daemon(settings) as daemon:
        for _ in range(4):
            reply = daemon.ask("POST", PATHS["openai"], request_body("openai", "chat"))
            assert reply.status == 200
        eventually(
            lambda: daemon.get("/health")["providers"]["dead"]["circuit_state"] == "open",
            "the breaker of the dead provider had opened",
        )
        health = daemon.get("/health")
        assert health["status"] == "degraded"
        assert health["providers"]["dead"]["healthy"] is False
        reply = daemon.ask("POST", PATHS["openai"], request_body("openai", "chat"))
        assert reply.headers["x-standby-attempts"] == "1", "an open breaker is not asked"
