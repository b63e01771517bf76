"""The way of one request through its candidates: rounds, pauses, and when to give up.

A round goes through the candidates in the plan's order: the next provider is always tried before
the same one again. When a round has failed and some of its failures may pass, the run waits and
goes round again with those, within the request's deadline, its attempts and the retry budget.
"""

from collections.abc import Sequence

import trio

from providers.failures import Failure, FailureKind
from runtime.outcome import Finished
from runtime.routing.attempt import Answer, ExchangeResult, Job
from runtime.routing.gave_up import GaveUp
from runtime.routing.leg import make_attempt
from runtime.routing.means import Means
from runtime.routing.plan import Candidate
from runtime.routing.refused import Refusal, Wider
from runtime.routing.resolve import Route
from runtime.routing.retry import LONGEST_PAUSE
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
        "_candidates",
        "_charged",
        "_crashes",
        "_down_since",
        "_failures",
        "_job",
        "_means",
        "_refusal",
        "_result",
        "_route",
        "_tries",
        "attempts",
        "status",
    )

    def __init__(self, means: Means, job: Job, route: Route, answer: Answer) -> None:
        self._means = means
        self._job = job
        self._route = route
        self._answer = answer
        self._candidates: Sequence[Candidate] = ()
        self._failures: list[Failure] = []
        self._tries: dict[str, int] = {}
        self._charged = 0
        self._crashes: dict[str, int] = {}
        self._down_since: float | None = None
        self._refusal: tuple[Refusal, ExchangeResult] | None = None
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
        except GaveUp:
            if self._refusal is None:
                raise
            await self._deliver(*self._refusal)

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
        rounds = 0
        wider: Wider | None = None
        while True:
            rounds += 1
            again: dict[Candidate, Failure] = {}
            for candidate in candidates:
                if wider is not None and not wider.admits(candidate):
                    continue
                failure = await self._try(candidate)
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

    async def _try(self, candidate: Candidate) -> Failure | None:
        """Try one candidate; return what went wrong, or None when the asker has its answer."""
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
        result = self._result = ExchangeResult()
        failure = await make_attempt(
            means,
            self._job,
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
        if type(failure) is Refusal:
            self._refusal = failure, result
        if failure.kind not in _FREE:
            self._charged += 1
            self._tries[candidate.provider] = self._tries.get(candidate.provider, 0) + 1
        if failure.crashed:
            self._crashes[candidate.provider] = self._crashes.get(candidate.provider, 0) + 1
        return self._note(failure)

    def _note(self, failure: Failure) -> Failure:
        self._failures.append(failure)
        return failure

    def report(self) -> None:
        """Report the request, however it ended."""
        job = self._job
        result = self._result
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
            )
        )
