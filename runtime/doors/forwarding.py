"""The routes that go to a provider: one for each operation of each dialect."""

import logging

import trio

from providers.http import Request
from providers.interface import ForwardRequest
from providers.wire import Dialect, OperationName, WireError
from runtime.doors.refusals import UNASKED, refuse, refuse_unroutable
from runtime.doors.session import Handler, Session
from runtime.doors.token_estimates import answer_with_estimate
from runtime.doors.wishes import WishError, asked
from runtime.routing.forward import Forwarder
from runtime.routing.gave_up import GaveUp
from runtime.routing.job import Job
from runtime.routing.limits import whole_time
from runtime.routing.resolve import Resolver
from runtime.routing.route import UnroutableError
from runtime.routing.verdicts import REFUSALS

__all__ = ["forwarding_handler"]

_log = logging.getLogger("standby.door")


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
            session.refuse(dialect, 400, str(error), param=error.header, headers=[UNASKED])
            return
        try:
            peek = peek_request(request.body)
        except WireError as error:
            coding = _coding(request)
            if coding is not None:
                message = f"{coding}: send the body as it is, uncompressed"
                session.refuse(dialect, 415, message, headers=[UNASKED])
                return
            session.refuse(
                dialect,
                error.status,
                error.message,
                code=error.code,
                param=error.param,
                headers=[UNASKED],
            )
            return
        except RecursionError:
            message = "the body is nested too deeply"
            session.refuse(dialect, 400, message, code="invalid_json", headers=[UNASKED])
            return
        try:
            route = resolver.resolve(peek.model, operation, wanted.wishes)
        except UnroutableError as error:
            if operation == "count_tokens" and error.code == "operation_not_served":
                answer_with_estimate(session, dialect, request.body)
                return
            refuse_unroutable(session, dialect, error)
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
                dialect=dialect.name,
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
            strict_translation=route.strict_translation,
            client=session.client(request),
        )
        answer = session.answer(request, dialect, job.deadline)
        try:
            await forwarder.forward(job, route, answer)
        except GaveUp as gave_up:
            if operation == "count_tokens" and _may_estimate(gave_up, dialect):
                answer_with_estimate(session, dialect, request.body, attempts=gave_up.attempts)
                return
            refuse(session, dialect, gave_up, hedged=answer.hedged)
        if answer.ends_connection:
            session.close_after_answer()

    return handle


def _may_estimate(gave_up: GaveUp, dialect: Dialect) -> bool:
    """Tell whether tokens that nobody has counted may be estimated.

    A refusal in the asker's own API tells what is wrong with the request; one in another, that
    it could not be put so, or that the server does not count.
    """
    last = gave_up.last
    return last.kind not in REFUSALS or last.api != dialect.family


def _coding(request: Request) -> str | None:
    """Return the header that explains why a body cannot be read, if there is one."""
    for name, value in request.headers:
        if name == b"content-encoding" or (name == b"transfer-encoding" and b"," in value):
            return f"{name.decode('ascii')} {value.decode('latin-1')} is not understood here"
    return None
