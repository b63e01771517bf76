"""Following a streamed chat completion in OpenAI's dialect.

What counts as the end: the event ``data: [DONE]``. OpenAI and nearly all servers of its API send
it, with or without a finish reason before. A stream that ends in order without it is complete only
for a reader that was told that this server never sends it (``done_required=False``), and only when
every choice that was seen has had its finish reason; the missing marker is then supplied, so that
the client sees a proper end. A stream cut before either is never complete.
"""

from collections.abc import Mapping
from typing import Annotated

import msgspec

from providers.wire.answers import valid_text
from providers.wire.error_types import status_of_openai
from providers.wire.events import MAX_EVENT, StreamReader, fields
from providers.wire.faults import AnswerFault
from providers.wire.values import UpstreamError, Usage, count

__all__ = ["TOKEN_FIELDS", "OpenAIStreamReader", "PlainUsage", "read_error", "read_usage"]

_DONE = b"data: [DONE]"

TOKEN_FIELDS = (
    "content",
    "tool_calls",
    "refusal",
    "function_call",
    "audio",
    "reasoning_content",
    "reasoning",
    "reasoning_details",
    "thinking",
)
"""Fields of a message or delta of which one that is not empty is an answer.

The last four are how servers other than OpenAI's pass on a model's reasoning.
"""


class _Choice(msgspec.Struct, gc=False):
    index: int = 0
    finish_reason: str | None = None


Tokens = Annotated[int, msgspec.Meta(ge=0)] | None


class _PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: Tokens = None
    cache_write_tokens: Tokens = None


class _CompletionDetails(msgspec.Struct, gc=False):
    reasoning_tokens: Tokens = None


class PlainUsage(msgspec.Struct, gc=False):
    """A ``usage`` object in which every number is one; any other is read by ``read_usage``."""

    prompt_tokens: Tokens = None
    completion_tokens: Tokens = None
    prompt_tokens_details: _PromptDetails | None = None
    completion_tokens_details: _CompletionDetails | None = None

    def counted(self) -> Usage | None:
        """Return what it says; None when it says nothing that can be counted."""
        prompt, completion = self.prompt_tokens, self.completion_tokens
        if prompt is None and completion is None:
            return None
        before, after = self.prompt_tokens_details, self.completion_tokens_details
        return Usage(
            prompt or 0,
            completion or 0,
            (before.cached_tokens or 0) if before else 0,
            (before.cache_write_tokens or 0) if before else 0,
            (after.reasoning_tokens or 0) if after else 0,
        )


class _Chunk(msgspec.Struct, gc=False):
    choices: list[_Choice] | None = None
    usage: PlainUsage | None = None
    error: object = None


_chunk_decoder = msgspec.json.Decoder(_Chunk)
_any_decoder = msgspec.json.Decoder()


class OpenAIStreamReader(StreamReader):
    """Follows ``chat.completion.chunk`` events.

    Args:
        max_event: Bytes of one event at most.
        done_required: Whether only ``[DONE]`` ends a stream; see the module.
    """

    __slots__ = ("_begun", "_done_required", "_ended")

    def __init__(self, max_event: int = MAX_EVENT, *, done_required: bool = True) -> None:
        super().__init__(max_event)
        self._done_required = done_required
        self._begun: set[int] = set()
        self._ended: set[int] = set()

    def judge(self, block: bytes) -> bool:
        """See ``StreamReader.judge``."""
        if block.startswith(b"data: {") and block.find(b"\n") < 0:
            data = block[6:]
        else:
            name, found = fields(block)
            if found is None or not found.strip():
                return False
            data = found.strip()
            # The SDKs, too, take anything that begins like this for the end.
            if data.startswith(b"[DONE]"):
                self.finished = True
                return True
            if name == b"error":
                return self._judge_loosely(data, is_error=True)
        if not self.started:
            return self._judge_loosely(data)
        try:
            chunk = _chunk_decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._judge_loosely(data)
        if not data.isascii() and not valid_text(data):
            raise AnswerFault("an event of the stream is not UTF-8")
        if chunk.error is not None or chunk.choices is None:
            return self._judge_loosely(data)
        for choice in chunk.choices:
            self._begun.add(choice.index)
            if choice.finish_reason:
                self._finish(choice.index, choice.finish_reason)
        if chunk.usage is not None:
            self.usage = chunk.usage.counted() or self.usage
        return False

    def is_ordinary(self, event: bytes) -> bool:
        """See ``StreamReader.is_ordinary``."""
        # Its first line end is the one before the last: it is one line.
        if (
            not self.started
            or event.find(b"\n") != len(event) - 2
            or event.find(b"\r") >= 0
            or not event.startswith(b"data: {")
            or not (event.isascii() or valid_text(event))
        ):
            return False
        try:
            chunk = _chunk_decoder.decode(event[6:-2])
        except msgspec.DecodeError:
            return False
        choices = chunk.choices
        if choices is None or len(choices) != 1 or chunk.error is not None:
            return False
        choice = choices[0]
        if choice.finish_reason or chunk.usage is not None:
            return False
        self._begun.add(choice.index)
        return True

    def is_finish(self, block: bytes) -> bool:
        """See ``StreamReader.is_finish``."""
        _, data = fields(block)
        return data is not None and data.strip() == b"[DONE]"

    def end(self) -> bytes:
        """See ``StreamReader.end``; supplies ``[DONE]`` where it is not required."""
        rest = super().end()
        settled = bool(self._ended) and self._ended >= self._begun
        if self._done_required or self.finished or self.error is not None or not settled:
            return rest
        self.finished = True
        return rest + _DONE + b"\n\n"

    def _judge_loosely(self, data: bytes, *, is_error: bool = False) -> bool:
        """Judge an event whose fields may be of any type: only what is no JSON object is refused.

        Args:
            data: The event's data.
            is_error: Whether the event was named an error.
        """
        odd = False
        try:
            chunk = _any_decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if is_error:
                odd = True
                chunk = {"error": {"message": data[:500].decode(errors="replace")}}
            else:
                raise AnswerFault(f"an event of the stream is not JSON: {error}") from None
        if not isinstance(chunk, dict):
            raise AnswerFault("an event of the stream is not a JSON object")
        if not valid_text(data):
            raise AnswerFault("an event of the stream is not UTF-8")
        self.error = read_error(chunk, is_error=is_error)
        if self.error is not None:
            # The SDKs raise what stands under this key, and nothing else.
            self.odd_error = odd or not chunk.get("error")
            return True
        model = chunk.get("model")
        if self.model is None and isinstance(model, str) and model:
            self.model = model
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                self._judge_choice(choice)
        usage = chunk.get("usage")
        if isinstance(usage, dict):
            self.usage = read_usage(usage) or self.usage
        return False

    def _judge_choice(self, choice: Mapping[str, object]) -> None:
        index = choice.get("index", 0)
        number = index if isinstance(index, int) else 0
        self._begun.add(number)
        reason = choice.get("finish_reason")
        if isinstance(reason, str) and reason:
            self._finish(number, reason)
        if self.holds_token(choice):
            self.started = True

    def holds_token(self, choice: Mapping[str, object]) -> bool:
        """Tell whether a choice of a chunk holds a token of the answer.

        Args:
            choice: The choice, as decoded.
        """
        delta = choice.get("delta")
        return isinstance(delta, dict) and any(delta.get(name) for name in TOKEN_FIELDS)

    def _finish(self, index: int, reason: str) -> None:
        self._ended.add(index)
        self.started = True
        if self.finish_reason is None:
            self.finish_reason = reason


def read_usage(usage: Mapping[str, object]) -> Usage | None:
    """Return what a ``usage`` object says; None when it says nothing that can be counted."""
    prompt = count(usage, "prompt_tokens")
    completion = count(usage, "completion_tokens")
    if prompt is None and completion is None:
        return None
    return Usage(
        prompt or 0,
        completion or 0,
        count(usage, "prompt_tokens_details", "cached_tokens") or 0,
        count(usage, "prompt_tokens_details", "cache_write_tokens") or 0,
        count(usage, "completion_tokens_details", "reasoning_tokens") or 0,
    )


def read_error(body: Mapping[str, object], *, is_error: bool = False) -> UpstreamError | None:
    """Return the error that an answer or event holds, if it holds one.

    Besides OpenAI's own shape, it knows ``{"error": "text"}`` (Ollama) and
    ``{"object": "error", "message": ...}`` (vLLM).

    Args:
        body: The decoded body or event.
        is_error: Whether it is known to be an error, whatever its shape.
    """
    error = body.get("error")
    if not error:
        if body.get("object") != "error" and not is_error:
            return None
        error = body
    if isinstance(error, str):
        return UpstreamError("", None, error)
    if not isinstance(error, Mapping):
        return UpstreamError("", None, "the upstream sent an error without a message")
    kind = error.get("type")
    code = error.get("code")
    message = error.get("message")
    kind_text = kind if isinstance(kind, str) else ""
    code_text = str(code) if isinstance(code, str | int) and code != "" else None
    return UpstreamError(
        kind_text,
        code_text,
        message if isinstance(message, str) and message else kind_text or "no message was given",
        status_of_openai(kind_text, code_text),
    )
