"""What is passed through is counted, apart from the requests that ask a model."""

import msgspec
from trio.testing import MockClock

from runtime.outcome import Attempt, AttemptKind, Finished
from tests.runtime.telemetry.test_telemetry import counted
from tests.support.outcomes import attempt, finished


def _attempt(kind: AttemptKind, status: int | None = None, duration: float = 0.4) -> Attempt:
    plain = attempt("a", kind, group=None, first_token=None, duration=duration)
    return msgspec.structs.replace(plain, operation="passthrough", status=status, model="")


def _finished(status: int, *, cancelled: bool = False, duration: float = 0.5) -> Finished:
    plain = finished(status, cancelled=cancelled, duration=duration)
    return msgspec.structs.replace(plain, operation="passthrough", first_token=None)


async def test_requests_are_counted_by_what_became_of_them(autojump_clock: MockClock) -> None:
    metrics = await counted(
        _finished(200, duration=0.1),
        _finished(200, duration=0.3),
        _finished(404),
        _finished(429),
        _finished(502),
        _finished(499, cancelled=True),
    )
    passed = metrics.passthrough
    assert (passed.requests, passed.succeeded, passed.refused, passed.failed) == (6, 2, 2, 1)
    assert passed.cancelled == 1
    assert passed.statuses == {"200": 2, "404": 1, "429": 1, "502": 1}
    assert passed.avg_response_time == 200.0
    assert passed.p95_response_time is not None
    assert (metrics.total_requests, metrics.succeeded, metrics.failed) == (0, 0, 0)
    assert (metrics.success_rate, metrics.avg_response_time) == (1.0, 0.0)


async def test_a_providers_counts_and_its_health(autojump_clock: MockClock) -> None:
    metrics = await counted(
        _attempt("ok", 200, duration=0.2),
        _attempt("client_error", 404),
        _attempt("server_error", 503),
        _attempt("connect"),
        _attempt("cancelled"),
        _attempt("queue_full"),
    )
    provider = metrics.providers["a"]
    passed = provider.passthrough
    assert (passed.requests, passed.succeeded, passed.refused) == (6, 1, 2)
    assert (passed.failed, passed.cancelled) == (2, 1)
    assert passed.failures == {"client_error": 1, "server_error": 1, "connect": 1, "queue_full": 1}
    assert passed.statuses == {"200": 1, "404": 1, "503": 1}
    assert passed.avg_response_time == 200.0
    assert (provider.requests, provider.failures, provider.last_failure) == (0, {}, "connect")
    assert provider.health_score < 1.0
    assert metrics.shed.queue == 1


async def test_refusals_leave_the_score_alone(autojump_clock: MockClock) -> None:
    metrics = await counted(_attempt("client_error", 403), _attempt("ok", 200))
    assert metrics.providers["a"].health_score == 1.0
    assert metrics.providers["a"].last_failure is None


async def test_other_requests_are_counted_as_ever(autojump_clock: MockClock) -> None:
    metrics = await counted(attempt("a"), finished(), attempt("a", "queue_full"))
    assert metrics.passthrough == metrics.providers["a"].passthrough
    assert metrics.passthrough.requests == 0
    assert (metrics.total_requests, metrics.providers["a"].succeeded) == (1, 1)
    assert metrics.shed.queue == 1
