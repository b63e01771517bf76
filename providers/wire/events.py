"""Server-sent events, split out of a stream of bytes and relayed unchanged.

The format is the one of the HTML standard, section 9.2.6: lines end in LF, CRLF or CR; an empty
line ends an event; a line that begins with a colon is a comment; one byte order mark may lead.
"""

import re
from abc import ABC, abstractmethod

from providers.wire.faults import AnswerFault
from providers.wire.values import UpstreamError, Usage

__all__ = ["MAX_EVENT", "StreamReader", "fields"]

MAX_EVENT = 8 * 1024 * 1024
"""Bytes of one event at most: the largest carry a picture or a stretch of sound in base64."""

_MARK = b"\xef\xbb\xbf"
_BOUNDARY = re.compile(rb"(?:\r\n|\n|\r(?!\n))(?:\r\n|\n|\r)")


class StreamReader(ABC):
    """Follows a streamed answer: takes bytes as they come, gives whole events to relay.

    Events leave byte for byte as they came, comments included. What they say is judged on the way
    and shown in the attributes. Nothing leaves after the finish marker or an error event: there is
    nothing after them that a client could want. An error in a form that SDKs do not know stays
    behind: they would take it for a part of the answer, or stumble over it. How the bytes were
    split makes no difference to what is relayed or to the verdict.

    Args:
        max_event: Bytes of one event at most.

    Attributes:
        started: A first token (text, refusal, reasoning, tool call, sound) or a finish was seen.
        finished: The upstream's own finish marker was seen: the answer is complete.
        error: The error event that was seen.
        odd_error: Whether that has a form that the API's SDKs take for none: it is not relayed, and
            whoever relays has to tell the error in the API's own form.
        usage: What the upstream counted so far.
        finish_reason: Why the answer ended, in the dialect's own word.
        model: The model that answers, as the upstream names it.
    """

    __slots__ = (
        "_fresh",
        "_max_event",
        "_over",
        "_pending",
        "error",
        "finish_reason",
        "finished",
        "model",
        "odd_error",
        "started",
        "usage",
    )

    def __init__(self, max_event: int = MAX_EVENT) -> None:
        self.started = False
        self.finished = False
        self.error: UpstreamError | None = None
        self.odd_error = False
        self.usage: Usage | None = None
        self.finish_reason: str | None = None
        self.model: str | None = None
        self._max_event = max_event
        self._pending = bytearray()
        self._fresh = True
        self._over = False

    @property
    def pending(self) -> int:
        """Bytes of an incomplete event that are held."""
        return len(self._pending)

    def check_head(self, content_type: bytes | None) -> None:
        """Check what the upstream says it sends.

        Args:
            content_type: The answer's ``content-type``; None, and nothing is checked, without one.

        Raises:
            AnswerFault: It is no event stream.
        """
        if content_type is not None:
            media = content_type.partition(b";")[0].strip().lower()
            if media and media != b"text/event-stream":
                shown = media[:80].decode("ascii", "replace")
                raise AnswerFault(f"the upstream answered with {shown} instead of an event stream")

    def feed(self, piece: bytes) -> bytes:
        """Take the next bytes of the stream.

        Args:
            piece: Bytes as they came from the connection.

        Returns:
            The whole events these bytes completed, ready to relay.

        Raises:
            AnswerFault: An event is malformed or too large. Its ``events`` are the good ones that
                came before it and are still to be relayed; the reader is of no more use.
        """
        try:
            if self._pending or self._fresh or self._over:
                return self._feed_slowly(piece)
            if (
                piece.endswith(b"\n\n")
                and len(piece) <= self._max_event
                and self.is_ordinary(piece)
            ):
                return piece
            return self._split(piece, 0)
        except RecursionError:
            raise self._nested() from None

    def end(self) -> bytes:
        """Take note that the stream has ended in order.

        An upstream may leave out the empty line after its last event. When that event is the
        finish marker, it counts, and is returned with its line end; any other unfinished event is
        dropped, as the format demands.

        Returns:
            What is still to be relayed.

        Raises:
            AnswerFault: The last event is malformed.
        """
        if self._over or not self._pending:
            return b""
        tail = bytes(self._pending)
        self._pending.clear()
        try:
            if _BOUNDARY.search(tail) is None:
                if not self.is_finish(_unified(tail)):
                    return b""
                line_end = b"\r\n" if b"\r\n" in tail else b"\r" if b"\r" in tail else b"\n"
                tail += line_end if tail.endswith((b"\n", b"\r")) else line_end * 2
            return self._judge_blocks(tail)
        except RecursionError:
            raise self._nested() from None

    @abstractmethod
    def judge(self, block: bytes) -> bool:
        """Take note of what one event says.

        Args:
            block: Its lines, joined and separated by LF, without the empty line at the end.

        Returns:
            Whether the stream is over: the finish marker or an error.

        Raises:
            AnswerFault: The event is malformed.
        """

    @abstractmethod
    def is_ordinary(self, event: bytes) -> bool:
        """Tell in short that a piece is a single sound event that changes no attribute.

        Nearly all pieces are: this is where the time of a stream goes.

        Args:
            event: A piece that ends in an empty line.

        Returns:
            Whether it is for certain; when not, ``judge`` looks at it again.
        """

    @abstractmethod
    def is_finish(self, block: bytes) -> bool:
        """Tell whether an event is the finish marker, without taking note of it."""

    def _feed_slowly(self, piece: bytes) -> bytes:
        """Go on from an incomplete event, or from the very beginning."""
        if self._over:
            return b""
        pending = self._pending
        before = len(pending)
        pending += piece
        if self._fresh:
            if len(pending) < len(_MARK) and _MARK.startswith(pending):
                return b""
            self._fresh = False
            if pending.startswith(_MARK):
                # Not relayed: it is no part of any event, and clients' parsers stumble over it.
                del pending[: len(_MARK)]
                before = 0
        # The boundary may have begun in what was held; only it and the new bytes are searched.
        start = max(0, before - 4)
        if _BOUNDARY.search(pending, start) is None:
            self._check_size(len(pending))
            return b""
        data = bytes(pending)
        pending.clear()
        return self._split(data, start)

    def _split(self, data: bytes, start: int) -> bytes:
        """Judge the whole events of ``data`` and hold back the rest.

        Args:
            data: Bytes that begin with an event.
            start: Where to begin looking for the end of an event.
        """
        if data.find(b"\r") >= 0:  # for a single byte, much quicker than `in`
            cut = _last_cut(data, start)
            relayed = self._judge_blocks(data[:cut])
        else:
            cut = data.rfind(b"\n\n") + 2
            if cut == 1:
                cut = 0
            relayed = self._judge_lines(data[:cut])
        if not self._over:
            self._pending += memoryview(data)[cut:]
            try:
                self._check_size(len(self._pending))
            except AnswerFault as fault:
                fault.events = relayed
                raise
        return relayed

    def _judge_lines(self, data: bytes) -> bytes:
        """Judge whole events whose lines end in LF; return those that are to be relayed."""
        if data.find(b"\n\n") == len(data) - 2:
            try:
                if len(data) > self._max_event:
                    self._check_size(len(data))
                if self.judge(data[:-2]):
                    self._close()
                    return b"" if self.odd_error else data
            except AnswerFault:
                self._close()
                raise
            return data
        position = 0
        blocks = data.split(b"\n\n")
        rest = blocks.pop()
        for block in blocks:
            try:
                self._check_size(len(block) + 2)
                over = self.judge(block)
            except AnswerFault as fault:
                self._close()
                fault.events = data[:position]
                raise
            if over:
                self._close()
                return data[: position if self.odd_error else position + len(block) + 2]
            position += len(block) + 2
        self._pending += rest  # the third of three line ends begins the next event
        return data[:position]

    def _judge_blocks(self, data: bytes) -> bytes:
        """Judge whole events whose lines end in any way; return those that are to be relayed."""
        position = 0
        for boundary in _BOUNDARY.finditer(data):
            block = data[position : boundary.start()]
            try:
                self._check_size(boundary.end() - position)
                over = self.judge(_unified(block))
            except AnswerFault as fault:
                self._close()
                fault.events = data[:position]
                raise
            if over:
                self._close()
                return data[: position if self.odd_error else boundary.end()]
            position = boundary.end()
        return data

    def _nested(self) -> AnswerFault:
        """Give up for good: what cannot be read cannot be passed on as good either."""
        self._close()
        return AnswerFault("an event of the stream is nested too deeply")

    def _close(self) -> None:
        self._over = True
        self._pending.clear()

    def _check_size(self, size: int) -> None:
        if size > self._max_event:
            self._close()
            raise AnswerFault(
                f"an event of the stream is larger than {self._max_event} bytes", "bad_answer"
            )


def _unified(block: bytes) -> bytes:
    """Return the lines of an event with LF between them, whatever ended them."""
    if b"\r" not in block:
        return block
    return block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def _last_cut(data: bytes, start: int) -> int:
    """Return where the last whole event ends; 0 when there is none.

    A CR at the very end may be half of a CRLF: the other half is waited for, so that both are
    relayed with the event they belong to.
    """
    cut = 0
    for boundary in _BOUNDARY.finditer(data, start):
        if boundary.end() == len(data) and data.endswith(b"\r"):
            break
        cut = boundary.end()
    return cut


def fields(block: bytes) -> tuple[bytes, bytes | None]:
    """Return an event's name and its data.

    Args:
        block: The event's lines, separated by LF.

    Returns:
        The name, empty without one, and the data lines joined by LF, None without any.
    """
    name = b""
    data: bytes | None = None
    for line in block.split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            value = value.removeprefix(b" ")
            data = value if data is None else data + b"\n" + value
        elif field == b"event":
            name = value.removeprefix(b" ")
    return name, data
