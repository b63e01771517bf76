"""Programs of others, installed from locks with hashes into places of their own."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tests.support.private_environment import INSTALL_TIMEOUT, python_of

__all__ = ["Finished", "node_program", "python_program", "run_program"]

HOME = Path(__file__).parent.parent / "applications"
PATIENCE = 90.0
_NO_NETWORK = ("ENOTFOUND", "ECONNREFUSED", "EAI_AGAIN", "ETIMEDOUT", "ECONNRESET", "E404", "E403")

AGENTS: Mapping[str, str] = {
    "claude": "@anthropic-ai/claude-code/cli-wrapper.cjs",
    "codex": "@openai/codex/bin/codex.js",
}
"""Where the programs from npm begin; their packages' own installation scripts are not run."""

Finished = subprocess.CompletedProcess[str]


def python_program(name: str) -> list[str]:
    """Return the command of a program from PyPI, installed on first use."""
    return [str(python_of(HOME / "python" / "requirements.lock").parent / name)]


def node_program(name: str) -> list[str]:
    """Return the command of a program from npm, installed on first use.

    The test is skipped where there is no Node.js, or no way to npm's registry.
    """
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("the coding agents need Node.js and npm")
    home = HOME / "node" / ".installed"
    lock = HOME / "node" / "package-lock.json"
    wanted = hashlib.sha256(lock.read_bytes()).hexdigest()
    stamp = home / "built-from"
    with lock.open("rb") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not (stamp.exists() and stamp.read_text() == wanted):
            shutil.rmtree(home, ignore_errors=True)
            home.mkdir()
            for file in (lock, lock.with_name("package.json")):
                shutil.copy(file, home)
            command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
            done = subprocess.run(
                command,
                cwd=home,
                capture_output=True,
                text=True,
                timeout=INSTALL_TIMEOUT,
                check=False,
            )
            if done.returncode != 0:
                if any(code in done.stderr for code in _NO_NETWORK):
                    pytest.skip(f"npm's registry is out of reach: {done.stderr.strip()[-300:]}")
                pytest.fail(f"npm ci ended with {done.returncode}: {done.stderr.strip()[-2000:]}")
            stamp.write_text(wanted)
    return [node, str(home / "node_modules" / AGENTS[name])]


def run_program(
    command: Sequence[str], place: Path, environment: Mapping[str, str], said: str | None = None
) -> Finished:
    """Run a program in a folder that is its home as well, with nothing of this environment.

    Args:
        command: The program and its arguments.
        place: The folder.
        environment: Variables of its environment, besides the path.
        said: What it reads; None for nothing.
    """
    return subprocess.run(
        command,
        cwd=place,
        env={"PATH": os.environ["PATH"], "HOME": str(place), **environment},
        input="" if said is None else said,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
