"""Measures what Standby costs: run by scripts/bench, described in docs/benchmarks.md."""
