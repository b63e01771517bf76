"""How fast places become free: measured while somebody waits, by looks at a counter.

As long as a queue is not empty every place is taken, so the number of those who left in a time says
what can be served in it (Little, 1961: whoever has n before him waits for n divided by that rate).
Nothing is measured where nobody waits: then the counter says how much is asked for, and not how
much could be served.
"""

__all__ = ["ServiceRate", "retry_after"]

_ENOUGH = 10
"""Services from which on a rate is believed."""

_SHORTEST = 0.25
"""Seconds over which they must be counted at least: many may end at one moment by chance."""

_WINDOW = 5.0
"""Seconds after which a measurement is begun anew; the one before is used until there is enough."""

_LEAST_RETRY_AFTER = 1.0
_MOST_RETRY_AFTER = 60.0
"""Seconds: what askers are told at least and at most. Headers carry whole seconds, and one SDK does
not come back at all when told to wait for more than two minutes."""


class ServiceRate:
    """Services a second, from looks at how many there have been."""

    __slots__ = ("_before", "_began", "_looked")

    def __init__(self) -> None:
        self._began: tuple[float, int] | None = None
        self._before: tuple[float, int] | None = None
        self._looked = 0.0

    def forget(self) -> None:
        """Nobody waits any more: what comes now measures the demand."""
        self._began = self._before = None

    def look(self, now: float, served: int) -> float | None:
        """Note how many have been served by now, and return the rate.

        Args:
            now: The present time, in seconds.
            served: How many have been served ever; it only grows.

        Returns:
            Services a second, over the last 5 to 10 seconds; None before there were enough.
        """
        if now - self._looked > _WINDOW:
            self.forget()  # who knows whether somebody waited all the time
        self._looked = now
        began = self._began
        if began is None:
            self._began = now, served
            return None
        if now - began[0] >= _WINDOW and served - began[1] >= _ENOUGH:
            self._before, self._began = began, (now, served)
        since, then = self._before or began
        if served - then < _ENOUGH or now - since < _SHORTEST:
            return None
        return (served - then) / (now - since)


def retry_after(ahead: int, rate: float | None) -> float:
    """Return after how many seconds it is worth asking again.

    Args:
        ahead: How many are to be served before.
        rate: How many are served a second; None where that is not known.

    Returns:
        The seconds, from 1 to 60; 1 where nothing is known.
    """
    if not rate:
        return _LEAST_RETRY_AFTER
    return min(_MOST_RETRY_AFTER, max(_LEAST_RETRY_AFTER, ahead / rate))
