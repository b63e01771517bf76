"""The daemon's life: from a checked configuration to open doors, and its orderly end."""

import logging
import os
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path

import trio

from providers.http import Listener, Poller, ServerConnection
from runtime.collector import calm_collector
from runtime.configuration import Config, ConfigurationError
from runtime.configuration.paths import prepare_socket_directory
from runtime.doors.door import OpenSessions
from runtime.doors.routes import build_routes
from runtime.doors.session import Access, Session
from runtime.identifiers import RequestIds
from runtime.inherited_sockets import (
    NOTHING_INHERITED,
    InheritedSockets,
    inherit_sockets,
    refuse_unguarded,
)
from runtime.instance import AlreadyRunningError, hold_instance
from runtime.launch import open_services
from runtime.logs import set_up_logs
from runtime.service_manager import ServiceManager, keep_informed
from runtime.services import ROOT, Services
from runtime.signals import HEARD, obey
from runtime.tree import Doorway, doors
from supervision import ChildSpec, SystemDown

__all__ = ["Daemon", "open_daemon", "run_daemon"]

_log = logging.getLogger("standby")

_EXIT_FAILED = 1
_EXIT_USAGE = 2

_STOP_PATIENCE = 20.0
"""Seconds that the parts of the tree may take to end when no answer is open any more."""


class Daemon:
    """A running daemon.

    Attributes:
        services: Its parts, as its own routes see them.

    Args:
        services: Its parts.
        sessions: The client sessions that are open.
        listeners: The doors' listening sockets.
    """

    def __init__(
        self, services: Services, sessions: OpenSessions, listeners: list[Listener]
    ) -> None:
        self.services = services
        self._sessions = sessions
        self._listeners = listeners

    async def drain(self, timeout: float) -> None:
        """Take no more clients and let answers under way finish.

        Args:
            timeout: Seconds to wait for them.
        """
        self.close_doors()
        left = await self._sessions.drain(timeout)
        if left:
            _log.warning("%d answers were not finished within %g s", left, timeout)

    @property
    def clients(self) -> int:
        """How many client connections are open."""
        return len(self._sessions)

    def status(self) -> str:
        """Say how it is, in one line: for a service manager."""
        services = self.services
        now = trio.current_time()
        ready = sum(
            upstream.actor.alive
            and (view := services.breakers.get(name)) is not None
            and view.shown(now) != "open"
            for name, upstream in services.upstreams.items()
        )
        total = services.telemetry.metrics.value.total_requests
        return (
            f"{ready} of {len(services.upstreams)} providers can answer, "
            f"{self.clients} clients, {total} requests so far"
        )

    def close_doors(self) -> None:
        """Stop listening; clients who are inside stay."""
        for listener in self._listeners:
            listener.close()


def run_daemon(config: Config, *, socket_path: Path, config_file: Path | None) -> int:
    """Run the daemon until it is told to stop.

    Signals are obeyed as `runtime.signals` says. A service manager that asks for it is told of the
    state, and sockets that systemd has opened are used.

    Args:
        config: The checked configuration.
        socket_path: Where to listen, unless a Unix socket is inherited.
        config_file: Where the configuration came from, to say so in the log.

    Returns:
        The exit code: 0 after an orderly stop, 1 when it could not start or its tree gave up, 2
        when the configuration cannot be used.
    """
    set_up_logs(config.logging.level, config.logging.format)
    manager = ServiceManager.from_environment(os.environ)
    try:
        inherited = inherit_sockets(os.environ)
        refuse_unguarded(inherited, config)
        with _sole_user(inherited.path, socket_path) as path:
            trio.run(_run, config, path, config_file, inherited, manager)
    except ConfigurationError as error:
        for problem in error.problems:
            print(problem, file=sys.stderr)
        return _EXIT_USAGE
    except SystemDown as error:
        _log.error("the daemon ends because its tree gave up: %s", error)
        return _EXIT_FAILED
    except (AlreadyRunningError, OSError, ValueError) as error:
        print(f"standby: not started: {error}", file=sys.stderr)
        return _EXIT_FAILED
    finally:
        manager.close()
    return 0


@contextmanager
def _sole_user(inherited: Path | None, path: Path) -> Iterator[Path]:
    """Hold the socket's path for this process alone; whoever opened an inherited one does that."""
    if inherited is not None:
        yield inherited
        return
    prepare_socket_directory(str(path))
    with hold_instance(path):
        yield path


async def _run(
    config: Config,
    socket_path: Path,
    config_file: Path | None,
    inherited: InheritedSockets,
    manager: ServiceManager,
) -> None:
    stopping = trio.Event()
    hurry = trio.CancelScope()
    on_terminal = sys.stderr.isatty()
    with trio.open_signal_receiver(*HEARD) as signals:
        async with (
            open_daemon(config, socket_path, stop=stopping.set, inherited=inherited) as daemon,
            trio.open_nursery() as nursery,
        ):
            system = daemon.services.system
            nursery.start_soon(
                partial(
                    obey,
                    signals,
                    system=system,
                    stopping=stopping,
                    hurry=hurry,
                    on_terminal=on_terminal,
                )
            )
            source = config_file or "the built-in configuration"
            _log.info("listening on %s (pid %d, %s)", socket_path, os.getpid(), source)
            if manager.listens:
                manager.ready(daemon.status())
                await system.supervisor(ROOT).start_child(
                    ChildSpec(
                        "systemd", partial(keep_informed, manager, daemon.status), kind="task"
                    )
                )
            calm_collector()
            await stopping.wait()
            drain = config.timeouts.drain
            manager.stopping("finishing open answers", within=drain + _STOP_PATIENCE)
            with hurry:
                await daemon.drain(drain)
            nursery.cancel_scope.cancel(reason="the daemon stops")
    _log.info("stopped")


@asynccontextmanager
async def open_daemon(
    config: Config,
    socket_path: Path,
    *,
    stop: Callable[[], None],
    inherited: InheritedSockets = NOTHING_INHERITED,
) -> AsyncIterator[Daemon]:
    """Run a daemon for as long as the block runs.

    Args:
        config: The checked configuration.
        socket_path: Where to listen; its directory exists and no other daemon is there.
        stop: Called when an order to stop comes in at a door.
        inherited: Listening sockets to use instead of new ones.

    Yields:
        The daemon, its doors open.

    Raises:
        OSError: When a socket cannot be bound.
        ValueError: When a provider's settings cannot be used.
        SystemDown: When the tree gave up; the block was cancelled.
    """
    async with open_services(config, socket_path=socket_path, stop=stop) as running:
        services = running.services
        sessions = OpenSessions()
        doorways = _doorways(config, socket_path, running.shared.poller, services, inherited)
        daemon = Daemon(services, sessions, [doorway.listener for doorway in doorways])
        try:
            specification = doors(config, doorways, running.shared, sessions)
            await services.system.supervisor(ROOT).start_child(specification)
            yield daemon
        finally:
            daemon.close_doors()


def _doorways(
    config: Config,
    socket_path: Path,
    poller: Poller,
    services: Services,
    inherited: InheritedSockets,
) -> list[Doorway]:
    """Bind the sockets of the doors, or take those that are there already."""
    routes = build_routes(services)
    ids = RequestIds()
    everyone = Access()

    def at_socket(connection: ServerConnection) -> Session:
        return Session(connection, routes, everyone, ids, services.admission)

    # Whoever gives an inherited socket a mode for more than its owner means other users to come.
    private = not inherited.shared
    if inherited.unix is not None:
        listener = Listener.from_fd(poller, inherited.unix.detach())
    else:
        listener = Listener.bind_unix(poller, socket_path, 0o600)
    found = [Doorway(name="unix", listener=listener, open_session=at_socket, private=private)]
    if config.tcp.enabled or inherited.tcp is not None:
        token = config.tcp.token
        assert token, "a door on TCP without a token is refused before it is opened"
        guarded = Access(token.reveal(), frozenset({"localhost", "127.0.0.1", "[::1]"}))

        def at_port(connection: ServerConnection) -> Session:
            return Session(connection, routes, guarded, ids, services.admission)

        try:
            if inherited.tcp is not None:
                listener = Listener.from_fd(poller, inherited.tcp.detach())
            else:
                listener = Listener.bind_tcp(poller, config.tcp.host, config.tcp.port)
        except OSError as error:
            found[0].listener.close()
            where = f"{config.tcp.host}:{config.tcp.port}"
            raise OSError(error.errno, f"cannot listen on {where}: {error.strerror}") from error
        found.append(Doorway(name="tcp", listener=listener, open_session=at_port, private=False))
    return found
