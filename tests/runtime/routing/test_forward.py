"""Rounds, budgets, patience and deadlines of one request."""

import json
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from providers.actor import ProviderActor
from providers.failures import Failure
from runtime.routing.breaker import BreakerSettings
from runtime.routing.gave_up import GaveUp
from runtime.routing.retry import RetryBudget, RetryPolicy
from runtime.routing.verdicts import status_of
from tests.providers import scripted
from tests.providers.scripted import Call, failing, plain, says
from tests.runtime.routing.rig import Asker, one, rig, two

STEADY = RetryPolicy(max_attempts=3, base_delay_ms=1000, jitter=False)


async def gave_up(running: object, *order: str, **wishes: object) -> GaveUp:
    with pytest.raises(GaveUp) as caught:
        await running.ask(*order, **wishes)  # type: ignore[attr-defined]  # a rig
    return caught.value


async def test_further_rounds_wait_longer_each_time_and_end(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    times: list[float] = []

    async def fail(call: Call) -> None:
        times.append(trio.current_time())
        await call.send(failing(503))

    async with one(tmp_path, fail, retry=STEADY) as running:
        ended = await gave_up(running, attempts=10)
        assert [round(b - a, 3) for a, b in pairwise(times)] == [1.0, 2.0]
        assert (ended.attempts, ended.last.kind) == (3, "server_error")


async def test_the_groups_attempts_bound_all_rounds(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with two(tmp_path, says(failing(500)), says(failing(500))) as running:
        ended = await gave_up(running, "a", "b", attempts=3)
        assert ended.attempts == 3
        assert running.kinds() == ["a server_error", "b server_error", "a server_error"]


async def test_retry_after_is_obeyed_when_nobody_else_can_be_asked(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(
        tmp_path, says(failing(429, b"retry-after: 7\r\n")), scripted.answers
    ) as running:
        before = trio.current_time()
        asker = await running.ask()
        assert asker.attempts == 2
        assert 7 <= trio.current_time() - before < 8.5


async def test_a_retry_after_beyond_the_deadline_is_told_at_once(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, says(failing(429, b"retry-after: 30\r\n"))) as running:
        ended = await gave_up(running, patience=20)
        assert trio.current_time() < 1
        assert ended.retry_after == pytest.approx(30, abs=0.1)
        ended = await gave_up(running, patience=20)
        assert ended.attempts == 0  # the gate is closed: the upstream is left alone
        assert len(running.servers[0].calls) == 1


async def test_a_wait_of_more_than_a_minute_is_never_made(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, says(failing(429, b"retry-after: 61\r\n"))) as running:
        await gave_up(running, patience=600)
        assert trio.current_time() < 1


async def test_without_budget_there_is_one_attempt(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with two(tmp_path, says(failing(500)), scripted.answers) as running:
        running.budget = RetryBudget(0.0, 0.0)
        ended = await gave_up(running, "a", "b")
        assert ended.attempts == 1


async def test_a_provider_that_died_costs_no_budget(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with two(tmp_path, scripted.silent, scripted.answers) as running:
        running.budget = RetryBudget(0.0, 0.0)
        asker = Asker()
        async with trio.open_nursery() as nursery:

            async def kill() -> None:
                await wait_all_tasks_blocked()
                running.system.kill("provider:a")

            nursery.start_soon(kill)
            await running.ask("a", "b", attempts=1, asker=asker)
        assert asker.served == "b"


async def test_an_upstreams_refusal_of_the_request_ends_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with two(tmp_path, says(failing(400)), scripted.answers) as running:
        ended = await gave_up(running, "a", "b")
        assert (ended.attempts, ended.last.kind, ended.last.provider) == (1, "client_error", "a")
        assert running.finished[0].status == 400
        assert json.loads(ended.last.upstream_body or b"")["error"]["message"] == "no"


@pytest.mark.parametrize("patience", [0.0, -1.0])
async def test_a_request_whose_time_is_up_before_it_was_asked_is_a_timeout(
    tmp_path: Path, autojump_clock: MockClock, patience: float
) -> None:
    async with one(tmp_path) as running:
        ended = await gave_up(running, patience=patience)
        assert ended.last.kind == "deadline"
        assert running.finished[0].status == 504


async def test_a_request_without_any_candidate_is_given_up_in_words(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with rig({}) as running:
        ended = await gave_up(running)
        assert ended.last.kind == "not_configured"
        assert "no provider" in ended.explanation()


async def test_the_deadline_ends_a_silent_attempt(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, scripted.silent) as running:
        await gave_up(running, patience=5)
        assert 5 <= trio.current_time() < 6
        assert running.facts()["in_flight"] == 0


async def test_patience_with_a_task_that_does_not_come_back_ends(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path) as running:
        await running.system.supervisor("providers").terminate_child("provider:a")
        ended = await gave_up(running, patience=600)
        assert ended.last.kind == "provider_down"
        assert 9 < trio.current_time() < 11
        assert ended.attempts == 0


async def test_a_task_that_comes_back_in_time_answers(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path) as running:
        providers = running.system.supervisor("providers")
        await providers.terminate_child("provider:a")
        asker = Asker()
        async with trio.open_nursery() as nursery:

            async def bring_back() -> None:
                await trio.sleep(4)
                await providers.restart_child("provider:a")

            nursery.start_soon(bring_back)
            await running.ask(asker=asker)
        assert (asker.ended, asker.attempts) == ("complete", 1)


async def test_a_defect_of_ours_is_counted_as_one_and_gives_everything_back(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    class Broken(Asker):
        def complete(self, *args: object) -> None:
            raise RuntimeError("a defect")

    async with one(tmp_path) as running:
        with pytest.raises(RuntimeError):
            await running.ask(asker=Broken())
        assert (running.finished[0].status, running.finished[0].cancelled) == (500, False)
        assert running.facts()["in_flight"] == 0


async def test_hundreds_at_once_are_each_answered_once_while_their_provider_dies_again_and_again(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async def unhurried(call: Call) -> None:
        await trio.sleep(0.05)
        await call.send(plain())

    askers = [Asker() for _ in range(200)]
    async with two(tmp_path, unhurried, unhurried, max_connections=50) as running:
        running.budget = RetryBudget(1.0, 100.0)

        async def kill() -> None:
            for number in range(8):
                await trio.sleep(0.03)
                running.system.kill(f"provider:{'ab'[number % 2]}")

        async with trio.open_nursery() as nursery:
            nursery.start_soon(kill)
            for asker in askers:
                nursery.start_soon(partial(running.ask, "a", "b", asker=asker))
        assert {asker.ended for asker in askers} == {"complete"}
        assert len(running.finished) == 200
        for name in "ab":
            assert running.facts(name)["in_flight"] == running.facts(name)["queued"] == 0


def test_what_is_told_is_the_last_exchange_and_the_soonest_time() -> None:
    told = GaveUp(
        [
            Failure("rate_limited", "a", "later", retry_after=9),
            Failure("circuit_open", "b", "open", retry_after=3),
            Failure("server_error", "c", "broke", status=500),
        ],
        1,
    )
    assert told.last.provider == "c"
    assert told.retry_after == 3
    assert told.explanation() == "no provider could answer: a: later; b: open; c: broke"


async def test_what_is_told_is_the_exchange_and_not_that_its_circuit_has_opened_since(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    breaker = BreakerSettings(failure_threshold=1)
    async with one(tmp_path, says(failing(500)), breaker=breaker, retry=STEADY) as running:
        ended = await gave_up(running, attempts=5)
        assert [failure.kind for failure in ended.failures] == ["circuit_open", "server_error"]
        assert (ended.attempts, status_of(ended.last)) == (1, 502)
        assert ended.retry_after is not None, "when the circuit may be asked again"


@pytest.mark.parametrize("stream", [False, True])
async def test_an_asker_in_a_hurry_says_nothing_about_the_provider(
    tmp_path: Path, autojump_clock: MockClock, stream: bool
) -> None:
    trips_at_once = BreakerSettings(failure_threshold=1)
    async with one(tmp_path, scripted.silent, breaker=trips_at_once) as running:
        ended = await gave_up(running, patience=5, stream=stream)
        assert ended.last.kind == "deadline"
        assert status_of(ended.last) == 504
        assert running.views["a"].circuit.passing
        ended = await gave_up(running, patience=601, stream=stream, attempts=1)
        assert ended.last.kind == ("first_token_timeout" if stream else "timeout")
        assert not running.views["a"].circuit.passing


async def test_a_hung_up_upstream_that_had_time_to_work_is_not_asked_again_unasked(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async def works_then_hangs_up(call: Call) -> None:
        await trio.sleep(5)
        await call.hang_up()

    async with one(tmp_path, scripted.answers, works_then_hangs_up) as running:
        await running.ask()
        ended = await gave_up(running, attempts=1)
        assert ended.last.kind == "reset"
        assert len(running.servers[0].calls) == 2


async def test_a_provider_that_is_away_does_not_prolong_the_wait_for_one_that_asked_for_patience(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with two(
        tmp_path, scripted.answers, says(failing(429, b"retry-after: 300\r\n"))
    ) as running:
        await running.system.supervisor("providers").terminate_child("provider:a")
        ended = await gave_up(running, "a", "b", patience=500)
        assert trio.current_time() < 15
        assert ended.retry_after == pytest.approx(300, abs=15)


async def test_a_request_that_crashes_its_provider_again_is_not_given_to_it_a_third_time(
    tmp_path: Path, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with two(tmp_path, scripted.answers, says(failing(503))) as running:
        broken = running.upstreams["a"].interface
        # What no socket can send crashes the provider's task, as a defect of its API module would.
        monkeypatch.setattr(broken, "transform_request", lambda _request, _model: "no bytes")
        ended = await gave_up(running, "a", "b", attempts=5)
        assert ended.attempts == 5
        assert running.kinds() == ["a provider_down", "b server_error"] * 2 + ["b server_error"]
        assert running.system.ref("provider:a").incarnation == 3
        monkeypatch.undo()
        assert (await running.ask("a")).served == "a", "other requests are not held against it"


async def test_who_finds_a_full_mailbox_is_told_when_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    monkeypatch.setattr(ProviderActor, "mailbox_limit", 0)
    async with one(tmp_path) as running:
        ended = await gave_up(running)
        assert ended.last.kind == "queue_full"
        assert ended.shed
        assert ended.retry_after == 1.0


async def test_who_was_not_even_looked_at_in_time_is_told_when_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async def slow(actor: ProviderActor, message: object) -> None:
        del actor, message
        await trio.sleep(20)

    monkeypatch.setattr(ProviderActor, "handle_cast", slow)
    provider = scripted.provider("a", tmp_path / "a", answer_timeout=10.0)
    async with rig({"a": provider}) as running:
        running.system.ref("provider:a").cast("keep busy")
        await wait_all_tasks_blocked()
        ended = await gave_up(running)
        assert ended.last.kind == "queue_full"
        assert ended.shed
        assert ended.retry_after == 1.0
