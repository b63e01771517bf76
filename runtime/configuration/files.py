"""Reading small files without trusting them.

Only the standard library: commands that merely ask the daemon import this.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["MAX_FILE", "OpenToOthersError", "read_bounded"]

MAX_FILE = 1024 * 1024
"""Bytes of a configuration file at most."""


class OpenToOthersError(OSError):
    """Everyone on the machine may read or change a file that keeps a secret."""


def read_bounded(path: Path | str, limit: int, *, private: bool = False) -> bytes:
    """Return what a regular file holds.

    Args:
        path: The file. A link is followed; a pipe or device is refused without waiting on it.
        limit: Bytes at most.
        private: Whether to refuse a file that everyone may read or write.

    Raises:
        OpenToOthersError: When ``private`` and the file is open to everyone.
        OSError: When it cannot be read; ``strerror`` says why.
        ValueError: When it is no regular file or is larger than ``limit``.
    """
    # Without O_NONBLOCK, opening a pipe would wait for somebody to write to it.
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        found = os.fstat(handle)
        if stat.S_ISDIR(found.st_mode):
            raise ValueError("is a directory, expected a file")
        if not stat.S_ISREG(found.st_mode):
            raise ValueError("is not a regular file")
        if private and found.st_mode & (stat.S_IROTH | stat.S_IWOTH):
            raise OpenToOthersError(f"is open to everyone (mode {stat.S_IMODE(found.st_mode):04o})")
        with open(handle, "rb", closefd=False) as file:
            content = file.read(limit + 1)
    finally:
        os.close(handle)
    if len(content) > limit:
        raise ValueError(f"is larger than {limit} bytes")
    return content
