"""Handing the events of an answer to a program, one after the other, in the program's own task."""

from collections import deque
from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Protocol

import msgspec

from providers.chat_request import ChatBody
from providers.wire.chat import chat_decoder
from providers.wire.chat_events import ChatEvent, Done, Error

__all__ = ["Carry", "ChatError", "ChatSink", "OnEvent", "stream_chat"]

OnEvent = Callable[[ChatEvent], Awaitable[object] | object]
"""Takes the events of an answer; what it returns is awaited where that is possible."""


class ChatError(Exception):
    """There is no complete answer; ``on_event`` has been told.

    Args:
        event: What it was told.
    """

    def __init__(self, event: Error) -> None:
        super().__init__(event)
        self.event = event

    def __str__(self) -> str:
        return self.event.message


class ChatSink:
    """Where the bytes of one answer go in, and out of which its events are handed on.

    Bytes may be put in from anywhere; ``deliver`` runs in the task of whoever asked. Nothing is
    read ahead: while ``pending``, the upstream is to be left waiting.

    Args:
        dialect: The dialect the answer is in.
        on_event: Takes the events.

    Attributes:
        outcome: The last event, once it has been handed on.
        provider: Who answers, as soon as that is known.
    """

    __slots__ = ("_decoder", "_on_event", "_queue", "outcome", "provider")

    def __init__(self, dialect: str, on_event: OnEvent) -> None:
        self._decoder = chat_decoder(dialect)
        self._on_event = on_event
        self._queue: deque[ChatEvent] = deque()
        self.outcome: Done | Error | None = None
        self.provider: str | None = None

    @property
    def pending(self) -> bool:
        """Whether events wait to be handed on."""
        return bool(self._queue)

    def tell(self, *events: ChatEvent) -> None:
        """Add events that are not in the answer's bytes."""
        self._queue.extend(events)

    def feed(self, piece: bytes) -> None:
        """Take the next bytes of a streamed answer."""
        self._queue.extend(self._decoder.feed(piece))

    def end(self) -> None:
        """Take note that a streamed answer has ended."""
        self._queue.extend(self._decoder.end())

    def whole(self, body: bytes) -> None:
        """Take a plain answer."""
        self._queue.extend(self._decoder.whole(body))

    def abort(self, error: Error) -> None:
        """End the answer by an error, unless its end has been handed on or is about to be."""
        self._decoder.abort(error)
        if self.outcome is None and not any(isinstance(e, Done | Error) for e in self._queue):
            self._queue.append(error)

    async def deliver(self) -> None:
        """Hand on what waits, in order.

        Raises:
            Exception: Whatever ``on_event`` raises; the events left are dropped.
        """
        queue = self._queue
        while queue:
            event = queue.popleft()
            if isinstance(event, Error) and event.provider is None:
                event = msgspec.structs.replace(event, provider=self.provider)
            try:
                found = self._on_event(event)
                if isawaitable(found):
                    await found
            except BaseException:
                queue.clear()
                raise
            if isinstance(event, Done | Error):
                self.outcome = event

    async def conclude(self) -> Done:
        """Hand on the rest and return the end.

        Raises:
            ChatError: It was no complete answer.
        """
        self.end()
        await self.deliver()
        outcome = self.outcome
        if isinstance(outcome, Error):
            raise ChatError(outcome)
        assert outcome is not None, "a decoder's last event is one of the two"
        return outcome


class Carry(Protocol):
    """Gets one request answered; the runtime's goes through breaker, gate and provider task."""

    async def __call__(self, body: ChatBody, sink: ChatSink) -> None:
        """Send a request and put what comes back into a sink.

        It calls ``sink.deliver()`` whenever something is pending, and ``sink.abort()`` for what
        keeps the answer from being complete.

        Args:
            body: The request.
            sink: Where the answer goes.
        """


async def stream_chat(body: ChatBody, on_event: OnEvent, carry: Carry) -> Done:
    """Get one request answered, event by event.

    Args:
        body: The request.
        on_event: Takes the events, in the caller's task. While it runs, nothing more is read from
            the upstream. What it raises cancels the request and is raised here.
        carry: The way to a provider.

    Returns:
        The last event.

    Raises:
        ChatError: There is no complete answer.
    """
    sink = ChatSink(body.dialect, on_event)
    await carry(body, sink)
    return await sink.conclude()
