"""What every plan does, whatever its strategy: those who may be asked first, and panic.

A plan is made by the failover manager and read by every request: a few look-ups, no message. Its
moving parts live outside it, so that they survive its being remade and the manager's restart.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Final

import msgspec

from runtime.routing.group import Candidate, Group, Strategy
from runtime.routing.hedge_policy import Hedger
from runtime.routing.outlook import Outlook, Ready
from runtime.routing.turns import Cursor, Cursors

__all__ = ["PANIC_INTERVAL", "Place", "Plan", "Seat"]

PANIC_INTERVAL: Final = 5.0
"""Seconds between two requests that are let through although every member is kept back."""


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a member stands in the order, and why.

    Attributes:
        provider: Its provider.
        model: The model it is asked for.
        status: ``ready``; or why it is kept back: ``rate_limited``, ``open``, ``half_open``,
            ``forced_open``, ``set_aside``.
        score: What the strategy goes by, if it goes by one: the health score (``health_aware``),
            the seconds until the first token (``fastest_first``), these times the attempts under
            way and one (``adaptive``), or what it has in hand towards its next turn
            (``load_balanced``, ``cost_optimized``).
        in_flight: Attempts under way at its provider.
        first_token: Seconds to expect until its first token; None when it was never measured.
        weight: Its weight.
        cost_tier: Its cost tier; None when unknown.
    """

    provider: str
    model: str | None
    status: str
    score: float | None
    in_flight: int
    first_token: float | None
    weight: float
    cost_tier: int | None


class Seat:
    """A member as plans see it: everything they look at, one attribute away."""

    __slots__ = (
        "at",
        "candidate",
        "first_token",
        "in_flight",
        "key",
        "peers",
        "provider",
        "tier",
        "together",
        "turn",
        "weight",
    )

    def __init__(
        self, candidate: Candidate, at: int, outlook: Outlook, cursor: Cursor, *, tiered: bool
    ) -> None:
        self.candidate = candidate
        self.at = at
        self.provider = candidate.provider
        self.key = (candidate.provider, candidate.model)
        self.weight = candidate.weight
        self.peers = 1  # of the same tier, itself among them
        self.together = candidate.weight  # their weights; both are the plan's to set
        unknown = float("inf")
        cost = unknown if candidate.cost_tier is None else float(candidate.cost_tier)
        self.tier = cost if tiered else 0.0
        self.in_flight = outlook.loads.of(candidate.provider)
        self.first_token = outlook.first_tokens.of(candidate.provider, candidate.model)
        self.turn = cursor.turn(self.key)


class Plan(ABC):
    """The candidates of one group and the order to try them in.

    Attributes:
        group: The group.
        candidates: Its members, as listed.
        max_attempts: Exchanges for one request at most.
        tiered: Whether the strategy asks cheaper members before dearer ones.
        rebalances: Whether there is something to do at the group's ``rebalance_interval``.

    Args:
        group: The group.
        ready: Tells whether a provider would take a request.
        outlook: What else to look at.
        cursors: Where turns are kept beyond the life of this plan.
        part: Leave out all providers but these; None for none.
        whole: The plan that this one is a part of, if it is one.
    """

    tiered: ClassVar[bool] = False
    rebalances: ClassVar[bool] = False

    __slots__ = (
        "_all_ready",
        "_cursor",
        "_cursors",
        "_outlook",
        "_parts",
        "_providers",
        "_ready",
        "_seats",
        "candidates",
        "group",
        "max_attempts",
    )

    def __init__(
        self,
        group: Group,
        ready: Ready,
        outlook: Outlook,
        cursors: Cursors,
        *,
        part: frozenset[str] | None = None,
        whole: "Plan | None" = None,
    ) -> None:
        self.group = group
        self.max_attempts = group.max_attempts
        self.candidates: tuple[Candidate, ...] = tuple(
            member for member in group.members if part is None or member.provider in part
        )
        self._ready = ready
        self._all_ready = outlook.all_ready or self._each_ready
        self._outlook = outlook
        self._cursors = cursors
        self._cursor = cursors.of(part)
        if self._cursor.members != self.candidates:
            self._cursor.follow(self.candidates)
        self._parts: dict[frozenset[str], Plan] = {}
        seats = [
            Seat(candidate, at, outlook, self._cursor, tiered=self.tiered)
            for at, candidate in enumerate(self.candidates)
        ]
        self._seats: tuple[Seat, ...] = tuple(self._arranged(seats, whole))
        self._providers = tuple(dict.fromkeys(seat.provider for seat in self._seats))

    def __repr__(self) -> str:
        names = ", ".join(candidate.provider for candidate in self.candidates)
        return f"<{type(self).__name__} of {self.group.name}: {names}>"

    @property
    def strategy(self) -> Strategy:
        """How the order is chosen."""
        return self.group.strategy

    @property
    def cursors(self) -> Cursors:
        """The turns, to be handed to the plan that follows this one."""
        return self._cursors

    @property
    def hedger(self) -> Hedger | None:
        """What says when a request is hedged; None when none is."""
        return self._cursors.hedger

    def within(self, providers: frozenset[str]) -> "Plan":
        """Return the plan over some of the group's providers only, with turns of its own.

        Those that cannot take a request for what it is (they speak another dialect, say) must not
        use up turns, or their neighbours would get twice their share.

        Args:
            providers: The providers that may be asked.
        """
        part = self._parts.get(providers)
        if part is None:
            part = type(self)(
                self.group, self._ready, self._outlook, self._cursors, part=providers, whole=self
            )
            self._parts[providers] = part
        return part

    def order(self, now: float) -> Sequence[Candidate]:
        """Return the candidates in the order for the next request, and use up its turn.

        Those who would take a request come before those who would not. When nobody would, panic:
        every ``PANIC_INTERVAL`` seconds one request is let through to one of those whom a breaker
        keeps back, each in turn, ahead of its time. (Envoy's panic threshold, which ignores health
        when too few are healthy, brought down to its least: all are open, one is probed.) It is a
        regular probe of the breaker's, so it also ends the outage for all. What a 429 or a person
        keeps back is left alone.

        Args:
            now: The present time.
        """
        return self._all(now) if self._all_ready(self._providers, now) else self._order_some(now)

    def prepare(self, now: float) -> None:  # noqa: B027 - most strategies have nothing to prepare
        """Look at the members anew; the manager does so when it has made the plan.

        Args:
            now: The present time.
        """

    def standing(self, now: float) -> list[Place]:
        """Return how the members stand, first choice first, and why. Uses up no turn.

        Args:
            now: The present time.
        """
        up = [seat for seat in self._seats if self._ready(seat.provider, now)]
        kept_back = [seat for seat in self._seats if seat not in up]
        return [self._place(seat, now) for seat in [*self._preferred(up, now), *kept_back]]

    def panics(self, now: float) -> bool:
        """Tell whether no member would take a request, of all or of a part that is asked alone.

        That all were told to wait by a 429 is no panic: the time when they may be asked is known.

        Args:
            now: The present time.
        """
        parts = [part for part in self._parts.values() if part.candidates]
        return any(part.is_shut(now) for part in parts or [self])

    def is_shut(self, now: float) -> bool:
        """Tell whether none of its own members would take a request, not only because of 429s.

        Args:
            now: The present time.
        """
        status = self._outlook.status
        return not any(self._ready(provider, now) for provider in self._providers) and any(
            status(provider, now) != "rate_limited" for provider in self._providers
        )

    def _arranged(self, seats: list[Seat], whole: "Plan | None") -> list[Seat]:
        """Return the members in an order that holds until the plan is remade."""
        del whole
        return sorted(seats, key=lambda seat: seat.tier) if self.tiered else seats

    def _all(self, now: float) -> Sequence[Candidate]:
        """Return the order when everybody would take a request."""
        return self._some(self._seats, now) if self._seats else ()

    @abstractmethod
    def _some(self, seats: Sequence[Seat], now: float) -> Sequence[Candidate]:
        """Return the order among some, at least one, and use up a turn."""

    def _preferred(self, seats: Sequence[Seat], now: float) -> list[Seat]:
        """Return the order among some as far as it can be told, without using up a turn."""
        return sorted(seats, key=lambda seat: (seat.tier, self._score(seat, now) or 0.0, seat.at))

    def _score(self, seat: Seat, now: float) -> float | None:
        """Return what the strategy goes by, the least first; None where it goes by no number."""
        del seat, now
        return None

    def _each_ready(self, providers: Sequence[str], now: float) -> bool:
        return all(self._ready(provider, now) for provider in providers)

    def _order_some(self, now: float) -> Sequence[Candidate]:
        ready = self._ready
        up = [seat for seat in self._seats if ready(seat.provider, now)]
        if not up:
            probed = self._probe(now)
            if probed is None:
                return self._all(now)
            up = [probed]
        others = [seat.candidate for seat in self._seats if seat not in up]
        return [*self._some(up, now), *others]

    def _probe(self, now: float) -> Seat | None:
        """Let one member that is kept back be tried ahead of its time, each in turn."""
        cursor = self._cursor
        if now < cursor.panic_ends:
            return None
        seats = self._seats
        count = len(seats)
        for step in range(count):
            at = (cursor.next_probe + step) % count
            seat = seats[at]
            if self._outlook.hasten(seat.provider, now):
                cursor.panic_ends = now + PANIC_INTERVAL
                cursor.next_probe = at + 1
                self._cursors.probes += 1
                return seat
        return None

    def _place(self, seat: Seat, now: float) -> Place:
        is_ready = self._ready(seat.provider, now)
        status = self._outlook.status(seat.provider, now) or ("ready" if is_ready else "not_ready")
        return Place(
            provider=seat.provider,
            model=seat.candidate.model,
            status=status,
            score=self._score(seat, now),
            in_flight=seat.in_flight.count,
            first_token=seat.first_token.expected(now),
            weight=seat.weight,
            cost_tier=seat.candidate.cost_tier,
        )
