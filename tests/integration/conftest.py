"""What every integration test can ask for."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.daemon import Daemon
from tests.support.foreign import ForeignUpstream

StartDaemon = Callable[..., Daemon]
HERE = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark everything in this folder, so that `-m "not daemon"` leaves out the processes."""
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.daemon)


@pytest.fixture
def start_daemon() -> Iterator[StartDaemon]:
    """A function that starts a daemon with a configuration; all are stopped and checked after."""
    with ExitStack() as running:

        def start(
            config: Mapping[str, object], environment: Mapping[str, str] | None = None
        ) -> Daemon:
            return running.enter_context(Daemon(config, environment))

        yield start


@pytest.fixture(scope="session")
def foreign() -> Iterator[ForeignUpstream]:
    """The mock upstream made by others, one for the whole run; forget its state before use."""
    with ForeignUpstream() as upstream:
        yield upstream


@pytest.fixture
def foreign_upstream(foreign: ForeignUpstream) -> ForeignUpstream:
    """The mock upstream made by others with nothing scripted and an empty journal."""
    foreign.reset()
    return foreign
