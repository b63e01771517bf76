"""The codecs there are, by the name of the dialect.

Each is imported when the first request needs it: who never translates pays neither its memory nor
its start.
"""

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final

from providers.wire.translation.codec import Codec, FrontCodec

__all__ = ["codec_of", "front_codec_of"]

_WHERE: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "openai": ("chat_codec", "CHAT_CODEC"),
        "anthropic": ("anthropic_codec", "ANTHROPIC_CODEC"),
        "responses": ("responses_codec", "RESPONSES_CODEC"),
        "completions": ("completions_codec", "COMPLETIONS_CODEC"),
    }
)


def front_codec_of(dialect: str) -> FrontCodec:
    """Return the codec of an asker's dialect.

    Args:
        dialect: Its name.
    """
    codec: FrontCodec = _imported(dialect)
    return codec


def codec_of(dialect: str) -> Codec:
    """Return the codec of a provider's dialect.

    Args:
        dialect: Its name; that of a dialect into which requests are translated.
    """
    codec: Codec = _imported(dialect)
    return codec


@cache
def _imported(dialect: str) -> Any:
    module, name = _WHERE[dialect]
    return getattr(import_module(f"providers.wire.translation.{module}"), name)
