"""OTP's rules for a supervisor, on plain lists: what the real one is compared with.

The model has a mailbox and a clock of its own. Its supervisor is a generator that yields the
seconds it is busy, or ``None`` when it waits for its mailbox; nothing else takes time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Literal

Outcome = tuple[Literal["runs", "fails", "ignored"], float]
"""How a start goes, and the seconds that takes."""
Busy = Generator[float | None, None, None]

FIRST_PAUSE = 1.0
LONGEST_PAUSE = 4.0
HEALTHY_AFTER = 8.0


@dataclass(eq=False)
class Kid:
    """A child as the model sees it."""

    name: str
    restart: Literal["permanent", "transient", "temporary"] = "permanent"
    significant: bool = False
    shutdown: float | str = 5.0
    linger: float = 0.0  # seconds its orderly stop takes, if it is let
    state: str = "stopped"
    lives: int = 0
    owned: int = 0  # the life its supervisor believes in, 0 for none
    ticket: object = None
    began: float = 0.0
    tries: int = 0


@dataclass
class Model:
    """A supervisor and its children."""

    strategy: str
    max_restarts: int
    max_seconds: float
    auto_shutdown: str
    backoff: bool
    plan: list[Kid]
    scripts: dict[str, list[Outcome]]
    now: float = 0.0
    kids: list[Kid] = field(default_factory=list)
    log: list[str] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    answers: dict[int, str] = field(default_factory=dict)
    started: bool = False
    ending: str = ""
    ended: str = ""
    busy_with: Kid | None = None

    def __post_init__(self) -> None:
        self._mailbox: deque[tuple[object, ...]] = deque()
        self._timers: list[tuple[float, object]] = []
        self._killed: Kid | None = None
        self._failed = False
        self._asked = 0
        self._until: float | None = None
        self._life = self._live()
        self._go(next(self._life, None))

    # ---- from outside

    @property
    def idle(self) -> bool:
        """Whether it waits for messages and would answer at once."""
        return not self.ended and self._until is None

    def find(self, name: str) -> Kid | None:
        return next((kid for kid in self.kids if kid.name == name), None)

    def post(self, *message: object) -> None:
        """Put a message into the supervisor's mailbox; it takes none once it has decided to end."""
        if self.ending:
            self._refuse(message)
            return
        self._mailbox.append(message)
        self._wake()

    def end(self, name: str, *, orderly: bool) -> None:
        """A child ends by itself; one that does not run has nothing to end."""
        kid = self.find(name)
        if kid is None or kid.state != "running":
            return
        self._gone(kid)
        if self.strategy == "dynamic" and kid.restart == "temporary":
            self.kids.remove(kid)
        else:
            self.post("exit", kid, kid.lives, orderly)

    def kill(self, name: str) -> None:
        """Kill a child, also while it starts or stops."""
        kid = self.find(name)
        if kid is None or self.ended:
            return
        if kid.state == "running":
            self.end(name, orderly=False)
        elif kid is self.busy_with:
            self._killed = kid
            self._until = self.now
            self._wake()

    def kill_supervisor(self) -> None:
        """All die at once, in no particular order."""
        for kid in self.kids:
            if kid.state in ("running", "starting", "stopping"):
                self._gone(kid)
        self._finish("killed")

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        while not self.ended:
            timer = min((when for when, _ in self._timers), default=math.inf)
            then = min(timer, math.inf if self._until is None else self._until)
            if then > end:
                break
            self.now = then
            for due in [each for each in self._timers if each[0] <= then]:
                self._timers.remove(due)
                self._mailbox.append(("due", due[1]))
            self._wake()
        self.now = end

    def used(self) -> int:
        """Restarts that count now."""
        return sum(time >= self.now - self.max_seconds for time in self.times)

    def rows(self) -> list[tuple[str, str]]:
        """which_children."""
        return [
            (
                kid.name,
                "running" if kid.owned else "restarting" if kid.ticket is not None else "stopped",
            )
            for kid in reversed(self.kids)
        ]

    # ---- the supervisor

    def _wake(self) -> None:
        if self.ended:
            return
        if (self._until is None and self._mailbox) or (
            self._until is not None and self._until <= self.now
        ):
            self._go(next(self._life, None))

    def _go(self, busy: float | None) -> None:
        """It is busy for so long, or waits (``None``)."""
        while busy is not None and busy <= 0:
            busy = next(self._life, None)
        self._until = None if busy is None or self.ended else self.now + busy

    def _live(self) -> Busy:
        for kid in self.plan:
            self.kids.append(kid)
            yield from self._start(kid)
            if self._failed:
                self.ending = "start failed"
                self._refuse(*self._mailbox)
                yield from self._stop_all()
                self._finish(self.ending)
                return
        self.started = True
        while not self.ending:
            while not self._mailbox:
                yield None
            kind, *rest = self._mailbox.popleft()
            if kind == "exit":
                yield from self._on_exit(*rest)  # type: ignore[arg-type]  # posted with these
            elif kind == "retry":
                again, ticket = rest
                assert isinstance(again, Kid)
                if again.ticket is ticket:
                    yield from self._restart(again)
            elif kind == "due":
                yield from self._start_waiting(rest[0])
            elif kind == "admin":
                number, verb, what = rest
                assert isinstance(number, int)
                self._asked = number
                yield from self._admin(number, verb, what)
                self._asked = 0
            else:
                self.ending = "stopped"
        self._refuse(*self._mailbox)
        yield from self._stop_all()
        self._finish(self.ending)

    def _finish(self, how: str) -> None:
        self.ended = self.ending = how
        self._until = None
        self.kids.clear()
        self._refuse(*self._mailbox, *([("admin", self._asked)] if self._asked else []))

    def _refuse(self, *messages: tuple[object, ...]) -> None:
        """Whoever still waits for an answer learns that none will come."""
        for message in messages:
            if message[0] == "admin":
                assert isinstance(message[1], int)
                self.answers[message[1]] = "down"

    def _on_exit(self, kid: Kid, life: int, orderly: bool) -> Busy:
        if kid.owned != life:
            return
        kid.owned = 0
        if kid.restart == "permanent" or (kid.restart == "transient" and not orderly):
            if self.now - kid.began >= HEALTHY_AFTER or not self.backoff:
                kid.tries = 0
            yield from self._restart(kid)
            return
        self._forget_if_due(kid)
        if kid.significant and (
            self.auto_shutdown == "any_significant"
            or (
                self.auto_shutdown == "all_significant"
                and not any(
                    other.significant and (other.owned or other.ticket is not None)
                    for other in self.kids
                )
            )
        ):
            self.ending = "auto"

    def _restart(self, kid: Kid) -> Busy:
        self.times = [time for time in self.times if time >= self.now - self.max_seconds]
        self.times.append(self.now)
        if len(self.times) > self.max_restarts:
            self.ending = "gave up"
            return
        if self.strategy == "one_for_all":
            group = list(self.kids)
        elif self.strategy == "rest_for_one":
            group = self.kids[self.kids.index(kid) :]
        else:
            group = [kid]
        ticket = object()
        for other in reversed(group):
            if other is not kid:
                yield from self._stop(other)
                if other.restart == "temporary":
                    self.kids.remove(other)
                    continue
            other.ticket = ticket
            other.state = "restarting"
        kid.tries += 1
        if self.backoff:
            pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** (kid.tries - 1))
            self._timers.append((self.now + pause, ticket))
        else:
            yield from self._start_waiting(ticket)

    def _start_waiting(self, ticket: object) -> Busy:
        waiting = [kid for kid in self.kids if kid.ticket is ticket]
        while waiting:
            kid = waiting.pop(0)
            yield from self._start(kid)
            if self._failed:
                kid.ticket = ticket
                kid.state = "restarting"
                for other in waiting:
                    other.ticket = None
                    other.state = "stopped"
                self._mailbox.append(("retry", kid, ticket))
                return

    def _start(self, kid: Kid) -> Busy:
        self._failed = False
        script = self.scripts.get(kid.name)
        how, seconds = script.pop(0) if script else ("runs", 0.0)
        kid.lives += 1
        kid.owned = kid.lives
        kid.began = self.now
        kid.ticket = None
        kid.state = "starting"
        self.log.append(f"+{kid.name}")
        yield from self._busy(kid, seconds)
        if self._killed is kid:
            self._killed = None
            how = "fails"
        if how == "runs":
            kid.state = "running"
            return
        self._gone(kid)
        kid.owned = 0
        if how == "fails":
            self._failed = True
        else:
            self._forget_if_due(kid)

    def _stop(self, kid: Kid) -> Busy:
        if kid.state == "running":
            kid.state = "stopping"
            if kid.shutdown == "brutal_kill":
                seconds = 0.0
            elif isinstance(kid.shutdown, str):
                seconds = kid.linger
            else:
                seconds = min(kid.linger, kid.shutdown)
            yield from self._busy(kid, seconds)
            self._killed = None
            self._gone(kid)
        kid.state = "stopped"
        kid.owned = 0
        kid.ticket = None

    def _stop_all(self) -> Busy:
        for kid in reversed(list(self.kids)):
            yield from self._stop(kid)

    def _busy(self, kid: Kid, seconds: float) -> Busy:
        self.busy_with = kid
        if seconds:
            yield seconds
        self.busy_with = None

    def _gone(self, kid: Kid) -> None:
        kid.state = "stopped"
        self.log.append(f"-{kid.name}")

    def _forget_if_due(self, kid: Kid) -> None:
        if kid.restart == "temporary" or self.strategy == "dynamic":
            self.kids.remove(kid)

    # ---- administrative calls

    def _admin(self, number: int, verb: object, what: object) -> Busy:
        if verb == "start":
            assert isinstance(what, Kid)
            yield from self._start_child(number, what)
            return
        kid = self.find(str(what))
        if kid is None:
            self.answers[number] = "not_found"
        elif verb == "terminate":
            yield from self._stop(kid)
            self._forget_if_due(kid)
            self.answers[number] = "ok"
        elif kid.owned:
            self.answers[number] = "running"
        elif kid.ticket is not None:
            self.answers[number] = "restarting"
        elif verb == "delete":
            self.kids.remove(kid)
            self.answers[number] = "ok"
        else:
            yield from self._start(kid)
            self.answers[number] = "failed" if self._failed else "ok"

    def _start_child(self, number: int, kid: Kid) -> Busy:
        present = self.find(kid.name)
        if kid.significant and self.auto_shutdown == "never":
            self.answers[number] = "refused"
        elif present is not None:
            self.answers[number] = "already_started" if present.owned else "already_present"
        else:
            self.kids.append(kid)
            yield from self._start(kid)
            if self._failed:
                self.kids.remove(kid)
            self.answers[number] = "failed" if self._failed else "ok"
