"""The task behind an actor: its mailbox and the loop that drains it.

The mailbox is a trio memory channel without a bound of its own; the bound is kept by the senders,
so that system messages pass a full one and nobody ever waits to send. One wake-up drains all that
is there, with a checkpoint every ``BATCH`` messages so that others run and a kill gets through.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import Any, ClassVar, Final

import trio

from supervision.actor import Actor, Continue, Down, Ignore, Monitor
from supervision.calls import NO_REPLY, OpenCalls, PendingCall, fail_all
from supervision.crashes import blame, crash_reason, interrupt_reason
from supervision.errors import MailboxFull, PoisonMessage
from supervision.process import Child, Process
from supervision.reasons import Reason, describe_reason
from supervision.refs import CAST, INFO, Ref
from supervision.timers import Timer
from supervision.tree import MailboxView, TreeNode, facts_of, where
from supervision.waits import CURRENT

BATCH: Final = 64
"""Messages handled between two checkpoints."""

OVERFLOW_REPORT_EVERY: Final = 60.0
"""Seconds between two reports that a dropping mailbox is full."""

_SWEEP_AT_LEAST: Final = 64
_STOP: Final = 2
_WAKE: Final = 3
_NOTHING: Final = object()


class ActorProcess(Process):
    """One incarnation of an actor."""

    kind: ClassVar[str] = "actor"

    __slots__ = (
        "_actor",
        "_continuation",
        "_current",
        "_dropped",
        "_expired",
        "_handled",
        "_interrupted",
        "_limit",
        "_monitors",
        "_nursery",
        "_open_calls",
        "_own_crash",
        "_puzzled",
        "_queued",
        "_receive",
        "_report_overflow_at",
        "_send",
        "_stop_reason",
        "_sweep_timers_at",
        "_timers",
    )

    def __init__(self, child: Child) -> None:
        super().__init__(child)
        self._send, self._receive = trio.open_memory_channel[Any](math.inf)
        self._queued = self._limit = self._dropped = self._expired = self._handled = 0
        self._report_overflow_at = -math.inf
        self._open_calls: OpenCalls = {}
        self._actor: Actor | None = None
        self._nursery: trio.Nursery | None = None
        self._current: Any = None
        self._own_crash = False
        self._interrupted = False
        self._puzzled = False
        self._continuation: Any = _NOTHING
        self._stop_reason: Reason | None = None
        self._timers: set[Timer] = set()
        self._sweep_timers_at = _SWEEP_AT_LEAST
        self._monitors: set[Monitor] = set()

    # ---- the senders' side

    def request(self, message: Any, deadline: float) -> PendingCall:
        """Queue a call."""
        if self._queued >= self._limit:
            self._overflow()
            raise MailboxFull(self.name, self._limit)
        call = PendingCall(message, deadline, self, self._open_calls)
        self._queued += 1
        self._send.send_nowait(call)
        return call

    def post(self, kind: int, message: Any) -> bool:
        """Queue a cast or a plain message."""
        if self._queued >= self._limit:
            self._overflow()
            return False
        self._queued += 1
        self._send.send_nowait((kind, message))
        return True

    def _overflow(self) -> None:
        """Count a loss; where senders do not look, report it, once in a while."""
        self._dropped += 1
        if self._actor is None or self._actor.overflow != "drop":
            return
        now = trio.current_time()
        if now >= self._report_overflow_at:
            self._report_overflow_at = now + OVERFLOW_REPORT_EVERY
            text = f"the mailbox is full ({self._limit} messages); {self._dropped} lost so far"
            self.child.report("supervisor", "overflow", text)

    def _post_always(self, kind: int, message: Any) -> None:
        """Queue a system message: it passes a full mailbox."""
        if not self.finished:
            self._queued += 1
            self._send.send_nowait((kind, message))

    def ask_to_stop(self, reason: Reason) -> None:
        """Stop after the messages that came before."""
        self.phase = "stopping"
        self._post_always(_STOP, reason)

    # ---- the actor's side

    def spawn(
        self, run: Callable[..., Awaitable[Any]], args: tuple[Any, ...], name: str | None
    ) -> None:
        """Start a helper task in the actor's nursery."""
        if self._nursery is None:
            raise RuntimeError(f"{self.name!r} is not running")
        self._nursery.start_soon(_helper, run, args, name=name or f"{self.name} helper {run!r}")

    def send_after(self, seconds: float, message: Any) -> Timer:
        """Send itself a plain message later."""

        def fire() -> None:
            self._timers.discard(timer)
            self._post_always(INFO, message)

        timer = self.child.system.timers.after(seconds, fire)
        self._timers.add(timer)
        if len(self._timers) >= self._sweep_timers_at:
            # Cancelled timers are let go of now and then; doubling keeps that cheap for the many.
            self._timers = {each for each in self._timers if each.active}
            self._sweep_timers_at = max(_SWEEP_AT_LEAST, 2 * len(self._timers))
        return timer

    def monitor(self, ref: Ref) -> Monitor:
        """Watch another's present incarnation."""
        monitor = Monitor(ref)
        self._monitors.add(monitor)

        def down(reason: Reason) -> None:
            self._monitors.discard(monitor)
            self._post_always(INFO, Down(ref, reason, monitor))

        monitor.arm(ref.watch(down))
        return monitor

    def continue_with(self, argument: Any) -> None:
        """Call ``handle_continue`` after the handler in work."""
        self._continuation = argument
        self._interrupt()

    def stop(self, reason: Reason) -> None:
        """End after the handler in work."""
        if self._stop_reason is None:
            self._stop_reason = reason
            self._interrupt()

    def note_unexpected(self, message: Any) -> None:
        """Report the first plain message of this life that nobody wanted."""
        if not self._puzzled and self._actor is not None:
            self._puzzled = True
            text = "it has no handler for a message it was sent; further ones are not reported"
            shape = self._actor.describe_message(message)
            self.child.report("supervisor", "unexpected", text, last_message=shape)

    def _interrupt(self) -> None:
        """Make the loop look up, also when a helper asked while it waits for a message."""
        if not self._interrupted:
            self._interrupted = True
            self._post_always(_WAKE, None)

    # ---- life

    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Make the actor, run it, and make an exit reason of whatever ends it."""
        CURRENT.set(self)
        self.task = trio.lowlevel.current_task()
        reason: Reason = "killed"
        try:
            with self.scope:
                async with trio.open_nursery() as self._nursery:
                    try:
                        reason = await self._live()
                    except Exception:
                        self._own_crash = True
                        raise
                    self._nursery.cancel_scope.cancel(reason=f"{self.name} has ended")
            if self.scope.cancelled_caught:
                reason = self.reason_of_cancel()
        except Exception as error:  # noqa: BLE001 - whatever escapes is the exit reason
            reason = self._crash(error)
        except (KeyboardInterrupt, SystemExit, BaseExceptionGroup) as error:
            reason = interrupt_reason(self.child, error)
        finally:
            self._end(reason)
            del reason  # an exception's traceback points at this frame: no cycle, please

    async def _live(self) -> Reason:
        child = self.child
        actor = child.spec.start()
        if not isinstance(actor, Actor):
            raise TypeError(f"start of {self.name!r} must return an Actor, not {type(actor)!r}")
        actor.attach(self, child.reference(), child.system)
        self._actor = actor
        if actor.overflow not in ("reject", "drop"):
            raise ValueError(f"overflow must be reject or drop, not {actor.overflow!r}")
        self._limit = actor.mailbox_limit
        self.open()
        outcome = await actor.init()
        if isinstance(outcome, Ignore):
            self.ignored = True
            self.acknowledge()
            return "normal"
        if isinstance(outcome, Continue):
            self._continuation = outcome.argument
            self._interrupted = True
        elif outcome is not None:
            raise TypeError(f"init returned {outcome!r}: not Continue(...), IGNORE or None")
        if self._stop_reason is not None:
            return self._stop_reason  # it was never acknowledged: the start has failed
        self.scope.deadline = math.inf
        self.acknowledge()
        reason = await self._serve(actor)
        self.phase = "stopping"
        self.close(reason)
        self._current = None
        await actor.terminate(reason)
        return reason

    async def _serve(self, actor: Actor) -> Reason:
        """Take messages until it is time to stop; the hot loop."""
        receive = self._receive.receive
        receive_nowait = self._receive.receive_nowait
        suspects = self.child.poison
        now = trio.lowlevel.current_clock().current_time  # asked for every call with a deadline
        while True:
            if self._interrupted:
                reason = await self._look_up(actor)
                if reason is not None:
                    return reason
            self._current = None
            if actor.idle_timeout == math.inf or self._queued:
                item = await receive()
            else:
                item = _NOTHING
                with trio.move_on_after(actor.idle_timeout):
                    item = await receive()
                if item is _NOTHING:
                    await actor.handle_idle()
                    continue
            left = BATCH
            while True:
                self._queued -= 1
                self._handled += 1
                self._current = item
                if suspects is not None and self._is_poison(actor, item, suspects):
                    pass
                elif type(item) is PendingCall:
                    if item.settled:  # given up while it waited
                        pass
                    elif item.deadline != math.inf and item.deadline <= now():
                        self._expired += 1
                        item.expire()
                    else:
                        answer = await actor.handle_call(item.message, item)
                        if answer is not NO_REPLY:
                            item.reply(answer)
                else:
                    kind, message = item
                    if kind == CAST:
                        await actor.handle_cast(message)
                    elif kind == INFO:
                        await actor.handle_info(message)
                    elif kind == _STOP:
                        stop: Reason = message
                        return stop
                if self._interrupted:
                    reason = await self._look_up(actor)
                    if reason is not None:
                        return reason
                if not self._queued:
                    break
                left -= 1
                if not left:
                    left = BATCH
                    await trio.lowlevel.checkpoint()
                item = receive_nowait()

    async def _look_up(self, actor: Actor) -> Reason | None:
        """Do what ``continue_with`` and ``stop`` asked for; returns the reason to stop, if any."""
        self._interrupted = False
        while self._continuation is not _NOTHING and self._stop_reason is None:
            argument, self._continuation = self._continuation, _NOTHING
            await actor.handle_continue(argument)
        self._interrupted = False
        return self._stop_reason

    def _end(self, reason: Reason) -> None:
        actor = self._actor
        if actor is not None:
            try:
                actor.cleanup()
            except Exception as error:  # noqa: BLE001 - the rest of the end must happen
                self.child.report("supervisor", "cleanup_error", describe_reason(error))
                if not isinstance(reason, BaseException):
                    reason = error
        for timer in self._timers:
            timer.cancel()
        for monitor in tuple(self._monitors):
            monitor.cancel()
        self._send.close()
        self._receive.close()
        self._current = self._actor = self._nursery = None  # they point back here
        self.finish(reason)

    def settle(self, reason: Reason) -> None:
        """Fail every open call."""
        fail_all(self._open_calls, self.name, reason)

    # ---- crashes

    def _crash(self, error: BaseException) -> BaseException:
        actor, item = self._actor, self._current
        shape = None
        if not self._own_crash:
            item = None  # a helper's doing: the message in work is innocent
        if actor is not None and item is not None:
            message = item.message if type(item) is PendingCall else item[1]
            try:
                shape = actor.describe_message(message)
                if actor.poison_limit:
                    blame(self.child, actor.poison_key(message))
            except Exception as failure:  # noqa: BLE001 - a report must not fail for its details
                shape = f"(describing it failed: {describe_reason(failure)})"
        return crash_reason(self.child, error, shape)

    def _is_poison(self, actor: Actor, item: Any, suspects: dict[object, int]) -> bool:
        is_call = type(item) is PendingCall
        if not is_call and item[0] not in (CAST, INFO):
            return False
        message = item.message if is_call else item[1]
        crashes = suspects.get(actor.poison_key(message), 0)
        if crashes < actor.poison_limit:
            return False
        error = PoisonMessage(self.name, crashes)
        if is_call:
            item.fail(error)
        shape = actor.describe_message(message)
        self.child.report("supervisor", "poison", str(error), last_message=shape)
        return True

    # ---- for the picture

    def draw(self, node: TreeNode) -> None:
        """Add the mailbox, the counts, where it waits and what the actor says of itself."""
        node.mailbox = MailboxView(
            now=self._queued,
            peak=max(self._receive.statistics().peak_buffer_used, self._queued),
            limit=self._limit,
            dropped=self._dropped,
            expired=self._expired,
        )
        node.handled = self._handled
        node.waiting_in = self._waiting_in()
        if self._actor is not None:
            node.extra = facts_of(self._actor.describe)

    def _waiting_in(self) -> str | None:
        if self._current is None and self.phase == "running":
            return "mailbox"
        place = None if self.task is None else where(self.task)
        if self.awaiting:
            called = ", ".join(repr(node.name) for node in self.awaiting)
            return f"call to {called}" + ("" if place is None else f" in {place}")
        return place


async def _helper(run: Callable[..., Awaitable[Any]], args: tuple[Any, ...]) -> None:
    """A helper waits for itself alone: its calls close no ring through the actor."""
    CURRENT.set(None)
    await run(*args)
