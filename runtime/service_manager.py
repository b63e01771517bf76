"""What systemd is told: that the daemon is ready, how it is, that it still runs, that it stops.

The protocol is that of sd_notify(3): one datagram of ``NAME=value`` lines to the socket that
``NOTIFY_SOCKET`` names. Where the variable is not set nothing is sent and no task runs.
"""

import logging
import os
import socket
from collections.abc import Callable, MutableMapping

import trio

__all__ = ["ServiceManager", "keep_informed"]

_log = logging.getLogger("standby.systemd")

_UNWATCHED = 10.0
"""Seconds between two looks at the state when no watchdog asks for a sign of life."""

_SHORTEST = 0.05
"""Seconds between two signs of life at least, whatever the watchdog demands."""


class ServiceManager:
    """The service manager that started this process, if one did.

    Telling it something never waits and never fails: a message that is not taken is logged once,
    and the next one is tried again.

    Args:
        address: Its socket: a path, or ``@`` and the name of an abstract socket. Empty for none.
        watchdog: Seconds after which it takes the daemon for dead without a sign of life; None
            when it does not watch.

    Attributes:
        watchdog: As given.
    """

    def __init__(self, address: str = "", *, watchdog: float | None = None) -> None:
        self.watchdog = watchdog
        self._address = ""
        self._socket: socket.socket | None = None
        self._failed = False
        if address.startswith(("/", "@")) and len(address) > 1:
            self._address = "\0" + address[1:] if address.startswith("@") else address
            self._socket = socket.socket(
                socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC
            )
        elif address:
            _log.warning("NOTIFY_SOCKET names no Unix socket; nobody is told of the state")

    @classmethod
    def from_environment(cls, environ: MutableMapping[str, str]) -> "ServiceManager":
        """Return the one that the environment names, and take its variables out of it.

        ``WATCHDOG_USEC`` counts only where ``WATCHDOG_PID`` is missing or names this process.

        Args:
            environ: The environment. What is taken out of it no child process can mistake for
                its own.
        """
        address = environ.pop("NOTIFY_SOCKET", "")
        period = environ.pop("WATCHDOG_USEC", "")
        watched = environ.pop("WATCHDOG_PID", "")
        watchdog = None
        if watched in {"", str(os.getpid())} and period.isascii() and period.isdigit():
            watchdog = int(period[:18]) / 1_000_000 or None
        return cls(address, watchdog=watchdog)

    @property
    def listens(self) -> bool:
        """Whether there is one."""
        return self._socket is not None

    def ready(self, status: str) -> None:
        """Say that clients are served from now on.

        Args:
            status: How the daemon is, in a few words.
        """
        self._send("READY=1", _status(status))

    def alive(self, status: str) -> None:
        """Give a sign of life, and say how the daemon is in a few words."""
        if self.watchdog is None:
            self._send(_status(status))
        else:
            self._send("WATCHDOG=1", _status(status))

    def stopping(self, status: str, *, within: float) -> None:
        """Say that the daemon has begun to stop.

        Args:
            status: What it still does, in a few words.
            within: Seconds it may take; the manager's own patience is extended to that.
        """
        self._send("STOPPING=1", f"EXTEND_TIMEOUT_USEC={within * 1e6:.0f}", _status(status))

    def close(self) -> None:
        """Let go of the socket; nothing is sent any more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, *lines: str) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            if not self._failed:
                _log.warning("the service manager cannot be told: %s", error.strerror)
            self._failed = True
        else:
            self._failed = False


def _status(text: str) -> str:
    return "STATUS=" + text.replace("\n", " ")


async def keep_informed(manager: ServiceManager, status: Callable[[], str]) -> None:
    """Tell the service manager again and again how the daemon is; the watchdog's task.

    It sleeps in the daemon's own loop: a loop that hangs, or a tree that cannot keep this task
    running, gives no sign of life, and the service manager starts the daemon anew. Twice within
    the watchdog's time, as sd_watchdog_enabled(3) advises.

    Args:
        manager: The service manager.
        status: Says how the daemon is, in a few words.
    """
    watchdog = manager.watchdog
    period = _UNWATCHED if watchdog is None else max(watchdog / 2, _SHORTEST)
    while True:
        manager.alive(status())
        await trio.sleep(period)
