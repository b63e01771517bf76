"""What an asker may wish for one request, beyond what the model's name says."""

from typing import Literal

import msgspec

__all__ = ["Wishes"]


class Wishes(msgspec.Struct, frozen=True, kw_only=True):
    """The wishes for one request that decide who may be asked, and how often.

    Attributes:
        group: Ask this group, whatever the model says; the model is then what those members are
            asked for that have none of their own.
        provider: Ask this provider only.
        failover: Whether others may stand in for the provider that is asked first. Without them
            that one is still asked again, by its retry policy.
        max_attempts: Attempts at most; more than are configured are never made.
        on_broken_stream: What becomes of a stream that breaks; None for what the group says.
        translation: What becomes of fields that a provider's API has no counterpart for; None for
            what the group says.
    """

    group: str | None = None
    provider: str | None = None
    failover: bool = True
    max_attempts: int | None = None
    on_broken_stream: Literal["error", "resume"] | None = None
    translation: Literal["lenient", "strict"] | None = None
