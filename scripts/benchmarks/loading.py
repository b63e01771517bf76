"""Run the load generator and read what it found."""

import contextlib
import json
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.errors import BenchError
from benchmarks.processes import Cores, pinned, running, tail
from benchmarks.requests import Kind

GRACE = 90.0
"""Seconds over its own plan after which a load generator is given up."""


@dataclass(frozen=True)
class Percentiles:
    """Latencies in microseconds."""

    p50: float
    p90: float
    p99: float
    p999: float
    max: float

    @classmethod
    def read(cls, found: Mapping[str, float]) -> "Percentiles | None":
        """Read what the load generator printed; None when it had no sample."""
        if not found["count"]:
            return None
        return cls(**{name: value for name, value in found.items() if name != "count"})


@dataclass(frozen=True)
class Load:
    """What one run of the load generator found.

    Attributes:
        completed: right answers in the measured window.
        events: stream events received in the window.
        seconds: length of the window.
        errors: what was wrong, and how often.
        latency: from when a request was due to the end of its answer.
        first_byte: from when a request was due to the first byte of the answer's body.
        cpu: CPU seconds that `meter` counted over the window, or None without one.
    """

    completed: int
    events: int
    seconds: float
    errors: Mapping[str, int]
    latency: Percentiles | None
    first_byte: Percentiles | None
    cpu: float | None

    @property
    def rate(self) -> float:
        """Right answers a second."""
        return self.completed / self.seconds


class Generator:
    """The load generator, ready to be run against any address."""

    def __init__(self, program: Path, cores: Cores, folder: Path) -> None:
        self._program = program
        self._cores = cores
        self._folder = folder
        self._log = folder / "load.log"

    def run(
        self,
        address: str,
        kind: Kind,
        *,
        connections: int,
        seconds: float,
        warmup: float = 0.5,
        ramp: float = 0.0,
        rate: float = 0.0,
        expect_bytes: int = 0,
        headers: Sequence[str] = (),
        meter: Callable[[], float] | None = None,
    ) -> Load:
        """Load `address` and return what was measured.

        Args:
            address: `unix:/path` or `tcp:127.0.0.1:port`.
            kind: the request to send.
            connections: how many are kept open.
            seconds: length of the measured window.
            warmup: seconds before it.
            ramp: seconds over which the first requests are spread, before the warm-up counts.
            rate: requests a second to offer; 0: each connection asks as soon as it has its answer.
            expect_bytes: length of a right answer's body; 0: any.
            headers: further headers of the request, as `name: value`.
            meter: read as the window opens and closes; the difference is `Load.cpu`.

        Raises:
            BenchError: the generator failed.
        """
        command = self._command(address, kind, connections, expect_bytes, headers)
        command += ["--seconds", f"{seconds}", "--warmup", f"{warmup}", "--ramp", f"{ramp}"]
        if rate:
            command += ["--rate", f"{rate:.1f}"]
        marks: dict[str, float] = {}
        with running(command, log=self._log, piped=True) as process:
            watchdog = threading.Timer(seconds + warmup + ramp + GRACE, process.kill)
            watchdog.start()
            try:
                found = self._read(process, marks, meter)
            finally:
                watchdog.cancel()
        cpu = marks["end"] - marks["begin"] if meter else None
        return Load(
            completed=found["completed"],
            events=found["events"],
            seconds=found["seconds"],
            errors=found["errors"],
            latency=Percentiles.read(found["latency_us"]),
            first_byte=Percentiles.read(found["first_byte_us"]),
            cpu=cpu,
        )

    @contextlib.contextmanager
    def hold(self, address: str, kind: Kind, connections: int) -> Iterator[None]:
        """Keep connections open while the block runs: idle after one answer, or with a stream open.

        Raises:
            BenchError: not all of them could be opened, or an answer was wrong.
        """
        command = [*self._command(address, kind, connections, 0), "--hold"]
        with running(command, log=self._log, piped=True) as process:
            assert process.stdout is not None and process.stdin is not None  # noqa: PT018 - pipes
            watchdog = threading.Timer(GRACE, process.kill)
            watchdog.start()
            try:
                line = process.stdout.readline()
                if line != "held\n":
                    raise BenchError(f"connections could not be held: {tail(self._log)}")
                yield
                process.stdin.close()
                found = json.loads(process.stdout.readline() or "{}")
            finally:
                watchdog.cancel()
        if found.get("errors") != {} or found["completed"] != connections:
            raise BenchError(f"held connections went wrong: {found}")

    def _command(
        self,
        address: str,
        kind: Kind,
        connections: int,
        expect_bytes: int,
        headers: Sequence[str] = (),
    ) -> list[str]:
        request = self._folder / f"{kind.model}.request"
        request.write_bytes(kind.encode(headers))
        command = [str(self._program), "--target", address, "--request", str(request)]
        command += ["--connections", str(connections), "--expect-bytes", str(expect_bytes)]
        command += ["--expect-events", str(kind.events)]
        return pinned(self._cores.load, command)

    def _read(
        self,
        process: subprocess.Popen[str],
        marks: dict[str, float],
        meter: Callable[[], float] | None,
    ) -> dict[str, Any]:
        assert process.stdout is not None
        for line in process.stdout:
            name = line.strip()
            if name in {"begin", "end"}:
                if meter:
                    marks[name] = meter()
            elif name.startswith("{"):
                found: dict[str, Any] = json.loads(name)
                return found
        raise BenchError(f"the load generator ended early: {tail(self._log)}")
