"""Text that is no YAML: the mistake in plain words, and the text without it.

YAML's parser ends at the first mistake. To tell of all of them the lines around it are blanked out
(the line and what is nested below it) and the rest is parsed again.
"""

import yaml

from runtime.configuration.problems import Problem

__all__ = ["AGAIN", "syntax_problem", "without"]

AGAIN = 10
"""Mistakes of this kind that are looked for in one file: each one means parsing it again."""

_TAB_WIDTH = 8
_FLOW = {"flow mapping": ("{", "}"), "flow sequence": ("[", "]")}


def syntax_problem(file: str, text: str, error: yaml.MarkedYAMLError) -> Problem:
    """Return what the parser complained of, at the place where it can be mended.

    Args:
        file: What to call the file.
        text: What was parsed.
        error: The parser's complaint.
    """
    what = error.problem or "cannot be read"
    mark, begun = error.problem_mark, error.context_mark
    place = begun if _points_back(error) else mark
    if place is None:
        return Problem(file, 1, 1, f"not valid YAML: {what}")
    message = _in_words(text, error)
    if message is None:
        message = f"{what} {error.context or ''}".rstrip()
        if mark is not None and begun is not None and begun.line != mark.line:
            message += f" that begins at line {begun.line + 1}, column {begun.column + 1}"
        message += _hint(text, error)
    return Problem(file, place.line + 1, place.column + 1, f"not valid YAML: {message}")


def without(text: str, error: yaml.MarkedYAMLError) -> str | None:
    """Return the text with the lines of a mistake blanked out, so that the rest keeps its places.

    Args:
        text: What was parsed.
        error: The parser's complaint.

    Returns:
        The rest; None when there is nothing left to blank out.
    """
    place = error.context_mark if _points_back(error) else error.problem_mark
    lines = text.split("\n")
    if place is None:
        return None
    first = min(place.line, len(lines) - 1)
    while first > 0 and not lines[first].strip():
        first -= 1  # a mistake that shows at the end belongs to what stands before it
    if not lines[first].strip():
        return None
    depth = _indent(lines[first])
    end = first + 1
    while end < len(lines) and (not lines[end].strip() or _indent(lines[end]) > depth):
        end += 1
    lines[first:end] = [""] * (end - first)
    return "\n".join(lines)


def _points_back(error: yaml.MarkedYAMLError) -> bool:
    """Tell whether the mistake is where something began, not where the parser noticed."""
    mark, begun = error.problem_mark, error.context_mark
    if begun is None or mark is None or mark.line == begun.line:
        return False
    context = error.context or ""
    return any(kind in context for kind in ("flow", "quoted scalar", "simple key"))


def _in_words(text: str, error: yaml.MarkedYAMLError) -> str | None:
    """Return the mistake in plain words where the parser's own lead astray."""
    context, begun = error.context or "", error.context_mark
    if not _points_back(error) or begun is None or error.problem_mark is None:
        return None
    if "quoted scalar" in context:
        return f"the text that begins here with {_at(text, begun)} has no closing quote"
    for kind, (opened, closed) in _FLOW.items():
        if kind in context:
            where = f"line {error.problem_mark.line + 1}, column {error.problem_mark.column + 1}"
            return f"this {opened} is not closed; expected , or {closed} before {where}"
    return f'expected "key: value", found no colon after "{_line(text, begun).strip()[:60]}"'


def _hint(text: str, error: yaml.MarkedYAMLError) -> str:
    """Return what to do about it, where that is likely."""
    what, mark = error.problem or "", error.problem_mark
    if mark is None:
        return ""
    if "cannot start any token" in what:
        if _at(text, mark) == "\t":
            return "; indent with spaces, not with tabs"
        return f'; text that begins with {_at(text, mark)} needs quotes: "{_at(text, mark)}…"'
    if "mapping values are not allowed" in what:
        if mark.line and " " not in _line(text, mark)[: mark.column].strip():
            return "; is it indented too far, or is a colon missing at the end of the line before?"
        return '; a text with ": " in it needs quotes'
    if "did not find expected key" in what or "expected <block end>" in what:
        return "; is it indented as far as the keys beside it?"
    if "undefined alias" in what or "alias" in (error.context or ""):
        return '; text that begins with * needs quotes: "*…"'
    return ""


def _line(text: str, mark: yaml.Mark) -> str:
    lines = text.split("\n")
    return lines[mark.line] if mark.line < len(lines) else ""


def _at(text: str, mark: yaml.Mark) -> str:
    line = _line(text, mark)
    return line[mark.column] if mark.column < len(line) else ""


def _indent(line: str) -> int:
    """Return how far a line is indented; a tab counts as much as a person sees."""
    expanded = line.expandtabs(_TAB_WIDTH)
    return len(expanded) - len(expanded.lstrip())
