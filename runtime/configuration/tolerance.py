"""Settings of circuit breakers and retries, for all providers and per provider; and of hedging."""

from typing import Annotated

from msgspec import Meta, Struct

from runtime.configuration.shape import Duration, Milliseconds

__all__ = ["CircuitBreakerConfig", "HedgeConfig", "ProviderRetryConfig", "RetryConfig"]


class CircuitBreakerConfig(Struct, frozen=True, kw_only=True):
    """When a provider's circuit breaker opens, and how it closes again."""

    failure_threshold: Annotated[
        int, Meta(description="Failures in a row that open it.", ge=1, le=10_000)
    ] = 5
    failure_rate: Annotated[
        float,
        Meta(
            description="Share of failed requests within `window` that opens it, 0 to 1.",
            gt=0,
            le=1,
        ),
    ] = 0.5
    minimum_calls: Annotated[
        int,
        Meta(
            description="Requests within `window` before `failure_rate` or `slow_call_rate` says "
            "anything.",
            ge=1,
            le=100_000,
        ),
    ] = 10
    slow_call_threshold: Annotated[
        Duration | None,
        Meta(
            description="A streamed answer whose first token comes later counts as slow; without "
            "it none does.",
            gt=0,
            le=3600,
        ),
    ] = None
    slow_call_rate: Annotated[
        float,
        Meta(
            description="Share of slow answers among those streamed within `window` that opens "
            "it, 0 to 1.",
            gt=0,
            le=1,
        ),
    ] = 0.5
    window: Annotated[
        Duration, Meta(description="How far back requests are counted.", ge=1, le=3600)
    ] = 30.0
    recovery_timeout: Annotated[
        Duration,
        Meta(
            description="How long it stays open before a request may try the provider again. "
            "Doubles each time the trial fails.",
            gt=0,
            le=86_400,
        ),
    ] = 30.0
    max_recovery_timeout: Annotated[
        Duration, Meta(description="The most it stays open.", gt=0, le=86_400)
    ] = 300.0
    half_open_limit: Annotated[
        int, Meta(description="Trial requests at one time while half-open.", ge=1, le=1000)
    ] = 1
    probe_timeout: Annotated[
        Duration,
        Meta(
            description="How long a trial request may leave its outcome open before another may "
            "be tried.",
            gt=0,
            le=86_400,
        ),
    ] = 30.0
    account_recheck: Annotated[
        Duration,
        Meta(
            description="How long a provider is set aside that refuses its key, permission or "
            "credit, before a request may try it again. Doubles each time it refuses again.",
            gt=0,
            le=86_400,
        ),
    ] = 60.0
    max_account_recheck: Annotated[
        Duration, Meta(description="The most it is set aside.", gt=0, le=86_400)
    ] = 900.0


class ProviderRetryConfig(Struct, frozen=True, kw_only=True):
    """How often and when the same provider is asked again after a failure."""

    max_attempts: Annotated[
        int,
        Meta(
            description="Attempts at one provider for one request, the first included.", ge=1, le=20
        ),
    ] = 3
    base_delay_ms: Annotated[
        Milliseconds, Meta(description="Wait before the second attempt.", ge=0, le=600_000)
    ] = 200
    max_delay_ms: Annotated[
        Milliseconds, Meta(description="The longest wait between attempts.", ge=0, le=600_000)
    ] = 5000
    backoff_factor: Annotated[
        float, Meta(description="What each further wait is multiplied by.", ge=1, le=100)
    ] = 2.0
    jitter: Annotated[
        bool,
        Meta(description="Whether a wait is drawn at random from nothing up to its full length."),
    ] = True


class RetryConfig(ProviderRetryConfig, frozen=True, kw_only=True):
    """Retries, and the budget that all providers share."""

    budget_percent: Annotated[
        float,
        Meta(
            description="Retries and fail-overs, in percent of requests; beyond it a failure is "
            "answered at once, so that trouble does not multiply the load.",
            ge=0,
            le=100,
        ),
    ] = 20.0
    budget_floor: Annotated[
        float,
        Meta(
            description="Retries and fail-overs a second that are always allowed.", ge=0, le=10_000
        ),
    ] = 10.0


class HedgeConfig(Struct, frozen=True, kw_only=True):
    """When a second provider is asked because the first is late; whose answer is first counts."""

    enabled: Annotated[
        bool,
        Meta(
            description="Whether a chat request whose first provider is late is given to a second "
            "one as well. The other is cancelled as soon as one has its first token (of a plain "
            "answer: all of it), but may be charged for."
        ),
    ] = False
    percentile: Annotated[
        float,
        Meta(
            description="Late is a provider that takes longer than for this share of its recent "
            "answers, 0.5 to 0.999.",
            ge=0.5,
            le=0.999,
        ),
    ] = 0.95
    minimum_delay: Annotated[
        Duration,
        Meta(description="The second is never asked sooner than this.", ge=0, le=3600),
    ] = 0.1
    maximum_delay: Annotated[
        Duration | None,
        Meta(
            description="The second is never asked later than this; and after this time while too "
            "few answers have been measured (20 each, plain and streamed). Without it there is no "
            "hedge until then.",
            gt=0,
            le=3600,
        ),
    ] = None
    budget_percent: Annotated[
        float,
        Meta(
            description="How many of the group's requests of the last five minutes may be hedged, "
            "in percent.",
            gt=0,
            le=100,
        ),
    ] = 5.0
