"""The attempt loop against real sockets, with a clock of its own."""

import contextlib
import gc
import weakref
from functools import partial
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from providers.failures import FailureKind
from runtime.routing.breaker import BreakerSettings
from runtime.routing.gave_up import GaveUp
from runtime.routing.retry import RetryPolicy
from tests.providers import scripted
from tests.providers.scripted import (
    DONE,
    END,
    HELLO,
    ROLE,
    STOP,
    STREAM_HEAD,
    Call,
    chunked,
    failing,
    plain,
    says,
)
from tests.runtime.routing.rig import Asker, one, rig, two

ONCE = RetryPolicy(max_attempts=1)
QUICK = RetryPolicy(jitter=False)
WHOLE = ROLE + HELLO + STOP + DONE
BAD_EVENT = b"data: {not json\n\n"
ERROR_EVENT = b'data: {"error": {"message": "overloaded", "type": "server_error"}}\n\n'


def stream(*events: bytes, end: bytes = END) -> bytes:
    return STREAM_HEAD + b"".join(chunked(each) for each in events) + end


def then_hangs_up(data: bytes) -> scripted.Script:
    async def script(call: Call) -> None:
        await call.send(data)
        await call.hang_up()

    return script


def then_silent(data: bytes) -> scripted.Script:
    async def script(call: Call) -> None:
        await call.send(data)
        await call.left()

    return script


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_good_answer_is_passed_on_byte_for_byte(
    tmp_path: Path, autojump_clock: MockClock, streamed: bool
) -> None:
    async with one(tmp_path) as running:
        asker = await running.ask(stream=streamed)
        assert asker.ended == "complete"
        assert asker.body == (WHOLE if streamed else scripted.ANSWER)
        assert (asker.served, asker.attempts) == ("a", 1)
        assert running.kinds() == ["a ok"]
        assert running.attempts[0].usage is not None or streamed
        done = running.finished[0]
        assert (done.ok, done.status, done.provider, done.cancelled) == (True, 200, "a", False)
        assert running.facts()["in_flight"] == 0


FAILURES: list[tuple[scripted.Script, bool, FailureKind]] = [
    (says(failing(500)), False, "server_error"),
    (says(failing(529)), True, "server_error"),
    (says(failing(401)), False, "account"),
    (says(failing(429)), True, "rate_limited"),
    (says(failing(404)), False, "model_not_found"),
    (scripted.hangs_up, False, "reset"),
    (scripted.hangs_up, True, "reset"),
    (then_hangs_up(b"HTTP/1.1 200 OK\r\n"), False, "reset"),
    (then_hangs_up(plain()[:-5]), False, "reset"),
    (then_hangs_up(b"nonsense\r\n\r\n"), False, "bad_answer"),
    (says(plain(b"<html>")), False, "bad_answer"),
    (says(plain(b'{"error": {"message": "no"}}')), False, "bad_answer"),
    (says(plain()), True, "bad_answer"),
    (says(stream(WHOLE)), False, "bad_answer"),
    (says(stream(ROLE)), True, "bad_answer"),
    (says(stream(ERROR_EVENT)), True, "bad_answer"),
    (says(stream(BAD_EVENT)), True, "bad_answer"),
    (says(stream(DONE)), True, "bad_answer"),
    (then_hangs_up(stream(ROLE, end=b"")), True, "reset"),
    (scripted.silent, False, "timeout"),
    (scripted.silent, True, "first_token_timeout"),
    (then_silent(stream(ROLE, end=b"")), True, "first_token_timeout"),
    (then_silent(plain()[:-5]), False, "timeout"),
    # An error whose body does not come whole is still what its status says.
    (then_hangs_up(failing(429)[:-5]), False, "rate_limited"),
    (then_silent(failing(503)[:-5]), False, "server_error"),
]


@pytest.mark.parametrize(("script", "streamed", "kind"), FAILURES)
async def test_a_failure_before_anything_was_sent_goes_to_the_next_provider_unseen(
    tmp_path: Path,
    autojump_clock: MockClock,
    script: scripted.Script,
    streamed: bool,
    kind: FailureKind,
) -> None:
    limits = {"first_token_timeout": 5.0, "answer_timeout": 5.0}
    async with two(tmp_path, script, scripted.answers, **limits) as running:
        asker = await running.ask("a", "b", stream=streamed)
        assert (asker.served, asker.attempts, asker.ended) == ("b", 2, "complete")
        assert asker.body == (WHOLE if streamed else scripted.ANSWER)
        assert running.kinds() == [f"a {kind}", "b ok"]
        assert running.facts()["in_flight"] == 0
        assert running.servers[0].open == running.facts()["connections"]


def later(data: bytes, *, hangs_up: bool = False) -> scripted.Script:
    async def script(call: Call) -> None:
        await call.send(stream(ROLE, HELLO, end=b""))
        await trio.sleep(1)
        await call.send(data)
        await (call.hang_up() if hangs_up else call.left())

    return script


BREAKS: list[tuple[scripted.Script, FailureKind]] = [
    (later(b"", hangs_up=True), "reset"),
    (later(END), "broken_stream"),
    (later(chunked(STOP) + END), "broken_stream"),
    (later(chunked(ERROR_EVENT) + END), "broken_stream"),
    (later(chunked(BAD_EVENT) + END), "broken_stream"),
    (later(b"zz\r\n"), "broken_stream"),
    (later(b""), "stall"),
]


@pytest.mark.parametrize(("script", "kind"), BREAKS)
async def test_a_stream_that_breaks_after_its_first_token_is_never_complete_nor_asked_again(
    tmp_path: Path, autojump_clock: MockClock, script: scripted.Script, kind: FailureKind
) -> None:
    async with two(tmp_path, script, scripted.answers, stall_timeout=3.0) as running:
        asker = await running.ask("a", "b", stream=True)
        assert (asker.served, asker.ended) == ("a", "broken")
        assert HELLO in asker.body
        assert DONE not in asker.body
        assert running.kinds() == [f"a {kind}"]
        assert running.finished[0].ok is False
        assert running.facts()["in_flight"] == 0


@pytest.mark.parametrize("streamed", [False, True])
async def test_nothing_of_an_answer_that_failed_is_kept_for_long(
    tmp_path: Path, autojump_clock: MockClock, streamed: bool
) -> None:
    breaks = later(b"", hangs_up=True) if streamed else scripted.hangs_up
    async with one(tmp_path, breaks) as running:
        askers = [Asker() for _ in range(5)]
        for asker in askers:
            with contextlib.nullcontext() if streamed else pytest.raises(GaveUp):
                await running.ask("a", stream=streamed, asker=asker, attempts=1)
            running.budget.deposit(trio.current_time())
        kept = [weakref.ref(asker) for asker in askers]
        askers.clear()
        del asker
        gc.collect()
        # The actors' last messages may still speak of the last one.
        assert [each() for each in kept[:-1]] == [None] * 4


async def test_the_error_event_of_the_upstream_is_the_one_the_asker_gets(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async def script(call: Call) -> None:
        await call.send(stream(ROLE, HELLO, end=b""))
        await trio.sleep(1)
        await call.send(chunked(ERROR_EVENT) + END)

    async with one(tmp_path, script) as running:
        asker = await running.ask(stream=True)
        assert (asker.ended, asker.error) == ("broken", None)
        assert asker.body.endswith(ERROR_EVENT)


async def test_the_requests_own_deadline_ends_a_stream_that_goes_on_for_ever(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async def script(call: Call) -> None:
        await call.send(STREAM_HEAD + chunked(ROLE))
        while True:
            await call.send(chunked(HELLO))
            await trio.sleep(1)

    async with one(tmp_path, script) as running:
        asker = await running.ask(stream=True, patience=10)
        assert asker.ended == "broken"
        assert trio.current_time() < 12
        await wait_all_tasks_blocked()
        await trio.sleep(2)
        assert running.servers[0].open == 0


async def test_a_stream_without_a_token_is_held_back_only_up_to_a_bound(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async def talks_and_says_nothing(call: Call) -> None:
        await call.send(STREAM_HEAD)
        for _ in range(30):
            await call.send(chunked(b": " + b"x" * 10_000 + b"\n\n"))
        await trio.sleep(5)
        await call.send(chunked(WHOLE) + END)

    async with one(tmp_path, talks_and_says_nothing) as running, trio.open_nursery() as nursery:
        asker = Asker()
        nursery.start_soon(partial(running.ask, stream=True, asker=asker))
        await trio.sleep(1)
        assert asker.served == "a"
        assert 256 * 1024 < len(asker.body) < 300 * 1024 + 1000
        await trio.sleep(5)
        assert asker.ended == "complete"


async def test_an_asker_who_has_enough_is_sent_nothing_more_until_he_has_taken_it(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    class Full(Asker):
        full, drains = False, 0

        def events(self, events: bytes) -> None:
            assert not self.full
            super().events(events)
            self.full = True

        @property
        def crowded(self) -> bool:
            return self.full

        async def drain(self) -> None:
            if self.full:
                self.drains += 1
                await trio.sleep(1)
                self.full = False

    async def word_by_word(call: Call) -> None:
        await call.send(STREAM_HEAD + chunked(ROLE + HELLO))
        for _ in range(5):
            await trio.sleep(2)
            await call.send(chunked(HELLO))
            await call.send(chunked(HELLO))
        await call.send(chunked(STOP + DONE) + END)

    async with one(tmp_path, word_by_word) as running:
        asker = Full()
        await running.ask(stream=True, asker=asker)
        assert asker.ended == "complete"
        assert asker.body.count(HELLO) == 11
        assert asker.drains >= 5


async def test_a_connection_is_used_again(tmp_path: Path, autojump_clock: MockClock) -> None:
    async with one(tmp_path) as running:
        for streamed in (False, True, False):
            await running.ask(stream=streamed)
        assert running.servers[0].connections == 1
        assert running.facts()["served"] == 3


async def test_a_kept_connection_that_proves_stale_is_replaced_within_the_attempt(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, scripted.answers, scripted.hangs_up, scripted.answers) as running:
        await running.ask()
        asker = await running.ask()
        assert (asker.ended, asker.attempts) == ("complete", 1)
        assert running.kinds() == ["a ok", "a ok"]
        assert running.facts()["in_flight"] == 0


async def test_when_all_kept_connections_prove_stale_one_attempt_still_suffices(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async def once(call: Call) -> None:
        await trio.sleep(1)  # so that all who ask have a connection of their own
        await (scripted.answers if call.nth == 1 else scripted.hangs_up)(call)

    async with one(tmp_path, once, retry=ONCE) as running:
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(running.ask)
        assert running.servers[0].connections == 3
        asker = await running.ask()
        assert (asker.ended, asker.attempts) == ("complete", 1)
        assert running.servers[0].connections == 4


async def test_a_new_connection_that_is_hung_up_on_is_a_failure(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, scripted.hangs_up, scripted.answers, retry=ONCE) as running:
        with pytest.raises(GaveUp) as caught:
            await running.ask()
        assert caught.value.last.kind == "reset"
        assert len(running.servers[0].calls) == 1


async def test_an_asker_that_leaves_cancels_the_upstream_request_and_blames_nobody(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, scripted.silent) as running:
        with trio.move_on_after(1):
            await running.ask()
        await wait_all_tasks_blocked()
        assert running.servers[0].open == 0
        assert running.kinds() == ["a cancelled"]
        assert running.finished[0].status == 499
        assert running.facts()["in_flight"] == 0


async def test_an_asker_that_leaves_with_the_whole_answer_in_hand_was_served(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async def slow_to_end(call: Call) -> None:
        await call.send(stream(WHOLE, end=b""))
        await trio.sleep(10)

    async with one(tmp_path, slow_to_end) as running:
        with trio.move_on_after(0.01):
            await running.ask(stream=True)
        await wait_all_tasks_blocked()
        assert running.kinds() == ["a ok"]
        assert (running.finished[0].ok, running.finished[0].status) == (True, 200)


async def test_an_asker_that_takes_nothing_blames_nobody(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    asker = Asker()
    asker.gone = True
    async with one(tmp_path) as running:
        with pytest.raises(Exception, match="gone"):
            await running.ask(stream=True, asker=asker)
        assert running.kinds() == ["a cancelled"]


async def test_a_provider_killed_in_the_middle_of_its_error_is_not_taken_for_the_upstreams_failure(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    half = b"HTTP/1.1 500 X\r\ncontent-type: application/json\r\ncontent-length: 99\r\n\r\n{"
    async with two(tmp_path, then_silent(half), scripted.answers) as running:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(running.ask)
            await trio.sleep(1)
            running.system.kill("provider:a")
        assert running.kinds() == ["a provider_down", "b ok"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_provider_killed_before_its_answer_is_replaced_unseen(
    tmp_path: Path, autojump_clock: MockClock, streamed: bool
) -> None:
    async with two(tmp_path, scripted.silent, scripted.answers) as running:
        asker = Asker()
        async with trio.open_nursery() as nursery:

            async def kill() -> None:
                await trio.sleep(1)
                assert running.system.kill("provider:a")

            nursery.start_soon(kill)
            await running.ask("a", "b", stream=streamed, asker=asker)
        assert (asker.served, asker.ended) == ("b", "complete")
        assert running.kinds() == ["a provider_down", "b ok"]


async def test_a_provider_killed_in_the_middle_of_a_stream_breaks_it_honestly(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, then_silent(stream(ROLE, HELLO, end=b""))) as running:
        asker = Asker()
        async with trio.open_nursery() as nursery:

            async def kill() -> None:
                await asker.first.wait()
                assert running.system.kill("provider:a")

            nursery.start_soon(kill)
            await running.ask(stream=True, asker=asker)
        assert asker.ended == "broken"
        assert running.kinds() == ["a provider_down"]
        await wait_all_tasks_blocked()
        assert running.servers[0].open == 0


async def test_alone_a_killed_provider_answers_once_it_is_back(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async with one(tmp_path, scripted.silent, scripted.answers) as running:
        asker = Asker()
        async with trio.open_nursery() as nursery:

            async def kill() -> None:
                await trio.sleep(1)
                running.system.kill("provider:a")

            nursery.start_soon(kill)
            await running.ask(asker=asker, attempts=1)
        assert asker.ended == "complete"


async def test_half_open_permits_come_back_however_a_probe_ends(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    breaker = BreakerSettings(failure_threshold=1, recovery_timeout=2, max_recovery_timeout=2)
    scripts = (says(failing(500)), scripted.silent, scripted.silent, scripted.answers)
    async with one(tmp_path, *scripts, breaker=breaker, retry=ONCE) as running:
        with pytest.raises(GaveUp):
            await running.ask()
        assert running.views["a"].state == "open"
        with pytest.raises(GaveUp) as caught:
            await running.ask()
        assert caught.value.last.kind == "circuit_open"
        assert caught.value.attempts == 0
        await trio.sleep(3)
        with trio.move_on_after(1):  # a probe whose asker leaves
            await running.ask()
        async with trio.open_nursery() as nursery:  # a probe whose provider dies under it
            nursery.start_soon(running.ask)
            await wait_all_tasks_blocked()
            running.system.kill("provider:a")
        assert running.kinds()[1:] == ["a cancelled", "a provider_down", "a ok"]
        assert running.views["a"].shown(trio.current_time()) == "closed"


async def test_a_probe_that_has_proved_good_makes_way_for_the_next_while_its_stream_goes_on(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    async def long(call: Call) -> None:
        await call.send(scripted.STREAM_HEAD + scripted.chunked(scripted.ROLE + scripted.HELLO))
        await trio.sleep(20)
        await call.send(scripted.chunked(scripted.STOP + scripted.DONE) + scripted.END)

    breaker = BreakerSettings(failure_threshold=1, recovery_timeout=2, half_open_limit=2)
    scripts = (says(failing(500)), long, scripted.answers)
    async with one(tmp_path, *scripts, breaker=breaker, retry=ONCE) as running:
        with pytest.raises(GaveUp):
            await running.ask()
        await trio.sleep(3)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(lambda: running.ask(stream=True))
            await trio.sleep(1)
            assert running.views["a"].shown(trio.current_time()) == "half_open"
            assert (await running.ask()).served == "a"
            assert running.views["a"].shown(trio.current_time()) == "closed"


@pytest.mark.parametrize("victim", ["breaker:a", "telemetry", "failover", "poller", "deadlines"])
async def test_no_other_part_that_dies_disturbs_an_answer(
    tmp_path: Path, autojump_clock: MockClock, victim: str
) -> None:
    async def slow(call: Call) -> None:
        await call.send(STREAM_HEAD + chunked(ROLE + HELLO))
        await trio.sleep(2)
        await call.send(chunked(STOP + DONE) + END)

    async with one(tmp_path, slow) as running:
        asker = Asker()
        async with trio.open_nursery() as nursery:

            async def kill() -> None:
                await asker.first.wait()
                assert running.system.kill(victim)

            nursery.start_soon(kill)
            await running.ask(stream=True, asker=asker)
        assert (asker.ended, asker.body) == ("complete", WHOLE)


async def test_two_providers_in_one_rig_are_two(tmp_path: Path, autojump_clock: MockClock) -> None:
    server = scripted.Upstream(tmp_path / "b")
    made = {
        "a": scripted.provider("a", tmp_path / "nobody"),
        "b": scripted.provider("b", tmp_path / "b"),
    }
    async with rig(made, server) as running:
        asker = await running.ask("a", "b")
        assert asker.served == "b"
        assert running.kinds() == ["a connect", "b ok"]
