"""Ids of requests."""

from runtime.identifiers import RequestIds


def test_ids_are_unique_ordered_and_fit_into_a_header() -> None:
    one, other = RequestIds(), RequestIds()
    ids = [one.new() for _ in range(300)]
    assert ids == sorted(ids)
    assert len({*ids, *(other.new() for _ in range(300))}) == 600
    assert all(each.startswith("req_") and each.isascii() and each.isprintable() for each in ids)
