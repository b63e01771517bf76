"""Whether a provider would take a request now, from what is published: no message."""

from collections.abc import Mapping, Sequence

from runtime.routing.breaker_view import BreakerView
from runtime.routing.gate import RateGate

__all__ = ["Readiness"]


class Readiness:
    """Asks the breaker's view and the rate gate of a provider.

    Args:
        views: What the breakers publish, by provider.
        gates: The rate gates, by provider.
    """

    __slots__ = ("_gate", "_view")

    def __init__(self, views: Mapping[str, BreakerView], gates: Mapping[str, RateGate]) -> None:
        self._view = views.get
        self._gate = gates.get

    def __call__(self, provider: str, now: float) -> bool:
        """Tell whether the provider would take a request.

        Args:
            provider: Its name; one that has no breaker and no gate is always ready.
            now: The present time.
        """
        gate = self._gate(provider)
        if gate is not None and gate.until > now:
            return False
        view = self._view(provider)
        if view is None or (view.circuit.passing and view.account.passing):
            return True
        return view.ready(now)

    def all(self, providers: Sequence[str], now: float) -> bool:
        """Tell whether every one of some providers would take a request; the same in one call.

        Args:
            providers: Their names.
            now: The present time.
        """
        gates, views = self._gate, self._view
        for provider in providers:
            gate = gates(provider)
            if gate is not None and gate.until > now:
                return False
            view = views(provider)
            if (
                view is not None
                and not (view.circuit.passing and view.account.passing)
                and not view.ready(now)
            ):
                return False
        return True

    def hasten(self, provider: str, now: float) -> bool:
        """Let a provider that its breaker keeps back be tried ahead of its time.

        Args:
            provider: Its name.
            now: The present time.

        Returns:
            Whether it would take a request now: not when a 429 or a person keeps it back.
        """
        gate = self._gate(provider)
        if gate is not None and gate.until > now:
            return False
        view = self._view(provider)
        return view is None or view.hasten(now)

    def status(self, provider: str, now: float) -> str:
        """Name in a word whether the provider would take a request, and if not, why.

        Args:
            provider: Its name.
            now: The present time.

        Returns:
            ``ready``, ``rate_limited``, ``set_aside``, or the state of its breaker.
        """
        gate = self._gate(provider)
        if gate is not None and gate.until > now:
            return "rate_limited"
        view = self._view(provider)
        return "ready" if view is None else view.reason(now)
