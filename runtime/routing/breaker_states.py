"""The states of a circuit breaker, and which event leads from which to which."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

__all__ = ["TRANSITIONS", "Event", "IllegalTransitionError", "State"]

State = Literal["closed", "open", "half_open", "forced_open", "forced_closed", "disabled"]
"""The states.

- ``closed``: calls pass, outcomes are counted.
- ``open``: no call passes until the recovery time is over.
- ``half_open``: a few calls pass as probes; their outcomes decide.
- ``forced_open``: no call passes until somebody says otherwise.
- ``forced_closed``: calls pass and are counted, and nothing trips it.
- ``disabled``: calls pass and nothing is counted.
"""

Event = Literal[
    "tripped",
    "recovery_due",
    "probes_passed",
    "probes_failed",
    "force_open",
    "force_close",
    "disable",
    "reset",
]
"""What can happen: the first four by calls and time, the others by somebody's command."""

_COMMANDS: Final[Mapping[Event, State]] = MappingProxyType(
    {
        "force_open": "forced_open",
        "force_close": "forced_closed",
        "disable": "disabled",
        "reset": "closed",
    }
)

TRANSITIONS: Final[Mapping[State, Mapping[Event, State]]] = MappingProxyType(
    {
        "closed": MappingProxyType({"tripped": "open", **_COMMANDS}),
        "open": MappingProxyType({"recovery_due": "half_open", **_COMMANDS}),
        "half_open": MappingProxyType(
            {"probes_passed": "closed", "probes_failed": "open", **_COMMANDS}
        ),
        "forced_open": _COMMANDS,
        "forced_closed": _COMMANDS,
        "disabled": _COMMANDS,
    }
)
"""Which event leads from which state to which; what is not here cannot happen."""


class IllegalTransitionError(Exception):
    """An event cannot happen in the present state; nothing has changed.

    Args:
        state: The state.
        event: The event that was refused.
    """

    def __init__(self, state: State, event: Event) -> None:
        super().__init__(state, event)
        self.state = state
        self.event = event

    def __str__(self) -> str:
        return f"a breaker that is {self.state} cannot take the event {self.event}"
