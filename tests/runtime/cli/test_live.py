"""The live tree on a real pseudo-terminal: drawn, steered by keys, and gone without a trace."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator

import pytest

from runtime.cli import exits
from tests.runtime.cli.fake_daemon import FakeDaemon, answer

_WAIT = 15.0
_ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """A program on a pseudo-terminal of 100 by 24 characters."""

    def __init__(self, command: list[str]) -> None:
        self._ours, self._theirs = pty.openpty()
        fcntl.ioctl(self._theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 100, 0, 0))
        self.before = termios.tcgetattr(self._theirs)
        self.written = ""
        environment = {**os.environ, "TERM": "xterm-256color", "LANG": "C.UTF-8"}
        environment.pop("COLUMNS", None)
        self.process = subprocess.Popen(
            command,
            stdin=self._theirs,
            stdout=self._theirs,
            stderr=self._theirs,
            env=environment,
            start_new_session=True,
        )

    def press(self, keys: bytes) -> None:
        """Type."""
        self.written = ""
        os.write(self._ours, keys)

    def wait_for(self, text: str) -> None:
        """Wait until the program has written a text since the last key."""
        deadline = time.monotonic() + _WAIT
        while text not in _ESCAPES.sub("", self.written):
            assert time.monotonic() < deadline, f"{text!r} did not come: {self.written[-3000:]!r}"
            self._read(0.1)

    def end(self) -> int:
        """Wait until the program has ended, and return its exit code."""
        deadline = time.monotonic() + _WAIT
        while self.process.poll() is None:
            assert time.monotonic() < deadline
            self._read(0.02)
        self._read(0.0)
        return self.process.returncode

    @property
    def restored(self) -> bool:
        """Whether the terminal's settings are as they were."""
        return termios.tcgetattr(self._theirs) == self.before

    def close(self) -> None:
        """End the program, if need be, and let go of the terminal."""
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(_WAIT)
        os.close(self._ours)
        os.close(self._theirs)

    def _read(self, seconds: float) -> None:
        while select.select([self._ours], [], [], seconds)[0]:
            self.written += os.read(self._ours, 65536).decode("utf-8", "replace")
            seconds = 0.0


Open = Callable[..., Terminal]


@pytest.fixture
def watch(daemon: FakeDaemon) -> Iterator[Open]:
    """Opens live trees of the recorded daemon, which has drawn its first screen on return."""
    with contextlib.ExitStack() as opened:

        def open_tree(*arguments: str) -> Terminal:
            command = [sys.executable, "-m", "runtime.cli", "--socket", daemon.socket]
            terminal = Terminal([*command, "tree", *arguments])
            opened.callback(terminal.close)
            terminal.wait_for("K kill")
            return terminal

        yield open_tree


def test_draws_the_tree_on_the_other_screen_and_leaves_with_q(watch: Open) -> None:
    terminal = watch()
    assert "\x1b[?1049h" in terminal.written
    terminal.wait_for("├─ ● providers #1")
    assert not terminal.restored
    terminal.press(b"q")
    assert terminal.end() == exits.OK
    assert "\x1b[?1049l" in terminal.written
    assert terminal.restored


def test_kills_the_selected_actor_after_a_yes(daemon: FakeDaemon, watch: Open) -> None:
    killed = answer(200, {"killed": "telemetry", "incarnation": 1})
    daemon.answers["POST", "/supervision/telemetry/kill"] = killed
    terminal = watch()
    terminal.press(b"\x1b[BK")
    terminal.wait_for("kill telemetry? y kills it")
    assert {asked.method for asked in daemon.asked} == {"GET"}
    terminal.press(b"y")
    terminal.wait_for("killed telemetry")
    daemon.wait_for("POST", "/supervision/telemetry/kill")


def test_waits_for_a_daemon_that_is_gone_and_goes_on_when_it_is_back(
    daemon: FakeDaemon, watch: Open
) -> None:
    terminal = watch("--interval", "0.25")
    daemon.leave()
    terminal.wait_for("reconnecting: no daemon answers")
    daemon.answers["GET", "/supervision/tree"] = answer(200, {"pid": 77, "tree": {"name": "new"}})
    daemon.listen()
    terminal.wait_for("pid 77")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_and_the_terminal_is_restored(
    watch: Open, number: signal.Signals, code: int
) -> None:
    terminal = watch()
    terminal.process.send_signal(number)
    assert terminal.end() == code
    assert "\x1b[?1049l" in terminal.written
    assert "Traceback" not in terminal.written
    assert terminal.restored


def test_stopping_it_gives_the_terminal_back_until_it_goes_on(watch: Open) -> None:
    terminal = watch()
    terminal.process.send_signal(signal.SIGTSTP)
    _, status = os.waitpid(terminal.process.pid, os.WUNTRACED)
    assert os.WIFSTOPPED(status)
    assert terminal.restored
    terminal.written = ""
    terminal.process.send_signal(signal.SIGCONT)
    terminal.wait_for("telemetry")
    terminal.press(b"q")
    assert terminal.end() == exits.OK


def test_without_colour_it_is_drawn_without_colour(
    watch: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    terminal = watch("--ascii")
    terminal.wait_for("|- * providers #1")
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", terminal.written)
