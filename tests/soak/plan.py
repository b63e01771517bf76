"""What a soak runs against: four simulated providers that fail by schedule, two a dialect."""

from collections.abc import Mapping
from typing import Literal

from tests.support.configs import Config, config, group, simulated

__all__ = ["DIALECTS", "RESUMING", "Trouble", "soak_config"]

DIALECTS = ("openai", "anthropic")

Trouble = Literal["calm", "faults", "one_down"]
"""What the providers do: answer; fail now and then, each in its own ways; or one of each two is
down throughout while the other answers."""

RESUMING = "-resumed"
"""What the name of a group ends in that has another provider go on with a stream that broke."""

_FAULTS: Mapping[str, tuple[Mapping[str, object], ...]] = {
    "a": (
        {"fault": "status_503", "every": 11},
        {"fault": "status_429:1", "every": 97},
        {"fault": "cut_midstream:5", "every": 61},
        {"fault": "status_500", "from": "10s", "until": "14s"},
    ),
    "b": (
        {"fault": "connect_reset", "every": 13},
        {"fault": "error_midstream", "every": 53},
        {"fault": "truncated_json", "every": 71},
        {"fault": "connect_reset", "from": "20s", "until": "23s"},
    ),
}


def soak_config(trouble: Trouble) -> Config:
    """Return a configuration with two groups a dialect: one called like it, one that resumes.

    Args:
        trouble: What the providers do.
    """
    providers: dict[str, Mapping[str, object]] = {}
    for dialect in DIALECTS:
        for place in ("a", "b"):
            faults: tuple[Mapping[str, object], ...] = ()
            if trouble == "faults":
                faults = _FAULTS[place]
            elif trouble == "one_down" and place == "a":
                faults = ({"fault": "status_503"},)
            providers[f"{dialect}-{place}"] = simulated(
                dialect, latency="20ms", tokens_per_second=200.0, answer_words=20, faults=faults
            )
    groups: dict[str, Mapping[str, object]] = {}
    for dialect in DIALECTS:
        members = group(f"{dialect}-a", f"{dialect}-b", strategy="round_robin", model="sim-1")
        groups[dialect] = members
        groups[f"{dialect}{RESUMING}"] = {**members, "on_broken_stream": "resume"}
    # The product's own breakers and retry budget, not those that make other tests quick; only the
    # pauses are short, because whoever is killed here is back in milliseconds.
    plan = config(providers, groups)
    plan["circuit_breaker"] = {"recovery_timeout": "1s", "max_recovery_timeout": "4s"}
    plan["retry"] = {"base_delay_ms": 20, "max_delay_ms": 500}
    return plan
