"""How the terminal says numbers, durations and texts that came from elsewhere."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["bounded", "circuit_of", "clean", "count", "duration", "number", "percent"]

_BY_HAND = frozenset({"forced_open", "forced_closed", "disabled"})


def duration(seconds: float) -> str:
    """Return a length of time in at most six characters.

    Args:
        seconds: The length; a negative one counts as nothing.

    Returns:
        `0.3s`, `12s`, `4m05s`, `1h02m` or `3d04h`.
    """
    if seconds < 9.95:
        return f"{max(0.0, seconds):.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    return f"{whole // 86_400}d{whole % 86_400 // 3600:02d}h"


def count(value: float) -> str:
    """Return a count in at most five characters: `999`, `1.2k`, `45k`, `6.7M`."""
    if value < 1000:
        return f"{value:.0f}"
    for unit, size in (("k", 1e3), ("M", 1e6), ("G", 1e9)):
        scaled = value / size
        if scaled < 9.95:
            return f"{scaled:.1f}{unit}"
        if scaled < 999.5 or unit == "G":
            return f"{scaled:.0f}{unit}"
    raise AssertionError(value)


def number(value: float) -> str:
    """Return a whole number with its thousands set apart: `12,345`."""
    return f"{value:,.0f}"


def circuit_of(health: Mapping[str, object]) -> str:
    """Return how a provider's circuit breaker stands; a state set by hand under its own name.

    Args:
        health: What the daemon says of the provider.

    Returns:
        The state; nothing where none is said.
    """
    breaker = health.get("breaker")
    state = breaker.get("state") if isinstance(breaker, dict) else None
    return str(state if state in _BY_HAND else health.get("circuit_state") or "")


def percent(share: float) -> str:
    """Return a share of one as percent, one decimal and never 100.0 for less than all."""
    shown = share * 100
    if share < 1 and shown > 99.9:
        shown = 99.9
    return f"{shown:.1f} %"


def clean(text: str) -> str:
    """Return one line safe to print: line ends become spaces, other control characters `?`.

    Names, reasons and messages may carry text from an upstream; none of it may steer a terminal.
    """
    flat = " ".join(text.split()) if any(c.isspace() for c in text) else text
    return "".join(c if c.isprintable() else "?" for c in flat)


def bounded(text: str, width: int, *, ellipsis: str = "…") -> str:
    """Return the text cut to a width in characters, ending in an ellipsis where it was cut."""
    if len(text) <= width:
        return text
    if width <= len(ellipsis):
        return ellipsis[:width] if width > 0 else ""
    return text[: width - len(ellipsis)] + ellipsis
