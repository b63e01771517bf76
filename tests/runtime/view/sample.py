"""A small daemon's answers, as recorded: what the view and the command line are tested with."""

from typing import Any

__all__ = ["health_answer", "node", "supervisor", "tree_answer"]


def node(name: str, **facts: Any) -> dict[str, Any]:
    """Return one actor's object, running and idle unless the facts say otherwise."""
    return {
        "name": name,
        "kind": "actor",
        "state": "running",
        "incarnation": 1,
        "uptime": 245.0,
        "restarts": 0,
        "restart": "permanent",
        "restart_budget": None,
        "mailbox": {"now": 0, "peak": 3, "limit": 10_000, "dropped": 0, "expired": 0},
        "handled": 120,
        "last_exit": None,
        "strategy": None,
        "waiting_in": "mailbox",
        "meta": {},
        "extra": {},
        "children": [],
    } | facts


def supervisor(name: str, *children: dict[str, Any], used: int = 0, **facts: Any) -> dict[str, Any]:
    """Return a one_for_one supervisor's object that has used some of its three restarts."""
    told = {
        "kind": "supervisor",
        "mailbox": None,
        "handled": 0,
        "strategy": "one_for_one",
        "restart_budget": {"used": used, "max": 3, "seconds": 5.0},
        "children": list(children),
    }
    return node(name, **(told | facts))


def tree_answer(*, killed: bool = False) -> dict[str, Any]:
    """Return the answer of `GET /supervision/tree`; perhaps after sim-a was killed once."""
    again: dict[str, Any] = {}
    events: list[dict[str, Any]] = []
    if killed:
        again = {"incarnation": 2, "uptime": 3.4, "restarts": 1, "last_exit": "killed"}
        events = [
            {
                "kind": "supervisor",
                "context": "child_terminated",
                "name": "provider:sim-a",
                "supervisor": "providers",
                "ancestors": ["providers", "standby"],
                "incarnation": 1,
                "restarts": 0,
                "reason": "killed",
                "at": 1795408796.6,
                "clock": 240.0,
            }
        ]
    tree = supervisor(
        "standby",
        node("telemetry", handled=12_345, mailbox=_mailbox(4, 120)),
        supervisor("breakers", node("breaker:sim-a"), node("breaker:sim-b")),
        supervisor(
            "providers",
            node("provider:sim-a", extra={"in_flight": 2}, **again),
            node("provider:sim-b", extra={"in_flight": 0}),
            used=1 if killed else 0,
        ),
        node("failover"),
        supervisor("doors", node("door:unix", extra={"connections": 2})),
    )
    return {
        "schema": 1,
        "taken_at": "2026-11-23T04:40:00+00:00",
        "pid": 4242,
        "uptime": 245.0,
        "tree": tree,
        "events": events,
        "totals": {"actors": 11},
    }


def _mailbox(now: int, peak: int, limit: int = 10_000) -> dict[str, int]:
    return {"now": now, "peak": peak, "limit": limit, "dropped": 0, "expired": 0}


def health_answer(status: str = "healthy", **circuits: str) -> dict[str, Any]:
    """Return the answer of `GET /health/detailed`.

    Args:
        status: The daemon's state.
        circuits: Breaker states other than closed, by provider with `_` for `-`.
    """

    def provider(name: str, **facts: Any) -> dict[str, Any]:
        circuit = circuits.get(name.replace("-", "_"), "closed")
        return {
            "healthy": circuit == "closed",
            "circuit_state": circuit,
            "health_score": 0.95,
            "kind": "simulated",
            "wire": "openai",
            "models": ["sim-1"],
            "configured": True,
            "missing": "",
            "in_flight": 0,
            "queued": 0,
            "connections": 1,
            "alive": True,
            "last_error": None,
        } | facts

    return {
        "status": status,
        "version": "0.1.0",
        "pid": 4242,
        "uptime": 245.0,
        "socket": "/run/standby/standby.sock",
        "started_at": "2026-11-23T04:35:55+00:00",
        "providers": {
            "sim-a": provider("sim-a", in_flight=2),
            "sim-b": provider("sim-b"),
            "openai-main": provider(
                "openai-main",
                kind="openai",
                healthy=False,
                configured=False,
                missing="needs api_key",
                alive=False,
            ),
        },
        "groups": {
            "chat": {
                "strategy": "priority",
                "members": [
                    {"provider": "sim-a", "model": "sim-1"},
                    {"provider": "sim-b", "model": "sim-1"},
                ],
            }
        },
        "metrics": {"total_requests": 1204, "success_rate": 0.98, "avg_response_time": 150.4},
    }
