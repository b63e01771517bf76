"""Handlers that others attach to events, in the manner of Elixir's ``:telemetry``."""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import msgspec

__all__ = [
    "ATTEMPT_STOP",
    "CIRCUIT_CHANGE",
    "HANDLER_FAILURE",
    "PART_REPORT",
    "REQUEST_STOP",
    "Attached",
    "EventName",
    "HandlerExistsError",
    "TelemetryHandler",
]

_LOG = logging.getLogger("standby.telemetry")

EventName = tuple[str, ...]
"""The name of an event: a path of words."""

ATTEMPT_STOP: Final[EventName] = ("standby", "attempt", "stop")
"""An attempt at a provider is over. Measurements: ``duration``, ``first_token`` (seconds, the
latter if known); metadata: ``attempt``."""

REQUEST_STOP: Final[EventName] = ("standby", "request", "stop")
"""A request is over. Measurements: ``duration``, ``first_token``, ``attempts``; metadata:
``finished``."""

CIRCUIT_CHANGE: Final[EventName] = ("standby", "circuit", "change")
"""A breaker changed its state. No measurements; metadata: ``change``."""

PART_REPORT: Final[EventName] = ("standby", "part", "report")
"""A part of the daemon was started, ended or crashed. No measurements; metadata: ``report``."""

HANDLER_FAILURE: Final[EventName] = ("standby", "telemetry", "handler", "failure")
"""A handler raised and was detached. No measurements; metadata: ``id``, ``event``, ``error``."""

Handler = Callable[[EventName, Mapping[str, float], Mapping[str, object], object], None]
"""A handler: event name, measurements, metadata, and the configuration it was attached with."""


class HandlerExistsError(Exception):
    """A handler of that id is attached already.

    Args:
        id: The id.
    """

    def __init__(self, id: str) -> None:  # noqa: A002 - the name it has in Elixir
        super().__init__(id)
        self.id = id

    def __str__(self) -> str:
        return f"a telemetry handler {self.id!r} is attached already"


class Attached(msgspec.Struct, frozen=True):
    """One attached handler.

    Attributes:
        id: Its name.
        events: The events it hears of.
        handler: The function.
        config: What it was attached with.
    """

    id: str
    events: tuple[EventName, ...]
    handler: Handler
    config: object = None


class TelemetryHandler:
    """The attached handlers. Outlives the telemetry actor, in whose task they run.

    So a handler never delays a request; one that takes long makes telemetry drop events, which is
    counted. One that raises is detached, logged, and told of by a ``HANDLER_FAILURE`` event.
    """

    __slots__ = ("_attached", "_by_event")

    def __init__(self) -> None:
        self._attached: dict[str, Attached] = {}
        self._by_event: dict[EventName, tuple[Attached, ...]] = {}

    def attach(
        self,
        id: str,  # noqa: A002 - the name it has in Elixir
        events: EventName | Iterable[EventName],
        handler: Handler,
        config: object = None,
    ) -> None:
        """Have a function called at events.

        Args:
            id: A name to detach it by; unique.
            events: One event name, or several.
            handler: A synchronous, quick function.
            config: Passed to it each time.

        Raises:
            HandlerExistsError: The id is taken.
        """
        if id in self._attached:
            raise HandlerExistsError(id)
        names = tuple(events)
        if names and all(isinstance(word, str) for word in names):
            chosen: tuple[EventName, ...] = (tuple(str(word) for word in names),)
        else:
            chosen = tuple(tuple(name) for name in names)
        self._attached[id] = Attached(id, chosen, handler, config)
        self._index()

    def detach(self, id: str) -> bool:  # noqa: A002 - the name it has in Elixir
        """Call a handler no more.

        Args:
            id: Its name.

        Returns:
            Whether it was attached.
        """
        found = self._attached.pop(id, None)
        self._index()
        return found is not None

    def list_handlers(self, prefix: EventName = ()) -> list[Attached]:
        """Return the handlers that hear of any event whose name begins so.

        Args:
            prefix: The beginning; empty for all.
        """
        return [
            attached
            for attached in self._attached.values()
            if any(event[: len(prefix)] == prefix for event in attached.events)
        ]

    def wanted(self, event: EventName) -> bool:
        """Tell whether anybody hears of an event.

        Args:
            event: Its name.
        """
        return event in self._by_event

    def execute(
        self, event: EventName, measurements: Mapping[str, float], metadata: Mapping[str, object]
    ) -> None:
        """Tell an event to all who hear of it. Never raises.

        Args:
            event: Its name.
            measurements: Numbers.
            metadata: Everything else.
        """
        for attached in self._by_event.get(event, ()):
            try:
                attached.handler(event, measurements, metadata, attached.config)
            except Exception as error:  # noqa: BLE001 - somebody else's code must not hurt ours
                self.detach(attached.id)
                _LOG.exception(
                    "telemetry handler %s failed at %s and was detached",
                    attached.id,
                    ".".join(event),
                )
                self.execute(
                    HANDLER_FAILURE, {}, {"id": attached.id, "event": event, "error": error}
                )

    def _index(self) -> None:
        by_event: dict[EventName, tuple[Attached, ...]] = {}
        for attached in self._attached.values():
            for event in dict.fromkeys(attached.events):
                by_event[event] = (*by_event.get(event, ()), attached)
        self._by_event = by_event
