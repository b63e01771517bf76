"""Start programs pinned to one core, and read what they used from /proc."""

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchError

TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Cores:
    """Which core runs the program under test, and which the load generator and the upstream."""

    program: int
    load: int

    @property
    def shared(self) -> bool:
        """Whether there is only one core, so that the figures mean little."""
        return self.program == self.load


def choose_cores() -> Cores:
    """Choose the last core for the program under test and the first for the rest."""
    allowed = sorted(os.sched_getaffinity(0))
    return Cores(program=allowed[-1], load=allowed[0])


def pinned(core: int, command: Sequence[str]) -> list[str]:
    """Return the command that runs `command`, and all that it starts, on one core."""
    return ["taskset", "--cpu-list", str(core), *command]


def descendants(pid: int) -> Iterator[int]:
    """Yield `pid` and the processes below it that are alive now."""
    yield pid
    with contextlib.suppress(OSError):
        for thread in Path(f"/proc/{pid}/task").iterdir():
            for child in (thread / "children").read_text().split():
                yield from descendants(int(child))


def cpu_seconds(pid: int) -> float:
    """CPU time used by a process with all its threads and children, in seconds.

    Children that have ended count through their parent's totals. Raises BenchError when it is gone.
    """
    total = 0
    for process in descendants(pid):
        try:
            stat = Path(f"/proc/{process}/stat").read_text()
        except OSError as gone:
            if process == pid:
                raise BenchError(f"process {pid} ended in the middle of a measurement") from gone
            continue
        fields = stat.rpartition(")")[2].split()
        total += sum(int(field) for field in fields[11:15])  # utime, stime, cutime, cstime
    return total / TICKS_PER_SECOND


def core_seconds(core: int) -> float:
    """Time that a core has spent on any work since the machine started, in seconds."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            user, nice, system, _idle, _wait, irq, softirq = map(int, fields[:7])
            return (user + nice + system + irq + softirq) / TICKS_PER_SECOND
    return 0.0


def resident_mib(pid: int) -> float:
    """Resident memory of a process and its children, in MiB."""
    kib = 0
    for process in descendants(pid):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{process}/status").read_text().splitlines():
                if line.startswith("VmRSS:"):
                    kib += int(line.split()[1])
    return kib / 1024


@contextlib.contextmanager
def running(
    command: Sequence[str],
    *,
    log: Path,
    piped: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen[str]]:
    """Run a program and stop it at the end.

    Args:
        command: program and arguments.
        log: where its errors go, and its output when it is not piped.
        piped: connect its input and output to pipes.
        environment: its whole environment; None: this process's own.
    """
    with log.open("ab") as lines:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE if piped else subprocess.DEVNULL,
            stdout=subprocess.PIPE if piped else lines,
            stderr=lines,
            text=True,
            env=environment,
        )
    try:
        yield process
    finally:
        stop(process)


def stop(process: subprocess.Popen[str], patience: float = 10.0) -> None:
    """End a process: TERM first, KILL when it has not gone after `patience` seconds."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with contextlib.suppress(OSError):
                pipe.close()


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log, cut to a readable length, for an error's text."""
    with contextlib.suppress(OSError):
        last = log.read_text(errors="replace").splitlines()[-lines:]
        return "\n".join(line[:300] for line in last)
    return ""
