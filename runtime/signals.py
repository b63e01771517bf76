"""What the daemon does when a signal comes.

SIGTERM and SIGINT stop it in order, a second one without waiting. SIGUSR1 writes the tree to the
log. SIGHUP changes nothing, for the configuration is read once, at the start; but a daemon whose
terminal has gone stops, for nobody sees it any more.
"""

import logging
import os
import signal
from collections.abc import AsyncIterator

import trio

from supervision import NoProcess, System, TreeNode

__all__ = ["HEARD", "obey"]

_log = logging.getLogger("standby")

HEARD = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)
"""The signals to receive for `obey`."""

_STDERR = 2

_MOST_SHOWN = 50
"""Children of one supervisor that are written to the log: there may be thousands of clients."""


async def obey(
    signals: AsyncIterator[int],
    *,
    system: System,
    stopping: trio.Event,
    hurry: trio.CancelScope,
    on_terminal: bool,
) -> None:
    """Do what signals ask for, for as long as they come.

    Args:
        signals: Their numbers, as they arrive.
        system: The running tree, for SIGUSR1.
        stopping: Set to begin an orderly stop.
        hurry: Cancelled to go on with the stop without waiting for open answers.
        on_terminal: Whether the daemon was started with a terminal to log to.
    """
    async for number in signals:
        name = signal.Signals(number).name
        if number == signal.SIGUSR1:
            _show_tree(system)
        elif number == signal.SIGHUP and not (on_terminal and not os.isatty(_STDERR)):
            _log.info("SIGHUP: nothing to do; the configuration is read when the daemon starts")
        elif not stopping.is_set():
            _log.info("%s: stopping", name)
            stopping.set()
        elif number != signal.SIGHUP:
            _log.warning("%s again: stopping without waiting for open answers", name)
            hurry.cancel(reason="a second signal")


def _show_tree(system: System) -> None:
    """Write every actor of the tree to the log, one a line."""
    try:
        tree = system.snapshot()
    except NoProcess:
        return
    _show(tree, 0)


def _show(node: TreeNode, level: int) -> None:
    mailbox = "" if node.mailbox is None else f", mailbox {node.mailbox.now}"
    waiting = f", in {node.waiting_in}" if node.waiting_in else ""
    _log.info(
        "%s%s #%d: %s, %d restarts%s%s",
        "  " * level,
        node.name,
        node.incarnation,
        node.state,
        node.restarts,
        mailbox,
        waiting,
    )
    for child in node.children[:_MOST_SHOWN]:
        _show(child, level + 1)
    if (rest := len(node.children) - _MOST_SHOWN) > 0:
        _log.info("%sand %d more", "  " * (level + 1), rest)
