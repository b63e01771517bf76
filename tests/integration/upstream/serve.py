"""Serve the foreign mock upstream on a free loopback port, until standard input closes.

Runs in the private environment built from ``requirements.lock`` beside it, never in the
project's own. Prints the root URL as its only line of output. The port is bound before the
server starts, so no other process can take it in between; the end of standard input is the
signal to stop, so the server cannot outlive the test process however that ends.
"""

import sys

from llmock.chaos import ChaosSettings  # type: ignore[import-not-found]  # lives in the private environment
from llmock.simulation import MockResponseSettings  # type: ignore[import-not-found]  # the same
from llmock.testing import LLMockServer  # type: ignore[import-not-found]  # the same


def main() -> int:
    # Explicit settings: nothing in the caller's environment may change the answers.
    server = LLMockServer(chaos=ChaosSettings(), responses=MockResponseSettings())
    with server:
        print(server.url, flush=True)
        sys.stdin.read()
    return 0


if __name__ == "__main__":
    sys.exit(main())
