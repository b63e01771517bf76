"""The socket and the life of the process: who may connect, one daemon at a time, a clean end."""

import os
import signal
import socket
import stat
import threading

from tests.integration.conftest import StartDaemon
from tests.support import raw
from tests.support.answers import PATHS, TEXT, WORDS, request_body
from tests.support.configs import base_url, config, group, simulated, upstream
from tests.support.daemon import Daemon
from tests.support.lockstep import LockStep
from tests.support.reading import text_of
from tests.support.scripted import PATIENCE, Scripted
from tests.support.waiting import eventually

CONFIG = config({"sim-o": simulated("openai")}, {"chat": group("sim-o", model="sim-1")})


def test_the_socket_is_for_its_owner_only(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(CONFIG)
    mode = daemon.socket.stat().st_mode
    assert stat.S_ISSOCK(mode)
    assert stat.S_IMODE(mode) == 0o600


def test_a_directory_the_daemon_makes_is_for_its_owner_only() -> None:
    daemon = Daemon(CONFIG)
    daemon.socket = daemon.home / "made" / "standby.sock"
    with daemon:
        assert stat.S_IMODE(daemon.socket.parent.stat().st_mode) == 0o700
        assert stat.S_IMODE(daemon.socket.stat().st_mode) == 0o600


def test_a_second_daemon_is_refused_and_told_of_the_first(start_daemon: StartDaemon) -> None:
    first = start_daemon(CONFIG)
    refused = first.command("up", "--config", str(first.config_path), "--socket", str(first.socket))
    assert refused.returncode == 1
    said = refused.stdout + refused.stderr
    assert "already" in said
    assert str(first.pid) in said, "it names the daemon that is there"
    assert str(first.socket) in said
    assert "Traceback" not in said
    assert first.ask("GET", "/health").status == 200, "the first one goes on"


def test_a_socket_left_by_a_crash_is_replaced(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(CONFIG)
    daemon.end_hard()
    assert daemon.socket.exists(), "a crash leaves the socket"
    daemon.start()
    assert daemon.ask("GET", "/health").status == 200


def test_what_is_no_socket_is_never_removed(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(CONFIG)
    precious = daemon.home / "precious"
    precious.write_text("letters")
    refused = daemon.command("up", "--config", str(daemon.config_path), "--socket", str(precious))
    assert refused.returncode != 0
    assert precious.read_text() == "letters"
    assert "Traceback" not in refused.stdout + refused.stderr
    assert "precious" in refused.stdout + refused.stderr


def test_a_socket_path_that_is_too_long_is_refused_in_plain_words(
    start_daemon: StartDaemon,
) -> None:
    daemon = start_daemon(CONFIG)
    path = daemon.home / ("x" * 120) / "standby.sock"
    refused = daemon.command("up", "--config", str(daemon.config_path), "--socket", str(path))
    assert refused.returncode != 0
    assert "107" in refused.stdout + refused.stderr
    assert "Traceback" not in refused.stdout + refused.stderr


def test_the_environment_can_name_the_socket(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(CONFIG)
    daemon.environment["STANDBY_SOCKET"] = str(daemon.socket)
    said = daemon.command("status")
    assert said.returncode == 0, said.stdout + said.stderr
    assert "sim-o" in said.stdout


def test_sigint_stops_it_in_order_too(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(CONFIG)
    os.kill(daemon.pid, signal.SIGINT)
    eventually(lambda: not daemon.alive, "the daemon ended")


def test_the_stop_command_stops_it_in_order(start_daemon: StartDaemon) -> None:
    daemon = start_daemon(CONFIG)
    said = daemon.command("stop", "--socket", str(daemon.socket))
    assert said.returncode == 0, said.stdout + said.stderr
    eventually(lambda: not daemon.alive, "the daemon ended")
    assert not daemon.socket.exists()


def test_an_open_stream_is_finished_before_the_daemon_ends(start_daemon: StartDaemon) -> None:
    step = LockStep()
    step.allow()
    with Scripted(step) as scripted:
        daemon = start_daemon(
            config(
                {"o": upstream("openai", base_url("openai", scripted.url))}, {"chat": group("o")}
            )
        )
        answers: list[str] = []

        def ask() -> None:
            body = request_body("openai", "chat", stream=True)
            answers.append(
                text_of(daemon.ask("POST", PATHS["openai"], body), "openai", stream=True)
            )

        asker = threading.Thread(target=ask)
        asker.start()
        eventually(lambda: step.sent == 1, "the stream had begun")
        os.kill(daemon.pid, signal.SIGTERM)
        eventually(lambda: _refuses(daemon), "no new connection was taken any more")
        assert daemon.alive
        step.allow(len(WORDS))
        asker.join(PATIENCE)
        assert answers == [TEXT]
        eventually(lambda: not daemon.alive, "the daemon ended")


def test_a_second_signal_ends_it_at_once(start_daemon: StartDaemon) -> None:
    step = LockStep()
    step.allow()
    with Scripted(step) as scripted:
        daemon = start_daemon(
            config(
                {"o": upstream("openai", base_url("openai", scripted.url))}, {"chat": group("o")}
            )
        )
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.settimeout(PATIENCE)
            sock.connect(str(daemon.socket))
            sock.sendall(
                raw.post(PATHS["openai"], b'{"model": "chat", "messages": [], "stream": true}')
            )
            eventually(lambda: step.sent == 1, "the stream had begun")
            os.kill(daemon.pid, signal.SIGTERM)
            eventually(lambda: _refuses(daemon), "no new connection was taken any more")
            os.kill(daemon.pid, signal.SIGTERM)
            eventually(lambda: not daemon.alive, "the daemon ended")
            step.wait_gone()


def _refuses(daemon: Daemon) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(daemon.socket))
        except OSError:
            return True
        return False
