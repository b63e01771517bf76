"""One daemon per socket."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from runtime.instance import AlreadyRunningError, hold_instance

HOLDER = """
import sys
from pathlib import Path
from runtime.instance import hold_instance
with hold_instance(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_second_process_is_told_who_serves_the_socket(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(AlreadyRunningError, match=f"pid {other.pid}"), hold_instance(path):
            pass
        other.kill()
    with hold_instance(path):
        assert (tmp_path / "s.lock").read_text() == f"{os.getpid()}\n"


def test_a_socket_that_nobody_listens_on_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with hold_instance(path):
        assert not path.exists()


@pytest.mark.parametrize("full", [False, True])
def test_a_living_socket_is_left_alone(tmp_path: Path, full: bool) -> None:
    path = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as living, socket.socket(socket.AF_UNIX) as client:
        living.bind(str(path))
        living.listen(0 if full else 5)
        if full:
            client.connect(str(path))
        with pytest.raises(AlreadyRunningError), hold_instance(path):
            pass
        assert path.exists()


@pytest.mark.parametrize("kind", ["file", "directory", "dangling"])
def test_what_is_no_socket_is_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "s"
    if kind == "file":
        path.write_text("precious")
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(FileExistsError, match="not a socket"), hold_instance(path):
        pass
    assert path.is_symlink() or path.exists()


def test_a_lock_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / "s.lock").symlink_to(victim)
    with pytest.raises(OSError), hold_instance(tmp_path / "s"):
        pass
    assert victim.read_text() == "precious"
