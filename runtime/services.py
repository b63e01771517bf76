"""What the daemon's own routes read: the parts of a running daemon, in one place."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

import msgspec

from runtime.configuration import Config
from runtime.routing.breaker_view import BreakerView
from runtime.routing.failover import FailoverBoard
from runtime.routing.forward import Forwarder
from runtime.routing.resolve import Member, Resolver
from runtime.routing.upstream import Upstream
from runtime.telemetry import TelemetryBoard
from supervision import System, Table

__all__ = ["ROOT", "Services"]

ROOT = "standby"
"""The name of the root supervisor."""


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a running daemon.

    Attributes:
        config: The configuration in force.
        version: The daemon's version.
        socket: The path of the Unix socket.
        started_at: When the daemon started, in seconds since 1970.
        started: The same on the monotonic clock, for the uptime.
        system: The running tree.
        members: All providers of the configuration, configured or not.
        upstreams: Those that are configured.
        resolver: Finds the candidates for a model name.
        forwarder: Tries them.
        breakers: The published state of the breakers.
        failover: The published plans and standings.
        telemetry: The published counts and scores.
        stop: Begins an orderly stop; returns at once.
    """

    config: Config
    version: str
    socket: Path
    started_at: float
    started: float
    system: System
    members: Mapping[str, Member]
    upstreams: Mapping[str, Upstream]
    resolver: Resolver
    forwarder: Forwarder
    breakers: Table[str, BreakerView]
    failover: FailoverBoard
    telemetry: TelemetryBoard
    stop: Callable[[], None]

    @property
    def uptime(self) -> float:
        """Seconds since the daemon started."""
        return time.monotonic() - self.started
