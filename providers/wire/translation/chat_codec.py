"""OpenAI's chat completions, as translation sees them."""

from collections.abc import Sequence
from typing import ClassVar, Final

from providers.wire.translation.chat_encode import encode_request
from providers.wire.translation.chat_reply import decode_reply, encode_reply
from providers.wire.translation.chat_request import decode_request
from providers.wire.translation.chat_rows import chat_rows
from providers.wire.translation.chat_stream_decoder import ChatStreamDecoder
from providers.wire.translation.chat_stream_encoder import ChatStreamEncoder
from providers.wire.translation.codec import (
    AnswerFrame,
    Codec,
    Dropped,
    Encoded,
    Row,
    StreamDecoder,
    StreamEncoder,
    Target,
)
from providers.wire.translation.conversation import Conversation
from providers.wire.translation.reply import Reply

__all__ = ["CHAT_CODEC", "ChatCodec"]


class ChatCodec(Codec):
    """``POST /v1/chat/completions``."""

    name: ClassVar[str] = "openai"

    def rows(self) -> Sequence[Row]:
        """See ``Codec.rows``."""
        return chat_rows()

    def decode_request(self, body: bytes) -> Conversation:
        """See ``Codec.decode_request``."""
        return decode_request(body)

    def encode_request(self, request: Conversation, target: Target) -> Encoded:
        """See ``Codec.encode_request``."""
        return encode_request(request, target)

    def decode_reply(self, body: bytes) -> Reply:
        """See ``Codec.decode_reply``."""
        return decode_reply(body)

    def encode_reply(self, reply: Reply, frame: AnswerFrame, dropped: Dropped) -> bytes:
        """See ``Codec.encode_reply``."""
        return encode_reply(reply, frame, dropped)

    def stream_decoder(self) -> StreamDecoder:
        """See ``Codec.stream_decoder``."""
        return ChatStreamDecoder()

    def stream_encoder(self, frame: AnswerFrame) -> StreamEncoder:
        """See ``Codec.stream_encoder``."""
        return ChatStreamEncoder(frame)


CHAT_CODEC: Final[Codec] = ChatCodec()
"""The one there is; it holds nothing."""
