"""What OpenAI's APIs - chat completions, legacy completions and Responses - have in common.

For the codecs of those APIs: the members they share by name and meaning, and which of their values
say nothing; how data URLs, tool ids, tool names and the formats of custom tools are written; how
Anthropic's thinking budgets are put as an effort; how a path in the asker's own words is made for
``Dropped``; how a decoder's complaint becomes a ``WireError``.
"""

import hashlib
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec

from providers.wire.faults import WireError
from providers.wire.translation.conversation import (
    Conversation,
    Effort,
    Part,
    Reasoning,
    Source,
    Text,
    ToolChoice,
)

__all__ = [
    "SHARED_MEMBERS",
    "asker_name",
    "complaint",
    "data_url",
    "effort_of",
    "fit_call_id",
    "fit_tool_name",
    "fit_user",
    "fits_strict",
    "flat_format",
    "is_left_out",
    "message_path",
    "nested_format",
    "says_nothing",
    "source_of_url",
    "tool_name_fits",
    "with_error_mark",
]

SHARED_MEMBERS: Final = frozenset(
    {
        "metadata",
        "moderation",
        "prompt_cache_key",
        "prompt_cache_options",
        "prompt_cache_retention",
        "safety_identifier",
        "store",
        "stream_options",
        "top_logprobs",
        "user",
    }
)
"""Request members that chat completions and Responses share by name and meaning; they travel in
``Conversation.extras`` under these names. ``stream_options`` is there without ``include_usage``.
What chat completions call ``verbosity`` and Responses ``text.verbosity`` is under the asker's name
for it. ``user`` and ``safety_identifier`` are there only where both were said: otherwise the one
that was is ``Conversation.user``."""

_NOTHING: Final[Mapping[str, tuple[object, ...]]] = MappingProxyType(
    {
        "background": (False,),
        "best_of": (1,),
        "echo": (False,),
        "frequency_penalty": (0,),
        "include": ([],),
        "logit_bias": ({},),
        "logprobs": (False,),
        "metadata": ({},),
        "modalities": (["text"],),
        "n": (1,),
        "presence_penalty": (0,),
        "prompt_cache_options": ({}, {"mode": "implicit"}),
        "service_tier": ("auto",),
        "store": (False,),
        "stream_options": ({}, {"include_obfuscation": False}, {"include_obfuscation": True}),
        "suffix": ("",),
        "text.verbosity": ("medium",),
        "top_logprobs": (0,),
        "truncation": ("disabled",),
        "verbosity": ("medium",),
    }
)


def says_nothing(name: str, value: object) -> bool:
    """Tell whether a member of a request asks for no more than its absence would.

    Leaving such a one out loses nothing: it is null, or what the API does anyway. Padding of a
    stream's events (``include_obfuscation``) means nothing to who reads them.

    Args:
        name: The member, as OpenAI's APIs name it.
        value: Its value.
    """
    return value is None or any(
        value == each and isinstance(value, bool) == isinstance(each, bool)
        for each in _NOTHING.get(name, ())
    )


_NAMES: Final[Mapping[str, Mapping[str, str]]] = MappingProxyType(
    {
        "anthropic": MappingProxyType(
            {
                "effort": "output_config.effort",
                "output": "output_config.format",
                "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
                "reasoning": "thinking",
                "stop": "stop_sequences",
                "user": "metadata.user_id",
                "cache": "cache_control",
            }
        ),
        "openai": MappingProxyType(
            {
                "effort": "reasoning_effort",
                "max_tokens": "max_completion_tokens",
                "output": "response_format",
                "reasoning": "reasoning_effort",
            }
        ),
        "responses": MappingProxyType(
            {
                "effort": "reasoning.effort",
                "max_tokens": "max_output_tokens",
                "output": "text.format",
            }
        ),
    }
)


def asker_name(request: Conversation, field: str) -> str:
    """Return what the asker's dialect calls an attribute of ``Conversation``.

    Args:
        request: The asker's request.
        field: The attribute; ``effort`` is ``reasoning.effort``.
    """
    return _NAMES.get(request.dialect, {}).get(field, field)


def message_path(request: Conversation, number: int) -> str:
    """Return the path of a message in the asker's request.

    Anthropic's ``system`` and the Responses API's ``instructions`` come before the messages: what
    of an Anthropic request is said by the system at its very beginning is taken to be ``system``,
    and the system message that a Responses request begins with to be ``instructions``.

    Args:
        request: The asker's request.
        number: The message's number in it.
    """
    messages = request.messages
    if request.dialect == "anthropic":
        before = 0
        while before < len(messages) and messages[before].role == "system":
            before += 1
        return "system" if number < before else f"messages[{number - before}]"
    if request.dialect == "responses":
        if messages and messages[0].role == "system" and messages[0].plain:
            return "instructions" if number == 0 else f"input[{number - 1}]"
        return f"input[{number}]"
    if request.dialect == "completions":
        return "prompt"
    return f"messages[{number}]"


_DATA_URL = re.compile(r"data:([^;,]*)((?:;[^;,]*)*?)(;base64)?,", re.IGNORECASE)


def source_of_url(url: str) -> Source:
    """Return where an image or a document is, given its URL.

    Args:
        url: An address, or a data URL in base64, whose content is taken out.
    """
    if url[:5].lower() != "data:":
        return Source(url=url)
    head = _DATA_URL.match(url)
    if head is None or head[3] is None:
        return Source(url=url)
    return Source(data=url[head.end() :], media_type=head[1] or None)


def data_url(source: Source, media_type: str) -> str | None:
    """Return the URL under which a source's content can be had; None where it has none.

    Args:
        source: The source.
        media_type: The type of content that does not say its own.
    """
    if source.data is not None:
        return f"data:{source.media_type or media_type};base64,{source.data}"
    return source.url


_LONGEST_USER: Final = 128
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}\Z")
_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9_-]")


def tool_name_fits(name: str) -> bool:
    """Tell whether OpenAI takes a tool's name."""
    return _TOOL_NAME.match(name) is not None


def fit_tool_name(name: str) -> str:
    """Return a tool's name as OpenAI takes it; the same one always gives the same.

    Only for calls in the past: a tool that can still be called must keep its name.
    """
    if tool_name_fits(name):
        return name
    return _NOT_IN_NAME.sub("_", name)[:55] + "_" + _digest(name, 8)


def is_left_out(request: Conversation, choice: ToolChoice, dialect: str) -> bool:
    """Tell whether the tool that must be called is one that only another API has.

    Args:
        request: The asker's request.
        choice: Its choice of a tool.
        dialect: The provider's dialect.
    """
    return any(
        tool.name == choice.name and tool.opaque is not None and tool.opaque_of != dialect
        for tool in request.tools
    )


def fit_call_id(call_id: str, longest: int) -> str:
    """Return a tool call's id that is no longer than allowed; the same one always gives the same.

    Args:
        call_id: The id as it came.
        longest: Characters at most.
    """
    if 0 < len(call_id) <= longest:
        return call_id
    return "call_" + _digest(call_id, 24)


def fit_user(user: str) -> str:
    """Return who is asking, no longer than OpenAI allows; the same one always gives the same."""
    return user if len(user) <= _LONGEST_USER else _digest(user, 64)


def _digest(text: str, length: int) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:length]


def flat_format(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the format of a custom tool as ``Tool.custom`` and Responses have it.

    Args:
        given: The format in either form; chat completions put a grammar into ``grammar``.
    """
    grammar = given.get("grammar")
    if isinstance(grammar, Mapping):
        return {"type": "grammar", **grammar}
    return dict(given)


def nested_format(custom: Mapping[str, Any]) -> dict[str, Any]:
    """Return the format of a custom tool as chat completions have it.

    Args:
        custom: The format as ``Tool.custom`` has it.
    """
    if custom.get("type") == "grammar" and "grammar" not in custom:
        return {
            "type": "grammar",
            "grammar": {key: value for key, value in custom.items() if key != "type"},
        }
    return dict(custom)


_BUDGETS: Final[tuple[tuple[int, Effort], ...]] = ((2048, "low"), (12288, "medium"))


def effort_of(reasoning: Reasoning | None) -> Effort | None:
    """Return how much a model is to think, as OpenAI's APIs say it; None where nothing was said.

    A budget of thought is an effort by its size: up to 2,048 tokens ``low``, up to 12,288
    ``medium``, beyond ``high``. Thinking that is switched off, or left to the model, says nothing:
    the first is what Anthropic's API does anyway, and not every model can be told to.
    """
    if reasoning is None:
        return None
    if reasoning.effort is not None:
        return reasoning.effort
    if reasoning.mode == "enabled" and reasoning.budget is not None:
        for most, effort in _BUDGETS:
            if reasoning.budget <= most:
                return effort
        return "high"
    return None


def with_error_mark(parts: tuple[Part, ...]) -> tuple[Part, ...]:
    """Return what a failed tool returned, such that its text says that it failed.

    OpenAI's APIs have no field for it.
    """
    for part in parts:
        if isinstance(part, Text):
            if part.text[:5].lower() == "error":
                return parts
            marked = msgspec.structs.replace(part, text="Error: " + part.text)
            return tuple(marked if each is part else each for each in parts)
    return (Text("Error"), *parts)


def fits_strict(schema: object) -> bool:
    """Tell whether a JSON Schema keeps the rules of OpenAI's ``strict``.

    Every object allows no other properties and requires all it has.

    Args:
        schema: The schema, or a part of one.
    """
    if isinstance(schema, list):
        return all(fits_strict(each) for each in schema)
    if not isinstance(schema, Mapping):
        return True
    properties = schema.get("properties")
    if isinstance(properties, Mapping) or schema.get("type") == "object":
        names = set(properties) if isinstance(properties, Mapping) else set()
        required = schema.get("required", [])
        if schema.get("additionalProperties") is not False or not isinstance(required, list):
            return False
        if len(required) != len(names) or any(name not in required for name in names):
            return False
    return all(fits_strict(each) for key, each in schema.items() if key not in {"enum", "const"})


_WHERE = re.compile(r" - at `\$?\.?(.*)`$")


def complaint(error: Exception, prefix: str = "") -> WireError:
    """Return what a decoder complained of, in words for the asker.

    Args:
        error: The decoder's error.
        prefix: The path of what was decoded, where it was not the whole body.
    """
    text = str(error)
    found = _WHERE.search(text)
    path = found[1] if found is not None else ""
    if prefix:
        path = f"{prefix}{path}" if path.startswith("[") or not path else f"{prefix}.{path}"
    what = text[: found.start()] if found is not None else text
    what = what[:1].lower() + what[1:]
    code = "invalid_type" if what.startswith("expected") else "invalid_value"
    missing = re.match(r"object missing required field `(.*)`", what)
    if missing is not None:
        path = f"{path}.{missing[1]}" if path else missing[1]
        return WireError(
            f"{path}: the field is missing", param=path, code="missing_required_parameter"
        )
    what = what.replace("`", "").replace(" | ", " or ")
    return WireError(f"{path}: {what}" if path else what, param=path or None, code=code)
