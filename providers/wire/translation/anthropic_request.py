"""Reading a request in Anthropic's dialect."""

from collections.abc import Mapping
from typing import Any, Final, get_args

import msgspec

from providers.wire.faults import WireError
from providers.wire.translation.anthropic_blocks import (
    ANTHROPIC,
    cache_of,
    flag_of,
    read_content,
    wrong,
)
from providers.wire.translation.anthropic_unknown import NOTHING, set_aside, unknown_of_blocks
from providers.wire.translation.conversation import (
    Conversation,
    Effort,
    Message,
    OutputFormat,
    Reasoning,
    Role,
    Text,
    Tool,
    ToolChoice,
)

__all__ = ["decode_request"]

_decoder = msgspec.json.Decoder()

_READ: Final = frozenset(
    {
        "model", "messages", "system", "tools", "tool_choice", "max_tokens", "temperature",
        "top_p", "top_k", "stop_sequences", "stream", "output_config", "thinking", "metadata",
        "service_tier", "cache_control",
    }
)  # fmt: skip
_ROLES: Final[Mapping[str, Role]] = {"user": "user", "assistant": "assistant", "system": "system"}
_EFFORTS: Final[Mapping[str, Effort]] = {each: each for each in get_args(Effort)}
_MESSAGE: Final = frozenset({"role", "content"})
_MODES: Final = frozenset({"enabled", "disabled", "adaptive", "between_tools"})
_TOOL: Final = frozenset({"name", "description", "input_schema", "strict", "cache_control", "type"})
_CHOICE: Final = frozenset({"type", "name", "disable_parallel_tool_use"})
_FORMAT: Final = frozenset({"type", "schema"})
_THINKING: Final = frozenset({"type", "budget_tokens", "display"})


def decode_request(body: bytes) -> Conversation:
    """See ``Codec.decode_request``."""
    try:
        members = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"the body is not JSON: {error}", code="invalid_json") from None
    if not isinstance(members, dict):
        raise WireError("the body must be a JSON object", code="invalid_json")
    model = members.get("model")
    if not isinstance(model, str) or not model:
        wrong("model", "a string")
    extras = {key: value for key, value in members.items() if key not in _READ}
    metadata = members.get("metadata")
    user = None
    if isinstance(metadata, dict):
        user = _optional(metadata, "user_id", str, "metadata.user_id", "a string")
        rest = {key: value for key, value in metadata.items() if key != "user_id"}
        if rest:
            extras["metadata"] = rest
    elif metadata is not None:
        wrong("metadata", "an object")
    choice, parallel = _tool_choice(members.get("tool_choice"), extras)
    reasoning, output = _output(members, extras)
    stops = members.get("stop_sequences")
    if stops is not None and not (
        isinstance(stops, list) and all(isinstance(each, str) for each in stops)
    ):
        wrong("stop_sequences", "an array of strings")
    return Conversation(
        dialect=ANTHROPIC,
        model=model,
        messages=_messages(members, extras),
        tools=_tools(members.get("tools")),
        tool_choice=choice,
        parallel_tool_calls=parallel,
        max_tokens=_optional(members, "max_tokens", int, "max_tokens", "a whole number"),
        temperature=_optional(members, "temperature", (int, float), "temperature", "a number"),
        top_p=_optional(members, "top_p", (int, float), "top_p", "a number"),
        top_k=_optional(members, "top_k", int, "top_k", "a whole number"),
        stop=tuple(stops or ()),
        stream=flag_of(members, "stream", "stream") is True,
        include_usage=True,
        output=output,
        reasoning=reasoning,
        user=user,
        service_tier=_optional(members, "service_tier", str, "service_tier", "a string"),
        cache=cache_of(members),
        extras=extras,
    )


def _optional(
    members: Mapping[str, Any], name: str, kind: type | tuple[type, ...], path: str, expected: str
) -> Any:
    value = members.get(name)
    if value is not None and (not isinstance(value, kind) or isinstance(value, bool)):
        wrong(path, expected)
    return value


def _messages(members: Mapping[str, Any], extras: dict[str, Any]) -> tuple[Message, ...]:
    found: list[Message] = []
    system = members.get("system")
    if isinstance(system, str):
        found.append(Message("system", (Text(system),), plain=True))
    elif system is not None:
        parts, _ = read_content(system, "system")
        extras.update(unknown_of_blocks(system, "system"))
        if parts:
            found.append(Message("system", parts))
    messages = members.get("messages")
    if not isinstance(messages, list):
        wrong("messages", "an array")
    for number, message in enumerate(messages):
        if not isinstance(message, dict):
            wrong(f"messages[{number}]", "an object")
        role = _ROLES.get(str(message.get("role")))
        if role is None:
            wrong(f"messages[{number}].role", "user, assistant or system")
        content = message.get("content")
        parts, plain = read_content(content, f"messages[{number}].content")
        unknown = unknown_of_blocks(content, "content") if isinstance(content, list) else NOTHING
        if len(message) > 2:
            unknown = {**unknown}
            set_aside(message, _MESSAGE, "", unknown)
        found.append(Message(role, parts, plain=plain, extras=unknown))
    return tuple(found)


def _tools(tools: object) -> tuple[Tool, ...]:
    if tools is None:
        return ()
    if not isinstance(tools, list):
        wrong("tools", "an array")
    return tuple(_tool(tool, f"tools[{number}]") for number, tool in enumerate(tools))


def _tool(tool: object, path: str) -> Tool:
    if not isinstance(tool, dict):
        wrong(path, "an object")
    kind, name = tool.get("type"), tool.get("name")
    if kind is not None and not isinstance(kind, str):
        wrong(f"{path}.type", "a string")
    if kind not in {None, "custom"}:
        told = name if isinstance(name, str) else str(kind)
        return Tool(told, opaque=tool, opaque_of=ANTHROPIC)
    if not isinstance(name, str):
        wrong(f"{path}.name", "a string")
    schema = tool.get("input_schema")
    if schema is not None and not isinstance(schema, dict):
        wrong(f"{path}.input_schema", "an object")
    extras: dict[str, Any] = {}
    set_aside(tool, _TOOL, "", extras)
    return Tool(
        name,
        _optional(tool, "description", str, f"{path}.description", "a string"),
        schema,
        flag_of(tool, "strict", f"{path}.strict"),
        cache=cache_of(tool),
        extras=extras,
    )


def _tool_choice(choice: object, extras: dict[str, Any]) -> tuple[ToolChoice | None, bool | None]:
    if choice is None:
        return None, None
    if not isinstance(choice, dict):
        wrong("tool_choice", "an object")
    set_aside(choice, _CHOICE, "tool_choice.", extras)
    serial = "disable_parallel_tool_use"
    told = flag_of(choice, serial, f"tool_choice.{serial}")
    parallel = None if told is None else not told
    kind = choice.get("type")
    if kind == "auto":
        return ToolChoice("auto"), parallel
    if kind == "any":
        return ToolChoice("required"), parallel
    if kind == "none":
        return ToolChoice("none"), parallel
    if kind != "tool":
        wrong("tool_choice.type", "auto, any, tool or none")
    name = choice.get("name")
    if not isinstance(name, str) or not name:
        wrong("tool_choice.name", "the name of a tool")
    return ToolChoice("tool", name), parallel


def _output(
    members: Mapping[str, Any], extras: dict[str, Any]
) -> tuple[Reasoning | None, OutputFormat | None]:
    """Return how to think and what form the answer has."""
    effort: Effort | None = None
    output = None
    config = members.get("output_config")
    if isinstance(config, dict):
        told = config.get("effort")
        if told is not None:
            effort = _EFFORTS.get(told) if isinstance(told, str) else None
            if effort is None:
                wrong("output_config.effort", "low, medium, high, xhigh or max")
        form = config.get("format")
        if isinstance(form, dict) and form.get("type") == "json_schema":
            schema = form.get("schema")
            if not isinstance(schema, dict):
                wrong("output_config.format.schema", "an object")
            output = OutputFormat("json_schema", schema)
            set_aside(form, _FORMAT, "output_config.format.", extras)
        rest = {key: value for key, value in config.items() if key not in {"effort", "format"}}
        if output is None and form is not None:
            rest["format"] = form
        if rest:
            extras["output_config"] = rest
    elif config is not None:
        wrong("output_config", "an object")
    thinking = members.get("thinking")
    if thinking is None:
        return (None if effort is None else Reasoning(effort)), output
    mode = thinking.get("type") if isinstance(thinking, dict) else None
    if not isinstance(thinking, dict) or not isinstance(mode, str) or mode not in _MODES:
        wrong("thinking.type", "enabled, disabled, adaptive or between_tools")
    set_aside(thinking, _THINKING, "thinking.", extras)
    display = thinking.get("display")
    reasoning = Reasoning(
        effort,
        thinking["type"],
        _optional(thinking, "budget_tokens", int, "thinking.budget_tokens", "a whole number"),
        display if isinstance(display, str) else None,
    )
    return reasoning, output
