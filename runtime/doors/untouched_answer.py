"""The asker's side of an exchange that is passed through: framed as the upstream framed it."""

from providers.http import ResponseHead
from runtime.doors.answer import DoorAnswer

__all__ = ["UntouchedAnswer"]


class UntouchedAnswer(DoorAnswer):
    """An answer of which nothing is known but its head.

    A length that the upstream gives is the asker's too, also where no body follows (``HEAD``,
    304); a body without one goes in chunks, or to HTTP/1.0 until the connection ends.
    """

    __slots__ = ()

    def begin(self, head: ResponseHead, events: bytes, provider: str, attempts: int) -> None:
        """Send the head at once, whenever the body comes, and the first of the body."""
        own = []
        length = None if head.chunked and head.has_body else head.header(b"content-length")
        if length is not None or not head.has_body:
            self._chunked = False
            self._delimited = True
            if length is not None and head.status != 204:
                own.append((b"content-length", length))
        else:
            self._delimited = self._chunked
            if self._chunked:
                own.append((b"transfer-encoding", b"chunked"))
        if not (self._keep_alive and self._delimited):
            own.append((b"connection", b"close"))
        self.begun = True
        framed = self._framed(events)
        self._connection.write(self._render(head, own, provider, attempts) + framed)

    def finish(self, events: bytes) -> None:
        """Send the last of the body, and its end where that has to be said."""
        if events or self._chunked:
            super().finish(events)
            return
        # All has been sent, and the client may have left with it: a write would only find that out.
        self.complete_answer = True
        self._taken = not (self._connection.unsent or self._connection.closed)
