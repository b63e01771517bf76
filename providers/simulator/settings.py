"""How a simulated upstream answers, and how it fails."""

from typing import Annotated

import msgspec
from msgspec import Meta, field

from providers.simulator.faults import Fault, parse_fault

__all__ = ["FaultRule", "SimulatorSettings"]


class FaultRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When to commit one fault; every condition must hold.

    Attributes:
        fault: Which, as ``name`` or ``name:number``; see ``providers.simulator.FAULTS``.
        probability: How likely a request that meets the other conditions is to fail, 0 to 1.
        every: Only every n-th request, counted over all requests for answers: 3 is the third, the
            sixth, and so on.
        from_seconds: Only from so many seconds after the simulator started; ``from`` in files.
        until_seconds: Only before so many seconds after it; ``until`` in files.
    """

    fault: str
    probability: Annotated[float, Meta(ge=0, le=1)] = 1.0
    every: Annotated[int, Meta(ge=1)] = 1
    from_seconds: Annotated[float, Meta(ge=0)] = field(default=0.0, name="from")
    until_seconds: Annotated[float, Meta(gt=0)] | None = field(default=None, name="until")

    def __post_init__(self) -> None:
        """Check what the types cannot say.

        Raises:
            ValueError: There is no such fault, or the time span is empty.
        """
        parse_fault(self.fault)
        _check(0 <= self.probability <= 1, "probability", "a number from 0 to 1", self.probability)
        _check(self.every >= 1, "every", "a number from 1", self.every)
        if self.until_seconds is not None and self.until_seconds <= self.from_seconds:
            raise ValueError(
                f"until ({self.until_seconds:g} s) must be later than from "
                f"({self.from_seconds:g} s)"
            )

    def parsed(self) -> Fault:
        """Return the fault itself."""
        return parse_fault(self.fault)


class SimulatorSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a simulated upstream behaves.

    Attributes:
        latency: Seconds from a request to the first token, or to a plain answer's first word.
        tokens_per_second: Speed of an answer from there; 0 is as fast as possible. A plain answer
            comes whole once its last token would have.
        answer_words: Words of an answer; a word is a token.
        embedding_dimensions: Numbers in an embedding; a request may ask for fewer.
        seed: Answers are a function of this and the request alone; so are the dice of the rules.
        models: The models it has, names or ``fnmatch`` patterns; the names are listed at
            ``/v1/models``, a model that none fits is answered with 404. Empty: it lists ``sim-1``
            and takes any name.
        api_key: The key that every request must carry; None takes any, and none.
        faults: Rules for failing, asked in order: the first that applies decides.
        max_connections: Connections at one time; further ones are closed at once.
    """

    latency: Annotated[float, Meta(ge=0, le=3600)] = 0.05
    tokens_per_second: Annotated[float, Meta(ge=0, le=1e6)] = 50.0
    answer_words: Annotated[int, Meta(ge=1, le=100_000)] = 40
    embedding_dimensions: Annotated[int, Meta(ge=1, le=16_384)] = 256
    seed: Annotated[int, Meta(ge=0)] = 0
    models: tuple[str, ...] = ()
    api_key: str | None = None
    faults: tuple[FaultRule, ...] = ()
    max_connections: Annotated[int, Meta(ge=1)] = 10_000

    def __post_init__(self) -> None:
        """Check the settings, also where they were not read from a file.

        Raises:
            ValueError: A value is out of its range; says which and what is expected.
        """
        _check(0 <= self.latency <= 3600, "latency", "seconds from 0 to 3600", self.latency)
        _check(
            0 <= self.tokens_per_second <= 1e6,
            "tokens_per_second",
            "a number from 0 (as fast as possible) to 1000000",
            self.tokens_per_second,
        )
        words = self.answer_words
        _check(1 <= words <= 100_000, "answer_words", "a number from 1 to 100000", words)
        size = self.embedding_dimensions
        _check(1 <= size <= 16_384, "embedding_dimensions", "a number from 1 to 16384", size)
        _check(self.seed >= 0, "seed", "a number from 0", self.seed)
        _check(
            self.max_connections >= 1, "max_connections", "a number from 1", self.max_connections
        )
        for model in self.models:
            _check(bool(model) and "!" not in model, "models", "names without '!'", model)

    def __repr__(self) -> str:
        """Leave out the key."""
        return (
            f"<SimulatorSettings latency={self.latency:g} "
            f"tokens_per_second={self.tokens_per_second:g} seed={self.seed} "
            f"faults={len(self.faults)}>"
        )


def _check(good: bool, name: str, expected: str, value: object) -> None:
    if not good:
        raise ValueError(f"{name}: expected {expected}, not {value!r}")
