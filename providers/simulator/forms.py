"""The form an answer takes in a dialect: a plain body, or the events of a stream."""

from collections.abc import Mapping
from typing import Protocol

import msgspec

from providers.simulator.reply import Reply

__all__ = ["CREATED", "Form", "Script"]

CREATED = 1_790_000_000
"""When every simulated answer and model was made, in seconds since the epoch: answers depend on
nothing but seed and request."""


class Script(msgspec.Struct, frozen=True):
    """The events of a stream.

    Attributes:
        opening: Before the first token.
        tokens: One event for each token; where a block of the answer begins or ends between two
            tokens, its events go with the later one.
        closing: After the last token; the very last is the finish marker.
    """

    opening: tuple[bytes, ...]
    tokens: tuple[bytes, ...]
    closing: tuple[bytes, ...]


class Form(Protocol):
    """One dialect's way to write an answer.

    Attributes:
        id_header: The header that carries the request's id.
        event_type: The content type of a stream.
    """

    id_header: bytes
    event_type: bytes

    def body(self, reply: Reply) -> Mapping[str, object]:
        """Return a plain answer's body."""

    def empty_body(self, reply: Reply) -> Mapping[str, object]:
        """Return the body of an answer that holds nothing."""

    def script(self, reply: Reply, *, include_usage: bool) -> Script:
        """Return the events of a streamed answer."""

    def empty_script(self, reply: Reply) -> Script:
        """Return the events of a stream that holds nothing."""
