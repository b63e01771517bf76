"""What only the garbage collector could free: cycles, counted by what they hold of ours."""

import gc
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["collected"]

_OURS = ("providers.", "runtime.", "supervision.")


@contextmanager
def collected() -> Iterator[list[str]]:
    """Yield a list that holds, after the block, the types of our objects it left in cycles.

    The collector rests meanwhile. What was garbage before the block does not count.
    """
    found: list[str] = []
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        kinds = (type(each) for each in gc.garbage)
        names = {f"{kind.__module__}.{kind.__qualname__}" for kind in kinds}
        found.extend(sorted(name for name in names if name.startswith(_OURS)))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()
