"""Compile the load generator and the upstream, two small C programs in native/.

They are C because both sides of the load must fit on one core and still outrun nginx on the other.
"""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.errors import BenchError

SOURCES = Path(__file__).resolve().parent / "native"
BUILD = SOURCES.parent.parent.parent / "build" / "benchmarks"
"""What a benchmark compiles or installs for itself."""

FLAGS = ("-O2", "-Wall", "-Wextra")


def build(name: str) -> Path:
    """Return the program `name` (load or upstream), compiled anew when its source changed."""
    compiler = os.environ.get("CC") or shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        raise BenchError("a C compiler is needed for the load generator: apt-get install gcc")
    text = b"".join((SOURCES / part).read_bytes() for part in ("common.h", f"{name}.c"))
    digest = hashlib.sha256(text + " ".join(FLAGS).encode()).hexdigest()[:16]
    program = BUILD / f"{name}-{digest}"
    if not program.exists():
        BUILD.mkdir(parents=True, exist_ok=True)
        unfinished = BUILD / f"{name}-{digest}.{os.getpid()}"
        command = [compiler, *FLAGS, "-o", str(unfinished), str(SOURCES / f"{name}.c")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode != 0:
            raise BenchError(f"{' '.join(command)} failed:\n{done.stderr}")
        unfinished.rename(program)
    return program
