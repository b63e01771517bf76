"""The shape of a configuration, read from its structs' annotations.

Everything that has to know what a key may hold (the reader, the JSON Schema, the reference, the
writer) asks `fields`; nothing else looks into annotations.
"""

import enum
from collections.abc import Mapping
from functools import cache
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
from msgspec import Meta, Struct

from runtime.configuration.secret import Secret

__all__ = [
    "Choice",
    "Duration",
    "Field",
    "Hidden",
    "Milliseconds",
    "Number",
    "Section",
    "Series",
    "Shape",
    "Size",
    "Table",
    "Text",
    "Truth",
    "Unit",
    "Variant",
    "Variants",
    "fields",
]


class Unit(enum.Enum):
    """What a number counts, and with that how it is written."""

    DURATION = "duration"
    SIZE = "size"
    MILLISECONDS = "milliseconds"
    NONE = "none"


Duration = Annotated[float, Unit.DURATION]
"""Seconds, written as a duration with its unit."""

Size = Annotated[int, Unit.SIZE]
"""Bytes, written as a size with its unit."""


Milliseconds = Annotated[int, Unit.MILLISECONDS]
"""Milliseconds, written as a whole number: the key's name says the unit."""


class Variants:
    """Marks a struct that is one of several, told apart by the value of one key.

    Args:
        tag: The key.
        options: The struct for each value of it.
    """

    def __init__(self, tag: str, options: Mapping[str, type[Struct]]) -> None:
        self.tag = tag
        self.options = dict(options)


class Text(Struct, frozen=True):
    """Text of at least ``min_length`` characters."""

    min_length: int = 0


class Hidden(Struct, frozen=True):
    """Text that is never shown.

    Attributes:
        instead: What to write in place of nothing, in words; empty where it may be left blank.
    """

    instead: str = ""


class Truth(Struct, frozen=True):
    """``true`` or ``false``."""


class Number(Struct, frozen=True):
    """A number within bounds, whole or not, perhaps written with a unit."""

    whole: bool
    unit: Unit = Unit.NONE
    ge: float | None = None
    gt: float | None = None
    le: float | None = None


class Choice(Struct, frozen=True):
    """One of a few words."""

    words: tuple[str, ...]


class Section(Struct, frozen=True):
    """A mapping with known keys."""

    struct: type[Struct]


class Variant(Struct, frozen=True):
    """A mapping whose keys depend on the value of one of them."""

    tag: str
    options: dict[str, type[Struct]]


class Table(Struct, frozen=True):
    """A mapping whose keys are names, all of them matching ``key_pattern`` where there is one."""

    item: "Shape"
    key_pattern: str = ""


class Series(Struct, frozen=True):
    """A list."""

    item: "Shape"
    min_length: int = 0


Shape = Text | Hidden | Truth | Number | Choice | Section | Variant | Table | Series


class Field(Struct, frozen=True):
    """One key of a section.

    Attributes:
        name: The key.
        attribute: The struct's attribute for it; differs where the key is a word of Python's.
        shape: What it may hold.
        optional: Whether it may be left without a value.
        required: Whether it must be there.
        default: What it holds when left out; None when required.
        description: What it means, in Markdown.
    """

    name: str
    attribute: str
    shape: Shape
    optional: bool
    required: bool
    default: Any
    description: str


@cache
def fields(struct: type[Struct]) -> dict[str, Field]:
    """Return the keys of a section by name, in the order of its declaration."""
    hints = get_type_hints(struct, include_extras=True)
    found = {}
    for declared in msgspec.structs.fields(struct):
        annotation, marks = _unwrapped(hints[declared.name])
        annotation, optional = _without_none(annotation)
        annotation, inner_marks = _unwrapped(annotation)
        marks += inner_marks
        default = declared.default
        if declared.default_factory is not msgspec.NODEFAULT:
            default = declared.default_factory()
        required = default is msgspec.NODEFAULT
        found[declared.encode_name] = Field(
            name=declared.encode_name,
            attribute=declared.name,
            shape=_shape(annotation, marks),
            optional=optional,
            required=required,
            default=None if required else default,
            description=next((m.description for m in marks if _describes(m)), ""),
        )
    return found


def _describes(mark: object) -> bool:
    return isinstance(mark, Meta) and mark.description is not None


def _unwrapped(annotation: Any) -> tuple[Any, list[Any]]:
    if get_origin(annotation) is Annotated:
        inner, *marks = get_args(annotation)
        return inner, marks
    return annotation, []


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) not in {Union, UnionType}:
        return annotation, False
    kept = [part for part in get_args(annotation) if part is not NoneType]
    if len(kept) != 1:
        raise TypeError(f"a key holds one type, or one type or nothing: {annotation}")
    return kept[0], True


def _item(annotation: Any) -> Shape:
    return _shape(*_unwrapped(annotation))


def _shape(annotation: Any, marks: list[Any]) -> Shape:
    for mark in marks:
        if isinstance(mark, Variants):
            return Variant(mark.tag, mark.options)
    metas = [mark for mark in marks if isinstance(mark, Meta)]
    min_length = next((m.min_length for m in metas if m.min_length is not None), 0)
    origin = get_origin(annotation)
    if origin is Literal:
        return Choice(get_args(annotation))
    if origin is dict:
        key, value = get_args(annotation)
        _, key_marks = _unwrapped(key)
        patterns = (m.pattern for m in key_marks if isinstance(m, Meta) and m.pattern)
        return Table(_item(value), next(patterns, ""))
    if origin is tuple:
        return Series(_item(get_args(annotation)[0]), min_length)
    if annotation is bool:
        return Truth()
    if annotation in {int, float}:
        return Number(
            whole=annotation is int,
            unit=next((mark for mark in marks if isinstance(mark, Unit)), Unit.NONE),
            ge=next((m.ge for m in metas if m.ge is not None), None),
            gt=next((m.gt for m in metas if m.gt is not None), None),
            le=next((m.le for m in metas if m.le is not None), None),
        )
    if annotation is str:
        return Text(min_length)
    if annotation is Secret:
        extras = (m.extra for m in metas if m.extra is not None)
        return Hidden(next((each["instead"] for each in extras if "instead" in each), ""))
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        return Section(annotation)
    raise TypeError(f"a configuration cannot hold a {annotation}")
