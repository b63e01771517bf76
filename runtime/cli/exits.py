"""The exit codes of every verb, in one place."""

__all__ = ["BAD", "CANNOT_CONNECT", "INCOMPLETE", "INTERRUPTED", "OK", "PIPE_CLOSED", "USAGE"]

OK = 0
"""Done; for `status` and `tree`: everything is healthy."""

BAD = 1
"""The daemon answered, and the answer is no: degraded, refused, unknown, a file with problems."""

CANNOT_CONNECT = 2
"""No daemon answers at the socket."""

USAGE = 2
"""The command line, or for `up` the configuration, makes no sense (argparse uses 2 as well)."""

INCOMPLETE = 3
"""`chat`: the answer began and then broke; what was printed is not the whole of it."""

INTERRUPTED = 130
"""Ctrl-C."""

PIPE_CLOSED = 141
"""Whoever read our output closed it."""
