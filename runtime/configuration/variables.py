"""Environment variables inside a configuration's values.

``${VAR}``, ``${VAR:-default}``, ``${VAR:?message}`` and ``$$`` for one dollar sign. What comes out
of a variable is final: it is never looked through for further variables.
"""

import re
from collections.abc import Mapping

__all__ = ["escape", "expand"]

_DOLLAR = re.compile(r"\$(?:(?P<escaped>\$)|(?P<open>\{(?P<inside>[^}]*)(?P<close>\}?)))")
_REFERENCE = re.compile(
    r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<kind>:[-?])(?P<rest>.*))?", re.DOTALL
)


def expand(text: str, environ: Mapping[str, str]) -> tuple[str, tuple[str, ...]]:
    """Return ``text`` with its variables replaced, and their names in order.

    Args:
        text: A value as it stands in the file.
        environ: The environment.

    Raises:
        ValueError: When a variable is not set or is written wrongly; the text says which one and
            what to write, never what another variable holds.
    """
    if "$" not in text:
        return text, ()
    names: list[str] = []

    def replace(found: re.Match[str]) -> str:
        if found["escaped"]:
            return "$"
        if not found["close"]:
            raise ValueError(
                f"{found[0]} has no closing brace; expected ${{NAME}}, ${{NAME:-default}} or "
                "${NAME:?message} (a dollar sign itself is written $$)"
            )
        reference = _REFERENCE.fullmatch(found["inside"])
        if reference is None:
            raise ValueError(
                f"{found[0]} is no variable; expected ${{NAME}}, ${{NAME:-default}} or "
                "${NAME:?message} (a dollar sign itself is written $$)"
            )
        name, kind, rest = reference["name"], reference["kind"], reference["rest"]
        if rest is not None and "${" in rest:
            raise ValueError(f"a variable inside another is not replaced: {found[0]}}}")
        names.append(name)
        value = environ.get(name)
        if kind is None:
            if value is None:
                raise ValueError(
                    f"the environment variable {name} is not set; set it, or write "
                    f"${{{name}:-}} where it may be missing"
                )
            return value
        if value:
            return value
        if kind == ":-":
            return str(rest)
        raise ValueError(f"the environment variable {name} is needed: {rest or 'it is not set'}")

    return _DOLLAR.sub(replace, text), tuple(names)


def escape(text: str) -> str:
    """Return ``text`` so that `expand` gives it back unchanged."""
    return text.replace("$", "$$")
