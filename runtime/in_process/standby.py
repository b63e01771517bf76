"""``open_standby``: the tree in a program, for as long as a block runs."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from providers.chat import OnEvent
from providers.chat_request import AnyRequest
from providers.wire.chat_events import Done
from runtime.configuration import Config, load, load_document
from runtime.in_process.adapter import ProviderAdapter
from runtime.in_process.additions import Additions
from runtime.in_process.factory import ProviderFactory
from runtime.in_process.reply import Reply, ReplyBuilder
from runtime.launch import Running, open_services
from supervision import System

__all__ = ["Standby", "open_standby"]


class Standby:
    """A running tree, as a program uses it.

    Args:
        running: The tree.

    Attributes:
        adapter: Has requests answered; shows health and counts.
        providers: Adds providers and groups, compares costs.
    """

    def __init__(self, running: Running) -> None:
        self._running = running
        self.adapter = ProviderAdapter(running.services)
        additions = Additions(running.services.system)
        self.providers = ProviderFactory(running, self.adapter, additions)

    @property
    def config(self) -> Config:
        """The configuration it was opened with."""
        return self._running.services.config

    @property
    def system(self) -> System:
        """The supervision tree: to look at (``snapshot``), and to kill parts of."""
        return self._running.services.system

    async def stream_chat(self, request: AnyRequest, on_event: OnEvent, **options: Any) -> Done:
        """Get a request answered, event by event: see ``ProviderAdapter.stream_chat``."""
        return await self.adapter.stream_chat(request, on_event, **options)

    async def chat(
        self,
        request: AnyRequest | None = None,
        *,
        messages: list[Mapping[str, Any]] | None = None,
        **options: Any,
    ) -> Reply:
        """Get a request answered, and return the answer when it is complete.

        Args:
            request: The request; see ``ProviderAdapter.stream_chat``.
            messages: The messages, in place of a request.
            options: As of ``ProviderAdapter.stream_chat``.

        Raises:
            ChatError: There is no complete answer.
            RequestError: Nobody can be asked.
        """
        asked = request if messages is None else messages
        if asked is None or (request is not None and messages is not None):
            raise TypeError("give a request or messages: one of them")
        builder = ReplyBuilder()
        return builder.reply(await self.adapter.stream_chat(asked, builder.take, **options))


@asynccontextmanager
async def open_standby(
    config: Config | Mapping[str, Any] | Path | str | None = None,
) -> AsyncIterator[Standby]:
    """Run Standby inside this program for as long as the block runs: no socket, no daemon.

    Neither logging nor signals are touched. Providers that are simulated listen on a loopback port.

    Args:
        config: A checked configuration, a mapping with a file's keys and values, or a file; None
            looks where the daemon looks.

    Yields:
        The running tree's face.

    Raises:
        ConfigurationError: With every mistake of the configuration.
        OSError: A simulated provider gets no port.
        ValueError: A provider's settings cannot be used.
        SystemDown: The tree gave up; the block was cancelled.
    """
    if isinstance(config, Mapping):
        config = await trio.to_thread.run_sync(load_document, config)
    elif not isinstance(config, Config):
        config = await trio.to_thread.run_sync(load, config)
    async with open_services(config, socket_path=None, stop=_nothing) as running:
        yield Standby(running)


def _nothing() -> None:
    """Stopping is leaving the block."""
