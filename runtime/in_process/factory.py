"""``ProviderFactory``: providers and groups that come while the tree runs, and what they cost."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
import trio

from providers.chat import OnEvent
from providers.chat_request import AnyRequest
from providers.interface import ProviderInfo
from providers.prices import Cost, PriceTable
from providers.wire import Usage, WireError
from providers.wire.chat_events import Done
from runtime.assembly import assemble_provider
from runtime.configuration import ProviderConfig, UpstreamProvider, load_document
from runtime.configuration.settings import Config
from runtime.configuration.shape import fields
from runtime.configuration.writer import written
from runtime.health import HealthReport, as_json
from runtime.in_process.adapter import ProviderAdapter, RequestError
from runtime.in_process.additions import Additions
from runtime.in_process.requests import default_model, named_model, own_model
from runtime.launch import Running, connect_upstream
from runtime.routing.failover import RegisterGroup
from runtime.routing.plan import Candidate, Group
from runtime.routing.route import UnroutableError
from runtime.telemetry import Metrics
from runtime.tree import breaker
from supervision import ActorDown, ChildSpec

__all__ = ["CostEstimate", "ProviderFactory"]

_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PATIENCE: Final = 10.0
_LOOK_AGAIN: Final = 0.05
"""Seconds to wait for a part that is being restarted, and between two looks."""


class CostEstimate(msgspec.Struct, frozen=True, kw_only=True):
    """What a request may cost at one provider.

    Attributes:
        provider: The provider.
        model: The model it would be asked for.
        cost: The cost; its tokens are an estimate.
    """

    provider: str
    model: str
    cost: Cost


class ProviderFactory:
    """Adds providers and groups to a running tree, compares costs, shows how all are.

    Args:
        running: The running tree.
        adapter: Has requests answered.
        additions: Keeps added providers in the tree.
    """

    def __init__(self, running: Running, adapter: ProviderAdapter, additions: Additions) -> None:
        self._running = running
        self._services = running.services
        self._adapter = adapter
        self._additions = additions
        self._report = HealthReport(running.services)
        self._changing = trio.Lock()
        self._loading = trio.Lock()
        self._table: PriceTable | None = None

    async def register_provider(
        self, name: str, settings: ProviderConfig | Mapping[str, object]
    ) -> ProviderInfo:
        """Add a provider: its task, its breaker, its models' names.

        Args:
            name: Its name: letters, digits, ``.``, ``_`` and ``-``.
            settings: What stands under the name in a configuration file, as a mapping
                (``{"kind": "openai", "base_url": ...}``; ``${VAR}`` means a variable there, too),
                or as the configuration's struct.

        Returns:
            What may be shown of it.

        Raises:
            ValueError: The name is taken or cannot be one, or the settings cannot be used.
            ConfigurationError: A mapping has mistakes; all of them are named.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot name a provider: it has letters, digits, . _ and -")
        if not isinstance(settings, ProviderConfig):
            settings = await trio.to_thread.run_sync(self._read, name, settings)
        services, shared = self._services, self._running.shared
        async with self._changing:
            if name in services.members:
                raise ValueError(f"there is a provider {name!r} already")
            part = assemble_provider(name, settings, services.config, shared.poller)
            children = [
                (where, spec)
                for where, spec in (
                    ("simulators", part.simulator),
                    ("breakers", None if part.provider is None else self._breaker(name, settings)),
                    ("providers", part.provider),
                )
                if spec is not None
            ]
            try:
                await self._additions.start(children)
            except BaseException:
                if part.listener is not None:
                    part.listener.close()
                raise
            self._running.parts[name] = part
            services.providers[name] = settings
            services.members[name] = part.member
            upstream = connect_upstream(name, part, settings, services.system, shared)
            if upstream is not None:
                services.upstreams[name] = upstream
            services.resolver.forget()
        return self._info(name)

    def list_providers(self) -> list[ProviderInfo]:
        """Return what may be shown of every provider, those that are not configured included."""
        return [self._info(name) for name in self._services.members]

    async def create_failover_group(
        self,
        name: str,
        members: Sequence[str | tuple[str, str] | Candidate],
        *,
        strategy: str = "priority",
        max_attempts: int = 3,
        **options: Any,
    ) -> Group:
        """Make a group that can be asked for by its name, or change the one of that name.

        Args:
            name: Its name.
            members: Its providers, first choice first: names, names with models, or candidates.
                Without a model a provider is asked for the first it lists by name.
            strategy: How the order of a request is chosen.
            max_attempts: Attempts for one request, over all members together.
            options: Further settings of a ``Group``.

        Returns:
            The group.

        Raises:
            ValueError: Something about it makes no sense; says what.
            ActorDown: The failover manager does not run, and is not coming back.
        """
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} cannot name a group: it has letters, digits, . _ and -")
        given: dict[str, Any] = {
            "name": name,
            "members": tuple(self._candidate(member) for member in members),
            "strategy": strategy,
            "max_attempts": max_attempts,
            **options,
        }
        group = Group(**given)
        deadline = trio.current_time() + _PATIENCE
        manager = self._services.system.ref("failover")
        registered = RegisterGroup(group, self._services.resolver.add_group)
        while True:
            try:
                await manager.call(registered, timeout=_PATIENCE)
                return group
            except ActorDown:
                if trio.current_time() >= deadline:
                    raise
            await trio.sleep(_LOOK_AGAIN)

    async def chat_with_failover(
        self, group: str, request: AnyRequest, on_event: OnEvent, **options: Any
    ) -> Done:
        """Have a request answered by the members of a group, one standing in for the other.

        Args:
            group: The group.
            request: The request; the model it names does not matter.
            on_event: Takes the events.
            options: As of ``ProviderAdapter.stream_chat``.

        Raises:
            ChatError: There is no complete answer.
            RequestError: There is no such group, or it cannot be asked this.
        """
        if group not in self._services.failover.plans:
            known = ", ".join(self._services.failover.plans) or "none"
            raise RequestError(
                f"there is no group {group!r}; there are: {known}", 404, "unknown_group"
            )
        return await self._adapter.stream_chat(request, on_event, model=group, **options)

    def health_check(self) -> dict[str, Any]:
        """Return how all is, as ``GET /health`` does; asks nobody."""
        found: dict[str, Any] = as_json(self._report.summary(trio.current_time()))
        return found

    def get_metrics(self) -> Metrics:
        """Return all counts, as ``GET /health/metrics`` does."""
        return self._report.metrics

    async def price_table(self) -> PriceTable:
        """Return the price table, loaded in a thread when it is first asked for.

        It takes a third of a second and some 16 MiB, once.
        """
        async with self._loading:
            if self._table is None:
                self._table = await trio.to_thread.run_sync(PriceTable.load)
            return self._table

    async def estimate_cost(
        self, what: AnyRequest | Usage, *, provider: str, model: str | None = None
    ) -> Cost:
        """Return what a request may cost at a provider, or what used tokens do.

        Args:
            what: A request, whose tokens are estimated, or tokens as counted.
            provider: The provider.
            model: The provider's model; None takes the first it lists by name.

        Raises:
            LookupError: There is no such provider, or it is not configured.
            RequestError: No model is given and the provider lists none.
        """
        upstream = self._services.upstreams.get(provider)
        if upstream is None:
            raise LookupError(f"there is no configured provider {provider!r}")
        model = model or own_model(self._services, provider)
        if model is None:
            raise RequestError(f"model: say which; provider {provider} lists none")
        return upstream.interface.estimate_cost(what, model, await self.price_table())

    async def estimate_costs(
        self, request: AnyRequest, *, providers: Sequence[str] | None = None
    ) -> list[CostEstimate]:
        """Compare what a request may cost.

        The tokens of the prompt are estimated, the answer is taken to be as long as the request
        allows (``providers.prices.estimate_usage``): good for comparing, not for accounts.

        Args:
            request: The request.
            providers: The providers to compare, each with its own first model; None compares those
                that may answer the model or group that the request names, with their models of it.

        Returns:
            The cheapest first; those without a known price last.

        Raises:
            LookupError: There is no such provider, or it is not configured.
            RequestError: Nobody may answer that model, or a provider lists none.
        """
        if providers is None:
            pairs = self._answering(request)
        else:
            pairs = [(provider, None) for provider in providers]
        found = []
        for provider, model in pairs:
            asked = model or own_model(self._services, provider) or ""
            cost = await self.estimate_cost(request, provider=provider, model=asked or None)
            found.append(CostEstimate(provider=provider, model=asked, cost=cost))
        return sorted(found, key=_by_price)

    def _answering(self, request: AnyRequest) -> list[tuple[str, str | None]]:
        """Return the configured providers that may answer a request, and the models for it."""
        services = self._services
        try:
            name = named_model(request) or default_model(services)
            members = services.resolver.candidates(name)
        except WireError as error:
            raise RequestError(error.message, error.status, error.code) from None
        except UnroutableError as error:
            raise RequestError(str(error), error.status, error.code) from None
        return [(m.provider, m.model) for m in members if m.provider in services.upstreams]

    def _candidate(self, member: str | tuple[str, str] | Candidate) -> Candidate:
        if isinstance(member, str):
            member = Candidate(member, None)
        elif not isinstance(member, Candidate):
            member = Candidate(*member)
        services = self._services
        if member.provider not in services.members:
            known = ", ".join(services.members)
            raise ValueError(f"there is no provider {member.provider!r}; there are {known}")
        if member.model is None:
            model = own_model(services, member.provider)
            if model is None:
                raise ValueError(f"provider {member.provider} lists no model by name; say which")
            member = msgspec.structs.replace(member, model=model)
        return member

    def _read(self, name: str, settings: Mapping[str, object]) -> ProviderConfig:
        """Read a provider's settings as if they stood in the configuration in force."""
        shared = fields(Config)
        config = self._services.config
        document = {
            "providers": {name: dict(settings)},
            "circuit_breaker": written(shared["circuit_breaker"].shape, config.circuit_breaker),
            "retry": written(shared["retry"].shape, config.retry),
        }
        return load_document(document, name=f"provider {name}").providers[name]

    def _breaker(self, name: str, settings: ProviderConfig) -> ChildSpec:
        return breaker(name, settings, self._running.shared)

    def _info(self, name: str) -> ProviderInfo:
        member = self._services.members[name]
        if member.interface is not None:
            return member.interface.provider_info()
        config = self._services.providers[name]
        return ProviderInfo(
            name=name,
            kind=config.kind,
            wire=member.dialect,
            base_url=config.base_url if isinstance(config, UpstreamProvider) else "",
            models=config.models,
            has_key=False,
            missing=member.missing,
        )


def _by_price(estimate: CostEstimate) -> tuple[bool, Decimal]:
    total = estimate.cost.total
    return total is None, Decimal(0) if total is None else total
