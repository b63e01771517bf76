"""The daemon's life: from a checked configuration to open doors, and its orderly end."""

import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from providers.http import Listener, Poller, ServerConnection
from runtime.configuration import Config, ConfigurationError
from runtime.configuration.paths import prepare_socket_directory
from runtime.doors.door import OpenSessions
from runtime.doors.routes import build_routes
from runtime.doors.session import Access, Session
from runtime.identifiers import RequestIds
from runtime.instance import AlreadyRunningError, hold_instance
from runtime.launch import open_services
from runtime.logs import set_up_logs
from runtime.services import ROOT, Services
from runtime.tree import Doorway, doors
from supervision import SystemDown

__all__ = ["Daemon", "open_daemon", "run_daemon"]

_log = logging.getLogger("standby")

_EXIT_FAILED = 1
_EXIT_USAGE = 2


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

    def close_doors(self) -> None:
        """Stop listening; clients who are inside stay."""
        for listener in self._listeners:
            listener.close()


def run_daemon(config: Config, *, socket_path: Path, config_file: Path | None) -> int:
    """Run the daemon until it is told to stop.

    SIGTERM and SIGINT stop it in order: answers under way are finished, within the configured
    time. A second signal stops it without waiting for them.

    Args:
        config: The checked configuration.
        socket_path: Where to listen.
        config_file: Where the configuration came from, to say so in the log.

    Returns:
        The exit code: 0 after an orderly stop, 1 when it could not start or its tree gave up, 2
        when the configuration cannot be used.
    """
    set_up_logs(config.logging.level, config.logging.format)
    try:
        prepare_socket_directory(str(socket_path))
        with hold_instance(socket_path):
            trio.run(_run, config, socket_path, config_file)
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
    return 0


async def _run(config: Config, socket_path: Path, config_file: Path | None) -> None:
    stopping = trio.Event()
    hurry = trio.CancelScope()
    with trio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
        async with (
            open_daemon(config, socket_path, stop=stopping.set) as daemon,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(_obey, signals, stopping, hurry)
            source = config_file or "the built-in configuration"
            _log.info("listening on %s (pid %d, %s)", socket_path, os.getpid(), source)
            _calm_collector()
            await stopping.wait()
            with hurry:
                await daemon.drain(config.timeouts.drain)
            nursery.cancel_scope.cancel(reason="the daemon stops")
    _log.info("stopped")


def _calm_collector() -> None:
    """Keep the cyclic collector out of requests' way.

    What is there after the start stays, so it need not be looked at again. Requests leave hardly
    any cycles behind; the collector's own thresholds would have it look every few requests.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 100)


async def _obey(signals: AsyncIterator[int], stopping: trio.Event, hurry: trio.CancelScope) -> None:
    """Turn the first signal into an orderly stop, the second into one without delay."""
    async for number in signals:
        name = signal.Signals(number).name
        if stopping.is_set():
            _log.warning("%s again: stopping without waiting for open answers", name)
            hurry.cancel(reason="a second signal")
        else:
            _log.info("%s: stopping", name)
            stopping.set()


@asynccontextmanager
async def open_daemon(
    config: Config, socket_path: Path, *, stop: Callable[[], None]
) -> AsyncIterator[Daemon]:
    """Run a daemon for as long as the block runs.

    Args:
        config: The checked configuration.
        socket_path: Where to listen; its directory exists and no other daemon is there.
        stop: Called when an order to stop comes in at a door.

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
        doorways = _doorways(config, socket_path, running.shared.poller, services)
        daemon = Daemon(services, sessions, [doorway.listener for doorway in doorways])
        try:
            specification = doors(config, doorways, running.shared, sessions)
            await services.system.supervisor(ROOT).start_child(specification)
            yield daemon
        finally:
            daemon.close_doors()


def _doorways(
    config: Config, socket_path: Path, poller: Poller, services: Services
) -> list[Doorway]:
    """Bind the sockets of the doors."""
    routes = build_routes(services)
    ids = RequestIds()
    everyone = Access()

    def at_socket(connection: ServerConnection) -> Session:
        return Session(connection, routes, everyone, ids)

    listener = Listener.bind_unix(poller, socket_path, 0o600)
    found = [Doorway(name="unix", listener=listener, open_session=at_socket, private=True)]
    if config.tcp.enabled:
        token = config.tcp.token
        assert token, "a door on TCP without a token is refused with the configuration"
        guarded = Access(token.reveal(), frozenset({"localhost", "127.0.0.1", "[::1]"}))

        def at_port(connection: ServerConnection) -> Session:
            return Session(connection, routes, guarded, ids)

        try:
            listener = Listener.bind_tcp(poller, config.tcp.host, config.tcp.port)
        except OSError as error:
            found[0].listener.close()
            where = f"{config.tcp.host}:{config.tcp.port}"
            raise OSError(error.errno, f"cannot listen on {where}: {error.strerror}") from error
        found.append(Doorway(name="tcp", listener=listener, open_session=at_port, private=False))
    return found
