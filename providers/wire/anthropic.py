"""Anthropic's dialect: messages and the counting of their tokens."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import ClassVar

import msgspec

from providers.wire.answers import check_json_type, error_fault, not_json
from providers.wire.anthropic_stream import AnthropicStreamReader, read_error, read_usage
from providers.wire.dialect import Dialect, Family
from providers.wire.error_types import anthropic_type
from providers.wire.events import MAX_EVENT
from providers.wire.faults import AnswerFault
from providers.wire.operations import Operation
from providers.wire.requests import peek_model
from providers.wire.token_counts import peek_token_count
from providers.wire.values import AnswerPeek, ModelEntry, UpstreamError

__all__ = ["AnthropicDialect"]


class _Message(msgspec.Struct, gc=False):
    type: str = ""
    model: str | None = None
    stop_reason: str | None = None
    usage: dict[str, object] | None = None


_message_decoder = msgspec.json.Decoder(_Message)
_any_decoder = msgspec.json.Decoder()


class AnthropicDialect(Dialect):
    """``POST /v1/messages`` and ``POST /v1/messages/count_tokens``."""

    name: ClassVar[str] = "anthropic"
    family: ClassVar[Family] = "anthropic"
    path: ClassVar[str] = "/v1/messages"
    error_event: ClassVar[bytes] = b"event: error\ndata: "

    def further_operations(self) -> Iterable[Operation]:
        """See ``Dialect.further_operations``."""
        yield Operation(
            name="count_tokens",
            path="/v1/messages/count_tokens",
            peek_request=peek_model,
            peek_answer=peek_token_count,
        )

    def peek_answer(self, body: bytes, content_type: bytes | None) -> AnswerPeek:
        """See ``Dialect.peek_answer``."""
        check_json_type(content_type)
        try:
            answer = _message_decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return _peek_loosely(body)
        if answer.type != "message" or not answer.stop_reason:
            return _peek_loosely(body)
        usage = answer.usage
        return AnswerPeek(
            read_usage(usage) if usage is not None else None, answer.stop_reason, answer.model
        )

    def stream_reader(
        self,
        *,
        max_event: int = MAX_EVENT,
        done_required: bool = True,  # noqa: ARG002 - every server of this API sends its marker
    ) -> AnthropicStreamReader:
        """See ``Dialect.stream_reader``."""
        return AnthropicStreamReader(max_event)

    def encode_error(
        self,
        status: int,
        message: str,
        *,
        type: str | None = None,  # noqa: A002 - it is the field's name on the wire
        code: str | None = None,
        param: str | None = None,  # noqa: ARG002 - Anthropic names the field in the message
        request_id: str | None = None,
    ) -> bytes:
        """See ``Dialect.encode_error``."""
        error: dict[str, object] = {
            "type": type if type is not None else anthropic_type(status),
            "message": message,
        }
        if code is not None:
            error["details"] = {"error_code": code}
        return msgspec.json.encode({"type": "error", "error": error, "request_id": request_id})

    def decode_error(self, body: bytes) -> UpstreamError | None:
        """See ``Dialect.decode_error``."""
        try:
            decoded = _any_decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if not isinstance(decoded, dict) or not decoded.get("error"):
            return None
        return read_error(decoded)

    def models_page(self, models: Sequence[ModelEntry], *, has_more: bool = False) -> bytes:
        """See ``Dialect.models_page``."""
        return msgspec.json.encode(
            {
                "data": [_model_object(model) for model in models],
                "has_more": has_more,
                "first_id": models[0].id if models else None,
                "last_id": models[-1].id if models else None,
            }
        )

    def model_body(self, model: ModelEntry) -> bytes:
        """See ``Dialect.model_body``."""
        return msgspec.json.encode(_model_object(model))


def _model_object(model: ModelEntry) -> Mapping[str, object]:
    created = datetime.fromtimestamp(model.created, UTC)
    return {
        "type": "model",
        "id": model.id,
        "display_name": model.display_name or model.id,
        "created_at": created.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "lifecycle": "active",
        "deprecated_at": None,
        "retires_at": None,
        "line": None,
        "max_input_tokens": None,
        "max_tokens": None,
        "capabilities": None,
    }


def _peek_loosely(body: bytes) -> AnswerPeek:
    """Judge an answer that is not of the usual kind: only what is surely bad is refused."""
    try:
        answer = _any_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise not_json(body) from None
    if not isinstance(answer, dict):
        raise not_json(body)
    if answer.get("type") == "error" or answer.get("error"):
        raise error_fault(read_error(answer))
    content, reason = answer.get("content"), answer.get("stop_reason")
    if not isinstance(content, list):
        raise AnswerFault("the upstream answered with something that is not a message")
    if not isinstance(reason, str) or not reason:
        reason = None
        if not any(_holds_something(block) for block in content):
            raise AnswerFault("the upstream answered with an empty message")
    usage, model = answer.get("usage"), answer.get("model")
    return AnswerPeek(
        read_usage(usage) if isinstance(usage, dict) else None,
        reason,
        model if isinstance(model, str) else None,
    )


def _holds_something(block: object) -> bool:
    """Tell whether a content block is more than an empty text."""
    if not isinstance(block, dict):
        return False
    return block.get("type") != "text" or bool(block.get("text"))
