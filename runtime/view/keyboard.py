"""Key presses from a terminal, one at a time and without echo, and the terminal as it was after."""

from __future__ import annotations

import os
import select
import termios
import tty

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

__all__ = ["Keyboard", "split_keys"]

_ESCAPE_WAIT = 0.05
_SEQUENCES = {
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1b[C": "right",
    b"\x1b[D": "left",
    b"\x1bOA": "up",
    b"\x1bOB": "down",
    b"\x1bOC": "right",
    b"\x1bOD": "left",
    b"\x1b[5~": "pageup",
    b"\x1b[6~": "pagedown",
    b"\x1b[H": "home",
    b"\x1b[F": "end",
    b"\x1bOH": "home",
    b"\x1bOF": "end",
    b"\x1b[1~": "home",
    b"\x1b[4~": "end",
}


def split_keys(data: bytes) -> tuple[list[str], bytes]:
    """Return the keys in what a terminal sent, and the start of an escape sequence at its end.

    Keys are printable characters, `enter`, or a name such as `up`; sequences that are no key of
    ours are left out. The rest is empty or begins with ESC; a lone ESC in it is the escape key
    when nothing follows soon.
    """
    keys: list[str] = []
    at = 0
    while at < len(data):
        if data[at] != 0x1B:
            end = at + 1
            while end < len(data) and data[end] & 0xC0 == 0x80:
                end += 1
            character = data[at:end].decode("utf-8", "ignore")
            if character in {"\r", "\n"}:
                keys.append("enter")
            elif character:
                keys.append(character)
            at = end
            continue
        after = _sequence_end(data, at)
        if after is None:
            return keys, data[at:]
        if name := _SEQUENCES.get(data[at:after]):
            keys.append(name)
        elif data[at:after] == b"\x1b":
            keys.append("escape")
        at = after
    return keys, b""


def _sequence_end(data: bytes, at: int) -> int | None:
    """Return where the escape sequence at a place ends, or None when more of it must come."""
    if at + 1 >= len(data):
        return None
    second = data[at + 1]
    if second == 0x1B:
        return at + 1
    if second not in b"[O":
        return at + 2  # alt and a key
    end = at + 2
    while end < len(data):
        end += 1
        if 0x40 <= data[end - 1] <= 0x7E:
            return end
    return None


class Keyboard:
    """A terminal that hands out single keys while the context is open.

    Leaving the context, by whatever way, puts the terminal back as it was. The settings change
    with TCSANOW: the default would throw away keys typed ahead.

    Args:
        fd: The terminal's file descriptor, left in blocking mode because it is usually shared with
            standard output.
    """

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._before: list[Any] | None = None
        self._rest = b""

    def __enter__(self) -> Keyboard:  # noqa: PYI034 - Self would import typing; nobody subclasses
        self.take()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.give_back()

    def take(self) -> None:
        """Switch the terminal to single keys without echo."""
        self._before = termios.tcgetattr(self._fd)
        tty.setcbreak(self._fd, termios.TCSANOW)

    def give_back(self) -> None:
        """Put the terminal back as `take` found it."""
        if self._before is not None:
            termios.tcsetattr(self._fd, termios.TCSANOW, self._before)
            self._before = None

    def wait(self, seconds: float) -> list[str]:
        """Return the keys pressed within the given seconds; returns as soon as there is one.

        Raises:
            EOFError: The terminal is gone.
        """
        if not self._ready(seconds):
            return []
        data = os.read(self._fd, 1024)
        if not data:
            raise EOFError("the terminal is gone")
        keys, self._rest = split_keys(self._rest + data)
        while self._rest and self._ready(_ESCAPE_WAIT):
            more, self._rest = split_keys(self._rest + os.read(self._fd, 1024))
            keys += more
        if self._rest:
            if self._rest == b"\x1b":
                keys.append("escape")
            self._rest = b""
        return keys

    def _ready(self, seconds: float) -> bool:
        return bool(select.select([self._fd], [], [], max(0.0, seconds))[0])
