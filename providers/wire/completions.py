"""The dialect of OpenAI's legacy completions: a prompt in, its continuation out."""

from collections.abc import Iterable, Mapping
from typing import ClassVar, Final

import msgspec

from providers.wire.answers import check_json_type, error_fault, not_json
from providers.wire.events import MAX_EVENT
from providers.wire.faults import AnswerFault, WireError
from providers.wire.openai import OpenAIDialect
from providers.wire.openai_stream import OpenAIStreamReader, PlainUsage, read_error, read_usage
from providers.wire.operations import Operation
from providers.wire.requests import peek_model
from providers.wire.values import AnswerPeek, RequestPeek

__all__ = ["CompletionsDialect", "CompletionsStreamReader"]


class _Peek(msgspec.Struct, gc=False):
    model: str
    prompt: msgspec.Raw = msgspec.Raw(b"null")
    stream: bool | None = None


class _Choice(msgspec.Struct, gc=False):
    text: str | None = None
    finish_reason: str | None = None


class _Completion(msgspec.Struct, gc=False):
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: PlainUsage | None = None
    error: object = None


_peek_decoder = msgspec.json.Decoder(_Peek)
_completion_decoder = msgspec.json.Decoder(_Completion)
_any_decoder = msgspec.json.Decoder()

_PROMPT_BEGINS: Final = frozenset(b'"[n')
"""How a string, an array and null begin: all that a prompt can be."""


class CompletionsStreamReader(OpenAIStreamReader):
    """Follows ``text_completion`` events, which differ from a chat's in where the text is."""

    __slots__ = ()

    def holds_token(self, choice: Mapping[str, object]) -> bool:
        """See ``OpenAIStreamReader.holds_token``."""
        return bool(choice.get("text"))


class CompletionsDialect(OpenAIDialect):
    """``POST /v1/completions``; errors and lists of models are OpenAI's."""

    name: ClassVar[str] = "completions"
    path: ClassVar[str] = "/v1/completions"

    def further_operations(self) -> Iterable[Operation]:
        """See ``Dialect.further_operations``; there are none."""
        return ()

    def peek_request(self, body: bytes) -> RequestPeek:
        """See ``Dialect.peek_request``; a prompt may be missing, the provider has a default."""
        try:
            peek = _peek_decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            peek_model(body)
            raise WireError(
                "stream: true or false is expected", param="stream", code="invalid_type"
            ) from None
        if not peek.model:
            peek_model(body)
        if memoryview(peek.prompt)[0] not in _PROMPT_BEGINS:
            raise WireError(
                "prompt: a string or an array is expected", param="prompt", code="invalid_type"
            )
        return RequestPeek(peek.model, peek.stream is True)

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
        if not reason and not any(choice.text for choice in answer.choices):
            return _peek_loosely(body)
        usage = answer.usage.counted() if answer.usage is not None else None
        return AnswerPeek(usage, reason or None, answer.model)

    def stream_reader(
        self, *, max_event: int = MAX_EVENT, done_required: bool = True
    ) -> CompletionsStreamReader:
        """See ``Dialect.stream_reader``."""
        return CompletionsStreamReader(max_event, done_required=done_required)


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
    text = False
    for choice in choices:
        if not isinstance(choice, dict):
            raise AnswerFault("the upstream answered with a choice that is not an object")
        found = choice.get("finish_reason")
        reason = reason or (found if isinstance(found, str) and found else None)
        text = text or bool(choice.get("text"))
    if not text and reason is None:
        raise AnswerFault("the upstream answered with an empty completion")
    usage, model = answer.get("usage"), answer.get("model")
    return AnswerPeek(
        read_usage(usage) if isinstance(usage, dict) else None,
        reason,
        model if isinstance(model, str) else None,
    )
