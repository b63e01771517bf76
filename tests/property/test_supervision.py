"""Supervisors against a model: whatever happens in whatever order, they agree.

The model knows nothing of tasks or messages: it is OTP's rules on plain lists. A program of random
steps (crashes, stops, kills, administrative calls, waiting) runs on a real supervisor on a virtual
clock, and after every step both must show the same children, states and incarnations.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

import trio
import trio.testing
from hypothesis import given, settings
from hypothesis import strategies as st

from supervision import (
    Actor,
    AdminError,
    ChildSpec,
    Reports,
    StartFailed,
    System,
    SystemDown,
    open_system,
    supervisor,
)

NAMES = ("a", "b", "c", "d")
Strategy = Literal["one_for_one", "one_for_all", "rest_for_one"]
Restart = Literal["permanent", "transient", "temporary"]


@dataclass
class Kid:
    """A child as the model sees it."""

    name: str
    restart: Restart
    running: bool = True
    lives: int = 1


@dataclass
class Model:
    """A supervisor as OTP's documentation describes it."""

    strategy: Strategy
    max_restarts: int
    max_seconds: float
    kids: list[Kid]
    failing: dict[str, int] = field(default_factory=dict)
    times: list[float] = field(default_factory=list)
    up: bool = True

    def find(self, name: str) -> Kid | None:
        return next((kid for kid in self.kids if kid.name == name), None)

    def start(self, kid: Kid) -> bool:
        kid.lives += 1
        if self.failing.get(kid.name, 0) > 0:
            self.failing[kid.name] -= 1
            return False
        kid.running = True
        return True

    def end(self, name: str, *, orderly: bool, now: float) -> None:
        """A child ends by itself."""
        kid = self.find(name)
        if kid is None or not kid.running:
            return
        kid.running = False
        if kid.restart == "permanent" or (kid.restart == "transient" and not orderly):
            self.restart(kid, now)
        elif kid.restart == "temporary":
            self.kids.remove(kid)

    def restart(self, kid: Kid | None, now: float) -> None:
        while kid is not None:
            self.times = [time for time in self.times if time >= now - self.max_seconds]
            self.times.append(now)
            if len(self.times) > self.max_restarts:
                self.up = False
                return
            kid = self.attempt(kid)

    def attempt(self, kid: Kid) -> Kid | None:
        """One round; returns the child at which it failed."""
        if self.strategy == "one_for_one":
            group = [kid]
        elif self.strategy == "one_for_all":
            group = list(self.kids)
        else:
            group = self.kids[self.kids.index(kid) :]
        for other in group:
            other.running = False
            if other.restart == "temporary" and other is not kid:
                self.kids.remove(other)
        for other in group:
            if other in self.kids and not self.start(other):
                return other
        return None

    def admin(self, verb: str, name: str) -> str:
        """An administrative call; returns OTP's answer."""
        kid = self.find(name)
        if verb == "start":
            if kid is not None:
                return "already_started" if kid.running else "already_present"
            kid = Kid(name, "permanent", running=False, lives=0)
            if not self.start(kid):
                return "failed"
            self.kids.append(kid)
            return "ok"
        if kid is None:
            return "not_found"
        if verb == "terminate":
            kid.running = False
            if kid.restart == "temporary":
                self.kids.remove(kid)
            return "ok"
        if kid.running:
            return "running"
        if verb == "delete":
            self.kids.remove(kid)
            return "ok"
        return "ok" if self.start(kid) else "failed"

    def picture(self) -> list[tuple[str, str]]:
        return [(kid.name, "running" if kid.running else "stopped") for kid in reversed(self.kids)]


class Flaky(Actor):
    """Fails its start as often as it is told to, and ends as it is told to."""

    def __init__(self, name: str, failing: dict[str, int]) -> None:
        self.name = name
        self.failing = failing

    async def init(self) -> None:
        if self.failing.get(self.name, 0) > 0:
            self.failing[self.name] -= 1
            raise OSError("not now")

    async def handle_cast(self, message: Any) -> None:
        if isinstance(message, Exception):
            raise message
        self.stop(message)


names = st.sampled_from(NAMES)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("crash"), names),
        st.tuples(st.just("kill"), names),
        st.tuples(st.just("finish"), names),
        st.tuples(st.sampled_from(("start", "terminate", "restart", "delete")), names),
        st.tuples(st.just("fail next"), names, st.integers(1, 3)),
        st.tuples(st.just("wait"), st.sampled_from((0.5, 1.0, 2.5, 5.0))),
    ),
    max_size=25,
)


async def admin(system: System, verb: str, name: str, failing: dict[str, int]) -> str:
    handle = system.supervisor("root")
    try:
        if verb == "start":
            await handle.start_child(ChildSpec(name, lambda: Flaky(name, failing)))
        elif verb == "terminate":
            await handle.terminate_child(name)
        elif verb == "restart":
            await handle.restart_child(name)
        else:
            await handle.delete_child(name)
    except AdminError as error:
        return error.code
    except StartFailed:
        return "failed"
    return "ok"


async def run_program(model: Model, program: Iterable[tuple[Any, ...]]) -> None:
    failing: dict[str, int] = {}

    def spec(name: str, restart: Restart) -> ChildSpec:
        return ChildSpec(name, lambda: Flaky(name, failing), restart=restart)

    root = supervisor(
        "root",
        [spec(kid.name, kid.restart) for kid in model.kids],
        strategy=model.strategy,
        max_restarts=model.max_restarts,
        max_seconds=model.max_seconds,
    )
    try:
        async with open_system(root, reports=Reports(log=False)) as system:
            for step in program:
                match step:
                    case ("crash", name):
                        model.end(name, orderly=False, now=trio.current_time())
                        system.ref(name).cast(ValueError("crash"))
                    case ("kill", name):
                        model.end(name, orderly=False, now=trio.current_time())
                        system.kill(name)
                    case ("finish", name):
                        model.end(name, orderly=True, now=trio.current_time())
                        system.ref(name).cast("normal")
                    case ("fail next", name, times):
                        failing[name] = model.failing[name] = times
                    case ("wait", seconds):
                        await trio.sleep(seconds)
                    case (verb, name):
                        assert await admin(system, verb, name, failing) == model.admin(verb, name)
                await trio.testing.wait_all_tasks_blocked()
                if not model.up:
                    # Here the cancellation of the block arrives; without it, this would hang.
                    await trio.sleep(1000)
                    raise AssertionError("the model gave up, the supervisor did not")
                children = await system.supervisor("root").which_children()
                assert [(child.id, child.state) for child in children] == model.picture()
                tree = system.snapshot()
                for kid in model.kids:
                    node = tree.find(kid.name)
                    assert node is not None
                    assert node.incarnation == kid.lives
                    assert system.ref(kid.name).alive == kid.running
                    await probe(system, kid)
                assert tree.restart_budget is not None
                assert tree.restart_budget.used == sum(
                    time >= trio.current_time() - model.max_seconds for time in model.times
                )
    except SystemDown:
        assert not model.up
    assert failing == model.failing


async def probe(system: System, kid: Kid) -> None:
    """A reference and the picture never disagree about who is there."""
    found = system.whereis(kid.name)
    assert (found is not None) == kid.running


@settings(max_examples=300, deadline=None)
@given(
    strategy=st.sampled_from(("one_for_one", "one_for_all", "rest_for_one")),
    restarts=st.lists(
        st.sampled_from(("permanent", "transient", "temporary")), min_size=1, max_size=4
    ),
    max_restarts=st.integers(0, 8),
    max_seconds=st.sampled_from((1.0, 5.0)),
    program=steps,
)
def test_a_supervisor_does_what_the_model_does(
    strategy: Strategy,
    restarts: list[Restart],
    max_restarts: int,
    max_seconds: float,
    program: list[tuple[Any, ...]],
) -> None:
    kids = [Kid(name, restart) for name, restart in zip(NAMES, restarts, strict=False)]
    model = Model(strategy, max_restarts, max_seconds, kids)
    clock = trio.testing.MockClock(autojump_threshold=0)
    trio.run(run_program, model, program, clock=clock)


# ---- whatever happens, nothing is left behind


class Stubborn(Actor):
    """Takes its time over everything and may refuse to go."""

    def __init__(self, log: list[str], name: str, slow: float) -> None:
        self.log = log
        self.name = name
        self.slow = slow

    async def init(self) -> None:
        self.log.append(f"+{self.name}")
        await trio.sleep(self.slow / 10)

    async def handle_cast(self, message: Any) -> None:
        await trio.sleep(self.slow)
        if message == "crash":
            raise ValueError(message)

    async def terminate(self, reason: Any) -> None:
        await trio.sleep(self.slow)

    def cleanup(self) -> None:
        self.log.append(f"-{self.name}")


@settings(max_examples=200, deadline=None)
@given(
    slowness=st.lists(st.sampled_from((0.0, 1.0, 20.0)), min_size=1, max_size=4),
    strategy=st.sampled_from(("one_for_one", "one_for_all", "rest_for_one")),
    casts=st.lists(st.tuples(names, st.sampled_from(("work", "crash", "kill"))), max_size=12),
    cancel_after=st.sampled_from((0.0, 0.5, 3.0, 50.0)),
)
def test_every_life_ends_once_and_the_youngest_goes_first_however_the_world_ends(
    slowness: list[float],
    strategy: Strategy,
    casts: list[tuple[str, str]],
    cancel_after: float,
) -> None:
    log: list[str] = []

    def spec(name: str, slow: float) -> ChildSpec:
        return ChildSpec(name, lambda: Stubborn(log, name, slow))

    async def main() -> None:
        specs = [spec(name, slow) for name, slow in zip(NAMES, slowness, strict=False)]
        root = supervisor("root", specs, strategy=strategy, max_restarts=100)
        with trio.move_on_after(cancel_after):
            async with open_system(root, reports=Reports(log=False)) as system:
                for name, message in casts:
                    if message == "kill":
                        system.kill(name)
                    else:
                        system.ref(name).cast(message)
                    await trio.sleep(0.1)
                await trio.sleep_forever()

    start = 0.0
    clock = trio.testing.MockClock(autojump_threshold=0)
    trio.run(main, clock=clock)
    alive: set[str] = set()
    for entry in log:
        sign, name = entry[0], entry[1:]
        assert (name in alive) == (sign == "-"), log
        if sign == "+":
            alive.add(name)
        else:
            alive.remove(name)
    assert not alive
    assert clock.current_time() - start < 1e6
