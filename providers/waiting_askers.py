"""The askers who wait for a connection of one provider: whose turn it is, and who is sent away.

Clients take turns (``providers.fair_queue``). An asker is sent away at once when too many wait
and its client holds the most places, or when its turn would come after its deadline: instead of
waiting for nothing it can ask another provider.
"""

import math
from collections import OrderedDict
from functools import partial

import msgspec
import trio

from providers.failures import Failure
from providers.fair_queue import UNNAMED, ClientKey, FairQueue
from providers.service_rate import ServiceRate, retry_after
from supervision import PendingCall

__all__ = ["Acquire", "WaitingAskers"]


class Acquire(msgspec.Struct, gc=False):
    """Ask for a connection.

    Attributes:
        deadline: When the asker gives up waiting, on the clock of ``trio.current_time``. Whoever
            has waited in the queue gets that time back, up to ``limit``: a provider is to have its
            whole time for the answer.
        fresh: Whether it must be a new one, because a kept one has just proved stale.
        request: What to send on it at once; the asker gets the connection when the answer has
            begun, or failed to. None lends it as it is.
        client: Who asks; clients take turns in the queue.
        limit: Until when the deadline may be put off; it is not where this is earlier.
        no_body: Whether the answer has no body whatever its headers say: the method is ``HEAD``.
        waited: Seconds spent in the queue; written by the actor.
    """

    deadline: float
    fresh: bool = False
    request: bytes | None = None
    client: ClientKey = UNNAMED
    limit: float = 0.0
    no_body: bool = False
    waited: float = 0.0


class WaitingAskers:
    """Those who wait for one provider; true while there are any.

    Args:
        provider: The provider's name.
        queue_limit: How many may wait, besides those for whom there are free places.

    Attributes:
        shed: How many were sent away because others had to go first.
    """

    __slots__ = (
        "_limit",
        "_passed_over",
        "_provider",
        "_queue",
        "_rate",
        "_renewing",
        "_since",
        "shed",
    )

    def __init__(self, provider: str, queue_limit: int) -> None:
        self._provider = provider
        self._limit = queue_limit
        self._queue: FairQueue[PendingCall] = FairQueue()
        self._since: dict[PendingCall, float] = {}  # when it began to queue
        # Those whose kept connection proved stale have had their turn: they wait apart, in order.
        self._renewing: OrderedDict[PendingCall, None] = OrderedDict()
        self._passed_over = False
        self._rate = ServiceRate()
        self.shed = 0

    def __len__(self) -> int:
        return len(self._since)

    @property
    def clients(self) -> int:
        """How many clients wait in turn."""
        return self._queue.clients

    def enter(self, caller: PendingCall, free: int, freed: int) -> None:
        """Let an asker wait its turn; refuse who is one too many, or bound to come too late.

        Args:
            caller: Who asks, with an ``Acquire``.
            free: How many places are free. Who gets one of them does not queue, but waits for a
                connection to be made.
            freed: How many places have become free ever, to tell how fast they do.
        """
        now = trio.current_time()
        message: Acquire = caller.message
        self._since[caller] = now if len(self._since) >= free else math.inf
        # One who leaves gives up its place at once: it neither fills the queue nor opens anything.
        caller.on_withdrawn(partial(self._forget, caller))
        if message.fresh:
            self._renewing[caller] = None
        else:
            self._queue.push(message.client, caller)
        if len(self._since) > free + self._limit:
            # Those who renew had a place a moment ago: only where nobody else waits are they many.
            newest = self._queue.shed() or caller
            ahead = len(self._since)
            again = retry_after(ahead, self._rate.look(now, freed))
            self._refuse(newest, f"{self._limit} requests already wait for this provider", again)
        elif len(self._queue) > free:
            rate = self._rate.look(now, freed)
            # The queue as a whole is a bound that takes no time; who is within it is in time.
            if rate is not None and now + (len(self._since) - free) / rate > message.deadline:
                turn = len(self._renewing) + self._queue.turn(message.client) - free
                self._refuse_if_late(caller, turn, rate)

    def take(self, *, kept: bool) -> PendingCall | None:
        """Take out whose turn it is, with as much time before it as if it had not waited.

        Args:
            kept: Whether there is a kept connection for it; those who renew want a new one.
        """
        if self._renewing and not kept:
            self._passed_over = False
            caller: PendingCall | None = next(iter(self._renewing))
        else:
            caller = self._queue.pop()
        if caller is None:
            return None
        caller.on_withdrawn(None)
        message: Acquire = caller.message
        waited = max(0.0, trio.current_time() - self._since[caller])
        message.waited += waited
        message.deadline = max(message.deadline, min(message.deadline + waited, message.limit))
        self._forget(caller)
        return caller

    def renewal_is_due(self) -> bool:
        """Tell whether a kept connection must make room for a new one.

        Where some want a new one and others any, those who want a new one are passed over once.
        """
        if not self._renewing or not self._queue:
            return False
        due = self._passed_over
        self._passed_over = True
        return due

    def sweep(self, free: int, freed: int) -> None:
        """Refuse those whose time is up, and those whose turn is known to come too late.

        Args:
            free: How many places are free.
            freed: How many have become free ever.
        """
        now = trio.current_time()
        rate = self._rate.look(now, freed)
        for caller in [each for each in self._since if each.message.deadline <= now]:
            again = retry_after(len(self._since), rate)
            self._refuse(caller, "no connection became free in time", again)
        if rate is not None:
            turn = len(self._renewing) - free
            for caller in list(self._queue):
                turn += not self._refuse_if_late(caller, turn + 1, rate)

    def _refuse_if_late(self, caller: PendingCall, turn: int, rate: float) -> bool:
        """Refuse one whose turn would come after its deadline, while others may still help.

        Args:
            caller: Who waits.
            turn: As the how-manieth it will be served; none before the first has to wait.
            rate: How many are served a second.

        Returns:
            Whether it was refused.
        """
        wait = max(0, turn) / rate
        if trio.current_time() + wait <= caller.message.deadline:
            return False
        late = f"its turn would come in {wait:.1f} s, which is too late for it"
        self._refuse(caller, late, retry_after(turn, rate))
        return True

    def _refuse(self, caller: PendingCall, why: str, again: float) -> None:
        self._forget(caller)
        self.shed += 1
        caller.fail(Failure("queue_full", self._provider, why, retry_after=again))

    def _forget(self, caller: PendingCall) -> None:
        """Let one go, for whatever reason."""
        if not self._queue.discard(caller):
            self._renewing.pop(caller, None)
        self._since.pop(caller, None)
        if not self._since:
            self._rate.forget()
