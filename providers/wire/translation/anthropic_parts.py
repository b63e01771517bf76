"""Parts of a message, written as Anthropic's content blocks."""

import base64
import hashlib
import re
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from providers.wire.translation.codec import Dropped
from providers.wire.translation.conversation import (
    CacheControl,
    Document,
    Image,
    Opaque,
    Part,
    Refusal,
    Source,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)

__all__ = ["ANTHROPIC", "BlockWriter", "cache_control", "fit_call_id", "is_blank"]

ANTHROPIC: Final = "anthropic"
_CALL_ID = re.compile(r"[a-zA-Z0-9_-]{1,256}\Z")
_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9_-]")
_IMAGES: Final = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_TTLS: Final = frozenset({"5m", "1h"})
_object_decoder = msgspec.json.Decoder(dict[str, Any])


def fit_call_id(call_id: str) -> str:
    """Return a tool call's id as the API takes it; the same one always gives the same."""
    if _CALL_ID.match(call_id):
        return call_id
    return "toolu_" + hashlib.sha256(call_id.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def is_blank(text: str) -> bool:
    """Tell whether a text holds nothing but white space: the API refuses such."""
    return not text or text.isspace()


def cache_control(cache: CacheControl) -> dict[str, Any]:
    """Return a wish to cache in the API's words; how long is a hint and is kept where it fits."""
    control = {"type": "ephemeral"}
    if cache.ttl in _TTLS:
        control["ttl"] = cache.ttl
    return control


def tool_input(arguments: str) -> Any:
    """Return a call's arguments as the API takes them: an object.

    Text that is no JSON object, as models send it now and then, goes into one, as the API's guide
    to streamed tool arguments does it.
    """
    if not arguments:
        return {}
    try:
        _object_decoder.decode(arguments)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return {"INVALID_JSON": arguments}
    return msgspec.Raw(arguments.encode())


class BlockWriter:
    """Writes parts as blocks and notes what is not carried.

    Args:
        dialect: The asker's dialect; all that Anthropic's own knows may be sent.
        dropped: Takes the paths of what is not carried.

    Attributes:
        lost: The path of a part that was left out though it held something; empty when none was.
    """

    __slots__ = ("_detail", "_dropped", "_own", "_responses", "lost")

    def __init__(self, dropped: Dropped, *, dialect: str) -> None:
        self._own = dialect == ANTHROPIC
        self._responses = dialect == "responses"
        self._detail = "detail" if self._responses else "image_url.detail"
        self._dropped = dropped
        self.lost = ""

    def blocks(self, parts: Sequence[Part], path: str) -> list[dict[str, Any]]:
        """Return the blocks of parts.

        Args:
            parts: The parts.
            path: Where they are in the asker's request, without their number.
        """
        found = []
        for number, part in enumerate(parts):
            block = self.block(part, path, number)
            if block is not None:
                found.append(block)
        return found

    def block(self, part: Part, path: str, number: int) -> dict[str, Any] | None:
        """Return one block; None for a part that is left out."""
        kind = type(part)
        if kind is Text:
            assert isinstance(part, Text)
            if is_blank(part.text):
                return None
            block: dict[str, Any] = {"type": "text", "text": part.text}
            if part.citations:
                if part.citations_of == ANTHROPIC:
                    block["citations"] = list(part.citations)
                else:
                    self._drop(f"{path}[{number}].annotations")
        elif isinstance(part, ToolCall):
            block = {
                "type": "tool_use",
                "id": fit_call_id(part.id),
                "name": _NOT_IN_NAME.sub("_", part.name)[:128] or "_",
                "input": {"input": part.arguments} if part.custom else tool_input(part.arguments),
            }
        elif isinstance(part, ToolResult):
            block = {"type": "tool_result", "tool_use_id": fit_call_id(part.call_id)}
            inner = f"{path}[{number}].content"
            if self._responses:  # there it is an item, and has what was returned in ``output``
                inner = path.removesuffix("content") + "output"
            content = self._result(part, inner)
            if content:
                block["content"] = content
            if part.is_error is not None:
                block["is_error"] = part.is_error
        elif isinstance(part, Thinking):
            return self._thinking(part)
        else:
            return self._other(part, f"{path}[{number}]")
        if part.cache is not None:
            block["cache_control"] = cache_control(part.cache)
        return block

    def _drop(self, path: str) -> None:
        self._dropped.add(path)

    def _lose(self, path: str) -> None:
        self._dropped.add(path)
        self.lost = self.lost or path

    def _thinking(self, part: Thinking) -> dict[str, Any] | None:
        """Return thoughts that are the provider's own; those of others mean nothing to it."""
        if part.made_by != ANTHROPIC:
            return None
        if part.redacted is not None:
            return {"type": "redacted_thinking", "data": part.redacted}
        if part.signature is None:
            return None
        return {"type": "thinking", "thinking": part.text, "signature": part.signature}

    def _result(self, part: ToolResult, path: str) -> object:
        only = part.parts[0] if len(part.parts) == 1 else None
        if type(only) is Text and only.cache is None and not only.citations:
            return only.text
        return self.blocks(part.parts, path)

    def _other(self, part: Part, path: str) -> dict[str, Any] | None:
        if isinstance(part, Refusal):
            return None if is_blank(part.text) else {"type": "text", "text": part.text}
        if isinstance(part, Opaque):
            if part.dialect == ANTHROPIC:
                return part.body
            self._lose(path)
            return None
        block = None
        if isinstance(part, Image):
            block = self._image(part, path)
        elif isinstance(part, Document):
            block = self._document(part, path)
        if block is None:
            self._lose(path)
            return None
        if isinstance(part, Image | Document) and part.cache is not None:
            block["cache_control"] = cache_control(part.cache)
        return block

    def _image(self, part: Image, path: str) -> dict[str, Any] | None:
        source = part.source
        if part.detail not in {None, "auto"}:
            self._drop(f"{path}.{self._detail}")
        if source.data is not None:
            media = source.media_type or "image/png"
            if media == "image/jpg":
                media = "image/jpeg"
            if media not in _IMAGES:
                return None
            return _with_source("image", type="base64", media_type=media, data=source.data)
        if source.url is not None:
            return _with_source("image", type="url", url=source.url)
        if source.file_id is not None and self._own:
            return _with_source("image", type="file", file_id=source.file_id)
        return None

    def _document(self, part: Document, path: str) -> dict[str, Any] | None:
        block = self._document_source(part.source, path)
        if block is None:
            return None
        if part.title is not None:
            block["title"] = part.title
        if part.context is not None:
            block["context"] = part.context
        if part.citations is not None:
            block["citations"] = {"enabled": part.citations}
        return block

    def _document_source(self, source: Source, path: str) -> dict[str, Any] | None:
        if source.data is not None:
            media = source.media_type or "application/pdf"
            if media == "application/pdf":
                return _with_source("document", type="base64", media_type=media, data=source.data)
            text = _text_of(source.data) if media.startswith("text/") else None
            if text is None:
                return None
            return _with_source("document", type="text", media_type="text/plain", data=text)
        if source.text is not None:
            return _with_source("document", type="text", media_type="text/plain", data=source.text)
        if source.parts is not None:
            content = self.blocks(source.parts, f"{path}.source.content")
            return _with_source("document", type="content", content=content)
        if source.url is not None:
            return _with_source("document", type="url", url=source.url)
        if source.file_id is not None and self._own:
            return _with_source("document", type="file", file_id=source.file_id)
        return None


def _with_source(kind: str, **source: object) -> dict[str, Any]:
    return {"type": kind, "source": source}


def _text_of(data: str) -> str | None:
    try:
        return base64.b64decode(data, validate=True).decode()
    except ValueError:
        return None
