"""Reading what a provider says about when to come back."""

import re
import time
from collections.abc import Iterable, Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime

__all__ = ["answered_at", "parse_retry_after", "seconds_of"]

_NUMBER = re.compile(r"\d{1,15}(?:\.\d*)?|\.\d+", re.ASCII)


def parse_retry_after(
    headers: Sequence[tuple[bytes, bytes]], *, wall_time: float | None = None
) -> float | None:
    """Return the seconds that ``retry-after-ms`` or ``retry-after`` asks for.

    The first that makes sense counts: ``retry-after-ms`` (milliseconds), then ``retry-after`` as a
    number of seconds, whole or not, or as an HTTP date in any of its three forms (RFC 9110,
    sections 5.6.7 and 10.2.3). A date is taken relative to the answer's own ``date``, so that
    clocks which disagree do no harm.

    Args:
        headers: The answer's headers, names in lower case.
        wall_time: The present time in seconds since 1970, for dates of an answer without a date;
            by default the clock's.

    Returns:
        Seconds, 0 for a time that is past; None when neither header says anything usable.
    """
    exact: bytes | None = None
    usual: bytes | None = None
    for name, value in headers:
        if name == b"retry-after":
            usual = value
        elif name == b"retry-after-ms":
            exact = value
    if exact is not None:
        milliseconds = seconds_of(exact)
        if milliseconds is not None:
            return milliseconds / 1000
    if usual is None:
        return None
    seconds = seconds_of(usual)
    if seconds is not None:
        return seconds
    date = _date(usual)
    return None if date is None else max(0.0, date - answered_at(headers, wall_time))


def answered_at(headers: Iterable[tuple[bytes, bytes]], wall_time: float | None = None) -> float:
    """Return when an answer was given, by the clock of whoever gave it.

    Args:
        headers: The answer's headers, names in lower case.
        wall_time: The present time in seconds since 1970; by default the clock's.

    Returns:
        Seconds since 1970: those of the answer's ``date``, else the present time.
    """
    for name, value in headers:
        if name == b"date":
            date = _date(value)
            if date is not None:
                return date
    return time.time() if wall_time is None else wall_time


def seconds_of(value: bytes) -> float | None:
    """Return a plain number of 0 or more, whole or not; None for anything else.

    Args:
        value: What a header says.
    """
    text = value.decode("latin-1").strip()
    # float() alone would take "inf", "nan" and "1_000".
    return float(text) if _NUMBER.fullmatch(text) else None


def _date(value: bytes) -> float | None:
    """Return the seconds since 1970 of an HTTP date in any of its forms; None for no such."""
    try:
        date = parsedate_to_datetime(value.decode("latin-1").strip())
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        return date.timestamp()
    except (ValueError, OverflowError):
        return None
