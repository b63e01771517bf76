"""The telemetry actor: hears of everything, delays nothing, publishes a picture of the counts."""

import math
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Final, Literal

import msgspec
import trio

from runtime.outcome import Attempt, CircuitChanged, Finished, PanicProbes, RequestShed
from runtime.telemetry.aggregate import Aggregate
from runtime.telemetry.handlers import (
    ATTEMPT_STOP,
    CIRCUIT_CHANGE,
    PART_REPORT,
    REQUEST_STOP,
    TelemetryHandler,
)
from runtime.telemetry.metrics import Metrics
from supervision import Actor, Published, PublishedWriter, Report

__all__ = ["Telemetry", "TelemetryBoard"]

_REFRESH: Final = 0.1
"""Seconds between two pictures at least."""

_HEAL: Final = 5.0
"""Seconds between two pictures while only time changes the scores."""


class TelemetryBoard:
    """What telemetry publishes and keeps. Made outside the actor, so that it outlives its crashes.

    Attributes:
        metrics: The latest picture of all counts: at most a tenth of a second old.
        handlers: Those who hear of events.
        aggregate: The running counts; the actor's alone.
        reports_seen: How many of the tree's reports they hold; the actor's alone.
    """

    __slots__ = ("aggregate", "handlers", "metrics", "reports_seen")

    def __init__(self) -> None:
        self.metrics: Published[Metrics] = Published(Metrics(), name="the metrics")
        self.handlers = TelemetryHandler()
        self.aggregate = Aggregate()
        self.reports_seen = 0

    def health_score(self, provider: str) -> float:
        """Return a provider's health score, 0 to 1, as of the latest picture; 1 for a new one.

        Args:
            provider: The provider's name.
        """
        found = self.metrics.value.providers.get(provider)
        return 1.0 if found is None else found.health_score


class _Reported(msgspec.Struct, frozen=True):
    """The tree has something to report."""


_REPORTED: Final = _Reported()


class _Refresh(msgspec.Struct, frozen=True):
    """It is time for a new picture: because of what was counted, or because time heals."""

    healing: bool


class Telemetry(Actor):
    """Counts what is cast to it of ``runtime.outcome``, and the tree's own reports.

    A full mailbox drops the newest event and counts it; nobody waits for telemetry. The first
    request after a quiet time is published at once, those that follow within a tenth of a second.

    Args:
        board: Where it publishes; a new incarnation goes on with the counts that are there.
    """

    mailbox_limit = 10_000
    overflow: Literal["reject", "drop"] = "drop"
    poison_limit = 3

    def __init__(self, board: TelemetryBoard) -> None:
        self._board = board
        self._aggregate = board.aggregate
        self._handlers = board.handlers
        self._writer: PublishedWriter[Metrics] | None = None
        self._published = -math.inf
        self._waiting = False
        self._healing = False
        self._told = False
        self._unsubscribe: Callable[[], None] | None = None
        self._now: Callable[[], float] = trio.current_time

    async def init(self) -> None:
        """Publish what the incarnation before had counted, and what happened since."""
        self._now = trio.lowlevel.current_clock().current_time  # asked for every request
        self._writer = self._board.metrics.writer(self.ref)
        self._unsubscribe = self.system.reports.subscribe(self._reported)
        self._count_reports()
        self._publish(trio.current_time())

    async def handle_cast(
        self, message: Attempt | Finished | CircuitChanged | PanicProbes | RequestShed
    ) -> None:
        """Count one event."""
        kind = type(message)
        if kind is Finished:
            assert isinstance(message, Finished)
            now = self._now()
            if message.served is not None:
                self._attempt(message.served, now)
            self._aggregate.finished(message, now)
            if self._handlers.wanted(REQUEST_STOP):
                measurements = {**_times(message), "attempts": message.attempts}
                self._handlers.execute(REQUEST_STOP, measurements, {"finished": message})
        elif kind is Attempt:
            assert isinstance(message, Attempt)
            now = message.ended
            self._attempt(message, now)
        elif kind is CircuitChanged:
            assert isinstance(message, CircuitChanged)
            now = trio.current_time()
            self._aggregate.circuit(message)
            self._handlers.execute(CIRCUIT_CHANGE, {}, {"change": message})
        elif kind is PanicProbes:
            assert isinstance(message, PanicProbes)
            now = trio.current_time()
            self._aggregate.panic(message)
        elif kind is RequestShed:
            assert isinstance(message, RequestShed)
            now = trio.current_time()
            self._aggregate.shed(message)
        else:
            await super().handle_cast(message)
            return
        # An attempt is followed by the end of its request: a picture between them shows half of it.
        if kind is not Attempt and now >= self._published + _REFRESH:
            self._publish(now)
        elif not self._waiting:
            self._waiting = True
            self.send_after(_REFRESH, _Refresh(healing=False))

    def _attempt(self, attempt: Attempt, now: float) -> None:
        self._aggregate.attempt(attempt, now)
        if self._handlers.wanted(ATTEMPT_STOP):
            self._handlers.execute(ATTEMPT_STOP, _times(attempt), {"attempt": attempt})

    async def handle_info(self, message: object) -> None:
        """Publish when it is time to, or when a part has something to report."""
        if isinstance(message, _Refresh):
            if message.healing:
                self._healing = False
            else:
                self._waiting = False
        elif isinstance(message, _Reported):
            self._told = False
            self._count_reports()
        else:
            return
        self._publish(trio.current_time())

    def cleanup(self) -> None:
        """Leave a true picture behind, however this incarnation ends."""
        if self._unsubscribe is not None:
            self._unsubscribe()
            self._unsubscribe = None  # it knows of this actor
        if self._writer is not None:
            self._writer.set(self._aggregate.picture(self._published))

    def describe(self) -> Mapping[str, object]:
        """Return what the tree shows of telemetry."""
        metrics = self._board.metrics.value
        return {
            "requests": metrics.total_requests,
            "attempts": metrics.attempts,
            "handlers": len(self._handlers.list_handlers()),
        }

    def _reported(self, report: Report) -> None:
        del report  # it is in the history, with those before it that found nobody here
        if not self._told:
            self._told = True
            self.send_after(0, _REPORTED)  # timers pass a full mailbox, and are not counted there

    def _count_reports(self) -> None:
        """Count the reports since the last look; those of the time without telemetry too."""
        board, reports = self._board, self.system.reports
        new = min(sum(reports.counts.values()) - board.reports_seen, len(reports.history))
        for report in islice(reports.history, len(reports.history) - new, None):
            # Counted before it is handled: a report that crashes its handler is not met again.
            board.reports_seen += 1
            self._aggregate.report(report)
            if self._handlers.wanted(PART_REPORT):
                self._handlers.execute(PART_REPORT, {}, {"report": report})
        board.reports_seen = sum(reports.counts.values())

    def _publish(self, now: float) -> None:
        assert self._writer is not None
        self._published = now
        self._writer.set(self._aggregate.picture(now))
        if not self._healing and self._aggregate.is_healing(now):
            self._healing = True
            self.send_after(_HEAL, _Refresh(healing=True))


def _times(event: Attempt | Finished) -> dict[str, float]:
    if event.first_token is None:
        return {"duration": event.duration}
    return {"duration": event.duration, "first_token": event.first_token}
