"""Durations and sizes as people write them: ``500ms``, ``30s``, ``5m``, ``2h``; ``64KiB``."""

import re
from decimal import Decimal

__all__ = [
    "format_duration",
    "format_size",
    "is_bare",
    "parse_duration",
    "parse_size",
    "parse_wait",
]

_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_BYTES = {
    "B": 1,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
}
_DURATION = re.compile(r"(\d{1,12}(?:\.\d{1,30})?) ?(ms|s|m|h)", re.ASCII)
_SIZE = re.compile(r"(\d{1,12}) ?([KMG]i?B|B)", re.ASCII)
_LONGEST_BARE = 32
_BARE = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)


def parse_duration(text: str) -> float:
    """Return the seconds that ``text`` names.

    Raises:
        ValueError: When it is no duration; the text says what was expected.
    """
    found = _DURATION.fullmatch(text)
    if found is not None:
        return float(found[1]) * _SECONDS[found[2]]
    raise ValueError('expected a duration with its unit, such as "500ms", "30s", "5m" or "2h"')


def parse_wait(text: str) -> float:
    """Return the seconds that ``text`` names, as headers and the command line have it.

    Other than in a file, a number without a unit is seconds: that is how every client says it.

    Raises:
        ValueError: When it is none, or 0; the text says what was expected.
    """
    seconds = 0.0
    if _BARE.fullmatch(text) is not None and len(text) <= _LONGEST_BARE:
        seconds = float(text)
    elif _DURATION.fullmatch(text) is not None:
        seconds = parse_duration(text)
    if seconds <= 0:
        raise ValueError('expected seconds above 0, or a duration such as "500ms", "30s" or "2m"')
    return seconds


def format_duration(seconds: float) -> str:
    """Return ``seconds`` as the shortest text that `parse_duration` reads as the same number."""
    if not seconds:
        return "0s"
    for unit in ("h", "m", "s"):
        count = seconds / _SECONDS[unit]
        if count == int(count):
            return f"{int(count)}{unit}"
    milliseconds = round(seconds * 1000)
    if milliseconds * _SECONDS["ms"] == seconds:
        return f"{milliseconds}ms"
    return f"{Decimal(repr(seconds)):f}s"


def parse_size(text: str) -> int:
    """Return the bytes that ``text`` names.

    Raises:
        ValueError: When it is no size; the text says what was expected.
    """
    found = _SIZE.fullmatch(text)
    if found is not None:
        return int(found[1]) * _BYTES[found[2]]
    raise ValueError('expected a size with its unit, such as "64KiB" or "32MiB"')


def is_bare(text: str) -> bool:
    """Tell whether ``text`` is a number without a unit."""
    return _BARE.fullmatch(text) is not None


def format_size(count: int) -> str:
    """Return ``count`` bytes as the shortest text that `parse_size` reads as the same number."""
    for unit in ("GiB", "MiB", "KiB"):
        if count and count % _BYTES[unit] == 0:
            return f"{count // _BYTES[unit]}{unit}"
    return f"{count}B"
