"""What one exchange with one provider needs to know, and what came of it."""

from collections.abc import Callable

import msgspec

from providers.failures import Failure, FailureKind
from providers.interface import ProviderInterface
from providers.wire import Dialect, Usage
from runtime.outcome import Attempt
from runtime.routing.answer import Answer
from runtime.routing.crossing import Crossing
from runtime.routing.gate import RateGate
from runtime.routing.job import Job
from supervision import Ref

__all__ = ["Exchange", "ExchangeResult"]


class ExchangeResult(msgspec.Struct):
    """What came of an exchange that reached the asker.

    Attributes:
        status: The upstream's status.
        first_token: When the first token (or the plain answer) was there; None before.
        usage: What the upstream counted, if it said.
        broken: Why the stream broke after it had begun; None when it is complete.
        committed: Whether anything has gone to the asker.
        delivered: Whether the asker has taken the whole answer.
        served: Whether the attempt gave the asker an answer, be it one that broke off.
        ended: When the attempt ended.
        foresaw: Whether the answer closed the provider's rate gate: it said that nothing is left.
        dropped: How many fields of the request and the answer translation had to leave out; None
            where nothing was translated.
        judged: What the status means of an answer that was passed through and is none of success;
            None for every other.
        untold: The attempt, where it is to be reported with its request.
    """

    status: int | None = None
    first_token: float | None = None
    usage: Usage | None = None
    broken: Failure | None = None
    committed: bool = False
    delivered: bool = False
    served: bool = False
    ended: float = 0.0
    foresaw: bool = False
    dropped: int | None = None
    judged: FailureKind | None = None
    untold: Attempt | None = None


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """All that one exchange needs to know.

    Attributes:
        job: The request.
        provider: How to speak to the upstream.
        actor: The provider's actor, which lends the connection.
        model: The model to ask for; None keeps the asker's.
        number: The number of the attempt, from 1.
        started: When the attempt began.
        answer: Where the answer goes.
        on_first_token: Called when a streamed answer has proved good; None for nobody.
        hold_refusal: Whether an answer in which a content filter refuses is raised as a
            ``Refusal`` instead of being sent: another provider may be asked first.
        gate: The provider's rate gate, closed when the answer says that nothing is left.
        crossing: The request in the provider's dialect, where that is not the asker's; ``answer``
            then takes the provider's.
    """

    job: Job
    provider: ProviderInterface
    actor: Ref
    model: str | None
    number: int
    started: float
    answer: Answer
    on_first_token: Callable[[], object] | None = None
    hold_refusal: bool = False
    gate: RateGate | None = None
    crossing: Crossing | None = None

    @property
    def dialect(self) -> Dialect:
        """The dialect spoken with the provider."""
        if self.crossing is not None:
            return self.crossing.provider
        return self.provider.spoken[self.job.dialect]
