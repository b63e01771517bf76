"""Those who want to be told of the end of one incarnation, in the order they asked."""

from __future__ import annotations

from collections.abc import Callable

from supervision.reasons import Reason
from supervision.refs import DownCallback


class Watchers:
    """Callbacks, each told once."""

    __slots__ = ("_callbacks",)

    def __init__(self) -> None:
        self._callbacks: dict[object, DownCallback] = {}

    def add(self, callback: DownCallback, *, first: bool = False) -> Callable[[], None]:
        """Take a callback.

        Args:
            callback: called when the incarnation has ended.
            first: before those that are here already.

        Returns:
            How to take it back; harmless when it has been told.
        """
        callbacks = self._callbacks
        token = object()
        earlier = tuple(callbacks) if first else ()
        callbacks[token] = callback
        for other in earlier:
            callbacks[other] = callbacks.pop(other)

        def unwatch() -> None:
            callbacks.pop(token, None)

        return unwatch

    def tell(self, reason: Reason) -> None:
        """Call each, and whoever comes in meanwhile.

        Args:
            reason: why the incarnation ended.
        """
        callbacks = self._callbacks
        while callbacks:
            callbacks.pop(next(iter(callbacks)))(reason)
