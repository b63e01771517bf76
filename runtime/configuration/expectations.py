"""What may stand in a place, in words, and the numbers that may."""

import re

from runtime.configuration.problems import listed
from runtime.configuration.shape import (
    Choice,
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
from runtime.configuration.units import (
    format_duration,
    format_size,
    is_bare,
    parse_duration,
    parse_size,
)

__all__ = ["expected", "looks_like_number", "number_from_text", "unit_hint"]

_WHOLE = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})|0o[0-7]{1,18}|0x[0-9a-fA-F]{1,15}")
_OTHERWISE_READ = re.compile(r"0[0-9_]+|[1-9][0-9]*(?:_[0-9]+)+")
_EVERYBODYS_NUMBER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)(?:\.[0-9]*(?:[eE][-+][0-9]+)?)?")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]{1,18}|[0-9]{1,18}(?:\.[0-9]{0,18})?)(?:[eE][-+]?[0-9]{1,2})?")


def number_from_text(shape: Number, text: str) -> int | float:
    """Return the number that ``text`` names.

    Args:
        shape: What the number counts and its bounds.
        text: Digits, with a unit where the shape has one.

    Raises:
        ValueError: When it is none or out of bounds; the text says what was expected.
    """
    number: int | float
    if shape.unit is Unit.DURATION:
        number = parse_duration(text)
    elif shape.unit is Unit.SIZE:
        number = parse_size(text)
    elif shape.whole:
        if not _WHOLE.fullmatch(text):
            raise ValueError(f"expected {expected(shape)}")
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        number = int(text, base)
    else:
        if not _FLOAT.fullmatch(text):
            raise ValueError(f"expected {expected(shape)}")
        number = float(text)
    low, high = shape.ge, shape.le
    below = (low is not None and number < low) or (shape.gt is not None and number <= shape.gt)
    if below or (high is not None and number > high):
        raise ValueError(f"expected {expected(shape)}")
    return number


def expected(shape: Shape) -> str:
    """Return what may stand in a place, in words."""
    match shape:
        case Text() | Hidden():
            return "text"
        case Truth():
            return "true or false"
        case Choice(words):
            return f"one of {listed(words)}"
        case Section(struct):
            return f"a mapping with the keys {listed(fields(struct))}"
        case Variant(tag, options):
            return f"a mapping with {tag}: {' or '.join(options)}"
        case Table(item):
            return f"a mapping of names, each to {expected(item)}"
        case Series(item):
            return f"a list, each entry {expected(item)}"
        case Number():
            return _expected_number(shape)


def _expected_number(shape: Number) -> str:
    noun = {
        Unit.DURATION: "a duration",
        Unit.SIZE: "a size",
        Unit.MILLISECONDS: "whole milliseconds",
        Unit.NONE: "a whole number" if shape.whole else "a number",
    }[shape.unit]

    def say(bound: float) -> str:
        if shape.unit is Unit.DURATION:
            return format_duration(bound)
        if shape.unit is Unit.SIZE:
            return format_size(int(bound))
        return f"{int(bound)}" if bound == int(bound) else f"{bound:g}"

    if shape.ge is not None and shape.le is not None:
        return f"{noun} from {say(shape.ge)} to {say(shape.le)}"
    if shape.gt is not None and shape.le is not None:
        return f"{noun} above {say(shape.gt)}, at most {say(shape.le)}"
    if shape.ge is not None:
        return f"{noun} of at least {say(shape.ge)}"
    return noun


def unit_hint(shape: Number, text: str) -> str:
    """Return what was likely meant by a number without its unit, or with one too many.

    Also by what YAML's versions read differently: ``010`` is ten to some and eight to others.
    """
    if shape.unit is Unit.NONE and _OTHERWISE_READ.fullmatch(text):
        return f"; write {text.replace('_', '').lstrip('0') or 0}"
    if shape.unit is Unit.DURATION and is_bare(text):
        return f'; is it "{text}s" or "{text}ms"?'
    if shape.unit is Unit.SIZE and is_bare(text):
        return f'; for bytes write "{text}B"'
    if shape.unit is Unit.MILLISECONDS:
        try:
            return f"; write {round(parse_duration(text) * 1000)}"
        except ValueError:
            return ""
    return ""


def looks_like_number(text: str) -> bool:
    """Tell whether everybody takes ``text`` for a number where it is not quoted.

    YAML 1.1 and 1.2 differ over ``08``, ``1e5`` and ``0o7``; a program that writes one of them as
    text by its version's rules leaves out the quotes.
    """
    return _EVERYBODYS_NUMBER.fullmatch(text) is not None
