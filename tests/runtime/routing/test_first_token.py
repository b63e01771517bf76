"""What is known of first tokens: peaks at once, averages by and by, nothing forgotten."""

import math

import pytest

from runtime.routing.first_token import FirstToken, FirstTokens


def told(row: FirstToken, seconds: float, now: float, *, stream: bool = True) -> None:
    row.count("ok", seconds, seconds + 1, now, stream=stream)


def test_a_slow_answer_is_believed_at_once_and_fades_to_the_average() -> None:
    row = FirstToken()
    for now in range(100):
        told(row, 0.5, float(now))
    assert row.expected(99.0) == pytest.approx(0.5)
    told(row, 9.0, 100.0)
    average = 0.5 * math.exp(-1 / 60) + 9.0 * (1 - math.exp(-1 / 60))
    assert row.expected(100.0) == pytest.approx(9.0)
    faded = row.expected(110.0)
    assert faded is not None
    assert faded == pytest.approx(average + (9.0 - average) / math.e)
    assert row.expected(10_000.0) == pytest.approx(average), "what was learned is not forgotten"


def test_a_good_answer_soon_after_a_peak_does_not_undo_it() -> None:
    row = FirstToken()
    told(row, 1.0, 0.0)
    told(row, 9.0, 1.0)
    told(row, 0.2, 2.0)
    expected = row.expected(2.0)
    assert expected is not None
    assert expected > 7


def test_one_that_got_better_is_averaged_in_by_the_time_between_samples() -> None:
    row = FirstToken()
    told(row, 4.0, 0.0)
    told(row, 1.0, 60.0)
    assert row.expected(60.0) == pytest.approx(4 / math.e + 1 - 1 / math.e)
    told(row, 1.0, 1_000_000.0)
    assert row.expected(1_000_000.0) == pytest.approx(1.0)


@pytest.mark.parametrize(
    "kind", ["first_token_timeout", "timeout", "stall", "deadline", "cancelled"]
)
def test_a_wait_without_a_token_counts_as_at_least_that_long(kind: str) -> None:
    row = FirstToken()
    told(row, 1.0, 0.0)
    row.count(kind, None, 30.0, 1.0, stream=True)  # type: ignore[arg-type]  # kinds are text here
    assert row.expected(1.0) == pytest.approx(30.0)
    row.count(kind, None, 0.1, 1.0, stream=True)  # type: ignore[arg-type]  # kinds are text here
    assert row.expected(1.0) == pytest.approx(30.0), "a short wait says nothing"


def test_a_quick_failure_is_no_measurement() -> None:
    row = FirstToken()
    told(row, 1.0, 0.0)
    row.count("connect", None, 0.001, 1.0, stream=True)
    assert row.expected(1.0) == 1.0


def test_whole_answers_stand_in_until_one_was_streamed() -> None:
    row = FirstToken()
    assert row.expected(0.0) is None
    told(row, 20.0, 0.0, stream=False)
    assert row.expected(0.0) == 20.0
    told(row, 0.5, 1.0)
    told(row, 25.0, 2.0, stream=False)
    assert row.expected(2.0) == 0.5
    assert row.measured_at == 2.0


def test_one_never_measured_goes_first_one_request_at_a_time_and_three_times_at_most() -> None:
    row = FirstToken()
    assert row.cost(0.0, 0) == 0.0
    assert row.cost(0.0, 1) == math.inf
    for _ in range(3):
        row.count("connect", None, 0.1, 0.0, stream=True)
    assert row.cost(0.0, 0) == math.inf
    told(row, 2.0, 1.0)
    assert row.cost(1.0, 5) == 2.0


def test_rows_are_for_members_only() -> None:
    rows = FirstTokens()
    own, any_model = rows.of("a", "m"), rows.of("b", None)
    assert rows.known("a", "m") is own
    assert rows.known("a", "other") is None
    assert rows.known("b", "whatever") is any_model
    assert set(rows) == {("a", "m"), ("b", None)}
