"""What an answer's headers say about the next request."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from providers.rate_limits import LONGEST_FORECAST, exhausted_for
from providers.retry_after import parse_retry_after

NOON = 1_795_435_200.0  # 2026-11-23 12:00:00 UTC
DATE = ("date", "Mon, 23 Nov 2026 12:00:00 GMT")


def read(*headers: tuple[str, str], wall_time: float | None = None) -> float:
    raw = [(name.encode(), value.encode()) for name, value in headers]
    return exhausted_for(raw, wall_time=wall_time)


def openai(reset: str, *, remaining: str = "0", what: str = "requests") -> float:
    return read(
        ("content-type", "application/json"),
        ("x-ratelimit-limit-requests", "60"),
        (f"x-ratelimit-remaining-{what}", remaining),
        (f"x-ratelimit-reset-{what}", reset),
    )


@pytest.mark.parametrize(
    ("reset", "seconds"),
    [
        ("20ms", 0.02),
        ("1s", 1.0),
        ("6.5s", 6.5),
        ("1m30s", LONGEST_FORECAST),
        ("1h", LONGEST_FORECAST),
        ("0s", 0.0),
        ("500us", 0.0005),
        ("500µs", 0.0005),
        ("3", 3.0),
        ("0.25", 0.25),
        ("999999999999s", LONGEST_FORECAST),
        ("", 0.0),
        ("soon", 0.0),
        ("1s later", 0.0),
        ("-1s", 0.0),
        ("1", 1.0),
        ("ms", 0.0),
    ],
)
def test_a_limit_that_is_used_up_says_for_how_long(reset: str, seconds: float) -> None:
    assert openai(reset) == pytest.approx(seconds)
    assert openai(reset, what="tokens") == pytest.approx(seconds)


@pytest.mark.parametrize("remaining", ["1", "59", "", "-1", "00", "zero"])
def test_a_limit_of_which_something_is_left_lets_the_next_request_try(remaining: str) -> None:
    assert openai("5s", remaining=remaining) == 0


@pytest.mark.parametrize("what", ["requests", "tokens", "input-tokens", "output-tokens"])
def test_anthropic_says_when_its_limits_are_back(what: str) -> None:
    remaining = (f"anthropic-ratelimit-{what}-remaining", "0")
    reset = f"anthropic-ratelimit-{what}-reset"
    assert read(remaining, (reset, "2026-11-23T12:00:04Z"), wall_time=NOON) == 4
    assert read(remaining, (reset, "2026-11-23T13:00:04+01:00"), wall_time=NOON) == 4
    assert read(remaining, (reset, "2026-11-23T11:59:00Z"), wall_time=NOON) == 0
    assert read(remaining, (reset, "2036-11-23T12:00:00Z"), wall_time=NOON) == LONGEST_FORECAST


def test_a_time_is_taken_relative_to_the_answers_own_date() -> None:
    headers = (
        ("anthropic-ratelimit-requests-remaining", "0"),
        ("anthropic-ratelimit-requests-reset", "2026-11-23T12:00:04Z"),
    )
    assert read(DATE, *headers, wall_time=NOON + 3600) == 4
    assert read(("date", "whenever"), *headers, wall_time=NOON + 1) == 3


def test_of_several_limits_the_last_to_come_back_counts() -> None:
    used_up = (("x-ratelimit-remaining-requests", "0"), ("x-ratelimit-reset-requests", "1s"))
    more = (("x-ratelimit-remaining-tokens", "0"), ("x-ratelimit-reset-tokens", "6s"))
    rest = (("x-ratelimit-remaining-tokens", "7"), ("x-ratelimit-reset-tokens", "6s"))
    assert read(*used_up, *more) == 6
    assert read(*used_up, *rest) == 1


def test_a_limit_without_a_time_closes_nothing() -> None:
    assert read(("x-ratelimit-remaining-requests", "0")) == 0
    assert read(("retry-after", "0"), ("x-ratelimit-reset-requests", "5s")) == 0


NAMES = st.sampled_from(
    [
        *(f"x-ratelimit-{x}-{y}" for x in ("remaining", "reset") for y in ("requests", "tokens")),
        *(
            f"anthropic-ratelimit-{x}-{y}"
            for x in ("requests", "input-tokens")
            for y in ("remaining", "reset")
        ),
        *("date", "retry-after", "retry-after-ms"),
    ]
)
VALUES = (
    st.just(b"0")
    | st.binary(max_size=30)
    | st.text("0123456789.msh:-TZ+ ", max_size=30).map(str.encode)
    | st.datetimes().map(lambda when: when.isoformat().encode())
)


@given(headers=st.lists(st.tuples(NAMES.map(str.encode), VALUES), max_size=8))
@example(headers=[(b"retry-after", b"Fri, 31 Dec 9999 23:59:59 -2359")])
def test_nothing_that_an_upstream_sends_makes_a_wait_that_is_none(
    headers: list[tuple[bytes, bytes]],
) -> None:
    assert 0 <= exhausted_for(headers) <= LONGEST_FORECAST
    asked = parse_retry_after(headers)
    assert asked is None or 0 <= asked <= 1e15
