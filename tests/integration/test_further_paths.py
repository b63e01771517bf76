"""The rest of a provider's API, below its name: what goes up, what comes back, what does not."""

from collections.abc import Iterator

import pytest

from tests.support.configs import config, upstream
from tests.support.daemon import Daemon
from tests.support.scripted import Exchange, Scripted


def _answer(exchange: Exchange) -> None:
    exchange.answer(200, {"path": exchange.request.path})


@pytest.fixture(scope="module")
def scripted() -> Iterator[Scripted]:
    with Scripted(_answer) as running:
        yield running


@pytest.fixture(scope="module")
def daemon(scripted: Scripted) -> Iterator[Daemon]:
    with Daemon(
        config(
            {
                "openai": upstream("openai", f"{scripted.url}/base/v1"),
                "anthropic": upstream("anthropic", f"{scripted.url}/base"),
            }
        )
    ) as running:
        yield running


def test_a_path_goes_on_behind_the_base_url(daemon: Daemon) -> None:
    assert daemon.get("/openai/v1/files?limit=3") == {"path": "/base/v1/files?limit=3"}
