"""The way of one request through its candidates: rounds, pauses, and when to give up.

A round goes through the candidates in the plan's order: the next provider is always tried before
the same one again. When a round has failed and some of its failures may pass, the run waits and
goes round again with those, within the request's deadline, its attempts and the retry budget.
"""

from collections.abc import Sequence

import trio

from providers.failures import Failure
from providers.wire import AnswerFault
from runtime.outcome import Finished
from runtime.routing.answer import Answer
from runtime.routing.exchange import ExchangeResult
from runtime.routing.gave_up import GaveUp
from runtime.routing.hedge_policy import Hedger
from runtime.routing.hedged import HedgedTry, Permitted
from runtime.routing.job import Job
from runtime.routing.leg import make_attempt
from runtime.routing.means import Means
from runtime.routing.plan import Candidate
from runtime.routing.refused import Refusal, Wider
from runtime.routing.resume import JOINED, ResumableAnswer, Resumption, summed
from runtime.routing.route import Route
from runtime.routing.setbacks import Setbacks
from runtime.routing.verdicts import judge

__all__ = ["Run"]

_MOST_DEATHS = 20
"""Attempts of one request that may end with their provider's task, beyond those it may make."""


class Run:
    """The way of one request through its candidates.

    Args:
        means: What requests are answered with.
        job: The request.
        route: Its candidates.
        answer: Where the answer goes.

    Attributes:
        attempts: Attempts made.
        status: What the asker saw; 499, nginx's word for it, when the asker left before.
    """

    __slots__ = (
        "_answer",
        "_asked",
        "_beside",
        "_candidates",
        "_hedger",
        "_job",
        "_means",
        "_result",
        "_resumable",
        "_resumption",
        "_route",
        "_setbacks",
        "_superseded",
        "attempts",
        "status",
    )

    def __init__(self, means: Means, job: Job, route: Route, answer: Answer) -> None:
        self._means = means
        self._job = job
        self._route = route
        self._resumable: ResumableAnswer | None = None
        if route.resume and job.request.stream and job.dialect in JOINED:
            answer = self._resumable = ResumableAnswer(answer, job)
        self._resumption: Resumption | None = None
        self._answer = answer
        self._beside: tuple[Candidate, Failure] | None = None
        self._candidates: Sequence[Candidate] = ()
        self._hedger: Hedger | None = None
        self._setbacks: Setbacks | None = None
        self._superseded = 0
        self.attempts = 0
        self._asked = ""
        self._result: ExchangeResult | None = None
        self.status = 499

    async def go(self) -> None:
        """Try until the asker has an answer.

        Raises:
            GaveUp: Nobody answered, and nothing has reached the asker.
            AskerGone: The asker left.
        """
        try:
            await self._rounds()
            if self._resumable is not None and self._resumable.broken:
                await self._resume(self._resumable)
        except GaveUp as gave_up:
            setbacks = self._setbacks
            if setbacks is None or setbacks.refusal is None:
                raise
            try:
                await self._deliver(*setbacks.refusal)
            except AnswerFault:
                raise gave_up from None  # it cannot be translated, and nothing of it was sent

    async def _resume(self, answer: ResumableAnswer) -> None:
        """Have a stream that broke continued by others, as often as it takes."""
        self._hedger = None
        job = self._job
        streams: list[ExchangeResult] = []
        resumption = self._resumption = Resumption(answer, self._means, job, self._candidates)

        async def ask(
            candidate: Candidate, candidates: Sequence[Candidate], job: Job
        ) -> Failure | None:
            self._job = job
            return await self._try(candidate, candidates, None)

        try:
            while answer.broken:
                broken, provider = self._result, self._asked
                assert broken is not None
                assert broken.broken is not None
                self._had().failed(Candidate(provider), broken.broken, broken)
                streams.append(broken)
                if not await resumption.go_on(provider, broken, ask):
                    self._result, self._asked = broken, provider
        except GaveUp:
            if self._result is not None and self._result.untold is not None:
                self._means.count(self._result.untold)
            self._result = None  # whatever was served has not reached the asker
            raise
        finally:
            self._job = job
        last = self._result
        if last is not None and resumption.resumed:
            last.first_token = streams[0].first_token
            others = [each.usage for each in streams if each is not last]
            last.usage = summed([*others, last.usage])

    async def _deliver(self, refusal: Refusal, result: ExchangeResult) -> None:
        """Send a refusal that was held back: nobody else has answered."""
        answer: Answer = self._answer
        if refusal.crossing is not None:
            answer = refusal.crossing.back(answer)
        if refusal.stream:
            answer.begin(refusal.head, b"", refusal.provider, self.attempts)
            answer.finish(refusal.answer)
        else:
            answer.complete(refusal.head, refusal.answer, refusal.provider, self.attempts)
        self._result = result
        self._asked = refusal.provider
        self.status = refusal.head.status
        result.committed = result.served = True
        await answer.drain()
        result.delivered = True

    async def _rounds(self) -> None:
        route = self._route
        now = self._job.started
        self._means.budget.deposit(now)
        candidates = self._candidates = route.order(now)
        if route.hedge is not None and self._job.request.operation == "chat":
            hedger = self._hedger = route.hedge()
            if hedger is not None:
                hedger.deposit(now)
        rounds = 0
        later: dict[Candidate, Failure] | None = None
        wider: Wider | None = None
        while True:
            rounds += 1
            again: dict[Candidate, Failure] | None = None
            for candidate in candidates:
                if wider is not None and not wider.admits(candidate):
                    continue
                failure = await self._try(candidate, candidates, wider)
                if failure is None:
                    return
                if self._route.once and self.attempts:
                    raise await self._give_up()
                verdict = judge(failure, candidate.fallback_on)
                if not verdict.next_provider:
                    raise GaveUp([failure], self.attempts, self._asked)
                if failure.kind == "context_too_long":
                    wider = wider or Wider()
                    wider.note(failure, candidate)
                if verdict.same_provider and self._had().may_try_again(candidate):
                    again = again or {}
                    again[candidate] = failure
            again = again or {}
            if later:
                again |= later
                again = {each: again[each] for each in self._candidates if each in again}
            await self._pause(rounds, list(again.values()))
            now, due = trio.current_time(), self._had().pauses.due
            candidates = [each for each, failure in again.items() if due(failure, now)]
            later = {each: again[each] for each in again if each not in candidates}

    def _had(self) -> Setbacks:
        """Return what has gone wrong so far; made when something has for the first time."""
        setbacks = self._setbacks
        if setbacks is None:
            setbacks = self._setbacks = Setbacks(self._means, self._job)
        return setbacks

    async def _give_up(self) -> GaveUp:
        # A circuit that this very request has opened is a part of what the asker is told.
        await self._means.let_breakers_hear(self._candidates)
        return self._had().give_up(self._candidates, self.attempts, self._asked)

    def _exhausted(self) -> bool:
        """Tell whether the attempts are used up; those that died with their own task count less."""
        most = self._route.max_attempts
        setbacks = self._setbacks
        charged = 0 if setbacks is None else setbacks.charged
        return charged >= most or self.attempts >= most + _MOST_DEATHS

    async def _pause(self, rounds: int, failures: Sequence[Failure]) -> None:
        """Wait before another round, or give up.

        Args:
            rounds: Rounds made.
            failures: What became of those who may be tried again.
        """
        now = trio.current_time()
        setbacks = self._had()
        delay = setbacks.pauses.before(rounds, failures, now)
        if delay is None or self._exhausted() or now + delay >= self._job.answer_by:
            raise await self._give_up()
        if setbacks.owes and self._means.budget.refuses(now):
            raise await self._give_up()  # what nobody pays for is not waited for
        await trio.sleep(delay)

    async def _try(
        self, candidate: Candidate, candidates: Sequence[Candidate], wider: Wider | None
    ) -> Failure | None:
        """Try one candidate; return what went wrong, or None when the asker has its answer.

        Args:
            candidate: The candidate.
            candidates: Those of this round, it among them.
            wider: Tells who of them may take what was too long for others.
        """
        if self._beside is not None and self._beside[0] is candidate:
            # It was asked beside one before it, and failed as well.
            failed = self._beside[1]
            self._beside = None
            return failed
        means = self._means
        now = trio.current_time()
        upstream = means.upstream(candidate.provider)
        if upstream is None:
            return self._had().note(Failure("not_configured", candidate.provider, "not configured"))
        setbacks = self._setbacks
        if self._exhausted():
            raise await self._give_up()
        job = self._job
        if now >= job.answer_by:
            waited = f"{job.answer_by - job.started:g} s ({job.answer_by_whom})"
            up = f"not asked: the request's time was up after {waited}"
            self._had().note(Failure("deadline", candidate.provider, up))
            raise await self._give_up()
        if not upstream.actor.alive:
            down = "its task is being restarted"
            return self._had().note(Failure("provider_down", candidate.provider, down))
        permit = means.permit(upstream, now)
        if isinstance(permit, Failure):
            return self._had().note(permit)
        if setbacks is not None and setbacks.owes:
            if not means.budget.withdraw(now):
                permit.release()
                raise await self._give_up()
            setbacks.owes = False
        self.attempts += 1
        asked, self._asked = self._asked, candidate.provider
        hedger = self._hedger
        if hedger is not None:
            stream = job.request.stream
            delay = hedger.delay(candidate.provider, candidate.model, now, stream=stream)
            if delay is not None and now + delay < job.answer_by:
                first = Permitted(candidate, upstream, permit, now)
                hedged = await self._hedged(first, delay, candidates, wider, hedger)
                if hedged is not None:
                    self._take_back(hedged, asked)
                return hedged
        result = self._result = ExchangeResult()
        failure = await make_attempt(
            means,
            job,
            upstream,
            candidate,
            permit=permit,
            started=now,
            number=self.attempts,
            answer=self._answer,
            result=result,
        )
        if failure is None:
            self.status = result.status or 200
            return None
        self._take_back(failure, asked)
        return self._had().failed(candidate, failure, result)

    def _take_back(self, failure: Failure, asked: str) -> None:
        """Count no attempt where the request could not be put so that anybody was asked it.

        Args:
            failure: What became of the attempt that is in ``_result``.
            asked: Who had been asked before it.
        """
        result = self._result
        if failure.kind == "untranslatable" and result is not None and result.status is None:
            self.attempts -= 1
            self._asked = asked

    async def _hedged(
        self,
        first: Permitted,
        delay: float,
        candidates: Sequence[Candidate],
        wider: Wider | None,
        hedger: Hedger,
    ) -> Failure | None:
        """Try one candidate, and another one beside it when it is late.

        Args:
            first: The candidate.
            delay: Seconds it has.
            candidates: Those of this round, it among them.
            wider: Tells who of them may take what was too long for others.
            hedger: Pays for the other one.

        Returns:
            What went wrong with the candidate, or None when the asker has its answer.
        """
        both = HedgedTry(
            self._means,
            self._job,
            self._answer,
            first=first,
            number=self.attempts,
            hedger=hedger,
        )
        charged = 0 if self._setbacks is None else self._setbacks.charged
        if charged + 1 >= self._route.max_attempts:
            candidates = ()
        try:
            await both.run(delay, candidates, wider)
        finally:
            told, result = both.told()
            self._result = result
            self._asked = told.provider
            self._superseded = both.superseded
            beside = both.beside
            if beside is not None:
                self._hedger = None  # one hedge for a request
                self.attempts += 1
        if both.served:
            self.status = result.status or 200
            return None
        failed = None
        for candidate, failure, of_it in both.failures():
            self._had().failed(candidate, failure, of_it)
            if candidate is beside:
                self._asked = candidate.provider
                self._beside = candidate, failure
            else:
                failed = failure
        return failed

    def report(self) -> None:
        """Report the request, however it ended."""
        job = self._job
        result = self._result
        resumption = self._resumption
        if result is not None and result.served:
            # The asker may have had all of it and left before the attempt was over.
            self.status = result.status or 200
            served: str | None = self._asked
            first, usage, ended = result.first_token, result.usage, result.ended
            ok = result.broken is None and result.judged is None
        else:
            served, first, usage, ok = None, None, None, False
            ended = trio.current_time()
        self._means.tell_finished(
            Finished(
                request_id=job.request.request_id,
                dialect=job.dialect,
                group=job.group,
                model=job.request.model,
                provider=served,
                attempts=self.attempts,
                status=self.status,
                ok=ok,
                cancelled=self.status == 499,
                duration=ended - job.started,
                first_token=None if first is None else first - job.started,
                usage=usage,
                stream=job.request.stream,
                operation=job.request.operation,
                superseded=self._superseded,
                resumed=0 if resumption is None else resumption.resumed,
                not_resumed=None if resumption is None else resumption.not_resumed,
                dropped=None if result is None else result.dropped,
                served=None if result is None else result.untold,
            )
        )
