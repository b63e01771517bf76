"""From structs back to what stands in a file, with every secret hidden."""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from runtime.configuration.settings import Config
from runtime.configuration.shape import (
    Hidden,
    Number,
    Section,
    Series,
    Shape,
    Table,
    Text,
    Unit,
    Variant,
    fields,
)
from runtime.configuration.units import format_duration, format_size
from runtime.configuration.variables import escape

__all__ = ["redacted", "written"]


def redacted(config: Config) -> dict[str, Any]:
    """Return a configuration as the document that would give it, secrets as ``***``.

    Every key is there, defaults included; what holds nothing is left out. A provider's key shows
    where it comes from, not twice.
    """
    return _section(config)


def written(shape: Shape, value: Any) -> Any:
    """Return a value as it is written in a file: ``30s``, ``64KiB``, ``***`` for a secret."""
    match shape:
        case Hidden():
            return "***"
        case Text():
            return escape(value)
        case Number():
            return _number(shape, value)
        case Section() | Variant():
            return _section(value)
        case Table(item):
            entries: Mapping[str, Any] = value
            return {name: written(item, entry) for name, entry in entries.items()}
        case Series(item):
            return [written(item, entry) for entry in value]
        case _:
            return value


def _section(section: Struct) -> dict[str, Any]:
    document = {}
    for name, declared in fields(type(section)).items():
        value = getattr(section, declared.attribute)
        if value is None or (isinstance(declared.shape, Hidden) and not value):
            continue
        document[name] = written(declared.shape, value)
    if "api_key_file" in document or "api_key_credential" in document:
        document.pop("api_key", None)
    return document


def _number(shape: Number, value: float) -> str | int | float:
    if shape.unit is Unit.DURATION:
        return format_duration(value)
    if shape.unit is Unit.SIZE:
        return format_size(int(value))
    return value
