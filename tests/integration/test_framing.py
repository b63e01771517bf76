"""Requests in every framing on shared connections: each is answered as itself, none as another."""

import http.client
import json
import random
import socket
from collections.abc import Iterator
from typing import BinaryIO

import pytest

from tests.support import raw
from tests.support.answers import PATHS, request_body
from tests.support.configs import base_url, config, group, upstream
from tests.support.daemon import Daemon
from tests.support.scripted import PATIENCE, Exchange, Scripted


def _echo(exchange: Exchange) -> None:
    """Answer with what was asked: path, header and text, so that a mix-up cannot go unseen."""
    request = exchange.request
    said = json.dumps(
        {
            "path": request.path,
            "marker": request.headers.get("x-marker"),
            "text": request.json["messages"][0]["content"],
        }
    )
    if request.path.endswith("/messages"):
        content = {"content": [{"type": "text", "text": said}], "stop_reason": "end_turn"}
        exchange.answer(200, {"type": "message", "role": "assistant", "model": "m-1", **content})
    else:
        choice = {"index": 0, "message": {"role": "assistant", "content": said}}
        exchange.answer(
            200,
            {
                "object": "chat.completion",
                "model": "m-1",
                "choices": [{**choice, "finish_reason": "stop"}],
            },
        )


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Scripted(_echo) as scripted:
        providers = {
            f"{place}-{dialect}": upstream(dialect, base_url(dialect, f"{scripted.url}/{place}"))
            for place in ("here", "there")
            for dialect in PATHS
        }
        groups = {name: group(name) for name in providers}
        with Daemon(config(providers, {f"g-{name}": groups[name] for name in groups})) as running:
            yield running


def _request(dialect: str, place: str, marker: str, text: str) -> bytes:
    body = request_body(dialect, f"g-{place}-{dialect}")
    body["messages"] = [{"role": "user", "content": text}]
    return raw.post(PATHS[dialect], json.dumps(body).encode(), b"x-marker: " + marker.encode())


def _read(reader: BinaryIO) -> dict[str, object]:
    """Read one answer from a shared reader and return what the upstream said it was asked."""
    assert reader.readline().startswith(b"HTTP/1.1 200")
    headers = http.client.parse_headers(reader)
    body = json.loads(reader.read(int(headers["content-length"])))
    if "choices" in body:
        said = json.loads(body["choices"][0]["message"]["content"])
    else:
        said = json.loads(body["content"][0]["text"])
    assert isinstance(said, dict)
    return said


def _asked(dialect: str, place: str, marker: str, text: str) -> dict[str, object]:
    return {"path": f"/{place}{PATHS[dialect]}", "marker": marker, "text": text}


@pytest.mark.parametrize("seed", range(6))
def test_pipelined_requests_in_random_pieces_are_answered_as_themselves(
    daemon: Daemon, seed: int
) -> None:
    dice = random.Random(seed)
    asked = [
        (
            dice.choice(("openai", "anthropic")),
            dice.choice(("here", "there")),
            dice.choice(("alpha", "gamma")),  # of one length: only the bytes tell them apart
            dice.choice(("one", "two", "a longer text " * 50)),
        )
        for _ in range(40)
    ]
    data = b"".join(_request(*one) for one in asked)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(str(daemon.socket))
        with sock.makefile("rb") as reader:
            sent = 0
            for one in asked:
                while sent < len(data) and dice.random() < 0.8:
                    size = dice.choice((1, 7, 90, 400, 3000))
                    sock.sendall(data[sent : sent + size])
                    sent += size
                if sent < len(data):
                    sock.sendall(data[sent:])
                    sent = len(data)
                assert _read(reader) == _asked(*one)


def test_a_head_that_is_known_already_may_be_cut_anywhere(daemon: Daemon) -> None:
    one = ("openai", "here", "alpha", "text")
    whole = _request(*one)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(PATIENCE)
        sock.connect(str(daemon.socket))
        with sock.makefile("rb") as reader:
            for cut in range(len(whole)):
                sock.sendall(whole[:cut])
                if cut % 9 == 0:
                    # Whatever was sent so far has been read when another client is answered.
                    assert daemon.ask("GET", "/health").status == 200
                sock.sendall(whole[cut:])
                assert _read(reader) == _asked(*one)


def test_two_clients_in_turns_never_get_each_others_answers(daemon: Daemon) -> None:
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as left,
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as right,
    ):
        readers = []
        for sock in (left, right):
            sock.settimeout(PATIENCE)
            sock.connect(str(daemon.socket))
            readers.append(sock.makefile("rb"))
        for turn in range(50):
            asked = [
                ("openai", "here", "alpha", f"l{turn}"),
                ("openai", "there", "gamma", f"r{turn}"),
            ]
            for sock, one in zip((left, right), asked, strict=True):
                sock.sendall(_request(*one))
            for reader, one in zip(readers, asked, strict=True):
                assert _read(reader) == _asked(*one)
        for reader in readers:
            reader.close()
