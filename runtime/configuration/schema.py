"""The configuration's JSON Schema, for editors that complete and check as one types."""

import re
from typing import Any, Final

from msgspec import Struct

from runtime.configuration.settings import Config
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
from runtime.configuration.writer import written

__all__ = ["json_schema"]

_VARIABLE: Final = {"$ref": "#/$defs/variable"}
_DURATION: Final = r"^[0-9]+(\.[0-9]+)? ?(ms|s|m|h)$"
_SIZE: Final = r"^[0-9]+ ?([KMG]i?B|B)$"


def json_schema() -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a configuration file.

    It says what may stand where. What belongs together (references between sections, keys and
    addresses, bounds that depend on other bounds) only `examine` knows.
    """
    definitions: dict[str, Any] = {
        "variable": {
            "description": "A text with environment variables.",
            "type": "string",
            "pattern": r"\$\{[A-Za-z_]",
        }
    }
    root = _section(Config, definitions)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Standby configuration",
        **root,
        "$defs": dict(sorted(definitions.items())),
    }


def _section(struct: type[Struct], definitions: dict[str, Any]) -> dict[str, Any]:
    known = fields(struct)
    schema: dict[str, Any] = {
        "description": re.sub(r"\s+", " ", (struct.__doc__ or "").strip()),
        "type": "object",
        "properties": {name: _key(declared, definitions) for name, declared in known.items()},
        "additionalProperties": False,
    }
    if required := [name for name, declared in known.items() if declared.required]:
        schema["required"] = required
    return schema


def _key(declared: Field, definitions: dict[str, Any]) -> dict[str, Any]:
    schema = {"description": declared.description, **_shape(declared.shape, definitions)}
    if declared.required or declared.default is None:
        return schema
    if isinstance(declared.shape, (Section, Variant)):
        return schema  # its own keys have theirs
    return {**schema, "default": written(declared.shape, declared.default)}


def _shape(shape: Shape, definitions: dict[str, Any]) -> dict[str, Any]:
    match shape:
        case Text(min_length):
            return {"type": "string"} | ({"minLength": min_length} if min_length else {})
        case Hidden(instead):
            return {"type": "string"} | ({"pattern": r"\S"} if instead else {})
        case Truth():
            return {"anyOf": [{"type": "boolean"}, _VARIABLE]}
        case Choice(words):
            if len(words) == 1:
                return {"const": words[0]}
            return {"anyOf": [{"enum": list(words)}, _VARIABLE]}
        case Number():
            return {"anyOf": [_number(shape), _VARIABLE]}
        case Section(struct):
            return _named(struct, definitions)
        case Variant(_, options):
            return {"oneOf": [_named(struct, definitions) for struct in options.values()]}
        case Table(item, key_pattern):
            names = {"propertyNames": {"pattern": f"^{key_pattern}$"}} if key_pattern else {}
            return {"type": "object", **names, "additionalProperties": _shape(item, definitions)}
        case Series(item, min_length):
            least = {"minItems": min_length} if min_length else {}
            return {"type": "array", **least, "items": _shape(item, definitions)}


def _named(struct: type[Struct], definitions: dict[str, Any]) -> dict[str, Any]:
    name = struct.__name__
    if name not in definitions:
        definitions[name] = _section(struct, definitions)
    return {"$ref": f"#/$defs/{name}"}


def _number(shape: Number) -> dict[str, Any]:
    if shape.unit is Unit.DURATION:
        return {"type": "string", "pattern": _DURATION}
    if shape.unit is Unit.SIZE:
        return {"type": "string", "pattern": _SIZE}
    bounds = {"minimum": shape.ge, "exclusiveMinimum": shape.gt, "maximum": shape.le}
    stated = {name: bound for name, bound in bounds.items() if bound is not None}
    return {"type": "integer" if shape.whole else "number", **stated}
