"""Putting a conversation into the Responses API, to have its tokens counted.

What cannot be said in it is left out and named; the count is of what is left.
"""

from collections.abc import Iterable
from typing import Any, Final

import msgspec

from providers.wire.translation.codec import Dropped, Encoded, Target
from providers.wire.translation.conversation import (
    Conversation,
    Document,
    Image,
    Message,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from providers.wire.translation.openai_shared import (
    data_url,
    effort_of,
    fit_call_id,
    fit_tool_name,
    message_path,
    with_error_mark,
)
from providers.wire.translation.responses_options import told_choice, told_format, told_tools

__all__ = ["encode_input"]

_LONGEST_ID: Final = 64
_IMAGE: Final = "image/png"
_PDF: Final = "application/pdf"


def encode_input(request: Conversation, target: Target) -> Encoded:
    """Encode a request for ``POST /v1/responses/input_tokens``.

    Args:
        request: The request.
        target: To whom it goes.
    """
    writer = _Writer(request)
    for number, message in enumerate(request.messages):
        writer.write(number, message)
    body: dict[str, Any] = {"model": target.model, "input": writer.items}
    tools = [tool for tool in request.tools if tool.opaque is None]
    for number, tool in enumerate(request.tools):
        if tool.opaque is not None:
            writer.dropped.add(f"tools[{number}]")
    if tools:
        plain = [msgspec.structs.replace(tool, extras={}) for tool in tools]
        body["tools"] = told_tools(msgspec.structs.replace(request, tools=tuple(plain)))
        if request.tool_choice is not None:
            body["tool_choice"] = told_choice(request)
    if request.output is not None:
        body["text"] = {"format": told_format(request)["format"]}
    effort = effort_of(request.reasoning)
    if effort is not None:
        body["reasoning"] = {"effort": effort}
    return Encoded(msgspec.json.encode(body), writer.dropped)


class _Writer:
    """Writes messages as items, one after the other."""

    __slots__ = ("_request", "dropped", "items")

    def __init__(self, request: Conversation) -> None:
        self._request = request
        self.dropped = Dropped()
        self.items: list[dict[str, Any]] = []

    def write(self, number: int, message: Message) -> None:
        """Write one message."""
        path = message_path(self._request, number)
        said: list[dict[str, Any]] = []
        for at, part in enumerate(message.parts):
            if isinstance(part, ToolCall | ToolResult):
                self._say(message.role, said)
                said = []
                self.items.append(self._tool(part, f"{path}.content[{at}]"))
            else:
                said += self._part(part, message.role, f"{path}.content[{at}]")
        self._say(message.role, said)

    def _say(self, role: str, content: list[dict[str, Any]]) -> None:
        if content:
            self.items.append({"type": "message", "role": role, "content": content})

    def _tool(self, part: ToolCall | ToolResult, path: str) -> dict[str, Any]:
        if isinstance(part, ToolCall):
            name = fit_tool_name(part.name)
            call = {"call_id": fit_call_id(part.id, _LONGEST_ID), "name": name}
            if part.custom:
                return {"type": "custom_tool_call", **call, "input": part.arguments}
            return {"type": "function_call", **call, "arguments": part.arguments or "{}"}
        parts = with_error_mark(part.parts) if part.is_error else part.parts
        return {
            "type": "custom_tool_call_output" if part.custom else "function_call_output",
            "call_id": fit_call_id(part.call_id, _LONGEST_ID),
            "output": self._parts(parts, path) or "",
        }

    def _parts(self, parts: Iterable[Part], path: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        for at, part in enumerate(parts):
            found += self._part(part, "user", f"{path}.content[{at}]")
        return found

    def _part(self, part: Part, role: str, path: str) -> list[dict[str, Any]]:
        """Return a part as members of a content; empty where it has no place in one."""
        text = "output_text" if role == "assistant" else "input_text"
        if isinstance(part, Text):
            return [{"type": text, "text": part.text}] if part.text else []
        if isinstance(part, Refusal):
            return [{"type": "refusal", "refusal": part.text}]
        if isinstance(part, Image):
            url = data_url(part.source, _IMAGE)
            if url is not None:
                image = {"type": "input_image", "image_url": url, "detail": part.detail or "auto"}
                return [image]
        elif isinstance(part, Document):
            found = self._document(part, path)
            if found:
                return found
        elif isinstance(part, Thinking):
            # Thoughts of other models are not sent to this one.
            return []
        self.dropped.add(path)
        return []

    def _document(self, part: Document, path: str) -> list[dict[str, Any]]:
        source = part.source
        before = [{"type": "input_text", "text": part.context}] if part.context else []
        if source.text is not None:
            return [*before, {"type": "input_text", "text": source.text}]
        if source.parts is not None:
            return [*before, *self._parts(source.parts, f"{path}.source")]
        if source.data is not None:
            name = part.title or "document.pdf"
            data = data_url(source, _PDF)
            return [*before, {"type": "input_file", "filename": name, "file_data": data}]
        if source.url is not None:
            return [*before, {"type": "input_file", "file_url": source.url}]
        return []
