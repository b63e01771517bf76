"""Made-up values that fit a JSON schema: the arguments of tool calls, and structured answers.

What people and the SDKs write is understood: types, ``properties``, ``required``, ``enum``,
``const``, ``anyOf``, ``oneOf``, ``allOf``, references within the schema, the least of numbers,
texts and lists, and the usual formats of texts. Patterns are not. A schema may refer to itself;
what is made of one is bounded in depth and in size.
"""

import random
from collections.abc import Mapping, Sequence
from typing import Any, Final

from providers.simulator.words import WORDS

__all__ = ["made_up"]

_ENOUGH_DEPTH: Final = 5
_MAX_DEPTH: Final = 24
_MAX_VALUES: Final = 2000
_MAX_LEAST: Final = 64
_FORMATS: Final[Mapping[str, str]] = {
    "date-time": "2026-01-02T03:04:05Z",
    "date": "2026-01-02",
    "time": "03:04:05Z",
    "duration": "PT1H",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000001",
}


def made_up(schema: Mapping[str, Any], dice: random.Random) -> object:
    """Return a value that fits a schema.

    Args:
        schema: The schema. Of properties the required ones are filled in, or all of them where none
            is required.
        dice: What chooses; the same dice choose the same value.
    """
    return _Maker(schema, dice).value(schema, 0)


class _Maker:
    """Makes one value: knows the whole schema, for its references, and how much it has made."""

    def __init__(self, root: Mapping[str, Any], dice: random.Random) -> None:
        self._root = root
        self._dice = dice
        self._left = _MAX_VALUES

    def value(self, schema: object, depth: int) -> object:
        """Make the value of a part of the schema."""
        self._left -= 1
        if not isinstance(schema, dict):
            return self._word()
        if "const" in schema:
            return schema["const"]
        if isinstance(schema.get("enum"), list) and schema["enum"]:
            return self._dice.choice(schema["enum"])
        if "$ref" in schema:
            return self._next(self._found(schema["$ref"]), depth)
        for key in ("anyOf", "oneOf"):
            if isinstance(schema.get(key), list) and schema[key]:
                return self._one_of(schema[key], depth)
        if isinstance(schema.get("allOf"), list) and schema["allOf"]:
            return self._next(self._together(schema), depth)
        return self._typed(schema, depth)

    def _typed(self, schema: Mapping[str, Any], depth: int) -> object:
        kind = schema.get("type")
        if isinstance(kind, list):
            kind = kind[0] if kind else None
        if kind == "object" or (kind is None and isinstance(schema.get("properties"), dict)):
            return self._object(schema, depth)
        if kind == "array":
            items = schema.get("items")
            least = _least(schema, "minItems", 0 if self._spent(depth) else 1)
            return (
                [self.value(items, depth + 1) for _ in range(least)]
                if isinstance(items, dict)
                else []
            )
        if kind in {"integer", "number"}:
            return _number(schema, whole=kind == "integer")
        if kind == "boolean":
            return self._dice.random() < 0.5
        return None if kind == "null" else self._text(schema)

    def _object(self, schema: Mapping[str, Any], depth: int) -> Mapping[str, object]:
        properties = schema.get("properties")
        if not isinstance(properties, dict) or depth > _MAX_DEPTH:
            return {}
        required = schema.get("required")
        names = required if isinstance(required, list) and required else list(properties)
        if names is not required and self._spent(depth):
            return {}
        return {
            name: self.value(properties[name], depth + 1)
            for name in names
            if isinstance(name, str) and isinstance(properties.get(name), dict) and self._left > 0
        }

    def _one_of(self, choices: Sequence[object], depth: int) -> object:
        """Take the first choice; where the depth or the size is spent, one that ends here."""
        if self._spent(depth):
            ends = [one for one in choices if isinstance(one, dict) and one.get("type") == "null"]
            choices = ends or choices
        return self._next(choices[0], depth)

    def _together(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """Return the parts of an ``allOf``, and what stands beside it, as one schema."""
        merged: dict[str, Any] = {}
        beside = {key: value for key, value in schema.items() if key != "allOf"}
        for part in [*schema["allOf"], beside]:
            known: Mapping[str, Any] = part if isinstance(part, dict) else {}
            if "$ref" in known:
                known = self._found(known["$ref"])
            for key, value in known.items():
                older = merged.get(key)
                if isinstance(value, dict) and isinstance(older, dict):
                    merged[key] = {**older, **value}
                elif isinstance(value, list) and isinstance(older, list) and key == "required":
                    merged[key] = [*older, *value]
                else:
                    merged[key] = value
        return merged

    def _next(self, schema: object, depth: int) -> object:
        """Go on with another schema for the same value; a circle of references ends in null."""
        return None if depth > _MAX_DEPTH or self._left <= 0 else self.value(schema, depth + 1)

    def _found(self, reference: object) -> Mapping[str, Any]:
        """Return what a reference within the schema points to; nothing where it leads nowhere."""
        if not isinstance(reference, str) or not reference.startswith("#"):
            return {}
        place: object = self._root
        for step in reference[1:].split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            place = place.get(key) if isinstance(place, dict) else None
        return place if isinstance(place, dict) else {}

    def _spent(self, depth: int) -> bool:
        """Whether only what must be there is made from here on: no entries, null, no extras."""
        return depth >= _ENOUGH_DEPTH or self._left <= 0

    def _word(self) -> str:
        return self._dice.choice(WORDS)

    def _text(self, schema: Mapping[str, Any]) -> str:
        known = _FORMATS.get(schema["format"]) if isinstance(schema.get("format"), str) else None
        text = known or self._word()
        least = _least(schema, "minLength", 0)
        while len(text) < least:
            text += f" {self._word()}"
        most = schema.get("maxLength")
        return text[:most] if isinstance(most, int) and most >= 0 else text


def _number(schema: Mapping[str, Any], *, whole: bool) -> float:
    def bound(key: str) -> float | None:
        value = schema.get(key)
        known = isinstance(value, int | float) and not isinstance(value, bool)
        return value if known else None

    least, above, most = bound("minimum"), bound("exclusiveMinimum"), bound("maximum")
    if least is not None:
        return least
    if above is not None:
        return int(above) + 1 if whole else above + 1
    return most if most is not None and most < 1 else 1


def _least(schema: Mapping[str, Any], key: str, otherwise: int) -> int:
    value = schema.get(key, otherwise)
    return min(max(value, otherwise), _MAX_LEAST) if isinstance(value, int) else otherwise
