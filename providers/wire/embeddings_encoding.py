"""Embeddings in the form that was asked for, whatever form the server gives them in.

OpenAI's own API gives vectors as lists of numbers or, with ``encoding_format: "base64"``, as 32-bit
numbers, little end first, in base64. Its SDK asks for the latter unless told otherwise and reads
nothing else; many servers of this API know only the former, and do not say so.
"""

import math
import sys
from array import array
from binascii import Error as BadBase64
from binascii import a2b_base64, b2a_base64
from typing import Final

import msgspec

__all__ = ["in_asked_encoding"]


class _Asked(msgspec.Struct, gc=False):
    encoding_format: str | None = None


class _Vector(msgspec.Struct, gc=False):
    embedding: msgspec.Raw


class _Answer(msgspec.Struct, gc=False):
    data: list[_Vector]


_asked_decoder = msgspec.json.Decoder(_Asked)
_answer_decoder = msgspec.json.Decoder(_Answer)
_members_decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])
_data_decoder = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_numbers_decoder = msgspec.json.Decoder(list[float])
_text_decoder = msgspec.json.Decoder(str)

_FORMS: Final = {"[": "float", '"': "base64"}
"""The forms of a vector, by how it begins."""


def in_asked_encoding(request: bytes, answer: bytes) -> bytes:
    """Return an answer whose vectors are in the form that was asked for.

    An answer that has them so already, that is not as it should be, or whose numbers the form
    cannot hold, stays as it is, byte for byte; in any other, only the vectors change. Numbers from
    base64 are written as exactly as they are, which takes more digits than most servers write.

    Args:
        request: The request, a JSON object.
        answer: The answer to it, a JSON object.
    """
    try:
        wanted = "base64" if _asked_decoder.decode(request).encoding_format == "base64" else "float"
        vectors = _answer_decoder.decode(answer).data
        if all(_form(vector.embedding) in (wanted, None) for vector in vectors):
            return answer
        members = _members_decoder.decode(answer)
        data = _data_decoder.decode(members["data"])
        for each in data:
            each["embedding"] = _put(each["embedding"], wanted)
        members["data"] = msgspec.Raw(msgspec.json.encode(data))
        return msgspec.json.encode(members)
    except (msgspec.DecodeError, UnicodeDecodeError, BadBase64, ValueError, OverflowError):
        return answer


def _form(vector: msgspec.Raw) -> str | None:
    return _FORMS.get(chr(memoryview(vector)[0]))


def _put(vector: msgspec.Raw, wanted: str) -> msgspec.Raw:
    """Return a vector in a form."""
    form = _form(vector)
    if form == wanted or form is None:
        return vector
    if wanted == "base64":
        numbers = _finite(array("f", _numbers_decoder.decode(vector)))
        if sys.byteorder == "big":
            numbers.byteswap()
        packed = b2a_base64(numbers.tobytes(), newline=False).decode("ascii")
        return msgspec.Raw(msgspec.json.encode(packed))
    numbers = array("f")
    numbers.frombytes(a2b_base64(_text_decoder.decode(vector), strict_mode=True))
    if sys.byteorder == "big":
        numbers.byteswap()
    return msgspec.Raw(msgspec.json.encode(_finite(numbers).tolist()))


def _finite(numbers: "array[float]") -> "array[float]":
    """Return numbers that both forms can hold.

    Raises:
        ValueError: One is none, or beyond what 32 bits hold: it would become null or infinite.
    """
    if not all(map(math.isfinite, numbers)):
        raise ValueError("a vector has a number that is not finite")
    return numbers
