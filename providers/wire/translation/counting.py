"""Having the tokens of a request counted by a provider of another API."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from providers.wire.faults import AnswerFault
from providers.wire.translation.codec import Encoded, Target
from providers.wire.translation.codecs import codec_of, front_codec_of, input_encoder
from providers.wire.translation.conversation import Conversation
from providers.wire.values import count

__all__ = ["Counting", "counted_answer"]

_COUNTED: Final = frozenset(
    {
        "model",
        "messages",
        "system",
        "tools",
        "tool_choice",
        "thinking",
        "output_config",
        "cache_control",
    }
)
"""The members of a message's request that the counting of its tokens takes."""

_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_answer_decoder = msgspec.json.Decoder()


def counted_answer(dialect: str, tokens: int) -> bytes:
    """Return the answer to a request to count tokens.

    Args:
        dialect: The asker's dialect: ``anthropic`` or ``responses``.
        tokens: How many there are.
    """
    head = {} if dialect == "anthropic" else {"object": "response.input_tokens"}
    return msgspec.json.encode({**head, "input_tokens": tokens})


class Counting:
    """Translates one request to count tokens, and the count.

    Args:
        front: The asker's dialect.
        back: The provider's: ``anthropic`` or ``responses``.
        body: The asker's request.
        target: To whom it goes.

    Raises:
        WireError: The request is not what the asker's API asks for, or cannot be put into the
            provider's.

    Attributes:
        body: The provider's request.
        headers: Headers that it needs besides.
        dropped: What is not counted.
    """

    __slots__ = ("_front", "body", "dropped", "headers")

    def __init__(self, front: str, back: str, body: bytes, target: Target) -> None:
        self._front = front
        request = front_codec_of(front).decode_request(body)
        encoded = _encoded(request, back, target)
        self.body = encoded.body
        self.headers = encoded.headers
        self.dropped = encoded.dropped

    def answer(self, body: bytes) -> bytes:
        """Translate a count.

        Args:
            body: The provider's answer.

        Raises:
            AnswerFault: It is none.
        """
        answer: Mapping[str, object] = _answer_decoder.decode(body)
        tokens = count(answer, "input_tokens")
        if tokens is None:
            raise AnswerFault("the upstream answered with something that is not a count of tokens")
        return counted_answer(self._front, tokens)


def _encoded(request: Conversation, back: str, target: Target) -> Encoded:
    if back == "responses":
        return input_encoder()(request, target)
    encoded = codec_of(back).encode_request(request, target)
    members: dict[str, Any] = _members_decoder.decode(encoded.body)
    kept = {name: value for name, value in members.items() if name in _COUNTED}
    return Encoded(msgspec.json.encode(kept), encoded.dropped, encoded.headers)
