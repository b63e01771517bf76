"""`standby demo`: the whole of it at work in half a minute, with no key and no network.

A daemon of its own on a temporary socket, two simulated providers behind one group, and the same
commands anybody would type. A provider is killed before its first token (the other one answers)
and in the middle of a stream (the break is reported, never passed off as an end); each time its
supervisor starts it again.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from runtime.cli import exits
from runtime.cli.client import Daemon, error_message, quote
from runtime.cli.errors import DaemonError
from runtime.cli.terminal import complain, prints_unicode, show, wants_colour, width
from runtime.cli.tree import fetch
from runtime.view.render import render

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

__all__ = ["demo"]

_START = 20.0
_STEP = 30.0
_STOP = 15.0
_POLL = 0.05

_CONFIG = """\
providers:
  sim-a:
    kind: simulated
    wire: openai
    simulator: {latency: 0.6s, tokens_per_second: 30, answer_words: 24, seed: 1}
  sim-b:
    kind: simulated
    wire: openai
    simulator: {latency: 0.3s, tokens_per_second: 60, answer_words: 24, seed: 2}
groups:
  chat:
    strategy: priority
    members: [{provider: sim-a, model: sim-1}, {provider: sim-b, model: sim-1}]
"""


class _Failed(Exception):  # noqa: N818 - one step went wrong; the text says which
    """The demonstration cannot go on."""


def demo(options: argparse.Namespace) -> int:
    """Run the demonstration; returns 0 when everything went as it should."""
    with tempfile.TemporaryDirectory(prefix="standby-demo-") as directory:
        stage = _Stage(Path(directory), ascii_only=options.ascii or not prints_unicode(sys.stdout))
        try:
            stage.start()
            stage.play()
        except (_Failed, DaemonError) as error:
            complain(f"the demonstration broke off: {error}")
            stage.show_log()
            return exits.BAD
        finally:
            stage.end()
    return exits.OK


class _Stage:
    """The daemon of the demonstration, and what is done to it."""

    def __init__(self, directory: Path, *, ascii_only: bool) -> None:
        self._socket = str(directory / "standby.sock")
        self._config = directory / "config.yaml"
        self._log = directory / "daemon.log"
        self._ascii_only = ascii_only
        self._environment = _environment()
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the daemon and wait until it answers."""
        self._say("a daemon with two simulated providers, on a socket of its own")
        self._config.write_text(_CONFIG)
        command = [*_STANDBY, "up", "--socket", self._socket, "--config", str(self._config)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._environment,
                start_new_session=True,  # Ctrl-C is for us; we stop the daemon in order
            )
        began = time.monotonic()
        while time.monotonic() - began < _START:
            if self._process.poll() is not None:
                raise _Failed(f"the daemon ended with exit code {self._process.returncode}")
            try:
                with Daemon(self._socket, timeout=1.0) as daemon:
                    daemon.request("GET", "/health")
            except DaemonError:
                time.sleep(_POLL)
                continue
            print(f"it answers after {time.monotonic() - began:.1f} s at {self._socket}")
            return
        raise _Failed(f"the daemon does not answer after {_START:g} s")

    def play(self) -> None:
        """Ask, kill, look."""
        self._say("a question, streamed")
        self._run("chat", "What is a supervision tree?")
        self._say("the tree")
        self._tree()
        self._say("sim-a is killed while it works on a question: sim-b answers")
        self._kill_before_first_token()
        self._say("sim-a is killed in the middle of a stream: the break is said, not hidden")
        self._kill_in_mid_stream()
        self._say("the same question again: sim-a is back")
        self._run("chat", "What is a supervision tree?")
        self._say("the tree, with its restarts")
        self._tree()

    def end(self) -> None:
        """Stop the daemon in order; end it for certain when it will not."""
        process = self._process
        if process is None or process.poll() is not None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(_STOP)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(_STOP)

    def show_log(self) -> None:
        """Print the end of the daemon's log, for a demonstration that broke off."""
        if self._log.exists():
            tail = self._log.read_text(errors="replace").splitlines()[-20:]
            print("\n".join(["the daemon's log ends with:", *tail]), file=sys.stderr)

    def _say(self, text: str) -> None:
        title = f"--- {text}" if self._ascii_only else f"── {text}"
        print(f"\n\x1b[1m{title}\x1b[0m" if wants_colour(sys.stdout) else f"\n{title}", flush=True)

    def _run(self, *arguments: str, expected: int = exits.OK) -> None:
        """Run a verb as a person would, in a process of its own, and check its exit code."""
        shown = " ".join(f'"{a}"' if " " in a else a for a in arguments)
        print(f"$ standby {shown}", flush=True)
        command = [*_STANDBY, *arguments, "--socket", self._socket]
        try:
            done = subprocess.run(  # noqa: S603 - our own program
                command, env=self._environment, check=False, timeout=_STEP
            )
        except subprocess.TimeoutExpired:
            raise _Failed(f"standby {shown} took longer than {_STEP:g} s") from None
        if done.returncode == exits.PIPE_CLOSED:
            raise BrokenPipeError  # its reader is ours: nobody is left to show the rest to
        if done.returncode != expected:
            raise _Failed(f"standby {shown} ended with exit code {done.returncode}")

    def _tree(self) -> None:
        with Daemon(self._socket) as daemon:
            snapshot = fetch(daemon)
        show(render(snapshot, width(), ascii_only=self._ascii_only, source=self._socket))

    def _kill_before_first_token(self) -> None:
        command = [*_STANDBY, "chat", "Who answers now?", "--socket", self._socket]
        print('$ standby chat "Who answers now?" &', flush=True)
        asking = subprocess.Popen(command, env=self._environment)  # noqa: S603 - our own program
        try:
            with Daemon(self._socket) as daemon:
                self._wait_until_busy(daemon, asking)
                self._kill(daemon)
            code = asking.wait(_STEP)
        except subprocess.TimeoutExpired:
            raise _Failed("the question was not answered") from None
        finally:
            if asking.poll() is None:
                asking.kill()
                asking.wait(_STEP)
        if code == exits.PIPE_CLOSED:
            raise BrokenPipeError  # as in _run
        if code != exits.OK:
            raise _Failed(f"the question ended with exit code {code}")

    def _wait_until_busy(self, daemon: Daemon, asking: subprocess.Popen[bytes]) -> None:
        began = time.monotonic()
        while time.monotonic() - began < _STEP:
            providers = daemon.request("GET", "/health/detailed").json().get("providers") or {}
            if (providers.get("sim-a") or {}).get("in_flight"):
                return
            if asking.poll() is not None:
                raise _Failed("the question was answered before sim-a could be killed")
            time.sleep(_POLL)
        raise _Failed("the question never reached sim-a")

    def _kill_in_mid_stream(self) -> None:
        body: dict[str, Any] = {
            "model": "chat",
            "stream": True,
            "messages": [{"role": "user", "content": "Tell me more."}],
        }
        print('$ standby chat "Tell me more." | (after some tokens) standby kill provider:sim-a')
        with (
            Daemon(self._socket) as daemon,
            daemon.stream("POST", "/v1/chat/completions", body, silence=_STEP) as answer,
        ):
            if answer.status != 200:
                raise _Failed(f"the daemon answered {answer.status}")
            seen, last, end = 0, "", "without a reason"
            try:
                for _, data in answer.events():
                    seen, last = seen + 1, data
                    if seen == 8:
                        self._kill(daemon)
            except DaemonError as error:
                end = str(error)
            if last == "[DONE]":
                raise _Failed("the stream of a killed provider was reported complete")
        print(f"the stream broke off after {seen} events: {error_message(last) or end}")

    def _kill(self, daemon: Daemon) -> None:
        answer = daemon.request("POST", f"/supervision/{quote('provider:sim-a')}/kill")
        if answer.status != 200:
            raise _Failed(answer.error_message())
        print("$ standby kill provider:sim-a", flush=True)


_ROOT = str(Path(__file__).parents[2])
_STANDBY = (sys.executable, "-m", "runtime.cli")


def _environment() -> dict[str, str]:
    """Return the environment for our own processes: this program, and no settings from outside."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("STANDBY_")}
    before = kept.get("PYTHONPATH")
    kept["PYTHONPATH"] = os.pathsep.join([_ROOT, before]) if before else _ROOT
    return kept
