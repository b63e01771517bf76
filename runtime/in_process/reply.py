"""A whole answer, put together from its events."""

import msgspec

from providers.wire import Usage
from providers.wire.chat_events import (
    ChatEvent,
    DeltaText,
    DeltaThinking,
    DeltaToolCall,
    Done,
    Metadata,
)

__all__ = ["Reply", "ReplyBuilder", "ToolCall"]


class ToolCall(msgspec.Struct, frozen=True):
    """A tool that the model wants to be called.

    Attributes:
        id: The call's id, which its result has to name.
        name: The tool's name.
        arguments: The arguments, as JSON text.
    """

    id: str
    name: str
    arguments: str


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """A complete answer: its first choice, where there are several.

    Attributes:
        text: Its text.
        thinking: The model's reasoning, where the upstream showed it.
        tool_calls: The tools it wants to be called.
        finish_reason: Why it ended, in the upstream's own word.
        usage: Tokens as the upstream counted them; None when it did not say.
        provider: Who answered.
        model: The model that answered, as the upstream names it.
        attempts: How many attempts it took.
    """

    text: str
    thinking: str
    tool_calls: tuple[ToolCall, ...]
    finish_reason: str | None
    usage: Usage | None
    provider: str
    model: str | None
    attempts: int


class ReplyBuilder:
    """Takes the events of one answer."""

    def __init__(self) -> None:
        self._text: list[str] = []
        self._thinking: list[str] = []
        self._calls: dict[int, ToolCall] = {}
        self._provider = ""
        self._model: str | None = None
        self._attempts = 0

    def take(self, event: ChatEvent) -> None:
        """Take the next event."""
        match event:
            case DeltaText(choice=0):
                self._text.append(event.text)
            case DeltaThinking(choice=0):
                self._thinking.append(event.text)
            case DeltaToolCall(choice=0):
                self._add(event)
            case Metadata():
                self._provider = event.provider or self._provider
                self._model = event.model or self._model
                self._attempts = event.attempts or self._attempts

    def reply(self, done: Done) -> Reply:
        """Return the answer, once it is complete."""
        return Reply(
            text="".join(self._text),
            thinking="".join(self._thinking),
            tool_calls=tuple(self._calls.values()),
            finish_reason=done.finish_reason,
            usage=done.usage,
            provider=self._provider,
            model=self._model,
            attempts=self._attempts,
        )

    def _add(self, piece: DeltaToolCall) -> None:
        known = self._calls.get(piece.index, ToolCall("", "", ""))
        self._calls[piece.index] = ToolCall(
            known.id or piece.id or "",
            known.name or piece.name or "",
            known.arguments + piece.arguments,
        )
