"""The breaker of one provider as an actor: it hears of attempts and keeps the view true.

Asking needs no message: askers look at the published ``BreakerView``, and count there what changes
no state, the successes of a closed circuit. The actor records all other outcomes, takes commands,
and sets a timer for each state that ends by time, so that what health shows is right also when
nobody asks. A new incarnation goes on with the published view: what is open stays open until its
time, and permits that were out when the old one died are called back.
"""

import logging
from collections.abc import Mapping
from typing import Literal

import msgspec
import trio

from runtime.outcome import Attempt, CircuitChanged
from runtime.routing.breaker import BreakerSettings, Circuit, State
from runtime.routing.breaker_view import BreakerView, CircuitStatus
from runtime.routing.verdicts import VERDICTS, BreakerVerdict
from supervision import Actor, Ref, Table, Timer

__all__ = ["Breaker", "BreakerView", "Command", "Outcome", "Steer", "breaker_name"]

_LOG = logging.getLogger("standby.routing")

Command = Literal["force_open", "force_close", "disable", "reset"]
"""What a person may tell a breaker."""


def breaker_name(provider: str) -> str:
    """Return the name of a provider's breaker in the tree."""
    return f"breaker:{provider}"


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """Cast to a breaker: what came of a call that was no attempt of a request.

    Attributes:
        verdict: ``ok``, or what the breaker shall make of it.
        started: When the call began.
        first_token: Seconds to its first token, where that was timed.
    """

    verdict: Literal["ok"] | BreakerVerdict
    started: float
    first_token: float | None = None

    @property
    def ended(self) -> float:
        """When it was told of: now."""
        return trio.current_time()


class Steer(msgspec.Struct, frozen=True):
    """Called: bring the breaker into a state by hand. The reply is its ``CircuitStatus``."""

    command: Command


class _Due(msgspec.Struct, frozen=True):
    """A state's time is over."""


class Breaker(Actor):
    """One breaker.

    Args:
        provider: The provider it watches.
        settings: When it opens and how it recovers.
        views: Where all breakers publish; each writes its provider's row alone.
        owner: The supervisor under whose name they write: a table has one owner, and its rows
            belong to children that live and die one by one.
        observer: The actor that hears of every change, by name.
    """

    poison_limit = 3

    def __init__(
        self,
        provider: str,
        settings: BreakerSettings,
        views: Table[str, BreakerView],
        *,
        owner: str = "breakers",
        observer: str = "telemetry",
    ) -> None:
        self._provider = provider
        self._settings = settings
        self._views = views
        self._owner = owner
        self._observer_name = observer
        self._observer: Ref | None = None
        self._view: BreakerView | None = None
        self._seen: dict[str, State] = {}
        self._timer: Timer | None = None

    async def init(self) -> None:
        """Go on with the published view, or publish a first one."""
        now = trio.current_time()
        view = self._views.get(self._provider)
        if view is None:
            view = BreakerView(self._provider, self._settings, now=now)
        view.configure(self._settings)
        view.circuit.recall_permits()
        view.account.recall_permits()
        view.unheard = 0  # the mailbox of the incarnation before is gone
        self._view = view
        self._seen = {"circuit": view.circuit.state, "account": view.account.state}
        self._observer = self.system.ref(self._observer_name)
        self._views.writer(self.system.ref(self._owner)).put(self._provider, view)
        self._follow(view, now)

    async def handle_cast(self, message: Attempt | Outcome) -> None:
        """Record what came of a call."""
        view = self._view
        assert view is not None
        first_token: float | None = None
        if type(message) is Attempt:
            if view.unheard:
                view.unheard -= 1
            if message.proved:
                # It was a probe, and its first token has settled the question.
                return
            kind = message.kind
            if kind == "ok":
                verdict: str = "ok"
                if message.stream:
                    first_token = message.first_token
            elif kind == "cancelled":
                verdict = "none"
            else:
                verdict = VERDICTS[kind].breaker
        elif type(message) is Outcome:
            verdict = message.verdict
            first_token = message.first_token
        else:
            await super().handle_cast(message)
            return
        circuit = view.circuit
        account = view.account
        if verdict == "ok":
            now = message.ended
            fine = circuit.passing and account.passing
            slow = None if first_token is None else circuit.is_slow(first_token)
            circuit.record(failed=False, started=message.started, now=now, slow=slow)
            if fine and not slow:
                # A success changes nothing for a provider that may be asked anyway.
                return
            account.record(failed=False, started=message.started, now=now)
        elif verdict == "failure":
            now = trio.current_time()
            circuit.record(failed=True, started=message.started, now=now)
        elif verdict == "set_aside":
            now = trio.current_time()
            account.record(failed=True, started=message.started, now=now)
        else:
            return
        self._follow(view, now)

    async def handle_call(self, message: Steer, caller: object) -> CircuitStatus:
        """Carry out a command."""
        del caller
        if type(message) is not Steer:
            raise LookupError(f"a breaker takes no call {type(message).__qualname__}")
        view = self._view
        assert view is not None
        now = trio.current_time()
        view.circuit.fire(message.command, now)
        if message.command == "reset":
            view.account.fire("reset", now)
        self._follow(view, now)
        return view.status(now)

    async def handle_info(self, message: object) -> None:
        """Let time take effect."""
        if isinstance(message, _Due):
            view = self._view
            assert view is not None
            now = trio.current_time()
            view.circuit.tick(now)
            view.account.tick(now)
            self._follow(view, now)

    def describe(self) -> Mapping[str, object]:
        """Return what the tree shows of a breaker."""
        view = self._view
        if view is None:
            return {"provider": self._provider}
        status = view.status(trio.current_time())
        return {
            "provider": self._provider,
            "state": status.state,
            "set_aside": status.set_aside,
            "retry_in": status.recheck_in if status.set_aside else status.retry_in,
            "consecutive_failures": status.consecutive_failures,
            "calls": status.calls,
            "failures": status.failures,
            "slow": status.slow,
            "reason": status.reason,
        }

    def _follow(self, view: BreakerView, now: float) -> None:
        """Tell of changes since the last look, and have a timer for what ends next by time."""
        self._tell("circuit", view.circuit, now)
        self._tell("account", view.account, now)
        ends = [
            circuit.until for circuit in (view.circuit, view.account) if circuit.state == "open"
        ]
        due = min(ends, default=None)
        if self._timer is not None:
            if self._timer.active and self._timer.when == due:
                return
            self._timer.cancel()
            self._timer = None
        if due is not None:
            self._timer = self.send_after(due - now, _Due())

    def _tell(self, watch: Literal["circuit", "account"], circuit: Circuit, now: float) -> None:
        before, after = self._seen[watch], circuit.state
        if before == after:
            return
        self._seen[watch] = after
        level, text = _words(watch, circuit, now)
        _LOG.log(level, "%s: %s", self._provider, text)
        if self._observer is not None:
            self._observer.cast(
                CircuitChanged(
                    provider=self._provider,
                    watch=watch,
                    before=before,
                    after=after,
                    at=circuit.since,
                )
            )


def _words(watch: str, circuit: Circuit, now: float) -> tuple[int, str]:
    """Return the level and the sentence for a state that has just begun."""
    wait = circuit.retry_in(now)
    if watch == "account":
        if circuit.state == "open":
            return logging.ERROR, (
                f"set aside: it refuses its key, permission or credit; tried again in {wait:.0f} s"
            )
        if circuit.state == "half_open":
            return logging.INFO, "the next request tries whether its account is accepted again"
        return logging.INFO, "no longer set aside"
    if circuit.state == "open":
        return logging.WARNING, (
            f"circuit opened: {circuit.why or 'no reason is known'}; probed in {wait:.1f} s"
        )
    return logging.INFO, _CIRCUIT_WORDS[circuit.state]


_CIRCUIT_WORDS: Mapping[State, str] = {
    "closed": "circuit closed",
    "half_open": "circuit half-open: the next request probes it",
    "forced_open": "circuit held open by hand: nothing passes until the next command",
    "forced_closed": "circuit held closed by hand: everything passes until the next command",
    "disabled": "circuit disabled by hand: everything passes and nothing is counted",
}
