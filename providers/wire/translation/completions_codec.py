"""OpenAI's legacy completions, as translation sees them."""

from collections.abc import Sequence
from typing import ClassVar, Final

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
from providers.wire.translation.completions_events import (
    CompletionsStreamDecoder,
    CompletionsStreamEncoder,
)
from providers.wire.translation.completions_reply import decode_reply, encode_reply
from providers.wire.translation.completions_request import decode_request, encode_request
from providers.wire.translation.conversation import Conversation
from providers.wire.translation.reply import Reply

__all__ = ["COMPLETIONS_CODEC", "CompletionsCodec"]


class CompletionsCodec(Codec):
    """``POST /v1/completions``."""

    name: ClassVar[str] = "completions"

    def rows(self) -> Sequence[Row]:
        """See ``Codec.rows``."""
        return _rows()

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
        return CompletionsStreamDecoder()

    def stream_encoder(self, frame: AnswerFrame) -> StreamEncoder:
        """See ``Codec.stream_encoder``."""
        return CompletionsStreamEncoder(frame)


COMPLETIONS_CODEC: Final[Codec] = CompletionsCodec()
"""The one there is; it holds nothing."""


def _rows() -> Sequence[Row]:
    plain: dict[str, object] = {"model": "gpt-6-sol", "prompt": "Once upon a time"}

    def row(name: str, value: object, note: str = "", **others: object) -> Row:
        without = {**plain, **others}
        return Row(field=name, example={**without, name: value}, without=without, note=note)

    return (
        Row(field="model", example=plain, without=plain, note="The provider's own model is asked."),
        Row(
            field="prompt",
            example=plain,
            without={**plain, "prompt": "Hello"},
            note=(
                "One text, which the user says. Several, none, and tokens are refused by a"
                " provider of another API."
            ),
        ),
        row("best_of", 3),
        row("echo", value=True),
        row("frequency_penalty", 0.5),
        row("logit_bias", {"50256": -100}),
        row("logprobs", 3),
        row("max_tokens", 256, "Without it the provider's own bound counts, not 16 tokens."),
        row("n", 2),
        row("presence_penalty", 0.5),
        row("seed", 7),
        row("stop", ["END"]),
        row("stream", value=True),
        row("stream_options", {"include_usage": True}, stream=True),
        row("suffix", "The end."),
        row("temperature", 0.5),
        row("top_p", 0.5),
        row("user", "u-1"),
    )
