"""Ids of requests: unique on this machine, ordered in time, cheap to make."""

import os
from itertools import count

__all__ = ["RequestIds"]


class RequestIds:
    """Makes ids such as ``req_5f0c1d9a2b7e_00000001``: one prefix for a run, a running number."""

    def __init__(self) -> None:
        self._prefix = f"req_{os.urandom(6).hex()}_"
        self._numbers = count(1)

    def new(self) -> str:
        """Return the next id."""
        return f"{self._prefix}{next(self._numbers):08x}"
