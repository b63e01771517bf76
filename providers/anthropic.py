"""Anthropic's API, and everything that speaks it at another address."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import ClassVar

from providers.interface import ProviderInterface
from providers.wire import ANTHROPIC, Dialect, OperationName

__all__ = ["AnthropicProvider"]

_VERSION = "2023-06-01"
"""The API version that every current client sends."""


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

    def default_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        """Return the API version too: the API refuses requests without one."""
        version = self.settings.version or _VERSION
        return (*super().default_headers(), (b"anthropic-version", version.encode("ascii")))
