"""Where an answer goes: the asker's side of an exchange."""

from typing import Protocol

from providers.http import ResponseHead

__all__ = ["Answer", "AskerGone"]


class AskerGone(Exception):  # noqa: N818 - names the event; it is nobody's error
    """The asker has left, or stopped reading, while its answer was being sent."""


class Answer(Protocol):
    """Where an answer goes: the asker's side of the exchange."""

    def complete(self, head: ResponseHead, body: bytes, provider: str, attempts: int) -> None:
        """Send a whole plain answer."""

    def begin(self, head: ResponseHead, events: bytes, provider: str, attempts: int) -> None:
        """Send the head of a streamed answer and its first events."""

    def events(self, events: bytes) -> None:
        """Send further events."""

    def finish(self, events: bytes) -> None:
        """Send the last events and end the stream properly."""

    def break_off(self, message: str | None) -> None:
        """End the stream as broken; with an error event, unless the upstream sent one (None)."""

    @property
    def crowded(self) -> bool:
        """Whether to ``drain`` before more is sent."""

    async def drain(self) -> None:
        """Wait until the asker has taken most of what was sent; bounded.

        Raises:
            AskerGone: When there is nobody left to take it.
        """
