"""Streams of upstreams with strange habits: what of them is joined, translated, and told."""

import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from runtime.routing.gave_up import GaveUp
from runtime.routing.plan import Candidate
from runtime.routing.route import Route
from tests.providers import scripted
from tests.providers.scripted import DONE, END, ROLE, STOP, STREAM_HEAD, Call, Script, event
from tests.runtime.routing.rig import Asker, Rig, rig
from tests.support.answers import (
    anthropic_answer,
    anthropic_closing,
    anthropic_event,
    anthropic_opening,
    anthropic_tokens,
    request_body,
)
from tests.support.reading import events, partial_text, stream_text

SENT = "one two three "
USAGE = {"prompt_tokens": 140, "completion_tokens": 5, "total_tokens": 145}
FAILED = b"event: error\ndata: Internal Server Error\n\n"


def sends(*pieces: bytes, cut: bool = False) -> Script:
    """Send events, one after the other; then the end, or hang up."""

    async def script(call: Call) -> None:
        await call.send(STREAM_HEAD)
        for piece in pieces:
            await call.send(scripted.chunked(piece))
            await trio.sleep(0.01)
        if cut:
            await call.hang_up()
        else:
            await call.send(END)

    return script


def usage(counted: Mapping[str, int]) -> bytes:
    body = {"id": "c9", "object": "chat.completion.chunk", "choices": [], "usage": counted}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def rest(text: str) -> Script:
    return sends(ROLE, event(content=text), STOP, usage(USAGE), DONE)


def running(folder: Path, *scripts: Script) -> AbstractAsyncContextManager[Rig]:
    names = "abcd"[: len(scripts)]
    servers = [
        scripted.Upstream(folder / name, each) for name, each in zip(names, scripts, strict=True)
    ]
    return rig({name: scripted.provider(name, folder / name) for name in names}, *servers)


async def ask(made: Rig, *, dialect: str = "openai", resume: bool = True, **more: object) -> Asker:
    asker = Asker()
    candidates = [Candidate(each) for each in made.upstreams]
    route = Route(group="g", order=lambda _now: candidates, max_attempts=5, resume=resume)
    job = made.job(stream=True)
    body = request_body(dialect, scripted.MODEL, stream=True, **more)
    request = msgspec.structs.replace(job.request, body=json.dumps(body).encode(), dialect=dialect)
    job = msgspec.structs.replace(job, request=request, dialect=dialect)
    try:
        await made.forwarder().forward(job, route, asker)
    finally:
        await wait_all_tasks_blocked()
    return asker


def body_of(made: Rig, server: int) -> dict[str, object]:
    found: dict[str, object] = json.loads(made.servers[server].calls[0].body)
    return found


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
async def test_a_stream_that_fails_in_words_is_continued(
    dialect: str, tmp_path: Path, autojump_clock: MockClock
) -> None:
    first = sends(ROLE, event(content=SENT), FAILED)
    async with running(tmp_path, first, rest("four")) as made:
        asker = await ask(made, dialect=dialect)
        assert asker.ended == "complete"
        assert stream_text(events(asker.body), dialect) == "one two three four"
        assert made.kinds() == ["a broken_stream", "b ok"]


async def test_text_that_comes_in_a_list_of_parts_is_joined_with_the_rest(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    def parts(text: str, kind: str = "text") -> bytes:
        inner = text if kind == "text" else [{"type": "text", "text": text}]
        return event(content=[{"type": kind, kind: inner}])

    first = sends(ROLE, parts("hm", "thinking"), parts(SENT), cut=True)
    second = sends(
        ROLE, parts("well", "thinking"), parts("four "), event(content="five"), STOP, DONE
    )
    async with running(tmp_path, first, second) as made:
        asker = await ask(made)
        assert asker.ended == "complete"
        told = body_of(made, 1)["messages"]
        assert isinstance(told, list)
        assert told[1] == {"role": "assistant", "content": SENT.rstrip()}
        texts = ""
        for each in list(events(asker.body))[:-1]:
            for choice in each.json["choices"]:
                content = choice["delta"].get("content") or ""
                if isinstance(content, list):
                    content = "".join(part.get("text", "") for part in content)
                texts += content
        assert texts == "one two three four five"
        assert b"hm" in asker.body
        assert b"well" not in asker.body


async def test_thoughts_in_a_list_of_parts_are_told_by_the_first_provider_only(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    def thought(text: str) -> bytes:
        return event(content=[{"type": "thinking", "thinking": [{"type": "text", "text": text}]}])

    first = sends(ROLE, thought("hm"), cut=True)
    second = sends(ROLE, thought("well"), event(content="yes"), STOP, DONE)
    async with running(tmp_path, first, second) as made:
        asker = await ask(made)
        assert asker.ended == "complete"
        assert b"hm" in asker.body
        assert b"well" not in asker.body
        assert b'"yes"' in asker.body


async def test_a_joined_message_counts_the_prompt_though_its_first_provider_never_did(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    first = sends(ROLE, event(content=SENT), cut=True)
    async with running(tmp_path, first, rest("four")) as made:
        asker = await ask(made, dialect="anthropic")
        seen = list(events(asker.body))
        assert stream_text(seen, "anthropic") == "one two three four"
        (last,) = [each.json["usage"] for each in seen if each.name == "message_delta"]
        assert 0 < last["input_tokens"] < USAGE["prompt_tokens"]
        assert last["output_tokens"] == USAGE["completion_tokens"] + 4


@pytest.mark.parametrize("resume", [False, True])
async def test_what_cannot_be_translated_after_the_first_token_is_never_asked_again(
    resume: bool, tmp_path: Path, autojump_clock: MockClock
) -> None:
    """An event that the translation gives up on, and a malformed one, in one read."""
    vast = (
        b'event: content_block_start\ndata: {"type":"content_block_start","index":1,"x":1e400}\n\n'
    )
    start = {"id": "m1", "type": "message", "role": "assistant", "model": "m", "content": []}

    def told(kind: str, **data: object) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **data})}\n\n".encode()

    first = sends(
        told("message_start", message={**start, "usage": {"input_tokens": 3, "output_tokens": 1}}),
        told("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        told("content_block_delta", index=0, delta={"type": "text_delta", "text": SENT}),
        vast + b"data: {nonsense\n\n",
    )
    folder = tmp_path
    servers = [
        scripted.Upstream(folder / "a", first),
        scripted.Upstream(folder / "b", rest("four")),
    ]
    made_of = {
        "a": scripted.provider("a", folder / "a", kind="anthropic"),
        "b": scripted.provider("b", folder / "b"),
    }
    async with rig(made_of, *servers) as made:
        asker = await ask(made, resume=resume)
        seen = list(events(asker.body))
        if resume:
            assert stream_text(seen, "openai") == "one two three four"
        else:
            assert asker.ended == "broken"
            assert asker.error is not None
            assert partial_text(seen, "openai") == SENT
            assert made.servers[1].calls == []
        assert made.kinds()[0] == "a broken_stream"


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize(
    "failed",
    [
        b'data: {"object": "error", "message": "engine died", "code": 500}\n\n',
        b"event: error\ndata: engine died\n\n",
        b'event: error\ndata: {"message": "engine died"}\n\n',
    ],
)
async def test_an_error_that_no_sdk_knows_is_told_in_the_askers_own_way(
    failed: bytes, dialect: str, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with running(tmp_path, sends(ROLE, event(content=SENT), failed)) as made:
        asker = await ask(made, dialect=dialect, resume=False)
        assert asker.ended == "broken"
        assert asker.error == "engine died"
        assert partial_text(events(asker.body), dialect) == SENT
        assert b"engine died" not in asker.body


async def test_an_error_that_sdks_know_is_told_once_and_as_it_came(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    failed = b'data: {"error": {"message": "engine died", "type": "server_error"}}\n\n'
    async with running(tmp_path, sends(ROLE, event(content=SENT), failed)) as made:
        asker = await ask(made, resume=False)
        assert asker.ended == "broken"
        assert asker.error is None
        assert asker.body.endswith(failed)


@pytest.mark.parametrize("known", [True, False])
async def test_a_key_that_an_error_in_mid_stream_repeats_is_shown_nowhere(
    *, known: bool, tmp_path: Path, autojump_clock: MockClock
) -> None:
    key = "sk-not-to-be-seen"
    said = f"{key} has expired"
    error = json.dumps({"error": {"message": said}})
    failed = f"data: {error}\n\n" if known else f"event: error\ndata: {said}\n\n"
    server = scripted.Upstream(
        tmp_path / "a", sends(ROLE, event(content=SENT), event(content=key), failed.encode())
    )
    keyed = scripted.provider("a", tmp_path / "a", api_key=key)
    async with rig({"a": keyed}, server) as made:
        asker = await ask(made, resume=False)
        told = asker.body.decode().split(key, 1)[1] + (asker.error or "")
        assert "*** has expired" in told
        assert key not in told, "what a model says is the asker's, whatever it is"
        shown = repr(made.system.snapshot())
        assert "*** has expired" in shown
        assert key not in shown


async def test_structured_output_that_lacks_only_its_end_is_given_one(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    first = sends(ROLE, event(content="{}"), STOP, cut=True)
    async with running(tmp_path, first, rest("four")) as made:
        asker = await ask(made, response_format={"type": "json_object"})
        assert asker.ended == "complete"
        assert stream_text(events(asker.body), "openai") == "{}"
        assert made.servers[1].calls == []


async def test_one_finished_choice_of_two_is_not_the_whole(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    first = sends(ROLE, event(content="x"), STOP, cut=True)
    async with running(tmp_path, first, rest("four")) as made:
        asker = await ask(made, n=2)
        assert asker.ended == "broken"
        assert made.finished[0].not_resumed == "choices"


ODD_BLOCKS = [
    pytest.param({"type": "text", "text": 7}, id="text"),
    pytest.param({"type": "tool_use", "id": None, "name": "f", "input": {}}, id="call"),
    pytest.param({"type": []}, id="type"),
]


def odd_and_good(folder: Path, odd: Script) -> AbstractAsyncContextManager[Rig]:
    """One whose answers are translated for an asker of OpenAI's API, and one whose need not be."""
    servers = [scripted.Upstream(folder / "a", odd), scripted.Upstream(folder / "b")]
    made_of = {
        "a": scripted.provider("a", folder / "a", kind="anthropic"),
        "b": scripted.provider("b", folder / "b"),
    }
    return rig(made_of, *servers)


@pytest.mark.parametrize("whole", [False, True], ids=["begun", "whole"])
@pytest.mark.parametrize("block", ODD_BLOCKS)
async def test_a_streamed_answer_that_cannot_be_translated_is_failed_over_unseen(
    block: Mapping[str, object], whole: bool, tmp_path: Path, autojump_clock: MockClock
) -> None:
    begun = anthropic_event("content_block_start", {"index": 0, "content_block": block})
    told = [*anthropic_opening()[:1], begun, *anthropic_tokens()]
    odd = sends(b"".join([*told, *anthropic_closing()] if whole else told))
    async with odd_and_good(tmp_path, odd) as made:
        asker = await ask(made, resume=False)
        assert stream_text(events(asker.body), "openai") == "hello"
        assert made.kinds() == ["a bad_answer", "b ok"]


@pytest.mark.parametrize("block", ODD_BLOCKS)
async def test_a_plain_answer_that_cannot_be_translated_is_failed_over(
    block: Mapping[str, object], tmp_path: Path, autojump_clock: MockClock
) -> None:
    answer = {**anthropic_answer(), "content": [block]}
    odd = scripted.says(scripted.plain(json.dumps(answer).encode()))
    async with odd_and_good(tmp_path, odd) as made:
        asker = await made.ask()
        assert json.loads(asker.body)["choices"][0]["message"]["content"] == "hello"
        assert made.kinds() == ["a bad_answer", "b ok"]


@pytest.mark.parametrize("block", ODD_BLOCKS)
async def test_what_cannot_be_translated_in_mid_stream_ends_it_in_an_error(
    block: Mapping[str, object], tmp_path: Path, autojump_clock: MockClock
) -> None:
    odd = sends(
        *anthropic_opening(),
        *anthropic_tokens([SENT]),
        anthropic_event("content_block_start", {"index": 1, "content_block": block}),
        *anthropic_closing(),
    )
    async with odd_and_good(tmp_path, odd) as made:
        asker = await ask(made, resume=False)
        assert asker.ended == "broken"
        assert asker.error is not None
        assert partial_text(events(asker.body), "openai") == SENT
        assert made.kinds() == ["a broken_stream"]


async def test_a_refusal_that_never_ends_is_not_gathered_for_ever(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async def goes_on(call: Call) -> None:
        await call.send(STREAM_HEAD + scripted.chunked(event(finish="content_filter")))
        for _ in range(5):
            await call.send(scripted.chunked(b": still there\n\n" * 5000))
        await call.left()

    servers = [scripted.Upstream(tmp_path / "a", goes_on), scripted.Upstream(tmp_path / "b")]
    made_of = {name: scripted.provider(name, tmp_path / name) for name in "ab"}
    async with rig(made_of, *servers) as made:
        asker = await made.ask(
            Candidate("a", fallback_on=frozenset({"content_filter"})), "b", stream=True
        )
        assert stream_text(events(asker.body), "openai") == "hello"
        assert made.kinds() == ["a bad_answer", "b ok"]


async def test_a_message_that_stops_without_saying_why_has_all_its_text(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The text that may repeat what was sent is held back, and must not be forgotten."""
    first = sends(*anthropic_opening(), *anthropic_tokens(["one two three four "]), cut=True)
    rest = sends(
        *anthropic_opening(), *anthropic_tokens(["one two"]), anthropic_event("message_stop", {})
    )
    servers = [scripted.Upstream(tmp_path / "a", first), scripted.Upstream(tmp_path / "b", rest)]
    made_of = {name: scripted.provider(name, tmp_path / name, kind="anthropic") for name in "ab"}
    async with rig(made_of, *servers) as made:
        asker = await ask(made, dialect="anthropic")
        assert stream_text(events(asker.body), "anthropic") == "one two three four one two"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_that_was_kept_and_cannot_be_translated_is_a_failure(
    stream: bool, tmp_path: Path, autojump_clock: MockClock
) -> None:
    block = {"type": "text", "text": 7}
    whole = {**anthropic_answer(), "content": [block], "stop_reason": "refusal"}
    told = [
        anthropic_opening()[0],
        anthropic_event("content_block_start", {"index": 0, "content_block": block}),
        anthropic_event("message_delta", {"delta": {"stop_reason": "refusal"}}),
        anthropic_event("message_stop", {}),
    ]
    plain = scripted.says(scripted.plain(json.dumps(whole).encode()))
    server = scripted.Upstream(tmp_path / "a", sends(b"".join(told)) if stream else plain)
    made_of = {"a": scripted.provider("a", tmp_path / "a", kind="anthropic")}
    async with rig(made_of, server) as made:
        asker = Asker()
        with pytest.raises(GaveUp):
            await made.ask(
                Candidate("a", fallback_on=frozenset({"content_filter"})),
                stream=stream,
                asker=asker,
            )
        assert not asker.served
        assert not made.finished[0].ok
