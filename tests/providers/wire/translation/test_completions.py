"""Legacy completions, translated: a prompt is what the user says."""

import json
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.wire import WireError
from providers.wire.translation.chat_codec import CHAT_CODEC
from providers.wire.translation.codec import AnswerFrame, Dropped, Target
from providers.wire.translation.completions_codec import COMPLETIONS_CODEC
from providers.wire.translation.conversation import (
    Conversation,
    Image,
    Message,
    Refusal,
    Source,
    Text,
    Thinking,
    ToolCall,
)
from providers.wire.translation.reply import (
    Begun,
    Counted,
    Delta,
    Failed,
    Finished,
    PartBegun,
    PartEnded,
    Reply,
    ReplyEvent,
    ReplyUsage,
    StopReason,
    fold,
)
from providers.wire.translation.translation import Translation

TARGET = Target(model="gpt-6-sol", official=True)


def decoded(**members: object) -> Conversation:
    return COMPLETIONS_CODEC.decode_request(json.dumps({"model": "m", **members}).encode())


def frame(**members: Any) -> AnswerFrame:
    request = Conversation(dialect="completions", model="asked", messages=(), **members)
    return AnswerFrame(request=request, answer_id="xyz", created=99)


@pytest.mark.parametrize("prompt", ["Once", ["Once"]])
def test_a_prompt_is_what_the_user_says(prompt: object) -> None:
    request = decoded(prompt=prompt, max_tokens=5, stop="END", temperature=0.5, user="u")
    assert request == Conversation(
        dialect="completions",
        model="m",
        messages=(Message("user", (Text("Once"),), plain=True),),
        max_tokens=5,
        stop=("END",),
        temperature=0.5,
        user="u",
    )


@pytest.mark.parametrize(
    "members",
    [
        {},
        {"prompt": None},
        {"prompt": ""},
        {"prompt": []},
        {"prompt": ["a", "b"]},
        {"prompt": [1, 2]},
        {"prompt": [5]},
        {"prompt": [[1, 2], [3]]},
        {"prompt": ["a", 1]},
    ],
)
def test_a_prompt_that_cannot_be_said_is_refused(members: dict[str, object]) -> None:
    with pytest.raises(WireError) as raised:
        decoded(**members)
    assert raised.value.param == "prompt"


def test_a_wrong_type_is_refused_by_its_path() -> None:
    with pytest.raises(WireError) as raised:
        decoded(prompt="x", max_tokens="many")
    assert raised.value.param == "max_tokens"


def test_what_a_chat_has_no_place_for_is_named() -> None:
    request = decoded(
        prompt="x", suffix="end", echo=True, best_of=2, n=2, logprobs=3, seed=7, new=1
    )
    encoded = CHAT_CODEC.encode_request(request, TARGET)
    body = json.loads(encoded.body)
    assert sorted(encoded.dropped) == ["best_of", "echo", "logprobs", "n", "suffix"]
    assert body == {
        "model": "gpt-6-sol",
        "messages": [{"role": "user", "content": "x"}],
        "seed": 7,
        "new": 1,
    }


def test_values_that_say_nothing_are_not_named() -> None:
    request = decoded(prompt="x", suffix="", echo=False, best_of=1, n=1, logprobs=None)
    assert request.extras == {}


def test_an_answer_is_a_text_completion() -> None:
    dropped = Dropped()
    reply = Reply(
        id="chatcmpl-1",
        model="claude-1",
        parts=(Thinking("Hm"), Text("Hello"), Text(" you"), Refusal("!"), ToolCall("a", "f")),
        stop="length",
        usage=ReplyUsage(input_tokens=1, output_tokens=2),
    )
    body = json.loads(COMPLETIONS_CODEC.encode_reply(reply, frame(), dropped))
    assert body == {
        "id": "cmpl-xyz",
        "object": "text_completion",
        "created": 99,
        "model": "claude-1",
        "choices": [
            {"text": "Hello you!", "index": 0, "logprobs": None, "finish_reason": "length"}
        ],
        "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3},
    }
    assert sorted(dropped) == ["answer.reasoning", "answer.tool_calls"]


@pytest.mark.parametrize(
    ("stop", "reason"),
    [
        ("end", "stop"),
        ("tool_calls", "stop"),
        ("refusal", "content_filter"),
        ("context_window", "length"),
        (None, "stop"),
    ],
)
def test_every_end_has_its_reason(stop: StopReason | None, reason: str) -> None:
    reply = Reply(id="", model="", stop=stop)
    body = json.loads(COMPLETIONS_CODEC.encode_reply(reply, frame(), Dropped()))
    assert body["choices"][0]["finish_reason"] == reason


def stream(events: Iterable[ReplyEvent], **members: Any) -> bytes:
    encoder = COMPLETIONS_CODEC.stream_encoder(frame(**members))
    return b"".join(encoder.encode([event]) for event in events)


EVENTS: list[ReplyEvent] = [
    Begun("msg_1", "claude-1"),
    PartBegun(0, Thinking()),
    Delta(0, "Hm"),
    PartEnded(0),
    PartBegun(1, Text("")),
    Delta(1, "Hel"),
    Delta(1, "lo"),
    PartEnded(1),
    Counted(ReplyUsage(input_tokens=1, output_tokens=2)),
    Finished("end"),
]


@pytest.mark.parametrize("include_usage", [False, True])
def test_the_official_sdk_reads_a_stream(include_usage: bool) -> None:
    import httpx2
    from openai import DefaultHttpx2Client, OpenAI

    data = stream(EVENTS, include_usage=include_usage)
    assert data.endswith(b"data: [DONE]\n\n")

    def answered(request: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(200, headers={"content-type": "text/event-stream"}, content=data)

    with (
        DefaultHttpx2Client(transport=httpx2.MockTransport(answered)) as http,
        OpenAI(api_key="k", base_url="http://localhost/v1", http_client=http) as client,
        client.completions.create(model="m", prompt="x", stream=True) as chunks,
    ):
        found = list(chunks)
    assert {(each.id, each.model, each.created, each.object) for each in found} == {
        ("cmpl-xyz", "claude-1", 99, "text_completion")
    }
    told = [each for each in found if each.choices]
    assert "".join(each.choices[0].text for each in told) == "Hello"
    # The SDK's type has no place for a chunk that is not the last.
    assert [str(each.choices[0].finish_reason) for each in told] == ["None", "None", "stop"]
    usages = [each.usage.total_tokens for each in found if each.usage is not None]
    assert usages == ([3] if include_usage else [])


def test_an_answer_without_a_word_still_has_its_end() -> None:
    data = stream([Finished("length")])
    assert data.count(b"data: ") == 2
    assert b'"finish_reason":"length"' in data


def test_a_failure_ends_nothing() -> None:
    decoder = COMPLETIONS_CODEC.stream_decoder()
    (failed,) = decoder.event(b"", b'{"error": {"message": "boom"}}')
    assert isinstance(failed, Failed)
    assert failed.error.message == "boom"
    assert decoder.end() == ()
    assert stream([failed]) == b""


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=12)


@given(
    st.fixed_dictionaries(
        {"model": st.just("m"), "prompt": words},
        optional={
            "max_tokens": st.integers(1, 99),
            "temperature": st.floats(0, 2),
            "top_p": st.floats(0, 1),
            "stop": words | st.lists(words, min_size=1, max_size=4),
            "user": words,
            "suffix": words,
            "echo": st.just(value=True),
            "logprobs": st.integers(1, 5),
            "seed": st.integers(),
        },
    )
)
def test_a_request_comes_back_equal(body: dict[str, Any]) -> None:
    request = COMPLETIONS_CODEC.decode_request(json.dumps(body).encode())
    encoded = COMPLETIONS_CODEC.encode_request(request, Target(model="m"))
    assert not list(encoded.dropped)
    assert COMPLETIONS_CODEC.decode_request(encoded.body) == request


@given(
    st.lists(words, max_size=4),
    st.sampled_from(["end", "length", "content_filter"]),
    st.none()
    | st.builds(ReplyUsage, input_tokens=st.integers(0, 9), output_tokens=st.integers(0, 9)),
)
def test_a_stream_and_a_plain_answer_come_back_equal(
    texts: list[str], stop: StopReason, usage: ReplyUsage | None
) -> None:
    text = "".join(texts)
    reply = Reply(
        id="cmpl-1",
        model="m",
        created=5,
        parts=(Text(text),) if text else (),
        stop=stop,
        usage=usage,
    )
    plain = COMPLETIONS_CODEC.encode_reply(reply, frame(), Dropped())
    assert COMPLETIONS_CODEC.decode_reply(plain) == reply
    events: list[ReplyEvent] = [Begun("cmpl-1", "m", created=5)]
    if texts:
        events += [PartBegun(0, Text("")), *(Delta(0, each) for each in texts), PartEnded(0)]
    events.append(Finished(stop, usage=usage))
    decoder = COMPLETIONS_CODEC.stream_decoder()
    heard: list[ReplyEvent] = []
    for block in stream(events, include_usage=True).split(b"\n\n")[:-1]:
        heard += decoder.event(b"", block[6:])
    assert fold(heard) == reply


def test_a_conversation_becomes_a_script() -> None:
    request = Conversation(
        dialect="openai",
        model="m",
        messages=(
            Message("system", (Text("Be brief."),)),
            Message("user", (Text("Hi"),)),
            Message("assistant", (Text("Hello"),)),
            Message("user", (Text("Bye"),)),
        ),
        top_k=3,
    )
    encoded = COMPLETIONS_CODEC.encode_request(request, Target(model="davinci"))
    assert json.loads(encoded.body)["prompt"] == (
        "Be brief.\n\nUser: Hi\n\nAssistant: Hello\n\nUser: Bye\n\nAssistant:"
    )
    assert list(encoded.dropped) == ["top_k"]


def test_pictures_cannot_be_put_into_a_script() -> None:
    message = Message("user", (Image(Source(url="https://e.com/a.png")),))
    request = Conversation(dialect="openai", model="m", messages=(message,))
    with pytest.raises(WireError) as raised:
        COMPLETIONS_CODEC.encode_request(request, Target(model="davinci"))
    assert raised.value.param == "messages[0]"


def test_a_completion_is_asked_of_a_chat_provider_and_answered_as_one() -> None:
    body = json.dumps({"model": "m", "prompt": "Once", "max_tokens": 5, "stream": True}).encode()
    translation = Translation(
        COMPLETIONS_CODEC, CHAT_CODEC, body, Target(model="x"), answer_id="abc", created=9
    )
    assert json.loads(translation.body) == {
        "model": "x",
        "messages": [{"role": "user", "content": "Once"}],
        "max_tokens": 5,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    chunk = {"id": "c", "model": "x", "created": 5, "choices": [{"index": 0, "delta": {}}]}
    said = {**chunk, "choices": [{"index": 0, "delta": {"content": " upon"}}]}
    ended = {**chunk, "choices": [{"index": 0, "delta": {}, "finish_reason": "length"}]}
    streamed = translation.stream()
    out = b"".join(
        streamed.feed(b"data: " + json.dumps(each).encode() + b"\n\n") for each in (chunk, said)
    )
    assert b'"text":" upon"' in out
    last = streamed.finish(b"data: " + json.dumps(ended).encode() + b"\n\ndata: [DONE]\n\n")
    assert b'"finish_reason":"length"' in last
    assert last.endswith(b"data: [DONE]\n\n")


def test_the_rows_name_every_field_of_the_sdk() -> None:
    from openai.types import completion_create_params as params

    names = params.CompletionCreateParamsBase.__annotations__.keys() | {"stream"}
    assert {row.field for row in COMPLETIONS_CODEC.rows()} == names
    for row in COMPLETIONS_CODEC.rows():
        for example in (row.example, row.without):
            COMPLETIONS_CODEC.decode_request(json.dumps(example).encode())
