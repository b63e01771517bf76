"""Streams that break and are continued by another provider, over scripted upstreams."""

import json
from collections.abc import Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from providers.wire.continuation import INSTRUCTION
from runtime.routing.gave_up import GaveUp
from runtime.routing.job import Job
from runtime.routing.plan import Candidate
from runtime.routing.route import Route
from tests.providers import scripted
from tests.providers.scripted import DONE, END, ROLE, STOP, STREAM_HEAD, Call, Script, event
from tests.runtime.routing.rig import Asker, Rig, rig
from tests.support.reading import error_of, events, partial_text, stream_text

SENT = "one two three "
TOOL = {
    "index": 0,
    "id": "call_1",
    "type": "function",
    "function": {"name": "f", "arguments": '{"a":'},
}
USAGE = {"prompt_tokens": 40, "completion_tokens": 5, "total_tokens": 45}


def sends(*pieces: bytes, end: str = "whole") -> Script:
    """Send events; then end as said: whole, cut, silent."""

    async def script(call: Call) -> None:
        await call.send(STREAM_HEAD)
        for piece in pieces:
            await call.send(scripted.chunked(piece))
            await trio.sleep(0.01)
        if end == "whole":
            await call.send(END)
        elif end == "cut":
            await call.hang_up()
        else:
            await call.left()

    return script


def usage(counted: dict[str, int]) -> bytes:
    body = {"id": "c9", "object": "chat.completion.chunk", "choices": [], "usage": counted}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


def rest(text: str) -> Script:
    """Another provider's answer, under another id."""
    told = event(content=text).replace(b'"c1"', b'"c2"')
    return sends(ROLE.replace(b'"c1"', b'"c2"'), told, STOP, usage(USAGE), DONE)


BREAKS = sends(ROLE, event(content=SENT), end="cut")


async def ask(
    made: Rig,
    asker: Asker | None = None,
    *,
    attempts: int = 5,
    resume: bool = True,
    more: Mapping[str, object] | None = None,
) -> Asker:
    asker = asker or Asker()
    candidates = [Candidate(each) for each in made.upstreams]
    route = Route(group="g", order=lambda _now: candidates, max_attempts=attempts, resume=resume)
    job: Job = made.job(stream=True)
    body = {**json.loads(job.request.body), **(more or {})}
    request = msgspec.structs.replace(job.request, body=json.dumps(body).encode())
    try:
        await made.forwarder().forward(msgspec.structs.replace(job, request=request), route, asker)
    finally:
        await wait_all_tasks_blocked()
    return asker


def running(
    folder: Path, *scripts: Script | list[Script], **settings: object
) -> AbstractAsyncContextManager[Rig]:
    names = "abcd"[: len(scripts)]
    servers = [
        scripted.Upstream(folder / name, *(each if isinstance(each, list) else [each]))
        for name, each in zip(names, scripts, strict=True)
    ]
    made = {name: scripted.provider(name, folder / name, **settings) for name in names}
    return rig(made, *servers)


def body_of(made: Rig, server: int, call: int = 0) -> dict[str, object]:
    found: dict[str, object] = json.loads(made.servers[server].calls[call].body)
    return found


async def test_another_provider_goes_on_from_what_was_sent(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "standby.routing")
    async with running(tmp_path, BREAKS, rest("four five")) as made:
        asker = await ask(made, more={"stream_options": {"include_usage": True}, "max_tokens": 100})
        seen = list(events(asker.body))
        assert asker.ended == "complete"
        assert stream_text(seen, "openai") == "one two three four five"
        assert {each.json["id"] for each in seen if each.data != "[DONE]"} == {"c1"}
        assert b": standby: continued by b (attempt 2)\n\n" in asker.body
        totals = [each.json["usage"] for each in seen[:-1] if each.json.get("usage")]
        assert [each["completion_tokens"] for each in totals] == [5 + 4]
        asked = body_of(made, 1)
        assert asked["messages"] == [
            {"role": "user", "content": "hi"},
            {"role": "assistant", "content": "one two three"},
            {"role": "user", "content": INSTRUCTION},
        ]
        assert asked["max_tokens"] == 96
        assert made.kinds() == ["a reset", "b ok"]
        (finished,) = made.finished
        assert finished.ok
        assert (finished.resumed, finished.not_resumed) == (1, None)
        assert finished.provider == "b"
        assert "req_1: the stream of a is continued by b" in caplog.text


async def test_without_the_wish_it_ends_in_an_error(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with running(tmp_path, BREAKS, rest("four")) as made:
        asker = await ask(made, resume=False)
        assert asker.ended == "broken"
        assert asker.error
        assert made.servers[1].calls == []
        assert not made.finished[0].ok


@pytest.mark.parametrize(
    ("pieces", "end", "kind"),
    [
        ([], "cut", "reset"),
        ([], "whole", "broken_stream"),
        ([], "silent", "stall"),
        ([b"data: {nonsense\n\n"], "whole", "broken_stream"),
        ([b'data: {"error": {"message": "broke"}}\n\n'], "whole", "broken_stream"),
    ],
    ids=["cut", "no-end", "silent", "malformed", "error-event"],
)
async def test_whatever_broke_it_the_asker_sees_one_answer(
    pieces: list[bytes], end: str, kind: str, tmp_path: Path, autojump_clock: MockClock
) -> None:
    first = sends(ROLE, event(content=SENT), *pieces, end=end)
    async with running(tmp_path, first, rest("four"), stall_timeout=5.0) as made:
        asker = await ask(made)
        assert stream_text(events(asker.body), "openai") == "one two three four"
        assert made.kinds() == [f"a {kind}", "b ok"]


async def test_a_second_break_is_continued_from_everything_sent(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    second = sends(ROLE, event(content="four "), end="cut")
    async with running(tmp_path, BREAKS, second, rest("five")) as made:
        asker = await ask(made)
        assert stream_text(events(asker.body), "openai") == "one two three four five"
        assert body_of(made, 2)["messages"][1]["content"] == "one two three four"  # type: ignore[index]  # JSON
        assert made.finished[0].resumed == 2


async def test_attempts_are_limited(tmp_path: Path, autojump_clock: MockClock) -> None:
    second = sends(ROLE, event(content="four "), end="cut")
    async with running(tmp_path, BREAKS, second, rest("five")) as made:
        asker = await ask(made, attempts=2)
        assert asker.ended == "broken"
        assert made.servers[2].calls == []
        assert made.finished[0].not_resumed == "nobody"


async def test_one_that_cannot_go_on_is_passed_over(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with running(
        tmp_path, BREAKS, scripted.says(scripted.failing(400)), rest("four")
    ) as made:
        asker = await ask(made)
        assert stream_text(events(asker.body), "openai") == "one two three four"
        assert made.kinds() == ["a reset", "b client_error", "c ok"]


async def test_with_nobody_left_the_stream_is_broken_and_says_why(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with running(tmp_path, BREAKS, scripted.says(scripted.failing(500))) as made:
        asker = await ask(made)
        assert asker.ended == "broken"
        assert asker.error is not None
        assert "nobody could continue the answer: b: the upstream answered 500" in asker.error
        assert partial_text(events(asker.body), "openai") == SENT
        (finished,) = made.finished
        assert not finished.ok
        assert finished.provider == "a"
        assert finished.not_resumed == "nobody"


async def test_the_one_that_broke_is_not_asked_again(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with running(tmp_path, BREAKS) as made:
        asker = await ask(made)
        assert asker.ended == "broken"
        assert len(made.servers[0].calls) == 1


async def test_the_only_provider_goes_on_itself_when_its_task_was_killed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    hangs = sends(ROLE, event(content=SENT), end="silent")
    async with running(tmp_path, [hangs, rest("four")]) as made:
        asker = Asker()

        async def kill() -> None:
            await asker.first.wait()
            made.system.kill("provider:a")

        made.nursery.start_soon(kill)
        await ask(made, asker)
        assert stream_text(events(asker.body), "openai") == "one two three four"
        assert made.kinds() == ["a provider_down", "a ok"]


async def test_those_whose_tasks_are_being_restarted_are_waited_for(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    hangs = sends(ROLE, event(content=SENT), end="silent")
    async with running(tmp_path, [hangs, rest("four")], rest("four")) as made:
        asker = Asker()
        root = made.system.supervisor("root")

        async def stop_all() -> None:
            await asker.first.wait()
            await root.terminate_child("providers")
            await trio.sleep(5)
            await root.restart_child("providers")

        made.nursery.start_soon(stop_all)
        await ask(made, asker)
        assert stream_text(events(asker.body), "openai") == "one two three four"
        assert made.kinds() == ["a provider_down", "b ok"], "another one before the same again"
        assert made.finished[0].ok


async def test_those_whose_tasks_do_not_come_back_are_not_waited_for_longer_than_ten_seconds(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    hangs = sends(ROLE, event(content=SENT), end="silent")
    async with running(tmp_path, hangs, rest("four")) as made:
        asker = Asker()
        stopped: list[float] = []

        async def stop_all() -> None:
            await asker.first.wait()
            stopped.append(trio.current_time())
            await made.system.supervisor("root").terminate_child("providers")

        made.nursery.start_soon(stop_all)
        await ask(made, asker)
        assert trio.current_time() - stopped[0] == pytest.approx(10, abs=0.1)
        assert asker.ended == "broken"
        assert asker.error is not None
        assert asker.error.count("b: its task is being restarted") == 1


async def test_one_whose_task_was_killed_goes_on_again_after_another_one_was_killed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    first = sends(ROLE, event(content=SENT), end="silent")
    second = sends(ROLE, event(content="four "), end="silent")
    async with running(tmp_path, [first, rest("five")], second) as made:
        asker = Asker()

        async def kill() -> None:
            await asker.first.wait()
            made.system.kill("provider:a")
            await trio.sleep(1)
            assert b"four" in asker.body
            made.system.kill("provider:b")

        made.nursery.start_soon(kill)
        await ask(made, asker)
        assert stream_text(events(asker.body), "openai") == "one two three four five"
        assert made.kinds() == ["a provider_down", "b provider_down", "a ok"]


async def test_a_tool_call_cut_in_the_middle_has_sent_nothing_of_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    first = sends(ROLE, event(content=SENT), event(tool_calls=[TOOL]), end="cut")
    call = {**TOOL, "id": "call_2"}
    more = {"index": 0, "function": {"arguments": "1}"}}
    second = sends(
        ROLE,
        event(tool_calls=[call]),
        event(tool_calls=[more]),
        event(finish="tool_calls"),
        DONE,
    )
    async with running(tmp_path, first, second) as made:
        asker = await ask(made)
        assert b"call_1" not in asker.body
        calls = [
            each
            for seen in events(asker.body)
            if seen.data != "[DONE]"
            for choice in seen.json["choices"]
            for each in choice["delta"].get("tool_calls", ())
        ]
        assert calls == [call, more]


async def test_an_answer_of_which_nothing_was_sent_is_begun_anew(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    first = sends(event(role="assistant", tool_calls=[TOOL]), end="cut")
    async with running(tmp_path, first, rest("text")) as made:
        asker = await ask(made)
        assert asker.served == "b"
        assert b": standby" not in asker.body
        assert stream_text(events(asker.body), "openai") == "text"
        assert len(body_of(made, 1)["messages"]) == 1  # type: ignore[arg-type]  # JSON
        assert made.finished[0].resumed == 0


async def test_nothing_sent_and_nobody_left_is_a_plain_refusal(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    first = sends(event(role="assistant", tool_calls=[TOOL]), end="cut")
    async with running(tmp_path, first) as made:
        asker = Asker()
        with pytest.raises(GaveUp):
            await ask(made, asker)
        assert not asker.served
        assert made.finished[0].status == 502


async def test_an_answer_that_lacks_only_its_end_is_given_one(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    first = sends(ROLE, event(content=SENT), STOP, end="cut")
    async with running(tmp_path, first, rest("four")) as made:
        asker = await ask(made)
        assert asker.ended == "complete"
        assert stream_text(events(asker.body), "openai") == SENT
        assert made.servers[1].calls == []
        assert made.finished[0].ok


async def test_reasoning_before_the_text_is_not_told_twice(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    first = sends(ROLE, event(reasoning_content="hm"), end="cut")
    second = sends(ROLE, event(reasoning_content="well"), event(content="yes"), STOP, DONE)
    async with running(tmp_path, first, second) as made:
        asker = await ask(made)
        assert stream_text(events(asker.body), "openai") == "yes"
        assert b"hm" in asker.body
        assert b"well" not in asker.body
        assert len(body_of(made, 1)["messages"]) == 1  # type: ignore[arg-type]  # JSON


@pytest.mark.parametrize(
    ("reason", "more"),
    [
        ("choices", {"n": 2}),
        ("audio", {"modalities": ["text", "audio"]}),
        ("structured_output", {"response_format": {"type": "json_object"}}),
        ("logprobs", {"logprobs": True}),
        ("server_tools", {"web_search_options": {}}),
    ],
)
async def test_what_cannot_be_joined_ends_in_an_error(
    reason: str, more: dict[str, object], tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with running(tmp_path, BREAKS, rest("four")) as made:
        asker = await ask(made, more=more)
        assert asker.ended == "broken"
        assert asker.error
        assert made.servers[1].calls == []
        assert made.finished[0].not_resumed == reason


async def test_a_refusal_under_way_is_not_continued(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    first = sends(ROLE, event(refusal="I can"), end="cut")
    async with running(tmp_path, first, rest("four")) as made:
        asker = await ask(made)
        assert asker.ended == "broken"
        assert made.finished[0].not_resumed == "refusal"


async def test_an_error_event_that_ends_it_all_is_passed_on(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    told = b'data: {"error": {"message": "broke", "type": "server_error"}}\n\n'
    async with running(tmp_path, sends(ROLE, event(content=SENT), told)) as made:
        asker = await ask(made)
        assert asker.ended == "broken"
        assert asker.error is None
        error = error_of(events(asker.body), "openai")
        assert error is not None
        assert error["message"] == "broke"


async def test_one_that_is_never_to_go_on_is_not_asked(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with running(tmp_path, BREAKS, rest("four"), resume_style="never") as made:
        asker = await ask(made)
        assert asker.ended == "broken"
        assert made.servers[1].calls == []


async def test_a_server_that_continues_a_message_is_asked_to(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with running(tmp_path, BREAKS, rest(" four"), resume_style="prefill") as made:
        asker = await ask(made)
        assert stream_text(events(asker.body), "openai") == "one two three four"
        asked = body_of(made, 1)
        assert asked["continue_final_message"] is True
        assert asked["add_generation_prompt"] is False
        assert len(asked["messages"]) == 2  # type: ignore[arg-type]  # JSON
