"""A daemon of recorded answers, and the command line run against it."""

from collections.abc import Callable, Iterator

import pytest

from runtime.cli.main import main
from tests.runtime.cli.fake_daemon import FakeDaemon

Standby = Callable[..., int]


@pytest.fixture
def daemon() -> Iterator[FakeDaemon]:
    """A daemon of recorded answers."""
    with FakeDaemon() as fake:
        yield fake


@pytest.fixture
def standby(daemon: FakeDaemon, monkeypatch: pytest.MonkeyPatch) -> Standby:
    """The command line, in this process, asking the recorded daemon; returns its exit code."""
    monkeypatch.setenv("STANDBY_SOCKET", daemon.socket)
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: str) -> int:
        return main(arguments)

    return run
