"""The way of one request through its candidates: rounds, pauses, and when to give up.

A round goes through the candidates in the plan's order: the next provider is always tried before
the same one again. When a round has failed and some of its failures may pass, the run waits and
goes round again with those, within the request's deadline, its attempts and the retry budget.
"""

import itertools
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import trio

from providers.failures import Failure, FailureKind
from runtime.outcome import Finished
from runtime.routing.answer import Answer
from runtime.routing.breaker import Permit
from runtime.routing.exchange import ExchangeResult
from runtime.routing.gave_up import GaveUp
from runtime.routing.hedge import HedgeLeg, HedgeTold, MakeAttempt, Race
from runtime.routing.hedge_policy import Hedger
from runtime.routing.job import Job
from runtime.routing.leg import make_attempt
from runtime.routing.means import Means
from runtime.routing.plan import Candidate
from runtime.routing.refused import Refusal, Wider
from runtime.routing.resume import ResumableAnswer, Resumption, summed
from runtime.routing.retry import LONGEST_PAUSE
from runtime.routing.route import Route
from runtime.routing.upstream import Upstream
from runtime.routing.verdicts import judge

__all__ = ["Run"]

_FIRST_LOOK = 0.02
_LONGEST_LOOK = 0.25
_RESTART_PATIENCE = 10.0
"""Seconds: how soon, how seldom and for how long to look whether a provider's task is back."""

_MOST_DEATHS = 20
"""Attempts of one request that may end with their provider's task, beyond those it may make."""

_MOST_CRASHES = 2
"""Crashes of one provider's task, while it had this request, after which the request is suspected
of being their cause and is not given to that provider again."""

_FREE: frozenset[FailureKind] = frozenset({"provider_down", "queue_full"})
"""Failures of the daemon's own: going on after them adds no load to any upstream that failed, so
they are not paid for out of the retry budget."""


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
        "_charged",
        "_crashes",
        "_down_since",
        "_failures",
        "_hedger",
        "_job",
        "_means",
        "_refusal",
        "_result",
        "_resumable",
        "_resumption",
        "_route",
        "_superseded",
        "_tries",
        "attempts",
        "status",
    )

    def __init__(self, means: Means, job: Job, route: Route, answer: Answer) -> None:
        self._means = means
        self._job = job
        self._route = route
        self._resumable: ResumableAnswer | None = None
        if route.resume and job.request.stream:
            answer = self._resumable = ResumableAnswer(answer, job)
        self._resumption: Resumption | None = None
        self._answer = answer
        self._beside: tuple[Candidate, Failure] | None = None
        self._candidates: Sequence[Candidate] = ()
        self._failures: list[Failure] = []
        self._hedger: Hedger | None = None
        self._tries: dict[str, int] = {}
        self._charged = 0
        self._crashes: dict[str, int] = {}
        self._down_since: float | None = None
        self._refusal: tuple[Refusal, ExchangeResult] | None = None
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
        except GaveUp:
            if self._refusal is None:
                raise
            await self._deliver(*self._refusal)

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
                self._failed(Candidate(provider), broken.broken, broken)
                streams.append(broken)
                if not await resumption.go_on(provider, broken, ask):
                    self._result, self._asked = broken, provider
        except GaveUp:
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
        answer = self._answer
        self._result = result
        self._asked = refusal.provider
        self.status = refusal.head.status
        result.committed = result.served = True
        if refusal.stream:
            answer.begin(refusal.head, b"", refusal.provider, self.attempts)
            answer.finish(refusal.answer)
        else:
            answer.complete(refusal.head, refusal.answer, refusal.provider, self.attempts)
        await answer.drain()
        result.delivered = True

    async def _rounds(self) -> None:
        now = self._job.started
        self._means.budget.deposit(now)
        candidates = self._candidates = self._route.order(now)
        if self._route.hedge is not None and self._job.request.operation == "chat":
            hedger = self._hedger = self._route.hedge()
            if hedger is not None:
                hedger.deposit(now)
        rounds = 0
        wider: Wider | None = None
        while True:
            rounds += 1
            again: dict[Candidate, Failure] = {}
            for candidate in candidates:
                if wider is not None and not wider.admits(candidate):
                    continue
                failure = await self._try(candidate, candidates, wider)
                if failure is None:
                    return
                verdict = judge(failure, candidate.fallback_on)
                if not verdict.next_provider:
                    raise GaveUp([failure], self.attempts, self._asked)
                if failure.kind == "context_too_long":
                    wider = wider or Wider()
                    wider.note(failure, candidate)
                if verdict.same_provider and self._may_try_again(candidate):
                    again[candidate] = failure
            await self._pause(rounds, list(again.values()))
            candidates = list(again)

    def _give_up(self) -> GaveUp:
        failures = self._failures
        if not failures:
            nobody = self._job.group or self._job.request.model
            return GaveUp([Failure("not_configured", nobody, "there is no provider to ask")], 0)
        # The asker is told of the last exchange; a provider passed over explains less.
        tried = [failure for failure in failures if failure.provider in self._tries]
        # And a refusal by a content filter says more than the trouble others were in.
        tried.sort(key=lambda failure: failure.kind == "content_filter")
        passed = [failure for failure in failures if failure.provider not in self._tries]
        soonest = self._means.soonest(self._candidates, trio.current_time())
        return GaveUp([*passed, *tried], self.attempts, self._asked, soonest)

    def _exhausted(self) -> bool:
        """Tell whether the attempts are used up; those that died with their own task count less."""
        most = self._route.max_attempts
        return self._charged >= most or self.attempts >= most + _MOST_DEATHS

    def _may_try_again(self, candidate: Candidate) -> bool:
        upstream = self._means.upstream(candidate.provider)
        return (
            upstream is not None
            and self._tries.get(candidate.provider, 0) < upstream.retry.max_attempts
            and self._crashes.get(candidate.provider, 0) < _MOST_CRASHES
        )

    async def _pause(self, rounds: int, failures: Sequence[Failure]) -> None:
        """Wait before another round, or give up.

        Args:
            rounds: Rounds made.
            failures: What became of those who may be tried again.
        """
        now = trio.current_time()
        if not failures:
            raise self._give_up()
        others = [failure for failure in failures if failure.kind != "provider_down"]
        pauses = [failure.retry_after for failure in others if failure.retry_after is not None]
        if len(pauses) < len(others):
            # Nobody who may be asked soon is kept waiting for one that asked for patience.
            self._down_since = None
            delay = self._means.policy.delay(rounds)
        elif len(others) < len(failures) and self._still_patient(now):
            # Their own supervisor is bringing them back; no upstream is any the worse for it.
            delay = min(_FIRST_LOOK * rounds, _LONGEST_LOOK)
        elif pauses:
            delay = self._means.policy.delay(rounds, min(pauses))
        else:
            raise self._give_up()
        if self._exhausted() or delay > LONGEST_PAUSE or now + delay >= self._job.answer_by:
            raise self._give_up()
        await trio.sleep(delay)

    def _still_patient(self, now: float) -> bool:
        """Tell whether to go on looking for providers whose tasks are being restarted."""
        if self._down_since is None:
            self._down_since = now
        return now < self._down_since + _RESTART_PATIENCE

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
            return self._note(Failure("not_configured", candidate.provider, "not configured"))
        if self._exhausted():
            raise self._give_up()
        job = self._job
        if now >= job.answer_by:
            waited = f"{job.answer_by - job.started:g} s ({job.answer_by_whom})"
            up = f"not asked: the request's time was up after {waited}"
            self._note(Failure("deadline", candidate.provider, up))
            raise self._give_up()
        if not upstream.actor.alive:
            down = "its task is being restarted"
            return self._note(Failure("provider_down", candidate.provider, down))
        permit = means.permit(upstream, now)
        if isinstance(permit, Failure):
            return self._note(permit)
        if self._charged and not means.budget.withdraw(now):
            permit.release()
            raise self._give_up()
        self.attempts += 1
        self._asked = candidate.provider
        hedger = self._hedger
        if hedger is not None:
            stream = job.request.stream
            delay = hedger.delay(candidate.provider, candidate.model, now, stream=stream)
            if delay is not None and now + delay < job.answer_by:
                stand_in = partial(self._stand_in, candidate, candidates, wider, hedger)
                attempt = self._attempt(upstream, candidate, permit, now)
                return await self._hedged(candidate, attempt, delay, stand_in)
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
        return self._failed(candidate, failure, result)

    def _failed(self, candidate: Candidate, failure: Failure, result: ExchangeResult) -> Failure:
        """Note what went wrong with an attempt."""
        if type(failure) is Refusal:
            self._refusal = failure, result
        if failure.kind not in _FREE:
            self._charged += 1
            self._tries[candidate.provider] = self._tries.get(candidate.provider, 0) + 1
        if failure.crashed:
            self._crashes[candidate.provider] = self._crashes.get(candidate.provider, 0) + 1
        return self._note(failure)

    def _attempt(
        self, upstream: Upstream, candidate: Candidate, permit: Permit, started: float
    ) -> MakeAttempt:
        """Return what makes the newest attempt as a leg of a hedged one."""
        number = self.attempts

        def attempt(leg: HedgeLeg) -> Awaitable[Failure | None]:
            return make_attempt(
                self._means,
                self._job,
                upstream,
                candidate,
                permit=permit,
                started=started,
                number=number,
                answer=leg,
                result=leg.result,
                leg=leg,
            )

        return attempt

    async def _hedged(
        self,
        candidate: Candidate,
        attempt: MakeAttempt,
        delay: float,
        stand_in: Callable[[], tuple[Candidate, MakeAttempt] | None],
    ) -> Failure | None:
        """Try one candidate, and another one beside it when it is late.

        Args:
            candidate: The candidate.
            attempt: Makes the attempt at it.
            delay: Seconds it has.
            stand_in: Finds the other one.

        Returns:
            What went wrong with the candidate, or None when the asker has its answer.
        """
        race = Race(self._answer, self.attempts)
        first, second = race.first, race.second
        beside: list[Candidate] = []

        def hedge() -> MakeAttempt | None:
            found = stand_in()
            if found is None:
                return None
            beside.append(found[0])
            return found[1]

        try:
            await race.run(attempt, delay, hedge)
        finally:
            leg, asked = first, candidate
            if race.winner is second:
                leg, asked = second, beside[0]
            self._result = leg.result
            self._asked = asked.provider
            self._superseded = first.superseded + second.superseded
        if race.winner is not None and leg.failure is None:
            self.status = leg.result.status or 200
            return None
        failures = {}
        for each, by in zip((candidate, *beside), (first, second), strict=False):
            if by.failure is not None:
                failures[each] = self._failed(each, by.failure, by.result)
        if beside and beside[0] in failures:
            self._asked = beside[0].provider
            self._beside = beside[0], failures[beside[0]]
        return failures.get(candidate)

    def _stand_in(
        self,
        late: Candidate,
        candidates: Sequence[Candidate],
        wider: Wider | None,
        hedger: Hedger,
    ) -> tuple[Candidate, MakeAttempt] | None:
        """Find whom to ask beside a candidate that is late: the next one, of another provider."""
        now = trio.current_time()
        most = self._route.max_attempts
        if self._charged + 1 >= most or now >= self._job.answer_by or not hedger.affords(now):
            return None
        means = self._means
        following = itertools.dropwhile(lambda each: each is not late, candidates)
        for candidate in following:
            upstream = means.upstream(candidate.provider)
            if (
                candidate.provider == late.provider
                or upstream is None
                or not upstream.actor.alive
                or (wider is not None and not wider.admits(candidate))
            ):
                continue
            permit = means.permit(upstream, now)
            if isinstance(permit, Failure):
                continue
            hedger.withdraw(now)
            self._hedger = None  # one hedge for a request
            self.attempts += 1
            if isinstance(self._answer, HedgeTold):
                self._answer.hedged = True
            return candidate, self._attempt(upstream, candidate, permit, now)
        return None

    def _note(self, failure: Failure) -> Failure:
        self._failures.append(failure)
        return failure

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
            ok = result.broken is None
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
            )
        )
