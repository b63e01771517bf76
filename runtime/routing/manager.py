"""``CircuitBreakerManager``: the breakers of all providers behind one face."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Literal, TypeVar

import trio

from providers.failures import Failure
from runtime.routing.breaker import BreakerSettings
from runtime.routing.breaker_actor import Breaker, Command, Outcome, Steer, breaker_name
from runtime.routing.breaker_view import BreakerView, CircuitStatus
from runtime.routing.verdicts import VERDICTS, BreakerVerdict
from supervision import ChildSpec, Ref, System, Table, supervisor

__all__ = ["CircuitBreakerManager", "CircuitOpenError", "UnknownProviderError"]

T = TypeVar("T")


class UnknownProviderError(LookupError):
    """No breaker is registered for the provider.

    Args:
        provider: The name that was asked for.
    """

    def __init__(self, provider: str) -> None:
        super().__init__(provider)
        self.provider = provider

    def __str__(self) -> str:
        return f"no circuit breaker is registered for provider {self.provider!r}"


class CircuitOpenError(Exception):
    """The breaker let the call not pass; it was not made.

    Args:
        refusal: Why, as a failure of the provider.
    """

    def __init__(self, refusal: Failure) -> None:
        super().__init__(refusal)
        self.refusal = refusal

    @property
    def provider(self) -> str:
        """The provider that was not called."""
        return self.refusal.provider

    def __str__(self) -> str:
        return str(self.refusal)


class CircuitBreakerManager:
    """Registers breakers, runs calls through them, shows and steers them.

    It is no actor: each breaker is one, under a supervisor of its own. Made before the system, it
    says what to start (``child_spec``); once the system runs, ``bind`` connects it.

    Args:
        views: Where the breakers publish.
        settings: For providers that are registered without settings of their own.
        name: The supervisor of the breakers.
    """

    def __init__(
        self,
        views: Table[str, BreakerView],
        settings: BreakerSettings | None = None,
        *,
        name: str = "breakers",
    ) -> None:
        self.views = views
        self._settings = settings or BreakerSettings()
        self._name = name
        self._registered: set[str] = set()
        self._refs: dict[str, Ref] = {}
        self._system: System | None = None

    def child_spec(
        self,
        providers: Mapping[str, BreakerSettings | None],
        *,
        max_restarts: int = 3,
        max_seconds: float = 5.0,
    ) -> ChildSpec:
        """Return the supervisor of the breakers, one for each provider.

        Args:
            providers: The providers; with None for settings they get the manager's.
            max_restarts: Restarts of breakers tolerated within ``max_seconds``.
            max_seconds: That period, in seconds.
        """
        self._registered.update(providers)
        return supervisor(
            self._name,
            [self._spec(provider, settings) for provider, settings in providers.items()],
            max_restarts=max_restarts,
            max_seconds=max_seconds,
        )

    def bind(self, system: System) -> None:
        """Connect to the running system.

        Args:
            system: Where the breakers run.
        """
        self._system = system
        self._refs = {provider: system.ref(breaker_name(provider)) for provider in self._registered}

    async def register_provider(
        self, provider: str, settings: BreakerSettings | None = None
    ) -> None:
        """Start a breaker for one more provider, while the system runs.

        Args:
            provider: The provider.
            settings: When its breaker opens; None for the manager's.

        Raises:
            AlreadyStarted: It has one.
            ActorDown: The supervisor of the breakers is not there now.
        """
        system = self._bound()
        await system.supervisor(self._name).start_child(self._spec(provider, settings))
        self._registered.add(provider)
        self._refs[provider] = system.ref(breaker_name(provider))

    async def unregister_provider(self, provider: str) -> None:
        """Stop the breaker of a provider and forget its state.

        Args:
            provider: The provider.

        Raises:
            UnknownProviderError: It has none.
            ActorDown: The supervisor of the breakers is not there now.
        """
        self._ref(provider)
        handle = self._bound().supervisor(self._name)
        await handle.terminate_child(breaker_name(provider))
        await handle.delete_child(breaker_name(provider))
        self.views.writer(handle.ref).delete(provider)
        self._registered.discard(provider)
        del self._refs[provider]

    async def with_circuit_breaker(self, provider: str, fn: Callable[[], Awaitable[T]]) -> T:
        """Call ``fn`` if the breaker lets it pass, in the caller's task, and record the outcome.

        A ``Failure`` counts as its verdict says, any other exception as a failure; a cancelled
        call gives its permit back and counts as nothing. Whether it was slow is judged by its
        whole duration.

        Args:
            provider: The provider that ``fn`` asks.
            fn: What to call.

        Returns:
            What ``fn`` returned.

        Raises:
            CircuitOpenError: The breaker did not let it pass.
            UnknownProviderError: The provider has no breaker.
            Exception: Whatever ``fn`` raised.
        """
        view, ref = self.view(provider), self._ref(provider)
        started = trio.current_time()
        permit = view.acquire(started)
        if permit is None:
            raise CircuitOpenError(view.refusal(provider, started))
        verdict: Literal["ok"] | BreakerVerdict = "none"
        took: float | None = None
        try:
            result = await fn()
            verdict = "ok"
            took = trio.current_time() - started
        except Failure as failure:
            verdict = VERDICTS[failure.kind].breaker
            raise
        except Exception:
            verdict = "failure"
            raise
        finally:
            ref.cast(Outcome(verdict, started, took))
            permit.release()
        return result

    def view(self, provider: str) -> BreakerView:
        """Return what the breaker of a provider publishes.

        Args:
            provider: The provider.

        Raises:
            UnknownProviderError: It has none.
        """
        view = self.views.get(provider)
        if view is None:
            raise UnknownProviderError(provider)
        return view

    def get_circuit_state(self, provider: str) -> CircuitStatus:
        """Return how the breaker of a provider stands. Sends no message.

        Args:
            provider: The provider.

        Raises:
            UnknownProviderError: It has none.
        """
        return self.view(provider).status(trio.current_time())

    def get_all_states(self) -> dict[str, CircuitStatus]:
        """Return how every breaker stands, by provider. Sends no message."""
        now = trio.current_time()
        return {provider: view.status(now) for provider, view in self.views.items()}

    async def reset_circuit(self, provider: str) -> CircuitStatus:
        """Close the breaker of a provider, forget its failures, and end a setting aside.

        Args:
            provider: The provider.

        Returns:
            How it stands now.

        Raises:
            UnknownProviderError: It has none.
            ActorDown: The breaker is between two lives; ask again.
        """
        return await self.steer_circuit(provider, "reset")

    async def steer_circuit(self, provider: str, command: Command) -> CircuitStatus:
        """Bring the breaker of a provider into a state by hand.

        Args:
            provider: The provider.
            command: ``force_open``, ``force_close`` or ``disable``, which hold until the next
                command, or ``reset``.

        Returns:
            How it stands now.

        Raises:
            UnknownProviderError: It has none.
            ActorDown: The breaker is between two lives; ask again.
        """
        status = await self._ref(provider).call(Steer(command))
        assert isinstance(status, CircuitStatus)
        return status

    def _spec(self, provider: str, settings: BreakerSettings | None) -> ChildSpec:
        chosen = settings or self._settings

        def start() -> Breaker:
            return Breaker(provider, chosen, self.views, owner=self._name)

        return ChildSpec(breaker_name(provider), start, meta={"provider": provider})

    def _ref(self, provider: str) -> Ref:
        ref = self._refs.get(provider)
        if ref is None:
            raise UnknownProviderError(provider)
        return ref

    def _bound(self) -> System:
        if self._system is None:
            raise RuntimeError("the circuit breaker manager is not bound to a running system")
        return self._system
