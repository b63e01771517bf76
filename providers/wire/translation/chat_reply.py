"""Decoding and encoding a plain chat completion."""

import hashlib
from collections.abc import Iterable
from typing import Any

import msgspec

from providers.wire.translation.chat_answer_fields import Answer, Choice, Said, decode_answer
from providers.wire.translation.chat_citations import annotation
from providers.wire.translation.chat_thoughts import thought_details, thoughts_of
from providers.wire.translation.chat_usage import (
    decode_stop,
    decode_usage,
    encode_stop,
    encode_usage,
    tier_of,
)
from providers.wire.translation.codec import AnswerFrame, Dropped
from providers.wire.translation.conversation import Part, Refusal, Text, Thinking, ToolCall
from providers.wire.translation.reply import Reply

__all__ = ["answer_id", "decode_reply", "encode_reply", "list_texts", "made_id"]


def decode_reply(body: bytes) -> Reply:
    """Decode a plain answer; see ``Codec.decode_reply``. Of several choices it is the first."""
    answer = decode_answer(body)
    choices = answer.choices or [Choice()]
    choice = next((each for each in choices if each.index == 0), choices[0])
    said = choice.message or choice.delta or Said()
    parts = _parts(said, answer)
    extras: dict[str, Any] = {}
    if answer.system_fingerprint:
        extras["system_fingerprint"] = answer.system_fingerprint
    if choice.logprobs:
        extras["logprobs"] = choice.logprobs
    return Reply(
        id=answer.id or "",
        model=answer.model or "",
        parts=tuple(parts),
        stop=decode_stop(
            choice.finish_reason,
            called=bool(parts) and type(parts[-1]) is ToolCall,
            refused=bool(said.refusal),
        ),
        usage=decode_usage(answer.usage, answer.service_tier),
        created=answer.created,
        extras=extras,
    )


def _parts(said: Said, answer: Answer) -> list[Part]:
    content = said.content
    thought = said.reasoning_content or said.reasoning
    if isinstance(content, list):
        inner, content = list_texts(content)
        thought = thought or inner
    parts: list[Part] = []
    if thought or said.reasoning_details:
        parts += thoughts_of(thought, said.reasoning_details)
    if content:
        citations = tuple(each for each in said.annotations or () if isinstance(each, dict))
        parts.append(Text(content, citations=citations, citations_of="openai"))
    if said.refusal:
        parts.append(Refusal(said.refusal))
    for number, call in enumerate(said.tool_calls or ()):
        name = call.name
        if name:
            made = call.id or made_id(answer.id, number, name)
            parts.append(ToolCall(made, name, call.arguments, custom=call.custom is not None))
    old = said.function_call
    if old is not None and old.name:
        arguments = old.arguments
        text = arguments if isinstance(arguments, str) else msgspec.json.encode(arguments).decode()
        made = made_id(answer.id, 0, old.name)
        parts.append(ToolCall(made, old.name, text if arguments is not None else ""))
    return parts


def list_texts(content: Iterable[object]) -> tuple[str, str]:
    """Return the thoughts and the text of a content that is a list of parts, as some servers send.

    Args:
        content: Parts of type ``text``, and of type ``thinking`` whose ``thinking`` is again text
            or a list of texts.
    """
    thoughts: list[str] = []
    texts: list[str] = []
    for part in content:
        if not isinstance(part, dict):
            continue
        text = part.get("text")
        if part.get("type") in ("text", "output_text") and isinstance(text, str):
            texts.append(text)
        elif part.get("type") == "thinking":
            inner = part.get("thinking")
            if isinstance(inner, str):
                thoughts.append(inner)
            elif isinstance(inner, list):
                thoughts.append(list_texts(inner)[1])
    return "".join(thoughts), "".join(texts)


def made_id(answer: str | None, number: int, name: str) -> str:
    """Return an id for a tool call whose server gave it none; the same call always has the same.

    Args:
        answer: The answer's id.
        number: The call's number in it.
        name: The tool.
    """
    seed = f"{answer or ''}\n{number}\n{name}".encode("utf-8", "surrogatepass")
    return "call_" + hashlib.sha256(seed).hexdigest()[:24]


def answer_id(given: str, frame: AnswerFrame, prefix: str) -> str:
    """Return the id of an answer in an asker's dialect.

    Args:
        given: The provider's.
        frame: What else is known.
        prefix: How ids begin in that dialect.
    """
    return given if given.startswith(prefix) else prefix + frame.answer_id


def encode_reply(reply: Reply, frame: AnswerFrame, dropped: Dropped) -> bytes:
    """Encode a plain answer; see ``Codec.encode_reply``."""
    request = frame.request
    message: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
    texts: list[str] = []
    length = 0
    thoughts: list[Thinking] = []
    calls: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, part in enumerate(reply.parts):
        if type(part) is Text:
            end = length + len(part.text)
            for citation in part.citations:
                found = annotation(citation, part.citations_of, length, end)
                if found is None:
                    dropped.add(f"answer.content[{number}].citations")
                else:
                    annotations.append(found)
            texts.append(part.text)
            length = end
        elif type(part) is ToolCall:
            calls.append(_call(part))
        elif type(part) is Thinking:
            thoughts.append(part)
        elif type(part) is Refusal:
            message["refusal"] = (message["refusal"] or "") + part.text
        else:
            dropped.add(f"answer.content[{number}]")
    if texts:
        message["content"] = "".join(texts)
    if annotations:
        message["annotations"] = annotations
    if thoughts:
        text = "".join(thought.text for thought in thoughts)
        if text:
            message["reasoning_content"] = text
        details = thought_details(thoughts)
        if details:
            message["reasoning_details"] = details
    old = request.old_calls
    if calls and old:
        message["function_call"] = calls[0].get("function")
        if len(calls) > 1:
            dropped.add("answer.tool_calls")
    elif calls:
        message["tool_calls"] = calls
    if reply.stop == "pause":
        dropped.add("answer.stop_reason")
    reason = encode_stop(reply.stop, refused=message["refusal"] is not None, old_calls=old)
    extras = reply.extras
    body: dict[str, Any] = {
        "id": answer_id(reply.id, frame, "chatcmpl-"),
        "object": "chat.completion",
        "created": reply.created if reply.created is not None else frame.created,
        "model": reply.model or request.model,
        "choices": [
            {
                "index": 0,
                "message": message,
                "logprobs": extras.get("logprobs") if extras else None,
                "finish_reason": reason,
            }
        ],
    }
    if reply.usage is not None:
        body["usage"] = encode_usage(reply.usage)
        tier = tier_of(reply.usage)
        if tier is not None:
            body["service_tier"] = tier
    if extras and isinstance(extras.get("system_fingerprint"), str):
        body["system_fingerprint"] = extras["system_fingerprint"]
    return msgspec.json.encode(body)


def _call(call: ToolCall) -> dict[str, Any]:
    if call.custom:
        custom = {"name": call.name, "input": call.arguments}
        return {"id": call.id, "type": "custom", "custom": custom}
    function = {"name": call.name, "arguments": call.arguments or "{}"}
    return {"id": call.id, "type": "function", "function": function}
