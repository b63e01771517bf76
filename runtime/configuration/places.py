"""Where everything that was read stands in its file."""

from msgspec import Struct

from runtime.configuration.document import Mapping, Node, Scalar
from runtime.configuration.problems import Problem

__all__ = ["Path", "Places", "shown"]

Path = tuple[str | int, ...]
"""The keys and list positions that lead to a value."""


class Places:
    """Where everything that was read stands in the file."""

    def __init__(self, file: str) -> None:
        self.file = file
        self._keys: dict[Path, Scalar] = {}
        self._values: dict[Path, Node] = {}
        self._items: dict[int, tuple[Path, Struct]] = {}
        self._overrides: dict[Path, str] = {}

    def note(self, path: Path, key: Scalar | None, value: Node | None) -> None:
        """Remember the key and the value at ``path``."""
        if key is not None:
            self._keys[path] = key
        if value is not None:
            self._values[path] = value

    def note_item(self, item: Struct, path: Path) -> None:
        """Remember where a section of a list came from: its position may shift by broken ones."""
        self._items[id(item)] = (path, item)  # holding the item keeps its identity its own

    def note_override(self, path: Path, variable: str) -> None:
        """Remember that an environment variable replaced the value at ``path``."""
        self._overrides[path] = variable

    def item(self, item: Struct) -> Path:
        """Return where a section of a list came from."""
        return self._items[id(item)][0]

    def has(self, *path: str | int) -> bool:
        """Tell whether the file gives a value at ``path``."""
        return path in self._values

    def stated(self, *path: str | int) -> bool:
        """Tell whether the file or an environment variable gives a value at ``path``."""
        return path in self._values or path in self._overrides

    def names(self, *path: str | int) -> list[str]:
        """Return the keys that stand at ``path``, also of entries that could not be read."""
        node = self._values.get(path)
        return [key.text for key, _ in node.pairs] if isinstance(node, Mapping) else []

    def shown(self, *path: str | int) -> str:
        """Return the text at ``path`` as it may be shown."""
        node = self._values.get(path)
        return shown(node) if isinstance(node, Scalar) else "this"

    def from_variable(self, *path: str | int) -> bool:
        """Tell whether the value at ``path`` came from a variable, and must not be shown."""
        node = self._values.get(path)
        return isinstance(node, Scalar) and bool(node.variables)

    def problem(self, message: str, *path: str | int) -> Problem:
        """Return a problem at the value of ``path``, or at the nearest thing around it."""
        if path in self._overrides:
            return Problem(f"environment variable {self._overrides[path]}", 0, 0, message)
        for end in range(len(path), -1, -1):
            found: Node | None = self._values.get(path[:end]) or self._keys.get(path[:end])
            if found is not None:
                return Problem(self.file, found.line, found.column, message)
        return Problem(self.file, 1, 1, message)

    def key_problem(self, message: str, *path: str | int) -> Problem:
        """Return a problem at the key of ``path``."""
        key = self._keys.get(path)
        if key is None:
            return self.problem(message, *path)
        return Problem(self.file, key.line, key.column, message)


def shown(node: Scalar) -> str:
    """Return a scalar as it may be shown: never what came out of a variable."""
    if node.variables:
        return "the value of " + " and ".join(f"${{{name}}}" for name in node.variables)
    text = node.text if len(node.text) <= 60 else node.text[:57] + "..."
    return f'"{text}"'
