"""Streams that break and are continued by another provider.

Where a group wants it, a ``ResumableAnswer`` stands between the exchanges and the asker. A stream
that breaks is not broken off then: the run asks further providers to go on from what was sent, and
the asker sees one answer. What can be joined, and how, is the dialect's to know.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, Literal

import msgspec
import trio

from providers.failures import Failure, FailureKind
from providers.http import ResponseHead
from providers.interface import ForwardRequest
from providers.wire import Usage
from providers.wire.anthropic_continuation import AnthropicContinuation
from providers.wire.continuation import Continuation, Obstacle
from providers.wire.openai_continuation import OpenAIContinuation
from runtime.routing.answer import Answer
from runtime.routing.exchange import ExchangeResult
from runtime.routing.gave_up import GaveUp
from runtime.routing.hedge import HedgeTold
from runtime.routing.job import Job
from runtime.routing.means import Means
from runtime.routing.plan import Candidate

__all__ = ["JOINED", "NotResumed", "ResumableAnswer", "Resumption", "summed"]

_LOG = logging.getLogger("standby.routing")

NotResumed = Obstacle | Literal["nobody"]
"""Why a broken stream was not continued: what it held, or that nobody was left to do it."""

_JOINERS: Final[Mapping[str, type[Continuation]]] = MappingProxyType(
    {"openai": OpenAIContinuation, "anthropic": AnthropicContinuation}
)

JOINED: Final = frozenset(_JOINERS)
"""The dialects of askers in which streams can be joined."""

_FIRST_LOOK = 0.02
_PATIENCE = 10.0
"""Seconds: how soon and for how long to look whether those who are left can be asked now."""

_KEPT_BACK: Final = frozenset[FailureKind]({"rate_limited", "circuit_open"})


def summed(parts: Iterable[Usage | None]) -> Usage | None:
    """Return the tokens of all streams of one answer; None when none has told any.

    Args:
        parts: What each of their upstreams counted.
    """
    known = [each for each in parts if each is not None]
    if not known:
        return None
    names = Usage.__struct_fields__
    return Usage(**{name: sum(getattr(each, name) for each in known) for name in names})


class ResumableAnswer:
    """An answer that takes the streams of several providers for one: implements ``Answer``.

    Args:
        answer: Where the joined answer goes.
        job: The request.

    Attributes:
        broken: The present stream broke, and the asker has not been told.
        begun: Whether anything has gone to the asker.
        stream: What is sent.
    """

    __slots__ = ("_answer", "_head", "_job", "_message", "begun", "broken", "stream")

    def __init__(self, answer: Answer, job: Job) -> None:
        self._answer = answer
        self._job = job
        self._head: tuple[ResponseHead, str, int] | None = None
        self._message: str | None = None
        self.begun = False
        self.broken = False
        self.stream = _JOINERS[job.dialect](job.request.body)

    @property
    def hedged(self) -> bool:
        """Whether a second provider was asked; told also where nobody answers."""
        answer = self._answer
        return isinstance(answer, HedgeTold) and answer.hedged

    @hedged.setter
    def hedged(self, hedged: bool) -> None:
        if isinstance(self._answer, HedgeTold):
            self._answer.hedged = hedged

    def complete(self, head: ResponseHead, body: bytes, provider: str, attempts: int) -> None:
        """Send a whole plain answer: there is nothing to join."""
        self.begun = True
        self._answer.complete(head, body, provider, attempts)

    def begin(self, head: ResponseHead, events: bytes, provider: str, attempts: int) -> None:
        """Send the first events of a stream; a continuation is announced by a comment."""
        self.broken = False
        if self.begun:
            told = f": standby: continued by {provider} (attempt {attempts})\n\n".encode()
            self._answer.events(told + self.stream.feed(events))
            return
        self._head = head, provider, attempts
        self.events(events)

    def events(self, events: bytes) -> None:
        """Send further events, or hold them back."""
        joined = self.stream.feed(events)
        if not joined:
            return
        if self.begun:
            self._answer.events(joined)
        else:
            self._begin(joined)

    def finish(self, events: bytes) -> None:
        """Send the last events and end the stream properly."""
        self._finish(self.stream.feed(events))

    def break_off(self, message: str | None) -> None:
        """Take note that the present stream broke."""
        self.broken = True
        self._message = message

    @property
    def crowded(self) -> bool:
        """Whether to ``drain`` before more is sent."""
        return self._answer.crowded

    async def drain(self) -> None:
        """Wait until the asker has taken most of what was sent.

        Raises:
            AskerGone: When there is nobody left to take it.
        """
        await self._answer.drain()

    def cut(self) -> Obstacle | None:
        """Prepare for another provider's stream; return what speaks against one."""
        if not self.begun:
            # Nothing has gone out: the next answer is the first one.
            self._head = None
            self.stream = _JOINERS[self._job.dialect](self._job.request.body)
            return None
        return self.stream.cut()

    def supply_end(self) -> None:
        """End an answer that is whole but for its end."""
        self.broken = False
        self._finish(self.stream.ending())

    def give_up(self, error: bytes, message: str) -> None:
        """End the stream as broken.

        Args:
            error: The error event of a provider, to be passed on; empty for one of our own.
            message: What our own says.
        """
        self.broken = False
        if error:
            self._answer.events(error)
            self._answer.break_off(None)
        else:
            self._answer.break_off(message)

    @property
    def message(self) -> str:
        """What the stream broke of."""
        return self._message or "the upstream sent an error"

    def _begin(self, events: bytes) -> None:
        assert self._head is not None, "an exchange begins with a head"
        head, provider, attempts = self._head
        self.begun = True
        self._answer.begin(head, events, provider, attempts)

    def _finish(self, events: bytes) -> None:
        if not self.begun:
            self._begin(b"")
        self._answer.finish(events)


class Resumption:
    """The way of one broken stream to those who may continue it.

    Args:
        answer: The answer that broke.
        means: What requests are answered with.
        job: The request as the asker sent it.
        candidates: Who may be asked, in the order of the request.

    Attributes:
        resumed: How often another provider went on.
        not_resumed: Why the stream was not continued to its end; None when it was.
    """

    __slots__ = ("_answer", "_broke", "_candidates", "_job", "_means", "not_resumed", "resumed")

    def __init__(
        self, answer: ResumableAnswer, means: Means, job: Job, candidates: Sequence[Candidate]
    ) -> None:
        self._answer = answer
        self._means = means
        self._job = job
        self._candidates = candidates
        self._broke: set[str] = set()
        self.resumed = 0
        self.not_resumed: NotResumed | None = None

    async def go_on(
        self,
        provider: str,
        result: ExchangeResult,
        ask: Callable[[Candidate, Sequence[Candidate], Job], Awaitable[Failure | None]],
    ) -> bool:
        """Have one broken stream continued, until it breaks again or is over.

        Args:
            provider: Whose stream it was.
            result: What came of it.
            ask: Asks one of several candidates; returns what went wrong before its first token.

        Returns:
            Whether another provider went on.

        Raises:
            GaveUp: Nobody did, and nothing has reached the asker.
        """
        answer = self._answer
        failure = result.broken
        assert failure is not None, "the stream broke"
        if not _was_killed(failure):
            self._broke.add(provider)
        error = answer.stream.error
        begun = answer.begun
        obstacle = answer.cut()
        request_id = self._job.request.request_id
        if obstacle is not None:
            _LOG.info("%s: the stream of %s is not continued: %s", request_id, provider, obstacle)
            self.not_resumed = obstacle
            answer.give_up(error, answer.message)
            return False
        if answer.stream.whole:
            answer.supply_end()
            await answer.drain()
            result.broken = None
            result.delivered = True
            return False
        failures = [failure]
        left = [each for each in self._candidates if each.provider not in self._broke]
        # Another one first: the task of one that was killed is not back yet.
        left.sort(key=lambda each: each.provider == provider)
        candidates: Sequence[Candidate] = left
        waiting: dict[Candidate, float] = {}
        until = min(trio.current_time() + _PATIENCE, self._job.deadline)
        while candidates:
            for candidate in candidates:
                job = self._continued(candidate)
                if job is None:
                    continue
                try:
                    failed = await ask(candidate, candidates, job)
                except GaveUp as gave_up:
                    failures.append(gave_up.last)
                    waiting.clear()
                    break
                if failed is None:
                    self.resumed += begun
                    _LOG.info(
                        "%s: the stream of %s is continued by %s: %s",
                        request_id,
                        provider,
                        candidate.provider,
                        failure.message,
                    )
                    return True
                failures.append(failed)
                wait = _wait_after(failed)
                if wait is not None:
                    waiting[candidate] = trio.current_time() + wait
            candidates = await self._back(waiting, until)
        answer.broken = False
        self.not_resumed = "nobody"
        if not begun:
            raise GaveUp(failures, 0, provider)
        told = dict.fromkeys(f"{each.provider}: {each.message}" for each in failures[1:])
        others = "; ".join(told)
        message = f"{answer.message}; nobody could continue the answer"
        _LOG.info("%s: %s: %s", request_id, message, others or "there is no other provider")
        answer.give_up(error, f"{message}: {others}" if others else message)
        return False

    def _continued(self, candidate: Candidate) -> Job | None:
        """Return the request that has a candidate go on; None when it is not to be asked."""
        job = self._job
        upstream = self._means.upstream(candidate.provider)
        if upstream is None:
            return None
        settings = upstream.interface.settings
        body = job.request.body
        if self._answer.begun:
            model = candidate.model or job.request.model
            joiner = _JOINERS[upstream.interface.dialect.name]
            translated = job.dialect not in upstream.interface.spoken
            style = joiner.style(settings.resume_style, model, translated=translated)
            if style is None:
                return None
            body = self._answer.stream.request(style, translated=translated)
        request: ForwardRequest = msgspec.structs.replace(job.request, body=body)
        # What the asker waits for has begun: only the time of the whole request counts.
        return msgspec.structs.replace(
            job, request=request, answer_by=job.deadline, answer_by_whom=job.deadline_by
        )

    async def _back(self, waiting: dict[Candidate, float], until: float) -> Sequence[Candidate]:
        """Take out those who can be asked, as soon as there are any; none when that is too late.

        Args:
            waiting: Those who could not be asked, and from when on it is worth another try.
            until: How long to wait.
        """
        while waiting:
            now = trio.current_time()
            back = [each for each, due in waiting.items() if due <= now and self._runs(each)]
            if back:
                for each in back:
                    del waiting[each]
                return back
            due = max(now + _FIRST_LOOK, min(waiting.values()))
            if due >= until:
                break
            await trio.sleep_until(due)
        return ()

    def _runs(self, candidate: Candidate) -> bool:
        upstream = self._means.upstream(candidate.provider)
        return upstream is not None and upstream.actor.alive


def _was_killed(failure: Failure) -> bool:
    """Tell whether a provider's task was ended by others: that says nothing about its upstream."""
    return failure.kind == "provider_down" and not failure.crashed


def _wait_after(failure: Failure) -> float | None:
    """Return the seconds after which another try is worth it; None when none is.

    A killed task is brought back by its supervisor; who asked for patience, or is kept back by its
    breaker, has said for how long.

    Args:
        failure: Why a provider did not go on.
    """
    if _was_killed(failure):
        return _FIRST_LOOK
    if failure.kind in _KEPT_BACK and failure.retry_after is not None:
        return max(_FIRST_LOOK, failure.retry_after)
    return None
