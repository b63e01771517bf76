"""`scripts/bench forward`: what it costs to send a request through Standby."""

import argparse
import contextlib
import functools
import resource
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.errors import BenchError
from benchmarks.loading import Generator
from benchmarks.measures import Bench, Plan, Results, Starter
from benchmarks.processes import Cores, choose_cores
from benchmarks.promises import rows
from benchmarks.report import as_json, as_text, wrong_answers
from benchmarks.rivals import starters as rivals_to_start
from benchmarks.targets import Target, nginx, standby, upstream
from benchmarks.toolchain import build

FULL = Plan(rounds=3, seconds=3.0, starts=20)
QUICK = Plan(rounds=1, seconds=1.0, starts=5)
MEASUREMENTS = ("throughput", "latency", "memory", "start")


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench forward",
        allow_abbrev=False,
        description="Measure what Standby costs a request, against direct calls and nginx in the "
        "same run, and how that stands against the promises. Everything stays on this machine.",
    )
    parser.add_argument("--quick", action="store_true", help="one short round, under a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures there")
    parser.add_argument("--rounds", type=int, help=f"runs of each, default {FULL.rounds}")
    parser.add_argument("--seconds", type=float, help=f"length of one, default {FULL.seconds:g}")
    parser.add_argument("--many", action="store_true", help="measure 512 connections too")
    parser.add_argument(
        "--only", choices=MEASUREMENTS, action="append", help="measure just this (repeatable)"
    )
    parser.add_argument(
        "--without", choices=["nginx", "standby"], action="append", help="leave this one out"
    )
    parser.add_argument(
        "--with",
        dest="rivals",
        choices=["litellm", "portkey"],
        action="append",
        help="measure this gateway too; installs it into build/benchmarks (repeatable)",
    )
    parser.add_argument("--check", action="store_true", help="end with 1 when a `must` is missed")
    return parser.parse_args(arguments)


def plan_for(options: argparse.Namespace) -> Plan:
    """Return how long to measure."""
    base = QUICK if options.quick else FULL
    return Plan(
        rounds=options.rounds or base.rounds,
        seconds=options.seconds or base.seconds,
        starts=base.starts,
        many=options.many,
    )


def measure(options: argparse.Namespace, plan: Plan, cores: Cores, folder: Path) -> Results:
    """Start everything, run what was asked for, return what was found."""
    wanted = set(options.only or MEASUREMENTS)
    if "latency" in wanted:
        wanted.add("throughput")  # which tells what 30 % of the most is
    left_out = set(options.without or ())
    generator = Generator(build("load"), cores, folder)
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(upstream(build("upstream"), cores, folder))
        starters: dict[str, Starter] = {
            "nginx": functools.partial(nginx, port, cores, folder),
            "standby": functools.partial(standby, port, cores, folder),
        }
        starters = {name: start for name, start in starters.items() if name not in left_out}
        targets = [Target("direct", f"tcp:127.0.0.1:{port}", pid=None)]
        bench = Bench(generator, targets, plan, say)
        if "memory" in wanted:
            for name, start in starters.items():
                bench.measure_memory(name, start)
        if wanted == {"memory"}:
            return bench.results
        targets += [stack.enter_context(start()) for start in starters.values()]
        if "throughput" in wanted:
            bench.measure_throughput()
        if "latency" in wanted:
            bench.measure_added_latency()
        if "throughput" in wanted:
            bench.measure_growth()
        if "start" in wanted and "standby" in starters:
            bench.measure_start(next(target for target in targets if target.name == "standby"))
        for start in rivals_to_start(options.rivals or (), port, cores, folder):
            bench.measure_rival(start)
        return bench.results


def say(text: str) -> None:
    """Tell a waiting person what is being done."""
    print(f"  {text}", file=sys.stderr, flush=True)


def raise_descriptor_limit() -> None:
    """Let what is started here open as many sockets as this user may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark, print its report, return the exit code."""
    options = parse(arguments)
    plan, cores = plan_for(options), choose_cores()
    raise_descriptor_limit()
    try:
        with tempfile.TemporaryDirectory(prefix="standby-bench-") as folder:
            results = measure(options, plan, cores, Path(folder))
    except BenchError as failure:
        print(f"scripts/bench: {failure}", file=sys.stderr)
        return 1
    print(as_text(results, plan, cores))
    if options.json:
        options.json.write_text(as_json(results, plan, cores) + "\n", encoding="utf-8")
    if wrong_answers(results):
        return 1
    missed = any(row.mark == "missed" for row in rows(results))
    return 1 if options.check and missed else 0
