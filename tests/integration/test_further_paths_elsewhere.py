"""The rest of a provider's API through a proxy, over HTTP/2, and at the door on TCP."""

import http.client
import socket
import ssl
from collections.abc import Mapping
from pathlib import Path

import trustme

from tests.integration.conftest import StartDaemon
from tests.support.configs import config, simulated, upstream
from tests.support.daemon import Daemon
from tests.support.http2 import Http2Upstream, Stream
from tests.support.proxy import Proxy
from tests.support.scripted import Exchange, Scripted

BODY = bytes(range(256)) * 2000
TOKEN = "token-of-the-tcp-door"


def _all_sorts(daemon: Daemon) -> None:
    """Ask with and without bodies in both directions, twice: one must not disturb the next."""
    for _ in range(2):
        assert daemon.ask("PUT", "/up/v1/files/f?a=%2F", BODY).body == BODY
        head = daemon.ask("HEAD", "/up/v1/files/f")
        assert (head.status, head.headers["x-standby-provider"], head.body) == (200, "up", b"")
        assert daemon.ask("DELETE", "/up/v1/files/f").status == 204
        assert daemon.ask("GET", "/up/v1/files/f").status == 200


def test_a_proxy_is_gone_through(start_daemon: StartDaemon) -> None:
    def handler(exchange: Exchange) -> None:
        if exchange.request.method == "HEAD":
            exchange.raw(b"HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n")
        elif exchange.request.method == "DELETE":
            exchange.raw(b"HTTP/1.1 204 No Content\r\n\r\n")
        else:
            exchange.answer(200, exchange.request.body, content_type="x/y")

    with Scripted(handler) as scripted, Proxy(scripted.port) as proxy:
        address = f"http://127.0.0.1:{proxy.port}"
        provider = upstream("openai", "http://upstream.example/v1", proxy=address)
        daemon = start_daemon(config({"up": provider}))
        _all_sorts(daemon)
        assert proxy.asked[0] == "PUT http://upstream.example/v1/files/f?a=%2F HTTP/1.1"
        assert daemon.ask("HEAD", "/up/v1/files/f").headers["content-length"] == "7"


def test_an_upstream_over_http2_is_asked_likewise(
    start_daemon: StartDaemon, tmp_path: Path
) -> None:
    def handler(stream: Stream) -> None:
        method = stream.headers[":method"]
        stream.begin("x/y", 204 if method == "DELETE" else 200)
        if method in {"PUT", "GET"} and stream.body:
            stream.piece(stream.body)
        stream.finish()

    authority = trustme.CA()
    known = tmp_path / "known.pem"
    authority.cert_pem.write_to_path(str(known))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    with Http2Upstream(handler, context) as server:
        provider = upstream("openai", f"{server.url}/v1", http2=True)
        daemon = start_daemon(config({"up": provider}), {"SSL_CERT_FILE": str(known)})
        _all_sorts(daemon)
        assert server.streams[0].headers[":path"] == "/v1/files/f?a=%2F"
        assert server.connections == 1


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    assert isinstance(port, int)
    return port


def _status(port: int, headers: Mapping[str, str]) -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        connection.request("GET", "/sim/v1/models", headers=dict(headers))
        return connection.getresponse().status
    finally:
        connection.close()


def test_the_door_on_tcp_wants_its_token(start_daemon: StartDaemon) -> None:
    port = _free_port()
    door = {"enabled": True, "host": "127.0.0.1", "port": port, "token": TOKEN}
    start_daemon(config({"sim": simulated("openai")}, tcp=door))
    assert _status(port, {}) == 401
    assert _status(port, {"authorization": "Bearer another"}) == 401
    assert _status(port, {"authorization": f"Bearer {TOKEN}"}) == 200
    assert _status(port, {"x-api-key": TOKEN}) == 200
