"""A specification names every mistake in it before anything starts."""

from __future__ import annotations

import math
from typing import Any

import pytest
import trio

from supervision import Actor, Backoff, ChildSpec, SpecError, dynamic_supervisor, supervisor


async def task() -> None:
    await trio.sleep_forever()


def fine(name: str = "a") -> ChildSpec:
    return ChildSpec(name, Actor)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"id": ""}, "id must be a non-empty string, not ''"),
        ({"id": 7}, "id must be a non-empty string, not 7"),
        ({"start": None}, "start must be callable, not None"),
        ({"start": task}, 'start of an actor is a plain factory; did you mean kind="task"'),
        ({"kind": "task"}, 'start of a task is an async function; did you mean kind="actor"'),
        ({"kind": "worker"}, "kind must be actor, task or supervisor, not 'worker'"),
        ({"kind": "supervisor"}, "a supervisor is built with supervisor"),
        ({"restart": "always"}, "restart must be permanent, transient or temporary, not 'always'"),
        ({"shutdown": -1}, r"shutdown must be a number of seconds \(0 or more\), brutal_kill or"),
        ({"shutdown": "soon"}, "shutdown must be .* not 'soon'"),
        ({"shutdown": math.inf}, "shutdown must be .* not inf"),
        ({"shutdown": True}, "shutdown must be .* not True"),
        ({"significant": "yes"}, "significant must be True or False, not 'yes'"),
        ({"significant": True}, "a permanent child cannot be significant"),
        ({"meta": 3}, "meta must be a mapping, not 3"),
        ({"context": True}, "context is for tasks only"),
        ({"start_timeout": 0}, "start_timeout must be a number, more than 0 seconds, not 0"),
    ],
)
def test_each_mistake_in_a_child_has_its_own_sentence(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(SpecError, match=text) as caught:
        ChildSpec(**{"id": "a", "start": Actor, **fields})
    assert len(caught.value.problems) == 1


def test_all_mistakes_are_named_at_once() -> None:
    wrong: Any = {"restart": "always", "shutdown": -1, "meta": 3}
    with pytest.raises(SpecError) as caught:
        ChildSpec("a", Actor, **wrong)
    assert len(caught.value.problems) == 3
    assert str(caught.value).startswith("child 'a': ")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"strategy": "one_for_none"}, "strategy must be one_for_one, one_for_all or rest_for_one"),
        ({"max_restarts": -1}, "max_restarts must be a whole number, 0 or more, not -1"),
        ({"max_restarts": 1.5}, "max_restarts must be a whole number, 0 or more, not 1.5"),
        ({"max_seconds": 0}, "max_seconds must be a number, more than 0 seconds, not 0"),
        ({"auto_shutdown": "some"}, "auto_shutdown must be never, any_significant or all_"),
        ({"backoff": 3}, "backoff must be a Backoff or None, not 3"),
        ({"backoff": Backoff(factor=0.5)}, "backoff.factor must be 1 or more, not 0.5"),
        ({"backoff": Backoff(first=-1)}, "backoff.first must be 0 or more seconds"),
        ({"backoff": Backoff(maximum=0)}, "backoff.maximum must not be less than first"),
        ({"backoff": Backoff(jitter=2)}, "backoff.jitter must be between 0 and 1"),
        ({"backoff": Backoff(healthy_after=-1)}, "backoff.healthy_after must be 0 or more"),
        ({"backoff": Backoff(after_kill=-1)}, "backoff.after_kill must be 0 or more seconds"),
    ],
)
def test_each_mistake_in_a_supervisor_has_its_own_sentence(
    options: dict[str, Any], text: str
) -> None:
    with pytest.raises(SpecError, match=text):
        supervisor("root", [fine()], **options)


def test_children_are_checked_with_their_supervisor() -> None:
    wrong: Any = [fine("a"), fine("a"), "b"]
    with pytest.raises(SpecError, match=r"two children have the id 'a'; a child is a ChildSpec"):
        supervisor("root", wrong)
    significant = ChildSpec("s", Actor, restart="transient", significant=True)
    with pytest.raises(SpecError, match="'s' is significant, but auto_shutdown is never"):
        supervisor("root", [significant])


def test_a_dynamic_supervisors_bound_is_checked() -> None:
    with pytest.raises(SpecError, match="max_children must be a number, 0 or more, not -1"):
        dynamic_supervisor("pool", max_children=-1)
