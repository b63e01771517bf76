"""`standby tree` away from a terminal: as text and as JSON."""

import json
import subprocess
import sys

import pytest

from runtime.cli import exits
from tests.runtime.cli.conftest import Standby
from tests.runtime.cli.fake_daemon import FakeDaemon, answer
from tests.runtime.view.sample import health_answer, tree_answer

Capture = pytest.CaptureFixture[str]


@pytest.mark.parametrize("arguments", [["tree", "--once"], ["tree"]])
def test_prints_the_tree_once_where_there_is_no_terminal(
    daemon: FakeDaemon, standby: Standby, capsys: Capture, arguments: list[str]
) -> None:
    assert standby(*arguments) == exits.OK
    shown = capsys.readouterr().out
    assert "├─ ● providers #1" in shown
    assert daemon.socket in shown
    assert "\x1b" not in shown


def test_draws_with_ascii_when_asked(standby: Standby, capsys: Capture) -> None:
    assert standby("tree", "--once", "--ascii") == exits.OK
    assert capsys.readouterr().out.isascii()


def test_an_open_breaker_shows_in_the_exit_code(
    daemon: FakeDaemon, standby: Standby, capsys: Capture
) -> None:
    told = health_answer("degraded", sim_b="open")
    daemon.answers["GET", "/health/detailed"] = answer(200, told)
    assert standby("tree", "--once", "--faults") == exits.BAD
    shown = capsys.readouterr().out
    assert "▲ breaker:sim-b" in shown
    assert "telemetry" not in shown


def test_json_is_the_daemons_object_with_its_keys_sorted(standby: Standby, capsys: Capture) -> None:
    assert standby("tree", "--json") == exits.OK
    shown = capsys.readouterr().out
    assert shown == json.dumps(tree_answer(), sort_keys=True, ensure_ascii=False) + "\n"


def test_the_tree_is_shown_without_health_where_there_is_none(
    daemon: FakeDaemon, standby: Standby, capsys: Capture
) -> None:
    del daemon.answers["GET", "/health/detailed"]
    assert standby("tree", "--once") == exits.OK
    assert "● telemetry #1" in capsys.readouterr().out


def test_watching_prints_an_object_a_line_and_survives_a_restart_of_the_daemon(
    daemon: FakeDaemon,
) -> None:
    command = [sys.executable, "-m", "runtime.cli", "--socket", daemon.socket]
    command += ["tree", "--json", "--watch", "--interval", "0.25"]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        assert json.loads(watching.stdout.readline())["pid"] == 4242
        daemon.leave()
        assert "reconnecting" in watching.stderr.readline()
        daemon.answers["GET", "/supervision/tree"] = answer(200, {"pid": 4243})
        daemon.listen()
        while json.loads(watching.stdout.readline())["pid"] != 4243:
            pass
        watching.send_signal(2)
    assert watching.returncode == exits.INTERRUPTED


def test_a_reader_that_goes_away_ends_it_quietly(daemon: FakeDaemon) -> None:
    command = [sys.executable, "-m", "runtime.cli", "--socket", daemon.socket]
    command += ["tree", "--json", "--watch", "--interval", "0.25"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as watching:
        assert watching.stdout is not None
        assert watching.stderr is not None
        watching.stdout.readline()
        watching.stdout.close()
        assert watching.stderr.read() == b""
    assert watching.returncode == exits.PIPE_CLOSED
