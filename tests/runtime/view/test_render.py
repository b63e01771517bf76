"""The tree as text: what stands where, at which width, with which symbols."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.view.lines import ansi, length, plain
from runtime.view.render import body_height, render, render_screen, visible_rows
from runtime.view.session import Session
from runtime.view.snapshot import Snapshot
from tests.runtime.view.sample import health_answer, node, supervisor, tree_answer


def shown(snapshot: Snapshot, width: int = 120, **options: Any) -> list[str]:
    return [plain(line) for line in render(snapshot, width, **options)]


def screen(
    snapshot: Snapshot | None, session: Session, width: int = 100, height: int = 24, **options: Any
) -> list[str]:
    return [plain(line) for line in render_screen(snapshot, session, width, height, **options)]


def row_of(lines: list[str], name: str) -> str:
    return next(line for line in lines if f" {name}" in f" {line}")


def many(count: int) -> Snapshot:
    return Snapshot({"tree": supervisor("root", *(node(f"a{i:04}") for i in range(count)))})


def test_the_whole_tree_as_text() -> None:
    snapshot = Snapshot(tree_answer(killed=True), health_answer())
    assert shown(snapshot, 80, source="/run/standby/standby.sock") == [
        "standby 0.1.0   ● healthy   pid 4242   up 4m05s   /run/standby/standby.sock",
        "1,204 requests · 98.0 % ok · 150 ms on average · 11 actors · 1 restart",
        "",
        "actor                       uptime  restarts  mailbox  facts",
        "● standby #1                 4m05s         0        -  one_for_one ▱▱▱ 0/3 in 5s",
        "├─ ● telemetry #1            4m05s         0        4",
        "├─ ● breakers #1             4m05s         0        -  one_for_one ▱▱▱ 0/3 in 5s",
        "│  ├─ ● breaker:sim-a #1     4m05s         0        0  closed",
        "│  └─ ● breaker:sim-b #1     4m05s         0        0  closed",
        "├─ ● providers #1            4m05s         0        -  one_for_one ▰▱▱ 1/3 in 5s",
        "│  ├─ ● provider:sim-a #2     3.4s         1        0  closed · 2 in flight",
        "│  └─ ● provider:sim-b #1    4m05s         0        0  closed · 0 in flight",
        "├─ ● failover #1             4m05s         0        0",
        "└─ ● doors #1                4m05s         0        -  one_for_one ▱▱▱ 0/3 in 5s",
        "   └─ ● door:unix #1         4m05s         0        0  connections 2",
        "",
        "last reports",
        " 3.4s ago  child terminated  provider:sim-a #1  killed",
    ]


def test_wider_lines_have_more_columns_in_a_fixed_order() -> None:
    snapshot = Snapshot(tree_answer(), health_answer())
    headings = {width: shown(snapshot, width)[3].split() for width in (60, 80, 120, 160)}
    assert headings[60] == ["actor", "uptime", "restarts"]
    assert headings[80] == ["actor", "uptime", "restarts", "mailbox", "facts"]
    assert headings[120][3:] == ["mail/peak/limit", "handled", "facts", "last", "exit"]
    assert headings[160][3:] == ["mail/peak/limit", "handled", "msg/s", "facts", "last", "exit"]


def test_wide_lines_show_mailbox_peak_and_limit_and_the_last_exit() -> None:
    lines = shown(Snapshot(tree_answer(killed=True), health_answer()), 120)
    assert "4/120/10k      12k" in row_of(lines, "telemetry")
    provider = row_of(lines, "provider:sim-a")
    assert "  closed · 2 in flight · health 0.95  " in provider
    assert provider.endswith("  killed")


def test_first_starts_are_no_news_and_restarts_are() -> None:
    def started(name: str, incarnation: int) -> dict[str, Any]:
        return {"kind": "progress", "context": "started", "name": name, "incarnation": incarnation}

    events = [started("connection:unix:1", 1), started("telemetry", 2)]
    lines = shown(Snapshot({"tree": node("root"), "events": events}))
    assert not any("connection" in line for line in lines)
    assert any(line.split()[:3] == ["started", "telemetry", "#2"] for line in lines)


def test_ascii_uses_no_other_characters() -> None:
    lines = shown(Snapshot(tree_answer(killed=True), health_answer()), 80, ascii_only=True)
    assert all(line.isascii() for line in lines)
    assert "|  |- * provider:sim-a #2" in row_of(lines, "provider:sim-a")
    assert "#.. 1/3 in 5s" in row_of(lines, "providers")


@pytest.mark.parametrize(
    ("state", "glyph"),
    [("running", "●"), ("starting", "◌"), ("restarting", "↻"), ("stopping", "◐"), ("stopped", "○")],
)
def test_every_state_has_its_own_symbol(state: str, glyph: str) -> None:
    snapshot = Snapshot({"tree": supervisor("root", node("child", state=state))})
    assert row_of(shown(snapshot), "child").startswith(f"└─ {glyph} child")


def test_an_open_breaker_is_a_fault_in_its_row_and_in_the_header() -> None:
    snapshot = Snapshot(tree_answer(), health_answer("degraded", sim_b="open"))
    lines = shown(snapshot)
    assert "▲ degraded" in lines[0]
    assert row_of(lines, "breaker:sim-b").startswith("│  └─ ▲ breaker:sim-b")
    assert row_of(lines, "breaker:sim-a").startswith("│  ├─ ● breaker:sim-a")
    assert snapshot.degraded() == ["breaker:sim-b: breaker open"]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"state": "restarting"}, "restarting"),
        ({"state": "stopped", "last_exit": "ValueError: x"}, "stopped"),
        ({"mailbox": {"now": 90, "peak": 90, "limit": 100, "dropped": 0}}, "mailbox nearly full"),
        ({"restart_budget": {"used": 3, "max": 3, "seconds": 5}}, "no restart left"),
    ],
)
def test_what_counts_as_a_fault(changed: dict[str, Any], reason: str) -> None:
    snapshot = Snapshot({"tree": supervisor("root", node("a", **changed), node("b"))})
    assert snapshot.degraded() == [f"a: {reason}"]


def test_an_actor_that_ended_in_order_is_no_fault() -> None:
    ended = node("a", state="stopped", last_exit="normal")
    assert Snapshot({"tree": supervisor("root", ended)}).degraded() == []


def test_faults_only_keeps_the_supervisors_above_a_fault() -> None:
    snapshot = Snapshot(tree_answer(), health_answer("degraded", sim_b="open"))
    rows = [row.name for row in snapshot.rows(faults_only=True)]
    assert rows == ["standby", "breakers", "breaker:sim-b"]


def test_a_folded_supervisor_counts_what_is_below_it_and_shows_its_worst() -> None:
    snapshot = Snapshot(tree_answer(), health_answer("degraded", sim_b="open"))
    session = Session()
    session.folded = {"breakers", "providers"}
    lines = screen(snapshot, session)
    assert "▲ breakers #1 +2" in row_of(lines, "breakers")
    assert "● providers #1 +2" in row_of(lines, "providers")
    assert not any("sim-b" in line for line in lines)


def test_a_provider_without_its_key_says_what_is_missing() -> None:
    snapshot = Snapshot({"tree": node("provider:openai-main")}, health_answer())
    assert "not configured · needs api_key" in row_of(shown(snapshot), "provider:openai-main")


def test_text_from_elsewhere_cannot_steer_the_terminal() -> None:
    evil = node("a\x1b[2J", last_exit="x\x07\ny", extra={"note": "\x1b]0;t\x07"})
    for line in shown(Snapshot({"tree": evil}), 160):
        assert line.isprintable()


def test_styles_are_escape_sequences_that_are_always_closed() -> None:
    for line in render(Snapshot(tree_answer(killed=True), health_answer()), 120):
        coloured = ansi(line)
        assert coloured.count("\x1b[") == 2 * coloured.count("\x1b[0m")


def test_an_empty_answer_is_drawn_and_is_a_fault() -> None:
    snapshot = Snapshot({})
    assert shown(snapshot)[0].startswith("standby")
    assert snapshot.degraded() == ["the daemon shows no tree"]


STATES = st.sampled_from(["running", "restarting", "stopped", "of a later version"])
TEXT = st.text(max_size=30)
NODES = st.recursive(
    st.builds(node, TEXT, state=STATES, last_exit=st.none() | TEXT, restarts=st.integers(0, 10**7)),
    lambda below: st.lists(below, max_size=4).flatmap(
        lambda children: st.builds(supervisor, TEXT, *map(st.just, children))
    ),
    max_leaves=12,
)


@given(NODES, st.integers(20, 200), st.booleans())
def test_no_line_is_longer_than_the_width(
    tree: dict[str, Any], width: int, ascii_only: bool
) -> None:
    lines = render(Snapshot({"tree": tree}), width, ascii_only=ascii_only)
    assert max(length(line) for line in lines) <= width


@given(st.integers(0, 60), st.integers(20, 200), st.integers(1, 60), st.integers(0, 70))
def test_a_screen_has_exactly_its_height_and_shows_the_selection(
    actors: int, width: int, height: int, at: int
) -> None:
    snapshot, session = many(actors), Session()
    session.take(snapshot, 0.0)
    session.folded.clear()
    session.selected = f"a{at:04}"
    lines = screen(snapshot, session, width, height)
    assert len(lines) == height
    assert max(map(len, lines)) <= width
    if at < actors and height >= 5:
        assert any(f"a{at:04}"[:4] in line for line in lines)


def test_only_the_rows_that_fit_are_drawn() -> None:
    snapshot, session = many(30), Session()
    session.selected = "a0020"
    lines = screen(snapshot, session, height=14)
    room = body_height(snapshot, 14)
    assert sum(" a00" in line for line in lines) == room
    assert "a0020" in lines[2 + room]


def test_the_screen_says_that_it_is_reconnecting_and_keeps_the_last_picture() -> None:
    snapshot = Snapshot(tree_answer(), health_answer())
    lines = screen(snapshot, Session(), trouble="no daemon answers at /x")
    assert lines[0] == " reconnecting: no daemon answers at /x"
    assert any("telemetry" in line for line in lines)


def test_the_screen_says_that_it_is_paused() -> None:
    session = Session()
    session.paused = True
    lines = screen(Snapshot(tree_answer(), health_answer()), session)
    assert "paused" in lines[0]
    assert "p go on" in lines[-1]


def test_the_screen_before_the_first_answer() -> None:
    lines = screen(None, Session(), source="/x.sock", trouble="no daemon")
    assert lines[0] == " reconnecting: no daemon"
    assert "waiting for /x.sock" in lines


def test_the_footer_asks_before_it_kills() -> None:
    session = Session()
    session.confirming = "provider:sim-a"
    lines = screen(Snapshot(tree_answer()), session)
    assert lines[-1].startswith(" kill provider:sim-a? y kills it")


def test_help_names_the_keys() -> None:
    session = Session()
    session.help = True
    lines = screen(Snapshot(tree_answer()), session)
    assert any("kill the selected actor" in line for line in lines)
    assert not any("…" in line for line in screen(Snapshot(tree_answer()), session, width=80))


def test_inspecting_shows_everything_about_the_selected_actor() -> None:
    session = Session()
    session.selected, session.inspecting = "provider:sim-a", True
    lines = screen(Snapshot(tree_answer(), health_answer()), session, height=60)
    assert any(line.split() == ["extra.in_flight", "2"] for line in lines)
    assert any(line.split() == ["health.kind", "simulated"] for line in lines)
    assert any(line.split() == ["uptime", "4m05s"] for line in lines)


def test_nothing_faulty_is_said_in_words() -> None:
    session = Session()
    session.faults_only = True
    lines = screen(Snapshot(tree_answer(), health_answer()), session)
    assert "nothing is faulty" in lines


def test_visible_rows_are_those_on_the_screen() -> None:
    snapshot, session = Snapshot(tree_answer(), health_answer()), Session()
    session.folded = {"providers"}
    names = [row.name for row in visible_rows(snapshot, session)]
    assert "providers" in names
    assert "provider:sim-a" not in names
