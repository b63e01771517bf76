"""Under a service manager: readiness, signs of life, inherited sockets, signals, the end."""

import fcntl
import http.client
import os
import signal
import socket
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Self

import pytest

from tests.integration.conftest import StartDaemon
from tests.support.configs import config, group, simulated
from tests.support.daemon import Daemon
from tests.support.scripted import PATIENCE
from tests.support.waiting import eventually

CONFIG = config({"sim-o": simulated("openai")}, {"chat": group("sim-o", model="sim-1")})
TOKEN = "for-this-machine-only"


class Manager:
    """What a service manager hears."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(address)
        self._socket.settimeout(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def hear(self) -> dict[str, str]:
        """Return the next message as its assignments."""
        lines = self._socket.recv(4096).decode().split("\n")
        return dict(line.split("=", 1) for line in lines)

    def hear_until(self, name: str) -> dict[str, str]:
        """Return the first message that has the assignment `name`."""
        while name not in (said := self.hear()):
            pass
        return said


@pytest.mark.parametrize("kind", ["path", "abstract"])
def test_the_service_manager_is_told_of_readiness_life_and_stop(tmp_path: Path, kind: str) -> None:
    path = str(tmp_path / "notify")
    bound, named = (path, path) if kind == "path" else ("\0" + path, "@" + path)
    with (
        Manager(bound) as manager,
        Daemon(CONFIG, {"NOTIFY_SOCKET": named, "WATCHDOG_USEC": "200000"}) as daemon,
    ):
        first = manager.hear()
        assert first["READY"] == "1"
        assert first["STATUS"].startswith("1 of 1 providers can answer")
        for _ in range(3):
            sign = manager.hear()
            assert sign["WATCHDOG"] == "1"
            assert "providers can answer" in sign["STATUS"]
        assert daemon.nodes()["systemd"]["state"] == "running"
        os.kill(daemon.pid, signal.SIGTERM)
        said = manager.hear_until("STOPPING")
        assert said["STOPPING"] == "1"
        assert int(said["EXTEND_TIMEOUT_USEC"]) > 30e6, "more than the drain may take"
        eventually(lambda: not daemon.alive, "the daemon ended")


def test_without_a_watchdog_there_are_no_signs_of_life_and_without_a_manager_no_task(
    tmp_path: Path, start_daemon: StartDaemon
) -> None:
    path = str(tmp_path / "notify")
    with Manager(path) as manager:
        watched = start_daemon(CONFIG, {"NOTIFY_SOCKET": path})
        assert manager.hear()["READY"] == "1"
        assert "WATCHDOG" not in manager.hear()
        assert "systemd" in watched.nodes()
        watched.stop()
    assert "systemd" not in start_daemon(CONFIG).nodes()


def test_a_killed_sign_of_life_comes_back(tmp_path: Path, start_daemon: StartDaemon) -> None:
    path = str(tmp_path / "notify")
    with Manager(path) as manager:
        daemon = start_daemon(CONFIG, {"NOTIFY_SOCKET": path, "WATCHDOG_USEC": "200000"})
        manager.hear_until("WATCHDOG")
        daemon.kill_and_wait("systemd")
        manager.hear_until("WATCHDOG")
        daemon.stop()


def test_a_service_manager_that_has_gone_is_no_harm(
    tmp_path: Path, start_daemon: StartDaemon
) -> None:
    daemon = start_daemon(
        CONFIG, {"NOTIFY_SOCKET": str(tmp_path / "nobody"), "WATCHDOG_USEC": "100000"}
    )
    assert daemon.get("/health")["status"] == "healthy"
    eventually(lambda: "cannot be told" in daemon.log(), "it was said in the log")
    daemon.stop()
    assert daemon.log().count("cannot be told") == 1, "it is said once"


@contextmanager
def activated(
    configuration: dict[str, object], *, tcp: bool = False, mode: int = 0o600
) -> Iterator[tuple[Daemon, list[socket.socket]]]:
    """A daemon that has not started yet and the listening sockets it will be handed."""
    daemon = Daemon(configuration)
    daemon.owns_socket = False
    unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    unix.bind(str(daemon.socket))
    daemon.socket.chmod(mode)
    sockets = [unix]
    if tcp:
        port = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        port.bind(("127.0.0.1", 0))
        sockets.append(port)
    try:
        for sock in sockets:
            sock.listen()
        hand_over(daemon, sockets)
        yield daemon, sockets
    finally:
        for sock in sockets:
            sock.close()


def hand_over(daemon: Daemon, sockets: list[socket.socket], *, pid: str = "$$") -> None:
    """Let the daemon be started as systemd does: descriptors from 3 on, and variables about them.

    Args:
        daemon: Not started yet.
        sockets: What to hand over.
        pid: The process that the variables name; the daemon's own unless said otherwise.
    """
    descriptors = [os.dup(sock.fileno()) for sock in sockets]
    moves = " ".join(f"{3 + place}<&{fd}" for place, fd in enumerate(high(descriptors)))
    script = f'LISTEN_PID={pid} LISTEN_FDS={len(sockets)} LISTEN_FDNAMES=a:b exec "$@" {moves}'
    daemon.launcher = ("bash", "-c", script, "bash")
    daemon.pass_fds = tuple(descriptors)


def high(descriptors: list[int]) -> list[int]:
    """Check that moving the descriptors to their places overwrites none that is still to move."""
    assert all(fd >= 3 + len(descriptors) for fd in descriptors), descriptors
    return descriptors


def test_an_inherited_socket_is_used_and_left_behind() -> None:
    with activated(CONFIG) as (daemon, _), daemon:
        assert daemon.get("/health/detailed")["socket"] == str(daemon.socket)
        inode = daemon.socket.stat().st_ino
        daemon.stop()
        assert daemon.socket.stat().st_ino == inode, "the socket is its opener's"
        assert not daemon.socket.with_name("standby.sock.lock").exists()


def test_a_client_who_comes_before_the_daemon_is_served_by_it() -> None:
    with activated(CONFIG) as (daemon, _), socket.socket(socket.AF_UNIX) as early:
        early.connect(str(daemon.socket))
        early.sendall(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n")
        with daemon:
            early.settimeout(PATIENCE)
            assert early.recv(65536).startswith(b"HTTP/1.1 200")


def test_an_inherited_port_is_a_door_that_needs_the_token() -> None:
    with (
        activated({**CONFIG, "tcp": {"token": TOKEN}}, tcp=True) as (daemon, sockets),
        daemon,
    ):
        assert "door:tcp" in daemon.nodes()
        host, port = sockets[1].getsockname()
        for token, status in ((TOKEN, 200), ("wrong", 401)):
            asker = http.client.HTTPConnection(host, port, timeout=PATIENCE)
            asker.request("GET", "/v1/models", headers={"authorization": f"Bearer {token}"})
            assert asker.getresponse().status == status
            asker.close()


def test_an_inherited_port_without_a_token_keeps_the_daemon_from_starting() -> None:
    with activated(CONFIG, tcp=True) as (daemon, _):
        with pytest.raises(AssertionError, match="ended with 1"):
            daemon.start()
        assert "needs tcp.token" in daemon.log()
        assert "Traceback" not in daemon.log()


def test_two_sockets_of_a_kind_are_refused_by_name() -> None:
    with activated(CONFIG) as (daemon, sockets):
        hand_over(daemon, [sockets[0], sockets[0]])
        with pytest.raises(AssertionError, match="ended with 1"):
            daemon.start()
        assert "descriptor 4 (b) is a second Unix socket" in daemon.log()


def test_what_is_no_listening_socket_is_refused_by_name() -> None:
    with activated(CONFIG) as (daemon, _):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            hand_over(daemon, [other])
            with pytest.raises(AssertionError, match="ended with 1"):
                daemon.start()
        assert "descriptor 3 (a) is no listening stream socket" in daemon.log()


def test_variables_meant_for_another_process_are_passed_over() -> None:
    with activated(CONFIG) as (daemon, sockets):
        hand_over(daemon, sockets, pid="1")
        sockets[0].close()
        daemon.socket.unlink()
        daemon.owns_socket = True
        with daemon:
            assert daemon.get("/health")["status"] == "healthy"


def test_sighup_changes_nothing_and_says_so(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(CONFIG)
    os.kill(daemon.pid, signal.SIGHUP)
    eventually(lambda: "SIGHUP: nothing to do" in daemon.log(), "it was said in the log")
    assert daemon.get("/health")["status"] == "healthy"


def test_sigusr1_writes_the_tree_to_the_log(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(CONFIG)
    os.kill(daemon.pid, signal.SIGUSR1)
    eventually(lambda: "door:unix #1: running" in daemon.log(), "the tree was in the log")
    assert "provider:sim-o #1: running" in daemon.log()


def test_a_daemon_whose_terminal_has_gone_stops_in_order() -> None:
    with Daemon(CONFIG) as daemon:
        daemon.stop()
        terminal, own = os.openpty()
        script = (
            "import fcntl, os, sys, termios\n"
            "os.setsid()\n"
            f"fcntl.ioctl({own}, termios.TIOCSCTTY, 0)\n"
            f"os.dup2({own}, 2)\n"
            "os.execvp(sys.argv[1], sys.argv[1:])\n"
        )
        daemon.launcher = (sys.executable, "-c", script)
        daemon.pass_fds = (own,)
        daemon.start()
        os.close(own)
        os.close(terminal)
        eventually(lambda: not daemon.alive, "the daemon ended")
        daemon.stop()


def test_a_root_that_gives_up_ends_the_daemon_with_an_error() -> None:
    """The usual limits are out of reach for a tester; these allow no restart at all."""
    with Daemon(CONFIG) as daemon:
        daemon.stop()
        daemon.launcher = (
            sys.executable,
            "-c",
            (
                "import sys\n"
                "from functools import partial\n"
                "from runtime import tree\n"
                "from supervision import supervisor\n"
                "tree._one_for_one = partial(supervisor, max_restarts=0, max_seconds=5.0)\n"
                "from runtime.cli.main import main\n"
                "sys.exit(main(sys.argv[2:]))\n"
            ),
        )
        daemon.expects_exit = 1
        daemon.start()
        daemon.kill("telemetry")
        eventually(lambda: not daemon.alive, "the daemon ended")
        daemon.stop()
        assert "its tree gave up" in daemon.log()


@pytest.mark.parametrize(
    "streams", [">/dev/full 2>&1", ">&- 2>&-", "<&- >&- 2>&-"], ids=["full", "closed", "all-closed"]
)
def test_a_log_that_nobody_takes_does_not_disturb_the_daemon(streams: str) -> None:
    with Daemon(config({"sim-o": simulated("openai")}, logging={"level": "debug"})) as daemon:
        daemon.stop()
        daemon.launcher = ("bash", "-c", f'exec "$@" {streams}', "bash")
        daemon.start()
        for _ in range(3):
            daemon.kill_and_wait("provider:sim-o")
        assert daemon.get("/health")["status"] == "healthy"
        daemon.stop()  # ends with 0 all the same


def test_a_log_reader_that_is_stuck_does_not_hold_the_daemon_up() -> None:
    with Daemon(config({"sim-o": simulated("openai")}, logging={"level": "debug"})) as daemon:
        daemon.stop()
        reader, writer = os.pipe()
        fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
        os.set_blocking(reader, False)
        daemon.launcher = ("bash", "-c", f'exec "$@" 2>&{writer}', "bash")
        daemon.pass_fds = (writer,)
        daemon.start()
        os.close(writer)
        for _ in range(20):
            os.kill(daemon.pid, signal.SIGUSR1)  # the tree has more lines than the pipe takes
            assert daemon.get("/health")["status"] == "healthy"
        assert b"could not be written" not in os.read(reader, 1 << 20)

        def told() -> bool:
            os.kill(daemon.pid, signal.SIGHUP)
            assert daemon.get("/health")["status"] == "healthy"
            with suppress(BlockingIOError):
                return b"messages before this one could not be written" in os.read(reader, 1 << 20)
            return False

        eventually(told, "the reader was told what it missed")
        daemon.stop()
        os.close(reader)
