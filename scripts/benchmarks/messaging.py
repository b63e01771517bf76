"""`scripts/bench messaging`: what the supervision costs over trio's bare channels and tasks."""

import argparse
import functools
import gc
import json
import os
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import trio

from benchmarks.message_costs import FEW, MANY, SLOW, TURNS, Amount, Costs, one_round
from benchmarks.processes import choose_cores
from benchmarks.report import describe_machine, number, table

FULL, FULL_ROUNDS = Amount(messages=32_000, restarts=2_000), 5
QUICK, QUICK_ROUNDS = Amount(messages=6_400, restarts=300), 1

LINEAR = 1.5
"""The most that one of ten thousand children may cost, times one of a thousand."""


@dataclass(frozen=True)
class Aim:
    """One aim and where it stands.

    Attributes:
        what: The figure and its unit.
        value: What was found.
        yardstick: What it is compared with, if with something.
        most: The most that it, or its multiple of the yardstick, may be.
    """

    what: str
    value: float
    most: float
    yardstick: float | None = None

    @property
    def ratio(self) -> float | None:
        """The multiple of the yardstick."""
        return None if self.yardstick is None else self.value / self.yardstick

    @property
    def met(self) -> bool:
        """Whether it keeps to the aim."""
        return (self.value if self.ratio is None else self.ratio) < self.most

    def cells(self) -> tuple[str, ...]:
        """Return its line of the table."""
        ratio = self.ratio
        return (
            self.what,
            number(self.value),
            number(self.yardstick),
            "-" if ratio is None else f"{ratio:.2f}",
            f"{self.most:g}" + ("" if ratio is None else "x"),
            "aim" if self.met else "missed",
        )


def aims(costs: Costs) -> list[Aim]:
    """Hold the figures against the aims."""
    found = [
        Aim(f"cast, {how} (µs)", costs[f"cast, {how}"], 1.5, costs[f"bare channel hop, {how}"])
        for how in ("one at a time", "batches of 64")
    ]
    found += [
        Aim(f"{name} (µs)", costs[name], 15)
        for name in ("call, without a timeout", "call, timeout 5 s", "call, 64 callers")
    ]
    name = "call, without a timeout"
    bare = costs["bare question and answer"]
    found.append(Aim(f"{name}, against a bare question and answer (µs)", costs[name], 1.5, bare))
    name = f"snapshot of {FEW:,} actors"
    found.append(Aim(f"{name} (ms)", costs[name] * FEW / 1000, 10))
    for few in (f"start {FEW:,} actors", f"stop {FEW:,} actors at once",
                f"stop {FEW:,} actors one by one"):  # fmt: skip
        many = few.replace(f"{FEW:,}", f"{MANY:,}")
        found.append(Aim(f"{many}, each (µs), against {FEW:,}", costs[many], LINEAR, costs[few]))
    name = f"start {MANY:,} actors, collector as in the daemon"
    yardstick = costs[f"start {FEW:,} actors"]
    found.append(Aim(f"{name}, each (µs), against {FEW:,}", costs[name], LINEAR, yardstick))
    return found


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench messaging",
        allow_abbrev=False,
        description="Measure casts, calls, spawns, restarts, many children and the picture of the "
        "tree, against trio's bare channels and tasks in the same run.",
    )
    parser.add_argument("--quick", action="store_true", help="one short round, some ten seconds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures there")
    parser.add_argument("--rounds", type=int, help=f"rounds that count, default {FULL_ROUNDS}")
    parser.add_argument("--check", action="store_true", help="end with 1 when an aim is missed")
    options = parser.parse_args(arguments)
    if options.rounds is not None and options.rounds < 1:
        parser.error("--rounds must be 1 or more")
    return options


def measure(amount: Amount, rounds: int) -> Costs:
    """Return the medians of several rounds; one more before them only warms up."""
    found: list[Costs] = []
    for turn in range(rounds + 1):
        gc.collect()
        gc.freeze()  # what was there before is not what is measured
        name = f"round {turn} of {rounds}" if turn else "warming up"
        print(f"  {name}", file=sys.stderr, flush=True)
        found.append(trio.run(functools.partial(one_round, amount)))
        gc.unfreeze()
    return {name: statistics.median(costs[name] for costs in found[1:]) for name in found[0]}


def as_text(costs: Costs, setting: str) -> str:
    """Return the report as Markdown."""
    judged = table(
        ("aim", "found", "against", "ratio", "at most", "stands"),
        [aim.cells() for aim in aims(costs)],
    )
    listed = table(
        ("what", "µs each", "a second"),
        [(name, number(cost), number(1e6 / cost)) for name, cost in costs.items() if name != SLOW],
    )
    return f"{setting}\n\n{judged}\n\n{listed}"


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark, print its report, return the exit code."""
    options = parse(arguments)
    amount = QUICK if options.quick else FULL
    rounds = options.rounds or (QUICK_ROUNDS if options.quick else FULL_ROUNDS)
    core = choose_cores().program
    os.sched_setaffinity(0, {core})
    costs = measure(amount, rounds)
    machine = describe_machine()
    times = "1 round" if rounds == 1 else f"{rounds} rounds"
    setting = (
        f"{machine}, trio {trio.__version__}. CPU time, all in one process on core {core}; medians "
        f"of {times} after a warm-up; the garbage collector is on, a full collection before each "
        "measurement, what was there before the round frozen. Messages and their yardsticks are "
        f"measured side by side in {TURNS} turns a round, the least of which counts; the machine "
        f"was slow by a quarter or more in {costs[SLOW]:.0f} % of them."
    )
    print(as_text(costs, setting))
    if options.json:
        document = {
            "machine": machine,
            "core": core,
            "rounds": rounds,
            "amount": asdict(amount),
            "aims": [{**asdict(aim), "ratio": aim.ratio, "met": aim.met} for aim in aims(costs)],
            "microseconds": costs,
        }
        text = json.dumps(document, indent=2, ensure_ascii=False)
        options.json.write_text(text + "\n", encoding="utf-8")
    missed = any(not aim.met for aim in aims(costs))
    return 1 if options.check and missed else 0
