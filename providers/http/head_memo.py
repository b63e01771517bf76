"""Recognising a request's head that came before on the same connection.

A program's SDK sends the same head with every request, but for the digits of Content-Length. When a
read holds exactly one request and its head is, byte for byte, the one that was parsed before, then
what was parsed holds for it too, and so does whatever has been derived from it.
"""

from __future__ import annotations

from providers.http.messages import Request

__all__ = ["HeadMemo", "HeadMemos"]

_LENGTH = b"content-length: "
_LONGEST_HEAD = 8 * 1024
_MOST_DIGITS = 10
_MOST_HEADS = 256
"""Heads held at one time; then all are forgotten, but each connection keeps its own."""

_REFUSED = frozenset({b"transfer-encoding", b"expect", b"upgrade"})
"""Headers that change how a request is read; a head with one of them is always parsed."""


class HeadMemo:
    """One head, ready to be recognised.

    Args:
        before: Its bytes up to the digits of Content-Length.
        after: Its bytes from behind those digits to the empty line.
        request: A request that was parsed with it.
    """

    __slots__ = ("_after", "_before", "_derived", "_headers", "_method", "_target")

    def __init__(self, before: bytes, after: bytes, request: Request) -> None:
        self._before = before
        self._after = after
        self._method = request.method
        self._target = request.target
        self._headers = request.headers
        self._derived = request.derived

    def match(self, data: bytes | bytearray, size: int, max_body: int) -> Request | None:
        """Return the request that the first ``size`` bytes are, if they are one with this head.

        Args:
            data: A buffer; what is behind ``size`` is not looked at.
            size: Bytes read into it.
            max_body: Bytes of a body at most.

        Returns:
            The request; None when the head is another, or more or less than one request is there.
        """
        before, after = self._before, self._after
        if not data.startswith(before):
            return None
        begin = len(before)
        end = data.find(b"\r", begin, begin + _MOST_DIGITS + 1)
        digits = data[begin:end]
        if end < 0 or not digits.isdigit() or not data.startswith(after, end):
            return None
        length = int(digits)
        start = end + len(after)
        if start + length != size or length > max_body:
            return None
        return Request(
            self._method,
            self._target,
            self._headers,
            bytes(memoryview(data)[start:size]),
            keep_alive=True,
            http_version="1.1",
            derived=self._derived,
        )


class HeadMemos:
    """The heads that connections remember, each held once however many connections send it."""

    __slots__ = ("_memos",)

    def __init__(self) -> None:
        self._memos: dict[tuple[bytes, bytes], HeadMemo] = {}

    def __len__(self) -> int:
        return len(self._memos)

    def of(self, data: bytes | bytearray, request: Request) -> HeadMemo | None:
        """Return the memo of a request's head.

        Args:
            data: Bytes that begin with the request.
            request: What was parsed from them.

        Returns:
            The memo; None for a head that must be parsed each time.
        """
        parts = _split(data, request)
        if parts is None:
            return None
        memo = self._memos.get(parts)
        if memo is None:
            if len(self._memos) >= _MOST_HEADS:
                self._memos.clear()
            memo = self._memos[parts] = HeadMemo(*parts, request)
        return memo


def _split(data: bytes | bytearray, request: Request) -> tuple[bytes, bytes] | None:
    """Return a head's bytes before and after the digits of Content-Length."""
    if not request.keep_alive or request.http_version != "1.1":
        return None
    names = [name for name, _ in request.headers]
    if names.count(b"content-length") != 1 or not _REFUSED.isdisjoint(names):
        return None
    end = data.find(b"\r\n\r\n", 0, _LONGEST_HEAD) + 4
    head = bytes(data[:end])
    start = head.lower().find(b"\r\n" + _LENGTH) + 2 + len(_LENGTH)
    stop = head.find(b"\r", start)
    if end < 4 or start < 2 + len(_LENGTH) + 2 or not head[start:stop].isdigit():
        return None
    return head[:start], head[stop:]
