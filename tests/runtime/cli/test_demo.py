"""The demonstration, with the real daemon as a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.cli import exits

ROOT = Path(__file__).parents[3]


@pytest.mark.daemon
def test_the_demonstration_shows_fail_over_and_restarts_and_ends_by_itself() -> None:
    environment = {**os.environ, "COLUMNS": "100", "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "runtime.cli", "demo"],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env=environment,
    )
    assert done.returncode == exits.OK, done.stderr
    assert "served by sim-b (sim-1), 2 attempts" in done.stderr
    assert "the stream broke off after" in done.stdout
    assert "provider:sim-a #3" in done.stdout
    assert "Traceback" not in done.stderr
