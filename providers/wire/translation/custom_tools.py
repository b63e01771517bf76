"""Custom tools, which take free text, where the provider's API knows functions only.

A custom tool is offered as a function with one argument, ``input``; calls of it are turned back for
the asker. A grammar cannot be enforced that way: the model is told of it in the description.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec

from providers.wire.translation.conversation import Conversation, Part, Tool, ToolCall
from providers.wire.translation.reply import Delta, PartBegun, PartEnded, Reply, ReplyEvent

__all__ = [
    "INPUT_SCHEMA",
    "CustomCalls",
    "custom_names",
    "description_of",
    "has_grammar",
    "with_custom_calls",
    "wrapped",
]

INPUT_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {"input": {"type": "string", "description": "The whole input of the tool."}},
    "required": ["input"],
    "additionalProperties": False,
}
"""The arguments of a function that stands for a custom tool."""


class _Input(msgspec.Struct, forbid_unknown_fields=True):
    input: str


_decoder = msgspec.json.Decoder(_Input)


def has_grammar(tool: Tool) -> bool:
    """Tell whether a custom tool's input must follow a grammar."""
    return tool.custom is not None and tool.custom.get("type") == "grammar"


def description_of(tool: Tool) -> str | None:
    """Return the description of a function that stands for a custom tool."""
    if tool.custom is None or not has_grammar(tool):
        return tool.description
    syntax, definition = tool.custom.get("syntax"), tool.custom.get("definition")
    told = f"The input must follow this grammar ({syntax}):\n{definition}"
    return f"{tool.description}\n\n{told}" if tool.description else told


def wrapped(text: str) -> str:
    """Return the arguments of a function that stands for a custom tool, as JSON text.

    Args:
        text: The input of the tool.
    """
    return msgspec.json.encode({"input": text}).decode()


def _unwrapped(arguments: str) -> str:
    """Return the input that arguments hold; they themselves when they hold no such thing."""
    try:
        return _decoder.decode(arguments).input
    except (msgspec.DecodeError, UnicodeEncodeError):
        return arguments


def custom_names(request: Conversation) -> frozenset[str]:
    """Return the names of the custom tools of a request."""
    return frozenset([tool.name for tool in request.tools if tool.custom is not None])


def _as_custom(part: Part, names: frozenset[str]) -> Part:
    if type(part) is ToolCall and not part.custom and part.name in names:
        return ToolCall(part.id, part.name, _unwrapped(part.arguments), custom=True)
    return part


def with_custom_calls(reply: Reply, names: frozenset[str]) -> Reply:
    """Return an answer in which calls of functions that stand for custom tools are calls of those.

    Args:
        reply: The answer.
        names: The names of the custom tools.
    """
    parts = tuple([_as_custom(part, names) for part in reply.parts])
    return msgspec.structs.replace(reply, parts=parts)


class CustomCalls:
    """Turns calls of functions that stand for custom tools into calls of those, in a stream.

    The input comes in one piece, when the arguments are complete.

    Args:
        names: The names of the custom tools.
    """

    __slots__ = ("_names", "_open")

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._open: dict[int, list[str]] = {}

    def turned(self, events: Iterable[ReplyEvent]) -> list[ReplyEvent]:
        """Return what events amount to for the asker."""
        found: list[ReplyEvent] = []
        for event in events:
            if type(event) is Delta and event.index in self._open:
                self._open[event.index].append(event.text)
            elif type(event) is PartBegun and _as_custom(event.part, self._names) is not event.part:
                call = event.part
                assert isinstance(call, ToolCall), "only calls are turned"
                self._open[event.index] = [call.arguments]
                begun = ToolCall(call.id, call.name, custom=True)
                found.append(PartBegun(event.index, begun))
            elif type(event) is PartEnded and event.index in self._open:
                text = _unwrapped("".join(self._open.pop(event.index)))
                found += [Delta(event.index, text), event]
            else:
                found.append(event)
        return found
