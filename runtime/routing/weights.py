"""Turns by weight: whose is next, and the order of those to follow."""

import math
from collections.abc import Callable, Iterator, Sequence

from runtime.routing.group import Candidate
from runtime.routing.ordering import Seat

__all__ = ["by_weight", "tiers", "together", "turn_of"]


def turn_of(seats: Sequence[Seat]) -> Seat:
    """Give the next turn among some members of one tier.

    Args:
        seats: Those who may have it, at least one.
    """
    chosen = seats[0]
    whole = chosen.together if len(seats) == chosen.peers else together(seats)
    most = -math.inf
    for seat in seats:
        turn = seat.turn
        if turn.whole != whole:
            turn.credit = turn.within(whole)
            turn.whole = whole
        credit = turn.credit = turn.credit + seat.weight
        if credit > most:
            chosen, most = seat, credit
    chosen.turn.credit -= whole
    return chosen


def by_weight(first: Seat, seats: Sequence[Seat], fraction: Callable[[], float]) -> list[Candidate]:
    """Return one and the others after it, drawn tier by tier, the cheapest first.

    Args:
        first: The one.
        seats: All of them.
        fraction: Returns a random number from 0 to below 1.
    """
    chosen = [first.candidate]
    for same in tiers([seat for seat in seats if seat is not first]):
        chosen += [seat.candidate for seat in _drawn(same, fraction)]
    return chosen


def tiers(seats: Sequence[Seat]) -> Iterator[Sequence[Seat]]:
    """Yield the members of each tier.

    Args:
        seats: Some, the cheaper ones first.
    """
    while seats:
        tier = seats[0].tier
        same = [seat for seat in seats if seat.tier == tier]
        yield same
        seats = seats[len(same) :]


def together(seats: Sequence[Seat]) -> float:
    """Return the weights of some members together.

    Args:
        seats: The members.
    """
    return sum(seat.weight for seat in seats)


def _drawn(seats: Sequence[Seat], fraction: Callable[[], float]) -> list[Seat]:
    """Draw some by weight, without replacement."""
    if len(seats) == 2:
        # The first of two is either in proportion to its weight, which one draw decides.
        first, second = seats
        if fraction() * (first.weight + second.weight) < first.weight:
            return [first, second]
        return [second, first]
    keyed = [(-math.log(1.0 - fraction()) / seat.weight, at) for at, seat in enumerate(seats)]
    keyed.sort()
    return [seats[at] for _, at in keyed]
