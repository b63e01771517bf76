"""Reading from a good answer that the next request would be refused.

Both APIs say with every answer what is left of each limit, and when it is whole again:
``x-ratelimit-remaining-requests`` and ``x-ratelimit-reset-requests`` (``6m0s``, ``20ms``) as OpenAI
and most who speak its API, ``anthropic-ratelimit-requests-remaining`` and
``anthropic-ratelimit-requests-reset`` (RFC 3339) as Anthropic; the same for ``tokens``, and with
Anthropic for ``input-tokens`` and ``output-tokens``.

Only a limit of which nothing is left is of interest here. How much a request will need of a limit
in tokens is not known before it is answered, so that any rest of it lets the next one try.
"""

import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

from providers.retry_after import answered_at, seconds_of

__all__ = ["LONGEST_FORECAST", "exhausted_for", "seconds_until_reset"]

LONGEST_FORECAST: Final = 10.0
"""Seconds that what is read here counts for at most. The time that is named is the one at which a
limit is whole again; something of it comes back long before, and a real 429 says when."""

_RESET_OF: Final = {
    b"x-ratelimit-remaining-requests": b"x-ratelimit-reset-requests",
    b"x-ratelimit-remaining-tokens": b"x-ratelimit-reset-tokens",
    b"anthropic-ratelimit-requests-remaining": b"anthropic-ratelimit-requests-reset",
    b"anthropic-ratelimit-tokens-remaining": b"anthropic-ratelimit-tokens-reset",
    b"anthropic-ratelimit-input-tokens-remaining": b"anthropic-ratelimit-input-tokens-reset",
    b"anthropic-ratelimit-output-tokens-remaining": b"anthropic-ratelimit-output-tokens-reset",
}
"""The header that says what is left, and the one that says when all of it is back."""

_UNITS: Final = {
    "h": 3600.0,
    "m": 60.0,
    "s": 1.0,
    "ms": 1e-3,
    "us": 1e-6,
    "µs": 1e-6,
    "μs": 1e-6,
    "ns": 1e-9,
}
_PART = re.compile(r"(\d{1,12}(?:\.\d{0,12})?|\.\d{1,12})(h|ms|m|s|us|µs|μs|ns)")


def exhausted_for(
    headers: Sequence[tuple[bytes, bytes]], *, wall_time: float | None = None
) -> float:
    """Return for how long a provider would refuse, by what its answer says is left.

    Costs a pass over the headers and nothing more unless one of them is ``0``.

    Args:
        headers: The answer's headers, names in lower case.
        wall_time: The present time in seconds since 1970, for dates of an answer without a date;
            by default the clock's.

    Returns:
        Seconds, at most ``LONGEST_FORECAST``; 0 when something is left of every limit, or when no
        time is named, or one that is past.
    """
    for name, value in headers:
        if value == b"0" and name in _RESET_OF:
            return _until_reset(headers, wall_time)
    return 0.0


def _until_reset(headers: Sequence[tuple[bytes, bytes]], wall_time: float | None) -> float:
    """Return the seconds until the last of the limits that are used up is back."""
    said = dict(headers)
    waits = (
        seconds_until_reset(said[reset], headers, wall_time) or 0.0
        for remaining, reset in _RESET_OF.items()
        if said.get(remaining) == b"0" and reset in said
    )
    return min(LONGEST_FORECAST, max(waits, default=0.0))


def seconds_until_reset(
    value: bytes, headers: Iterable[tuple[bytes, bytes]], wall_time: float | None = None
) -> float | None:
    """Return how long it is until a limit is whole again, as a header of either API says it.

    Args:
        value: The header's value: a Go duration, a plain number of seconds, or an RFC 3339 time.
        headers: The answer's headers, whose ``date`` a time is taken relative to.
        wall_time: The present time in seconds since 1970, for an answer without a date; by default
            the clock's.

    Returns:
        Seconds, 0 for a time that is past; None for anything else.
    """
    seconds = seconds_of(value)
    if seconds is None:
        seconds = _duration(value)
    if seconds is not None:
        return seconds
    try:
        time = datetime.fromisoformat(value.decode("ascii").strip())
        if time.tzinfo is None:
            time = time.replace(tzinfo=UTC)
        return max(0.0, time.timestamp() - answered_at(headers, wall_time))
    except (ValueError, OverflowError):
        return None


def _duration(value: bytes) -> float | None:
    """Return the seconds of a duration as Go writes it, such as ``1m30.5s``; None for no such."""
    try:
        text = value.decode("utf-8").strip()
    except UnicodeDecodeError:
        return None
    total, at = 0.0, 0
    while part := _PART.match(text, at):
        total += float(part[1]) * _UNITS[part[2]]
        at = part.end()
    return total if at and at == len(text) else None
