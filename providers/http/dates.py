"""The value of a ``Date`` header."""

from email.utils import formatdate
from functools import lru_cache
from time import time

__all__ = ["http_date"]


def http_date() -> bytes:
    """Return the present time as RFC 9110 (section 5.6.7) writes it; made once a second."""
    return _of(int(time()))


@lru_cache(maxsize=2)
def _of(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode("ascii")
