"""Joining streamed messages; see ``providers.wire.continuation``."""

import re
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from providers.wire.continuation import Continuation, Obstacle, ResumeStyle

__all__ = ["AnthropicContinuation"]

_TAKES_PREFILL = re.compile(
    r"(?:.*[/.])?claude-"
    r"(?:(?:instant|2|3)(?:[-.]|$)"
    r"|haiku-4[-.]5(?:[-@:]|$)"
    r"|(?:opus|sonnet)-4(?:$|(?:[-.][015]|[-@]20\d{6})(?:[-@:]|$)))"
)
"""Models that go on from an assistant's message, by their names at Anthropic and at other houses
(``us.anthropic.claude-…-v1:0``, ``claude-…@date``, ``anthropic/claude-opus-4.5``).

Anthropic's guides to migration, and the section "Prefill not supported" of its page on errors, say
that every model from Claude 4.6 on answers such a request with a 400; the last to take it are Opus,
Sonnet and Haiku 4.5 (as of November 2026). So this names the models that do, of which no more will
come. What is not among them is asked in words, which all understand: later models, names that tell
no version, other servers.
"""

_THINKING = ("thinking", "redacted_thinking")  # what is looked for may be of any type
_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'


class AnthropicContinuation(Continuation):
    """The joined stream of one message.

    The end of a text block is held back until it is known what follows, so that a continuation
    goes on in the same block. Thinking is not asked for in a continuation, as its signed beginning
    cannot be given to another; what comes of it nevertheless is left out.
    """

    def __init__(self, request: bytes) -> None:
        super().__init__(request)
        self._input: dict[str, Any] = {}
        self._later: dict[str, Any] = {}
        self._tooling = False
        self._last: Literal["text", "thinking"] | None = None
        self._blocks = 0
        self._open: int | None = None
        self._next = 0
        self._merge: int | None = None
        self._merging: int | None = None
        self._indexes: dict[int, int | None] = {}

    @classmethod
    def style(
        cls, wished: ResumeStyle, model: str, *, translated: bool = False
    ) -> Literal["prefill", "instruction"] | None:
        """See ``Continuation.style``: newer models refuse a prefill."""
        del translated
        if wished == "never":
            return None
        if wished == "auto":
            return "prefill" if _TAKES_PREFILL.match(model) else "instruction"
        return wished

    def ending(self) -> bytes:
        """See ``Continuation.ending``."""
        out: list[bytes] = []
        self._release(out)
        return b"".join([*out, _STOP])

    def _take(self, event: bytes, name: bytes, data: bytes, out: list[bytes]) -> None:
        if name == b"error":
            self.error = event  # its data may be mere words
            return
        content = self._decoded(data)
        kind = content.get("type")
        if not isinstance(kind, str):
            kind = name.decode(errors="replace")
        if kind == "error":
            self.error = event
        elif kind == "ping":
            out.append(event)
        elif self._joining:
            self._join(event, kind, content, out)
        else:
            self._pass(event, kind, content, out)

    def _pass(self, event: bytes, kind: str, data: Mapping[str, Any], out: list[bytes]) -> None:
        """Send or hold back an event that is as the asker is to see it."""
        part: Any = data.get("content_block" if kind == "content_block_start" else "delta")
        part = part if isinstance(part, dict) else {}
        if kind == "message_stop":
            self._release(out)
            out.append(event)
            return
        if kind == "message_start" and not self._input:
            self._input = _usage_of(data)
        if kind == "message_delta" and part.get("stop_reason"):
            self.whole = True
        if kind == "content_block_start":
            block = part.get("type")
            self._tooling = self._tooling or block == "tool_use"
            if not self._tooling:
                self._release(out)
                self._blocks += 1
                self._open = data.get("index", 0) if block == "text" else None
                if block in _THINKING:
                    self._last = "thinking"
                elif block != "text" and self._obstacle is None:
                    self._obstacle = "server_tools"
        if (self._tooling or self.whole) and self._obstacle is None:
            self._hold(event, out)
            return
        if kind == "content_block_stop" and self._open is not None and self._obstacle is None:
            self._hold(event, out)
            return
        self._release(out)
        out.append(event)
        text = part.get("text")
        if isinstance(text, str) and text:
            self._last = "text"
            self._sent(text)
        elif kind == "content_block_delta" and isinstance(part.get("thinking"), str):
            self._characters += len(part["thinking"])

    def _join(self, event: bytes, kind: str, data: dict[str, Any], out: list[bytes]) -> None:
        """Make a continuation's event one of the joined answer."""
        index = data.get("index")
        index = index if isinstance(index, int) else 0
        if kind == "message_start":
            self._later = _usage_of(data)
            return
        if kind == "content_block_start":
            self._start(index, data, out)
        elif kind in {"content_block_delta", "content_block_stop"}:
            if kind == "content_block_stop" and index == self._merging:
                self._close_seam(out)
            number = self._indexes.get(index)
            if number is None:
                return
            delta = data.get("delta")
            if index == self._merging and isinstance(delta, dict) and "text" in delta:
                given = delta["text"]
                text = self._seam.feed(given) if isinstance(given, str) else ""
                if not text:
                    return
                data = {**data, "delta": {**delta, "text": text}}
            self._send(kind, {**data, "index": number}, out)
        elif kind == "message_delta":
            self._close_seam(out)
            self._close_text(out)
            self._send(kind, {**data, "usage": self._total(data.get("usage"))}, out)
        else:
            if kind == "message_stop":  # without a message_delta, after which nothing is held
                self._close_seam(out)
                self._close_text(out)
            self._pass(event, kind, data, out)

    def _start(self, index: int, data: dict[str, Any], out: list[bytes]) -> None:
        block = data.get("content_block")
        block = block if isinstance(block, dict) else {}
        kind = block.get("type")
        if kind in _THINKING and self._characters:
            self._indexes[index] = None
            return
        if kind == "text" and self._merge is not None:
            self._indexes[index] = self._merge
            self._merge, self._merging = None, index
            begun = block.get("text")
            text = self._seam.feed(begun) if isinstance(begun, str) else ""
            if text:
                self._send_text(text, self._indexes[index], out)
            return
        self._close_seam(out)
        self._close_text(out)
        self._indexes[index] = self._next
        self._send("content_block_start", {**data, "index": self._next}, out)
        self._next += 1

    def _close_seam(self, out: list[bytes]) -> None:
        """Send what was still held back as a possible repetition."""
        if self._merging is not None:
            text = self._seam.flush()
            if text:
                self._send_text(text, self._indexes[self._merging], out)
            self._merging = None

    def _close_text(self, out: list[bytes]) -> None:
        """End the text block that was open when the stream broke, where nothing went on in it."""
        if self._merge is not None:
            stop = {"type": "content_block_stop", "index": self._merge}
            self._merge = None
            self._send("content_block_stop", stop, out)

    def _send_text(self, text: str, index: int | None, out: list[bytes]) -> None:
        delta = {"type": "text_delta", "text": text}
        data = {"type": "content_block_delta", "index": index, "delta": delta}
        self._send("content_block_delta", data, out)

    def _send(self, kind: str, data: dict[str, Any], out: list[bytes]) -> None:
        event = b"event: %b\ndata: %b\n\n" % (kind.encode(), msgspec.json.encode(data))
        self._pass(event, kind, data, out)

    def _total(self, counted: object) -> dict[str, Any]:
        """Return the usage of the joined answer: the input as first told, all of the output.

        A provider of another API tells its input only at the end, which a broken stream never had:
        then it is the present provider's, less what was added to the prompt.
        """
        usage = dict(counted) if isinstance(counted, dict) else {}
        if any(value for name, value in self._input.items() if "input" in name):
            for name, value in self._input.items():
                if name in usage and name != "output_tokens" and "input" in name:
                    usage[name] = value
        else:
            usage = {**self._later, **usage}
            fresh = usage.get("input_tokens")
            if isinstance(fresh, int):
                usage["input_tokens"] = max(0, fresh - self._added)
        output = usage.get("output_tokens")
        usage["output_tokens"] = self._base + (output if isinstance(output, int) else 0)
        return usage

    def _obstacle_now(self, request: Mapping[str, Any]) -> Obstacle | None:
        output = request.get("output_config")
        if request.get("output_format") or (isinstance(output, dict) and output.get("format")):
            return "structured_output"
        return "thinking" if self._last == "thinking" else None

    def _begin_joining(self) -> None:
        self._later = {}
        self._tooling = False
        self._next = self._blocks
        self._merge = self._open
        self._merging = None
        self._indexes = {}

    def _adapt(
        self, body: dict[str, Any], style: Literal["prefill", "instruction"], *, translated: bool
    ) -> None:
        del style, translated
        body.pop("thinking", None)


def _usage_of(start: Mapping[str, Any]) -> dict[str, Any]:
    """Return the usage that a ``message_start`` tells."""
    message = start.get("message")
    usage = message.get("usage") if isinstance(message, dict) else None
    return dict(usage) if isinstance(usage, dict) else {}
