"""The rest of a provider's API, below its name: what goes up, what comes back, what does not."""

import gzip
import json
import threading
from collections.abc import Callable, Iterator

import anthropic
import httpx2
import openai
import pytest

from runtime.configuration.provider_settings import RESERVED_NAMES
from tests.support import raw
from tests.support.clients import KEY, TIMEOUT
from tests.support.configs import config, simulated, upstream
from tests.support.daemon import Daemon, Reply, UnixConnection
from tests.support.scripted import PATIENCE, Exchange, Scripted

OWN_KEY = "sk-of-the-provider-0123456789"
ODD = bytes(range(256)) * 40
"""A body that is no text, so that whatever touches it shows."""


def _answer(exchange: Exchange) -> None:
    exchange.answer(200, {"path": exchange.request.path})


class Switch:
    """A handler that passes each request to whatever the test set."""

    def __init__(self) -> None:
        self.handler: Callable[[Exchange], None] = _answer

    def __call__(self, exchange: Exchange) -> None:
        self.handler(exchange)


@pytest.fixture(scope="module")
def switch() -> Switch:
    return Switch()


@pytest.fixture(autouse=True)
def _usual(switch: Switch) -> None:
    """Each test begins with an upstream that answers with the path it was asked at."""
    switch.handler = _answer


@pytest.fixture(scope="module")
def scripted(switch: Switch) -> Iterator[Scripted]:
    with Scripted(switch) as running:
        yield running


@pytest.fixture(scope="module")
def daemon(scripted: Scripted) -> Iterator[Daemon]:
    with Daemon(
        config(
            {
                "openai": upstream(
                    "openai",
                    f"{scripted.url}/base/v1",
                    api_key=OWN_KEY,
                    organization="org-own",
                    headers={"x-team": "research"},
                ),
                "anthropic": upstream("anthropic", f"{scripted.url}/base", api_key=OWN_KEY),
                "closed": upstream("openai", f"{scripted.url}/v1", pass_through=False),
                "keyless": {"kind": "anthropic", "models": ["m-1"]},
                "sim": simulated("openai"),
            },
            limits={"max_body": "8MiB"},
        )
    ) as running:
        yield running
        assert OWN_KEY not in running.log()


@pytest.mark.parametrize(
    ("target", "upstream_target"),
    [
        ("/openai/v1/files", "/base/v1/files"),
        ("/openai/files", "/base/v1/files"),
        ("/openai/v1/files/", "/base/v1/files/"),
        (
            "/openai/v1/files?limit=3&after=a%2Fb&x=..//",
            "/base/v1/files?limit=3&after=a%2Fb&x=..//",
        ),
        ("/openai/v1/models/ft%3Agpt%2Fx", "/base/v1/models/ft%3Agpt%2Fx"),
        ("/openai/", "/base/v1/"),
        ("/anthropic/v1/messages/batches", "/base/v1/messages/batches"),
        ("/anthropic/v1/files?beta=true", "/base/v1/files?beta=true"),
    ],
)
def test_a_path_goes_on_behind_the_base_url(
    daemon: Daemon, scripted: Scripted, target: str, upstream_target: str
) -> None:
    for _ in range(2):
        assert daemon.get(target) == {"path": upstream_target}
        assert scripted.requests[-1].path == upstream_target


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
@pytest.mark.parametrize("body", [None, ODD])
def test_every_method_goes_on_with_its_body(
    daemon: Daemon, scripted: Scripted, method: str, body: bytes | None
) -> None:
    reply = daemon.ask(method, "/openai/v1/things", body, {"content-type": "application/x-odd"})
    assert reply.status == 200
    received = scripted.requests[-1]
    assert (received.method, received.body) == (method, body or b"")
    assert received.headers["content-type"] == "application/x-odd"
    needs_length = body is not None or method in {"POST", "PUT", "PATCH"}
    assert ("content-length" in received.headers) == needs_length


def test_a_body_in_chunks_goes_on_with_its_length(daemon: Daemon, scripted: Scripted) -> None:
    head = b"POST /openai/v1/files HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n"
    reply = raw.send(daemon.socket, head, b"5\r\nhello\r\n", b"6\r\n world\r\n", b"0\r\n\r\n")
    assert reply.status == 200
    assert scripted.requests[-1].body == b"hello world"


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_the_askers_credentials_are_exchanged_for_the_providers(
    daemon: Daemon, scripted: Scripted, provider: str
) -> None:
    mine = {
        "authorization": "Bearer askers-own",
        "x-api-key": "askers-own",
        "api-key": "askers-own",
        "x-goog-api-key": "askers-own",
        "cookie": "session=askers-own",
        "proxy-authorization": "Basic askers-own",
        "x-standby-token": "askers-own",
        "openai-organization": "org-of-the-asker",
        "x-team": "another",
    }
    assert daemon.ask("GET", f"/{provider}/v1/files", None, mine).status == 200
    sent = scripted.requests[-1].headers
    assert "askers-own" not in str(sent)
    if provider == "openai":
        assert sent["authorization"] == f"Bearer {OWN_KEY}"
        assert (sent["openai-organization"], sent["x-team"]) == ("org-own", "research")
        assert not {"x-api-key", "api-key"} & set(sent)
    else:
        assert sent["x-api-key"] == OWN_KEY
        assert sent["anthropic-version"] == "2023-06-01"
        assert not {"authorization", "api-key"} & set(sent)
    assert sent["host"] == scripted.url.removeprefix("http://")


def test_other_headers_go_on_but_those_of_the_connection_and_ours(
    daemon: Daemon, scripted: Scripted
) -> None:
    kept = {
        "anthropic-version": "2024-10-22",
        "anthropic-beta": "files-api-2025-04-14",
        "accept": "application/binary",
        "accept-encoding": "zstd, gzip",
        "idempotency-key": "k-1",
        "range": "bytes=0-9",
        "if-none-match": '"tag"',
        "user-agent": "agent/1",
        "x-stainless-retry-count": "1",
        "x-unknown": "kept",
    }
    gone = {
        "connection": "keep-alive, X-Near",
        "x-near": "dropped",
        "keep-alive": "timeout=5",
        "te": "trailers",
        "x-standby-timeout": "20",
        "x-standby-client": "part-of-me",
        "x-standby-provider": "anthropic",
        "x-standby-failover": "none",
    }
    reply = daemon.ask("GET", "/anthropic/v1/files", None, {**kept, **gone})
    assert reply.status == 200, reply.body
    sent = scripted.requests[-1].headers
    assert {name: sent[name] for name in kept} == kept
    assert not set(gone) & set(sent)
    assert "content-type" not in sent, "a request without a body has no type of one"


def test_an_answer_comes_back_as_it_is(daemon: Daemon, switch: Switch) -> None:
    packed = gzip.compress(ODD, mtime=0)

    def handler(exchange: Exchange) -> None:
        headers = {
            "content-encoding": "gzip",
            "content-disposition": 'attachment; filename="a.bin"',
            "etag": '"tag"',
            "x-ratelimit-remaining-requests": "0",
            "x-ratelimit-reset-requests": "30s",
            "x-request-id": "theirs",
            "x-hop": "dropped",
            "keep-alive": "timeout=5",
            "connection": "keep-alive, X-Hop",
            "set-cookie": "theirs=1",
            "x-standby-provider": "somebody",
        }
        exchange.answer(206, packed, content_type="application/octet-stream", headers=headers)

    switch.handler = handler
    # What its headers say of limits keeps nobody from asking again.
    assert daemon.ask("GET", "/openai/v1/files/f/content").status == 206
    reply = daemon.ask("GET", "/openai/v1/files/f/content")
    assert (reply.status, reply.body) == (206, packed)
    down = reply.headers
    assert down["content-length"] == str(len(packed))
    assert (down["content-encoding"], down["etag"]) == ("gzip", '"tag"')
    assert down["content-disposition"] == 'attachment; filename="a.bin"'
    assert (down["x-standby-provider"], down["x-standby-attempts"]) == ("openai", "1")
    assert down["x-request-id"].startswith("req_")
    assert down["x-standby-upstream-request-id"] == "theirs"
    assert not {"x-hop", "keep-alive", "set-cookie"} & set(down)


@pytest.mark.parametrize("status", [201, 302, 400, 401, 403, 404, 409, 429, 500, 501, 503])
def test_every_status_comes_back_with_its_own_words(
    daemon: Daemon, switch: Switch, scripted: Scripted, status: int
) -> None:
    def handler(exchange: Exchange) -> None:
        exchange.answer(status, b"<odd>", content_type="text/x", headers={"retry-after": "7"})

    switch.handler = handler
    before = len(scripted.requests)
    reply = daemon.ask("POST", "/openai/v1/things", b"{}")
    assert (reply.status, reply.body) == (status, b"<odd>")
    assert (reply.headers["content-type"], reply.headers["retry-after"]) == ("text/x", "7")
    assert reply.headers["x-standby-provider"] == "openai"
    assert len(scripted.requests) == before + 1, "one attempt, whatever comes of it"


@pytest.mark.parametrize("framing", ["length", "chunks"])
def test_a_key_that_the_upstream_repeats_is_blotted_out_of_its_error(
    daemon: Daemon, switch: Switch, framing: str
) -> None:
    said = f"wrong key: {OWN_KEY}!".encode()

    def handler(exchange: Exchange) -> None:
        headers = {"www-authenticate": f"Bearer {OWN_KEY}"}
        if framing == "length":
            exchange.answer(401, said, content_type="text/plain", headers=headers)
            return
        exchange.raw(b"HTTP/1.1 401 No\r\ntransfer-encoding: chunked\r\n\r\n")
        for start in range(0, len(said), 7):
            exchange.piece(said[start : start + 7])
        exchange.finish()

    switch.handler = handler
    reply = daemon.ask("GET", "/openai/v1/files")
    assert reply.status == 401
    assert reply.body == said.replace(OWN_KEY.encode(), b"*" * len(OWN_KEY))
    assert OWN_KEY not in str(reply.headers)


def _on_one_connection(daemon: Daemon, *asks: tuple[str, str]) -> list[Reply]:
    """Ask for several things on one connection: where a body ends, the next answer begins."""
    connection = UnixConnection(daemon.socket, 15)
    replies = []
    try:
        for method, target in asks:
            connection.request(method, target)
            answer = connection.getresponse()
            headers = {name.lower(): value for name, value in answer.getheaders()}
            replies.append(Reply(answer.status, headers, answer.read()))
    finally:
        connection.close()
    return replies


def test_answers_without_a_body_leave_the_connections_usable(
    daemon: Daemon, switch: Switch, scripted: Scripted
) -> None:
    def handler(exchange: Exchange) -> None:
        path = exchange.request.path
        if path.endswith("/head"):
            assert exchange.request.method == "HEAD"
            exchange.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 1234\r\netag: x\r\n\r\n")
        elif path.endswith("/chunked"):
            exchange.raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
        elif path.endswith("/204"):
            exchange.raw(b"HTTP/1.1 204 No Content\r\nx-a: b\r\n\r\n")
        elif path.endswith("/304"):
            exchange.raw(b"HTTP/1.1 304 Not Modified\r\netag: x\r\ncontent-length: 9\r\n\r\n")
        elif path.endswith("/empty"):
            exchange.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        else:
            _answer(exchange)

    switch.handler = handler
    paths = ("head", "chunked", "204", "304", "empty", "last")
    asks = [("HEAD" if path in {"head", "chunked"} else "GET", f"/openai/{path}") for path in paths]
    head, chunked, none, unchanged, empty, last = _on_one_connection(daemon, *asks)
    assert (head.status, head.headers["content-length"], head.body) == (200, "1234", b"")
    assert (chunked.status, chunked.body) == (200, b"")
    assert (none.status, none.headers["x-a"]) == (204, "b")
    assert not {"content-length", "transfer-encoding"} & set(none.headers)
    assert (unchanged.status, unchanged.headers["etag"]) == (304, "x")
    assert (empty.status, empty.headers["content-length"], empty.body) == (200, "0", b"")
    assert last.json == {"path": "/base/v1/last"}


def test_a_body_without_a_length_comes_in_chunks_or_to_the_end(
    daemon: Daemon, switch: Switch
) -> None:
    def handler(exchange: Exchange) -> None:
        exchange.raw(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n" + ODD)
        exchange.hang_up()

    switch.handler = handler
    first, second = _on_one_connection(daemon, ("GET", "/openai/a"), ("GET", "/openai/b"))
    assert first.headers["transfer-encoding"] == "chunked"
    assert first.body == second.body == ODD
    old = raw.send(daemon.socket, b"GET /openai/a HTTP/1.0\r\n\r\n")
    assert old.body == ODD
    assert "transfer-encoding" not in old.headers


def test_a_stream_comes_as_it_is_sent(daemon: Daemon, switch: Switch) -> None:
    seen = threading.Semaphore(0)

    def handler(exchange: Exchange) -> None:
        exchange.begin()
        for number in range(3):
            assert seen.acquire(timeout=PATIENCE), "what was sent before did not arrive"
            exchange.piece(b"event: x\ndata: %d\n" % number)  # events are not waited for
        assert seen.acquire(timeout=PATIENCE)
        exchange.finish()

    switch.handler = handler
    connection = UnixConnection(daemon.socket, 15)
    try:
        connection.request("POST", "/openai/v1/responses", b"{}")
        answer = connection.getresponse()  # the head is there before anything of the body
        assert answer.getheader("content-type") == "text/event-stream"
        for number in range(3):
            seen.release()
            assert answer.read1(65536) == b"event: x\ndata: %d\n" % number
        seen.release()
        assert answer.read() == b""
    finally:
        connection.close()


def test_large_bodies_pass_both_ways(daemon: Daemon, switch: Switch) -> None:
    big = ODD * 600  # 6 MB

    def handler(exchange: Exchange) -> None:
        exchange.answer(200, exchange.request.body, content_type="application/octet-stream")

    switch.handler = handler
    reply = daemon.ask("POST", "/openai/v1/files", big, timeout=60)
    assert reply.body == big


def test_an_answer_of_any_size_passes_without_being_held(daemon: Daemon, switch: Switch) -> None:
    """An asker who takes nothing holds the upstream up, and costs no memory."""
    piece = b"x" * 1_000_000
    count = 64
    sent = 0

    def handler(exchange: Exchange) -> None:
        nonlocal sent
        exchange.raw(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (len(piece) * count))
        for _ in range(count):
            exchange.raw(piece)
            sent += 1

    switch.handler = handler
    before = daemon.resident()
    connection = UnixConnection(daemon.socket, 15)
    try:
        connection.request("GET", "/openai/v1/files/f/content")
        answer = connection.getresponse()
        assert answer.status == 200
        assert daemon.ask("GET", "/health").status == 200
        assert sent < count
        assert daemon.resident() - before < 16_000_000
        size = 0
        while got := answer.read(1_000_000):
            size += len(got)
    finally:
        connection.close()
    assert size == len(piece) * count


@pytest.mark.parametrize(
    "target",
    [
        "/openai/..",
        "/openai/../admin",
        "/openai/v1/../../admin",
        "/openai/%2e%2e/admin",
        "/openai/v1/%2E%2e%2fadmin",
        "/openai/%252e%252e/admin",
        "/openai//evil.example/files",
        "/openai/v1//files",
        "/openai/http://evil.example/",
        "/openai/v1\\files",
        "/openai/..%5cadmin",
        "/openai/./files",
        "/openai/..;x/admin",
        "http://localhost/openai/v1/files",
        "http://evil.example/openai/v1/files",
    ],
)
def test_what_could_lead_elsewhere_is_refused(
    daemon: Daemon, scripted: Scripted, target: str
) -> None:
    before = len(scripted.requests)
    reply = raw.send(daemon.socket, f"GET {target} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    assert reply.status == 400, reply.body
    assert reply.json["error"]["type"] == "invalid_request_error"
    assert reply.headers["x-standby-attempts"] == "0"
    assert len(scripted.requests) == before


@pytest.mark.parametrize(
    ("target", "status", "said"),
    [
        ("/nobody/v1/files", 404, "/openai/..."),
        ("/openai", 404, "nothing is served at /openai;"),
        ("/closed/v1/files", 404, "pass_through is false"),
        ("/keyless/v1/files", 503, "keyless is not configured: no API key"),
        ("/v1/files", 404, "nothing is served at /v1/files"),
        ("/health/files", 404, "nothing is served at /health/files"),
    ],
)
def test_where_nobody_can_be_asked_the_asker_is_told(
    daemon: Daemon, target: str, status: int, said: str
) -> None:
    reply = daemon.ask("GET", target)
    assert reply.status == status
    assert said in reply.json["error"]["message"]
    assert "/closed/..." not in reply.json["error"]["message"]


def test_no_provider_can_have_the_name_of_a_path_of_our_own(daemon: Daemon) -> None:
    said = daemon.ask("GET", "/nowhere").json["error"]["message"]
    own = [path for path in said.partition("there is ")[2].split(", ") if "..." not in path]
    assert len(own) > 10
    assert {path.split("/")[1] for path in own} <= RESERVED_NAMES


@pytest.mark.parametrize("target", ["/keyless/v1/files", "/anthropic/v1/../x"])
def test_errors_of_ours_are_in_the_providers_dialect(daemon: Daemon, target: str) -> None:
    reply = daemon.ask("GET", target)
    assert reply.json["type"] == "error"
    assert reply.headers["request-id"].startswith("req_")


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND"])
def test_a_method_that_would_show_the_key_is_not_passed_on(
    daemon: Daemon, scripted: Scripted, method: str
) -> None:
    before = len(scripted.requests)
    reply = daemon.ask(method, "/anthropic/v1/files")
    assert reply.status == 405
    assert reply.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PATCH, POST, PUT"
    assert reply.json["type"] == "error"
    assert len(scripted.requests) == before


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        ({"x-standby-group": "chat"}, "x-standby-group: the path asks openai itself"),
        ({"x-standby-provider": "sim"}, "x-standby-provider: the path asks openai, not sim"),
        ({"x-standby-timeot": "3"}, "did you mean x-standby-timeout?"),
    ],
)
def test_wishes_that_the_path_contradicts_are_refused(
    daemon: Daemon, headers: dict[str, str], said: str
) -> None:
    reply = daemon.ask("GET", "/openai/v1/files", None, headers)
    assert reply.status == 400
    assert said in reply.json["error"]["message"]


def test_a_simulated_provider_answers_what_it_knows(daemon: Daemon) -> None:
    assert [model["id"] for model in daemon.get("/sim/v1/models")["data"]] == ["sim-1"]
    unknown = daemon.ask("GET", "/sim/v1/files")
    assert (unknown.status, unknown.headers["x-standby-provider"]) == (404, "sim")


def _http(daemon: Daemon) -> httpx2.HTTPTransport:
    return httpx2.HTTPTransport(uds=str(daemon.socket))


def test_openais_sdk_manages_files(daemon: Daemon, switch: Switch, scripted: Scripted) -> None:
    stored = {
        "id": "file-1",
        "object": "file",
        "bytes": len(ODD),
        "created_at": 1,
        "filename": "odd.bin",
        "purpose": "batch",
        "status": "processed",
    }

    def handler(exchange: Exchange) -> None:
        method, path = exchange.request.method, exchange.request.path
        if path.endswith("/content"):
            exchange.answer(200, ODD, content_type="application/octet-stream")
        elif method == "DELETE":
            exchange.answer(200, {"id": "file-1", "object": "file", "deleted": True})
        elif method == "POST" or path.endswith("/file-1"):
            exchange.answer(200, stored)
        else:
            exchange.answer(200, {"object": "list", "data": [stored], "has_more": False})

    switch.handler = handler
    with openai.OpenAI(
        api_key=KEY,
        base_url="http://localhost/openai/v1",
        max_retries=0,
        timeout=TIMEOUT,
        http_client=openai.DefaultHttpx2Client(transport=_http(daemon)),
    ) as client:
        created = client.files.create(file=("odd.bin", ODD), purpose="batch")
        assert created.id == "file-1"
        assert ODD in scripted.requests[-1].body
        assert scripted.requests[-1].headers["content-type"].startswith("multipart/form-data")
        assert [each.id for each in client.files.list(limit=2)] == ["file-1"]
        assert client.files.content("file-1").read() == ODD
        assert client.files.delete("file-1").deleted
    assert KEY not in str([each.headers for each in scripted.requests])


def test_anthropics_sdk_manages_batches(daemon: Daemon, switch: Switch, scripted: Scripted) -> None:
    lines = b'{"custom_id":"a","result":{"type":"canceled"}}\n' * 3

    def handler(exchange: Exchange) -> None:
        if exchange.request.path.endswith("/results"):
            exchange.answer(200, lines, content_type="application/x-jsonl")
            return
        url = "http://localhost/anthropic/v1/messages/batches/b-1/results"
        batch = {"id": "b-1", "type": "message_batch", "processing_status": "ended"}
        exchange.answer(200, {**batch, "results_url": url})

    switch.handler = handler
    with anthropic.Anthropic(
        api_key=KEY,
        base_url="http://localhost/anthropic",
        max_retries=0,
        timeout=TIMEOUT,
        http_client=anthropic.DefaultHttpxClient(transport=_http(daemon)),
    ) as client:
        created = client.messages.batches.create(requests=[])
        assert created.id == "b-1"
        assert json.loads(scripted.requests[-1].body) == {"requests": []}
        results = list(client.messages.batches.results("b-1"))
        assert [each.custom_id for each in results] == ["a"] * 3
    assert KEY not in str([each.headers for each in scripted.requests])
