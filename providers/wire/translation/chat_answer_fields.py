"""The members of a chat completion and of its chunks, as they are decoded.

Servers of this API differ in the types of what they send: what the quick decoders refuse is decoded
again member by member, and a member of a wrong type counts as not there.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import msgspec

__all__ = [
    "Answer",
    "Call",
    "Choice",
    "CountedTokens",
    "Said",
    "decode_answer",
    "decode_chunk",
]


class CallFunction(msgspec.Struct, gc=False):
    """A call of a function, or a piece of one."""

    name: str | None = None
    arguments: str | dict[str, Any] | None = None


class CallCustom(msgspec.Struct, gc=False):
    """A call of a custom tool, or a piece of one."""

    name: str | None = None
    input: str | None = None


class Call(msgspec.Struct, gc=False):
    """A tool call, or a piece of one."""

    index: int | None = None
    id: str | None = None
    function: CallFunction | None = None
    custom: CallCustom | None = None

    @property
    def name(self) -> str:
        """The tool; empty where it is not said."""
        named = self.custom if self.custom is not None else self.function
        return (named.name or "") if named is not None else ""

    @property
    def arguments(self) -> str:
        """The arguments; some servers send an object in place of its text."""
        if self.custom is not None:
            return self.custom.input or ""
        arguments = self.function.arguments if self.function is not None else None
        if isinstance(arguments, dict):
            return msgspec.json.encode(arguments).decode()
        return arguments or ""


class Said(msgspec.Struct, gc=False):
    """A message, or a piece of one."""

    content: str | list[Any] | None = None
    refusal: str | None = None
    tool_calls: list[Call] | None = None
    function_call: CallFunction | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    reasoning_details: list[Any] | None = None
    annotations: list[Any] | None = None


class Choice(msgspec.Struct, gc=False):
    """A choice, plain or streamed."""

    index: int = 0
    delta: Said | None = None
    message: Said | None = None
    finish_reason: str | None = None
    logprobs: Any = None


class CountedTokens(msgspec.Struct, gc=False):
    """``usage``."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_tokens_details: dict[str, Any] | None = None
    completion_tokens_details: dict[str, Any] | None = None


class Answer(msgspec.Struct, gc=False):
    """A whole answer, or a chunk of one."""

    id: str | None = None
    model: str | None = None
    created: int | None = None
    choices: list[Choice] | None = None
    usage: CountedTokens | None = None
    service_tier: str | None = None
    system_fingerprint: str | None = None
    error: Any = None


class _LaterChoice(msgspec.Struct, gc=False):
    index: int = 0
    delta: Said | None = None
    finish_reason: str | None = None


class LaterChunk(msgspec.Struct, gc=False):
    """A chunk that is not the first one: what the first has told is not read again."""

    choices: list[_LaterChoice] | None = None
    usage: CountedTokens | None = None
    service_tier: str | None = None
    error: Any = None


_answer_decoder = msgspec.json.Decoder(Answer)
_later_decoder = msgspec.json.Decoder(LaterChunk)
_any_decoder = msgspec.json.Decoder()


def decode_answer(body: bytes) -> Answer:
    """Decode a whole answer, or the first chunk of one; empty when it is no JSON object."""
    try:
        return _answer_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _loosely(body)


def decode_chunk(data: bytes) -> LaterChunk | Answer:
    """Decode a chunk that is not the first one; empty when it is no JSON object."""
    try:
        return _later_decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return _loosely(data)


def _loosely(body: bytes) -> Answer:
    try:
        raw = _any_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Answer()
    if not isinstance(raw, dict):
        return Answer()
    choices = raw.get("choices")
    raw["choices"] = [
        _choice(each)
        for each in (choices if isinstance(choices, list) else ())
        if isinstance(each, dict)
    ]
    usage = raw.get("usage")
    if isinstance(usage, dict):
        for name in ("prompt_tokens", "completion_tokens"):
            if isinstance(usage.get(name), float):
                usage[name] = int(usage[name])
        raw["usage"] = _fit(CountedTokens, usage)
    return _fit(Answer, raw)


def _choice(raw: dict[str, Any]) -> Choice:
    for name in ("message", "delta"):
        said = raw.get(name)
        if isinstance(said, dict):
            calls = said.get("tool_calls")
            said["tool_calls"] = [
                _call(each)
                for each in (calls if isinstance(calls, list) else ())
                if isinstance(each, dict)
            ]
            if isinstance(said.get("function_call"), dict):
                said["function_call"] = _fit(CallFunction, said["function_call"])
            raw[name] = _fit(Said, said)
    return _fit(Choice, raw)


def _call(raw: dict[str, Any]) -> Call:
    if isinstance(raw.get("function"), dict):
        raw["function"] = _fit(CallFunction, raw["function"])
    if isinstance(raw.get("custom"), dict):
        raw["custom"] = _fit(CallCustom, raw["custom"])
    if isinstance(raw.get("id"), int):
        raw["id"] = str(raw["id"])
    return _fit(Call, raw)


_T = TypeVar("_T", bound=msgspec.Struct)


def _fit(kind: type[_T], values: Mapping[str, Any]) -> _T:
    """Return a struct with the values that fit; the others keep their defaults."""
    fitting: dict[str, Any] = {}
    for field in msgspec.structs.fields(kind):
        if values.get(field.name) is not None:
            try:
                fitting[field.name] = msgspec.convert(values[field.name], field.type)
            except msgspec.ValidationError:
                continue
    return kind(**fitting)
