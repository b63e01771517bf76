"""How often the daemon's garbage collector looks for cycles."""

import gc
from typing import Final

__all__ = ["THRESHOLDS", "calm_collector"]

_YOUNG: Final = 50_000
"""Objects that there must be more of than at the last look. Requests leave no cycles behind, not
even those that fail; the usual 700 would have the collector look every few requests."""

_OLDER: Final = 5
"""Looks at the young after which the older ones are looked at too. What lives long and then ends in
a cycle, a connection of a library's for instance, is found at such looks only; as looks are rare,
ten times ten of them, as usual, would be days."""

THRESHOLDS: Final = (_YOUNG, _OLDER, _OLDER)
"""As `gc.set_threshold` takes them."""


def calm_collector() -> None:
    """Keep the cyclic collector out of requests' way.

    What is there after the start stays, so it need not be looked at again.
    """
    gc.collect()
    gc.freeze()
    # CPython looks at the oldest only once a quarter as many have joined them as the last full look
    # left. Without this one that were all that has just been frozen.
    gc.collect()
    gc.set_threshold(*THRESHOLDS)
