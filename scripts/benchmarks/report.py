"""Print what a run found: as tables for people, as JSON for programs."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.measures import Plan, Results
from benchmarks.processes import Cores
from benchmarks.promises import rows


def describe_machine() -> str:
    """Say what the figures were measured on."""
    model = "unknown processor"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return (
        f"{os.cpu_count()} cores of {model}, {memory:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}"
    )


def number(value: float | None) -> str:
    """Write a figure with three digits that mean something."""
    if value is None:
        return "-"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) >= 100:
        return f"{value:.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """Lay out a Markdown table whose columns line up; all but the first to the right."""
    cells = [list(heads), *(list(line) for line in lines)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(heads))]

    def lay(line: Sequence[str]) -> str:
        first, *others = zip(line, widths, strict=True)
        padded = [first[0].ljust(first[1]), *(text.rjust(width) for text, width in others)]
        return f"| {' | '.join(padded)} |"

    rule = [f":{'-' * (widths[0] - 1)}", *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    return "\n".join([lay(cells[0]), f"| {' | '.join(rule)} |", *map(lay, cells[1:])])


def as_text(results: Results, plan: Plan, cores: Cores) -> str:
    """Return the whole report as Markdown."""
    setting = (
        f"{describe_machine()}. Program under test alone on core {cores.program}, load generator "
        f"and upstream on core {cores.load}; medians of {plan.rounds} runs of {plan.seconds:g} s."
    )
    parts = [
        setting,
        promises_table(results),
        throughput_table(results),
        added_table(results),
    ]
    if results.after_load:
        grown = ", ".join(f"{name} {number(mib)}" for name, mib in results.after_load.items())
        parts.append(f"Resident memory after all of the load (MiB): {grown}.")
    if results.start:
        bare = number(results.start.bare_python)
        parts.append(f"Of a cold `standby status`, Python's own start is {bare} ms.")
    if results.disturbed is not None and results.disturbed > 0.02:
        share = f"{results.disturbed * 100:.0f}"
        parts.append(
            f"Other work took {share} % of the program's core meanwhile: the figures are too high "
            "by more than that (caches are shared too); ratios suffer less."
        )
    if cores.shared:
        parts.append("There is only one core: program and load disturb each other.")
    errors = wrong_answers(results)
    parts.append("\n".join(errors) if errors else "Every answer was whole and right.")
    return "\n\n".join(part for part in parts if part)


def promises_table(results: Results) -> str:
    """Return each promise, what was found and how it stands."""
    heads = ("promise", "standby", "nginx", "ratio", "must", "aim", "stands")
    lines = [
        (
            row.what,
            number(row.value),
            number(row.yardstick),
            f"{row.ratio:.2f}" if row.ratio is not None else "-",
            row.must.describe(),
            row.aim.describe(),
            row.mark,
        )
        for row in rows(results)
    ]
    return table(heads, lines)


def throughput_table(results: Results) -> str:
    """Return the closed loops, a line for each case and target."""
    heads = (
        "closed loop",
        "through",
        "answers/s",
        "events/s",
        "CPU µs/answer",
        "CPU µs/event",
        "core busy %",
        "p50 µs",
        "p99 µs",
        "first byte p50 µs",
    )
    names = list(results.throughput)
    cases = list(next(iter(results.throughput.values()), {}))  # of direct: all of them
    lines = []
    for case in cases:
        for name in names:
            found = results.throughput[name].get(case)
            if found is None:
                continue
            lines.append(
                (
                    case,
                    name,
                    number(found.rate),
                    number(found.events_rate) if found.events_rate else "-",
                    number(found.cpu_us),
                    number(found.cpu_us_event),
                    f"{found.busy * 100:.0f}" if found.busy is not None else "-",
                    number(found.p50),
                    number(found.p99),
                    number(found.first_p50),
                )
            )
    return table(heads, lines) if lines else ""


def added_table(results: Results) -> str:
    """Return the latencies at 30 % load."""
    heads = (
        "at 30 % load",
        "requests/s",
        "p50 µs",
        "p99 µs",
        "direct p50",
        "direct p99",
        "added p50",
        "added p99",
    )
    lines = [
        (
            name,
            number(found.rate),
            number(found.p50),
            number(found.p99),
            number(found.direct_p50),
            number(found.direct_p99),
            number(found.added_p50),
            number(found.added_p99),
        )
        for name, found in results.added.items()
    ]
    return table(heads, lines) if lines else ""


def wrong_answers(results: Results) -> list[str]:
    """Return a line for each target and measurement that had wrong answers."""
    found = [
        (f"{case}, {name}", one.errors)
        for name, cases in results.throughput.items()
        for case, one in cases.items()
    ]
    found += [(f"latency, {name}", one.errors) for name, one in results.added.items()]
    return [f"Wrong answers: {where}: {dict(errors)}" for where, errors in found if errors]


def as_json(results: Results, plan: Plan, cores: Cores) -> str:
    """Return everything that was found as one JSON document."""
    document: dict[str, Any] = {
        "machine": describe_machine(),
        "cores": asdict(cores),
        "plan": asdict(plan),
        "promises": [
            {**asdict(row), "ratio": row.ratio, "stands": row.mark} for row in rows(results)
        ],
        **asdict(results),
    }
    return json.dumps(document, indent=2, ensure_ascii=False)
