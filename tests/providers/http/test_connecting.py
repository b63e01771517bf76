import contextlib
import resource
import socket
import ssl
import stat
from pathlib import Path

import pytest
import trio
import trio.testing
import trustme

from providers.http import (
    BadRequest,
    ConnectError,
    DeadlineExceeded,
    Limits,
    Listener,
    Peer,
    Poller,
    ServerConnection,
    Target,
    TLSError,
    Truncated,
    connect,
    default_ssl_context,
    request_head,
    response_head,
)
from tests.support.garbage import collected

HEAD = request_head("GET", "/", [(b"host", b"h")])


def soon() -> float:
    return trio.current_time() + 20


@pytest.mark.parametrize(
    ("url", "expected", "authority"),
    [
        ("http://h", Target("h", 80), "h"),
        ("https://h/v1/", Target("h", 443, tls=True, base_path="/v1"), "h"),
        ("http://127.0.0.1:11434/v1", Target("127.0.0.1", 11434, base_path="/v1"), None),
        ("http://[::1]:8080", Target("::1", 8080), "[::1]:8080"),
        ("unix:///run/x.sock", Target("localhost", 80, uds="/run/x.sock"), "localhost"),
        (
            "http+unix://%2Frun%2Fx.sock/v1",
            Target("localhost", 80, uds="/run/x.sock", base_path="/v1"),
            "localhost",
        ),
    ],
)
def test_a_target_is_read_from_an_address(
    url: str, expected: Target, authority: str | None
) -> None:
    assert Target.from_url(url) == expected
    if authority is not None:
        assert expected.authority == authority


@pytest.mark.parametrize(
    "url",
    [
        "h:80",
        "ftp://h",
        "http://",
        "http://u:secret@h",
        "http://h:99999",
        "unix:",
        "http://h?a=b",
        "http://u:secret@h/a b",
        "http://h/a\r\nx: y",
    ],
)
def test_what_is_no_address_is_refused_without_repeating_secrets(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        Target.from_url(url)
    assert "secret" not in str(caught.value)


async def serve_into(nursery: trio.Nursery, poller: Poller, listener: Listener) -> None:
    async def serve(connection: ServerConnection) -> None:
        with contextlib.suppress(BadRequest):
            while await connection.read_request() is not None:
                connection.write(response_head(200, [(b"content-length", b"2")]), b"ok")
        connection.close()

    def accept(sock: socket.socket, peer: Peer) -> None:
        nursery.start_soon(serve, ServerConnection(poller, sock, Limits()))

    listener.accept_into(accept)


async def ask(poller: Poller, target: Target) -> bytes:
    connection = await connect(poller, target, deadline=soon())
    connection.send(HEAD)
    body = await connection.read_body(100, soon())
    connection.close()
    return body


async def test_a_unix_listener_serves_with_its_mode_and_cleans_up(
    poller: Poller, nursery: trio.Nursery, tmp_path: Path
) -> None:
    path = tmp_path / "a.sock"
    listener = Listener.bind_unix(poller, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    await serve_into(nursery, poller, listener)
    assert await ask(poller, Target.from_url(f"unix://{path}")) == b"ok"
    listener.close()
    assert not path.exists()


async def test_a_listener_leaves_another_ones_socket_alone(poller: Poller, tmp_path: Path) -> None:
    path = tmp_path / "a.sock"
    first = Listener.bind_unix(poller, path)
    second = Listener.bind_unix(poller, path)
    first.close()
    assert path.exists()
    second.close()
    assert not path.exists()


async def test_a_path_too_long_for_a_socket_is_refused_in_plain_words(
    poller: Poller, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="too long for a Unix socket"):
        Listener.bind_unix(poller, tmp_path / ("x" * 110))


async def test_a_tcp_listener_serves_and_pauses(poller: Poller, nursery: trio.Nursery) -> None:
    listener = Listener.bind_tcp(poller, "127.0.0.1", 0)
    await serve_into(nursery, poller, listener)
    assert listener.port is not None
    target = Target("127.0.0.1", listener.port)
    assert await ask(poller, target) == b"ok"
    listener.pause()
    waiting = await connect(poller, target, deadline=soon())
    waiting.send(HEAD)
    await trio.testing.wait_all_tasks_blocked()
    assert listener.accepted == 1
    listener.resume()
    assert await waiting.read_body(100, soon()) == b"ok"
    waiting.close()
    listener.close()


async def test_running_out_of_descriptors_pauses_accepting_instead_of_spinning(
    poller: Poller, nursery: trio.Nursery, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    path = tmp_path / "a.sock"
    listener = Listener.bind_unix(poller, path)
    await serve_into(nursery, poller, listener)
    connection = await connect(poller, Target("h", 80, uds=str(path)), deadline=soon())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    before = poller.events
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        await trio.sleep(2)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert poller.events - before < 20
    connection.send(HEAD)
    assert await connection.read_body(100, soon()) == b"ok"
    connection.close()
    listener.close()


async def test_a_refused_connection_says_so_in_plain_words(poller: Poller, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with pytest.raises(ConnectError, match=rf"cannot connect to 127\.0\.0\.1:{port}: .*refused"):
        await connect(poller, Target("127.0.0.1", port), deadline=soon())
    with pytest.raises(ConnectError, match="no such file"):
        await connect(poller, Target("h", 80, uds=str(tmp_path / "none")), deadline=soon())


async def test_a_full_backlog_is_waited_for_until_the_deadline(
    poller: Poller, tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    path = str(tmp_path / "full.sock")
    with socket.socket(socket.AF_UNIX) as listening, contextlib.ExitStack() as stack:
        listening.bind(path)
        listening.listen(0)
        for _ in range(3):
            waiting = stack.enter_context(socket.socket(socket.AF_UNIX))
            waiting.settimeout(0)
            waiting.connect_ex(path)
        with pytest.raises(DeadlineExceeded, match="took too long"):
            await connect(poller, Target("h", 80, uds=path), deadline=trio.current_time() + 3)


# TLS


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
async def tls_port(authority: trustme.CA, nursery: trio.Nursery) -> int:
    """A TLS server that answers one large response per request, or cuts it for `/cut`."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(context)
    context.set_alpn_protocols(["http/1.1"])

    async def serve(raw: trio.SocketStream) -> None:
        stream = trio.SSLStream(raw, context, server_side=True)
        with contextlib.suppress(trio.BrokenResourceError):
            while request := await stream.receive_some():
                if b"/silent" in request:
                    await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\nhalf of i")
                    break
                if b"/closing" in request:
                    await stream.send_all(b"HTTP/1.1 200 OK\r\n\r\nwhole")
                    await stream.unwrap()
                    break
                await stream.send_all(
                    b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n" + b"x" * 1_000_000
                )
        await raw.aclose()

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    nursery.start_soon(trio.serve_listeners, serve, listeners)
    return int(listeners[0].socket.getsockname()[1])


@pytest.fixture
def trusting(authority: trustme.CA) -> ssl.SSLContext:
    context = default_ssl_context()
    authority.configure_trust(context)
    return context


async def test_requests_go_through_tls_on_one_connection(
    poller: Poller, tls_port: int, trusting: ssl.SSLContext
) -> None:
    target = Target("localhost", tls_port, tls=True)
    connection = await connect(poller, target, deadline=soon(), ssl_context=trusting)
    for _ in range(3):
        connection.send(HEAD)
        assert (await connection.read_head(soon())).status == 200
        assert len(await connection.read_body(2_000_000, soon())) == 1_000_000
        assert connection.reusable
    connection.close()


async def test_without_a_close_notice_a_body_that_ends_with_the_connection_is_not_trusted(
    poller: Poller, tls_port: int, trusting: ssl.SSLContext
) -> None:
    target = Target("localhost", tls_port, tls=True)
    connection = await connect(poller, target, deadline=soon(), ssl_context=trusting)
    connection.send(request_head("GET", "/silent", [(b"host", b"h")]))
    await connection.read_head(soon())
    with pytest.raises(Truncated):
        await connection.read_body(100, soon())
    connection = await connect(poller, target, deadline=soon(), ssl_context=trusting)
    connection.send(request_head("GET", "/closing", [(b"host", b"h")]))
    await connection.read_head(soon())
    assert await connection.read_body(100, soon()) == b"whole"


async def test_an_unknown_authority_is_refused(poller: Poller, tls_port: int) -> None:
    with pytest.raises(TLSError, match="certificate of localhost is not accepted"):
        await connect(poller, Target("localhost", tls_port, tls=True), deadline=soon())


async def test_a_certificate_for_another_name_is_refused(
    poller: Poller, tls_port: int, trusting: ssl.SSLContext
) -> None:
    target = Target("127.0.0.1", tls_port, tls=True)
    with pytest.raises(TLSError, match=r"certificate of 127\.0\.0\.1 is not accepted"):
        await connect(poller, target, deadline=soon(), ssl_context=trusting)


async def test_a_handshake_that_fails_leaves_no_cycle_behind(poller: Poller, tls_port: int) -> None:
    async def meet() -> None:
        with pytest.raises(TLSError):
            await connect(poller, Target("localhost", tls_port, tls=True), deadline=soon())

    await meet()
    with collected() as found:
        await meet()
    assert found == []


async def test_an_upstream_without_tls_is_told_so(
    poller: Poller, nursery: trio.Nursery, trusting: ssl.SSLContext
) -> None:
    listener = Listener.bind_tcp(poller, "127.0.0.1", 0)
    await serve_into(nursery, poller, listener)
    assert listener.port is not None
    with pytest.raises(TLSError):
        await connect(
            poller,
            Target("127.0.0.1", listener.port, tls=True),
            deadline=soon(),
            ssl_context=trusting,
        )
    listener.close()


async def test_a_handshake_that_never_ends_is_bounded(
    poller: Poller, trusting: ssl.SSLContext, autojump_clock: trio.testing.MockClock
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = Target("127.0.0.1", silent.getsockname()[1], tls=True)
        deadline = trio.current_time() + 4
        with pytest.raises(DeadlineExceeded):
            await connect(poller, target, deadline=deadline, ssl_context=trusting)
    assert len(poller) == 0


@pytest.mark.parametrize(
    ("name", "value"), [(b"a", b"b\r\nc: d"), (b"a\r\nb", b"c"), (b"a", b"b\nc"), (b"a", b"b\0")]
)
def test_a_head_with_a_line_break_in_a_header_is_not_made(name: bytes, value: bytes) -> None:
    with pytest.raises(ValueError, match="line break"):
        response_head(200, [(name, value)])
    with pytest.raises(ValueError, match="line break"):
        request_head("GET", "/", [(name, value)])
