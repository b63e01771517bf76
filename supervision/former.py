"""What a supervisor's restart leaves of its children: their counts."""

from __future__ import annotations

import msgspec

from supervision.reasons import Reason


class Former(msgspec.Struct, frozen=True):
    """What outlives its supervisor of one entry.

    Not the entry itself, which knows its supervisor and through it all that died with it.

    Attributes:
        incarnation: lives so far.
        restarts: restarts by the supervisor so far.
        last_exit: why the last life ended.
        below: of a supervisor: the same of its own former entries, by name.
    """

    incarnation: int
    restarts: int
    last_exit: Reason | None
    below: dict[str, Former] | None
