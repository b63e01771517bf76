"""Secrets are blotted out of what passes, however it is split, and nothing else is touched."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from providers.masking import Masking

SECRET = b"aab-aac"
OTHER = b"aac"
BYTES = st.lists(st.sampled_from([b"a", b"b", b"-", b"c", SECRET, OTHER]), max_size=30)


def _masked(pieces: list[bytes], *secrets: bytes) -> bytes:
    masking = Masking(secrets)
    return b"".join([*(masking.feed(piece) for piece in pieces), masking.rest()])


def test_a_secret_is_blotted_out_by_its_length() -> None:
    assert _masked([b"key aab-aac!"], SECRET) == b"key *******!"
    assert Masking([SECRET]).whole(b"aab-aac aab-") == b"******* aab-"


@given(text=BYTES.map(b"".join), cuts=st.lists(st.integers(0, 60), max_size=6))
def test_how_it_is_split_makes_no_difference(text: bytes, cuts: list[int]) -> None:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[start:end] for start, end in pairwise(edges)]
    masked = _masked(pieces, SECRET)
    assert masked == _masked([text], SECRET)
    assert SECRET not in masked
    assert len(masked) == len(text)
    assert all(was == now or now == ord("*") for was, now in zip(text, masked, strict=True))


@given(pieces=BYTES)
def test_no_secret_of_several_is_left(pieces: list[bytes]) -> None:
    masked = _masked(pieces, SECRET, OTHER)
    assert SECRET not in masked
    assert OTHER not in masked


@given(pieces=BYTES)
def test_without_secrets_everything_passes_at_once(pieces: list[bytes]) -> None:
    masking = Masking([])
    assert [masking.feed(piece) for piece in pieces] == pieces
    assert masking.rest() == b""
