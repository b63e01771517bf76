"""A request of a program's: what its function hears, and what it means for the upstream."""

from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from providers.wire import Usage
from runtime.configuration import GroupConfig, GroupMember, GroupTimeoutsConfig
from runtime.in_process import (
    ChatError,
    ChatRequest,
    DeltaText,
    Done,
    Error,
    Metadata,
    RequestError,
)
from tests.providers import scripted
from tests.runtime.in_process.rig import Heard, kind_of, rig, streams

BOTH = pytest.mark.parametrize("name", ["a", "c"])


@BOTH
async def test_text_comes_piece_by_piece_and_done_comes_last(tmp_path: Path, name: str) -> None:
    async with rig(tmp_path, {name: [streams(kind_of(name), "one ", "two")]}) as made:
        heard = Heard()
        done = await made.standby.stream_chat("hi", heard)
    assert isinstance(heard[0], Metadata)
    assert (heard[0].provider, heard[0].attempts) == (name, 1)
    assert [e.text for e in heard if isinstance(e, DeltaText)] == ["one ", "two"]
    assert heard[-1] is done
    assert done.finish_reason == ("stop" if name == "a" else "end_turn")


@BOTH
async def test_every_piece_is_heard_before_the_next_one_is_sent(
    tmp_path: Path, name: str, autojump_clock: MockClock
) -> None:
    """The upstream waits a second between tokens; each is heard at its own second."""
    whole = streams(kind_of(name), "a", "b", "c")
    sent: list[bytes] = []

    async def slowly(call: scripted.Call) -> None:
        class Slow:
            async def send(self, data: bytes) -> None:
                sent.append(data)

        await whole(Slow())  # type: ignore[arg-type]  # all that the script needs of a call
        head, _, rest = b"".join(sent).partition(b"\r\n\r\n")
        await call.send(head + b"\r\n\r\n")
        for line in rest.split(b"\n\n\r\n"):
            if line:
                await trio.sleep(1)
                await call.send(line + (b"" if line == scripted.END else b"\n\n\r\n"))

    seconds = []

    def on_event(event: object) -> None:
        if isinstance(event, DeltaText):
            seconds.append(round(trio.current_time() - begun))

    async with rig(tmp_path, {name: [slowly]}) as made:
        begun = trio.current_time()
        await made.standby.stream_chat("hi", on_event)
    assert len(seconds) == 3
    assert seconds == list(range(seconds[0], seconds[0] + 3))


@pytest.mark.parametrize(("first", "second"), ["ab", "cd"])
async def test_the_next_provider_answers_when_the_first_fails(
    tmp_path: Path, first: str, second: str
) -> None:
    dialect = kind_of(first)
    async with rig(
        tmp_path,
        {first: [scripted.says(scripted.failing(503))], second: [streams(dialect, "x")]},
    ) as made:
        heard = Heard()
        await made.standby.providers.chat_with_failover("g", "hi", heard)
        assert heard.text == "x"
        assert isinstance(heard[0], Metadata)
        assert (heard[0].provider, heard[0].attempts) == (second, 2)
        assert made.calls(first) == 1


@BOTH
async def test_a_stream_that_breaks_ends_with_an_error_and_never_with_done(
    tmp_path: Path, name: str
) -> None:
    broken = streams(kind_of(name), "some ", "text", ending=False)
    async with rig(tmp_path, {name: [broken], name.upper(): []}) as made:
        heard = Heard()
        with pytest.raises(ChatError) as failed:
            await made.standby.stream_chat("hi", heard, provider=name)
    assert heard.text == "some text"
    assert heard[-1] is failed.value.event
    assert isinstance(heard[-1], Error)
    assert heard[-1].provider == name
    assert not any(isinstance(event, Done) for event in heard)


async def test_when_nobody_answers_the_error_says_what_became_of_each(tmp_path: Path) -> None:
    async with rig(
        tmp_path,
        {
            "a": [scripted.says(scripted.failing(429, b"retry-after: 70\r\n"))],
            "b": [scripted.says(scripted.failing(401))],
        },
    ) as made:
        heard = Heard()
        with pytest.raises(ChatError, match=r"a: .*429.*b: .*401"):
            await made.standby.stream_chat("hi", heard)
    (error,) = heard
    assert isinstance(error, Error)
    assert (error.provider, error.status, error.kind) == ("b", 502, "account")
    assert error.retry_after is not None
    assert 29 <= error.retry_after <= 60, "b, now set aside, is tried again sooner than a"


async def test_an_upstreams_refusal_keeps_its_status_and_words(tmp_path: Path) -> None:
    refused = scripted.says(scripted.failing(422, message="max_tokens is too large"))
    async with rig(tmp_path, {"a": [refused]}) as made:
        with pytest.raises(ChatError, match="max_tokens is too large") as failed:
            await made.standby.stream_chat("hi", Heard())
    assert (failed.value.event.kind, failed.value.event.status) == ("client_error", 422)


async def test_an_exception_of_the_function_cancels_the_request_and_is_raised(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    left = trio.Event()

    async def endless(call: scripted.Call) -> None:
        await call.send(scripted.STREAM_HEAD + scripted.chunked(scripted.ROLE + scripted.HELLO))
        await call.left()
        left.set()

    def on_event(event: object) -> None:
        if isinstance(event, DeltaText):
            raise LookupError("enough")  # noqa: TRY004 - not about the event's type

    async with rig(tmp_path, {"a": [endless, streams("openai", "again")]}) as made:
        with pytest.raises(LookupError, match="enough"):
            await made.standby.stream_chat("hi", on_event)
        with trio.fail_after(5):
            await left.wait()
        await trio.sleep(1)  # counts are published now and then
        metrics = made.standby.providers.get_metrics()
        assert (metrics.cancelled, metrics.failed) == (1, 0)
        assert made.standby.adapter.get_provider_health("a")["circuit_state"] == "closed"
        assert (await made.standby.chat("hi")).text == "again"


async def test_an_exception_at_the_very_last_event_is_raised_too(tmp_path: Path) -> None:
    def on_event(event: object) -> None:
        if isinstance(event, Done):
            raise LookupError("late")  # noqa: TRY004 - not about the event's type

    async with rig(tmp_path, {"a": []}) as made:
        with pytest.raises(LookupError, match="late"):
            await made.standby.stream_chat("hi", on_event)


async def test_cancelling_the_asker_cancels_the_upstream_request(tmp_path: Path) -> None:
    left = trio.Event()

    async def silent(call: scripted.Call) -> None:
        await call.left()
        left.set()

    async with rig(tmp_path, {"a": [silent]}) as made:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(made.standby.stream_chat, "hi", Heard())
            await wait_all_tasks_blocked(0.05)
            assert made.calls("a") == 1
            nursery.cancel_scope.cancel()
        with trio.fail_after(5):
            await left.wait()


async def test_an_async_function_is_awaited_and_holds_the_upstream_back(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A megabyte a token: far more than sockets hold, so an upstream that runs ahead is seen."""
    sent = 0

    async def floods(call: scripted.Call) -> None:
        nonlocal sent
        await call.send(scripted.STREAM_HEAD + scripted.chunked(scripted.ROLE))
        for _ in range(20):
            await call.send(scripted.chunked(scripted.event(content="x" * 1_000_000)))
            sent += 1
        await call.send(scripted.chunked(scripted.STOP + scripted.DONE) + scripted.END)

    ahead = []
    heard = 0

    async def on_event(event: object) -> None:
        nonlocal heard
        if isinstance(event, DeltaText):
            await trio.sleep(1)
            heard += 1
            ahead.append(sent - heard)

    async with rig(tmp_path, {"a": [floods]}) as made:
        await made.standby.stream_chat("hi", on_event)
    assert heard == 20
    assert max(ahead) <= 8


async def test_a_function_that_takes_longer_than_the_request_may_is_ended(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    heard = Heard()

    async def on_event(event: Any) -> None:
        heard(event)
        if isinstance(event, DeltaText):
            await trio.sleep_forever()

    async with rig(tmp_path, {"a": []}) as made:
        begun = trio.current_time()
        with pytest.raises(ChatError, match="time was up") as failed:
            await made.standby.stream_chat("hi", on_event, timeout=3)
        assert trio.current_time() - begun == pytest.approx(3, abs=0.1)
    assert failed.value.event.kind == "deadline"
    assert isinstance(heard[-1], Error)


async def test_a_timeout_bounds_the_request(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with rig(tmp_path, {"a": [scripted.silent]}) as made:
        begun = trio.current_time()
        with pytest.raises(ChatError) as failed:
            await made.standby.stream_chat("hi", Heard(), timeout=2)
        assert trio.current_time() - begun == pytest.approx(2, abs=0.5)
    assert failed.value.event.kind == "deadline"


async def test_many_tasks_ask_at_the_same_time(tmp_path: Path) -> None:
    async def echoes(call: scripted.Call) -> None:
        asked = call.body.partition(b'"content":"')[2].partition(b'"')[0].decode()
        await streams("openai", asked)(call)

    async with rig(tmp_path, {"a": [echoes]}) as made:
        texts: dict[int, str] = {}

        async def ask(number: int) -> None:
            texts[number] = (await made.standby.chat(f"number {number}")).text

        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(ask, number)
    assert texts == {number: f"number {number}" for number in range(50)}


@pytest.mark.parametrize(
    ("request_", "options", "said", "status"),
    [
        ("hi", {"model": "nope"}, "unknown model 'nope'", 404),
        ("hi", {"provider": "nope"}, "there is no provider 'nope'", 404),
        ({"messages": []}, {}, "messages", 400),
        ("hi", {"headers": {"x": "a\nb"}}, "header 'x'", 400),
    ],
)
async def test_a_request_that_nobody_can_be_asked_is_refused_and_nothing_is_heard(
    tmp_path: Path, request_: Any, options: dict[str, Any], said: str, status: int
) -> None:
    async with rig(tmp_path, {"a": []}) as made:
        heard = Heard()
        with pytest.raises(RequestError, match=said) as refused:
            await made.standby.stream_chat(request_, heard, **options)
        assert (refused.value.status, heard, made.calls("a")) == (status, [], 0)


async def test_headers_and_fields_reach_the_upstream(tmp_path: Path) -> None:
    async with rig(tmp_path, {"c": []}) as made:
        request = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 7, "top_k": 3}
        await made.standby.chat(request, headers={"Anthropic-Beta": "new"}, model="m-1")
        (call,) = made.upstreams["c"].calls
    assert (b"anthropic-beta", b"new") in call.headers
    assert b'"top_k":3' in call.body
    assert b'"model":"m-1"' in call.body


@BOTH
async def test_a_plain_answer_has_the_text_of_the_streamed_one(tmp_path: Path, name: str) -> None:
    import json

    from tests.support.answers import TEXT, WORDS, answer

    dialect = kind_of(name)
    plain = scripted.says(scripted.plain(json.dumps(answer(dialect)).encode()))
    async with rig(tmp_path, {name: [plain, streams(dialect, *WORDS)]}) as made:
        request = {"messages": [{"role": "user", "content": "hi"}], "stream": False}
        whole = await made.standby.chat(request)
        streamed = await made.standby.chat("hi")
    assert whole.text == streamed.text == TEXT
    assert whole.usage is not None


async def test_chat_returns_the_whole_answer_with_its_facts(tmp_path: Path) -> None:
    async with rig(tmp_path, {"c": []}) as made:
        reply = await made.standby.chat(messages=[{"role": "user", "content": "hi"}])
        same = await made.standby.chat(ChatRequest(messages=[{"role": "user", "content": "hi"}]))
    assert (reply.text, reply.provider, reply.model, reply.attempts) == ("hello", "c", "m-1", 1)
    assert reply.finish_reason == "end_turn"
    assert isinstance(reply.usage, Usage)
    assert same.text == "hello"


async def test_chat_wants_a_request_or_messages(tmp_path: Path) -> None:
    async with rig(tmp_path, {"a": []}) as made:
        with pytest.raises(TypeError, match="one of them"):
            await made.standby.chat()
        with pytest.raises(TypeError, match="one of them"):
            await made.standby.chat("hi", messages=[{"role": "user", "content": "hi"}])


async def test_a_group_and_a_provider_of_it_can_be_wished_for(tmp_path: Path) -> None:
    async with rig(tmp_path, {"a": [], "b": []}) as made:
        heard = Heard()
        await made.standby.stream_chat("hi", heard, group="g", provider="b")
        await made.standby.stream_chat("hi", Heard(), group="g")
        with pytest.raises(RequestError, match="unknown group 'gg'; did you mean 'g'"):
            await made.standby.stream_chat("hi", heard, group="gg")
        with pytest.raises(RequestError, match="max_attempts must be at least 1"):
            await made.standby.stream_chat("hi", heard, max_attempts=0)
        assert (made.calls("a"), made.calls("b")) == (1, 1)


@pytest.mark.parametrize(
    ("wishes", "asked"),
    [({"failover": False}, (2, 0)), ({"max_attempts": 1}, (1, 0)), ({}, (1, 1))],
)
async def test_stand_ins_and_attempts_can_be_done_without(
    tmp_path: Path, autojump_clock: MockClock, wishes: dict[str, Any], asked: tuple[int, int]
) -> None:
    broken = scripted.says(scripted.failing(500))
    async with rig(tmp_path, {"a": [broken], "b": []}) as made:
        wishes = {"max_attempts": 2, **wishes}
        if asked[1]:
            await made.standby.stream_chat("hi", Heard(), **wishes)
        else:
            with pytest.raises(ChatError):
                await made.standby.stream_chat("hi", Heard(), **wishes)
        assert (made.calls("a"), made.calls("b")) == asked


async def test_a_groups_own_time_counts_and_is_named(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    members = (GroupMember(provider="a", model=scripted.MODEL),)
    groups = {"g": GroupConfig(members=members, timeouts=GroupTimeoutsConfig(total=3.0))}
    async with rig(tmp_path, {"a": [scripted.silent]}, groups=groups) as made:
        began = trio.current_time()
        with pytest.raises(ChatError, match=r"all of the request's 3 s, timeouts.total of group g"):
            await made.standby.stream_chat("hi", Heard(), timeout=60)
        assert 3 <= trio.current_time() - began < 3.5
        with pytest.raises(ChatError, match=r"all of the request's 2 s, timeout\)"):
            await made.standby.stream_chat("hi", Heard(), timeout=2)
