"""How many attempts are under way at each provider, counted where they begin and end."""

from collections.abc import Iterator, Mapping

__all__ = ["InFlight", "Loads"]


class InFlight:
    """The attempts under way at one provider.

    One small object a provider, changed in place by whoever makes attempts, in the step in which
    one begins or ends: nothing can come between a plan that reads it and the attempt that follows.

    Attributes:
        count: Attempts under way.
    """

    __slots__ = ("count",)

    def __init__(self) -> None:
        self.count = 0

    def __repr__(self) -> str:
        return f"<InFlight {self.count}>"


class Loads(Mapping[str, InFlight]):
    """The attempts under way at all providers: made once, handed to whoever routes."""

    __slots__ = ("_loads",)

    def __init__(self) -> None:
        self._loads: dict[str, InFlight] = {}

    def __getitem__(self, provider: str) -> InFlight:
        return self._loads[provider]

    def __iter__(self) -> Iterator[str]:
        return iter(self._loads)

    def __len__(self) -> int:
        return len(self._loads)

    def of(self, provider: str) -> InFlight:
        """Return the count of a provider, made empty if there is none yet.

        Args:
            provider: The provider's name.
        """
        load = self._loads.get(provider)
        if load is None:
            load = self._loads[provider] = InFlight()
        return load

    def discard(self, provider: str) -> None:
        """Forget a provider that is no more.

        Args:
            provider: The provider's name.
        """
        self._loads.pop(provider, None)
