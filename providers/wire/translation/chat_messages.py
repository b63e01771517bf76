"""Writing the messages of a conversation for chat completions."""

from typing import Any, Final

import msgspec

from providers.wire.faults import WireError
from providers.wire.translation.chat_parts import PartWriter
from providers.wire.translation.codec import Dropped, Target
from providers.wire.translation.conversation import (
    Conversation,
    Message,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from providers.wire.translation.custom_tools import wrapped
from providers.wire.translation.openai_shared import (
    fit_call_id,
    fit_tool_name,
    message_path,
    with_error_mark,
)

__all__ = ["encode_messages"]

_LONGEST_ID: Final = 40
_ELSEWHERE: Final = "The result is in the next message."
"""What a tool message says whose content it cannot hold; the API refuses an empty one."""


def encode_messages(
    request: Conversation, target: Target, dropped: Dropped
) -> list[dict[str, Any]]:
    """Return ``messages``.

    What tools returned goes into messages of their own, which come right after the calls. Pictures
    and documents among it cannot be there; the next message of the user has them.

    Args:
        request: The request.
        target: To whom it goes.
        dropped: Takes what is not carried.

    Raises:
        WireError: A message has nothing that could be carried, or there is none left.
    """
    writer = _Writer(request, target, dropped)
    out, official = writer.out, target.official
    for number, message in enumerate(request.messages):
        # Most messages are one string; nearly all the time of a long conversation goes here.
        if message.plain and not message.extras and not writer.pictures:
            parts = message.parts
            part = parts[0] if len(parts) == 1 else None
            if type(part) is Text and part.cache is None:
                role = message.role
                if role == "developer" and not official:
                    role = "system"
                if role != "assistant" or not out or "tool_calls" not in out[-1]:
                    written: dict[str, Any] = {"role": role, "content": part.text}
                    if message.name is not None:
                        written["name"] = message.name
                    out.append(written)
                    continue
        writer.write(number, message)
    writer.flush()
    if not writer.out:
        raise WireError("messages: at least one message is expected", param="messages")
    last = request.messages[-1]
    if (
        last.role == "assistant"
        and request.dialect == "anthropic"
        and writer.out[-1].get("content")
    ):
        # The answer goes on from it with Anthropic; here it is a message that has been said.
        dropped.add(message_path(request, len(request.messages) - 1))
    return writer.out


class _Writer:
    """Writes messages one after the other."""

    __slots__ = ("_dropped", "_fitting", "_official", "_parts", "_request", "out", "pictures")

    def __init__(self, request: Conversation, target: Target, dropped: Dropped) -> None:
        self._request = request
        self._official = target.official
        self._dropped = dropped
        self._fitting: set[str] = set()
        self._parts = PartWriter(request, target, dropped)
        self.pictures: list[dict[str, Any]] = []
        self.out: list[dict[str, Any]] = []

    def write(self, number: int, message: Message) -> None:
        """Write one message."""
        parts = message.parts
        role: str = message.role
        if message.extras:
            self._extras(number, message)
        if role == "assistant":
            if self.pictures:
                self.flush()
            self._assistant(number, message)
            return
        if len(parts) == 1:
            part = parts[0]
            if type(part) is ToolResult:
                self._result(part, number, 0)
                return
        else:
            rest: list[Part] = []
            for at, part in enumerate(parts):
                if type(part) is ToolResult:
                    self._result(part, number, at)
                else:
                    rest.append(part)
            if len(rest) < len(parts):
                if not rest:
                    return
                parts = tuple(rest)
        self._parts.lost = ""
        content = self._parts.content(parts, _content_path(self._request, number))
        if role == "user" and self.pictures:
            content = self.pictures + content
            self.pictures = []
        if content:
            self.flush()
            self._append(role, self._short(content, message), message.name)
        elif self._parts.lost:
            raise WireError(
                f"{self._parts.lost}: the provider takes no such content",
                param=self._parts.lost,
                code="unsupported_content",
            )

    def flush(self) -> None:
        """Write the pictures that tools returned, where no message of the user took them."""
        if self.pictures:
            self._append("user", self.pictures, None)
            self.pictures = []

    def _append(self, role: str, content: object, name: str | None) -> None:
        if role == "developer" and not self._official:
            role = "system"
        written: dict[str, Any] = {"role": role, "content": content}
        if name is not None:
            written["name"] = name
        self.out.append(written)

    def _extras(self, number: int, message: Message) -> None:
        path = message_path(self._request, number)
        for name in message.extras:
            if self._request.dialect != "openai" or name != "audio":
                self._dropped.add(f"{path}.{name}")

    def _short(self, content: list[dict[str, Any]], message: Message) -> object:
        """Return a content as a string where the asker had one, or would if it could.

        Only this API tells a string from a list of one text; not every server takes lists.
        """
        string = message.plain or self._request.dialect != "openai"
        if string and len(content) == 1 and content[0].keys() == {"type", "text"}:
            return content[0]["text"]
        return content

    def _result(self, result: ToolResult, number: int, at: int) -> None:
        parts = with_error_mark(result.parts) if result.is_error else result.parts
        string = self._request.dialect != "openai" or self._request.messages[number].plain
        if string and len(parts) == 1 and type(parts[0]) is Text and result.cache is None:
            text = parts[0]
            if text.cache is None and not text.citations:
                self._tool(result, text.text)
                return
        path = message_path(self._request, number)
        if self._request.dialect == "anthropic":
            path = f"{path}.content[{at}]"
        member = "output" if self._request.dialect == "responses" else "content"
        written = self._parts.content(parts, f"{path}.{member}")
        texts = [part for part in written if part.get("type") == "text"]
        others = [part for part in written if part.get("type") != "text"]
        self._parts.cached(texts, result.cache, path)
        if others:
            head = f"The result of the tool call {fit_call_id(result.call_id, _LONGEST_ID)}:"
            self.pictures += [{"type": "text", "text": head}, *others]
            if not texts:
                self._tool(result, _ELSEWHERE)
                return
        if not texts:
            self._tool(result, "")
        elif string and len(texts) == 1 and texts[0].keys() == {"type", "text"}:
            self._tool(result, texts[0]["text"])
        else:
            self._tool(result, texts)

    def _tool(self, result: ToolResult, content: object) -> None:
        call_id = fit_call_id(result.call_id, _LONGEST_ID)
        self.out.append({"role": "tool", "tool_call_id": call_id, "content": content})

    def _assistant(self, number: int, message: Message) -> None:
        texts: list[Part] = []
        calls: list[dict[str, Any]] = []
        refusal: str | None = None
        path = ""
        for part in message.parts:
            kind = type(part)
            if kind is Text:
                texts = _joined(texts, part)
            elif kind is ToolCall:
                assert isinstance(part, ToolCall)
                calls.append(self._call(part))
                if part.cache is not None:
                    path = path or message_path(self._request, number)
                    self._parts.drop_cache(f"{path}.content[{message.parts.index(part)}]")
            elif type(part) is Thinking:
                self._parts.forget(part)
            elif kind is Opaque and message.plain:
                # It is an item of its own (Responses), not a part of a message.
                self._dropped.add(message_path(self._request, number))
            elif kind is Refusal and self._official and refusal is None:
                assert isinstance(part, Refusal)
                refusal = part.text
            else:
                texts.append(part)
        written: dict[str, Any] = {"role": "assistant", "content": None}
        if len(texts) == 1 and type(texts[0]) is Text and not texts[0].cache and message.plain:
            written["content"] = texts[0].text
        elif texts:
            path = path or message_path(self._request, number)
            content = self._parts.content(texts, f"{path}.content")
            if content:
                written["content"] = self._short(content, message)
        if message.name is not None:
            written["name"] = message.name
        if refusal is not None:
            written["refusal"] = refusal
        if calls:
            written["tool_calls"] = calls
        if self._request.dialect == "openai" and message.extras.get("audio") is not None:
            written["audio"] = message.extras["audio"]
        if written["content"] is None and len(written) == 2:
            return
        last = self.out[-1] if self.out else None
        if last is None or last["role"] != "assistant" or not (calls or "tool_calls" in last):
            self.out.append(written)
        else:
            _merge(last, written)

    def _call(self, call: ToolCall) -> dict[str, Any]:
        call_id = fit_call_id(call.id, _LONGEST_ID)
        name = call.name
        if self._official and name not in self._fitting:
            fitting = fit_tool_name(name)
            if fitting == name:
                self._fitting.add(name)
            name = fitting
        if call.custom and self._official:
            custom = {"name": name, "input": call.arguments}
            return {"id": call_id, "type": "custom", "custom": custom}
        arguments = wrapped(call.arguments) if call.custom else call.arguments or "{}"
        function = {"name": name, "arguments": arguments}
        return {"id": call_id, "type": "function", "function": function}


def _content_path(request: Conversation, number: int) -> str:
    path = message_path(request, number)
    return path if path == "system" else f"{path}.content"


def _joined(texts: list[Part], text: Part) -> list[Part]:
    """Add a text to those before; pieces that were parted for their citations are one text."""
    assert isinstance(text, Text)
    last = texts[-1] if texts else None
    if type(last) is Text and (last.citations or text.citations) and last.cache is None:
        texts[-1] = msgspec.structs.replace(
            text,
            text=last.text + text.text,
            citations=last.citations + text.citations,
            citations_of=last.citations_of or text.citations_of,
        )
    else:
        texts.append(text)
    return texts


def _merge(last: dict[str, Any], message: dict[str, Any]) -> None:
    """Add an assistant's message to the one before: calls must be all in one."""
    if message["content"] is not None:
        if last["content"] is None:
            last["content"] = message["content"]
        else:
            last["content"] = [*_listed(last["content"]), *_listed(message["content"])]
    if "tool_calls" in message:
        last["tool_calls"] = [*last.get("tool_calls", ()), *message["tool_calls"]]
    for name in ("refusal", "name", "audio"):
        if name in message:
            last.setdefault(name, message[name])


def _listed(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content
