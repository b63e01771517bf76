"""What the keys do, without a terminal."""

import pytest

from runtime.view.session import INTERVALS, Session
from runtime.view.snapshot import Row, Snapshot
from tests.runtime.view.sample import health_answer, node, supervisor, tree_answer

SNAPSHOT = Snapshot(tree_answer(), health_answer())


def press(session: Session, *keys: str, height: int = 5) -> list[str]:
    """Press keys one after the other, with the rows each of them finds on the screen."""
    actions: list[str] = []
    for key in keys:
        rows = rows_of(session)
        session.settle(rows, height)
        actions.append(session.press(key, rows, height, now=100.0))
    session.settle(rows_of(session), height)
    return actions


def rows_of(session: Session) -> list[Row]:
    return SNAPSHOT.rows(folded=session.folded, faults_only=session.faults_only)


def test_q_quits() -> None:
    assert press(Session(), "q") == ["quit"]


@pytest.mark.parametrize(
    ("keys", "selected"),
    [
        ([], "standby"),
        (["down"], "telemetry"),
        (["j", "j"], "breakers"),
        (["j", "j", "k"], "telemetry"),
        (["up"], "standby"),
        (["end"], "door:unix"),
        (["G", "down"], "door:unix"),
        (["pagedown"], "providers"),
        (["G", "g"], "standby"),
        (["G", "left"], "doors"),
        (["G", "left", "left", "left"], "standby"),
    ],
)
def test_moving_the_selection(keys: list[str], selected: str) -> None:
    session = Session()
    press(session, *keys)
    assert session.selected == selected


def test_the_screen_scrolls_with_the_selection() -> None:
    session = Session()
    press(session, "end", height=4)
    assert session.first == len(rows_of(session)) - 4
    press(session, "home", height=4)
    assert session.first == 0


def test_the_selection_stays_with_its_actor_when_rows_appear_above_it() -> None:
    session = Session()
    press(session, "end")
    more = Snapshot({"tree": supervisor("standby", node("new"), node("door:unix"))})
    session.settle(more.rows(), 5)
    assert session.selected == "door:unix"


def test_the_selection_stays_in_place_when_its_actor_is_gone() -> None:
    session = Session()
    press(session, "j", "j")
    fewer = Snapshot({"tree": supervisor("standby", node("a"), node("b"), node("c"))})
    session.settle(fewer.rows(), 5)
    assert session.selected == "b"


@pytest.mark.parametrize("key", ["left", "h", " "])
def test_a_supervisor_folds_and_unfolds(key: str) -> None:
    session = Session()
    press(session, "j", "j", key)
    assert session.folded == {"breakers"}
    press(session, "right")
    assert session.folded == set()


@pytest.mark.parametrize("key", ["K", "x"])
def test_a_kill_is_asked_for_and_confirmed(key: str) -> None:
    session = Session()
    assert press(session, "down", key) == ["", ""]
    assert session.confirming == "telemetry"
    assert press(session, "y") == ["kill"]
    assert session.selected == "telemetry"
    assert session.confirming == ""


@pytest.mark.parametrize("key", ["n", "q", "enter", "escape", "K"])
def test_any_other_key_does_not_kill(key: str) -> None:
    session = Session()
    assert press(session, "down", "K", key) == ["", "", ""]
    assert session.confirming == ""
    assert session.note == "telemetry was left alone"


def test_pausing_and_going_on() -> None:
    session = Session()
    assert press(session, "p") == [""]
    assert session.paused
    assert press(session, "p") == ["refresh"]
    assert not session.paused


def test_the_interval_steps_between_its_bounds() -> None:
    session = Session(1.0)
    press(session, "+")
    assert session.interval == 2.0
    press(session, *"-" * 20)
    assert session.interval == INTERVALS[0]
    press(session, *"+" * 20)
    assert session.interval == INTERVALS[-1]


def test_f_switches_between_faults_and_all() -> None:
    session = Session()
    press(session, "f")
    assert session.faults_only
    press(session, "f")
    assert not session.faults_only


@pytest.mark.parametrize(("opens", "closes"), [("?", "?"), ("?", "escape"), ("enter", "q")])
def test_help_and_inspection_close_before_the_view_does(opens: str, closes: str) -> None:
    session = Session()
    assert press(session, opens, closes) == ["", ""]
    assert not session.help
    assert not session.inspecting
    assert press(session, "q") == ["quit"]


def test_a_new_incarnation_flashes_for_a_while() -> None:
    session = Session()
    session.take(Snapshot(tree_answer()), 10.0)
    assert session.flashing == frozenset()
    session.take(Snapshot(tree_answer(killed=True)), 11.0)
    assert session.flashing == {"provider:sim-a"}
    session.tick(13.5)
    assert session.flashing == {"provider:sim-a"}
    session.tick(14.1)
    assert session.flashing == frozenset()


def test_the_rate_is_what_was_handled_since_the_last_snapshot() -> None:
    session = Session()
    session.take(Snapshot({"tree": node("a", handled=100)}), 10.0)
    session.take(Snapshot({"tree": node("a", handled=150)}), 12.0)
    assert session.rates == {"a": 25.0}
    session.take(Snapshot({"tree": node("a", handled=3, incarnation=2)}), 13.0)
    assert session.rates == {"a": 0.0}


def test_a_supervisor_with_very_many_children_starts_folded_and_stays_as_chosen() -> None:
    crowd = Snapshot({"tree": supervisor("doors", *(node(f"c{i}") for i in range(100)))})
    session = Session()
    session.take(crowd, 1.0)
    assert session.folded == {"doors"}
    rows = crowd.rows(folded=session.folded)
    session.settle(rows, 5)
    session.press("right", rows, 5, 1.0)
    session.take(crowd, 2.0)
    assert session.folded == set()


def test_a_note_passes_away() -> None:
    session = Session()
    session.say("killed telemetry", 10.0)
    session.tick(13.0)
    assert session.note
    session.tick(15.0)
    assert not session.note
