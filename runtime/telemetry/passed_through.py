"""The running counts of what is passed through: apart from the requests that ask a model.

What such a request does and how long that takes is as different as the files, batches and lists it
is about: mixed with the others it would say less of both.
"""

from runtime.outcome import Attempt, Finished
from runtime.routing.verdicts import SUFFERED
from runtime.telemetry.histogram import RecentTimes
from runtime.telemetry.metrics import PassthroughCounts

__all__ = ["PassedThrough"]


class PassedThrough:
    """The running counts of one provider, or of all."""

    __slots__ = (
        "_cancelled",
        "_duration",
        "_failed",
        "_failures",
        "_refused",
        "_statuses",
        "_succeeded",
        "_times",
    )

    def __init__(self) -> None:
        self._succeeded = 0
        self._failed = 0
        self._refused = 0
        self._cancelled = 0
        self._duration = 0.0
        self._failures: dict[str, int] = {}
        self._statuses: dict[int, int] = {}
        self._times = RecentTimes()

    def attempt(self, attempt: Attempt, now: float) -> bool:
        """Count one attempt.

        Args:
            attempt: What came of it.
            now: The present time.

        Returns:
            Whether the provider failed at it.
        """
        kind = attempt.kind
        if attempt.status is not None:
            self._status(attempt.status)
        if kind == "ok":
            self._served(attempt.duration, now)
        elif kind == "cancelled":
            self._cancelled += 1
        else:
            self._failures[kind] = self._failures.get(kind, 0) + 1
            if kind in SUFFERED:
                self._failed += 1
                return True
            self._refused += 1
        return False

    def finished(self, finished: Finished, now: float) -> None:
        """Count one request.

        Args:
            finished: What came of it.
            now: The present time.
        """
        if finished.ok:
            self._served(finished.duration, now)
        elif finished.cancelled:
            self._cancelled += 1
        elif 400 <= finished.status < 500:
            self._refused += 1
        else:
            self._failed += 1
        if not finished.cancelled:
            self._status(finished.status)

    def failures(self, kind: str) -> int:
        """Return how many attempts ended with one kind of failure.

        Args:
            kind: The kind.
        """
        return self._failures.get(kind, 0)

    def picture(self) -> PassthroughCounts:
        """Return the counts as they stand."""
        median, p95 = self._times.quantiles(0.5, 0.95)
        average = self._duration / self._succeeded if self._succeeded else None
        return PassthroughCounts(
            requests=self._succeeded + self._failed + self._refused + self._cancelled,
            succeeded=self._succeeded,
            failed=self._failed,
            refused=self._refused,
            cancelled=self._cancelled,
            failures=dict(self._failures),
            statuses={str(status): count for status, count in sorted(self._statuses.items())},
            avg_response_time=_milliseconds(average),
            p50_response_time=_milliseconds(median),
            p95_response_time=_milliseconds(p95),
        )

    def _served(self, duration: float, now: float) -> None:
        self._succeeded += 1
        self._duration += duration
        self._times.add(duration, now)

    def _status(self, status: int) -> None:
        self._statuses[status] = self._statuses.get(status, 0) + 1


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
