"""The published picture of all counts: made now and then, never changed, read as an attribute."""

from collections.abc import Mapping

import msgspec

from runtime.routing.retry import BudgetStatus

__all__ = [
    "Metrics",
    "PartCounts",
    "PassthroughCounts",
    "ProviderMetrics",
    "ShedCounts",
    "TokenCounts",
]


class TokenCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens as the upstreams counted them, added up.

    Attributes:
        input: Tokens of requests.
        output: Tokens of answers.
        cache_read: Those of the requests that were read from a provider's cache.
        cache_write: Those of the requests that were written to one.
        reasoning: Those of the answers that were spent on reasoning.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    reasoning: int = 0


class PassthroughCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What was asked of a provider's API by its own paths; none of it is among the other counts.

    Attributes:
        requests: Requests that have ended: of one provider, those that were sent to it.
        succeeded: Those that went well.
        failed: Those the provider failed at; in all, also those that it was not asked for.
        refused: Those that were refused.
        cancelled: Those whose asker left.
        failures: Those of one provider that did not go well, by kind of failure.
        statuses: How often each HTTP status was answered: by the provider, or in all to askers.
        avg_response_time: Milliseconds of a successful one to its end, on average.
        p50_response_time: Milliseconds that half of the recent ones stayed within.
        p95_response_time: Milliseconds that 95 % of the recent ones stayed within.
    """

    requests: int = 0
    succeeded: int = 0
    failed: int = 0
    refused: int = 0
    cancelled: int = 0
    failures: dict[str, int] = {}
    statuses: dict[str, int] = {}
    avg_response_time: float | None = None
    p50_response_time: float | None = None
    p95_response_time: float | None = None


class ProviderMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """One provider's counts.

    Attributes:
        requests: Attempts that have ended.
        succeeded: Those that went well.
        failed: Those the provider failed at.
        cancelled: Those whose asker left.
        hedges: Those that were made because another provider was late.
        hedges_won: Those of them that gave the asker its answer.
        hedges_cancelled: Attempts that were cancelled because another provider had answered: of
            hedges, and of those that were late; not among ``cancelled``.
        hedge_tokens: Tokens of ``hedges_cancelled``, as far as the upstream had counted any by
            then; most count only at an answer's end. They are among ``tokens``.
        failures: Every attempt that did not go well, by kind of failure; refusals of a request
            for what it says are here, but not in ``failed``.
        success_rate: ``succeeded`` of ``succeeded`` and ``failed``; 1 before there are any.
        avg_response_time: Milliseconds of a successful attempt, on average.
        avg_first_token: Milliseconds to the first token, on average over all.
        p50_first_token: Milliseconds that half of the recent ones stayed within.
        p95_first_token: Milliseconds that 95 % of the recent ones stayed within.
        tokens: Tokens used.
        health_score: 0 to 1; the formula is in ``runtime.telemetry.score``.
        circuit_opened: How often its circuit breaker has opened.
        set_aside: How often it has been set aside because of its account.
        last_failure: The kind of the latest failure; None when there was none.
        gate_closed: How often its rate gate has closed: by a ``429``, or by what the ``headers`` of
            an answer said was left.
        passthrough: What was asked of it by its own paths.
    """

    requests: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    hedges: int = 0
    hedges_won: int = 0
    hedges_cancelled: int = 0
    hedge_tokens: TokenCounts = TokenCounts()
    failures: dict[str, int]
    success_rate: float = 1.0
    avg_response_time: float | None = None
    avg_first_token: float | None = None
    p50_first_token: float | None = None
    p95_first_token: float | None = None
    tokens: TokenCounts
    health_score: float = 1.0
    circuit_opened: int = 0
    set_aside: int = 0
    last_failure: str | None = None
    gate_closed: dict[str, int] = {}
    passthrough: PassthroughCounts = PassthroughCounts()


class PartCounts(msgspec.Struct, frozen=True, kw_only=True):
    """What the daemon's own parts went through.

    Attributes:
        crashes: How often one of them ended with an exception.
        restarts: How often one was started again, after whatever end.
        set_aside: Messages refused because they had crashed their reader before.
        gave_up: How often a supervisor gave up on its parts.
    """

    crashes: int = 0
    restarts: int = 0
    set_aside: int = 0
    gave_up: int = 0


class ShedCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Requests that were sent away because there were too many, each at once.

    Attributes:
        front: At a door, as all places were taken; not among ``total_requests``, as the next two.
        client: At a door, as its client held too many.
        bodies: At a door, as too much was held of requests' bodies.
        queue: At a provider, as too many waited there or its turn would have come too late. Another
            provider may have answered it.
    """

    front: int = 0
    client: int = 0
    bodies: int = 0
    queue: int = 0


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """All counts since the daemon's start.

    Attributes:
        total_requests: Requests that have ended.
        success_rate: Share of them that got a complete answer, 0 to 1; left out of account are
            those whose asker left and those refused for what they said (a 4xx but 408 and 429).
            1 before there are any.
        avg_response_time: Milliseconds until a successful request was over, on average.
        succeeded: Requests that got a complete answer.
        failed: Requests that got none and were not at fault.
        refused: Requests refused for what they said.
        cancelled: Requests whose asker left.
        streamed: Requests that asked for a stream.
        failed_over: Requests that were answered after an attempt that had failed.
        hedges: Attempts that were made because another provider was late.
        hedges_won: Those of them that gave the asker its answer.
        hedges_cancelled: Attempts that were cancelled because another provider had answered.
        resumed: Times that a stream which had broken was continued by another provider.
        not_resumed: Streams that broke and were not continued although it was wished, by reason.
        translated: Requests that were answered by a provider of another API than the asker's.
        dropped: Fields of such requests, and of their answers, that had to be left out.
        panic_probes: Requests that were let through although every member of their group was kept
            back by its breaker.
        shed: Requests that were sent away because there were too many.
        attempts: Attempts at providers that have ended.
        passthrough: What was asked of providers by their own paths.
        p50_first_token: Milliseconds from a request's arrival to its first token, recent median.
        p95_first_token: The same, of which 95 % stayed within.
        tokens: Tokens of all requests.
        providers: The counts of each provider.
        parts: What the daemon's own parts went through.
        retry_budget: What pays for retries and fail-overs, as of the moment of asking; None in the
            picture that telemetry publishes.
    """

    total_requests: int = 0
    success_rate: float = 1.0
    avg_response_time: float = 0.0
    succeeded: int = 0
    failed: int = 0
    refused: int = 0
    cancelled: int = 0
    streamed: int = 0
    failed_over: int = 0
    hedges: int = 0
    hedges_won: int = 0
    hedges_cancelled: int = 0
    resumed: int = 0
    not_resumed: Mapping[str, int] = {}
    translated: int = 0
    dropped: int = 0
    panic_probes: int = 0
    shed: ShedCounts = ShedCounts()
    attempts: int = 0
    passthrough: PassthroughCounts = PassthroughCounts()
    p50_first_token: float | None = None
    p95_first_token: float | None = None
    tokens: TokenCounts = TokenCounts()
    providers: dict[str, ProviderMetrics] = {}
    parts: PartCounts = PartCounts()
    retry_budget: BudgetStatus | None = None
