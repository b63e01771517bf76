"""OpenAI's Responses API: what is read of its requests and answers, and its errors in a stream."""

from collections.abc import Iterable
from typing import ClassVar, Final

import msgspec

from providers.wire.answers import check_json_type, error_fault, not_json, valid_text
from providers.wire.error_types import openai_type
from providers.wire.events import MAX_EVENT, StreamReader, fields
from providers.wire.faults import AnswerFault, WireError
from providers.wire.openai import OpenAIDialect
from providers.wire.openai_stream import read_error
from providers.wire.operations import Operation
from providers.wire.requests import peek_model
from providers.wire.token_counts import peek_token_count
from providers.wire.values import AnswerPeek, RequestPeek, UpstreamError, Usage, count

__all__ = ["ResponsesDialect", "ResponsesStreamReader"]


class _Peek(msgspec.Struct, gc=False):
    model: str
    input: msgspec.Raw = msgspec.Raw(b"null")
    stream: bool | None = None


class _Kind(msgspec.Struct, gc=False):
    type: str = ""


_peek_decoder = msgspec.json.Decoder(_Peek)
_kind_decoder = msgspec.json.Decoder(_Kind)
_any_decoder = msgspec.json.Decoder()

_INPUT_BEGINS: Final = frozenset(b'"[n')
"""How a string, an array and null begin: all that an input can be."""

_DELTA: Final = b"event: response."
_TOKENS: Final = (".delta", ".added")
"""How the kinds of events end in which an answer begins to come."""

_NO_TOKENS: Final = frozenset({"response.created", "response.queued", "response.in_progress"})
_ENDS: Final = frozenset({"response.completed", "response.incomplete"})
_TELLING: Final = _NO_TOKENS | _ENDS | {"response.failed"}
"""The kinds of events that tell of the whole response."""


class ResponsesStreamReader(StreamReader):
    """Follows the events of one response.

    What counts as the end: ``response.completed`` or ``response.incomplete``. There is no other.
    """

    __slots__ = ()

    def judge(self, block: bytes) -> bool:
        """See ``StreamReader.judge``."""
        name, data = fields(block)
        if data is None or not data.strip() or data.startswith(b"[DONE]"):
            return False
        if not valid_text(data):
            raise AnswerFault("an event of the stream is not UTF-8")
        try:
            kind = _kind_decoder.decode(data).type
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if name != b"error":
                raise AnswerFault(f"an event of the stream is not JSON: {error}") from None
            kind = "error"
        kind = kind or name.decode(errors="replace")
        if kind in _TELLING or not kind.startswith("response."):
            return self._judge_whole(kind, data)
        if not self.started and kind.endswith(_TOKENS):
            self.started = True
        return False

    def is_ordinary(self, event: bytes) -> bool:
        """See ``StreamReader.is_ordinary``."""
        line = event.find(b"\n")
        if (
            not self.started
            or not event.startswith(_DELTA)
            or not event.endswith(b".delta", 0, line)
            or event.find(b"\n", line + 1) != len(event) - 2
            or event.find(b"\r") >= 0
            or not event.startswith(b"data: {", line + 1)
            or not (event.isascii() or valid_text(event))
        ):
            return False
        try:
            return _kind_decoder.decode(event[line + 7 : -2]).type.endswith(".delta")
        except msgspec.DecodeError:
            return False

    def is_finish(self, block: bytes) -> bool:
        """See ``StreamReader.is_finish``."""
        _, data = fields(block)
        try:
            return _kind_decoder.decode(data or b"").type in _ENDS
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False

    def _judge_whole(self, kind: str, data: bytes) -> bool:
        """Judge an event that tells of the whole response, or an error."""
        try:
            event = _any_decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            event = {"message": data[:500].decode(errors="replace")}
        if not isinstance(event, dict):
            raise AnswerFault("an event of the stream is not a JSON object")
        response = event.get("response")
        response = response if isinstance(response, dict) else {}
        if kind == "response.failed":
            self.error = _error_of(response) or UpstreamError("", None, "the response failed")
            return True
        if kind == "error" or event.get("error"):
            self.error = _error_of(event) or read_error(event, is_error=True)
            return True
        model = response.get("model")
        if self.model is None and isinstance(model, str) and model:
            self.model = model
        self.usage = read_usage(response.get("usage")) or self.usage
        if kind not in _ENDS:
            return False
        self.started = True
        self.finished = True
        self.finish_reason = _finish_reason(response)
        return True


class ResponsesDialect(OpenAIDialect):
    """``POST /v1/responses`` and the counting of its tokens.

    Plain errors and lists of models are as in OpenAI's other APIs.
    """

    name: ClassVar[str] = "responses"
    path: ClassVar[str] = "/v1/responses"
    error_event: ClassVar[bytes] = b"event: error\ndata: "

    def further_operations(self) -> Iterable[Operation]:
        """See ``Dialect.further_operations``."""
        yield Operation(
            name="count_tokens",
            path="/v1/responses/input_tokens",
            peek_request=self.peek_request,
            peek_answer=peek_token_count,
        )

    def peek_request(self, body: bytes) -> RequestPeek:
        """See ``Dialect.peek_request``; the input may be missing where a prompt template has it."""
        try:
            peek = _peek_decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            peek_model(body)
            raise WireError(
                "stream: true or false is expected", param="stream", code="invalid_type"
            ) from None
        if not peek.model:
            peek_model(body)
        if memoryview(peek.input)[0] not in _INPUT_BEGINS:
            raise WireError(
                "input: a string or an array is expected", param="input", code="invalid_type"
            )
        return RequestPeek(peek.model, peek.stream is True)

    def peek_answer(self, body: bytes, content_type: bytes | None) -> AnswerPeek:
        """See ``Dialect.peek_answer``."""
        check_json_type(content_type)
        try:
            answer = _any_decoder.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise not_json(body) from None
        if not isinstance(answer, dict):
            raise not_json(body)
        error = _error_of(answer)
        if error is not None:
            raise error_fault(error)
        status = answer.get("status")
        if status in ("failed", "cancelled"):  # a tuple, as it may be of any type
            raise error_fault(UpstreamError("", None, f"the response is {status}"))
        if status in ("queued", "in_progress"):
            return AnswerPeek()  # it was asked to answer in the background
        output = answer.get("output")
        if not isinstance(output, list) or (not output and status != "incomplete"):
            raise AnswerFault("the upstream answered with a response that has no output")
        model = answer.get("model")
        return AnswerPeek(
            read_usage(answer.get("usage")),
            _finish_reason(answer),
            model if isinstance(model, str) else None,
        )

    def stream_reader(  # type: ignore[override]  # a stream of this API is another one
        self,
        *,
        max_event: int = MAX_EVENT,
        done_required: bool = True,  # noqa: ARG002 - there is one end, and it is required
    ) -> ResponsesStreamReader:
        """See ``Dialect.stream_reader``."""
        return ResponsesStreamReader(max_event)

    def encode_stream_error(
        self,
        status: int,
        message: str,
        *,
        type: str | None = None,  # noqa: A002 - it is the field's name on the wire
        code: str | None = None,
        param: str | None = None,
        request_id: str | None = None,  # noqa: ARG002 - OpenAI gives it in a header only
    ) -> bytes:
        """See ``Dialect.encode_stream_error``: here the error is the event itself."""
        usual_type, usual_code = openai_type(status)
        kind, code = type or usual_type, code or usual_code
        event = {
            "type": "error",
            "sequence_number": 0,
            "code": code or kind,
            "message": message,
            "param": param,
            # Clients that look for errors of the other APIs too notice this one.
            "error": {"type": kind, "code": code, "message": message, "param": param},
        }
        return self.error_event + msgspec.json.encode(event) + b"\n\n"


def read_usage(usage: object) -> Usage | None:
    """Return what a ``usage`` object says; None when it says nothing that can be counted."""
    if not isinstance(usage, dict):
        return None
    given, made = count(usage, "input_tokens"), count(usage, "output_tokens")
    if given is None and made is None:
        return None
    return Usage(
        given or 0,
        made or 0,
        count(usage, "input_tokens_details", "cached_tokens") or 0,
        count(usage, "input_tokens_details", "cache_write_tokens") or 0,
        count(usage, "output_tokens_details", "reasoning_tokens") or 0,
    )


def _error_of(body: dict[str, object]) -> UpstreamError | None:
    """Return the error that a response, or an event of type ``error``, holds."""
    if body.get("type") == "error" and not body.get("error"):
        body = {"error": {**body, "type": None}}
    return read_error(body)


def _finish_reason(response: dict[str, object]) -> str | None:
    """Return why a response ended: what cut it, else its status."""
    details = response.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    status = response.get("status")
    found = reason or status
    return found if isinstance(found, str) else None
