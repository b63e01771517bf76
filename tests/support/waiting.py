"""Bounded waiting for something to become true, in place of fixed sleeps."""

import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

T = TypeVar("T")

PAUSE = 0.02
"""Seconds between two looks."""


class NeverHappenedError(AssertionError):
    """What was waited for did not become true in its time."""


def eventually(look: Callable[[], T], what: str, *, within: float = 10.0) -> T:
    """Return the first truthy result of `look`, or fail naming `what` after `within` seconds."""
    deadline = time.monotonic() + within
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() > deadline:
            raise NeverHappenedError(
                f"within {within:g} s it did not happen that {what}; last: {found!r}"
            )
        time.sleep(PAUSE)


async def eventually_async(
    look: Callable[[], Awaitable[T]], what: str, *, within: float = 10.0
) -> T:
    """Do the same under trio, where `look` is asynchronous."""
    deadline = trio.current_time() + within
    while True:
        found = await look()
        if found:
            return found
        if trio.current_time() > deadline:
            raise NeverHappenedError(
                f"within {within:g} s it did not happen that {what}; last: {found!r}"
            )
        await trio.sleep(PAUSE)
