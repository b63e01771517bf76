"""Every fault the simulator knows, in both dialects, plain and streamed, with and without a spare.

The list of faults is the simulator's own, so that a new one cannot go untested. Each case has a
provider of its own: what a fault does to breaker, gate or account stays there.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import pytest

from providers.simulator import FAULTS
from tests.support.answers import PATHS, request_body
from tests.support.configs import config, simulated
from tests.support.daemon import Daemon
from tests.support.reading import error_of, events, finished, partial_text, text_of

DIALECTS = ("openai", "anthropic")
PATIENCE = "300ms"
ONCE = {"max_attempts": 1}
"""Each provider is asked once: what repeating does is tested elsewhere."""


@dataclass(frozen=True)
class Meaning:
    """What a fault must come to.

    Attributes:
        statuses: What the asker may be told when nothing is left.
        over: Whether the next provider is asked.
        counted: What becomes of the provider: ``failure`` (its breaker counts one), ``set_aside``
            (its account is refused), ``gate`` (it is left alone for a while), or nothing.
    """

    statuses: frozenset[int]
    over: bool = True
    counted: Literal["failure", "set_aside", "gate", "nothing"] = "failure"


def _means(*statuses: int, over: bool = True) -> Meaning:
    return Meaning(frozenset(statuses), over)


def _refused(status: int, *, over: bool = False) -> Meaning:
    return Meaning(frozenset({status}), over, "nothing")


FINE = _refused(200)
"""The answer is good."""
ACCOUNT = Meaning(frozenset({502}), counted="set_aside")
BROKEN = _means(0, over=False)
"""Tokens go out, then an honest error."""

ANY: Mapping[str, Meaning] = {
    "none": FINE,
    "status_400": _refused(400),
    "status_401": ACCOUNT,
    "status_402": ACCOUNT,
    "status_403": ACCOUNT,
    "status_404": _refused(404, over=True),
    "status_413": _refused(413),
    "status_422": _refused(422),
    "status_429": Meaning(frozenset({429}), counted="gate"),
    "status_500": _means(502),
    "status_502": _means(502),
    "status_503": _means(503),
    "status_504": _means(504),
    "status_529": _means(503),
    "insufficient_quota": ACCOUNT,
    "error_body_200": _means(502, 503),
    "html_200": _means(502),
    "empty_completion": _means(502),
    "wrong_content_type": _means(502),
    "non_json": _means(502),
    "content_filter": FINE,
    "connect_reset": _means(502),
    "hang": _means(504),
    "truncated_json": _means(502),
    "slow_first_token": _means(504),
    "stall_midstream": _means(504),
    "cut_midstream": _means(502),
    "reset_midstream": _means(502),
    "malformed_event": _means(502),
    "error_midstream": _means(502, 503),
    "error_first_event": _means(502, 503),
    "no_finish_marker": FINE,
    "no_done": FINE,
}
"""What each fault means to a plain request, and to a streamed one unless `STREAMED` says."""

STREAMED: Mapping[str, Meaning] = {
    "truncated_json": BROKEN,
    "stall_midstream": BROKEN,
    "cut_midstream": BROKEN,
    "reset_midstream": BROKEN,
    "malformed_event": BROKEN,
    "error_midstream": BROKEN,
    "no_finish_marker": BROKEN,
    "no_done": BROKEN,
}


def _meaning(fault: str, *, stream: bool) -> Meaning:
    return STREAMED.get(fault, ANY[fault]) if stream else ANY[fault]


def _name(fault: str, dialect: str, *, stream: bool) -> str:
    return f"{fault}-{dialect}-{'stream' if stream else 'plain'}"


CASES = [
    pytest.param(fault, dialect, stream, id=_name(fault, dialect, stream=stream))
    for fault in FAULTS
    for dialect in DIALECTS
    for stream in (False, True)
]


def _member(provider: str, fault: str = "") -> Mapping[str, object]:
    return {"provider": provider, "model": f"sim-1!{fault}" if fault else "sim-1"}


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    providers = {f"good-{dialect}": simulated(dialect) for dialect in DIALECTS}
    groups: dict[str, Mapping[str, object]] = {}
    for fault in FAULTS:
        for dialect in DIALECTS:
            for stream in (False, True):
                name = _name(fault, dialect, stream=stream)
                broken = _meaning(fault, stream=stream) is BROKEN
                # In its own time, so that tokens are out when the stream breaks.
                pace = {"tokens_per_second": 40} if broken else {}
                patience = {"first_token": PATIENCE, "stall": PATIENCE, "total": PATIENCE}
                for purpose in ("over", "only"):
                    providers[f"{purpose}-{name}"] = {
                        **simulated(dialect, **pace),
                        "timeouts": patience,
                        "retry": ONCE,
                    }
                groups[f"g-over-{name}"] = {
                    "members": [_member(f"over-{name}", fault), _member(f"good-{dialect}")]
                }
                groups[f"g-only-{name}"] = {"members": [_member(f"only-{name}", fault)]}
    with Daemon(config(providers, groups)) as running:
        yield running


def test_every_fault_of_the_simulator_has_a_meaning_here() -> None:
    assert set(ANY) == set(FAULTS)


@pytest.mark.parametrize(("fault", "dialect", "stream"), CASES)
def test_with_a_spare(daemon: Daemon, fault: str, dialect: str, stream: bool) -> None:
    meaning = _meaning(fault, stream=stream)
    name = f"over-{_name(fault, dialect, stream=stream)}"
    if meaning is BROKEN:
        _assert_broken(daemon, f"g-{name}", dialect)
        _assert_counted(daemon, name, meaning)
        return
    reply = daemon.ask("POST", PATHS[dialect], request_body(dialect, f"g-{name}", stream=stream))
    _assert_counted(daemon, name, meaning)
    if meaning.over:
        assert reply.status == 200, reply.body
        assert reply.headers["x-standby-provider"] == f"good-{dialect}"
        assert reply.headers["x-standby-attempts"] == "2"
    else:
        assert reply.status in meaning.statuses, reply.body
        assert reply.headers["x-standby-provider"] == name
        assert reply.headers["x-standby-attempts"] == "1"
    if reply.status == 200 and fault != "content_filter":
        assert text_of(reply, dialect, stream=stream)


@pytest.mark.parametrize(("fault", "dialect", "stream"), CASES)
def test_with_nothing_left(daemon: Daemon, fault: str, dialect: str, stream: bool) -> None:
    meaning = _meaning(fault, stream=stream)
    name = f"only-{_name(fault, dialect, stream=stream)}"
    if meaning is BROKEN:
        _assert_broken(daemon, f"g-{name}", dialect)
        _assert_counted(daemon, name, meaning)
        return
    body = request_body(dialect, f"g-{name}", stream=stream)
    # A rate limit is waited for within the request's time: not here.
    time = "0.5" if fault == "status_429" else "5"
    reply = daemon.ask("POST", PATHS[dialect], body, {"x-request-timeout": time})
    _assert_counted(daemon, name, meaning)
    # Only Anthropic's API has a status for too much to do.
    overloaded = fault == "status_529" and dialect == "anthropic"
    statuses = frozenset({529}) if overloaded else meaning.statuses
    assert reply.status in statuses, reply.body
    if reply.status == 200:
        return
    assert reply.headers["content-type"].startswith("application/json")
    assert reply.headers["x-should-retry"] == "false"
    error = reply.json["error"]
    assert error["message"]
    assert error["type"]
    if dialect == "anthropic":
        assert reply.json["type"] == "error"
    if reply.status >= 500:
        assert name in error["message"], "the error names the provider"


def _assert_counted(daemon: Daemon, provider: str, meaning: Meaning) -> None:
    """See what the failure has done to its provider: breaker, account, gate."""
    counted = meaning.counted
    facts = daemon.wait_health(
        provider,
        consecutive_failures=1 if counted == "failure" else 0,
        set_aside=counted == "set_aside",
    )
    assert (facts["gate_opens_in"] > 0) == (counted == "gate"), facts


def _assert_broken(daemon: Daemon, model: str, dialect: str) -> None:
    """Ask for a stream that must break after its first tokens, and look at what came."""
    got, clean = daemon.read_raw_stream(PATHS[dialect], request_body(dialect, model, stream=True))
    assert not clean, "the chunked body must not be ended as if it were whole"
    seen = list(events(got))
    assert error_of(seen, dialect) is not None
    assert not finished(seen, dialect)
    assert partial_text([event for event in seen if event.name != "error"], dialect)
