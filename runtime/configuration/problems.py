"""What is wrong with a configuration, and where.

Only the standard library: commands that merely ask the daemon import this.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["ConfigurationError", "Problem", "listed", "suggestion"]


_LONGEST_WORD = 100
"""Characters of a word that may be meant as another; comparing takes longer the longer it is."""


class Problem:
    """One mistake: where it stands, what is wrong and what was expected.

    Args:
        file: The file as the user named it, or the name of a flag or environment variable.
        line: Line of the mistake, counted from 1; 0 when it has no place in a file.
        column: Column of the mistake in characters, counted from 1; 0 like ``line``.
        message: What is wrong, what was expected, and a near miss where there is one.
    """

    __slots__ = ("column", "file", "line", "message")

    def __init__(self, file: str, line: int, column: int, message: str) -> None:
        self.file = file
        self.line = line
        self.column = column
        self.message = _one_line(message)

    def __str__(self) -> str:
        if self.line:
            return f"{self.file}:{self.line}:{self.column}: {self.message}"
        return f"{self.file}: {self.message}"

    def __repr__(self) -> str:
        return f"<Problem {self}>"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Problem) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


class ConfigurationError(Exception):
    """The configuration cannot be used; nothing was taken from it.

    Args:
        problems: Every mistake that was found, in the order of the file.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return `` Did you mean "…"?`` for the known word nearest to ``word``, or an empty text."""
    if len(word) > _LONGEST_WORD:
        return ""
    # difflib takes a few milliseconds to import and is needed only once something is wrong.
    from difflib import get_close_matches  # noqa: PLC0415 - see above

    by_lower = {name.lower(): name for name in known}
    near = get_close_matches(word.lower(), by_lower, n=1)
    return f' Did you mean "{by_lower[near[0]]}"?' if near else ""


def _one_line(text: str) -> str:
    """Return ``text`` with what would break a line, or steer a terminal, written as escapes."""
    if text.isprintable():
        return text
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def listed(names: Iterable[str], *, limit: int = 20) -> str:
    """Return names as ``a, b, c``, the end of a long list cut off and counted."""
    every = list(names)
    shown = ", ".join(every[:limit])
    return shown if len(every) <= limit else f"{shown} and {len(every) - limit} more"
