"""Numbers, durations and foreign text as the terminal says them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.view.lines import cropped, length, plain
from runtime.view.wording import bounded, clean, count, duration, percent


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (-1, "0.0s"),
        (0.04, "0.0s"),
        (9.94, "9.9s"),
        (9.96, "10s"),
        (59.4, "59s"),
        (59.6, "1m00s"),
        (245, "4m05s"),
        (3599.6, "1h00m"),
        (86_399, "23h59m"),
        (90_000, "1d01h"),
    ],
)
def test_durations(seconds: float, said: str) -> None:
    assert duration(seconds) == said


@pytest.mark.parametrize(
    ("value", "said"),
    [(0, "0"), (999, "999"), (1000, "1.0k"), (12_345, "12k"), (999_999, "1.0M"), (5e12, "5000G")],
)
def test_counts(value: float, said: str) -> None:
    assert count(value) == said


def test_less_than_all_is_never_called_all() -> None:
    assert percent(0.99999) == "99.9 %"
    assert percent(1.0) == "100.0 %"


@given(st.text(), st.integers(0, 40))
def test_cleaned_and_cut_text_is_one_printable_line_that_fits(text: str, width: int) -> None:
    shown = bounded(clean(text), width)
    assert shown.isprintable()
    assert len(shown) <= width


@given(st.lists(st.tuples(st.text("abc", max_size=8), st.just(""))), st.integers(1, 30))
def test_a_cropped_line_fits_and_begins_like_the_whole(
    line: list[tuple[str, str]], width: int
) -> None:
    cut = cropped(line, width)
    assert length(cut) <= width
    if length(line) > width:
        assert plain(cut).endswith("…")
        assert plain(line).startswith(plain(cut)[:-1])
    else:
        assert cut == line
