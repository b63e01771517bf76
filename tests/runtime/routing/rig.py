"""The attempt loop over real provider actors, breakers and scripted upstreams."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import trio
from trio.testing import wait_all_tasks_blocked

from providers.actor import ProviderActor
from providers.http import Poller, ResponseHead
from providers.interface import ProviderInterface
from runtime.outcome import Attempt, Finished
from runtime.routing.answer import AskerGone
from runtime.routing.breaker import BreakerSettings
from runtime.routing.breaker_actor import Breaker, breaker_name
from runtime.routing.breaker_view import BreakerView
from runtime.routing.forward import Forwarder
from runtime.routing.gate import RateGate
from runtime.routing.job import Job
from runtime.routing.means import Means
from runtime.routing.plan import Candidate
from runtime.routing.retry import RetryBudget, RetryPolicy
from runtime.routing.route import Route
from runtime.routing.upstream import Upstream
from supervision import Actor, ChildSpec, Reports, System, Table, TreeNode, open_system, supervisor
from tests.providers import scripted


class Asker:
    """Where an answer goes, in memory."""

    def __init__(self) -> None:
        self.body = b""
        self.served = ""
        self.attempts = 0
        self.ended = ""
        self.error: str | None = None
        self.first = trio.Event()
        self.gone = False

    def complete(self, head: ResponseHead, body: bytes, provider: str, attempts: int) -> None:
        assert not self.served, "answered twice"
        self.body, self.served, self.attempts, self.ended = body, provider, attempts, "complete"

    def begin(self, head: ResponseHead, events: bytes, provider: str, attempts: int) -> None:
        assert not self.served, "answered twice"
        self.body, self.served, self.attempts = events, provider, attempts
        self.first.set()

    def events(self, events: bytes) -> None:
        assert not self.ended
        self.body += events

    def finish(self, events: bytes) -> None:
        assert not self.ended
        self.body += events
        self.ended = "complete"

    def break_off(self, message: str | None) -> None:
        assert not self.ended
        self.ended, self.error = "broken", message

    @property
    def crowded(self) -> bool:
        return self.gone

    async def drain(self) -> None:
        if self.gone:
            raise AskerGone("gone")


class Listening(Actor):
    """Keeps what is cast to it; an attempt that is told with its request goes before that."""

    def __init__(self, heard: list[object]) -> None:
        self.heard = heard

    async def handle_cast(self, message: object) -> None:
        if isinstance(message, Finished) and message.served is not None:
            self.heard.append(message.served)
        self.heard.append(message)


class Rig:
    def __init__(
        self,
        system: System,
        poller: Poller,
        heard: list[object],
        servers: tuple[scripted.Upstream, ...],
    ) -> None:
        self.servers = servers
        self.system = system
        self.poller = poller
        self.heard = heard
        self.upstreams: dict[str, Upstream] = {}
        self.views: Table[str, BreakerView] = Table()
        self.budget = RetryBudget()
        self.nursery: trio.Nursery

    @property
    def attempts(self) -> list[Attempt]:
        return [each for each in self.heard if isinstance(each, Attempt)]

    @property
    def finished(self) -> list[Finished]:
        return [each for each in self.heard if isinstance(each, Finished)]

    def kinds(self) -> list[str]:
        return [f"{each.provider} {each.kind}" for each in self.attempts]

    def facts(self, name: str = "a") -> dict[str, object]:
        node: TreeNode | None = self.system.snapshot().find(f"provider:{name}")
        assert node is not None
        return dict(node.extra)

    def pace(self, *policies: RetryPolicy) -> None:
        """Have the providers asked again by other policies; the last one is for all that follow."""
        for at, (name, each) in enumerate(self.upstreams.items()):
            policy = policies[min(at, len(policies) - 1)]
            self.upstreams[name] = msgspec.structs.replace(each, retry=policy)

    def forwarder(self) -> Forwarder:
        return Forwarder(
            Means(
                upstreams=self.upstreams,
                breakers=self.views,
                budget=self.budget,
                telemetry=self.system.ref("telemetry"),
                failover=self.system.ref("failover"),
            )
        )

    def job(self, *, stream: bool = False, patience: float = 60.0) -> Job:
        now = trio.current_time()
        return Job(
            request=scripted.asked(stream=stream),
            dialect="openai",
            group="g",
            deadline=now + patience,
            answer_by=now + patience,
            started=now,
        )

    async def ask(
        self,
        *order: str | Candidate,
        stream: bool = False,
        patience: float = 60.0,
        attempts: int = 3,
        asker: Asker | None = None,
    ) -> Asker:
        asker = asker or Asker()
        names: tuple[str | Candidate, ...] = order or tuple(self.upstreams)
        candidates = [Candidate(each) if isinstance(each, str) else each for each in names]
        route = Route(group="g", order=lambda _now: candidates, max_attempts=attempts)
        job = self.job(stream=stream, patience=patience)
        try:
            await self.forwarder().forward(job, route, asker)
        finally:
            with trio.CancelScope(shield=True):
                await wait_all_tasks_blocked()
        return asker


@asynccontextmanager
async def rig(
    providers: dict[str, ProviderInterface],
    *upstreams: scripted.Upstream,
    breaker: BreakerSettings | None = None,
    retry: RetryPolicy | None = None,
) -> AsyncIterator[Rig]:
    """Run provider actors, their breakers and ears, and the upstreams they speak to."""
    poller = Poller()
    heard: list[object] = []
    views: Table[str, BreakerView] = Table()
    settings = breaker or BreakerSettings()
    children = [
        ChildSpec("poller", poller.run, kind="task"),
        ChildSpec("deadlines", poller.wheel.run, kind="task"),
        ChildSpec("telemetry", lambda: Listening(heard)),
        ChildSpec("failover", lambda: Listening([])),
        supervisor(
            "breakers",
            [
                ChildSpec(breaker_name(name), lambda name=name: Breaker(name, settings, views))
                for name in providers
            ],
        ),
        supervisor(
            "providers",
            [
                ChildSpec(f"provider:{name}", lambda each=each: ProviderActor(each, poller))
                for name, each in providers.items()
            ],
            max_restarts=100,
        ),
    ]
    try:
        async with trio.open_nursery() as nursery:
            for each in upstreams:
                await nursery.start(each.run)
            root = supervisor("root", children)
            async with open_system(root, reports=Reports(log=False)) as system:
                made = Rig(system, poller, heard, upstreams)
                made.nursery = nursery
                made.views = views
                made.upstreams = {
                    name: Upstream(
                        interface=each,
                        actor=system.ref(f"provider:{name}"),
                        breaker=system.ref(breaker_name(name)),
                        gate=RateGate(),
                        retry=retry or RetryPolicy(),
                    )
                    for name, each in providers.items()
                }
                yield made
            nursery.cancel_scope.cancel()
    finally:
        poller.close()


@asynccontextmanager
async def one(
    folder: Path,
    *scripts: scripted.Script,
    retry: RetryPolicy | None = None,
    breaker: BreakerSettings | None = None,
    **settings: object,
) -> AsyncIterator[Rig]:
    """A rig of one provider, ``a``, whose upstream plays the scripts."""
    upstream = scripted.Upstream(folder / "a", *scripts)
    each = scripted.provider("a", folder / "a", **settings)
    async with rig({"a": each}, upstream, retry=retry, breaker=breaker) as made:
        yield made


@asynccontextmanager
async def two(
    folder: Path, first: scripted.Script, second: scripted.Script, **settings: object
) -> AsyncIterator[Rig]:
    """A rig of two providers, ``a`` and ``b``, with an upstream each."""
    servers = scripted.Upstream(folder / "a", first), scripted.Upstream(folder / "b", second)
    made = {name: scripted.provider(name, folder / name, **settings) for name in "ab"}
    async with rig(made, *servers) as running:
        yield running
