"""A hedged try at a candidate: whom to ask beside it when it is late, and what came of both."""

import itertools
from collections.abc import Awaitable, Sequence
from typing import NamedTuple

import trio

from providers.failures import Failure
from runtime.routing.answer import Answer
from runtime.routing.breaker import Permit
from runtime.routing.crossing import cross
from runtime.routing.exchange import ExchangeResult
from runtime.routing.hedge import HedgeLeg, HedgeTold, MakeAttempt, Race
from runtime.routing.hedge_policy import Hedger
from runtime.routing.job import Job
from runtime.routing.leg import make_attempt
from runtime.routing.means import Means
from runtime.routing.plan import Candidate
from runtime.routing.refused import Wider
from runtime.routing.upstream import Upstream

__all__ = ["HedgedTry", "Permitted"]


class Permitted(NamedTuple):
    """A candidate that may be asked now.

    Attributes:
        candidate: The candidate.
        upstream: Its provider.
        permit: The breaker's permit for one attempt at it.
        started: When that attempt begins.
    """

    candidate: Candidate
    upstream: Upstream
    permit: Permit
    started: float


class HedgedTry:
    """One try at a candidate, with another one beside it when it is late.

    Args:
        means: What requests are answered with.
        job: The request.
        answer: Where the answer goes.
        first: Whom to ask.
        number: The number of that attempt, from 1.
        hedger: Pays for the attempt beside it.

    Attributes:
        beside: Who was asked beside it; None when nobody was.
    """

    __slots__ = ("_answer", "_first", "_hedger", "_job", "_means", "_number", "_race", "beside")

    def __init__(
        self,
        means: Means,
        job: Job,
        answer: Answer,
        *,
        first: Permitted,
        number: int,
        hedger: Hedger,
    ) -> None:
        self._means = means
        self._job = job
        self._answer = answer
        self._first = first
        self._number = number
        self._hedger = hedger
        self._race = Race(answer, number)
        self.beside: Candidate | None = None

    async def run(self, delay: float, candidates: Sequence[Candidate], wider: Wider | None) -> None:
        """Ask the candidate, and another one beside it when it is late.

        Args:
            delay: Seconds it has.
            candidates: Those of this round, it among them; none for no hedge.
            wider: Tells who of them may take what was too long for others.

        Raises:
            AskerGone: The asker left.
        """

        def hedge() -> MakeAttempt | None:
            found = self._stand_in(candidates, wider)
            if found is None:
                return None
            self.beside = found.candidate
            return self._attempt(found, self._number + 1)

        await self._race.run(self._attempt(self._first, self._number), delay, hedge)

    @property
    def served(self) -> bool:
        """Whether the asker has its answer."""
        winner = self._race.winner
        return winner is not None and winner.failure is None

    @property
    def superseded(self) -> int:
        """Attempts that were cancelled because the other one had answered."""
        return self._race.first.superseded + self._race.second.superseded

    def told(self) -> tuple[Candidate, ExchangeResult]:
        """Return whose answer the asker gets, and what came of it: the first one's, if nobody's."""
        race = self._race
        if race.winner is race.second and self.beside is not None:
            return self.beside, race.second.result
        return self._first.candidate, race.first.result

    def failures(self) -> list[tuple[Candidate, Failure, ExchangeResult]]:
        """Return who has failed, at what and how far it had come, the first one first."""
        race = self._race
        asked = ((self._first.candidate, race.first), (self.beside, race.second))
        return [
            (candidate, leg.failure, leg.result)
            for candidate, leg in asked
            if candidate is not None and leg.failure is not None
        ]

    def _attempt(self, asked: Permitted, number: int) -> MakeAttempt:
        """Return what makes an attempt as a leg of the race."""

        def attempt(leg: HedgeLeg) -> Awaitable[Failure | None]:
            return make_attempt(
                self._means,
                self._job,
                asked.upstream,
                asked.candidate,
                permit=asked.permit,
                started=asked.started,
                number=number,
                answer=leg,
                result=leg.result,
                leg=leg,
            )

        return attempt

    def _can_be_put(self, candidate: Candidate, upstream: Upstream) -> bool:
        """Tell whether the request can be put so that a member can be asked it.

        For one of another API it is put into that twice, then; it is one request of many that
        comes to this, and no second one is asked, paid for and told of that is none.
        """
        job, interface = self._job, upstream.interface
        if job.dialect in interface.spoken:
            return True
        try:
            cross(job, interface, candidate.model)
        except Failure:
            return False
        return True

    def _stand_in(self, candidates: Sequence[Candidate], wider: Wider | None) -> Permitted | None:
        """Find whom to ask beside the late one: the next one, of another provider."""
        now = trio.current_time()
        hedger = self._hedger
        if now >= self._job.answer_by or not hedger.affords(now):
            return None
        means = self._means
        late = self._first.candidate
        following = itertools.dropwhile(lambda each: each is not late, candidates)
        for candidate in following:
            upstream = means.upstream(candidate.provider)
            if (
                candidate.provider == late.provider
                or upstream is None
                or not upstream.actor.alive
                or (wider is not None and not wider.admits(candidate))
                or not self._can_be_put(candidate, upstream)
            ):
                continue
            permit = means.permit(upstream, now)
            if isinstance(permit, Failure):
                continue
            hedger.withdraw(now)
            if isinstance(self._answer, HedgeTold):
                self._answer.hedged = True
            return Permitted(candidate, upstream, permit, now)
        return None
