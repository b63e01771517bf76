"""The verbs that read the configuration."""

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from runtime.cli import exits
from runtime.cli.main import main
from runtime.configuration import Config

Capture = pytest.CaptureFixture[str]

GOOD = """\
socket: {socket}
providers:
  sim-a: {{kind: simulated}}
  real: {{kind: openai, base_url: "http://127.0.0.1:11434/v1"}}
  keyless: {{kind: openai}}
  off: {{kind: openai, enabled: false}}
groups:
  chat: {{members: [{{provider: sim-a, model: sim-1}}]}}
models: {{fast: {{group: chat}}}}
"""
BAD = "providers:\n  a: {kind: simulatd}\n  b: {kind: simulated, wire: klingon}\n"


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("STANDBY_SOCKET", "STANDBY_CONFIG", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def good(tmp_path: Path) -> Path:
    """A configuration that can be used."""
    file = tmp_path / "good.yaml"
    file.write_text(GOOD.format(socket="/tmp/standby-good.sock"))
    return file


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    """A configuration with two problems, on its second and third line."""
    file = tmp_path / "bad.yaml"
    file.write_text(BAD)
    return file


def test_check_sums_up_a_good_file(good: Path, capsys: Capture) -> None:
    assert main(["check", str(good)]) == exits.OK
    shown = capsys.readouterr().out
    assert f"{good}: ok" in shown
    assert "/tmp/standby-good.sock" in shown
    assert "sim-a (simulated)" in shown
    assert "keyless (openai)   not configured: " in shown
    assert "off (openai)   disabled" in shown
    assert "chat (priority, 1 member)" in shown
    assert "fast" in shown


def test_check_says_all_problems_with_their_places(bad: Path, capsys: Capture) -> None:
    assert main(["check", "--config", str(bad)]) == exits.BAD
    said = capsys.readouterr()
    first, second, total = said.err.splitlines()
    assert first.startswith(f"{bad}:2:13: ")
    assert "simulated" in first
    assert second.startswith(f"{bad}:3:")
    assert total == f"standby: {bad}: 2 problems"
    assert said.out == ""


def test_check_prints_problems_as_json(bad: Path, capsys: Capture) -> None:
    assert main(["check", str(bad), "--json"]) == exits.BAD
    told = json.loads(capsys.readouterr().out)
    assert (told["ok"], [p["line"] for p in told["problems"]]) == (False, [2, 3])


def test_check_of_a_missing_file_says_so(tmp_path: Path, capsys: Capture) -> None:
    assert main(["check", str(tmp_path / "none.yaml")]) == exits.BAD
    assert "there is no such file" in capsys.readouterr().err


def test_up_does_not_start_with_a_bad_configuration(bad: Path, capsys: Capture) -> None:
    assert main(["up", "--config", str(bad)]) == exits.USAGE
    said = capsys.readouterr().err
    assert f"{bad}:2:13: " in said
    assert "not started" in said


@pytest.mark.parametrize(
    ("flags", "socket"),
    [([], "/tmp/standby-good.sock"), (["--socket", "/tmp/other.sock"], "/tmp/other.sock")],
)
def test_up_runs_the_daemon_and_returns_its_exit_code(
    good: Path, monkeypatch: pytest.MonkeyPatch, flags: list[str], socket: str
) -> None:
    ran: list[dict[str, Any]] = []

    def run_daemon(config: Config, **where: Any) -> int:
        assert isinstance(config, Config)
        ran.append(where)
        return 7

    application = ModuleType("runtime.application")
    monkeypatch.setattr(application, "run_daemon", run_daemon, raising=False)
    monkeypatch.setitem(sys.modules, "runtime.application", application)
    assert main(["up", "--config", str(good), *flags]) == 7
    assert ran == [{"socket_path": Path(socket), "config_file": good}]


def test_schema_prints_the_json_schema_of_the_configuration(capsys: Capture) -> None:
    assert main(["schema"]) == exits.OK
    told = json.loads(capsys.readouterr().out)
    assert told["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert {"providers", "groups", "models"} <= told["properties"].keys()
