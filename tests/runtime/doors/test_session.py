"""One client connection: routes, framing, refusals, departures, and the daemon's own end."""

import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from providers.http import Limits, Poller, Request, ResponseHead, ServerConnection
from providers.wire import ANTHROPIC, OPENAI
from runtime.doors.session import Access, Routes, Session
from runtime.identifiers import RequestIds

HEAD = ResponseHead(200, [(b"content-type", b"text/event-stream")], keep_alive=True)
OK = b"HTTP/1.1 200 OK\r\n"


async def hello(session: Session, request: Request) -> None:
    session.respond(200, b'{"hello":1}')


async def segment(session: Session, request: Request) -> None:
    session.respond(200, session.segment.encode())


async def slow(session: Session, request: Request) -> None:
    await trio.sleep(5)
    session.respond(200, b"{}")


async def broken(session: Session, request: Request) -> None:
    raise RuntimeError("a defect")


async def streams(session: Session, request: Request) -> None:
    answer = session.answer(request, OPENAI)
    answer.begin(HEAD, b"data: 1\n\n", "p", 1)
    answer.events(b"data: 2\n\n")
    answer.finish(b"data: [DONE]\n\n")
    if answer.ends_connection:
        session.close_after_answer()


async def breaks(session: Session, request: Request) -> None:
    answer = session.answer(request, OPENAI)
    answer.begin(HEAD, b"data: 1\n\n", "p", 1)
    answer.break_off("it broke")
    assert answer.ends_connection
    session.close_after_answer()


async def breaks_by_defect(session: Session, request: Request) -> None:
    session.answer(request, OPENAI).begin(HEAD, b"data: 1\n\n", "p", 1)
    raise RuntimeError("a defect")


async def big(session: Session, request: Request) -> None:
    answer = session.answer(request, OPENAI, trio.current_time() + 3)
    answer.complete(HEAD, b"x" * 8_000_000, "p", 1)
    await answer.drain()


ROUTES = Routes(
    {
        "/big": {"GET": big},
        "/hello": {"GET": hello},
        "/post": {"POST": hello},
        "/slow": {"GET": slow},
        "/broken": {"GET": broken},
        "/stream": {"GET": streams},
        "/breaks": {"GET": breaks},
        "/defect": {"GET": breaks_by_defect},
        "/part/{name}/kill": {"POST": segment},
        "/models/{id}": {"GET": segment, "POST": segment},
    }
)


def request(*headers: tuple[bytes, bytes]) -> Request:
    return Request("POST", "/", list(headers), b"", keep_alive=True, http_version="1.1")


class Client:
    """A client on the other end of a served connection."""

    def __init__(self, stream: trio.SocketStream, session: Session) -> None:
        self.stream = stream
        self.session = session
        self.ended = trio.Event()
        self.crash: Exception | None = None

    async def serve(self) -> None:
        try:
            await self.session.serve()
        except RuntimeError as error:
            self.crash = error
        self.ended.set()

    async def ask(self, method: str, target: str, *more: str, version: str = "1.1") -> bytes:
        lines = [f"{method} {target} HTTP/{version}", "host: localhost", *more]
        if method == "POST":
            lines.append("content-length: 0")
        return await self.send("\r\n".join([*lines, "", ""]).encode())

    async def send(self, data: bytes) -> bytes:
        """Send and return what has come once everything is quiet."""
        await self.stream.send_all(data)
        return await self.rest()

    async def rest(self) -> bytes:
        found = b""
        with trio.move_on_after(0.01):
            while piece := await self.stream.receive_some():
                found += piece
        return found


Open = Callable[..., Awaitable[Client]]


@pytest.fixture
async def connect(nursery: trio.Nursery) -> AsyncIterator[Open]:
    poller = Poller()
    nursery.start_soon(poller.run)
    nursery.start_soon(poller.wheel.run)
    sockets: list[socket.socket] = []

    async def opened(access: Access | None = None) -> Client:
        ours, theirs = socket.socketpair()
        connection = ServerConnection(poller, ours, Limits())
        session = Session(connection, ROUTES, access or Access(), RequestIds())
        wrapped = trio.socket.from_stdlib_socket(theirs)
        client = Client(trio.SocketStream(wrapped), session)
        sockets.append(theirs)
        nursery.start_soon(client.serve)
        return client

    yield opened
    nursery.cancel_scope.cancel()
    for each in sockets:
        each.close()
    poller.close()


def split(raw: bytes) -> tuple[bytes, bytes]:
    head, _, body = raw.partition(b"\r\n\r\n")
    return head, body


async def test_requests_are_answered_one_after_another_on_one_connection(
    autojump_clock: MockClock, connect: Open
) -> None:
    client = await connect()
    for _ in range(3):
        head, body = split(await client.ask("GET", "/hello"))
        assert head.startswith(OK.strip())
        assert body == b'{"hello":1}'
        assert b"connection: close" not in head


async def test_an_unknown_path_is_a_404_in_the_askers_dialect(
    autojump_clock: MockClock, connect: Open
) -> None:
    client = await connect()
    head, body = split(await client.ask("GET", "/nowhere"))
    assert b" 404 " in head.splitlines()[0]
    assert b"x-request-id: req_" in head
    assert "/hello" in json.loads(body)["error"]["message"]
    head, body = split(await client.ask("GET", "/nowhere", "anthropic-version: 2023-06-01"))
    assert b"\r\nrequest-id: req_" in head
    assert json.loads(body)["type"] == "error"


async def test_a_wrong_method_is_a_405_that_says_which_are_right(
    autojump_clock: MockClock, connect: Open
) -> None:
    client = await connect()
    head, _ = split(await client.ask("POST", "/hello"))
    assert b" 405 " in head.splitlines()[0]
    assert b"allow: GET, HEAD, OPTIONS" in head


async def test_options_says_what_is_allowed_without_a_body(
    autojump_clock: MockClock, connect: Open
) -> None:
    client = await connect()
    head, body = split(await client.ask("OPTIONS", "/post"))
    assert b" 204 " in head.splitlines()[0]
    assert b"allow: OPTIONS, POST" in head
    assert body == b""
    assert b"content-length" not in head


@pytest.mark.parametrize("target", ["/hello", "/nowhere", "/post"])
async def test_head_never_has_a_body_and_the_next_answer_has_its_own(
    autojump_clock: MockClock, connect: Open, target: str
) -> None:
    client = await connect()
    head, body = split(await client.ask("HEAD", target))
    assert b"content-length: " in head
    assert body == b""
    _, body = split(await client.ask("GET", "/nowhere"))
    assert json.loads(body)["error"]


async def test_head_to_a_door_that_refuses_has_no_body(
    autojump_clock: MockClock, connect: Open
) -> None:
    client = await connect(Access("token"))
    assert split(await client.ask("HEAD", "/hello"))[1] == b""


async def test_the_name_in_a_path_is_decoded(autojump_clock: MockClock, connect: Open) -> None:
    client = await connect()
    assert split(await client.ask("POST", "/part/door%3Aunix/kill"))[1] == b"door:unix"
    for target in ("/part//kill", "/part/a/b/kill"):
        assert b" 404 " in await client.ask("POST", target)


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("/models/m-1", b"m-1"),
        ("/models/maker/m%201", b"maker/m 1"),
        ("/models/maker%2Fm-1", b"maker/m-1"),
        ("/models/a//b", b"a//b"),
        ("//models/m-1", b"m-1"),
        ("/models/m-1?x=/y", b"m-1"),
    ],
)
async def test_the_name_at_the_end_of_a_path_may_hold_slashes(
    autojump_clock: MockClock, connect: Open, target: str, name: bytes
) -> None:
    client = await connect()
    assert split(await client.ask("GET", target))[1] == name


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("//hello", 200),
        ("/%68ello", 200),
        ("//%68ello?x=//", 200),
        ("http://localhost/hello?x", 200),
        ("http://localhost//hello", 200),
        ("/models/", 404),
        ("/hello/", 404),
        ("%2Fhello", 400),
        ("/%2Fhello", 404),
        ("/hello%00", 404),
        ("/hel%ff", 404),
    ],
)
async def test_a_path_is_found_in_any_spelling_that_means_the_same(
    autojump_clock: MockClock, connect: Open, target: str, status: int
) -> None:
    client = await connect()
    answer = await client.ask("GET", target)
    assert b" %d " % status in answer.splitlines()[0]


async def test_options_of_the_whole_server_says_which_methods_there_are(
    autojump_clock: MockClock, connect: Open
) -> None:
    client = await connect()
    head, body = split(await client.ask("OPTIONS", "*"))
    assert b" 204 " in head.splitlines()[0]
    assert b"allow: GET, HEAD, OPTIONS, POST" in head
    assert body == b""
    assert b" 404 " in (await client.ask("OPTIONS", "/nowhere")).splitlines()[0]


@pytest.mark.parametrize("hosts", [None, frozenset({"localhost"})])
async def test_without_a_host_only_a_private_socket_serves(
    autojump_clock: MockClock, connect: Open, hosts: frozenset[str] | None
) -> None:
    client = await connect(Access(None, hosts))
    answer = await client.send(b"GET /hello HTTP/1.1\r\n\r\n")
    assert (b" 200 " if hosts is None else b" 403 ") in answer.splitlines()[0]


def dates(answer: bytes) -> list[bytes]:
    head, _ = split(answer)
    return [line[6:] for line in head.split(b"\r\n") if line.lower().startswith(b"date: ")]


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("GET", "/hello"),
        ("HEAD", "/hello"),
        ("OPTIONS", "/hello"),
        ("GET", "/no"),
        ("GET", "/stream"),
    ],
)
async def test_every_answer_has_a_date(
    autojump_clock: MockClock, connect: Open, method: str, target: str
) -> None:
    client = await connect()
    found = dates(await client.ask(method, target))
    assert len(found) == 1
    sent = parsedate_to_datetime(found[0].decode())
    assert found[0].endswith(b" GMT")
    assert abs((datetime.now(UTC) - sent).total_seconds()) < 60


async def test_a_refusal_of_malformed_bytes_has_a_date_too(
    autojump_clock: MockClock, connect: Open
) -> None:
    client = await connect()
    assert len(dates(await client.send(b"nonsense\r\n\r\n"))) == 1


async def test_the_date_of_the_upstream_is_kept(autojump_clock: MockClock, connect: Open) -> None:
    client = await connect()
    theirs = b"Thu, 01 Jan 2026 00:00:00 GMT"
    head = ResponseHead(200, [(b"date", theirs)], keep_alive=True)
    client.session.answer(request(), OPENAI).complete(head, b"{}", "p", 1)
    assert dates(await client.rest()) == [theirs]


@pytest.mark.parametrize(
    ("connection", "absent", "present"),
    [
        ([b"X-Hop"], [b"x-hop: 1"], [b"x-end: 2", b"x-other: 3"]),
        ([b"keep-alive, x-hop ,X-Other"], [b"x-hop: 1", b"x-other: 3"], [b"x-end: 2"]),
        ([b"x-hop", b"close,x-other"], [b"x-hop: 1", b"x-other: 3"], [b"x-end: 2"]),
        ([b"keep-alive"], [], [b"x-hop: 1", b"x-end: 2", b"x-other: 3"]),
        ([b"close"], [], [b"x-hop: 1", b"x-end: 2", b"x-other: 3"]),
        ([b"date, x-standby-attempts, content-length"], [b"2001"], [b"x-standby-attempts: 1"]),
        ([b""], [], [b"x-hop: 1"]),
    ],
)
async def test_what_the_upstreams_connection_header_names_stays_behind(
    autojump_clock: MockClock,
    connect: Open,
    connection: list[bytes],
    absent: list[bytes],
    present: list[bytes],
) -> None:
    client = await connect()
    headers = [(b"x-hop", b"1"), (b"date", b"Mon, 01 Jan 2001 00:00:00 GMT")]
    headers += [(b"connection", each) for each in connection]
    headers += [(b"x-end", b"2"), (b"x-other", b"3")]
    head = ResponseHead(200, headers, keep_alive=True)
    client.session.answer(request(), OPENAI).complete(head, b"{}", "p", 1)
    raw = await client.rest()
    assert b"\r\nconnection:" not in raw
    assert raw.count(b"content-length: 2\r\n") == 1
    assert len(dates(raw)) == 1
    for each in absent:
        assert each not in raw
    for each in present:
        assert each in raw


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ([], 401),
        (["authorization: Bearer wrong"], 401),
        (["authorization: Bearer right"], 200),
        (["x-api-key: right"], 200),
        (["x-api-key: wrong", "authorization: Bearer right"], 401),
    ],
)
async def test_a_door_with_a_token_asks_for_it(
    autojump_clock: MockClock, connect: Open, headers: list[str], status: int
) -> None:
    client = await connect(Access("right"))
    answer = await client.ask("GET", "/hello", *headers)
    assert b" %d " % status in answer.splitlines()[0]
    assert b"right" not in answer
    assert (b"x-standby-attempts: 0" in answer) == (status != 200)


@pytest.mark.parametrize(
    ("host", "status"),
    [("localhost", 200), ("LOCALHOST:80", 200), ("[::1]:9", 200), ("evil.example", 403), ("", 403)],
)
async def test_only_known_hosts_are_served(
    autojump_clock: MockClock, connect: Open, host: str, status: int
) -> None:
    client = await connect(Access(None, frozenset({"localhost", "[::1]"})))
    answer = await client.send(f"GET /hello HTTP/1.1\r\nhost: {host}\r\n\r\n".encode())
    assert b" %d " % status in answer.splitlines()[0]


async def test_a_malformed_request_is_answered_and_the_connection_closed(
    autojump_clock: MockClock, connect: Open
) -> None:
    client = await connect()
    head, _ = split(await client.send(b"nonsense\r\n\r\n"))
    assert b" 400 " in head.splitlines()[0]
    assert b"connection: close" in head
    await trio.sleep(3)
    assert client.ended.is_set()


async def test_a_stream_ends_with_its_last_chunk_and_the_connection_stays(
    autojump_clock: MockClock, connect: Open
) -> None:
    client = await connect()
    head, body = split(await client.ask("GET", "/stream"))
    assert b"transfer-encoding: chunked" in head
    assert b"x-standby-provider: p" in head
    assert b"x-standby-attempts: 1" in head
    assert body.endswith(b"0\r\n\r\n")
    assert not client.ended.is_set()
    assert b'{"hello":1}' in await client.ask("GET", "/hello")


@pytest.mark.parametrize("keep", [[], ["connection: keep-alive"]])
async def test_to_http_1_0_a_stream_is_plain_and_ends_with_the_connection(
    autojump_clock: MockClock, connect: Open, keep: list[str]
) -> None:
    client = await connect()
    head, body = split(await client.ask("GET", "/stream", *keep, version="1.0"))
    assert b"transfer-encoding" not in head
    assert b"connection: close" in head
    assert body == b"data: 1\n\ndata: 2\n\ndata: [DONE]\n\n"
    assert client.ended.is_set()


@pytest.mark.parametrize("path", ["/breaks", "/defect"])
async def test_a_broken_stream_never_ends_cleanly(
    autojump_clock: MockClock, connect: Open, path: str
) -> None:
    client = await connect()
    raw = await client.ask("GET", path)
    assert client.ended.is_set()
    assert b"data: 1" in raw
    assert not raw.endswith(b"0\r\n\r\n")
    assert raw.count(b"HTTP/1.1") == 1
    if path == "/breaks":
        assert b"it broke" in raw


async def test_a_defect_of_ours_is_a_500_and_still_a_crash(
    autojump_clock: MockClock, connect: Open
) -> None:
    client = await connect()
    head, body = split(await client.ask("GET", "/broken"))
    assert b" 500 " in head.splitlines()[0]
    assert b"connection: close" in head
    assert b"defect" not in body
    assert isinstance(client.crash, RuntimeError)


async def test_a_client_that_leaves_ends_what_is_done_for_it(
    autojump_clock: MockClock, connect: Open
) -> None:
    client = await connect()
    await client.stream.send_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
    await wait_all_tasks_blocked()
    await client.stream.aclose()
    await wait_all_tasks_blocked()
    assert client.ended.is_set()


async def test_when_the_door_closes_an_idle_connection_goes_at_once(
    autojump_clock: MockClock, connect: Open
) -> None:
    client = await connect()
    await client.ask("GET", "/hello")
    client.session.close_when_idle()
    await wait_all_tasks_blocked()
    assert client.ended.is_set()


async def test_when_the_door_closes_an_answer_under_way_is_the_last(
    autojump_clock: MockClock, connect: Open
) -> None:
    client = await connect()
    await client.stream.send_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n")
    await wait_all_tasks_blocked()
    client.session.close_when_idle()
    await trio.sleep(6)
    assert OK in await client.rest()
    assert client.ended.is_set()


async def test_when_the_door_closes_a_request_on_its_way_in_is_still_answered(
    autojump_clock: MockClock,
    connect: Open,
) -> None:
    client = await connect()
    await client.stream.send_all(b"GET /hello HTTP/1.1\r\n")
    await wait_all_tasks_blocked()
    client.session.close_when_idle()
    head, body = split(await client.send(b"host: x\r\n\r\n"))
    assert b"connection: close" in head
    assert body == b'{"hello":1}'
    assert client.ended.is_set()


async def test_an_answer_shows_nothing_of_the_upstreams_connection(
    autojump_clock: MockClock, connect: Open
) -> None:
    client = await connect()
    head = ResponseHead(
        200,
        [
            (b"connection", b"close"),
            (b"transfer-encoding", b"chunked"),
            (b"set-cookie", b"a=b"),
            (b"content-length", b"999"),
            (b"request-id", b"theirs"),
            (b"x-standby-provider", b"forged"),
            (b"x-standby-hedged", b"forged"),
            (b"x-ratelimit-left", b"7"),
        ],
        keep_alive=False,
    )
    session = client.session
    session.request_id = "req_x"
    answer = session.answer(request(), ANTHROPIC)
    answer.complete(head, b"{}", "p", 2)
    raw = (await client.rest()).lower()
    assert raw.count(b"content-length") == 1
    for absent in (b"set-cookie", b"transfer-encoding", b"forged", b"connection: close"):
        assert absent not in raw
    assert b"x-ratelimit-left: 7" in raw
    assert b"x-standby-upstream-request-id: theirs" in raw
    assert b"\r\nrequest-id: req_x" in raw
    assert not answer.ends_connection


async def test_a_client_that_does_not_take_its_answer_is_cut_off_when_its_time_is_up(
    autojump_clock: MockClock, connect: Open
) -> None:
    client = await connect()
    began = trio.current_time()
    await client.stream.send_all(b"GET /big HTTP/1.1\r\nhost: x\r\n\r\n")
    await client.ended.wait()
    assert 3 <= trio.current_time() - began < 3.5, "long before the limit on a single write"
