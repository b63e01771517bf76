"""What has gone wrong with a request so far, and what is left to do about it."""

from collections.abc import Sequence
from typing import Final

import trio

from providers.failures import Failure, FailureKind
from runtime.routing.exchange import ExchangeResult
from runtime.routing.gave_up import GaveUp
from runtime.routing.job import Job
from runtime.routing.means import Means
from runtime.routing.pauses import Pauses
from runtime.routing.plan import Candidate
from runtime.routing.refused import Refusal

__all__ = ["Setbacks"]

_MOST_CRASHES: Final = 2
"""Crashes of one provider's task, while it had this request, after which the request is suspected
of being their cause and is not given to that provider again."""

_FREE: Final[frozenset[FailureKind]] = frozenset({"provider_down", "queue_full", "untranslatable"})
"""Failures of the daemon's own: going on after them adds no load to any upstream that failed, so
they are not paid for out of the retry budget."""


class Setbacks:
    """The failures of one request; most requests have none, and then there is no such object.

    Args:
        means: What requests are answered with.
        job: The request.

    Attributes:
        charged: Attempts that failed and count against those the request may make.
        owes: Whether the next attempt is to be paid for: after the last one that was, an upstream
            has failed.
        pauses: How long to wait between its rounds.
        refusal: The latest answer in which a content filter refuses, and its exchange.
    """

    __slots__ = (
        "_crashes",
        "_exchanges",
        "_failures",
        "_job",
        "_means",
        "_tries",
        "charged",
        "owes",
        "pauses",
        "refusal",
    )

    def __init__(self, means: Means, job: Job) -> None:
        self._means = means
        self._job = job
        self._failures: list[Failure] = []
        self._exchanges: list[Failure] = []
        self._tries: dict[str, int] = {}
        self._crashes: dict[str, int] = {}
        self.charged = 0
        self.owes = False
        self.pauses = Pauses(means.policy_of)
        self.refusal: tuple[Refusal, ExchangeResult] | None = None

    def note(self, failure: Failure) -> Failure:
        """Take in why a candidate was passed over.

        Args:
            failure: Why; returned.
        """
        self._failures.append(failure)
        self.pauses.heard(failure, trio.current_time())
        return failure

    def failed(self, candidate: Candidate, failure: Failure, result: ExchangeResult) -> Failure:
        """Take in what went wrong with an attempt.

        Args:
            candidate: Who was asked.
            failure: What went wrong; returned.
            result: How far the exchange had come.
        """
        if type(failure) is Refusal:
            self.refusal = failure, result
        provider = candidate.provider
        if failure.kind not in _FREE:
            self.charged += 1
            self.owes = True
            self._tries[provider] = self._tries.get(provider, 0) + 1
        if failure.crashed:
            self._crashes[provider] = self._crashes.get(provider, 0) + 1
        self._exchanges.append(failure)
        return self.note(failure)

    def may_try_again(self, candidate: Candidate) -> bool:
        """Tell whether a candidate may be asked once more.

        Whoever would count tokens for another API is asked once: an estimate is there at once.

        Args:
            candidate: One that has failed.
        """
        provider = candidate.provider
        upstream = self._means.upstream(provider)
        job = self._job
        return (
            upstream is not None
            and (
                job.request.operation != "count_tokens" or job.dialect in upstream.interface.spoken
            )
            and self._tries.get(provider, 0) < upstream.retry.max_attempts
            and self._crashes.get(provider, 0) < _MOST_CRASHES
        )

    def give_up(self, candidates: Sequence[Candidate], attempts: int, asked: str) -> GaveUp:
        """Return what the asker is told when nothing is left to try.

        Args:
            candidates: All candidates of the request.
            attempts: Attempts made.
            asked: The provider that was asked last; empty when none was.
        """
        failures = self._failures
        if not failures:
            nobody = self._job.group or self._job.request.model
            return GaveUp([Failure("not_configured", nobody, "there is no provider to ask")], 0)
        # The asker is told of the last exchange; a provider passed over explains less, be it one
        # that had failed before and was kept back for it.
        tried = [failure for failure in self._exchanges if failure.provider in self._tries]
        # And a refusal by a content filter says more than the trouble others were in.
        tried.sort(key=lambda failure: failure.kind == "content_filter")
        passed = [failure for failure in failures if failure not in tried]
        soonest = self._means.soonest(candidates, trio.current_time())
        return GaveUp([*passed, *tried], attempts, asked, soonest)
