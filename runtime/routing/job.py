"""One request of an asker, as routing sees it."""

import msgspec

from providers.fair_queue import UNNAMED, ClientKey
from providers.interface import ForwardRequest
from runtime.routing.group import GroupTimeouts

__all__ = ["Job"]


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One request of an asker, as routing sees it.

    Attributes:
        request: What goes to a provider.
        dialect: The asker's dialect.
        group: The group it goes to, if any.
        deadline: When the request must be over, on the clock of ``trio.current_time``.
        answer_by: When its answer must have begun at the latest: a plain one is whole then, a
            streamed one has its first token. Never later than the deadline.
        started: When it was received.
        deadline_by: What the limit behind ``deadline`` is called, for messages.
        answer_by_whom: The same of ``answer_by``.
        timeouts: The group's own bounds on waits; None for none.
        strict_translation: Whether a provider of another API is to be passed over rather than asked
            without something that its API has no counterpart for.
        client: Who asks; clients take turns where requests must wait.
    """

    request: ForwardRequest
    dialect: str
    group: str | None
    deadline: float
    answer_by: float
    started: float
    deadline_by: str = "the asker's"
    answer_by_whom: str = "the asker's"
    timeouts: GroupTimeouts | None = None
    strict_translation: bool = False
    client: ClientKey = UNNAMED
