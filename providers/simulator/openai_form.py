"""Simulated answers in OpenAI's form."""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from providers.simulator.forms import CREATED, Script
from providers.simulator.reply import Call, Choice, Reply

__all__ = ["OpenAIForm"]

_DONE = b"data: [DONE]\n\n"
_FINGERPRINT = "fp_simulated"


class OpenAIForm:
    """Chat completions and their chunks; implements ``Form``."""

    id_header = b"x-request-id"
    event_type = b"text/event-stream; charset=utf-8"

    def body(self, reply: Reply) -> Mapping[str, object]:
        """See ``Form.body``."""
        return {
            **_frame(reply, "chat.completion"),
            "choices": [
                {
                    "index": index,
                    "message": {
                        "role": "assistant",
                        "content": None if choice.calls else choice.text,
                        "refusal": None,
                        "annotations": [],
                        **(
                            {"tool_calls": [_call(c) for c in choice.calls]} if choice.calls else {}
                        ),
                    },
                    "logprobs": None,
                    "finish_reason": _finish(choice),
                }
                for index, choice in enumerate(reply.choices)
            ],
            "usage": _usage(reply),
        }

    def empty_body(self, reply: Reply) -> Mapping[str, object]:
        """See ``Form.empty_body``."""
        return {**_frame(reply, "chat.completion"), "choices": [], "usage": _usage(reply)}

    def script(self, reply: Reply, *, include_usage: bool) -> Script:
        """See ``Form.script``."""
        chunk = _Chunks(reply, include_usage=include_usage)
        opening = [
            chunk.event(index, {"role": "assistant", "content": "", "refusal": None})
            for index in range(len(reply.choices))
        ]
        streams = [list(_deltas(choice)) for choice in reply.choices]
        longest = max(len(deltas) for deltas in streams)
        tokens = [
            chunk.event(index, deltas[at])
            for at in range(longest)
            for index, deltas in enumerate(streams)
            if at < len(deltas)
        ]
        closing = [
            chunk.event(index, {}, _finish(choice)) for index, choice in enumerate(reply.choices)
        ]
        if include_usage:
            closing.append(chunk.last())
        return Script(tuple(opening), tuple(tokens), (*closing, _DONE))

    def empty_script(self, reply: Reply) -> Script:
        """See ``Form.empty_script``."""
        first = _Chunks(reply, include_usage=False).event(0, {"role": "assistant", "content": ""})
        return Script((first,), (), (_DONE,))


class _Chunks:
    """Makes chunks from a ready beginning and end, as most of each is the same.

    Args:
        reply: The answer they are of.
        include_usage: Whether every chunk has a usage, null in all but the last.
    """

    def __init__(self, reply: Reply, *, include_usage: bool) -> None:
        self._reply = reply
        frame = msgspec.json.encode(_frame(reply, "chat.completion.chunk"))
        self._start = b"data: " + frame[:-1] + b',"choices":['
        self._end = (b'],"usage":null}' if include_usage else b"]}") + b"\n\n"

    def event(self, index: int, delta: Mapping[str, object], finish: str | None = None) -> bytes:
        """Return the event of one choice's delta."""
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}
        return self._start + msgspec.json.encode(choice) + self._end

    def last(self) -> bytes:
        """Return the event that holds the usage and no choice."""
        usage = msgspec.json.encode(_usage(self._reply))
        return self._start + b'],"usage":' + usage + b"}\n\n"


def _frame(reply: Reply, kind: str) -> dict[str, object]:
    return {
        "id": f"chatcmpl-{reply.id}",
        "object": kind,
        "created": CREATED,
        "model": reply.model,
        "service_tier": "default",
        "system_fingerprint": _FINGERPRINT,
    }


def _deltas(choice: Choice) -> Iterator[Mapping[str, Any]]:
    for token in choice.tokens:
        yield {"content": token}
    for number, call in enumerate(choice.calls):
        opened = {**_call(call), "function": {"name": call.name, "arguments": ""}}
        yield {"tool_calls": [{"index": number, **opened}]}
        for piece in call.pieces():
            yield {"tool_calls": [{"index": number, "function": {"arguments": piece}}]}


def _call(call: Call) -> Mapping[str, object]:
    return {
        "id": f"call_{call.id}",
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }


def _finish(choice: Choice) -> str:
    return "stop" if choice.finish == "stop_sequence" else choice.finish


def _usage(reply: Reply) -> Mapping[str, object]:
    return {
        "prompt_tokens": reply.input_tokens,
        "completion_tokens": reply.output_tokens,
        "total_tokens": reply.input_tokens + reply.output_tokens,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0, "audio_tokens": 0},
    }
