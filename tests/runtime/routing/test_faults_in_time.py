"""Every fault the simulator knows, on a virtual clock: what comes of it, and exactly when.

The twin of tests/integration/test_simulated_faults.py: the whole daemon, from its door to the
simulators behind its providers, in the test's own run. Sockets are real and time is not, so that
patience is measured in seconds and takes none. It waits, retries and fails over as one that is
installed does.
"""

import http.client
import io
import json
import math
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import NamedTuple

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from providers.simulator import FAULTS
from runtime.application import open_daemon
from runtime.configuration import load_document
from runtime.routing.breaker_view import CircuitStatus
from runtime.services import Services
from tests.support.answers import PATHS, request_body
from tests.support.configs import simulated
from tests.support.daemon import Reply
from tests.support.meanings import DIALECTS, EARLY, Meaning, assert_refused, meaning_of
from tests.support.reading import error_of, events, finished, partial_text, text_of

WORDS = 10
PACE = 10.0
"""Tokens a second: an answer takes a second."""
CONNECT, FIRST_TOKEN, STALL, TOTAL = 3.0, 5.0, 4.0, 20.0
ASKED = 7.0
"""Seconds for which a provider asks to be left alone, where it does."""
RECOVERY, RECHECK = 30.0, 60.0
PAUSES = (1.0, 2.0)
"""Seconds before the second and the third attempt at one provider."""
TICK = 0.1
"""Seconds by which a limit may be overrun."""
_PATIENCE = 1000.0

_NUMBERS = dict.fromkeys(("status_429", "status_503", "status_529"), f":{ASKED:g}")
_AT_ONCE = {
    *(name for name in FAULTS if name.startswith("status_")),
    *("insufficient_quota", "error_body_200", "html_200", "non_json", "connect_reset"),
    "content_filter",
}


class Took(NamedTuple):
    """How long an attempt takes.

    Attributes:
        seconds: Seconds, as far as it is the upstream that ends it.
        late: Whether a limit ends it, which may be a tick later.
    """

    seconds: float
    late: bool = False


def took(fault: str, *, stream: bool) -> Took:
    """Return how long an attempt takes that meets a fault."""
    half = (WORDS / 2 - 1) / PACE  # the first token is there at once
    if fault in _AT_ONCE:
        return Took(0.0)
    if fault in {"hang", "slow_first_token", "stall_midstream:0"}:
        return Took(FIRST_TOKEN if stream else TOTAL, late=True)
    if fault == "stall_midstream":
        return Took(half + STALL if stream else TOTAL, late=True)
    if not stream:
        return Took(WORDS / PACE)
    if fault in {"none", "no_finish_marker", "no_done"}:
        return Took((WORDS - 1) / PACE)
    if fault in {"wrong_content_type", "empty_completion", "error_first_event", *EARLY}:
        return Took(0.0)
    return Took(half)


@pytest.fixture
def clock(mock_clock: MockClock) -> MockClock:
    """A clock that jumps when nothing moves any more, on TCP's way through the kernel either."""
    mock_clock.autojump_threshold = 0.005
    return mock_clock


class House:
    """A daemon with a provider that fails, ``bad``, and one that does not, ``good``."""

    def __init__(self, services: Services, path: Path, dialect: str) -> None:
        self._services = services
        self._path = path
        self._dialect = dialect

    async def ask(self, model: str, *, stream: bool) -> tuple[Reply, bool]:
        """Ask; return the answer, and whether it came to its proper end."""
        body = json.dumps(request_body(self._dialect, model, stream=stream)).encode()
        lines = (
            f"POST {PATHS[self._dialect]} HTTP/1.1",
            "host: localhost",
            "content-type: application/json",
            f"content-length: {len(body)}",
            "connection: close",
        )
        got = b""
        with trio.socket.socket(trio.socket.AF_UNIX) as sock, trio.fail_after(_PATIENCE):
            await sock.connect(str(self._path))
            stream_ = trio.SocketStream(sock)
            await stream_.send_all("\r\n".join((*lines, "", "")).encode() + body)
            while piece := await stream_.receive_some():
                got += piece
        await wait_all_tasks_blocked()
        return _read(got)

    def breaker(self) -> CircuitStatus:
        """Return how the breaker of the provider that fails stands."""
        return self._services.breakers["bad"].status(trio.current_time())

    def gate_opens_in(self) -> float:
        """Return for how long the provider that fails is left alone."""
        return self._services.upstreams["bad"].gate.opens_in(trio.current_time())


class _Bytes:
    """What `http.client` needs of a socket."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def makefile(self, mode: str) -> io.BytesIO:
        return io.BytesIO(self._content)


def _read(content: bytes) -> tuple[Reply, bool]:
    answer = http.client.HTTPResponse(_Bytes(content))  # type: ignore[arg-type]  # enough of one
    answer.begin()
    headers = {name.lower(): value for name, value in answer.getheaders()}
    try:
        return Reply(answer.status, headers, answer.read()), True
    except http.client.IncompleteRead as cut:
        return Reply(answer.status, headers, cut.partial), False


@asynccontextmanager
async def house(
    folder: Path, dialect: str, bad: Mapping[str, object], fault: str = ""
) -> AsyncIterator[House]:
    """Run the daemon. The model ``over`` has a spare, ``only`` has none."""
    model = f"sim-1!{fault}{_NUMBERS.get(fault, '')}" if fault else "sim-1"
    limits = {"connect": CONNECT, "first_token": FIRST_TOKEN, "stall": STALL, "total": TOTAL}
    failing = {"provider": "bad", "model": model}
    spare = {"provider": "good", "model": "sim-1"}
    document = {
        "providers": {
            "bad": {**bad, "timeouts": {name: f"{each}s" for name, each in limits.items()}},
            "good": simulated(dialect),
        },
        "groups": {"over": {"members": [failing, spare]}, "only": {"members": [failing]}},
        "circuit_breaker": {
            "failure_threshold": 3,
            "window": "5m",
            "recovery_timeout": f"{RECOVERY}s",
            "account_recheck": f"{RECHECK}s",
        },
        "retry": {"max_attempts": 3, "base_delay_ms": 1000, "backoff_factor": 2, "jitter": False},
    }
    config = load_document(document, environ={})
    path = folder / "s"
    async with open_daemon(config, path, stop=lambda: None) as daemon:
        yield House(daemon.services, path, dialect)


def simulated_bad(dialect: str) -> Mapping[str, object]:
    return simulated(dialect, tokens_per_second=PACE, answer_words=WORDS)


def assert_took(begun: float, least: float, late: int) -> None:
    """See that something took so long, and longer only by so many overrun limits."""
    seconds = trio.current_time() - begun
    assert least - 1e-6 <= seconds <= least + late * TICK + 1e-6, (seconds, least)


def assert_counted(running: House, meaning: Meaning, failures: int) -> None:
    """See what the failures have done to their provider."""
    status = running.breaker()
    counted = meaning.counted
    failed = failures if counted == "failure" else 0
    assert status.state == ("open" if failed >= 3 else "closed")
    assert status.openings == (failed >= 3)
    assert status.consecutive_failures == failed
    assert status.failures == failed
    assert status.calls == (1 if meaning.status == 200 and not meaning.broken else failed)
    if failed >= 3:
        assert status.retry_in is not None
        assert RECOVERY / 2 <= status.retry_in <= RECOVERY
    assert status.set_aside == (counted == "set_aside")
    if status.set_aside:
        assert status.recheck_in is not None
        assert RECHECK / 2 <= status.recheck_in <= RECHECK
    assert running.gate_opens_in() == pytest.approx(ASKED if counted == "gate" else 0.0)


def assert_broken(reply: Reply, *, clean: bool, dialect: str) -> None:
    assert not clean, "the chunked body must not be ended as if it were whole"
    assert reply.headers["x-standby-provider"] == "bad"
    assert reply.headers["x-standby-attempts"] == "1"
    seen = list(events(reply.body))
    assert error_of(seen, dialect) is not None
    assert not finished(seen, dialect)
    assert partial_text([event for event in seen if event.name != "error"], dialect)


CASES = [
    pytest.param(fault, dialect, stream, id=f"{fault}-{dialect}-{'stream' if stream else 'plain'}")
    for fault in (*FAULTS, *EARLY)
    for dialect in DIALECTS
    for stream in (False, True)
    if stream or fault not in EARLY
]


@pytest.mark.parametrize(("fault", "dialect", "stream"), CASES)
async def test_with_a_spare(
    tmp_path: Path, clock: MockClock, fault: str, dialect: str, stream: bool
) -> None:
    meaning = meaning_of(fault, stream=stream)
    attempt = took(fault, stream=stream)
    async with house(tmp_path, dialect, simulated_bad(dialect), fault) as running:
        begun = trio.current_time()
        reply, clean = await running.ask("over", stream=stream)
        assert_took(begun, attempt.seconds, late=attempt.late)
        assert_counted(running, meaning, failures=1)
        if meaning.broken:
            assert_broken(reply, clean=clean, dialect=dialect)
            return
        assert clean
        if meaning.status != 200 and not meaning.over:
            assert_refused(reply, meaning.status, dialect, "bad", attempts=1)
            return
        assert reply.status == 200, reply.body
        served, attempts = ("good", "2") if meaning.over else ("bad", "1")
        assert reply.headers["x-standby-provider"] == served
        assert reply.headers["x-standby-attempts"] == attempts
        if fault != "content_filter":
            assert text_of(reply, dialect, stream=stream)
        if meaning.over:
            # Whoever is left alone now, by his gate or as one set aside, is not asked again.
            reply, _ = await running.ask("over", stream=stream)
            alone = meaning.counted in {"set_aside", "gate"}
            assert reply.headers["x-standby-attempts"] == ("1" if alone else "2")
            assert reply.headers["x-standby-provider"] == "good"


@pytest.mark.parametrize(("fault", "dialect", "stream"), CASES)
async def test_with_nothing_left(
    tmp_path: Path, clock: MockClock, fault: str, dialect: str, stream: bool
) -> None:
    meaning = meaning_of(fault, stream=stream)
    attempt = took(fault, stream=stream)
    attempts = 3 if meaning.again else 1
    asks = fault in _NUMBERS
    pauses = (ASKED, ASKED) if asks else PAUSES
    async with house(tmp_path, dialect, simulated_bad(dialect), fault) as running:
        begun = trio.current_time()
        reply, clean = await running.ask("only", stream=stream)
        least = attempts * attempt.seconds + sum(pauses[: attempts - 1])
        assert_took(begun, least, late=attempts * attempt.late)
        assert_counted(running, meaning, failures=attempts)
        if meaning.broken:
            assert_broken(reply, clean=clean, dialect=dialect)
            return
        assert clean
        if meaning.status == 200:
            assert reply.status == 200, reply.body
            assert reply.headers["x-standby-provider"] == "bad"
            assert reply.headers["x-standby-attempts"] == "1"
            return
        assert_refused(reply, meaning.status_in(dialect), dialect, "bad", attempts=attempts)
        status = running.breaker()
        alone = max(status.retry_in or 0.0, status.recheck_in or 0.0, running.gate_opens_in())
        if alone:
            # Its provider is left alone since this very request: for as long, it is told.
            told = min(alone, 60.0) * 1000
            assert float(reply.headers["retry-after-ms"]) == pytest.approx(told, abs=1)
            assert reply.headers["retry-after"] == f"{math.ceil(told / 1000)}"
        else:
            assert "retry-after" not in reply.headers


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("stream", [False, True])
async def test_what_is_kept_back_is_told_until_when_and_asked_again_then(
    tmp_path: Path, clock: MockClock, dialect: str, stream: bool
) -> None:
    async with house(tmp_path, dialect, simulated_bad(dialect), "status_500") as running:
        await running.ask("only", stream=stream)
        first = running.breaker().retry_in
        assert first is not None
        opens = trio.current_time() + first
        # Nobody else is left: one request goes through as a probe, and changes nothing by failing.
        reply, _ = await running.ask("only", stream=stream)
        assert_refused(reply, 502, dialect, "bad", attempts=1)
        status = running.breaker()
        assert (status.state, status.openings) == ("open", 1)
        wait = opens - trio.current_time()
        assert status.retry_in == pytest.approx(wait)
        assert float(reply.headers["retry-after-ms"]) == pytest.approx(wait * 1000, abs=1)
        reply, _ = await running.ask("only", stream=stream)
        assert reply.status == 503
        assert reply.headers["x-standby-attempts"] == "0"
        assert "x-standby-provider" not in reply.headers
        assert reply.headers["x-should-retry"] == "false"
        assert float(reply.headers["retry-after-ms"]) == pytest.approx(wait * 1000, abs=1)
        await trio.sleep_until(opens - 0.01)
        reply, _ = await running.ask("over", stream=stream)
        assert reply.headers["x-standby-attempts"] == "1"
        await trio.sleep_until(opens)
        reply, _ = await running.ask("over", stream=stream)
        assert reply.headers["x-standby-attempts"] == "2"
        status = running.breaker()
        assert (status.state, status.openings) == ("open", 2)
        assert status.retry_in is not None
        assert RECOVERY <= status.retry_in <= 2 * RECOVERY


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_provider_that_asked_for_patience_is_asked_again_when_it_said(
    tmp_path: Path, clock: MockClock, dialect: str, stream: bool
) -> None:
    async with house(tmp_path, dialect, simulated_bad(dialect), "status_429") as running:
        begun = trio.current_time()
        for after, attempts in ((0.0, "2"), (ASKED - 0.01, "1"), (ASKED, "2")):
            await trio.sleep_until(begun + after)
            reply, _ = await running.ask("over", stream=stream)
            assert reply.headers["x-standby-provider"] == "good"
            assert reply.headers["x-standby-attempts"] == attempts


@pytest.fixture
def crowded() -> Iterator[int]:
    """The port of a server that takes no more connections: attempts at it go unanswered."""
    with closing(socket.socket()) as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        address = server.getsockname()
        waiting = [socket.socket() for _ in range(3)]
        for each in waiting:
            each.settimeout(0)
            each.connect_ex(address)
        yield address[1]
        for each in waiting:
            each.close()


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_connection_that_does_not_come_is_waited_for_so_long_and_made_elsewhere(
    tmp_path: Path, clock: MockClock, crowded: int, dialect: str, stream: bool
) -> None:
    async with house(tmp_path, dialect, nowhere(dialect, crowded)) as running:
        begun = trio.current_time()
        reply, _ = await running.ask("over", stream=stream)
        assert_took(begun, CONNECT, late=1)
        assert_counted(running, Meaning(502), failures=1)
        assert reply.status == 200
        assert reply.headers["x-standby-attempts"] == "2"
        assert text_of(reply, dialect, stream=stream)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_connection_that_never_comes_is_an_honest_error(
    tmp_path: Path, clock: MockClock, crowded: int, dialect: str, stream: bool
) -> None:
    async with house(tmp_path, dialect, nowhere(dialect, crowded)) as running:
        begun = trio.current_time()
        reply, _ = await running.ask("only", stream=stream)
        assert_took(begun, 3 * CONNECT + sum(PAUSES), late=3)
        assert_counted(running, Meaning(502), failures=3)
        assert_refused(reply, 502, dialect, "bad", attempts=3)
        assert f"within {CONNECT:g} s" in reply.json["error"]["message"]


def nowhere(dialect: str, port: int) -> Mapping[str, object]:
    """Return a provider whose upstream is at a port."""
    where = f"http://127.0.0.1:{port}" + ("/v1" if dialect == "openai" else "")
    return {"kind": dialect, "base_url": where, "api_key": "none", "models": ["sim-1"]}
