"""Telemetry counts everything once, publishes in time, and survives."""

from collections.abc import Mapping

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked as settle

from providers.wire import Usage
from runtime.outcome import CircuitChanged
from runtime.telemetry import (
    ATTEMPT_STOP,
    CIRCUIT_CHANGE,
    PART_REPORT,
    REQUEST_STOP,
    Metrics,
    Telemetry,
    TelemetryBoard,
)
from supervision import Actor, Backoff, ChildSpec, Report, Reports, open_system, supervisor
from tests.support.outcomes import attempt, finished


def tree(board: TelemetryBoard) -> ChildSpec:
    return supervisor("root", [ChildSpec("telemetry", lambda: Telemetry(board))])


def quiet() -> Reports:
    return Reports(log=False)


async def counted(*events: object) -> Metrics:
    board = TelemetryBoard()
    async with open_system(tree(board), reports=quiet()) as system:
        for event in events:
            assert system.ref("telemetry").cast(event)
        await trio.sleep(0.2)
        return board.metrics.value


async def test_before_anything_happens_all_is_well(autojump_clock: trio.abc.Clock) -> None:
    metrics = await counted()
    assert (metrics.total_requests, metrics.success_rate, metrics.avg_response_time) == (0, 1, 0)
    assert metrics.providers == {}


async def test_requests_are_counted_by_what_became_of_them(
    autojump_clock: trio.abc.Clock,
) -> None:
    metrics = await counted(
        finished(duration=0.1, usage=Usage(10, 5, reasoning_tokens=2)),
        finished(duration=0.2, attempts=2, stream=True),
        finished(502),
        finished(400),
        finished(429),
        finished(499, cancelled=True),
    )
    assert metrics.total_requests == 6
    assert metrics.succeeded == 2
    assert metrics.failed == 2
    assert metrics.refused == 1
    assert metrics.cancelled == 1
    assert metrics.success_rate == 0.5
    assert metrics.avg_response_time == pytest.approx(150.0)
    assert metrics.failed_over == 1
    assert metrics.streamed == 1
    assert metrics.tokens.input == 10
    assert metrics.tokens.reasoning == 2


async def test_an_attempt_that_comes_with_its_request_counts_as_one_that_came_before_it(
    autojump_clock: trio.abc.Clock,
) -> None:
    served = attempt("a", usage=Usage(1, 2))
    apart = await counted(attempt("b", "connect"), served, finished(attempts=2))
    joined = await counted(
        attempt("b", "connect"), msgspec.structs.replace(finished(attempts=2), served=served)
    )
    assert joined.attempts == 2
    assert joined == apart


async def test_an_attempt_that_comes_with_its_request_is_told_to_handlers_before_it(
    autojump_clock: trio.abc.Clock,
) -> None:
    board = TelemetryBoard()
    heard: list[object] = []
    board.handlers.attach(
        "all", [ATTEMPT_STOP, REQUEST_STOP], lambda event, *_rest: heard.append(event)
    )
    async with open_system(tree(board), reports=quiet()) as system:
        told = msgspec.structs.replace(finished(), served=attempt())
        assert system.ref("telemetry").cast(told)
        await settle()
    assert heard == [ATTEMPT_STOP, REQUEST_STOP]


async def test_attempts_are_counted_by_provider_and_kind(autojump_clock: trio.abc.Clock) -> None:
    metrics = await counted(
        attempt("a", "ok", usage=Usage(1, 2, 3, 4, 5)),
        attempt("a", "connect", first_token=None),
        attempt("a", "connect", first_token=None),
        attempt("a", "client_error", first_token=None),
        attempt("a", "cancelled", first_token=None),
        attempt("b", "ok"),
        CircuitChanged(provider="a", watch="circuit", before="closed", after="open", at=0.0),
        CircuitChanged(provider="a", watch="account", before="closed", after="open", at=0.0),
        CircuitChanged(provider="a", watch="circuit", before="open", after="half_open", at=0.0),
    )
    a = metrics.providers["a"]
    assert metrics.attempts == 6
    assert (a.requests, a.succeeded, a.failed, a.cancelled) == (5, 1, 2, 1)
    assert a.failures == {"connect": 2, "client_error": 1}
    assert a.success_rate == pytest.approx(1 / 3, abs=1e-6)
    assert a.avg_first_token == pytest.approx(100)
    assert a.p50_first_token == pytest.approx(100, rel=0.06)
    assert a.avg_response_time == pytest.approx(400)
    assert (a.tokens.cache_read, a.tokens.cache_write) == (3, 4)
    assert (a.circuit_opened, a.set_aside, a.last_failure) == (1, 1, "client_error")
    assert a.health_score < metrics.providers["b"].health_score == 1.0


async def test_the_first_event_is_published_at_once_and_later_ones_a_tenth_of_a_second_after(
    autojump_clock: trio.abc.Clock,
) -> None:
    board = TelemetryBoard()
    async with open_system(tree(board), reports=quiet()) as system:
        ref = system.ref("telemetry")
        await trio.sleep(1)
        ref.cast(finished())
        await settle()
        first = board.metrics.value
        assert first.total_requests == 1
        for _ in range(50):
            ref.cast(finished())
        await settle()
        assert board.metrics.value is first, "a picture is never changed, and not remade each time"
        await trio.sleep(0.11)
        assert board.metrics.value.total_requests == 51
        assert first.total_requests == 1


async def test_counts_survive_a_kill_and_a_crash(autojump_clock: trio.abc.Clock) -> None:
    board = TelemetryBoard()
    async with open_system(tree(board), reports=quiet()) as system:
        ref = system.ref("telemetry")
        for _ in range(3):
            ref.cast(finished())
            ref.cast(attempt("a", "connect"))
        await settle()
        assert ref.kill()
        await settle()
        assert board.metrics.value.total_requests == 3
        ref.cast("nonsense")
        await settle()
        ref.cast(finished())
        await trio.sleep(0.2)
        assert ref.incarnation == 3
        assert board.metrics.value.total_requests == 4
        assert board.metrics.value.providers["a"].failed == 3


async def test_what_was_counted_last_is_published_before_the_end(
    autojump_clock: trio.abc.Clock,
) -> None:
    board = TelemetryBoard()
    async with open_system(tree(board), reports=quiet()) as system:
        for _ in range(5):
            system.ref("telemetry").cast(finished())
        await system.stop()
    assert board.metrics.value.total_requests == 5


async def test_a_full_mailbox_drops_and_counts_and_nobody_waits(
    autojump_clock: trio.abc.Clock,
) -> None:
    board = TelemetryBoard()
    async with open_system(tree(board), reports=quiet()) as system:
        ref = system.ref("telemetry")
        await settle()
        taken = sum(ref.cast(finished()) for _ in range(Telemetry.mailbox_limit + 500))
        assert taken == Telemetry.mailbox_limit
        await trio.sleep(1)
        assert board.metrics.value.total_requests == Telemetry.mailbox_limit
        mailbox = system.snapshot().children[0].mailbox
        assert mailbox is not None
        assert mailbox.dropped == 500


async def test_a_score_heals_by_time_and_the_picture_shows_it(
    autojump_clock: trio.abc.Clock,
) -> None:
    board = TelemetryBoard()
    async with open_system(tree(board), reports=quiet()) as system:
        for _ in range(20):
            system.ref("telemetry").cast(attempt("a", "connect", first_token=None))
        await trio.sleep(0.2)
        low = board.metrics.value.providers["a"].health_score
        assert low < 0.2
        await trio.sleep(61)
        middle = board.metrics.value.providers["a"].health_score
        assert middle == pytest.approx(1 - (1 - low) / 2, abs=0.03)
        await trio.sleep(1200)
        assert board.metrics.value.providers["a"].health_score > 0.999
        healed = board.metrics.value
        await trio.sleep(1200)
        assert board.metrics.value is healed, "nothing is remade when nothing changes"


async def test_handlers_hear_of_events_and_a_failing_one_is_detached(
    autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    board = TelemetryBoard()
    heard: list[object] = []

    def note(event: object, numbers: object, facts: object, config: object) -> None:
        heard.append((event, numbers, config))

    def fails(event: object, numbers: object, facts: object, config: object) -> None:
        raise ZeroDivisionError

    board.handlers.attach("bad", ATTEMPT_STOP, fails)
    board.handlers.attach("good", [ATTEMPT_STOP, REQUEST_STOP, CIRCUIT_CHANGE], note, "mine")
    async with open_system(tree(board), reports=quiet()) as system:
        ref = system.ref("telemetry")
        ref.cast(attempt("a", first_token=None))
        ref.cast(finished(duration=0.5))
        ref.cast(CircuitChanged(provider="a", watch="circuit", before="x", after="y", at=0.0))
        ref.cast(attempt("a"))
        await settle()
        assert ref.incarnation == 1
    assert heard == [
        (ATTEMPT_STOP, {"duration": 0.4}, "mine"),
        (REQUEST_STOP, {"duration": 0.5, "first_token": 0.1, "attempts": 1}, "mine"),
        (CIRCUIT_CHANGE, {}, "mine"),
        (ATTEMPT_STOP, {"duration": 0.4, "first_token": 0.1}, "mine"),
    ]
    assert [each.id for each in board.handlers.list_handlers()] == ["good"]
    assert "telemetry handler bad failed at standby.attempt.stop" in caplog.text


class Fragile(Actor):
    async def handle_cast(self, message: object) -> None:
        raise ZeroDivisionError


async def test_crashes_and_restarts_of_the_daemons_parts_are_counted_also_while_telemetry_is_away(
    autojump_clock: trio.abc.Clock,
) -> None:
    board = TelemetryBoard()
    heard: list[tuple[str, str]] = []

    def note(event: object, numbers: object, facts: Mapping[str, object], config: object) -> None:
        report = facts["report"]
        assert isinstance(report, Report)
        heard.append((report.context, report.name))

    board.handlers.attach("parts", PART_REPORT, note)
    parts = [
        ChildSpec("fragile", Fragile),
        ChildSpec("telemetry", lambda: Telemetry(board)),
    ]
    later = Backoff(first=1.0, jitter=0.0)
    specification = supervisor("root", parts, max_restarts=10, backoff=later)
    async with open_system(specification, reports=quiet()) as system:
        await settle()
        heard.clear()
        assert system.ref("telemetry").kill()
        await settle()
        assert not system.ref("telemetry").alive
        system.ref("fragile").cast("go")
        await trio.sleep(5)
        assert ("crashed", "fragile") in heard
        assert heard.count(("started", "fragile")) == 1
        assert heard.count(("started", "telemetry")) == 1
        parted = board.metrics.value.parts
        assert (parted.crashes, parted.restarts) == (1, 2)
        assert system.ref("telemetry").kill()
        await trio.sleep(5)
    assert board.metrics.value.parts.restarts == 3, "none is counted twice"
