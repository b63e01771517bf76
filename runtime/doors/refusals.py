"""Telling an asker in its own dialect that nobody answered, and why."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from providers.failures import Failure, FailureKind
from providers.translated_headers import translated_headers
from providers.wire import DIALECTS, Dialect
from runtime.doors.answer import HEDGED, REQUEST_ID_HEADERS, relayed_headers
from runtime.doors.session import MAY_RETRY, UNASKED, Session
from runtime.routing.gave_up import GaveUp
from runtime.routing.route import UnroutableError
from runtime.routing.verdicts import REFUSALS, status_of

__all__ = ["UNASKED", "refuse", "refuse_unroutable"]

_MOST_RETRY_AFTER = 60.0
"""Seconds: the largest Retry-After sent on. One SDK does not retry at all beyond 120 s, others
sleep for as long as they are told."""

_NO_RETRY = (b"x-should-retry", b"false")

_OVERLOADED = 529
"""Anthropic's status for an upstream that has too much to do; OpenAI's is 503."""

_CODES: Final[Mapping[FailureKind, str]] = MappingProxyType(
    {
        "model_not_found": "model_not_found",
        "context_too_long": "context_length_exceeded",
        "content_filter": "content_filter",
        "untranslatable": "unsupported_parameter",
    }
)
"""OpenAI's codes for what another API tells otherwise."""


def refuse_unroutable(session: Session, dialect: Dialect, error: UnroutableError) -> None:
    """Tell the asker that nobody can be asked: for the model, or for what its headers wish.

    Args:
        session: The asker's connection.
        dialect: The asker's dialect.
        error: Why nobody can be asked.
    """
    headers = [UNASKED]
    if error.status >= 500:
        headers.append(_NO_RETRY)
    message, param = str(error), "model"
    if error.wish is not None:
        param = f"x-standby-{error.wish}"
        message = f"{param}: {message}"
    session.refuse(dialect, error.status, message, code=error.code, param=param, headers=headers)


def refuse(
    session: Session, dialect: Dialect, gave_up: GaveUp, *, hedged: bool, retried: bool = True
) -> None:
    """Tell the asker that nothing is left, and that asking again at once would not help.

    Args:
        session: The asker's connection.
        dialect: The asker's dialect.
        gave_up: What became of the request.
        hedged: Whether a second provider was asked because the first was late.
        retried: Whether the daemon repeats such requests itself; else whether to do so is left to
            the asker.
    """
    failure = gave_up.last
    status = status_of(failure)
    headers = [(b"x-standby-attempts", b"%d" % gave_up.attempts)]
    if gave_up.shed or retried:
        headers.append(MAY_RETRY if gave_up.shed else _NO_RETRY)
    if hedged:
        headers.append(HEDGED)
    if gave_up.asked:
        headers.append((b"x-standby-provider", gave_up.asked.encode("ascii")))
    retry_after = gave_up.retry_after
    if retry_after is not None:
        retry_after = min(retry_after, _MOST_RETRY_AFTER)
    own_words = failure.upstream_body is not None and status == failure.status
    if own_words and failure.kind in REFUSALS:
        _pass_on(session, dialect, failure, headers)
        return
    id_header = REQUEST_ID_HEADERS[dialect.family]
    theirs = translated_headers(failure.upstream_headers, failure.api, dialect.family)
    headers += [
        (b"x-standby-upstream-request-id", value) for name, value in theirs if name == id_header
    ][:1]
    if dialect.family == "anthropic" and failure.kind == "server_error" and _overloaded(failure):
        status = _OVERLOADED
    session.refuse(
        dialect,
        status,
        gave_up.explanation(),
        code=_CODES.get(failure.kind),
        param=failure.param,
        retry_after=retry_after,
        headers=headers,
    )


def _overloaded(failure: Failure) -> bool:
    """Tell whether an upstream had too much to do: with OpenAI's API that is what a 503 says."""
    return failure.status == _OVERLOADED or (failure.status == 503 and failure.api == "openai")


def _pass_on(
    session: Session, dialect: Dialect, failure: Failure, own: list[tuple[bytes, bytes]]
) -> None:
    """Give the asker the upstream's own error: it is about the request, in the asker's dialect."""
    assert failure.upstream_body is not None
    assert failure.status is not None
    body, theirs = failure.upstream_body, failure.upstream_headers
    if failure.api != dialect.family:
        error = DIALECTS[failure.api].decode_error(body)
        assert error is not None, "only what its dialect can read is kept"
        body = dialect.encode_error(
            failure.status,
            error.message,
            code=_CODES.get(failure.kind),
            request_id=session.request_id,
        )
        theirs = translated_headers(theirs, failure.api, dialect.family)
        theirs.append((b"content-type", b"application/json"))
    id_header = REQUEST_ID_HEADERS[dialect.family]
    said = {name for name, _ in own}
    relayed = relayed_headers(theirs, id_header)
    headers = [
        *(pair for pair in relayed if pair[0] not in said),
        *own,
        (id_header, session.request_id.encode("ascii")),
    ]
    session.respond(failure.status, body, headers)
