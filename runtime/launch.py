"""Starting the tree and connecting its parts: what the daemon and a program in process share.

The doors are no part of it: the daemon adds them, a program that asks in process has none.
"""

import importlib.metadata
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from providers.http import Poller
from runtime.admission import Admission
from runtime.assembly import ProviderParts, assemble_provider, provider_name, retry_policy
from runtime.configuration import Config, ProviderConfig
from runtime.outcome import RequestShed
from runtime.routing.breaker_actor import breaker_name
from runtime.routing.forward import Forwarder
from runtime.routing.means import Means
from runtime.routing.resolve import Resolver
from runtime.routing.retry import RetryBudget
from runtime.routing.route import Target
from runtime.routing.upstream import Upstream
from runtime.services import Services
from runtime.tree import Shared, groups, tree
from supervision import System, open_system

__all__ = ["Running", "connect_upstream", "open_services"]


class Running(msgspec.Struct, frozen=True):
    """A running tree.

    Attributes:
        services: Its parts, as those who ask see them.
        shared: What is published in it, as those who build see it.
        parts: What its providers are made of, by name; grows as providers are added.
    """

    services: Services
    shared: Shared
    parts: dict[str, ProviderParts]


@asynccontextmanager
async def open_services(
    config: Config, *, socket_path: Path | None, stop: Callable[[], None]
) -> AsyncIterator[Running]:
    """Run the tree, without doors, for as long as the block runs.

    Args:
        config: The checked configuration.
        socket_path: Where the daemon listens; None where there is no daemon.
        stop: Called when somebody orders a stop.

    Raises:
        OSError: When a simulated provider gets no port.
        ValueError: When a provider's settings cannot be used.
        SystemDown: When the tree gave up; the block was cancelled.
    """
    poller = Poller()
    shared = Shared(poller)
    parts: dict[str, ProviderParts] = {}
    try:
        for name, provider in config.providers.items():
            if provider.enabled:
                parts[name] = assemble_provider(name, provider, config, poller)
        async with open_system(tree(config, parts, shared)) as system:
            services = _services(config, parts, system, shared, socket_path=socket_path, stop=stop)
            yield Running(services, shared, parts)
    finally:
        for part in parts.values():
            if part.listener is not None:
                part.listener.close()
        poller.close()


def connect_upstream(
    name: str, part: ProviderParts, config: ProviderConfig, system: System, shared: Shared
) -> Upstream | None:
    """Return a provider with all that an attempt needs; None for one that is not configured.

    Args:
        name: The provider's name.
        part: Its parts.
        config: Its settings.
        system: Where its tasks run, or will.
        shared: Where its gate is.
    """
    if part.member.interface is None:
        return None
    return Upstream(
        interface=part.member.interface,
        actor=system.ref(provider_name(name)),
        breaker=system.ref(breaker_name(name)),
        gate=shared.gates.of(name),
        retry=retry_policy(config.retry),
        in_flight=shared.loads.of(name),
    )


def _services(
    config: Config,
    parts: dict[str, ProviderParts],
    system: System,
    shared: Shared,
    *,
    socket_path: Path | None,
    stop: Callable[[], None],
) -> Services:
    """Connect what routes and programs read and call."""
    upstreams = {}
    for name, part in parts.items():
        upstream = connect_upstream(name, part, config.providers[name], system, shared)
        if upstream is not None:
            upstreams[name] = upstream
    members = {name: part.member for name, part in parts.items()}
    policy = retry_policy(config.retry)
    resolver = Resolver(
        aliases={
            name: Target(group=alias.group, provider=alias.provider, model=alias.model)
            for name, alias in config.models.items()
        },
        groups=groups(config),
        members=members,
        plans=shared.failover.plans,
        attempts=policy.max_attempts,
    )
    budget = RetryBudget(config.retry.budget_percent / 100, config.retry.budget_floor)
    forwarder = Forwarder(
        Means(
            upstreams=upstreams,
            breakers=shared.breakers,
            budget=budget,
            telemetry=system.ref("telemetry"),
            failover=system.ref("failover"),
            standing=shared.failover,
        )
    )
    telemetry = system.ref("telemetry")
    limits = config.limits
    admission = Admission(
        max_in_flight=limits.max_in_flight,
        max_per_client=limits.max_in_flight_per_client,
        # Of whoever asks alone every body is accepted that is no larger than allowed.
        max_held=max(limits.max_held_bytes, limits.max_body),
        tell=lambda why: telemetry.cast(RequestShed(why)),
    )
    return Services(
        config=config,
        providers={name: config.providers[name] for name in parts},
        version=importlib.metadata.version("standby"),
        socket=socket_path,
        started_at=time.time(),
        started=time.monotonic(),
        system=system,
        members=members,
        upstreams=upstreams,
        resolver=resolver,
        forwarder=forwarder,
        admission=admission,
        breakers=shared.breakers,
        budget=budget,
        failover=shared.failover,
        telemetry=shared.telemetry,
        stop=stop,
    )
