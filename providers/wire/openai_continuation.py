"""Joining streamed chat completions; see ``providers.wire.continuation``."""

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from providers.wire.continuation import Continuation, Obstacle, ResumeStyle
from providers.wire.openai_stream import read_error
from providers.wire.translation.chat_reply import list_texts

__all__ = ["OpenAIContinuation"]

_FRAME = ("id", "object", "created", "model", "system_fingerprint", "service_tier")
"""What all chunks of one answer have in common."""

_REASONING = ("reasoning_content", "reasoning", "reasoning_details", "thinking")
_DONE = b"data: [DONE]\n\n"


class OpenAIContinuation(Continuation):
    """The joined stream of one chat completion.

    The chunks of a continuation go out under the head of the first stream; its reasoning is left
    out once anything of the answer has been seen. Usage is told once, at the end, where it was
    asked for: what was sent before is estimated, and what was added to the prompt is taken off.
    """

    def __init__(self, request: bytes) -> None:
        super().__init__(request)
        self._frame: dict[str, Any] = {}
        self._role = False
        self._reasoned = False
        self._holding = False
        self._counted: dict[str, Any] | None = None

    @classmethod
    def style(
        cls, wished: ResumeStyle, model: str, *, translated: bool = False
    ) -> Literal["prefill", "instruction"] | None:
        """See ``Continuation.style``: only some servers go on from an assistant's message.

        What tells them to is no part of the API, so that no translation makes it.
        """
        del model
        if wished == "never":
            return None
        return "instruction" if wished == "auto" or translated else wished

    def ending(self) -> bytes:
        """See ``Continuation.ending``."""
        out: list[bytes] = []
        self._end(_DONE, out)
        return b"".join(out)

    def _take(self, event: bytes, name: bytes, data: bytes, out: list[bytes]) -> None:
        if data.startswith(b"[DONE]"):
            self._flush_seam(out)
            self._end(event, out)
            return
        if name == b"error":
            self.error = event  # its data may be mere words
            return
        chunk = self._decoded(data)
        if read_error(chunk) is not None:
            self.error = event
            return
        if not self._joining:
            if not self._frame and chunk.get("choices"):
                self._frame = {key: chunk[key] for key in _FRAME if key in chunk}
            self._pass(event, chunk, out)
            return
        self._join(chunk, out)

    def _pass(self, event: bytes, chunk: Mapping[str, Any], out: list[bytes]) -> None:
        """Send or hold back an event that is as the asker is to see it."""
        choices = chunk.get("choices")
        texts = []
        for choice in choices if isinstance(choices, list) else ():
            if not isinstance(choice, dict):
                continue
            delta = choice.get("delta")
            delta = delta if isinstance(delta, dict) else {}
            if choice.get("index"):
                self._object("choices", out)
            if choice.get("logprobs"):
                self._object("logprobs", out)
            if delta.get("refusal"):
                self._object("refusal", out)
            if delta.get("audio"):
                self._object("audio", out)
            if delta.get("tool_calls") or delta.get("function_call"):
                self._holding = True
            if choice.get("finish_reason"):
                self._holding = self.whole = True
            content = delta.get("content")
            if isinstance(content, str):
                texts.append(content)
            elif isinstance(content, list):
                thought, text = list_texts(content)
                texts.append(text)
                self._reasoned = self._reasoned or bool(thought)
            self._role = self._role or "role" in delta
            self._reasoned = self._reasoned or any(delta.get(key) for key in _REASONING)
        if self._holding and self._obstacle is None:
            self._hold(event, out)
            return
        out.append(event)
        for text in texts:
            self._sent(text)

    def _object(self, obstacle: Obstacle, out: list[bytes]) -> None:
        if self._obstacle is None:
            self._obstacle = obstacle
        self._release(out)

    def _join(self, chunk: dict[str, Any], out: list[bytes]) -> None:
        """Make a continuation's chunk one of the joined answer."""
        usage = chunk.pop("usage", None)
        if isinstance(usage, dict):
            self._counted = usage
        choices = chunk.get("choices")
        kept = []
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                kept += self._joined(choice, out)
        if kept:
            self._send({**chunk, "choices": kept}, out)

    def _joined(self, choice: dict[str, Any], out: list[bytes]) -> list[dict[str, Any]]:
        given = choice.get("delta")
        delta: dict[str, Any] = dict(given) if isinstance(given, dict) else {}
        if self._role:
            delta.pop("role", None)
        if self._reasoned or self._characters:
            for key in _REASONING:
                delta.pop(key, None)
        content = delta.pop("content", None)
        if isinstance(content, list):
            content = self._text_of(content, out)
        if isinstance(content, str):
            text = self._seam.feed(content)
            if text:
                delta["content"] = text
        ends = bool(choice.get("finish_reason"))
        if ends or delta.get("tool_calls") or delta.get("function_call"):
            # The text goes out for itself: what ends it or comes after it is held back.
            text = delta.pop("content", "") + self._seam.flush()
            if text:
                self._send_text(text, out)
        elif not any(value is not None for value in delta.values()):
            return []
        return [{**choice, "delta": delta}]

    def _text_of(self, parts: list[Any], out: list[bytes]) -> str:
        """Return the text of a content that is a list; its thoughts go out for themselves."""
        text = list_texts(parts)[1]
        if not (self._reasoned or self._characters):
            thoughts = [
                each for each in parts if isinstance(each, dict) and each.get("type") == "thinking"
            ]
            if thoughts:
                self._send_delta({"content": thoughts}, out)
        return text

    def _flush_seam(self, out: list[bytes]) -> None:
        text = self._seam.flush()
        if text:
            self._send_text(text, out)

    def _send_text(self, text: str, out: list[bytes]) -> None:
        self._send_delta({"content": text}, out)

    def _send_delta(self, delta: dict[str, Any], out: list[bytes]) -> None:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": None}
        self._send({"choices": [choice]}, out)

    def _send(self, chunk: dict[str, Any], out: list[bytes]) -> None:
        rest = {key: value for key, value in chunk.items() if key not in _FRAME}
        framed = {**self._frame, **rest}
        self._pass(_event(framed), framed, out)

    def _end(self, done: bytes, out: list[bytes]) -> None:
        self._release(out)
        if self._joining and self._counted is not None and self._wants_usage():
            out.append(_event({**self._frame, "choices": [], "usage": self._total(self._counted)}))
        out.append(done)

    def _wants_usage(self) -> bool:
        options = self._original().get("stream_options")
        return isinstance(options, dict) and options.get("include_usage") is True

    def _total(self, counted: Mapping[str, Any]) -> dict[str, Any]:
        """Return the usage of the joined answer: the last part's, and what was sent before."""
        before, after = _number(counted, "prompt_tokens"), _number(counted, "completion_tokens")
        if self._base:
            before = max(1, before - self._added)
            after += self._base
        return {
            **counted,
            "prompt_tokens": before,
            "completion_tokens": after,
            "total_tokens": before + after,
        }

    def _obstacle_now(self, request: Mapping[str, Any]) -> Obstacle | None:
        choices = request.get("n")
        if isinstance(choices, int) and choices > 1:
            return "choices"
        modalities = request.get("modalities")
        if request.get("audio") or (isinstance(modalities, list) and "audio" in modalities):
            return "audio"
        shape = request.get("response_format")
        if isinstance(shape, dict) and shape.get("type") not in {None, "text"}:
            return "structured_output"
        if request.get("logprobs"):
            return "logprobs"
        if request.get("web_search_options") is not None:
            return "server_tools"
        return None

    def _begin_joining(self) -> None:
        self._holding = False
        self._counted = None

    def _adapt(
        self, body: dict[str, Any], style: Literal["prefill", "instruction"], *, translated: bool
    ) -> None:
        if translated:
            body.pop("reasoning_effort", None)  # would be thinking, which goes with no prefill
        elif style == "prefill":
            body["continue_final_message"] = True
            body["add_generation_prompt"] = False


def _event(chunk: Mapping[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(chunk) + b"\n\n"


def _number(values: Mapping[str, Any], name: str) -> int:
    found = values.get(name)
    return int(found) if isinstance(found, int | float) else 0
