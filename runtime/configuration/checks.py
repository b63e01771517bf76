"""Checks of what belongs together: names, references, addresses, bounds that depend on bounds."""

import re
from collections.abc import Iterable

import msgspec

from providers.patterns import is_pattern, matches_any
from runtime.configuration.addresses import (
    HEADER_NAME,
    Address,
    is_header_value,
    is_header_word,
    is_loopback,
    url_mistake,
)
from runtime.configuration.locations import MAX_SOCKET_PATH
from runtime.configuration.places import Places
from runtime.configuration.problems import Problem, listed, suggestion
from runtime.configuration.provider_settings import (
    RESERVED_NAMES,
    ProviderConfig,
    SimulatedProvider,
    UpstreamProvider,
)
from runtime.configuration.settings import Config, GroupConfig, GroupMember, ModelAlias
from runtime.configuration.shape import Table, fields
from runtime.configuration.simulator_settings import FaultConfig
from runtime.configuration.tolerance import CircuitBreakerConfig, ProviderRetryConfig
from runtime.configuration.units import format_duration

__all__ = ["check_references"]

_NAME_RULE = (
    "a name has at most 64 letters, digits, dots, dashes and underscores, "
    "and begins with a letter or digit"
)
_OWN_HEADERS = frozenset(
    {
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "x-api-key",
    }
)
"""Headers that the daemon itself is responsible for."""


def check_references(
    config: Config, places: Places, problems: list[Problem], warnings: list[Problem]
) -> Config:
    """Check a configuration as a whole, and complete what follows from the rest of it.

    Args:
        config: The configuration, overrides applied and keys found.
        places: Where things stand in the file.
        problems: Where to add what makes it unusable.
        warnings: Where to add what is likely not meant.

    Returns:
        The configuration; group members that left out their model have their provider's only one.
    """
    checks = _Checks(config, places, problems, warnings)
    checks.doors()
    for name, provider in config.providers.items():
        checks.provider(name, provider)
    groups = {name: checks.group(name, group) for name, group in config.groups.items()}
    for name, alias in config.models.items():
        checks.alias(name, alias)
    checks.breaker(config.circuit_breaker, "circuit_breaker")
    checks.retry(config.retry, "retry")
    checks.names()
    return msgspec.structs.replace(config, groups=groups)


class _Checks:
    def __init__(
        self, config: Config, places: Places, problems: list[Problem], warnings: list[Problem]
    ) -> None:
        self._config = config
        self._places = places
        self._problems = problems
        self._warnings = warnings
        # Entries that could not be read still have their names: no second complaint about them.
        self._providers = places.names("providers")
        self._groups = places.names("groups")

    def doors(self) -> None:
        """Check the socket's path and the TCP door."""
        socket = self._config.socket
        if socket != "auto":
            if not socket.startswith(("/", "~/")) or "\0" in socket:
                self._wrong("expected auto or an absolute path", "socket")
            elif len(socket.encode()) > MAX_SOCKET_PATH:
                self._wrong(
                    f"the socket's path is {len(socket.encode())} bytes long; "
                    f"the system takes at most {MAX_SOCKET_PATH}",
                    "socket",
                )
        tcp = self._config.tcp
        if not is_loopback(tcp.host):
            self._wrong(
                "expected a loopback address (127.0.0.1, ::1 or localhost): "
                "the TCP door is for this machine only",
                "tcp",
                "host",
            )
        if tcp.token and not is_header_word(tcp.token.reveal()):
            self._wrong(
                "the token has spaces or characters that no header can carry", "tcp", "token"
            )
        if tcp.enabled and not tcp.token:
            self._wrong(
                "tcp.enabled needs a token: a TCP port is open to every user of this machine",
                "tcp",
                "enabled",
            )

    def names(self) -> None:
        """Check that names can be told apart and can be written wherever they are needed."""
        for section in ("providers", "groups"):
            shape = fields(Config)[section].shape
            assert isinstance(shape, Table), "providers and groups go by name"
            for name in self._places.names(section):
                if not re.fullmatch(shape.key_pattern, name):
                    hint = ' ("/" separates a provider from its model)' if "/" in name else ""
                    self._wrong_key(f'"{name}" cannot be a name{hint}; {_NAME_RULE}', section, name)
        for name in self._places.names("providers"):
            if name in RESERVED_NAMES:
                self._wrong_key(
                    f'"{name}" cannot be the name of a provider: its API is served below /{name}/, '
                    "where the daemon has paths of its own; choose another name",
                    "providers",
                    name,
                )
        for name in self._places.names("models"):
            if name in self._groups:
                self._wrong_key(
                    f'"{name}" is the name of a group already; choose another for the alias',
                    "models",
                    name,
                )
            elif not name or not name.isprintable():
                self._wrong_key("expected the name of a model", "models", name)
            elif (first := name.partition("/"))[1] and first[0] in self._providers:
                self._wrong_key(
                    f'"{name}" already means the model "{first[2]}" of provider "{first[0]}"; '
                    "choose another for the alias",
                    "models",
                    name,
                )
        read = self._config.providers
        if len(read) == len(self._providers) and not any(one.enabled for one in read.values()):
            self._doubtful("no provider is enabled: nothing can be answered", "providers")

    def provider(self, name: str, provider: ProviderConfig) -> None:
        """Check one provider by itself."""
        where = ("providers", name)
        if isinstance(provider, UpstreamProvider):
            self._upstream(name, provider)
        if isinstance(provider, SimulatedProvider):
            for rule in provider.simulator.faults:
                self._fault(rule)
            for number, model in enumerate(provider.models):
                if "!" in model:
                    self._wrong(
                        'a simulated model cannot have a "!" in its name: a fault follows it',
                        *where,
                        "models",
                        number,
                    )
        seen: set[str] = set()
        for number, model in enumerate(provider.models):
            if not model or not model.isprintable() or model != model.strip():
                self._wrong("expected the name of a model, or a pattern", *where, "models", number)
            elif model in seen:
                shown = self._places.shown(*where, "models", number)
                self._wrong(f"{shown} stands in this list twice", *where, "models", number)
            seen.add(model)
        self.breaker(provider.circuit_breaker, *where, "circuit_breaker")
        self.retry(provider.retry, *where, "retry")

    def _upstream(self, name: str, provider: UpstreamProvider) -> None:
        where = ("providers", name)
        mistake = url_mistake(provider.base_url)
        if mistake:
            self._wrong(mistake, *where, "base_url")
        elif self._is_own_door(address := Address.of(provider.base_url)):
            self._wrong(
                "this is the address of this daemon's own TCP door; requests would go in circles",
                *where,
                "base_url",
            )
        elif provider.api_key and not address.secure and not is_loopback(address.host):
            self._doubtful(
                f"{name} gets its API key over http://, which anyone on the way can read",
                *where,
                "base_url",
            )
        for header, value in provider.headers.items():
            inner = (*where, "headers", header)
            if not HEADER_NAME.fullmatch(header):
                self._wrong_key(f'"{header}" cannot be the name of a header', *inner)
            elif header.lower() in _OWN_HEADERS:
                self._wrong_key(f"the header {header} is set by the daemon itself", *inner)
            if not is_header_value(value.reveal()):
                self._wrong("the value has characters that no header can carry", *inner)

    def _fault(self, rule: FaultConfig) -> None:
        # Only a configuration with faults has to know the simulator.
        from providers.simulator import parse_fault  # noqa: PLC0415 - see above

        where = self._places.item(rule)
        try:
            parse_fault(rule.fault)
        except ValueError as error:
            hidden = self._places.from_variable(*where, "fault")
            message = "no fault has this name" if hidden else str(error)
            self._wrong(message, *where, "fault")
        if rule.until_seconds is not None and rule.until_seconds <= rule.from_seconds:
            self._wrong(
                f"until ({format_duration(rule.until_seconds)}) is not later than "
                f"from ({format_duration(rule.from_seconds)})",
                *where,
                "until",
            )

    def _is_own_door(self, address: Address) -> bool:
        tcp = self._config.tcp
        return tcp.enabled and address.port == tcp.port and is_loopback(address.host)

    def group(self, name: str, group: GroupConfig) -> GroupConfig:
        """Check a group and return it with each member's model filled in."""
        members = []
        seen: set[tuple[str, str | None]] = set()
        for member in group.members:
            where = self._places.item(member)
            complete = self._member(member, where)
            if (complete.provider, complete.model) in seen:
                self._wrong("this member stands in the group twice", *where)
            seen.add((complete.provider, complete.model))
            members.append(complete)
        providers = [self._config.providers.get(member.provider) for member in members]
        if not any(found is None or found.enabled for found in providers):
            self._doubtful(f"no member of group {name} is enabled", "groups", name)
        self._strategy(name, group)
        self._hedge(name, group)
        return msgspec.structs.replace(group, members=tuple(members))

    def _strategy(self, name: str, group: GroupConfig) -> None:
        """Warn of what a strategy or a condition needs to know of the members and is not told."""
        members = group.members
        if group.strategy == "cost_optimized" and all(each.cost_tier is None for each in members):
            self._doubtful(
                f"no member of group {name} has a cost_tier: all cost the same to cost_optimized",
                "groups",
                name,
            )
        said = {word for each in members for word in each.fallback_on or ()}
        if "context_too_long" in said.union(group.fallback_on) and all(
            each.context_window is None for each in members
        ):
            self._doubtful(
                f"no member of group {name} has a context_window: after context_too_long nobody "
                "is known to take more",
                "groups",
                name,
            )

    def _hedge(self, name: str, group: GroupConfig) -> None:
        """Check that the bounds of a hedge fit together, and that there is somebody to ask."""
        hedge = group.hedge
        where = ("groups", name, "hedge")
        most = hedge.maximum_delay
        if most is not None and hedge.minimum_delay > most:
            self._wrong(
                f"minimum_delay ({format_duration(hedge.minimum_delay)}) is above "
                f"maximum_delay ({format_duration(most)})",
                *self._said(where, "minimum_delay", "maximum_delay"),
            )
        if hedge.enabled and len({member.provider for member in group.members}) < 2:
            self._doubtful(
                f"group {name} has one provider only: there is no second one to ask",
                *where,
            )
        elif hedge.enabled and group.max_attempts < 2:
            self._doubtful(
                f"max_attempts of group {name} is 1: that leaves no attempt for a second provider",
                *where,
            )

    def _member(self, member: GroupMember, where: tuple[str | int, ...]) -> GroupMember:
        if member.provider not in self._providers:
            self._unknown("provider", self._providers, *where, "provider")
            return member
        provider = self._config.providers.get(member.provider)
        if provider is None:  # it could not be read, which has been said
            return member
        if member.model is not None:
            self._listed_model(member.provider, provider, member.model, where)
            return member
        if len(provider.models) == 1 and not is_pattern(provider.models[0]):
            return msgspec.structs.replace(member, model=provider.models[0])
        self._wrong(
            f"this member needs the key model: {member.provider} does not list exactly one model",
            *where,
        )
        return member

    def _listed_model(
        self, name: str, provider: ProviderConfig, model: str, where: tuple[str | int, ...]
    ) -> None:
        models = provider.models
        if models and not matches_any(model, models):
            hidden = self._places.from_variable(*where, "model")
            near = "" if hidden else suggestion(model, models)
            shown = self._places.shown(*where, "model")
            self._doubtful(
                f"{shown} is not among the models that {name} lists: {listed(models)}.{near}",
                *where,
                "model",
            )

    def alias(self, name: str, alias: ModelAlias) -> None:
        """Check that an alias stands for exactly one thing that exists."""
        where = ("models", name)
        if alias.group is not None and (alias.provider is not None or alias.model is not None):
            self._wrong_key(
                "an alias stands for a group, or for a provider and its model, not for both", *where
            )
        elif alias.group is not None:
            if alias.group not in self._groups:
                self._unknown("group", self._groups, *where, "group")
        elif alias.provider is None or alias.model is None:
            if not self._places.names(*where) or not (alias.provider or alias.model):
                message = f"{name} stands for nothing; expected group, or provider and model"
            else:
                missing = "model" if alias.provider else "provider"
                message = f"{name} needs the key {missing} as well"
            self._wrong_key(message, *where)
        elif alias.provider not in self._providers:
            self._unknown("provider", self._providers, *where, "provider")

    def breaker(self, breaker: CircuitBreakerConfig, *where: str) -> None:
        """Check that a breaker's bounds fit together."""
        for key in ("recovery_timeout", "account_recheck"):
            first, most = getattr(breaker, key), getattr(breaker, f"max_{key}")
            if first > most:
                self._wrong(
                    f"{key} ({format_duration(first)}) is above "
                    f"max_{key} ({format_duration(most)})",
                    *self._said(where, key, f"max_{key}"),
                )

    def retry(self, retry: ProviderRetryConfig, *where: str) -> None:
        """Check that the bounds of retries fit together."""
        if retry.base_delay_ms > retry.max_delay_ms:
            self._wrong(
                f"base_delay_ms ({retry.base_delay_ms}) is above "
                f"max_delay_ms ({retry.max_delay_ms})",
                *self._said(where, "base_delay_ms", "max_delay_ms"),
            )

    def _said(self, where: tuple[str, ...], *keys: str) -> tuple[str, ...]:
        """Return the first of some keys that was said, here or where it is inherited from."""
        for section in (where, where[-1:]):
            for key in keys:
                if self._places.stated(*section, key):
                    return (*section, key)
        return where

    def _unknown(self, what: str, known: Iterable[str], *where: str | int) -> None:
        names = list(known)
        shown = self._places.shown(*where)
        near = ""
        if not self._places.from_variable(*where):
            near = suggestion(shown.strip('"'), names)
        among = f"expected one of {listed(names)}" if names else f"there is no {what} at all"
        self._wrong(f"there is no {what} {shown}; {among}.{near}", *where)

    def _wrong(self, message: str, *where: str | int) -> None:
        self._add(self._problems, self._places.problem(message, *where))

    def _wrong_key(self, message: str, *where: str | int) -> None:
        self._add(self._problems, self._places.key_problem(message, *where))

    def _doubtful(self, message: str, *where: str | int) -> None:
        self._add(self._warnings, self._places.problem(message, *where))

    def _add(self, found: list[Problem], problem: Problem) -> None:
        if problem not in found:  # what providers inherit is checked with each of them
            found.append(problem)
