"""``ProviderAdapter``: one request, whoever answers it, event by event."""

import math
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import msgspec
import trio

from providers.chat import ChatSink, OnEvent, stream_chat
from providers.chat_request import AnyRequest, ChatBody, chat_bodies
from providers.fair_queue import ClientKey
from providers.interface import ForwardRequest, ProviderInterface
from providers.wire import WireError
from providers.wire.chat_events import Done, Error
from runtime.health import HealthReport, as_json
from runtime.identifiers import RequestIds
from runtime.in_process.answer import ChatAnswer
from runtime.in_process.requests import default_model, named_model
from runtime.routing.answer import AskerGone
from runtime.routing.gave_up import GaveUp
from runtime.routing.job import Job
from runtime.routing.limits import whole_time
from runtime.routing.route import Route, UnroutableError
from runtime.routing.verdicts import status_of
from runtime.routing.wishes import Wishes
from runtime.services import Services
from runtime.telemetry import Metrics, ProviderMetrics, TokenCounts

__all__ = ["ProviderAdapter", "RequestError"]

_HEADER = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""A header's name (RFC 9110, section 5.6.2)."""


class RequestError(ValueError):
    """A request that nobody can be asked: malformed, or for a model that nobody has.

    Args:
        message: What is wrong, and where.
        status: The HTTP status that a door would have given.
        code: A short name of the mistake.
    """

    def __init__(self, message: str, status: int = 400, code: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class ProviderAdapter:
    """Has requests answered by whichever provider can, as the doors do.

    It has no task of its own: a request runs in the task that asks, so any number of tasks may ask
    at the same time, and cancelling one of them cancels its upstream request.

    Args:
        services: The running tree.
    """

    def __init__(self, services: Services) -> None:
        self._services = services
        self._report = HealthReport(services)
        self._ids = RequestIds()

    async def stream_chat(
        self,
        request: AnyRequest,
        on_event: OnEvent,
        *,
        model: str | None = None,
        provider: str | None = None,
        group: str | None = None,
        failover: bool = True,
        max_attempts: int | None = None,
        dialect: str | None = None,
        timeout: float | None = None,
        headers: Mapping[str, str] | None = None,
        client: str = "",
    ) -> Done:
        """Get a request answered, event by event.

        ``on_event`` is called in the caller's own task, with one event after the other; a coroutine
        that it returns is awaited. Nothing more is read from the upstream meanwhile. The last event
        is a ``Done``, which is also returned, or an ``Error``, and then ``ChatError`` is raised.
        Until the answer has begun, failures are repaired by retries and other providers, unseen.

        Args:
            request: A ``ChatRequest``, a mapping in OpenAI's or Anthropic's form, messages, or the
                text of a single one.
            on_event: Takes the events. What it raises cancels the request and is raised here.
            model: The group, alias or model to ask for, in place of the one the request names.
                Where neither names one, the first configured group is asked, or the only model.
            provider: The only provider to ask; the model is then the provider's own, or with
                ``group`` that of the group's member.
            group: The group to ask, whatever the model says; that is what those members are asked
                for that have no model of their own.
            failover: Whether others may stand in for the provider that is asked first.
            max_attempts: Attempts at most; never more than the group's.
            dialect: The form a mapping is in, ``openai`` or ``anthropic``; None finds out.
            timeout: Seconds the request may take as a whole, ``on_event`` included; never more
                than ``timeouts.request`` of the configuration and the group's ``timeouts.total``.
            headers: Further headers for the upstream, such as ``anthropic-beta``.
            client: Who asks: clients take turns where requests must wait for a provider. Those who
                give no name are one client together.

        Raises:
            ChatError: There is no complete answer.
            RequestError: Nobody can be asked; ``on_event`` has heard nothing.
        """
        if not callable(on_event):
            raise TypeError(f"on_event must be callable, not {on_event!r}")
        sent = _header_pairs(headers or {})
        if max_attempts is not None and max_attempts < 1:
            raise RequestError(f"max_attempts must be at least 1, not {max_attempts}")
        wishes = Wishes(group=group, failover=failover, max_attempts=max_attempts)
        patience = math.inf if timeout is None else timeout
        try:
            if provider is not None:
                named = model or named_model(request)
                name, route, interface = self._only(provider, named, wishes)
                carry = partial(self._carry, route, sent, patience, client=client)
                return await interface.stream_chat(
                    request, on_event, carry, model=name, dialect=dialect
                )
            name = model or named_model(request) or group or default_model(self._services)
            body, route = self._route(chat_bodies(request, model=name, dialect=dialect), wishes)
        except WireError as error:
            raise RequestError(error.message, error.status, error.code) from None
        except UnroutableError as error:
            raise RequestError(str(error), error.status, error.code) from None
        return await stream_chat(
            body, on_event, partial(self._carry, route, sent, patience, client=client)
        )

    def get_provider_health(self, provider: str | None = None) -> dict[str, Any]:
        """Return how providers are, as ``GET /health/providers`` does; sends no message.

        Args:
            provider: Only this one; None for all, by name.

        Raises:
            LookupError: There is no such provider.
        """
        found: dict[str, Any] = as_json(self._report.providers(trio.current_time()))
        if provider is None:
            return found
        self._check_known(provider)
        one: dict[str, Any] = found[provider]
        return one

    def get_provider_metrics(self, provider: str | None = None) -> ProviderMetrics | Metrics:
        """Return what has been counted, as ``GET /health/metrics`` does; sends no message.

        Args:
            provider: The counts of this provider; None for those of all requests.

        Raises:
            LookupError: There is no such provider.
        """
        metrics = self._report.metrics
        if provider is None:
            return metrics
        self._check_known(provider)
        return metrics.providers.get(provider) or ProviderMetrics(failures={}, tokens=TokenCounts())

    def _check_known(self, provider: str) -> None:
        if provider not in self._services.members:
            known = ", ".join(self._services.members)
            raise LookupError(f"there is no provider {provider!r}; there are {known}")

    def _only(
        self, provider: str, model: str | None, wishes: Wishes
    ) -> tuple[str, Route, ProviderInterface]:
        """Return the way to one provider: the name to ask for, its route, the provider itself."""
        try:
            self._check_known(provider)
        except LookupError as error:
            raise RequestError(str(error), 404, "unknown_provider") from None
        services = self._services
        member = services.members[provider]
        if wishes.group is None:
            name = f"{provider}/{model or default_model(services, provider)}"
        else:
            name = model or wishes.group
            wishes = msgspec.structs.replace(wishes, provider=provider)
        route = services.resolver.resolve(name, wishes=wishes)
        assert member.interface is not None, "a provider that is not configured has no route"
        return name, route, member.interface

    def _route(self, bodies: Sequence[ChatBody], wishes: Wishes) -> tuple[ChatBody, Route]:
        """Return a request in the dialect of whoever is likeliest to answer, and its candidates."""
        resolver = self._services.resolver
        first = bodies[0]
        route = resolver.resolve(first.model, wishes=wishes)
        if len(bodies) > 1:
            asked = wishes.provider or resolver.candidates(wishes.group or first.model)[0].provider
            dialect = self._services.members[asked].dialect
            first = next((body for body in bodies if body.dialect == dialect), first)
        return first, route

    async def _carry(
        self,
        route: Route,
        headers: Sequence[tuple[bytes, bytes]],
        patience: float,
        body: ChatBody,
        sink: ChatSink,
        *,
        client: str,
    ) -> None:
        """Put a request through the attempt loop; implements ``Carry``."""
        now = trio.current_time()
        limit = self._services.config.timeouts.request
        whole, limit_name = whole_time(limit, route.group, route.timeouts, patience, "timeout")
        job = Job(
            request=ForwardRequest(
                headers=headers,
                body=body.encode(),
                model=body.model,
                stream=body.stream,
                request_id=self._ids.new(),
            ),
            dialect=body.dialect,
            group=route.group,
            deadline=now + whole,
            answer_by=now + whole,
            started=now,
            deadline_by=limit_name,
            answer_by_whom=limit_name,
            timeouts=route.timeouts,
            client=ClientKey("in process", client),
        )
        answer = ChatAnswer(sink, job.request.request_id, job.deadline)
        try:
            await self._services.forwarder.forward(job, route, answer)
        except GaveUp as gave_up:
            sink.abort(_error(gave_up))
        except AskerGone:
            if answer.raised is not None:
                raise answer.raised from None


def _error(gave_up: GaveUp) -> Error:
    """Return what a request's failure is told as."""
    failure = gave_up.last
    return Error(
        message=gave_up.explanation(),
        kind=failure.kind,
        provider=gave_up.asked or None,
        status=status_of(failure),
        retry_after=gave_up.retry_after,
    )


def _header_pairs(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Return headers as they go on the wire, names in lower case."""
    pairs = []
    for name, value in headers.items():
        if not (_HEADER.fullmatch(name) and value.isascii() and value.isprintable()):
            raise RequestError(f"header {name!r} has characters that no header can carry")
        pairs.append((name.lower().encode(), value.encode()))
    return pairs
