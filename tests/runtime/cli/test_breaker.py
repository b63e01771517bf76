"""`standby breaker`: what it asks of the daemon, and what it says."""

import json

import pytest

from runtime.cli import exits
from tests.runtime.cli.conftest import Standby
from tests.runtime.cli.fake_daemon import FakeDaemon, answer

Capture = pytest.CaptureFixture[str]


def said(provider: str, before: str, state: str, *, set_aside: bool = False) -> dict[str, object]:
    return {
        "provider": provider,
        "command": "?",
        "before": before,
        "breaker": {"state": state, "set_aside": set_aside},
    }


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("open", "forced-open (was closed): no request goes there"),
        ("close", "forced-closed (was closed): every request goes there"),
        ("disable", "disabled (was closed): every request goes there, and nothing"),
    ],
)
def test_a_breaker_is_held_until_it_is_reset(
    daemon: FakeDaemon, standby: Standby, capsys: Capture, command: str, words: str
) -> None:
    state = words.partition(" ")[0].replace("-", "_")
    path = f"/control/breakers/sim-a/{command}"
    daemon.answers["POST", path] = answer(200, said("sim-a", "closed", state))
    assert standby("breaker", "sim-a", command) == exits.OK
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith(f"the breaker of sim-a is {words}")
    assert shown[1:] == ["until: standby breaker sim-a reset"]


def test_a_reset_says_how_it_stood(daemon: FakeDaemon, standby: Standby, capsys: Capture) -> None:
    path = "/control/breakers/sim-a/reset"
    daemon.answers["POST", path] = answer(200, said("sim-a", "forced_open", "closed"))
    assert standby("breaker", "sim-a", "reset") == exits.OK
    [line] = capsys.readouterr().out.splitlines()
    assert line.startswith("the breaker of sim-a is closed (was forced-open): its failures")


def test_a_breaker_that_is_held_closed_says_that_the_account_stays_refused(
    daemon: FakeDaemon, standby: Standby, capsys: Capture
) -> None:
    told = said("sim-a", "forced_closed", "forced_closed", set_aside=True)
    daemon.answers["POST", "/control/breakers/sim-a/close"] = answer(200, told)
    assert standby("breaker", "sim-a", "close") == exits.OK
    shown = capsys.readouterr().out
    assert "was" not in shown.splitlines()[0].split(":")[0]
    assert "sim-a is set aside all the same" in shown


def test_the_daemons_own_object_is_printed_as_json(
    daemon: FakeDaemon, standby: Standby, capsys: Capture
) -> None:
    told = said("sim-a", "closed", "forced_open")
    daemon.answers["POST", "/control/breakers/sim-a/open"] = answer(200, told)
    assert standby("breaker", "sim-a", "open", "--json") == exits.OK
    assert json.loads(capsys.readouterr().out) == told


def test_an_unknown_provider_passes_on_what_the_daemon_says(
    daemon: FakeDaemon, standby: Standby, capsys: Capture
) -> None:
    message = "there is no provider sim-z; did you mean sim-a?"
    error = answer(404, {"error": {"message": message}})
    daemon.answers["POST", "/control/breakers/sim-z/open"] = error
    assert standby("breaker", "sim-z", "open") == exits.BAD
    assert capsys.readouterr().err == f"standby: {message}\n"


def test_an_unknown_command_is_told_with_the_one_that_was_meant(
    standby: Standby, capsys: Capture
) -> None:
    with pytest.raises(SystemExit) as caught:
        standby("breaker", "sim-a", "opne")
    assert caught.value.code == exits.USAGE
    error = capsys.readouterr().err
    assert "open, close, disable, reset, not 'opne'; did you mean open?" in error


def test_status_shows_a_state_set_by_hand_under_its_own_name(
    daemon: FakeDaemon, standby: Standby, capsys: Capture
) -> None:
    health = {
        "status": "healthy",
        "providers": {
            "held": {"circuit_state": "closed", "breaker": {"state": "forced_closed"}},
            "aside": {"circuit_state": "open", "breaker": {"state": "closed"}},
        },
    }
    daemon.answers["GET", "/health/detailed"] = answer(200, health)
    standby("status")
    held, aside = [line for line in capsys.readouterr().out.splitlines() if "unhealthy" in line]
    assert "forced-closed" in held
    assert "open" in aside
