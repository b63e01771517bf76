"""A minute of chaos: no request is lost, doubled or falsely reported complete."""

import pytest
import trio

from tests.soak.plan import soak_config
from tests.soak.soak import Soak
from tests.support.daemon import Daemon

pytestmark = pytest.mark.daemon

_MOST_GROWTH = 4.0
"""MiB by which memory may grow between the second third of a run and the last one: 4,000 requests,
so that a kibibyte kept of each would show. In the first third the first crowds make their room."""


async def test_every_request_of_a_chaotic_minute_gets_one_complete_answer_or_one_honest_error() -> (
    None
):
    daemon = Daemon(soak_config("faults"))
    daemon.expects_trouble = True
    await trio.to_thread.run_sync(daemon.start)
    try:
        findings = await Soak(daemon, rate=200, kill_every=0.1, seed=1).run(60)
        assert findings.mistakes() == []
        assert findings.kills.done.total() >= 540
        assert findings.resumed > 0
        assert findings.availability >= 0.85, findings.honest
        assert findings.growth() < _MOST_GROWTH, findings.resident
        names = await trio.to_thread.run_sync(daemon.nodes)
        wanted = {name for name in names if not name.startswith("connection:")}
        await trio.to_thread.run_sync(daemon.wait_whole, frozenset(wanted))
    finally:
        await trio.to_thread.run_sync(daemon.end_hard)


async def test_killed_parts_cost_nobody_an_answer_but_a_stream_that_is_not_to_be_resumed() -> None:
    daemon = Daemon(soak_config("calm"))
    daemon.expects_trouble = True
    await trio.to_thread.run_sync(daemon.start)
    try:
        findings = await Soak(daemon, rate=200, kill_every=0.1, seed=3).run(15)
        assert findings.mistakes() == []
        assert set(findings.failed) <= {"streamed"}, findings.honest
        assert findings.resumed > 0
        assert findings.failed_over > 0
    finally:
        await trio.to_thread.run_sync(daemon.end_hard)


async def test_with_one_provider_down_nearly_every_request_is_answered() -> None:
    daemon = Daemon(soak_config("one_down"))
    await trio.to_thread.run_sync(daemon.start)
    try:
        findings = await Soak(daemon, rate=200, kill_every=None, seed=2).run(15)
        assert findings.mistakes() == []
        assert findings.availability >= 0.999, findings.honest
        assert findings.failed_over > 0
    finally:
        await trio.to_thread.run_sync(daemon.stop)
