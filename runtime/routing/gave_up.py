"""The end of a request that nobody answered."""

from collections.abc import Sequence

from providers.failures import Failure

__all__ = ["GaveUp"]


class GaveUp(Exception):  # noqa: N818 - names the event; the door turns it into an error answer
    """Nobody answered a request.

    Args:
        failures: What became of each candidate that was tried or passed over, in order.
        attempts: How many exchanges were made.
        asked: The provider that was asked last; empty when none was.
        soonest: Seconds until the first of the candidates can be asked again, where all of them
            are kept back.
    """

    def __init__(
        self,
        failures: Sequence[Failure],
        attempts: int,
        asked: str = "",
        soonest: float | None = None,
    ) -> None:
        super().__init__(failures, attempts)
        self.soonest = soonest
        self.asked = asked
        self.failures = failures
        self.attempts = attempts

    @property
    def last(self) -> Failure:
        """The failure that the asker is told: of an exchange rather than of a passed-over one."""
        return self.failures[-1]

    @property
    def shed(self) -> bool:
        """Whether no upstream was asked, only because too many requests wait for it here."""
        return all(failure.kind == "queue_full" for failure in self.failures)

    @property
    def retry_after(self) -> float | None:
        """Seconds after which asking again is worth it, where that is known."""
        if self.soonest is not None:
            return self.soonest
        known = [f.retry_after for f in self.failures if f.retry_after is not None]
        return min(known) if known else None

    def explanation(self) -> str:
        """Return one line that says what became of each provider."""
        told = dict.fromkeys(str(failure) for failure in self.failures)
        return "no provider could answer: " + "; ".join(told)
