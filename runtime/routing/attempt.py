"""One exchange with one provider: send the request, judge the answer, relay it.

Nothing reaches the asker before the answer has proved good: a plain answer is checked whole, a
streamed one is held until its first token. Up to then a failure can be repaired unseen, and is
raised as a ``Failure``. After it, a stream that breaks is ended with an error event and without
its closing chunk, so that no client takes it for complete.
"""

from collections.abc import Callable

import msgspec
import trio

from providers.actor import Acquire, Release, Trouble
from providers.failures import Failure
from providers.http import (
    ConnectionLost,
    DeadlineExceeded,
    ProtocolError,
    ResponseHead,
    UpstreamConnection,
)
from providers.interface import ProviderInterface
from providers.rate_limits import exhausted_for
from providers.wire import AnswerFault, StreamReader, Usage
from runtime.routing.answer import Answer
from runtime.routing.gate import RateGate
from runtime.routing.job import Job
from runtime.routing.limits import not_whole, patience_for, stall_for, too_late
from runtime.routing.refused import REFUSING, Refusal
from supervision import ActorDown, CallTimeout, MailboxFull, NoProcess, Ref

__all__ = ["Exchange", "ExchangeResult", "exchange"]

_HELD_LIMIT = 256 * 1024
"""Bytes of a stream that are held back waiting for its first token; beyond, it is let go."""

_ERROR_LIMIT = 1024 * 1024
"""Bytes read of an upstream's error answer."""

_STALE_WITHIN = 1.0
"""Seconds within which a kept connection shows that it had been closed; an upstream that hangs up
later may have worked on the request, which is then not sent to it again unasked."""

_FAREWELL = 0.1
"""Seconds to wait for the end of an upstream's message once its finish marker has been relayed."""


class ExchangeResult(msgspec.Struct):
    """What came of an exchange that reached the asker.

    Attributes:
        status: The upstream's status.
        first_token: When the first token (or the plain answer) was there; None before.
        usage: What the upstream counted, if it said.
        broken: Why the stream broke after it had begun; None when it is complete.
        committed: Whether anything has gone to the asker.
        delivered: Whether the asker has taken the whole answer.
        served: Whether the attempt gave the asker an answer, be it one that broke off.
        ended: When the attempt ended.
        foresaw: Whether the answer closed the provider's rate gate: it said that nothing is left.
    """

    status: int | None = None
    first_token: float | None = None
    usage: Usage | None = None
    broken: Failure | None = None
    committed: bool = False
    delivered: bool = False
    served: bool = False
    ended: float = 0.0
    foresaw: bool = False


class Exchange(msgspec.Struct, frozen=True, kw_only=True):
    """All that one exchange needs to know.

    Attributes:
        job: The request.
        provider: How to speak to the upstream.
        actor: The provider's actor, which lends the connection.
        model: The model to ask for; None keeps the asker's.
        number: The number of the attempt, from 1.
        started: When the attempt began.
        answer: Where the answer goes.
        on_first_token: Called when a streamed answer has proved good; None for nobody.
        hold_refusal: Whether an answer in which a content filter refuses is raised as a
            ``Refusal`` instead of being sent: another provider may be asked first.
        gate: The provider's rate gate, closed when the answer says that nothing is left.
    """

    job: Job
    provider: ProviderInterface
    actor: Ref
    model: str | None
    number: int
    started: float
    answer: Answer
    on_first_token: Callable[[], object] | None = None
    hold_refusal: bool = False
    gate: RateGate | None = None


async def exchange(task: Exchange, result: ExchangeResult) -> None:
    """Carry out one exchange; fill in ``result`` as it goes.

    Args:
        task: What to do.
        result: Where to write what happened, also when this raises or is cancelled.

    Raises:
        Failure: When the exchange failed and nothing has reached the asker.
        AskerGone: When the asker left; says nothing about the provider.
    """
    stream = task.job.request.stream
    patience, _ = patience_for(task.job, task.provider.settings)
    acquire = Acquire(
        min(task.job.answer_by, task.started + patience),
        request=task.provider.transform_request(task.job.request, task.model),
        client=task.job.client,
        limit=task.job.answer_by,
    )
    connection = await _begin(task, acquire)
    deadline = acquire.deadline  # put off by the time spent in the queue
    try:
        try:
            head = await connection.read_head(deadline)
        except ConnectionLost as lost:
            late = trio.current_time() > task.started + _STALE_WITHIN
            if (
                not connection.reused
                or connection.response_started
                or _provider_ended(lost)
                or late
            ):
                raise
            # The upstream had closed a kept connection: it never saw this request.
            _give_back(task.actor, connection)
            acquire.fresh = True
            connection = await _begin(task, acquire)
            deadline = acquire.deadline
            head = await connection.read_head(deadline)
        result.status = head.status
        if not 200 <= head.status < 300:
            raise task.provider.handle_error(head, await _error_body(connection, deadline))
        wait = exhausted_for(head.headers)
        if wait and task.gate is not None:
            result.foresaw = task.gate.foresee(trio.current_time(), wait)
        if stream:
            await _relay_stream(task, connection, head, deadline, result)
        else:
            await _relay_plain(task, connection, head, deadline, result)
    except DeadlineExceeded:
        began = task.started + acquire.waited
        raise too_late(task.job, task.provider.settings, began) from None
    except ConnectionLost as lost:
        raise _lost(task, lost) from lost
    except ProtocolError as error:
        raise Failure("bad_answer", task.provider.name, f"not HTTP: {error}") from error
    except AnswerFault as fault:
        raise task.provider.handle_fault(fault) from fault
    finally:
        _give_back(task.actor, connection)


async def _begin(task: Exchange, acquire: Acquire) -> UpstreamConnection:
    """Have the provider's actor send the request; return its connection once there is an answer."""
    try:
        pending = task.actor.send_request(acquire, deadline=acquire.deadline)
        connection: UpstreamConnection = await pending.wait()
    except (ActorDown, NoProcess) as down:
        ended = "its task ended and is being restarted"
        raise _provider_down(task, ended, down) from down
    except CallTimeout as late:
        if trio.current_time() >= task.job.answer_by:
            raise _no_connection(task) from late
        raise Failure("queue_full", task.provider.name, str(late)) from late
    except Failure as failure:
        if failure.kind == "queue_full" and trio.current_time() >= task.job.answer_by:
            raise _no_connection(task) from failure
        raise
    except MailboxFull as full:
        raise Failure("queue_full", task.provider.name, str(full)) from full
    return connection


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
        if _provider_ended(lost):
            raise
    except (DeadlineExceeded, ProtocolError):
        pass
    return b""


async def _relay_plain(
    task: Exchange,
    connection: UpstreamConnection,
    head: ResponseHead,
    deadline: float,
    result: ExchangeResult,
) -> None:
    """Read the whole answer, check it, send it."""
    body = await connection.read_body(task.provider.settings.max_answer, deadline)
    operation = task.provider.dialect.operations[task.job.request.operation]
    peek = operation.peek_answer(body, head.header(b"content-type"))
    result.usage = peek.usage
    if task.hold_refusal and peek.finish_reason in REFUSING:
        raise Refusal(task.provider.name, peek.finish_reason, head=head, answer=body, stream=False)
    result.first_token = trio.current_time()
    result.committed = True
    task.answer.complete(head, body, task.provider.name, task.number)
    await task.answer.drain()
    result.delivered = True


async def _relay_stream(
    task: Exchange,
    connection: UpstreamConnection,
    head: ResponseHead,
    deadline: float,
    result: ExchangeResult,
) -> None:
    """Hold the stream until its first token, then relay it event by event."""
    reader = task.provider.dialect.stream_reader()
    reader.check_head(head.header(b"content-type"))
    try:
        held = await _hold(task, connection, reader, deadline)
    finally:
        # What was counted before the first token is charged also when none comes.
        result.usage = reader.usage
    if task.hold_refusal and reader.finish_reason in REFUSING:
        held += await _rest(task, connection, reader, deadline)
        result.usage = reader.usage
        raise Refusal(task.provider.name, reader.finish_reason, head=head, answer=held, stream=True)
    result.first_token = trio.current_time()
    result.committed = True
    if task.on_first_token is not None:
        task.on_first_token()
    if reader.finished:
        task.answer.begin(head, b"", task.provider.name, task.number)
        task.answer.finish(held)
    else:
        task.answer.begin(head, held, task.provider.name, task.number)
        try:
            await _relay_events(task, connection, reader)
        except Failure as failure:
            result.usage = reader.usage
            result.broken = failure
            task.actor.cast(Trouble(failure.message))
            task.answer.break_off(None if reader.error is not None else failure.message)
            return
        result.usage = reader.usage
    await task.answer.drain()
    result.delivered = True
    await _farewell(connection)


async def _hold(
    task: Exchange, connection: UpstreamConnection, reader: StreamReader, deadline: float
) -> bytes:
    """Return the events up to and including the first token."""
    held: list[bytes] = []
    size = 0
    while True:
        piece = await connection.read_piece(deadline)
        events = reader.feed(piece) if piece else reader.end()
        held.append(events)
        size += len(events)
        if reader.error is not None:
            raise task.provider.handle_stream_error(reader.error)
        if reader.finished and not reader.started:
            raise Failure("bad_answer", task.provider.name, "the stream holds no answer")
        if reader.started or size > _HELD_LIMIT:
            return b"".join(held)
        if not piece:
            raise Failure("bad_answer", task.provider.name, "the stream ended before a token came")


async def _rest(
    task: Exchange, connection: UpstreamConnection, reader: StreamReader, deadline: float
) -> bytes:
    """Return what is left of a stream that has said why it ends."""
    rest = b""
    while not reader.finished:
        piece = await connection.read_piece(deadline)
        rest += reader.feed(piece) if piece else reader.end()
        if reader.error is not None:
            raise task.provider.handle_stream_error(reader.error)
        if not piece and not reader.finished:
            raise Failure("bad_answer", task.provider.name, "the stream ended without its end")
    return rest


async def _relay_events(
    task: Exchange, connection: UpstreamConnection, reader: StreamReader
) -> None:
    """Relay the rest of a stream; return only after its finish marker.

    Pieces are relayed as they are read, without waking this task, until the stream is over, has
    gone wrong, or the asker does not keep up.
    """
    answer = task.answer
    name = task.provider.name
    stall, stall_limit = stall_for(task.job, task.provider.settings)
    end = min(task.job.deadline, task.started + task.provider.settings.answer_timeout)

    def take(piece: bytes) -> bool:
        events = reader.feed(piece)
        if reader.finished:
            answer.finish(events)
            return False
        if events:
            answer.events(events)
        return reader.error is None and not answer.crowded

    while True:
        if answer.crowded:
            await answer.drain()
        if trio.current_time() >= end:  # an asker who takes little by little gains no time
            raise not_whole(task.job, task.provider.settings, task.started)
        try:
            going_on = await connection.relay(take, stall, end)
            last = b"" if going_on or reader.finished else reader.end()
        except DeadlineExceeded:
            if trio.current_time() >= end:
                raise not_whole(task.job, task.provider.settings, task.started) from None
            silent = f"the stream was silent for {stall:g} s ({stall_limit})"
            raise Failure("stall", name, silent) from None
        except ConnectionLost as lost:
            raise _lost(task, lost) from lost
        except ProtocolError as error:
            raise Failure("broken_stream", name, str(error)) from error
        except AnswerFault as fault:
            if fault.events:
                answer.events(fault.events)
            raise Failure("broken_stream", name, fault.message) from fault
        if last:
            (answer.finish if reader.finished else answer.events)(last)
        if reader.finished:
            return
        if reader.error is not None:
            raise Failure("broken_stream", name, reader.error.message)
        if not going_on:
            raise Failure("broken_stream", name, "the stream ended without its finish marker")


async def _farewell(connection: UpstreamConnection) -> None:
    """Read the end of the upstream's message, so that the connection can be kept.

    The asker has its answer and may leave meanwhile: that is no reason to cut the message off.
    """
    if connection.reusable:
        return
    deadline = trio.current_time() + _FAREWELL
    try:
        with trio.CancelScope(shield=True):
            while await connection.read_piece(deadline):
                pass
    except (ConnectionLost, DeadlineExceeded, ProtocolError):
        connection.close()


def _provider_ended(lost: ConnectionLost) -> bool:
    """Tell whether a connection was lost because the provider's task ended."""
    return isinstance(lost.reason, ActorDown)


def _provider_down(task: Exchange, message: str, down: ActorDown) -> Failure:
    """Say that the provider's task ended; and whether it crashed, which this request may have done.

    One that was killed did not.
    """
    crashed = isinstance(down.reason, BaseException)
    return Failure("provider_down", task.provider.name, message, crashed=crashed)


def _lost(task: Exchange, lost: ConnectionLost) -> Failure:
    """Tell a provider task that ended from an upstream that hung up."""
    if _provider_ended(lost):
        ended = "its task ended in the middle of the answer and is being restarted"
        return _provider_down(task, ended, task.actor.down())
    return Failure("reset", task.provider.name, str(lost))
