"""One daemon per socket: a lock beside it, a stale socket told from a living one."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["AlreadyRunningError", "hold_instance", "holder"]

_PROBE_TIMEOUT = 2.0
"""Seconds for a daemon that may be there to take a connection."""


class AlreadyRunningError(Exception):
    """Another daemon answers, or is starting, at the same socket."""


def holder(path: str) -> str | None:
    """Return the process id of the daemon that holds a socket's lock; None when nobody does.

    Args:
        path: The path of the Unix socket.
    """
    try:
        descriptor = os.open(f"{path}.lock", os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return _written(descriptor)
    finally:
        os.close(descriptor)
    return None


def _written(descriptor: int) -> str:
    """Return the process id that a lock file names."""
    return os.pread(descriptor, 32, 0).decode("ascii", "replace").strip() or "unknown"


@contextmanager
def hold_instance(path: Path) -> Iterator[None]:
    """Hold the lock that belongs to a socket's path while the block runs.

    A socket file that nobody listens on any more is removed; the lock is held at that time, so no
    two daemons can take each other's socket for stale. The lock file stays: removing it would
    let a third daemon lock a file that the second no longer sees.

    Args:
        path: The path of the Unix socket; its directory exists.

    Raises:
        AlreadyRunningError: When another daemon holds the lock or answers at the socket.
        OSError: When something that is not a socket lies at the path, or cannot be removed.
    """
    lock = path.with_name(path.name + ".lock")
    descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = _written(descriptor)
            raise AlreadyRunningError(
                f"a daemon already serves {path} (pid {pid}); stop it with: standby stop"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        _remove_stale(path)
        yield
    finally:
        os.close(descriptor)


def _remove_stale(path: Path) -> None:
    if not path.exists() and not path.is_symlink():
        return
    if not path.is_socket():
        raise FileExistsError(f"{path} is there and is not a socket; it is left alone")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(_PROBE_TIMEOUT)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
        except (TimeoutError, BlockingIOError):  # the second: its queue of connections is full
            raise AlreadyRunningError(f"something listens at {path} and does not answer") from None
        else:
            raise AlreadyRunningError(f"another program already listens at {path}")
