"""Reading what a provider says about when to come back."""

import re
import time
from collections.abc import Iterable
from datetime import UTC
from email.utils import parsedate_to_datetime

__all__ = ["parse_retry_after"]

_NUMBER = re.compile(r"\d{1,15}(?:\.\d*)?|\.\d+", re.ASCII)


def parse_retry_after(
    headers: Iterable[tuple[bytes, bytes]], *, wall_time: float | None = None
) -> float | None:
    """Return the seconds that ``retry-after-ms`` or ``retry-after`` asks for.

    The first that makes sense counts: ``retry-after-ms`` (milliseconds), then ``retry-after`` as a
    number of seconds, whole or not, or as an HTTP date in any of its three forms (RFC 9110,
    sections 5.6.7 and 10.2.3).

    Args:
        headers: The answer's headers, names in lower case.
        wall_time: The present time in seconds since 1970, for dates; by default the clock's.

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
        milliseconds = _number(exact)
        if milliseconds is not None:
            return milliseconds / 1000
    if usual is None:
        return None
    seconds = _number(usual)
    if seconds is not None:
        return seconds
    return _until(usual, time.time() if wall_time is None else wall_time)


def _number(value: bytes) -> float | None:
    text = value.decode("latin-1").strip()
    # float() alone would take "inf", "nan" and "1_000".
    return float(text) if _NUMBER.fullmatch(text) else None


def _until(value: bytes, wall_time: float) -> float | None:
    try:
        date = parsedate_to_datetime(value.decode("latin-1").strip())
        if date.tzinfo is None:
            date = date.replace(tzinfo=UTC)
        return max(0.0, date.timestamp() - wall_time)
    except (ValueError, OverflowError):
        return None
