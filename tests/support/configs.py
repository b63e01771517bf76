"""Configurations for the daemon under test, as the mappings that are written to its YAML file."""

from collections.abc import Mapping

Config = dict[str, object]

UNTRIPPED: Mapping[str, object] = {"failure_threshold": 10_000, "minimum_calls": 100_000}
"""Breaker settings that never open: for tests that are about something else."""

QUICK_RETRIES: Mapping[str, object] = {
    "base_delay_ms": 1,
    "max_delay_ms": 5,
    "budget_percent": 100,
    "budget_floor": 10_000,
}
"""Retries that neither make the suite wait nor run out."""


def config(
    providers: Mapping[str, Mapping[str, object]],
    groups: Mapping[str, Mapping[str, object]] | None = None,
    **more: object,
) -> Config:
    """Return a whole configuration; `more` are further top-level keys."""
    return {
        "providers": dict(providers),
        "groups": dict(groups or {}),
        "circuit_breaker": dict(UNTRIPPED),
        "retry": dict(QUICK_RETRIES),
        **more,
    }


def simulated(wire: str = "openai", **simulator: object) -> Mapping[str, object]:
    """Return a simulated provider that answers at once unless `simulator` says otherwise."""
    settings = {"latency": "0ms", "tokens_per_second": 0, "answer_words": 10, **simulator}
    return {"kind": "simulated", "wire": wire, "models": ["sim-1"], "simulator": settings}


def upstream(kind: str, base_url: str, **settings: object) -> Mapping[str, object]:
    """Return a provider of `kind` at `base_url`."""
    return {"kind": kind, "base_url": base_url, "api_key": "none", "models": ["m-1"], **settings}


def group(*members: str, strategy: str = "priority", model: str = "m-1") -> Mapping[str, object]:
    """Return a group of providers, each asked for `model`."""
    return {
        "strategy": strategy,
        "members": [{"provider": name, "model": model} for name in members],
    }


def base_url(kind: str, root: str) -> str:
    """Return what a provider of `kind` takes as base URL for an upstream at `root`."""
    return f"{root}/v1" if kind == "openai" else root
