"""Looking into a request without decoding it, and changing nothing in it but the model."""

import re
from collections.abc import Mapping, Sequence

import msgspec

from providers.wire.faults import WireError
from providers.wire.values import RequestPeek

__all__ = ["peek_model", "peek_request", "replace_model"]

_ARRAY = ord("[")


class _Peek(msgspec.Struct, gc=False):
    model: str
    messages: msgspec.Raw
    stream: bool | None = None


class _Model(msgspec.Struct, gc=False):
    model: str


_CHAT = (("model", "a string", b'"'), ("messages", "an array", b"["))
_PLAIN = _CHAT[:1]
"""The fields a request must have: the name, what its value must be, how that begins."""

_STREAM = ("stream", "true or false", b"tfn")

_peek_decoder = msgspec.json.Decoder(_Peek)
_model_decoder = msgspec.json.Decoder(_Model)
_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])


def peek_request(body: bytes) -> RequestPeek:
    """Read model and stream of a chat request; both dialects name them alike.

    Args:
        body: The request's body.

    Returns:
        What routing needs to know.

    Raises:
        WireError: The body is not a JSON object, or ``model``, ``messages`` or ``stream`` is
            missing or of the wrong type.
    """
    try:
        peek = _peek_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _explain(body, _CHAT) from None
    if not peek.model or memoryview(peek.messages)[0] != _ARRAY:
        raise _explain(body, _CHAT)
    return RequestPeek(peek.model, peek.stream is True)


def peek_model(body: bytes) -> RequestPeek:
    """Read the model of a request that is never streamed; the rest is the upstream's to judge.

    Args:
        body: The request's body.

    Raises:
        WireError: The body is not a JSON object, or ``model`` is missing or no string.
    """
    try:
        model = _model_decoder.decode(body).model
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _explain(body, _PLAIN) from None
    if not model:
        raise _explain(body, _PLAIN)
    return RequestPeek(model)


def _explain(body: bytes, fields: Sequence[tuple[str, str, bytes]]) -> WireError:
    """Return the first thing that is wrong with a request, and where.

    Args:
        body: The request's body.
        fields: The fields it must have.
    """
    if not body.strip():
        return WireError("the request has no body; a JSON object is expected", code="invalid_json")
    try:
        members = _members_decoder.decode(body)
    except msgspec.ValidationError:
        kind = _kind(body.lstrip())
        return WireError(f"the body must be a JSON object, not {kind}", code="invalid_json")
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return WireError(f"the body is not JSON: {_where(body, error)}", code="invalid_json")
    for name, expected, _ in fields:
        if name not in members:
            return WireError(
                f"{name}: the field is missing; {expected} is expected",
                param=name,
                code="missing_required_parameter",
            )
    for name, expected, good in (*fields, _STREAM) if fields is _CHAT else fields:
        value = bytes(members.get(name, b"null" if name == "stream" else b""))
        if value[:1] not in {good[i : i + 1] for i in range(len(good))}:
            return WireError(
                f"{name}: {expected} is expected, not {_kind(value)}",
                param=name,
                code="invalid_type",
            )
    if bytes(members["model"]) == b'""':
        return WireError("model: the name must not be empty", param="model", code="invalid_value")
    return WireError("model: the name is not valid text", param="model", code="invalid_value")


def _kind(value: bytes) -> str:
    """Name the JSON type of a value by its first byte."""
    names: Mapping[bytes, str] = {
        b"{": "an object",
        b"[": "an array",
        b'"': "a string",
        b"t": "a boolean",
        b"f": "a boolean",
        b"n": "null",
    }
    return names.get(value[:1], "a number")


def _where(body: bytes, error: Exception) -> str:
    """Say what a decoder complained of, with line and column instead of its byte offset."""
    text = str(error)
    if isinstance(error, UnicodeDecodeError):
        text, offset = "a string is not UTF-8", error.start
    elif "truncated" in text:
        text, offset = "it ends before the object does", len(body)
    else:
        found = re.search(r"\(byte (\d+)\)$", text)
        offset = int(found[1]) if found is not None else 0
        text = re.sub(r"^JSON is malformed: |\s*\(byte \d+\)$", "", text)
    before = body[:offset]
    line = before.count(b"\n") + 1
    column = offset - (before.rfind(b"\n") + 1) + 1
    return f"{text} at line {line}, column {column}"


def replace_model(body: bytes, model: str) -> bytes:
    """Return a request with another model and every other byte as it was.

    Unknown fields, the order of the fields, white space and the spelling of numbers and strings
    stay. Where ``model`` occurs more than once at the top, each is replaced, so that no two
    readers can disagree about the model.

    Args:
        body: A request that ``peek_request`` accepts.
        model: The model to put in.

    Returns:
        The changed body.

    Raises:
        WireError: The body is not a JSON object with a model.
    """
    try:
        members = _members_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _explain(body, _PLAIN) from None
    if "model" not in members:
        raise _explain(body, _PLAIN)
    return _replace_members(body, members, msgspec.json.encode(model))


_OPENING = re.compile(rb"[ \t\r\n]*\{")
_KEY = re.compile(rb'[ \t\r\n,]*("(?:[^"\\]|\\.)*+")[ \t\r\n]*:[ \t\r\n]*', re.DOTALL)
_SCALAR = re.compile(rb'"(?:[^"\\]|\\.)*+"|[^\[{"\s,}\]]+', re.DOTALL)
_NESTING = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[{]|[\]}]', re.DOTALL)
_AFTER_VALUE = frozenset(b" \t\r\n,}")


def _replace_members(body: bytes, members: Mapping[str, msgspec.Raw], value: bytes) -> bytes:
    """Walk over the members of valid JSON and replace the value of each ``model``."""
    opening = _OPENING.match(body)
    assert opening is not None, "the body has been decoded as an object"
    position = opening.end()
    parts: list[bytes] = []
    copied = 0
    while (found := _KEY.match(body, position)) is not None:
        name = found[1]
        key = msgspec.json.decode(name, type=str) if b"\\" in name else name[1:-1].decode()
        start = found.end()
        position = _value_end(body, start, members[key])
        if key == "model":
            parts += (body[copied:start], value)
            copied = position
    parts.append(body[copied:])
    return b"".join(parts)


def _value_end(body: bytes, start: int, last: msgspec.Raw) -> int:
    """Return where the value that begins at ``start`` ends.

    Args:
        body: Valid JSON.
        start: Where the value begins.
        last: The value of the last member of this name, which is nearly always this one.
    """
    end = start + len(memoryview(last))
    if body.startswith(last, start) and body[end] in _AFTER_VALUE:
        return end
    scalar = _SCALAR.match(body, start)
    if scalar is not None:
        return scalar.end()
    depth = 0
    for token in _NESTING.finditer(body, start):
        mark = body[token.start()]
        if mark in b"[{":
            depth += 1
        elif mark in b"]}":
            depth -= 1
            if depth == 0:
                return token.end()
    raise AssertionError("the body has been decoded, so its brackets are balanced")
