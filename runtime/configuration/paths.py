"""Where the socket and the configuration file are, for commands that only ask the daemon.

Only the standard library is imported, and little of it: a command like ``standby status`` has no
time for more. The rules themselves are in `locations`, which the daemon shares.
"""

from __future__ import annotations

import os
import re

from runtime.configuration.files import MAX_FILE, read_bounded
from runtime.configuration.locations import (
    config_file,
    config_path,
    default_config_file,
    default_config_path,
    prepare_socket_directory,
    socket_path,
)
from runtime.configuration.problems import ConfigurationError, Problem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = [
    "config_path",
    "default_config_path",
    "find_socket",
    "prepare_socket_directory",
    "socket_path",
]

_MENTION = re.compile(r"^(?![ ]*#).*\bsocket\b", re.MULTILINE)
"""Lines other than comments that speak of the socket."""

_SIMPLE_SETTING = re.compile(
    r"^socket: +(?P<quote>[\"']?)(?P<value>auto|~?/[A-Za-z0-9/._+%-]+)(?P=quote)"
    r"(?: +#.*| *)\r?$(?!\n[ \t])",
    re.MULTILINE,
)


def find_socket(
    *,
    flag: str | None = None,
    config_flag: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> str:
    """Return the socket's path for a command that has not read the configuration.

    The same answer as reading the configuration and calling `socket_path`. A plain ``socket:``
    line is read without a YAML parser; anything less plain is left to the full reader.

    Args:
        flag: The value of ``--socket``, or None.
        config_flag: The value of ``--config``, or None.
        environ: The environment; ``os.environ`` when None.

    Raises:
        ConfigurationError: As `socket_path`; also when the configuration has to be read for its
            socket and cannot be.
    """
    environ = os.environ if environ is None else environ
    if flag or environ.get("STANDBY_SOCKET"):
        return socket_path(None, flag, environ)
    file = config_file(config_flag, environ)
    if file == default_config_file():
        return socket_path(None, None, environ)
    try:
        text = read_bounded(file, MAX_FILE).decode("utf-8-sig")
    except FileNotFoundError:
        if config_flag:  # a slip of the pen: the daemon that is meant has another socket
            raise ConfigurationError([Problem(file, 0, 0, "there is no such file")]) from None
        return socket_path(None, None, environ)
    except (OSError, ValueError):
        # No daemon can have started from this file either; one started without it may answer.
        return socket_path(None, None, environ)
    mentions = len(_MENTION.findall(text))
    if not mentions:
        return socket_path(None, None, environ)
    plain = _SIMPLE_SETTING.findall(text)
    if mentions == 1 and len(plain) == 1:
        return socket_path(_Setting(plain[0][1]), None, environ)
    from runtime.configuration.loading import load  # noqa: PLC0415 - slow to import, rarely needed

    return socket_path(load(file, environ=environ), None, environ)


class _Setting:
    """The ``socket`` setting alone."""

    def __init__(self, socket: str) -> None:
        self.socket = socket
