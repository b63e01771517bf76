"""Whatever happens in whatever order, a circuit does what its transition table and rules say."""

import math
from typing import NamedTuple, get_args

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

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
    slow_call_threshold=st.sampled_from([None, 2.0]),
    slow_call_rate=st.sampled_from([0.3, 1.0]),
    window=st.sampled_from([1.0, 3.0, 10.0]),
    recovery_timeout=st.sampled_from([1.0, 5.0]),
    max_recovery_timeout=st.sampled_from([2.0, 20.0]),
    half_open_limit=st.integers(1, 3),
    probe_timeout=st.sampled_from([2.0, 30.0]),
)


class Ended(NamedTuple):
    """One call as the model remembers it."""

    at: float
    started: float
    failed: bool
    slow: bool | None


class Breaker(RuleBasedStateMachine):
    """A circuit beside a naive model that remembers every outcome."""

    def __init__(self) -> None:
        super().__init__()
        self.settings = BreakerSettings()
        self.now = 1000.0
        self.fraction = 0.5
        self.circuit = self.fresh()
        self.permits: list[tuple[Permit, float]] = []
        self.outcomes: list[Ended] = []
        self.probes = [0, 0]
        self.held: dict[int, float] = {}
        self.hastened = -math.inf

    def fresh(self) -> Circuit:
        return Circuit(self.settings, now=self.now, fraction=lambda: self.fraction)

    @initialize(settings=SETTINGS)
    def configure(self, settings: BreakerSettings) -> None:
        self.settings = settings
        self.circuit = self.fresh()
        self.permits.clear()
        self.begin_state()

    @rule(settings=SETTINGS)
    def change_settings(self, settings: BreakerSettings) -> None:
        """Other settings hold from now on; another window would begin empty."""
        before = self.settings  # permits keep the time that they were given for
        settings = msgspec.structs.replace(
            settings, window=before.window, probe_timeout=before.probe_timeout
        )
        if settings.half_open_limit != self.settings.half_open_limit:
            self.probes = [0, 0]
        self.settings = settings
        self.circuit.configure(settings)

    @rule(
        seconds=st.sampled_from([0.0, 0.1, 0.9, 1.0, 2.5, 6.0, 40.0]),
        fraction=st.floats(0, 1, exclude_max=True),
    )
    def wait(self, seconds: float, fraction: float) -> None:
        self.now += seconds
        self.fraction = fraction

    @rule(
        calls=st.integers(1, 6),
        apart=st.sampled_from([0.0, 0.1, 0.6]),
        seconds=st.sampled_from([0.0, 0.5, 40.0]),
        between=st.sampled_from([0.0, 0.1, 0.6, 2.0]),
        failed=st.booleans(),
        first_token=st.sampled_from([None, 0.5, 2.5]),
    )
    def many_calls(
        self,
        *,
        calls: int,
        apart: float,
        seconds: float,
        between: float,
        failed: bool,
        first_token: float | None,
    ) -> None:
        """Calls that overlap and end alike, at once or one after another."""
        begun = []
        for _ in range(calls):
            permit = self.ask()
            if permit is not None:
                begun.append(self.permits.pop())
            self.now += apart
        self.now += seconds
        for permit, started in begun:
            permit.release()
            self.held.pop(id(permit), None)
            self.record(failed, started, None if failed else first_token)
            self.now += between

    @rule()
    def ask_once(self) -> None:
        self.ask()

    def ask(self) -> Permit | None:
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
        if before == "half_open":
            assert could == (self.free() > 0)
        if permit is not None:
            assert circuit.retry_in(self.now) == 0
            self.permits.append((permit, self.now))
            if permit is not ALWAYS:
                self.held[id(permit)] = self.now + self.settings.probe_timeout
        return permit

    def free(self) -> int:
        """Return how many probes a half-open circuit should let go."""
        out = sum(expires > self.now for expires in self.held.values())
        return self.settings.half_open_limit - sum(self.probes) - out

    @precondition(lambda self: self.permits)
    @rule(data=st.data(), times=st.integers(1, 2))
    def give_back(self, data: st.DataObject, times: int) -> None:
        """A call is cancelled: nothing is recorded, and its permit serves another."""
        permit, _ = self.permits.pop(data.draw(st.integers(0, len(self.permits) - 1)))
        for _ in range(times):
            permit.release()
        self.held.pop(id(permit), None)
        if self.circuit.state == "half_open":
            assert self.circuit.ready(self.now) == (self.free() > 0)

    @precondition(lambda self: self.permits)
    @rule(
        data=st.data(),
        failed=st.booleans(),
        first_token=st.sampled_from([None, 0.5, 2.0, 2.5]),
    )
    def end_call(self, data: st.DataObject, failed: bool, first_token: float | None) -> None:
        permit, started = self.permits.pop(data.draw(st.integers(0, len(self.permits) - 1)))
        permit.release()
        self.held.pop(id(permit), None)
        self.record(failed, started, None if failed else first_token)

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

    def record(self, failed: bool, started: float, first_token: float | None) -> None:
        circuit, settings = self.circuit, self.settings
        circuit.tick(self.now)
        slow = circuit.is_slow(first_token)
        if settings.slow_call_threshold is None or first_token is None:
            assert slow is None
        else:
            assert slow == (first_token > settings.slow_call_threshold)
        before, openings = circuit.state, circuit.openings
        held, hastened = self.now - circuit.since, self.hastened
        counts = before == "closed" and started >= circuit.since
        if counts:
            self.outcomes.append(Ended(self.now, started, failed, slow))
        probe = before == "half_open" and started >= circuit.since
        if probe:
            self.probes[failed or slow is True] += 1
        passed, bad = self.probes
        refused = bad >= settings.failure_rate * settings.half_open_limit
        decided = refused or passed + bad >= settings.half_open_limit
        circuit.record(failed=failed, started=started, now=self.now, slow=slow)
        if circuit.state == before:
            assert not (counts and self.should_trip(failed, slow))
            assert not (probe and decided)
            return
        if before == "closed":
            assert circuit.state == "open"
            assert self.should_trip(failed, slow)
            assert ("slow" in circuit.why) == (not failed)
        else:
            assert probe
            assert decided
            assert circuit.state == ("open" if refused else "closed")
        assert bool(circuit.why) == (circuit.state == "open")
        self.begin_state()
        if circuit.state == "open" and hastened > self.now:
            assert (circuit.until, circuit.openings) == (hastened, openings)
        elif circuit.state == "open":
            again = 0 if before == "closed" and held >= settings.window else openings
            whole = min(settings.max_recovery_timeout, settings.recovery_timeout * 2.0**again)
            wait = circuit.until - self.now
            assert whole / 2 - 1e-6 <= wait <= whole + 1e-6
            assert circuit.openings == again + 1

    def begin_state(self) -> None:
        """Forget what was counted in the state before."""
        self.outcomes.clear()
        self.probes = [0, 0]
        self.held.clear()
        self.hastened = -math.inf

    def streak(self) -> int:
        """Return the failures in a row; those that one event ended together are one."""
        row, event = 0, -math.inf
        for call in self.outcomes:
            if not call.failed:
                row = 0
            elif not (call.started < event <= call.at <= event + 1.0):
                row, event = row + 1, call.at
        return row

    def should_trip(self, failed: bool, slow: bool | None) -> bool:
        settings = self.settings
        oldest = int(self.now) - math.ceil(settings.window)
        recent = [call for call in self.outcomes if int(call.at) > oldest]
        if failed:
            failures = sum(call.failed for call in recent)
            return self.streak() >= settings.failure_threshold or (
                len(recent) >= settings.minimum_calls
                and failures >= settings.failure_rate * len(recent)
            )
        timed = [call.slow for call in recent if call.slow is not None]
        return (
            slow is True
            and len(timed) >= settings.minimum_calls
            and sum(timed) >= settings.slow_call_rate * len(timed)
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
        assert circuit.passing == (event != "force_open")
        self.begin_state()

    @staticmethod
    def state_of(event: Event) -> State:
        return next(state for state in TRANSITIONS if event in TRANSITIONS[state])

    @rule()
    def hasten(self) -> None:
        """Nobody else is left to ask: an open circuit is probed ahead of its time."""
        circuit, before = self.circuit, self.circuit.at(self.now)
        could, until = circuit.ready(self.now), circuit.until
        assert circuit.hasten(self.now) == (could or before == "open")
        if before == "open":
            assert circuit.state == "half_open"
            self.begin_state()
            self.hastened = until
        else:
            assert circuit.at(self.now) == before

    @rule()
    def recall(self) -> None:
        """What a restarted breaker does: whatever is out may not block new probes."""
        self.circuit.recall_permits()
        self.held.clear()
        if self.circuit.at(self.now) == "half_open":
            assert self.circuit.ready(self.now)

    @invariant()
    def totals_are_sane(self) -> None:
        window = self.circuit.window
        assert 0 <= window.failures <= window.calls
        assert 0 <= window.slow <= window.timed <= window.calls

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
