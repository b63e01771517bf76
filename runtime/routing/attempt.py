"""One exchange with one provider: send the request, judge the answer, relay it.

Nothing reaches the asker before the answer has proved good: a plain answer is checked whole, a
streamed one is held until its first token. Up to then a failure can be repaired unseen, and is
raised as a ``Failure``. After it, a stream that breaks is ended with an error event and without
its closing chunk, so that no client takes it for complete.
"""

import trio

from providers.actor import Acquire, Release
from providers.failures import Failure
from providers.http import ConnectionLost, DeadlineExceeded, ProtocolError, UpstreamConnection
from providers.rate_limits import exhausted_for
from providers.service_rate import retry_after
from providers.wire import AnswerFault
from runtime.routing.exchange import Exchange, ExchangeResult
from runtime.routing.limits import patience_for, too_late
from runtime.routing.lost import exchange_lost, provider_down, provider_ended
from runtime.routing.relay import relay_plain, relay_stream, relay_untouched
from supervision import ActorDown, CallTimeout, MailboxFull, NoProcess, Ref

__all__ = ["exchange"]

_MAY_REPEAT = frozenset({"GET", "HEAD", "PUT", "DELETE", "OPTIONS"})
"""Methods whose requests do the same once and twice (RFC 9110, section 9.2.2)."""

_ERROR_LIMIT = 1024 * 1024
"""Bytes read of an upstream's error answer."""

_STALE_WITHIN = 1.0
"""Seconds within which a kept connection shows that it had been closed; an upstream that hangs up
later may have worked on the request, which is then not sent to it again unasked."""


async def exchange(task: Exchange, result: ExchangeResult) -> None:
    """Carry out one exchange; fill in ``result`` as it goes.

    Args:
        task: What to do.
        result: Where to write what happened, also when this raises or is cancelled.

    Raises:
        Failure: When the exchange failed and nothing has reached the asker.
        AskerGone: When the asker left; says nothing about the provider.
    """
    request = task.job.request if task.crossing is None else task.crossing.request
    stream = request.stream
    untouched = request.operation == "passthrough"
    patience, _ = patience_for(task.job, task.provider.settings)
    acquire = Acquire(
        min(task.job.answer_by, task.started + patience),
        request=task.provider.pass_on(request)
        if untouched
        else task.provider.transform_request(request, task.model),
        client=task.job.client,
        limit=task.job.answer_by,
    )
    if untouched:
        acquire.no_body = request.method == "HEAD"
    connection = await _begin(task, acquire)
    deadline = acquire.deadline  # put off by the time spent in the queue
    try:
        try:
            head = await connection.read_head(deadline)
        except ConnectionLost as lost:
            late = trio.current_time() > task.started + _STALE_WITHIN
            if not connection.reused or connection.response_started or provider_ended(lost) or late:
                raise
            if untouched and request.method not in _MAY_REPEAT:
                raise  # nothing is known of what it does: not even this is left to likelihood
            # The upstream had closed a kept connection: it never saw this request.
            _give_back(task.actor, connection)
            acquire.fresh = True
            connection = await _begin(task, acquire)
            deadline = acquire.deadline
            head = await connection.read_head(deadline)
        acquire.request = None  # it is sent, and would be held for as long as a stream lasts
        result.status = head.status
        if untouched:
            await relay_untouched(task, connection, head, result)
            return
        if not 200 <= head.status < 300:
            raise task.provider.handle_error(head, await _error_body(connection, deadline))
        wait = exhausted_for(head.headers)
        if wait and task.gate is not None:
            result.foresaw = task.gate.foresee(trio.current_time(), wait)
        if stream:
            await relay_stream(task, connection, head, deadline, result)
        else:
            await relay_plain(task, connection, head, deadline, result)
    except DeadlineExceeded:
        began = task.started + acquire.waited
        raise too_late(task.job, task.provider.settings, began) from None
    except ConnectionLost as lost:
        raise exchange_lost(task, lost) from lost
    except ProtocolError as error:
        raise Failure("bad_answer", task.provider.name, f"not HTTP: {error}") from error
    except AnswerFault as fault:
        raise task.provider.handle_fault(fault) from fault
    finally:
        _give_back(task.actor, connection)


async def _begin(task: Exchange, acquire: Acquire) -> UpstreamConnection:
    """Have the provider's actor send the request; return its connection once there is an answer."""
    try:
        # The call has no name here: it keeps its failure, whose traceback holds this frame.
        connection: UpstreamConnection = await task.actor.send_request(
            acquire, deadline=acquire.deadline
        ).wait()
    except (ActorDown, NoProcess) as down:
        ended = "its task ended and is being restarted"
        raise provider_down(task, ended, down) from down
    except CallTimeout as late:
        if trio.current_time() >= task.job.answer_by:
            raise _no_connection(task) from late
        raise _not_taken(task, late) from late
    except Failure as failure:
        if failure.kind == "queue_full" and trio.current_time() >= task.job.answer_by:
            raise _no_connection(task) from failure
        raise
    except MailboxFull as full:
        raise _not_taken(task, full) from full
    return connection


def _not_taken(task: Exchange, why: Exception) -> Failure:
    """Say that the provider's actor has more messages than it can look at."""
    again = retry_after(0, None)
    return Failure("queue_full", task.provider.name, str(why), retry_after=again)


def _no_connection(task: Exchange) -> Failure:
    """Say that the asker's time was up while it waited for a connection."""
    return too_late(task.job, task.provider.settings, task.started, "connection")


def _give_back(actor: Ref, connection: UpstreamConnection) -> None:
    """Return a connection; one in the middle of a message is closed, which cancels the upstream."""
    if not connection.reusable or not actor.cast(Release(connection)):
        connection.close()
        actor.cast(Release(connection))


async def _error_body(connection: UpstreamConnection, deadline: float) -> bytes:
    """Read an error answer; nothing where it does not come whole: its status says enough."""
    try:
        return await connection.read_body(_ERROR_LIMIT, deadline)
    except ConnectionLost as lost:
        if provider_ended(lost):
            raise
    except (DeadlineExceeded, ProtocolError):
        pass
    return b""
