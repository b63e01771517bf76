"""What an asker is told when nobody has answered, what it cost, and what is left behind."""

import json
from functools import partial
from pathlib import Path

import msgspec
import pytest
import trio
from trio.testing import MockClock

from providers.failures import Failure
from runtime.routing.breaker import BreakerSettings
from runtime.routing.gave_up import GaveUp
from runtime.routing.group import Candidate
from runtime.routing.pauses import Pauses
from runtime.routing.retry import RetryBudget, RetryPolicy
from runtime.routing.route import Route
from runtime.routing.verdicts import status_of
from tests.providers import scripted
from tests.providers.scripted import failing, plain, says
from tests.runtime.routing.rig import Asker, Rig, one, rig, two

ONCE = RetryPolicy(max_attempts=1)
STEADY = RetryPolicy(max_attempts=3, base_delay_ms=1000, jitter=False)
TRIPS_AT_ONCE = BreakerSettings(failure_threshold=1)


async def given_up(running: Rig, *order: str, **wishes: float) -> GaveUp:
    with pytest.raises(GaveUp) as caught:
        await running.ask(*order, **wishes)  # type: ignore[arg-type]  # numbers only
    return caught.value


async def test_whoever_failed_and_then_was_kept_back_is_told_of_for_how_it_failed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Its circuit opens by the failure, so the second round passes it over."""
    async with one(tmp_path, says(failing(500)), breaker=TRIPS_AT_ONCE) as running:
        ended = await given_up(running)
        assert ended.attempts == 1
        assert (ended.last.kind, status_of(ended.last)) == ("server_error", 502)
        assert "circuit breaker is open" in ended.explanation()
        assert running.finished[0].status == 502
        assert ended.retry_after == pytest.approx(running.views["a"].retry_in(trio.current_time()))


async def test_whoever_failed_is_told_of_rather_than_who_was_passed_over_after_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with two(tmp_path, says(failing(500)), scripted.answers) as running:
        running.upstreams["b"].gate.close_until(trio.current_time() + 900)
        ended = await given_up(running, attempts=2)
        assert (ended.last.provider, ended.last.kind) == ("a", "server_error")
        assert "b: asked to be left alone for another 900.0 s" in ended.explanation()


async def test_a_full_queue_is_not_all_there_is_to_say_where_an_upstream_failed(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    busy = scripted.Upstream(tmp_path / "a", scripted.silent)
    broken = scripted.Upstream(tmp_path / "b", says(failing(500)))
    providers = {
        "a": scripted.provider("a", tmp_path / "a", max_connections=1, queue_limit=0),
        "b": scripted.provider("b", tmp_path / "b"),
    }
    async with rig(providers, busy, broken, retry=ONCE) as running:
        running.nursery.start_soon(given_up, running, "a")
        await trio.sleep(1)
        ended = await given_up(running, "a", "b")
        assert [failure.kind for failure in ended.failures] == ["queue_full", "server_error"]
        assert not ended.shed
        assert (await given_up(running, "a")).shed


async def test_a_full_queue_costs_no_retry(tmp_path: Path, autojump_clock: MockClock) -> None:
    busy = scripted.Upstream(tmp_path / "a", scripted.silent)
    free = scripted.Upstream(tmp_path / "b", scripted.answers)
    providers = {
        "a": scripted.provider("a", tmp_path / "a", max_connections=1, queue_limit=0),
        "b": scripted.provider("b", tmp_path / "b"),
    }
    async with rig(providers, busy, free, retry=ONCE) as running:
        running.budget = RetryBudget(0.0, 0.0)
        running.nursery.start_soon(given_up, running, "a")
        await trio.sleep(1)
        asker = await running.ask("a", "b", attempts=1)
        assert (asker.served, asker.attempts) == ("b", 2)


async def test_a_full_queue_costs_no_retry_after_a_failure_that_cost_one(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    servers = (
        scripted.Upstream(tmp_path / "a", says(failing(500))),
        scripted.Upstream(tmp_path / "b", scripted.silent),
        scripted.Upstream(tmp_path / "c", scripted.answers),
    )
    providers = {
        name: scripted.provider(name, tmp_path / name, max_connections=1, queue_limit=0)
        for name in "abc"
    }
    async with rig(providers, *servers, retry=ONCE) as running:
        running.budget = RetryBudget(0.0, 0.1)  # one in ten seconds
        running.nursery.start_soon(given_up, running, "b")
        await trio.sleep(1)
        asker = await running.ask("a", "b", "c")
        assert (asker.served, asker.attempts) == ("c", 3)
        assert running.budget.granted == 1


async def test_nobody_waits_for_a_retry_that_the_budget_does_not_pay_for(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, says(failing(429, b"retry-after: 20\r\n"))) as running:
        running.budget = RetryBudget(0.0, 0.0)
        ended = await given_up(running)
        assert (ended.attempts, ended.last.kind) == (1, "rate_limited")
        assert trio.current_time() == 0
        assert (running.budget.granted, running.budget.refused) == (0, 1)


async def test_every_request_puts_its_share_into_the_retry_budget(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with two(tmp_path, says(failing(500)), scripted.answers) as running:
        running.budget = RetryBudget(0.5, 0.0)
        assert (await given_up(running)).attempts == 1, "half a retry is none"
        assert (await running.ask()).served == "b"
        assert (await given_up(running)).attempts == 1


async def test_a_probe_that_the_budget_does_not_pay_for_is_given_back(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with two(tmp_path, says(failing(500)), scripted.answers) as running:
        circuit = running.views["b"].circuit
        circuit.fire("tripped", trio.current_time())
        circuit.hasten(trio.current_time())
        running.budget = RetryBudget(0.0, 0.0)
        assert (await given_up(running, "a", "b")).attempts == 1
        assert circuit.ready(trio.current_time()), "the one permit is there again"
        assert (await running.ask("b")).served == "b"


async def test_no_pause_is_made_that_would_end_with_the_request(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, says(failing(500)), retry=STEADY) as running:
        ended = await given_up(running, patience=1.0)
        assert trio.current_time() == 0
        assert (ended.attempts, ended.last.kind) == (1, "server_error")


async def test_of_several_who_ask_for_patience_the_least_is_waited_for(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async def recovers(call: scripted.Call) -> None:
        first = trio.current_time() < 1
        await call.send(failing(429, b"retry-after: 5\r\n") if first else plain())

    async with two(tmp_path, says(failing(429, b"retry-after: 30\r\n")), recovers) as running:
        running.pace(STEADY)
        asker = await running.ask()
        assert trio.current_time() == pytest.approx(5)
        assert asker.served == "b"


async def test_whoever_asks_for_patience_has_it_while_others_are_asked_again(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    times: dict[str, list[float]] = {"a": [], "b": []}

    async def busy(call: scripted.Call) -> None:
        times["a"].append(trio.current_time())
        patient = trio.current_time() >= 10
        await call.send(plain() if patient else failing(503, b"retry-after: 10\r\n"))

    async def broken(call: scripted.Call) -> None:
        times["b"].append(trio.current_time())
        await call.send(failing(500))

    async with two(tmp_path, busy, broken) as running:
        running.pace(STEADY)
        asker = await running.ask("a", "b", attempts=9)
        assert (asker.served, asker.attempts) == ("a", 5)
        assert [round(at) for at in times["a"]] == [0, 10]
        assert [round(at) for at in times["b"]] == [0, 1, 3]


async def test_each_is_asked_again_by_its_own_policy(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    times: dict[str, list[float]] = {"a": [], "b": []}

    async def fails(call: scripted.Call, name: str) -> None:
        times[name].append(trio.current_time())
        await call.send(failing(500))

    scripts = (partial(fails, name="a"), partial(fails, name="b"))
    slowly = RetryPolicy(max_attempts=3, base_delay_ms=4000, max_delay_ms=9000, jitter=False)
    async with two(tmp_path, *scripts) as running:
        running.pace(slowly, STEADY)
        assert (await given_up(running, "a", "b", attempts=9)).attempts == 6
        assert [round(at) for at in times["a"]] == [0, 4, 12]
        assert [round(at) for at in times["b"]] == [0, 1, 3]


async def test_a_minute_that_is_asked_for_is_waited_for(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A minute is the longest pause, and what is drawn on top of it makes it no longer."""
    scripts = says(failing(429, b"retry-after: 60\r\n")), says(plain())
    async with one(tmp_path, *scripts) as running:
        asker = await running.ask(patience=300)
        assert (asker.served, asker.attempts) == ("a", 2)
        assert 60 <= trio.current_time() <= 60.2


async def test_more_than_a_minute_is_not_waited_for(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    scripts = says(failing(429, b"retry-after: 61\r\n")), says(plain())
    async with one(tmp_path, *scripts) as running:
        assert (await given_up(running, patience=300)).attempts == 1
        assert trio.current_time() == 0


async def test_patience_counts_from_when_it_was_asked_for(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The time that another one takes to fail is a part of it."""

    async def late(call: scripted.Call) -> None:
        await trio.sleep(15)
        await call.send(failing(401))

    async def recovers(call: scripted.Call) -> None:
        first = trio.current_time() < 1
        await call.send(failing(429, b"retry-after: 20\r\n") if first else plain())

    async with two(tmp_path, recovers, late) as running:
        running.pace(STEADY)
        asker = await running.ask("a", "b", patience=30)
        assert (asker.served, asker.attempts) == ("a", 3)
        assert trio.current_time() == pytest.approx(20)


async def test_the_request_that_has_a_provider_set_aside_is_told_for_how_long(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, says(failing(401))) as running:
        ended = await given_up(running)
        assert (ended.last.kind, ended.attempts) == ("account", 1)
        left = running.views["a"].retry_in(trio.current_time())
        assert 30 <= left <= 60
        assert ended.retry_after == pytest.approx(left)


async def test_the_request_that_opens_the_circuit_is_told_for_how_long_it_stays_open(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    script = says(failing(503, b"retry-after: 2\r\n"))
    async with one(tmp_path, script, retry=ONCE, breaker=TRIPS_AT_ONCE) as running:
        ended = await given_up(running)
        assert (ended.last.kind, ended.attempts) == ("server_error", 1)
        left = running.views["a"].retry_in(trio.current_time())
        assert 15 <= left <= 30
        assert ended.retry_after == pytest.approx(left)


async def test_a_429_that_names_no_time_is_told_with_the_pause_that_was_made_of_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with two(tmp_path, says(failing(429)), says(failing(500))) as running:
        ended = await given_up(running, attempts=2)
        assert ended.soonest is None, "b may be asked again at once"
        left = running.upstreams["a"].gate.opens_in(trio.current_time())
        assert ended.retry_after == pytest.approx(left)
        assert 0.5 <= left <= 1


async def test_who_wants_nobody_else_gets_the_first_failure(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with two(tmp_path, says(failing(503)), scripted.answers) as running:
        candidates = [Candidate("a"), Candidate("b")]
        route = Route(group="g", order=lambda _now: candidates, max_attempts=3, once=True)
        with pytest.raises(GaveUp) as caught:
            await running.forwarder().forward(running.job(), route, Asker())
        assert (caught.value.attempts, caught.value.asked) == (1, "a")
        assert trio.current_time() == 0


async def test_a_request_whose_provider_is_killed_again_and_again_ends(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async def killed(call: scripted.Call) -> None:
        running.system.kill("provider:a")
        await call.left()

    async with one(tmp_path, killed) as running:
        ended = await given_up(running, attempts=2, patience=600)
        assert ended.last.kind == "provider_down"
        assert ended.attempts == 22, "its two attempts and twenty that were nobody's fault"


async def test_a_request_is_reported_with_the_status_the_asker_saw(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, says(plain(status=201))) as running:
        await running.ask()
        assert [(each.status, each.ok) for each in running.finished] == [(201, True)]


async def test_a_failure_is_shown_as_the_providers_last_error(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, says(failing(500)), retry=ONCE) as running:
        assert running.facts()["last_error"] is None
        await given_up(running)
        assert "500" in str(running.facts()["last_error"])


async def test_a_request_that_could_not_be_put_so_is_no_attempt(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    other = scripted.provider("a", tmp_path / "a", kind="anthropic")
    async with rig({"a": other}, scripted.Upstream(tmp_path / "a")) as running:
        job = running.job()
        body = {**json.loads(job.request.body), "logit_bias": {"1": 1}}
        request = msgspec.structs.replace(job.request, body=json.dumps(body).encode())
        job = msgspec.structs.replace(job, request=request, strict_translation=True)
        route = Route(group="g", order=lambda _now: [Candidate("a")], max_attempts=3)
        with pytest.raises(GaveUp, match="logit_bias") as caught:
            await running.forwarder().forward(job, route, Asker())
        ended = caught.value
        assert (ended.last.kind, status_of(ended.last)) == ("untranslatable", 400)
        assert (ended.attempts, ended.asked) == (0, "")
        assert not running.servers[0].calls


def test_patience_with_a_task_that_restarts_begins_anew_after_another_failure() -> None:
    pauses = Pauses(lambda _provider: STEADY)
    down = Failure("provider_down", "a", "restarting")
    broke = Failure("server_error", "b", "broke")
    assert pauses.before(1, [down], 0.0) == pytest.approx(0.02)
    assert pauses.before(2, [down], 9.9) == pytest.approx(0.04)
    assert pauses.before(3, [down, broke], 9.95) == pytest.approx(1), "b's first"
    assert pauses.before(4, [down], 14.0) == pytest.approx(0.08)
    assert pauses.before(20, [down], 23.9) == pytest.approx(0.25)
    assert pauses.before(4, [down], 24.0) is None
