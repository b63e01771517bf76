"""Tools, their choice, the answer's form and the effort in a chat completion's request."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, get_args

from providers.wire.faults import WireError
from providers.wire.translation.chat_fields import (
    CustomTool,
    FunctionTool,
    OldFunction,
    OpaqueTool,
)
from providers.wire.translation.codec import Dropped, Target
from providers.wire.translation.conversation import (
    CacheControl,
    Conversation,
    Effort,
    OutputFormat,
    Tool,
    ToolChoice,
)
from providers.wire.translation.custom_tools import (
    INPUT_SCHEMA,
    description_of,
    has_grammar,
)
from providers.wire.translation.openai_shared import (
    asker_name,
    fit_tool_name,
    fits_strict,
    flat_format,
    is_left_out,
    nested_format,
    tool_name_fits,
)

__all__ = [
    "decode_choice",
    "decode_effort",
    "decode_format",
    "decode_old_choice",
    "decode_tools",
    "encode_choice",
    "encode_format",
    "encode_tools",
]

_EFFORTS: Final = frozenset(get_args(Effort))
_PLAIN_TEXT: Final[dict[str, Any]] = {"type": "text"}


def decode_tools(
    tools: Sequence[FunctionTool | CustomTool | OpaqueTool] | None,
    functions: Sequence[OldFunction] | None,
) -> tuple[Tool, ...]:
    """Return the tools of a request.

    Args:
        tools: ``tools``.
        functions: ``functions``, which came before.
    """
    if not tools and not functions:
        return ()
    decoded = [_decode_tool(tool) for tool in tools or ()]
    decoded += [_decode_function(function) for function in functions or ()]
    return tuple(decoded)


def _decode_tool(tool: FunctionTool | CustomTool | OpaqueTool) -> Tool:
    if isinstance(tool, OpaqueTool):
        body = tool.body
        name = body.get("name")
        return Tool(
            name if isinstance(name, str) else str(body.get("type")),
            opaque=body,
            opaque_of="openai",
        )
    cache = CacheControl(tool.cache_control.ttl) if tool.cache_control is not None else None
    if isinstance(tool, FunctionTool):
        function = tool.function
        return Tool(
            function.name,
            function.description,
            function.parameters,
            function.strict,
            cache=cache,
            extras=tool.extras,
        )
    custom = tool.custom
    return Tool(
        custom.name,
        custom.description,
        custom=flat_format(custom.format or _PLAIN_TEXT),
        cache=cache,
        extras=tool.extras,
    )


def _decode_function(function: OldFunction) -> Tool:
    return Tool(function.name, function.description, function.parameters, function.strict)


def decode_choice(choice: str | Mapping[str, Any] | None) -> ToolChoice | None:
    """Return ``tool_choice``.

    Raises:
        WireError: It has none of the forms it can have.
    """
    if choice is None:
        return None
    if isinstance(choice, str):
        if choice in {"auto", "none", "required"}:
            return ToolChoice(choice)  # type: ignore[arg-type]  # one of the modes
        raise _wrong_choice(choice)
    kind = choice.get("type")
    if kind in ("function", "custom"):  # a tuple, as it may be of any type
        return ToolChoice("tool", _name(choice, str(kind), "tool_choice"), custom=kind == "custom")
    allowed = choice.get("allowed_tools")
    if kind != "allowed_tools" or not isinstance(allowed, Mapping):
        raise _wrong_choice(kind)
    mode, tools = allowed.get("mode"), allowed.get("tools")
    path = "tool_choice.allowed_tools"
    if mode not in ("auto", "required"):
        raise WireError(
            f"{path}.mode: auto or required is expected", param=f"{path}.mode", code="invalid_value"
        )
    if not isinstance(tools, list):
        raise WireError(
            f"{path}.tools: an array is expected", param=f"{path}.tools", code="invalid_type"
        )
    names: list[str] = []
    for number, tool in enumerate(tools):
        where = f"{path}.tools[{number}]"
        if not isinstance(tool, Mapping):
            raise WireError(f"{where}: an object is expected", param=where, code="invalid_type")
        names.append(_name(tool, str(tool.get("type")), where))
    return ToolChoice(mode, allowed=tuple(names))


def _name(values: Mapping[str, Any], kind: str, path: str) -> str:
    inner = values.get(kind)
    name = inner.get("name") if isinstance(inner, Mapping) else values.get("name")
    if isinstance(name, str) and name:
        return name
    where = f"{path}.{kind}.name"
    raise WireError(f"{where}: the name of a tool is expected", param=where, code="invalid_value")


def _wrong_choice(found: object) -> WireError:
    return WireError(
        "tool_choice: none, auto, required, a function, a custom tool or allowed_tools is"
        f" expected, not {str(found)[:80]}",
        param="tool_choice",
        code="invalid_value",
    )


def decode_old_choice(choice: str | Mapping[str, Any] | None) -> ToolChoice | None:
    """Return ``function_call``, which came before ``tool_choice``."""
    if isinstance(choice, Mapping):
        return ToolChoice("tool", _name({"function": choice}, "function", "function_call"))
    return ToolChoice(choice) if choice in {"auto", "none"} else None  # type: ignore[arg-type]  # one of the modes


def decode_effort(effort: str | None) -> Effort | None:
    """Return ``reasoning_effort``.

    Raises:
        WireError: It is none that there is.
    """
    if effort is None or effort in _EFFORTS:
        return effort  # type: ignore[return-value]  # it has just been looked up
    raise WireError(
        f"reasoning_effort: one of {', '.join(get_args(Effort))} is expected, not {effort[:80]}",
        param="reasoning_effort",
        code="invalid_value",
    )


def decode_format(given: Mapping[str, Any] | None, extras: dict[str, Any]) -> OutputFormat | None:
    """Return ``response_format``.

    Args:
        given: It.
        extras: Takes what of it is not known.

    Raises:
        WireError: The schema is missing or of a wrong type.
    """
    if given is None:
        return None
    kind = given.get("type")
    if kind in ("text", "json_object"):
        return OutputFormat(kind)
    if kind != "json_schema":
        extras["response_format"] = given
        return None
    inner = given.get("json_schema")
    path = "response_format.json_schema"
    if not isinstance(inner, Mapping):
        raise WireError(f"{path}: an object is expected", param=path, code="invalid_type")
    schema, name = inner.get("schema"), inner.get("name")
    description, strict = inner.get("description"), inner.get("strict")
    for member, value, good in (
        ("schema", schema, dict),
        ("name", name, str),
        ("description", description, str),
        ("strict", strict, bool),
    ):
        if value is not None and not isinstance(value, good):
            where = f"{path}.{member}"
            raise WireError(
                f"{where}: the value is of a wrong type", param=where, code="invalid_type"
            )
    for member, value in inner.items():
        if member not in {"schema", "name", "description", "strict"} and value is not None:
            extras[f"{path}.{member}"] = value
    return OutputFormat("json_schema", schema, name, description, strict)


def encode_tools(request: Conversation, target: Target, dropped: Dropped) -> list[dict[str, Any]]:
    """Return ``tools``.

    Where a server other than the API's maker is asked, only the tools that may be chosen are in
    it: few such servers know ``allowed_tools``.

    Args:
        request: The request.
        target: To whom it goes.
        dropped: Takes what is not carried.

    Raises:
        WireError: A tool has a name that the API refuses.
    """
    choice = request.tool_choice
    allowed = choice.allowed if choice is not None and not target.official else None
    tools: list[dict[str, Any]] = []
    for number, tool in enumerate(request.tools):
        path = f"tools[{number}]"
        if tool.opaque is not None:
            if tool.opaque_of == "openai":
                tools.append(tool.opaque)
            else:
                dropped.add(path)
            continue
        if allowed is not None and tool.name not in allowed:
            continue
        if target.official and not tool_name_fits(tool.name):
            raise WireError(
                f"{path}.name: the provider takes names of up to 64 letters, digits, _ and -",
                param=f"{path}.name",
                code="invalid_value",
            )
        if tool.cache is not None:
            dropped.add(f"{path}.cache_control")
        for name in tool.extras:
            dropped.add(f"{path}.{name}")
        written = _encode_tool(tool, official=target.official)
        if not target.official and has_grammar(tool):
            dropped.add(f"{path}.format")
        if tool.strict and request.dialect == "anthropic" and not fits_strict(tool.schema):
            # Anthropic's rules for such a schema are wider: here it would be refused.
            del written["function"]["strict"]
            dropped.add(f"{path}.strict")
        tools.append(written)
    return tools


def _encode_tool(tool: Tool, *, official: bool) -> dict[str, Any]:
    definition: dict[str, Any] = {"name": tool.name}
    if tool.custom is not None and not official:
        # Few servers of this API other than its maker's have custom tools.
        description = description_of(tool)
        if description is not None:
            definition["description"] = description
        return {"type": "function", "function": {**definition, "parameters": INPUT_SCHEMA}}
    if tool.description is not None:
        definition["description"] = tool.description
    if tool.custom is not None:
        definition["format"] = nested_format(tool.custom)
        return {"type": "custom", "custom": definition}
    if tool.schema is not None:
        definition["parameters"] = tool.schema
    if tool.strict is not None:
        definition["strict"] = tool.strict
    return {"type": "function", "function": definition}


def encode_choice(
    request: Conversation, target: Target, tools: Sequence[object], dropped: Dropped
) -> str | dict[str, Any] | None:
    """Return ``tool_choice``; None where there is nothing to be said.

    Args:
        request: The request.
        target: To whom it goes.
        tools: The tools that are sent: without any, the API refuses a choice.
        dropped: Takes what is not carried.
    """
    choice = request.tool_choice
    if choice is None:
        return None
    if not tools:
        if choice.mode in {"required", "tool"}:
            dropped.add("tool_choice")
        return None
    if choice.mode == "tool":
        if is_left_out(request, choice, "openai"):
            dropped.add("tool_choice")
            return None
        kind = "custom" if choice.custom and target.official else "function"
        return {"type": kind, kind: {"name": choice.name}}
    if choice.allowed is None or not target.official:
        return choice.mode
    kinds = {
        tool.name: "custom" if tool.custom is not None else "function" for tool in request.tools
    }
    allowed = [
        {"type": kinds.get(name, "function"), kinds.get(name, "function"): {"name": name}}
        for name in choice.allowed
    ]
    return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": allowed}}


def encode_format(request: Conversation, dropped: Dropped) -> dict[str, Any] | None:
    """Return ``response_format``; None where none was asked for.

    Args:
        request: The request.
        dropped: Takes what is not carried.
    """
    output = request.output
    if output is None:
        return None
    if output.kind != "json_schema":
        return {"type": output.kind}
    inner: dict[str, Any] = {"name": fit_tool_name(output.name) if output.name else "answer"}
    if output.description is not None:
        inner["description"] = output.description
    if output.schema is not None:
        inner["schema"] = output.schema
    strict = output.strict
    if strict is None and request.dialect == "anthropic":
        # Anthropic's API always keeps to the schema; OpenAI's can only with some.
        if fits_strict(output.schema):
            strict = True
        else:
            dropped.add(asker_name(request, "output") + ".schema")
    if strict is not None:
        inner["strict"] = strict
    return {"type": "json_schema", "json_schema": inner}
