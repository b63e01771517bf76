"""What a wire format must be able to do for requests to pass through in it."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import ClassVar, Literal

from providers.wire.events import MAX_EVENT, StreamReader
from providers.wire.operations import Operation, OperationName
from providers.wire.requests import peek_request, replace_model
from providers.wire.values import AnswerPeek, ModelEntry, RequestPeek, UpstreamError

__all__ = ["Dialect", "Family"]

Family = Literal["openai", "anthropic"]
"""Whose APIs there are."""


class Dialect(ABC):
    """One API's wire format; never changes.

    Attributes:
        name: Its name, such as ``openai`` or ``anthropic``.
        family: Whose API it belongs to, ``openai`` or ``anthropic``: errors, headers and lists of
            models are alike within one.
        path: The path at which clients ask for an answer.
        error_event: What stands before the error in an error event.
        operations: What can be asked in it, by name; ``chat`` is always there.
    """

    name: ClassVar[str]
    family: ClassVar[Family]
    path: ClassVar[str]
    error_event: ClassVar[bytes]

    def __init__(self) -> None:
        chat = Operation(
            name="chat",
            path=self.path,
            peek_request=self.peek_request,
            peek_answer=self.peek_answer,
        )
        self.operations: Mapping[OperationName, Operation] = MappingProxyType(
            {each.name: each for each in (chat, *self.further_operations())}
        )

    @abstractmethod
    def further_operations(self) -> Iterable[Operation]:
        """Return what can be asked in this dialect besides ``chat``."""

    def peek_request(self, body: bytes) -> RequestPeek:
        """Read what routing needs of a request.

        Raises:
            WireError: The request is not what the dialect asks for; says what and where.
        """
        return peek_request(body)

    def with_model(self, body: bytes, model: str) -> bytes:
        """Return a request with another model and every other byte as it was.

        Raises:
            WireError: The request is no JSON object with a model.
        """
        return replace_model(body, model)

    @abstractmethod
    def peek_answer(self, body: bytes, content_type: bytes | None) -> AnswerPeek:
        """Check that a plain answer is a good one, and read what the daemon counts.

        An answer that a content filter cut off, or that refuses, is a good answer here: its
        ``finish_reason`` says so.

        Args:
            body: The whole body of an answer with a status of success.
            content_type: Its ``content-type``, None without one.

        Raises:
            AnswerFault: It is not JSON, not the dialect, empty, or holds an error.
        """

    @abstractmethod
    def stream_reader(
        self, *, max_event: int = MAX_EVENT, done_required: bool = True
    ) -> StreamReader:
        """Return a new follower for one streamed answer.

        Args:
            max_event: Bytes of one event at most.
            done_required: Whether a stream must end in the dialect's own marker; False is for
                servers of OpenAI's API that never send ``[DONE]``. Anthropic's is always required.
        """

    @abstractmethod
    def encode_error(
        self,
        status: int,
        message: str,
        *,
        type: str | None = None,  # noqa: A002 - it is the field's name on the wire
        code: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
    ) -> bytes:
        """Return an error answer's body.

        Args:
            status: The HTTP status it goes with; decides what is not given.
            message: What went wrong, in plain words.
            type: The dialect's error type.
            code: A finer code.
            param: The field that is wrong; only OpenAI has a place for it.
            request_id: The request's id; only Anthropic has a place for it in the body.
        """

    def encode_stream_error(
        self,
        status: int,
        message: str,
        *,
        type: str | None = None,  # noqa: A002 - it is the field's name on the wire
        code: str | None = None,
        param: str | None = None,
        request_id: str | None = None,
    ) -> bytes:
        """Return an error as one whole event, for a stream that has begun; see ``encode_error``."""
        body = self.encode_error(
            status, message, type=type, code=code, param=param, request_id=request_id
        )
        return self.error_event + body + b"\n\n"

    @abstractmethod
    def decode_error(self, body: bytes) -> UpstreamError | None:
        """Read an error answer's body; None when it is not an error of this dialect."""

    @abstractmethod
    def models_page(self, models: Sequence[ModelEntry], *, has_more: bool = False) -> bytes:
        """Return the body of a list of models.

        Args:
            models: The models of this page.
            has_more: Whether there are further pages; only Anthropic has pages.
        """

    @abstractmethod
    def model_body(self, model: ModelEntry) -> bytes:
        """Return the body that describes one model."""
