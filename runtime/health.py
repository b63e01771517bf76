"""How a running tree is, as plain values: a look at what is published, no question to anybody."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
import trio

from runtime.assembly import provider_name
from runtime.routing.upstream import Upstream
from runtime.services import Services
from runtime.telemetry import Metrics, ProviderMetrics, TokenCounts
from supervision import NoProcess, TreeNode

__all__ = ["HealthReport", "Status", "as_json"]

Status = Literal["healthy", "degraded", "unhealthy"]
"""``healthy`` while every configured provider is, ``degraded`` while one can answer."""


def as_json(report: object) -> Any:
    """Return a report as whoever asks for it over HTTP reads it: lists, mappings, plain values."""
    return msgspec.json.decode(msgspec.json.encode(report))


class HealthReport:
    """What the daemon's health routes and programs in process are told alike.

    Args:
        services: The running tree.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    @property
    def metrics(self) -> Metrics:
        """All counts, and how the retry budget stands."""
        services = self._services
        return msgspec.structs.replace(
            services.telemetry.metrics.value,
            retry_budget=services.budget.status(trio.current_time()),
        )

    def summary(self, now: float) -> dict[str, object]:
        """Return the health in a few words.

        Args:
            now: The present time, on the clock of ``trio.current_time``; here and below.
        """
        metrics = self._services.telemetry.metrics.value
        return {
            "status": self.status(now),
            "providers": {
                name: self._brief(name, upstream, now)
                for name, upstream in self._services.upstreams.items()
            },
            "metrics": {
                "total_requests": metrics.total_requests,
                "success_rate": metrics.success_rate,
                "avg_response_time": metrics.avg_response_time,
            },
        }

    def detailed(self, now: float) -> dict[str, object]:
        """Return all there is to know."""
        services = self._services
        started = datetime.fromtimestamp(services.started_at, UTC)
        return {
            "status": self.status(now),
            "version": services.version,
            "pid": os.getpid(),
            "uptime": services.uptime,
            "started_at": started.isoformat(timespec="seconds"),
            "socket": None if services.socket is None else str(services.socket),
            "retry_budget": services.budget.status(now),
            "admission": services.admission.status(),
            "groups": self._groups(now),
            "providers": self.providers(now),
            "metrics": self.metrics,
        }

    def status(self, now: float) -> Status:
        """Say healthy while every configured provider is, degraded while one can answer."""
        upstreams = self._services.upstreams
        healthy = [self._healthy(name, upstream, now) for name, upstream in upstreams.items()]
        if not any(healthy):
            return "unhealthy"
        return "healthy" if all(healthy) else "degraded"

    def _healthy(self, name: str, upstream: Upstream, now: float) -> bool:
        view = self._services.breakers.get(name)
        return upstream.actor.alive and view is not None and view.shown(now) != "open"

    def _brief(self, name: str, upstream: Upstream, now: float) -> dict[str, object]:
        view = self._services.breakers.get(name)
        score = self._services.telemetry.metrics.value.providers.get(name)
        return {
            "healthy": self._healthy(name, upstream, now),
            "circuit_state": "closed" if view is None else view.shown(now),
            "health_score": 1.0 if score is None else score.health_score,
        }

    def providers(self, now: float) -> dict[str, dict[str, object]]:
        """Return the providers in detail, those that are not configured included."""
        services = self._services
        nodes = self._nodes()
        found = {}
        for name, member in services.members.items():
            config = services.providers[name]
            facts: dict[str, object] = {
                "kind": config.kind,
                "wire": member.dialect,
                "models": config.models,
                "configured": member.interface is not None,
            }
            upstream = services.upstreams.get(name)
            if upstream is None:
                facts.update(missing=member.missing, healthy=False)
            else:
                facts.update(self._brief(name, upstream, now))
                facts.update(self._live(name, upstream, nodes.get(provider_name(name)), now))
            found[name] = facts
        return found

    def _live(
        self, name: str, upstream: Upstream, node: TreeNode | None, now: float
    ) -> dict[str, object]:
        view = self._services.breakers.get(name)
        shown: Mapping[str, object] = {} if node is None else node.extra
        counted = self._services.telemetry.metrics.value.providers.get(name)
        metrics = counted or ProviderMetrics(failures={}, tokens=TokenCounts())
        return {
            "base_url": upstream.interface.settings.base_url,
            "alive": upstream.actor.alive,
            "incarnation": upstream.actor.incarnation,
            "in_flight": shown.get("in_flight", 0),
            "queued": shown.get("queued", 0),
            "clients_waiting": shown.get("clients_waiting", 0),
            "shed": shown.get("shed", 0),
            "connections": shown.get("connections", 0),
            "last_error": shown.get("last_error") or metrics.last_failure,
            "gate_opens_in": upstream.gate.opens_in(now),
            "set_aside": view is not None and not view.account.passing,
            "consecutive_failures": 0 if view is None else view.circuit.consecutive,
            "circuit_opened": 0 if view is None else view.circuit.openings,
            "breaker": None if view is None else view.status(now),
            "metrics": metrics,
        }

    def _groups(self, now: float) -> dict[str, object]:
        services = self._services
        board = services.failover
        return {
            name: {
                "strategy": plan.strategy,
                "max_attempts": plan.max_attempts,
                "members": [
                    {"provider": candidate.provider, "model": candidate.model}
                    for candidate in plan.candidates
                ],
                "standing": board.standings.of(plan, now),
            }
            for name, plan in board.plans.items()
        }

    def _nodes(self) -> dict[str, TreeNode]:
        try:
            tree = self._services.system.snapshot()
        except NoProcess:
            return {}
        providers = tree.find("providers")
        return {} if providers is None else {node.name: node for node in providers.children}
