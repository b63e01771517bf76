"""Adding up what happened: plain counters, no clock, no task, no message."""

from providers.wire import Usage
from runtime.outcome import Attempt, CircuitChanged, Finished, PanicProbes, RequestShed
from runtime.routing.verdicts import SUFFERED
from runtime.telemetry.histogram import RecentTimes
from runtime.telemetry.metrics import (
    Metrics,
    PartCounts,
    PassthroughCounts,
    ProviderMetrics,
    ShedCounts,
    TokenCounts,
)
from runtime.telemetry.passed_through import PassedThrough
from runtime.telemetry.score import HealthScore
from supervision import Report

__all__ = ["Aggregate"]

_PASSED_THROUGH = "passthrough"

_HEALTHY = 0.9995
"""A score from which on waiting longer shows no difference."""


class _Tokens:
    __slots__ = ("cache_read", "cache_write", "input", "output", "reasoning")

    def __init__(self) -> None:
        self.input = 0
        self.output = 0
        self.cache_read = 0
        self.cache_write = 0
        self.reasoning = 0

    def add(self, usage: Usage) -> None:
        self.input += usage.input_tokens
        self.output += usage.output_tokens
        self.cache_read += usage.cache_read_tokens
        self.cache_write += usage.cache_write_tokens
        self.reasoning += usage.reasoning_tokens

    def picture(self) -> TokenCounts:
        return TokenCounts(
            input=self.input,
            output=self.output,
            cache_read=self.cache_read,
            cache_write=self.cache_write,
            reasoning=self.reasoning,
        )


class _Provider:
    """The running counts of one provider."""

    __slots__ = (
        "cancelled",
        "circuit_opened",
        "duration",
        "failed",
        "failures",
        "first_token",
        "first_tokens",
        "gate_closed",
        "hedge_tokens",
        "hedges",
        "hedges_cancelled",
        "hedges_won",
        "last_failure",
        "passed_through",
        "score",
        "set_aside",
        "succeeded",
        "times",
        "tokens",
    )

    def __init__(self) -> None:
        self.succeeded = 0
        self.failed = 0
        self.cancelled = 0
        self.failures: dict[str, int] = {}
        self.duration = 0.0
        self.first_token = 0.0
        self.first_tokens = 0
        self.times = RecentTimes()
        self.tokens = _Tokens()
        self.score = HealthScore()
        self.circuit_opened = 0
        self.set_aside = 0
        self.last_failure: str | None = None
        self.gate_closed = {"429": 0, "headers": 0}
        self.hedges = 0
        self.hedges_won = 0
        self.hedges_cancelled = 0
        self.hedge_tokens = _Tokens()
        self.passed_through: PassedThrough | None = None

    def count(self, attempt: Attempt, now: float) -> None:
        if attempt.operation == _PASSED_THROUGH:
            self._pass_through(attempt, now)
            return
        kind = attempt.kind
        first_token = attempt.first_token
        if first_token is not None:
            self.first_token += first_token
            self.first_tokens += 1
            self.times.add(first_token, now)
        if attempt.usage is not None:
            self.tokens.add(attempt.usage)
        if attempt.closed_gate is not None:
            self.gate_closed[attempt.closed_gate] += 1
        if attempt.hedge is not None:
            self._hedge(attempt)
        if kind == "ok":
            self.succeeded += 1
            self.duration += attempt.duration
            self.score.served(first_token, now)
        elif kind == "cancelled":
            if not attempt.superseded:
                self.cancelled += 1
        else:
            self.failures[kind] = self.failures.get(kind, 0) + 1
            self.last_failure = kind
            if kind in SUFFERED:
                self.failed += 1
                self.score.failed(now)

    def _pass_through(self, attempt: Attempt, now: float) -> None:
        passed = self.passed_through
        if passed is None:
            passed = self.passed_through = PassedThrough()
        if passed.attempt(attempt, now):
            self.last_failure = attempt.kind
            self.score.failed(now)
        elif attempt.kind == "ok":
            self.score.served(None, now)

    def shed(self) -> int:
        """How many were not taken in, because too many waited."""
        passed = self.passed_through
        kind = "queue_full"
        return self.failures.get(kind, 0) + (0 if passed is None else passed.failures(kind))

    def _hedge(self, attempt: Attempt) -> None:
        if attempt.hedge == "second":
            self.hedges += 1
            self.hedges_won += attempt.kind == "ok"
        if attempt.superseded:
            self.hedges_cancelled += 1
            if attempt.usage is not None:
                self.hedge_tokens.add(attempt.usage)

    def picture(self, now: float) -> ProviderMetrics:
        judged = self.succeeded + self.failed
        refused = sum(self.failures.values()) - self.failed
        median, p95 = self.times.quantiles(0.5, 0.95)
        return ProviderMetrics(
            requests=judged + self.cancelled + self.hedges_cancelled + refused,
            succeeded=self.succeeded,
            failed=self.failed,
            cancelled=self.cancelled,
            failures=dict(self.failures),
            success_rate=_share(self.succeeded, judged),
            avg_response_time=_average(self.duration, self.succeeded),
            avg_first_token=_average(self.first_token, self.first_tokens),
            p50_first_token=_milliseconds(median),
            p95_first_token=_milliseconds(p95),
            tokens=self.tokens.picture(),
            health_score=round(self.score.at(now), 4),
            circuit_opened=self.circuit_opened,
            set_aside=self.set_aside,
            last_failure=self.last_failure,
            gate_closed=dict(self.gate_closed),
            hedges=self.hedges,
            hedges_won=self.hedges_won,
            hedges_cancelled=self.hedges_cancelled,
            hedge_tokens=self.hedge_tokens.picture(),
            passthrough=_picture(self.passed_through),
        )


class Aggregate:
    """The running counts of everything. Written by the telemetry actor alone."""

    __slots__ = (
        "_attempts",
        "_cancelled",
        "_dropped",
        "_duration",
        "_failed",
        "_failed_over",
        "_gave_up",
        "_not_resumed",
        "_panic_probes",
        "_part_crashes",
        "_part_restarts",
        "_passed_through",
        "_poison",
        "_providers",
        "_refused",
        "_resumed",
        "_shed",
        "_streamed",
        "_succeeded",
        "_times",
        "_tokens",
        "_translated",
    )

    def __init__(self) -> None:
        self._attempts = 0
        self._succeeded = 0
        self._failed = 0
        self._refused = 0
        self._cancelled = 0
        self._streamed = 0
        self._failed_over = 0
        self._panic_probes = 0
        self._resumed = 0
        self._translated = 0
        self._dropped = 0
        self._not_resumed: dict[str, int] = {}
        self._shed = dict.fromkeys(("front", "client", "bodies"), 0)
        self._duration = 0.0
        self._times = RecentTimes()
        self._tokens = _Tokens()
        self._providers: dict[str, _Provider] = {}
        self._part_crashes = 0
        self._part_restarts = 0
        self._poison = 0
        self._gave_up = 0
        self._passed_through: PassedThrough | None = None

    def attempt(self, attempt: Attempt, now: float) -> None:
        """Count one attempt.

        Args:
            attempt: What came of it.
            now: The present time.
        """
        self._attempts += 1
        provider = self._providers.get(attempt.provider)
        if provider is None:
            provider = self._provider(attempt.provider)
        provider.count(attempt, now)

    def finished(self, finished: Finished, now: float) -> None:
        """Count one request.

        Args:
            finished: What came of it.
            now: The present time.
        """
        if finished.operation == _PASSED_THROUGH:
            passed = self._passed_through
            if passed is None:
                passed = self._passed_through = PassedThrough()
            passed.finished(finished, now)
            return
        if finished.stream:
            self._streamed += 1
        self._resumed += finished.resumed
        why = finished.not_resumed
        if why is not None:
            self._not_resumed[why] = self._not_resumed.get(why, 0) + 1
        if finished.dropped is not None and finished.provider is not None:
            self._translated += 1
            self._dropped += finished.dropped
        if finished.usage is not None:
            self._tokens.add(finished.usage)
        if finished.first_token is not None:
            self._times.add(finished.first_token, now)
        if finished.ok:
            self._succeeded += 1
            self._duration += finished.duration
            if finished.attempts - finished.superseded > 1:
                self._failed_over += 1
        elif finished.cancelled:
            self._cancelled += 1
        elif 400 <= finished.status < 500 and finished.status not in {408, 429}:
            self._refused += 1
        else:
            self._failed += 1

    def circuit(self, change: CircuitChanged) -> None:
        """Count one change of a circuit.

        Args:
            change: What changed.
        """
        if change.after == "open":
            provider = self._provider(change.provider)
            if change.watch == "account":
                provider.set_aside += 1
            else:
                provider.circuit_opened += 1

    def report(self, report: Report) -> None:
        """Count one report of the supervision tree.

        Args:
            report: What happened to one of the daemon's parts.
        """
        if report.kind == "crash":
            self._part_crashes += 1
        elif report.context == "started":
            self._part_restarts += report.incarnation > 1
        elif report.context == "poison":
            self._poison += 1
        elif report.context == "shutdown":
            self._gave_up += 1

    def panic(self, probes: PanicProbes) -> None:
        """Count requests that were let through although all members of a group were kept back.

        Args:
            probes: How many.
        """
        self._panic_probes += probes.count

    def shed(self, shed: RequestShed) -> None:
        """Count a request that was refused at a door because there were too many.

        Args:
            shed: Why it was.
        """
        self._shed[shed.why] += 1

    def is_healing(self, now: float) -> bool:
        """Tell whether a score will rise by time alone, so that a picture grows stale.

        Args:
            now: The present time.
        """
        return any(each.score.at(now) < _HEALTHY for each in self._providers.values())

    def picture(self, now: float) -> Metrics:
        """Return all counts as they stand.

        Args:
            now: The present time.
        """
        judged = self._succeeded + self._failed
        median, p95 = self._times.quantiles(0.5, 0.95)
        return Metrics(
            total_requests=judged + self._refused + self._cancelled,
            success_rate=_share(self._succeeded, judged),
            avg_response_time=_average(self._duration, self._succeeded) or 0.0,
            succeeded=self._succeeded,
            failed=self._failed,
            refused=self._refused,
            cancelled=self._cancelled,
            streamed=self._streamed,
            failed_over=self._failed_over,
            hedges=sum(each.hedges for each in self._providers.values()),
            hedges_won=sum(each.hedges_won for each in self._providers.values()),
            hedges_cancelled=sum(each.hedges_cancelled for each in self._providers.values()),
            resumed=self._resumed,
            not_resumed=dict(self._not_resumed),
            translated=self._translated,
            dropped=self._dropped,
            panic_probes=self._panic_probes,
            shed=ShedCounts(
                **self._shed,
                queue=sum(each.shed() for each in self._providers.values()),
            ),
            attempts=self._attempts,
            passthrough=_picture(self._passed_through),
            p50_first_token=_milliseconds(median),
            p95_first_token=_milliseconds(p95),
            tokens=self._tokens.picture(),
            providers={name: each.picture(now) for name, each in self._providers.items()},
            parts=PartCounts(
                crashes=self._part_crashes,
                restarts=self._part_restarts,
                set_aside=self._poison,
                gave_up=self._gave_up,
            ),
        )

    def _provider(self, name: str) -> _Provider:
        return self._providers.setdefault(name, _Provider())


def _picture(passed: PassedThrough | None) -> PassthroughCounts:
    return PassthroughCounts() if passed is None else passed.picture()


def _share(part: int, whole: int) -> float:
    return round(part / whole, 6) if whole else 1.0


def _average(seconds: float, count: int) -> float | None:
    return _milliseconds(seconds / count) if count else None


def _milliseconds(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)
