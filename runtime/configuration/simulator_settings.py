"""The settings of a simulated provider's server."""

from typing import Annotated

from msgspec import Meta, Struct

from runtime.configuration.shape import Duration

__all__ = ["SimulatorConfig"]


class SimulatorConfig(Struct, frozen=True, kw_only=True):
    """How a simulated provider answers."""

    latency: Annotated[
        Duration, Meta(description="Wait before the first token.", ge=0, le=3600)
    ] = 0.05
    tokens_per_second: Annotated[
        float, Meta(description="Speed of a streamed answer; 0 is as fast as possible.", ge=0)
    ] = 50.0
    answer_words: Annotated[int, Meta(description="Words of an answer.", ge=1, le=100_000)] = 40
    seed: Annotated[int, Meta(description="Answers with the same seed are the same.", ge=0)] = 0
