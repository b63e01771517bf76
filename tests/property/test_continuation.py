"""A stream cut at any byte and continued by another provider is one whole answer."""

import json
from typing import Any, Literal

from hypothesis import example, given, settings
from hypothesis import strategies as st

from providers.wire import DIALECTS
from providers.wire.anthropic_continuation import AnthropicContinuation
from providers.wire.continuation import Continuation
from providers.wire.openai_continuation import OpenAIContinuation
from tests.support.answers import anthropic_event, openai_chunk, request_body
from tests.support.reading import Event, events, stream_text

Kind = Literal["text", "tools", "only-tools", "thinking"]
TEXT = "".join(f"word{number} " for number in range(12)) + "\n\nünd öut"
"""No stretch of it that is long enough to be taken for a repetition occurs twice."""

ARGUMENTS = '{"city": "Łódź", "days": 3}'


def pieces(text: str, size: int) -> list[str]:
    return [text[at : at + size] for at in range(0, len(text), size)]


def openai_answer(text: str, kind: Kind, size: int, ident: str) -> list[bytes]:
    told = [openai_chunk({"role": "assistant", "content": ""})]
    if kind == "thinking":
        told += [openai_chunk({"reasoning_content": each}) for each in ("let ", "me see")]
    told += [openai_chunk({"content": each}) for each in pieces(text, size)]
    if kind in {"tools", "only-tools"}:
        call = {"index": 0, "id": f"call_{ident}", "type": "function"}
        told.append(
            openai_chunk({"tool_calls": [{**call, "function": {"name": "f", "arguments": ""}}]})
        )
        told += [
            openai_chunk({"tool_calls": [{"index": 0, "function": {"arguments": each}}]})
            for each in pieces(ARGUMENTS, 5)
        ]
    told.append(openai_chunk({}, "tool_calls" if "tools" in kind else "stop"))
    usage = {"prompt_tokens": 90, "completion_tokens": 7, "total_tokens": 97}
    body = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    told.append(b"data: " + json.dumps({**body, "choices": [], "usage": usage}).encode() + b"\n\n")
    told.append(b"data: [DONE]\n\n")
    return [each.replace(b"chatcmpl-scripted", ident.encode()) for each in told]


def anthropic_answer(text: str, kind: Kind, size: int, ident: str) -> list[bytes]:
    start = {"id": ident, "type": "message", "role": "assistant", "model": "m", "content": []}
    usage = {"input_tokens": 3 if ident == "first" else 77, "output_tokens": 1}
    whole = {**start, "stop_reason": None, "stop_sequence": None, "usage": usage}
    told = [anthropic_event("message_start", {"message": whole}), anthropic_event("ping", {})]
    blocks: list[tuple[dict[str, Any], list[dict[str, Any]]]] = []
    if kind == "thinking":
        deltas = [{"type": "thinking_delta", "thinking": each} for each in ("let ", "me see")]
        signed = {"type": "signature_delta", "signature": "s"}
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, [*deltas, signed]))
    if text:
        deltas = [{"type": "text_delta", "text": each} for each in pieces(text, size)]
        blocks.append(({"type": "text", "text": ""}, deltas))
    if kind in {"tools", "only-tools"}:
        deltas = [
            {"type": "input_json_delta", "partial_json": each} for each in pieces(ARGUMENTS, 5)
        ]
        blocks.append(
            ({"type": "tool_use", "id": f"toolu_{ident}", "name": "f", "input": {}}, deltas)
        )
    for index, (block, deltas) in enumerate(blocks):
        told.append(
            anthropic_event("content_block_start", {"index": index, "content_block": block})
        )
        told += [
            anthropic_event("content_block_delta", {"index": index, "delta": delta})
            for delta in deltas
        ]
        told.append(anthropic_event("content_block_stop", {"index": index}))
    reason = {"stop_reason": "tool_use" if "tools" in kind else "end_turn", "stop_sequence": None}
    counted = {"input_tokens": usage["input_tokens"], "output_tokens": 7}
    told.append(anthropic_event("message_delta", {"delta": reason, "usage": counted}))
    told.append(anthropic_event("message_stop", {}))
    return told


def check_openai(seen: list[Event], kind: Kind) -> None:
    chunks = [each.json for each in seen[:-1]]
    assert len({chunk["id"] for chunk in chunks if chunk["choices"]}) == 1
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    assert sum("role" in delta for delta in deltas) == 1
    assert sum(bool(chunk.get("usage")) for chunk in chunks) <= 1
    calls = [call for delta in deltas for call in delta.get("tool_calls", ())]
    assert sum("id" in call for call in calls) == ("tools" in kind)
    assert "".join(call["function"]["arguments"] for call in calls) == (
        ARGUMENTS if "tools" in kind else ""
    )
    reasoning = "".join(delta.get("reasoning_content", "") for delta in deltas)
    assert "let me see".startswith(reasoning) or not reasoning


def check_anthropic(seen: list[Event], kind: Kind) -> None:
    open_block: int | None = None
    following = 0
    arguments = ""
    kinds = []
    for each in seen:
        data = each.json
        if each.name == "content_block_start":
            assert open_block is None
            assert data["index"] == following
            open_block, following = following, following + 1
            kinds.append(data["content_block"]["type"])
        elif each.name == "content_block_delta":
            assert data["index"] == open_block
            fitting = {"text": "text", "thinking": "thinking", "tool_use": "input_json"}[kinds[-1]]
            assert data["delta"]["type"].startswith((fitting, "signature"))
            arguments += data["delta"].get("partial_json", "")
        elif each.name == "content_block_stop":
            assert data["index"] == open_block
            open_block = None
    assert open_block is None
    names = [each.name for each in seen]
    assert names.count("message_delta") == 1
    assert names.index("message_delta") == len(names) - 2
    assert kinds.count("text") <= 1
    assert kinds.count("tool_use") == ("tools" in kind)
    assert arguments == (ARGUMENTS if "tools" in kind else "")
    usage = seen[-2].json["usage"]
    assert usage["input_tokens"] == 3
    assert usage["output_tokens"] >= 7


ANSWERS = {"openai": openai_answer, "anthropic": anthropic_answer}
JOINERS: dict[str, type[Continuation]] = {
    "openai": OpenAIContinuation,
    "anthropic": AnthropicContinuation,
}


def whole_events(dialect: str, raw: bytes, size: int, joined: Continuation) -> bytes:
    """Relay a stream as an exchange does, in pieces; return what goes to the asker."""
    reader = DIALECTS[dialect].stream_reader()
    return b"".join(
        joined.feed(reader.feed(raw[at : at + size])) for at in range(0, len(raw), size)
    )


def began(dialect: str, raw: bytes) -> bool:
    reader = DIALECTS[dialect].stream_reader()
    reader.feed(raw)
    return reader.started


@settings(max_examples=400)
@given(
    dialect=st.sampled_from(["openai", "anthropic"]),
    kind=st.sampled_from(["text", "tools", "only-tools", "thinking"]),
    places=st.lists(st.floats(0, 1), min_size=1, max_size=3),
    size=st.integers(1, 20),
    reading=st.integers(1, 400),
    style=st.sampled_from(["prefill", "instruction"]),
    repeated=st.sampled_from([0, 0, 20, 1000]),
)
@example(
    dialect="anthropic",
    kind="tools",
    places=[0.6],
    size=4,
    reading=100,
    style="prefill",
    repeated=0,
)
def test_a_stream_cut_anywhere_is_continued_to_one_whole_answer(
    *,
    dialect: str,
    kind: Kind,
    places: list[float],
    size: int,
    reading: int,
    style: Literal["prefill", "instruction"],
    repeated: int,
) -> None:
    text = "" if kind == "only-tools" else TEXT
    wanted: dict[str, object] = {"stream_options": {"include_usage": True}}
    body = request_body(dialect, "m", stream=True, **(wanted if dialect == "openai" else {}))
    joined = JOINERS[dialect](json.dumps(body).encode())
    raw = b"".join(ANSWERS[dialect](text, kind, size, "first"))
    out = b""
    for number, place in enumerate(places):
        cut = raw[: int(len(raw) * place)]
        if not began(dialect, cut):
            continue  # nothing has been relayed of it: another one is asked, unseen
        out += whole_events(dialect, cut, len(cut) if number == 0 else reading, joined)
        if stream_is_over(out, dialect):
            break
        obstacle = joined.cut()
        if obstacle is not None:
            assert (obstacle, dialect, joined.text) == ("thinking", "anthropic", "")
            return
        if joined.whole:
            out += joined.ending()
            break
        asked = json.loads(joined.request(style))["messages"]
        told = asked[1]["content"] if len(asked) > 1 else ""
        assert TEXT.startswith(told)
        start = len(told)
        if repeated and start >= 16:
            start = max(0, start - max(16, repeated))
        again: Kind = "text" if kind == "thinking" and told else kind
        raw = b"".join(ANSWERS[dialect](text[start:], again, size, f"next{number}"))
    if not stream_is_over(out, dialect):
        out += whole_events(dialect, raw, reading, joined)
    seen = [each for each in events(out) if each.name != "ping"]
    assert stream_text(seen, dialect) == text
    (check_openai if dialect == "openai" else check_anthropic)(seen, kind)


def stream_is_over(out: bytes, dialect: str) -> bool:
    return out.endswith(b"data: [DONE]\n\n") or (dialect == "anthropic" and b"message_stop" in out)
