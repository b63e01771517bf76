"""Writing an answer of the Responses API: the response, its items and its tokens."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from providers.wire.translation.chat_citations import annotation
from providers.wire.translation.chat_usage import tier_of
from providers.wire.translation.codec import AnswerFrame, Dropped
from providers.wire.translation.conversation import Part, Refusal, Text, Thinking, ToolCall
from providers.wire.translation.reply import Reply, ReplyUsage, StopReason
from providers.wire.translation.responses_options import told_choice, told_format, told_tools
from providers.wire.translation.responses_thoughts import packed, reasoning_item

__all__ = [
    "PREFIXES",
    "ResponseWriter",
    "annotations_of",
    "call_item",
    "encode_reply",
    "incomplete_reason",
    "refusal_part",
    "text_part",
]

_encode = msgspec.json.encode

PREFIXES: Final[Mapping[str, str]] = {
    "message": "msg",
    "reasoning": "rs",
    "function_call": "fc",
    "custom_tool_call": "ctc",
}
"""How the ids of items begin, by their type."""

_INCOMPLETE: Final[Mapping[StopReason | None, str]] = {
    "length": "max_output_tokens",
    "context_window": "max_output_tokens",
    "content_filter": "content_filter",
    "refusal": "content_filter",
}


def incomplete_reason(stop: StopReason | None, *, refused: bool) -> str | None:
    """Return why a response is incomplete; None when it is complete.

    Args:
        stop: Why the answer ended.
        refused: Whether it says a refusal in words; then it is complete.
    """
    if stop == "refusal" and refused:
        return None
    return _INCOMPLETE.get(stop)


def annotations_of(part: Text) -> tuple[list[dict[str, Any]], bool]:
    """Return the annotations of a text, and whether a citation of it has no place among them."""
    found: list[dict[str, Any]] = []
    lost = False
    for citation in part.citations:
        nested = annotation(citation, part.citations_of, 0, len(part.text))
        if nested is None:
            lost = True
        else:
            found.append({"type": "url_citation", **nested["url_citation"]})
    return found, lost


def text_part(
    text: str, annotations: list[dict[str, Any]], logprobs: list[Any] | None = None
) -> dict[str, Any]:
    """Return a part of type ``output_text``."""
    return {
        "type": "output_text",
        "text": text,
        "annotations": annotations,
        "logprobs": logprobs or [],
    }


def refusal_part(text: str) -> dict[str, Any]:
    """Return a part of type ``refusal``."""
    return {"type": "refusal", "refusal": text}


def call_item(call: ToolCall, item_id: str, arguments: str, status: str) -> dict[str, Any]:
    """Return an item that calls a tool.

    Args:
        call: The call.
        item_id: The id of the item, which is another than the call's.
        arguments: The arguments, or the text for a custom tool.
        status: How far it is.
    """
    item: dict[str, Any] = {
        "id": item_id,
        "type": "custom_tool_call" if call.custom else "function_call",
        "status": status,
        "call_id": call.id,
        "name": call.name,
    }
    item["input" if call.custom else "arguments"] = arguments
    return item


class ResponseWriter:
    """Writes the object of type ``response``, of which most stays the same through a stream.

    Args:
        frame: What the answer needs besides the provider's.
    """

    __slots__ = ("_asked", "_frame", "_head", "id")

    def __init__(self, frame: AnswerFrame) -> None:
        self._frame = frame
        self._asked = b""
        self._head = b""
        self.id = "resp_" + frame.answer_id

    def item_id(self, kind: str, number: int) -> str:
        """Return the id of an item.

        Args:
            kind: Its type.
            number: Its number in the response.
        """
        return f"{PREFIXES[kind]}_{self._frame.answer_id}{number}"

    def begin(self, answer_id: str, model: str, created: int | None) -> None:
        """Take what the provider says of its answer.

        Args:
            answer_id: Its id.
            model: The model that answers.
            created: When, in seconds since the epoch.
        """
        if answer_id.startswith("resp_"):
            self.id = answer_id
        request = self._frame.request
        head = {
            "id": self.id,
            "object": "response",
            "created_at": created if created is not None else self._frame.created,
            "model": model or request.model,
        }
        self._head = _encode(head)[:-1]

    def written(
        self,
        status: str,
        output: bytes,
        *,
        usage: ReplyUsage | None = None,
        reason: str | None = None,
    ) -> bytes:
        """Return the response.

        Args:
            status: How far it is.
            output: Its items, as JSON.
            usage: Its tokens.
            reason: Why it is incomplete.
        """
        if not self._asked:
            self._asked = _asked(self._frame)
        tier = tier_of(usage)
        return b"".join(
            (
                self._head,
                b',"status":"%b","error":null,"incomplete_details":' % status.encode(),
                b'{"reason":"%b"}' % reason.encode() if reason is not None else b"null",
                b',"output":',
                output,
                b',"usage":',
                _encode(_usage(usage)),
                b',"service_tier":',
                _encode(tier or self._frame.request.service_tier),
                self._asked,
            )
        )


def _asked(frame: AnswerFrame) -> bytes:
    """Return the members of a response that repeat its request, as the end of an object."""
    request, extras = frame.request, frame.request.extras
    first = request.messages[0] if request.messages else None
    instructions = None
    if first is not None and first.role == "system" and first.plain:
        instructions = first.parts[0].text if isinstance(first.parts[0], Text) else None
    reasoning = request.reasoning
    members: dict[str, Any] = {
        "background": False,
        "instructions": instructions,
        "max_output_tokens": request.max_tokens,
        "max_tool_calls": extras.get("max_tool_calls"),
        "metadata": extras.get("metadata") or {},
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": None,
        "prompt_cache_key": extras.get("prompt_cache_key"),
        "reasoning": {
            "effort": reasoning.effort if reasoning is not None else None,
            "summary": reasoning.summary if reasoning is not None else None,
        },
        "safety_identifier": request.user,
        "store": False,
        "temperature": request.temperature,
        "text": told_format(request),
        "tool_choice": told_choice(request),
        "tools": told_tools(request),
        "top_logprobs": extras.get("top_logprobs") or 0,
        "top_p": request.top_p,
        "truncation": extras.get("truncation") or "disabled",
        "user": extras.get("user"),
    }
    return b"," + _encode(members)[1:]


def _usage(usage: ReplyUsage | None) -> dict[str, Any] | None:
    if usage is None:
        return None
    return {
        "input_tokens": usage.input_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read or 0,
            "cache_write_tokens": usage.cache_write or 0,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning or 0},
        "total_tokens": usage.input_tokens + usage.output_tokens,
    }


def encode_reply(reply: Reply, frame: AnswerFrame, dropped: Dropped) -> bytes:
    """Encode a plain answer; see ``FrontCodec.encode_reply``."""
    writer = ResponseWriter(frame)
    writer.begin(reply.id, reply.model, reply.created)
    refused = any(type(part) is Refusal for part in reply.parts)
    reason = incomplete_reason(reply.stop, refused=refused)
    if reply.stop == "pause":
        dropped.add("answer.stop_reason")
    items = _items(reply, writer, dropped)
    status = "completed"
    if reason is not None:
        status = "incomplete"
        if items and items[-1]["type"] == "message":
            items[-1]["status"] = status
    return writer.written(status, _encode(items), usage=reply.usage, reason=reason)


def _items(reply: Reply, writer: ResponseWriter, dropped: Dropped) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    logprobs = reply.extras.get("logprobs") if reply.extras else None
    words = logprobs.get("content") if isinstance(logprobs, dict) else None
    message: dict[str, Any] | None = None
    for number, part in enumerate(reply.parts):
        if isinstance(part, Text | Refusal):
            if message is None:
                message = {
                    "id": writer.item_id("message", len(items)),
                    "type": "message",
                    "status": "completed",
                    "role": "assistant",
                    "content": [],
                }
                items.append(message)
            message["content"].append(_said(part, number, words, dropped))
            words = None
            continue
        item = _item(part, len(items), writer)
        if item is None:
            dropped.add(f"answer.output[{number}]")
            continue
        message = None
        items.append(item)
    return items


def _said(
    part: Text | Refusal, number: int, logprobs: list[Any] | None, dropped: Dropped
) -> dict[str, Any]:
    if isinstance(part, Refusal):
        return refusal_part(part.text)
    annotations, lost = annotations_of(part)
    if lost:
        dropped.add(f"answer.output[{number}].citations")
    return text_part(part.text, annotations, logprobs)


def _item(part: Part, number: int, writer: ResponseWriter) -> dict[str, Any] | None:
    if isinstance(part, Thinking):
        texts = [part.text] if part.text else []
        return reasoning_item(writer.item_id("reasoning", number), texts, packed(part))
    if isinstance(part, ToolCall):
        kind = "custom_tool_call" if part.custom else "function_call"
        arguments = part.arguments or ("" if part.custom else "{}")
        return call_item(part, writer.item_id(kind, number), arguments, "completed")
    return None
