"""From the configuration to the parts of the daemon that providers are made of.

Nothing runs yet: what is made here are the objects that outlive restarts (sockets, gates, the
knowledge of an API) and the child specifications that use them.
"""

import logging
import socket
from collections.abc import Callable
from functools import partial

import msgspec

from providers.actor import ProviderActor
from providers.anthropic import AnthropicProvider
from providers.http import Listener, Poller, bind_tcp
from providers.interface import ProviderInterface, ProviderSettings
from providers.openai import OpenAIProvider
from providers.patterns import is_pattern
from providers.prices import Prices
from providers.proxies import Proxy
from providers.simulator import FaultRule, Simulator, SimulatorSettings
from runtime import configuration
from runtime.configuration import CircuitBreakerConfig, Config, ProviderConfig, ProviderRetryConfig
from runtime.routing.breaker import BreakerSettings
from runtime.routing.retry import RetryPolicy
from runtime.routing.route import Member
from supervision import ChildSpec

__all__ = [
    "ProviderParts",
    "assemble_provider",
    "breaker_settings",
    "provider_name",
    "retry_policy",
]

_log = logging.getLogger("standby")

_INTERFACES: dict[str, Callable[[ProviderSettings], ProviderInterface]] = {
    "openai": OpenAIProvider,
    "anthropic": AnthropicProvider,
}


def provider_name(provider: str) -> str:
    """Return the name of a provider's task in the tree."""
    return f"provider:{provider}"


class ProviderParts(msgspec.Struct, frozen=True, kw_only=True):
    """What one provider consists of.

    Attributes:
        member: What resolving a model name needs of it; its interface is None when it is not
            configured, and then there are no tasks either.
        provider: Its task.
        simulator: The server behind a simulated one.
        listener: The server's socket, which outlives the server's task.
    """

    member: Member
    provider: ChildSpec | None = None
    simulator: ChildSpec | None = None
    listener: Listener | None = None


def assemble_provider(
    name: str, config: ProviderConfig, everything: Config, poller: Poller
) -> ProviderParts:
    """Return the parts of one provider.

    Args:
        name: Its name.
        config: Its settings.
        everything: The whole configuration.
        poller: Where its sockets are watched.

    Raises:
        ValueError: When its settings cannot be used after all; names the provider.
        OSError: When a simulated one gets no port.
    """
    if not config.configured:
        member = Member(interface=None, dialect=config.dialect, missing=config.missing)
        return ProviderParts(member=member)
    simulator, listener, base_url = None, None, ""
    if isinstance(config, configuration.SimulatedProvider):
        sock = bind_tcp("127.0.0.1", 0)
        base_url = _simulated_url(sock, config.wire)
        listener = Listener(poller, sock)
        settings = _simulator_settings(config)
        simulator = ChildSpec(
            f"simulator:{name}",
            partial(Simulator, settings, listener, poller),
            meta={"address": listener.address},
        )
    try:
        interface = _INTERFACES[config.dialect](_settings(name, config, everything, base_url))
    except ValueError as error:
        raise ValueError(f"provider {name}: {error}") from None
    meta = {
        "kind": config.kind,
        "wire": config.dialect,
        "base_url": interface.settings.base_url,
    }
    if interface.settings.proxy is not None:
        meta["proxy"] = str(Proxy.from_url(interface.settings.proxy))
        _log.info("provider %s is asked through the proxy %s", name, meta["proxy"])
    return ProviderParts(
        member=Member(interface=interface, dialect=config.dialect),
        provider=ChildSpec(provider_name(name), _actor(interface, poller), meta=meta),
        simulator=simulator,
        listener=listener,
    )


def _actor(interface: ProviderInterface, poller: Poller) -> Callable[[], ProviderActor]:
    """Return what makes a provider's actor."""
    if interface.settings.proxy is None and not interface.settings.http2:
        return partial(ProviderActor, interface, poller)
    # Memory and start-up time of its libraries are for those who need them.
    from providers.pooled.actor import PooledProviderActor  # noqa: PLC0415 - see above

    return partial(PooledProviderActor, interface, poller)


def breaker_settings(config: CircuitBreakerConfig) -> BreakerSettings:
    """Return a breaker's settings."""
    return msgspec.convert(config, BreakerSettings, from_attributes=True)


def retry_policy(config: ProviderRetryConfig) -> RetryPolicy:
    """Return a retry policy."""
    return msgspec.convert(config, RetryPolicy, from_attributes=True)


def _simulated_url(sock: socket.socket, wire: str) -> str:
    _, port = sock.getsockname()
    return f"http://127.0.0.1:{port}" + ("/v1" if wire == "openai" else "")


def _simulator_settings(config: configuration.SimulatedProvider) -> SimulatorSettings:
    """Return the settings of a simulated provider's server.

    It has the models that the provider lists, and any where the provider lists a pattern or none.
    """
    simulator = config.simulator
    return SimulatorSettings(
        latency=simulator.latency,
        tokens_per_second=simulator.tokens_per_second,
        answer_words=simulator.answer_words,
        embedding_dimensions=simulator.embedding_dimensions,
        seed=simulator.seed,
        models=() if any(map(is_pattern, config.models)) else config.models,
        faults=tuple(
            FaultRule(
                fault=rule.fault,
                probability=rule.probability,
                every=rule.every,
                from_seconds=rule.from_seconds,
                until_seconds=rule.until_seconds,
            )
            for rule in simulator.faults
        ),
    )


def _settings(
    name: str, config: ProviderConfig, everything: Config, base_url: str
) -> ProviderSettings:
    """Return the settings that the provider layer knows, secrets opened."""
    timeouts = config.timeouts
    total = everything.timeouts.request if timeouts.total is None else timeouts.total
    key: str | None = None
    headers: tuple[tuple[str, str], ...] = ()
    organization, project, version = None, None, None
    responses = None
    proxy, http2 = None, False
    if isinstance(config, configuration.UpstreamProvider):
        base_url = config.base_url
        http2 = config.http2
        if config.proxy is not None and config.proxy.reveal() not in {"auto", "none", ""}:
            proxy = config.proxy.reveal()
        key = config.api_key.reveal() if config.api_key else None
        headers = tuple((header, value.reveal()) for header, value in config.headers.items())
    if isinstance(config, configuration.OpenAIProvider):
        organization, project = config.organization, config.project
        responses = config.responses
    elif isinstance(config, configuration.AnthropicProvider):
        version = config.version
    return ProviderSettings(
        name=name,
        kind=config.kind,
        base_url=base_url,
        api_key=key,
        models=config.models,
        headers=headers,
        max_connections=config.max_connections,
        queue_limit=config.queue_limit,
        idle_timeout=config.idle_timeout,
        connect_timeout=timeouts.connect,
        first_token_timeout=timeouts.first_token,
        stall_timeout=timeouts.stall,
        answer_timeout=total,
        max_answer=everything.limits.max_answer,
        organization=organization,
        project=project,
        responses=responses,
        version=version,
        proxy=proxy,
        http2=http2,
        prices=tuple(
            (model, msgspec.convert(price, Prices, from_attributes=True))
            for model, price in config.prices.items()
        ),
        resume_style=config.resume_style,
    )
