"""What is made of the variables that a service manager sets."""

import os
import socket
from pathlib import Path

import pytest

from runtime.configuration import Config, Secret, TcpConfig
from runtime.inherited_sockets import (
    NOTHING_INHERITED,
    InheritedSockets,
    inherit_sockets,
    refuse_unguarded,
)
from runtime.service_manager import ServiceManager

OWN = str(os.getpid())


@pytest.mark.parametrize(
    ("environ", "watchdog"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "30000000"}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": OWN}, 30.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "-5"}, None),
    ],
)
def test_the_watchdog_is_for_the_process_it_names(
    environ: dict[str, str], watchdog: float | None
) -> None:
    environ = {**environ, "HOME": "/"}
    manager = ServiceManager.from_environment(environ)
    assert manager.watchdog == watchdog
    assert environ == {"HOME": "/"}, "no child process takes the variables for its own"


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative/path", "@"])
def test_without_an_address_nobody_is_told(address: str) -> None:
    manager = ServiceManager.from_environment({"NOTIFY_SOCKET": address})
    assert not manager.listens
    manager.ready("fine")
    manager.close()


def test_a_status_is_one_line(tmp_path: Path) -> None:
    path = str(tmp_path / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(path)
        manager = ServiceManager(path)
        manager.ready("two\nREADY=0")
        assert heard.recv(100) == b"READY=1\nSTATUS=two READY=0"
        manager.close()


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"LISTEN_FDS": "1"},
        {"LISTEN_PID": "1", "LISTEN_FDS": "1"},
        {"LISTEN_PID": OWN},
        {"LISTEN_PID": OWN, "LISTEN_FDS": "0"},
    ],
)
def test_nothing_is_inherited_unless_this_process_is_named(environ: dict[str, str]) -> None:
    assert inherit_sockets(environ) == NOTHING_INHERITED
    assert environ == {}


@pytest.mark.parametrize("count", ["one", "-1", "65", "1e3"])
def test_a_number_of_sockets_that_makes_no_sense_is_refused(count: str) -> None:
    with pytest.raises(ValueError, match="LISTEN_FDS is "):
        inherit_sockets({"LISTEN_PID": OWN, "LISTEN_FDS": count})


@pytest.mark.parametrize(
    ("host", "token", "said"),
    [
        ("0.0.0.0", "t", "for this machine only"),
        ("127.0.0.1", "", "needs tcp.token"),
        ("127.0.0.1", "t", None),
    ],
)
def test_an_inherited_port_is_held_to_the_rules_of_the_tcp_door(
    host: str, token: str, said: str | None
) -> None:
    config = Config(tcp=TcpConfig(token=Secret(token)))
    with socket.socket(socket.AF_INET) as sock:
        sock.bind((host, 0))
        if said is None:
            refuse_unguarded(InheritedSockets(tcp=sock), config)
        else:
            with pytest.raises(ValueError, match=said):
                refuse_unguarded(InheritedSockets(tcp=sock), config)


@pytest.mark.parametrize(("mode", "shared"), [(0o600, False), (0o660, True), (0o666, True)])
def test_a_sockets_mode_says_whether_others_are_meant_to_come(
    tmp_path: Path, mode: int, shared: bool
) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(str(tmp_path / "s"))
        (tmp_path / "s").chmod(mode)
        assert InheritedSockets(unix=sock).shared is shared
        assert InheritedSockets(unix=sock).path == tmp_path / "s"
