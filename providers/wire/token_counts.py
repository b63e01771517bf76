"""Checking an answer that counts the tokens of a prompt, in Anthropic's dialect."""

import msgspec

from providers.wire.answers import check_json_type, error_fault, not_json
from providers.wire.anthropic_stream import read_error
from providers.wire.faults import AnswerFault
from providers.wire.values import AnswerPeek, count

__all__ = ["peek_token_count"]

_any_decoder = msgspec.json.Decoder()
_COUNTED = AnswerPeek()
"""Counting spends no tokens: there is no usage to report."""


def peek_token_count(body: bytes, content_type: bytes | None) -> AnswerPeek:
    """Check that an answer is a count of tokens.

    Args:
        body: The whole body of an answer with a status of success.
        content_type: Its ``content-type``, None without one.

    Raises:
        AnswerFault: It is not JSON, has no whole number as ``input_tokens``, or holds an error.
    """
    check_json_type(content_type)
    try:
        answer = _any_decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise not_json(body) from None
    if not isinstance(answer, dict):
        raise not_json(body)
    if answer.get("type") == "error" or answer.get("error"):
        raise error_fault(read_error(answer))
    counted = count(answer, "input_tokens")
    if counted is None or counted != answer["input_tokens"]:
        raise AnswerFault("the upstream answered with something that is not a count of tokens")
    return _COUNTED
