"""Standby in the test's own run, over scripted upstreams: good for a virtual clock."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from providers.wire.chat_events import ChatEvent, DeltaText
from runtime.configuration import (
    AnthropicProvider,
    Config,
    GroupConfig,
    GroupMember,
    OpenAIProvider,
    ProviderConfig,
)
from runtime.in_process import Standby, open_standby
from tests.providers import scripted
from tests.support import answers

MODEL = scripted.MODEL


def kind_of(name: str) -> str:
    """Return the API that a provider speaks: c and d Anthropic's, all others OpenAI's."""
    return "anthropic" if name in "cd" else "openai"


def streams(dialect: str, *words: str, ending: bool = True) -> scripted.Script:
    """Stream an answer of these words; without its ending the connection is closed after them."""

    async def script(call: scripted.Call) -> None:
        parts = [*answers.opening(dialect), *answers.tokens(dialect, words)]
        if ending:
            parts += answers.closing(dialect)
        data = b"".join(scripted.chunked(part) for part in parts)
        await call.send(scripted.STREAM_HEAD + data)
        if ending:
            await call.send(scripted.END)
        else:
            await call.hang_up()

    return script


class Heard(list[ChatEvent]):
    """The events of an answer, in order; may stand as ``on_event``."""

    def __call__(self, event: ChatEvent) -> None:
        self.append(event)

    @property
    def text(self) -> str:
        return "".join(event.text for event in self if isinstance(event, DeltaText))


def configuration(folder: Path, names: str, **more: Any) -> Config:
    """Providers of these one-letter names with an upstream each, and a group ``g`` of all."""
    providers: dict[str, ProviderConfig] = {}
    for name in names:
        where = "http+unix://" + str(folder / name).replace("/", "%2F")
        if kind_of(name) == "anthropic":
            providers[name] = AnthropicProvider(kind="anthropic", base_url=where, models=(MODEL,))
        else:
            providers[name] = OpenAIProvider(kind="openai", base_url=f"{where}/v1", models=(MODEL,))
    members = tuple(GroupMember(provider=name, model=MODEL) for name in names)
    given: dict[str, Any] = {"providers": providers, "groups": {"g": GroupConfig(members=members)}}
    return Config(**{**given, **more})


class Rig:
    """A running Standby and its upstreams by name."""

    def __init__(self, standby: Standby, upstreams: Mapping[str, scripted.Upstream]) -> None:
        self.standby = standby
        self.upstreams = upstreams

    def calls(self, name: str) -> int:
        return len(self.upstreams[name].calls)


@asynccontextmanager
async def rig(
    folder: Path, scripts: Mapping[str, Sequence[scripted.Script]], **settings: Any
) -> AsyncIterator[Rig]:
    """Run Standby with providers of these names, whose upstreams play the scripts.

    Args:
        folder: Where the upstreams' sockets are.
        scripts: The scripts by provider; without any, an upstream says hello.
        settings: Further parts of the configuration.
    """
    upstreams = {
        name: scripted.Upstream(folder / name, *(script or [streams(kind_of(name), "hello")]))
        for name, script in scripts.items()
    }
    async with trio.open_nursery() as nursery:
        for upstream in upstreams.values():
            await nursery.start(upstream.run)
        config = configuration(folder, "".join(scripts), **settings)
        async with open_standby(config) as standby:
            yield Rig(standby, upstreams)
        nursery.cancel_scope.cancel()
