"""Following a streamed message in Anthropic's dialect.

What counts as the end: the event ``message_stop``. There is no other; a stream that ends without
it is not complete.
"""

from collections.abc import Mapping

import msgspec

from providers.wire.answers import valid_text
from providers.wire.error_types import status_of_anthropic
from providers.wire.events import StreamReader, fields
from providers.wire.faults import AnswerFault
from providers.wire.values import UpstreamError, Usage, count

__all__ = ["AnthropicStreamReader", "read_error", "read_usage"]


class _Delta(msgspec.Struct, gc=False):
    stop_reason: str | None = None


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    delta: _Delta | None = None
    usage: dict[str, object] | None = None


_event_decoder = msgspec.json.Decoder(_Event)
_any_decoder = msgspec.json.Decoder()
_DELTA = b"event: content_block_delta\ndata: {"
_SKIP = len(_DELTA) - 1


class AnthropicStreamReader(StreamReader):
    """Follows the events of one message."""

    __slots__ = ("_counted",)

    def __init__(self, max_event: int) -> None:
        super().__init__(max_event)
        self._counted: dict[str, object] = {}

    def judge(self, block: bytes) -> bool:
        """See ``StreamReader.judge``."""
        name, found = fields(block)
        if found is None or not found.strip():
            return False
        data = found
        if not self.started or name == b"error":
            return self._judge_loosely(name, data)
        try:
            event = _event_decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return self._judge_loosely(name, data)
        if not data.isascii() and not valid_text(data):
            raise AnswerFault("an event of the stream is not UTF-8")
        kind = event.type
        if kind == "content_block_delta":
            return False
        if kind == "message_stop":
            self.finished = True
            return True
        if kind == "message_delta":
            if event.delta is not None and event.delta.stop_reason:
                self.finish_reason = event.delta.stop_reason
            if event.usage is not None:
                self._count(event.usage)
            return False
        return not kind.startswith("content_block_") and self._judge_loosely(name, data)

    def is_ordinary(self, event: bytes) -> bool:
        """See ``StreamReader.is_ordinary``."""
        if (
            not self.started
            or not event.startswith(_DELTA)
            or event.find(b"\n", _SKIP) != len(event) - 2
            or event.find(b"\r") >= 0
            or not (event.isascii() or valid_text(event))
        ):
            return False
        try:
            return _event_decoder.decode(event[_SKIP:-2]).type == "content_block_delta"
        except msgspec.DecodeError:
            return False

    def is_finish(self, block: bytes) -> bool:
        """See ``StreamReader.is_finish``."""
        _, data = fields(block)
        try:
            event = _any_decoder.decode(data or b"")
        except (msgspec.DecodeError, UnicodeDecodeError):
            return False
        return isinstance(event, dict) and event.get("type") == "message_stop"

    def _judge_loosely(self, name: bytes, data: bytes) -> bool:
        """Judge an event whose fields may be of any type: only what is no JSON object is refused.

        Args:
            name: The event's name, which stands in where the data gives no type.
            data: The event's data.
        """
        is_error = name == b"error"
        try:
            event = _any_decoder.decode(data)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            if is_error:
                event = {"error": {"message": data[:500].decode(errors="replace")}}
            else:
                raise AnswerFault(f"an event of the stream is not JSON: {error}") from None
        if not isinstance(event, dict):
            raise AnswerFault("an event of the stream is not a JSON object")
        if not valid_text(data):
            raise AnswerFault("an event of the stream is not UTF-8")
        kind = event.get("type")
        if not isinstance(kind, str):
            kind = name.decode(errors="replace")
        if is_error or kind == "error":
            self.error = read_error(event)
            self.odd_error = not is_error  # the SDKs go by the event's name, and skip one without
            return True
        if kind == "message_stop":
            self.finished = True
            return True
        self._take_note(kind, event)
        return False

    def _take_note(self, kind: str, event: Mapping[str, object]) -> None:
        part: object
        if kind == "content_block_delta":
            part = event.get("delta")
            if isinstance(part, dict) and _holds_token(part):
                self.started = True
        elif kind == "content_block_start":
            part = event.get("content_block")
            if isinstance(part, dict) and _holds_token(part):
                self.started = True
        elif kind == "message_start":
            part = event.get("message")
            if isinstance(part, dict):
                model = part.get("model")
                if isinstance(model, str) and model:
                    self.model = model
                self._count(part.get("usage"))
        elif kind == "message_delta":
            part = event.get("delta")
            reason = part.get("stop_reason") if isinstance(part, dict) else None
            if isinstance(reason, str) and reason:
                self.started = True
                self.finish_reason = reason
            self._count(event.get("usage"))

    def _count(self, usage: object) -> None:
        """Take in one report: later ones are cumulative and may leave out what did not change."""
        if isinstance(usage, Mapping):
            self._counted.update((key, value) for key, value in usage.items() if value is not None)
            self.usage = read_usage(self._counted)


def _holds_token(part: Mapping[str, object]) -> bool:
    """Tell whether a block or a delta holds something of the answer, and is not just an opening."""
    kind = part.get("type")
    # Tuples, as it may be of any type.
    if kind in ("text", "text_delta"):
        return bool(part.get("text"))
    if kind in ("thinking", "thinking_delta"):
        return bool(part.get("thinking"))
    # A tool call, a tool's result, a redacted thought, a citation, a signature: tokens in any case.
    return True


def read_usage(usage: Mapping[str, object]) -> Usage | None:
    """Return what a ``usage`` object says; None when it says nothing that can be counted."""
    fresh = count(usage, "input_tokens")
    output = count(usage, "output_tokens")
    if fresh is None and output is None:
        return None
    read = count(usage, "cache_read_input_tokens") or 0
    written = count(usage, "cache_creation_input_tokens") or 0
    return Usage(
        (fresh or 0) + read + written,
        output or 0,
        read,
        written,
        count(usage, "output_tokens_details", "thinking_tokens") or 0,
    )


def read_error(body: Mapping[str, object]) -> UpstreamError:
    """Return the error of a body or event that is one."""
    error = body.get("error")
    if isinstance(error, str):
        return UpstreamError("", None, error)
    if not isinstance(error, Mapping):
        return UpstreamError("", None, "the upstream sent an error without a message")
    kind = error.get("type")
    message = error.get("message")
    details = error.get("details")
    code = details.get("error_code") if isinstance(details, Mapping) else None
    kind_text = kind if isinstance(kind, str) else ""
    return UpstreamError(
        kind_text,
        code if isinstance(code, str) else None,
        message if isinstance(message, str) and message else kind_text or "no message was given",
        status_of_anthropic(kind_text),
    )
