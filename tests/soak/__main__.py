"""The command line of a soak; ``scripts/soak`` runs it."""

import argparse
import sys
from functools import partial

import trio

from tests.soak.plan import Trouble, soak_config
from tests.soak.soak import Findings, Soak
from tests.support.daemon import Daemon

_MOST_GROWTH = 2.0
"""MiB by which the memory may grow between the middle and the last third of a run."""


def main() -> int:
    """Run a soak and say what came of it; exit code 1 when a promise was broken."""
    parser = argparse.ArgumentParser(prog="scripts/soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default: 10)")
    parser.add_argument("--rate", type=float, default=200.0, help="requests a second (200)")
    parser.add_argument(
        "--kill-every", type=float, default=0.1, help="seconds between kills; 0: none (0.1)"
    )
    parser.add_argument("--seed", type=int, default=0, help="where the dice begin (0)")
    parser.add_argument(
        "--trouble",
        choices=("calm", "faults", "one_down"),
        default="faults",
        help="what the providers do (faults)",
    )
    chosen = parser.parse_args()
    trouble: Trouble = chosen.trouble
    daemon = Daemon(soak_config(trouble))
    daemon.expects_trouble = True
    with daemon:
        soak = Soak(
            daemon,
            rate=chosen.rate,
            kill_every=chosen.kill_every or None,
            seed=chosen.seed,
            say=partial(print, flush=True),
        )
        findings = trio.run(soak.run, chosen.minutes * 60)
    return _report(findings)


def _report(findings: Findings) -> int:
    mistakes = findings.mistakes()
    growth = findings.growth()
    if growth > _MOST_GROWTH:
        mistakes.append(f"the memory grew by {growth:.1f} MiB")
    print(f"{findings.asked} requests in {findings.seconds:.0f} s: {dict(findings.verdicts)}")
    print(
        f"complete: {findings.availability:.3%}; {findings.failed_over} of them after a fail-over"
    )
    print(f"streams that broke and were resumed: {findings.resumed}")
    kills = findings.kills
    print(f"killed: {kills.done.total()} parts of {kills.due} that were due: {dict(kills.done)}")
    print(f"  {kills.down} were down when it was their turn; slowest order {kills.slowest:.2f} s")
    print(f"memory: {findings.resident[0]:.1f} to {findings.resident[-1]:.1f} MiB")
    print(f"honest errors: {dict(findings.failed)}")
    for text, count in findings.honest.most_common(10):
        print(f"  {count} times {text}")
    for mistake in mistakes:
        print(f"BROKEN PROMISE: {mistake}")
    return 1 if mistakes else 0


if __name__ == "__main__":
    sys.exit(main())
