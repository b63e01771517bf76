"""Writing the messages of a conversation for Anthropic's API."""

from typing import Any, Final

from providers.wire.faults import WireError
from providers.wire.translation.anthropic_models import ClaudeModel
from providers.wire.translation.anthropic_parts import ANTHROPIC, BlockWriter, is_blank
from providers.wire.translation.codec import Dropped
from providers.wire.translation.conversation import (
    Conversation,
    Message,
    Opaque,
    Part,
    Text,
    ToolResult,
)
from providers.wire.translation.openai_shared import message_path

__all__ = ["MessageWriter"]

_ON: Final = "Continue."
"""What the user says last where a model does not go on from its own words."""


class MessageWriter:
    """Writes the messages of one request.

    What the system says before anyone else goes into ``system``. What it says later is a message of
    its own where the API's version has such, and is said by the user where it has not.

    Args:
        request: The request.
        model: What the model takes.
        dropped: Takes what is not carried.
        mid_system: Whether the system may speak between messages.

    Attributes:
        system: The content of ``system``; empty for none.
        messages: The messages.
        thinks: Whether the model's turn, if it is in one, begins with thoughts of its own: without
            them it must not think in it.
    """

    __slots__ = (
        "_dropped",
        "_mid",
        "_model",
        "_request",
        "_said",
        "_writer",
        "messages",
        "system",
        "thinks",
    )

    def __init__(
        self, request: Conversation, model: ClaudeModel, dropped: Dropped, *, mid_system: bool
    ) -> None:
        self._request = request
        self._model = model
        self._dropped = dropped
        self._mid = mid_system
        self._writer = BlockWriter(dropped, dialect=request.dialect)
        self._said = 0
        self.system: list[dict[str, Any]] = []
        self.messages: list[dict[str, Any]] = []
        self.thinks = True

    def write(self) -> None:
        """Write all messages.

        Raises:
            WireError: A message has nothing that could be carried, or there is none.
        """
        for number, message in enumerate(self._request.messages):
            role = message.role
            if message.name is not None or message.extras:
                self._name_extras(number, message)
            if role == "assistant":
                self._assistant(number, message)
            elif role == "user":
                self._user(number, message)
            elif self.messages:
                self._later_system(number, message)
            else:
                self.system += self._content(number, message.parts)
        if not self.messages:
            raise WireError("messages: at least one message is expected", param="messages")
        last = self.messages[-1]
        if last["role"] == "assistant":
            self._prefill(last)
        self.thinks = self._may_think()

    def system_content(self) -> object:
        """Return the value of ``system``: one string where that says it all; None for none."""
        if not self.system:
            return None
        if len(self.system) == 1 and self.system[0].keys() == {"type", "text"}:
            return self.system[0]["text"]
        return self.system

    def _path(self, number: int) -> str:
        path = message_path(self._request, number)
        return path if path in {"system", "instructions", "prompt"} else f"{path}.content"

    def _content(self, number: int, parts: tuple[Part, ...]) -> list[dict[str, Any]]:
        self._writer.lost = ""
        return self._writer.blocks(parts, self._path(number))

    def _user(self, number: int, message: Message) -> None:
        parts = message.parts
        if message.plain and len(parts) == 1:
            part = parts[0]
            if type(part) is Text and part.cache is None:
                if not is_blank(part.text):
                    self._append("user", part.text)
                return
        content = self._content(number, parts)
        results = any(type(each) is ToolResult for each in parts)
        if results:
            # What tools returned must come first.
            content.sort(key=lambda block: block["type"] != "tool_result")
        if not content:
            if self._writer.lost:
                raise WireError(
                    f"{self._writer.lost}: the provider's API takes no such content",
                    param=self._writer.lost,
                    code="unsupported_content",
                )
            return
        last = self.messages[-1] if self.messages else None
        if (
            last is not None
            and last["role"] == "user"
            and isinstance(last["content"], list)
            and last["content"][0]["type"] == "tool_result"
        ):
            # One turn of the user has all results of the calls before it.
            at = len(last["content"]) if not results else _after_results(last["content"])
            last["content"][at:at] = content
            return
        self._append("user", content)

    def _assistant(self, number: int, message: Message) -> None:
        parts = message.parts
        if message.plain and len(parts) == 1:
            part = parts[0]
            if type(part) is Text and part.cache is None:
                if not is_blank(part.text):
                    self._say(number, part.text)
                return
            if type(part) is Opaque and part.dialect != ANTHROPIC:
                # It is an item of its own (Responses), not a part of a message.
                self._dropped.add(message_path(self._request, number))
                return
        content = self._content(number, parts)
        if content:
            self._say(number, content)

    def _say(self, number: int, content: str | list[dict[str, Any]]) -> None:
        """Let the model say something.

        The Responses API has thoughts, texts and calls of one turn as items, each on its own: here
        they are one message, of which the thoughts must be the beginning.
        """
        self._said = number
        last = self.messages[-1] if self.messages else None
        if self._request.dialect != "responses" or last is None or last["role"] != "assistant":
            self._append("assistant", content)
        else:
            last["content"] = _listed(last["content"])
            last["content"] += _listed(content)

    def _later_system(self, number: int, message: Message) -> None:
        content = self._content(number, message.parts)
        if not content:
            return
        if self._mid:
            self._append("system", content)
            return
        self._dropped.add(f"{message_path(self._request, number)}.role")
        last = self.messages[-1]
        if last["role"] == "user" and isinstance(last["content"], list):
            last["content"] += content
        else:
            self._append("user", content)

    def _append(self, role: str, content: object) -> None:
        self.messages.append({"role": role, "content": content})

    def _name_extras(self, number: int, message: Message) -> None:
        path = message_path(self._request, number)
        if message.name is not None:
            self._dropped.add(f"{path}.name")
        for name, value in message.extras.items():
            if value is not None:
                self._dropped.add(f"{path}.{name}")

    def _prefill(self, last: dict[str, Any]) -> None:
        """See to a request whose last words are the model's own."""
        if not self._model.prefill:
            self._dropped.add(message_path(self._request, self._said))
            self._append("user", _ON)
            return
        content = last["content"]
        if isinstance(content, str):
            last["content"] = content.rstrip() or content
        elif content[-1]["type"] == "text":
            content[-1] = {**content[-1], "text": content[-1]["text"].rstrip() or "."}

    def _may_think(self) -> bool:
        """Tell whether the model may think: not in the middle of a turn it began without.

        It is in the middle of one that it is to go on with, and of one whose calls have just been
        answered. What the user says in several messages is one turn of the user's.
        """
        if self.messages[-1]["role"] == "assistant":
            return False
        answered = False
        for message in reversed(self.messages):
            content = message["content"]
            if message["role"] == "assistant":
                calls = isinstance(content, list) and any(
                    block["type"] == "tool_use" for block in content
                )
                if not calls or not answered:
                    return True
                return content[0]["type"] in {"thinking", "redacted_thinking"}
            answered = answered or (
                not isinstance(content, str) and content[0]["type"] == "tool_result"
            )
        return True


def _listed(content: str | list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def _after_results(content: list[dict[str, Any]]) -> int:
    """Return where the tool results end that a content begins with."""
    for at, block in enumerate(content):
        if block["type"] != "tool_result":
            return at
    return len(content)
