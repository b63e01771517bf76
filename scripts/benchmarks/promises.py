"""The promises on cost, and where the results of a run stand against them."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.measures import JSON_64, STREAMS, Results

PROGRAM = "standby"
YARDSTICK = "nginx"


@dataclass(frozen=True)
class Limit:
    """One bound on a figure.

    Attributes:
        value: the most that it may be.
        ratio: the most that it may be as a multiple of the yardstick's.
        at_least: `value` is the least that it may be instead.
    """

    value: float
    ratio: float | None = None
    at_least: bool = False

    def holds(self, value: float, ratio: float | None) -> bool:
        """Whether a figure keeps to the bound. The ratio is judged only when both are known."""
        if self.at_least:
            return value >= self.value
        return value <= self.value and (self.ratio is None or ratio is None or ratio <= self.ratio)

    def describe(self) -> str:
        """Say it as in "60, 3x"."""
        if self.at_least:
            return f"{self.value:g} or more"
        return f"{self.value:g}" + (f", {self.ratio:g}x" if self.ratio else "")


@dataclass(frozen=True)
class Row:
    """One promise and what was measured.

    Attributes:
        what: the figure and its unit.
        value: Standby's, or None when it was not measured.
        yardstick: nginx's in the same run, where there is one.
        must, aim: the bounds.
    """

    what: str
    value: float | None
    yardstick: float | None
    must: Limit
    aim: Limit

    @property
    def ratio(self) -> float | None:
        """Standby's figure as a multiple of nginx's."""
        if self.value is None or not self.yardstick or self.yardstick <= 0:
            return None
        return self.value / self.yardstick

    @property
    def mark(self) -> str:
        """`aim`, `must`, `missed` or `-` (not measured)."""
        if self.value is None:
            return "-"
        if self.aim.holds(self.value, self.ratio):
            return "aim"
        return "must" if self.must.holds(self.value, self.ratio) else "missed"


def rows(results: Results) -> Iterator[Row]:
    """Yield each promise with what this run found."""

    def cpu(name: str) -> float | None:
        found = results.throughput.get(name, {}).get(JSON_64.name)
        return found.cpu_us if found else None

    def chunk(name: str) -> float | None:
        found = results.throughput.get(name, {}).get(STREAMS.name)
        return found.cpu_us_event if found else None

    added = {name: results.added.get(name) for name in (PROGRAM, YARDSTICK)}
    memory = {name: results.memory.get(name) for name in (PROGRAM, YARDSTICK)}

    def times(rival: str) -> float | None:
        rates = [results.throughput.get(name, {}).get(JSON_64.name) for name in (PROGRAM, rival)]
        mine, theirs = rates
        return mine.rate / theirs.rate if mine and theirs else None

    def latency(name: str, *, median: bool) -> float | None:
        found = added[name]
        if found is None:
            return None
        return (found.added_p50 if median else found.added_p99) / 1000

    def resident(name: str) -> tuple[float | None, float | None, float | None]:
        found = memory[name]
        if found is None:
            return None, None, None
        return found.idle, found.per_1000_connections, found.per_1000_streams

    yield Row(
        "CPU per JSON request, 64 connections (µs)",
        cpu(PROGRAM),
        cpu(YARDSTICK),
        Limit(60, 3),
        Limit(33, 1.6),
    )
    for rival, least, better in (("litellm", 150, 300), ("portkey", 30, 60)):
        yield Row(
            f"requests a second a core, times that of {rival}",
            times(rival),
            None,
            Limit(least, at_least=True),
            Limit(better, at_least=True),
        )
    yield Row(
        "added latency at 30 % load, median (ms)",
        latency(PROGRAM, median=True),
        latency(YARDSTICK, median=True),
        Limit(0.25),
        Limit(0.12),
    )
    yield Row(
        "added latency at 30 % load, p99 (ms)",
        latency(PROGRAM, median=False),
        latency(YARDSTICK, median=False),
        Limit(1.5),
        Limit(0.5),
    )
    yield Row(
        "CPU per relayed stream chunk, 40,000 a second (µs)",
        chunk(PROGRAM),
        chunk(YARDSTICK),
        Limit(20),
        Limit(11),
    )
    mine, theirs = resident(PROGRAM), resident(YARDSTICK)
    parts = (
        ("resident memory, idle (MiB)", Limit(45), Limit(30)),
        ("resident memory per 1,000 idle connections (MiB)", Limit(6), Limit(4)),
        ("resident memory per 1,000 open streams (MiB)", Limit(25), Limit(18)),
    )
    for (what, must, aim), value, yardstick in zip(parts, mine, theirs, strict=True):
        yield Row(what, value, yardstick, must, aim)
    start = results.start
    yield Row(
        "standby status, cold (ms)", start.command if start else None, None, Limit(80), Limit(40)
    )
