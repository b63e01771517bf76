"""What translating from and to one API takes: a decoder and an encoder of each thing it sends.

``Translation`` puts two of them together: the asker's and the provider's.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from typing import ClassVar

import msgspec

from providers.wire.translation.conversation import Conversation
from providers.wire.translation.reply import Reply, ReplyEvent

__all__ = [
    "FOREIGN_MARK",
    "AnswerFrame",
    "Codec",
    "Dropped",
    "Encoded",
    "FrontCodec",
    "Row",
    "StreamDecoder",
    "StreamEncoder",
    "Target",
]

FOREIGN_MARK = "standby.foreign."
"""How the signature of a ``thinking`` block begins that stands for thoughts of another API: no
provider made it, and none must ever see it. It comes back with the conversation."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """To whom a request goes.

    Attributes:
        model: The provider's model.
        version: The version of its API where it has versions (``anthropic-version``); None for
            the provider's default.
        official: Whether it is the API's own maker (api.openai.com, api.anthropic.com), not another
            server of its API: it takes all that its API has and refuses what it does not know.
    """

    model: str
    version: str | None = None
    official: bool = False


class Dropped:
    """Collects what could not be carried over faithfully, by the asker's name of the field.

    A path is written as ``messages[2].content[0].citations`` - as the asker wrote it, as near as
    the inner representation tells. Each is named once.
    """

    __slots__ = ("_paths",)

    def __init__(self) -> None:
        self._paths: dict[str, None] = {}

    def add(self, path: str) -> None:
        """Note that a field was left out or changed its meaning."""
        self._paths[path] = None

    def __len__(self) -> int:
        return len(self._paths)

    def __iter__(self) -> Iterator[str]:
        return iter(self._paths)


class Encoded(msgspec.Struct, frozen=True):
    """A request in a provider's dialect.

    Attributes:
        body: The request.
        dropped: What of the asker's request is not in it.
        headers: Headers that it needs besides (``anthropic-beta``, for instance).
    """

    body: bytes
    dropped: Dropped
    headers: Sequence[tuple[bytes, bytes]] = ()


class AnswerFrame(msgspec.Struct, frozen=True, kw_only=True):
    """What an answer to the asker needs besides the provider's: all that its request said.

    Attributes:
        request: The asker's request.
        answer_id: An id for the answer, where the provider gave none or one of another form; made
            of letters and digits, without the dialect's prefix.
        created: Now, in seconds since the epoch.
    """

    request: Conversation
    answer_id: str
    created: int


class StreamDecoder(ABC):
    """Turns the events of one provider's stream into inner ones.

    It is given whole events which the dialect's ``StreamReader`` has judged good, so that it need
    not report what is malformed; what it does not know it ignores. Events come out as soon as
    they are certain.
    """

    @abstractmethod
    def event(self, name: bytes, data: bytes) -> Sequence[ReplyEvent]:
        """Decode one event.

        Args:
            name: Its name; empty without one.
            data: Its data lines, joined by LF; may be a mark such as ``[DONE]``.
        """

    @abstractmethod
    def end(self) -> Sequence[ReplyEvent]:
        """Return what is still to come, the ``Finished`` last, when the reader saw the finish.

        Nothing comes out when ``Finished`` or ``Failed`` has come out before.
        """


class StreamEncoder(ABC):
    """Turns inner events into one streamed answer to the asker, with its own life cycle.

    Whatever order parts come in, what comes out is well-formed in the asker's dialect: one begin,
    one end, parts opened and closed in balance. ``Failed`` gives nothing: the error event is the
    caller's to write (``Dialect.encode_stream_error``).
    """

    @abstractmethod
    def encode(self, events: Iterable[ReplyEvent]) -> bytes:
        """Return the whole server-sent events that these inner ones amount to; may be empty."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One field of an API's request, for the table of what becomes of it in the other APIs.

    The table is made by translating ``example`` and looking at what comes out.

    Attributes:
        field: Its path, as the API's reference writes it (``tools[].input_schema``).
        example: A whole request that uses it, as little else as possible.
        without: The same request without it: the difference of the two translations is what became
            of the field.
        note: What a reader should know besides; a sentence, or empty.
    """

    field: str
    example: dict[str, object]
    without: dict[str, object]
    note: str = ""


class FrontCodec(ABC):
    """One API, as far as askers speak it; never changes.

    Attributes:
        name: The dialect's name.
    """

    name: ClassVar[str]

    @abstractmethod
    def rows(self) -> Sequence[Row]:
        """Return the fields of its requests: all that the API's reference has."""

    @abstractmethod
    def decode_request(self, body: bytes) -> Conversation:
        """Decode an asker's request.

        Raises:
            WireError: It is not what the dialect asks for; says what and where (``param`` is the
                path of the field). Unknown fields are no error.
        """

    @abstractmethod
    def encode_reply(self, reply: Reply, frame: AnswerFrame, dropped: Dropped) -> bytes:
        """Encode a plain answer for the asker.

        Args:
            reply: The answer.
            frame: What else it needs.
            dropped: Takes what the asker's dialect has no place for, as paths of the answer that
                begin with ``answer.``.
        """

    @abstractmethod
    def stream_encoder(self, frame: AnswerFrame) -> StreamEncoder:
        """Return a new encoder for one streamed answer to the asker."""


class Codec(FrontCodec):
    """One API that both askers and providers speak."""

    @abstractmethod
    def encode_request(self, request: Conversation, target: Target) -> Encoded:
        """Encode a request for a provider.

        Checks the limits that the API has (number of stop sequences, tools' names ...) and leaves
        out, or brings within them, what would be refused; whatever is not carried faithfully is
        named in ``Encoded.dropped``.

        Raises:
            WireError: There is no way to put it so that it asks for anything like the same (a
                message with nothing but sound, for a provider that takes none, for instance).
        """

    @abstractmethod
    def decode_reply(self, body: bytes) -> Reply:
        """Decode a provider's plain answer, which ``Dialect.peek_answer`` has found good."""

    @abstractmethod
    def stream_decoder(self) -> StreamDecoder:
        """Return a new decoder for one streamed answer of a provider."""
