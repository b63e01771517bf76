"""`standby tree`: the supervision tree, live, once, or as JSON."""

from __future__ import annotations

import json
import sys
import time

from runtime.cli import exits
from runtime.cli.client import Daemon, quote
from runtime.cli.errors import DaemonError
from runtime.cli.terminal import (
    complain,
    is_interactive,
    prints_unicode,
    show,
    width,
)
from runtime.view.render import render
from runtime.view.snapshot import Snapshot

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

__all__ = ["fetch", "tree"]

_LIVE_TIMEOUT = 1.0
"""Seconds a live view waits for a snapshot; keys wait as long, at worst."""


def tree(options: argparse.Namespace, socket: str) -> int:
    """Show the tree the way the options ask for; see `standby tree --help`."""
    if options.json and options.watch:
        return _stream_json(options, socket)
    live = is_interactive(sys.stdout) and sys.stdin.isatty()
    if options.json or options.once or not live:
        return _once(options, socket)
    return _live(options, socket)


def fetch(daemon: Daemon) -> Snapshot:
    """Return a snapshot: the tree, and the health that says more about its providers.

    Raises:
        DaemonError: There is none to be had.
    """
    answer = daemon.request("GET", "/supervision/tree")
    if answer.status != 200:
        raise DaemonError(answer.error_message())
    health = daemon.request("GET", "/health/detailed")
    told = health.json() if health.status in {200, 503} else {}
    return Snapshot(answer.json(), told)


def _once(options: argparse.Namespace, socket: str) -> int:
    with Daemon(socket, timeout=options.timeout) as daemon:
        snapshot = fetch(daemon)
    if options.json:
        print(_encoded(snapshot))
    else:
        show(
            render(
                snapshot,
                max(20, options.width or width()),
                ascii_only=_ascii_only(options),
                faults_only=options.faults,
                source=socket,
            )
        )
    return exits.BAD if snapshot.degraded() else exits.OK


def _stream_json(options: argparse.Namespace, socket: str) -> int:
    """Print a snapshot a line until interrupted; the daemon may come and go after the first."""
    with Daemon(socket, timeout=options.timeout) as daemon:
        snapshot = fetch(daemon)
        while True:
            print(_encoded(snapshot), flush=True)
            snapshot = _next(daemon, options.interval)


def _next(daemon: Daemon, interval: float) -> Snapshot:
    told = False
    while True:
        time.sleep(interval)
        try:
            return fetch(daemon)
        except DaemonError as error:
            if not told:
                complain(f"reconnecting: {error}")
                told = True


def _live(options: argparse.Namespace, socket: str) -> int:
    from runtime.view.live import Trouble, watch  # noqa: PLC0415 - rich is for the live view only

    with Daemon(socket, timeout=_LIVE_TIMEOUT) as daemon:
        fetch(daemon)  # no daemon at all is said on the plain screen, with its exit code

        def snapshot() -> Snapshot:
            try:
                return fetch(daemon)
            except DaemonError as error:
                raise Trouble(str(error)) from None

        def kill(name: str) -> str:
            try:
                # On a connection of its own: the kept one may have been closed while paused, and
                # a kill is not sent twice.
                with Daemon(socket, timeout=_LIVE_TIMEOUT) as asked:
                    answer = asked.request("POST", f"/supervision/{quote(name)}/kill")
            except DaemonError as error:
                raise Trouble(str(error)) from None
            if answer.status != 200:
                raise Trouble(answer.error_message())
            return f"killed {name}"

        watch(
            snapshot,
            kill,
            source=socket,
            interval=options.interval,
            ascii_only=_ascii_only(options),
            faults_only=options.faults,
        )
    return exits.OK


def _ascii_only(options: argparse.Namespace) -> bool:
    return options.ascii or not prints_unicode(sys.stdout)


def _encoded(snapshot: Snapshot) -> str:
    return json.dumps(snapshot.answer, ensure_ascii=False, sort_keys=True)
