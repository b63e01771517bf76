"""Whatever an asker or a server sends in the place of a value, it is refused or passed over."""

import copy
import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from providers.wire import WireError
from providers.wire.translation.chat_codec import CHAT_CODEC
from providers.wire.translation.codec import AnswerFrame, Dropped, Target
from providers.wire.translation.completions_codec import COMPLETIONS_CODEC
from providers.wire.translation.conversation import Conversation
from providers.wire.translation.reply import Failed, ReplyEvent, fold
from tests.support.junk import spoilt

EXAMPLES = [row.example for row in CHAT_CODEC.rows()]
COMPLETIONS = [row.example for row in COMPLETIONS_CODEC.rows()]
ANSWER: dict[str, Any] = {
    "id": "chatcmpl-1",
    "model": "m",
    "created": 5,
    "system_fingerprint": "fp",
    "service_tier": "flex",
    "choices": [
        {
            "index": 0,
            "finish_reason": "stop",
            "message": {
                "content": "Hi",
                "refusal": "No",
                "reasoning_content": "Hm",
                "reasoning_details": [
                    {
                        "type": "reasoning.text",
                        "text": "Hm",
                        "signature": "s",
                        "format": "anthropic-claude-v1",
                        "index": 0,
                    },
                    {"type": "reasoning.encrypted", "data": "d", "format": "anthropic-claude-v1"},
                ],
                "annotations": [{"type": "url_citation", "url_citation": {"url": "u"}}],
                "tool_calls": [
                    {"index": 0, "id": "a", "function": {"name": "f", "arguments": "{}"}},
                    {"index": 1, "id": "b", "custom": {"name": "f", "input": "x"}},
                ],
                "function_call": {"name": "f", "arguments": "{}"},
            },
        }
    ],
    "usage": {
        "prompt_tokens": 1,
        "completion_tokens": 2,
        "prompt_tokens_details": {"cached_tokens": 1},
        "completion_tokens_details": {"reasoning_tokens": 1, "image_tokens": 0},
    },
}
TEXT_ANSWER: dict[str, Any] = {
    "id": "cmpl-1",
    "model": "m",
    "created": 5,
    "choices": [{"index": 0, "text": "Hi", "finish_reason": "stop", "logprobs": None}],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2},
}
FRAME = AnswerFrame(
    request=Conversation(dialect="openai", model="m", messages=(), include_usage=True),
    answer_id="x",
    created=1,
)


@given(spoilt(EXAMPLES), st.booleans())
def test_a_spoilt_request_is_read_or_refused(body: Any, official: bool) -> None:
    try:
        request = CHAT_CODEC.decode_request(json.dumps(body).encode())
        CHAT_CODEC.encode_request(request, Target(model="m", official=official))
    except WireError:
        return  # any other exception is a failure


@given(spoilt(COMPLETIONS))
def test_a_spoilt_request_for_a_completion_is_read_or_refused(body: Any) -> None:
    try:
        request = COMPLETIONS_CODEC.decode_request(json.dumps(body).encode())
        CHAT_CODEC.encode_request(request, Target(model="m"))
        COMPLETIONS_CODEC.encode_request(request, Target(model="m"))
    except WireError:
        return  # any other exception is a failure


IN_PARTS = copy.deepcopy(ANSWER)
IN_PARTS["choices"][0]["message"]["content"] = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]},
    {"type": "text", "text": "Hi"},
]


@given(spoilt([ANSWER, IN_PARTS]))
def test_of_a_spoilt_answer_the_rest_is_read(body: Any) -> None:
    reply = CHAT_CODEC.decode_reply(json.dumps(body).encode())
    json.loads(CHAT_CODEC.encode_reply(reply, FRAME, Dropped()))


@given(spoilt([TEXT_ANSWER]))
def test_of_a_spoilt_completion_the_rest_is_read(body: Any) -> None:
    reply = COMPLETIONS_CODEC.decode_reply(json.dumps(body).encode())
    json.loads(COMPLETIONS_CODEC.encode_reply(reply, FRAME, Dropped()))


def chunked(answer: dict[str, Any]) -> dict[str, Any]:
    """Return a chunk that holds a whole answer."""
    chunk = copy.deepcopy(answer)
    for choice in chunk["choices"]:
        if "message" in choice:
            choice["delta"] = choice.pop("message")
    return chunk


@given(st.lists(spoilt([chunked(ANSWER), chunked(IN_PARTS)]), max_size=3))
def test_of_spoilt_chunks_a_whole_answer_is_made(chunks: list[Any]) -> None:
    decoder, encoder = CHAT_CODEC.stream_decoder(), CHAT_CODEC.stream_encoder(FRAME)
    heard: list[ReplyEvent] = []
    for chunk in chunks:
        heard += decoder.event(b"", json.dumps(chunk).encode())
    heard += decoder.end()
    encoder.encode(heard)
    if not isinstance(heard[-1], Failed):
        fold(heard)


@given(st.lists(spoilt([TEXT_ANSWER]), max_size=3))
def test_of_spoilt_completion_chunks_a_whole_answer_is_made(chunks: list[Any]) -> None:
    decoder = COMPLETIONS_CODEC.stream_decoder()
    encoder = COMPLETIONS_CODEC.stream_encoder(FRAME)
    heard: list[ReplyEvent] = []
    for chunk in chunks:
        heard += decoder.event(b"", json.dumps(chunk).encode())
    heard += decoder.end()
    encoder.encode(heard)
    if not isinstance(heard[-1], Failed):
        fold(heard)
