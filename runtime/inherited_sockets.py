"""Listening sockets that systemd opened before the daemon started (sd_listen_fds(3)).

With them a client that comes while the daemon is being restarted, or that is the very first, waits
in the kernel's queue instead of being refused.
"""

import fcntl
import os
import socket
from collections.abc import MutableMapping
from pathlib import Path
from typing import NamedTuple

from runtime.configuration import Config
from runtime.configuration.addresses import is_loopback

__all__ = ["NOTHING_INHERITED", "InheritedSockets", "inherit_sockets", "refuse_unguarded"]

_FIRST = 3
"""The first descriptor that is handed over: SD_LISTEN_FDS_START."""

_MOST = 64
"""Descriptors that are looked at; beyond it the number is a mistake."""


class InheritedSockets(NamedTuple):
    """What was handed over.

    Attributes:
        unix: The listening Unix socket, if there is one.
        tcp: The listening TCP socket, if there is one.
    """

    unix: socket.socket | None = None
    tcp: socket.socket | None = None

    @property
    def path(self) -> Path | None:
        """Where the Unix socket is, if there is one."""
        return None if self.unix is None else Path(os.fsdecode(self.unix.getsockname()))

    @property
    def shared(self) -> bool:
        """Whether the Unix socket's mode lets other users connect: its unit says who may."""
        path = self.path
        return path is not None and bool(path.stat().st_mode & 0o022)

    def close(self) -> None:
        """Close what nobody has taken over."""
        for sock in self:
            if sock is not None:
                sock.close()


NOTHING_INHERITED = InheritedSockets()


def inherit_sockets(environ: MutableMapping[str, str]) -> InheritedSockets:
    """Return the sockets that were handed over, and take their variables out of the environment.

    Nothing is taken when ``LISTEN_PID`` names another process: the variables then came down from
    a parent and the descriptors did not.

    Args:
        environ: The environment.

    Raises:
        ValueError: When what was handed over is not one listening Unix socket, one listening TCP
            socket, or both; names the descriptor.
    """
    pid = environ.pop("LISTEN_PID", "")
    count = environ.pop("LISTEN_FDS", "")
    names = environ.pop("LISTEN_FDNAMES", "").split(":")
    if pid != str(os.getpid()) or not count:
        return NOTHING_INHERITED
    if not (count.isascii() and count.isdigit()) or int(count) > _MOST:
        raise ValueError(f"LISTEN_FDS is {count!r}, expected a number of sockets up to {_MOST}")
    found: dict[str, socket.socket] = {}
    for place in range(int(count)):
        name = names[place] if place < len(names) else ""
        shown = f"descriptor {_FIRST + place}" + (f" ({name})" if name else "")
        family, sock = _listening(_FIRST + place, shown)
        if family in found:
            for opened in (sock, *found.values()):
                opened.close()
            raise ValueError(
                f"{shown} is a second {family} socket; the daemon listens on one of each kind"
            )
        found[family] = sock
    return InheritedSockets(unix=found.get("Unix"), tcp=found.get("TCP"))


def refuse_unguarded(inherited: InheritedSockets, config: Config) -> None:
    """Hold an inherited TCP socket to the rules of the daemon's own TCP door.

    Args:
        inherited: What was handed over.
        config: The configuration.

    Raises:
        ValueError: When the socket is open to other machines, or no token guards it.
    """
    if inherited.tcp is None:
        return
    host, port = inherited.tcp.getsockname()[:2]
    if not is_loopback(host):
        raise ValueError(
            f"the inherited TCP socket listens on {host}, port {port}: "
            "the TCP door is for this machine only; give a loopback address in ListenStream="
        )
    if not config.tcp.token:
        raise ValueError(
            f"the inherited TCP socket (port {port}) needs tcp.token in the configuration: "
            "a TCP port is open to every user of this machine"
        )


def _listening(descriptor: int, shown: str) -> tuple[str, socket.socket]:
    """Return a descriptor as a socket and of which kind it is."""
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFD, fcntl.FD_CLOEXEC)
        sock = socket.socket(fileno=descriptor)
    except OSError:
        raise ValueError(f"{shown} was announced as a socket and is none") from None
    family = {socket.AF_UNIX: "Unix", socket.AF_INET: "TCP", socket.AF_INET6: "TCP"}.get(
        sock.family
    )
    listens = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    if family is None or sock.type != socket.SOCK_STREAM or not listens:
        sock.close()
        raise ValueError(
            f"{shown} is no listening stream socket; expected Accept=no and ListenStream="
        )
    if family == "Unix" and not os.fsdecode(sock.getsockname()).startswith("/"):
        sock.close()
        raise ValueError(f"{shown} has no path; abstract sockets have no owner or mode")
    return family, sock
