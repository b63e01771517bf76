"""What is measured on each target, and how long: the plan of `scripts/bench forward`."""

import statistics
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field

from benchmarks.errors import BenchError
from benchmarks.loading import Generator, Load
from benchmarks.processes import choose_cores, core_seconds
from benchmarks.requests import ANSWER_BODY, BURST, HELD, JSON, PACED, Kind
from benchmarks.targets import Target, answer_size, standby_command, standby_environment

PACED_STREAMS = 400
HELD_CONNECTIONS = 1000
LOAD_SHARE = 0.3
"""The part of a program's own most at which its added latency is measured."""

Say = Callable[[str], None]
Starter = Callable[[], AbstractContextManager[Target]]


@dataclass(frozen=True)
class Plan:
    """How long and how often to measure.

    Attributes:
        rounds: runs of each measurement; the median of them counts.
        seconds: length of the window of one run.
        starts: how often a command is started cold.
        many: whether to measure 512 connections too.
    """

    rounds: int
    seconds: float
    starts: int
    many: bool = False


@dataclass(frozen=True)
class Case:
    """A closed loop: each connection asks again as soon as it has its answer."""

    name: str
    kind: Kind
    connections: int
    ramp: float = 0.0


CASES = (
    Case("JSON, 1 connection", JSON, 1),
    Case("JSON, 64 connections", JSON, 64),
    Case("stream of 100 events at once, 1 connection", BURST, 1),
    Case("stream of 100 events at once, 64 connections", BURST, 64),
    Case("400 streams, an event each 10 ms", PACED, PACED_STREAMS, ramp=1.0),
)
MANY = Case("JSON, 512 connections", JSON, 512)
JSON_64 = CASES[1]
STREAMS = CASES[4]


@dataclass(frozen=True)
class Throughput:
    """One case on one target: medians over the rounds.

    Attributes:
        rate: right answers a second.
        events_rate: events a second; 0 for plain answers.
        cpu_us: CPU of the program under test per answer, µs; None for direct.
        cpu_us_event: the same per event; None for direct and for plain answers.
        busy: part of the program's core that it used, 0 to 1.
        p50, p99: latency of a whole answer, µs.
        first_p50: time to the first byte of the body, µs.
        errors: wrong answers of all rounds by what was wrong.
    """

    rate: float
    events_rate: float
    cpu_us: float | None
    cpu_us_event: float | None
    busy: float | None
    p50: float
    p99: float
    first_p50: float
    errors: Mapping[str, int]


@dataclass(frozen=True)
class Added:
    """Latency at 30 % load over direct at the same rate, µs: medians over the rounds."""

    rate: float
    p50: float
    p99: float
    direct_p50: float
    direct_p99: float
    errors: Mapping[str, int]

    @property
    def added_p50(self) -> float:
        """What the target adds to the median."""
        return self.p50 - self.direct_p50

    @property
    def added_p99(self) -> float:
        """What the target adds to the 99th percentile."""
        return self.p99 - self.direct_p99


@dataclass(frozen=True)
class Memory:
    """Resident memory, MiB: idle, and what a thousand connections or streams add."""

    idle: float
    per_1000_connections: float
    per_1000_streams: float


@dataclass(frozen=True)
class Start:
    """Wall time of a command from nothing to its end, ms: medians."""

    command: float
    bare_python: float


@dataclass
class Results:
    """Everything that one run found, by target.

    Attributes:
        throughput: closed loops, by target and case.
        added: latency at 30 % load.
        memory: of fresh processes.
        after_load: resident memory when all was over, MiB.
        disturbed: part of the time that the program's core spent on work that was none of the
            benchmark's, 0 to 1, while throughput was measured.
        start: of a command.
    """

    throughput: dict[str, dict[str, Throughput]] = field(default_factory=dict)
    added: dict[str, Added] = field(default_factory=dict)
    memory: dict[str, Memory] = field(default_factory=dict)
    after_load: dict[str, float] = field(default_factory=dict)
    disturbed: float | None = None
    start: Start | None = None


def add_up(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Add error counts by name."""
    total: dict[str, int] = defaultdict(int)
    for count in counts:
        for name, value in count.items():
            total[name] += value
    return dict(total)


def summarise(loads: Sequence[Load]) -> Throughput:
    """Return the medians of several runs of one case on one target.

    Raises:
        BenchError: a run had no right answer, so that there is nothing to speak of.
    """
    for load in loads:
        if not load.completed or load.latency is None or load.first_byte is None:
            raise BenchError(f"not one right answer; what was wrong: {dict(load.errors)}")
    median = statistics.median
    cpu = [load.cpu for load in loads if load.cpu is not None]
    metered = len(cpu) == len(loads)
    events = all(load.events for load in loads)
    pairs = list(zip(cpu, loads, strict=False))
    return Throughput(
        rate=median(load.rate for load in loads),
        events_rate=median(load.events / load.seconds for load in loads),
        cpu_us=median(used / load.completed * 1e6 for used, load in pairs) if metered else None,
        cpu_us_event=median(used / load.events * 1e6 for used, load in pairs)
        if metered and events
        else None,
        busy=median(used / load.seconds for used, load in pairs) if metered else None,
        p50=median(load.latency.p50 for load in loads if load.latency),
        p99=median(load.latency.p99 for load in loads if load.latency),
        first_p50=median(load.first_byte.p50 for load in loads if load.first_byte),
        errors=add_up(load.errors for load in loads),
    )


class Bench:
    """Runs the measurements, the targets in turn within each round so that drift hits all alike."""

    def __init__(
        self, generator: Generator, targets: Sequence[Target], plan: Plan, say: Say
    ) -> None:
        self._generator = generator
        self._targets = targets
        self._plan = plan
        self._say = say
        self.results = Results()

    @property
    def _direct(self) -> Target:
        return next(target for target in self._targets if target.pid is None)

    @property
    def _programs(self) -> list[Target]:
        return [target for target in self._targets if target.pid is not None]

    def measure_throughput(self) -> None:
        """Closed loops: requests a second, CPU per request and per event, latency."""
        began, others = time.monotonic(), self._other_work()
        cases = [*CASES, *([MANY] if self._plan.many else [])]
        for case in cases:
            loads: dict[str, list[Load]] = {target.name: [] for target in self._targets}
            for number in range(self._plan.rounds):
                for target in self._targets:
                    self._say(f"{case.name}: {target.name}, round {number + 1}")
                    loads[target.name].append(self._closed(case, target))
            for name, found in loads.items():
                self.results.throughput.setdefault(name, {})[case.name] = summarise(found)

        others = self._other_work() - others
        self.results.disturbed = max(0.0, others) / (time.monotonic() - began)

    def _other_work(self) -> float:
        """CPU seconds that the program's core has spent on what is not measured."""
        meters = [target.meter for target in self._programs]
        return core_seconds(choose_cores().program) - sum(meter() for meter in meters if meter)

    def measure_rival(self, start: Starter) -> None:
        """The main closed loop, JSON over 64 connections, on another gateway.

        It runs only meanwhile: an idle one would still take some of the core from the others. Its
        runs are at least 5 s long, for it answers few.
        """
        with start() as target:
            self._say(f"{JSON_64.name}: {target.name}")
            loads = [self._closed(JSON_64, target, at_least=5.0) for _ in range(self._plan.rounds)]
        self.results.throughput[target.name] = {JSON_64.name: summarise(loads)}

    def _closed(self, case: Case, target: Target, *, at_least: float = 0.0) -> Load:
        return self._generator.run(
            target.address_for(case.kind),
            case.kind,
            connections=case.connections,
            seconds=max(self._plan.seconds, at_least),
            ramp=case.ramp,
            expect_bytes=0 if target.rewrites else answer_size(self._direct, case.kind),
            headers=target.headers,
            meter=target.meter,
        )

    def measure_added_latency(self) -> None:
        """Open loop at 30 % of each program's own most, beside direct at the same rate."""
        loads: dict[str, list[Load]] = defaultdict(list)
        straight: dict[str, list[Load]] = defaultdict(list)
        rates = {
            target.name: LOAD_SHARE * self.results.throughput[target.name][JSON_64.name].rate
            for target in self._programs
        }
        for number in range(self._plan.rounds):
            for target in self._programs:
                rate = rates[target.name]
                self._say(f"latency at {rate:.0f} a second: {target.name}, round {number + 1}")
                loads[target.name].append(self._open(target, rate))
                straight[target.name].append(self._open(self._direct, rate))
        for name, found in loads.items():
            through, direct = summarise(found), summarise(straight[name])
            self.results.added[name] = Added(
                rate=rates[name],
                p50=through.p50,
                p99=through.p99,
                direct_p50=direct.p50,
                direct_p99=direct.p99,
                errors=add_up([through.errors, direct.errors]),
            )

    def _open(self, target: Target, rate: float) -> Load:
        return self._generator.run(
            target.address,
            JSON,
            connections=JSON_64.connections,
            seconds=self._plan.seconds,
            rate=rate,
            expect_bytes=ANSWER_BODY,
        )

    def measure_memory(self, name: str, start: Starter) -> None:
        """Resident memory of a fresh program: idle, then what held connections and streams add.

        Each is measured on a process of its own, because memory once used and freed is used again.
        """
        added: dict[str, float] = {}
        idle = 0.0
        for kind in (JSON, HELD):
            self._say(f"memory: {name}, {HELD_CONNECTIONS} of {kind.model}")
            with start() as target:
                time.sleep(0.5)
                idle = target.resident()
                address = target.address_for(kind)
                self._generator.run(
                    address, kind if kind is JSON else BURST, connections=16, seconds=0.2
                )
                before = target.resident()
                with self._generator.hold(address, kind, HELD_CONNECTIONS):
                    time.sleep(1.0)
                    added[kind.model] = (target.resident() - before) * 1000 / HELD_CONNECTIONS
        self.results.memory[name] = Memory(
            idle=idle,
            per_1000_connections=added[JSON.model],
            per_1000_streams=added[HELD.model],
        )

    def measure_growth(self) -> None:
        """Resident memory of the programs that were measured, when all is over."""
        for target in self._programs:
            self.results.after_load[target.name] = target.resident()

    def measure_start(self, target: Target) -> None:
        """Wall time of `standby status` in a new process, and of Python doing nothing."""
        assert target.socket is not None
        self._say("standby status, cold")
        status = [str(standby_command()), "status", "--socket", str(target.socket)]
        python = [str(standby_command().parent / "python"), "-c", "pass"]
        environment = standby_environment(target.socket.parent)
        times: dict[bool, list[float]] = {True: [], False: []}
        for _ in range(self._plan.starts):
            for is_status, command in ((True, status), (False, python)):
                started = time.perf_counter()
                done = subprocess.run(
                    command, capture_output=True, timeout=30, check=False, env=environment
                )
                times[is_status].append((time.perf_counter() - started) * 1000)
                if done.returncode != 0:
                    raise BenchError(
                        f"{' '.join(command)} ended with {done.returncode}: {done.stderr!r}"
                    )
        self.results.start = Start(
            command=statistics.median(times[True]), bare_python=statistics.median(times[False])
        )
