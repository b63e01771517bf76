"""Large requests, large answers, slow readers: everything passes, nothing is hoarded."""

import json
import socket
from collections.abc import Iterator

import pytest

from tests.support import raw
from tests.support.answers import (
    PATHS,
    closing,
    openai_answer,
    openai_chunk,
    opening,
    request_body,
)
from tests.support.configs import base_url, config, group, upstream
from tests.support.daemon import Daemon
from tests.support.reading import events, stream_text, text_of
from tests.support.scripted import PATIENCE, CallerGone, Exchange, Scripted
from tests.support.waiting import eventually

EVENTS = 8000
EVENT_TEXT = "x" * 8000
"""Together 64 MB: more than the kernel ever holds between two sockets."""
HOARD = 16 * 1024 * 1024
"""Bytes by which the daemon may grow for a client that does not read."""


class Sizes:
    """An upstream that repeats what it was asked, or sends a flood as fast as it is taken."""

    def __init__(self) -> None:
        self.sent = 0
        self.ended = False

    def __call__(self, exchange: Exchange) -> None:
        if not exchange.request.json.get("stream"):
            text = exchange.request.json["messages"][0]["content"]
            exchange.answer(200, openai_answer(text))
            return
        self.sent = 0
        self.ended = False
        try:
            exchange.begin()
            for event in opening("openai"):
                exchange.piece(event)
            event = openai_chunk({"content": EVENT_TEXT})
            for _ in range(EVENTS):
                exchange.piece(event)
                self.sent += len(event)
            for event in closing("openai"):
                exchange.piece(event)
            exchange.finish()
        except CallerGone:
            self.ended = True
            raise


@pytest.fixture(scope="module")
def sizes() -> Sizes:
    return Sizes()


@pytest.fixture(scope="module")
def daemon(sizes: Sizes) -> Iterator[Daemon]:
    with (
        Scripted(sizes) as scripted,
        Daemon(
            config(
                {"o": upstream("openai", base_url("openai", scripted.url))}, {"chat": group("o")}
            )
        ) as running,
    ):
        yield running


@pytest.mark.parametrize("size", [1, 65_535, 65_536, 1_000_000, 6_000_000])
def test_requests_and_answers_of_every_size_pass_unchanged(daemon: Daemon, size: int) -> None:
    text = ("äöü€😀" * (size // 5 + 1))[:size]
    body = {"model": "chat", "messages": [{"role": "user", "content": text}]}
    reply = daemon.ask("POST", PATHS["openai"], json.dumps(body, ensure_ascii=False).encode())
    assert reply.status == 200
    assert text_of(reply, "openai", stream=False) == text


def _flood(daemon: Daemon) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(PATIENCE)
    sock.connect(str(daemon.socket))
    body = json.dumps(request_body("openai", "chat", stream=True)).encode()
    sock.sendall(raw.post(PATHS["openai"], body))
    return sock


def _stuck(sizes: Sizes) -> None:
    """Wait until the upstream has begun and can send no more."""
    looks: list[int] = []

    def look() -> bool:
        looks.append(sizes.sent)
        recent = looks[-20:]
        return len(recent) == 20 and recent[0] > 0 and len(set(recent)) == 1

    eventually(look, "the upstream was held back")


def test_a_client_that_does_not_read_holds_the_upstream_back(daemon: Daemon, sizes: Sizes) -> None:
    before = daemon.resident()
    with _flood(daemon) as sock:
        _stuck(sizes)
        assert sizes.sent < EVENTS * len(EVENT_TEXT)
        assert daemon.resident() - before < HOARD
        # Others are not held back with it.
        assert daemon.ask("POST", PATHS["openai"], request_body("openai", "chat")).status == 200
        reply = raw.read(sock, "POST")
    text = stream_text(events(reply.body), "openai")
    assert len(text) == EVENTS * len(EVENT_TEXT)


def test_a_client_that_leaves_unread_data_behind_frees_the_upstream(
    daemon: Daemon, sizes: Sizes
) -> None:
    with _flood(daemon):
        _stuck(sizes)
    eventually(lambda: sizes.ended, "the upstream was told")
    eventually(
        lambda: daemon.get("/health/providers")["o"]["in_flight"] == 0, "nothing was in flight"
    )
