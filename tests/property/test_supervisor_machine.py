"""A state machine for the supervisor: after every single step it and a model of OTP agree.

Hypothesis draws the steps one by one: crashes, ends in order, kills, starts that fail or take their
time, administrative calls while the supervisor is busy, pauses around the intensity window, and a
stop or kill of the supervisor itself at any point. The model, ``tests.support.supervisor_model``,
is OTP's rules on plain lists, with its own mailbox and its own time. Every duration is a multiple
of 1/1024 s, so that both sides add up exactly the same floats.
"""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Awaitable, Callable
from typing import Any

import trio
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from supervision import (
    IGNORE,
    Actor,
    ActorDown,
    AdminError,
    Backoff,
    ChildSpec,
    Ignore,
    Reports,
    Shutdown,
    SpecError,
    StartFailed,
    dynamic_supervisor,
    open_system,
    supervisor,
)
from tests.support.guest_run import GuestRun
from tests.support.supervisor_model import (
    FIRST_PAUSE,
    HEALTHY_AFTER,
    LONGEST_PAUSE,
    Kid,
    Model,
    Outcome,
)

NAMES = ("a", "b", "c")
FOREVER = 10_000.0
"""Seconds in which everything that was begun is over."""

names = st.sampled_from(NAMES)
slow = st.sampled_from((0.0, 311 / 1024))
outcomes = st.lists(
    st.tuples(st.sampled_from(("fails", "fails", "runs", "ignored")), slow), min_size=1, max_size=5
)
kid_fields = st.fixed_dictionaries(
    {
        "restart": st.sampled_from(("permanent", "transient", "temporary")),
        "significant": st.booleans(),
        "shutdown": st.sampled_from((1.0, "brutal_kill", "infinity")),
        "linger": st.sampled_from((0.0, 0.0, 0.5, 3.0)),
    }
)


class Scripted(Actor):
    """Starts and stops the way its script says; ends as it is told to."""

    def __init__(self, kid: Kid, scripts: dict[str, list[Outcome]], log: list[str]) -> None:
        self.kid = kid
        self.scripts = scripts
        self.log = log

    async def init(self) -> Ignore | None:
        self.log.append(f"+{self.kid.name}")
        script = self.scripts.get(self.kid.name)
        outcome, seconds = script.pop(0) if script else ("runs", 0.0)
        if seconds:
            await trio.sleep(seconds)
        if outcome == "fails":
            raise OSError("not now")
        return IGNORE if outcome == "ignored" else None

    async def handle_cast(self, message: Any) -> None:
        if isinstance(message, Exception):
            raise message
        self.stop(message)

    async def terminate(self, reason: Any) -> None:
        # Only what its supervisor asks for takes time; an end of its own is over at once.
        if reason == "shutdown" and self.kid.linger:
            await trio.sleep(self.kid.linger)

    def cleanup(self) -> None:
        self.log.append(f"-{self.kid.name}")


class SupervisorMachine(RuleBasedStateMachine):
    """The steps; ``sup`` is a temporary child of the root, so that the root survives its end."""

    def __init__(self) -> None:
        super().__init__()
        self.scripts: dict[str, list[Outcome]] = {}
        self.log: list[str] = []
        self.answers: dict[int, str] = {}
        self.calls = 0
        self.started: list[str] = []
        self.run: GuestRun | None = None

    @initialize(
        strategy=st.sampled_from(("one_for_one", "one_for_all", "rest_for_one", "dynamic")),
        plan=st.lists(kid_fields, min_size=1, max_size=3),
        max_restarts=st.sampled_from((0, 1, 2, 5, 9, 9)),
        max_seconds=st.sampled_from((1.0, 5.0)),
        auto_shutdown=st.sampled_from(
            ("never", "never", "any_significant", "all_significant", "all_significant")
        ),
        backoff=st.booleans(),
        scripts=st.dictionaries(names, outcomes, max_size=1),
    )
    def begin(  # noqa: PLR0917 - hypothesis passes them by name
        self,
        strategy: Any,
        plan: list[dict[str, Any]],
        max_restarts: int,
        max_seconds: float,
        auto_shutdown: Any,
        backoff: bool,
        scripts: dict[str, list[Outcome]],
    ) -> None:
        # One source of time at a time, or two things would be due at once and their order chance.
        self.instant = backoff or strategy == "dynamic"
        self.dynamic = strategy == "dynamic"
        if self.dynamic:
            auto_shutdown, plan = "never", []
        kids = [
            self.kid(name, fields, auto_shutdown) for name, fields in zip(NAMES, plan, strict=False)
        ]
        self.script_all(scripts)
        scripts_now = copy.deepcopy(self.scripts)
        options: dict[str, Any] = {
            "max_restarts": max_restarts,
            "max_seconds": max_seconds,
            "restart": "temporary",
            "backoff": Backoff(
                first=FIRST_PAUSE, maximum=LONGEST_PAUSE, jitter=0, healthy_after=HEALTHY_AFTER
            )
            if backoff
            else None,
        }
        spec = (
            dynamic_supervisor("sup", **options)
            if self.dynamic
            else supervisor(
                "sup",
                [self.spec(kid) for kid in kids],
                strategy=strategy,
                auto_shutdown=auto_shutdown,
                **options,
            )
        )
        self.run = GuestRun(self.main)
        self.inside(self.start_soon(self.start_supervisor, spec))
        self.model = Model(
            strategy=strategy,
            max_restarts=max_restarts,
            max_seconds=max_seconds,
            auto_shutdown=auto_shutdown,
            backoff=backoff,
            plan=kids,
            scripts=scripts_now,
        )

    # ---- the real one

    async def main(self, ready: Callable[[], Awaitable[None]]) -> None:
        async with trio.open_nursery() as self.nursery:
            root = supervisor("root", [])
            async with open_system(
                root, reports=Reports(log=False), stop_timeout=FOREVER
            ) as self.system:
                await ready()

    def inside(self, function: Callable[[], Awaitable[Any]]) -> Any:
        assert self.run is not None
        return self.run.step(function)

    def start_soon(self, function: Any, *args: Any) -> Callable[[], Awaitable[None]]:
        async def start() -> None:
            self.nursery.start_soon(function, *args)

        return start

    async def start_supervisor(self, spec: ChildSpec) -> None:
        try:
            await self.system.supervisor("root").start_child(spec)
        except (StartFailed, ActorDown):
            self.started.append("failed")
        else:
            self.started.append("ok")

    async def administer(self, number: int, verb: str, what: Any) -> None:
        handle = self.system.supervisor("sup")
        try:
            if verb == "start":
                await handle.start_child(what)
            else:
                await getattr(handle, f"{verb}_child")(what)
        except AdminError as error:
            answer = error.code
        except StartFailed:
            answer = "failed"
        except SpecError:
            answer = "refused"
        except ActorDown:
            answer = "down"
        else:
            answer = "ok"
        self.answers[number] = answer

    def kid(self, name: str, fields: dict[str, Any], auto_shutdown: str) -> Kid:
        """A child whose specification is in order by itself."""
        kid = Kid(name, **fields)
        if kid.restart == "permanent" or auto_shutdown == "never":
            kid.significant = False
        if self.instant:
            kid.linger = 0.0
        return kid

    def spec(self, kid: Kid) -> ChildSpec:
        return ChildSpec(
            kid.name,
            lambda: Scripted(kid, self.scripts, self.log),
            restart=kid.restart,
            significant=kid.significant,
            shutdown=kid.shutdown,
        )

    def script_all(self, scripts: dict[str, list[Outcome]]) -> None:
        for name, script in scripts.items():
            self.scripts[name] = [(how, 0.0 if self.instant else sec) for how, sec in script]

    # ---- the steps

    @property
    def up(self) -> bool:
        return self.run is not None and not self.model.ended

    @precondition(lambda self: self.up)
    @rule(name=names, outcomes=outcomes)
    def script(self, name: str, outcomes: list[Outcome]) -> None:
        """The child's next starts go like this."""
        self.script_all({name: outcomes})
        self.model.scripts[name] = list(self.scripts[name])

    @precondition(lambda self: self.up)
    @rule(name=names)
    def crash(self, name: str) -> None:
        self.tell(name, ValueError("crash"), orderly=False)

    @precondition(lambda self: self.up)
    @rule(name=names, outcomes=outcomes)
    def crash_for_some_time(self, name: str, outcomes: list[Outcome]) -> None:
        self.script(name, outcomes)
        self.crash(name)

    @precondition(lambda self: self.up)
    @rule(name=names, reason=st.sampled_from(("normal", "done")))
    def finish(self, name: str, reason: str) -> None:
        self.tell(name, "normal" if reason == "normal" else Shutdown(reason), orderly=True)

    def tell(self, name: str, message: object, *, orderly: bool) -> None:
        kid = self.model.find(name)
        if kid is not None and kid.state == "starting":
            return  # it would take the message once it has started

        async def cast() -> None:
            self.system.ref(name).cast(message)

        self.inside(cast)
        self.model.end(name, orderly=orderly)

    @precondition(lambda self: self.up)
    @rule(name=names)
    def kill(self, name: str) -> None:
        async def kill() -> None:
            self.system.kill(name)

        self.inside(kill)
        self.model.kill(name)

    @precondition(lambda self: self.up)
    @rule(verb=st.sampled_from(("terminate", "restart", "delete")), name=names)
    def admin(self, verb: str, name: str) -> None:
        self.post(verb, name, name)

    @precondition(lambda self: self.up)
    @rule(name=names, fields=kid_fields)
    def start(self, name: str, fields: dict[str, Any]) -> None:
        kid = self.kid(name, fields, "any_significant")  # the supervisor refuses what it must
        self.post("start", self.spec(kid), kid)

    def post(self, verb: str, real: object, model: object) -> None:
        self.calls += 1
        self.inside(self.start_soon(self.administer, self.calls, verb, real))
        self.model.post("admin", self.calls, verb, model)

    @precondition(lambda self: self.run is not None)
    @rule(seconds=st.sampled_from((0.25, 0.25, 1.0, 1.0, 4.0, 5.0, 9.0)))
    def advance(self, seconds: float) -> None:
        assert self.run is not None
        self.run.advance(seconds)
        self.model.advance(seconds)

    @precondition(lambda self: self.up and self.model.started)
    @rule(often=st.integers(0, 9))
    def stop(self, often: int) -> None:
        """Now and then the supervisor itself is asked to stop, whatever it does."""
        if often:
            return
        self.inside(self.start_soon(self.end_supervisor))
        self.model.post("stop")

    async def end_supervisor(self) -> None:
        # It may have ended meanwhile, and then is forgotten.
        with contextlib.suppress(AdminError):
            await self.system.supervisor("root").terminate_child("sup")

    @precondition(lambda self: self.up and self.model.started)
    @rule(often=st.integers(0, 19))
    def kill_supervisor(self, often: int) -> None:
        if often:
            return

        async def kill() -> None:
            self.system.kill("sup")

        self.inside(kill)
        self.model.kill_supervisor()

    # ---- what must hold after each

    @invariant()
    def agree(self) -> None:
        if self.run is not None:
            self.inside(self.compare)

    async def compare(self) -> None:
        model = self.model
        assert trio.current_time() == model.now
        node = self.system.snapshot().find("sup")
        assert (node is None) == bool(model.ended), (node, model.ended)
        self.compare_logs()
        for number in self.answers.keys() & model.answers.keys():
            assert self.answers[number] == model.answers[number]
        if node is None:
            assert self.answers == model.answers
            return
        assert [(child.name, child.state, child.incarnation) for child in node.children] == [
            (kid.name, kid.state, kid.lives) for kid in model.kids
        ]
        assert node.restart_budget is not None
        assert node.restart_budget.used == model.used()
        if model.idle:
            assert self.answers == model.answers
            handle = self.system.supervisor("sup")
            listed = await handle.which_children()
            assert [(child.id, child.state) for child in listed] == model.rows()
            counts = await handle.count_children()
            running = sum(bool(kid.owned) for kid in model.kids)
            assert (counts.specs, counts.active) == (len(model.kids), running)

    def compare_logs(self) -> None:
        """The same lives began and ended, in the same order where OTP has one."""
        model = self.model
        if model.ended == "killed" or (model.ended and self.dynamic):
            assert sorted(self.log) == sorted(model.log)  # they ended all at the same time
        else:
            assert self.log == model.log

    def teardown(self) -> None:
        """Whatever is going on: the end comes in order, and leaves nobody behind."""
        if self.run is None:
            return

        async def stop() -> None:
            self.system.request_stop()

        self.inside(stop)
        if not self.model.ended:
            self.model.post("stop")
        self.run.advance(100.0)
        self.model.advance(100.0)
        self.run.end()
        assert self.model.ended
        self.compare_logs()
        assert len(self.started) == 1
        for name in NAMES:
            lives = [entry[0] for entry in self.log if entry[1:] == name]
            assert lives == ["+", "-"] * (len(lives) // 2)


TestSupervisorMachine = SupervisorMachine.TestCase
TestSupervisorMachine.settings = settings(max_examples=200, stateful_step_count=25, deadline=None)
