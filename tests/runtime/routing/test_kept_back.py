"""Providers that are spared before they refuse, and when the asker hears who can be asked again."""

from pathlib import Path

import pytest
import trio

from providers.failures import Failure
from runtime.outcome import Attempt
from runtime.routing.breaker import BreakerSettings
from runtime.routing.gave_up import GaveUp
from runtime.routing.retry import RetryPolicy
from tests.providers import scripted
from tests.runtime.routing.rig import Rig, one, two

SPENT = b"x-ratelimit-remaining-requests: 0\r\nx-ratelimit-reset-requests: 8s\r\n"
LEFT = b"x-ratelimit-remaining-requests: 1\r\nx-ratelimit-reset-requests: 8s\r\n"
ONCE = RetryPolicy(max_attempts=1)


def closed_by(rig: Rig) -> list[str | None]:
    return [each.closed_gate for each in rig.attempts]


async def given_up(rig: Rig, *order: str, **asked: float) -> GaveUp:
    with pytest.raises(GaveUp) as caught:
        await rig.ask(*order, **asked)  # type: ignore[arg-type]  # only its patience is given
    return caught.value


@pytest.mark.parametrize("stream", [False, True])
async def test_a_provider_that_has_nothing_left_is_spared_until_it_has(
    stream: bool, tmp_path: Path, autojump_clock: trio.abc.Clock
) -> None:
    async def last_one(call: scripted.Call) -> None:
        if stream:
            head = scripted.STREAM_HEAD.replace(b"200 OK\r\n", b"200 OK\r\n" + SPENT)
            events = scripted.ROLE + scripted.HELLO + scripted.STOP + scripted.DONE
            await call.send(head + scripted.chunked(events) + scripted.END)
        else:
            await call.send(scripted.plain(more=SPENT))

    async with two(tmp_path, last_one, scripted.answers) as rig:
        assert (await rig.ask(stream=stream)).served == "a"
        now = trio.current_time()
        assert rig.upstreams["a"].gate.opens_in(now) == pytest.approx(8, abs=0.1)
        assert (await rig.ask(stream=stream)).served == "b", "no 429 was needed"
        assert closed_by(rig) == ["headers", None]
        await trio.sleep(8.1)
        assert (await rig.ask(stream=stream)).served == "a"


async def test_a_stream_closes_the_gate_with_its_head_not_with_its_end(
    tmp_path: Path, autojump_clock: trio.abc.Clock
) -> None:
    async def slowly(call: scripted.Call) -> None:
        head = scripted.STREAM_HEAD.replace(b"200 OK\r\n", b"200 OK\r\n" + SPENT)
        await call.send(head + scripted.chunked(scripted.ROLE + scripted.HELLO))
        await trio.sleep(5)
        await call.send(scripted.chunked(scripted.STOP + scripted.DONE) + scripted.END)

    async with two(tmp_path, slowly, scripted.answers) as rig, trio.open_nursery() as nursery:
        nursery.start_soon(lambda: rig.ask(stream=True))
        await trio.sleep(1)
        assert rig.upstreams["a"].gate.opens_in(trio.current_time()) > 6
        assert (await rig.ask()).served == "b"


async def test_a_provider_with_something_left_is_asked_on(
    tmp_path: Path, autojump_clock: trio.abc.Clock
) -> None:
    async with two(tmp_path, scripted.says(scripted.plain(more=LEFT)), scripted.answers) as rig:
        assert [(await rig.ask()).served for _ in range(3)] == ["a", "a", "a"]
        assert closed_by(rig) == [None] * 3


async def test_a_429_without_a_time_takes_it_from_the_limits(
    tmp_path: Path, autojump_clock: trio.abc.Clock
) -> None:
    refuses = scripted.says(scripted.failing(429, SPENT))
    async with two(tmp_path, refuses, scripted.answers) as rig:
        assert (await rig.ask()).served == "b"
        gate = rig.upstreams["a"].gate
        assert gate.opens_in(trio.current_time()) == pytest.approx(8, abs=0.1)
        assert closed_by(rig) == ["429", None]


async def test_many_429s_at_once_close_the_gate_once(
    tmp_path: Path, autojump_clock: trio.abc.Clock
) -> None:
    async def refuses(call: scripted.Call) -> None:
        await trio.sleep(1)
        await call.send(scripted.failing(429, b"retry-after: 5\r\n"))

    async with two(tmp_path, refuses, scripted.answers) as rig:
        async with trio.open_nursery() as nursery:
            for _ in range(5):
                nursery.start_soon(rig.ask)
        refused = [each for each in rig.attempts if each.kind == "rate_limited"]
        assert len(refused) == 5
        assert [each.closed_gate for each in refused].count("429") == 1


async def test_when_all_are_kept_back_the_asker_hears_the_soonest_time(
    tmp_path: Path, autojump_clock: trio.abc.Clock
) -> None:
    async with two(tmp_path, scripted.answers, scripted.answers) as rig:
        now = trio.current_time()
        rig.upstreams["a"].gate.close_until(now + 70)
        rig.views["b"].circuit.fire("tripped", now)
        wait = rig.views["b"].retry_in(now)
        assert 15 <= wait <= 30
        gave_up = await given_up(rig)
        assert gave_up.attempts == 0
        assert gave_up.retry_after == pytest.approx(wait, abs=0.01)
        rig.views["b"].circuit.fire("force_open", now)
        assert (await given_up(rig)).retry_after == pytest.approx(70, abs=0.01)


async def test_a_provider_set_aside_can_be_the_soonest_too(
    tmp_path: Path, autojump_clock: trio.abc.Clock
) -> None:
    async with one(tmp_path, scripted.answers) as rig:
        now = trio.current_time()
        rig.views["a"].account.record(failed=True, started=now, now=now)
        gave_up = await given_up(rig)
        assert gave_up.last.kind == "account"
        assert gave_up.retry_after == pytest.approx(rig.views["a"].retry_in(now), abs=0.01)


async def test_whoever_may_be_asked_now_makes_no_time_known(
    tmp_path: Path, autojump_clock: trio.abc.Clock
) -> None:
    async with two(tmp_path, scripted.answers, scripted.hangs_up, max_connections=1) as rig:
        rig.upstreams["a"].gate.close_until(trio.current_time() + 70)
        gave_up = await given_up(rig, "b", patience=5.0)
        assert gave_up.soonest is None
        assert gave_up.retry_after is None


async def test_one_reset_of_a_shared_upstream_does_not_open_the_breaker(
    tmp_path: Path, autojump_clock: trio.abc.Clock
) -> None:
    async def dies_with_all(call: scripted.Call) -> None:
        await trio.sleep_until(20)
        await call.hang_up()

    settings = BreakerSettings(failure_threshold=5, minimum_calls=100)
    async with one(tmp_path, dies_with_all, breaker=settings, retry=ONCE) as rig:
        await trio.sleep_until(10)

        async def ask() -> None:
            with pytest.raises(GaveUp):
                await rig.ask(attempts=1)

        async with trio.open_nursery() as nursery:
            for _ in range(30):
                nursery.start_soon(ask)
        status = rig.views["a"].status(trio.current_time())
        assert (status.state, status.consecutive_failures, status.failures) == ("closed", 1, 30)


async def test_slow_first_tokens_open_the_breaker_of_a_streaming_provider(
    tmp_path: Path, autojump_clock: trio.abc.Clock
) -> None:
    async def slowly(call: scripted.Call) -> None:
        await trio.sleep(3)
        await scripted.answers(call)

    settings = BreakerSettings(slow_call_threshold=2.0, minimum_calls=3, recovery_timeout=10.0)
    async with one(tmp_path, slowly, breaker=settings) as rig:
        for _ in range(3):
            assert (await rig.ask(stream=True)).served == "a"
        assert "slow" in str((await given_up(rig)).last)
        await trio.sleep(rig.views["a"].retry_in(trio.current_time()))
        assert (await rig.ask(stream=True)).served == "a", "the probe is answered, if slowly"
        assert rig.views["a"].circuit.why == "its probe was slow"
        told = [each for each in rig.heard if isinstance(each, Attempt)]
        assert [each.proved for each in told] == [False, False, False, True]


def test_the_soonest_time_goes_before_what_single_providers_asked_for() -> None:
    refused = Failure("rate_limited", "a", "later", retry_after=50)
    assert GaveUp([refused], 1).retry_after == 50
    assert GaveUp([refused], 1, soonest=3.5).retry_after == 3.5
