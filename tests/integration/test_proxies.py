"""Upstreams behind an HTTP proxy: asked through it in both dialects, failing in plain words."""

import ssl
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme

from tests.integration.conftest import StartDaemon
from tests.support.answers import PATHS, TEXT, opening, request_body, tokens
from tests.support.configs import base_url, config, upstream
from tests.support.daemon import Daemon
from tests.support.faults import good
from tests.support.proxy import Proxy
from tests.support.reading import error_of, events, finished, text_of
from tests.support.scripted import PATIENCE, Exchange, Scripted

DIALECTS = ("openai", "anthropic")
HOST = "upstream.example"
PASSWORD = "s3cret-pass"


def _dialect(exchange: Exchange) -> str:
    return "anthropic" if exchange.request.path.endswith("/messages") else "openai"


def _good(exchange: Exchange) -> None:
    good(exchange, _dialect(exchange))


class Behind:
    """An upstream that only a proxy can find, in TLS or without."""

    def __init__(self, running: ExitStack, folder: Path) -> None:
        authority = trustme.CA()
        self.authorities = folder / "known.pem"
        authority.cert_pem.write_to_path(str(self.authorities))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(HOST).configure_cert(context)
        self.secure = running.enter_context(Scripted(_good, context))
        self.plain = running.enter_context(Scripted(_good))

    def server(self, scheme: str) -> Scripted:
        """Return the upstream of a scheme."""
        return self.secure if scheme == "https" else self.plain

    def environment(self, **variables: str) -> dict[str, str]:
        """Return the environment of a daemon that trusts the upstream."""
        return {"SSL_CERT_FILE": str(self.authorities), **variables}


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[Behind]:
    with ExitStack() as running:
        yield Behind(running, tmp_path)


def _providers(scheme: str, **settings: object) -> dict[str, object]:
    return config(
        {
            dialect: upstream(dialect, base_url(dialect, f"{scheme}://{HOST}"), **settings)
            for dialect in DIALECTS
        }
    )


def _ask(daemon: Daemon, dialect: str, *, stream: bool = False) -> str:
    body = request_body(dialect, f"{dialect}/m-1", stream=stream)
    reply = daemon.ask("POST", PATHS[dialect], body)
    assert reply.status == 200, reply.body
    assert reply.headers["x-standby-attempts"] == "1"
    return text_of(reply, dialect, stream=stream)


def _refused(daemon: Daemon) -> str:
    reply = daemon.ask("POST", PATHS["openai"], request_body("openai", "openai/m-1"))
    assert reply.status == 502, reply.body
    return str(reply.json["error"]["message"])


@pytest.mark.parametrize("scheme", ["https", "http"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_proxy_of_the_environment_is_used_again_and_again_with_its_password(
    behind: Behind, start_daemon: StartDaemon, dialect: str, scheme: str
) -> None:
    with Proxy(behind.server(scheme).port, f"me:{PASSWORD}") as proxy:
        url = f"http://me:{PASSWORD}@127.0.0.1:{proxy.port}"
        variables = behind.environment(**{f"{scheme}_proxy": url})
        daemon = start_daemon(_providers(scheme), variables)
        for stream in (False, True, False, True):
            assert _ask(daemon, dialect, stream=stream) == TEXT
        # One connection, kept: of a tunnel the proxy sees the opening only.
        assert len(proxy.asked) == 1
        start = f"CONNECT {HOST}:443 " if scheme == "https" else f"POST http://{HOST}/"
        assert proxy.asked[0].startswith(start)
        received = behind.server(scheme).requests
        assert len(received) == 4
        assert received[0].headers["host"] == HOST
        assert "proxy-authorization" not in received[0].headers
        node = daemon.nodes()[f"provider:{dialect}"]
        assert f"127.0.0.1:{proxy.port}" in str(node)
        assert PASSWORD not in str(daemon.get("/supervision/tree"))
        assert f"through the proxy 127.0.0.1:{proxy.port}" in daemon.log()
        assert PASSWORD not in daemon.log()


def test_requests_are_sent_as_without_a_proxy(behind: Behind, start_daemon: StartDaemon) -> None:
    with Proxy(behind.plain.port) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        direct = upstream("openai", behind.plain.url + "/v1", proxy="none")
        proxied = upstream("openai", f"http://{HOST}/v1", proxy=url)
        daemon = start_daemon(config({"direct": direct, "proxied": proxied}))
        for name in ("direct", "proxied"):
            body = request_body("openai", f"{name}/m-1")
            assert daemon.ask("POST", PATHS["openai"], body, {"x-mine": "Yes"}).status == 200
        one, other = behind.plain.requests
        assert one.body == other.body
        assert list(one.headers) == list(other.headers)
        differing = {name for name in one.headers if one.headers[name] != other.headers[name]}
        assert differing == {"host"}


def test_an_exception_in_no_proxy_goes_around_the_proxy(
    behind: Behind, start_daemon: StartDaemon
) -> None:
    with Proxy(behind.secure.port) as proxy:
        variables = behind.environment(
            HTTPS_PROXY=f"http://127.0.0.1:{proxy.port}", NO_PROXY=f"other.example,.{HOST}"
        )
        daemon = start_daemon(_providers("https", timeouts={"connect": "2s"}), variables)
        assert "cannot connect" in _refused(daemon)
        assert proxy.asked == []


def test_a_provider_may_do_without_the_proxy_of_the_environment(
    behind: Behind, start_daemon: StartDaemon
) -> None:
    with Proxy(behind.secure.port) as proxy:
        variables = behind.environment(ALL_PROXY=f"http://127.0.0.1:{proxy.port}")
        settings = {"proxy": "none", "timeouts": {"connect": "2s"}}
        daemon = start_daemon(_providers("https", **settings), variables)
        assert "cannot connect" in _refused(daemon)
        assert proxy.asked == []


def test_upstreams_on_this_machine_are_not_asked_through_a_proxy(
    behind: Behind, start_daemon: StartDaemon
) -> None:
    with Proxy(behind.plain.port) as proxy:
        variables = {"http_proxy": f"http://127.0.0.1:{proxy.port}"}
        local = upstream("openai", f"{behind.plain.url}/v1")
        daemon = start_daemon(config({"openai": local}), variables)
        assert _ask(daemon, "openai") == TEXT
        assert proxy.asked == []


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_a_refused_password_is_told_with_the_proxys_host_only(
    behind: Behind, start_daemon: StartDaemon, scheme: str
) -> None:
    with Proxy(behind.server(scheme).port, "me:right") as proxy:
        url = f"http://me:{PASSWORD}@127.0.0.1:{proxy.port}"
        daemon = start_daemon(_providers(scheme, proxy=url), behind.environment())
        message = _refused(daemon)
        assert f"the proxy 127.0.0.1:{proxy.port} refuses to connect: 407" in message
        assert PASSWORD not in message
        assert PASSWORD not in daemon.log()
        assert behind.server(scheme).requests == []


@pytest.mark.parametrize(
    ("mood", "said"),
    [
        ("refusing", "refuses to connect: 502"),
        ("dying", "there is no connection"),
        ("silent", "through the proxy"),
    ],
)
def test_a_proxy_that_does_not_help_is_a_failure_to_connect_and_not_the_end(
    behind: Behind, start_daemon: StartDaemon, mood: str, said: str
) -> None:
    with Proxy(behind.secure.port) as proxy:
        settings = {
            "proxy": f"http://127.0.0.1:{proxy.port}",
            "timeouts": {"connect": "1s"},
            "max_connections": 1,
        }
        daemon = start_daemon(_providers("https", **settings), behind.environment())
        proxy.mood = mood  # type: ignore[assignment] # one of its moods
        for _ in range(3):
            assert said in _refused(daemon)
        proxy.mood = "helpful"
        assert _ask(daemon, "openai") == TEXT


def test_a_proxy_that_is_not_there_is_named(behind: Behind, start_daemon: StartDaemon) -> None:
    with Proxy(behind.secure.port) as gone:
        pass
    url = f"http://127.0.0.1:{gone.port}"
    daemon = start_daemon(_providers("https", proxy=url), behind.environment())
    assert f"cannot connect to the proxy 127.0.0.1:{gone.port}" in _refused(daemon)


def test_a_certificate_for_another_name_is_refused_behind_a_proxy_too(
    behind: Behind, start_daemon: StartDaemon
) -> None:
    with Proxy(behind.secure.port) as proxy:
        other = upstream(
            "openai", "https://other.example/v1", proxy=f"http://127.0.0.1:{proxy.port}"
        )
        daemon = start_daemon(config({"openai": other}), behind.environment())
        for _ in range(2):
            assert "the certificate of other.example is not accepted" in _refused(daemon)
        assert behind.secure.requests == []


def test_a_kept_connection_that_the_proxy_closed_is_replaced_unseen(
    behind: Behind, start_daemon: StartDaemon
) -> None:
    with Proxy(behind.secure.port) as proxy:
        url = f"http://127.0.0.1:{proxy.port}"
        daemon = start_daemon(_providers("https", proxy=url), behind.environment())
        for _ in range(3):
            assert _ask(daemon, "openai") == TEXT
            proxy.cut()
        assert len(proxy.asked) == 3


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_stream_that_the_proxy_cuts_ends_with_an_error(
    behind: Behind, start_daemon: StartDaemon, dialect: str
) -> None:
    arrived = threading.Event()
    with Proxy(behind.secure.port) as proxy:

        def cut(exchange: Exchange) -> None:
            exchange.begin()
            for event in (*opening(dialect), *tokens(dialect)):
                exchange.piece(event)
            arrived.wait(PATIENCE)
            proxy.cut()
            exchange.wait_gone()

        behind.secure.handler = cut
        url = f"http://127.0.0.1:{proxy.port}"
        daemon = start_daemon(_providers("https", proxy=url), behind.environment())
        body, clean = daemon.read_raw_stream(
            PATHS[dialect],
            request_body(dialect, f"{dialect}/m-1", stream=True),
            lambda _: arrived.set(),
        )
        seen = list(events(body))
        assert error_of(seen, dialect) is not None
        assert not finished(seen, dialect)
        assert not clean
        behind.secure.handler = _good
        assert _ask(daemon, dialect) == TEXT


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("socks5://127.0.0.1:1080", "SOCKS proxies are not supported"),
        (f"ftp://me:{PASSWORD}@127.0.0.1", "must begin with http"),
        (f"http://me:{PASSWORD}@", "needs a host"),
    ],
)
def test_an_address_that_is_none_is_a_mistake_of_the_configuration(
    start_daemon: StartDaemon, url: str, said: str
) -> None:
    daemon = start_daemon(_providers("https"))
    daemon.config_path.write_text(
        f'providers: {{a: {{kind: openai, base_url: "https://{HOST}/v1", proxy: "{url}"}}}}\n'
    )
    outcome = daemon.command("check", str(daemon.config_path))
    assert outcome.returncode != 0
    assert said in outcome.stdout + outcome.stderr
    assert PASSWORD not in outcome.stdout + outcome.stderr
