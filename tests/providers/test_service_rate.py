"""How fast places become free, and what askers are told of it."""

import pytest

from providers.service_rate import ServiceRate, retry_after


def test_nothing_is_said_before_there_is_enough_to_say_it_of() -> None:
    rate = ServiceRate()
    assert rate.look(0.0, 100) is None
    assert rate.look(5.0, 105) is None
    assert rate.look(10.0, 109) is None, "nine are too few"
    assert rate.look(10.0, 110) == pytest.approx(1.0)


def test_many_at_one_moment_say_nothing() -> None:
    rate = ServiceRate()
    rate.look(0.0, 0)
    assert rate.look(0.1, 50) is None
    assert rate.look(0.5, 50) == pytest.approx(100.0)


def test_what_is_long_ago_counts_no_more() -> None:
    rate = ServiceRate()
    for tenth in range(101):  # ten a second
        rate.look(tenth / 10, tenth)
    found = [rate.look(10 + tenth / 10, 100 + 10 * tenth) for tenth in range(101)]  # then 100
    assert found[-1] == pytest.approx(100.0)


def test_a_standstill_lowers_the_rate_little_by_little() -> None:
    rate = ServiceRate()
    rate.look(0.0, 0)
    found = [rate.look(now, 20) for now in (1.0, 2.0, 4.0)]
    assert found == [20.0, 10.0, 5.0]


def test_a_measurement_ends_where_nobody_waits_any_more() -> None:
    rate = ServiceRate()
    rate.look(0.0, 0)
    assert rate.look(1.0, 20) == 20.0
    rate.forget()
    assert rate.look(2.0, 40) is None


def test_a_time_without_looks_says_nothing() -> None:
    rate = ServiceRate()
    rate.look(0.0, 0)
    assert rate.look(1.0, 20) == 20.0
    assert rate.look(3600.0, 40) is None
    assert rate.look(3601.0, 60) == 20.0


@pytest.mark.parametrize(
    ("ahead", "rate", "seconds"),
    [(5, None, 1.0), (5, 100.0, 1.0), (50, 10.0, 5.0), (5000, 10.0, 60.0), (5, 0.0, 1.0)],
)
def test_askers_are_told_a_second_to_a_minute(
    ahead: int, rate: float | None, seconds: float
) -> None:
    assert retry_after(ahead, rate) == seconds
