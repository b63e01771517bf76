"""What every script does: explain itself from anywhere, and refuse what it does not know."""

import subprocess
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
COMMANDS = ("bench", "check", "lock", "run", "test")


def run(tmp_path: Path, name: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(SCRIPTS / name), *arguments],
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_each_script_explains_itself_from_any_folder(tmp_path: Path, name: str) -> None:
    done = run(tmp_path, name, "--help")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"scripts/{name}")
    assert done.stderr == ""


@pytest.mark.parametrize("name", ["check", "run"])
def test_an_unknown_argument_is_refused_before_anything_is_done(tmp_path: Path, name: str) -> None:
    done = run(tmp_path, name, "--colour")
    assert done.returncode == 1
    assert "unknown argument '--colour'" in done.stderr


def test_the_scripts_are_executable_and_strict() -> None:
    for name in COMMANDS:
        script = SCRIPTS / name
        assert script.stat().st_mode & 0o111
        assert "set -euo pipefail" in script.read_text()
