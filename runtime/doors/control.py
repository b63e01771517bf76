"""The routes of the supervision tree: see it, kill a part, steer a breaker, stop the whole."""

import logging
import os
from collections.abc import Iterable
from datetime import UTC, datetime
from difflib import get_close_matches

import msgspec
import trio

from providers.http import Request
from providers.wire import OPENAI
from runtime.doors.session import Session
from runtime.routing.breaker_actor import Command, Steer
from runtime.services import ROOT, Services
from supervision import ActorDown, CallTimeout, MailboxFull, NoProcess

__all__ = ["ControlRoutes"]

_EVENTS = 50
"""Reports shown with the tree."""


_log = logging.getLogger("standby.door")


class ControlRoutes:
    """Handlers of ``/supervision`` and ``/control``.

    Args:
        services: The running daemon.
    """

    def __init__(self, services: Services) -> None:
        self._services = services

    async def tree(self, session: Session, request: Request) -> None:
        """Answer with the whole tree and the last reports; asks no actor anything."""
        del request
        services = self._services
        try:
            tree = services.system.snapshot()
        except NoProcess:
            session.refuse(OPENAI, 503, "the daemon is stopping: its tree has ended")
            return
        nodes = list(tree.walk())
        body = {
            "schema": 1,
            "taken_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
            "pid": os.getpid(),
            "version": services.version,
            "uptime": services.uptime,
            "tree": tree,
            "events": list(services.system.reports.history)[-_EVENTS:],
            "totals": {
                "actors": len(nodes),
                "running": sum(node.state == "running" for node in nodes),
                "restarts": sum(node.restarts for node in nodes),
                "mailbox": sum(node.mailbox.now for node in nodes if node.mailbox is not None),
                "dropped": sum(node.mailbox.dropped for node in nodes if node.mailbox is not None),
            },
        }
        session.respond(200, msgspec.json.encode(body, enc_hook=repr))

    async def kill(self, session: Session, request: Request) -> None:
        """Kill one actor now; its supervisor deals with it by its rules."""
        del request
        name = session.segment
        system = self._services.system
        ref = system.whereis(name)
        if ref is None:
            known = system.names()
            hint = _did_you_mean(name, known)
            state = "does not run at this moment" if name in known else "does not exist"
            session.refuse(OPENAI, 404, f"{name} {state}{hint if name not in known else ''}")
            return
        if name == ROOT:
            session.refuse(OPENAI, 409, f"{name} is the root: to end the daemon, stop it")
            return
        incarnation = ref.incarnation
        # Answered first: the actor may be the connection that carries the answer.
        session.respond(200, msgspec.json.encode({"killed": name, "incarnation": incarnation}))
        ref.kill("killed by request")

    async def open_breaker(self, session: Session, request: Request) -> None:
        """Hold a provider's breaker open: nothing passes until the next command."""
        del request
        await self._steer(session, "force_open")

    async def close_breaker(self, session: Session, request: Request) -> None:
        """Hold a provider's breaker closed: everything passes until the next command."""
        del request
        await self._steer(session, "force_close")

    async def disable_breaker(self, session: Session, request: Request) -> None:
        """Let everything pass a provider's breaker, uncounted, until the next command."""
        del request
        await self._steer(session, "disable")

    async def reset_breaker(self, session: Session, request: Request) -> None:
        """Close a provider's breaker, forget its failures, and let it go by itself again."""
        del request
        await self._steer(session, "reset")

    async def _steer(self, session: Session, command: Command) -> None:
        name = session.segment
        services = self._services
        upstream = services.upstreams.get(name)
        if upstream is None:
            member = services.members.get(name)
            if member is None:
                hint = _did_you_mean(name, services.upstreams)
                session.refuse(OPENAI, 404, f"there is no provider {name}{hint}")
            else:
                missing = f": {member.missing}" if member.missing else ""
                session.refuse(
                    OPENAI, 409, f"{name} is not configured{missing}; it has no circuit breaker"
                )
            return
        view = services.breakers.get(name)
        before = None if view is None else view.circuit.at(trio.current_time())
        try:
            status = await upstream.breaker.call(Steer(command))
        except (ActorDown, NoProcess, CallTimeout, MailboxFull):
            message = f"the circuit breaker of {name} does not answer: it is being restarted"
            session.refuse(OPENAI, 503, message, retry_after=1.0)
            return
        body = {"provider": name, "command": command, "before": before, "breaker": status}
        session.respond(200, msgspec.json.encode(body))

    async def stop(self, session: Session, request: Request) -> None:
        """Stop the daemon in order: answers under way are finished first."""
        del request
        session.close_after_answer()
        session.respond(202, b'{"stopping":true}')
        _log.info("told to stop by a client: stopping")
        self._services.stop()


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    """Return the names that one may have meant, as the end of a sentence; often nothing."""
    close = get_close_matches(name, list(known), n=3)
    return f"; did you mean {' or '.join(close)}?" if close else ""
