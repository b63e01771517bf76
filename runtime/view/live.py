"""The live view: snapshots from the daemon, drawn with rich on the terminal's other screen.

One loop waits for a key or for the next snapshot, whichever comes first. It draws from itself
(rich's own refresh thread stays off), at most four times a second unless a key asks for more, and
restores the terminal whichever way it ends.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import TYPE_CHECKING, NoReturn

from rich.console import Console
from rich.live import Live
from rich.text import Text

from runtime.view.keyboard import Keyboard
from runtime.view.lines import STYLES
from runtime.view.render import body_height, render_screen, visible_rows
from runtime.view.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from types import FrameType

    from runtime.view.lines import Line
    from runtime.view.snapshot import Snapshot

__all__ = ["Trouble", "watch"]

_LONGEST_WAIT = 0.25
"""Seconds after which the screen is drawn again even without news: sizes change, notes pass."""


class Trouble(Exception):  # noqa: N818 - what a feed raises is a situation the view shows
    """There is no snapshot now; the text says why."""


class _Suspended(Exception):  # noqa: N818 - a signal's way out of a wait, never an error
    """Ctrl-Z was pressed."""


def watch(
    fetch: Callable[[], Snapshot],
    kill: Callable[[str], str],
    *,
    source: str,
    interval: float = 1.0,
    ascii_only: bool = False,
    faults_only: bool = False,
) -> None:
    """Show the tree until the person at the keys quits.

    Args:
        fetch: Returns a new snapshot within a bounded time, or raises `Trouble`.
        kill: Kills the actor of a name and returns what to say about it, or raises `Trouble`.
        source: Where the snapshots come from, usually the socket's path.
        interval: Seconds between two snapshots at first.
        ascii_only: Draw with ASCII only.
        faults_only: Begin with only what is faulty.

    Raises:
        KeyboardInterrupt: Ctrl-C; the terminal is already restored.
        SystemExit: SIGTERM, with the code 143; the terminal is already restored.
    """
    session = Session(interval)
    session.faults_only = faults_only
    view = _View(fetch, kill, session, source, ascii_only)
    before = signal.signal(signal.SIGTERM, _leave)
    before_stop = signal.signal(signal.SIGTSTP, _suspend)
    try:
        with Keyboard(sys.stdin.fileno()) as keyboard:
            view.run(keyboard)
    finally:
        signal.signal(signal.SIGTERM, before)
        signal.signal(signal.SIGTSTP, before_stop)


class _View:
    def __init__(
        self,
        fetch: Callable[[], Snapshot],
        kill: Callable[[str], str],
        session: Session,
        source: str,
        ascii_only: bool,
    ) -> None:
        self._fetch = fetch
        self._kill = kill
        self._session = session
        self._source = source
        self._ascii_only = ascii_only
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._snapshot: Snapshot | None = None
        self._trouble = ""
        self._next = 0.0

    def run(self, keyboard: Keyboard) -> None:
        live = Live(console=self._console, screen=True, auto_refresh=False)
        with live:
            while True:
                try:
                    if self._step(keyboard, live):
                        return
                except _Suspended:
                    live.stop()
                    keyboard.give_back()
                    os.kill(os.getpid(), signal.SIGSTOP)
                    keyboard.take()
                    live.start()
                    self._next = 0.0

    def _step(self, keyboard: Keyboard, live: Live) -> bool:
        """Ask if it is time, draw, wait for keys; return whether to quit."""
        now = time.monotonic()
        if now >= self._next and not self._session.paused:
            self._ask(now)
        self._draw(live, now)
        wait = _LONGEST_WAIT
        if not self._session.paused:
            wait = min(wait, max(0.0, self._next - time.monotonic()))
        return any(self._press(key) for key in keyboard.wait(wait))

    def _ask(self, now: float) -> None:
        try:
            self._snapshot = self._fetch()
        except Trouble as trouble:
            self._trouble = str(trouble)
        else:
            self._trouble = ""
            self._session.take(self._snapshot, time.monotonic())
        self._next = now + self._session.interval

    def _draw(self, live: Live, now: float) -> None:
        width, height = self._console.size
        lines = render_screen(
            self._snapshot,
            self._session,
            width,
            height,
            ascii_only=self._ascii_only,
            source=self._source,
            trouble=self._trouble,
            now=now,
        )
        live.update(_text(lines), refresh=True)

    def _press(self, key: str) -> bool:
        session, now = self._session, time.monotonic()
        rows, height = [], 1
        if self._snapshot is not None:
            rows = visible_rows(self._snapshot, session)
            height = body_height(self._snapshot, self._console.size.height)
        action = session.press(key, rows, height, now)
        if action == "kill":
            try:
                session.say(self._kill(session.selected), now)
            except Trouble as trouble:
                session.say(str(trouble), now)
        asks = action in {"kill", "refresh"}
        self._next = 0.0 if asks else min(self._next, now + session.interval)
        return action == "quit"


def _text(lines: Sequence[Line]) -> Text:
    """Return the lines as one rich text, styled span by span: no markup is parsed."""
    text = Text(no_wrap=True, overflow="crop", end="")
    for index, line in enumerate(lines):
        if index:
            text.append("\n")
        for span, style in line:
            text.append(span, style=STYLES[style][1])
    return text


def _leave(signum: int, frame: FrameType | None) -> NoReturn:
    del frame
    raise SystemExit(128 + signum)


def _suspend(signum: int, frame: FrameType | None) -> NoReturn:
    del signum, frame
    raise _Suspended
