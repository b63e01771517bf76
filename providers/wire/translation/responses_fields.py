"""The members of a Responses request, as they are decoded.

They are decoded strictly, as chat completions are: a member or an item that is not here is an error
of the quick decoder and is set aside (``set_aside``) before the rest is decoded again. So an
ordinary request is decoded in one go, and nothing in any request is overlooked.
"""

from typing import Any, Final

import msgspec

__all__ = [
    "EXTRA_MEMBERS",
    "OPAQUE",
    "Item",
    "Part",
    "RequestFields",
    "SetAside",
    "set_aside",
]

OPAQUE: Final = "opaque"
"""The type under which ``set_aside`` hands on an item or a part of a type it does not know."""


_WHOLE: Final = "(whole)"
"""The name under which ``set_aside`` hands on such an item or part: one that nobody would give a
member, lest it be taken for one."""


class Breakpoint(msgspec.Struct, gc=False, forbid_unknown_fields=True, omit_defaults=True):
    """``prompt_cache_breakpoint``."""

    mode: str | None = None
    ttl: str | None = None


class InputAudio(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A stretch of sound."""

    data: str
    format: str


class Part(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A part of any type: which of the members it has depends on that."""

    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    file_id: str | None = None
    detail: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    input_audio: InputAudio | None = None
    prompt_cache_breakpoint: Breakpoint | None = None
    annotations: list[Any] | None = None
    logprobs: list[Any] | None = None
    body: dict[str, Any] | None = msgspec.field(default=None, name=_WHOLE)


class Item(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """An item of any type: which of the members it has depends on that."""

    type: str | None = None
    role: str | None = None
    content: str | list[Part] | None = None
    id: str | None = None
    status: str | None = None
    phase: str | None = None
    call_id: str | None = None
    name: str | None = None
    arguments: str | None = None
    input: str | None = None
    output: str | list[Part] | None = None
    summary: list[Part] | None = None
    encrypted_content: str | None = None
    body: dict[str, Any] | None = msgspec.field(default=None, name=_WHOLE)


class StreamOptions(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """``stream_options``."""

    include_obfuscation: bool | None = None


class ReasoningFields(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """``reasoning``."""

    effort: str | None = None
    summary: str | None = None
    generate_summary: str | None = None
    mode: str | None = None
    context: str | None = None


class TextFields(msgspec.Struct, forbid_unknown_fields=True):
    """``text``."""

    format: dict[str, Any] | None = None
    verbosity: str | None = None


class RequestFields(msgspec.Struct, forbid_unknown_fields=True):
    """The request."""

    model: str
    input: str | list[Item] | None = None
    instructions: str | None = None
    access_programs: dict[str, Any] | None = None
    background: bool | None = None
    background_options: dict[str, Any] | None = None
    context_management: list[Any] | None = None
    conversation: str | dict[str, Any] | None = None
    image: dict[str, Any] | None = None
    include: list[str] | None = None
    max_output_tokens: int | None = None
    max_tool_calls: int | None = None
    metadata: dict[str, Any] | None = None
    moderation: dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    previous_response_id: str | None = None
    prompt: dict[str, Any] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None
    reasoning: ReasoningFields | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: float | None = None
    text: TextFields | None = None
    tool_choice: str | dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    top_logprobs: int | None = None
    top_p: float | None = None
    truncation: str | None = None
    user: str | None = None


EXTRA_MEMBERS: Final = (
    "access_programs",
    "background_options",
    "context_management",
    "image",
    "max_tool_calls",
    "metadata",
    "moderation",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "store",
    "top_logprobs",
    "truncation",
)
"""Members that go into ``Conversation.extras`` as they are."""

_ITEMS: Final = frozenset(
    {
        "message",
        "function_call",
        "function_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
        "reasoning",
        "item_reference",
        "compaction",
        OPAQUE,
    }
)
_PARTS: Final = frozenset(
    {
        "input_text",
        "output_text",
        "text",
        "summary_text",
        "reasoning_text",
        "refusal",
        "input_image",
        "input_file",
        "input_audio",
        OPAQUE,
    }
)
"""The types that are known here; the others are only OpenAI's to understand."""


class SetAside(msgspec.Struct):
    """What was set aside.

    Attributes:
        request: Members of the request, by their path.
        items: By an item's number, its members, by their path in it.
    """

    request: dict[str, Any]
    items: dict[int, dict[str, Any]]


def set_aside(request: dict[str, Any]) -> SetAside:
    """Take out of a request all that ``RequestFields`` does not know.

    Args:
        request: The decoded request; changed in place. What is of a wrong type stays as it is, for
            the decoder to complain of.
    """
    found = SetAside({}, {})
    _take(request, RequestFields, "", found.request)
    for name, known in (
        ("text", TextFields),
        ("reasoning", ReasoningFields),
        ("stream_options", StreamOptions),
    ):
        inner = request.get(name)
        if isinstance(inner, dict):
            _take(inner, known, f"{name}.", found.request)
    items = request.get("input")
    for number, item in enumerate(items if isinstance(items, list) else ()):
        if not isinstance(items, list) or not isinstance(item, dict):
            continue
        kind = item.get("type", "message")
        if isinstance(kind, str) and kind not in _ITEMS:
            items[number] = {"type": OPAQUE, _WHOLE: item}
            continue
        extras: dict[str, Any] = {}
        _take(item, Item, "", extras)
        for name in ("content", "output", "summary"):
            _parts(item.get(name), f"{name}", extras)
        if extras:
            found.items[number] = extras
    return found


def _parts(parts: object, path: str, extras: dict[str, Any]) -> None:
    for number, part in enumerate(parts if isinstance(parts, list) else ()):
        if not isinstance(parts, list) or not isinstance(part, dict):
            continue
        kind = part.get("type")
        if isinstance(kind, str) and kind not in _PARTS:
            parts[number] = {"type": OPAQUE, _WHOLE: part}
            continue
        where = f"{path}[{number}]."
        _take(part, Part, where, extras)
        for name, known in (
            ("prompt_cache_breakpoint", Breakpoint),
            ("input_audio", InputAudio),
        ):
            inner = part.get(name)
            if isinstance(inner, dict):
                _take(inner, known, f"{where}{name}.", extras)


def _take(
    values: dict[str, Any], known: type[msgspec.Struct], path: str, into: dict[str, Any]
) -> None:
    for name in [n for n in values if n not in known.__struct_encode_fields__ or n == _WHOLE]:
        value = values.pop(name)
        if value is not None:
            into[path + name] = value
