"""The supervision tree of the daemon, as specifications.

    standby                 supervisor
    ├── poller              all sockets; its task may come and go, the sockets stay
    ├── deadlines           the wheel of coarse deadlines
    ├── telemetry           counts and scores
    ├── breakers            supervisor: breaker:<provider> each
    ├── simulators          supervisor: simulator:<provider> for each simulated one
    ├── providers           supervisor: provider:<provider> each
    ├── failover            groups and their plans
    └── doors               supervisor: connections, door:unix, door:tcp

The doors are started last, when everything they need is there.
"""

from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count

import msgspec

from providers.http import Limits, Listener, Poller, ServerConnection
from runtime.assembly import ProviderParts, breaker_settings
from runtime.configuration import Config, GroupTimeoutsConfig, HedgeConfig, ProviderConfig
from runtime.doors.door import Door, OpenSessions, own_users
from runtime.doors.session import Session
from runtime.routing.breaker_actor import Breaker, breaker_name
from runtime.routing.breaker_view import BreakerView
from runtime.routing.failover import FailoverBoard, FailoverManager
from runtime.routing.gate import RateGates
from runtime.routing.group import GroupTimeouts
from runtime.routing.hedge_policy import HedgeSettings
from runtime.routing.load import Loads
from runtime.routing.plan import Candidate, Group, Outlook
from runtime.routing.readiness import Readiness
from runtime.services import ROOT
from runtime.telemetry import Telemetry, TelemetryBoard
from supervision import Backoff, ChildSpec, Table, dynamic_supervisor, supervisor

__all__ = ["Doorway", "Shared", "breaker", "doors", "tree"]

_RESTARTS = 1000
"""Restarts within five seconds before a supervisor gives up. Many, because a person may kill parts
as fast as he likes, all the root's at once; a part that fails by itself is slowed down long before
by the back-off."""

_PERIOD = 5.0
_BACKOFF = Backoff(
    first=0.01, factor=2.0, maximum=5.0, jitter=0.5, healthy_after=5.0, after_kill=0.1
)
"""A part that was killed is back at once however often that happens: without the poller nothing
comes in or goes out, and upstreams would seem slow that are not."""

_one_for_one = partial(supervisor, max_restarts=_RESTARTS, max_seconds=_PERIOD, backoff=_BACKOFF)


class Shared:
    """What is published in the tree and outlives the crashes of those who publish it.

    Attributes:
        poller: All sockets.
        breakers: The breakers' views.
        gates: The rate gates.
        loads: The attempts under way.
        failover: Plans and standings.
        telemetry: Counts and scores.
    """

    def __init__(self, poller: Poller) -> None:
        self.poller = poller
        self.breakers: Table[str, BreakerView] = Table(name="breakers")
        self.gates = RateGates()
        self.loads = Loads()
        self.failover = FailoverBoard()
        self.telemetry = TelemetryBoard()


class Doorway(msgspec.Struct, frozen=True, kw_only=True):
    """One door to be: its name, its socket, how it greets.

    Attributes:
        name: Its short name.
        listener: Its listening socket.
        open_session: Makes the session of a connection.
        private: Whether only the daemon's own user and root may connect.
    """

    name: str
    listener: Listener
    open_session: Callable[[ServerConnection], Session]
    private: bool


def groups(config: Config) -> dict[str, Group]:
    """Return the configured groups.

    A member whose model is left out asks for the one its provider lists.

    Args:
        config: The configuration.
    """
    found = {}
    for name, group in config.groups.items():
        members = []
        for member in group.members:
            provider = config.providers[member.provider]
            if provider.enabled:
                model = member.model or next(iter(provider.models), None)
                fallback = group.fallback_on if member.fallback_on is None else member.fallback_on
                members.append(
                    Candidate(
                        member.provider,
                        model,
                        weight=member.weight,
                        cost_tier=member.cost_tier,
                        context_window=member.context_window,
                        fallback_on=frozenset(fallback),
                    )
                )
        if members:
            found[name] = Group(
                name=name,
                members=tuple(members),
                strategy=group.strategy,
                max_attempts=group.max_attempts,
                health_threshold=group.health_threshold,
                rebalance_interval=group.rebalance_interval,
                timeouts=_timeouts(group.timeouts),
                hedge=_hedge(group.hedge),
                on_broken_stream=group.on_broken_stream,
                translation=group.translation,
            )
    return found


def _hedge(config: HedgeConfig) -> HedgeSettings | None:
    """Return how a group hedges; None when it does not."""
    if not config.enabled:
        return None
    return msgspec.convert(config, HedgeSettings, from_attributes=True)


def _timeouts(config: GroupTimeoutsConfig) -> GroupTimeouts | None:
    """Return a group's own bounds on waits; None where it has none, which costs requests less."""
    if config == GroupTimeoutsConfig():
        return None
    return msgspec.convert(config, GroupTimeouts, from_attributes=True)


def breaker(name: str, config: ProviderConfig, shared: Shared) -> ChildSpec:
    """Return a provider's circuit breaker.

    Args:
        name: The provider's name.
        config: Its settings.
        shared: What is published.
    """
    settings = breaker_settings(config.circuit_breaker)
    return ChildSpec(breaker_name(name), partial(Breaker, name, settings, shared.breakers))


def tree(config: Config, parts: Mapping[str, ProviderParts], shared: Shared) -> ChildSpec:
    """Return the daemon's tree without its doors.

    Args:
        config: The configuration.
        parts: The providers' parts.
        shared: What is published.
    """
    poller = shared.poller
    ready = Readiness(shared.breakers, shared.gates)
    outlook = Outlook(
        loads=shared.loads,
        first_tokens=shared.failover.first_tokens,
        health=shared.telemetry.health_score,
        all_ready=ready.all,
        hasten=ready.hasten,
        status=ready.status,
    )
    providers = [part.provider for part in parts.values() if part.provider is not None]
    simulators = [part.simulator for part in parts.values() if part.simulator is not None]
    breakers = [
        breaker(name, config.providers[name], shared)
        for name, part in parts.items()
        if part.provider is not None
    ]
    manager = partial(
        FailoverManager, shared.failover, tuple(groups(config).values()), ready, outlook
    )
    return _one_for_one(
        ROOT,
        [
            ChildSpec("poller", poller.run, kind="task"),
            ChildSpec("deadlines", poller.wheel.run, kind="task"),
            ChildSpec("telemetry", partial(Telemetry, shared.telemetry)),
            _one_for_one("breakers", breakers),
            _one_for_one("simulators", simulators),
            _one_for_one("providers", providers),
            ChildSpec("failover", manager),
        ],
    )


def doors(
    config: Config, doorways: list[Doorway], shared: Shared, sessions: OpenSessions
) -> ChildSpec:
    """Return the doors and the supervisor of their connections.

    Args:
        config: The configuration.
        doorways: The doors to be.
        shared: What is published.
        sessions: Where open sessions are counted.
    """
    limits = client_limits(config)
    numbers = count(1)
    own = own_users()
    children = [
        ChildSpec(
            f"door:{doorway.name}",
            partial(
                Door,
                name=doorway.name,
                listener=doorway.listener,
                poller=shared.poller,
                limits=limits,
                sessions=sessions,
                open_session=doorway.open_session,
                numbers=numbers,
                waiting=deque(),
                users=own if doorway.private else None,
            ),
            meta={"address": doorway.listener.address},
        )
        for doorway in doorways
    ]
    connections = dynamic_supervisor(
        "connections", max_children=config.limits.max_connections, restart="permanent"
    )
    return _one_for_one("doors", [connections, *children])


def client_limits(config: Config) -> Limits:
    """Return the bounds on what a client may send and how long it may take.

    Args:
        config: The configuration.
    """
    limits, timeouts = config.limits, config.timeouts
    return Limits(
        max_line=limits.max_line,
        max_header_bytes=limits.max_header_bytes,
        max_headers=limits.max_headers,
        max_body=limits.max_body,
        header_timeout=timeouts.header,
        body_timeout=timeouts.body,
        idle_timeout=timeouts.idle,
        write_timeout=timeouts.write,
    )
