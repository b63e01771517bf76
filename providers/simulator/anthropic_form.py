"""Simulated answers in Anthropic's form."""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from providers.simulator.forms import Script
from providers.simulator.reply import Call, Choice, Reply

__all__ = ["AnthropicForm"]

_STOP_REASONS: Final[Mapping[str, str]] = {
    "stop": "end_turn",
    "length": "max_tokens",
    "stop_sequence": "stop_sequence",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
_PING = b'event: ping\ndata: {"type":"ping"}\n\n'


class AnthropicForm:
    """Messages and their events; implements ``Form``."""

    id_header = b"request-id"
    event_type = b"text/event-stream; charset=utf-8"

    def body(self, reply: Reply) -> Mapping[str, object]:
        """See ``Form.body``."""
        choice = reply.choices[0]
        content: list[Mapping[str, object]] = []
        if choice.tokens:
            content.append({"type": "text", "text": choice.text})
        content += [
            {**_tool_use(call), "input": msgspec.json.decode(call.arguments)}
            for call in choice.calls
        ]
        return {
            **_frame(reply),
            "content": content,
            **_stop(choice),
            "usage": _usage(reply, reply.output_tokens),
        }

    def empty_body(self, reply: Reply) -> Mapping[str, object]:
        """See ``Form.empty_body``."""
        return {
            **_frame(reply),
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": _usage(reply, 0),
        }

    def script(self, reply: Reply, *, include_usage: bool) -> Script:  # noqa: ARG002 - it always is
        """See ``Form.script``."""
        choice = reply.choices[0]
        opening = [_message_start(reply), _PING]
        tokens: list[bytes] = []
        index = 0
        before = b""
        if choice.tokens:
            opening.insert(1, _block_start(0, {"type": "text", "text": ""}))
            start = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":0,'
            start += b'"delta":{"type":"text_delta","text":'
            tokens += [start + msgspec.json.encode(token) + b"}}\n\n" for token in choice.tokens]
            before = _block_stop(0)
            index = 1
        for number, call in enumerate(choice.calls, index):
            tokens.append(before + _block_start(number, {**_tool_use(call), "input": {}}))
            tokens += [
                _event(
                    "content_block_delta",
                    index=number,
                    delta={"type": "input_json_delta", "partial_json": piece},
                )
                for piece in call.pieces()
            ]
            before = _block_stop(number)
        delta = _event(
            "message_delta", delta=_stop(choice), usage={"output_tokens": reply.output_tokens}
        )
        closing = [before, delta, _STOP] if before else [delta, _STOP]
        return Script(tuple(opening), tuple(tokens), tuple(closing))

    def empty_script(self, reply: Reply) -> Script:
        """See ``Form.empty_script``."""
        return Script((_message_start(reply), _PING), (), (_STOP,))


def _event(name: str, **data: Any) -> bytes:
    body = msgspec.json.encode({"type": name, **data})
    return b"event: %b\ndata: %b\n\n" % (name.encode("ascii"), body)


def _message_start(reply: Reply) -> bytes:
    message = {
        **_frame(reply),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": _usage(reply, 1),
    }
    return _event("message_start", message=message)


def _block_start(index: int, block: Mapping[str, object]) -> bytes:
    return _event("content_block_start", index=index, content_block=block)


def _block_stop(index: int) -> bytes:
    return _event("content_block_stop", index=index)


def _frame(reply: Reply) -> dict[str, object]:
    return {
        "id": f"msg_{reply.id}",
        "type": "message",
        "role": "assistant",
        "model": reply.model,
    }


def _tool_use(call: Call) -> Mapping[str, object]:
    return {"type": "tool_use", "id": f"toolu_{call.id}", "name": call.name}


def _stop(choice: Choice) -> Mapping[str, object]:
    found: dict[str, object] = {
        "stop_reason": _STOP_REASONS[choice.finish],
        "stop_sequence": choice.stop_sequence,
    }
    if choice.finish == "content_filter":
        found["stop_details"] = {"type": "refusal", "category": None, "explanation": None}
    return found


def _usage(reply: Reply, output_tokens: int) -> Mapping[str, object]:
    return {
        "input_tokens": reply.input_tokens,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 0,
        "output_tokens": output_tokens,
        "service_tier": "standard",
    }
