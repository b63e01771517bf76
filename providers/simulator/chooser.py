"""Which fault, if any, the next request meets."""

import random
from collections.abc import Sequence

from providers.simulator.faults import NO_FAULT, Fault, parse_fault
from providers.simulator.settings import FaultRule

__all__ = ["FaultChooser"]


class FaultChooser:
    """Decides by the request's own wish first, then by the rules.

    Args:
        rules: The rules, in the order they are asked.
        seed: Where the dice begin.
        started: When the simulator started, on the clock that ``choose`` is given.
    """

    def __init__(self, rules: Sequence[FaultRule], seed: int, started: float) -> None:
        self._rules = [(rule, rule.parsed()) for rule in rules]
        self._dice = random.Random(seed)
        self._started = started
        self._asked = 0

    def choose(self, header: bytes | None, suffix: str, now: float) -> Fault:
        """Return the fault for one more request.

        Args:
            header: The request's ``x-simulator-fault`` header.
            suffix: The fault at the end of its model's name, empty without one.
            now: The present time.

        Raises:
            ValueError: The request asks for a fault that does not exist.
        """
        self._asked += 1
        chosen = NO_FAULT
        for rule, fault in self._rules:
            # The dice are thrown for every request, so that one request's wish does not change
            # what the others meet.
            hit = self._dice.random() < rule.probability
            age = now - self._started
            if (
                chosen is NO_FAULT
                and hit
                and self._asked % rule.every == 0
                and age >= rule.from_seconds
                and (rule.until_seconds is None or age < rule.until_seconds)
            ):
                chosen = fault
        if header is not None:
            return parse_fault(header.decode("latin-1"))
        return parse_fault(suffix) if suffix else chosen
