"""The attempt loop: from a request and its candidates to an answer or an honest no.

A round goes through the candidates in the plan's order: the next provider is always tried before
the same one again. When a round has failed and some of its failures may pass, the loop waits and
goes round again with those, within the request's deadline, its attempts and the retry budget.
"""

from collections.abc import Mapping, Sequence
from functools import partial

import trio

from providers.actor import Trouble
from providers.failures import Failure, FailureKind
from runtime.outcome import Attempt, AttemptKind, Finished
from runtime.routing.attempt import Answer, AskerGone, Exchange, ExchangeResult, Job, exchange
from runtime.routing.breaker import ALWAYS, Permit
from runtime.routing.breaker_actor import Outcome
from runtime.routing.breaker_view import BreakerView
from runtime.routing.gave_up import GaveUp
from runtime.routing.plan import Candidate
from runtime.routing.refused import Refusal, Wider
from runtime.routing.resolve import Route
from runtime.routing.retry import RetryBudget, RetryPolicy
from runtime.routing.upstream import Upstream
from runtime.routing.verdicts import VERDICTS, judge, status_of
from supervision import Ref, Table

__all__ = ["Forwarder"]

_LONGEST_PAUSE = 60.0
"""Seconds a request is held for a provider that asked for patience; beyond, the asker is told."""

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


class Forwarder:
    """Tries candidates until one answers; runs in the asker's task and has none of its own.

    Args:
        upstreams: The configured providers by name.
        breakers: The published state of their breakers.
        budget: What pays for attempts beyond the first.
        telemetry: Hears of attempts and finished requests.
        failover: Hears of attempts.
        policy: How long to wait between rounds.
    """

    def __init__(
        self,
        *,
        upstreams: Mapping[str, Upstream],
        breakers: Table[str, BreakerView],
        budget: RetryBudget,
        telemetry: Ref,
        failover: Ref,
        policy: RetryPolicy,
    ) -> None:
        self._upstreams = upstreams
        self._breakers = breakers
        self._budget = budget
        self._telemetry = telemetry
        self._failover = failover
        self._policy = policy

    async def forward(self, job: Job, route: Route, answer: Answer) -> None:
        """Get one request answered.

        Args:
            job: The request.
            route: Its candidates.
            answer: Where the answer goes.

        Raises:
            GaveUp: When nobody answered and nothing has reached the asker.
        """
        run = _Run(self, job, route, answer)
        try:
            await run.go()
        except GaveUp as gave_up:
            run.status = status_of(gave_up.last)
            raise
        except AskerGone:
            raise
        except Exception:
            run.status = 500
            raise
        finally:
            run.report()

    def permit(self, upstream: Upstream, now: float) -> Permit | Failure:
        """Ask gate and breaker for one attempt at a provider.

        Args:
            upstream: The provider.
            now: The present time.

        Returns:
            The permit, or why the provider is passed over.
        """
        name = upstream.interface.name
        closed_for = upstream.gate.opens_in(now)
        if closed_for:
            return Failure(
                "rate_limited",
                name,
                f"asked to be left alone for another {closed_for:.1f} s",
                retry_after=closed_for,
            )
        view = self._breakers.get(name)
        if view is None:
            return Failure("provider_down", name, "its breaker has not started")
        permit = view.acquire(now)
        if permit is None:
            return view.refusal(name, now)
        return permit

    def upstream(self, name: str) -> Upstream | None:
        """Return a provider by name."""
        return self._upstreams.get(name)

    @property
    def budget(self) -> RetryBudget:
        """What pays for attempts beyond the first."""
        return self._budget

    @property
    def policy(self) -> RetryPolicy:
        """How long to wait between rounds."""
        return self._policy

    def tell(self, upstream: Upstream, attempt: Attempt) -> None:
        """Report one attempt to whoever counts it."""
        upstream.breaker.cast(attempt)
        if attempt.group is not None:
            self._failover.cast(attempt)
        self._telemetry.cast(attempt)

    def tell_finished(self, finished: Finished) -> None:
        """Report one request to whoever counts it."""
        self._telemetry.cast(finished)


class _Run:
    """The way of one request through its candidates."""

    __slots__ = (
        "_answer",
        "_charged",
        "_crashes",
        "_down_since",
        "_ended",
        "_failures",
        "_forwarder",
        "_job",
        "_refusal",
        "_route",
        "_tries",
        "attempts",
        "result",
        "served_by",
        "status",
    )

    def __init__(self, forwarder: Forwarder, job: Job, route: Route, answer: Answer) -> None:
        self._forwarder = forwarder
        self._job = job
        self._route = route
        self._answer = answer
        self._failures: list[Failure] = []
        self._tries: dict[str, int] = {}
        self._charged = 0
        self._crashes: dict[str, int] = {}
        self._down_since: float | None = None
        self._refusal: tuple[Refusal, ExchangeResult] | None = None
        self._ended = 0.0
        self.attempts = 0
        self.served_by: str | None = None
        self.result: ExchangeResult | None = None
        self.status = 499
        """What the asker saw; 499, nginx's word for it, when the asker left before."""

    async def go(self) -> None:
        try:
            await self._rounds()
        except GaveUp:
            if self._refusal is None:
                raise
            await self._deliver(*self._refusal)

    async def _deliver(self, refusal: Refusal, result: ExchangeResult) -> None:
        """Send a refusal that was held back: nobody else has answered."""
        answer = self._answer
        self.result = result
        self.served_by = refusal.provider
        self.status = refusal.head.status
        result.committed = True
        if refusal.stream:
            answer.begin(refusal.head, b"", refusal.provider, self.attempts)
            answer.finish(refusal.answer)
        else:
            answer.complete(refusal.head, refusal.answer, refusal.provider, self.attempts)
        await answer.drain()
        result.delivered = True

    async def _rounds(self) -> None:
        now = self._job.started
        self._forwarder.budget.deposit(now)
        candidates = self._route.order(now)
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
                    raise GaveUp([failure], self.attempts)
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
        return GaveUp([*passed, *tried], self.attempts)

    def _exhausted(self) -> bool:
        """Tell whether the attempts are used up; those that died with their own task count less."""
        most = self._route.max_attempts
        return self._charged >= most or self.attempts >= most + _MOST_DEATHS

    def _may_try_again(self, candidate: Candidate) -> bool:
        upstream = self._forwarder.upstream(candidate.provider)
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
            delay = self._forwarder.policy.delay(rounds)
        elif len(others) < len(failures) and self._still_patient(now):
            # Their own supervisor is bringing them back; no upstream is any the worse for it.
            delay = min(_FIRST_LOOK * rounds, _LONGEST_LOOK)
        elif pauses:
            delay = self._forwarder.policy.delay(rounds, min(pauses))
        else:
            raise self._give_up()
        if self._exhausted() or delay > _LONGEST_PAUSE or now + delay >= self._job.deadline:
            raise self._give_up()
        await trio.sleep(delay)

    def _still_patient(self, now: float) -> bool:
        """Tell whether to go on looking for providers whose tasks are being restarted."""
        if self._down_since is None:
            self._down_since = now
        return now < self._down_since + _RESTART_PATIENCE

    async def _try(self, candidate: Candidate) -> Failure | None:
        """Try one candidate; return what went wrong, or None when the asker has its answer."""
        forwarder = self._forwarder
        now = trio.current_time()
        upstream = forwarder.upstream(candidate.provider)
        if upstream is None:
            return self._note(Failure("not_configured", candidate.provider, "not configured"))
        if self._exhausted():
            raise self._give_up()
        if now >= self._job.deadline:
            self._note(Failure("timeout", candidate.provider, "the request's time was up before"))
            raise self._give_up()
        if not upstream.actor.alive:
            down = "its task is being restarted"
            return self._note(Failure("provider_down", candidate.provider, down))
        permit = forwarder.permit(upstream, now)
        if isinstance(permit, Failure):
            return self._note(permit)
        if self._charged and not forwarder.budget.withdraw(now):
            permit.release()
            raise self._give_up()
        self.attempts += 1
        failure = await self._attempt(upstream, candidate, permit, now)
        if failure is None:
            return None
        if failure.kind not in _FREE:
            self._charged += 1
            self._tries[candidate.provider] = self._tries.get(candidate.provider, 0) + 1
        if failure.crashed:
            self._crashes[candidate.provider] = self._crashes.get(candidate.provider, 0) + 1
        return self._note(failure)

    def _note(self, failure: Failure) -> Failure:
        self._failures.append(failure)
        return failure

    async def _attempt(
        self, upstream: Upstream, candidate: Candidate, permit: Permit, started: float
    ) -> Failure | None:
        """Make one exchange and report it, also when it is cancelled."""
        job = self._job
        result = self.result = ExchangeResult()
        kind: AttemptKind = "cancelled"
        name = upstream.interface.name
        proved = None
        if permit is not ALWAYS:
            # A probe need not last as long as its stream: the first token settles the question.
            proved = partial(upstream.breaker.cast, Outcome("ok", started))
        under_way = upstream.in_flight
        under_way.count += 1
        try:
            await exchange(
                Exchange(
                    job=job,
                    provider=upstream.interface,
                    actor=upstream.actor,
                    model=candidate.model,
                    number=self.attempts,
                    started=started,
                    answer=self._answer,
                    on_first_token=proved,
                    hold_refusal="content_filter" in candidate.fallback_on,
                ),
                result,
            )
        except Failure as failure:
            kind = failure.kind
            if type(failure) is Refusal:
                self._refusal = failure, result
            upstream.actor.cast(Trouble(failure.message))
            if VERDICTS[kind].gate:
                now = trio.current_time()
                failure.retry_after = upstream.gate.refused(now, failure.retry_after)
            return failure
        else:
            kind = "ok" if result.broken is None else result.broken.kind
            self.served_by = name
            self.status = result.status or 200
            return None
        finally:
            under_way.count -= 1
            now = self._ended = trio.current_time()
            first = result.first_token
            if result.delivered and kind == "cancelled":
                # The asker had all of it and left while the upstream's message was being ended.
                kind = "ok"
                self.served_by = name
                self.status = result.status or 200
            self._forwarder.tell(
                upstream,
                Attempt(
                    provider=name,
                    model=candidate.model or job.request.model,
                    group=job.group,
                    dialect=job.dialect,
                    stream=job.request.stream,
                    kind=kind,
                    status=result.status,
                    started=started,
                    first_token=None if first is None else first - started,
                    duration=now - started,
                    usage=result.usage,
                    number=self.attempts,
                    request_id=job.request.request_id,
                    operation=job.request.operation,
                ),
            )
            permit.release()

    def report(self) -> None:
        """Report the request, however it ended."""
        job = self._job
        result = self.result
        served = self.served_by is not None
        first = result.first_token if served and result is not None else None
        self._forwarder.tell_finished(
            Finished(
                request_id=job.request.request_id,
                dialect=job.dialect,
                group=job.group,
                model=job.request.model,
                provider=self.served_by,
                attempts=self.attempts,
                status=self.status,
                ok=served and result is not None and result.broken is None,
                cancelled=self.status == 499,
                duration=(self._ended if served else trio.current_time()) - job.started,
                first_token=None if first is None else first - job.started,
                usage=result.usage if served and result is not None else None,
                stream=job.request.stream,
                operation=job.request.operation,
            )
        )
