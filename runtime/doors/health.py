"""How the daemon is, in JSON: a look at what is published, no question to any actor or upstream."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

import msgspec
import trio

from providers.http import Request
from runtime.assembly import provider_name
from runtime.doors.session import Session
from runtime.routing.upstream import Upstream
from runtime.services import Services
from runtime.telemetry import ProviderMetrics, TokenCounts
from supervision import NoProcess, TreeNode

__all__ = ["HealthRoutes"]

Status = Literal["healthy", "degraded", "unhealthy"]


class HealthRoutes:
    """Handlers of ``/health`` and what is below it.

    Args:
        services: The running daemon.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    async def summary(self, session: Session, request: Request) -> None:
        """Answer in a few words."""
        del request
        now = trio.current_time()
        metrics = self._services.telemetry.metrics.value
        status = self._status(now)
        body = {
            "status": status,
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
        _answer(session, _http_status(status), body)

    async def detailed(self, session: Session, request: Request) -> None:
        """Answer with all there is to know."""
        del request
        services = self._services
        now = trio.current_time()
        status = self._status(now)
        started = datetime.fromtimestamp(services.started_at, UTC)
        body = {
            "status": status,
            "version": services.version,
            "pid": os.getpid(),
            "uptime": services.uptime,
            "started_at": started.isoformat(timespec="seconds"),
            "socket": None if services.socket is None else str(services.socket),
            "groups": self._groups(),
            "providers": self._providers(now),
            "metrics": services.telemetry.metrics.value,
        }
        _answer(session, _http_status(status), body)

    async def providers(self, session: Session, request: Request) -> None:
        """Answer with the providers in detail."""
        del request
        _answer(session, 200, self._providers(trio.current_time()))

    async def metrics(self, session: Session, request: Request) -> None:
        """Answer with all counts."""
        del request
        _answer(session, 200, self._services.telemetry.metrics.value)

    def _status(self, now: float) -> Status:
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

    def _providers(self, now: float) -> dict[str, dict[str, object]]:
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
            "connections": shown.get("connections", 0),
            "last_error": shown.get("last_error") or metrics.last_failure,
            "gate_opens_in": upstream.gate.opens_in(now),
            "set_aside": view is not None and not view.account.passing,
            "consecutive_failures": 0 if view is None else view.circuit.consecutive,
            "circuit_opened": 0 if view is None else view.circuit.openings,
            "metrics": metrics,
        }

    def _groups(self) -> dict[str, object]:
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
                "standing": board.standings.of(
                    name, plan.strategy, [candidate.provider for candidate in plan.candidates]
                ),
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


def _http_status(status: Status) -> int:
    """Say 503 when nobody could answer, so that a check that looks no further sees it."""
    return 503 if status == "unhealthy" else 200


def _answer(session: Session, status: int, body: object) -> None:
    session.respond(status, msgspec.json.encode(body))
