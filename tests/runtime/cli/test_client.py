"""The HTTP client that the command line asks the daemon with."""

import os
import socket
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from runtime.cli.client import Daemon, error_message, quote
from runtime.cli.errors import AnswerBroken, DaemonSilent, NoDaemon
from runtime.instance import hold_instance
from tests.runtime.cli.fake_daemon import FakeDaemon, answer, chunked


def test_reads_an_answer_of_known_length(daemon: FakeDaemon) -> None:
    with Daemon(daemon.socket) as client:
        got = client.request("GET", "/health")
    assert (got.status, got.json()) == (200, {"status": "healthy"})


def test_reads_a_chunked_answer_in_whatever_pieces_it_comes(daemon: FakeDaemon) -> None:
    whole = b"".join(chunked(200, [b"one ", b"two"], {"x-note": "kept"}))
    daemon.answers["GET", "/x"] = [whole[i : i + 1] for i in range(len(whole))]
    with Daemon(daemon.socket) as client:
        got = client.request("GET", "/x")
        assert (got.body, got.headers["x-note"]) == (b"one two", "kept")
        assert client.request("GET", "/health").status == 200


def test_reads_an_answer_that_ends_with_the_connection(daemon: FakeDaemon) -> None:
    daemon.answers["GET", "/x"] = [b"HTTP/1.0 200 OK\r\n\r\nall of ", b"it", b""]
    with Daemon(daemon.socket) as client:
        assert client.request("GET", "/x").body == b"all of it"
        assert client.request("GET", "/health").status == 200
    assert daemon.connections == 2


def test_passes_over_interim_answers(daemon: FakeDaemon) -> None:
    daemon.answers["GET", "/x"] = [b"HTTP/1.1 100 Continue\r\n\r\n", *answer(200, b"final")]
    with Daemon(daemon.socket) as client:
        assert client.request("GET", "/x").body == b"final"


def test_keeps_its_connection_for_the_next_request(daemon: FakeDaemon) -> None:
    with Daemon(daemon.socket) as client:
        for _ in range(3):
            client.request("GET", "/health")
    assert daemon.connections == 1


def test_closes_its_connection_when_the_daemon_says_so(daemon: FakeDaemon) -> None:
    daemon.answers["GET", "/x"] = answer(200, b"bye", {"connection": "close"})
    with Daemon(daemon.socket) as client:
        client.request("GET", "/x")
        client.request("GET", "/x")
    assert daemon.connections == 2


def test_a_get_on_a_connection_closed_while_idle_is_asked_again(daemon: FakeDaemon) -> None:
    daemon.answers["GET", "/x"] = [*answer(200, b"ok"), b""]
    with Daemon(daemon.socket) as client:
        assert client.request("GET", "/x").body == b"ok"
        assert client.request("GET", "/x").body == b"ok"


def test_a_post_on_a_connection_closed_while_idle_is_not_sent_twice(daemon: FakeDaemon) -> None:
    daemon.answers["POST", "/x"] = [*answer(200, b"ok"), b""]
    with Daemon(daemon.socket) as client:
        client.request("POST", "/x")
        with pytest.raises(AnswerBroken, match="before it answered"):
            client.request("POST", "/x")
    assert len(daemon.asked) == 1


def test_sends_a_body_as_json_in_utf_8(daemon: FakeDaemon) -> None:
    daemon.answers["POST", "/x"] = answer(200, b"")
    with Daemon(daemon.socket) as client:
        client.request("POST", "/x", {"text": "grüße"})
    (asked,) = daemon.asked
    assert asked.body == '{"text": "grüße"}'.encode()
    assert asked.headers["content-type"] == "application/json"


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort", b""],
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", b""],
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhe", b""],
        [b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", b""],
        [b"HTTP/1.1 200 OK\r\ncontent-length: many\r\n\r\n", b""],
        [b"HTTP/1.1 200 OK\r\nhalf a hea", b""],
        [b"SSH-2.0-OpenSSH\r\n", b""],
        [b"HTTP/1.1 200 OK\r\nx: " + b"y" * 200_000, b""],
        [b""],
    ],
)
def test_an_answer_that_is_not_whole_is_an_error(daemon: FakeDaemon, pieces: list[bytes]) -> None:
    daemon.answers["GET", "/x"] = pieces
    with Daemon(daemon.socket) as client, pytest.raises(AnswerBroken):
        client.request("GET", "/x")


def test_a_silent_daemon_is_given_up(daemon: FakeDaemon) -> None:
    daemon.answers["GET", "/x"] = [FakeDaemon.PAUSE]
    with Daemon(daemon.socket, timeout=0.05) as client, pytest.raises(DaemonSilent, match="silent"):
        client.request("GET", "/x")


def test_a_stream_that_falls_silent_is_given_up(daemon: FakeDaemon) -> None:
    daemon.answers["GET", "/x"] = chunked(200, [b"data: a\n\n", FakeDaemon.PAUSE])
    with (
        Daemon(daemon.socket) as client,
        client.stream("GET", "/x", silence=0.05) as got,
        pytest.raises(DaemonSilent),
    ):
        assert list(got.events()) == [("", "a")]


def test_no_socket_means_no_daemon(tmp_path: Path) -> None:
    path = str(tmp_path / "none.sock")
    with Daemon(path) as client, pytest.raises(NoDaemon) as caught:
        client.request("GET", "/health")
    assert str(caught.value) == f"no daemon answers at {path}; start it with: standby up"


def test_a_daemon_that_starts_or_stops_is_told_from_none(tmp_path: Path) -> None:
    path = tmp_path / "s"
    with hold_instance(path), pytest.raises(NoDaemon) as caught:
        Daemon(str(path)).request("GET", "/health")
    pid = os.getpid()
    said = f"the daemon at {path} (pid {pid}) takes no requests: it is starting or stopping"
    assert str(caught.value) == said


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_is_no_socket_is_named_as_such(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "s"
    if kind == "file":
        path.touch()
    else:
        path.mkdir()
    with pytest.raises(NoDaemon, match="is not a socket"):
        Daemon(str(path)).request("GET", "/health")


def test_a_socket_nobody_listens_at_means_no_daemon(daemon: FakeDaemon) -> None:
    stale = str(daemon.home / "stale.sock")
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(stale)
    with Daemon(stale) as client, pytest.raises(NoDaemon, match="standby up"):
        client.request("GET", "/health")


def test_a_daemon_that_takes_no_connection_is_given_up(tmp_path: Path) -> None:
    """The kernel's queue is full and nobody empties it."""
    path = str(tmp_path / "s")
    with socket.socket(socket.AF_UNIX) as hung, socket.socket(socket.AF_UNIX) as first:
        hung.bind(path)
        hung.listen(0)
        first.connect(path)
        with pytest.raises(DaemonSilent, match="takes no connection"):
            Daemon(path, timeout=0.1).request("GET", "/health")


def test_events_arrive_as_they_are_sent(daemon: FakeDaemon) -> None:
    daemon.answers["GET", "/x"] = chunked(200, [b"data: 1\n\n", FakeDaemon.PAUSE, b"data: 2\n\n"])
    with Daemon(daemon.socket) as client, client.stream("GET", "/x") as got:
        events = got.events()
        assert next(events) == ("", "1")
        daemon.go_on.set()
        assert list(events) == [("", "2")]


def test_the_body_of_a_refused_stream_can_be_read_whole(daemon: FakeDaemon) -> None:
    daemon.answers["POST", "/x"] = answer(429, {"error": {"message": "slow down"}})
    with Daemon(daemon.socket) as client, client.stream("POST", "/x", {}) as got:
        assert got.status == 429
        assert error_message(got.read()) == "slow down"


EVENTS = (
    ": a comment\r\nevent: ping\r\ndata: one\r\ndata:two\r\n\r\n"
    "id: 7\ndata: häßlich\n\nevent: nothing\n\ndata\n\ndata: never ended\n"
).encode()


@given(st.sets(st.integers(1, len(EVENTS) - 1)))
def test_events_are_the_same_however_the_bytes_are_split(cuts: set[int]) -> None:
    edges = [0, *sorted(cuts), len(EVENTS)]
    pieces = [EVENTS[a:b] for a, b in pairwise(edges)]
    with FakeDaemon() as daemon, Daemon(daemon.socket) as client:
        daemon.answers["GET", "/x"] = chunked(200, pieces)
        with client.stream("GET", "/x") as got:
            assert list(got.events()) == [("ping", "one\ntwo"), ("", "häßlich"), ("", "")]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error": {"message": "no such model"}}', "no such model"),
        (b'{"type": "error", "error": {"type": "x", "message": "overloaded"}}', "overloaded"),
        (b'{"error": "plain"}', "plain"),
        (b'{"error": {}}', None),
        (b"[]", None),
        (b"<html>", None),
    ],
)
def test_finds_the_message_of_an_error(body: bytes, message: str | None) -> None:
    assert error_message(body) == message


def test_quotes_what_a_path_segment_may_not_hold() -> None:
    assert quote("provider:sim-a") == "provider:sim-a"
    assert quote("a/b ?ü") == "a%2Fb%20%3F%C3%BC"
