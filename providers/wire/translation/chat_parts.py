"""Writing the parts of a message for chat completions."""

import re
from collections.abc import Iterable
from types import MappingProxyType
from typing import Any, Final

from providers.wire.translation.codec import Dropped, Target
from providers.wire.translation.conversation import (
    Audio,
    CacheControl,
    Conversation,
    Document,
    Image,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
)
from providers.wire.translation.openai_shared import data_url

__all__ = ["PartWriter"]

_VERSION = re.compile(r"gpt-(\d+)(?:\.(\d+))?")
_TTLS: Final = frozenset({"30m", "12h"})
_IMAGE: Final = "image/png"
_PDF: Final = "application/pdf"
_THINKING: Final = MappingProxyType(
    {"openai": "messages[].reasoning_content", "responses": "input[].reasoning"}
)


class PartWriter:
    """Writes parts as members of a ``content``, and notes what has no place in one.

    Args:
        request: The asker's request.
        target: To whom it goes.
        dropped: Takes what is not carried.

    Attributes:
        lost: The path of the last part that could not be carried; empty without one.
    """

    __slots__ = ("_breakpoints", "_dropped", "_request", "_target", "lost")

    def __init__(self, request: Conversation, target: Target, dropped: Dropped) -> None:
        self._request = request
        self._target = target
        self._dropped = dropped
        self._breakpoints = target.official and _knows_breakpoints(target.model)
        self.lost = ""

    def content(self, parts: Iterable[Part], path: str, *, start: int = 0) -> list[dict[str, Any]]:
        """Return parts as members of a content; those without a place in it are noted.

        Args:
            parts: The parts.
            path: The path of their list, as the asker wrote it.
            start: The number of the first of them in it.
        """
        content: list[dict[str, Any]] = []
        for number, part in enumerate(parts, start):
            self._part(part, f"{path}[{number}]", content)
        return content

    def cached(self, content: list[dict[str, Any]], cache: CacheControl | None, path: str) -> None:
        """Put a wish to cache, up to the last part of a content, where it can be said.

        Args:
            content: The content; changed in place.
            cache: The wish; None for none.
            path: The path of what bears it.
        """
        if cache is None:
            return
        if not self._breakpoints or not content:
            self._dropped.add(f"{path}.{self._cache_name()}")
            return
        wish = {"mode": "explicit"}
        if cache.ttl in _TTLS:
            wish["ttl"] = cache.ttl
        content[-1]["prompt_cache_breakpoint"] = wish

    def drop_cache(self, path: str) -> None:
        """Note that a wish to cache has no place."""
        self._dropped.add(f"{path}.{self._cache_name()}")

    def forget(self, thought: Thinking) -> None:
        """Leave out a thought of an earlier answer.

        It is noted, once for all, where its maker could have read it again; others are of no use
        to any provider, and not worth a request.
        """
        if thought.signature is not None or thought.redacted is not None:
            path = _THINKING.get(self._request.dialect, "messages[].content[].thinking")
            self._dropped.add(path)

    def _cache_name(self) -> str:
        return (
            "cache_control" if self._request.dialect == "anthropic" else "prompt_cache_breakpoint"
        )

    def _lose(self, path: str) -> None:
        self._dropped.add(path)
        self.lost = path

    def _part(self, part: Part, path: str, content: list[dict[str, Any]]) -> None:
        if isinstance(part, Text):
            if not part.text:
                return
            content.append({"type": "text", "text": part.text})
            if part.citations and part.citations_of != "openai":
                self._dropped.add(f"{path}.citations")
        elif isinstance(part, Image):
            url = data_url(part.source, _IMAGE)
            if url is None:
                self._lose(path)
                return
            image = {"url": url}
            if part.detail is not None:
                image["detail"] = part.detail
            content.append({"type": "image_url", "image_url": image})
        elif isinstance(part, Document):
            if not self._document(part, path, content):
                return
        elif isinstance(part, Audio):
            sound = {"data": part.data, "format": part.format}
            content.append({"type": "input_audio", "input_audio": sound})
        elif isinstance(part, Refusal):
            content.append({"type": "text", "text": part.text})
            return
        elif isinstance(part, Thinking):
            self.forget(part)
            return
        elif isinstance(part, Opaque):
            if part.dialect == "openai":
                content.append(part.body)
            elif part.dialect == "anthropic" and part.kind == "search_result":
                self._search_result(part.body, path, content)
            else:
                self._lose(path)
            return
        else:
            self._lose(path)
            return
        if part.cache is not None:
            self.cached(content, part.cache, path)

    def _search_result(
        self, body: dict[str, Any], path: str, content: list[dict[str, Any]]
    ) -> None:
        """Put what a search found into a content: its text is carried, that it can be cited not."""
        found = body.get("content")
        texts = [body.get("title"), body.get("source")]
        blocks = found if isinstance(found, list) else ()
        texts += [each.get("text") for each in blocks if isinstance(each, dict)]
        text = "\n\n".join(each for each in texts if isinstance(each, str) and each)
        if text:
            content.append({"type": "text", "text": text})
        self._lose(path)

    def _document(self, part: Document, path: str, content: list[dict[str, Any]]) -> bool:
        """Put a document into a content; tell whether it could be."""
        source = part.source
        if part.citations:
            self._dropped.add(f"{path}.citations")
        before = len(content)
        if part.context:
            content.append({"type": "text", "text": part.context})
        if source.text is not None:
            text = f"{part.title}\n\n{source.text}" if part.title else source.text
            content.append({"type": "text", "text": text})
        elif source.parts is not None:
            if part.title:
                content.append({"type": "text", "text": part.title})
            for number, each in enumerate(source.parts):
                self._part(each, f"{path}.source.content[{number}]", content)
        elif source.data is not None:
            name = part.title or "document.pdf"
            file = {"filename": name, "file_data": data_url(source, _PDF)}
            content.append({"type": "file", "file": file})
        elif source.file_id is not None and self._request.dialect in {"openai", "responses"}:
            # Both APIs take the files that were uploaded to the one provider they share.
            content.append({"type": "file", "file": {"file_id": source.file_id}})
        else:
            del content[before:]
            self._lose(path)
            return False
        return True


def _knows_breakpoints(model: str) -> bool:
    """Tell whether a model of OpenAI's takes ``prompt_cache_breakpoint``: GPT-5.6 and later."""
    found = _VERSION.search(model)
    return found is not None and (int(found[1]), int(found[2] or 0)) >= (5, 6)
