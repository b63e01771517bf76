"""Whatever happens in whatever order, a circuit does what its transition table and rules say."""

import math
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from runtime.routing.breaker import (
    ALWAYS,
    TRANSITIONS,
    BreakerSettings,
    Circuit,
    Event,
    IllegalTransitionError,
    Permit,
    State,
)
from runtime.routing.window import OutcomeWindow

SETTINGS = st.builds(
    BreakerSettings,
    failure_threshold=st.integers(1, 4),
    failure_rate=st.sampled_from([0.2, 0.5, 1.0]),
    minimum_calls=st.integers(1, 6),
    window=st.sampled_from([1.0, 3.0, 10.0]),
    recovery_timeout=st.sampled_from([1.0, 5.0]),
    max_recovery_timeout=st.sampled_from([2.0, 20.0]),
    half_open_limit=st.integers(1, 3),
    probe_timeout=st.sampled_from([2.0, 30.0]),
)


class Breaker(RuleBasedStateMachine):
    """A circuit beside a naive model that remembers every outcome."""

    def __init__(self) -> None:
        super().__init__()
        self.settings = BreakerSettings()
        self.now = 1000.0
        self.fraction = 0.5
        self.circuit = self.fresh()
        self.permits: list[tuple[Permit, float]] = []
        self.outcomes: list[tuple[float, bool]] = []

    def fresh(self) -> Circuit:
        return Circuit(self.settings, now=self.now, fraction=lambda: self.fraction)

    @precondition(lambda self: not self.outcomes and self.circuit.state == "closed")
    @rule(settings=SETTINGS)
    def configure(self, settings: BreakerSettings) -> None:
        self.settings = settings
        self.circuit = self.fresh()
        self.permits.clear()

    @rule(
        seconds=st.sampled_from([0.0, 0.1, 0.9, 1.0, 2.5, 6.0, 40.0]),
        fraction=st.floats(0, 1, exclude_max=True),
    )
    def wait(self, seconds: float, fraction: float) -> None:
        self.now += seconds
        self.fraction = fraction

    @rule()
    def ask(self) -> None:
        circuit, before = self.circuit, self.circuit.at(self.now)
        could = circuit.ready(self.now)
        assert circuit.state in (before, "open"), "ready() changes nothing"
        permit = circuit.acquire(self.now)
        assert (permit is not None) == could
        assert circuit.state == before
        if before in {"closed", "forced_closed", "disabled"}:
            assert permit is ALWAYS
        elif before in {"open", "forced_open"}:
            assert permit is None
        if permit is not None:
            assert circuit.retry_in(self.now) == 0
            self.permits.append((permit, self.now))

    @precondition(lambda self: self.permits)
    @rule(data=st.data(), times=st.integers(1, 2))
    def give_back(self, data: st.DataObject, times: int) -> None:
        permit, _ = self.permits.pop(data.draw(st.integers(0, len(self.permits) - 1)))
        for _ in range(times):
            permit.release()

    @precondition(lambda self: self.permits)
    @rule(data=st.data(), failed=st.booleans())
    def end_call(self, data: st.DataObject, failed: bool) -> None:
        permit, started = self.permits.pop(data.draw(st.integers(0, len(self.permits) - 1)))
        permit.release()
        self.record(failed, started)

    @rule(failed=st.booleans())
    def stale_outcome(self, failed: bool) -> None:
        """A call from before the present state says nothing."""
        self.circuit.tick(self.now)
        before = (self.circuit.state, self.circuit.window.calls, self.circuit.consecutive)
        self.circuit.record(failed=failed, started=self.circuit.since - 0.001, now=self.now)
        assert before == (
            self.circuit.state,
            self.circuit.window.calls,
            self.circuit.consecutive,
        )

    def record(self, failed: bool, started: float) -> None:
        circuit, settings = self.circuit, self.settings
        circuit.tick(self.now)
        before, openings = circuit.state, circuit.openings
        held = self.now - circuit.since
        counts = before == "closed" and started >= circuit.since
        if counts:
            self.outcomes.append((self.now, failed))
        circuit.record(failed=failed, started=started, now=self.now)
        if circuit.state == before:
            if counts:
                assert not (failed and self.should_trip())
            return
        if before == "closed":
            assert circuit.state == "open"
            assert failed
            assert self.should_trip()
        else:
            assert before == "half_open"
            assert circuit.state == ("open" if failed else "closed")
        self.outcomes.clear()
        if circuit.state == "open":
            again = 0 if before == "closed" and held >= settings.window else openings
            whole = min(settings.max_recovery_timeout, settings.recovery_timeout * 2.0**again)
            wait = circuit.until - self.now
            assert whole / 2 - 1e-6 <= wait <= whole + 1e-6
            assert circuit.openings == again + 1

    def should_trip(self) -> bool:
        settings = self.settings
        streak = 0
        for _, failed in reversed(self.outcomes):
            if not failed:
                break
            streak += 1
        newest = int(self.now)
        recent = [
            failed for at, failed in self.outcomes if int(at) > newest - math.ceil(settings.window)
        ]
        return streak >= settings.failure_threshold or (
            len(recent) >= settings.minimum_calls
            and sum(recent) >= settings.failure_rate * len(recent)
        )

    @rule(event=st.sampled_from(get_args(Event)))
    def fire(self, event: Event) -> None:
        circuit = self.circuit
        if event in {"tripped", "recovery_due", "probes_passed", "probes_failed"}:
            # The machine itself fires these in time; here only where they are refused.
            if event in TRANSITIONS[circuit.state]:
                return
            before = (circuit.state, circuit.since, circuit.until, circuit.openings, repr(circuit))
            with pytest.raises(IllegalTransitionError, match=circuit.state):
                circuit.fire(event, self.now)
            assert before == (
                circuit.state,
                circuit.since,
                circuit.until,
                circuit.openings,
                repr(circuit),
            )
            return
        circuit.fire(event, self.now)
        assert circuit.state == TRANSITIONS[self.state_of(event)].get(event)
        self.outcomes.clear()

    @staticmethod
    def state_of(event: Event) -> State:
        return next(state for state in TRANSITIONS if event in TRANSITIONS[state])

    @rule()
    def recall(self) -> None:
        """What a restarted breaker does: whatever is out may not block new probes."""
        self.circuit.recall_permits()
        if self.circuit.at(self.now) == "half_open":
            assert self.circuit.ready(self.now)

    @invariant()
    def totals_are_sane(self) -> None:
        window = self.circuit.window
        assert 0 <= window.failures <= window.calls

    @invariant()
    def it_can_always_recover(self) -> None:
        """Left alone for long enough, everything but a forced-open circuit lets a call pass."""
        later = max(self.now, self.circuit.until) + self.settings.probe_timeout
        assert self.circuit.ready(later) == (self.circuit.state != "forced_open")


TestBreaker = Breaker.TestCase


@given(
    calls=st.lists(
        st.tuples(st.floats(0, 5, allow_nan=False), st.booleans()), min_size=1, max_size=60
    ),
    seconds=st.integers(1, 12),
)
def test_the_window_counts_exactly_the_outcomes_of_its_seconds(
    calls: list[tuple[float, bool]], seconds: int
) -> None:
    window = OutcomeWindow(seconds)
    now = 0.0
    kept: list[tuple[int, bool]] = []
    for wait, failed in calls:
        now += wait
        window.add(now, failed=failed)
        kept.append((int(now), failed))
        recent = [each for second, each in kept if second > int(now) - seconds]
        assert (window.calls, window.failures) == (len(recent), sum(recent))


@given(limit=st.integers(1, 5), asked=st.integers(1, 12))
def test_a_half_open_circuit_has_never_more_probes_out_than_its_limit(
    limit: int, asked: int
) -> None:
    settings = BreakerSettings(failure_threshold=1, half_open_limit=limit)
    circuit = Circuit(settings, now=0.0)
    circuit.record(failed=True, started=0.0, now=0.0)
    now = circuit.until
    permits = [circuit.acquire(now) for _ in range(asked)]
    assert sum(permit is not None for permit in permits) == min(limit, asked)
    first = permits[0]
    assert first is not None
    first.release()
    first.release()
    again = [circuit.acquire(now) for _ in range(asked)]
    assert sum(permit is not None for permit in again) == min(asked, limit - min(limit, asked) + 1)
