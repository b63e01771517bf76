"""The routes that go to a provider: one for each operation of each dialect."""

import logging

import trio

from providers.failures import Failure
from providers.http import Request
from providers.interface import ForwardRequest
from providers.wire import Dialect, OperationName, WireError
from runtime.doors.answer import HEDGED, REQUEST_ID_HEADERS, relayed_headers
from runtime.doors.session import MAY_RETRY, Handler, Session
from runtime.doors.wishes import WishError, asked
from runtime.routing.forward import Forwarder
from runtime.routing.gave_up import GaveUp
from runtime.routing.job import Job
from runtime.routing.limits import whole_time
from runtime.routing.resolve import Resolver
from runtime.routing.route import UnroutableError
from runtime.routing.verdicts import REFUSALS, status_of

__all__ = ["forwarding_handler"]

_log = logging.getLogger("standby.door")

_MOST_RETRY_AFTER = 60.0
"""Seconds: the largest Retry-After sent on. One SDK does not retry at all beyond 120 s, others
sleep for as long as they are told."""

_NO_RETRY = (b"x-should-retry", b"false")
_UNASKED = (b"x-standby-attempts", b"0")


def forwarding_handler(
    dialect: Dialect,
    operation: OperationName,
    resolver: Resolver,
    forwarder: Forwarder,
    request_timeout: float,
) -> Handler:
    """Return the handler of the route of one operation.

    Args:
        dialect: The dialect spoken on the route.
        operation: What is asked for on it; the dialect must have it.
        resolver: Finds the candidates for a model name.
        forwarder: Tries them.
        request_timeout: Seconds a request may take as a whole; a client may ask for less.
    """
    peek_request = dialect.operations[operation].peek_request

    async def handle(session: Session, request: Request) -> None:
        now = trio.current_time()
        try:
            wanted = asked(request)
        except WishError as error:
            session.refuse(dialect, 400, str(error), param=error.header, headers=[_UNASKED])
            return
        try:
            peek = peek_request(request.body)
        except WireError as error:
            coding = _coding(request)
            if coding is not None:
                message = f"{coding}: send the body as it is, uncompressed"
                session.refuse(dialect, 415, message, headers=[_UNASKED])
                return
            session.refuse(
                dialect,
                error.status,
                error.message,
                code=error.code,
                param=error.param,
                headers=[_UNASKED],
            )
            return
        try:
            route = resolver.resolve(peek.model, dialect.name, operation, wanted.wishes)
        except UnroutableError as error:
            _refuse_unroutable(session, dialect, error)
            return
        patience, limit = whole_time(
            request_timeout, route.group, route.timeouts, wanted.whole, wanted.whole_by
        )
        # What an SDK waits for is the next bytes: of a stream only the first are kept from it.
        answer_in, answer_limit = patience, limit
        if wanted.answer < patience:
            answer_in, answer_limit = wanted.answer, wanted.answer_by
            if not peek.stream:
                patience, limit = answer_in, answer_limit
        job = Job(
            request=ForwardRequest(
                headers=request.headers,
                derived=request.derived,
                body=request.body,
                model=peek.model,
                stream=peek.stream,
                request_id=session.request_id,
                operation=operation,
                target=request.target,
            ),
            dialect=dialect.name,
            group=route.group,
            deadline=now + patience,
            answer_by=now + answer_in,
            started=now,
            deadline_by=limit,
            answer_by_whom=answer_limit,
            timeouts=route.timeouts,
            client=session.client(request),
        )
        answer = session.answer(request, dialect, job.deadline)
        try:
            await forwarder.forward(job, route, answer)
        except GaveUp as gave_up:
            _refuse(session, dialect, gave_up, hedged=answer.hedged)
        if answer.ends_connection:
            session.close_after_answer()

    return handle


def _coding(request: Request) -> str | None:
    """Return the header that explains why a body cannot be read, if there is one."""
    for name, value in request.headers:
        if name == b"content-encoding" or (name == b"transfer-encoding" and b"," in value):
            return f"{name.decode('ascii')} {value.decode('latin-1')} is not understood here"
    return None


def _refuse_unroutable(session: Session, dialect: Dialect, error: UnroutableError) -> None:
    """Tell the asker that nobody can be asked: for the model, or for what its headers wish."""
    headers = [_UNASKED]
    if error.status >= 500:
        headers.append(_NO_RETRY)
    message, param = str(error), "model"
    if error.wish is not None:
        param = f"x-standby-{error.wish}"
        message = f"{param}: {message}"
    session.refuse(dialect, error.status, message, code=error.code, param=param, headers=headers)


def _refuse(session: Session, dialect: Dialect, gave_up: GaveUp, *, hedged: bool) -> None:
    """Tell the asker that nothing is left, and that asking again at once would not help."""
    failure = gave_up.last
    status = status_of(failure)
    headers = [
        MAY_RETRY if gave_up.shed else _NO_RETRY,
        (b"x-standby-attempts", b"%d" % gave_up.attempts),
    ]
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
    id_header = REQUEST_ID_HEADERS[dialect.name]
    theirs = [value for name, value in failure.upstream_headers if name == id_header][:1]
    headers += [(b"x-standby-upstream-request-id", value) for value in theirs]
    session.refuse(dialect, status, gave_up.explanation(), retry_after=retry_after, headers=headers)


def _pass_on(
    session: Session, dialect: Dialect, failure: Failure, own: list[tuple[bytes, bytes]]
) -> None:
    """Give the asker the upstream's own error: it is about the request, in the asker's dialect."""
    assert failure.upstream_body is not None
    assert failure.status is not None
    id_header = REQUEST_ID_HEADERS[dialect.name]
    said = {name for name, _ in own}
    relayed = relayed_headers(failure.upstream_headers, id_header)
    headers = [
        *(pair for pair in relayed if pair[0] not in said),
        *own,
        (id_header, session.request_id.encode("ascii")),
    ]
    session.respond(failure.status, failure.upstream_body, headers)
