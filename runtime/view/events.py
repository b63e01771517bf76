"""One line for each report of the supervision tree: how long ago, about whom, what happened."""

from __future__ import annotations

from runtime.view.lines import cropped
from runtime.view.wording import clean, duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from runtime.view.glyphs import Glyphs
    from runtime.view.lines import Line

__all__ = ["event_line"]

_STYLES = {"crash": "bad", "supervisor": "warn", "progress": "dim"}


def event_line(event: dict[str, Any], taken_at: object, width: int, glyphs: Glyphs) -> Line:
    """Return one report as a line.

    Args:
        event: The report as the daemon writes it.
        taken_at: When the snapshot was taken, as the daemon writes it; the report's age is
            counted from there, so that the viewer's own clock does not matter.
        width: Characters in a line.
        glyphs: The symbols to draw with.
    """
    happened = clean(str(event.get("context") or event.get("kind") or "report"))
    style = _STYLES.get(str(event.get("kind")), "")
    incarnation = event.get("incarnation")
    line: Line = [
        (f"{_age(event, taken_at):>9}  ", "dim"),
        (f"{happened.replace('_', ' '):<16}  ", style),
        (clean(str(event.get("name") or "")), "name"),
        (f" #{incarnation}" if isinstance(incarnation, int) else "", "dim"),
        ("  " + _why(event), ""),
    ]
    return cropped(line, width, ellipsis=glyphs.ellipsis)


def _why(event: dict[str, Any]) -> str:
    """Return the reason, and the shape of the message that was being handled."""
    reason = event.get("reason") or event.get("message") or ""
    handling = event.get("last_message")
    said = str(reason) + (f" (handling {handling})" if handling else "")
    return clean(said)


def _age(event: dict[str, Any], taken_at: object) -> str:
    happened = _seconds(event.get("at", event.get("time")))
    taken = _seconds(taken_at)
    if happened is None or taken is None:
        return ""
    return f"{duration(taken - happened)} ago"


def _seconds(moment: object) -> float | None:
    """Return a moment, given in ISO 8601 or in seconds since 1970, as seconds since 1970."""
    if isinstance(moment, int | float):
        return float(moment)
    if not isinstance(moment, str):
        return None
    from datetime import UTC, datetime  # noqa: PLC0415 - only snapshots with reports pay for it

    try:
        parsed = datetime.fromisoformat(moment)
    except ValueError:
        return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()
