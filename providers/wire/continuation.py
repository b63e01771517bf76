"""One stream out of several: a streamed answer that broke and is continued by another provider.

A ``Continuation`` stands between the streams and the asker. It notes what has gone out, holds back
what could not be joined if the stream broke there (a tool call, the ending), makes the request that
has another provider go on, and rewrites that one's events so that the asker sees a single answer.
"""

import json
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from providers.wire.events import fields
from providers.wire.seam import Seam

__all__ = [
    "INSTRUCTION",
    "MAX_TRANSCRIPT",
    "Continuation",
    "Obstacle",
    "ResumeStyle",
    "estimated_tokens",
    "without_continuation",
]

MAX_TRANSCRIPT: Final = 256 * 1024
"""Characters sent, or bytes held back, beyond which a stream is not continued any more."""

INSTRUCTION: Final = (
    "Your answer was interrupted. Continue it exactly where it stops: begin with the very next "
    "characters, repeat nothing of it, and add no preface or remark."
)
"""What a provider is asked that does not go on from an assistant's message by itself."""

ResumeStyle = Literal["auto", "prefill", "instruction", "never"]
"""How a provider is asked to go on: by the beginning of its answer, or in words."""

Obstacle = Literal[
    "audio",
    "choices",
    "logprobs",
    "refusal",
    "server_tools",
    "structured_output",
    "thinking",
    "too_long",
]
"""Why a stream cannot be continued."""

_BOUNDARY = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")
_CHARACTERS_PER_TOKEN = 4
_decoder = msgspec.json.Decoder()


def estimated_tokens(characters: int) -> int:
    """Return roughly how many tokens a text is."""
    return math.ceil(characters / _CHARACTERS_PER_TOKEN)


def without_continuation(messages: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], str]:
    """Return the messages a continuation was made from, and the text that is to be continued.

    Args:
        messages: A request's messages; text where they ask for no continuation is empty.
    """
    rest = messages
    if len(rest) > 1 and rest[-1].get("role") == "user" and rest[-1].get("content") == INSTRUCTION:
        rest = rest[:-1]
    last = rest[-1]
    if len(rest) > 1 and last.get("role") == "assistant" and isinstance(last.get("content"), str):
        return rest[:-1], last["content"]
    return messages, ""


class Continuation(ABC):
    """The joined stream of one request.

    Args:
        request: The request's body.

    Attributes:
        whole: The model has said that its answer is over; only the stream's end is missing.
        error: The error event with which the present stream broke; empty without one.
    """

    def __init__(self, request: bytes) -> None:
        self._request = request
        self._members: dict[str, Any] | None = None
        self._obstacle: Obstacle | None = None
        self._text: list[str] = []
        self._characters = 0
        self._held: list[bytes] = []
        self._held_size = 0
        self._seam = Seam("")
        self._base = 0
        self._added = 0
        self._joining = False
        self.whole = False
        self.error = b""

    @property
    def text(self) -> str:
        """The text that has been sent."""
        if len(self._text) > 1:
            self._text = ["".join(self._text)]
        return self._text[0] if self._text else ""

    def feed(self, events: bytes) -> bytes:
        """Take whole events of the present stream.

        Args:
            events: The events as the provider sent them, already judged good.

        Returns:
            What is to be sent now.
        """
        out: list[bytes] = []
        for event in _split(events):
            name, data = fields(event.replace(b"\r\n", b"\n").replace(b"\r", b"\n").strip(b"\n"))
            if data is None or not data.strip():
                out.append(event)
            else:
                self._take(event, name, data.strip(), out)
        return b"".join(out)

    def cut(self) -> Obstacle | None:
        """Take note that the present stream broke.

        What was held back is forgotten: it has never been sent.

        Returns:
            Why the answer cannot be continued; None when it can, or is ``whole``.
        """
        if self._obstacle is None:
            self._obstacle = self._obstacle_now(self._original())
        if self.whole and self._obstacle != "choices":
            return None  # nobody needs to go on; of several choices only one is known to be whole
        if self._obstacle is not None:
            return self._obstacle
        self._held.clear()
        self._held_size = 0
        self._joining = True
        self._seam = Seam(self.text)
        self._base = estimated_tokens(self._characters)
        self._added = 0
        self.error = b""
        self._begin_joining()
        return None

    def request(
        self, style: Literal["prefill", "instruction"], *, translated: bool = False
    ) -> bytes:
        """Return the request that has another provider go on.

        As long as nothing of the text was sent it is the original one.

        Args:
            style: How the provider is asked.
            translated: Whether it speaks another API, into which this is to be translated.
        """
        told = self._seam.told
        if not told:
            return self._request
        body = dict(self._original())
        messages = list(body["messages"])
        last = messages[-1] if messages else None
        if isinstance(last, dict) and last.get("role") == "assistant":
            messages[-1] = {**last, "content": _extended(last.get("content"), told)}
        else:
            messages.append({"role": "assistant", "content": told})
        self._added = estimated_tokens(len(told))
        if style == "instruction":
            messages.append({"role": "user", "content": INSTRUCTION})
            self._added += estimated_tokens(len(INSTRUCTION))
        body["messages"] = messages
        for name in ("max_tokens", "max_completion_tokens"):
            limit = body.get(name)
            if isinstance(limit, int) and not isinstance(limit, bool):
                body[name] = max(1, limit - self._base)
        self._adapt(body, style, translated=translated)
        return msgspec.json.encode(body)

    @classmethod
    @abstractmethod
    def style(
        cls, wished: ResumeStyle, model: str, *, translated: bool = False
    ) -> Literal["prefill", "instruction"] | None:
        """Return how a provider of this API is to be asked; None for not at all.

        Args:
            wished: What its settings say.
            model: The model it is asked for.
            translated: Whether the request comes from another API.
        """

    @abstractmethod
    def ending(self) -> bytes:
        """Return what ends an answer that is ``whole``, with what was held back."""

    @abstractmethod
    def _take(self, event: bytes, name: bytes, data: bytes, out: list[bytes]) -> None:
        """Take one event; append what is to be sent."""

    @abstractmethod
    def _obstacle_now(self, request: Mapping[str, Any]) -> Obstacle | None:
        """Return what keeps a stream from being continued that breaks now."""

    @abstractmethod
    def _begin_joining(self) -> None:
        """Prepare for the first event of another provider."""

    @abstractmethod
    def _adapt(
        self, body: dict[str, Any], style: Literal["prefill", "instruction"], *, translated: bool
    ) -> None:
        """Change what else differs in the request for a continuation."""

    def _original(self) -> dict[str, Any]:
        if self._members is None:
            self._members = msgspec.json.decode(self._request, type=dict[str, Any])
        return self._members

    def _sent(self, text: str) -> None:
        """Note text that is being sent."""
        if self._obstacle is not None:
            return
        self._text.append(text)
        self._characters += len(text)
        if self._characters > MAX_TRANSCRIPT:
            self._obstacle = "too_long"
            self._text.clear()

    def _hold(self, event: bytes, out: list[bytes]) -> None:
        """Hold an event back, unless it is of no use any more."""
        self._held.append(event)
        self._held_size += len(event)
        if self._held_size > MAX_TRANSCRIPT:
            self._obstacle = "too_long"
        if self._obstacle is not None:
            self._release(out)

    def _release(self, out: list[bytes]) -> None:
        out.extend(self._held)
        self._held.clear()
        self._held_size = 0

    def _decoded(self, data: bytes) -> dict[str, Any]:
        decoded: dict[str, Any]
        try:
            decoded = _decoder.decode(data)
        except msgspec.ValidationError:
            # A number too large for it, in a member that the stream's reader had no need to read.
            decoded = json.loads(data)
        return decoded


def _split(events: bytes) -> list[bytes]:
    """Return whole events apart, each with its empty line."""
    found = []
    start = 0
    for boundary in _BOUNDARY.finditer(events):
        found.append(events[start : boundary.end()])
        start = boundary.end()
    if start < len(events):
        found.append(events[start:])
    return found


def _extended(content: object, text: str) -> object:
    """Return the content of an assistant's message with text after it."""
    if isinstance(content, str):
        return content + text
    if isinstance(content, list):
        if content and isinstance(content[-1], dict) and content[-1].get("type") == "text":
            return [*content[:-1], {**content[-1], "text": f"{content[-1].get('text', '')}{text}"}]
        return [*content, {"type": "text", "text": text}]
    return text
