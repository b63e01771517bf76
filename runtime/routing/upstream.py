"""One configured provider, with all that an attempt at it needs."""

import msgspec

from providers.interface import ProviderInterface
from runtime.routing.gate import RateGate
from runtime.routing.load import InFlight
from runtime.routing.retry import RetryPolicy
from supervision import Ref

__all__ = ["Upstream"]


class Upstream(msgspec.Struct, frozen=True, kw_only=True):
    """One configured provider as the attempt loop sees it.

    Attributes:
        interface: How to speak to it.
        actor: Its task.
        breaker: Its breaker's task, which hears of attempts.
        gate: Closed by a 429.
        retry: When it may be asked again.
        in_flight: The attempts under way at it, counted by the attempt loop.
    """

    interface: ProviderInterface
    actor: Ref
    breaker: Ref
    gate: RateGate
    retry: RetryPolicy
    in_flight: InFlight = msgspec.field(default_factory=InFlight)
