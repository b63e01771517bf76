"""The configuration: found, read, checked, with every mistake named by its place.

Names are imported when they are first used: `paths` needs only the standard library, so commands
that merely ask the daemon find its socket without importing a YAML parser.
"""

from importlib import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` is not imported for this alone
    from runtime.configuration.loading import Examination, examine, load, load_document
    from runtime.configuration.locations import (
        config_path,
        default_config_path,
        prepare_socket_directory,
        socket_path,
    )
    from runtime.configuration.paths import find_socket
    from runtime.configuration.problems import ConfigurationError, Problem
    from runtime.configuration.provider_settings import (
        AnthropicProvider,
        OpenAIProvider,
        PriceConfig,
        ProviderConfig,
        ProviderTimeouts,
        SimulatedProvider,
        UpstreamProvider,
    )
    from runtime.configuration.schema import json_schema
    from runtime.configuration.secret import Secret
    from runtime.configuration.settings import (
        Config,
        GroupConfig,
        GroupMember,
        GroupTimeoutsConfig,
        LimitsConfig,
        LoggingConfig,
        ModelAlias,
        TcpConfig,
        TimeoutsConfig,
    )
    from runtime.configuration.simulator_settings import FaultConfig, SimulatorConfig
    from runtime.configuration.tolerance import (
        CircuitBreakerConfig,
        HedgeConfig,
        ProviderRetryConfig,
        RetryConfig,
    )
    from runtime.configuration.writer import redacted

__all__ = [
    "AnthropicProvider",
    "CircuitBreakerConfig",
    "Config",
    "ConfigurationError",
    "Examination",
    "FaultConfig",
    "GroupConfig",
    "GroupMember",
    "GroupTimeoutsConfig",
    "HedgeConfig",
    "LimitsConfig",
    "LoggingConfig",
    "ModelAlias",
    "OpenAIProvider",
    "PriceConfig",
    "Problem",
    "ProviderConfig",
    "ProviderRetryConfig",
    "ProviderTimeouts",
    "RetryConfig",
    "Secret",
    "SimulatedProvider",
    "SimulatorConfig",
    "TcpConfig",
    "TimeoutsConfig",
    "UpstreamProvider",
    "config_path",
    "default_config_path",
    "examine",
    "find_socket",
    "json_schema",
    "load",
    "load_document",
    "prepare_socket_directory",
    "redacted",
    "socket_path",
]

_HOMES = {
    "loading": ("Examination", "examine", "load", "load_document"),
    "locations": (
        "config_path",
        "default_config_path",
        "prepare_socket_directory",
        "socket_path",
    ),
    "paths": ("find_socket",),
    "problems": ("ConfigurationError", "Problem"),
    "provider_settings": (
        "AnthropicProvider",
        "OpenAIProvider",
        "PriceConfig",
        "ProviderConfig",
        "ProviderTimeouts",
        "SimulatedProvider",
        "UpstreamProvider",
    ),
    "schema": ("json_schema",),
    "secret": ("Secret",),
    "settings": (
        "Config",
        "GroupConfig",
        "GroupMember",
        "GroupTimeoutsConfig",
        "LimitsConfig",
        "LoggingConfig",
        "ModelAlias",
        "TcpConfig",
        "TimeoutsConfig",
    ),
    "simulator_settings": ("FaultConfig", "SimulatorConfig"),
    "tolerance": (
        "CircuitBreakerConfig",
        "HedgeConfig",
        "ProviderRetryConfig",
        "RetryConfig",
    ),
    "writer": ("redacted",),
}


def __getattr__(name: str) -> object:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{home}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
