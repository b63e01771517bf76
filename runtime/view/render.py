"""From a snapshot to lines of text: pure functions, for the whole tree and for one screen of it."""

from __future__ import annotations

import json

from runtime.view.columns import Columns
from runtime.view.events import event_line
from runtime.view.glyphs import ASCII, UNICODE
from runtime.view.lines import cropped, length, plain
from runtime.view.session import Session
from runtime.view.wording import clean, duration, number, percent

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from runtime.view.glyphs import Glyphs
    from runtime.view.lines import Line
    from runtime.view.snapshot import Row, Snapshot

__all__ = ["body_height", "render", "render_screen", "visible_rows"]

_EVENTS = 8
_STATUS_STYLES = {"healthy": "good", "degraded": "warn", "unhealthy": "bad"}
_HELP = (
    ("q", "quit"),
    ("p", "pause and go on"),
    ("+  -", "longer and shorter interval between snapshots"),
    ("f", "only what is faulty, and the supervisors above it"),
    ("up down j k", "select; also page up, page down, home, end, g, G"),
    ("left right", "fold and unfold a supervisor; space does both"),
    ("enter", "everything the daemon says about the selected actor"),
    ("K  x", "kill the selected actor, after a y; its supervisor restarts it"),
    ("r", "ask the daemon now"),
    ("?", "this help"),
)


def render(
    snapshot: Snapshot,
    width: int,
    *,
    ascii_only: bool = False,
    faults_only: bool = False,
    events: int = _EVENTS,
    source: str = "",
) -> list[Line]:
    """Return the whole tree, as long as it is: what `standby tree --once` prints.

    Args:
        snapshot: What the daemon said.
        width: Characters in a line; none is longer.
        ascii_only: Draw with ASCII only.
        faults_only: Keep only what has a fault, and the supervisors above it.
        events: How many of the last reports to show.
        source: Where the snapshot comes from, usually the socket's path.
    """
    glyphs = ASCII if ascii_only else UNICODE
    rows = snapshot.rows(faults_only=faults_only)
    columns = Columns(width, rows, glyphs)
    lines = [*_header(snapshot, width, glyphs, source), []]
    lines.append(columns.heading())
    lines += [columns.row(row, snapshot, {}, flash=False) for row in rows]
    if shown := snapshot.events[-events:] if events else []:
        lines += [[], [("last reports", "head")]]
        taken = snapshot.answer.get("taken_at")
        lines += [event_line(event, taken, width, glyphs) for event in shown]
    return [cropped(line, width, ellipsis=glyphs.ellipsis) for line in lines]


def render_screen(
    snapshot: Snapshot | None,
    session: Session,
    width: int,
    height: int,
    *,
    ascii_only: bool = False,
    source: str = "",
    trouble: str = "",
    now: float = 0.0,
) -> list[Line]:
    """Return exactly one screen: what the live view draws. Only the visible rows are composed.

    Args:
        snapshot: What the daemon said last, or None when it has not answered yet.
        session: What the person at the keys has chosen; its selection and scroll position are
            made to fit, and what was shown for a while passes away.
        width: Characters in a line.
        height: Lines on the screen.
        ascii_only: Draw with ASCII only.
        source: Where the snapshots come from, usually the socket's path.
        trouble: Why there is no newer snapshot; empty while the daemon answers.
        now: A monotonic time in seconds.
    """
    glyphs = ASCII if ascii_only else UNICODE
    session.tick(now)
    footer = _footer(session, width, glyphs)
    if snapshot is None:
        lines = [_banner(session, trouble, width, glyphs) or [("standby", "title")], []]
        lines.append([(f"waiting for {source}", "dim")])
        return _filled(lines, height - 1, [footer], glyphs, width)
    header = _header(snapshot, width, glyphs, source)
    if banner := _banner(session, trouble, width, glyphs):
        header[0] = banner
    if session.help:
        return _filled([*header, [], *_help()], height - 1, [footer], glyphs, width)
    if session.inspecting:
        return _filled(
            [*header, [], *_inspection(snapshot, session)], height - 1, [footer], glyphs, width
        )
    rows = snapshot.rows(folded=session.folded, faults_only=session.faults_only)
    room = body_height(snapshot, height)
    session.settle(rows, room)
    columns = Columns(width, rows, glyphs)
    lines = [*header, columns.heading()]
    for row in rows[session.first : session.first + room]:
        line = columns.row(row, snapshot, session.rates, row.name in session.flashing)
        if row.name == session.selected:
            line = _reversed(line, width)
        lines.append(line)
    if session.faults_only and not any(row.faults for row in rows):
        lines.append([("nothing is faulty", "dim")])
    tail: list[Line] = []
    if shown := snapshot.events[-_shown_events(snapshot, height) :]:
        hidden = len(rows) - room
        heading = "last reports"
        if hidden > 0:
            last = min(len(rows), session.first + room)
            heading += f"   (rows {session.first + 1} to {last} of {len(rows)} above)"
        tail.append([(heading, "head")])
        taken = snapshot.answer.get("taken_at")
        tail += [event_line(event, taken, width, glyphs) for event in shown]
    return _filled(lines, height - 1 - len(tail), [*tail, footer], glyphs, width)


def body_height(snapshot: Snapshot, height: int) -> int:
    """Return how many rows of the tree fit on a screen of the given height."""
    events = _shown_events(snapshot, height)
    return max(1, height - 4 - (events + 1 if events else 0))


def _shown_events(snapshot: Snapshot, height: int) -> int:
    """Give the reports a quarter of the screen, and nothing where it is very low."""
    return min(_EVENTS, len(snapshot.events), max(0, (height - 8) // 4))


def _header(snapshot: Snapshot, width: int, glyphs: Glyphs, source: str) -> list[Line]:
    reasons = snapshot.degraded()
    status = str(snapshot.health.get("status") or ("degraded" if reasons else "healthy"))
    if reasons and status == "healthy":
        status = "degraded"
    glyph = glyphs.fault if status != "healthy" else glyphs.state("running")
    first: Line = [(f"standby {clean(snapshot.version)}".rstrip(), "title"), ("   ", "")]
    first.append((f"{glyph} {clean(status)}", _STATUS_STYLES.get(status, "warn")))
    if snapshot.pid is not None:
        first.append((f"   pid {snapshot.pid}", ""))
    first.append((f"   up {duration(snapshot.uptime)}", ""))
    if source and length(first) + 3 + len(source) <= width:
        first.append((f"   {clean(source)}", "dim"))
    second: Line = [(glyphs.separator.join(_totals(snapshot)), "")]
    return [cropped(first, width, ellipsis=glyphs.ellipsis), second]


def _totals(snapshot: Snapshot) -> list[str]:
    nodes = list(snapshot.nodes())
    restarts = sum(int(node.get("restarts") or 0) for node in nodes)
    said = []
    metrics = snapshot.metrics
    if "total_requests" in metrics:
        total = metrics["total_requests"] or 0
        said.append(f"{number(total)} request{'' if total == 1 else 's'}")
        rate = metrics.get("success_rate")
        if total and isinstance(rate, int | float):
            said.append(f"{percent(rate)} ok")
        average = metrics.get("average_response_time", metrics.get("avg_response_time"))
        if total and isinstance(average, int | float):
            said.append(f"{average:.0f} ms on average")
    said.append(f"{number(len(nodes))} actors")
    said.append(f"{number(restarts)} restart{'' if restarts == 1 else 's'}")
    if dropped := sum(_dropped(node) for node in nodes):
        said.append(f"{number(dropped)} messages dropped")
    return said


def _dropped(node: dict[str, object]) -> int:
    mailbox = node.get("mailbox")
    dropped = mailbox.get("dropped") if isinstance(mailbox, dict) else 0
    return dropped if isinstance(dropped, int) else 0


def _banner(session: Session, trouble: str, width: int, glyphs: Glyphs) -> Line:
    """Return what takes the header's first line while what is shown is not live."""
    if trouble:
        text = f" reconnecting: {clean(trouble)} "
    elif session.paused:
        text = " paused: p goes on "
    else:
        return []
    return cropped([(text, "banner")], width, ellipsis=glyphs.ellipsis)


def _footer(session: Session, width: int, glyphs: Glyphs) -> Line:
    if session.confirming:
        ask = f" kill {clean(session.confirming)}? y kills it, any other key does not "
        return cropped([(ask, "banner")], width, ellipsis=glyphs.ellipsis)
    if session.note:
        return cropped([(clean(session.note), "title")], width, ellipsis=glyphs.ellipsis)
    vertical, horizontal = glyphs.arrows
    keys = [
        ("q", "quit"),
        ("p", "go on" if session.paused else "pause"),
        ("+-", f"{session.interval:g}s"),
        ("f", "all" if session.faults_only else "faults"),
        (vertical, "select"),
        (horizontal, "fold"),
        ("K", "kill"),
        ("?", "help"),
    ]
    line: Line = []
    for key, word in keys:
        line += [(key, "title"), (f" {word}   ", "dim")]
    return cropped(line, width, ellipsis=glyphs.ellipsis)


def _help() -> list[Line]:
    lines: list[Line] = [[("keys", "head")]]
    lines += [[(f"  {keys:<13}", "title"), (meaning, "")] for keys, meaning in _HELP]
    lines += [[], [("  any of ? q enter escape goes back", "dim")]]
    return lines


def _inspection(snapshot: Snapshot, session: Session) -> list[Line]:
    """Return everything the daemon says about the selected actor, its children left out."""
    for node in snapshot.nodes():
        if node.get("name") == session.selected:
            break
    else:
        return [[(f"{clean(session.selected)} is gone", "dim")]]
    lines: list[Line] = [[(clean(session.selected), "head")]]
    shown = {key: value for key, value in node.items() if key not in {"children", "name"}}
    if session.selected.startswith("provider:"):
        shown["health"] = snapshot.provider(session.selected.partition(":")[2])
    if isinstance(shown.get("uptime"), int | float):
        shown["uptime"] = duration(shown["uptime"])
    for key, value in shown.items():
        nested = isinstance(value, dict)
        told = value.items() if nested and value else [("", value)]
        for inner, one in told:
            text = one if isinstance(one, str) else json.dumps(one, ensure_ascii=False)
            label = f"{key}.{inner}" if inner else key
            lines.append([(f"  {clean(label):<26}", "dim"), (clean(text), "")])
    return lines


def _reversed(line: Line, width: int) -> Line:
    """Return the selected row: one style over the whole width, marked by more than colour."""
    return [(plain(line).ljust(width), "selected")]


def _filled(
    lines: Sequence[Line], height: int, tail: Sequence[Line], glyphs: Glyphs, width: int
) -> list[Line]:
    """Return the lines cut or padded to a height, with the tail below them."""
    body = [cropped(line, width, ellipsis=glyphs.ellipsis) for line in lines[: max(0, height)]]
    body += [[] for _ in range(height - len(body))]
    return [*body, *tail]


def visible_rows(snapshot: Snapshot, session: Session) -> list[Row]:
    """Return the rows the session shows, for the keys that move among them."""
    return snapshot.rows(folded=session.folded, faults_only=session.faults_only)
