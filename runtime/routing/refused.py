"""What a refusal of a request means for the members that are left to ask."""

import math

from providers.failures import Failure
from providers.http import ResponseHead
from runtime.routing.crossing import Crossing
from runtime.routing.group import Candidate

__all__ = ["REFUSING", "Refusal", "Wider"]

REFUSING = frozenset({"content_filter", "refusal"})
"""Why a whole answer ended, when a content filter refused or cut it: as OpenAI and Anthropic say
it."""


class Refusal(Failure):
    """An answer, whole and of a good status, in which a content filter refuses.

    It is held back while other members may be asked, and is the answer when none of them gives one.

    Args:
        provider: Which provider refused.
        reason: How its API names that.
        head: The answer's head.
        answer: Its body, or all events of a streamed one.
        stream: Whether it is a streamed one.
        crossing: What translates it, where the asker's dialect is another.
    """

    __slots__ = ("answer", "crossing", "head", "stream")

    def __init__(
        self,
        provider: str,
        reason: str,
        *,
        head: ResponseHead,
        answer: bytes,
        stream: bool,
        crossing: Crossing | None = None,
    ) -> None:
        super().__init__(
            "content_filter",
            provider,
            f"its content filter refused ({reason})",
            status=head.status,
        )
        self.head = head
        self.answer = answer
        self.stream = stream
        self.crossing = crossing


class Wider:
    """Remembers the widest context window that a request has proved too long for.

    After that only members whose window is known to be larger are worth asking. When the window
    that was too small is unknown, nobody's is known to be larger.
    """

    __slots__ = ("_above",)

    def __init__(self) -> None:
        self._above: float | None = None

    def note(self, failure: Failure, candidate: Candidate) -> None:
        """Take in what became of an attempt.

        Args:
            failure: What happened.
            candidate: The member that was asked.
        """
        if failure.kind == "context_too_long":
            window = candidate.context_window
            refused = math.inf if window is None else window
            self._above = refused if self._above is None else max(self._above, refused)

    def admits(self, candidate: Candidate) -> bool:
        """Tell whether a member may take what others found too long.

        Args:
            candidate: The member.
        """
        return self._above is None or (candidate.context_window or 0) > self._above
