"""Two hundred requests at once while one part after another is killed: each one is answered."""

import json
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

import httpx2
import pytest
import trio

from tests.support.answers import PATHS, request_body
from tests.support.configs import config, group, simulated
from tests.support.daemon import Daemon
from tests.support.reading import error_of, events, finished, stream_text

REQUESTS = 200
ROUNDS = 3
"""How often each asker asks, so that load lasts while the kills go on."""
DIALECTS = ("openai", "anthropic")
PARTS = ("telemetry", "failover", "breakers", "poller", "deadlines", "door:unix")


class Outcome(NamedTuple):
    """What one asker got: `complete`, `honest-error`, or what must not be."""

    kind: str
    detail: str = ""


@pytest.fixture
def daemon() -> Iterator[Daemon]:
    providers = {
        f"sim-{dialect}-{place}": simulated(
            dialect, latency="20ms", tokens_per_second=200.0, answer_words=20
        )
        for dialect in DIALECTS
        for place in ("a", "b")
    }
    groups = {
        dialect: group(
            f"sim-{dialect}-a", f"sim-{dialect}-b", strategy="round_robin", model="sim-1"
        )
        for dialect in DIALECTS
    }
    with Daemon(config(providers, groups)) as running:
        yield running


async def _ask(client: httpx2.AsyncClient, dialect: str, *, stream: bool) -> Outcome:
    body = request_body(dialect, dialect, stream=stream)
    got = b""
    try:
        async with client.stream("POST", PATHS[dialect], json=body) as answer:
            async for piece in answer.aiter_raw():
                got += piece
    except httpx2.HTTPError as error:
        if stream and error_of(list(events(got)), dialect) is not None:
            return Outcome("honest-error")
        return Outcome("cut-off", f"{error!r} after {got[-200:]!r}")
    if answer.status_code != 200:
        return Outcome(f"status-{answer.status_code}", got.decode(errors="replace"))
    if not stream:
        json.loads(got)
        return Outcome("complete")
    seen = list(events(got))
    if error_of(seen, dialect) is not None:
        assert not finished(seen, dialect)
        return Outcome("ended-after-error")
    stream_text(seen, dialect)
    return Outcome("complete")


async def test_every_one_of_200_concurrent_requests_is_answered_while_parts_are_killed(
    daemon: Daemon,
) -> None:
    before = daemon.nodes()
    names = frozenset(name for name in before if not name.startswith("connection:"))
    outcomes: Counter[str] = Counter()
    wrong: list[Outcome] = []
    over = trio.Event()

    async def asker(client: httpx2.AsyncClient, number: int) -> None:
        stream = number % 2 == 0
        dialect = DIALECTS[number // 2 % 2]
        for _ in range(ROUNDS):
            outcome = await _ask(client, dialect, stream=stream)
            outcomes[outcome.kind] += 1
            if outcome.kind != "complete" and not (stream and outcome.kind == "honest-error"):
                wrong.append(outcome)

    async def killer() -> None:
        victims = [
            *PARTS,
            *(f"breaker:sim-{dialect}-a" for dialect in DIALECTS),
            *(f"provider:sim-{dialect}-{place}" for place in "ab" for dialect in DIALECTS),
        ]
        for name in victims:
            if over.is_set():
                break
            # Spaced: one provider of a pair is there while the other is being restarted.
            await trio.to_thread.run_sync(daemon.kill_and_wait, name)

    limits = httpx2.Limits(max_connections=None, max_keepalive_connections=None)
    transport = httpx2.AsyncHTTPTransport(uds=str(daemon.socket), limits=limits)
    with trio.fail_after(60):
        async with (
            httpx2.AsyncClient(
                transport=transport, base_url="http://localhost", timeout=30
            ) as client,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(killer)
            async with trio.open_nursery() as askers:
                for number in range(REQUESTS):
                    askers.start_soon(asker, client, number)
            over.set()

    assert not wrong, f"{outcomes}; first: {wrong[:3]}"
    assert outcomes.total() == REQUESTS * ROUNDS
    after = await trio.to_thread.run_sync(daemon.wait_whole, names)
    assert frozenset(after) >= names
    assert daemon.get("/health")["status"] == "healthy"
