"""The settings of a simulated provider's server.

Their attributes have the names of `providers.simulator.SimulatorSettings`, so that one can be made
from the other. They are structs of their own because a file has units and places for mistakes, and
because reading a configuration should not import a whole HTTP server.
"""

from typing import Annotated

from msgspec import Meta, Struct, field

from runtime.configuration.shape import Duration

__all__ = ["FaultConfig", "SimulatorConfig"]


class FaultConfig(Struct, frozen=True, kw_only=True):
    """One rule by which a simulated provider fails; every condition must hold."""

    fault: Annotated[
        str,
        Meta(
            description="What goes wrong, as `name` or `name:number`, for instance `status_503` "
            "or `cut_midstream:3`.",
            min_length=1,
        ),
    ]
    probability: Annotated[
        float,
        Meta(
            description="How likely a request that meets the conditions fails, 0 to 1.", ge=0, le=1
        ),
    ] = 1.0
    every: Annotated[int, Meta(description="Only every n-th request.", ge=1, le=1_000_000_000)] = 1
    from_seconds: Annotated[
        Duration,
        Meta(description="Only from so long after the start.", ge=0, le=31_536_000),
    ] = field(default=0.0, name="from")
    until_seconds: Annotated[
        Duration | None,
        Meta(description="Only before so long after the start.", gt=0, le=31_536_000),
    ] = field(default=None, name="until")


class SimulatorConfig(Struct, frozen=True, kw_only=True):
    """How a simulated provider answers, and how it fails."""

    latency: Annotated[
        Duration, Meta(description="Wait before the first token.", ge=0, le=3600)
    ] = 0.05
    tokens_per_second: Annotated[
        float,
        Meta(description="Speed of an answer; 0 is as fast as possible.", ge=0, le=1_000_000),
    ] = 50.0
    answer_words: Annotated[int, Meta(description="Words of an answer.", ge=1, le=100_000)] = 40
    embedding_dimensions: Annotated[
        int,
        Meta(description="Numbers in an embedding; a request may ask for fewer.", ge=1, le=16_384),
    ] = 256
    seed: Annotated[
        int,
        Meta(
            description="Answers, and the dice of the faults, are the same for the same seed.",
            ge=0,
            le=1_000_000_000,
        ),
    ] = 0
    faults: Annotated[
        tuple[FaultConfig, ...],
        Meta(description="Rules for failing, asked in order: the first that applies decides."),
    ] = ()
