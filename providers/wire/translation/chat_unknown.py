"""Setting aside what is in a chat completion's request and in no reference of it.

A member that is not known has no meaning for another API, but must not be overlooked: it is kept by
its path, so that encoders can name it. Nulls say nothing and are forgotten.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from providers.wire.translation.chat_fields import (
    CALLS,
    OPAQUE,
    PARTS,
    ROLES,
    TOOLS,
    Breakpoint,
    CustomDefinition,
    File,
    Function,
    ImageURL,
    InputAudio,
    OldFunction,
    RequestFields,
    StreamOptions,
)

__all__ = ["Unknown", "set_aside"]


class Unknown(msgspec.Struct, gc=False):
    """What was set aside.

    Attributes:
        request: Members of the request, by name.
        messages: By a message's number, its members, by their path in it
            (``content[0].video.fps``).
    """

    request: dict[str, Any]
    messages: dict[int, dict[str, Any]]


_NESTED: Mapping[str, type[msgspec.Struct]] = {
    "image_url": ImageURL,
    "input_audio": InputAudio,
    "file": File,
    "prompt_cache_breakpoint": Breakpoint,
    "cache_control": Breakpoint,
}


def set_aside(request: dict[str, Any]) -> Unknown:
    """Take out of a request all that ``RequestFields`` does not know.

    Args:
        request: The decoded request; changed in place. What is of a wrong type stays as it is, for
            the decoder to complain of.
    """
    unknown = Unknown({}, {})
    _take(request, RequestFields, "", unknown.request)
    options = request.get("stream_options")
    if isinstance(options, dict):
        _take(options, StreamOptions, "stream_options.", unknown.request)
    messages = request.get("messages")
    for number, message in enumerate(messages if isinstance(messages, list) else ()):
        if isinstance(message, dict):
            found: dict[str, Any] = {}
            _message(message, found)
            if found:
                unknown.messages[number] = found
    _tools(request)
    functions = request.get("functions")
    for number, function in enumerate(functions if isinstance(functions, list) else ()):
        if isinstance(function, dict):
            _take(function, OldFunction, f"functions[{number}].", unknown.request)
    return unknown


def _take(
    values: dict[str, Any], known: type[msgspec.Struct], path: str, into: dict[str, Any]
) -> None:
    tag = known.__struct_config__.tag_field
    for name in [n for n in values if n not in known.__struct_fields__ and n != tag]:
        value = values.pop(name)
        if value is not None:
            into[path + name] = value


def _message(message: dict[str, Any], found: dict[str, Any]) -> None:
    role = message.get("role")
    known = ROLES.get(role) if isinstance(role, str) else None
    if known is None:
        return
    _take(message, known, "", found)
    content = message.get("content")
    if isinstance(content, list):
        for number, part in enumerate(content):
            if isinstance(part, dict):
                content[number] = _part(part, f"content[{number}].", found)
    calls = message.get("tool_calls")
    for number, call in enumerate(calls if isinstance(calls, list) else ()):
        if isinstance(call, dict):
            _call(call, f"tool_calls[{number}].", found)
    if isinstance(message.get("function_call"), dict):
        _take(message["function_call"], Function, "function_call.", found)


def _part(part: dict[str, Any], path: str, found: dict[str, Any]) -> dict[str, Any]:
    kind = part.get("type")
    if not isinstance(kind, str):
        return part
    known = PARTS.get(kind)
    if known is None:
        return {"type": OPAQUE, "body": part}
    _take(part, known, path, found)
    for name, nested in _NESTED.items():
        if isinstance(part.get(name), dict):
            _take(part[name], nested, f"{path}{name}.", found)
    return part


def _call(call: dict[str, Any], path: str, found: dict[str, Any]) -> None:
    kind = call.setdefault("type", "function")
    known = CALLS.get(kind) if isinstance(kind, str) else None
    if known is None:
        return
    _take(call, known, path, found)
    function = call.get("function")
    if isinstance(function, dict):
        _take(function, Function, f"{path}function.", found)


def _tools(request: dict[str, Any]) -> None:
    tools = request.get("tools")
    for number, tool in enumerate(tools if isinstance(tools, list) else ()):
        kind = tool.get("type") if isinstance(tool, dict) else None
        if not isinstance(tools, list) or not isinstance(kind, str):
            continue
        known = TOOLS.get(kind)
        if known is None:
            tools[number] = {"type": OPAQUE, "body": tool}
            continue
        extras: dict[str, Any] = {}
        if tool.get("extras") is not None:
            extras["extras"] = tool.pop("extras")
        _take(tool, known, "", extras)
        inner = tool.get(kind)
        if isinstance(inner, dict):
            definition = OldFunction if kind == "function" else CustomDefinition
            _take(inner, definition, f"{kind}.", extras)
        if isinstance(tool.get("cache_control"), dict):
            _take(tool["cache_control"], Breakpoint, "cache_control.", extras)
        if extras:
            tool["extras"] = extras
