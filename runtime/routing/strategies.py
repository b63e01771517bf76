"""The strategies: how the order among those who may be asked is chosen."""

from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar, Final, overload

from runtime.routing.group import Candidate, Group
from runtime.routing.ordering import Plan, Seat
from runtime.routing.outlook import Outlook, Ready
from runtime.routing.turns import Cursors
from runtime.routing.weights import by_weight, tiers, together, turn_of

__all__ = [
    "AdaptivePlan",
    "CostOptimizedPlan",
    "FastestFirstPlan",
    "HealthAwarePlan",
    "LoadBalancedPlan",
    "PriorityPlan",
    "RoundRobinPlan",
]

_LOOK_EVERY: Final = 20
"""Of how many requests at most one begins with another member just to see how that one is."""

_HEALTH_STEP: Final = 0.05
"""Differences of health below this change no order: scores tremble with every request."""


class PriorityPlan(Plan):
    """The members as listed: the second is asked when the first fails or is passed over."""

    __slots__ = ()

    def _all(self, now: float) -> Sequence[Candidate]:
        del now
        return self.candidates

    def _some(self, seats: Sequence[Seat], now: float) -> list[Candidate]:
        del now
        return [seat.candidate for seat in seats]


class RoundRobinPlan(Plan):
    """Each request begins with the next member, in strict rotation.

    Members that are not ready are passed over without using up a turn of those that are: of three
    with one down, the other two alternate, where a plain rotation would give one of them two
    turns of three. When none is ready the rotation goes through all.
    """

    __slots__ = ("_rotations",)

    def __init__(
        self,
        group: Group,
        ready: Ready,
        outlook: Outlook,
        cursors: Cursors,
        *,
        part: frozenset[str] | None = None,
        whole: Plan | None = None,
    ) -> None:
        super().__init__(group, ready, outlook, cursors, part=part, whole=whole)
        members = self.candidates
        self._rotations = tuple(members[at:] + members[:at] for at in range(len(members)))

    def _all(self, now: float) -> Sequence[Candidate]:
        del now
        rotations = self._rotations
        if not rotations:
            return ()
        cursor = self._cursor
        at = cursor.at
        cursor.at = (at + 1) % len(rotations)
        return rotations[at]

    def _some(self, seats: Sequence[Seat], now: float) -> list[Candidate]:
        turned = self._preferred(seats, now)
        self._cursor.at = (turned[0].at + 1) % len(self.candidates)
        return [seat.candidate for seat in turned]

    def _preferred(self, seats: Sequence[Seat], now: float) -> list[Seat]:
        del now
        at = self._cursor.at
        return [seat for seat in seats if seat.at >= at] + [seat for seat in seats if seat.at < at]


class _Drawn(Sequence[Candidate]):
    """An order of which only the first is known; the others are ranked when somebody looks.

    Nearly every request is answered by the first.
    """

    __slots__ = ("_first", "_rank", "_whole")

    def __init__(self, first: Candidate, rank: Callable[[], list[Candidate]]) -> None:
        self._first = first
        self._rank = rank
        self._whole: list[Candidate] | None = None

    def _ranked(self) -> list[Candidate]:
        whole = self._whole
        if whole is None:
            whole = self._whole = self._rank()
        return whole

    def __iter__(self) -> Iterator[Candidate]:
        yield self._first
        yield from self._ranked()[1:]

    def __len__(self) -> int:
        return len(self._ranked())

    @overload
    def __getitem__(self, at: int) -> Candidate: ...

    @overload
    def __getitem__(self, at: slice) -> list[Candidate]: ...

    def __getitem__(self, at: int | slice) -> Candidate | list[Candidate]:
        return self._ranked()[at]


class LoadBalancedPlan(Plan):
    """Each member begins as many requests as its weight says, evenly spread.

    Smooth weighted round robin, as in nginx (``ngx_http_upstream_round_robin.c``): with every
    request each member's credit grows by its weight; the one with the most has its turn and pays
    the sum of all weights. In every such sum of requests each has exactly its share, and the turns
    of a heavy member do not come in a row. Those who are not ready neither earn nor pay. When
    others take turns than before, or by other weights, what each has in hand is as many turns as
    it was, of another sum.

    Those to follow, should the first fail, are drawn by weight without replacement (Efraimidis and
    Spirakis, 2006), so that the load of one that fails is spread as well.
    """

    __slots__ = ()

    def _some(self, seats: Sequence[Seat], now: float) -> Sequence[Candidate]:
        del now
        count = len(seats)
        if count == 1:
            return [seats[0].candidate]
        tier = seats[0].tier
        if seats[-1].tier != tier:
            # Whose turn it is matters among the cheapest only; the dearer stand in for them.
            count = sum(seat.tier == tier for seat in seats)
        first = turn_of(seats[:count])
        fraction = self._outlook.fraction
        return _Drawn(first.candidate, lambda: by_weight(first, seats, fraction))

    def _arranged(self, seats: list[Seat], whole: Plan | None) -> list[Seat]:
        arranged = super()._arranged(seats, whole)
        for same in tiers(arranged):
            whole_tier = together(same)
            for seat in same:
                seat.peers, seat.together = len(same), whole_tier
        return arranged

    def _preferred(self, seats: Sequence[Seat], now: float) -> list[Seat]:
        del now
        preferred = []
        for same in tiers(seats):
            whole = together(same)
            ranked = sorted((-seat.turn.within(whole) - seat.weight, seat.at) for seat in same)
            places = {seat.at: seat for seat in same}
            preferred += [places[at] for _, at in ranked]
        return preferred

    def _score(self, seat: Seat, now: float) -> float:
        del now
        return seat.turn.within(seat.together) + seat.weight


class CostOptimizedPlan(LoadBalancedPlan):
    """The cheapest tier first, and within a tier each by its weight; unknown cost comes last.

    A dearer tier is asked when every member of the cheaper ones has failed or is passed over.
    """

    tiered: ClassVar[bool] = True
    __slots__ = ()


class _MeasuredPlan(Plan):
    """What plans by the time to the first token share: now and then, a look at the others.

    Whoever is not asked is not measured, and one that got better would never be seen. At every
    rebalancing the members that were not measured since the last one are noted; of twenty requests
    at most one begins with one of those, if nothing is under way there.
    """

    rebalances: ClassVar[bool] = True
    __slots__ = ()

    def prepare(self, now: float) -> None:
        """Note who was not measured lately."""
        since = now - self.group.rebalance_interval
        looks = self._cursors.looks
        looks.clear()
        looks.update(seat.key for seat in self._seats if seat.first_token.measured_at <= since)

    def _look(self, ranked: list[Seat]) -> list[Candidate]:
        """Return the members as ranked, but for a look at one of them."""
        cursor = self._cursor
        since = cursor.since_look = cursor.since_look + 1
        looks = self._cursors.looks
        if looks and since >= _LOOK_EVERY:
            tier = ranked[0].tier
            for at, seat in enumerate(ranked):
                if at and seat.key in looks and seat.tier == tier and not seat.in_flight.count:
                    looks.discard(seat.key)
                    cursor.since_look = 0
                    ranked.insert(0, ranked.pop(at))
                    break
        return [seat.candidate for seat in ranked]


class FastestFirstPlan(_MeasuredPlan):
    """The member whose first token is to be expected soonest, first.

    The expectation is a peak-sensitive moving average (Finagle's Peak EWMA; see
    ``runtime.routing.first_token``): one slow answer is believed at once, good ones by and by.
    """

    __slots__ = ()

    def _some(self, seats: Sequence[Seat], now: float) -> list[Candidate]:
        if len(seats) == 1:
            return [seats[0].candidate]
        costs = [
            (seat.first_token.cost(now, seat.in_flight.count), at) for at, seat in enumerate(seats)
        ]
        costs.sort()
        return self._look([seats[at] for _, at in costs])

    def _score(self, seat: Seat, now: float) -> float:
        return seat.first_token.cost(now, seat.in_flight.count)


class AdaptivePlan(_MeasuredPlan):
    """Of two members drawn at random the less loaded one; for all that is equal, the cheaper tier.

    Load is the time to the first token to expect, times the attempts under way and this one:
    Finagle's ``PeakEwma`` and ``P2CPick``, status before load. The attempts under way tell of
    trouble before any time can. Two random choices (Mitzenmacher) rather than the best of all keep
    everybody from rushing to the same one on news that is a moment old. Those to follow come by
    load.
    """

    tiered: ClassVar[bool] = True
    __slots__ = ()

    def _all(self, now: float) -> Sequence[Candidate]:
        seats = self._seats
        count = len(seats)
        if count < 2 or seats[-1].tier != seats[0].tier or self._cursors.looks:
            return super()._all(now)
        self._cursor.since_look += 1
        fraction = self._outlook.fraction
        one = int(fraction() * count)
        other = int(fraction() * (count - 1))
        if other >= one:
            other += 1
        mine, theirs = seats[one], seats[other]
        here, there = mine.in_flight.count, theirs.in_flight.count
        load = mine.first_token.cost(now, here) * (here + 1)
        others_load = theirs.first_token.cost(now, there) * (there + 1)
        if (others_load, there, other) < (load, here, one):
            mine = theirs
        return _Drawn(mine.candidate, lambda: self._by_load(mine, now))

    def _by_load(self, first: Seat, now: float) -> list[Candidate]:
        """Return the members by load, but for the first."""
        ranked = []
        for at, seat in enumerate(self._seats):
            if seat is not first:
                ranked.append((self._score(seat, now), seat.in_flight.count, at))
        return [first.candidate, *(self._seats[entry[2]].candidate for entry in sorted(ranked))]

    def _some(self, seats: Sequence[Seat], now: float) -> list[Candidate]:
        if len(seats) == 1:
            return [seats[0].candidate]
        ranked = []
        for at, seat in enumerate(seats):
            under_way = seat.in_flight.count
            cost = seat.first_token.cost(now, under_way)
            ranked.append((seat.tier, cost * (under_way + 1), under_way, at))
        head = len(seats)
        if seats[-1].tier != seats[0].tier:
            head = sum(seat.tier == seats[0].tier for seat in seats)
        if head > 1:
            fraction = self._outlook.fraction
            one = int(fraction() * head)
            other = int(fraction() * (head - 1))
            if other >= one:
                other += 1
            first = ranked.pop(one if ranked[one] < ranked[other] else other)
            ranked.sort()
            ranked.insert(0, first)
        else:
            ranked.sort()
        return self._look([seats[entry[3]] for entry in ranked])

    def _score(self, seat: Seat, now: float) -> float:
        under_way = seat.in_flight.count
        return seat.first_token.cost(now, under_way) * (under_way + 1)


class HealthAwarePlan(Plan):
    """The healthiest first, in steps of 0.05; those below ``health_threshold`` last of all.

    The health scores are looked at when the group is made and at every rebalancing; in between the
    order stands, but for those who are not ready.

    Attributes:
        health: The scores that the order goes by, by provider.
    """

    rebalances: ClassVar[bool] = True
    __slots__ = ("_ranking", "health")

    def _arranged(self, seats: list[Seat], whole: Plan | None) -> list[Seat]:
        if isinstance(whole, HealthAwarePlan):
            self.health: dict[str, float] = whole.health
        else:
            self.health = {seat.provider: self._outlook.health(seat.provider) for seat in seats}
        least = self.group.health_threshold
        health = self.health

        def worse(seat: Seat) -> tuple[bool, int]:
            score = health[seat.provider]
            return score < least, -round(score / _HEALTH_STEP)

        ranked = sorted(seats, key=worse)
        self._ranking = tuple(seat.candidate for seat in ranked)
        return ranked

    def _all(self, now: float) -> Sequence[Candidate]:
        del now
        return self._ranking

    def _some(self, seats: Sequence[Seat], now: float) -> list[Candidate]:
        del now
        return [seat.candidate for seat in seats]

    def _preferred(self, seats: Sequence[Seat], now: float) -> list[Seat]:
        del now
        return list(seats)

    def _score(self, seat: Seat, now: float) -> float:
        del now
        return self.health[seat.provider]
