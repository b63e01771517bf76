"""OpenAI's Responses API, as translation sees it: in front only, as no other provider speaks it."""

from collections.abc import Sequence
from typing import ClassVar, Final

from providers.wire.translation.codec import (
    AnswerFrame,
    Dropped,
    FrontCodec,
    Row,
    StreamEncoder,
)
from providers.wire.translation.conversation import Conversation
from providers.wire.translation.reply import Reply
from providers.wire.translation.responses_reply import encode_reply
from providers.wire.translation.responses_request import decode_request
from providers.wire.translation.responses_rows import responses_rows
from providers.wire.translation.responses_stream_encoder import ResponsesStreamEncoder

__all__ = ["RESPONSES_CODEC", "ResponsesCodec"]


class ResponsesCodec(FrontCodec):
    """``POST /v1/responses``."""

    name: ClassVar[str] = "responses"

    def rows(self) -> Sequence[Row]:
        """See ``FrontCodec.rows``."""
        return responses_rows()

    def decode_request(self, body: bytes) -> Conversation:
        """See ``FrontCodec.decode_request``."""
        return decode_request(body)

    def encode_reply(self, reply: Reply, frame: AnswerFrame, dropped: Dropped) -> bytes:
        """See ``FrontCodec.encode_reply``."""
        return encode_reply(reply, frame, dropped)

    def stream_encoder(self, frame: AnswerFrame) -> StreamEncoder:
        """See ``FrontCodec.stream_encoder``."""
        return ResponsesStreamEncoder(frame)


RESPONSES_CODEC: Final[FrontCodec] = ResponsesCodec()
"""The one there is; it holds nothing."""
