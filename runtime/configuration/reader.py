"""From the nodes of a YAML text to structs, noting every mistake with its place."""

from collections.abc import Mapping as MappingType
from typing import Any, Final, TypeVar

import msgspec
from msgspec import Struct

from runtime.configuration.document import Mapping, Node, Scalar, Sequence
from runtime.configuration.expectations import (
    expected,
    looks_like_number,
    number_from_text,
    unit_hint,
)
from runtime.configuration.places import Path, Places, shown
from runtime.configuration.problems import Problem, listed, suggestion
from runtime.configuration.secret import Secret
from runtime.configuration.shape import (
    Choice,
    Field,
    Hidden,
    Number,
    Section,
    Series,
    Shape,
    Table,
    Text,
    Truth,
    Unit,
    Variant,
    fields,
)
from runtime.configuration.variables import expand

__all__ = ["Reader"]

S = TypeVar("S", bound=Struct)

_NOTHING = frozenset({"", "~", "null", "Null", "NULL"})
_TRUTHS = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
_OLD_TRUTHS = {
    "yes": "true",
    "on": "true",
    "y": "true",
    "no": "false",
    "off": "false",
    "n": "false",
}


class _Mark:
    """A value that stands for the lack of one."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


_ABSENT: Final = _Mark("absent")
_BROKEN: Final = _Mark("broken")


class Reader:
    """Reads one tree.

    Args:
        file: What to call the file in problems.
        environ: The environment that variables are taken from.
        problems: Where to add what is wrong.
        whole: Whether the tree is all of the file. Otherwise nothing is said to be missing.
    """

    def __init__(
        self,
        file: str,
        environ: MappingType[str, str],
        problems: list[Problem],
        *,
        whole: bool = True,
    ) -> None:
        self._whole = whole
        self.places = Places(file)
        self._environ = environ
        self._problems = problems

    def read(self, struct: type[S], node: Node | None) -> S:
        """Return ``struct`` as the tree describes it.

        What could not be read has its default and is among the problems.

        Args:
            struct: A struct whose keys all have defaults.
            node: The tree; None for an empty file.
        """
        empty = Mapping((), 1, 1)
        root = empty if node is None or _is_nothing(node) else node
        self.places.note((), None, root)
        found = self._section(struct, root, ())
        return found if isinstance(found, struct) else struct()

    # Each of these returns the value, _ABSENT for a place left empty, or _BROKEN after a problem.

    def _value(self, shape: Shape, node: Node, path: Path) -> Any:
        if isinstance(node, Scalar):
            try:
                text, variables = expand(node.text, self._environ)
            except ValueError as error:
                return self._broken(node, f"{error}")
            if variables:
                node = msgspec.structs.replace(node, text=text, variables=variables)
            elif text != node.text:
                node = msgspec.structs.replace(node, text=text)
            if _is_nothing(node):
                # An empty secret still tells where it should have come from.
                if isinstance(shape, Hidden):
                    if shape.instead and not node.variables:
                        return self._broken(node, _blank(shape))
                    return Secret("", f"{_source(node)} is empty or not set")
                return _ABSENT
        self.places.note(path, None, node)
        match shape:
            case Section(struct):
                return self._section(struct, node, path)
            case Variant():
                return self._variant(shape, node, path)
            case Table(item):
                return self._table(item, node, path)
            case Series(item, min_length):
                return self._series(item, min_length, node, path)
        if not isinstance(node, Scalar):
            kind = "a mapping" if isinstance(node, Mapping) else "a list"
            return self._broken(node, f"expected {expected(shape)}, found {kind}")
        return self._scalar(shape, node)

    def _scalar(self, shape: Shape, node: Scalar) -> Any:
        text = node.text
        free = node.plain or bool(node.variables)  # may mean more than text
        match shape:
            case Hidden(instead):
                if instead and not node.variables and not text.strip():
                    return self._broken(node, _blank(shape))
                return Secret(text.strip(), _source(node))
            case Text(min_length):
                if node.plain and not node.variables and _means_more(text):
                    return self._broken(
                        node, f'expected text, found {text}; if it is meant, write "{text}"'
                    )
                if len(text) < min_length:
                    return self._broken(node, "expected text, found nothing")
                return text
            case Truth():
                if free and text in _TRUTHS:
                    return _TRUTHS[text]
                meant = _OLD_TRUTHS.get(text.lower(), text.lower())
                hint = f"; write {meant}" if meant in _TRUTHS and not node.variables else ""
                return self._broken(node, f"expected true or false, found {shown(node)}{hint}")
            case Choice(words):
                if text in words:
                    return text
                near = "" if node.variables else suggestion(text, words)
                return self._broken(node, f"{shown(node)} is not {expected(shape)}.{near}")
            case Number():
                if not free and shape.unit in {Unit.NONE, Unit.MILLISECONDS}:
                    return self._broken(
                        node, f"expected {expected(shape)}, found text; leave the quotes out"
                    )
                try:
                    return number_from_text(shape, text)
                except ValueError as error:
                    hint = "" if node.variables else unit_hint(shape, text)
                    return self._broken(node, f"{error}, found {shown(node)}{hint}")
        raise TypeError(f"no single value has the shape {shape}")

    def _section(self, struct: type[Struct], node: Node, path: Path) -> Any:
        known = fields(struct)
        if not isinstance(node, Mapping):
            return self._no_mapping(node, known)
        values: dict[str, Any] = {}
        broken: set[str] = set()
        for key, value in node.pairs:
            name = key.text
            inner = (*path, name)
            self.places.note(inner, key, None)
            declared = known.get(name)
            if declared is None:
                self._problems.append(self._unknown_key(key, path, known))
                continue
            found = self._value(declared.shape, value, inner)
            if found is _BROKEN:
                broken.add(name)
            elif found is not _ABSENT:
                values[name] = found
        for declared in known.values():
            if declared.required and declared.name not in values:
                if declared.name not in broken and self._whole:
                    self._problems.append(self._needs(declared, path, node))
                broken.add(declared.name)
        if any(known[name].required for name in broken):
            return _BROKEN
        return struct(**{known[name].attribute: value for name, value in values.items()})

    def _variant(self, shape: Variant, node: Node, path: Path) -> Any:
        if not isinstance(node, Mapping):
            return self._no_mapping(node, [shape.tag])
        options = tuple(shape.options)
        for key, value in node.pairs:
            if key.text == shape.tag:
                self.places.note((*path, shape.tag), key, None)
                choice = self._value(Choice(options), value, (*path, shape.tag))
                if choice is _BROKEN:
                    return _BROKEN
                if choice is not _ABSENT:
                    return self._section_of(shape, choice, node, path)
        if not self._whole:
            return _BROKEN
        return self._broken(
            node,
            f"{_dotted(path)} needs the key {shape.tag}; expected one of {listed(options)}",
        )

    def _section_of(self, shape: Variant, choice: str, node: Mapping, path: Path) -> Any:
        own = fields(shape.options[choice])
        foreign: dict[str, list[str]] = {}
        for option, struct in shape.options.items():
            for name in fields(struct):
                if name not in own:
                    foreign.setdefault(name, []).append(option)
        kept = []
        for key, value in node.pairs:
            if key.text in foreign:
                kinds = listed(foreign[key.text])
                self._broken(
                    key, f'the key "{key.text}" is only for {shape.tag} {kinds}, not for {choice}'
                )
            else:
                kept.append((key, value))
        return self._section(
            shape.options[choice], msgspec.structs.replace(node, pairs=tuple(kept)), path
        )

    def _table(self, item: Shape, node: Node, path: Path) -> Any:
        if not isinstance(node, Mapping):
            return self._broken(node, f"expected a mapping of names, found {_kind(node)}")
        found = {}
        for key, value in node.pairs:
            inner = (*path, key.text)
            self.places.note(inner, key, None)
            entry = self._value(item, value, inner)
            if entry is _ABSENT and isinstance(item, (Section, Variant)):
                entry = self._value(item, Mapping((), key.line, key.column), inner)
            if entry is _ABSENT:
                self._broken(key, f"{_dotted(inner)} needs a value; expected {expected(item)}")
            elif entry is not _BROKEN:
                found[key.text] = entry
        return found

    def _series(self, item: Shape, min_length: int, node: Node, path: Path) -> Any:
        if not isinstance(node, Sequence):
            return self._broken(node, f"expected a list, such as [a, b], found {_kind(node)}")
        if len(node.items) < min_length:
            return self._broken(node, "the list is empty; expected at least one entry")
        found = []
        for number, value in enumerate(node.items):
            inner = (*path, number)
            entry = self._value(item, value, inner)
            if entry is _ABSENT:
                self._broken(value, f"this entry is empty; expected {expected(item)}")
            elif entry is not _BROKEN:
                if isinstance(entry, Struct):
                    self.places.note_item(entry, inner)
                found.append(entry)
        return tuple(found)

    def _broken(self, node: Node, message: str) -> _Mark:
        self._problems.append(Problem(self.places.file, node.line, node.column, message))
        return _BROKEN

    def _no_mapping(self, node: Node, keys: MappingType[str, Field] | list[str]) -> _Mark:
        return self._broken(
            node, f"expected a mapping with the keys {listed(keys)}, found {_kind(node)}"
        )

    def _unknown_key(self, key: Scalar, path: Path, known: MappingType[str, Field]) -> Problem:
        where = f" in {_dotted(path)}" if path else ""
        message = (
            f"unknown key {shown(key)}{where}; expected one of {listed(known)}."
            f"{suggestion(key.text, known)}"
        )
        return Problem(self.places.file, key.line, key.column, message)

    def _needs(self, declared: Field, path: Path, node: Mapping) -> Problem:
        where = _dotted(path) if path else "the file"
        message = f"{where} needs the key {declared.name}: {expected(declared.shape)}"
        return Problem(self.places.file, node.line, node.column, message)


def _blank(shape: Hidden) -> str:
    return f"expected text, found nothing; write {shape.instead}"


def _source(node: Scalar) -> str:
    if node.variables:
        return " and ".join(node.variables)
    return "api_key"


def _is_nothing(node: Node) -> bool:
    """Tell whether a place was left empty, or filled with variables that came to nothing."""
    if not isinstance(node, Scalar):
        return False
    return (node.plain and node.text in _NOTHING) or (bool(node.variables) and not node.text)


def _means_more(text: str) -> bool:
    return text in _TRUTHS or looks_like_number(text)


def _kind(node: Node) -> str:
    if isinstance(node, Scalar):
        return shown(node)
    return "a mapping" if isinstance(node, Mapping) else "a list"


def _dotted(path: Path) -> str:
    text = ""
    for part in path:
        text += f"[{part + 1}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text
