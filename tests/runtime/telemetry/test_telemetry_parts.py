"""Handlers, scores and quantiles on their own."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.telemetry import (
    ATTEMPT_STOP,
    HANDLER_FAILURE,
    REQUEST_STOP,
    HandlerExistsError,
    TelemetryHandler,
)
from runtime.telemetry.histogram import RecentTimes
from runtime.telemetry.score import HealthScore


class Heard(list[tuple[object, object]]):
    def __call__(self, event: object, numbers: object, facts: object, config: object) -> None:
        self.append((event, config))


def fails(event: object, numbers: object, facts: object, config: object) -> None:
    raise ZeroDivisionError


def test_a_handler_hears_only_of_its_events_until_it_is_detached() -> None:
    handlers, heard = TelemetryHandler(), Heard()
    handlers.attach("one", ATTEMPT_STOP, heard, 7)
    assert handlers.wanted(ATTEMPT_STOP)
    assert not handlers.wanted(REQUEST_STOP)
    handlers.execute(ATTEMPT_STOP, {}, {})
    handlers.execute(REQUEST_STOP, {}, {})
    assert heard == [(ATTEMPT_STOP, 7)]
    assert handlers.detach("one")
    assert not handlers.detach("one")
    handlers.execute(ATTEMPT_STOP, {}, {})
    assert len(heard) == 1
    assert not handlers.wanted(ATTEMPT_STOP)


def test_an_id_can_be_attached_once() -> None:
    handlers = TelemetryHandler()
    handlers.attach("one", ATTEMPT_STOP, Heard())
    with pytest.raises(HandlerExistsError, match="'one'"):
        handlers.attach("one", REQUEST_STOP, Heard())
    assert [each.id for each in handlers.list_handlers(("standby", "attempt"))] == ["one"]
    assert handlers.list_handlers(("standby", "request")) == []


def test_a_failing_handler_is_told_of_and_hurts_no_other() -> None:
    handlers, heard = TelemetryHandler(), Heard()
    handlers.attach("bad", [ATTEMPT_STOP, HANDLER_FAILURE], fails)
    handlers.attach("worse", HANDLER_FAILURE, fails)
    handlers.attach("good", [ATTEMPT_STOP, HANDLER_FAILURE], heard)
    handlers.execute(ATTEMPT_STOP, {}, {})
    assert [event for event, _ in heard] == [HANDLER_FAILURE, HANDLER_FAILURE, ATTEMPT_STOP]
    assert [each.id for each in handlers.list_handlers()] == ["good"]


def test_a_handler_may_detach_itself_while_it_runs() -> None:
    handlers, heard = TelemetryHandler(), Heard()

    def once(event: object, numbers: object, facts: object, config: object) -> None:
        handlers.detach("once")

    handlers.attach("once", ATTEMPT_STOP, once)
    handlers.attach("other", ATTEMPT_STOP, heard)
    handlers.execute(ATTEMPT_STOP, {}, {})
    assert len(heard) == 1


def test_slow_first_tokens_lower_a_score_that_has_no_failures() -> None:
    score = HealthScore()
    for _ in range(100):
        score.served(10.0, 0.0)
    assert score.at(0.0) == pytest.approx(0.5, abs=0.01)
    assert score.at(3600.0) == pytest.approx(1.0, abs=0.001)


@given(
    st.lists(
        st.tuples(st.booleans(), st.floats(0, 1000), st.none() | st.floats(0, 1e6)), max_size=60
    )
)
def test_a_score_stays_within_0_and_1_and_time_alone_never_lowers_it(
    events: list[tuple[bool, float, float | None]],
) -> None:
    score, now = HealthScore(), 0.0
    for good, wait, first_token in events:
        before = score.at(now)
        now += wait
        assert before - 1e-9 <= score.at(now) <= 1.0
        if good:
            score.served(first_token, now)
        else:
            healthier = score.at(now)
            score.failed(now)
            assert score.at(now) <= healthier
        assert 0.0 <= score.at(now) <= 1.0


@given(st.lists(st.floats(0.001, 500), min_size=1, max_size=200))
def test_quantiles_are_right_to_five_percent(times: list[float]) -> None:
    recent = RecentTimes()
    for seconds in times:
        recent.add(seconds, 0.0)
    ordered = sorted(times)
    for share, found in zip((0.5, 0.95), recent.quantiles(0.5, 0.95), strict=True):
        exact = ordered[max(0, -(-round(share * len(ordered) * 1e6) // 10**6) - 1)]
        assert found == pytest.approx(exact, rel=0.055)


def test_old_times_are_forgotten_however_long_it_runs() -> None:
    recent = RecentTimes(half_life=10.0)
    assert recent.quantiles(0.5) == [None]
    for second in range(2000):
        recent.add(1.0, float(second))
    for second in range(2000, 2100):
        recent.add(0.01, float(second))
    assert recent.quantiles(0.5)[0] == pytest.approx(0.01, rel=0.06)
    recent.add(3.0, 1e6)
    assert recent.quantiles(0.0, 1.0) == [pytest.approx(3.0, rel=0.06)] * 2
