"""Requests that make no sense get a 4xx that says what and where, in the asker's dialect."""

import http.client
import json
import socket
from collections.abc import Iterator, Mapping
from typing import BinaryIO

import pytest

from tests.support import raw
from tests.support.answers import PATHS, request_body
from tests.support.configs import config, group, simulated
from tests.support.daemon import Daemon, Reply, UnixConnection
from tests.support.reading import text_of

DIALECTS = ("openai", "anthropic")
MAX_BODY = 65536
_SMUGGLED = (
    b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n"
    b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n"
)
"""Two lengths at once: whoever takes one of them can be led to see another request."""


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon(
        config(
            {"sim-o": simulated("openai"), "sim-a": simulated("anthropic")},
            {
                "chat": group("sim-o", model="sim-1"),
                "talk": group("sim-a", model="sim-1"),
            },
            limits={"max_body": f"{MAX_BODY}B"},
        )
    ) as running:
        yield running


def _message(reply: Reply, dialect: str) -> str:
    """Return the message of an error in the shape of `dialect`, after checking that shape."""
    assert reply.headers["content-type"].startswith("application/json")
    body = reply.json
    if dialect == "anthropic":
        assert body["type"] == "error"
        assert set(body["error"]) >= {"type", "message"}
    else:
        assert set(body["error"]) >= {"message", "type", "param", "code"}
    message = body["error"]["message"]
    assert isinstance(message, str)
    return message


def _assert_still_well(daemon: Daemon) -> None:
    reply = daemon.ask("POST", PATHS["openai"], request_body("openai", "chat"))
    assert reply.status == 200


@pytest.mark.parametrize("dialect", DIALECTS)
def test_bad_json_is_a_400_that_says_where(daemon: Daemon, dialect: str) -> None:
    reply = daemon.ask("POST", PATHS[dialect], b'{"model": "chat", "messages": [}')
    assert reply.status == 400
    message = _message(reply, dialect)
    assert "JSON" in message
    assert any(character.isdigit() for character in message), "it says at which byte"


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("body", [b"", b"[]", b'"chat"', b"null", b"\xff\xfe{}"])
def test_a_body_that_is_no_object_is_a_400(daemon: Daemon, dialect: str, body: bytes) -> None:
    reply = daemon.ask("POST", PATHS[dialect], body)
    assert reply.status == 400
    assert _message(reply, dialect)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_missing_model_is_a_400_that_names_the_field(daemon: Daemon, dialect: str) -> None:
    body = request_body(dialect, "chat")
    del body["model"]
    reply = daemon.ask("POST", PATHS[dialect], body)
    assert reply.status == 400
    assert "model" in _message(reply, dialect)


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("model", [7, None, ["chat"], {"name": "chat"}, ""])
def test_a_model_of_the_wrong_type_is_a_400(daemon: Daemon, dialect: str, model: object) -> None:
    reply = daemon.ask("POST", PATHS[dialect], {**request_body(dialect, "chat"), "model": model})
    assert reply.status in {400, 404}
    assert "model" in _message(reply, dialect)


def test_stream_of_the_wrong_type_is_a_400(daemon: Daemon) -> None:
    body = {**request_body("openai", "chat"), "stream": "yes"}
    reply = daemon.ask("POST", PATHS["openai"], body)
    assert reply.status == 400
    assert "stream" in _message(reply, "openai")


@pytest.mark.parametrize(("dialect", "near"), [("openai", "chat"), ("anthropic", "talk")])
def test_an_unknown_model_is_a_404_with_the_nearest_name(
    daemon: Daemon, dialect: str, near: str
) -> None:
    reply = daemon.ask("POST", PATHS[dialect], request_body(dialect, f"{near}t"))
    assert reply.status == 404
    message = _message(reply, dialect)
    assert f"{near}t" in message
    assert "did you mean" in message.lower()
    assert near in message


@pytest.mark.parametrize(
    ("dialect", "other", "alien"),
    [("openai", "talk", {"seed": 7}), ("anthropic", "chat", {"top_k": 5})],
)
def test_what_a_provider_of_the_other_dialect_lacks_is_refused_where_that_is_wished(
    daemon: Daemon, dialect: str, other: str, alien: Mapping[str, object]
) -> None:
    body = {**request_body(dialect, other), **alien}
    (field,) = alien
    reply = daemon.ask("POST", PATHS[dialect], body, {"x-standby-translation": "strict"})
    assert reply.status == 400
    assert field in _message(reply, dialect)
    reply = daemon.ask("POST", PATHS[dialect], body)
    assert reply.status == 200
    assert field in reply.headers["x-standby-dropped"].split(", ")
    assert text_of(reply, dialect, stream=False)


@pytest.mark.parametrize("target", ["/", "/v1", "/v1/chat/completion", "/nothing", "/v1/messages/"])
def test_an_unknown_path_is_a_404(daemon: Daemon, target: str) -> None:
    reply = daemon.ask("GET", target)
    assert reply.status == 404
    assert reply.json["error"]["message"]


@pytest.mark.parametrize(
    ("method", "target", "allowed"),
    [
        ("GET", "/v1/chat/completions", {"POST"}),
        ("DELETE", "/v1/messages", {"POST"}),
        ("POST", "/health", {"GET"}),
        ("POST", "/v1/models", {"GET"}),
        ("GET", "/supervision/failover/kill", {"POST"}),
        ("PUT", "/supervision/tree", {"GET"}),
    ],
)
def test_a_wrong_method_is_a_405_that_says_which_are_allowed(
    daemon: Daemon, method: str, target: str, allowed: set[str]
) -> None:
    reply = daemon.ask(method, target)
    assert reply.status == 405
    said = {name.strip() for name in reply.headers["allow"].split(",")}
    assert allowed <= said
    assert method not in said


def test_a_body_that_is_said_to_be_too_large_is_a_413_before_it_is_sent(daemon: Daemon) -> None:
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % (MAX_BODY + 1)
    )
    reply = raw.send(daemon.socket, head)
    assert reply.status == 413
    assert reply.headers["x-standby-attempts"] == "0"
    _assert_still_well(daemon)


def test_a_chunked_body_that_grows_too_large_is_a_413(daemon: Daemon) -> None:
    head = (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
        b"content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    piece = b"4000\r\n" + b" " * 0x4000 + b"\r\n"
    reply = raw.send(daemon.socket, head, *[piece] * (MAX_BODY // 0x4000 + 1))
    assert reply.status == 413
    assert reply.headers["x-standby-attempts"] == "0"
    _assert_still_well(daemon)


def test_the_largest_body_that_is_allowed_is_taken(daemon: Daemon) -> None:
    body = json.dumps(request_body("openai", "chat")).encode()
    padded = body + b" " * (MAX_BODY - len(body))
    assert raw.send(daemon.socket, raw.post("/v1/chat/completions", padded)).status == 200


def test_headers_that_are_too_large_are_refused(daemon: Daemon) -> None:
    many = [b"x-filler-%d: %b" % (n, b"a" * 1000) for n in range(100)]
    reply = raw.send(daemon.socket, raw.post("/v1/chat/completions", b"{}", *many))
    assert reply.status == 431
    assert reply.headers["x-standby-attempts"] == "0"
    _assert_still_well(daemon)


def test_too_many_headers_are_refused(daemon: Daemon) -> None:
    many = [b"x-%d: y" % n for n in range(500)]
    reply = raw.send(daemon.socket, raw.post("/v1/chat/completions", b"{}", *many))
    assert reply.status == 431
    assert reply.headers["x-standby-attempts"] == "0"
    _assert_still_well(daemon)


@pytest.mark.parametrize(
    ("data", "statuses"),
    [
        (b"this is not HTTP\r\n\r\n", {400, 501}),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", {400}),
        (b"GET /health HTTP/3.7\r\nhost: x\r\n\r\n", {400, 505}),
        (b"GET " + b"/" * 40_000 + b" HTTP/1.1\r\nhost: x\r\n\r\n", {414, 431, 400}),
        (b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n", {400}),
        (b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 1, 2\r\n\r\n{}", {400}),
        (_SMUGGLED, {400}),
        (
            b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
            {400},
        ),
    ],
)
def test_bytes_that_are_no_sound_request_get_an_answer_and_harm_nobody(
    daemon: Daemon, data: bytes, statuses: set[int]
) -> None:
    reply = raw.send(daemon.socket, data)
    assert reply.status in statuses
    _assert_still_well(daemon)


def test_a_client_that_leaves_in_mid_request_harms_nobody(daemon: Daemon) -> None:
    whole = raw.post("/v1/chat/completions", b'{"model": "chat", "messages": []}')
    for cut in range(1, len(whole), 7):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.connect(str(daemon.socket))
            sock.sendall(whole[:cut])
    _assert_still_well(daemon)


def test_a_request_that_arrives_byte_by_byte_is_answered(daemon: Daemon) -> None:
    body = json.dumps(request_body("openai", "chat")).encode()
    whole = raw.post("/v1/chat/completions", body)
    assert raw.send(daemon.socket, *[bytes([byte]) for byte in whole]).status == 200


def test_requests_sent_ahead_are_answered_in_order(daemon: Daemon) -> None:
    body = json.dumps(request_body("openai", "chat")).encode()
    ahead = raw.post("/v1/chat/completions", body) + b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(15)
        sock.connect(str(daemon.socket))
        sock.sendall(ahead)
        with sock.makefile("rb") as reader:
            first = _read_counted(reader)
            second = _read_counted(reader)
    assert isinstance(first, dict)
    assert "choices" in first
    assert isinstance(second, dict)
    assert "status" in second


@pytest.mark.parametrize(
    ("method", "target", "body", "status"),
    [
        ("POST", "/nothing", b'{"model": "chat"}', 404),
        ("PUT", "/v1/messages", b'{"model": "talk"}', 405),
        ("POST", "/v1/chat/completions", b"{", 400),
        ("POST", "/v1/messages", b'{"model": "nobody", "messages": []}', 404),
        ("HEAD", "/health", None, 200),
        ("GET", "/health?verbose=1", None, 200),
    ],
)
def test_the_connection_stays_good_after(
    daemon: Daemon, method: str, target: str, body: bytes | None, status: int
) -> None:
    connection = UnixConnection(daemon.socket, 15)
    try:
        for _ in range(3):
            connection.request(method, target, body)
            answer = connection.getresponse()
            assert answer.status == status
            answer.read()
            connection.request("GET", "/health")
            after = connection.getresponse()
            assert after.status == 200
            assert json.loads(after.read())["status"] == "healthy"
    finally:
        connection.close()


def test_expect_100_continue_is_answered_before_the_body_is_sent(daemon: Daemon) -> None:
    body = json.dumps(request_body("openai", "chat")).encode()
    whole = raw.post("/v1/chat/completions", body, b"expect: 100-continue")
    head, _, _ = whole.partition(b"\r\n\r\n")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(15)
        sock.connect(str(daemon.socket))
        sock.sendall(head + b"\r\n\r\n")
        assert sock.recv(65536).startswith(b"HTTP/1.1 100")
        sock.sendall(body)
        assert raw.read(sock, "POST").status == 200


def test_killing_what_does_not_exist_is_a_404_with_the_nearest_name(daemon: Daemon) -> None:
    reply = daemon.ask("POST", "/supervision/failovr/kill")
    assert reply.status == 404
    message = reply.json["error"]["message"]
    assert "failovr" in message
    assert "failover" in message


def _read_counted(reader: BinaryIO) -> object:
    """Read one answer with a content-length from a shared reader and return its decoded body."""
    assert reader.readline().startswith(b"HTTP/1.1 200")
    headers = http.client.parse_headers(reader)
    return json.loads(reader.read(int(headers["content-length"])))
