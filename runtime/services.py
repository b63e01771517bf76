"""What routes and programs in process read: the parts of a running tree, in one place."""

import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from runtime.admission import Admission
from runtime.configuration import Config, ProviderConfig
from runtime.routing.breaker_view import BreakerView
from runtime.routing.failover import FailoverBoard
from runtime.routing.forward import Forwarder
from runtime.routing.resolve import Resolver
from runtime.routing.retry import RetryBudget
from runtime.routing.route import Member
from runtime.routing.upstream import Upstream
from runtime.telemetry import TelemetryBoard
from supervision import System, Table

__all__ = ["ROOT", "Services"]

ROOT = "standby"
"""The name of the root supervisor."""


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a running tree.

    Attributes:
        config: The configuration in force.
        providers: The settings of every provider that is used, those added while running included.
        version: Standby's version.
        socket: The path of the Unix socket; None where there are no doors.
        started_at: When it started, in seconds since 1970.
        started: The same on the monotonic clock, for the uptime.
        system: The running tree.
        members: All providers that are used, configured or not.
        upstreams: Those that are configured.
        resolver: Finds the candidates for a model name.
        forwarder: Tries them.
        admission: Says how many requests are let in at the doors.
        breakers: The published state of the breakers.
        budget: What pays for retries and fail-overs.
        failover: The published plans and standings.
        telemetry: The published counts and scores.
        stop: Begins an orderly stop; returns at once.
    """

    config: Config
    providers: dict[str, ProviderConfig]
    version: str
    socket: Path | None
    started_at: float
    started: float
    system: System
    members: dict[str, Member]
    upstreams: dict[str, Upstream]
    resolver: Resolver
    forwarder: Forwarder
    admission: Admission
    breakers: Table[str, BreakerView]
    budget: RetryBudget
    failover: FailoverBoard
    telemetry: TelemetryBoard
    stop: Callable[[], None]

    @property
    def uptime(self) -> float:
        """Seconds since the tree started."""
        return time.monotonic() - self.started
