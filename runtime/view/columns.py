"""The columns of the tree: what stands in each, how wide it is, and which give way first."""

from __future__ import annotations

from runtime.view.lines import length
from runtime.view.wording import bounded, circuit_of, clean, count, duration

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any

    from runtime.view.glyphs import Glyphs
    from runtime.view.lines import Line
    from runtime.view.snapshot import Row, Snapshot

__all__ = ["Columns"]

_GAP = "  "
_MOST_BAR = 5
_NARROWEST, _NARROW, _MIDDLE, _WIDE = 40, 80, 120, 160


class Columns:
    """The columns for one width.

    Under 40 characters: the name alone. From there uptime and restarts too. From 80: mailbox and
    facts. From 120: the mailbox with peak and limit, messages handled, the last exit. From 160:
    messages a second.

    Args:
        width: Characters in a line.
        rows: The rows to be drawn, which decide how wide the names are.
        glyphs: The symbols to draw with.
    """

    def __init__(self, width: int, rows: Sequence[Row], glyphs: Glyphs) -> None:
        self._glyphs = glyphs
        self._narrow = width < _NARROW
        self._full_mailbox = width >= _MIDDLE
        self._rate = width >= _WIDE
        widths = {"uptime": 7, "restarts": 8} if width >= _NARROWEST else {}
        if not self._narrow:
            widths["mailbox"] = 15 if self._full_mailbox else 7
        if self._full_mailbox:
            widths["handled"] = 7
        if self._rate:
            widths["msg/s"] = 6
        self._numbers = widths
        taken = sum(widths.values()) + len(_GAP) * len(widths)
        longest = max((_name_width(row) for row in rows), default=10)
        rest = max(10, width - taken)
        self._name = min(longest, rest if self._narrow else max(16, rest * 6 // 10))
        rest -= self._name
        self._facts = self._last_exit = 0
        if self._full_mailbox:
            exits = max((len(str(row.node.get("last_exit") or "")) for row in rows), default=0)
            self._last_exit = min(max(exits, len("last exit")), max(9, rest // 3))
            self._facts = max(0, min(44, rest - self._last_exit - 2 * len(_GAP)))
            self._last_exit = max(0, rest - self._facts - 2 * len(_GAP))
        elif not self._narrow:
            self._facts = max(0, rest - len(_GAP))

    def heading(self) -> Line:
        """Return the line above the rows."""
        text = "actor".ljust(self._name)
        for name, width in self._numbers.items():
            shown = "mail/peak/limit" if name == "mailbox" and self._full_mailbox else name
            text += _GAP + shown[:width].rjust(width)
        if self._facts:
            text += _GAP + "facts".ljust(self._facts)
        if self._last_exit:
            text += _GAP + "last exit".ljust(self._last_exit)
        return [(text, "head")]

    def row(self, row: Row, snapshot: Snapshot, rates: Mapping[str, float], flash: bool) -> Line:
        """Return one actor's line."""
        line = self._tree(row, flash)
        line += self._cells(row, rates)
        if self._facts:
            facts = self._facts_of(row, snapshot)
            line += [(_GAP, ""), *facts]
            if self._last_exit:
                line.append((" " * max(0, self._facts - length(facts)), ""))
        if self._last_exit:
            ended = clean(str(row.node.get("last_exit") or ""))
            shown = bounded(ended, self._last_exit, ellipsis=self._glyphs.ellipsis)
            line += [(_GAP, ""), (shown, "dim")]
        return line

    def _tree(self, row: Row, flash: bool) -> Line:
        further, final, below, nothing = self._glyphs.guides
        guides = "".join(nothing if last else below for last in row.last[:-1])
        if row.last:
            guides += final if row.last[-1] else further
        glyph, style = self._glyph(row)
        incarnation = row.node.get("incarnation")
        number = f" #{incarnation}" if isinstance(incarnation, int) and incarnation else ""
        folded = f" +{row.below}" if row.folded else ""
        room = self._name - len(guides) - 2 - len(number) - len(folded)
        name = bounded(clean(row.name), max(4, room), ellipsis=self._glyphs.ellipsis)
        line: Line = [
            (guides, "dim"),
            (glyph + " ", style),
            (name, "flash" if flash else "name" if row.supervises else ""),
            (number, "dim"),
            (folded, "bad" if row.worst else "dim"),
        ]
        line.append((" " * max(0, self._name - length(line)), ""))
        return line

    def _glyph(self, row: Row) -> tuple[str, str]:
        if row.state in {"restarting", "stopped"}:
            return self._glyphs.state(row.state), "bad" if row.faults else "dim"
        if row.faults or row.worst:
            return self._glyphs.fault, "warn"
        if row.state == "running":
            return self._glyphs.state("running"), "good"
        return self._glyphs.state(row.state), "warn"

    def _cells(self, row: Row, rates: Mapping[str, float]) -> Line:
        line: Line = []
        for name, width in self._numbers.items():
            text, style = self._cell(name, row, rates)
            line += [(_GAP, ""), (text.rjust(width), style)]
        return line

    def _cell(self, name: str, row: Row, rates: Mapping[str, float]) -> tuple[str, str]:
        if name == "uptime":
            uptime = row.node.get("uptime")
            running = isinstance(uptime, int | float) and row.state != "stopped"
            return (duration(float(uptime or 0)) if running else "-"), ""
        if name == "restarts":
            restarts = row.node.get("restarts")
            if not isinstance(restarts, int):
                return "-", "dim"
            return count(restarts), "warn" if restarts else "dim"
        if not isinstance(row.node.get("mailbox"), dict):
            return "-", "dim"  # supervisors and plain tasks take no messages
        if name == "handled":
            return count(row.node.get("handled") or 0), ""
        if name == "msg/s":
            rate = rates.get(row.name)
            return ("-", "dim") if rate is None else (count(rate), "" if rate else "dim")
        return self._mailbox(row.node.get("mailbox"))

    def _mailbox(self, mailbox: object) -> tuple[str, str]:
        if not isinstance(mailbox, dict):
            return "-", "dim"
        now, peak, limit = (mailbox.get(key) or 0 for key in ("now", "peak", "limit"))
        style = "bad" if limit and now >= 0.85 * limit else "" if now else "dim"
        lost = "!" if mailbox.get("dropped") else ""
        if not self._full_mailbox:
            return lost + count(now), style
        return f"{lost}{count(now)}/{count(peak)}/{count(limit) if limit else '-'}", style

    def _facts_of(self, row: Row, snapshot: Snapshot) -> Line:
        """Return the fullest account of what is special about an actor that fits its column."""
        for facts in _accounts(row, snapshot, self._glyphs):
            if length(facts) <= self._facts:
                return facts
        return []


def _name_width(row: Row) -> int:
    incarnation = row.node.get("incarnation")
    number = len(f" #{incarnation}") if isinstance(incarnation, int) and incarnation else 0
    return 3 * row.depth + 2 + len(row.name) + number + (len(f" +{row.below}") * row.folded)


def _accounts(row: Row, snapshot: Snapshot, glyphs: Glyphs) -> list[Line]:
    """Return ways to say what is special about an actor, the fullest first."""
    prefix, _, rest = row.name.partition(":")
    if isinstance(row.node.get("restart_budget"), dict):
        return _supervisor(row, glyphs)
    if prefix == "provider" and rest:
        return _provider(row, snapshot.provider(rest), glyphs)
    if prefix == "breaker" and rest:
        return _breaker(row, snapshot)
    waiting = clean(str(row.node.get("waiting_in") or ""))
    facts = [
        f"{clean(str(key)).replace('_', ' ')} {_short(value)}"
        for key, value in row.extra.items()
        if isinstance(value, str | int | float) and value != ""
    ]
    if waiting not in {"", "mailbox"}:
        facts.append(f"in {waiting}")
    return [[(glyphs.separator.join(facts[:most]), "dim")] for most in range(len(facts), 0, -1)]


def _supervisor(row: Row, glyphs: Glyphs) -> list[Line]:
    budget: dict[str, Any] = row.node["restart_budget"]
    used, most = int(budget.get("used") or 0), int(budget.get("max") or 0)
    seconds = float(budget.get("seconds") or 0)
    cells = min(most, _MOST_BAR)
    filled = cells if used >= most else used * cells // most
    if used and not filled:
        filled = min(1, cells)
    near = used > 0 and (used >= most - 1 or used * 2 >= most)
    style = "bad" if used >= most > 0 else "warn" if near else "good"
    bar: Line = [
        (glyphs.full * filled, style),
        (glyphs.empty * (cells - filled), "dim"),
        (f" {used}/{most} in {seconds:g}s", style if used else "dim"),
    ]
    strategy = clean(str(row.node.get("strategy") or ""))
    if not strategy:
        return [bar]
    return [[(strategy + " ", "dim"), *bar], bar]


def _provider(row: Row, health: dict[str, Any], glyphs: Glyphs) -> list[Line]:
    if health.get("configured") is False:
        missing = clean(str(health.get("missing") or ""))
        return [
            [("not configured", "warn"), (glyphs.separator + missing, "dim")],
            [("not configured", "warn")],
        ]
    facts: Line = []
    breaker = circuit_of(health) or str(row.extra.get("circuit_state") or "")
    if breaker:
        facts.append((breaker.replace("_", "-"), _BREAKER_STYLES.get(breaker, "bad")))
    short = facts[:]
    for key, words in (("in_flight", "in flight"), ("queued", "queued")):
        value = _first(row.extra.get(key), health.get(key))
        if isinstance(value, int) and (value or key == "in_flight"):
            facts.append((f"{value} {words}", "" if value else "dim"))
    score = health.get("health_score")
    if isinstance(score, int | float):
        style = "good" if score >= 0.8 else "warn" if score >= 0.5 else "bad"
        facts.append((f"health {score:.2f}", style))
        short.append((f"{score:.2f}", style))
    gate = health.get("gate_opens_in")
    if isinstance(gate, int | float) and gate > 0:
        facts.append((f"429 for {duration(gate)}", "warn"))
    accounts = [_joined(facts[:most], glyphs) for most in range(len(facts), 1, -1)]
    return [*accounts, _joined(short, glyphs), _joined(short[:1], glyphs)]


def _breaker(row: Row, snapshot: Snapshot) -> list[Line]:
    state = snapshot.breaker_state(row)
    if not state:
        return []
    shown: Line = [(state.replace("_", "-"), _BREAKER_STYLES.get(state, "bad"))]
    wait = row.extra.get("retry_in")
    if state != "open" or not isinstance(wait, int | float) or wait <= 0:
        return [shown]
    known: Line = [*shown, (f", next try in {duration(wait)}", "dim")]
    reason = clean(str(row.extra.get("reason") or ""))
    return [[*known, (f": {reason}", "dim")], known, shown] if reason else [known, shown]


_BREAKER_STYLES = {
    "closed": "good",
    "half_open": "warn",
    "forced_closed": "warn",
    "disabled": "dim",
}


def _joined(facts: Line, glyphs: Glyphs) -> Line:
    line: Line = []
    for fact in facts:
        if line:
            line.append((glyphs.separator, "dim"))
        line.append(fact)
    return line


def _first(*values: object) -> object:
    return next((value for value in values if value is not None), None)


def _short(value: str | float) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value)
    return f"{value:.3g}" if isinstance(value, float) else clean(value)
