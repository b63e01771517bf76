"""Failover groups as they are configured: providers that stand in for each other."""

import math
from typing import Final, Literal, get_args

import msgspec

from runtime.routing.hedge_policy import HedgeSettings
from runtime.routing.verdicts import DEFAULT_FALLBACK, Fallback

__all__ = ["Candidate", "Group", "GroupTimeouts", "Strategy"]

Strategy = Literal[
    "priority",
    "round_robin",
    "load_balanced",
    "fastest_first",
    "health_aware",
    "cost_optimized",
    "adaptive",
]
"""How the order of a request is chosen."""


_MOST_WEIGHT: Final = 1_000_000.0
"""As in configurations; weights are added up, and their sum must be a number."""


class Candidate(msgspec.Struct, frozen=True):
    """One provider that may answer.

    Attributes:
        provider: Its name.
        model: The model to ask it for; None keeps the asker's.
        weight: Its share of the requests, relative to the other members; where the strategy has
            weights.
        cost_tier: How expensive it is, cheapest first; None, unknown, comes last. Where the
            strategy has tiers.
        context_window: Tokens it takes, request and answer together; None when unknown.
        fallback_on: The refusals of a request after which the next member is asked.
    """

    provider: str
    model: str | None = None
    weight: float = 1.0
    cost_tier: int | None = None
    context_window: int | None = None
    fallback_on: frozenset[Fallback] = DEFAULT_FALLBACK


class GroupTimeouts(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds on the waits of a request to a group, in seconds; None leaves what holds without.

    Attributes:
        total: For a request as a whole, all attempts together.
        attempt: For one attempt, as long as another one could still stand in: for a whole plain
            answer, or the first token of a streamed one.
        first_token: For the first token of a streamed answer, in place of the provider's.
        stall: For the next bytes in the middle of a stream, in place of the provider's.

    Raises:
        ValueError: When one of them is not above 0.
    """

    total: float | None = None
    attempt: float | None = None
    first_token: float | None = None
    stall: float | None = None

    def __post_init__(self) -> None:
        for name in self.__struct_fields__:
            seconds = getattr(self, name)
            if seconds is not None and not 0 < seconds < math.inf:
                raise ValueError(f"timeouts.{name} must be above 0 seconds, not {seconds}")


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Providers that stand in for each other.

    Attributes:
        name: The group's name.
        members: Its providers, first choice first.
        strategy: How the order of a request is chosen.
        max_attempts: Exchanges for one request at most, over all members.
        health_threshold: The health score, 0 to 1, below which ``health_aware`` asks a member last.
        rebalance_interval: Seconds after which the standing of the members is made anew.
        timeouts: Bounds on the waits of its requests; None for none of its own.
        hedge: How a second provider is asked when the first is late; None for never.
        on_broken_stream: Whether a stream that breaks ends in an error or is continued by another.
        translation: Whether members of another API than the asker's are asked without what their
            API has no counterpart for (``lenient``), or are passed over then (``strict``).

    Raises:
        ValueError: When it is empty, names a member twice, or has a value that makes no sense.
    """

    name: str
    members: tuple[Candidate, ...]
    strategy: Strategy = "priority"
    max_attempts: int = 3
    health_threshold: float = 0.5
    rebalance_interval: float = 10.0
    timeouts: GroupTimeouts | None = None
    hedge: HedgeSettings | None = None
    on_broken_stream: Literal["error", "resume"] = "error"
    translation: Literal["lenient", "strict"] = "lenient"

    def __post_init__(self) -> None:
        if not self.members:
            raise ValueError(f"group {self.name} has no members")
        if len({(member.provider, member.model) for member in self.members}) < len(self.members):
            raise ValueError(f"group {self.name} names the same provider and model twice")
        for member in self.members:
            if not 0 < member.weight <= _MOST_WEIGHT:
                raise ValueError(
                    f"weight of {member.provider} in group {self.name} must be above 0 and at most "
                    f"{_MOST_WEIGHT:g}, not {member.weight}"
                )
        if self.max_attempts < 1:
            raise ValueError(
                f"max_attempts of group {self.name} must be at least 1, not {self.max_attempts}"
            )
        if self.strategy not in get_args(Strategy):
            known = ", ".join(get_args(Strategy))
            raise ValueError(
                f"strategy of group {self.name} must be one of {known}, not {self.strategy}"
            )
        if not 0 <= self.health_threshold <= 1:
            raise ValueError(
                f"health_threshold of group {self.name} must be from 0 to 1, "
                f"not {self.health_threshold}"
            )
        if not 0 < self.rebalance_interval < math.inf:
            raise ValueError(
                f"rebalance_interval of group {self.name} must be above 0 seconds, "
                f"not {self.rebalance_interval}"
            )
