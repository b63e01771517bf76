"""Logs on standard error: for people on a terminal, one JSON object a line elsewhere.

Under the system's journal each line begins with a priority and has no time of its own, because the
journal keeps both.

Writing a line never stops the daemon: where the disk is full, or nobody reads the other end of a
pipe, lines are lost, and the first one that goes through again is preceded by their number.
"""

import logging
import os
import select
import sys
from datetime import UTC, datetime
from typing import Literal, TextIO

import msgspec

from supervision import Report

__all__ = ["set_up_logs"]

_PRIORITIES = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3}
"""Syslog severities (RFC 5424) that the journal reads from a line's ``<N>``."""

_PATIENCE = 50.0
"""Milliseconds that the reader of the log may keep the daemon waiting. A pipe that is ready takes
``PIPE_BUF`` bytes without waiting (pipe(7))."""

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class _Human(logging.Formatter):
    """``12:30:05 warning  what happened``."""

    def __init__(self, *, journal: bool) -> None:
        super().__init__()
        self._journal = journal

    def format(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        if record.exc_info:
            text = f"{text}\n{self.formatException(record.exc_info)}"
        if self._journal:
            # Each line by itself: the journal takes a line without a priority for one of its own.
            priority = f"<{_PRIORITIES.get(record.levelno, 6)}>"
            return priority + text.replace("\n", f"\n{priority}")
        clock = datetime.fromtimestamp(record.created).astimezone().strftime("%H:%M:%S")
        return f"{clock} {record.levelname.lower():<8} {text}"


class _JsonLines(logging.Formatter):
    """One object a line: time, level, logger, message, and whatever was given as ``extra``."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        fields.update((key, value) for key, value in vars(record).items() if key not in _STANDARD)
        if record.exc_info:
            fields["exception"] = self.formatException(record.exc_info)
        return msgspec.json.encode(fields, enc_hook=repr).decode()


class _Output(logging.Handler):
    """Writes whole lines to a stream, to its descriptor where it has one.

    Args:
        stream: Where to write.
    """

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lost = 0
        self._poll: select.poll | None = None
        try:
            self._descriptor = stream.fileno()
        except (OSError, ValueError):
            return  # not a file: a buffer of a program that runs the daemon inside itself
        self._poll = select.poll()
        self._poll.register(self._descriptor, select.POLLOUT)

    def emit(self, record: logging.LogRecord) -> None:
        """Write one record, or count it as lost."""
        try:
            text = self.format(record)
        except Exception as error:  # noqa: BLE001 - a record that cannot be shown is no reason to end
            text = f"a message of {record.name} cannot be shown: {type(error).__name__}"
        try:
            if self._lost:
                lost = logging.makeLogRecord(
                    {
                        "name": "standby.logs",
                        "levelno": logging.WARNING,
                        "levelname": "WARNING",
                        "msg": f"{self._lost} messages before this one could not be written",
                    }
                )
                self._write(self.format(lost) + "\n")
                self._lost = 0
            self._write(text + "\n")
        except (OSError, ValueError):
            self._lost += 1

    def _write(self, text: str) -> None:
        if self._poll is None:
            self._stream.write(text)
            self._stream.flush()
            return
        data = text.encode(errors="backslashreplace")
        while data:
            # A stuck reader is given a moment once, and then none until it reads again.
            if not self._poll.poll(0 if self._lost else _PATIENCE):
                raise BlockingIOError("nobody reads what is written to the log")
            data = data[os.write(self._descriptor, data[: select.PIPE_BUF]) :]


class _Quiet(logging.Filter):
    """Leaves out the first starts of actors: at the usual level only what is out of order shows.

    Clients' connections are actors too; a line for each would bury everything else.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        report = getattr(record, "report", None)
        return not isinstance(report, Report) or report.kind != "progress" or report.incarnation > 1


def set_up_logs(
    level: str, style: Literal["auto", "human", "json"], stream: TextIO | None = None
) -> None:
    """Send the daemon's logs to standard error.

    Args:
        level: ``debug``, ``info``, ``warning`` or ``error``.
        style: ``human``, ``json``, or ``auto``: ``human`` on a terminal and in the journal.
        stream: Where to write; standard error when None.
    """
    stream = sys.stderr if stream is None else stream
    journal = _is_journal(stream)
    human = style == "human" or (style == "auto" and (journal or stream.isatty()))
    handler = _Output(stream)
    handler.setFormatter(_Human(journal=journal) if human else _JsonLines())
    if level != "debug":
        handler.addFilter(_Quiet())
    logger = logging.getLogger("standby")
    logger.handlers[:] = [handler]
    logger.setLevel(level.upper())
    logger.propagate = False


def _is_journal(stream: TextIO) -> bool:
    """Tell whether the stream is the journal's, as systemd announces it (systemd.exec(5))."""
    named = os.environ.get("JOURNAL_STREAM", "")
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return named == f"{found.st_dev}:{found.st_ino}"
