"""A second provider is asked when the first is late, and the asker gets one answer of the two."""

import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from providers.http import ResponseHead
from runtime.routing.answer import AskerGone
from runtime.routing.breaker import BreakerSettings
from runtime.routing.first_token import FirstTokens
from runtime.routing.gave_up import GaveUp
from runtime.routing.hedge import HedgeLeg, HedgeTold, Race
from runtime.routing.hedge_policy import Hedger, HedgeSettings
from runtime.routing.plan import Candidate
from runtime.routing.retry import RetryPolicy
from runtime.routing.route import Route
from tests.providers import scripted
from tests.providers.scripted import (
    DONE,
    END,
    HELLO,
    ROLE,
    STOP,
    STREAM_HEAD,
    Call,
    Script,
    answers,
    chunked,
    event,
    failing,
    says,
    silent,
)
from tests.runtime.routing.rig import Asker, Rig, rig
from tests.support.garbage import collected

AFTER_ONE = HedgeSettings(minimum_delay=0, maximum_delay=1.0, budget_percent=100)
"""A second later, as nothing is learned here; and paid for by every request itself."""

ONCE = RetryPolicy(max_attempts=1)

ONLY_OPENAI = {"logit_bias": {"50256": -100}}
"""What Anthropic's API has no counterpart for."""


class ToldAsker(Asker):
    """One that is told of a hedge."""

    def __init__(self) -> None:
        super().__init__()
        self.hedged = False


def later(seconds: float, script: Script = answers) -> Script:
    async def late(call: Call) -> None:
        await trio.sleep(seconds)
        await script(call)

    return late


def slow_but_watched(times: list[float]) -> Script:
    """Never answers; notes when its connection is closed."""

    async def script(call: Call) -> None:
        await call.left()
        times.append(trio.current_time())

    return script


def hedger(how: HedgeSettings = AFTER_ONE) -> Hedger:
    return Hedger(how, FirstTokens())


@asynccontextmanager
async def some(
    folder: Path,
    *scripts: Script,
    retry: RetryPolicy | None = ONCE,
    breaker: BreakerSettings | None = None,
    foreign: str = "",
    **more: object,
) -> AsyncIterator[Rig]:
    """A rig of providers ``a``, ``b`` and so on, an upstream each; some of another API."""
    names = "abcd"[: len(scripts)]
    servers = [
        scripted.Upstream(folder / name, script)
        for name, script in zip(names, scripts, strict=True)
    ]
    api = {name: "anthropic" if name in foreign else "openai" for name in names}
    made = {
        name: scripted.provider(name, folder / name, **{"kind": api[name], **more})
        for name in names
    }
    async with rig(made, *servers, retry=retry, breaker=breaker) as running:
        yield running


async def ask(
    running: Rig,
    *order: str | Candidate,
    by: Hedger | None = None,
    stream: bool = False,
    attempts: int = 3,
    asker: Asker | None = None,
    patience: float = 60.0,
    resume: bool = False,
    body: Mapping[str, object] | None = None,
    strict: bool = False,
) -> Asker:
    asker = asker or ToldAsker()
    by = by or hedger()
    names: Sequence[str | Candidate] = order or tuple(running.upstreams)
    candidates = [Candidate(each) if isinstance(each, str) else each for each in names]
    route = Route(
        group="g",
        order=lambda _: candidates,
        max_attempts=attempts,
        hedge=lambda: by,
        resume=resume,
    )
    job = running.job(stream=stream, patience=patience)
    asked = json.dumps({**json.loads(job.request.body), **(body or {})}).encode()
    request = msgspec.structs.replace(job.request, body=asked)
    job = msgspec.structs.replace(job, request=request, strict_translation=strict)
    try:
        await running.forwarder().forward(job, route, asker)
    finally:
        with trio.CancelScope(shield=True):
            await wait_all_tasks_blocked()
            await wait_all_tasks_blocked()
    return asker


def idle(running: Rig) -> bool:
    return all(each.in_flight.count == 0 for each in running.upstreams.values())


@pytest.mark.parametrize("stream", [False, True])
async def test_a_late_first_provider_is_superseded_by_the_second(
    stream: bool, tmp_path: Path, autojump_clock: MockClock
) -> None:
    closed: list[float] = []
    asked: list[float] = []

    async def second(call: Call) -> None:
        asked.append(trio.current_time())
        await answers(call)

    async with some(tmp_path, slow_but_watched(closed), second) as running:
        before = trio.current_time()
        asker = await ask(running, stream=stream)
        assert isinstance(asker, HedgeTold)
        assert (asker.served, asker.attempts, asker.ended) == ("b", 2, "complete")
        assert asker.hedged
        assert [at - before for at in asked] == [pytest.approx(1.0, abs=1e-3)]
        assert [at - before for at in closed] == [pytest.approx(1.0, abs=1e-3)]
        assert idle(running)
        told = {each.provider: each for each in running.attempts}
        assert [told["a"].kind, told["a"].hedge, told["a"].raced] == ["cancelled", "first", "lost"]
        assert told["a"].superseded
        assert [told["b"].kind, told["b"].hedge, told["b"].raced] == ["ok", "second", "won"]
        [finished] = running.finished
        assert (finished.provider, finished.attempts, finished.superseded) == ("b", 2, 1)
        assert finished.ok
        assert not finished.cancelled
        now = trio.current_time()
        assert running.views["a"].status(now).failures == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_a_first_provider_that_is_in_time_is_alone(
    stream: bool, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with some(tmp_path, later(0.9), answers) as running:
        asker = await ask(running, stream=stream)
        assert isinstance(asker, HedgeTold)
        assert (asker.served, asker.attempts, asker.hedged) == ("a", 1, False)
        assert running.servers[1].calls == []
        [attempt] = running.attempts
        assert (attempt.hedge, attempt.raced) == (None, None)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_first_provider_that_answers_after_all_supersedes_the_second(
    stream: bool, tmp_path: Path, autojump_clock: MockClock
) -> None:
    closed: list[float] = []
    async with some(tmp_path, later(1.5), slow_but_watched(closed)) as running:
        before = trio.current_time()
        asker = await ask(running, stream=stream)
        assert (asker.served, asker.attempts) == ("a", 2)
        assert [at - before for at in closed] == [pytest.approx(1.5, abs=1e-3)]
        assert sorted(running.kinds()) == ["a ok", "b cancelled"]
        assert idle(running)


async def test_a_stream_that_has_begun_is_not_hedged(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async def slowly(call: Call) -> None:
        await call.send(STREAM_HEAD + chunked(ROLE + HELLO))
        await trio.sleep(10)
        await call.send(chunked(STOP + DONE) + END)

    async with some(tmp_path, slowly, answers) as running:
        asker = await ask(running, stream=True)
        assert (asker.served, asker.ended) == ("a", "complete")
        assert running.servers[1].calls == []


async def test_a_head_without_a_token_is_no_answer_yet(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async def stuck(call: Call) -> None:
        await call.send(STREAM_HEAD + chunked(ROLE))
        await call.left()

    async with some(tmp_path, stuck, answers) as running:
        asker = await ask(running, stream=True)
        assert asker.served == "b"


async def test_both_answering_in_the_same_instant_make_one_answer(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with some(tmp_path, later(2.0), later(1.0)) as running:
        for _ in range(20):
            asker = await ask(running, stream=True)
            assert asker.ended == "complete"
            assert asker.body.count(HELLO) == 1
            assert idle(running)


async def test_an_answer_in_the_very_instant_of_the_hedge_is_taken(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with some(tmp_path, later(1.0), later(1.0)) as running:
        for _ in range(20):
            asker = await ask(running)
            assert (asker.served, asker.ended) == ("a", "complete")
            assert idle(running)


async def test_without_budget_there_is_no_hedge(tmp_path: Path, autojump_clock: MockClock) -> None:
    few = hedger(HedgeSettings(minimum_delay=0, maximum_delay=1.0, budget_percent=5))
    async with some(tmp_path, later(2.0), answers) as running:
        served = [(await ask(running, by=few)).served for _ in range(40)]
        assert [at for at, name in enumerate(served, 1) if name == "b"] == [20, 40]


async def test_the_hedge_goes_to_the_next_provider_that_is_ready(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with some(tmp_path, silent, answers, answers, answers) as running:
        running.upstreams["c"].gate.refused(trio.current_time(), 60.0)
        order = (Candidate("a"), Candidate("a", "m-2"), "c", "d", "b")
        asker = await ask(running, *order)
        assert (asker.served, asker.attempts) == ("d", 2)
        assert len(running.servers[0].calls) == 1


async def test_with_nobody_ready_the_first_is_waited_for_and_the_budget_kept(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    by = hedger()
    async with some(tmp_path, later(2.0), answers) as running:
        running.upstreams["b"].gate.refused(trio.current_time(), 60.0)
        asker = await ask(running, by=by)
        assert isinstance(asker, HedgeTold)
        assert (asker.served, asker.attempts, asker.hedged) == ("a", 1, False)
        assert by.budget.left(trio.current_time()) == pytest.approx(1)


async def test_a_provider_whose_task_is_away_is_passed_over(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with some(tmp_path, later(2.0), answers, answers) as running:
        await running.system.supervisor("providers").terminate_child("provider:b")
        asker = await ask(running)
        assert (asker.served, asker.attempts) == ("c", 2)


async def test_of_two_that_are_ready_in_one_step_only_one_gets_through(
    autojump_clock: MockClock,
) -> None:
    """The other one cannot be cancelled any more: it is shut out."""
    asker = ToldAsker()
    race = Race(asker, 1)
    both = trio.Event()
    head = ResponseHead(200, [], keep_alive=True)

    async def attempt(leg: HedgeLeg) -> None:
        await both.wait()
        leg.complete(head, repr(leg.place).encode(), "p", 1)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(race.run, attempt, 1.0, lambda: attempt)
        await trio.sleep(2.0)
        both.set()
    winner = race.winner
    assert winner is not None
    assert (winner.raced, asker.attempts) == ("won", 2)
    assert asker.body == repr(winner.place).encode()
    assert (race.first.error, race.second.error) == (None, None), "the other one was shut out"


async def test_a_crash_of_the_leg_that_lost_is_logged_and_harms_nobody(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    asker = ToldAsker()
    race = Race(asker, 1)

    async def crash(_leg: HedgeLeg) -> None:
        await trio.sleep(2.0)
        raise ValueError("a fault of ours")

    async def answer(leg: HedgeLeg) -> None:
        await trio.sleep(3.0)
        leg.complete(ResponseHead(200, [], keep_alive=True), b"{}", "p", 1)

    await race.run(crash, 1.0, lambda: answer)
    assert asker.body == b"{}"
    assert "the leg of a hedge that lost had crashed" in caplog.text
    alone = Race(ToldAsker(), 1)
    with pytest.raises(ValueError, match="of ours"):
        await alone.run(crash, 1.0, lambda: None)


@pytest.mark.parametrize("second", [answers, says(failing(500)), scripted.hangs_up])
@pytest.mark.parametrize("first", [answers, says(failing(500)), scripted.hangs_up])
async def test_a_hedged_request_leaves_no_cycle_behind(
    tmp_path: Path, autojump_clock: MockClock, first: Script, second: Script
) -> None:
    async with some(tmp_path, later(2.0, first), later(1.5, second)) as running:

        async def hedged() -> None:
            with contextlib.suppress(GaveUp):
                await ask(running, stream=True)

        await hedged()
        with collected() as found:
            await hedged()
        assert found == []
        assert {each.hedge for each in running.attempts} == {"first", "second"}


async def test_a_hedge_is_one_of_the_attempts_of_a_group(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with some(tmp_path, later(2.0), answers) as running:
        assert (await ask(running, attempts=1)).served == "a"


async def test_both_failing_counts_both_and_the_run_goes_on(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    broken = says(failing(500))
    async with some(tmp_path, later(2.0, broken), later(3.0, broken), answers) as running:
        before = trio.current_time()
        asker = await ask(running)
        assert (asker.served, asker.attempts) == ("c", 3)
        assert trio.current_time() - before == pytest.approx(4.0, abs=0.01)
        assert running.kinds() == ["a server_error", "b server_error", "c ok"]
        assert [len(each.calls) for each in running.servers] == [1, 1, 1]
        now = trio.current_time()
        assert [running.views[each].status(now).failures for each in "ab"] == [1, 1]


async def test_when_all_fail_each_failure_is_told(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    broken = says(failing(500))
    async with some(tmp_path, later(2.0, broken), later(0.5, broken)) as running:
        with pytest.raises(GaveUp) as caught:
            await ask(running)
        assert [each.provider for each in caught.value.failures] == ["a", "b"]
        assert caught.value.attempts == 2
        assert idle(running)


@pytest.mark.parametrize("resume", [False, True])
async def test_an_asker_whose_streams_are_continued_hears_of_a_hedge_that_failed_too(
    resume: bool, tmp_path: Path, autojump_clock: MockClock
) -> None:
    broken = says(failing(500))
    async with some(tmp_path, later(2.0, broken), later(0.5, broken)) as running:
        asker = ToldAsker()
        with pytest.raises(GaveUp):
            await ask(running, stream=True, resume=resume, asker=asker)
        assert asker.hedged


async def test_whoever_cannot_be_asked_what_is_asked_is_no_attempt_beside_others(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with some(tmp_path, answers, answers, foreign="a") as running:
        asker = await ask(running, body=ONLY_OPENAI, strict=True)
        assert (asker.served, asker.attempts) == ("b", 1)
        assert running.finished[0].attempts == 1


async def test_nobody_is_asked_beside_a_late_one_who_cannot_be_asked_that(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with some(tmp_path, later(2.0), answers, foreign="b") as running:
        by, asker = hedger(), ToldAsker()
        await ask(running, body=ONLY_OPENAI, strict=True, by=by, asker=asker)
        assert (asker.served, asker.attempts, asker.hedged) == ("a", 1, False)
        assert by.affords(trio.current_time())


async def test_the_next_who_can_be_asked_is_asked_beside_a_late_one(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with some(tmp_path, silent, answers, answers, foreign="b") as running:
        asker = await ask(running, body=ONLY_OPENAI, strict=True)
        assert (asker.served, asker.attempts) == ("c", 2)


async def test_a_failed_pair_is_tried_again_like_any_other(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    steady = RetryPolicy(max_attempts=2, base_delay_ms=1000, jitter=False)
    broken = later(1.5, says(failing(503)))
    async with some(tmp_path, broken, broken, retry=steady) as running:
        running.servers[1].scripts.append(answers)
        asker = await ask(running, attempts=4)
        assert running.kinds() == [
            "a server_error", "b server_error", "a server_error", "b ok"
        ]  # fmt: skip
        assert (asker.served, asker.attempts) == ("b", 4)


async def test_one_failing_leaves_the_other(tmp_path: Path, autojump_clock: MockClock) -> None:
    broken = says(failing(500))
    async with some(tmp_path, later(1.5, broken), later(3.0)) as running:
        asker = await ask(running)
        assert (asker.served, asker.attempts) == ("b", 2)
        assert running.kinds() == ["a server_error", "b ok"]
        assert running.attempts[1].raced is None
    async with some(tmp_path / "..", later(3.0), broken) as running:
        asker = await ask(running)
        assert (asker.served, asker.attempts) == ("a", 2)
        assert running.kinds() == ["b server_error", "a ok"]


async def test_a_first_that_fails_early_is_followed_at_once(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with some(tmp_path, later(0.2, says(failing(500))), answers) as running:
        before = trio.current_time()
        asker = await ask(running)
        assert isinstance(asker, HedgeTold)
        assert (asker.served, asker.hedged) == ("b", False)
        assert trio.current_time() - before == pytest.approx(0.2, abs=0.01)


async def test_a_request_is_hedged_once(tmp_path: Path, autojump_clock: MockClock) -> None:
    broken = says(failing(500))
    async with some(
        tmp_path, later(2.0, broken), later(2.0, broken), later(2.0), answers
    ) as running:
        by = hedger()
        for _ in range(10):
            by.deposit(trio.current_time())
        asker = await ask(running, by=by, attempts=4)
        assert (asker.served, asker.attempts) == ("c", 3)
        assert running.servers[3].calls == []


async def test_the_askers_departure_ends_both(tmp_path: Path, autojump_clock: MockClock) -> None:
    closed: list[float] = []
    watched = slow_but_watched(closed)
    async with some(tmp_path, watched, watched) as running:
        before = trio.current_time()
        with trio.move_on_after(5):
            await ask(running)
        assert [at - before for at in closed] == [pytest.approx(5, abs=0.01)] * 2
        assert sorted(running.kinds()) == ["a cancelled", "b cancelled"]
        assert not any(each.superseded for each in running.attempts)
        assert idle(running)
        [finished] = running.finished
        assert (finished.cancelled, finished.superseded) == (True, 0)


async def test_an_asker_who_stops_reading_is_told_apart_from_a_failure(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    gone = ToldAsker()
    gone.gone = True
    async with some(tmp_path, silent, answers) as running:
        with pytest.raises(AskerGone):
            await ask(running, asker=gone)
        assert sorted(running.kinds()) == ["a cancelled", "b cancelled"]
        assert idle(running)


@pytest.mark.parametrize("victim", ["a", "b"])
async def test_a_killed_provider_leaves_the_other_leg_alone(
    victim: str, tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with some(tmp_path, later(3.0), later(2.0), retry=None) as running:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(ask, running)
            await trio.sleep(1.5)
            running.system.kill(f"provider:{victim}")
        survivor = "b" if victim == "a" else "a"
        assert running.kinds() == [f"{victim} provider_down", f"{survivor} ok"]
        assert idle(running)


async def test_a_probe_that_is_superseded_gives_its_permit_back(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    quick = BreakerSettings(failure_threshold=1, recovery_timeout=0.1, max_recovery_timeout=0.1)
    async with some(tmp_path, later(1.5), silent, breaker=quick) as running:
        running.servers[1].scripts.insert(0, says(failing(500)))
        with pytest.raises(GaveUp):
            await ask(running, "b")
        await trio.sleep(1)
        now = trio.current_time()
        assert running.views["b"].status(now).state == "half_open"
        assert (await ask(running)).served == "a"
        now = trio.current_time()
        assert running.views["b"].ready(now)
        assert running.views["b"].status(now).state == "half_open"


async def test_what_the_loser_was_charged_for_is_told(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Anthropic counts the prompt before the first token."""
    start = {
        "type": "message_start",
        "message": {
            "id": "m", "type": "message", "role": "assistant", "model": scripted.MODEL,
            "content": [], "stop_reason": None, "stop_sequence": None,
            "usage": {"input_tokens": 321, "output_tokens": 1},
        },
    }  # fmt: skip

    async def counted(call: Call) -> None:
        piece = b"event: message_start\ndata: " + json.dumps(start).encode() + b"\n\n"
        await call.send(STREAM_HEAD + chunked(piece))
        await call.left()

    async with some(tmp_path, counted, silent, kind="anthropic") as running:
        with trio.move_on_after(5):
            await ask(running, stream=True)
        usage = {each.provider: each.usage for each in running.attempts}["a"]
        assert usage is not None
        assert usage.input_tokens == 321


async def test_what_was_learned_decides_when(tmp_path: Path, autojump_clock: MockClock) -> None:
    first_tokens = FirstTokens()
    row = first_tokens.of("a", None)
    row.learn()
    by = Hedger(HedgeSettings(minimum_delay=0.1, budget_percent=100), first_tokens)
    asked: list[float] = []

    async def second(call: Call) -> None:
        asked.append(trio.current_time())
        await answers(call)

    async with some(tmp_path, later(5.0), second) as running:
        assert (await ask(running, by=by)).served == "a"  # nothing is known yet
        for number in range(100):
            slow = number % 20 == 0
            row.count("ok", 3.0 if slow else 0.5, 4.0, trio.current_time(), stream=False)
        before = trio.current_time()
        assert (await ask(running, by=by)).served == "b"
        assert asked[0] - before == pytest.approx(0.5, rel=0.06)
        assert (await ask(running, by=by, stream=True)).served == "a"  # no stream was measured


async def test_embeddings_are_not_hedged(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with some(tmp_path, later(3.0, says(failing(500))), answers) as running:
        job = running.job()
        other = msgspec.structs.replace(
            job, request=msgspec.structs.replace(job.request, operation="embeddings")
        )
        candidates = [Candidate("a")]
        by = hedger()
        route = Route(group="g", order=lambda _: candidates, max_attempts=1, hedge=lambda: by)
        with pytest.raises(GaveUp):
            await running.forwarder().forward(other, route, ToldAsker())
        assert not by.affords(trio.current_time())


SERVING = ("ok", "broken_stream", "reset")
FATES = ["answers", "fails", "refuses", "silent", "empty", "breaks"]
legs = st.tuples(st.sampled_from(FATES), st.sampled_from([0.0, 0.5, 1.0, 1.0001, 1.5, 2.0, 2.5]))


def fate(name: str, kind: str, seconds: float) -> Script:
    text = event(content=f"from-{name}")

    async def good(call: Call) -> None:
        if not json.loads(call.body)["stream"]:
            body = scripted.ANSWER.replace(b"hello", f"from-{name}".encode())
            await call.send(scripted.plain(body))
            return
        await call.send(STREAM_HEAD + chunked(ROLE + text))
        await trio.sleep(0.3)
        if kind == "breaks":
            await call.hang_up()
            return
        await call.send(chunked(text + STOP + DONE) + END)

    scripts: dict[str, Script] = {
        "answers": good,
        "breaks": good,
        "fails": says(failing(500)),
        "refuses": says(failing(503)),
        "silent": silent,
        "empty": says(scripted.plain(b"{}")),
    }
    return later(seconds, scripts[kind])


@settings(max_examples=60, deadline=None)
@given(fates=st.lists(legs, min_size=2, max_size=3), stream=st.booleans())
def test_there_is_exactly_one_answer_or_one_honest_end(
    fates: list[tuple[str, float]], stream: bool
) -> None:
    async def scenario() -> None:
        with TemporaryDirectory() as folder:
            scripts = [fate("abc"[at], *each) for at, each in enumerate(fates)]
            timeouts = {"first_token_timeout": 4.0, "answer_timeout": 4.0}
            async with some(Path(folder), *scripts, **timeouts) as running:  # type: ignore[arg-type]  # settings of providers
                asker = ToldAsker()
                gave_up = False
                try:
                    await ask(running, asker=asker, stream=stream)
                except GaveUp:
                    gave_up = True
                assert idle(running)
                assert gave_up == (not asker.served), "one answer or one end"
                others = [name for name in "abc" if f"from-{name}".encode() in asker.body]
                assert others == ([asker.served] if asker.served else [])
                if asker.served:
                    assert asker.ended in ("complete", "broken")
                can = [kind in ("answers", "breaks") for kind, _ in fates]
                assert bool(asker.served) == any(can)
                [finished] = running.finished
                assert finished.attempts == len(running.attempts)
                assert finished.superseded == sum(each.superseded for each in running.attempts)
                served = [each for each in running.attempts if each.kind in SERVING]
                assert len(served) == bool(asker.served)

    trio.run(scenario, clock=MockClock(autojump_threshold=0))
