"""What plans look at beyond whether a provider may be asked: all of it published, no message."""

import random
from collections.abc import Callable, Sequence

import msgspec

from runtime.routing.first_token import FirstTokens
from runtime.routing.load import Loads

__all__ = ["Outlook", "Ready"]

Ready = Callable[[str, float], bool]
"""Tells whether a provider would take a request at a time; must not change anything."""


def _full_health(_provider: str) -> float:
    return 1.0


def _never(_provider: str, _now: float) -> bool:
    return False


def _no_status(_provider: str, _now: float) -> str:
    return ""


class Outlook(msgspec.Struct, frozen=True, kw_only=True):
    """Where plans look.

    Attributes:
        loads: The attempts under way at each provider.
        first_tokens: How soon each member's first token is to be expected.
        health: Returns a provider's health score, 0 to 1.
        all_ready: Tells whether all of some providers would take a request; None asks one by one.
        hasten: Lets a provider that is kept back by its breaker be tried ahead of time; tells
            whether it now takes a request.
        status: Names, in a word, why a provider would take a request or not.
        fraction: Returns a random number from 0 to below 1.
    """

    loads: Loads = msgspec.field(default_factory=Loads)
    first_tokens: FirstTokens = msgspec.field(default_factory=FirstTokens)
    health: Callable[[str], float] = _full_health
    all_ready: Callable[[Sequence[str], float], bool] | None = None
    hasten: Callable[[str, float], bool] = _never
    status: Callable[[str, float], str] = _no_status
    fraction: Callable[[], float] = random.random
