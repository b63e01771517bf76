"""Anthropic's API, and everything that speaks it at another address."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from providers.interface import ProviderInterface
from providers.wire import ANTHROPIC, Dialect, OperationName

__all__ = ["AnthropicProvider"]

_VERSION = "2023-06-01"
"""The version asked for where nobody says another: every server of this API knows it, and it is
the one in which sampling parameters can be said."""


class AnthropicProvider(ProviderInterface):
    """Messages and the counting of their tokens, behind a ``base_url`` without a version."""

    dialect: ClassVar[Dialect] = ANTHROPIC
    paths: ClassVar[Mapping[str, Mapping[OperationName, str]]] = MappingProxyType(
        {"anthropic": {"chat": "/v1/messages", "count_tokens": "/v1/messages/count_tokens"}}
    )

    def auth_headers(self) -> list[tuple[bytes, bytes]]:
        """Return the ``x-api-key`` header, when there is a key."""
        key = self.settings.api_key
        return [(b"x-api-key", key.encode("ascii"))] if key else []

    @property
    def api_version(self) -> str:
        """See ``ProviderInterface.api_version``."""
        return self.settings.version or _VERSION

    def default_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return the API version too: the API refuses requests without one."""
        version = self.api_version.encode("ascii")
        return (*super().default_headers(), (b"anthropic-version", version))
