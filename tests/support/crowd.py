"""A client process that asks many things at the same time: a client of its own to the daemon.

``Crowd`` starts it and reads what became of its requests.
"""

import json
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support import raw
from tests.support.daemon import ROOT, Reply

PATIENCE = 60.0
"""Seconds any wait in here may last."""


class Crowd:
    """Many requests of one process, sent on entry; it ends with the block.

    Args:
        path: The daemon's socket.
        many: How many requests, each on a connection of its own.
        target: What is asked.
        body: The body of all.
        headers: Further header lines of all.
    """

    def __init__(
        self,
        path: Path,
        many: int,
        target: str,
        body: Mapping[str, object],
        headers: tuple[str, ...] = (),
    ) -> None:
        self._order = json.dumps([str(path), many, target, body, headers]).encode()
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        """Start it, and wait until all requests are sent."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(self._order + b"\n")
        self._process.stdin.flush()
        assert self._process.stdout.readline() == b"sent\n"
        return self

    def replies(self) -> list[Reply]:
        """Wait for the answers to all requests, and return them in the order they were asked."""
        assert self._process is not None
        out, _ = self._process.communicate(timeout=PATIENCE)
        return [Reply(status, headers, body.encode()) for status, headers, body in json.loads(out)]

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """End it."""
        assert self._process is not None
        self._process.kill()
        self._process.communicate()


def main() -> None:
    """Ask what standard input says; write what came of it to standard output."""
    path, many, target, body, headers = json.loads(sys.stdin.readline())
    request = raw.post(target, json.dumps(body).encode(), *(line.encode() for line in headers))
    socks = []
    for _ in range(many):
        sock = _connected(path)
        sock.settimeout(PATIENCE)
        sock.sendall(request)
        socks.append(sock)
    print("sent", flush=True)
    replies = [raw.read(sock, "POST") for sock in socks]
    print(json.dumps([[each.status, dict(each.headers), each.body.decode()] for each in replies]))


def _connected(path: str) -> socket.socket:
    while True:
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            sock.connect(path)
        except BlockingIOError:  # more come at once than the kernel's queue holds
            sock.close()
            time.sleep(0.001)
        else:
            return sock


if __name__ == "__main__":
    main()
