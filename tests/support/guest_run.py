"""A trio run that stands still between steps: what a synchronous state machine needs.

trio runs as a guest of a host loop that is pumped by hand, without a thread: a task of its own
keeps the run from ever waiting for the world outside, and virtual time moves only when asked to,
from one deadline to the next.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import outcome
import trio
import trio.lowlevel
import trio.testing

T = TypeVar("T")
Step = Callable[[], Awaitable[Any]]


class GuestRun:
    """One run.

    Args:
        main: an async function that takes an async function to call when it is ready for steps;
            that returns when the run shall end, or is cancelled with what ``main`` has around it.
    """

    def __init__(self, main: Callable[[Callable[[], Awaitable[None]]], Awaitable[Any]]) -> None:
        self.clock = trio.testing.MockClock()
        self._results: list[outcome.Outcome[Any]] = []
        self._ticks: deque[Callable[[], object]] = deque()
        self._step: Step | None = None
        self._answers: list[outcome.Outcome[Any]] = []
        self._ending = False
        trio.lowlevel.start_guest_run(
            main,
            self._serve,
            run_sync_soon_threadsafe=self._ticks.append,
            done_callback=self._results.append,
            clock=self.clock,
        )

    def step(self, function: Callable[[], Awaitable[T]]) -> T | None:
        """Run an async function inside, then everything that follows from it at this instant.

        Returns:
            What it returned; ``None`` when the run ended instead.

        Raises:
            Exception: what it raised.
        """
        self._step = function
        while not self._answers and not self._results:
            self._ticks.popleft()()
        return self._answers.pop().unwrap() if self._answers else None

    def advance(self, seconds: float) -> None:
        """Let virtual time pass, stopping at every deadline on the way."""
        end = self.clock.current_time() + seconds

        async def one() -> bool:
            pause = trio.lowlevel.current_statistics().seconds_to_next_deadline
            left = end - self.clock.current_time()
            if pause > left:
                self.clock.jump(left)
                return False
            self.clock.jump(max(pause, 0.0))
            return True

        while self.step(one):
            pass

    def end(self) -> Any:
        """Let the run end.

        Returns:
            What ``main`` returned.

        Raises:
            BaseException: what ``main`` raised.
        """
        self._ending = True
        while not self._results:
            if not self._ticks:
                raise AssertionError("the run waits for something outside of it")
            self._ticks.popleft()()
        return self._results[0].unwrap()

    async def _serve(self) -> None:
        while not self._ending:
            step, self._step = self._step, None
            if step is None:
                await trio.lowlevel.checkpoint()
                continue
            answer = await outcome.acapture(step)
            await trio.testing.wait_all_tasks_blocked()
            self._answers.append(answer)
