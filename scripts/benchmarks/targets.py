"""What is measured: the upstream itself (direct), nginx as a proxy, and Standby."""

import contextlib
import http.client
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.errors import BenchError
from benchmarks.processes import Cores, cpu_seconds, pinned, resident_mib, running, tail
from benchmarks.requests import JSON, KINDS, Kind

READY_WITHIN = 20.0
"""Seconds that a program has to answer its first request."""

MOST_CONNECTIONS = 2000
"""Connections to the upstream that Standby may open: more than any measurement holds."""

NGINX_CONFIG = """\
{user}worker_processes 1;
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/nginx.log warn;
worker_rlimit_nofile 65536;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    keepalive_requests 1000000000;
    keepalive_timeout 1h;
    upstream provider {{
        server 127.0.0.1:{port};
        keepalive 1024;
        keepalive_requests 1000000000;
    }}
    client_max_body_size 32m;
    proxy_http_version 1.1;
    proxy_set_header Connection "";
    proxy_read_timeout 1h;
    server {{
        listen unix:{folder}/nginx.sock;
        location / {{ proxy_pass http://provider; }}
    }}
    server {{
        listen unix:{folder}/nginx-streams.sock;
        location / {{ proxy_pass http://provider; proxy_buffering off; }}
    }}
}}
"""


@dataclass(frozen=True)
class Target:
    """Something that answers chat requests.

    Attributes:
        name: as shown in the report.
        address: `unix:/path` or `tcp:127.0.0.1:port`.
        pid: the process whose CPU and memory count; None: nothing is between client and upstream.
        socket: path of the Unix socket, or None.
        stream_address: where streams are asked for, when that is another address.
        headers: what its requests need besides an SDK's own headers.
        rewrites: whether it writes answers anew, so that their length is its own.
    """

    name: str
    address: str
    pid: int | None
    socket: Path | None = None
    stream_address: str | None = None
    headers: tuple[str, ...] = ()
    rewrites: bool = False

    def address_for(self, kind: Kind) -> str:
        """Return the address that a kind of request goes to."""
        return (self.stream_address if kind.stream else None) or self.address

    @property
    def meter(self) -> Callable[[], float] | None:
        """A function that reads the CPU seconds used so far."""
        pid = self.pid
        return None if pid is None else lambda: cpu_seconds(pid)

    def resident(self) -> float:
        """Resident memory now, in MiB."""
        assert self.pid is not None
        return resident_mib(self.pid)


class UnixConnection(http.client.HTTPConnection):
    """An HTTP client connection to a Unix socket."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def connect(address: str, timeout: float) -> http.client.HTTPConnection:
    """Return an HTTP client connection to `unix:/path` or `tcp:host:port`, not connected yet."""
    if address.startswith("unix:"):
        return UnixConnection(address.removeprefix("unix:"), timeout)
    host, _, port = address.removeprefix("tcp:").rpartition(":")
    return http.client.HTTPConnection(host, int(port), timeout=timeout)


def wait_until_ready(
    address: str,
    process: subprocess.Popen[str],
    log: Path,
    *,
    headers: Sequence[str] = (),
    patience: float = READY_WITHIN,
) -> None:
    """Wait until one real request to the program is answered with 200.

    Raises:
        BenchError: the program ended, or gave no such answer within `patience` seconds.
    """
    body = json.dumps({"model": JSON.model, "messages": [{"role": "user", "content": "hi"}]})
    fields = dict(header.split(": ", maxsplit=1) for header in headers)
    fields |= {"Content-Type": "application/json", "Authorization": "Bearer bench"}
    deadline = time.monotonic() + patience
    last = "it never listened"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise BenchError(f"{log.stem} ended at once:\n{tail(log)}")
        connection = connect(address, timeout=5)
        try:
            connection.request("POST", "/v1/chat/completions", body, fields)
            answer = connection.getresponse()
            text = answer.read(500).decode(errors="replace")
            if answer.status == http.HTTPStatus.OK:
                return
            last = f"it answered {answer.status}: {text}"
        except (OSError, http.client.HTTPException) as failure:
            last = str(failure)
        finally:
            connection.close()
        time.sleep(0.05)
    raise BenchError(f"{log.stem} was not ready after {patience:.0f} s: {last}\n{tail(log)}")


def answer_size(direct: Target, kind: Kind) -> int:
    """Ask the upstream itself once; return how many bytes the body of a right answer has."""
    connection = connect(direct.address, timeout=30)
    try:
        connection.request("POST", "/v1/chat/completions", kind.body())
        return len(connection.getresponse().read())
    finally:
        connection.close()


@contextlib.contextmanager
def upstream(program: Path, cores: Cores, folder: Path) -> Iterator[int]:
    """Run the upstream on the load's core; yield the port of 127.0.0.1 that it listens on."""
    log = folder / "upstream.log"
    with running(
        pinned(cores.load, [str(program), "tcp:127.0.0.1:0"]), log=log, piped=True
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        if not line:
            raise BenchError(f"the upstream did not start: {tail(log)}")
        yield int(json.loads(line)["port"])


def find_nginx() -> str:
    """Return nginx's path, installing Debian's package when that is possible.

    Raises:
        BenchError: it is missing and could not be installed.
    """
    where = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    found = shutil.which("nginx", path=where)
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        print("installing nginx-light, the yardstick", file=sys.stderr)
        quiet = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        for arguments in (["update"], ["install", "-y", "--no-install-recommends", "nginx-light"]):
            subprocess.run(
                ["apt-get", "-qq", *arguments],
                stdout=subprocess.DEVNULL,
                timeout=600,
                check=False,
                env=quiet,
            )
        found = shutil.which("nginx", path=where)
    if found is None:
        raise BenchError(
            "nginx is missing: it is the yardstick that makes the figures comparable.\n"
            "  sudo apt-get install nginx-light    or: scripts/bench forward --without nginx"
        )
    return found


@contextlib.contextmanager
def nginx(port: int, cores: Cores, folder: Path) -> Iterator[Target]:
    """Run nginx as a plain proxy to the upstream on the program's core: one worker, no access log.

    Plain answers go through its buffers as by default; streams have a socket of their own without.
    """
    program = find_nginx()
    folder = Path(tempfile.mkdtemp(prefix="nginx-", dir=folder))
    configuration = folder / "nginx.conf"
    user = "user root;\n" if os.geteuid() == 0 else ""
    configuration.write_text(NGINX_CONFIG.format(folder=folder, port=port, user=user))
    log = folder / "nginx.log"
    command = [program, "-e", str(log), "-p", str(folder), "-c", str(configuration)]
    path = folder / "nginx.sock"
    with running(pinned(cores.program, command), log=log) as process:
        wait_until_ready(f"unix:{path}", process, log)
        streams = f"unix:{folder}/nginx-streams.sock"
        yield Target("nginx", f"unix:{path}", process.pid, path, stream_address=streams)


def standby_configuration(port: int) -> str:
    """Return a configuration with two providers on the upstream and a failover group per model.

    All else stands as in the defaults: breakers, retries, telemetry and failover are on. Only the
    bound on connections to a provider is raised, so that a thousand streams can be held.
    """
    provider = {
        "kind": "openai",
        "base_url": f"http://127.0.0.1:{port}/v1",
        "api_key": "bench-key",
        "models": ["bench-*"],
        "max_connections": MOST_CONNECTIONS,
    }
    groups = {
        kind.model: {
            "strategy": "priority",
            "members": [{"provider": name, "model": kind.model} for name in ("upstream", "spare")],
        }
        for kind in KINDS
    }
    # JSON is YAML too.
    return json.dumps({"providers": {"upstream": provider, "spare": provider}, "groups": groups})


def standby_command() -> Path:
    """Return the path of the installed `standby` command."""
    command = Path(sys.executable).parent / "standby"
    if not command.exists():
        raise BenchError(f"{command} is missing: scripts/bench installs it")
    return command


def standby_environment(folder: Path) -> dict[str, str]:
    """Return an environment that keeps the user's own settings, keys and folders out of it."""
    names = ("PATH", "LANG", "LC_ALL", "TZ")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    folders = ("XDG_RUNTIME_DIR", "XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "HOME")
    return kept | {name: str(folder) for name in folders}


@contextlib.contextmanager
def standby(port: int, cores: Cores, folder: Path) -> Iterator[Target]:
    """Run the real daemon on the program's core, on a socket of its own."""
    folder = Path(tempfile.mkdtemp(prefix="standby-", dir=folder))
    configuration = folder / "config.yaml"
    configuration.write_text(standby_configuration(port))
    path = folder / "standby.sock"
    log = folder / "standby.log"
    command = [str(standby_command()), "up", "--config", str(configuration), "--socket", str(path)]
    environment = standby_environment(folder)
    with running(pinned(cores.program, command), log=log, environment=environment) as process:
        wait_until_ready(f"unix:{path}", process, log)
        yield Target("standby", f"unix:{path}", process.pid, path)
