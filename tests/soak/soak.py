"""A soak: steady load, random kills, and a count of what every single asker got."""

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import msgspec
import trio

from tests.soak.askers import Ask, Outcome, ask
from tests.soak.client import Client
from tests.soak.killer import Killer, Kills
from tests.soak.plan import DIALECTS
from tests.support.daemon import Daemon

__all__ = ["Findings", "Soak"]

_PROMPTS = 50
"""Different questions; each has one right answer, which is learned before anything is killed."""

_MOST_AT_ONCE = 500
"""Requests in flight beyond which no more are sent until some are answered: the machine does not
keep up, and what is tested is not how much it can take."""


class Findings(msgspec.Struct, kw_only=True):
    """What a soak found.

    Attributes:
        seconds: How long the load lasted.
        asked: Requests sent.
        verdicts: How many got which kind of outcome.
        failed_over: Complete answers that took more than one attempt.
        resumed: Complete streams that broke and were gone on with by another provider.
        kills: What became of the kills.
        first_wrong: The first few outcomes that must not be.
        honest: The honest errors by what they say.
        failed: The same by how was asked: ``plain``, ``streamed``, or ``to be resumed``.
        resident: Resident memory in MiB: at the beginning of the load, then at regular times.
        left: What was still counted as under way when all askers had their answers.
    """

    seconds: float = 0.0
    asked: int = 0
    verdicts: Counter[str] = msgspec.field(default_factory=Counter)
    failed_over: int = 0
    resumed: int = 0
    kills: Kills = msgspec.field(default_factory=Kills)
    first_wrong: list[str] = []
    honest: Counter[str] = msgspec.field(default_factory=Counter)
    failed: Counter[str] = msgspec.field(default_factory=Counter)
    resident: list[float] = []
    left: Mapping[str, int] = {}

    @property
    def availability(self) -> float:
        """The share of complete answers among all but those whose own connection was killed."""
        judged = self.verdicts.total() - self.verdicts["cut"]
        return self.verdicts["complete"] / judged if judged else 0.0

    def mistakes(self) -> list[str]:
        """Return what must not be, in words; empty when every promise was kept."""
        found = [f"wrong: {each}" for each in self.first_wrong]
        lost = self.asked - self.verdicts.total()
        if lost:
            found.append(f"{lost} requests got no outcome at all")
        if self.verdicts["cut"] > self.kills.connections:
            cut = self.verdicts["cut"]
            found.append(f"{cut} were cut off, {self.kills.connections} connections were killed")
        found += [f"{many} {what} are still counted" for what, many in self.left.items() if many]
        return [*found, *self.kills.mistakes()]

    def growth(self) -> float:
        """Return by how many MiB the memory grew from the middle third's least to the last one's.

        In the first third it grows to what the load needs at its worst, and keeps that.
        """
        third = max(1, len(self.resident) // 3)
        return min(self.resident[-third:]) - min(self.resident[-2 * third : -third])


class Soak:
    """Load and kills against one running daemon.

    Args:
        daemon: The daemon, with a configuration of ``soak_config``.
        rate: Requests a second: a third plain, a third streamed, a third streamed and to be resumed
            where they break; half in each dialect.
        kill_every: Seconds between two kills; None kills nobody.
        seed: Where the dice begin.
        say: Called now and then with a line on how it goes.
    """

    def __init__(
        self,
        daemon: Daemon,
        *,
        rate: float = 200.0,
        kill_every: float | None = 0.1,
        seed: int = 0,
        say: Callable[[str], object] = lambda _line: None,
    ) -> None:
        self._daemon = daemon
        self._rate = rate
        self._kill_every = kill_every
        self._dice = random.Random(seed)
        self._say = say
        self._expected: dict[Ask, str] = {}
        self._in_flight = 0
        self._over = False

    async def run(self, seconds: float) -> Findings:
        """Load the daemon for a time.

        Args:
            seconds: How long; whoever is being answered then is waited for.
        """
        findings = Findings()
        client = Client(self._daemon.socket)
        await self._learn(client)
        began = time.monotonic()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch_memory, findings, seconds)
            killer = None
            if self._kill_every is not None:
                findings.kills.every = self._kill_every
                killer = Killer(self._daemon.socket, findings.kills, self._dice)
                nursery.start_soon(killer.run)
            await self._load(client, findings, seconds)
            self._over = True
            if killer is not None:
                killer.over = True
        findings.seconds = time.monotonic() - began
        await client.aclose()
        await self._settle(findings)
        return findings

    async def _learn(self, client: Client) -> None:
        """Ask every question once, in peace."""
        for number in range(_PROMPTS):
            for dialect in DIALECTS:
                prompt = f"Question {number}: what is there to say about {number}?"
                text = await self._answer(client, Ask(dialect, stream=False, prompt=prompt))
                for stream, resume in ((False, False), (True, False), (True, True)):
                    self._expected[Ask(dialect, stream, prompt, resume)] = text

    async def _answer(self, client: Client, one: Ask) -> str:
        """Return a whole answer; providers may fail a few times before."""
        seen: list[Outcome] = []
        for _ in range(20):
            outcome = await ask(client, one, {})
            if outcome.verdict == "complete":
                return outcome.text
            seen.append(outcome)
        raise AssertionError(f"no answer even in peace: {seen}")

    async def _load(self, client: Client, findings: Findings, seconds: float) -> None:
        """Send requests at the set rate, whether or not those before have been answered."""
        questions = list(self._expected)
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            while (passed := trio.current_time() - began) < seconds:
                while findings.asked < passed * self._rate and self._in_flight < _MOST_AT_ONCE:
                    findings.asked += 1
                    self._in_flight += 1
                    one = self._dice.choice(questions)
                    nursery.start_soon(self._one, client, one, findings)
                await trio.sleep(1 / self._rate)

    async def _one(self, client: Client, one: Ask, findings: Findings) -> None:
        try:
            outcome = await ask(client, one, self._expected)
        finally:
            self._in_flight -= 1
        self._count(one, outcome, findings)

    def _count(self, one: Ask, outcome: Outcome, findings: Findings) -> None:
        findings.verdicts[outcome.verdict] += 1
        if outcome.verdict == "complete":
            findings.failed_over += outcome.attempts > 1
            findings.resumed += outcome.resumed
        elif outcome.verdict == "honest":
            findings.honest[outcome.detail[:150]] += 1
            how = "to be resumed" if one.resume else "streamed" if one.stream else "plain"
            findings.failed[how] += 1
        elif outcome.verdict == "wrong" and len(findings.first_wrong) < 5:
            findings.first_wrong.append(outcome.detail)

    async def _watch_memory(self, findings: Findings, seconds: float) -> None:
        pause = max(0.5, seconds / 60)
        while not self._over:
            findings.resident.append(self._daemon.resident() / 2**20)
            self._say(
                f"{findings.asked} asked, {dict(findings.verdicts)}, "
                f"{findings.kills.done.total()} kills, {findings.resident[-1]:.1f} MiB"
            )
            await trio.sleep(pause)

    async def _settle(self, findings: Findings) -> None:
        """See that nothing is left in flight, once the last breath is drawn."""
        for _ in range(100):
            detailed = await trio.to_thread.run_sync(self._daemon.get, "/health/detailed")
            findings.left = _left(detailed)
            if not any(findings.left.values()):
                return
            await trio.sleep(0.05)


def _left(detailed: Mapping[str, Any]) -> Mapping[str, int]:
    """Return all that the daemon counts as under way, each count by what it counts."""
    admission, providers = detailed["admission"], detailed["providers"].values()
    members = [
        member for group in detailed["groups"].values() for member in group["standing"]["order"]
    ]
    return {
        "requests at the doors": admission["in_flight"],
        "bytes of bodies": admission["held_bytes"],
        "connections lent": sum(each["in_flight"] for each in providers),
        "requests in queues": sum(each["queued"] for each in providers),
        "attempts": sum(member["in_flight"] for member in members),
    }
