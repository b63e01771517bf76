"""Retries by policy, what Retry-After says, and the gate."""

import time

import pytest
import trio

from providers.failures import Failure
from providers.rate_limits import exhausted_for
from providers.retry_after import parse_retry_after
from runtime.routing.gate import GateSettings, RateGate, RateGates
from runtime.routing.retry import RetryBudget, RetryPolicy

EXACT = RetryPolicy(base_delay_ms=200, max_delay_ms=1000, backoff_factor=2, jitter=False)


class Flaky:
    """Fails so often, then answers; remembers when it was asked."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.asked: list[float] = []

    async def __call__(self) -> str:
        self.asked.append(trio.current_time())
        if self.errors:
            raise self.errors.pop(0)
        return "answer"

    @property
    def waits(self) -> list[float]:
        return [
            round(later - before, 6)
            for before, later in zip(self.asked, self.asked[1:], strict=False)
        ]


def down(retry_after: float | None = None) -> Failure:
    return Failure("server_error", "a", "500", status=500, retry_after=retry_after)


async def test_it_tries_again_with_growing_waits_until_it_succeeds(
    autojump_clock: trio.abc.Clock,
) -> None:
    flaky = Flaky(down(), down())
    assert await EXACT.with_retry(flaky) == "answer"
    assert flaky.waits == [0.2, 0.4]


async def test_it_raises_the_last_failure_when_the_attempts_are_used_up(
    autojump_clock: trio.abc.Clock,
) -> None:
    flaky = Flaky(*(down() for _ in range(9)))
    with pytest.raises(Failure):
        await EXACT.with_retry(flaky)
    assert len(flaky.asked) == 3


@pytest.mark.parametrize(
    "error",
    [Failure("client_error", "a", "400"), Failure("bad_answer", "a", "html"), ValueError("bug")],
)
async def test_it_does_not_repeat_what_repeating_cannot_help(
    error: Exception, autojump_clock: trio.abc.Clock
) -> None:
    flaky = Flaky(error)
    with pytest.raises(type(error)):
        await EXACT.with_retry(flaky)
    assert len(flaky.asked) == 1


async def test_it_waits_exactly_as_long_as_the_provider_asks(
    autojump_clock: trio.abc.Clock,
) -> None:
    flaky = Flaky(Failure("rate_limited", "a", "429", retry_after=7.5))
    assert await EXACT.with_retry(flaky) == "answer"
    assert flaky.waits == [7.5]


async def test_it_gives_up_at_once_when_the_wait_would_reach_the_deadline(
    autojump_clock: trio.abc.Clock,
) -> None:
    flaky = Flaky(down(retry_after=10.0))
    with pytest.raises(Failure):
        await EXACT.with_retry(flaky, deadline=trio.current_time() + 10.0)
    assert flaky.asked == [trio.current_time()]


async def test_it_retries_only_what_the_budget_pays_for(autojump_clock: trio.abc.Clock) -> None:
    budget = RetryBudget(0.0, 0.1, 10.0)
    flaky = Flaky(*(down() for _ in range(9)))
    with pytest.raises(Failure):
        await EXACT.with_retry(flaky, budget=budget)
    assert len(flaky.asked) == 2


async def test_calls_put_their_share_into_the_budget(autojump_clock: trio.abc.Clock) -> None:
    budget = RetryBudget(0.5, 0.0, 10.0)
    with pytest.raises(Failure):
        await EXACT.with_retry(Flaky(down()), budget=budget)
    assert await EXACT.with_retry(Flaky(down()), budget=budget) == "answer"


async def test_a_caller_may_say_what_is_worth_another_try(autojump_clock: trio.abc.Clock) -> None:
    flaky = Flaky(ValueError("once"))
    answer = await EXACT.with_retry(flaky, retry_on=lambda error: isinstance(error, ValueError))
    assert answer == "answer"


async def test_cancelling_ends_the_waiting(autojump_clock: trio.abc.Clock) -> None:
    flaky = Flaky(down(retry_after=50.0))
    with trio.move_on_after(5) as scope:
        await EXACT.with_retry(flaky)
    assert scope.cancelled_caught
    assert len(flaky.asked) == 1


def test_full_jitter_draws_from_nothing_to_the_bound() -> None:
    policy = RetryPolicy()
    assert policy.delay(1, fraction=lambda: 0.0) == 0.0
    assert policy.delay(2, fraction=lambda: 0.5) == 0.2
    assert policy.delay(50, fraction=lambda: 1.0) == 5.0
    assert policy.delay(1, 3.0, fraction=lambda: 0.5) == 3.1


@pytest.mark.parametrize(
    "values",
    [
        {"max_attempts": 0},
        {"base_delay_ms": -1},
        {"base_delay_ms": 10, "max_delay_ms": 5},
        {"backoff_factor": 0.5},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        RetryPolicy(**values)  # type: ignore[arg-type]  # the point of the test


@pytest.mark.parametrize("values", [(-0.1, 1, 1), (1.1, 1, 1), (0.2, -1, 1), (0.2, 1, 0)])
def test_a_budget_that_makes_no_sense_is_refused(values: tuple[float, float, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        RetryBudget(*values)


# ---- Retry-After

SPENT = (b"anthropic-ratelimit-requests-remaining", b"0")
NOON = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": " 0.25 "}, 0.25),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after-ms": "300"}, 0.3),
        ({"retry-after-ms": "1500.5", "retry-after": "9"}, 1.5005),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:49:47 GMT"}, 10.0),
        ({"retry-after": "Sunday, 06-Nov-94 08:50:37 GMT"}, 60.0),
        ({"retry-after": "Sun Nov  6 08:49:38 1994"}, 1.0),
        ({"retry-after": "Sun, 06 Nov 1994 08:00:00 GMT"}, 0.0),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "1_000"}, None),
        ({"retry-after": "1e400"}, None),
        ({"retry-after": "9" * 400}, None),
        ({"retry-after": "Sun, 99 Nov 1994 08:00:00 GMT"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "\xff\xb2"}, None),
    ],
)
def test_retry_after_is_read_in_all_its_forms(
    headers: dict[str, str], seconds: float | None
) -> None:
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    found = parse_retry_after([(b"x-other", b"1"), *raw], wall_time=NOON)
    assert found == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize("skew", [-7200.0, 0.0, 7200.0])
def test_a_date_is_taken_relative_to_the_answers_own_clock(skew: float) -> None:
    asked = (b"retry-after", b"Sun, 06 Nov 1994 08:49:47 GMT")
    dated = (b"date", b"Sun, 06 Nov 1994 08:49:37 GMT")
    assert parse_retry_after([asked, dated], wall_time=NOON + skew) == 10
    assert parse_retry_after([asked, (b"date", b"today")], wall_time=NOON) == 10


def test_a_date_without_a_zone_is_not_taken_for_local_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        asked = (b"retry-after", b"Sun Nov  6 08:49:47 1994")
        assert parse_retry_after([asked], wall_time=NOON) == 10
        reset = (b"anthropic-ratelimit-requests-reset", b"1994-11-06T08:49:42")
        assert exhausted_for([SPENT, reset], wall_time=NOON) == 5
    finally:
        monkeypatch.undo()
        time.tzset()


async def test_patience_of_more_than_a_minute_is_never_waited_for(
    autojump_clock: trio.abc.Clock,
) -> None:
    flaky = Flaky(down(retry_after=60.5))
    with pytest.raises(Failure):
        await EXACT.with_retry(flaky)
    assert len(flaky.asked) == 1


# ---- the gate


def test_a_gate_closes_for_as_long_as_the_provider_asks_and_then_opens_by_itself() -> None:
    gate = RateGate()
    assert gate.opens_in(5.0) == 0.0
    assert gate.refused(5.0, 3.0) == 3.0
    assert gate.opens_in(6.0) == 2.0
    assert gate.opens_in(8.0) == 0.0


def test_a_longer_request_for_patience_is_not_undone_by_a_shorter_one() -> None:
    gate = RateGate()
    gate.refused(0.0, 30.0)
    gate.refused(1.0, 2.0)
    assert gate.opens_in(1.0) == 29.0


def test_pauses_double_while_nothing_is_named_and_many_at_once_count_once() -> None:
    gate = RateGate(GateSettings(pause=1.0, max_pause=4.0), fraction=lambda: 0.999999)
    now, pauses = 100.0, []
    for _ in range(4):
        pauses.append(round(gate.refused(now, None), 3))
        gate.refused(now, None)
        now = gate.until
    assert pauses == [1.0, 2.0, 4.0, 4.0]
    assert round(gate.refused(gate.until + 30.0, None), 3) == 1.0


def test_a_429_that_asks_for_no_patience_at_all_closes_it_like_one_that_names_no_time() -> None:
    """Such as a date that was rounded down to now: the next one would be refused as well."""
    gate = RateGate(fraction=lambda: 0.999999)
    now, pauses = 100.0, []
    for _ in range(3):
        pauses.append(round(gate.refused(now, 0.0), 3))
        now = gate.until
    assert pauses == [1.0, 2.0, 4.0]


def test_half_of_a_pause_that_nothing_names_is_drawn() -> None:
    pauses = [RateGate(fraction=lambda share=share: share).refused(0.0, None) for share in (0, 0.5)]  # type: ignore[misc] # bound now
    assert pauses == [0.5, 0.75]


def test_a_provider_cannot_close_its_gate_for_days() -> None:
    assert RateGate().refused(0.0, 86_400.0) == 900.0


def test_each_provider_has_one_gate_for_all() -> None:
    gates = RateGates()
    gates.of("a").close_until(9.0)
    assert gates["a"] is gates.of("a")
    assert gates.get("b") is None
    assert dict(gates) == {"a": gates.of("a")}
    gates.discard("a")
    assert len(gates) == 0


@pytest.mark.parametrize("values", [{"pause": 0.0}, {"pause": 70.0}, {"max_retry_after": 0.0}])
def test_gate_settings_that_make_no_sense_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        GateSettings(**values)
