"""Who waits for whom: the graph in which a deadlock is a ring.

Every actor and supervisor is a ``Node``. While its task waits for another node (a call, or a
supervisor for a child that starts or stops), the other node stands in ``awaiting``. All of it is
one thread, so a walk before each wait finds a ring exactly when the last edge would close it.
"""

from __future__ import annotations

from contextvars import ContextVar

from supervision.errors import CallCycle, CallingSelf


class Node:
    """One end of an edge: something that can wait and be waited for.

    Attributes:
        name: the name it is registered under.
        awaiting: the nodes its own task waits for now.
    """

    __slots__ = ("awaiting", "name")

    def __init__(self, name: str) -> None:
        self.name = name
        self.awaiting: list[Node] = []


CURRENT: ContextVar[Node | None] = ContextVar("standby_current_node", default=None)
"""The actor or supervisor whose mailbox loop this task is, directly or through a nursery in one of
its handlers. ``None`` in task children and in helpers: nobody waits for those in turn."""


def check_no_ring(asker: Node, target: Node) -> None:
    """Refuse a wait that would never end.

    Args:
        asker: who is about to wait.
        target: whom it would wait for.

    Raises:
        CallingSelf: they are the same.
        CallCycle: ``target`` waits, directly or through others, for ``asker``.
    """
    if asker is target:
        raise CallingSelf(asker.name)
    if not target.awaiting:
        return
    came_from: dict[Node, Node] = {target: asker}
    frontier = [target]
    while frontier:
        node = frontier.pop()
        for awaited in node.awaiting:
            if awaited is asker:
                path = [asker.name, node.name]
                while node is not target:
                    node = came_from[node]
                    path.append(node.name)
                path.append(asker.name)
                raise CallCycle(path[::-1])
            if awaited not in came_from:
                came_from[awaited] = node
                frontier.append(awaited)
