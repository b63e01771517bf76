"""Who may go on with a stream that broke, for how long, and what is reported of it all."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from providers.actor import Release
from providers.interface import ProviderInterface
from runtime.routing.first_token import FirstTokens
from runtime.routing.hedge_policy import Hedger, HedgeSettings
from runtime.routing.plan import Candidate
from runtime.routing.route import Route
from tests.providers import scripted
from tests.providers.scripted import DONE, END, ROLE, STOP, STREAM_HEAD, Call, chunked, event
from tests.runtime.routing.rig import Asker, Rig, rig

SENT = chunked(ROLE) + chunked(event(content="one two three "))
REST = chunked(ROLE) + chunked(event(content="four") + STOP + DONE) + END


def after(seconds: float, data: bytes, *, end: float | None = None) -> scripted.Script:
    """Send something so late; then hang up after so long, or leave the connection as it is."""

    async def script(call: Call) -> None:
        await call.send(STREAM_HEAD)
        await trio.sleep(seconds)
        await call.send(data)
        if end is not None:
            await trio.sleep(end)
            await call.hang_up()

    return script


async def stays(call: Call) -> None:
    """A stream that falls silent in the middle."""
    await call.send(STREAM_HEAD + SENT)
    await call.left()


def counting(tokens: int) -> bytes:
    """One word, and how many tokens it has been so far."""
    told = f',"usage":{{"prompt_tokens":10,"completion_tokens":{tokens},"total_tokens":0}}}}'
    return event(content="one ").rstrip()[:-1] + told.encode() + b"\n\n"


async def ask(
    made: Rig,
    asker: Asker | None = None,
    *,
    answer_in: float = 60.0,
    hedge: Callable[[], Hedger | None] | None = None,
) -> Asker:
    asker = asker or Asker()
    candidates = [Candidate(each) for each in made.upstreams]
    route = Route(
        group="g", order=lambda _now: candidates, max_attempts=5, resume=True, hedge=hedge
    )
    job = made.job(stream=True)
    job = msgspec.structs.replace(job, answer_by=job.started + answer_in)
    try:
        await made.forwarder().forward(job, route, asker)
    finally:
        await wait_all_tasks_blocked()
    return asker


def of(
    folder: Path, **scripts: scripted.Script
) -> tuple[dict[str, ProviderInterface], list[scripted.Upstream]]:
    servers = [scripted.Upstream(folder / name, script) for name, script in scripts.items()]
    return {name: scripted.provider(name, folder / name) for name in scripts}, servers


async def test_the_asker_is_told_of_the_tokens_of_all_and_of_the_first_of_them(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    first = chunked(ROLE) + chunked(counting(2))
    second = chunked(ROLE) + chunked(counting(5) + STOP + DONE) + END
    made, servers = of(tmp_path, a=after(1.0, first, end=1.0), b=after(3.0, second))
    async with rig(made, *servers) as running:
        asker = await ask(running)
        assert asker.ended == "complete"
        (finished,) = running.finished
        assert finished.first_token == pytest.approx(1.0, abs=0.1)
        assert finished.duration == pytest.approx(5.0, abs=0.1)
        assert finished.usage is not None
        assert finished.usage.output_tokens == 7
        assert finished.usage.input_tokens == 20


async def test_only_the_time_of_the_whole_request_counts_once_the_answer_has_begun(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    made, servers = of(tmp_path, a=after(1.0, SENT, end=8.0), b=after(2.0, REST))
    async with rig(made, *servers) as running:
        asker = await ask(running, answer_in=4.0)
        assert asker.ended == "complete"
        assert running.kinds() == ["a reset", "b ok"]


async def test_what_goes_on_is_not_hedged(tmp_path: Path, autojump_clock: MockClock) -> None:
    hedger = Hedger(HedgeSettings(maximum_delay=0.5, budget_percent=100), FirstTokens())
    made, servers = of(
        tmp_path, a=after(0.1, SENT, end=1.0), b=after(2.0, REST), c=scripted.answers
    )
    async with rig(made, *servers) as running:
        asker = await ask(running, hedge=lambda: hedger)
        assert asker.ended == "complete"
        assert b"continued by b (attempt 2)" in asker.body
        assert [len(each.calls) for each in servers] == [1, 1, 0]


async def test_one_that_was_killed_goes_on_once_it_is_back_and_one_that_broke_does_not(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async def goes_on_the_second_time(call: Call) -> None:
        if len(servers[1].calls) == 1:
            await stays(call)
        await call.send(STREAM_HEAD + REST)

    made, servers = of(tmp_path, a=after(0.1, SENT, end=1.0), b=goes_on_the_second_time)
    async with rig(made, *servers) as running:
        asker = Asker()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, running, asker)
            await trio.sleep(5)
            running.system.kill("provider:b")
        assert asker.ended == "complete"
        assert [len(each.calls) for each in servers] == [1, 2]


async def test_the_only_provider_is_not_asked_again_when_its_task_crashed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    made, servers = of(tmp_path, a=stays)
    async with rig(made, *servers) as running:
        asker = Asker()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, running, asker)
            await trio.sleep(5)
            # What is no connection crashes the provider's task, as a defect of its own would.
            running.system.ref("provider:a").cast(Release(None))  # type: ignore[arg-type]
        assert asker.ended == "broken"
        assert running.system.ref("provider:a").alive
        assert len(servers[0].calls) == 1


async def test_whoever_is_being_restarted_is_waited_for_when_nobody_else_is_left(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    made, servers = of(tmp_path, a=after(0.1, SENT, end=2.0), b=after(0.1, REST))
    async with rig(made, *servers) as running:
        asker = Asker()
        providers = running.system.supervisor("providers")
        await providers.terminate_child("provider:b")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, running, asker)
            await trio.sleep(5)
            await providers.restart_child("provider:b")
        assert asker.ended == "complete"
        assert b"continued by b" in asker.body


async def test_whoever_is_there_goes_on_before_one_that_is_being_restarted(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    made, servers = of(
        tmp_path, a=after(0.1, SENT, end=2.0), b=after(0.1, REST), c=after(0.1, REST)
    )
    async with rig(made, *servers) as running:
        await running.system.supervisor("providers").terminate_child("provider:b")
        asker = await ask(running)
        assert asker.ended == "complete"
        assert b"continued by c" in asker.body
        assert trio.current_time() < 3


async def test_the_only_provider_is_waited_for_no_longer_than_ten_seconds(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    made, servers = of(tmp_path, a=stays)
    async with rig(made, *servers) as running:
        asker = Asker()
        with trio.fail_after(50):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ask, running, asker)
                await trio.sleep(5)
                await running.system.supervisor("providers").terminate_child("provider:a")
        assert asker.ended == "broken"
        assert trio.current_time() == pytest.approx(15, abs=0.1)


@pytest.mark.parametrize(
    ("seconds", "ended", "calls"), [(3, "complete", [1, 2]), (30, "broken", [1, 1])]
)
async def test_whoever_asks_for_patience_is_waited_for_where_that_is_not_for_long(
    seconds: int, ended: str, calls: list[int], tmp_path: Path, autojump_clock: MockClock
) -> None:
    async def is_patient(call: Call) -> None:
        if len(servers[1].calls) == 1:
            await call.send(scripted.failing(429, b"retry-after: %d\r\n" % seconds))
        else:
            await call.send(STREAM_HEAD + REST)

    made, servers = of(tmp_path, a=after(0.1, SENT, end=1.0), b=is_patient)
    async with rig(made, *servers) as running:
        asker = await ask(running)
        assert asker.ended == ended
        assert [len(each.calls) for each in servers] == calls
        # Known to be in vain, it is not waited for at all.
        assert trio.current_time() == pytest.approx(
            1.1 + (3 if ended == "complete" else 0), abs=0.3
        )


async def test_whoever_is_kept_back_by_its_breaker_is_waited_for(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    made, servers = of(tmp_path, a=after(0.1, SENT, end=1.0), b=after(0.1, REST))
    async with rig(made, *servers) as running:
        circuit = running.views["b"].circuit
        circuit.fire("tripped", trio.current_time(), "for the test")
        circuit.until = trio.current_time() + 6.0
        asker = await ask(running)
        assert asker.ended == "complete"
        assert b"continued by b" in asker.body
        assert trio.current_time() == pytest.approx(6.1, abs=0.3)
