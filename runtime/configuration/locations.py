"""Where the socket and the configuration file are.

The daemon and every command that asks it must come to the same answer, so this is the one place
that decides. Only the standard library is imported, and little of it. Paths are plain text within:
importing `pathlib` would take a tenth of the time of a command like ``standby status``.
"""

from __future__ import annotations

import os
import stat

from runtime.configuration.problems import ConfigurationError, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Protocol

    class HasSocket(Protocol):
        """Anything with the configuration's ``socket`` setting."""

        @property
        def socket(self) -> str:
            """``auto`` or a path."""


__all__ = [
    "MAX_SOCKET_PATH",
    "config_file",
    "config_path",
    "default_config_file",
    "default_config_path",
    "prepare_socket_directory",
    "socket_path",
]

MAX_SOCKET_PATH = 107
"""Bytes that fit into ``sockaddr_un.sun_path`` on Linux with its closing zero (unix(7))."""

_SYSTEM_CONFIG = "/etc/standby/config.yaml"
_SYSTEM_SOCKET = "/run/standby/standby.sock"
_SOCKET_NAME = "standby.sock"


def socket_path(
    config: HasSocket | None = None,
    flag: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> str:
    """Return the path of the daemon's Unix socket, absolute.

    The first of these that says something: the ``--socket`` flag, ``STANDBY_SOCKET``, the
    configuration's ``socket`` unless it is ``auto``, ``$XDG_RUNTIME_DIR/standby/standby.sock``
    where that directory is the user's own, for root ``/run/standby/standby.sock``, and last
    ``standby-<uid>/standby.sock`` in the temporary directory.

    Args:
        config: The configuration, or None where it says nothing.
        flag: The value of ``--socket``, or None.
        environ: The environment; ``os.environ`` when None.

    Raises:
        ConfigurationError: When the path cannot be the path of a socket, or when the directory in
            the temporary directory is not a private one of this user.
    """
    environ = os.environ if environ is None else environ
    if flag:
        return _checked(flag, "--socket", environ)
    if chosen := environ.get("STANDBY_SOCKET"):
        return _checked(chosen, "STANDBY_SOCKET", environ)
    if config is not None and config.socket != "auto":
        return _checked(config.socket, "socket", environ)
    runtime_directory = environ.get("XDG_RUNTIME_DIR", "")
    if runtime_directory and _is_own_directory(runtime_directory):
        path = os.path.join(runtime_directory, "standby", _SOCKET_NAME)  # noqa: PTH118 - plain text, see above
        return _checked(path, "XDG_RUNTIME_DIR", environ)
    if os.geteuid() == 0:
        return _SYSTEM_SOCKET
    temporary = environ.get("TMPDIR") or "/tmp"  # noqa: S108 - the directory below it is private and verified
    directory = os.path.join(temporary, f"standby-{os.geteuid()}")  # noqa: PTH118 - plain text, see above
    _refuse_foreign_directory(directory)
    return _checked(os.path.join(directory, _SOCKET_NAME), "TMPDIR", environ)  # noqa: PTH118 - plain text, see above


def prepare_socket_directory(path: str) -> None:
    """Make the socket's directory, private to this user, where it does not exist.

    Args:
        path: The path of the socket.

    Raises:
        ConfigurationError: When the directory cannot be made, or when it is one in which others
            could replace the socket: of another user, or writable by everyone without being sticky.
    """
    directory = os.path.dirname(path)  # noqa: PTH120 - plain text, see above
    try:
        os.makedirs(directory, mode=0o700, exist_ok=True)  # noqa: PTH103 - plain text, see above
        found = os.stat(directory)  # noqa: PTH116 - plain text, see above
    except OSError as error:
        raise _error(
            "socket", f"cannot make the directory {directory}: {error.strerror}"
        ) from error
    if found.st_uid not in {os.geteuid(), 0}:
        raise _error(
            "socket",
            f"the directory {directory} belongs to user {found.st_uid}; who owns it could put "
            "another socket in place of this one. Choose a directory of your own",
        )
    if found.st_mode & stat.S_IWOTH and not found.st_mode & stat.S_ISVTX:
        raise _error(
            "socket",
            f"everyone may write to the directory {directory} and could put another socket in "
            f"place of this one: chmod 700 {directory}",
        )


def config_path(flag: str | None = None, environ: Mapping[str, str] | None = None) -> Path:
    """Return the configuration file to read.

    The first of these: the ``--config`` flag, ``STANDBY_CONFIG``, then those that exist of
    ``$XDG_CONFIG_HOME/standby/config.yaml`` (``~/.config`` without the variable),
    ``/etc/standby/config.yaml`` and the default that comes with the program. The working directory
    is not searched: what the daemon does must not depend on where it was started.

    Args:
        flag: The value of ``--config``, or None. It need not exist: reading it says so better.
        environ: The environment; ``os.environ`` when None.
    """
    from pathlib import Path  # noqa: PLC0415 - slow to import, and `find_socket` does without

    return Path(config_file(flag, os.environ if environ is None else environ))


def default_config_path() -> Path:
    """Return the configuration that comes with the program: works with no key and no network.

    An installed package carries it beside this module; a checkout has it at its top.
    """
    from pathlib import Path  # noqa: PLC0415 - the same

    return Path(default_config_file())


def config_file(flag: str | None, environ: Mapping[str, str]) -> str:
    """Return what `config_path` returns, as plain text and without importing `pathlib`.

    Args:
        flag: The value of ``--config``, or None.
        environ: The environment.
    """
    chosen = flag or environ.get("STANDBY_CONFIG")
    if chosen:
        return chosen
    home = environ.get("HOME", "")
    directory = environ.get("XDG_CONFIG_HOME") or (f"{home}/.config" if home else "")
    candidates = [_SYSTEM_CONFIG]
    if directory.startswith("/"):  # the base directory specification: ignore relative ones
        candidates.insert(0, f"{directory}/standby/config.yaml")
    for candidate in candidates:
        if os.path.exists(candidate):  # noqa: PTH110 - plain text, see above
            return candidate
    return default_config_file()


def default_config_file() -> str:
    """Return what `default_config_path` returns, as plain text."""
    here = os.path.dirname(os.path.abspath(__file__))  # noqa: PTH100, PTH120 - plain text, see above
    installed = f"{here}/default.yaml"
    if os.path.exists(installed):  # noqa: PTH110 - plain text, see above
        return installed
    return f"{os.path.dirname(os.path.dirname(here))}/config.yaml"  # noqa: PTH120 - plain text


def _error(source: str, message: str) -> ConfigurationError:
    return ConfigurationError([Problem(source, 0, 0, message)])


def _checked(path: str, source: str, environ: Mapping[str, str]) -> str:
    if path.startswith("@") or "\0" in path:
        raise _error(source, "expected the path of a file; abstract sockets have no owner or mode")
    if path == "~" or path.startswith("~/"):
        path = environ.get("HOME", "") + path[1:]
    path = os.path.abspath(path)  # noqa: PTH100 - plain text, see above
    size = len(os.fsencode(path))
    if size > MAX_SOCKET_PATH:
        raise _error(
            source,
            f"the socket's path is {size} bytes long, and the system takes at most "
            f"{MAX_SOCKET_PATH}: {path}. Choose a shorter one with --socket or STANDBY_SOCKET",
        )
    return path


def _is_own_directory(path: str) -> bool:
    if not path.startswith("/"):  # the base directory specification: ignore relative ones
        return False
    try:
        found = os.stat(path)  # noqa: PTH116 - plain text, see above
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid()


def _refuse_foreign_directory(path: str) -> None:
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise _error("TMPDIR", f"cannot look at {path}: {error.strerror}") from error
    owner = found.st_uid
    if not stat.S_ISDIR(found.st_mode):
        raise _error("TMPDIR", f"{path} is in the way: expected a directory")
    if owner != os.geteuid() or found.st_mode & 0o077:
        raise _error(
            "TMPDIR",
            f"{path} is not private to this user (owner {owner}, mode "
            f"{stat.S_IMODE(found.st_mode):04o}; expected {os.geteuid()} and 0700). "
            "Choose another socket with --socket or STANDBY_SOCKET",
        )
