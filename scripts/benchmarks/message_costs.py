"""What messages, tasks and children cost: one round of measurements in this process."""

import functools
import gc
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import trio

from runtime.collector import THRESHOLDS
from supervision import Actor, ChildSpec, PendingCall, Reports, System, open_system, supervisor
from supervision import dynamic_supervisor as dynamic

TURNS = 10
"""Parts into which the measuring of messages is cut: each thing is measured once in each turn, and
the least counts. A shared machine is half as slow again for seconds at a time, whatever it runs;
so what is compared must be measured side by side, and a turn in such a spell must not count."""

BATCH = 64
CALLERS = 64
FEW, MANY = 1_000, 10_000

COLLECTORS = {"as in the daemon": THRESHOLDS, "off": (0, 0, 0)}
"""Thresholds of the garbage collector under which many children are measured once more."""

SLOW = "percent of the time in which the machine was slow"
"""What `in_turns` says of the machine, among the costs."""

Things = dict[str, Callable[[], Awaitable[object]]]
"""What does one turn's share of each thing to be measured, by its name."""

Costs = dict[str, float]
"""Microseconds each, by the name of what was measured."""


@dataclass(frozen=True)
class Amount:
    """How much of each to do in a round.

    Attributes:
        messages: casts, calls, hops and tasks.
        restarts: crashes and kills.
    """

    messages: int
    restarts: int


class Echo(Actor):
    """Answers a call with the question and ignores casts."""

    async def handle_call(self, message: object, caller: PendingCall) -> object:
        """Return the question."""
        del caller
        return message

    async def handle_cast(self, message: object) -> None:
        """Do nothing."""


class Fragile(Actor):
    """Crashes on every cast; says when it runs again."""

    def __init__(self, started: list[trio.Event]) -> None:
        self.started = started

    async def init(self) -> None:
        """Tell who waits for it."""
        self.started[0].set()

    async def handle_cast(self, message: object) -> None:
        """Crash."""
        raise ValueError(message)


async def nothing() -> None:
    """Be a task that ends at once."""


class Slot:
    """What a bare question is answered through: the least that trio needs for it."""

    __slots__ = ("answer", "task")

    def __init__(self) -> None:
        self.task = trio.lowlevel.current_task()
        self.answer: object = None

    def abort(self, _: object) -> trio.lowlevel.Abort:
        """Let a cancellation through."""
        return trio.lowlevel.Abort.SUCCEEDED


def fixed() -> None:
    """Do a fixed piece of plain Python, to see how steady the machine is."""
    seen: dict[int, int] = {}
    for number in range(4_000):
        seen[number & 63] = seen.get(number & 31, 0) + 1


async def in_turns(things: Things, count: int) -> Costs:
    """Measure things side by side: each once in each turn, the least of its turns."""
    found: dict[str, list[float]] = {name: [] for name in things}
    steady: list[float] = []
    for _ in range(TURNS):
        for name, work in things.items():
            start = time.process_time()
            fixed()
            steady.append(time.process_time() - start)
            found[name].append(await timed(count // TURNS, work))
    slow = sum(1 for each in steady if each > 1.25 * min(steady)) / len(steady)
    return {name: min(each) for name, each in found.items()} | {SLOW: 100 * slow}


async def timed(count: int, work: Callable[[], Awaitable[object]]) -> float:
    """Return the microseconds of CPU that each of `count` things takes."""
    gc.collect()
    start = time.process_time()
    await work()
    return (time.process_time() - start) / count * 1e6


async def one_round(amount: Amount) -> Costs:
    """Measure everything once."""
    root = supervisor(
        "root",
        [
            ChildSpec("echo", Echo),
            dynamic("many"),
        ],
    )
    async with open_system(root, reports=Reports(log=False)) as system:
        share = amount.messages // TURNS
        things = bare(share) | messages(system, share)
        costs = await in_turns(things, amount.messages)
        costs |= await children(system, FEW)
        costs |= await children(system, MANY)
        usual = gc.get_threshold()
        for how, thresholds in COLLECTORS.items():
            gc.set_threshold(*thresholds)
            try:
                found = await children(system, MANY)
            finally:
                gc.set_threshold(*usual)
            costs |= {f"{name}, collector {how}": cost for name, cost in found.items()}
        costs |= await restarts(system, amount.restarts)
    return costs


def bare(count: int) -> Things:
    """What trio itself takes: a hop through a buffered channel, a question and answer, a task."""
    things: Things = {}
    for batch in (1, BATCH):
        for drained in (False, True):
            how = "drained by hand, " if drained else ""
            name = f"bare channel hop, {how}{_batches(batch)}"
            things[name] = functools.partial(_hops, count, batch, drained=drained)

    async def tasks() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(count // BATCH):
                for _ in range(BATCH):
                    nursery.start_soon(nothing)
                await trio.lowlevel.checkpoint()

    things["bare question and answer"] = functools.partial(_questions, count)
    things["bare start_soon"] = tasks
    return things


async def _questions(count: int) -> None:
    send, receive = trio.open_memory_channel[Slot](math.inf)

    async def answer() -> None:
        async for slot in receive:
            slot.answer = slot
            trio.lowlevel.reschedule(slot.task)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(answer)
        for _ in range(count):
            slot = Slot()
            send.send_nowait(slot)
            await trio.lowlevel.wait_task_rescheduled(slot.abort)
        send.close()


async def _hops(count: int, batch: int, *, drained: bool) -> None:
    send, receive = trio.open_memory_channel[int](math.inf)

    async def consume() -> None:
        async for _ in receive:
            pass

    async def drain() -> None:
        while True:
            try:
                await receive.receive()
                while True:
                    receive.receive_nowait()
            except trio.WouldBlock:
                continue
            except trio.EndOfChannel:
                return

    async with trio.open_nursery() as nursery:
        nursery.start_soon(drain if drained else consume)
        await trio.lowlevel.checkpoint()
        for _ in range(count // batch):
            for number in range(batch):
                send.send_nowait(number)
            await trio.lowlevel.checkpoint()
        send.close()


def messages(system: System, count: int) -> Things:
    """What casts, calls and tasks of a supervisor take."""
    echo = system.ref("echo")
    many = system.supervisor("many")
    things: Things = {}
    for batch in (1, BATCH):

        async def casts(batch: int = batch) -> None:
            for _ in range(count // batch):
                for number in range(batch):
                    echo.cast(number)
                await trio.lowlevel.checkpoint()
            await echo.call("done", timeout=math.inf)

        things[f"cast, {_batches(batch)}"] = casts

    async def calls(timeout: float) -> None:
        for number in range(count):
            await echo.call(number, timeout=timeout)

    async def requests(times: int) -> None:
        for number in range(times):
            await echo.send_request(number).wait()

    async def crowd() -> None:
        async with trio.open_nursery() as nursery:
            for _ in range(CALLERS):
                nursery.start_soon(requests, count // CALLERS)

    async def crowd_calls() -> None:
        async def caller() -> None:
            for number in range(count // CALLERS):
                await echo.call(number, timeout=math.inf)

        async with trio.open_nursery() as nursery:
            for _ in range(CALLERS):
                nursery.start_soon(caller)

    async def tasks() -> None:
        for _ in range(count // BATCH):
            for _ in range(BATCH):
                many.start_task(nothing)
            await trio.lowlevel.checkpoint()
        while (await many.count_children()).active:
            await trio.lowlevel.checkpoint()

    things["call, without a timeout"] = lambda: calls(math.inf)
    things["call, timeout 5 s"] = lambda: calls(5.0)
    things["send_request and wait"] = lambda: requests(count)
    things["call, 64 callers"] = crowd_calls
    things["send_request and wait, 64 callers"] = crowd
    things["spawn: start_task"] = tasks
    return things


async def children(system: System, count: int) -> Costs:
    """Measure the start, the picture and the end of many actors."""
    many, root = system.supervisor("many"), system.supervisor("root")
    specs = [ChildSpec(f"child {number}", Echo, restart="temporary") for number in range(count)]
    costs = {}

    async def start() -> None:
        for spec in specs:
            await many.start_child(spec)

    async def stop_each() -> None:
        for spec in specs:
            await many.terminate_child(spec.id)

    async def stop_all() -> None:
        await root.terminate_child("many")

    async def picture() -> None:
        system.snapshot()

    costs[f"start {count:,} actors"] = await timed(count, start)
    costs[f"snapshot of {count:,} actors"] = await timed(count, picture)
    costs[f"stop {count:,} actors one by one"] = await timed(count, stop_each)
    await start()
    costs[f"stop {count:,} actors at once"] = await timed(count, stop_all)
    await root.restart_child("many")
    return costs


async def restarts(system: System, count: int) -> Costs:
    """Measure the way from a crash, and from a kill, to the next incarnation."""
    started = [trio.Event()]
    tree = supervisor(
        "crashes",
        [ChildSpec("fragile", lambda: Fragile(started))],
        max_restarts=10**9,
        max_seconds=0.001,
    )
    await system.supervisor("root").start_child(tree)
    fragile = system.ref("fragile")

    async def repeat(end: Callable[[], bool]) -> None:
        for _ in range(count):
            started[0] = trio.Event()
            if not end():
                raise RuntimeError("the actor to be ended is not there")
            await started[0].wait()

    return {
        "restart after a crash": await timed(count, lambda: repeat(lambda: fragile.cast("crash"))),
        "restart after a kill": await timed(count, lambda: repeat(fragile.kill)),
    }


def _batches(batch: int) -> str:
    return "one at a time" if batch == 1 else f"batches of {batch}"
