"""What carrying out an exchange needs of a connection to an upstream, of whatever make."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from providers.http.messages import ResponseHead

__all__ = ["UpstreamConnection"]


class UpstreamConnection(Protocol):
    """Lent for one exchange, whose request is on its way already.

    There are two: `ClientConnection`, a socket of its own on the daemon's poller, and
    `providers.pooled.PooledExchange`, which goes through a proxy or shares an HTTP/2 connection.
    Deadlines are absolute `trio.current_time()` seconds. One that cannot be used again (`reusable`
    is false) is to be closed, which cancels what the upstream is doing.
    """

    @property
    def closed(self) -> bool:
        """Whether it is of no more use; body already read can still be taken."""

    @property
    def reused(self) -> bool:
        """Whether the connection has carried another exchange before: it may have been stale."""

    @property
    def response_started(self) -> bool:
        """Whether any of the response has come."""

    @property
    def reusable(self) -> bool:
        """Whether the answer is whole and all of it has been taken, so that nothing is cut off."""

    async def read_head(self, deadline: float) -> ResponseHead:
        """Wait for the response's status and headers."""

    async def read_piece(self, deadline: float) -> bytes:
        """Wait for more of the body; nothing once it came to its proper end."""

    async def read_body(self, limit: int, deadline: float) -> bytes:
        """Wait for the whole body."""

    async def relay(self, take: Callable[[bytes], bool], silence: float, end: float) -> bool:
        """Hand the body over as it is read."""

    async def see_out(self) -> None:
        """Have the upstream end an answer that says itself that it is over, and be `reusable`."""

    def close(self, reason: Exception | None = None) -> None:
        """Close at once, telling whoever waits why."""
