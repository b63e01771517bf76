"""The scripts' environment: made from the lock, left alone while it matches, shared safely.

A stand-in for the environment's Python records what pip is asked to install.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
STAND_IN = """\
#!/usr/bin/env bash
if [[ "$1" == -m && "$2" == pip ]]; then
    echo "$*" >>"{log}"
    sleep 0.2
    exit "${{PIP_RESULT:-0}}"
fi
exec "{python}" "$@"
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


def command(kind: str) -> list[str]:
    text = f'set -euo pipefail; . "{SCRIPTS}/lib/venv.sh"; venv_ready {kind}'
    return ["bash", "-c", text, "some-script"]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """The environment's folder with a stand-in for Python; returns its log of pip calls."""
    log = tmp_path / "pip.log"
    log.touch()
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(STAND_IN.format(log=log, python=sys.executable))
    python.chmod(0o755)
    return log


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "STANDBY_VENV": str(tmp_path / "venv")}


@pytest.fixture
def ready(environment: dict[str, str], tmp_path: Path) -> Run:
    def run(kind: str, **changes: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command(kind),
            env=environment | changes,
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


def test_a_new_environment_gets_what_the_lock_names_hashes_checked(ready: Run, log: Path) -> None:
    done = ready("dev")
    assert done.returncode == 0, done.stderr
    first, second = log.read_text().splitlines()
    assert "--require-hashes" in first
    assert first.endswith("requirements-dev.lock")
    assert "--no-deps --no-build-isolation -e" in second


def test_an_environment_that_matches_is_left_alone(ready: Run, log: Path) -> None:
    ready("dev")
    before = log.read_text()
    assert ready("dev").returncode == 0
    assert ready("runtime").returncode == 0, "the development lock includes the runtime's"
    assert log.read_text() == before


def test_a_runtime_environment_is_not_taken_for_a_development_one(ready: Run, log: Path) -> None:
    ready("runtime")
    assert "requirements.lock" in log.read_text()
    ready("dev")
    assert "requirements-dev.lock" in log.read_text()


def test_an_environment_made_from_another_lock_is_brought_up_to_date(
    ready: Run, log: Path, tmp_path: Path
) -> None:
    ready("dev")
    (tmp_path / "venv" / ".standby-dev").write_text("made from an older lock\n")
    assert ready("dev").returncode == 0
    assert len(log.read_text().splitlines()) == 4


def test_a_failed_install_says_what_to_do_and_is_tried_again(ready: Run, log: Path) -> None:
    failed = ready("dev", PIP_RESULT="1")
    assert failed.returncode != 0
    assert "Without a network" in failed.stderr
    assert ready("dev").returncode == 0
    assert len(log.read_text().splitlines()) == 3


def test_scripts_that_start_together_install_once(
    environment: dict[str, str], log: Path, tmp_path: Path
) -> None:
    together = [subprocess.Popen(command("dev"), env=environment, cwd=tmp_path) for _ in range(4)]
    assert [process.wait(60) for process in together] == [0, 0, 0, 0]
    assert len(log.read_text().splitlines()) == 2


def test_a_python_that_does_not_fit_is_refused_by_name(tmp_path: Path) -> None:
    done = subprocess.run(
        command("dev"),
        env={**os.environ, "STANDBY_VENV": str(tmp_path / "new"), "STANDBY_PYTHON": "/bin/false"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "STANDBY_PYTHON=/bin/false is not a working Python 3.11 or newer" in done.stderr


def test_a_machine_without_a_fitting_python_is_told_how_to_get_one(tmp_path: Path) -> None:
    tools = tmp_path / "bin"
    tools.mkdir()
    for name in ("bash", "basename", "cut", "dirname", "flock", "rm", "sha256sum"):
        (tools / name).symlink_to(f"/usr/bin/{name}")
    for name in ("python3", "python3.12"):
        (tools / name).write_text(
            "#!/usr/bin/bash\n[[ $1 == --version ]] && echo Python 3.9.2\nexit 1\n"
        )
        (tools / name).chmod(0o755)
    done = subprocess.run(
        command("dev"),
        env={"PATH": str(tools), "STANDBY_VENV": str(tmp_path / "new")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert "python3 is Python 3.9.2" in done.stderr
    assert "apt-get install python3" in done.stderr
