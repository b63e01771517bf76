"""What each failure means: for the breaker, for further attempts, for the asker.

One table, read by the attempt loop, the breakers, the failover manager and telemetry, so that none
of them judges for itself. A verdict on further attempts holds as long as nothing has been sent to
the asker; after the first token there is none.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal, get_args

import msgspec

from providers.failures import Failure, FailureKind

__all__ = [
    "DEFAULT_FALLBACK",
    "REFUSALS",
    "SUFFERED",
    "VERDICTS",
    "BreakerVerdict",
    "Fallback",
    "Verdict",
    "judge",
    "status_of",
]

Fallback = Literal["model_not_found", "content_filter", "context_too_long"]
"""The refusals of a request after which a group may have its next member asked."""

DEFAULT_FALLBACK: Final[frozenset[Fallback]] = frozenset({"model_not_found"})
"""Those after which the next one is asked where nothing else is said: it may know the model."""

BreakerVerdict = Literal["failure", "ignored", "none", "set_aside"]
"""What a breaker makes of it.

- ``failure``: counts against the provider.
- ``ignored``: the provider did its part; neither for nor against it.
- ``none``: says nothing about the upstream at all: the permit is given back, no more.
- ``set_aside``: the account is refused; the provider is set aside and re-checked slowly.
"""


class Verdict(msgspec.Struct, frozen=True, kw_only=True):
    """The consequences of one kind of failure.

    Attributes:
        breaker: What the provider's breaker makes of it.
        same_provider: Whether the same provider may be asked again, by the retry policy.
        next_provider: Whether the next provider may be asked.
        status: The HTTP status the asker sees when nothing is left to try.
        gate: Whether it closes the provider's rate-limit gate.
    """

    breaker: BreakerVerdict
    same_provider: bool
    next_provider: bool
    status: int
    gate: bool = False


def _verdict(
    breaker: BreakerVerdict,
    status: int,
    *,
    same: bool = False,
    following: bool = True,
    gate: bool = False,
) -> Verdict:
    return Verdict(
        breaker=breaker, same_provider=same, next_provider=following, status=status, gate=gate
    )


VERDICTS: Final[Mapping[FailureKind, Verdict]] = MappingProxyType(
    {
        "connect": _verdict("failure", 502, same=True),
        "tls": _verdict("failure", 502, same=True),
        "reset": _verdict("failure", 502, same=True),
        "timeout": _verdict("failure", 504, same=True),
        "first_token_timeout": _verdict("failure", 504),
        "stall": _verdict("failure", 504),
        "server_error": _verdict("failure", 502, same=True),
        "bad_answer": _verdict("failure", 502),
        "rate_limited": _verdict("none", 429, same=True, gate=True),
        "account": _verdict("set_aside", 502),
        "client_error": _verdict("ignored", 400, following=False),
        "model_not_found": _verdict("ignored", 404, following=False),
        "context_too_long": _verdict("ignored", 400, following=False),
        "content_filter": _verdict("ignored", 400, following=False),
        "broken_stream": _verdict("failure", 502, following=False),
        # The rest is about this daemon, not about the upstream.
        "queue_full": _verdict("none", 503),
        "provider_down": _verdict("none", 503, same=True),
        "circuit_open": _verdict("none", 503),
        "deadline": _verdict("none", 504, following=False),
        "not_configured": _verdict("none", 503),
        "untranslatable": _verdict("none", 400),
    }
)
"""The verdict on every kind of failure."""

assert set(VERDICTS) == set(get_args(FailureKind)), "every kind of failure needs a verdict"

REFUSALS: Final[frozenset[FailureKind]] = frozenset({"client_error", *get_args(Fallback)})
"""The kinds in which a request is refused for what it says; the asker gets the upstream's words."""

_ELSEWHERE: Final[Mapping[FailureKind, Verdict]] = MappingProxyType(
    {
        kind: msgspec.structs.replace(VERDICTS[kind], next_provider=True)
        for kind in get_args(Fallback)
    }
)
"""The verdicts on refusals where the group has the next member asked all the same."""

_SERVER_STATUS: Final[Mapping[int, int]] = MappingProxyType({503: 503, 504: 504, 529: 503})

SUFFERED: Final = frozenset(
    kind
    for kind, verdict in VERDICTS.items()
    if verdict.breaker in {"failure", "set_aside"} or kind in {"rate_limited", "provider_down"}
)
"""The kinds that make a provider unhealthy: it did not serve what it was fairly asked for."""


def judge(failure: Failure, fallback_on: frozenset[Fallback] = DEFAULT_FALLBACK) -> Verdict:
    """Return the verdict on one failure.

    It is the table's, but for those refusals after which the next provider is to be asked.

    Args:
        failure: What happened.
        fallback_on: Those refusals.
    """
    kind = failure.kind
    return _ELSEWHERE[kind] if kind in fallback_on else VERDICTS[kind]


def status_of(failure: Failure) -> int:
    """Return the HTTP status for the asker when ``failure`` is the last word.

    An upstream's refusal of the request keeps its own status; its 503, 504 and 529 (overloaded)
    stay what they mean; all else is the table's.

    Args:
        failure: What happened.
    """
    status = failure.status
    if status is not None:
        if failure.kind in REFUSALS and 400 <= status < 500:
            return status
        if failure.kind == "server_error":
            return _SERVER_STATUS.get(status, 502)
    return VERDICTS[failure.kind].status
