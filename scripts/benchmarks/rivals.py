"""Two other gateways beside Standby, to measure on request: LiteLLM (Python), Portkey (Node).

Each is installed, at the version named here, into build/benchmarks/, from its ordinary registry and
without its optional parts, and runs as its own documentation starts it: one process, no database.
"""

import contextlib
import functools
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks.errors import BenchError
from benchmarks.processes import Cores, pinned, running
from benchmarks.requests import JSON
from benchmarks.targets import Target, wait_until_ready
from benchmarks.toolchain import BUILD

LITELLM = "litellm[proxy]==1.106.2"
PORTKEY = "@portkey-ai/gateway@1.15.2"
SLOW_START = 90.0
"""Seconds that one of them has to answer its first request."""


def install(name: str, steps: Sequence[Sequence[str]], proof: Path, version: str) -> None:
    """Run the steps that install a gateway, unless this version is there already."""
    stamp = BUILD / name / ".version"
    if proof.exists() and stamp.exists() and stamp.read_text() == version:
        return
    print(f"installing {version} into {BUILD / name}", file=sys.stderr)
    shutil.rmtree(BUILD / name, ignore_errors=True)
    (BUILD / name).mkdir(parents=True)
    for step in steps:
        done = subprocess.run(
            step, capture_output=True, text=True, timeout=900, check=False, cwd=BUILD / name
        )
        if done.returncode != 0:
            raise BenchError(f"{' '.join(step)} failed:\n{done.stderr[-2000:]}")
    stamp.write_text(version)


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def litellm(upstream_port: int, cores: Cores, folder: Path) -> Iterator[Target]:
    """Run LiteLLM's proxy with one worker on the program's core."""
    program = BUILD / "litellm" / "venv" / "bin" / "litellm"
    python = str(program.parent / "python")
    pip = [python, "-m", "pip", "-qq", "install", LITELLM]
    install("litellm", [[sys.executable, "-m", "venv", "venv"], pip], program, LITELLM)
    configuration = Path(tempfile.mkdtemp(prefix="litellm-", dir=folder)) / "config.yaml"
    model = {
        "model": f"openai/{JSON.model}",
        "api_base": f"http://127.0.0.1:{upstream_port}/v1",
        "api_key": "bench-key",
    }
    entry = {"model_name": JSON.model, "litellm_params": model}
    configuration.write_text(json.dumps({"model_list": [entry]}))
    port = free_port()
    command = [str(program), "--config", str(configuration), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--num_workers", "1"]
    environment = {
        "LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY": "true",
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "LITELLM_LOG": "ERROR",
    }
    yield from run(
        "litellm", command, environment, port=port, cores=cores, folder=configuration.parent
    )


@contextlib.contextmanager
def portkey(upstream_port: int, cores: Cores, folder: Path) -> Iterator[Target]:
    """Run Portkey's gateway on the program's core."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        raise BenchError("Portkey's gateway needs node and npm: apt-get install nodejs npm")
    server = "node_modules/@portkey-ai/gateway/build/start-server.js"
    program = BUILD / "portkey" / server
    fetch = [
        npm,
        "install",
        "--no-audit",
        "--no-fund",
        "--ignore-scripts",
        "--prefix",
        ".",
        PORTKEY,
    ]
    install("portkey", [fetch], program, PORTKEY)
    port = free_port()
    headers = (
        "x-portkey-provider: openai",
        f"x-portkey-custom-host: http://127.0.0.1:{upstream_port}/v1",
    )
    command = [node, str(program), f"--port={port}", "--headless"]
    folder = Path(tempfile.mkdtemp(prefix="portkey-", dir=folder))
    yield from run("portkey", command, {}, port=port, cores=cores, folder=folder, headers=headers)


def run(
    name: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    port: int,
    cores: Cores,
    folder: Path,
    headers: tuple[str, ...] = (),
) -> Iterator[Target]:
    """Run a gateway until the block ends; yield it when it answers."""
    log = folder / f"{name}.log"
    address = f"tcp:127.0.0.1:{port}"
    whole = {**os.environ, **environment}
    with running(pinned(cores.program, command), log=log, environment=whole) as process:
        wait_until_ready(address, process, log, headers=headers, patience=SLOW_START)
        yield Target(name, address, process.pid, headers=headers, rewrites=True)


def starters(
    names: Sequence[str], port: int, cores: Cores, folder: Path
) -> list[Callable[[], AbstractContextManager[Target]]]:
    """Return how to start each of the named gateways."""
    known = {"litellm": litellm, "portkey": portkey}
    return [functools.partial(known[name], port, cores, folder) for name in names]
