"""What came of a request, told to whoever counts it: one event an attempt, one a request."""

from typing import Literal

import msgspec

from providers.failures import FailureKind
from providers.wire import OperationName, Usage

__all__ = ["Attempt", "AttemptKind", "CircuitChanged", "Finished", "PanicProbes", "RequestShed"]

AttemptKind = Literal["ok", "cancelled"] | FailureKind
"""How an attempt ended: well, because the asker left or another provider won, or by a failure."""


class Attempt(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One exchange with one provider, over.

    Attributes:
        provider: The provider that was asked.
        model: The model it was asked for.
        group: The group the request went to, if any.
        dialect: The asker's dialect.
        stream: Whether a streamed answer was asked for.
        kind: How it ended.
        status: The upstream's HTTP status, if it answered.
        started: When it began, on the clock of ``trio.current_time``.
        first_token: Seconds from ``started`` to the first token (or the whole plain answer).
        duration: Seconds from ``started`` to the end.
        usage: What the upstream counted, if it said.
        number: The number of the attempt within its request, from 1.
        request_id: The request it belongs to.
        operation: What was asked for.
        proved: Whether the breaker has been told of its first token already.
        closed_gate: What it closed the provider's rate gate by, where it did: a refusal, or what
            an answer's headers said of the limits.
        hedge: Which attempt of a hedged pair it is: the ``first``, which was late, or the
            ``second``, asked beside it; None for every other.
        raced: Whether it answered while the other one of the pair was still under way, or was
            cancelled because that one had; None when it was neither.
    """

    provider: str
    model: str
    group: str | None
    dialect: str
    stream: bool
    kind: AttemptKind
    status: int | None
    started: float
    first_token: float | None
    duration: float
    usage: Usage | None
    number: int
    request_id: str
    operation: OperationName = "chat"
    proved: bool = False
    closed_gate: Literal["429", "headers"] | None = None
    hedge: Literal["first", "second"] | None = None
    raced: Literal["won", "lost"] | None = None

    @property
    def superseded(self) -> bool:
        """Whether it was cancelled because another provider had answered: nobody's fault."""
        return self.raced == "lost" and self.kind == "cancelled"

    @property
    def ended(self) -> float:
        """When it was over, on the clock of ``trio.current_time``."""
        return self.started + self.duration


class Finished(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """One request of an asker, over.

    Attributes:
        request_id: The request.
        dialect: The asker's dialect.
        group: The group it went to, if any.
        model: The model the asker named.
        provider: Who answered it; None when nobody did.
        attempts: How many exchanges it took.
        status: The HTTP status the asker saw.
        ok: Whether the asker got a complete answer.
        cancelled: Whether the asker left before.
        duration: Seconds from its arrival to its end.
        first_token: Seconds from its arrival to the first token (or the whole plain answer).
        usage: What the upstream counted, if it said.
        stream: Whether a streamed answer was asked for.
        operation: What was asked for.
        superseded: How many of the attempts were cancelled because another one had answered.
        resumed: How often a stream that had broken was continued by another provider.
        not_resumed: Why a broken stream was not continued, where that was wished for.
        dropped: How many fields of the request and its answer translation had to leave out; None
            where nothing was translated.
        served: The attempt that answered it, where that went well: it is reported with the
            request, not before it.
    """

    request_id: str
    dialect: str
    group: str | None
    model: str
    provider: str | None
    attempts: int
    status: int
    ok: bool
    cancelled: bool
    duration: float
    first_token: float | None
    usage: Usage | None
    stream: bool
    operation: OperationName = "chat"
    superseded: int = 0
    resumed: int = 0
    not_resumed: str | None = None
    dropped: int | None = None
    served: Attempt | None = None


class CircuitChanged(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A provider's breaker, or the watch over its account, has gone into another state.

    Attributes:
        provider: The provider.
        watch: ``circuit`` for the breaker itself, ``account`` for key, permission and credit.
        before: The state it left.
        after: The state it is in.
        at: When that state began, on the clock of ``trio.current_time``.
    """

    provider: str
    watch: Literal["circuit", "account"]
    before: str
    after: str
    at: float


class RequestShed(msgspec.Struct, frozen=True, gc=False):
    """A request was refused at a door because there were too many.

    Attributes:
        why: All places were taken (``front``), its client held too many (``client``), or too much
            was held of requests' bodies (``bodies``).
    """

    why: Literal["front", "client", "bodies"]


class PanicProbes(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Requests of a group were let through although all its members were kept back.

    Attributes:
        group: The group.
        count: How many since this was last told.
    """

    group: str
    count: int
