"""Names of models and patterns of such names, as a provider lists them."""

from collections.abc import Iterable
from fnmatch import fnmatchcase

__all__ = ["is_pattern", "matches_any"]

_MARKS = frozenset("*?[")


def is_pattern(name: str) -> bool:
    """Tell whether a listed name stands for many models (`fnmatch`)."""
    return not _MARKS.isdisjoint(name)


def matches_any(model: str, listed: Iterable[str]) -> bool:
    """Tell whether a model is among listed names and patterns; upper and lower case differ."""
    return any(fnmatchcase(model, pattern) for pattern in listed)
