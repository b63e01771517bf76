"""Where a request may go: what names stand for, who is behind them, and that nobody is."""

from collections.abc import Callable, Sequence

import msgspec

from providers.interface import ProviderInterface
from runtime.routing.group import Candidate, GroupTimeouts
from runtime.routing.hedge_policy import Hedger

__all__ = ["Member", "Route", "Target", "UnroutableError"]


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """What an alias stands for: a group, or a provider's model."""

    group: str | None = None
    provider: str | None = None
    model: str | None = None


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """A provider as resolution sees it.

    Attributes:
        interface: Its dialect and models; None when it is not configured.
        dialect: The dialect it would speak.
        missing: What it lacks; empty when it is configured.
    """

    interface: ProviderInterface | None
    dialect: str
    missing: str = ""


class Route(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request goes.

    Attributes:
        group: The group, if the name stands for one.
        order: Returns the candidates in the order for the next request.
        max_attempts: Exchanges at most.
        timeouts: The group's own bounds on waits; None for none.
        hedge: Returns what says when its requests are hedged; None where they never are.
        resume: Whether a stream that breaks is continued by another provider.
        strict_translation: Whether a provider of another API is passed over rather than asked
            without something that its API has no counterpart for.
        once: Whether nobody is asked again once anybody has been, whatever has become of it.
    """

    group: str | None
    order: Callable[[float], Sequence[Candidate]]
    max_attempts: int
    timeouts: GroupTimeouts | None = None
    hedge: Callable[[], Hedger | None] | None = None
    resume: bool = False
    strict_translation: bool = False
    once: bool = False


class UnroutableError(Exception):
    """No provider can be asked for a model name.

    Args:
        status: The HTTP status that says so.
        message: Why, and what there is instead.
        code: OpenAI's error code.
        wish: The wish that cannot be fulfilled, by its name among ``Wishes``; None when it is the
            model.
    """

    def __init__(
        self, status: int, message: str, code: str | None = None, wish: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.wish = wish
