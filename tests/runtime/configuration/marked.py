"""Configurations with ``⟦`` where a mistake is expected to be reported."""

import textwrap
from collections.abc import Mapping
from pathlib import Path

from runtime.configuration import Examination, examine

MARK = "⟦"


def examined(folder: Path, text: str, environ: Mapping[str, str] | None = None) -> Examination:
    """Return what becomes of a configuration text."""
    file = folder / "config.yaml"
    file.write_text(textwrap.dedent(text), encoding="utf-8")
    return examine(file, environ=environ or {})


def places(text: str) -> tuple[str, list[tuple[int, int]]]:
    """Return a text without its marks, and the line and column of each mark."""
    found = []
    lines = []
    for number, marked in enumerate(textwrap.dedent(text).split("\n"), 1):
        line = marked
        while (column := line.find(MARK)) >= 0:
            found.append((number, column + 1))
            line = line.replace(MARK, "", 1)
        lines.append(line)
    return "\n".join(lines), found


def mistakes(folder: Path, marked: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """Return the messages of all problems, having checked that they stand where the marks do."""
    text, expected = places(marked)
    found = examined(folder, text, environ)
    assert [(problem.line, problem.column) for problem in found.problems] == expected, "\n".join(
        map(str, found.problems)
    )
    assert (found.config is None) == bool(expected)
    return [problem.message for problem in found.problems]
