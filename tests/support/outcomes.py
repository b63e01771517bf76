"""Attempts and finished requests with plain values, for tests of those who count them."""

import trio

from providers.wire import Usage
from runtime.outcome import Attempt, AttemptKind, Finished


def attempt(
    provider: str = "a",
    kind: AttemptKind = "ok",
    *,
    group: str | None = "g",
    number: int = 1,
    started: float | None = None,
    first_token: float | None = 0.1,
    duration: float = 0.4,
    usage: Usage | None = None,
) -> Attempt:
    """Return one attempt; by default it began just now."""
    return Attempt(
        provider=provider,
        model="m",
        group=group,
        dialect="openai",
        stream=False,
        kind=kind,
        status=200 if kind == "ok" else None,
        started=trio.current_time() if started is None else started,
        first_token=first_token,
        duration=duration,
        usage=usage,
        number=number,
        request_id="r",
    )


def finished(
    status: int = 200,
    *,
    attempts: int = 1,
    cancelled: bool = False,
    duration: float = 0.5,
    stream: bool = False,
    usage: Usage | None = None,
) -> Finished:
    """Return one request; by default it went well."""
    ok = status == 200 and not cancelled
    return Finished(
        request_id="r",
        dialect="openai",
        group="g",
        model="m",
        provider="a" if ok else None,
        attempts=attempts,
        status=status,
        ok=ok,
        cancelled=cancelled,
        duration=duration,
        first_token=0.1 if ok else None,
        usage=usage,
        stream=stream,
    )
