"""An answer's headers, as a provider of another API would have sent them.

Limits and the id of a request are told by each API in headers of its own: the asker's library looks
for those it knows.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

from providers.rate_limits import seconds_until_reset
from providers.retry_after import answered_at

__all__ = ["translated_headers"]

_LIMITS: Final = ("requests", "tokens")
_TO_ANTHROPIC: Final = MappingProxyType(
    {
        f"x-ratelimit-{part}-{limit}".encode(): f"anthropic-ratelimit-{limit}-{part}".encode()
        for limit in _LIMITS
        for part in ("limit", "remaining", "reset")
    }
    | {b"x-request-id": b"request-id"}
)
_TO_OPENAI: Final = MappingProxyType({theirs: ours for ours, theirs in _TO_ANTHROPIC.items()})
_OWN: Final = MappingProxyType(
    {
        "openai": (b"openai-", b"x-ratelimit-"),
        "anthropic": (b"anthropic-",),
    }
)
"""How the headers of each API begin that mean nothing in the other."""

_ABOUT_THE_BODY: Final = frozenset({b"content-type", b"content-length", b"content-encoding"})


def translated_headers(
    headers: Sequence[tuple[bytes, bytes]],
    provider: str,
    asker: str,
    *,
    wall_time: float | None = None,
) -> list[tuple[bytes, bytes]]:
    """Return the headers of an answer under the asker's names, but for those about its body.

    Limits of requests and of tokens are carried over, their times in the asker's form; so is the
    request's id. Other headers that only the provider's API knows stay behind.

    Args:
        headers: The answer's headers, names in lower case.
        provider: The provider's API: ``openai`` or ``anthropic``; empty for one that is not known,
            whose headers stay as they are.
        asker: The asker's.
        wall_time: The present time in seconds since 1970; by default the clock's.
    """
    kept = [pair for pair in headers if pair[0] not in _ABOUT_THE_BODY]
    if provider in {asker, ""}:
        return kept
    names = _TO_ANTHROPIC if asker == "anthropic" else _TO_OPENAI
    own = _OWN[provider]
    found = []
    for name, value in kept:
        other = names.get(name)
        if other is None:
            if not name.startswith(own):
                found.append((name, value))
        elif b"reset" in name:
            seconds = seconds_until_reset(value, headers, wall_time)
            if seconds is not None:
                now = answered_at(headers, wall_time)
                found.append((other, _at(now, seconds) if asker == "anthropic" else _in(seconds)))
        else:
            found.append((other, value))
    return found


def _at(now: float, seconds: float) -> bytes:
    """Return a time to come as Anthropic writes it (RFC 3339)."""
    time = datetime.fromtimestamp(now, UTC) + timedelta(seconds=seconds)
    return time.replace(microsecond=0).isoformat().replace("+00:00", "Z").encode()


def _in(seconds: float) -> bytes:
    """Return a stretch of time as OpenAI writes it, such as ``6m0s`` or ``20ms``."""
    if seconds < 1:
        return f"{round(seconds * 1000)}ms".encode()
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    text = f"{rest}s"
    if hours:
        text = f"{hours}h{minutes}m{text}"
    elif minutes:
        text = f"{minutes}m{text}"
    return text.encode()
