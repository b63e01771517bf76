"""Clients keep their place while the supervisor of connections is away."""

import itertools
import socket
from collections import deque
from pathlib import Path

import trio
from trio.testing import MockClock

from providers.http import Limits, Listener, Poller, Request
from runtime.doors.door import Door, OpenSessions
from runtime.doors.session import Access, Routes, Session
from runtime.identifiers import RequestIds
from supervision import ChildSpec, Reports, dynamic_supervisor, open_system, supervisor

ASK = b"GET /hello HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"


async def hello(session: Session, request: Request) -> None:
    session.respond(200, b"hello")


async def test_clients_who_come_while_nobody_can_hold_them_are_served_when_somebody_can(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    poller = Poller()
    listener = Listener.bind_unix(poller, tmp_path / "s", 0o600)
    sessions, ids, numbers = OpenSessions(), RequestIds(), itertools.count(1)
    waiting: deque[socket.socket] = deque()
    routes, access = Routes({"/hello": {"GET": hello}}), Access()

    def door() -> Door:
        return Door(
            name="unix",
            listener=listener,
            poller=poller,
            limits=Limits(),
            sessions=sessions,
            open_session=lambda connection: Session(connection, routes, access, ids),
            numbers=numbers,
            waiting=waiting,
        )

    children = [
        ChildSpec("poller", poller.run, kind="task"),
        ChildSpec("deadlines", poller.wheel.run, kind="task"),
        dynamic_supervisor("connections", restart="permanent"),
        ChildSpec("door:unix", door),
    ]
    answers: list[bytes] = []

    async def come() -> None:
        with trio.socket.socket(socket.AF_UNIX) as sock:
            await sock.connect(str(tmp_path / "s"))
            await sock.send(ASK)
            with trio.move_on_after(30):
                answers.append(await sock.recv(1000))

    try:
        root = supervisor("root", children)
        async with open_system(root, reports=Reports(log=False)) as system:
            await system.supervisor("root").terminate_child("connections")
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(come)
                await trio.sleep(1)
                assert answers == []
                await system.supervisor("root").restart_child("connections")
            assert len(answers) == 3
            assert all(each.startswith(b"HTTP/1.1 200") for each in answers)
            assert len(sessions) == 0
    finally:
        listener.close()
        poller.close()
