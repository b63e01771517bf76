"""A private virtual environment for a program that must not share the project's packages.

The mock upstream brings a web framework and a server of its own. Installed beside the project's
packages they would be importable from its code and their pytest plug-in would load in every run,
so they live in an environment of their own, built from a lock file with hashes on first use and
again whenever the lock or the interpreter changes.
"""

import fcntl
import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

INSTALL_TIMEOUT = 300.0
"""Seconds for building the environment, downloads included."""

STAMP = "built-from"


class EnvironmentBuildError(Exception):
    """The private environment could not be installed; the message ends with what pip said."""


def python_of(lock: Path) -> Path:
    """Return the interpreter of the environment beside `lock`, building it first when needed."""
    home = lock.parent / ".venv"
    python = home / "bin" / "python"
    wanted = hashlib.sha256(lock.read_bytes() + sys.version.encode()).hexdigest()
    with lock.open("rb") as guard:
        # Two test runs in one checkout would otherwise install into each other's environment.
        fcntl.flock(guard, fcntl.LOCK_EX)
        stamp = home / STAMP
        if not (python.exists() and stamp.exists() and stamp.read_text() == wanted):
            _build(home, python, lock)
            stamp.write_text(wanted)
    return python


def _build(home: Path, python: Path, lock: Path) -> None:
    shutil.rmtree(home, ignore_errors=True)
    _run([sys.executable, "-m", "venv", str(home)])
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # Everything is named in the lock, as a wheel: nothing is resolved, built or run at install.
    _run([*pip, "--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", str(lock)])


def _run(command: list[str]) -> None:
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=INSTALL_TIMEOUT,
        check=False,
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip()[-2000:]
        raise EnvironmentBuildError(f"{' '.join(command)} ended with {done.returncode}: {said}")
