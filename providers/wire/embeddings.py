"""Checking an answer that holds embeddings, in OpenAI's dialect.

The numbers are not looked at: a vector passes as the bytes it came in, in floats or in base64.
"""

import msgspec

from providers.wire.answers import check_json_type, error_fault, not_json
from providers.wire.faults import AnswerFault
from providers.wire.openai_stream import read_error, read_usage
from providers.wire.values import AnswerPeek

__all__ = ["peek_embeddings"]

_EMPTY = frozenset({b"[]", b'""', b"null"})


class _Embedding(msgspec.Struct, gc=False):
    embedding: msgspec.Raw


class _Embeddings(msgspec.Struct, gc=False):
    data: list[_Embedding]
    kind: object = msgspec.field(default="list", name="object")
    model: object = None
    usage: object = None


_embeddings_decoder = msgspec.json.Decoder(_Embeddings)
_any_decoder = msgspec.json.Decoder()


def peek_embeddings(body: bytes, content_type: bytes | None) -> AnswerPeek:
    """Check that an answer holds embeddings, and read what the daemon counts.

    Servers of this API may leave out ``object`` and ``usage``, but not the vectors.

    Args:
        body: The whole body of an answer with a status of success.
        content_type: Its ``content-type``, None without one.

    Raises:
        AnswerFault: It is not JSON, holds no embeddings or an empty one, or holds an error.
    """
    check_json_type(content_type)
    try:
        answer = _embeddings_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _fault(body) from None
    if answer.kind != "list" or not answer.data:
        raise _fault(body)
    if any(bytes(each.embedding) in _EMPTY for each in answer.data):
        raise AnswerFault("the upstream answered with an empty embedding")
    usage, model = answer.usage, answer.model
    return AnswerPeek(
        read_usage(usage) if isinstance(usage, dict) else None,
        None,
        model if isinstance(model, str) else None,
    )


def _fault(body: bytes) -> AnswerFault:
    """Say what is wrong with an answer that is no list of embeddings."""
    try:
        answer = _any_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return not_json(body)
    if not isinstance(answer, dict):
        return not_json(body)
    error = read_error(answer)
    if error is not None:
        return error_fault(error)
    if answer.get("data") == []:
        return AnswerFault("the upstream answered with an empty list of embeddings")
    return AnswerFault("the upstream answered with something that is not a list of embeddings")
