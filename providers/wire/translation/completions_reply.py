"""Decoding and encoding a plain legacy completion."""

from typing import Any

import msgspec

from providers.wire.translation.chat_answer_fields import CountedTokens
from providers.wire.translation.chat_reply import answer_id
from providers.wire.translation.chat_usage import (
    decode_stop,
    decode_usage,
    encode_stop,
    encode_usage,
)
from providers.wire.translation.codec import AnswerFrame, Dropped
from providers.wire.translation.conversation import Refusal, Text, Thinking, ToolCall
from providers.wire.translation.reply import Reply, StopReason

__all__ = [
    "PREFIX",
    "TextAnswer",
    "decode_reply",
    "decode_text_answer",
    "encode_reply",
    "reason_of",
]

PREFIX = "cmpl-"
"""How the ids of such answers begin."""


class TextChoice(msgspec.Struct, gc=False):
    """A choice, plain or streamed."""

    index: int = 0
    text: str | None = None
    finish_reason: str | None = None
    logprobs: Any = None


class TextAnswer(msgspec.Struct, gc=False):
    """A whole answer, or a chunk of one."""

    id: str | None = None
    model: str | None = None
    created: int | None = None
    choices: list[TextChoice] | None = None
    usage: CountedTokens | None = None
    system_fingerprint: str | None = None
    error: Any = None


_decoder = msgspec.json.Decoder(TextAnswer)
_any_decoder = msgspec.json.Decoder()


def decode_text_answer(body: bytes) -> TextAnswer:
    """Decode an answer or a chunk; what is of a wrong type counts as not there."""
    try:
        return _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        pass
    try:
        raw = _any_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return TextAnswer()
    if not isinstance(raw, dict):
        return TextAnswer()
    answer = TextAnswer(error=raw.get("error"))
    choices = raw.get("choices")
    answer.choices = [
        TextChoice(
            each["index"] if isinstance(each.get("index"), int) else 0,
            each["text"] if isinstance(each.get("text"), str) else None,
            each["finish_reason"] if isinstance(each.get("finish_reason"), str) else None,
        )
        for each in (choices if isinstance(choices, list) else ())
        if isinstance(each, dict)
    ]
    for name in ("id", "model"):
        if isinstance(raw.get(name), str):
            setattr(answer, name, raw[name])
    return answer


def decode_reply(body: bytes) -> Reply:
    """Decode a plain answer; see ``Codec.decode_reply``. Of several choices it is the first."""
    answer = decode_text_answer(body)
    choices = answer.choices or [TextChoice()]
    choice = next((each for each in choices if each.index == 0), choices[0])
    extras: dict[str, Any] = {}
    if answer.system_fingerprint:
        extras["system_fingerprint"] = answer.system_fingerprint
    return Reply(
        id=answer.id or "",
        model=answer.model or "",
        parts=(Text(choice.text),) if choice.text else (),
        stop=decode_stop(choice.finish_reason, called=False, refused=False),
        usage=decode_usage(answer.usage),
        created=answer.created,
        extras=extras,
    )


def reason_of(stop: StopReason | None) -> str:
    """Return the ``finish_reason``; there is none for calls of tools."""
    reason = encode_stop(stop)
    return "stop" if reason == "tool_calls" else reason


def encode_reply(reply: Reply, frame: AnswerFrame, dropped: Dropped) -> bytes:
    """Encode a plain answer; see ``Codec.encode_reply``. A refusal's words are its text."""
    texts: list[str] = []
    for number, part in enumerate(reply.parts):
        if isinstance(part, Text | Refusal):
            texts.append(part.text)
            if isinstance(part, Text) and part.citations:
                dropped.add(f"answer.content[{number}].citations")
        elif isinstance(part, Thinking):
            dropped.add("answer.reasoning")
        elif isinstance(part, ToolCall):
            dropped.add("answer.tool_calls")
        else:
            dropped.add(f"answer.content[{number}]")
    if reply.stop == "pause":
        dropped.add("answer.stop_reason")
    body: dict[str, Any] = {
        "id": answer_id(reply.id, frame, PREFIX),
        "object": "text_completion",
        "created": reply.created if reply.created is not None else frame.created,
        "model": reply.model or frame.request.model,
        "choices": [
            {
                "text": "".join(texts),
                "index": 0,
                "logprobs": None,
                "finish_reason": reason_of(reply.stop),
            }
        ],
    }
    if reply.usage is not None:
        body["usage"] = encode_usage(reply.usage)
    if isinstance(reply.extras.get("system_fingerprint"), str):
        body["system_fingerprint"] = reply.extras["system_fingerprint"]
    return msgspec.json.encode(body)
