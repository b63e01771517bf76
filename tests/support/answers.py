"""Good answers in both dialects, written out by hand from the public API references.

They are deliberately not built with the project's own code, so that a mistake there cannot
confirm itself.
"""

import json
from collections.abc import Iterable, Mapping, Sequence

WORDS = ("one ", "two ", "three ", "four ", "five ")
TEXT = "".join(WORDS)


def openai_answer(text: str = TEXT, model: str = "m-1") -> Mapping[str, object]:
    """Return a whole chat completion."""
    return {
        "id": "chatcmpl-scripted",
        "object": "chat.completion",
        "created": 1_790_000_000,
        "model": model,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": text, "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8},
    }


def openai_chunk(
    delta: Mapping[str, object], finish: str | None = None, model: str = "m-1"
) -> bytes:
    """Return one stream event."""
    body = {
        "id": "chatcmpl-scripted",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": model,
        "choices": [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(body).encode() + b"\n\n"


OPENAI_DONE = b"data: [DONE]\n\n"


def openai_opening() -> list[bytes]:
    """Return the events before the first token."""
    return [openai_chunk({"role": "assistant", "content": ""})]


def openai_tokens(words: Iterable[str] = WORDS) -> list[bytes]:
    """Return one event for each word."""
    return [openai_chunk({"content": word}) for word in words]


def openai_usage(used: Mapping[str, int], model: str = "m-1") -> bytes:
    """Return the event that tells what was used, where it was asked for."""
    body = {
        "id": "chatcmpl-scripted",
        "object": "chat.completion.chunk",
        "created": 1_790_000_000,
        "model": model,
        "choices": [],
        "usage": used,
    }
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def openai_tool_call(call: str, *arguments: str) -> list[bytes]:
    """Return the events of a call of a tool whose arguments come in pieces."""
    function = {"name": "count", "arguments": ""}
    first = {"index": 0, "id": call, "type": "function", "function": function}
    more = [{"index": 0, "function": {"arguments": part}} for part in arguments]
    return [openai_chunk({"tool_calls": [each]}) for each in (first, *more)]


def openai_closing() -> list[bytes]:
    """Return the events after the last token, the finish marker included."""
    return [openai_chunk({}, "stop"), OPENAI_DONE]


def anthropic_answer(text: str = TEXT, model: str = "m-1") -> Mapping[str, object]:
    """Return a whole message."""
    return {
        "id": "msg_scripted",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 5},
    }


def anthropic_event(name: str, data: Mapping[str, object]) -> bytes:
    """Return one stream event."""
    body = json.dumps({"type": name, **data})
    return f"event: {name}\ndata: {body}\n\n".encode()


def anthropic_opening() -> list[bytes]:
    """Return the events before the first token."""
    message = {
        **anthropic_answer(),
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 3, "output_tokens": 1},
    }
    return [
        anthropic_event("message_start", {"message": message}),
        anthropic_event(
            "content_block_start", {"index": 0, "content_block": {"type": "text", "text": ""}}
        ),
        anthropic_event("ping", {}),
    ]


def anthropic_tokens(words: Iterable[str] = WORDS) -> list[bytes]:
    """Return one event for each word."""
    return [
        anthropic_event(
            "content_block_delta", {"index": 0, "delta": {"type": "text_delta", "text": word}}
        )
        for word in words
    ]


def anthropic_tool_call(call: str, *arguments: str, index: int = 0) -> list[bytes]:
    """Return the events of a call of a tool whose arguments come in pieces; its end is left out."""
    block = {"type": "tool_use", "id": call, "name": "count", "input": {}}
    return [
        anthropic_event("content_block_start", {"index": index, "content_block": block}),
        *(
            anthropic_event(
                "content_block_delta",
                {"index": index, "delta": {"type": "input_json_delta", "partial_json": part}},
            )
            for part in arguments
        ),
    ]


def anthropic_closing() -> list[bytes]:
    """Return the events after the last token, the finish marker included."""
    return [
        anthropic_event("content_block_stop", {"index": 0}),
        anthropic_event(
            "message_delta",
            {
                "delta": {"stop_reason": "end_turn", "stop_sequence": None},
                "usage": {"output_tokens": 5},
            },
        ),
        anthropic_event("message_stop", {}),
    ]


def answer(dialect: str) -> Mapping[str, object]:
    """Return a whole answer in `dialect`."""
    return openai_answer() if dialect == "openai" else anthropic_answer()


def opening(dialect: str) -> Sequence[bytes]:
    """Return the events before the first token in `dialect`."""
    return openai_opening() if dialect == "openai" else anthropic_opening()


def tokens(dialect: str, words: Iterable[str] = WORDS) -> Sequence[bytes]:
    """Return one event for each word in `dialect`."""
    return openai_tokens(words) if dialect == "openai" else anthropic_tokens(words)


def closing(dialect: str) -> Sequence[bytes]:
    """Return the events after the last token in `dialect`."""
    return openai_closing() if dialect == "openai" else anthropic_closing()


def error_body(dialect: str, kind: str, message: str, code: str | None = None) -> object:
    """Return an error answer in `dialect`."""
    if dialect == "openai":
        return {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_s"}


def request_body(
    dialect: str, model: str, *, stream: bool = False, **more: object
) -> dict[str, object]:
    """Return an ordinary request in `dialect`."""
    body: dict[str, object] = {
        "model": model,
        "messages": [{"role": "user", "content": "Count to five."}],
        **more,
    }
    if dialect == "anthropic":
        body["max_tokens"] = 100
    if stream:
        body["stream"] = True
    return body


PATHS: Mapping[str, str] = {"openai": "/v1/chat/completions", "anthropic": "/v1/messages"}
