"""Content blocks of Anthropic's messages, read into parts."""

from collections.abc import Mapping
from typing import Any, Final, NoReturn

import msgspec

from providers.wire.faults import WireError
from providers.wire.translation.codec import FOREIGN_MARK
from providers.wire.translation.conversation import (
    CacheControl,
    Document,
    Image,
    Opaque,
    Part,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)

__all__ = ["ANTHROPIC", "cache_of", "flag_of", "read_block", "read_content", "wrong"]

ANTHROPIC: Final = "anthropic"


def wrong(path: str, expected: str) -> NoReturn:
    """Refuse a value.

    Args:
        path: Where it is.
        expected: What should be there.

    Raises:
        WireError: Always.
    """
    raise WireError(f"{path}: {expected} is expected", param=path, code="invalid_type")


def cache_of(block: Mapping[str, Any]) -> CacheControl | None:
    """Return the wish to cache that a block, a tool or a request carries."""
    control = block.get("cache_control")
    if not isinstance(control, dict):
        return None
    ttl = control.get("ttl")
    return CacheControl(ttl if isinstance(ttl, str) else None)


def flag_of(members: Mapping[str, Any], name: str, path: str) -> bool | None:
    """Return what a member says that is true or false; None where it says nothing.

    Args:
        members: The object that it is a member of.
        name: Its name.
        path: Where it is.

    Raises:
        WireError: It is something else.
    """
    value = members.get(name)
    if value is not None and not isinstance(value, bool):
        wrong(path, "true or false")
    return value


def read_content(content: object, path: str) -> tuple[tuple[Part, ...], bool]:
    """Return the parts of a message's content, and whether it was one string.

    Args:
        content: The content.
        path: Where it is.

    Raises:
        WireError: It is not what the API takes.
    """
    if isinstance(content, str):
        return (Text(content),), True
    if not isinstance(content, list):
        wrong(path, "a string or an array of content blocks")
    return tuple(read_block(each, path, number) for number, each in enumerate(content)), False


def read_block(block: object, path: str, number: int) -> Part:
    """Return one content block as a part.

    Args:
        block: The block.
        path: Where the array is that it is in.
        number: Its number there.

    Raises:
        WireError: It is not what the API takes.
    """
    if not isinstance(block, dict):
        wrong(f"{path}[{number}]", "an object")
    kind = block.get("type")
    if kind == "text":
        text = block.get("text")
        if not isinstance(text, str):
            wrong(f"{path}[{number}].text", "a string")
        if len(block) == 2:
            return Text(text)
        citations = _citations(block.get("citations"), f"{path}[{number}].citations")
        return Text(text, cache_of(block), citations, ANTHROPIC if citations else "")
    if not isinstance(kind, str):
        wrong(f"{path}[{number}].type", "a string")
    reader = _READERS.get(kind)
    if reader is None:
        return Opaque(ANTHROPIC, kind, block)
    return reader(block, f"{path}[{number}]")


def _citations(citations: object, path: str) -> tuple[dict[str, Any], ...]:
    if citations is None:
        return ()
    if not isinstance(citations, list):
        wrong(path, "an array")
    for number, each in enumerate(citations):
        if not isinstance(each, dict):
            wrong(f"{path}[{number}]", "an object")
    return tuple(citations)


def _tool_use(block: dict[str, Any], path: str) -> Part:
    call_id, name = block.get("id"), block.get("name")
    if not isinstance(call_id, str):
        wrong(f"{path}.id", "a string")
    if not isinstance(name, str):
        wrong(f"{path}.name", "a string")
    given = block.get("input")
    # What is no object was wrapped by whoever sent it; the inverse of what encoding does.
    if isinstance(given, dict) and given.keys() == {"INVALID_JSON"}:
        wrapped = given["INVALID_JSON"]
        if isinstance(wrapped, str):
            return ToolCall(call_id, name, wrapped, cache=cache_of(block))
    arguments = "{}" if given is None else msgspec.json.encode(given).decode()
    return ToolCall(call_id, name, arguments, cache=cache_of(block))


def _tool_result(block: dict[str, Any], path: str) -> Part:
    call_id = block.get("tool_use_id")
    if not isinstance(call_id, str):
        wrong(f"{path}.tool_use_id", "a string")
    content = block.get("content")
    parts: tuple[Part, ...] = ()
    if content is not None:
        parts, _ = read_content(content, f"{path}.content")
    return ToolResult(
        call_id,
        parts,
        flag_of(block, "is_error", f"{path}.is_error"),
        cache=cache_of(block),
    )


def _thinking(block: dict[str, Any], path: str) -> Part:
    text = block.get("thinking")
    if not isinstance(text, str):
        wrong(f"{path}.thinking", "a string")
    signature = block.get("signature")
    if not isinstance(signature, str) or not signature:
        return Thinking(text, made_by=ANTHROPIC)
    if signature.startswith(FOREIGN_MARK):
        return Thinking(text, made_by="")
    return Thinking(text, signature, made_by=ANTHROPIC)


def _redacted(block: dict[str, Any], path: str) -> Part:
    data = block.get("data")
    if not isinstance(data, str):
        wrong(f"{path}.data", "a string")
    if data.startswith(FOREIGN_MARK):
        return Thinking(made_by="")
    return Thinking(redacted=data, made_by=ANTHROPIC)


def _image(block: dict[str, Any], path: str) -> Part:
    return Image(_source(block.get("source"), f"{path}.source"), cache=cache_of(block))


def _document(block: dict[str, Any], path: str) -> Part:
    title, context, citations = (block.get(key) for key in ("title", "context", "citations"))
    enabled = citations.get("enabled") if isinstance(citations, dict) else None
    return Document(
        _source(block.get("source"), f"{path}.source"),
        title if isinstance(title, str) else None,
        context if isinstance(context, str) else None,
        enabled if isinstance(enabled, bool) else None,
        cache_of(block),
    )


def _source(source: object, path: str) -> Source:
    if not isinstance(source, dict):
        wrong(path, "an object")
    kind = source.get("type")
    media_type = source.get("media_type")
    media = media_type if isinstance(media_type, str) else None
    if kind == "content":
        parts, _ = read_content(source.get("content"), f"{path}.content")
        return Source(parts=parts)
    member = {"base64": "data", "text": "data", "url": "url", "file": "file_id"}.get(str(kind))
    if member is None:
        wrong(f"{path}.type", "base64, url, file, text or content")
    value = source.get(member)
    if not isinstance(value, str):
        wrong(f"{path}.{member}", "a string")
    if kind == "text":
        return Source(text=value, media_type=media)
    if kind == "base64":
        return Source(data=value, media_type=media)
    return Source(url=value) if kind == "url" else Source(file_id=value)


_READERS: Final = {
    "tool_use": _tool_use,
    "tool_result": _tool_result,
    "thinking": _thinking,
    "redacted_thinking": _redacted,
    "image": _image,
    "document": _document,
}
