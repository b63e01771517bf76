"""Which limit on time holds for a request and its attempts, whose it is, and what is said of it.

The asker, the configuration, the group and the provider each may set limits. What a group says of
first tokens and silence replaces what its providers say, as it is about this use of them; of all
other limits the smallest counts.
"""

import math

from providers.failures import Failure, FailureKind
from providers.interface import ProviderSettings
from runtime.routing.group import GroupTimeouts
from runtime.routing.job import Job

__all__ = ["CONFIGURED", "not_whole", "patience_for", "stall_for", "too_late", "whole_time"]

CONFIGURED = "timeouts.request"
"""What the limit of all requests is called: its key in the configuration."""


def whole_time(
    configured: float,
    group: str | None,
    timeouts: GroupTimeouts | None,
    asked: float = math.inf,
    asked_by: str = "",
) -> tuple[float, str]:
    """Return the seconds a request may take as a whole, and the name of the limit.

    The smallest of all limits counts: nobody may ask for more than another allows.

    Args:
        configured: The limit of all requests, in seconds.
        group: The group the request goes to, if any.
        timeouts: The group's own limits, if it has any.
        asked: What the asker says, in seconds.
        asked_by: How it says so.
    """
    least, name = configured, CONFIGURED
    if timeouts is not None and timeouts.total is not None and timeouts.total < least:
        least, name = timeouts.total, f"timeouts.total of group {group}"
    return (asked, asked_by) if asked < least else (least, name)


def patience_for(job: Job, settings: ProviderSettings) -> tuple[float, str]:
    """Return for how many seconds an attempt may be without its answer, and the limit's name.

    What counts is a whole plain answer, or the first token of a streamed one. The time of the
    request as a whole is not looked at.

    Args:
        job: The request.
        settings: The provider's settings.
    """
    timeouts = job.timeouts
    if not job.request.stream:
        patience, limit = settings.answer_timeout, "its timeouts.total"
    elif timeouts is None or timeouts.first_token is None:
        patience, limit = settings.first_token_timeout, "its timeouts.first_token"
    else:
        patience, limit = timeouts.first_token, f"timeouts.first_token of group {job.group}"
    if timeouts is not None and timeouts.attempt is not None and timeouts.attempt < patience:
        return timeouts.attempt, f"timeouts.attempt of group {job.group}"
    return patience, limit


def stall_for(job: Job, settings: ProviderSettings) -> tuple[float, str]:
    """Return for how many seconds a stream may be silent, and the limit's name.

    Args:
        job: The request.
        settings: The provider's settings.
    """
    timeouts = job.timeouts
    if timeouts is None or timeouts.stall is None:
        return settings.stall_timeout, "its timeouts.stall"
    return timeouts.stall, f"timeouts.stall of group {job.group}"


def too_late(
    job: Job, settings: ProviderSettings, started: float, awaited: str | None = None
) -> Failure:
    """Say that an answer did not begin in time, which limit that was, and whose.

    An asker in a hurry says nothing about the provider, unless it waited for as long as the
    provider's first token may take.

    Args:
        job: The request.
        settings: The settings of the provider that was asked.
        started: When the attempt began.
        awaited: What did not come; None for the answer, or its first token.
    """
    stream = job.request.stream
    waited, limit = patience_for(job, settings)
    kind: FailureKind = "first_token_timeout" if stream else "timeout"
    if job.answer_by < started + waited:
        own = None if job.timeouts is None else job.timeouts.first_token
        fair = min(waited, settings.first_token_timeout if own is None else own)
        if awaited is not None or job.answer_by < started + fair:
            kind = "deadline"
        waited = round(job.answer_by - started, 3)
        limit = f"all of the request's {job.answer_by - job.started:g} s, {job.answer_by_whom}"
    missing = awaited or ("token" if stream else "answer")
    return Failure(kind, settings.name, f"no {missing} within {waited:g} s ({limit})")


def not_whole(job: Job, settings: ProviderSettings, started: float) -> Failure:
    """Say that a stream was not over in time, which limit that was, and whose.

    Args:
        job: The request.
        settings: The settings of the provider that answered.
        started: When the attempt began.
    """
    total = settings.answer_timeout
    if started + total < job.deadline:
        waited = f"no whole answer within {total:g} s (its timeouts.total)"
        return Failure("timeout", settings.name, waited)
    whole = f"{job.deadline - job.started:g} s, {job.deadline_by}"
    return Failure("deadline", settings.name, f"the request's time is up ({whole})")
