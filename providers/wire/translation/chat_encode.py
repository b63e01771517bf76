"""Encoding a request as one for a chat completion."""

from typing import Any, Final

import msgspec

from providers.wire.translation.chat_messages import encode_messages
from providers.wire.translation.chat_options import encode_choice, encode_format, encode_tools
from providers.wire.translation.codec import Dropped, Encoded, Target
from providers.wire.translation.conversation import Conversation
from providers.wire.translation.openai_shared import (
    SHARED_MEMBERS,
    asker_name,
    effort_of,
    fit_user,
    says_nothing,
)

__all__ = ["encode_request"]

_MOST_STOPS: Final = 4
_TIERS: Final = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})
_ANTHROPIC_TIERS: Final = {"standard_only": "default"}
_OWN: Final = frozenset({"openai", "completions"})
"""The dialects whose further members mean the same here."""
_NOT_HERE: Final = frozenset({"best_of", "echo", "logprobs", "n", "suffix"})
"""Members of legacy completions that chat completions have no place for, or put differently."""


def encode_request(request: Conversation, target: Target) -> Encoded:
    """Encode a request; see ``Codec.encode_request``."""
    dropped = Dropped()
    body: dict[str, Any] = {
        "model": target.model,
        "messages": encode_messages(request, target, dropped),
    }
    if request.tools or request.tool_choice is not None:
        tools = encode_tools(request, target, dropped)
        choice = encode_choice(request, target, tools, dropped)
        if tools:
            body["tools"] = tools
            if choice is not None:
                body["tool_choice"] = choice
            if request.parallel_tool_calls is not None:
                body["parallel_tool_calls"] = request.parallel_tool_calls
    if request.max_tokens is not None:
        limit = request.max_tokens
        if limit < 1:
            limit = 1
            dropped.add(asker_name(request, "max_tokens"))
        body["max_completion_tokens" if target.official else "max_tokens"] = limit
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.top_p is not None:
        body["top_p"] = request.top_p
    if request.top_k is not None:
        dropped.add(asker_name(request, "top_k"))
    if request.stop:
        body["stop"] = request.stop[:_MOST_STOPS]
        for number in range(_MOST_STOPS, len(request.stop)):
            dropped.add(f"{asker_name(request, 'stop')}[{number}]")
    if request.output is not None:
        body["response_format"] = encode_format(request, dropped)
    if request.reasoning is not None:
        _reasoning(request, body, dropped)
    if request.user is not None:
        body["safety_identifier" if target.official else "user"] = fit_user(request.user)
    if request.service_tier is not None:
        _tier(request, target, body, dropped)
    if request.cache is not None and not target.official:
        dropped.add(asker_name(request, "cache"))
    if request.extras:
        _extras(request, body, dropped)
    if request.stream:
        body["stream"] = True
        body["stream_options"] = {**body.get("stream_options", {}), "include_usage": True}
    else:
        body.pop("stream_options", None)
    return Encoded(msgspec.json.encode(body), dropped)


def _reasoning(request: Conversation, body: dict[str, Any], dropped: Dropped) -> None:
    reasoning = request.reasoning
    effort = effort_of(reasoning)
    if effort is not None:
        body["reasoning_effort"] = effort
    if reasoning is not None and reasoning.display == "summarized":
        dropped.add("thinking.display")
    if reasoning is not None and reasoning.summary is not None:
        dropped.add("reasoning.summary")


def _tier(request: Conversation, target: Target, body: dict[str, Any], dropped: Dropped) -> None:
    given = request.service_tier or ""
    tier = _ANTHROPIC_TIERS.get(given, given) if request.dialect == "anthropic" else given
    if tier in {"auto", "default"} and not target.official:
        return  # other servers have one class only
    if tier in _TIERS and (target.official or request.dialect in _OWN):
        body["service_tier"] = tier
    else:
        dropped.add("service_tier")


def _extras(request: Conversation, body: dict[str, Any], dropped: Dropped) -> None:
    """Carry the further members that mean the same here; name the others."""
    own = request.dialect in _OWN
    elsewhere = _NOT_HERE if request.dialect == "completions" else frozenset()
    for name, value in request.extras.items():
        if own and name not in elsewhere and "." not in name:
            body[name] = value
        elif says_nothing(name, value):
            continue
        elif name == "top_logprobs" and request.dialect == "responses" and request.stream:
            dropped.add(name)  # the events of a translated stream have no place for it
        elif request.dialect == "responses" and name in SHARED_MEMBERS:
            body[name] = value
            if name == "top_logprobs":
                body["logprobs"] = True
        elif name == "text.verbosity":
            body["verbosity"] = value
        elif name == "include" and request.dialect == "responses":
            for number, each in enumerate(value):
                if each == "message.output_text.logprobs" and not request.stream:
                    body["logprobs"] = True
                else:
                    dropped.add(f"include[{number}]")
        elif name == "stream_options":
            dropped.add("stream_options.include_obfuscation")
        else:
            dropped.add(name)
