"""What is in Anthropic's content blocks and has no place in parts.

A member that only Anthropic knows, or nobody yet, has no meaning for another API, but must not be
overlooked: it is kept by its path, so that encoders can name it. Nulls and empty objects say
nothing. Blocks that are unknown as a whole are parts of their own and stay as they came.
"""

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["NOTHING", "set_aside", "unknown_of_blocks"]

NOTHING: Final[dict[str, Any]] = {}
"""What is unknown where all is known; never to be changed."""

_ANY: Final = frozenset({"type", "cache_control"})
_CACHE: Final = frozenset({"type", "ttl"})
_BLOCKS: Final[Mapping[str, frozenset[str]]] = {
    "text": _ANY | {"text", "citations"},
    "image": _ANY | {"source"},
    "document": _ANY | {"source", "title", "context", "citations"},
    "tool_use": _ANY | {"id", "name", "input"},
    "tool_result": _ANY | {"tool_use_id", "content", "is_error"},
    "thinking": frozenset({"type", "thinking", "signature"}),
    "redacted_thinking": frozenset({"type", "data"}),
}
_SOURCES: Final[Mapping[str, frozenset[str]]] = {
    "base64": frozenset({"type", "media_type", "data"}),
    "text": frozenset({"type", "media_type", "data"}),
    "url": frozenset({"type", "url"}),
    "file": frozenset({"type", "file_id"}),
    "content": frozenset({"type", "content"}),
}
_ENABLED: Final = frozenset({"enabled"})
_DIRECT: Final = {"type": "direct"}
"""Who called a tool, when it was the model and no program of its own: that says nothing."""


def unknown_of_blocks(content: list[Any], path: str) -> dict[str, Any]:
    """Return the unknown members of blocks, by their path.

    Args:
        content: The blocks, found to be good.
        path: The path of the array.
    """
    if _are_usual(content):
        return NOTHING
    found: dict[str, Any] = {}
    for number, block in enumerate(content):
        known = _BLOCKS.get(block["type"])
        if known is not None:
            _block(block, known, f"{path}[{number}]", found)
    return found


def set_aside(members: object, known: frozenset[str], path: str, into: dict[str, Any]) -> None:
    """Note the members of an object that are not known.

    Args:
        members: The object; anything else is passed over.
        known: The names that are.
        path: What their paths begin with.
        into: Takes them, by their path.
    """
    if isinstance(members, dict) and not members.keys() <= known:
        for name, value in members.items():
            if name not in known and value is not None and value != {}:
                into[path + name] = value


def _are_usual(content: list[Any]) -> bool:
    """Tell whether blocks are of the commonest forms, without looking at them closely."""
    for block in content:
        kind, members = block["type"], len(block)
        if kind == "text":
            usual = members == 2
        elif kind == "tool_use":
            usual = members == 4 and "input" in block
        elif kind == "tool_result":
            inner = block.get("content")
            usual = (
                members == 3
                and inner is not None
                and (type(inner) is str or (type(inner) is list and _are_usual(inner)))
            )
        elif kind == "thinking":
            usual = members == 3 and "signature" in block
        else:
            usual = kind not in _BLOCKS
        if not usual:
            return False
    return True


def _block(block: dict[str, Any], known: frozenset[str], path: str, found: dict[str, Any]) -> None:
    set_aside(block, known, f"{path}.", found)
    if "cache_control" in block:
        set_aside(block["cache_control"], _CACHE, f"{path}.cache_control.", found)
    kind = block["type"]
    if kind in {"image", "document"}:
        source = block["source"]
        set_aside(source, _SOURCES[source["type"]], f"{path}.source.", found)
        if isinstance(source.get("content"), list):
            found.update(unknown_of_blocks(source["content"], f"{path}.source.content"))
        if kind == "document":
            set_aside(block.get("citations"), _ENABLED, f"{path}.citations.", found)
    elif kind == "tool_result":
        if isinstance(block.get("content"), list):
            found.update(unknown_of_blocks(block["content"], f"{path}.content"))
    elif kind == "tool_use" and block.get("caller") == _DIRECT:
        found.pop(f"{path}.caller")
