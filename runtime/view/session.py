"""What the person at the keys has chosen, and what a key press does to it.

No terminal and no socket here: `press` takes a key's name and returns what the caller has to do, so
that every key can be tested as a plain function call.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Literal, TypeAlias

    from runtime.view.snapshot import Row, Snapshot

    Action: TypeAlias = Literal["", "quit", "kill", "refresh"]

__all__ = ["INTERVALS", "Session"]

INTERVALS = (0.25, 0.5, 1.0, 2.0, 5.0, 10.0)
"""Seconds between two snapshots, as `+` and `-` step through them."""

_FLASH = 3.0
_NOTE = 4.0
_FOLD_ABOVE = 30


class Session:
    """The state of one live view.

    Args:
        interval: Seconds between two snapshots.

    Attributes:
        selected: Name of the selected actor; it stays selected wherever its row moves.
        first: Index of the topmost row on screen.
        confirming: Name of the actor that will be killed if the next key is `y`.
        note: A message for the footer, until its time is over.
        rates: Messages handled a second by each actor, over the last interval.
    """

    def __init__(self, interval: float = 1.0) -> None:
        self.interval = interval
        self.paused = False
        self.faults_only = False
        self.help = False
        self.inspecting = False
        self.selected = ""
        self.first = 0
        self.confirming = ""
        self.folded: set[str] = set()
        self.note = ""
        self.rates: dict[str, float] = {}
        self._note_until = 0.0
        self._position = 0
        self._unfolded: set[str] = set()
        self._incarnations: dict[str, int] = {}
        self._flashing: dict[str, float] = {}
        self._handled: dict[str, float] = {}
        self._taken = 0.0

    def take(self, snapshot: Snapshot, now: float) -> None:
        """Compare a new snapshot with the one before: rates, fresh incarnations, large branches.

        Args:
            snapshot: The new one.
            now: A monotonic time in seconds.
        """
        elapsed = now - self._taken
        handled: dict[str, float] = {}
        incarnations: dict[str, int] = {}
        for node in snapshot.nodes():
            name = str(node.get("name", "?"))
            if isinstance(count := node.get("handled"), int):
                handled[name] = count
            if isinstance(incarnation := node.get("incarnation"), int):
                incarnations[name] = incarnation
                before = self._incarnations.get(name)
                if before is not None and before != incarnation:
                    self._flashing[name] = now + _FLASH
            many = len(node.get("children") or ()) > _FOLD_ABOVE
            if many and name not in self._unfolded:
                self.folded.add(name)
        if self._taken and elapsed > 0:
            self.rates = {
                name: max(0.0, count - self._handled[name]) / elapsed
                for name, count in handled.items()
                if name in self._handled
            }
        self._handled, self._incarnations, self._taken = handled, incarnations, now

    def tick(self, now: float) -> None:
        """Let what is shown for a while only pass away."""
        self._flashing = {n: until for n, until in self._flashing.items() if until > now}
        if self.note and now >= self._note_until:
            self.note = ""

    def say(self, text: str, now: float) -> None:
        """Show a message in the footer for a few seconds."""
        self.note, self._note_until = text, now + _NOTE

    @property
    def flashing(self) -> frozenset[str]:
        """Names of the actors that were restarted within the last seconds."""
        return frozenset(self._flashing)

    def settle(self, rows: Sequence[Row], height: int) -> None:
        """Make the selection and the scroll position fit the rows there are.

        Args:
            rows: The rows to be drawn.
            height: How many of them fit on the screen.
        """
        if not rows:
            self.first = 0
            return
        index = self._index(rows)
        self.selected, self._position = rows[index].name, index
        height = max(1, height)
        self.first = max(0, min(self.first, len(rows) - height))
        if index < self.first:
            self.first = index
        elif index >= self.first + height:
            self.first = index - height + 1

    def press(self, key: str, rows: Sequence[Row], height: int, now: float) -> Action:
        """Take one key and return what the caller has to do.

        Args:
            key: A printable character, or a name of `runtime.view.keyboard`.
            rows: The rows drawn now.
            height: How many rows fit on the screen; a page's length.
            now: A monotonic time in seconds.

        Returns:
            `quit`; `kill` (the actor named by `selected`); `refresh` to ask the daemon at once; or
            an empty string.
        """
        if self.confirming:
            return self._confirm(key, now)
        if self.help or self.inspecting:
            if key in {"?", "escape", "q", "enter", "i", " "}:
                self.help = self.inspecting = False
                return ""
            if key not in {"up", "down", "j", "k"}:
                return ""
        if key == "q":
            return "quit"
        if key in {"K", "x"}:
            if self.selected:
                self.confirming = self.selected
        elif key == "?":
            self.help = True
        elif key in {"enter", "i"}:
            self.inspecting = bool(self.selected)
        elif key == "p":
            self.paused = not self.paused
            return "" if self.paused else "refresh"
        elif key == "f":
            self.faults_only = not self.faults_only
        elif key in {"+", "=", "-", "_"}:
            self._step(1 if key in {"+", "="} else -1, now)
        elif key in {"r", "\x0c"}:
            return "refresh"
        else:
            self._move(key, rows, height)
        return ""

    def _confirm(self, key: str, now: float) -> Action:
        name, self.confirming = self.confirming, ""
        if key in {"y", "Y"}:
            self.selected = name
            return "kill"
        self.say(f"{name} was left alone", now)
        return ""

    def _step(self, direction: int, now: float) -> None:
        """Make the interval longer (+1) or shorter (-1)."""
        nearest = min(range(len(INTERVALS)), key=lambda i: abs(INTERVALS[i] - self.interval))
        chosen = max(0, min(nearest + direction, len(INTERVALS) - 1))
        self.interval = INTERVALS[chosen]
        self.say(f"a snapshot every {self.interval:g} s", now)

    def _move(self, key: str, rows: Sequence[Row], height: int) -> None:
        if not rows:
            return
        index = self._index(rows)
        row = rows[index]
        steps = {
            "up": index - 1,
            "k": index - 1,
            "down": index + 1,
            "j": index + 1,
            "pageup": index - height,
            "pagedown": index + height,
            "home": 0,
            "g": 0,
            "end": len(rows) - 1,
            "G": len(rows) - 1,
        }
        if key in steps:
            self.selected = rows[max(0, min(steps[key], len(rows) - 1))].name
        elif key in {"left", "h"}:
            if row.supervises and row.below and not row.folded:
                self._fold(row.name)
            elif row.depth:
                self.selected = _parent(rows, index)
        elif key in {"right", "l"} and row.folded:
            self._unfold(row.name)
        elif key == " " and row.below:
            (self._unfold if row.folded else self._fold)(row.name)

    def _fold(self, name: str) -> None:
        self.folded.add(name)
        self._unfolded.discard(name)

    def _unfold(self, name: str) -> None:
        self.folded.discard(name)
        self._unfolded.add(name)

    def _index(self, rows: Sequence[Row]) -> int:
        for index, row in enumerate(rows):
            if row.name == self.selected:
                return index
        return min(self._position, len(rows) - 1)  # it is gone: stay where it was


def _parent(rows: Sequence[Row], index: int) -> str:
    depth = rows[index].depth
    for row in reversed(rows[:index]):
        if row.depth < depth:
            return row.name
    return rows[0].name
