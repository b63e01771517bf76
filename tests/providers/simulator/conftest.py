"""A simulator on a loopback socket, in a tree of its own."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import anthropic
import openai
import pytest

from providers.http import Listener, Poller
from providers.simulator import FaultRule, Simulator, SimulatorSettings
from supervision import ChildSpec, System, open_system, supervisor

SEED = 11


class Running:
    """A running simulator: where it is, and clients for it."""

    def __init__(self, address: str, system: System) -> None:
        self.address = address
        self.system = system
        self.host, _, port = address.rpartition(":")
        self.port = int(port)

    def openai(self, key: str = "none", **more: Any) -> openai.AsyncOpenAI:
        return openai.AsyncOpenAI(
            api_key=key, base_url=f"http://{self.address}/v1", max_retries=0, timeout=20, **more
        )

    def anthropic(self, key: str = "none", **more: Any) -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(
            api_key=key, base_url=f"http://{self.address}", max_retries=0, timeout=20, **more
        )

    def facts(self) -> Mapping[str, Any]:
        """What the tree shows of the simulator."""
        return next(c for c in self.system.snapshot().children if c.name == "simulator").extra


Start = Callable[..., AbstractAsyncContextManager[Running]]


@asynccontextmanager
async def running(*rules: FaultRule, **settings: Any) -> AsyncIterator[Running]:
    poller = Poller()
    listener = Listener.bind_tcp(poller, "127.0.0.1", 0)
    given = {"latency": 0.0, "tokens_per_second": 0.0, "answer_words": 12, "seed": SEED, **settings}
    chosen = SimulatorSettings(faults=rules, **given)
    root = supervisor(
        "root",
        [
            ChildSpec(id="poller", start=poller.run, kind="task"),
            ChildSpec(id="deadlines", start=poller.wheel.run, kind="task"),
            ChildSpec(id="simulator", start=lambda: Simulator(chosen, listener, poller)),
        ],
    )
    try:
        async with open_system(root) as system:
            yield Running(listener.address, system)
    finally:
        listener.close()
        poller.close()


@pytest.fixture
def start() -> Start:
    return running
