"""Whether a provider would take a request now, from what is published: no message, no change."""

from collections.abc import Mapping

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
        return view is None or view.ready(now)
