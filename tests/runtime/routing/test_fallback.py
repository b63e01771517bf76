"""Refusals that a group carries on to its next member, and attempts that are counted exactly."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from providers.failures import Failure
from runtime.routing.gave_up import GaveUp
from runtime.routing.plan import Candidate
from runtime.routing.refused import Wider
from runtime.routing.verdicts import Fallback, status_of
from tests.providers import scripted
from tests.providers.scripted import (
    DONE,
    END,
    HELLO,
    ROLE,
    STREAM_HEAD,
    chunked,
    event,
    failing,
    plain,
    says,
)
from tests.runtime.routing.rig import Asker, Rig, rig, two

TOO_LONG = failing(400, code="context_length_exceeded")
UNKNOWN = failing(404, code="model_not_found")
FILTERED = failing(400, code="content_filter")
REFUSED = plain(scripted.ANSWER.replace(b'"stop"', b'"content_filter"'))
CUT = ROLE + event(finish="content_filter") + DONE
REFUSED_STREAM = STREAM_HEAD + chunked(CUT) + END


def member(name: str, *conditions: Fallback, window: int | None = None) -> Candidate:
    return Candidate(name, context_window=window, fallback_on=frozenset(conditions))


@asynccontextmanager
async def many(folder: Path, **scripts: scripted.Script) -> AsyncIterator[Rig]:
    servers = [scripted.Upstream(folder / name, script) for name, script in scripts.items()]
    made = {name: scripted.provider(name, folder / name) for name in scripts}
    async with rig(made, *servers) as running:
        yield running


@pytest.mark.parametrize(
    ("said", "condition", "kind"),
    [
        (UNKNOWN, "model_not_found", "model_not_found"),
        (FILTERED, "content_filter", "content_filter"),
        (REFUSED, "content_filter", "content_filter"),
        (TOO_LONG, "context_too_long", "context_too_long"),
    ],
)
async def test_a_refusal_goes_to_the_next_member_where_the_group_says_so(
    tmp_path: Path, autojump_clock: MockClock, said: bytes, condition: Fallback, kind: str
) -> None:
    async with two(tmp_path, says(said), scripted.answers) as running:
        first = member("a", condition, window=8_000)
        asker = await running.ask(first, member("b", window=9_000))
        assert (asker.served, asker.attempts, asker.ended) == ("b", 2, "complete")
        assert running.kinds() == [f"a {kind}", "b ok"]
        assert running.views["a"].circuit.consecutive == 0, "it did its part"


@pytest.mark.parametrize("said", [UNKNOWN, FILTERED, TOO_LONG])
async def test_a_refusal_ends_the_request_where_the_group_does_not_say_so(
    tmp_path: Path, autojump_clock: MockClock, said: bytes
) -> None:
    async with two(tmp_path, says(said), scripted.answers) as running:
        with pytest.raises(GaveUp) as caught:
            await running.ask(member("a"), member("b"))
        assert caught.value.attempts == 1
        assert caught.value.last.upstream_body is not None, "the asker gets the upstream's words"


async def test_a_prompt_that_is_too_long_goes_only_to_members_with_a_larger_window(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scripts = {"a": says(TOO_LONG), "b": scripted.answers, "c": scripted.answers}
    async with many(tmp_path, **scripts, d=says(TOO_LONG), e=scripted.answers) as running:
        asker = await running.ask(
            member("a", "context_too_long", window=8_000),
            member("b", window=8_000),
            member("c"),
            member("d", "context_too_long", window=16_000),
            member("e", window=128_000),
        )
        assert asker.served == "e"
        assert [attempt.provider for attempt in running.attempts] == ["a", "d", "e"]


def test_the_widest_window_that_was_too_small_is_remembered() -> None:
    wider = Wider()
    for window in (200_000, 100_000):
        wider.note(Failure("context_too_long", "a", "too long"), member("a", window=window))
    assert not wider.admits(member("b", window=150_000))
    assert wider.admits(member("b", window=200_001))


async def test_when_no_window_is_larger_the_asker_gets_the_upstreams_refusal(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with two(tmp_path, says(TOO_LONG), scripted.answers) as running:
        for window in (None, 8_000):
            with pytest.raises(GaveUp) as caught:
                await running.ask(
                    member("a", "context_too_long", window=window), member("b", window=window)
                )
            last = caught.value.last
            assert (last.kind, status_of(last)) == ("context_too_long", 400)
            assert json.loads(last.upstream_body or b"")["error"]["code"] == (
                "context_length_exceeded"
            )
        assert running.servers[1].calls == []


async def test_when_the_window_that_was_too_small_is_unknown_nobodys_is_known_to_be_larger(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with two(tmp_path, says(TOO_LONG), scripted.answers) as running:
        with pytest.raises(GaveUp):
            await running.ask(member("a", "context_too_long"), member("b", window=1_000_000))
        assert running.servers[1].calls == []


@pytest.mark.parametrize(
    ("said", "stream", "body"),
    [(REFUSED, False, REFUSED.partition(b"\r\n\r\n")[2]), (REFUSED_STREAM, True, CUT)],
)
async def test_when_nobody_answers_better_the_asker_gets_the_refusal_as_it_came(
    tmp_path: Path, autojump_clock: MockClock, said: bytes, stream: bool, body: bytes
) -> None:
    async with two(tmp_path, says(said), says(failing(400))) as running:
        order = member("a", "content_filter"), member("b")
        asker = await running.ask(*order, stream=stream)
        assert (asker.ended, asker.served, asker.attempts) == ("complete", "a", 2)
        assert asker.body == body
        assert running.kinds() == ["a content_filter", "b client_error"]
        (finished,) = running.finished
        assert (finished.status, finished.ok, finished.provider) == (200, True, "a")
        assert finished.attempts == 2


async def test_a_streamed_refusal_before_its_first_token_is_never_seen_when_another_answers(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with two(tmp_path, says(REFUSED_STREAM), scripted.answers) as running:
        asker = await running.ask(member("a", "content_filter"), member("b"), stream=True)
        assert (asker.served, asker.ended) == ("b", "complete")
        assert b"content_filter" not in asker.body
        assert running.facts("a")["in_flight"] == 0


async def test_a_stream_cut_by_a_filter_after_its_first_token_is_relayed_as_it_is(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async def cut(call: scripted.Call) -> None:
        await call.send(STREAM_HEAD + chunked(ROLE + HELLO))
        await trio.sleep(1)
        await call.send(chunked(event(finish="content_filter") + DONE) + END)

    async with two(tmp_path, cut, scripted.answers) as running:
        asker = await running.ask(member("a", "content_filter"), member("b"), stream=True)
        assert (asker.served, asker.attempts, asker.ended) == ("a", 1, "complete")
        assert b"hello" in asker.body


async def test_a_filters_error_is_told_rather_than_the_trouble_others_were_in(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with two(tmp_path, says(FILTERED), says(failing(500))) as running:
        with pytest.raises(GaveUp) as caught:
            await running.ask(member("a", "content_filter"), member("b"), attempts=2)
        assert (caught.value.last.kind, caught.value.attempts) == ("content_filter", 2)


async def test_attempts_under_way_are_counted_from_their_beginning_to_their_end(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with two(tmp_path, scripted.silent, scripted.answers) as running:
        under_way = running.upstreams["a"].in_flight

        async def ask() -> None:
            with pytest.raises(GaveUp):
                await running.ask("a", patience=20, asker=Asker())

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(ask)
            await trio.sleep(1)
            assert under_way.count == 3
            assert running.upstreams["b"].in_flight.count == 0
        assert under_way.count == 0


async def test_attempts_that_are_cancelled_or_lose_their_provider_are_no_longer_counted(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with two(tmp_path, scripted.silent, scripted.answers) as running:
        under_way = running.upstreams["a"].in_flight
        with trio.move_on_after(1):
            await running.ask("a", asker=Asker())
        assert under_way.count == 0
        asker = Asker()
        async with trio.open_nursery() as nursery:

            async def kill() -> None:
                await wait_all_tasks_blocked()
                assert under_way.count == 1
                running.system.kill("provider:a")

            nursery.start_soon(kill)
            await running.ask("a", "b", asker=asker)
        assert asker.served == "b"
        assert (under_way.count, running.upstreams["b"].in_flight.count) == (0, 0)
