"""The verbs that put one question to the running daemon: `status`, `models`, `kill`, `stop`.

Nothing but the standard library is imported here, and little of that: these commands have to be
there at once.
"""

from __future__ import annotations

import json
import time

from runtime.cli import exits
from runtime.cli.client import Daemon, quote
from runtime.cli.errors import DaemonError, NoDaemon
from runtime.cli.terminal import complain, show, table
from runtime.view.wording import circuit_of, clean, duration, number, percent

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from runtime.view.lines import Line

__all__ = ["kill", "models", "status", "stop"]

_POLL = 0.05
_STATES = {"healthy": "good", "degraded": "warn", "unhealthy": "bad"}
_CIRCUITS = {"closed": "good", "half_open": "warn"}


def status(options: argparse.Namespace, socket: str) -> int:
    """Show how the daemon and its providers are; the exit code says it too."""
    with Daemon(socket, timeout=options.timeout) as daemon:
        answer = daemon.request("GET", "/health/detailed")
        if answer.status >= 400 and not answer.body.startswith(b'{"status"'):
            complain(answer.error_message())
            return exits.BAD
        health = answer.json()
    code = exits.OK if health.get("status") == "healthy" else exits.BAD
    if options.quiet:
        return code
    if options.json:
        print(json.dumps(health, ensure_ascii=False, sort_keys=True))
        return code
    show(_health(health, socket))
    return code


def _health(health: dict[str, Any], socket: str) -> list[Line]:
    state = str(health.get("status", "unknown"))
    first: Line = [(f"standby {clean(str(health.get('version', '')))}".rstrip(), "title")]
    first.append(("  " + state, _STATES.get(state, "warn")))
    if "pid" in health:
        first.append((f"  pid {health['pid']}", ""))
    if isinstance(up := health.get("uptime"), int | float):
        first.append((f"  up {duration(up)}", ""))
    first.append(("  " + clean(str(health.get("socket") or socket)), "dim"))
    lines: list[Line] = [first, [(_metrics(health.get("metrics") or {}), "")], []]
    providers = health.get("providers") or {}
    heads = ("provider", "kind", "state", "breaker", "health", "in flight", "last error")
    rows = [_provider(name, facts) for name, facts in providers.items()]
    lines += table(heads, rows, right=("health", "in flight"))
    groups = health.get("groups") or {}
    if groups:
        lines.append([])
        lines += table(("group", "strategy", "members"), [_group(n, g) for n, g in groups.items()])
    return lines


def _metrics(metrics: dict[str, Any]) -> str:
    total = metrics.get("total_requests") or 0
    said = [f"{number(total)} request{'' if total == 1 else 's'}"]
    if total:
        said.append(f"{percent(metrics.get('success_rate') or 0)} ok")
        said.append(f"{metrics.get('avg_response_time') or 0:.0f} ms on average")
    passed = (metrics.get("passthrough") or {}).get("requests")
    if passed:
        said.append(f"{number(passed)} passed through")
    return ", ".join(said)


def _provider(name: str, facts: dict[str, Any]) -> list[tuple[str, str]]:
    configured = facts.get("configured", True)
    if not configured:
        state, style = "not configured", "dim"
    elif facts.get("alive") is False:
        state, style = "down", "bad"
    elif facts.get("healthy"):
        state, style = "up", "good"
    else:
        state, style = "unhealthy", "warn"
    circuit = circuit_of(facts) or "-" if configured else "-"
    score = facts.get("health_score")
    in_flight = facts.get("in_flight")
    trouble = facts.get("last_error") if configured else facts.get("missing")
    if isinstance(trouble, dict):
        trouble = trouble.get("message")
    return [
        (name, "name"),
        (str(facts.get("kind") or "-"), ""),
        (state, style),
        (circuit.replace("_", "-"), _CIRCUITS.get(circuit, "dim" if circuit == "-" else "bad")),
        (f"{score:.2f}" if configured and isinstance(score, int | float) else "-", ""),
        (str(in_flight) if configured and in_flight is not None else "-", ""),
        (str(trouble or ""), "dim"),
    ]


def _group(name: str, facts: object) -> list[tuple[str, str]]:
    strategy, members = "", ""
    if isinstance(facts, dict):
        strategy = str(facts.get("strategy") or "")
        members = ", ".join(_member(one) for one in facts.get("members") or ())
    return [(name, "name"), (strategy, ""), (members, "")]


def _member(member: object) -> str:
    if isinstance(member, dict):
        model = member.get("model")
        return f"{member.get('provider', '?')}" + (f"/{model}" if model else "")
    return str(member)


def models(options: argparse.Namespace, socket: str) -> int:
    """List every name a request's `model` may have."""
    with Daemon(socket, timeout=options.timeout) as daemon:
        answer = daemon.request("GET", "/v1/models")
        if answer.status != 200:
            complain(answer.error_message())
            return exits.BAD
        listed = answer.json()
    if options.json:
        print(json.dumps(listed, ensure_ascii=False, sort_keys=True))
        return exits.OK
    entries = [entry for entry in listed.get("data", ()) if isinstance(entry, dict)]
    rows = [
        [(str(entry.get("id", "?")), "name"), (str(entry.get("owned_by") or "-"), "dim")]
        for entry in entries
    ]
    show(table(("model", "answered by"), rows))
    return exits.OK


def kill(options: argparse.Namespace, socket: str) -> int:
    """Kill one actor, and see its supervisor start it again."""
    name: str = options.name
    with Daemon(socket, timeout=options.timeout) as daemon:
        answer = daemon.request("POST", f"/supervision/{quote(name)}/kill")
        if answer.status != 200:
            complain(answer.error_message())
            return exits.BAD
        killed = answer.json()
        if options.json:
            print(json.dumps(killed, ensure_ascii=False, sort_keys=True))
            return exits.OK
        incarnation = killed.get("incarnation")
        print(f"killed {clean(name)} #{incarnation}" if incarnation else f"killed {clean(name)}")
        if isinstance(incarnation, int) and options.wait > 0:
            print(_return_of(daemon, name, incarnation, options.wait))
    return exits.OK


def _return_of(daemon: Daemon, name: str, killed: int, most: float) -> str:
    """Wait for the next incarnation of an actor and say what became of it."""
    began = time.monotonic()
    while True:
        trouble = ""
        try:
            tree = daemon.request("GET", "/supervision/tree").json().get("tree") or {}
        except DaemonError as error:
            # The door we came through may be what was killed; it opens again.
            tree, trouble = {}, str(error)
        node = _find(tree, name)
        waited = time.monotonic() - began
        if node and node.get("state") == "running" and node.get("incarnation", 0) > killed:
            return f"it is back as #{node['incarnation']} after {waited:.2f} s"
        if waited >= most and trouble:
            return f"after {duration(waited)}: {trouble}"
        if waited >= most:
            state = node.get("state", "gone") if node else "gone"
            return f"after {duration(waited)} it is {state}; see: standby tree"
        time.sleep(_POLL)


def _find(node: dict[str, Any], name: str) -> dict[str, Any] | None:
    if node.get("name") == name:
        return node
    for child in node.get("children") or ():
        if found := _find(child, name):
            return found
    return None


def stop(options: argparse.Namespace, socket: str) -> int:
    """Ask the daemon to stop in order, and wait until its socket and its process are gone."""
    with Daemon(socket, timeout=options.timeout) as daemon:
        pid = daemon.request("GET", "/health/detailed").json().get("pid")
        answer = daemon.request("POST", "/control/stop")
        if answer.status not in {200, 202}:
            complain(answer.error_message())
            return exits.BAD
    began = time.monotonic()
    while _answers(socket) or (isinstance(pid, int) and _lives(pid)):
        if time.monotonic() - began >= options.wait:
            complain(
                f"the daemon (pid {pid}) still finishes what it has begun after "
                f"{options.wait:g} s; wait longer with --wait, or end it at once: kill {pid}"
            )
            return exits.BAD
        time.sleep(_POLL)
    print(f"stopped after {duration(time.monotonic() - began)}")
    return exits.OK


def _answers(socket: str) -> bool:
    """Return whether something still takes connections at the socket."""
    try:
        with Daemon(socket, timeout=0.5) as daemon:
            daemon.request("GET", "/health")
    except NoDaemon:
        return False
    except DaemonError:
        pass  # it closed on us, or was busy, while going down
    return True


def _lives(pid: int) -> bool:
    """Return whether a process runs; one that has ended and was not waited for does not."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123 - pathlib costs its import
            return file.read().rpartition(b")")[2].split()[0] not in {b"Z", b"X"}
    except OSError:
        return False
