"""What a breaker publishes: whether its provider may be asked, for the price of a look-up."""

import math
from typing import Literal

import msgspec

from providers.failures import Failure
from runtime.outcome import Attempt
from runtime.routing.breaker import ALWAYS, BreakerSettings, Circuit, Permit, State

__all__ = ["BreakerView", "CircuitStatus", "ShownState"]

ShownState = Literal["closed", "open", "half_open"]

_SHOWN: dict[State, ShownState] = {
    "closed": "closed",
    "open": "open",
    "half_open": "half_open",
    "forced_open": "open",
    "forced_closed": "closed",
    "disabled": "closed",
}


_BY_HAND: dict[State, str] = {
    "forced_open": "held open by hand",
    "forced_closed": "held closed by hand",
    "disabled": "disabled by hand",
}


class CircuitStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One breaker as it stood at one moment.

    Attributes:
        provider: The provider it watches.
        state: The breaker's state.
        since: Seconds it has been in that state.
        retry_in: Seconds until a request may pass; 0 when it may, None when not by time.
        consecutive_failures: Failures since the last success.
        calls: Outcomes counted in the window.
        failures: How many of them were failures.
        slow: How many answers in the window were slow.
        openings: How often it has opened without having recovered lastingly.
        reason: Why it is not closed, in a few words; None when it is, or nothing is to be said.
        set_aside: Whether the provider is set aside because its account was refused.
        recheck_in: Seconds until the account is tried again; None when it is not set aside.
    """

    provider: str
    state: State
    since: float
    retry_in: float | None
    consecutive_failures: int
    calls: int
    failures: int
    slow: int
    openings: int
    reason: str | None
    set_aside: bool
    recheck_in: float | None


class _Both(Permit):
    """The permits of two circuits, given back together."""

    __slots__ = ("_first", "_second")

    def __init__(self, first: Permit, second: Permit) -> None:
        self._first = first
        self._second = second

    def release(self) -> None:
        """Give both back."""
        self._first.release()
        self._second.release()


class BreakerView:
    """The published side of one breaker. Outlives the breaker's crashes.

    Two circuits must both agree to a request: the breaker proper, and a second one that watches
    the account. A single refusal of the account (401, 402, 403) opens that one for longer, and one
    request at a time finds out whether it has been mended: the provider is *set aside*.

    Only the breaker's actor lets outcomes change a state. Whoever asks may take permits, let time
    take effect, and count a success that changes none, which needs no message: all of it works on
    when no actor is there, and is one step of one task, so that nothing comes in between.

    Attributes:
        provider: The provider.
        circuit: The breaker proper.
        account: The watch over key, permission and credit.
        unheard: Attempts that the breaker's actor has been told of and has not heard yet.

    Args:
        provider: The provider.
        settings: When it opens and how it recovers.
        now: The present time.
    """

    __slots__ = ("account", "circuit", "provider", "unheard")

    def __init__(self, provider: str, settings: BreakerSettings, *, now: float) -> None:
        self.provider = provider
        self.circuit = Circuit(settings, now=now)
        self.account = Circuit(settings.for_account(), now=now)
        self.unheard = 0

    def __repr__(self) -> str:
        aside = "" if self.account.passing else ", set aside"
        return f"<BreakerView of {self.provider}: {self.circuit.state}{aside}>"

    def configure(self, settings: BreakerSettings) -> None:
        """Go on by other settings.

        Args:
            settings: When it opens and how it recovers.
        """
        self.circuit.configure(settings)
        self.account.configure(settings.for_account())

    @property
    def state(self) -> State:
        """The breaker's state as of the last event or look."""
        return self.circuit.state

    def shown(self, now: float) -> ShownState:
        """Return the state as health shows it: a provider set aside counts as open.

        Args:
            now: The present time.
        """
        circuit = _SHOWN[self.circuit.at(now)]
        return (
            circuit if self.account.passing or circuit == "open" else _SHOWN[self.account.at(now)]
        )

    def acquire(self, now: float) -> Permit | None:
        """Ask whether one request may go to the provider.

        Args:
            now: The present time, which the attempt must also be reported to have started at.

        Returns:
            The permit, to be released when the attempt is over; None when the provider must not
            be asked now.
        """
        if self.circuit.passing and self.account.passing:
            return ALWAYS
        first = self.account.acquire(now)
        if first is None:
            return None
        second = self.circuit.acquire(now)
        if second is None:
            first.release()
            return None
        if first is ALWAYS:
            return second
        return first if second is ALWAYS else _Both(first, second)

    def counts(self, attempt: Attempt) -> bool:
        """Count an attempt that went well, if that is all there is to do about it.

        While the actor has not heard of attempts that ended before, it must hear of this one too:
        a success that overtook a failure would not end the row that the failure belongs to.

        Args:
            attempt: What came of it.

        Returns:
            Whether it is counted; otherwise the actor must be told.
        """
        if attempt.kind != "ok" or self.unheard or attempt.proved:
            return False
        circuit = self.circuit
        if not (circuit.passing and self.account.passing):
            return False
        slow = None
        if attempt.stream:
            slow = circuit.is_slow(attempt.first_token)
            if slow:
                return False  # it may be one slow answer too many
        started = attempt.started
        circuit.record(failed=False, started=started, now=started + attempt.duration, slow=slow)
        return True

    def ready(self, now: float) -> bool:
        """Tell whether ``acquire`` would give a permit, without taking one.

        Args:
            now: The present time.
        """
        if self.circuit.passing and self.account.passing:
            return True
        return self.circuit.ready(now) and self.account.ready(now)

    def hasten(self, now: float) -> bool:
        """Let a provider that is kept back for a time be probed now; nobody else is left to ask.

        Args:
            now: The present time.

        Returns:
            Whether ``acquire`` gives a permit now. One that a person holds open gives none.
        """
        both = (self.circuit, self.account)
        if not all(each.state == "open" or each.ready(now) for each in both):
            return False
        hastened = [each.hasten(now) for each in both]  # both, whatever the first one says
        return all(hastened)

    def reason(self, now: float) -> str:
        """Name in a word whether a request may pass, and if not, why.

        Args:
            now: The present time.

        Returns:
            ``ready``, ``set_aside``, or the state that keeps requests back.
        """
        if self.ready(now):
            return "ready"
        return self.circuit.at(now) if self.account.ready(now) else "set_aside"

    def retry_in(self, now: float) -> float:
        """Return the seconds until a request may pass; infinity when time alone will not do.

        Args:
            now: The present time.
        """
        return max(self.circuit.retry_in(now), self.account.retry_in(now))

    def refusal(self, provider: str, now: float) -> Failure:
        """Return why ``acquire`` gave no permit, as the failure of an attempt that was not made.

        Args:
            provider: The name to put into the failure.
            now: The present time.
        """
        wait = self.retry_in(now)
        if not self.account.passing:
            message = "set aside, because it refused its key, permission or credit"
            return Failure("account", provider, message)
        if self.circuit.state == "forced_open":
            return Failure("circuit_open", provider, "its circuit breaker is held open by hand")
        if wait > 0:
            because = f" ({self.circuit.why})" if self.circuit.why else ""
            message = f"its circuit breaker is open for another {wait:.1f} s{because}"
        else:
            message = "its circuit breaker is half-open and waits for its probes"
        # The next whole second is soon enough to ask about a probe that is under way.
        return Failure("circuit_open", provider, message, retry_after=max(1.0, wait))

    def status(self, now: float) -> CircuitStatus:
        """Return a picture of it.

        Args:
            now: The present time.
        """
        circuit = self.circuit
        circuit.window.advance(now)
        wait = circuit.retry_in(now)
        aside = not self.account.passing
        return CircuitStatus(
            provider=self.provider,
            state=circuit.at(now),
            since=max(0.0, now - circuit.since),
            retry_in=None if math.isinf(wait) else wait,
            consecutive_failures=circuit.consecutive,
            calls=circuit.window.calls,
            failures=circuit.window.failures,
            slow=circuit.window.slow,
            openings=circuit.openings,
            reason=_BY_HAND.get(circuit.state) or circuit.why or None,
            set_aside=aside,
            recheck_in=self.account.retry_in(now) if aside else None,
        )
