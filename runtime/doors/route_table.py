"""Which handler answers which method and path."""

import re
from collections.abc import Iterable, Mapping
from typing import Generic, Protocol, TypeVar
from urllib.parse import unquote

from providers.wire import Dialect

__all__ = ["Elsewhere", "Routes"]

_Handler_co = TypeVar("_Handler_co", covariant=True)

_SLASHES = re.compile("/+")


class Elsewhere(Protocol[_Handler_co]):
    """What is served at paths that are in no table."""

    def find(self, path: str) -> Mapping[str, _Handler_co] | None:
        """Return a path's methods and their handlers; None for an unknown path."""

    def dialect_at(self, path: str) -> Dialect | None:
        """Return the dialect spoken at a path; None for an unknown path."""

    def paths(self) -> Iterable[str]:
        """Return what there is, to be listed for those who ask for something else."""


class Routes(Generic[_Handler_co]):
    """Which handler answers which method and path.

    A path may hold one variable in braces, handed to the handler as ``session.segment``: one
    segment where something follows it, and all the rest of the path where nothing does. Where a
    path is not found as it came, it is looked for once more without its needless percent-encoding
    and with each run of slashes as one.

    Args:
        table: Path to method to handler.
        bounded: The handlers whose requests are refused when too many are being answered.
        elsewhere: Who is asked for paths that are not in the table, however spelt.
    """

    def __init__(
        self,
        table: Mapping[str, Mapping[str, _Handler_co]],
        bounded: Iterable[_Handler_co] = (),
        elsewhere: Elsewhere[_Handler_co] | None = None,
    ) -> None:
        self._elsewhere = elsewhere
        self.bounded = frozenset(bounded)
        self._exact = {path: methods for path, methods in table.items() if "{" not in path}
        self._patterns = []
        for path, methods in table.items():
            if "{" in path:
                prefix, _, rest = path.partition("{")
                self._patterns.append((prefix, rest.partition("}")[2], methods))
        self._paths = sorted(table)

    @property
    def paths(self) -> list[str]:
        """Every path there is."""
        return [*self._paths, *(() if self._elsewhere is None else self._elsewhere.paths())]

    def dialect_at(self, path: str) -> Dialect | None:
        """Return the dialect spoken at a path; None where the path alone does not say it.

        Args:
            path: A path without its query.
        """
        return None if self._elsewhere is None else self._elsewhere.dialect_at(path)

    def find(self, path: str) -> tuple[Mapping[str, _Handler_co], str] | None:
        """Return a path's methods and the value of its segment; None for an unknown path."""
        methods = self._exact.get(path)
        if methods is not None:
            return methods, ""
        found = self._match(path)
        if found is None and ("//" in path or "%" in path):
            # An encoded slash is no slash: it is data (RFC 3986, section 2.2).
            plain = _SLASHES.sub("/", path if "%2f" in path.lower() else unquote(path))
            methods = self._exact.get(plain)
            found = self._match(_SLASHES.sub("/", path)) if methods is None else (methods, "")
        if found is None and self._elsewhere is not None:
            methods = self._elsewhere.find(path)
            found = None if methods is None else (methods, "")
        return found

    def _match(self, path: str) -> tuple[Mapping[str, _Handler_co], str] | None:
        for prefix, suffix, methods in self._patterns:
            if path.startswith(prefix) and path.endswith(suffix):
                segment = path[len(prefix) : len(path) - len(suffix)]
                if segment and not (suffix and "/" in segment):
                    return methods, unquote(segment)
        return None
