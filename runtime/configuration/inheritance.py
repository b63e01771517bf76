"""What a provider does not say about breaking and retrying, it takes from the settings of all."""

from typing import TypeVar

import msgspec

from runtime.configuration.places import Places
from runtime.configuration.settings import Config
from runtime.configuration.tolerance import CircuitBreakerConfig, ProviderRetryConfig

__all__ = ["inherit"]

_Shared = TypeVar("_Shared", CircuitBreakerConfig, ProviderRetryConfig)


def inherit(config: Config, places: Places) -> Config:
    """Return the configuration with each provider's ``circuit_breaker`` and ``retry`` complete.

    Args:
        config: As read from the file, environment overrides applied.
        places: What the file itself says.
    """
    retry = ProviderRetryConfig(
        **{name: getattr(config.retry, name) for name in ProviderRetryConfig.__struct_fields__}
    )
    providers = {}
    for name, provider in config.providers.items():
        where = ("providers", name)
        providers[name] = msgspec.structs.replace(
            provider,
            circuit_breaker=_completed(
                config.circuit_breaker, provider.circuit_breaker, places, *where, "circuit_breaker"
            ),
            retry=_completed(retry, provider.retry, places, *where, "retry"),
        )
    return msgspec.structs.replace(config, providers=providers)


def _completed(shared: _Shared, own: _Shared, places: Places, *path: str) -> _Shared:
    said = {name: getattr(own, name) for name in own.__struct_fields__ if places.has(*path, name)}
    return msgspec.structs.replace(shared, **said)
