"""What both dialects check alike in an answer that claims to be good."""

import msgspec

from providers.wire.faults import AnswerFault
from providers.wire.values import UpstreamError

__all__ = ["check_json_type", "error_fault", "not_json", "valid_text"]


def check_json_type(content_type: bytes | None) -> None:
    """Check that an answer claims to be JSON.

    Args:
        content_type: The answer's ``content-type``; None, and nothing is checked, without one.

    Raises:
        AnswerFault: It claims to be something else.
    """
    if content_type is None or content_type == b"application/json":
        return
    media = content_type.partition(b";")[0].strip().lower()
    if media and media not in {b"application/json", b"text/json"} and not media.endswith(b"+json"):
        shown = media[:80].decode("ascii", "replace")
        raise AnswerFault(f"the upstream answered with {shown} instead of JSON")


def not_json(body: bytes) -> AnswerFault:
    """Say what a body is that should have been JSON, without quoting it."""
    start = body[:64].lstrip()
    if not start:
        return AnswerFault("the upstream answered with an empty body")
    if start.startswith(b"<"):
        return AnswerFault("the upstream answered with HTML instead of JSON")
    try:
        msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return AnswerFault(f"the upstream's answer is not JSON: {error}")
    return AnswerFault("the upstream's answer is not a JSON object")


def error_fault(error: UpstreamError) -> AnswerFault:
    """Return the fault of a success that holds an error."""
    code = error.code or ""
    filtered = "content_filter" in code or "content_policy" in code
    return AnswerFault(
        f"the upstream answered with a success that holds an error: {error.message}",
        "content_filter" if filtered else "error_body",
        error_type=error.type,
        error_code=error.code,
        status=error.status,
    )


def valid_text(data: bytes) -> bool:
    """Tell whether bytes are UTF-8; most are ASCII, which is quick to see."""
    if data.isascii():
        return True
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True
