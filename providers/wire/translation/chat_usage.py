"""Tokens and reasons of an end, as chat completions and legacy completions tell them."""

from typing import Any, Final

from providers.wire.translation.chat_answer_fields import CountedTokens
from providers.wire.translation.reply import ReplyUsage, StopReason

__all__ = ["decode_stop", "decode_usage", "encode_stop", "encode_usage", "tier_of"]

_TIERS: Final = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})

_REASONS: Final[dict[str, StopReason]] = {
    "stop": "end",
    "length": "length",
    "max_tokens": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "content_filter",
}
_STOPS: Final[dict[StopReason | None, str]] = {
    "length": "length",
    "context_window": "length",
    "tool_calls": "tool_calls",
    "refusal": "content_filter",
    "content_filter": "content_filter",
}


def decode_stop(reason: str | None, *, called: bool, refused: bool) -> StopReason | None:
    """Return why an answer ended.

    Args:
        reason: The ``finish_reason``; one that is not known counts as ``stop``.
        called: Whether the answer calls tools; some servers, and a ``tool_choice`` that names a
            tool, give ``stop`` all the same.
        refused: Whether it is a refusal, which has no reason of its own.
    """
    if not reason:
        return "tool_calls" if called else None
    stop = _REASONS.get(reason, "end")
    if stop == "end":
        return "tool_calls" if called else "refusal" if refused else "end"
    return stop


def encode_stop(stop: StopReason | None, *, refused: bool = False, old_calls: bool = False) -> str:
    """Return the ``finish_reason``.

    Args:
        stop: Why the answer ended; where that is not known it is ``stop``.
        refused: Whether it says a refusal in words; then it ended as any other.
        old_calls: Whether a call is a ``function_call``.
    """
    if refused and stop == "refusal":
        return "stop"
    if old_calls and stop == "tool_calls":
        return "function_call"
    return _STOPS.get(stop, "stop")


def decode_usage(usage: CountedTokens | None, tier: str | None = None) -> ReplyUsage | None:
    """Return the tokens that were counted; None where nothing was.

    Args:
        usage: ``usage``.
        tier: ``service_tier``.
    """
    if usage is None or (usage.prompt_tokens is None and usage.completion_tokens is None):
        return None
    before = dict(usage.prompt_tokens_details or ())
    after = dict(usage.completion_tokens_details or ())
    extras: dict[str, Any] = {}
    found = ReplyUsage(
        input_tokens=usage.prompt_tokens or 0,
        output_tokens=usage.completion_tokens or 0,
        cache_read=_number(before, "cached_tokens"),
        cache_write=_number(before, "cache_write_tokens"),
        audio_input=_number(before, "audio_tokens"),
        reasoning=_number(after, "reasoning_tokens"),
        audio_output=_number(after, "audio_tokens"),
        service_tier=tier,
        extras=extras,
    )
    for name, rest in (("prompt_tokens_details", before), ("completion_tokens_details", after)):
        kept = {key: value for key, value in rest.items() if value is not None}
        if kept:
            extras[name] = kept
    return found


def _number(values: dict[str, Any], name: str) -> int | None:
    value = values.pop(name, None)
    return int(value) if isinstance(value, int | float) and value >= 0 else None


def encode_usage(usage: ReplyUsage) -> dict[str, Any]:
    """Return ``usage``."""
    written: dict[str, Any] = {
        "prompt_tokens": usage.input_tokens,
        "completion_tokens": usage.output_tokens,
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }
    before = _details(
        usage,
        "prompt_tokens_details",
        cached_tokens=usage.cache_read,
        cache_write_tokens=usage.cache_write,
        audio_tokens=usage.audio_input,
    )
    if before:
        written["prompt_tokens_details"] = before
    after = _details(
        usage,
        "completion_tokens_details",
        reasoning_tokens=usage.reasoning,
        audio_tokens=usage.audio_output,
    )
    if after:
        written["completion_tokens_details"] = after
    return written


def _details(usage: ReplyUsage, name: str, **numbers: int | None) -> dict[str, Any]:
    details = {key: value for key, value in numbers.items() if value is not None}
    rest = usage.extras.get(name) if usage.extras else None
    if isinstance(rest, dict):
        details.update(rest)
    return details


def tier_of(usage: ReplyUsage | None) -> str | None:
    """Return the ``service_tier`` of an answer; None where it was not said in a word known here."""
    tier = usage.service_tier if usage is not None else None
    if tier == "standard":
        return "default"
    return tier if tier in _TIERS else None
