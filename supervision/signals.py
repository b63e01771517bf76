"""SIGTERM and Ctrl-C, made into an ordered stop."""

from __future__ import annotations

import signal
from collections.abc import Iterable

import trio

from supervision.system import System


async def stop_on_signal(
    system: System, signals: Iterable[signal.Signals] = (signal.SIGINT, signal.SIGTERM)
) -> signal.Signals | None:
    """Wait for one of the signals, then stop the system in order and wait until it has ended.

    Further ones of the same signals during the stop change nothing: the stop is bounded anyway.
    Only the main thread can receive signals.

    Args:
        system: what to stop.
        signals: which signals mean it.

    Returns:
        The signal; ``None`` when the system ended by itself first.
    """
    received: list[signal.Signals] = []
    with trio.open_signal_receiver(*signals) as arrivals:
        async with trio.open_nursery() as nursery:

            async def watch() -> None:
                async for number in arrivals:
                    if not received:
                        received.append(signal.Signals(number))
                    system.request_stop()

            nursery.start_soon(watch)
            await system.wait_closed()
            nursery.cancel_scope.cancel()
    return received[0] if received else None
