"""Answers in Anthropic's dialect, read and written."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from providers.wire.translation.anthropic_blocks import ANTHROPIC, read_block
from providers.wire.translation.anthropic_parts import fit_call_id, tool_input
from providers.wire.translation.codec import FOREIGN_MARK, AnswerFrame, Dropped
from providers.wire.translation.conversation import (
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
)
from providers.wire.translation.reply import Reply, ReplyUsage, StopReason

__all__ = [
    "answer_id",
    "answer_part",
    "block_of",
    "decode_reply",
    "encode_reply",
    "stop_reason",
    "stop_words",
    "usage_of",
    "usage_words",
]

_decoder = msgspec.json.Decoder(dict[str, Any])

_STOPS: Final[Mapping[str, StopReason]] = {
    "end_turn": "end",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
    "pause_turn": "pause",
    "model_context_window_exceeded": "context_window",
}
_WORDS: Final[Mapping[StopReason, str]] = {
    **{meaning: word for word, meaning in _STOPS.items()},
    "content_filter": "refusal",
}
_COUNTED: Final = frozenset(
    {
        "input_tokens", "output_tokens", "cache_read_input_tokens",
        "cache_creation_input_tokens", "cache_creation", "output_tokens_details",
        "service_tier",
    }
)  # fmt: skip
_READ: Final = frozenset(
    {"id", "type", "role", "model", "content", "stop_reason", "stop_sequence", "usage"}
)

_OF_NO_USE: Final = "system_fingerprint"
"""What every answer of OpenAI's has to be compared with others by; naming it in every header would
hide what is worth reading there."""


def stop_reason(word: object) -> StopReason | None:
    """Return why an answer ended, given the API's word for it."""
    return _STOPS.get(word, "end") if isinstance(word, str) else None


def stop_words(
    stop: StopReason | None, sequence: str | None, *, calls: bool
) -> tuple[str, str | None]:
    """Return the API's word for why an answer ended, and the stop sequence it tells with it.

    Args:
        stop: Why.
        sequence: The stop sequence, where one is known.
        calls: Whether tools are to be called: then that is why, whatever the provider said.
    """
    if calls and stop in {None, "end", "tool_calls"}:
        return "tool_use", None
    if stop == "tool_calls":
        return "end_turn", None
    if stop == "stop_sequence" and sequence is None:
        return "end_turn", None
    return _WORDS[stop or "end"], sequence if stop == "stop_sequence" else None


def usage_of(usage: object) -> ReplyUsage | None:
    """Return the tokens that a ``usage`` object tells; None when it tells none."""
    if not isinstance(usage, dict):
        return None
    fresh, output = _count(usage, "input_tokens"), _count(usage, "output_tokens")
    read, write = (
        _count(usage, "cache_read_input_tokens"),
        _count(usage, "cache_creation_input_tokens"),
    )
    if fresh is None and output is None:
        return None
    creation, details = usage.get("cache_creation"), usage.get("output_tokens_details")
    tier = usage.get("service_tier")
    return ReplyUsage(
        input_tokens=(fresh or 0) + (read or 0) + (write or 0),
        output_tokens=output or 0,
        cache_read=read,
        cache_write=write,
        cache_write_1h=_count(creation, "ephemeral_1h_input_tokens"),
        reasoning=_count(details, "thinking_tokens"),
        service_tier=tier if isinstance(tier, str) else None,
        extras=_beyond(usage, _COUNTED),
    )


def usage_words(usage: ReplyUsage | None) -> dict[str, Any]:
    """Return tokens as the API tells them.

    Args:
        usage: They; where the provider told none, the API demands numbers all the same.
    """
    if usage is None:
        return {"input_tokens": 0, "output_tokens": 0}
    read, write = usage.cache_read or 0, usage.cache_write or 0
    found: dict[str, Any] = {
        "input_tokens": max(0, usage.input_tokens - read - write),
        "output_tokens": usage.output_tokens,
    }
    if usage.cache_read is not None:
        found["cache_read_input_tokens"] = read
    if usage.cache_write is not None:
        found["cache_creation_input_tokens"] = write
    if usage.cache_write_1h is not None:
        long = usage.cache_write_1h
        found["cache_creation"] = {
            "ephemeral_5m_input_tokens": max(0, write - long),
            "ephemeral_1h_input_tokens": long,
        }
    if usage.reasoning is not None:
        found["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    if usage.service_tier in {"standard", "priority", "batch"}:
        found["service_tier"] = usage.service_tier
    return found


def _count(values: object, name: str) -> int | None:
    value = values.get(name) if isinstance(values, dict) else None
    return value if type(value) is int else None


def _beyond(values: dict[str, Any], known: frozenset[str]) -> dict[str, Any]:
    """Return the members that say something and are not known."""
    if values.keys() <= known:
        return {}
    return {key: value for key, value in values.items() if key not in known and value is not None}


def answer_part(block: object, number: int) -> Part:
    """Return a content block of an answer as a part.

    Args:
        block: The block.
        number: Its number in the answer.

    Raises:
        WireError: It is not what the API sends.
    """
    part = read_block(block, "answer.content", number)
    if type(part) is Text:
        # In a stream what it cites comes later, and is in the API's words, too.
        return Text(part.text, citations=part.citations, citations_of=ANTHROPIC)
    return part


def decode_reply(body: bytes) -> Reply:
    """See ``Codec.decode_reply``."""
    message = _decoder.decode(body)
    content = message.get("content")
    blocks = content if isinstance(content, list) else []
    sequence = message.get("stop_sequence")
    return Reply(
        id=_text(message.get("id")),
        model=_text(message.get("model")),
        parts=tuple(answer_part(block, number) for number, block in enumerate(blocks)),
        stop=stop_reason(message.get("stop_reason")),
        stop_sequence=sequence if isinstance(sequence, str) else None,
        usage=usage_of(message.get("usage")),
        extras=_beyond(message, _READ),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def answer_id(given: str, frame: AnswerFrame) -> str:
    """Return the id of an answer: the provider's where it has the API's form."""
    return given if given.startswith("msg_") else f"msg_{frame.answer_id}"


def encode_reply(reply: Reply, frame: AnswerFrame, dropped: Dropped) -> bytes:
    """See ``Codec.encode_reply``."""
    content = []
    for number, part in enumerate(reply.parts):
        block = block_of(part, number, dropped)
        if block is not None:
            content.append(block)
    for name in reply.extras:
        if name != _OF_NO_USE:
            dropped.add(f"answer.{name}")
    word, sequence = stop_words(reply.stop, reply.stop_sequence, calls=_calls(reply.parts))
    message = {
        "id": answer_id(reply.id, frame),
        "type": "message",
        "role": "assistant",
        "model": reply.model or frame.request.model,
        "content": content,
        "stop_reason": word,
        "stop_sequence": sequence,
        "usage": usage_words(reply.usage),
    }
    return msgspec.json.encode(message)


def _calls(parts: Sequence[Part]) -> bool:
    return any(isinstance(part, ToolCall) for part in parts)


def block_of(part: Part, number: int, dropped: Dropped | None) -> dict[str, Any] | None:
    """Return a part of an answer as a content block; None for one that has no place.

    Args:
        part: The part.
        number: Its number in the answer.
        dropped: Takes what has no place; None for nobody.
    """
    if isinstance(part, Text):
        if not part.text:
            return None
        block: dict[str, Any] = {"type": "text", "text": part.text}
        if part.citations:
            if part.citations_of == ANTHROPIC:
                block["citations"] = list(part.citations)
            elif dropped is not None:
                dropped.add(f"answer.content[{number}].annotations")
        return block
    if isinstance(part, ToolCall):
        given = {"input": part.arguments} if part.custom else tool_input(part.arguments)
        return {
            "type": "tool_use",
            "id": fit_call_id(part.id),
            "name": part.name,
            "input": given,
        }
    if isinstance(part, Thinking):
        return thought_block(part)
    if isinstance(part, Refusal):
        return {"type": "text", "text": part.text} if part.text else None
    if isinstance(part, Opaque) and part.dialect == ANTHROPIC:
        return part.body
    if dropped is not None:
        dropped.add(f"answer.content[{number}]")
    return None


def thought_block(part: Thinking) -> dict[str, Any] | None:
    """Return thoughts as a block; those of others bear a mark in place of a signature."""
    if part.redacted is not None:
        if part.made_by == ANTHROPIC:
            return {"type": "redacted_thinking", "data": part.redacted}
        if not part.text:
            return None
    signature = part.signature
    if signature is None or part.made_by != ANTHROPIC:
        if not part.text:
            return None
        signature = f"{FOREIGN_MARK}thoughts"
    return {"type": "thinking", "thinking": part.text, "signature": signature}
