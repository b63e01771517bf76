"""From a good answer's head to the asker: the whole of a plain answer, a stream event by event.

A plain answer is checked whole and a stream is held until its first token; what is wrong until then
is raised. What is wrong later is told to the asker, as the end of a stream that broke. An answer
that is passed through is neither: whatever it is, it goes on as it comes.
"""

import contextlib
from typing import Protocol

import trio

from providers.actor import Trouble
from providers.failures import Failure, FailureKind
from providers.http import (
    ConnectionLost,
    DeadlineExceeded,
    ProtocolError,
    ResponseHead,
    UpstreamConnection,
    without_frames,
)
from providers.masking import Masking
from providers.wire import AnswerFault, StreamReader, UpstreamError
from runtime.routing.exchange import Exchange, ExchangeResult
from runtime.routing.limits import not_whole, stall_for
from runtime.routing.lost import exchange_lost
from runtime.routing.refused import REFUSING, Refusal

__all__ = ["relay_plain", "relay_stream", "relay_untouched"]

_HELD_LIMIT = 256 * 1024
"""Bytes of a stream that are held back waiting for its first token; beyond, it is let go."""

_NOT_IMPLEMENTED = 501
"""The one server error that says nothing of the server's health: it lacks what was asked for."""


async def relay_plain(
    task: Exchange,
    connection: UpstreamConnection,
    head: ResponseHead,
    deadline: float,
    result: ExchangeResult,
) -> None:
    """Read the whole answer, check it, send it.

    Args:
        task: The exchange.
        connection: Where the answer comes from.
        head: Its head.
        deadline: When it must be whole.
        result: What to fill in.

    Raises:
        Failure: The answer is none; nothing has reached the asker.
        AnswerFault: The same, as its dialect says it.
        ConnectionLost: It did not come whole; nothing has reached the asker.
        DeadlineExceeded: The same.
        ProtocolError: The same.
        AskerGone: The asker left.
    """
    body = await connection.read_body(task.provider.settings.max_answer, deadline)
    operation = task.dialect.operations[task.job.request.operation]
    try:
        peek = operation.peek_answer(body, head.header(b"content-type"))
    except RecursionError:
        raise AnswerFault("the upstream's answer is nested too deeply") from None
    result.usage = peek.usage
    if task.hold_refusal and peek.finish_reason in REFUSING:
        raise _refusal(task, peek.finish_reason, head, body)
    if operation.adapt_answer is not None:
        body = operation.adapt_answer(task.job.request.body, body)
    result.first_token = trio.current_time()
    task.answer.complete(head, body, task.provider.name, task.number)
    result.committed = True
    await task.answer.drain()
    result.delivered = True


async def relay_stream(
    task: Exchange,
    connection: UpstreamConnection,
    head: ResponseHead,
    deadline: float,
    result: ExchangeResult,
) -> None:
    """Hold the stream until its first token, then relay it event by event.

    Args:
        task: The exchange.
        connection: Where the answer comes from.
        head: Its head.
        deadline: When its first token must have come.
        result: What to fill in.

    Raises:
        Failure: The answer is none; nothing has reached the asker.
        AnswerFault: The same, as its dialect says it.
        ConnectionLost: It did not come whole; nothing has reached the asker.
        DeadlineExceeded: The same.
        ProtocolError: The same.
        AskerGone: The asker left.
    """
    reader = task.dialect.stream_reader()
    reader.check_head(head.header(b"content-type"))
    try:
        held = await _hold(task, connection, reader, deadline)
    finally:
        # What was counted before the first token is charged also when none comes.
        result.usage = reader.usage
    if task.hold_refusal and reader.finish_reason in REFUSING:
        held += await _rest(task, connection, reader, deadline, _HELD_LIMIT - len(held))
        result.usage = reader.usage
        raise _refusal(task, reader.finish_reason, head, held)
    result.first_token = trio.current_time()
    if task.on_first_token is not None:
        task.on_first_token()
    if reader.finished:
        task.answer.begin(head, b"", task.provider.name, task.number)
        task.answer.finish(held)
        result.committed = True
    else:
        task.answer.begin(head, held, task.provider.name, task.number)
        result.committed = True
        try:
            await _relay_events(task, connection, reader)
        except Failure as failure:
            result.usage = reader.usage
            result.broken = without_frames(failure)  # they hold the result
            task.actor.cast(Trouble(failure.message))
            told = reader.error is not None and not reader.odd_error
            task.answer.break_off(None if told else failure.message)
            return
        result.usage = reader.usage
    await task.answer.drain()
    result.delivered = True
    if not connection.reusable:
        await connection.see_out()


async def relay_untouched(
    task: Exchange, connection: UpstreamConnection, head: ResponseHead, result: ExchangeResult
) -> None:
    """Relay an answer of whatever kind and status as it comes, from its head on.

    Only from answers that are none of success the provider's secrets are blotted out: some
    upstreams repeat the key they refuse.

    Args:
        task: The exchange.
        connection: Where the answer comes from.
        head: Its head.
        result: What to fill in.

    Raises:
        AskerGone: The asker left.
    """
    answer = task.answer
    result.judged = _judged(head.status)
    if result.judged == "server_error":
        task.actor.cast(Trouble(f"the upstream answered {head.status}"))
    elif result.judged is None and task.on_first_token is not None:
        task.on_first_token()
    length = _length(head)
    follower = _Untouched(length)
    if result.judged is not None:
        masking = follower.masking = task.provider.masking()
        head.headers = [(name, masking.whole(value)) for name, value in head.headers]
    answer.begin(head, b"", task.provider.name, task.number)
    result.committed = True
    if length != 0:
        try:
            await _relay_events(task, connection, follower)
        except Failure as failure:
            result.broken = without_frames(failure)  # they hold the result
            task.actor.cast(Trouble(failure.message))
            answer.break_off(None)
            return
    if not length:
        answer.finish(follower.rest())
    await answer.drain()
    result.delivered = True
    if not connection.reusable:
        await connection.see_out()


def _length(head: ResponseHead) -> int | None:
    """Return how many bytes of a body will come; None where only its end will tell."""
    if not head.has_body:
        return 0
    length = head.header(b"content-length")
    return None if length is None or head.chunked else int(length)


def _judged(status: int) -> FailureKind | None:
    """Return what a status says of the provider where nothing is known of what was asked for.

    Refusals are the asker's affair: the limits and permissions of other parts of an API are not
    those of the part that models are asked by.
    """
    if status < 400:
        return None
    return "server_error" if status >= 500 and status != _NOT_IMPLEMENTED else "client_error"


class _Events(Protocol):
    """What follows a body on its way."""

    finished: bool

    @property
    def error(self) -> UpstreamError | None:
        """The error that was seen in it."""

    def feed(self, piece: bytes) -> bytes:
        """Take the next bytes; return what is to be relayed."""

    def end(self) -> bytes:
        """The body has come to its proper end; return what is still to be relayed."""


class _Untouched:
    """Follows a body of which at most its length is known.

    With the last of its bytes the asker has all there is, and may leave; the upstream may still
    have to say so.
    """

    __slots__ = ("_missing", "finished", "masking")

    def __init__(self, length: int | None) -> None:
        self._missing = length
        self.finished = False
        self.masking: Masking | None = None

    @property
    def error(self) -> UpstreamError | None:
        return None

    def feed(self, piece: bytes) -> bytes:
        if self._missing is not None:
            self._missing -= len(piece)
            self.finished = not self._missing
        masking = self.masking
        if masking is not None:
            piece = masking.feed(piece)
            if self.finished:
                piece += masking.rest()
        return piece

    def end(self) -> bytes:
        self.finished = not self._missing
        return b""

    def rest(self) -> bytes:
        return b"" if self.masking is None else self.masking.rest()


def _refusal(task: Exchange, reason: str, head: ResponseHead, answer: bytes) -> Refusal:
    return Refusal(
        task.provider.name,
        reason,
        head=head,
        answer=answer,
        stream=task.job.request.stream,
        crossing=task.crossing,
    )


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
    task: Exchange,
    connection: UpstreamConnection,
    reader: StreamReader,
    deadline: float,
    most: int,
) -> bytes:
    """Return what is left of a stream that has said why it ends, unless it is more than so much."""
    rest = b""
    while not reader.finished:
        piece = await connection.read_piece(deadline)
        rest += reader.feed(piece) if piece else reader.end()
        if len(rest) > most:
            raise Failure("bad_answer", task.provider.name, "the stream does not come to its end")
        if reader.error is not None:
            raise task.provider.handle_stream_error(reader.error)
        if not piece and not reader.finished:
            raise Failure("bad_answer", task.provider.name, "the stream ended without its end")
    return rest


async def _relay_events(task: Exchange, connection: UpstreamConnection, reader: _Events) -> None:
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
        if reader.error is not None:
            if events:
                answer.events(task.provider.masking().whole(events))
            return False
        if events:
            answer.events(events)
        return not answer.crowded

    while True:
        if answer.crowded:
            await answer.drain()
        if trio.current_time() >= end:  # an asker who takes little by little gains no time
            raise not_whole(task.job, task.provider.settings, task.started)
        try:
            going_on = await connection.relay(take, stall, end)
            last = b"" if going_on or reader.finished else reader.end()
            if last:
                (answer.finish if reader.finished else answer.events)(last)
        except DeadlineExceeded:
            if trio.current_time() >= end:
                raise not_whole(task.job, task.provider.settings, task.started) from None
            silent = f"the stream was silent for {stall:g} s ({stall_limit})"
            raise Failure("stall", name, silent) from None
        except ConnectionLost as lost:
            raise exchange_lost(task, lost) from lost
        except ProtocolError as error:
            raise Failure("broken_stream", name, str(error)) from error
        except AnswerFault as fault:
            if fault.events:
                # What cannot be translated ends the stream as well; it is broken already.
                with contextlib.suppress(AnswerFault):
                    answer.events(fault.events)
            raise Failure("broken_stream", name, fault.message) from fault
        if reader.finished:
            return
        if reader.error is not None:
            raise Failure("broken_stream", name, task.provider.redact(reader.error.message))
        if not going_on:
            raise Failure("broken_stream", name, "the stream ended without its finish marker")
