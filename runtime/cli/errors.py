"""What can go wrong between a command and the daemon, in words for the person at the terminal."""

from __future__ import annotations

__all__ = ["AnswerBroken", "DaemonError", "DaemonSilent", "NoDaemon"]


class DaemonError(Exception):
    """Talking to the daemon failed; the text says how, in words for the person at the terminal."""


class NoDaemon(DaemonError):  # noqa: N818 - it names a situation; "NoDaemonError" says no more
    """Nothing answers at the socket: not running, or not reachable."""


class DaemonSilent(DaemonError):  # noqa: N818 - the same
    """The daemon took the connection and said nothing for too long."""


class AnswerBroken(DaemonError):  # noqa: N818 - the same
    """The daemon began to answer and the answer ended early or made no sense."""
