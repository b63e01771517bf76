"""Durations as headers and the command line have them, read from any text."""

import math

from hypothesis import given
from hypothesis import strategies as st

from runtime.configuration.units import format_duration, parse_duration, parse_wait

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
numbers = st.from_regex(r"[0-9]{1,12}(\.[0-9]{1,12})?", fullmatch=True)


@given(numbers, st.sampled_from(["", *UNITS]))
def test_a_number_is_seconds_unless_its_unit_says_otherwise(number: str, unit: str) -> None:
    try:
        seconds = parse_wait(number + unit)
    except ValueError:
        assert float(number) == 0
    else:
        assert seconds == float(number) * UNITS.get(unit, 1.0)
        assert 0 < seconds < math.inf


@given(st.text(max_size=40) | st.text("0123456789.smh- +einfa", max_size=40))
def test_any_text_is_a_time_above_0_or_a_value_error(text: str) -> None:
    try:
        seconds = parse_wait(text)
    except ValueError:
        seconds = None
    if seconds is not None:
        assert 0 < seconds < math.inf
        assert text.isascii()
        assert text[0].isdigit()


@given(st.floats(min_value=0.001, max_value=86_400))
def test_what_is_written_is_read_as_the_same_time(seconds: float) -> None:
    text = format_duration(seconds)
    assert parse_wait(text) == parse_duration(text)
