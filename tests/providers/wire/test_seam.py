"""Where one text goes on in another: nothing twice, nothing lost."""

import itertools

from hypothesis import given
from hypothesis import strategies as st

from providers.wire.seam import MIN_OVERLAP, Seam

WORDS = st.lists(
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=9), max_size=20, unique=True
)


def joined(sent: str, pieces: list[str]) -> str:
    seam = Seam(sent)
    return sent + "".join(seam.feed(piece) for piece in pieces) + seam.flush()


def split(text: str, cuts: list[int]) -> list[str]:
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    return [text[a:b] for a, b in itertools.pairwise(places)]


NUMBERED = "".join(f"word{number} " for number in range(60))
"""A text no stretch of which of MIN_OVERLAP characters occurs twice."""


@given(at=st.integers(0, len(NUMBERED)), cuts=st.lists(st.integers(0, 999), max_size=9))
def test_an_exact_continuation_is_joined_unchanged(at: int, cuts: list[int]) -> None:
    sent = NUMBERED[:at]
    rest = NUMBERED[len(sent.rstrip()) :]
    assert joined(sent, split(rest, cuts)) == NUMBERED


@given(
    at=st.integers(MIN_OVERLAP, len(NUMBERED)),
    back=st.integers(MIN_OVERLAP, len(NUMBERED)),
    cuts=st.lists(st.integers(0, 999), max_size=9),
)
def test_a_repetition_of_the_end_is_left_out(at: int, back: int, cuts: list[int]) -> None:
    sent = NUMBERED[:at]
    told = len(sent.rstrip())
    if told < MIN_OVERLAP:
        return
    start = max(0, told - back)
    assert joined(sent, split(NUMBERED[start:], cuts)) == NUMBERED


def test_a_short_repetition_is_chance() -> None:
    assert joined("no, no, no", [" no", ", no"]) == "no, no, no no, no"


def test_text_that_cannot_be_a_repetition_leaves_at_once() -> None:
    seam = Seam("The quick brown fox jumps over the lazy dog.")
    assert seam.feed(" And") == " And"
    assert seam.feed(" then") == " then"


def test_white_space_at_the_seam_is_sent_once() -> None:
    assert joined("one two ", [" ", "three"]) == "one two three"
    assert joined("one two ", ["three"]) == "one two three"
    assert joined("a\n", ["\n", "\nb"]) == "a\n\nb"


@given(words=WORDS, more=WORDS)
def test_no_character_of_a_continuation_is_lost_but_a_repetition(
    words: list[str], more: list[str]
) -> None:
    sent, rest = "".join(words), "".join(more)
    whole = joined(sent, more)
    assert whole.startswith(sent)
    assert rest.endswith(whole[len(sent) :])
