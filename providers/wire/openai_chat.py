"""Decoding the content of chat completions, plain and streamed, in OpenAI's dialect."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from providers.wire.chat_decoder import ChatDecoder
from providers.wire.chat_events import (
    ChatEvent,
    DeltaText,
    DeltaThinking,
    DeltaToolCall,
    Metadata,
)
from providers.wire.openai import OpenAIDialect
from providers.wire.openai_stream import OpenAIStreamReader
from providers.wire.values import Usage

__all__ = ["OpenAIChatDecoder"]

_FRAME = frozenset(
    {
        "id",
        "object",
        "created",
        "model",
        "choices",
        "usage",
        "service_tier",
        "system_fingerprint",
        "obfuscation",  # padding of random length; it means nothing
    }
)
"""What every chunk repeats."""

_REASONING = ("reasoning_content", "reasoning", "thinking")
"""Where servers of this API put the text of a model's reasoning; some in two places at once."""

_DIALECT: Final = OpenAIDialect()


class _Reader(OpenAIStreamReader):
    """Keeps what it judges good."""

    __slots__ = ("heard",)

    def __init__(self) -> None:
        super().__init__()
        self.heard: list[tuple[bytes, Usage | None]] = []

    def is_ordinary(self, event: bytes) -> bool:
        """Have every event judged."""
        del event
        return False

    def judge(self, block: bytes) -> bool:
        """See ``StreamReader.judge``."""
        over = super().judge(block)
        if self.error is None:
            self.heard.append((block, self.usage))
        return over


class OpenAIChatDecoder(ChatDecoder):
    """Decodes one chat completion."""

    def __init__(self) -> None:
        super().__init__(_DIALECT, _Reader())
        self._introduced = False

    def event(self, name: bytes, data: dict[str, Any]) -> Iterator[ChatEvent]:
        """See ``ChatDecoder.event``."""
        del name
        yield from self._decode(data, "delta")

    def answer(self, body: dict[str, Any]) -> Iterator[ChatEvent]:
        """See ``ChatDecoder.answer``."""
        yield from self._decode(body, "message")

    def _decode(self, body: Mapping[str, Any], part: str) -> Iterator[ChatEvent]:
        """Decode a chunk or a whole completion: they differ in the name of a choice's part."""
        if not self._introduced:
            known = [_text(body.get("id")), _text(body.get("model"))]
            if any(known):
                self._introduced = True
                yield Metadata(id=known[0], model=known[1])
        extra = _rest(body, _FRAME)
        choices = body.get("choices")
        others = []
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict):
                rest: dict[str, Any] = {}
                yield from _choice(choice, part, rest)
                if rest:
                    others.append({"index": _number(choice), **rest})
        if others:
            extra["choices"] = others
        if extra:
            yield Metadata(extra=extra)


def _choice(choice: Mapping[str, Any], part: str, rest: dict[str, Any]) -> Iterator[ChatEvent]:
    """Decode one choice; put into ``rest`` what has no event of its own."""
    index = _number(choice)
    rest.update(_rest(choice, {"index", part, "finish_reason"}))
    if index and choice.get("finish_reason"):
        rest["finish_reason"] = choice["finish_reason"]  # ``Done`` tells that of the first
    delta = choice.get(part)
    if not isinstance(delta, dict):
        return
    unsaid = {key: value for key, value in delta.items() if key != "role" and value}
    said = ""
    for key in _REASONING:
        thought = unsaid.get(key)
        if isinstance(thought, str):
            del unsaid[key]
            if thought != said:
                said = thought
                yield DeltaThinking(thought, index)
    content = unsaid.pop("content", None)
    if isinstance(content, str):
        yield DeltaText(content, index)
    elif content is not None:
        yield from _parts(content, index, unsaid)
    calls = unsaid.pop("tool_calls", None)
    if isinstance(calls, list):
        for position, call in enumerate(calls):
            if isinstance(call, dict):
                yield _tool_call(call, position, index)
    elif calls is not None:
        unsaid["tool_calls"] = calls
    old_call = unsaid.pop("function_call", None)
    if isinstance(old_call, dict):
        yield _tool_call({"function": old_call}, 0, index)
    if unsaid:
        rest[part] = unsaid


def _parts(content: object, index: int, unsaid: dict[str, Any]) -> Iterator[ChatEvent]:
    """Decode a content that is a list of parts, as some servers send it."""
    left = []
    for each in content if isinstance(content, list) else [content]:
        if isinstance(each, dict) and each.get("type") == "text" and _text(each.get("text")):
            yield DeltaText(each["text"], index)
        else:
            left.append(each)
    if left:
        unsaid["content"] = left


def _tool_call(call: Mapping[str, Any], position: int, choice: int) -> DeltaToolCall:
    number = call.get("index")
    function = call.get("function")
    if not isinstance(function, dict):
        # A custom tool takes free text in place of JSON.
        custom = call.get("custom")
        function = custom if isinstance(custom, dict) else {}
    arguments = function.get("arguments", function.get("input"))
    return DeltaToolCall(
        index=number if isinstance(number, int) else position,
        choice=choice,
        id=_text(call.get("id")),
        name=_text(function.get("name")),
        arguments=arguments if isinstance(arguments, str) else "",
    )


def _number(choice: Mapping[str, Any]) -> int:
    index = choice.get("index", 0)
    return index if isinstance(index, int) else 0


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _rest(values: Mapping[str, Any], known: frozenset[str] | set[str]) -> dict[str, Any]:
    """Return what is said beyond what is known; a null says nothing."""
    return {key: value for key, value in values.items() if key not in known and value is not None}
