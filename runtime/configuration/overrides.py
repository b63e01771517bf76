"""Environment variables that override the configuration without being mentioned in it.

They are those of this daemon's Elixir ancestor; their times are in milliseconds. Numbers and
choices win over the file. Addresses and keys only fill in what the file leaves open: a key must
never go to a host that the file did not mean it for.
"""

from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import urlsplit

import msgspec
from msgspec import Struct

from runtime.configuration.addresses import url_mistake
from runtime.configuration.expectations import expected, number_from_text
from runtime.configuration.places import Places
from runtime.configuration.problems import Problem, suggestion
from runtime.configuration.provider_settings import UpstreamProvider
from runtime.configuration.settings import Config
from runtime.configuration.shape import Choice, Number, Truth, fields

__all__ = ["OVERRIDES", "Override", "override", "uses_makers_variables"]


class Override(Struct, frozen=True):
    """One variable.

    Attributes:
        variable: Its name.
        section: The section it overrides, ``groups`` and ``providers`` for each entry of it.
        key: The key in that section.
        milliseconds: Whether it gives a duration in whole milliseconds.
        kind: The kind of provider it is for, when the section is ``providers``.
    """

    variable: str
    section: str
    key: str
    milliseconds: bool = False
    kind: str = ""


OVERRIDES = (
    Override("FAILOVER_STRATEGY", "groups", "strategy"),
    Override("FAILOVER_MAX_ATTEMPTS", "groups", "max_attempts"),
    Override("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "circuit_breaker", "failure_threshold"),
    Override(
        "CIRCUIT_BREAKER_RECOVERY_TIMEOUT", "circuit_breaker", "recovery_timeout", milliseconds=True
    ),
    Override("CIRCUIT_BREAKER_HALF_OPEN_LIMIT", "circuit_breaker", "half_open_limit"),
    Override("RETRY_MAX_ATTEMPTS", "retry", "max_attempts"),
    Override("RETRY_BASE_DELAY_MS", "retry", "base_delay_ms"),
    Override("RETRY_MAX_DELAY_MS", "retry", "max_delay_ms"),
    Override("RETRY_BACKOFF_FACTOR", "retry", "backoff_factor"),
    Override("RETRY_JITTER", "retry", "jitter"),
    Override("OPENAI_BASE_URL", "providers", "base_url", kind="openai"),
    Override("OPENAI_TIMEOUT", "providers", "timeouts.total", milliseconds=True, kind="openai"),
    Override("ANTHROPIC_BASE_URL", "providers", "base_url", kind="anthropic"),
    Override(
        "ANTHROPIC_TIMEOUT", "providers", "timeouts.total", milliseconds=True, kind="anthropic"
    ),
)
"""Every override but the keys: ``OPENAI_API_KEY`` and ``ANTHROPIC_API_KEY``."""

_S = TypeVar("_S", bound=Struct)


def override(
    config: Config, places: Places, environ: Mapping[str, str], problems: list[Problem]
) -> Config:
    """Return the configuration as the environment overrides it.

    Args:
        config: As read from the file.
        places: What the file itself says; told what was overridden.
        environ: The environment. An empty variable counts as not set.
        problems: Where to add what is wrong; a problem names its variable.
    """
    for entry in OVERRIDES:
        text = environ.get(entry.variable, "").strip()
        if not text:
            continue
        try:
            config = _apply(config, entry, text, places)
        except ValueError as error:
            problems.append(Problem(f"environment variable {entry.variable}", 0, 0, str(error)))
    return config


def uses_makers_variables(name: str, provider: UpstreamProvider, places: Places) -> bool:
    """Tell whether the maker's variables, such as ``OPENAI_API_KEY``, are for this provider.

    They are for the maker's own host and for where the maker's ``…_BASE_URL`` variable points (the
    official SDKs read both the same way), never for another host that the file names.

    Args:
        name: The provider's name.
        provider: The provider, its ``base_url`` overridden already.
        places: What the file itself says.
    """
    stated = places.has("providers", name, "base_url")
    return not stated or urlsplit(provider.base_url).hostname == provider.own_host


def _apply(config: Config, entry: Override, text: str, places: Places) -> Config:
    if entry.section == "providers":
        return _apply_to_providers(config, entry, text, places)
    if entry.section == "groups":
        groups = dict(config.groups)
        for name, group in groups.items():
            groups[name] = _replaced(group, entry, text, places, ("groups", name))
        return msgspec.structs.replace(config, groups=groups)
    section = _replaced(getattr(config, entry.section), entry, text, places, (entry.section,))
    return msgspec.structs.replace(config, **{entry.section: section})


def _replaced(section: _S, entry: Override, text: str, places: Places, path: tuple[str, ...]) -> _S:
    key = entry.key.rpartition(".")[2]
    value = _value(type(section), key, text, milliseconds=entry.milliseconds)
    places.note_override((*path, key), entry.variable)
    return msgspec.structs.replace(section, **{key: value})


def _apply_to_providers(config: Config, entry: Override, text: str, places: Places) -> Config:
    providers = dict(config.providers)
    for name, provider in providers.items():
        if not isinstance(provider, UpstreamProvider) or provider.kind != entry.kind:
            continue
        if entry.key == "base_url":
            if not places.has("providers", name, "base_url"):
                if mistake := url_mistake(text):
                    raise ValueError(mistake)
                places.note_override(("providers", name, "base_url"), entry.variable)
                providers[name] = msgspec.structs.replace(provider, base_url=text)
        elif uses_makers_variables(name, provider, places):
            path = ("providers", name, "timeouts")
            timeouts = _replaced(provider.timeouts, entry, text, places, path)
            providers[name] = msgspec.structs.replace(provider, timeouts=timeouts)
    return msgspec.structs.replace(config, providers=providers)


def _value(struct: type[Struct], key: str, text: str, *, milliseconds: bool) -> Any:
    """Return what ``text`` means for a key, or raise ValueError saying what was expected."""
    shape = fields(struct)[key].shape
    match shape:
        case Choice(words):
            if text not in words:
                raise ValueError(f'"{text}" is not {expected(shape)}.{suggestion(text, words)}')
            return text
        case Truth():
            if text.lower() not in {"true", "false"}:
                raise ValueError(f'expected true or false, found "{text}"')
            return text.lower() == "true"
        case Number():
            return _number(shape, text, milliseconds=milliseconds)
    raise TypeError(f"{key} cannot be overridden")


def _number(shape: Number, text: str, *, milliseconds: bool) -> float:
    if not milliseconds:
        try:
            return number_from_text(shape, text)
        except ValueError as error:
            raise ValueError(f'{error}, found "{text}"') from None
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f'expected whole milliseconds, such as 30000, found "{text}"')
    try:
        return number_from_text(shape, f"{text}ms")
    except ValueError as error:
        raise ValueError(f"{error}, found {text} milliseconds") from None
