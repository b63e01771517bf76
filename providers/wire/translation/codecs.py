"""The codecs there are, by the name of the dialect.

Each is imported when the first request needs it: who never translates pays neither its memory nor
its start.
"""

from collections.abc import Callable, Mapping
from functools import cache
from importlib import import_module
from types import MappingProxyType
from typing import Any, Final

from providers.wire.translation.codec import Codec, Encoded, FrontCodec, Target
from providers.wire.translation.conversation import Conversation

__all__ = ["codec_of", "front_codec_of", "input_encoder"]

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


def input_encoder() -> Callable[[Conversation, Target], Encoded]:
    """Return what puts requests into the Responses API to have their tokens counted."""
    encode: Callable[[Conversation, Target], Encoded] = _imported_from(
        "responses_input", "encode_input"
    )
    return encode


def _imported(dialect: str) -> Any:
    return _imported_from(*_WHERE[dialect])


@cache
def _imported_from(module: str, name: str) -> Any:
    return getattr(import_module(f"providers.wire.translation.{module}"), name)
