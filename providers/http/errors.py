"""What can go wrong on a connection, as exceptions in plain words."""

from __future__ import annotations

from typing import TypeVar

__all__ = [
    "BadRequest",
    "ConnectError",
    "ConnectionLost",
    "DeadlineExceeded",
    "ProtocolError",
    "TLSError",
    "Truncated",
    "without_frames",
]

_AnyError = TypeVar("_AnyError", bound=BaseException)


class DeadlineExceeded(Exception):  # noqa: N818 - names the event, as trio's own TooSlowError does
    """The deadline given to a wait passed before what it waited for happened."""


class ConnectionLost(Exception):  # noqa: N818 - names the event, like a signal; callers match on it
    """The connection is gone, or was closed under the waiting task.

    Args:
        message: What was lost and when, in plain words.
        reason: The error behind it (an `OSError`, or what was given to `close`), when there is one.
    """

    def __init__(self, message: str, reason: Exception | None = None) -> None:
        super().__init__(message)
        self.reason = reason


class ConnectError(ConnectionLost):
    """No connection could be made: name not found, refused, unreachable, no such socket."""


class TLSError(ConnectError):
    """The TLS handshake failed, or the certificate is not the host's."""


class Truncated(ConnectionLost):
    """The connection ended before the message did: what was read is not whole."""


class ProtocolError(Exception):
    """The upstream sent something that is not an HTTP/1.1 response."""


class BadRequest(Exception):  # noqa: N818 - the name HTTP gives it
    """A request that deserves an answer with an error status, after which the connection closes.

    Args:
        status: The HTTP status to answer with (400, 408, 413, 414, 417, 431, 501, 503 or 505).
        message: What was wrong, in plain words, fit for the client.
        retry_after: Seconds after which the same request may be accepted; None where it will not.
    """

    def __init__(self, status: int, message: str, *, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.retry_after = retry_after


def without_frames(error: _AnyError) -> _AnyError:
    """Take the tracebacks off an error that is to be kept, and off all errors behind it.

    A traceback holds the frames it went through, and they whatever they worked on. Where that
    holds the error in turn, only the garbage collector could free the two.

    Args:
        error: The error; its text, type and causes stay.

    Returns:
        The same object.
    """
    rest: list[BaseException] = [error]
    seen: set[int] = set()
    while rest:
        each = rest.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        each.__traceback__ = None
        reason = each.reason if isinstance(each, ConnectionLost) else None
        behind = (each.__cause__, each.__context__, reason)
        rest.extend(other for other in behind if other is not None)
    return error
