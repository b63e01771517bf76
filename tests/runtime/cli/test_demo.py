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


@pytest.mark.daemon
def test_a_reader_that_goes_away_ends_the_demonstration_without_a_complaint() -> None:
    environment = {**os.environ, "COLUMNS": "100", "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-m", "runtime.cli", "demo"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as running:
        assert running.stdout is not None
        assert running.stderr is not None
        for line in running.stdout:
            if line.startswith("$ standby chat"):
                break  # what is printed next comes from a process of its own
        running.stdout.close()
        complaints = running.stderr.read()
        assert running.wait(90) == exits.PIPE_CLOSED
    assert "standby:" not in complaints
