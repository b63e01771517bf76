"""`scripts/bench routing`: what choosing, permitting and reporting add to a bare exchange."""

import argparse
import functools
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Awaitable, Callable, Mapping, Sequence
from pathlib import Path

import trio

from benchmarks.message_costs import SLOW, TURNS, Costs, Things, in_turns
from benchmarks.processes import choose_cores
from benchmarks.report import describe_machine, number, table
from benchmarks.requests import JSON
from benchmarks.targets import upstream
from benchmarks.toolchain import build
from providers.http import ResponseHead
from providers.interface import ForwardRequest
from runtime.configuration import load
from runtime.launch import open_services
from runtime.routing.attempt import exchange
from runtime.routing.exchange import Exchange, ExchangeResult
from runtime.routing.job import Job
from runtime.routing.plan import STRATEGIES
from runtime.services import Services

FULL, FULL_ROUNDS = 20_000, 5
QUICK, QUICK_ROUNDS = 4_000, 1

ASKERS = 64
"""Requests under way at one time."""

MEMBERS = ("one", "two", "three")
BARE = "an exchange alone"

Ask = Callable[[int], Awaitable[object]]
"""Gets one request answered."""

MOST = 20.0
"""Microseconds of CPU that routing, complete, may add to a request."""


class Sink:
    """An asker that takes an answer and does nothing with it."""

    crowded = False

    def complete(self, head: ResponseHead, body: bytes, provider: str, attempts: int) -> None:
        """Take a whole plain answer."""

    def begin(self, head: ResponseHead, events: bytes, provider: str, attempts: int) -> None:
        """Take the beginning of a stream."""

    def events(self, events: bytes) -> None:
        """Take more of it."""

    def finish(self, events: bytes) -> None:
        """Take the end of it."""

    def break_off(self, message: str | None) -> None:
        """Refuse a stream that broke: nothing is measured then."""
        raise AssertionError(message)

    async def drain(self) -> None:
        """Take everything at once."""


def configuration(port: int) -> str:
    """Return a configuration with three providers on the upstream and a group a strategy."""
    provider = {
        "kind": "openai",
        "base_url": f"http://127.0.0.1:{port}/v1",
        "api_key": "bench-key",
        "max_connections": 2 * ASKERS,
    }
    members = [{"provider": name, "model": JSON.model, "cost_tier": 1} for name in MEMBERS]
    groups = {
        f"by-{strategy}": {"strategy": strategy, "members": members} for strategy in STRATEGIES
    }
    # JSON is YAML too.
    return json.dumps({"providers": dict.fromkeys(MEMBERS, provider), "groups": groups})


def job(group: str | None) -> Job:
    """Return one request to a group."""
    now = trio.current_time()
    request = ForwardRequest(
        headers=[(b"content-type", b"application/json")],
        body=JSON.body().encode(),
        model=JSON.model,
        stream=False,
        request_id="bench",
    )
    return Job(
        request=request,
        dialect="openai",
        group=group,
        deadline=now + 60,
        answer_by=now + 60,
        started=now,
    )


def things(services: Services, count: int) -> Things:
    """What does one turn's share of each way to get a request answered."""
    sink = Sink()
    upstreams = [services.upstreams[name] for name in MEMBERS]

    async def alone(turn: int) -> None:
        one = upstreams[turn % len(upstreams)]
        task = Exchange(
            job=job(None),
            provider=one.interface,
            actor=one.actor,
            model=JSON.model,
            number=1,
            started=trio.current_time(),
            answer=sink,
        )
        await exchange(task, ExchangeResult())

    async def routed(group: str, _turn: int) -> None:
        route = services.resolver.resolve(group)
        await services.forwarder.forward(job(route.group), route, sink)

    async def all_of(ask: Ask) -> None:
        async def asker() -> None:
            for turn in range(count // ASKERS):
                await ask(turn)

        async with trio.open_nursery() as nursery:
            for _ in range(ASKERS):
                nursery.start_soon(asker)

    found: Things = {BARE: functools.partial(all_of, alone)}
    for strategy in STRATEGIES:
        ask = functools.partial(routed, f"by-{strategy}")
        found[strategy] = functools.partial(all_of, ask)
    return found


async def one_round(config: Path, requests: int) -> Costs:
    """Measure every way once."""
    loaded = load(config, environ={})
    async with open_services(loaded, socket_path=None, stop=lambda: None) as running:
        return await in_turns(things(running.services, requests // TURNS), requests)


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench routing",
        allow_abbrev=False,
        description="Measure what resolving a model, choosing a provider, breaker, gate, budget "
        "and reports add to an exchange with an upstream, for each strategy.",
    )
    parser.add_argument("--quick", action="store_true", help="one short round, some ten seconds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures there")
    parser.add_argument("--rounds", type=int, help=f"rounds that count, default {FULL_ROUNDS}")
    parser.add_argument("--check", action="store_true", help="end with 1 when the aim is missed")
    options = parser.parse_args(arguments)
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    return options


def added(costs: Mapping[str, float]) -> dict[str, float]:
    """Return what each strategy adds to an exchange alone, in microseconds of CPU."""
    return {name: cost - costs[BARE] for name, cost in costs.items() if name not in {BARE, SLOW}}


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark, print its report, return the exit code."""
    options = parse(arguments)
    requests = QUICK if options.quick else FULL
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else FULL_ROUNDS)
    cores = choose_cores()
    os.sched_setaffinity(0, {cores.program})
    with tempfile.TemporaryDirectory(prefix="standby-bench-") as folder:
        config = Path(folder) / "config.yaml"
        with upstream(build("upstream"), cores, Path(folder)) as port:
            config.write_text(configuration(port), encoding="utf-8")
            found = []
            for turn in range(rounds + 1):
                name = f"round {turn} of {rounds}" if turn else "warming up"
                print(f"  {name}", file=sys.stderr, flush=True)
                found.append(trio.run(one_round, config, requests))
    costs = {name: statistics.median(each[name] for each in found[1:]) for name in found[0]}
    extra = added(costs)
    print(
        f"{describe_machine()}, trio {trio.__version__}. CPU time of this process on core "
        f"{cores.program}, which holds the tree and {ASKERS} askers; medians of {rounds} rounds, "
        f"the least of {TURNS} turns each; the machine was slow by a quarter or more in "
        f"{costs[SLOW]:.0f} % of them.\n"
    )
    lines = [(BARE, number(costs[BARE]), "-", "-")]
    for name, cost in extra.items():
        stands = "aim" if cost < MOST else "missed"
        lines.append((name, number(costs[name]), number(cost), stands))
    print(table(("CPU µs a request", "all", "routing adds", f"under {MOST:g}"), lines))
    if options.json:
        document = {"microseconds": costs, "added": extra, "rounds": rounds, "requests": requests}
        options.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    return 1 if options.check and any(cost >= MOST for cost in extra.values()) else 0
