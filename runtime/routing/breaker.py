"""The circuit breaker as a pure state machine: no clock, no task, no message.

What happens is an event, and ``TRANSITIONS`` (in ``runtime.routing.breaker_states``) says which
state it leads to; an event that has no row for the present state is refused and nothing changes.
Callers pass the time (``now``, seconds on one clock that never goes back).

The rules are resilience4j's time window of one-second buckets with its permits for the half-open
state, Finagle's two ways to trip (consecutive failures, or a share of failures once there are
enough calls) and its open time that doubles with every repeat, with equal jitter (between half and
the whole of it). The share of slow calls and the forced states are resilience4j's, the latter
Erlang's fuse's as well.

An outcome counts only when its call began in the present state: what was on its way before says
nothing about now. Of many calls that fail by one event (a connection that carried all of them
breaks) the first counts in the row of failures and the others do not; in the window all do.
"""

import math
import random
from collections.abc import Callable
from typing import Final

from runtime.routing.breaker_settings import BreakerSettings
from runtime.routing.breaker_states import TRANSITIONS, Event, IllegalTransitionError, State
from runtime.routing.window import OutcomeWindow

__all__ = [
    "ALWAYS",
    "TRANSITIONS",
    "BreakerSettings",
    "Circuit",
    "Event",
    "IllegalTransitionError",
    "Permit",
    "State",
]

_PASSING: Final[frozenset[State]] = frozenset({"closed", "forced_closed", "disabled"})
_MOST_DOUBLINGS: Final = 60

_BURST: Final = 1.0
"""Seconds: calls that were under way when one failed, and fail this soon after it, fail with it."""


class Permit:
    """The permission for one call. Release it when the call is over, whatever came of it."""

    __slots__ = ()

    def release(self) -> None:
        """Give it back; harmless when done twice. A closed circuit's permit has nothing to give."""


ALWAYS: Final = Permit()
"""The permit of a circuit that lets everything pass: one for all calls, never used up."""


class _Probe(Permit):
    """One of the few permits of a half-open circuit."""

    __slots__ = ("_held", "expires")

    def __init__(self, held: "list[_Probe]", expires: float) -> None:
        self._held = held
        self.expires = expires

    def release(self) -> None:
        """Give it back, so that another probe may go."""
        if self in self._held:
            self._held.remove(self)


class Circuit:
    """One circuit.

    Attributes:
        settings: When it opens and how it recovers; may be replaced at any time.
        state: The present state; see ``at`` for the one that time has brought.
        passing: Whether everything passes in the present state.
        since: When the present state began.
        until: When an open circuit becomes half-open.
        openings: How often it has opened without having recovered lastingly.
        consecutive: Failures since the last success; those of one event count once.
        window: The outcomes of the last seconds.
        why: Why it opened last, in a few words; empty when it never did, or has recovered.

    Args:
        settings: When it opens and how it recovers.
        now: The present time.
        fraction: Returns a random number from 0 to below 1, for the jitter.
    """

    __slots__ = (
        "_burst",
        "_failed",
        "_fraction",
        "_hastened",
        "_passed",
        "_probes",
        "consecutive",
        "openings",
        "passing",
        "settings",
        "since",
        "state",
        "until",
        "why",
        "window",
    )

    def __init__(
        self,
        settings: BreakerSettings,
        *,
        now: float,
        fraction: Callable[[], float] = random.random,
    ) -> None:
        self.settings = settings
        self.state: State = "closed"
        self.passing = True
        self.since = now
        self.until = now
        self.openings = 0
        self.consecutive = 0
        self.window = OutcomeWindow(settings.window)
        self.why = ""
        self._burst = -math.inf
        self._fraction = fraction
        self._probes: list[_Probe] = []
        self._passed = 0
        self._failed = 0
        self._hastened: float | None = None

    def __repr__(self) -> str:
        return f"<Circuit {self.state}, {self.consecutive} failures in a row>"

    def configure(self, settings: BreakerSettings) -> None:
        """Go on by other settings; a window of another length begins empty.

        Where another number of probes is to decide, their outcomes are counted anew: as many as
        there are might already be enough, and without a further one nothing would be decided.

        Args:
            settings: When it opens and how it recovers.
        """
        if settings.half_open_limit != self.settings.half_open_limit:
            self._passed = self._failed = 0
        if settings.window != self.settings.window:
            self.window = OutcomeWindow(settings.window)
        self.settings = settings

    def acquire(self, now: float) -> Permit | None:
        """Ask for permission for one call.

        Args:
            now: The present time.

        Returns:
            The permit; None when the call must not be made.
        """
        if self.passing:
            return ALWAYS
        self.tick(now)
        if self._free(now) <= 0:
            return None
        probe = _Probe(self._probes, now + self.settings.probe_timeout)
        self._probes.append(probe)
        return probe

    def ready(self, now: float) -> bool:
        """Tell whether ``acquire`` would give a permit, without taking one or changing anything."""
        if self.passing:
            return True
        if self.state == "open":
            return now >= self.until
        return self._free(now) > 0

    def at(self, now: float) -> State:
        """Return the state that time has brought, whether or not anybody has asked since."""
        return "half_open" if self.state == "open" and now >= self.until else self.state

    def retry_in(self, now: float) -> float:
        """Return the seconds until a call may pass: 0 if it may now, infinity without hope."""
        if self.state == "open":
            return max(0.0, self.until - now)
        return math.inf if self.state == "forced_open" else 0.0

    def tick(self, now: float) -> None:
        """Let time take effect: an open circuit whose recovery time is over becomes half-open."""
        if self.state == "open" and now >= self.until:
            self.fire("recovery_due", self.until)

    def hasten(self, now: float) -> bool:
        """Let an open circuit be probed ahead of its time; tell whether a call may pass now.

        When the probe fails the circuit stays open for as long as it would have anyway.
        """
        if self.state == "open" and now < self.until:
            until = self.until
            self.fire("recovery_due", now)
            self._hastened = until
            return True
        return self.ready(now)

    def is_slow(self, first_token: float | None) -> bool | None:
        """Tell whether a good answer was slow.

        Args:
            first_token: Seconds to its first token; None when it had none to time.

        Returns:
            None when it does not say, or slow calls do not count.
        """
        threshold = self.settings.slow_call_threshold
        return None if threshold is None or first_token is None else first_token > threshold

    def record(self, *, failed: bool, started: float, now: float, slow: bool | None = None) -> None:
        """Take the outcome of one call.

        Args:
            failed: Whether it counts against the provider.
            started: When the call began; one from before the present state says nothing about it.
            now: The present time.
            slow: Whether a call that went well was slow; None when it does not say.
        """
        if self.state == "open":
            self.tick(now)
        if started < self.since:
            return
        if self.state == "closed" or self.state == "forced_closed":  # noqa: PLR1714 - no set look-up on the hot path
            if failed or slow:
                self._count(failed=failed, slow=slow, started=started, now=now)
            else:
                self.window.add(now, failed=False, slow=slow)
                self.consecutive = 0
        elif self.state == "half_open":
            self._judge_probe(failed=failed, slow=slow is True, now=now)

    def recall_permits(self) -> None:
        """Count every probe under way as lost, so that new ones may go."""
        self._probes = []

    def fire(self, event: Event, now: float, why: str = "") -> None:
        """Let an event happen.

        Args:
            event: What happens.
            now: When.
            why: The reason, in a few words, where it opens.

        Raises:
            IllegalTransitionError: When it cannot happen in the present state; nothing changes.
        """
        state = TRANSITIONS[self.state].get(event)
        if state is None:
            raise IllegalTransitionError(self.state, event)
        if state == "open":
            self._open(now)
        if state != "half_open":
            self.why = why
        self._hastened = None
        if event == "reset":
            self.openings = 0
        if state == "closed":
            self.window.clear()
            self.consecutive = 0
            self._burst = -math.inf
        self.state = state
        self.passing = state in _PASSING
        self.since = now
        # A new list: permits of the state before are given back into the old one, to no effect.
        self._probes = []
        self._passed = self._failed = 0

    def _open(self, now: float) -> None:
        """Set how long it stays open: the least again after a circuit has held for a window."""
        if self._hastened is not None and self._hastened > now:
            self.until = self._hastened
            return
        settings = self.settings
        if self.state == "closed" and now - self.since >= settings.window:
            self.openings = 0
        doublings = min(self.openings, _MOST_DOUBLINGS)
        self.openings += 1
        whole = min(settings.max_recovery_timeout, settings.recovery_timeout * 2.0**doublings)
        self.until = now + whole / 2 + self._fraction() * whole / 2

    def _count(self, *, failed: bool, slow: bool | None, started: float, now: float) -> None:
        """Count a call that failed or was slow, and trip if it is one too many."""
        self.window.add(now, failed=failed, slow=slow)
        if failed:
            if started >= self._burst or now > self._burst + _BURST:
                self._burst = now
                self.consecutive += 1
        else:
            self.consecutive = 0
        if self.state == "closed":
            why = self._reason_to_trip(slow=not failed)
            if why:
                self.fire("tripped", now, why)

    def _reason_to_trip(self, *, slow: bool) -> str:
        """Return why a call that failed, or was slow, is one too many; nothing when it is not."""
        settings, window = self.settings, self.window
        least = settings.minimum_calls
        if slow:
            if window.timed >= least and window.slow >= settings.slow_call_rate * window.timed:
                return (
                    f"{window.slow} of {window.timed} answers within {settings.window:g} s were "
                    f"slow (first token after more than {settings.slow_call_threshold:g} s)"
                )
        elif self.consecutive >= settings.failure_threshold:
            many = self.consecutive
            return f"{many} failure{'' if many == 1 else 's'} in a row"
        elif window.calls >= least and window.failures >= settings.failure_rate * window.calls:
            return f"{window.failures} of {window.calls} calls within {settings.window:g} s failed"
        return ""

    def _judge_probe(self, *, failed: bool, slow: bool, now: float) -> None:
        """Decide as soon as the outcomes that are still missing cannot change the decision."""
        settings = self.settings
        if failed or slow:
            self._failed += 1
            self.consecutive += failed
        else:
            self._passed += 1
        if self._failed >= settings.failure_rate * settings.half_open_limit:
            self.fire("probes_failed", now, "its probe failed" if failed else "its probe was slow")
        elif self._failed + self._passed >= settings.half_open_limit:
            self.fire("probes_passed", now)

    def _free(self, now: float) -> int:
        """Return how many more probes may go."""
        if self.state != "half_open":
            return 0
        held = sum(probe.expires > now for probe in self._probes)
        return self.settings.half_open_limit - self._passed - self._failed - held
