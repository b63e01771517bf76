"""A translated stream is the plain answer in pieces, as the asker's own SDK puts them together."""

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import pytest
from anthropic.lib.streaming._messages import accumulate_event
from anthropic.types import Message
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from providers.wire import DIALECTS
from providers.wire.translation.codec import FOREIGN_MARK, Target
from providers.wire.translation.codecs import codec_of
from providers.wire.translation.translation import Translation

words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)
names = st.from_regex(r"[a-zA-Z0-9_-]{1,8}", fullmatch=True)
objects = st.dictionaries(
    words, words | st.integers(-9, 9) | st.lists(words, max_size=2), max_size=3
)


def translation(front: str, back: str, *, include_usage: bool = True) -> Translation:
    body: dict[str, Any] = {
        "model": "m",
        "stream": True,
        "messages": [{"role": "user", "content": "Hi"}],
    }
    if front == "anthropic":
        body["max_tokens"] = 99
    elif include_usage:
        body["stream_options"] = {"include_usage": True}
    target = Target(model="n", official=True)
    return Translation(
        codec_of(front), codec_of(back), json.dumps(body).encode(), target,
        answer_id="id", created=7,
    )  # fmt: skip


def relayed(done: Translation, back: str, stream: bytes, cuts: Sequence[int]) -> bytes:
    """Translate a stream that arrives cut at some places."""
    reader = DIALECTS[back].stream_reader()
    translator = done.stream()
    out = []
    edges = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    for start, end in pairwise(edges):
        out.append(translator.feed(reader.feed(stream[start:end])))
    assert reader.finished
    out.append(translator.finish(reader.end()))
    return b"".join(out)


def pieces(draw: st.DrawFn, text: str) -> list[str]:
    size = draw(st.integers(1, 7))
    return [text[at : at + size] for at in range(0, len(text), size)]


# --- a provider of Anthropic's API

thoughts = st.fixed_dictionaries(
    {"type": st.just("thinking"), "thinking": words, "signature": names}
) | st.fixed_dictionaries({"type": st.just("redacted_thinking"), "data": names})
texts = st.fixed_dictionaries({"type": st.just("text"), "text": words})


@st.composite
def messages(draw: st.DrawFn) -> tuple[dict[str, Any], bytes]:
    """Draw an answer of Anthropic's API: plain, and as the events it streams it in."""
    content: list[dict[str, Any]] = draw(st.lists(thoughts, max_size=2))
    content += draw(st.lists(texts, max_size=2))
    calls = draw(st.lists(st.tuples(names, objects), max_size=3))
    content += [
        {"type": "tool_use", "id": f"toolu_{at}", "name": name, "input": given_}
        for at, (name, given_) in enumerate(calls)
    ]
    stop = "tool_use" if calls else draw(
        st.sampled_from(["end_turn", "max_tokens", "stop_sequence", "refusal"])
    )  # fmt: skip
    usage = draw(
        st.fixed_dictionaries(
            {"input_tokens": st.integers(0, 99), "output_tokens": st.integers(0, 99)},
            optional={
                "cache_read_input_tokens": st.integers(0, 99),
                "cache_creation_input_tokens": st.integers(0, 99),
            },
        )
    )
    message = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-n",
        "content": content, "stop_reason": stop,
        "stop_sequence": "END" if stop == "stop_sequence" else None, "usage": usage,
    }  # fmt: skip
    return message, b"".join(sse(event) for event in message_events(draw, message))


EMPTY: Mapping[str, Mapping[str, Any]] = {
    "text": {"text": ""},
    "thinking": {"thinking": "", "signature": ""},
    "tool_use": {"input": {}},
}
"""What the blocks of a stream begin with."""


def message_events(draw: st.DrawFn, message: dict[str, Any]) -> Iterator[dict[str, Any]]:
    usage = {**message["usage"], "output_tokens": 1}
    start = {**message, "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    yield {"type": "message_start", "message": start}
    for index, block in enumerate(message["content"]):
        kind = block["type"]
        empty = EMPTY.get(block["type"], {})
        yield {"type": "content_block_start", "index": index, "content_block": {**block, **empty}}
        deltas: list[dict[str, Any]] = []
        if kind == "text":
            deltas += [{"type": "text_delta", "text": each} for each in pieces(draw, block["text"])]
        elif kind == "thinking":
            told = pieces(draw, block["thinking"])
            deltas += [{"type": "thinking_delta", "thinking": each} for each in told]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
        elif kind == "tool_use":
            told = pieces(draw, json.dumps(block["input"], ensure_ascii=draw(st.booleans())))
            deltas += [{"type": "input_json_delta", "partial_json": each} for each in told]
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
            if draw(st.integers(0, 9)) == 0:
                yield {"type": "ping"}
        yield {"type": "content_block_stop", "index": index}
    ended = {key: message[key] for key in ("stop_reason", "stop_sequence")}
    usage = message["usage"]
    if draw(st.booleans()):
        usage = {"output_tokens": usage["output_tokens"]}
    yield {"type": "message_delta", "delta": ended, "usage": usage}
    yield {"type": "message_stop"}


def sse(event: dict[str, Any]) -> bytes:
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def chunks_of(stream: bytes) -> list[dict[str, Any]]:
    """Return the chunks of a chat completion; check how the stream lives."""
    blocks = stream.split(b"\n\n")
    assert blocks.pop() == b""
    assert blocks.pop() == b"data: [DONE]"
    assert all(block.startswith(b"data: {") for block in blocks)
    chunks: list[dict[str, Any]] = [json.loads(block[6:]) for block in blocks]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    for constant in ("id", "created", "model"):
        assert len({chunk[constant] for chunk in chunks}) == 1
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    assert all(choice["index"] == 0 for choice in choices)
    assert choices[0]["delta"]["role"] == "assistant"
    assert not any("role" in choice["delta"] for choice in choices[1:])
    reasons = [choice["finish_reason"] for choice in choices]
    assert reasons[-1]
    assert not any(reasons[:-1])
    return chunks


def put_together(chunks: Sequence[dict[str, Any]]) -> ChatCompletion:
    state = ChatCompletionStreamState()
    for chunk in chunks:
        state.handle_chunk(ChatCompletionChunk.model_validate(chunk))
    return ChatCompletion.model_validate(state.current_completion_snapshot.model_dump())


def chat_essence(answer: dict[str, Any]) -> dict[str, Any]:
    """Return what an answer says, whatever stands in it that says nothing."""
    message = answer["choices"][0]["message"]
    said = {key: value for key, value in message.items() if value not in (None, [])}
    said.pop("parsed", None)
    said["tool_calls"] = [
        (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
        for call in message.get("tool_calls") or ()
    ]
    return {
        "said": said,
        "why": answer["choices"][0]["finish_reason"],
        **{key: answer[key] for key in ("id", "model")},
    }


def present(value: Any) -> Any:
    """Return a value without members that are null."""
    if isinstance(value, dict):
        return {key: present(each) for key, each in value.items() if each is not None}
    return value


@given(messages(), st.lists(st.integers(0, 10**6), max_size=6), st.booleans())
def test_a_message_streamed_to_an_openai_sdk_is_the_plain_one(
    drawn: tuple[dict[str, Any], bytes], cuts: list[int], asked: bool
) -> None:
    message, stream = drawn
    done = translation("openai", "anthropic", include_usage=asked)
    plain = json.loads(done.answer(json.dumps(message).encode()))
    assert not done.dropped
    chunks = chunks_of(relayed(done, "anthropic", stream, cuts))
    folded = put_together(chunks).model_dump()
    assert chat_essence(folded) == chat_essence(ChatCompletion.model_validate(plain).model_dump())
    counted = [chunk for chunk in chunks if chunk.get("usage") is not None]
    if asked:
        assert counted == [chunks[-1]]
        assert counted[0]["choices"] == []
        assert present(counted[0]["usage"]) == present(plain["usage"])
    else:
        assert not counted


@given(messages())
def test_thoughts_come_back_to_their_maker_with_their_signatures(
    drawn: tuple[dict[str, Any], bytes],
) -> None:
    message, stream = drawn
    done = translation("openai", "anthropic")
    plain = json.loads(done.answer(json.dumps(message).encode()))["choices"][0]["message"]
    folded = put_together(chunks_of(relayed(done, "anthropic", stream, ()))).choices[0].message
    kinds = {"thinking", "redacted_thinking"}
    thought = [block for block in message["content"] if block["type"] in kinds]
    for said in (plain, folded.model_dump(exclude_none=True)):
        said.setdefault("content", "Yes")
        history = [{"role": "user", "content": "Hi"}, said]
        results = [
            {"role": "tool", "tool_call_id": call["id"], "content": "1"}
            for call in said.get("tool_calls") or ()
        ]
        last = results or [{"role": "user", "content": "And?"}]
        body = json.dumps({"model": "m", "messages": [*history, *last]}).encode()
        sent = json.loads(
            Translation(
                codec_of("openai"), codec_of("anthropic"), body,
                Target(model="claude-opus-4-6", official=True), answer_id="x", created=1,
            ).body
        )["messages"][1]["content"]  # fmt: skip
        found = sent if isinstance(sent, list) else []
        assert [block for block in found if block["type"] in kinds] == thought


# --- a provider of OpenAI's API


@st.composite
def completions(draw: st.DrawFn) -> tuple[dict[str, Any], bytes]:
    """Draw a chat completion: plain, and as the chunks it is streamed in."""
    message: dict[str, Any] = {"role": "assistant", "content": draw(st.none() | words)}
    if draw(st.booleans()):
        message["reasoning_content"] = draw(words)
    if draw(st.integers(0, 4)) == 0:
        message["refusal"] = draw(words)
    calls = draw(st.lists(st.tuples(names, objects), max_size=3))
    if calls:
        message["tool_calls"] = [
            {
                "id": f"call_{at}",
                "type": "function",
                "function": {"name": name, "arguments": json.dumps(given_)},
            }
            for at, (name, given_) in enumerate(calls)
        ]
    reasons = ["tool_calls"] if calls else ["stop", "length", "content_filter"]
    reason = draw(st.sampled_from(reasons))
    usage = None
    if draw(st.booleans()):
        read, prompt = draw(st.integers(0, 9)), draw(st.integers(9, 99))
        usage = {
            "prompt_tokens": prompt, "completion_tokens": 5, "total_tokens": prompt + 5,
            "prompt_tokens_details": {"cached_tokens": read},
        }  # fmt: skip
    head = {"id": "chatcmpl-1", "created": 3, "model": "gpt-n"}
    body = {
        **head,
        "object": "chat.completion",
        "choices": [{"index": 0, "message": message, "finish_reason": reason}],
        **({} if usage is None else {"usage": usage}),
    }
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": draw(st.none() | st.just(""))}]
    for field in ("reasoning_content", "content", "refusal"):
        deltas += [{field: each} for each in pieces(draw, message.get(field) or "")]
    deltas += call_deltas(draw, message.get("tool_calls", []))
    early = usage if draw(st.booleans()) else None
    chunks = []
    for delta in deltas:
        choice = {"index": 0, "delta": delta, "finish_reason": None}
        chunks.append({**head, "choices": [choice], "usage": early})
    finish = {"index": 0, "delta": {}, "finish_reason": reason}
    at_once = draw(st.booleans())
    chunks.append({**head, "choices": [finish], "usage": usage if at_once else early})
    if not at_once and usage is not None:
        chunks.append({**head, "choices": [], "usage": usage})
    end = draw(st.sampled_from(["\n\n", "\r\n\r\n"]))
    stream = "".join(f"data: {json.dumps(chunk)}{end}" for chunk in chunks)
    return body, f"{stream}data: [DONE]{end}".encode()


def call_deltas(draw: st.DrawFn, calls: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the pieces of calls, those of one between those of others."""
    begun = 0
    rest: dict[int, list[str]] = {}
    while begun < len(calls) or any(rest.values()):
        open_ = [number for number, left in rest.items() if left]
        if begun < len(calls) and (not open_ or draw(st.booleans())):
            call = calls[begun]
            function = {"name": call["function"]["name"], "arguments": ""}
            piece = {"id": call["id"], "type": "function", "function": function}
            rest[begun] = pieces(draw, call["function"]["arguments"])
            yield {"tool_calls": [{"index": begun, **piece}]}
            begun += 1
        else:
            number = draw(st.sampled_from(open_))
            function = {"arguments": rest[number].pop(0)}
            yield {"tool_calls": [{"index": number, "function": function}]}


def events_of(stream: bytes) -> list[dict[str, Any]]:
    """Return the events of a message; check how the stream lives."""
    blocks = stream.split(b"\n\n")
    assert blocks.pop() == b""
    events = []
    for block in blocks:
        name, _, data = block.partition(b"\ndata: ")
        event = json.loads(data)
        assert name == b"event: " + event["type"].encode()
        events.append(event)
    events = [event for event in events if event["type"] != "ping"]
    kinds = [event["type"] for event in events]
    assert kinds[0] == "message_start"
    assert kinds[-2:] == ["message_delta", "message_stop"]
    middle = events[1:-2]
    open_, begun = None, 0
    for event in middle:
        if event["type"] == "content_block_start":
            assert open_ is None
            assert event["index"] == begun
            open_, begun = event["index"], begun + 1
        else:
            assert event["type"] in {"content_block_delta", "content_block_stop"}
            assert event["index"] == open_
            open_ = None if event["type"] == "content_block_stop" else open_
    assert open_ is None
    return events


def accumulated(events: Sequence[dict[str, Any]]) -> dict[str, Any]:
    snapshot: Any = None
    buffers: dict[int, bytes] = {}
    for event in events:
        snapshot = accumulate_event(
            event=event,  # type: ignore[arg-type]  # the SDK makes its own types of it
            current_snapshot=snapshot,
            json_bufs=buffers,
        )
    found: dict[str, Any] = Message.model_validate(snapshot.model_dump()).model_dump()
    return found


@given(completions(), st.lists(st.integers(0, 10**6), max_size=6))
def test_a_completion_streamed_to_an_anthropic_sdk_is_the_plain_one(
    drawn: tuple[dict[str, Any], bytes], cuts: list[int]
) -> None:
    body, stream = drawn
    done = translation("anthropic", "openai")
    plain = json.loads(done.answer(json.dumps(body).encode()))
    assert not done.dropped
    events = events_of(relayed(done, "openai", stream, cuts))
    folded = present(accumulated(events))
    assert folded == present(Message.model_validate(plain).model_dump())
    for block in plain["content"]:
        assert block["type"] != "thinking" or block["signature"].startswith(FOREIGN_MARK)


@pytest.mark.parametrize("front", ["openai", "anthropic"])
def test_an_answer_without_any_content_is_an_empty_one(front: str) -> None:
    done = translation(front, "anthropic" if front == "openai" else "openai")
    if front == "openai":
        message = {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "n", "content": [],
            "stop_reason": "end_turn", "usage": {"input_tokens": 1, "output_tokens": 0},
        }  # fmt: skip
        plain = json.loads(done.answer(json.dumps(message).encode()))
        assert plain["choices"][0]["message"]["content"] in (None, "")
        assert plain["choices"][0]["finish_reason"] == "stop"
    else:
        choice = {"message": {"role": "assistant", "content": ""}, "finish_reason": "stop"}
        plain = json.loads(done.answer(json.dumps({"choices": [choice]}).encode()))
        assert plain["content"] == []
        assert plain["stop_reason"] == "end_turn"
