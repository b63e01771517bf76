"""The `standby` command against a real daemon: what people type, what they see, the exit codes."""

import json
from collections.abc import Iterator

import pytest

from tests.support.answers import TEXT, WORDS, opening, tokens
from tests.support.configs import base_url, config, group, simulated, upstream
from tests.support.daemon import Daemon
from tests.support.faults import good
from tests.support.scripted import Exchange, Scripted


def _by_path(exchange: Exchange) -> None:
    if exchange.request.path.startswith("/good/"):
        good(exchange, "openai")
        return
    exchange.begin()
    for event in (*opening("openai"), *tokens("openai", WORDS[:2])):
        exchange.piece(event)
    exchange.hang_up()


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Scripted(_by_path) as scripted:
        providers = {
            "good": upstream("openai", base_url("openai", f"{scripted.url}/good")),
            "breaking": upstream("openai", base_url("openai", f"{scripted.url}/breaking")),
            "sim-o": simulated("openai"),
        }
        groups = {"chat": group("good"), "breaks": group("breaking")}
        with Daemon(config(providers, groups)) as running:
            running.environment["STANDBY_SOCKET"] = str(running.socket)
            yield running


@pytest.mark.parametrize("how", [[], ["--no-stream"]])
def test_chat_prints_the_answer_and_nothing_else(daemon: Daemon, how: list[str]) -> None:
    done = daemon.command("chat", "Count to five.", *how)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == TEXT.strip()


def test_chat_as_json_says_who_answered(daemon: Daemon) -> None:
    done = daemon.command("chat", "Count to five.", "--model", "sim-o/sim-1", "--json")
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert said["provider"] == "sim-o"
    assert said["attempts"] == 1
    assert said["complete"] is True
    assert said["text"]
    assert said["request_id"]


def test_chat_says_when_an_answer_broke_off(daemon: Daemon) -> None:
    done = daemon.command("chat", "Count to five.", "--model", "breaks")
    assert done.returncode == 3
    assert done.stdout.strip() == "".join(WORDS[:2]).strip()
    assert done.stderr.strip()


def test_chat_with_an_unknown_model_says_which_was_meant(daemon: Daemon) -> None:
    done = daemon.command("chat", "Count.", "--model", "chatt")
    assert done.returncode == 1
    assert "did you mean" in done.stderr.lower()
    assert "Traceback" not in done.stderr


def test_status_names_every_provider(daemon: Daemon) -> None:
    done = daemon.command("status")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("good", "breaking", "sim-o", "chat", "closed"):
        assert name in done.stdout
    assert json.loads(daemon.command("status", "--json").stdout)["pid"] == daemon.pid


def test_the_tree_is_shown_as_text_and_as_json(daemon: Daemon) -> None:
    done = daemon.command("tree", "--once")
    assert done.returncode == 0, done.stdout + done.stderr
    for name in ("standby", "telemetry", "provider:good", "breaker:sim-o", "door:unix"):
        assert name in done.stdout
    assert json.loads(daemon.command("tree", "--json").stdout)["tree"]["name"] == "standby"


def test_kill_sees_the_part_come_back(daemon: Daemon) -> None:
    before = daemon.nodes()["provider:sim-o"]["incarnation"]
    done = daemon.command("kill", "provider:sim-o")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "provider:sim-o" in done.stdout
    after = daemon.wait_whole(frozenset({"provider:sim-o"}))
    assert after["provider:sim-o"]["incarnation"] == before + 1


def test_kill_of_an_unknown_name_says_which_was_meant(daemon: Daemon) -> None:
    done = daemon.command("kill", "provider:sim")
    assert done.returncode == 1
    assert "provider:sim-o" in done.stderr


def test_models_lists_what_may_be_asked_for(daemon: Daemon) -> None:
    done = daemon.command("models")
    assert done.returncode == 0, done.stderr
    for name in ("chat", "breaks", "sim-1", "m-1"):
        assert name in done.stdout


def test_without_a_daemon_every_verb_says_so(daemon: Daemon) -> None:
    nowhere = ["--socket", str(daemon.home / "nowhere.sock")]
    for verb in (["status"], ["tree", "--once"], ["kill", "x"], ["chat", "x"], ["models"]):
        done = daemon.command(*verb, *nowhere)
        assert done.returncode == 2, verb
        assert "nowhere.sock" in done.stderr
        assert "Traceback" not in done.stderr


def test_check_accepts_the_running_configuration(daemon: Daemon) -> None:
    done = daemon.command("check", str(daemon.config_path))
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_bad_configuration_keeps_the_daemon_from_starting_and_says_where(
    daemon: Daemon,
) -> None:
    bad = daemon.home / "bad.yaml"
    bad.write_text("providers:\n  sim-o: {kind: simulatd}\n")
    done = daemon.command("up", "--config", str(bad), "--socket", str(daemon.home / "other.sock"))
    assert done.returncode == 2
    assert f"{bad}:2:" in done.stderr
    assert "simulated" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (daemon.home / "other.sock").exists()
