"""Writing to the terminal: colour or not, which symbols, tables, and messages on stderr."""

from __future__ import annotations

import os
import sys

from runtime.view.lines import ansi, plain
from runtime.view.wording import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence
    from typing import TextIO

    from runtime.view.lines import Line

__all__ = [
    "complain",
    "discard",
    "is_interactive",
    "open_missing_streams",
    "printable",
    "prints_unicode",
    "show",
    "table",
    "wants_colour",
    "width",
]

_WIDTH_ELSEWHERE = 120
"""Characters in a line when the output is no terminal and COLUMNS says nothing."""


def complain(text: str) -> None:
    """Write one message to stderr, as `standby: text`; where nobody takes it, it is dropped."""
    try:
        print(f"standby: {text}", file=sys.stderr, flush=True)
    except OSError:
        discard(sys.stderr)


def discard(stream: TextIO) -> None:
    """Let everything that is, or will be, written to a standard stream go nowhere.

    What is still buffered would fail again when the interpreter closes the stream.
    """
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, stream.fileno())
    os.close(nowhere)


def open_missing_streams() -> None:
    """Give a process that was started with a standard stream closed one that leads nowhere.

    Otherwise the next socket or file would get its number, and be read or written as that stream.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(descriptor, mode, closefd=False))  # noqa: SIM115 - a number, for good


def is_interactive(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that understands more than plain text."""
    return stream.isatty() and os.environ.get("TERM", "") not in {"", "dumb"}


def wants_colour(stream: TextIO) -> bool:
    """Return whether to colour a stream: a terminal, and NO_COLOR (no-color.org) is not set."""
    return is_interactive(stream) and not os.environ.get("NO_COLOR")


def prints_unicode(stream: TextIO) -> bool:
    """Return whether a stream's encoding has the symbols of the Unicode set."""
    try:
        "●├▰…".encode(stream.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def width() -> int:
    """Return how many characters a line of output may have."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(sys.stdout.fileno()).columns or _WIDTH_ELSEWHERE
    except (OSError, ValueError):
        return _WIDTH_ELSEWHERE


def show(lines: Iterable[Line]) -> None:
    """Print lines to stdout, coloured where that is wanted."""
    form = ansi if wants_colour(sys.stdout) else plain
    for line in lines:
        print(form(line))


def table(
    heads: Sequence[str], rows: Iterable[Sequence[tuple[str, str]]], *, right: Collection[str] = ()
) -> list[Line]:
    """Return rows of cells as lines under a heading, each column as wide as it must be.

    Args:
        heads: The names of the columns.
        rows: For each row its cells, a text and a style each.
        right: Names of the columns that are set to the right: numbers.
    """
    cells = [[(clean(text), style) for text, style in row] for row in rows]
    widths = [
        max([len(head), *(len(row[index][0]) for row in cells)]) for index, head in enumerate(heads)
    ]
    heading = [(head, "head") for head in heads]
    lines: list[Line] = []
    for row in [heading, *cells]:
        line: Line = []
        for head, space, (text, style) in zip(heads, widths, row, strict=True):
            pad = " " * (space - len(text))
            padded = [(pad, ""), (text, style)] if head in right else [(text, style), (pad, "")]
            line += [*padded, ("  ", "")]
        lines.append(line)
    return lines


def printable(text: str) -> str:
    """Return text that may go to a terminal: line ends and tabs stay, other controls become `?`.

    What a model writes is not trusted to move the cursor or to retitle the window.
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() or c in "\n\t" or c.isspace() else "?" for c in text)
