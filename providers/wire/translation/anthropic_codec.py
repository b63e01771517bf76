"""Anthropic's messages, as translation sees them."""

from collections.abc import Sequence
from typing import ClassVar, Final

from providers.wire.translation import anthropic_encode, anthropic_reply, anthropic_request
from providers.wire.translation.anthropic_events import AnthropicStreamDecoder
from providers.wire.translation.anthropic_rows import anthropic_rows
from providers.wire.translation.anthropic_stream_encoder import AnthropicStreamEncoder
from providers.wire.translation.codec import (
    AnswerFrame,
    Codec,
    Dropped,
    Encoded,
    Row,
    Target,
)
from providers.wire.translation.conversation import Conversation
from providers.wire.translation.reply import Reply

__all__ = ["ANTHROPIC_CODEC"]


class AnthropicCodec(Codec):
    """``POST /v1/messages``."""

    name: ClassVar[str] = "anthropic"

    def rows(self) -> Sequence[Row]:
        """See ``Codec.rows``."""
        return anthropic_rows()

    def decode_request(self, body: bytes) -> Conversation:
        """See ``Codec.decode_request``."""
        return anthropic_request.decode_request(body)

    def encode_request(self, request: Conversation, target: Target) -> Encoded:
        """See ``Codec.encode_request``."""
        return anthropic_encode.encode_request(request, target)

    def decode_reply(self, body: bytes) -> Reply:
        """See ``Codec.decode_reply``."""
        return anthropic_reply.decode_reply(body)

    def encode_reply(self, reply: Reply, frame: AnswerFrame, dropped: Dropped) -> bytes:
        """See ``Codec.encode_reply``."""
        return anthropic_reply.encode_reply(reply, frame, dropped)

    def stream_decoder(self) -> AnthropicStreamDecoder:
        """See ``Codec.stream_decoder``."""
        return AnthropicStreamDecoder()

    def stream_encoder(self, frame: AnswerFrame) -> AnthropicStreamEncoder:
        """See ``Codec.stream_encoder``."""
        return AnthropicStreamEncoder(frame)


ANTHROPIC_CODEC: Final[Codec] = AnthropicCodec()
"""The only one."""
