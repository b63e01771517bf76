"""Lines of styled text: what `render` returns, and the two ways to show them without rich.

A line is a list of spans, a span a text and the name of a style from `STYLES`. Nothing here knows
how wide a terminal is; callers cut what does not fit.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Span: TypeAlias = tuple[str, str]
    Line: TypeAlias = list[Span]

__all__ = ["STYLES", "ansi", "cropped", "length", "plain"]

STYLES: dict[str, tuple[str, str]] = {
    # name: (SGR parameters for a plain terminal, the same as a rich style)
    "": ("", ""),
    "title": ("1", "bold"),
    "good": ("32", "green"),
    "warn": ("33", "yellow"),
    "bad": ("1;31", "bold red"),
    "dim": ("2", "dim"),
    "head": ("2;4", "dim underline"),
    "name": ("1", "bold"),
    "flash": ("1;33;7", "bold yellow reverse"),
    "selected": ("7", "reverse"),
    "banner": ("1;7", "bold reverse"),
}
"""Every style by name. Colour is never the only signal: glyphs and words say the same."""


def plain(line: Line) -> str:
    """Return the text of a line without styles and without spaces at its end."""
    return "".join(text for text, _ in line).rstrip()


def ansi(line: Line) -> str:
    """Return a line with its styles as SGR escape sequences, closed at the end of each span."""
    shown = []
    for text, style in line:
        code = STYLES[style][0]
        shown.append(f"\x1b[{code}m{text}\x1b[0m" if code and text else text)
    return "".join(shown).rstrip()


def length(line: Line) -> int:
    """Return the number of characters in a line."""
    return sum(len(text) for text, _ in line)


def cropped(line: Line, width: int, *, ellipsis: str = "…") -> Line:
    """Return the line cut to a width in characters, ending in an ellipsis where it was cut."""
    if length(line) <= width:
        return line
    kept: Line = []
    room = width - len(ellipsis)
    for text, style in line:
        if len(text) > room:
            kept.append((text[: max(0, room)] + ellipsis[: max(0, width)], style))
            break
        kept.append((text, style))
        room -= len(text)
    return kept
