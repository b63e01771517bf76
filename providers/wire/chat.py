"""Decoders of answers, by dialect."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from providers.wire.anthropic_chat import AnthropicChatDecoder
from providers.wire.chat_decoder import ChatDecoder
from providers.wire.openai_chat import OpenAIChatDecoder

__all__ = ["chat_decoder"]

_DECODERS: Final[Mapping[str, Callable[[], ChatDecoder]]] = MappingProxyType(
    {"openai": OpenAIChatDecoder, "anthropic": AnthropicChatDecoder}
)


def chat_decoder(dialect: str) -> ChatDecoder:
    """Return a new decoder for one answer.

    Args:
        dialect: The dialect's name.
    """
    return _DECODERS[dialect]()
