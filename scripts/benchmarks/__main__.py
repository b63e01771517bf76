"""Dispatch `scripts/bench NAME` to the benchmark of that name."""

import sys
from collections.abc import Callable, Mapping, Sequence

from benchmarks import forward, messaging, routing, translation

BENCHMARKS: Mapping[str, Callable[[Sequence[str]], int]] = {
    "forward": forward.main,
    "messaging": messaging.main,
    "routing": routing.main,
    "translation": translation.main,
}


def main() -> int:
    """Run the benchmark that the first argument names; return the exit code."""
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    benchmark = BENCHMARKS.get(name)
    if benchmark is None:
        known = ", ".join(BENCHMARKS)
        print(f"scripts/bench: there is no benchmark '{name}' (there is: {known})", file=sys.stderr)
        return 2
    return benchmark(sys.argv[2:])


if __name__ == "__main__":
    sys.exit(main())
