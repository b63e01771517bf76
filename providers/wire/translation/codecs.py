"""The codecs there are, by the name of the dialect.

Each is imported when the first request needs it: who never translates pays neither its memory nor
its start.
"""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import Final

from providers.wire.translation.codec import Codec

__all__ = ["TRANSLATED", "codec_of"]

_WHERE: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "openai": ("chat_codec", "CHAT_CODEC"),
        "anthropic": ("anthropic_codec", "ANTHROPIC_CODEC"),
        "responses": ("responses_codec", "RESPONSES_CODEC"),
        "completions": ("completions_codec", "COMPLETIONS_CODEC"),
    }
)

TRANSLATED: Final[frozenset[str]] = frozenset(_WHERE)
"""The dialects that can be translated."""


@cache
def codec_of(dialect: str) -> Codec:
    """Return the codec of a dialect.

    Args:
        dialect: Its name, one of ``TRANSLATED``.
    """
    module, name = _WHERE[dialect]
    codec: Codec = getattr(import_module(f"providers.wire.translation.{module}"), name)
    return codec
