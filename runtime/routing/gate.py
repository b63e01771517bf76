"""The gate of a provider that asks for patience: it is left alone until then.

A 429 closes it, and before one comes, an answer that says that nothing is left of a limit.

A gate is no breaker: nothing is wrong with the provider, and when the time is over everything
passes again at once. It is one small object a provider, shared by whoever sends there and changed
in place, so that the first 429 holds back the very next request.
"""

import math
import random
from collections.abc import Callable, Iterator, Mapping

import msgspec

__all__ = ["GateSettings", "RateGate", "RateGates"]


class GateSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How long a 429 closes a gate.

    Attributes:
        pause: Seconds after a first 429 that names no time; doubles with every further one.
        max_pause: Seconds at most after a 429 that names no time.
        max_retry_after: Seconds at most, whatever the provider names; then one request finds out.

    Raises:
        ValueError: When a value makes no sense.
    """

    pause: float = 1.0
    max_pause: float = 60.0
    max_retry_after: float = 900.0

    def __post_init__(self) -> None:
        if not 0 < self.pause <= self.max_pause < math.inf:
            raise ValueError(
                "pause must be above 0 and at most max_pause, "
                f"not {self.pause} and {self.max_pause}"
            )
        if not 0 < self.max_retry_after < math.inf:
            raise ValueError(f"max_retry_after must be above 0 seconds, not {self.max_retry_after}")


class RateGate:
    """The gate of one provider.

    Attributes:
        until: When it opens; it is open from then on.
        refusals: 429s in a row that each found the gate open.

    Args:
        settings: How long a 429 closes it.
        fraction: Returns a random number from 0 to below 1, for the jitter.
    """

    __slots__ = ("_fraction", "_pause", "_settings", "refusals", "until")

    def __init__(
        self,
        settings: GateSettings | None = None,
        *,
        fraction: Callable[[], float] = random.random,
    ) -> None:
        self._settings = settings or GateSettings()
        self._fraction = fraction
        self._pause = 0.0
        self.until = -math.inf
        self.refusals = 0

    def __repr__(self) -> str:
        return f"<RateGate closed until {self.until:g}, {self.refusals} refusals>"

    def opens_in(self, now: float) -> float:
        """Return the seconds until it opens; 0 when it is open.

        Args:
            now: The present time.
        """
        until = self.until
        return until - now if until > now else 0.0

    def close_until(self, until: float) -> None:
        """Keep it closed at least until then; a gate never opens sooner than it once said.

        Args:
            until: When it may open.
        """
        self.until = max(self.until, until)

    def foresee(self, now: float, wait: float) -> bool:
        """Close it because an answer says that the next request would be refused.

        This is no refusal: it neither counts as one nor changes the pause after the next.

        Args:
            now: The present time.
            wait: Seconds until something is left again.

        Returns:
            Whether it was open.
        """
        was_open = now >= self.until
        self.close_until(now + wait)
        return was_open

    def refused(self, now: float, retry_after: float | None) -> float:
        """Close it after a 429.

        A time the provider names is obeyed, up to ``max_retry_after``. Without one, or with 0, the
        pause doubles with each 429 that comes when the gate was open and not for long (not for
        twice the last pause), half of it jittered. Those of requests that were on their way when
        it closed add nothing.

        Args:
            now: The present time.
            retry_after: Seconds the provider named, if it did.

        Returns:
            The seconds until it opens.
        """
        settings = self._settings
        was_open = now >= self.until
        if was_open:
            lasting = now - self.until > 2 * self._pause
            self.refusals = 1 if lasting else self.refusals + 1
        if retry_after:
            pause = min(retry_after, settings.max_retry_after)
        elif was_open:
            doublings = min(self.refusals - 1, 60)
            whole = min(settings.max_pause, settings.pause * 2.0**doublings)
            pause = whole / 2 + self._fraction() * whole / 2
        else:
            return self.until - now
        if was_open:
            self._pause = pause
        self.close_until(now + pause)
        return self.opens_in(now)


class RateGates(Mapping[str, RateGate]):
    """The gates of all providers: made once, handed to whoever routes.

    Args:
        settings: How long a 429 closes a gate.
    """

    __slots__ = ("_gates", "_settings", "get")

    def __init__(self, settings: GateSettings | None = None) -> None:
        self._settings = settings or GateSettings()
        self._gates: dict[str, RateGate] = {}
        # Read for every request: the dictionary's own method, with no Python frame around it.
        self.get = self._gates.get  # type: ignore[method-assign]  # the same contract

    def __getitem__(self, provider: str) -> RateGate:
        return self._gates[provider]

    def __iter__(self) -> Iterator[str]:
        return iter(self._gates)

    def __len__(self) -> int:
        return len(self._gates)

    def of(self, provider: str) -> RateGate:
        """Return the gate of a provider, made open if there is none yet.

        Args:
            provider: The provider's name.
        """
        gate = self._gates.get(provider)
        if gate is None:
            gate = self._gates[provider] = RateGate(self._settings)
        return gate

    def discard(self, provider: str) -> None:
        """Forget the gate of a provider that is no more.

        Args:
            provider: The provider's name.
        """
        self._gates.pop(provider, None)
