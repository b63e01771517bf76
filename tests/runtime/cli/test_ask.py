"""The verbs that put one question to the daemon."""

import json
import os
import threading

import pytest

from runtime.cli import exits
from tests.runtime.cli.conftest import Standby
from tests.runtime.cli.fake_daemon import FakeDaemon, answer
from tests.runtime.view.sample import health_answer, node, supervisor, tree_answer

Capture = pytest.CaptureFixture[str]


def test_status_shows_providers_groups_and_totals(standby: Standby, capsys: Capture) -> None:
    assert standby("status") == exits.OK
    shown = capsys.readouterr().out
    assert "standby 0.1.0  healthy  pid 4242  up 4m05s" in shown
    assert "1,204 requests, 98.0 % ok, 150 ms on average" in shown
    lines = {line.split()[0]: line for line in shown.splitlines() if line.strip()}
    assert lines["sim-a"].split() == ["sim-a", "simulated", "up", "closed", "0.95", "2"]
    assert "not configured" in lines["openai-main"]
    assert "needs api_key" in lines["openai-main"]
    assert "sim-a/sim-1, sim-b/sim-1" in lines["chat"]


def test_status_tells_what_was_passed_through(
    daemon: FakeDaemon, standby: Standby, capsys: Capture
) -> None:
    told = health_answer()
    told["metrics"]["passthrough"] = {"requests": 1234}
    daemon.answers["GET", "/health/detailed"] = answer(200, told)
    assert standby("status") == exits.OK
    assert "150 ms on average, 1,234 passed through" in capsys.readouterr().out


@pytest.mark.parametrize("state", ["degraded", "unhealthy"])
def test_status_says_by_its_exit_code_that_something_is_wrong(
    daemon: FakeDaemon, standby: Standby, capsys: Capture, state: str
) -> None:
    told = health_answer(state, sim_a="half_open")
    daemon.answers["GET", "/health/detailed"] = answer(503, told)
    assert standby("status") == exits.BAD
    shown = capsys.readouterr().out
    assert state in shown
    assert "half-open" in shown


def test_status_prints_the_daemons_own_object_as_json(standby: Standby, capsys: Capture) -> None:
    assert standby("status", "--json") == exits.OK
    assert json.loads(capsys.readouterr().out) == health_answer()


def test_a_quiet_status_only_has_an_exit_code(standby: Standby, capsys: Capture) -> None:
    assert standby("status", "--quiet") == exits.OK
    assert capsys.readouterr().out == ""


def test_without_a_daemon_every_question_says_how_to_start_one(
    daemon: FakeDaemon, standby: Standby, capsys: Capture
) -> None:
    daemon.leave()
    for verb in (
        ["status"],
        ["models"],
        ["kill", "x"],
        ["stop"],
        ["tree", "--once"],
        ["chat", "?"],
    ):
        assert standby(*verb) == exits.CANNOT_CONNECT
        said = capsys.readouterr()
        assert said.out == ""
        assert said.err == (
            f"standby: no daemon answers at {daemon.socket}; start it with: standby up\n"
        )
    daemon.listen()


def test_the_flag_overrides_the_environment(
    daemon: FakeDaemon, standby: Standby, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANDBY_SOCKET", "/nowhere/standby.sock")
    assert standby("status") == exits.CANNOT_CONNECT
    assert standby("--socket", daemon.socket, "status") == exits.OK
    assert standby("status", "--socket", daemon.socket) == exits.OK


def test_models_lists_every_name(daemon: FakeDaemon, standby: Standby, capsys: Capture) -> None:
    listed = {"object": "list", "data": [{"id": "chat", "owned_by": "standby"}, {"id": "claude-*"}]}
    daemon.answers["GET", "/v1/models"] = answer(200, listed)
    assert standby("models") == exits.OK
    assert capsys.readouterr().out.splitlines()[1:] == ["chat      standby", "claude-*  -"]
    assert standby("models", "--json") == exits.OK
    assert json.loads(capsys.readouterr().out) == listed


def test_kill_waits_until_the_next_incarnation_runs(
    daemon: FakeDaemon, standby: Standby, capsys: Capture
) -> None:
    killed = {"killed": "provider:sim-a", "incarnation": 1}
    daemon.answers["POST", "/supervision/provider:sim-a/kill"] = answer(200, killed)
    daemon.answers["GET", "/supervision/tree"] = answer(200, tree_answer(killed=True))
    assert standby("kill", "provider:sim-a") == exits.OK
    shown = capsys.readouterr().out
    assert "killed provider:sim-a #1" in shown
    assert "it is back as #2" in shown


def test_kill_says_what_became_of_an_actor_that_does_not_come_back(
    daemon: FakeDaemon, standby: Standby, capsys: Capture
) -> None:
    daemon.answers["POST", "/supervision/a/kill"] = answer(200, {"killed": "a", "incarnation": 1})
    tree = supervisor("standby", node("a", state="restarting", uptime=None))
    daemon.answers["GET", "/supervision/tree"] = answer(200, {"tree": tree})
    assert standby("kill", "a", "--wait", "0.01") == exits.OK
    assert "it is restarting" in capsys.readouterr().out


def test_kill_says_when_the_daemon_went_with_the_actor(
    daemon: FakeDaemon, standby: Standby, capsys: Capture
) -> None:
    killed = answer(200, {"killed": "standby", "incarnation": 1})
    daemon.answers["POST", "/supervision/standby/kill"] = killed
    daemon.answers["GET", "/supervision/tree"] = [b""]
    assert standby("kill", "standby", "--wait", "0.01") == exits.OK
    assert "closed the connection" in capsys.readouterr().out


def test_killing_an_unknown_name_passes_on_what_the_daemon_says(
    daemon: FakeDaemon, standby: Standby, capsys: Capture
) -> None:
    message = "there is no actor telemetri. Did you mean telemetry?"
    error = answer(404, {"error": {"message": message}})
    daemon.answers["POST", "/supervision/telemetri/kill"] = error
    assert standby("kill", "telemetri") == exits.BAD
    assert capsys.readouterr().err == f"standby: {message}\n"


def test_stop_waits_until_the_socket_is_gone(
    daemon: FakeDaemon, standby: Standby, capsys: Capture
) -> None:
    daemon.answers["GET", "/health/detailed"] = answer(200, {"status": "healthy"})
    daemon.answers["POST", "/control/stop"] = answer(202, {})

    def leave_when_asked() -> None:
        daemon.wait_for("POST", "/control/stop")
        daemon.wait_for("GET", "/health")
        daemon.leave()

    leaving = threading.Thread(target=leave_when_asked)
    leaving.start()
    assert standby("stop") == exits.OK
    leaving.join()
    assert "stopped after" in capsys.readouterr().out


def test_stop_says_when_the_daemon_takes_longer(
    daemon: FakeDaemon, standby: Standby, capsys: Capture
) -> None:
    told = answer(200, {"status": "healthy", "pid": os.getpid()})
    daemon.answers["GET", "/health/detailed"] = told
    daemon.answers["POST", "/control/stop"] = answer(202, {})
    assert standby("stop", "--wait", "0.05") == exits.BAD
    assert f"pid {os.getpid()}) still finishes" in capsys.readouterr().err
