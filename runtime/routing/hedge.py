"""A hedged attempt: a second provider beside a late first one, and one answer of the two.

Each leg sends its answer through a gate of its own. The first that has something for the asker, its
first token or a whole plain answer, goes through; that moment the other is cancelled, which closes
its connection, and its gate stays shut. So nothing of two legs can ever reach the asker.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Literal, Protocol, runtime_checkable

import trio

from providers.failures import Failure
from providers.http import ResponseHead
from runtime.routing.answer import Answer
from runtime.routing.exchange import ExchangeResult

__all__ = ["HedgeLeg", "HedgeTold", "MakeAttempt", "Race", "Superseded"]

_LOG = logging.getLogger("standby.routing")


class Superseded(Exception):  # noqa: N818 - names the event; it is nobody's error
    """The other leg has answered: what this one has to say is not wanted any more."""


@runtime_checkable
class HedgeTold(Protocol):
    """An ``Answer`` that wants to know of a hedge.

    Attributes:
        hedged: Whether a second provider was asked; set before anything is sent.
    """

    hedged: bool


class HedgeLeg:
    """One of the two legs, and the gate in front of the asker: implements ``Answer``.

    Attributes:
        place: Which of the two it is; None when there is no second one.
        result: What came of its exchange.
        failure: Why it failed; None when it has not.
        error: What else it raised.
        running: Whether it is under way.
        raced: Whether it was ahead of the other one, or was cancelled because that one was; None
            when they were not both under way at the end.
    """

    __slots__ = ("_race", "error", "failure", "place", "raced", "result", "running", "scope")

    def __init__(self, race: "Race") -> None:
        self._race = race
        self.place: Literal["first", "second"] | None = None
        self.result = ExchangeResult()
        self.failure: Failure | None = None
        self.error: Exception | None = None
        self.running = False
        self.raced: Literal["won", "lost"] | None = None
        self.scope = trio.CancelScope()

    def __repr__(self) -> str:
        return f"<the {self.place or 'only'} leg, {self.raced or 'undecided'}>"

    @property
    def superseded(self) -> bool:
        """Whether it was cancelled because the other one had answered."""
        return self.raced == "lost" and self.failure is None and self.error is None

    def leave(self) -> None:
        """Let go of the race, which is over: it holds its legs, to tell what became of them."""
        del self._race

    def complete(self, head: ResponseHead, body: bytes, provider: str, attempts: int) -> None:
        """Send a whole plain answer, if it is the first.

        Raises:
            Superseded: It is not.
        """
        del attempts  # of both legs, as the asker is told
        race = self._race
        race.claim(self)
        race.answer.complete(head, body, provider, race.attempts)

    def begin(self, head: ResponseHead, events: bytes, provider: str, attempts: int) -> None:
        """Send the beginning of a streamed answer, if it is the first.

        Raises:
            Superseded: It is not.
        """
        del attempts
        race = self._race
        race.claim(self)
        race.answer.begin(head, events, provider, race.attempts)

    def events(self, events: bytes) -> None:
        """Send further events."""
        self._race.answer.events(events)

    def finish(self, events: bytes) -> None:
        """Send the last events."""
        self._race.answer.finish(events)

    def break_off(self, message: str | None) -> None:
        """End the stream as broken."""
        self._race.answer.break_off(message)

    @property
    def crowded(self) -> bool:
        """Whether to ``drain`` before more is sent."""
        return self._race.answer.crowded

    async def drain(self) -> None:
        """Wait until the asker has taken most of what was sent.

        Raises:
            AskerGone: When there is nobody left to take it.
        """
        await self._race.answer.drain()


MakeAttempt = Callable[[HedgeLeg], Awaitable[Failure | None]]
"""Makes the attempt of a leg, which is where its answer goes; returns what went wrong."""


class Race:
    """Two legs for one answer.

    Attributes:
        answer: Where the answer goes.
        attempts: Attempts made for the request, as the asker is told.
        first: The leg that was to answer.
        second: The leg that is asked when the first is late.
        winner: The leg whose answer the asker gets.

    Args:
        answer: Where the answer goes.
        attempts: Attempts made for the request, the first leg among them.
    """

    __slots__ = ("_timer", "answer", "attempts", "first", "second", "winner")

    def __init__(self, answer: Answer, attempts: int) -> None:
        self.answer = answer
        self.attempts = attempts
        self.first = HedgeLeg(self)
        self.second = HedgeLeg(self)
        self.winner: HedgeLeg | None = None
        self._timer = trio.CancelScope()

    async def run(
        self, attempt: MakeAttempt, delay: float, hedge: Callable[[], MakeAttempt | None]
    ) -> None:
        """Run the first leg, and the second beside it when the first is late.

        Returns when neither is under way any more: there is a ``winner``, or the legs say why they
        failed. A leg that fails leaves the other alone.

        Args:
            attempt: The first leg's attempt.
            delay: Seconds it has before the second leg is asked.
            hedge: Called then, and not before: returns the second leg's attempt, or None when there
                is to be none.

        Raises:
            AskerGone: The asker left.
            Exception: What a leg raised that is no failure of a provider; of one that lost, it is
                logged instead.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._hedge_later, delay, hedge)
                await self._go(self.first, attempt)
                self._timer.cancel()
        finally:
            self.first.leave()
            self.second.leave()
        winner = self.winner
        for leg in (self.first, self.second):
            if leg.error is not None:
                if winner is None or winner is leg:
                    error, leg.error = leg.error, None
                    try:
                        raise error
                    finally:
                        del error  # its traceback holds this frame
                _LOG.error("the leg of a hedge that lost had crashed", exc_info=leg.error)

    def claim(self, leg: HedgeLeg) -> None:
        """Let a leg's answer through, or not; decided once, and the other leg is cancelled.

        Args:
            leg: The leg that has something for the asker.

        Raises:
            Superseded: The other one was first.
        """
        winner = self.winner
        if winner is leg:
            return
        if winner is not None:
            raise Superseded
        self.winner = leg
        other = self.second if leg is self.first else self.first
        if other.running:
            leg.raced, other.raced = "won", "lost"
            other.scope.cancel(reason="the other provider of a hedge has answered")

    async def _hedge_later(self, delay: float, hedge: Callable[[], MakeAttempt | None]) -> None:
        with self._timer:
            await trio.sleep(delay)
        # Both may come in the same instant: an answer that is there needs no second one.
        if self.winner is not None or not self.first.running:
            return
        attempt = hedge()
        if attempt is None:
            return
        self.first.place, self.second.place = "first", "second"
        self.attempts += 1
        await self._go(self.second, attempt)

    async def _go(self, leg: HedgeLeg, attempt: MakeAttempt) -> None:
        leg.running = True
        try:
            with leg.scope:
                leg.failure = await attempt(leg)
        except Superseded:
            pass
        except Exception as error:  # noqa: BLE001 - raised by `run`, when both legs have ended
            leg.error = error
        finally:
            leg.running = False
