"""Tools, their choice and the answer's form in a Responses request, and how an answer tells them.

An answer of this API repeats what was asked for, so they are written as well as read.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args

from providers.wire.faults import WireError
from providers.wire.translation.conversation import (
    Conversation,
    Effort,
    OutputFormat,
    Reasoning,
    Tool,
    ToolChoice,
)
from providers.wire.translation.openai_shared import flat_format
from providers.wire.translation.responses_fields import ReasoningFields

__all__ = [
    "decode_choice",
    "decode_format",
    "decode_reasoning",
    "decode_tools",
    "told_choice",
    "told_format",
    "told_tools",
]

_EFFORTS: Final = frozenset(get_args(Effort))
_PLAIN_TEXT: Final[Mapping[str, Any]] = {"type": "text"}
_KNOWN: Final[Mapping[str, frozenset[str]]] = {
    "function": frozenset({"type", "name", "description", "parameters", "strict"}),
    "custom": frozenset({"type", "name", "description", "format"}),
}
_MODES: Final = frozenset({"auto", "none", "required"})
_SUMMARIES: Final = frozenset({"auto", "concise", "detailed"})


def _wrong(path: str, what: str, code: str = "invalid_type") -> WireError:
    return WireError(f"{path}: {what} is expected", param=path, code=code)


def decode_tools(tools: Sequence[Mapping[str, Any]] | None) -> tuple[Tool, ...]:
    """Return ``tools``.

    Raises:
        WireError: One is not as it should be.
    """
    if not tools:
        return ()
    return tuple([_decode_tool(tool, f"tools[{number}]") for number, tool in enumerate(tools)])


def _decode_tool(tool: Mapping[str, Any], path: str) -> Tool:
    kind = tool.get("type")
    if not isinstance(kind, str):
        raise _wrong(f"{path}.type", "a string")
    name = tool.get("name")
    known = _KNOWN.get(kind)
    if known is None:
        label = name if isinstance(name, str) else kind
        return Tool(label, opaque=dict(tool), opaque_of="responses")
    if not isinstance(name, str) or not name:
        raise _wrong(f"{path}.name", "the name of the tool", "invalid_value")
    description = tool.get("description")
    if description is not None and not isinstance(description, str):
        raise _wrong(f"{path}.description", "a string")
    extras = {
        key: value
        for key, value in tool.items()
        if key not in known and value is not None and not (key == "defer_loading" and not value)
    }
    if kind == "custom":
        given = tool.get("format")
        if given is not None and not isinstance(given, Mapping):
            raise _wrong(f"{path}.format", "an object")
        return Tool(name, description, custom=flat_format(given or _PLAIN_TEXT), extras=extras)
    schema, strict = tool.get("parameters"), tool.get("strict")
    if schema is not None and not isinstance(schema, dict):
        raise _wrong(f"{path}.parameters", "an object")
    if strict is not None and not isinstance(strict, bool):
        raise _wrong(f"{path}.strict", "true or false")
    return Tool(name, description, schema, strict, extras=extras)


def decode_choice(
    choice: str | Mapping[str, Any] | None, extras: dict[str, Any]
) -> ToolChoice | None:
    """Return ``tool_choice``.

    Args:
        choice: It.
        extras: Takes a choice of a tool that only OpenAI has.

    Raises:
        WireError: It has none of the forms it can have.
    """
    if choice is None:
        return None
    if isinstance(choice, str):
        if choice in _MODES:
            return ToolChoice(choice)  # type: ignore[arg-type]  # one of the modes
        raise _wrong("tool_choice", "none, auto, required or an object", "invalid_value")
    kind, name = choice.get("type"), choice.get("name")
    if kind in ("function", "custom"):  # a tuple, as it may be of any type
        if not isinstance(name, str) or not name:
            raise _wrong("tool_choice.name", "the name of a tool", "invalid_value")
        for member, value in choice.items():
            if member not in ("type", "name") and value is not None:
                extras[f"tool_choice.{member}"] = value
        return ToolChoice("tool", name, custom=kind == "custom")
    if kind != "allowed_tools":
        if not isinstance(kind, str):
            raise _wrong("tool_choice.type", "a string")
        extras["tool_choice"] = dict(choice)
        return None
    mode, tools = choice.get("mode"), choice.get("tools")
    if mode not in ("auto", "required"):
        raise _wrong("tool_choice.mode", "auto or required", "invalid_value")
    if not isinstance(tools, list):
        raise _wrong("tool_choice.tools", "an array")
    names: list[str] = []
    for number, tool in enumerate(tools):
        path = f"tool_choice.tools[{number}]"
        if not isinstance(tool, Mapping):
            raise _wrong(path, "an object")
        label = tool.get("name")
        if isinstance(label, str):
            names.append(label)
        else:
            extras[path] = dict(tool)
    return ToolChoice(mode, allowed=tuple(names))


def decode_format(given: Mapping[str, Any] | None, extras: dict[str, Any]) -> OutputFormat | None:
    """Return ``text.format``.

    Args:
        given: It.
        extras: Takes what of it is not known.

    Raises:
        WireError: A member of it is of a wrong type.
    """
    if given is None:
        return None
    kind = given.get("type")
    if kind in ("text", "json_object"):
        return OutputFormat(kind)
    if kind != "json_schema":
        extras["text.format"] = dict(given)
        return None
    schema, name = given.get("schema"), given.get("name")
    description, strict = given.get("description"), given.get("strict")
    if not isinstance(schema, dict):
        raise _wrong("text.format.schema", "an object")
    for member, value, good, what in (
        ("name", name, str, "a string"),
        ("description", description, str, "a string"),
        ("strict", strict, bool, "true or false"),
    ):
        if value is not None and not isinstance(value, good):
            raise _wrong(f"text.format.{member}", what)
    for member, value in given.items():
        known = {"type", "schema", "name", "description", "strict"}
        if member not in known and value is not None:
            extras[f"text.format.{member}"] = value
    return OutputFormat("json_schema", schema, name, description, strict)


def decode_reasoning(given: ReasoningFields | None, extras: dict[str, Any]) -> Reasoning | None:
    """Return ``reasoning``.

    Args:
        given: It.
        extras: Takes what of it only OpenAI knows.

    Raises:
        WireError: The effort or the summary is none that there is.
    """
    if given is None:
        return None
    effort, summary = given.effort, given.summary or given.generate_summary
    if effort is not None and effort not in _EFFORTS:
        raise _wrong("reasoning.effort", f"one of {', '.join(get_args(Effort))}", "invalid_value")
    if summary is not None and summary not in _SUMMARIES:
        raise _wrong("reasoning.summary", "auto, concise or detailed", "invalid_value")
    if given.mode not in (None, "standard"):
        extras["reasoning.mode"] = given.mode
    if given.context not in (None, "auto"):
        extras["reasoning.context"] = given.context
    if effort is None and summary is None:
        return None
    return Reasoning(effort=effort, summary=summary)  # type: ignore[arg-type]  # just looked up


def told_tools(request: Conversation) -> list[dict[str, Any]]:
    """Return the tools of a request as its answer tells them."""
    return [_told_tool(tool) for tool in request.tools]


def _told_tool(tool: Tool) -> dict[str, Any]:
    if tool.opaque is not None:
        return tool.opaque
    told: dict[str, Any] = {"type": "custom", "name": tool.name, "description": tool.description}
    if tool.custom is not None:
        told["format"] = tool.custom
    else:
        told["type"] = "function"
        told["parameters"] = tool.schema
        told["strict"] = tool.strict
    return {**told, **tool.extras}


def told_choice(request: Conversation) -> object:
    """Return the ``tool_choice`` of a request as its answer tells it."""
    choice = request.tool_choice
    if choice is None:
        return request.extras.get("tool_choice", "auto")
    if choice.mode == "tool":
        return {"type": "custom" if choice.custom else "function", "name": choice.name}
    if choice.allowed is None:
        return choice.mode
    kinds = {tool.name: tool for tool in request.tools}
    tools = [
        {
            "type": "custom" if name in kinds and kinds[name].custom is not None else "function",
            "name": name,
        }
        for name in choice.allowed
    ]
    return {"type": "allowed_tools", "mode": choice.mode, "tools": tools}


def told_format(request: Conversation) -> dict[str, Any]:
    """Return the ``text`` of a request as its answer tells it."""
    output = request.output
    told: dict[str, Any] = {"type": "text"}
    if output is not None and output.kind == "json_schema":
        told = {
            "type": "json_schema",
            "name": output.name,
            "description": output.description,
            "schema": output.schema,
            "strict": output.strict,
        }
    elif output is not None:
        told = {"type": output.kind}
    return {"format": told, "verbosity": request.extras.get("text.verbosity", "medium")}
