"""One deadline a request: every wait on the way is bounded, and the asker is told by what."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from runtime.routing.gave_up import GaveUp
from runtime.routing.group import Candidate, GroupTimeouts
from runtime.routing.limits import whole_time
from runtime.routing.retry import RetryPolicy
from runtime.routing.route import Route
from runtime.routing.verdicts import status_of
from tests.providers import scripted
from tests.providers.scripted import HELLO, ROLE, STREAM_HEAD, Call, chunked, failing, says
from tests.runtime.routing.rig import Asker, Rig, one, two

LATE = 0.5
"""Seconds by which a limit may be overrun: how often waiting askers are looked at, and ticks."""


async def forward(
    running: Rig,
    *order: str,
    stream: bool = False,
    asker: Asker | None = None,
    attempts: int = 3,
    patience: float = 60.0,
    answer_in: float | None = None,
    **changes: object,
) -> Asker:
    """Put a request through with limits of the test's."""
    asker = asker or Asker()
    now = trio.current_time()
    job = running.job(stream=stream, patience=patience)
    by = job.deadline if answer_in is None else now + answer_in
    job = msgspec.structs.replace(job, answer_by=by, **changes)
    candidates = [Candidate(name) for name in order or tuple(running.upstreams)]
    route = Route(group="g", order=lambda _now: candidates, max_attempts=attempts)
    await running.forwarder().forward(job, route, asker)
    return asker


@contextmanager
def ends_in(seconds: float) -> Iterator[None]:
    """Check that something ends after so long, and not much later."""
    began = trio.current_time()
    yield
    took = trio.current_time() - began
    assert seconds - 0.001 <= took <= seconds + LATE


async def refused(running: Rig, *order: str, **changes: object) -> GaveUp:
    with pytest.raises(GaveUp) as caught:
        await forward(running, *order, **changes)  # type: ignore[arg-type]  # named options
    return caught.value


async def trickle(call: Call) -> None:
    """A stream that never falls silent and never ends."""
    await call.send(STREAM_HEAD + chunked(ROLE + HELLO))
    while True:
        await trio.sleep(1)
        await call.send(chunked(HELLO))


async def begins(call: Call) -> None:
    """A stream that falls silent after its first token."""
    await call.send(STREAM_HEAD + chunked(ROLE + HELLO))
    await call.left()


async def test_the_wait_for_a_free_connection_ends_with_the_request(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, scripted.silent, max_connections=1) as running:
        running.nursery.start_soon(refused, running)
        await wait_all_tasks_blocked()
        with ends_in(3):
            ended = await refused(running, patience=3.0, answer_by_whom="x-standby-timeout")
        assert ended.last.kind == "deadline"
        assert status_of(ended.last) == 504
        assert ended.last.message == (
            "no connection within 3 s (all of the request's 3 s, x-standby-timeout)"
        )


async def test_the_wait_for_a_plain_answer_ends_with_the_request(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, scripted.silent) as running:
        with ends_in(4):
            ended = await refused(running, patience=4.0, answer_by_whom="timeouts.request")
        assert str(ended.last) == (
            "a: no answer within 4 s (all of the request's 4 s, timeouts.request)"
        )
        assert (ended.asked, ended.attempts, status_of(ended.last)) == ("a", 1, 504)


async def test_the_wait_for_a_first_token_ends_with_the_asker_who_waits_for_it_only(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, scripted.silent) as running:
        with ends_in(4):
            ended = await refused(
                running,
                stream=True,
                patience=50.0,
                answer_in=4.0,
                answer_by_whom="x-stainless-read-timeout",
            )
        assert ended.last.kind == "deadline"
        assert "x-stainless-read-timeout" in ended.last.message


async def test_a_stream_goes_on_when_the_time_for_its_first_token_is_over(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async def slow(call: Call) -> None:
        await call.send(STREAM_HEAD + chunked(ROLE + HELLO))
        await trio.sleep(20)
        await call.send(chunked(scripted.STOP + scripted.DONE) + scripted.END)

    async with one(tmp_path, slow) as running:
        asker = await forward(running, stream=True, patience=50.0, answer_in=4.0)
        assert asker.ended == "complete"


async def test_a_stream_that_never_ends_is_ended_with_the_request(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, trickle) as running:
        with ends_in(10):
            asker = await forward(running, stream=True, patience=10.0, deadline_by="x-y")
        assert (asker.ended, asker.error) == ("broken", "the request's time is up (10 s, x-y)")
        await wait_all_tasks_blocked()
        assert running.kinds() == ["a deadline"]


async def test_a_silent_stream_is_ended_with_the_request_when_that_comes_first(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, begins) as running:
        with ends_in(10):
            asker = await forward(running, stream=True, patience=10.0)
        assert asker.ended == "broken"


async def test_a_stream_has_no_more_time_than_its_provider_is_given(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, trickle, answer_timeout=6.0) as running:
        with ends_in(6):
            asker = await forward(running, stream=True)
        assert asker.error == "no whole answer within 6 s (its timeouts.total)"
        await wait_all_tasks_blocked()
        assert running.kinds() == ["a timeout"]


async def test_an_asker_who_takes_little_by_little_gains_no_time(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    class Slow(Asker):
        @property
        def crowded(self) -> bool:
            return bool(self.served)

        async def drain(self) -> None:
            await trio.sleep(1)

    async with one(tmp_path, trickle) as running:
        with ends_in(10):
            asker = await forward(running, stream=True, patience=10.0, asker=Slow())
        assert asker.ended == "broken"


async def test_no_pause_between_rounds_reaches_the_requests_end(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    policy = RetryPolicy(max_attempts=9, base_delay_ms=4000, max_delay_ms=60_000, jitter=False)
    async with one(tmp_path, says(failing(503)), retry=policy) as running:
        with ends_in(4):
            ended = await refused(running, attempts=9, patience=10.0)
        assert ended.attempts == 2


async def test_what_is_not_asked_any_more_says_whose_time_is_up(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path) as running:
        ended = await refused(running, patience=0.0, answer_by_whom="x-request-timeout")
        assert (ended.attempts, ended.asked) == (0, "")
        assert ended.last.message == (
            "not asked: the request's time was up after 0 s (x-request-timeout)"
        )


@pytest.mark.parametrize("stream", [False, True])
async def test_an_attempt_with_a_limit_of_its_groups_leaves_time_for_the_next(
    tmp_path: Path, autojump_clock: MockClock, stream: bool
) -> None:
    async with two(tmp_path, scripted.silent, scripted.answers) as running:
        with ends_in(3):
            asker = await forward(
                running, stream=stream, patience=10.0, timeouts=GroupTimeouts(attempt=3)
            )
        assert asker.served == "b"
        kind = "first_token_timeout" if stream else "timeout"
        await wait_all_tasks_blocked()
        assert running.kinds() == [f"a {kind}", "b ok"]


async def test_without_one_the_first_attempt_may_use_up_all_of_the_time(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with two(tmp_path, scripted.silent, scripted.answers) as running:
        with ends_in(10):
            ended = await refused(running, patience=10.0)
        assert ended.asked == "a"


async def test_an_attempts_limit_does_not_end_a_stream_that_has_begun(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async def slow(call: Call) -> None:
        await call.send(STREAM_HEAD + chunked(ROLE + HELLO))
        await trio.sleep(20)
        await call.send(chunked(scripted.STOP + scripted.DONE) + scripted.END)

    async with one(tmp_path, slow) as running:
        asker = await forward(running, stream=True, timeouts=GroupTimeouts(attempt=3))
        assert asker.ended == "complete"


@pytest.mark.parametrize(("own", "waits"), [(2.0, 2.0), (30.0, 30.0), (None, 5.0)])
async def test_a_groups_time_for_the_first_token_stands_in_for_the_providers(
    tmp_path: Path, autojump_clock: MockClock, own: float | None, waits: float
) -> None:
    async with one(tmp_path, scripted.silent, first_token_timeout=5.0) as running:
        timeouts = None if own is None else GroupTimeouts(first_token=own)
        with ends_in(waits):
            ended = await refused(running, stream=True, timeouts=timeouts)
        limit = "its timeouts" if own is None else "timeouts.first_token of group g"
        assert ended.last.kind == "first_token_timeout"
        assert f"no token within {waits:g} s ({limit}" in ended.last.message


@pytest.mark.parametrize(("own", "waits"), [(2.0, 2.0), (30.0, 30.0), (None, 5.0)])
async def test_a_groups_time_for_silence_stands_in_for_the_providers(
    tmp_path: Path, autojump_clock: MockClock, own: float | None, waits: float
) -> None:
    async with one(tmp_path, begins, stall_timeout=5.0) as running:
        timeouts = None if own is None else GroupTimeouts(stall=own)
        with ends_in(waits):
            asker = await forward(running, stream=True, timeouts=timeouts)
        limit = "its timeouts.stall" if own is None else "timeouts.stall of group g"
        assert asker.error == f"the stream was silent for {waits:g} s ({limit})"


async def test_an_asker_in_a_hurry_says_nothing_about_the_provider(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, scripted.silent, first_token_timeout=5.0) as running:
        assert (await refused(running, patience=4.0)).last.kind == "deadline"
        assert (await refused(running, patience=5.0)).last.kind == "timeout"


async def test_time_in_the_queue_is_not_held_against_the_provider(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(
        tmp_path, scripted.silent, first_token_timeout=5.0, max_connections=1
    ) as running:
        async with trio.open_nursery() as nursery:
            # The first has the connection for three seconds; the second has it for four then.
            nursery.start_soon(partial(refused, running, stream=True, patience=3.0))
            await wait_all_tasks_blocked()
            with ends_in(7):
                ended = await refused(running, stream=True, patience=7.0)
        assert ended.last.kind == "deadline"
        await wait_all_tasks_blocked()
        assert running.views["a"].status(trio.current_time()).failures == 0


@pytest.mark.parametrize(
    ("group", "asked", "least"),
    [
        (None, math.inf, (60.0, "timeouts.request")),
        (90.0, math.inf, (60.0, "timeouts.request")),
        (30.0, math.inf, (30.0, "timeouts.total of group g")),
        (30.0, 20.0, (20.0, "x-standby-timeout")),
        (30.0, 40.0, (30.0, "timeouts.total of group g")),
        (None, 70.0, (60.0, "timeouts.request")),
    ],
)
def test_the_least_of_all_limits_counts_for_the_whole(
    group: float | None, asked: float, least: tuple[float, str]
) -> None:
    timeouts = None if group is None else GroupTimeouts(total=group)
    assert whole_time(60.0, "g", timeouts, asked, "x-standby-timeout") == least


def test_limits_that_are_no_time_are_refused() -> None:
    for name in ("total", "attempt", "first_token", "stall"):
        for seconds in (0, -1, float("inf"), float("nan")):
            with pytest.raises(ValueError, match=f"timeouts.{name} must be above 0"):
                GroupTimeouts(**{name: seconds})
