"""What a simulator has done so far."""

from collections import Counter
from collections.abc import Mapping

__all__ = ["Counters"]


class Counters:
    """Counts of one incarnation of a simulator.

    Attributes:
        requests: Requests for answers that came, good or bad.
        active: Those being answered now.
        completed: Those answered in full, errors included.
        cancelled: Those whose asker left before the end.
        broken: Those broken off on purpose, by a fault.
        connections: Connections open now.
        faults: How often each fault was committed.
    """

    def __init__(self) -> None:
        self.requests = 0
        self.active = 0
        self.completed = 0
        self.cancelled = 0
        self.broken = 0
        self.connections = 0
        self.faults: Counter[str] = Counter()

    def facts(self) -> Mapping[str, object]:
        """Return the counts by name."""
        return {
            "requests": self.requests,
            "active": self.active,
            "completed": self.completed,
            "cancelled": self.cancelled,
            "broken": self.broken,
            "connections": self.connections,
            "faults": dict(self.faults),
        }
