"""The daemon as a real process on a Unix socket of its own, with a configuration of the test's."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

import yaml

from tests.support.waiting import eventually

ROOT = Path(__file__).parent.parent.parent
START_TIMEOUT = 20.0
"""Seconds until a started daemon must answer /health."""
STOP_TIMEOUT = 15.0
"""Seconds from SIGTERM until the process must have ended."""
SIGNS_OF_TROUBLE = ("Traceback (most recent call last)", "Warning: ", "Exception ignored in")
"""What must not appear in a daemon's log unless the test says so."""


class Reply(NamedTuple):
    """One whole HTTP answer."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes

    @property
    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.body)


class UnixConnection(http.client.HTTPConnection):
    """The standard library's HTTP client, over a Unix socket."""

    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


def ask(
    path: Path,
    method: str,
    target: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    timeout: float = 15.0,
) -> Reply:
    """Send one request over the socket at `path` on a connection of its own."""
    connection = UnixConnection(path, timeout)
    try:
        connection.request(method, target, body, dict(headers or {}))
        answer = connection.getresponse()
        return Reply(
            answer.status,
            {name.lower(): value for name, value in answer.getheaders()},
            answer.read(),
        )
    finally:
        connection.close()


def standby_command() -> list[str]:
    """Return how to start the command line: the installed script, else its function."""
    script = Path(sys.executable).with_name("standby")
    if script.exists():
        return [str(script)]
    call = "import sys; from runtime.cli.main import main; sys.exit(main(sys.argv[1:]))"
    return [sys.executable, "-c", call]


class Daemon:
    """A daemon started on entry and stopped with SIGTERM on exit.

    Leaving checks what every orderly stop owes: exit code 0, no socket left behind, and a log
    without tracebacks and warnings. Tests that provoke a traceback set `expects_trouble`.

    Args:
        config: the configuration, written as YAML. The socket is set by the harness.
        environment: variables added to an environment that holds nothing of the caller's but PATH.
    """

    def __init__(
        self, config: Mapping[str, object], environment: Mapping[str, str] | None = None
    ) -> None:
        # Not under pytest's own folder: a socket's path may be no longer than 107 bytes.
        self.home = Path(tempfile.mkdtemp(prefix="standby-test-"))
        self.socket = self.home / "standby.sock"
        self.config_path = self.home / "config.yaml"
        self.config_path.write_text(yaml.safe_dump(dict(config), sort_keys=False))
        self.log_path = self.home / "log"
        self.expects_trouble = False
        self.expects_exit = 0
        self.launcher: tuple[str, ...] = ()
        """What is put before the command: a program that starts another one."""
        self.pass_fds: tuple[int, ...] = ()
        """Descriptors that the process inherits."""
        self.owns_socket = True
        """Whether the socket is the daemon's own, to be gone when it has ended."""
        self.environment = {
            "PATH": os.environ.get("PATH", os.defpath),
            "HOME": str(self.home),
            "TMPDIR": str(self.home),
            "XDG_RUNTIME_DIR": str(self.home),
            "XDG_STATE_HOME": str(self.home / "state"),
            "XDG_CONFIG_HOME": str(self.home / "no-config"),
            "LANG": "C.UTF-8",
            "PYTHONWARNINGS": "default",
            "PYTHONUNBUFFERED": "1",
            "PYTHONPATH": str(ROOT),
            **(environment or {}),
        }
        self._process: subprocess.Popen[bytes] | None = None

    # -- life ----------------------------------------------------------------------------------

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run another `standby` command in the daemon's environment and return what it said."""
        return subprocess.run(
            [*standby_command(), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT,
            check=False,
            cwd=self.home,
            env=self.environment,
        )

    def start(self) -> None:
        """Start the process and wait until /health answers."""
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *self.launcher,
                    *standby_command(),
                    "up",
                    "--config",
                    str(self.config_path),
                    "--socket",
                    str(self.socket),
                ],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.home,
                env=self.environment,
                pass_fds=self.pass_fds,
            )
        eventually(self._answers, "the daemon answered /health", within=START_TIMEOUT)

    def stop(self) -> None:
        """Stop it with SIGTERM and check that it went in order."""
        process, self._process = self._process, None
        assert process is not None, "the daemon was never started"
        try:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                process.wait(timeout=STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=STOP_TIMEOUT)
            raise AssertionError(
                f"the daemon had not ended {STOP_TIMEOUT:g} s after SIGTERM\n{self.log()}"
            ) from None
        assert process.returncode == self.expects_exit, (
            f"the daemon ended with {process.returncode}\n{self.log()}"
        )
        if self.owns_socket:
            assert not self.socket.exists(), "the daemon left its socket behind"
        if not self.expects_trouble:
            self.assert_quiet()

    def assert_quiet(self) -> None:
        """Fail when the log holds a traceback or a warning."""
        log = self.log()
        for sign in SIGNS_OF_TROUBLE:
            assert sign not in log, f"unexpected {sign!r} in the daemon's log:\n{log}"

    def end_hard(self) -> None:
        """Kill the process without a word and collect it (kill -9, as a crash of the machine)."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.wait(timeout=STOP_TIMEOUT)

    def __enter__(self) -> Self:
        """Start."""
        try:
            self.start()
        except BaseException:
            self.end_hard()
            print(self.log())  # pytest shows it beside the failure
            self._clear()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop and clear; a failure of the test itself is not hidden by one of the stop."""
        try:
            if error is None and self._process is not None:
                self.stop()
        finally:
            self.end_hard()
            print(self.log())
            self._clear()

    def _clear(self) -> None:
        shutil.rmtree(self.home, ignore_errors=True)

    def _answers(self) -> bool:
        assert self._process is not None
        code = self._process.poll()
        assert code is None, f"the daemon ended with {code} before it answered:\n{self.log()}"
        try:
            return ask(self.socket, "GET", "/health", timeout=2.0).status == 200
        except (OSError, http.client.HTTPException):
            return False

    # -- questions -----------------------------------------------------------------------------

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        return self._process.pid

    def open_files(self) -> int:
        """Return how many files and sockets it has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))  # noqa: PTH208 - names are not needed

    def resident(self) -> int:
        """Return its resident memory in bytes."""
        pages = Path(f"/proc/{self.pid}/statm").read_text().split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    def log(self) -> str:
        """Return everything it wrote to standard output and standard error."""
        return self.log_path.read_text(errors="replace") if self.log_path.exists() else ""

    def ask(
        self,
        method: str,
        target: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        *,
        timeout: float = 15.0,
    ) -> Reply:
        """Send one request; `body` is sent as JSON, or as it is when it is bytes."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        named = {"content-type": "application/json"} if data is not None else {}
        return ask(self.socket, method, target, data, {**named, **(headers or {})}, timeout=timeout)

    def read_raw_stream(
        self,
        target: str,
        body: object,
        received: Callable[[bytes], None] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[bytes, bool]:
        """Ask for a stream; return what came of it, and whether it was ended with its last chunk.

        The answer must have begun with 200. `received` is shown all that came so far, again and
        again.
        """
        connection = UnixConnection(self.socket, 15)
        try:
            named = {"content-type": "application/json", **(headers or {})}
            connection.request("POST", target, json.dumps(body), named)
            answer = connection.getresponse()
            assert answer.status == 200, answer.read()
            got = b""
            try:
                while piece := answer.read1(65536):
                    got += piece
                    if received is not None:
                        received(got)
            except (http.client.IncompleteRead, ConnectionError, ValueError):
                return got, False
            return got, True
        finally:
            connection.close()

    def get(self, target: str) -> Any:
        """Return the decoded answer of a GET that must be answered 200."""
        reply = self.ask("GET", target)
        assert reply.status == 200, f"GET {target}: {reply.status} {reply.body!r}"
        return reply.json

    def kill(self, name: str) -> Mapping[str, Any]:
        """Kill a part of the tree by its name; it must have been there."""
        reply = self.ask("POST", f"/supervision/{name}/kill")
        assert reply.status == 200, f"killing {name}: {reply.status} {reply.body!r}"
        said = reply.json
        assert isinstance(said, dict)
        return said

    def nodes(self) -> Mapping[str, Mapping[str, Any]]:
        """Return the supervision tree as its nodes by name."""
        found: dict[str, Mapping[str, Any]] = {}
        rest = [self.get("/supervision/tree")["tree"]]
        while rest:
            node = rest.pop()
            found[node["name"]] = node
            rest.extend(node.get("children") or ())
        return found

    def wait_whole(
        self, names: frozenset[str], killed: Mapping[str, Any] | None = None
    ) -> Mapping[str, Mapping[str, Any]]:
        """Wait until every one of `names` is running, and return the tree's nodes.

        Given what `kill` returned, the killed one must be running in a later incarnation.
        """
        said = killed or {"killed": "", "incarnation": 0}

        def look() -> Mapping[str, Mapping[str, Any]] | None:
            nodes = self.nodes()
            running = {name for name, node in nodes.items() if node["state"] == "running"}
            if said["killed"] in nodes:
                again = nodes[said["killed"]]["incarnation"] > said["incarnation"]
            else:
                again = not said["killed"]
            return nodes if names <= running and again else None

        return eventually(look, f"all of {sorted(names)} were running after {killed}") or {}

    def kill_and_wait(self, name: str) -> Mapping[str, Mapping[str, Any]]:
        """Kill a part and wait until it and everything else that was there runs again."""
        names = frozenset(found for found in self.nodes() if not found.startswith("connection:"))
        return self.wait_whole(names, self.kill(name))

    def wait_health(self, provider: str, **facts: object) -> Mapping[str, Any]:
        """Wait until /health/providers shows these facts of `provider`, and return its entry."""

        def look() -> Mapping[str, Any] | None:
            entry = self.get("/health/providers")[provider]
            assert isinstance(entry, dict)
            return entry if all(entry.get(key) == value for key, value in facts.items()) else None

        return eventually(look, f"provider {provider} showed {facts}") or {}
