"""Every fault the simulator knows, in both dialects, plain and streamed, with and without a spare.

The list of faults is the simulator's own, so that a new one cannot go untested. Each case has a
provider of its own: what a fault does to breaker, gate or account stays there. What takes time is
cut short here; tests/runtime/routing/test_faults_in_time.py has the same with the usual limits.
"""

from collections.abc import Iterator, Mapping

import pytest

from providers.simulator import FAULTS
from tests.support.answers import PATHS, request_body
from tests.support.configs import config, simulated
from tests.support.daemon import Daemon
from tests.support.meanings import (
    DIALECTS,
    PLAIN,
    STREAMED,
    Meaning,
    assert_refused,
    meaning_of,
)
from tests.support.reading import error_of, events, finished, partial_text, text_of

SHORT, AMPLE = "300ms", "30s"
SILENT = {"hang", "slow_first_token", "stall_midstream"}
"""Faults that only the end of somebody's patience shows."""
ONCE = {"max_attempts": 1}
"""Each provider is asked once: what repeating does is tested elsewhere."""
AT_ONCE = {"failure_threshold": 1, "recovery_timeout": "5m", "window": "5m"}
"""One failure opens the circuit, so that it can be told from none."""
PATIENT = {"status_429": "status_429:300"}
"""Faults with a number, so that what they do lasts until it has been looked at."""


def _name(fault: str, dialect: str, *, stream: bool) -> str:
    return f"{fault}-{dialect}-{'stream' if stream else 'plain'}"


def _patience(fault: str, *, stream: bool) -> Mapping[str, str]:
    """Return a provider's limits: short where one must be hit, else too long to be hit ever."""
    limits = {"first_token": AMPLE, "stall": AMPLE, "total": AMPLE}
    if fault in SILENT:
        hit = "total" if not stream else "stall" if fault == "stall_midstream" else "first_token"
        limits[hit] = SHORT
    return limits


CASES = [
    pytest.param(fault, dialect, stream, id=_name(fault, dialect, stream=stream))
    for fault in FAULTS
    for dialect in DIALECTS
    for stream in (False, True)
]


def _member(provider: str, fault: str = "") -> Mapping[str, object]:
    written = PATIENT.get(fault, fault)
    return {"provider": provider, "model": f"sim-1!{written}" if fault else "sim-1"}


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    providers = {f"good-{dialect}": simulated(dialect) for dialect in DIALECTS}
    groups: dict[str, Mapping[str, object]] = {}
    for fault in FAULTS:
        for dialect in DIALECTS:
            for stream in (False, True):
                name = _name(fault, dialect, stream=stream)
                # In its own time, so that tokens are out when the stream breaks.
                broken = meaning_of(fault, stream=stream).broken
                pace = {"tokens_per_second": 40} if broken else {}
                patience = _patience(fault, stream=stream)
                for purpose in ("over", "only"):
                    providers[f"{purpose}-{name}"] = {
                        **simulated(dialect, **pace),
                        "timeouts": patience,
                        "retry": ONCE,
                        "circuit_breaker": AT_ONCE,
                    }
                groups[f"g-over-{name}"] = {
                    "members": [_member(f"over-{name}", fault), _member(f"good-{dialect}")]
                }
                groups[f"g-only-{name}"] = {"members": [_member(f"only-{name}", fault)]}
    with Daemon(config(providers, groups)) as running:
        yield running


def test_every_fault_of_the_simulator_has_a_meaning_here() -> None:
    assert set(PLAIN) == set(FAULTS)
    assert set(STREAMED) == set(FAULTS)


@pytest.mark.parametrize(("fault", "dialect", "stream"), CASES)
def test_with_a_spare(daemon: Daemon, fault: str, dialect: str, stream: bool) -> None:
    meaning = meaning_of(fault, stream=stream)
    name = f"over-{_name(fault, dialect, stream=stream)}"
    if meaning.broken:
        _assert_broken(daemon, name, dialect)
        _assert_counted(daemon, name, meaning)
        return
    reply = daemon.ask("POST", PATHS[dialect], request_body(dialect, f"g-{name}", stream=stream))
    _assert_counted(daemon, name, meaning)
    if meaning.status != 200 and not meaning.over:
        assert_refused(reply, meaning.status_in(dialect), dialect, name, attempts=1)
        return
    assert reply.status == 200, reply.body
    served, attempts = (f"good-{dialect}", "2") if meaning.over else (name, "1")
    assert reply.headers["x-standby-provider"] == served
    assert reply.headers["x-standby-attempts"] == attempts
    assert "x-should-retry" not in reply.headers
    assert "retry-after" not in reply.headers
    if fault != "content_filter":
        assert text_of(reply, dialect, stream=stream)


@pytest.mark.parametrize(("fault", "dialect", "stream"), CASES)
def test_with_nothing_left(daemon: Daemon, fault: str, dialect: str, stream: bool) -> None:
    meaning = meaning_of(fault, stream=stream)
    name = f"only-{_name(fault, dialect, stream=stream)}"
    if meaning.broken:
        _assert_broken(daemon, name, dialect)
        _assert_counted(daemon, name, meaning)
        return
    reply = daemon.ask("POST", PATHS[dialect], request_body(dialect, f"g-{name}", stream=stream))
    _assert_counted(daemon, name, meaning)
    if meaning.status == 200:
        assert reply.status == 200, reply.body
        assert reply.headers["x-standby-provider"] == name
        assert reply.headers["x-standby-attempts"] == "1"
        return
    assert_refused(reply, meaning.status_in(dialect), dialect, name, attempts=1)
    if meaning.counted == "gate":
        # The SDKs wait as long as this says before their own retry, so it must be bearable.
        assert reply.headers["retry-after"] == "60"
        assert reply.headers["retry-after-ms"] == "60000"


def _assert_counted(daemon: Daemon, provider: str, meaning: Meaning) -> None:
    """See what the failure has done to its provider: breaker, account, gate."""
    counted = meaning.counted
    failed, aside = counted == "failure", counted == "set_aside"
    facts = daemon.wait_health(
        provider,
        consecutive_failures=int(failed),
        circuit_opened=int(failed),
        circuit_state="open" if failed or aside else "closed",
        set_aside=aside,
    )
    assert facts["breaker"]["state"] == ("open" if failed else "closed"), facts
    assert facts["breaker"]["failures"] == int(failed), facts
    assert (facts["gate_opens_in"] > 0) == (counted == "gate"), facts


def _assert_broken(daemon: Daemon, provider: str, dialect: str) -> None:
    """Ask for a stream that must break after its first tokens, and look at what came."""
    body = request_body(dialect, f"g-{provider}", stream=True)
    got, clean = daemon.read_raw_stream(PATHS[dialect], body)
    assert not clean, "the chunked body must not be ended as if it were whole"
    seen = list(events(got))
    assert error_of(seen, dialect) is not None
    assert not finished(seen, dialect)
    assert partial_text([event for event in seen if event.name != "error"], dialect)
