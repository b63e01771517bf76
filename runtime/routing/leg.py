"""One attempt at one provider, reported however it ends."""

import trio

from providers.actor import Trouble
from providers.failures import Failure
from providers.http import without_frames
from providers.rate_limits import exhausted_for
from runtime.outcome import Attempt, AttemptKind
from runtime.routing.answer import Answer
from runtime.routing.attempt import exchange
from runtime.routing.breaker import ALWAYS, Permit
from runtime.routing.breaker_actor import Outcome
from runtime.routing.crossing import Crossing, cross, uncounted
from runtime.routing.exchange import Exchange, ExchangeResult
from runtime.routing.hedge import HedgeLeg
from runtime.routing.job import Job
from runtime.routing.means import Means
from runtime.routing.plan import Candidate
from runtime.routing.upstream import Upstream
from runtime.routing.verdicts import VERDICTS

__all__ = ["make_attempt"]


async def make_attempt(
    means: Means,
    job: Job,
    upstream: Upstream,
    candidate: Candidate,
    *,
    permit: Permit,
    started: float,
    number: int,
    answer: Answer,
    result: ExchangeResult,
    leg: HedgeLeg | None = None,
) -> Failure | None:
    """Make one exchange and report it, also when it is cancelled.

    Args:
        means: Who hears of it.
        job: The request.
        upstream: The provider.
        candidate: What the plan says of it.
        permit: The breaker's permit; given back in every case.
        started: When the attempt began.
        number: The number of the attempt, from 1.
        answer: Where the answer goes.
        result: Where to write what happened, also when this is cancelled.
        leg: Which leg of a hedged attempt it is; None for one that cannot be hedged.

    Returns:
        What went wrong; None when the asker has its answer, be it one that broke off.
    """
    kind: AttemptKind = "cancelled"
    probe = None if permit is ALWAYS else _Probe(upstream, permit, started)
    closed = False
    request = job.request
    interface = upstream.interface
    under_way = upstream.in_flight
    under_way.count += 1
    crossing: Crossing | None = None
    counting = False
    try:
        if job.dialect not in interface.spoken:
            crossing = cross(job, interface, candidate.model)
            counting = request.operation == "count_tokens"
            answer = crossing.back(answer)
        await exchange(
            Exchange(
                job=job,
                provider=interface,
                actor=upstream.actor,
                model=candidate.model,
                number=number,
                started=started,
                answer=answer,
                on_first_token=None if probe is None else probe.prove,
                hold_refusal="content_filter" in candidate.fallback_on,
                gate=None if counting else upstream.gate,
                crossing=crossing,
            ),
            result,
        )
    except Failure as failure:
        kind = failure.kind
        upstream.actor.cast(Trouble(failure.message))
        refused = uncounted(failure) if counting else None
        if refused is not None:
            kind = "client_error"
            return refused
        if VERDICTS[kind].gate:
            now = trio.current_time()
            closed = upstream.gate.opens_in(now) == 0
            asked = failure.retry_after
            if not asked:
                # Some say it only in the headers of their limits.
                asked = exhausted_for(failure.upstream_headers) or None
            failure.retry_after = upstream.gate.refused(now, asked)
        return without_frames(failure)  # it is kept until the request is over
    else:
        kind = (result.judged or "ok") if result.broken is None else result.broken.kind
        result.served = True
        return None
    finally:
        under_way.count -= 1
        now = result.ended = trio.current_time()
        first = result.first_token
        if crossing is not None:
            result.dropped = crossing.dropped
        if result.delivered and kind == "cancelled":
            # The asker had all of it and left while the upstream's message was being ended.
            kind = result.judged or "ok"
            result.served = True
        attempt = Attempt(
            provider=candidate.provider,
            model=candidate.model or request.model,
            group=job.group,
            dialect=job.dialect,
            stream=request.stream,
            kind=kind,
            status=result.status,
            started=started,
            first_token=None if first is None else first - started,
            duration=now - started,
            usage=result.usage,
            number=number,
            request_id=request.request_id,
            operation=request.operation,
            proved=probe is not None and probe.proved,
            closed_gate="429" if closed else "headers" if result.foresaw else None,
            hedge=None if leg is None else leg.place,
            raced=None if leg is None else leg.raced,
        )
        means.tell(upstream, attempt)
        if kind == "ok" and leg is None:
            result.untold = attempt  # most requests are one message to telemetry, not two
        else:
            means.count(attempt)
        permit.release()


class _Probe:
    """An attempt that a breaker let through to see how its provider is.

    It need not last as long as its stream: the first token settles the question.
    """

    __slots__ = ("_permit", "_started", "_upstream", "proved")

    def __init__(self, upstream: Upstream, permit: Permit, started: float) -> None:
        self._upstream = upstream
        self._permit = permit
        self._started = started
        self.proved = False

    def prove(self) -> None:
        """Tell the breaker of the first token."""
        took = trio.current_time() - self._started
        self.proved = self._upstream.breaker.cast(Outcome("ok", self._started, took))
        if self.proved:
            # It counts as passed; held as well, it would take the place of another probe.
            self._permit.release()
