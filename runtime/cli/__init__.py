"""The `standby` command: one module per family of verbs, on a client made of the standard library.

Verbs that only ask a running daemon import neither trio, httpx2, rich nor msgspec, so that they
answer in a few tens of milliseconds; `up`, `check`, `schema` and the live tree import what they
need when they run.
"""
