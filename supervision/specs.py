"""Child specifications: what to start under which name, and what to do when it ends.

A ``ChildSpec`` checks itself when it is made, and so do ``supervisor`` and
``dynamic_supervisor``: every mistake is named in one ``SpecError`` before anything starts.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, get_args

import msgspec

from supervision.errors import SpecError
from supervision.intensity import Backoff

Kind = Literal["actor", "task", "supervisor"]
Restart = Literal["permanent", "transient", "temporary"]
Strategy = Literal["one_for_one", "one_for_all", "rest_for_one", "dynamic"]
AutoShutdown = Literal["never", "any_significant", "all_significant"]

_NO_META: Final[Mapping[str, object]] = {}
_STATIC_STRATEGIES: Final = ("one_for_one", "one_for_all", "rest_for_one")
_SHUTDOWN_WORDS: Final = ("brutal_kill", "infinity")
_DEFAULT_START_TIMEOUT: Final = 30.0


class SupervisorPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a supervisor child is made of; built by ``supervisor`` and ``dynamic_supervisor``."""

    strategy: Strategy
    children: tuple[ChildSpec, ...] = ()
    max_restarts: int = 3
    max_seconds: float = 5.0
    auto_shutdown: AutoShutdown = "never"
    backoff: Backoff | None = None
    max_children: float = math.inf


class ChildSpec(msgspec.Struct, frozen=True):
    """How to start, restart and stop one child.

    Args:
        id: its name, unique in the whole system.
        start: for an actor, a factory (often the class itself) called for each incarnation; for
            a task, an async function. Ignored for supervisors, which have a ``plan``.
        kind: ``actor``, ``task`` or ``supervisor``.
        restart: ``permanent`` (always), ``transient`` (unless it ended in order: ``normal``,
            ``shutdown``) or ``temporary`` (never; its specification goes with it).
        shutdown: seconds it gets between being asked to stop and being killed, or
            ``"brutal_kill"`` (no time at all), or ``"infinity"``.
        significant: whether its own end counts for its supervisor's ``auto_shutdown``.
        meta: facts of your own, shown in the tree.
        context: a task only: ``start`` takes a ``TaskContext`` and counts as started when it
            calls ``context.started()``; without, it counts as started at once.
        start_timeout: seconds until a start that does not get through ``init`` is given up.
        plan: what a supervisor is made of.

    Raises:
        SpecError: with one sentence for each mistake.
    """

    id: str
    start: Callable[..., Any]
    kind: Kind = "actor"
    restart: Restart = "permanent"
    shutdown: float | str = 5.0
    significant: bool = False
    meta: Mapping[str, object] = _NO_META
    context: bool = False
    start_timeout: float = _DEFAULT_START_TIMEOUT
    plan: SupervisorPlan | None = None

    def __post_init__(self) -> None:
        found = self._problems()
        if found:
            raise SpecError(f"child {self.id!r}", found)

    def _problems(self) -> list[str]:
        return [
            *_text_problem("id", self.id),
            *_start_problem(self.start, self.kind),
            *_word_problem("kind", self.kind, get_args(Kind)),
            *_word_problem("restart", self.restart, get_args(Restart)),
            *_shutdown_problem(self.shutdown),
            *_significant_problem(self.significant, self.restart),
            *_type_problem("meta", self.meta, Mapping, "a mapping"),
            *_plan_problem(self.plan, self.kind),
            *(["context is for tasks only"] if self.context and self.kind != "task" else []),
            *_number_problem("start_timeout", self.start_timeout, above=0, unit=" seconds"),
        ]


def supervisor(
    id: str,  # noqa: A002 - the field's name everywhere, as in OTP
    children: Iterable[ChildSpec],
    *,
    strategy: Strategy = "one_for_one",
    max_restarts: int = 3,
    max_seconds: float = 5.0,
    restart: Restart = "permanent",
    shutdown: float | str = "infinity",
    auto_shutdown: AutoShutdown = "never",
    backoff: Backoff | None = None,
    significant: bool = False,
    meta: Mapping[str, object] = _NO_META,
) -> ChildSpec:
    """Specify a supervisor with children that start in the order given and stop in reverse.

    Args:
        id: its name, unique in the system.
        children: their specifications.
        strategy: whom to restart when one ends: ``one_for_one`` only that one, ``one_for_all``
            all of them, ``rest_for_one`` that one and those started after it.
        max_restarts: restarts tolerated within ``max_seconds`` before it gives up; one log for
            all its children, and each failed attempt counts.
        max_seconds: that period, in seconds.
        restart: as for any child, when the supervisor itself ends.
        shutdown: as for any child; ``infinity`` lets its children use the time they have.
        auto_shutdown: end by itself when ``any_significant`` child, or ``all_significant``
            children, have ended by themselves.
        backoff: waits between restarts; ``None``: none, as in OTP.
        significant: as for any child.
        meta: as for any child.

    Returns:
        A specification to nest in another supervisor or to hand to ``open_system``.

    Raises:
        SpecError: with one sentence for each mistake.
    """
    specs = tuple(children)
    found = [
        *_word_problem("strategy", strategy, _STATIC_STRATEGIES),
        *_intensity_problems(max_restarts, max_seconds, backoff),
        *_word_problem("auto_shutdown", auto_shutdown, get_args(AutoShutdown)),
        *_children_problems(specs, auto_shutdown),
    ]
    if found:
        raise SpecError(f"supervisor {id!r}", found)
    plan = SupervisorPlan(
        strategy=strategy,
        children=specs,
        max_restarts=max_restarts,
        max_seconds=max_seconds,
        auto_shutdown=auto_shutdown,
        backoff=backoff,
    )
    return ChildSpec(
        id,
        _started_by_plan,
        kind="supervisor",
        restart=restart,
        shutdown=shutdown,
        significant=significant,
        meta=meta,
        start_timeout=math.inf,
        plan=plan,
    )


def dynamic_supervisor(
    id: str,  # noqa: A002 - the field's name everywhere, as in OTP
    *,
    max_children: float = math.inf,
    max_restarts: int = 3,
    max_seconds: float = 5.0,
    restart: Restart = "permanent",
    shutdown: float | str = "infinity",
    backoff: Backoff | None = None,
    significant: bool = False,
    meta: Mapping[str, object] = _NO_META,
) -> ChildSpec:
    """Specify a supervisor whose children come and go at run time, by the thousand if need be.

    It starts empty, restarts one for one, and stops all its children at the same time.

    Args:
        id: its name, unique in the system.
        max_children: how many it takes; ``math.inf``: any number.
        max_restarts: see ``supervisor``; so are the others.
        max_seconds: the period in seconds.
        restart: as for any child.
        shutdown: as for any child.
        backoff: waits between restarts.
        significant: as for any child.
        meta: as for any child.

    Returns:
        A specification to nest in another supervisor.

    Raises:
        SpecError: with one sentence for each mistake.
    """
    found = [
        *_intensity_problems(max_restarts, max_seconds, backoff),
        *_number_problem("max_children", max_children, at_least=0),
    ]
    if found:
        raise SpecError(f"dynamic supervisor {id!r}", found)
    plan = SupervisorPlan(
        strategy="dynamic",
        max_restarts=max_restarts,
        max_seconds=max_seconds,
        backoff=backoff,
        max_children=max_children,
    )
    return ChildSpec(
        id,
        _started_by_plan,
        kind="supervisor",
        restart=restart,
        shutdown=shutdown,
        significant=significant,
        meta=meta,
        start_timeout=math.inf,
        plan=plan,
    )


def _started_by_plan() -> None:
    """A supervisor has a plan instead of a start function."""


# Each check takes a plain object: what a specification holds is known only once it is checked.


def _text_problem(field: str, value: object) -> list[str]:
    if isinstance(value, str) and value:
        return []
    return [f"{field} must be a non-empty string, not {value!r}"]


def _word_problem(field: str, value: object, words: tuple[str, ...]) -> list[str]:
    if isinstance(value, str) and value in words:
        return []
    return [f"{field} must be {_either(words)}, not {value!r}"]


def _type_problem(field: str, value: object, wanted: type, name: str) -> list[str]:
    return [] if isinstance(value, wanted) else [f"{field} must be {name}, not {value!r}"]


def _number_problem(
    field: str, value: object, *, above: float = -math.inf, at_least: float = -math.inf,
    unit: str = "",
) -> list[str]:  # fmt: skip
    if _is_number(value) and isinstance(value, int | float) and value > above and value >= at_least:
        return []
    bound = f"more than {above}" if above > -math.inf else f"{at_least} or more"
    return [f"{field} must be a number, {bound}{unit}, not {value!r}"]


def _start_problem(start: object, kind: object) -> list[str]:
    if not callable(start):
        return [f"start must be callable, not {start!r}"]
    if kind == "actor" and inspect.iscoroutinefunction(start):
        return ['start of an actor is a plain factory; did you mean kind="task"?']
    if kind == "task" and isinstance(start, type):
        return ['start of a task is an async function; did you mean kind="actor"?']
    return []


def _shutdown_problem(shutdown: object) -> list[str]:
    if isinstance(shutdown, str):
        fine = shutdown in _SHUTDOWN_WORDS
    else:
        fine = (
            _is_number(shutdown) and isinstance(shutdown, int | float) and 0 <= shutdown < math.inf
        )
    if fine:
        return []
    words = _either(_SHUTDOWN_WORDS)
    return [f"shutdown must be a number of seconds (0 or more), {words}, not {shutdown!r}"]


def _significant_problem(significant: object, restart: object) -> list[str]:
    if not isinstance(significant, bool):
        return [f"significant must be True or False, not {significant!r}"]
    if significant and restart == "permanent":
        return ["a permanent child cannot be significant: it never ends by itself"]
    return []


def _plan_problem(plan: object, kind: object) -> list[str]:
    if (kind == "supervisor") == isinstance(plan, SupervisorPlan):
        return []
    return ["a supervisor is built with supervisor(...) or dynamic_supervisor(...)"]


def _intensity_problems(max_restarts: object, max_seconds: object, backoff: object) -> list[str]:
    found = []
    if not isinstance(max_restarts, int) or isinstance(max_restarts, bool) or max_restarts < 0:
        found.append(f"max_restarts must be a whole number, 0 or more, not {max_restarts!r}")
    found += _number_problem("max_seconds", max_seconds, above=0, unit=" seconds")
    if isinstance(backoff, Backoff):
        found += backoff.problems()
    elif backoff is not None:
        found.append(f"backoff must be a Backoff or None, not {backoff!r}")
    return found


def _children_problems(specs: Iterable[object], auto_shutdown: object) -> list[str]:
    found = []
    seen = set()
    for spec in specs:
        if not isinstance(spec, ChildSpec):
            found.append(
                "a child is a ChildSpec(...), supervisor(...) or dynamic_supervisor(...), "
                f"not {spec!r}"
            )
            continue
        if spec.id in seen:
            found.append(f"two children have the id {spec.id!r}")
        seen.add(spec.id)
        if spec.significant and auto_shutdown == "never":
            found.append(f"child {spec.id!r} is significant, but auto_shutdown is never")
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _either(words: tuple[str, ...]) -> str:
    return ", ".join(words[:-1]) + " or " + words[-1]
