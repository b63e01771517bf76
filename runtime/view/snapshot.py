"""What the daemon said about its tree, read into rows that can be drawn.

The daemon's answers are plain JSON objects and grow fields over time, so everything is read with a
default: an older view shows a newer daemon, and the other way round.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import Any

__all__ = ["Row", "Snapshot"]

_OPEN_STATES = frozenset({"open", "half_open", "forced_open"})
_ORDERLY_ENDS = frozenset({"", "normal", "shutdown", "ignore"})
_MAILBOX_FULL = 0.85


class Row:
    """One actor of the tree, and where it stands in the drawing.

    Attributes:
        node: The daemon's own object for it.
        name: Its name, unique in the tree.
        depth: How far below the root, which is 0.
        last: For each level from 1 to `depth`: whether the branch there is the last of its parent.
        folded: Whether its children are left out; then `below` says how many there are.
        below: The number of actors below it.
        worst: While folded, the number of faults among those below.
        faults: What is wrong with it, in a word or two each; empty when nothing is.
    """

    __slots__ = ("below", "depth", "faults", "folded", "last", "name", "node", "worst")

    def __init__(self, node: dict[str, Any], depth: int, last: tuple[bool, ...]) -> None:
        self.node = node
        self.name = str(node.get("name", "?"))
        self.depth = depth
        self.last = last
        self.folded = False
        self.below = 0
        self.worst = 0
        self.faults: tuple[str, ...] = ()

    @property
    def state(self) -> str:
        """The actor's life-cycle state: starting, running, restarting, stopping or stopped."""
        return str(self.node.get("state", "?"))

    @property
    def supervises(self) -> bool:
        """Whether it is a supervisor."""
        return self.node.get("kind") == "supervisor" or bool(self.node.get("children"))

    def get(self, key: str) -> Any:
        """Return a field of the node or, failing that, of what the actor says about itself."""
        value = self.node.get(key)
        return self.extra.get(key) if value is None else value

    @property
    def extra(self) -> dict[str, Any]:
        """What the actor says about itself beyond what every actor has."""
        return _object(self.node.get("extra"))


class Snapshot:
    """The tree at one moment.

    Args:
        tree: The answer of `GET /supervision/tree`.
        health: The answer of `GET /health/detailed`; may be empty.
    """

    def __init__(self, tree: dict[str, Any], health: dict[str, Any] | None = None) -> None:
        self.answer = tree
        self.health = _object(health)
        self.root: dict[str, Any] = _object(tree.get("tree"))

    @property
    def pid(self) -> int | None:
        """The daemon's process id."""
        pid = self.answer.get("pid", self.health.get("pid"))
        return pid if isinstance(pid, int) else None

    @property
    def uptime(self) -> float:
        """Seconds since the daemon started."""
        return _number(self.answer.get("uptime", self.health.get("uptime")))

    @property
    def version(self) -> str:
        """The daemon's version; empty when it does not say."""
        return str(self.health.get("version") or self.answer.get("version") or "")

    @property
    def totals(self) -> dict[str, Any]:
        """Counts over the whole tree."""
        return _object(self.answer.get("totals"))

    @property
    def metrics(self) -> dict[str, Any]:
        """Counts and times over all requests."""
        return _object(self.health.get("metrics"))

    @property
    def events(self) -> list[dict[str, Any]]:
        """The last reports worth a look, oldest first: all but the first start of an actor.

        Every connection of a client starts an actor; what matters is what started again.
        """
        events = self.answer.get("events")
        reports = [_object(event) for event in events] if isinstance(events, list) else []
        return [event for event in reports if not _is_first_start(event)]

    def provider(self, name: str) -> dict[str, Any]:
        """Return what the daemon's health says of one provider; empty when it says nothing."""
        return _object(_object(self.health.get("providers")).get(name))

    def rows(self, *, folded: Collection[str] = (), faults_only: bool = False) -> list[Row]:
        """Return the tree as rows, in the order they are drawn.

        Args:
            folded: Names whose children are left out.
            faults_only: Keep only what has a fault, and the supervisors above it.
        """
        if not self.root:
            return []
        rows: list[Row] = []
        self._visit(Row(self.root, 0, ()), frozenset(folded), faults_only, rows)
        return rows

    def _visit(
        self, row: Row, folded: frozenset[str], faults_only: bool, rows: list[Row]
    ) -> tuple[int, int]:
        """Append the rows of one branch; return how many actors and how many faults it holds."""
        row.faults = self.faults(row)
        rows.append(row)
        children = _children(row.node)
        row.folded = row.name in folded and bool(children)
        if faults_only:
            children = [child for child in children if self._any_fault(child)]
        shown: list[Row] = []
        faulty = 0
        for index, child in enumerate(children):
            branch = (*row.last, index == len(children) - 1)
            below, wrong = self._visit(
                Row(child, row.depth + 1, branch), folded, faults_only, shown
            )
            row.below += below
            faulty += wrong
        if row.folded:
            row.worst = faulty
        else:
            rows.extend(shown)
        return row.below + 1, faulty + bool(row.faults)

    def _any_fault(self, node: dict[str, Any]) -> bool:
        if self.faults(Row(node, 0, ())):
            return True
        return any(self._any_fault(child) for child in _children(node))

    def faults(self, row: Row) -> tuple[str, ...]:
        """Return what is wrong with one actor, a few words each."""
        found = []
        ended_badly = str(row.node.get("last_exit") or "") not in _ORDERLY_ENDS
        if row.state == "restarting" or (row.state == "stopped" and ended_badly):
            found.append(row.state)
        breaker = self.breaker_state(row)
        if breaker in _OPEN_STATES:
            found.append(f"breaker {breaker.replace('_', '-')}")
        budget = _object(row.node.get("restart_budget"))
        most = _number(budget.get("max"))
        if most and _number(budget.get("used")) >= most:
            found.append("no restart left")
        mailbox = _object(row.node.get("mailbox"))
        limit = _number(mailbox.get("limit"))
        if limit and _number(mailbox.get("now")) >= _MAILBOX_FULL * limit:
            found.append("mailbox nearly full")
        return tuple(found)

    def breaker_state(self, row: Row) -> str:
        """Return the breaker's state for a breaker's own row; empty for every other row.

        The provider's row shows the same state, but the fault is counted once.
        """
        prefix, _, provider = row.name.partition(":")
        if prefix != "breaker" or not provider:
            return ""
        state = row.extra.get("state") or row.extra.get("circuit_state")
        return str(state or self.provider(provider).get("circuit_state") or "")

    def degraded(self) -> list[str]:
        """Return why the daemon is not healthy, one reason a line; empty when it is."""
        reasons = [f"{row.name}: {', '.join(row.faults)}" for row in self.rows() if row.faults]
        if not self.root:
            reasons.append("the daemon shows no tree")
        elif self.root.get("state") != "running":
            reasons.append(f"{self.root.get('name', 'the root')} is {self.root.get('state')}")
        status = self.health.get("status")
        if not reasons and status not in {None, "healthy"}:
            reasons.append(f"the daemon calls itself {status}")
        return reasons

    def names(self) -> Iterator[str]:
        """Yield the name of every actor, root first."""
        return (str(node.get("name", "?")) for node in self.nodes())

    def nodes(self) -> Iterator[dict[str, Any]]:
        """Yield every node, parents before their children."""
        pending = [self.root] if self.root else []
        while pending:
            node = pending.pop()
            yield node
            pending.extend(reversed(_children(node)))


def _is_first_start(event: dict[str, Any]) -> bool:
    return event.get("kind") == "progress" and event.get("incarnation") == 1


def _children(node: dict[str, Any]) -> list[dict[str, Any]]:
    children = node.get("children")
    return [c for c in children if isinstance(c, dict)] if isinstance(children, list) else []


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _number(value: object) -> float:
    return value if isinstance(value, int | float) else 0.0
