"""OpenAI's dialect: chat completions and embeddings."""

from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import msgspec

from providers.wire.answers import check_json_type, error_fault, not_json
from providers.wire.dialect import Dialect, Family
from providers.wire.embeddings import peek_embeddings
from providers.wire.embeddings_encoding import in_asked_encoding
from providers.wire.error_types import openai_type
from providers.wire.events import MAX_EVENT
from providers.wire.faults import AnswerFault
from providers.wire.openai_stream import (
    TOKEN_FIELDS,
    OpenAIStreamReader,
    PlainUsage,
    read_error,
    read_usage,
)
from providers.wire.operations import Operation
from providers.wire.requests import peek_model
from providers.wire.values import AnswerPeek, ModelEntry, UpstreamError

__all__ = ["OpenAIDialect"]


class _Message(msgspec.Struct, gc=False):
    content: str | None = None


class _Choice(msgspec.Struct, gc=False):
    finish_reason: str | None = None
    message: _Message | None = None


class _Completion(msgspec.Struct, gc=False):
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: PlainUsage | None = None
    error: object = None


_completion_decoder = msgspec.json.Decoder(_Completion)
_any_decoder = msgspec.json.Decoder()


class OpenAIDialect(Dialect):
    """``POST /v1/chat/completions`` and ``POST /v1/embeddings``."""

    name: ClassVar[str] = "openai"
    family: ClassVar[Family] = "openai"
    path: ClassVar[str] = "/v1/chat/completions"
    error_event: ClassVar[bytes] = b"data: "

    def further_operations(self) -> Iterable[Operation]:
        """See ``Dialect.further_operations``."""
        yield Operation(
            name="embeddings",
            path="/v1/embeddings",
            peek_request=peek_model,
            peek_answer=peek_embeddings,
            adapt_answer=in_asked_encoding,
        )

    def peek_answer(self, body: bytes, content_type: bytes | None) -> AnswerPeek:
        """See ``Dialect.peek_answer``."""
        check_json_type(content_type)
        try:
            answer = _completion_decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _peek_loosely(body)
        if answer.error is not None or not answer.choices:
            return _peek_loosely(body)
        reason = answer.choices[0].finish_reason
        if not reason and not any(c.message and c.message.content for c in answer.choices):
            return _peek_loosely(body)
        usage = answer.usage
        return AnswerPeek(
            usage.counted() if usage is not None else None, reason or None, answer.model
        )

    def stream_reader(
        self, *, max_event: int = MAX_EVENT, done_required: bool = True
    ) -> OpenAIStreamReader:
        """See ``Dialect.stream_reader``."""
        return OpenAIStreamReader(max_event, done_required=done_required)

    def encode_error(
        self,
        status: int,
        message: str,
        *,
        type: str | None = None,  # noqa: A002 - it is the field's name on the wire
        code: str | None = None,
        param: str | None = None,
        request_id: str | None = None,  # noqa: ARG002 - OpenAI gives it in a header only
    ) -> bytes:
        """See ``Dialect.encode_error``."""
        usual_type, usual_code = openai_type(status)
        error = {
            "message": message,
            "type": type if type is not None else usual_type,
            "param": param,
            "code": code if code is not None else usual_code,
        }
        return msgspec.json.encode({"error": error})

    def decode_error(self, body: bytes) -> UpstreamError | None:
        """See ``Dialect.decode_error``."""
        try:
            decoded = _any_decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if isinstance(decoded, list) and len(decoded) == 1:
            decoded = decoded[0]  # as Gemini's server of this API has it
        return read_error(decoded) if isinstance(decoded, dict) else None

    def models_page(
        self,
        models: Sequence[ModelEntry],
        *,
        has_more: bool = False,  # noqa: ARG002 - OpenAI's list has no pages
    ) -> bytes:
        """See ``Dialect.models_page``."""
        return msgspec.json.encode(
            {"object": "list", "data": [_model_object(model) for model in models]}
        )

    def model_body(self, model: ModelEntry) -> bytes:
        """See ``Dialect.model_body``."""
        return msgspec.json.encode(_model_object(model))


def _model_object(model: ModelEntry) -> Mapping[str, object]:
    return {
        "id": model.id,
        "object": "model",
        "created": model.created,
        "owned_by": model.owned_by,
    }


def _peek_loosely(body: bytes) -> AnswerPeek:
    """Judge an answer that is not of the usual kind: only what is surely bad is refused."""
    try:
        answer = _any_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise not_json(body) from None
    if not isinstance(answer, dict):
        raise not_json(body)
    error = read_error(answer)
    if error is not None:
        raise error_fault(error)
    choices = answer.get("choices")
    if not isinstance(choices, list) or not choices:
        raise AnswerFault("the upstream answered with a completion that has no choices")
    reason: str | None = None
    good = False
    for choice in choices:
        if not isinstance(choice, dict):
            raise AnswerFault("the upstream answered with a choice that is not an object")
        found = choice.get("finish_reason")
        if isinstance(found, str) and found:
            reason = reason or found
            good = True
        message = choice.get("message")
        if isinstance(message, dict) and any(message.get(name) for name in TOKEN_FIELDS):
            good = True
    if not good:
        raise AnswerFault("the upstream answered with an empty completion")
    usage, model = answer.get("usage"), answer.get("model")
    return AnswerPeek(
        read_usage(usage) if isinstance(usage, dict) else None,
        reason,
        model if isinstance(model, str) else None,
    )
