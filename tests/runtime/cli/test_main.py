"""The command as a whole: what it imports, its help, its words for a wrong line."""

import subprocess
import sys
from pathlib import Path

import pytest

from runtime.cli import exits
from runtime.cli.main import main
from tests.runtime.cli.fake_daemon import FakeDaemon, answer

Capture = pytest.CaptureFixture[str]
VERBS = ("up", "check", "schema", "chat", "status", "models", "tree", "kill", "stop", "demo")
HEAVY = (
    "trio",
    "httpx2",
    "httptools",
    "rich",
    "msgspec",
    "yaml",
    "asyncio",
    "http.client",
    "typing",
)


@pytest.mark.parametrize(
    "arguments", [["status"], ["models"], ["kill", "x"], ["tree", "--once"], ["chat", "hi"]]
)
def test_verbs_that_only_ask_import_the_standard_library_and_little_of_it(
    daemon: FakeDaemon, arguments: list[str]
) -> None:
    daemon.answers["GET", "/v1/models"] = answer(200, {"data": []})
    program = (
        "import sys; from runtime.cli.main import main; main(sys.argv[1:]);"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", program, "--socket", daemon.socket, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stderr.splitlines()[-1] == "[]"


def test_help_names_every_verb_and_the_exit_codes(capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    assert caught.value.code == exits.OK
    shown = capsys.readouterr().out
    for verb in VERBS:
        assert f"    {verb} " in shown
    assert "exit codes:" in shown


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help(verb: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main([verb, "--help"])
    assert caught.value.code == exits.OK
    assert f"usage: standby {verb}" in capsys.readouterr().out


@pytest.mark.parametrize(
    "arguments",
    [[], ["dance"], ["kill"], ["tree", "--interval", "0.1"], ["status", "--timeout", "x"]],
)
def test_a_line_that_makes_no_sense_is_refused(arguments: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == exits.USAGE
    assert "usage: standby" in capsys.readouterr().err


def test_a_socket_path_that_is_too_long_is_refused(capsys: Capture) -> None:
    assert main(["status", "--socket", "/" + "x" * 200]) == exits.USAGE
    assert "--socket: " in capsys.readouterr().err


def test_a_configuration_that_is_named_and_missing_is_no_other_daemons(capsys: Capture) -> None:
    assert main(["status", "--config", "/nowhere/standby.yaml"]) == exits.USAGE
    assert "/nowhere/standby.yaml: there is no such file" in capsys.readouterr().err


def test_interrupting_ends_with_130(monkeypatch: pytest.MonkeyPatch, daemon: FakeDaemon) -> None:
    def interrupted(*_: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("runtime.cli.ask.status", interrupted)
    assert main(["status", "--socket", daemon.socket]) == exits.INTERRUPTED


STANDBY = "import sys; from runtime.cli.main import main; sys.exit(main(sys.argv[1:]))"


def shell(line: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a shell line that redirects it; `"$@"` stands for the command."""
    return subprocess.run(
        ["bash", "-c", line, "bash", sys.executable, "-c", STANDBY, *arguments],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )


@pytest.mark.parametrize("verb", [["status"], ["tree", "--once"], ["tree", "--json"], ["check"]])
def test_a_full_disk_is_named_and_is_no_crash(daemon: FakeDaemon, verb: list[str]) -> None:
    done = shell('"$@" >/dev/full', *verb, "--socket", daemon.socket)
    assert done.returncode == exits.BAD
    assert done.stderr == "standby: No space left on device\n"


@pytest.mark.parametrize("verb", [["status"], ["tree", "--once"], ["check"], ["schema"]])
@pytest.mark.parametrize("closed", [">&-", "<&-", "<&- >&- 2>&-"])
def test_closed_streams_change_no_exit_code(
    daemon: FakeDaemon, verb: list[str], closed: str
) -> None:
    done = shell(f'"$@" {closed}', *verb, "--socket", daemon.socket)
    assert done.returncode == exits.OK
    assert done.stderr == ""


def test_complaints_that_nobody_takes_change_no_exit_code(tmp_path: Path) -> None:
    for stream in ("/dev/full", "&-"):
        done = shell(f'"$@" 2>{stream}', "status", "--socket", str(tmp_path / "none"))
        assert done.returncode == exits.CANNOT_CONNECT


@pytest.mark.parametrize("verb", [["tree", "--once"], ["schema"], ["status"], ["kill", "x"]])
def test_a_reader_that_goes_away_is_no_crash(daemon: FakeDaemon, verb: list[str]) -> None:
    daemon.answers["POST", "/supervision/x/kill"] = answer(200, {"killed": "x", "incarnation": 1})
    done = shell('"$@" | true; exit ${PIPESTATUS[0]}', *verb, "--socket", daemon.socket)
    assert done.returncode in {exits.OK, exits.PIPE_CLOSED}
    assert done.stderr == ""


@pytest.mark.parametrize("verb", VERBS)
def test_the_help_of_every_verb_shows_how_it_is_used(verb: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    shown = capsys.readouterr().out
    assert "examples:\n" in shown
    assert f"  standby {verb}" in shown or f"| standby {verb}" in shown
