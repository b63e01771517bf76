"""The one error that a benchmark ends with."""


class BenchError(Exception):
    """The benchmark cannot run, or its figures would mean nothing; the text says what to do."""
