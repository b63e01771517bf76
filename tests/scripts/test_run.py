"""scripts/run starts a daemon, shows it, and stops it however the script itself ends.

A stand-in takes the place of the `standby` command, so that each way to fail can be had at will;
the real daemon is under test in tests/integration.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "run"
STAND_IN = """\
#!/usr/bin/env bash
echo "$*" >>"{folder}/calls"
case "$1" in
    up)
        [[ -e "{folder}/broken" ]] && {{ echo "config.yaml:1:1: nonsense" >&2; exit 2; }}
        trap 'rm -f "{folder}/alive"; echo stopped >>"{folder}/calls"; exit 0' TERM
        echo $$ >"{folder}/alive"
        while :; do sleep 0.05; done
        ;;
    status) [[ -e "{folder}/alive" ]] || exit 2 ;;
    chat) echo "Hello."; echo "sim-a answered" >&2; [[ ! -e "{folder}/mute" ]] ;;
    tree) echo "standby  supervisor"; exit 1 ;;
esac
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with a stand-in environment; whatever still runs from it is ended."""
    bin_folder = tmp_path / "venv" / "bin"
    bin_folder.mkdir(parents=True)
    python = bin_folder / "python"
    python.write_text(f'#!/usr/bin/env bash\n[[ "$2" == pip ]] || exec "{sys.executable}" "$@"\n')
    standby = bin_folder / "standby"
    standby.write_text(STAND_IN.format(folder=tmp_path))
    for program in (python, standby):
        program.chmod(0o755)
    yield tmp_path
    alive = tmp_path / "alive"
    if alive.exists():
        os.kill(int(alive.read_text()), signal.SIGKILL)


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "STANDBY_VENV": str(folder / "venv"), "TMPDIR": str(folder)}
    environment.pop("STANDBY_SOCKET", None)
    return subprocess.Popen(
        [str(SCRIPT), "--socket", str(folder / "s.sock"), *arguments],
        env=environment,
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def calls(folder: Path) -> list[str]:
    return (folder / "calls").read_text().splitlines()


def wait_for(condition: Path, *, exists: bool = True) -> None:
    deadline = time.monotonic() + 30
    while condition.exists() is not exists:
        assert time.monotonic() < deadline, f"{condition} (exists: {not exists}) for 30 s"
        time.sleep(0.02)


def test_once_shows_an_answer_and_the_tree_and_leaves_nothing_running(folder: Path) -> None:
    out, err = start(folder, "--once", "Hi?").communicate(timeout=60)
    assert out.splitlines() == ["Hello.", "standby  supervisor"]
    assert "sim-a answered" in err
    assert f"--socket {folder / 's.sock'}" in next(c for c in calls(folder) if c.startswith("up"))
    assert calls(folder)[-1] == "stopped"
    assert not list(folder.glob("standby-run.*")), "the log is kept only when something went wrong"


def test_once_ends_with_zero_when_all_of_it_worked(folder: Path) -> None:
    process = start(folder, "--once")
    process.communicate(timeout=60)
    assert process.returncode == 0


def test_an_answer_that_fails_fails_the_script_and_still_stops_the_daemon(folder: Path) -> None:
    (folder / "mute").touch()
    process = start(folder, "--once")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "the daemon's log: " in err
    assert calls(folder)[-1] == "stopped"


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_it_stays_up_with_lines_to_paste_until_it_is_told_to_end(
    folder: Path, ending: signal.Signals
) -> None:
    process = start(folder)
    assert process.stdout is not None
    shown = ""
    while "the supervision tree, live" not in shown:
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        shown += line
    assert f"curl -N --unix-socket {folder / 's.sock'}" in shown
    assert shown.count(f'uds="{folder / "s.sock"}"') == 2
    assert process.poll() is None
    process.send_signal(ending)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert calls(folder)[-1] == "stopped"


def test_a_script_that_is_killed_outright_takes_the_daemon_with_it(folder: Path) -> None:
    process = start(folder)
    wait_for(folder / "alive")
    process.kill()
    process.communicate(timeout=60)
    wait_for(folder / "alive", exists=False)


def test_a_daemon_that_does_not_come_up_is_quoted(folder: Path) -> None:
    (folder / "broken").touch()
    process = start(folder, "--once")
    _, err = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "config.yaml:1:1: nonsense" in err


def test_a_daemon_that_already_answers_there_is_left_alone(folder: Path) -> None:
    (folder / "alive").write_text("0")
    process = start(folder, "--once")
    _, err = process.communicate(timeout=60)
    (folder / "alive").unlink()
    assert process.returncode == 1
    assert f"a daemon already answers at {folder / 's.sock'}" in err
    assert [call.split()[0] for call in calls(folder)] == ["status"]
