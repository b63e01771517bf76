"""The program's side of an exchange: turns an upstream's answer into events for a function."""

import trio

from providers.chat import ChatSink
from providers.http import ResponseHead
from providers.wire.chat_events import Error, Metadata
from runtime.routing.answer import AskerGone

__all__ = ["ChatAnswer"]


class ChatAnswer:
    """One answer on its way to ``on_event``; implements ``Answer``.

    Bytes come in from the poller's turn and are decoded at once; the events are handed on in
    ``drain``, which the exchange calls in the asker's own task whenever some wait. Until they have
    been taken nothing more is read, so back-pressure reaches the upstream's socket.

    Args:
        sink: Decodes, and hands on.
        request_id: Standby's id of the request.
        deadline: When the request's time is up, on the clock of ``trio.current_time``.

    Attributes:
        raised: What ``on_event`` raised.
    """

    __slots__ = ("_deadline", "_provider", "_request_id", "_sink", "raised")

    def __init__(self, sink: ChatSink, request_id: str, deadline: float) -> None:
        self._sink = sink
        self._request_id = request_id
        self._deadline = deadline
        self._provider: str | None = None
        self.raised: Exception | None = None

    def complete(self, head: ResponseHead, body: bytes, provider: str, attempts: int) -> None:
        """Take a whole plain answer."""
        del head
        self._introduce(provider, attempts)
        self._sink.whole(body)

    def begin(self, head: ResponseHead, events: bytes, provider: str, attempts: int) -> None:
        """Take the first events of a stream."""
        del head
        self._introduce(provider, attempts)
        self._sink.feed(events)

    def events(self, events: bytes) -> None:
        """Take further events."""
        self._sink.feed(events)

    def finish(self, events: bytes) -> None:
        """Take the last events."""
        self._sink.feed(events)
        self._sink.end()

    def break_off(self, message: str | None) -> None:
        """End as broken; where the upstream said so itself (None), its error has come already."""
        if message is not None:
            self._sink.abort(Error(message=message, provider=self._provider))

    @property
    def crowded(self) -> bool:
        """Whether events wait to be handed on."""
        return self._sink.pending

    async def drain(self) -> None:
        """Hand on the events that wait.

        Raises:
            AskerGone: ``on_event`` raised, or took longer than the request may.
        """
        if not self._sink.pending:
            return
        with trio.CancelScope(deadline=self._deadline) as scope:
            try:
                await self._sink.deliver()
            except Exception as error:
                self.raised = error
                raise AskerGone("on_event raised an exception") from error
        if scope.cancelled_caught:
            message = "the request's time was up while on_event was at work"
            self._sink.abort(Error(message=message, kind="deadline", provider=self._provider))
            raise AskerGone(message)

    def _introduce(self, provider: str, attempts: int) -> None:
        self._provider = provider
        known = Metadata(provider=provider, attempts=attempts, request_id=self._request_id)
        self._sink.provider = provider
        self._sink.tell(known)
