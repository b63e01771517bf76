"""Retry budget, retry waits and the rate gate keep their bounds whatever the order of events."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from providers.failures import Failure, FailureKind
from runtime.routing.gate import GateSettings, RateGate
from runtime.routing.pauses import Pauses
from runtime.routing.retry import LONGEST_PAUSE, RetryBudget, RetryPolicy

RATIO, FLOOR, TTL = 0.2, 2.0, 10.0


class Budget(RuleBasedStateMachine):
    """Within any ``ttl`` retries are at most the share of its requests and the floor."""

    def __init__(self) -> None:
        super().__init__()
        self.budget = RetryBudget(RATIO, FLOOR, TTL)
        self.now = 0.0
        self.requests: list[float] = []
        self.retries: list[float] = []
        self.refused = 0

    @rule(seconds=st.sampled_from([0.01, 0.3, 1.0, 4.0, 11.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(count=st.integers(1, 60))
    def request(self, count: int) -> None:
        for _ in range(count):
            self.budget.deposit(self.now)
            self.requests.append(self.now)

    @rule(count=st.integers(1, 40))
    def retry(self, count: int) -> None:
        for _ in range(count):
            left = self.budget.left(self.now)
            allowed = self.budget.withdraw(self.now)
            assert allowed == (left >= 1)
            if allowed:
                self.retries.append(self.now)
            else:
                self.refused += 1

    @invariant()
    def retries_stay_within_the_share(self) -> None:
        # Slices are tenths of ttl: what the budget remembers is between 0.9 and 1.0 of it.
        retries = sum(at > self.now - 0.9 * TTL for at in self.retries)
        requests = sum(at > self.now - TTL for at in self.requests)
        # Some retries may have been paid for by requests that the window has just forgotten.
        earlier = sum(self.now - 2 * TTL < at <= self.now - TTL for at in self.requests)
        assert retries <= FLOOR * TTL + RATIO * (requests + earlier) + 1e-6

    @invariant()
    def all_retries_together_stay_within_the_share_and_the_floor(self) -> None:
        # A slice is forgotten between 0.9 and 1.0 of ttl after its newest event.
        periods = 1 + self.now / (0.9 * TTL)
        most = RATIO * len(self.requests) + FLOOR * TTL * periods
        assert len(self.retries) <= most + 1e-6

    @invariant()
    def its_status_says_so(self) -> None:
        status = self.budget.status(self.now)
        assert (status.granted, status.refused) == (len(self.retries), self.refused)
        assert status.left == int(self.budget.left(self.now))
        assert status.retries <= len(self.retries)
        assert status.requests <= len(self.requests)

    @invariant()
    def a_quiet_daemon_can_retry(self) -> None:
        if not any(at > self.now - TTL for at in self.retries):
            assert self.budget.left(self.now) >= 1


TestBudget = Budget.TestCase


@given(
    requests=st.integers(0, 500),
    asked=st.integers(0, 500),
    ratio=st.sampled_from([0.0, 0.1, 0.2, 1.0]),
    floor=st.integers(0, 5),
)
def test_at_one_moment_exactly_the_share_and_the_floor_can_be_withdrawn(
    requests: int, asked: int, ratio: float, floor: int
) -> None:
    budget = RetryBudget(ratio, floor, 10.0)
    for _ in range(requests):
        budget.deposit(50.0)
    allowed = sum(budget.withdraw(50.0) for _ in range(asked))
    assert allowed == min(asked, int(requests * ratio + floor * 10 + 1e-6))


@given(
    policy=st.builds(
        RetryPolicy,
        max_attempts=st.integers(1, 10),
        base_delay_ms=st.integers(0, 1000),
        max_delay_ms=st.integers(1000, 10_000),
        backoff_factor=st.floats(1, 10),
        jitter=st.booleans(),
    ),
    attempts=st.integers(1, 2000),
    fraction=st.floats(0, 1, exclude_max=True),
    retry_after=st.none() | st.floats(0, 100),
)
def test_a_wait_is_never_longer_than_its_bound_and_never_shorter_than_what_was_asked_for(
    policy: RetryPolicy, attempts: int, fraction: float, retry_after: float | None
) -> None:
    delay = policy.delay(attempts, retry_after, fraction=lambda: fraction)
    if retry_after is None:
        assert 0 <= delay <= policy.max_delay_ms / 1000
        if not policy.jitter and attempts == 1:
            assert delay == policy.base_delay_ms / 1000
    else:
        assert retry_after <= delay <= retry_after + policy.base_delay_ms / 1000


@given(
    attempts=st.integers(1, 6),
    limit=st.integers(1, 6),
    deadline=st.floats(0, 20),
    retry_after=st.none() | st.floats(0, 20),
)
def test_no_wait_reaches_the_deadline_and_no_attempt_goes_beyond_the_limit(
    attempts: int, limit: int, deadline: float, retry_after: float | None
) -> None:
    policy = RetryPolicy(max_attempts=limit, jitter=False)
    delay = policy.next_delay(attempts, now=0.0, deadline=deadline, retry_after=retry_after)
    wanted = min(5.0, 0.2 * 2 ** (attempts - 1)) if retry_after is None else retry_after
    if attempts < limit and wanted < deadline:
        assert delay == pytest.approx(wanted)
    else:
        assert delay is None


@given(
    asked=st.lists(
        st.tuples(
            st.sampled_from(["server_error", "rate_limited", "provider_down"]),
            st.none() | st.floats(0, 90),
            st.floats(0, 3),
        ),
        min_size=1,
        max_size=5,
    ),
    rounds=st.integers(1, 12),
)
def test_a_pause_ends_when_somebody_may_be_asked_and_nobody_is_asked_before_its_time(
    asked: list[tuple[FailureKind, float | None, float]], rounds: int
) -> None:
    policy = RetryPolicy(base_delay_ms=1000, max_delay_ms=4000)
    pauses, now = Pauses(lambda _provider: policy), 100.0
    waiting: dict[Failure, float] = {}
    for number, (kind, retry_after, took) in enumerate(asked):
        now += took
        patience = None if kind == "provider_down" else retry_after
        failure = Failure(kind, f"p{number}", "", retry_after=patience)
        pauses.heard(failure, now)
        waiting[failure] = now + (patience or 0.0)
    for each in range(1, rounds + 1):
        delay = pauses.before(each, list(waiting), now)
        if delay is None:
            assert all(until - now > LONGEST_PAUSE for until in waiting.values())
            return
        assert 0 <= delay <= LONGEST_PAUSE + 1.0
        now += delay
        due = [failure for failure in waiting if pauses.due(failure, now)]
        assert due, "a pause is as long as the shortest wait"
        assert all(waiting[failure] <= now + 1e-5 for failure in due)
        for failure in due:
            del waiting[failure]


class Gate(RuleBasedStateMachine):
    """A gate opens when it last said it would, never sooner, and never stays shut for ever."""

    SETTINGS = GateSettings(pause=1.0, max_pause=8.0, max_retry_after=100.0)

    def __init__(self) -> None:
        super().__init__()
        self.gate = RateGate(self.SETTINGS)
        self.now = 500.0
        self.promised = 0.0

    @rule(seconds=st.sampled_from([0.0, 0.2, 1.0, 7.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.now += seconds

    @rule(retry_after=st.none() | st.just(0.0) | st.floats(0.001, 1000))
    def refused(self, retry_after: float | None) -> None:
        was_open = self.gate.opens_in(self.now) == 0
        wait = self.gate.refused(self.now, retry_after)
        if retry_after:
            asked = min(retry_after, self.SETTINGS.max_retry_after)
            self.promised = max(self.promised, self.now + asked)
        elif was_open:
            assert 0.5 <= wait <= self.SETTINGS.max_pause
            self.promised = self.now + wait
        assert abs(self.now + wait - max(self.now, self.promised)) < 1e-6
        assert wait > 0, "a 429 always closes it"

    @rule(seconds=st.floats(0.001, 10))
    def foresee(self, seconds: float) -> None:
        before = (self.gate.refusals, self.gate.opens_in(self.now) == 0)
        assert self.gate.foresee(self.now, seconds) == before[1]
        assert self.gate.refusals == before[0], "a forecast is no refusal"
        self.promised = max(self.promised, self.now + seconds)

    @rule(seconds=st.floats(0, 50))
    def close_until(self, seconds: float) -> None:
        self.gate.close_until(self.now + seconds)
        self.promised = max(self.promised, self.now + seconds)

    @invariant()
    def it_opens_when_it_said(self) -> None:
        left = self.gate.opens_in(self.now)
        assert left >= 0
        assert abs(max(self.promised - self.now, 0.0) - left) < 1e-6
        assert self.gate.opens_in(self.now + 101.0) == 0


TestGate = Gate.TestCase
