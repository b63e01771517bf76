"""A model's thoughts, as servers of chat completions and their clients write them.

The API's maker has no place for them. Others have: ``reasoning_content`` or ``reasoning`` hold
their text, and ``reasoning_details`` is a list of objects of the types ``reasoning.text``,
``reasoning.summary`` and ``reasoning.encrypted`` that also hold signatures, to be sent back.
Objects with one ``index`` are pieces of one thought: clients differ in how they join a stream's.
"""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

from providers.wire.translation.codec import FOREIGN_MARK
from providers.wire.translation.conversation import Thinking

__all__ = ["details_of", "format_of", "maker_of", "thought_details", "thoughts_of"]

_FORMATS: Final[Mapping[str, str]] = MappingProxyType(
    {"anthropic": "anthropic-claude-v1", "responses": "openai-responses-v1"}
)


def format_of(made_by: str) -> str | None:
    """Return the ``format`` of thoughts, given the dialect of who made them; None for no known."""
    return _FORMATS.get(made_by)


def maker_of(format: object) -> str:  # noqa: A002 - it is the field's name on the wire
    """Return the dialect of who made thoughts of a ``format``; empty for one that is not known."""
    for dialect, name in _FORMATS.items():
        if isinstance(format, str) and format.rpartition("-v")[0] == name.rpartition("-v")[0]:
            return dialect
    return ""


def thought_details(thoughts: Sequence[Thinking]) -> list[dict[str, Any]]:
    """Return the ``reasoning_details`` of thoughts; empty where their texts are all there is.

    Args:
        thoughts: All thoughts of an answer.
    """
    if not any(_needs_details(thought) for thought in thoughts):
        return []
    details: list[dict[str, Any]] = []
    for index, thought in enumerate(thoughts):
        details += details_of(thought, index)
    return details


def details_of(thought: Thinking, index: int) -> list[dict[str, Any]]:
    """Return the ``reasoning_details`` of one thought.

    Args:
        thought: The thought.
        index: Its number among the thoughts of the answer.
    """
    common: dict[str, Any] = {}
    if thought.id is not None:
        common["id"] = thought.id
    name = format_of(thought.made_by)
    if name is not None:
        common["format"] = name
    common["index"] = index
    details: list[dict[str, Any]] = []
    signature = _proof(thought)
    if thought.summary:
        details.append({"type": "reasoning.summary", "summary": thought.text, **common})
    elif thought.text or signature is not None or thought.redacted is None:
        text = {"type": "reasoning.text", "text": thought.text, **common}
        if signature is not None:
            text["signature"] = signature
        details.append(text)
    if thought.redacted is not None:
        details.append({"type": "reasoning.encrypted", "data": thought.redacted, **common})
    return details


def _needs_details(thought: Thinking) -> bool:
    return _proof(thought) is not None or thought.redacted is not None or thought.id is not None


def _proof(thought: Thinking) -> str | None:
    signature = thought.signature
    return None if signature is None or signature.startswith(FOREIGN_MARK) else signature


class _Thought:
    """What has been found of one thought."""

    __slots__ = ("format", "id", "redacted", "signature", "summary", "text")

    def __init__(self) -> None:
        self.text = ""
        self.signature = ""
        self.redacted = ""
        self.summary = False
        self.format: object = None
        self.id: str | None = None

    def take(self, detail: Mapping[str, Any]) -> None:
        self.text += _string(detail, "text") + _string(detail, "summary")
        self.signature += _string(detail, "signature")
        self.redacted += _string(detail, "data")
        self.summary = self.summary or detail.get("type") == "reasoning.summary"
        self.format = detail.get("format") or self.format
        self.id = _string(detail, "id") or self.id

    def whole(self) -> Thinking:
        made_by = maker_of(self.format)
        proof = made_by != ""
        return Thinking(
            text=self.text,
            signature=(self.signature or None) if proof else None,
            redacted=(self.redacted or None) if proof else None,
            made_by=made_by,
            id=self.id,
            summary=self.summary,
        )


def thoughts_of(text: str | None, details: Iterable[object] | None) -> tuple[Thinking, ...]:
    """Return the thoughts of a message, given the members it has of them.

    A signature, or thoughts that only their maker can read, of a maker that is not known are of
    no use and are left out.

    Args:
        text: ``reasoning_content`` or ``reasoning``; the details' texts come before it.
        details: ``reasoning_details``.
    """
    found: dict[object, _Thought] = {}
    for number, detail in enumerate(details or ()):
        if isinstance(detail, dict):
            index = detail.get("index")
            key = index if isinstance(index, int) else ("no index", number)
            found.setdefault(key, _Thought()).take(detail)
    thoughts = tuple(
        thought
        for thought in (each.whole() for each in found.values())
        if thought.text or thought.signature or thought.redacted or thought.id
    )
    if text and not any(thought.text for thought in thoughts):
        return (Thinking(text=text), *thoughts)
    return thoughts


def _string(detail: Mapping[str, Any], name: str) -> str:
    value = detail.get(name)
    return value if isinstance(value, str) else ""
