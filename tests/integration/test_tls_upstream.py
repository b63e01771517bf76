"""Upstreams behind TLS: trusted ones are served as any other, doubtful ones never get a request."""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import trustme

from tests.support.answers import PATHS, TEXT, WORDS, closing, opening, request_body, tokens
from tests.support.configs import base_url, config, group, simulated, upstream
from tests.support.daemon import Daemon
from tests.support.faults import good
from tests.support.reading import error_of, events, finished, text_of
from tests.support.scripted import Exchange, Scripted

DIALECTS = ("openai", "anthropic")
DOUBTFUL = ("stranger", "other-name", "plain-text")


def _context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


def _trusted(exchange: Exchange) -> None:
    dialect = "anthropic" if exchange.request.path.endswith("/messages") else "openai"
    if not exchange.request.path.startswith("/cut/"):
        good(exchange, dialect)
        return
    exchange.begin()
    for event in (*opening(dialect), *tokens(dialect), *closing(dialect)[:-1]):
        exchange.piece(event)
    exchange.hang_up()


def _never(exchange: Exchange) -> None:
    raise AssertionError("a request was sent to an upstream that is not to be trusted")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    authority = trustme.CA()
    known = tmp_path_factory.mktemp("authorities") / "known.pem"
    authority.cert_pem.write_to_path(str(known))
    with ExitStack() as running:
        trusted = running.enter_context(Scripted(_trusted, _context(authority, "127.0.0.1")))
        stranger = running.enter_context(Scripted(_never, _context(trustme.CA(), "127.0.0.1")))
        other = running.enter_context(Scripted(_never, _context(authority, "other.example")))
        silent = running.enter_context(Scripted(_trusted))
        urls = {
            "good": f"{trusted.url}/good",
            "cut": f"{trusted.url}/cut",
            "stranger": stranger.url,
            "other-name": other.url,
            "plain-text": silent.url.replace("http:", "https:"),
        }
        providers = {
            f"{name}-{dialect}": upstream(
                dialect, base_url(dialect, url), timeouts={"connect": "600ms"}
            )
            for name, url in urls.items()
            for dialect in DIALECTS
        }
        providers.update({f"spare-{dialect}": simulated(dialect) for dialect in DIALECTS})
        groups = {
            f"{name}-{dialect}": group(f"{name}-{dialect}") for name in urls for dialect in DIALECTS
        }
        groups.update(
            {
                f"{name}-{dialect}-or-spare": {
                    "members": [
                        {"provider": f"{name}-{dialect}", "model": "m-1"},
                        {"provider": f"spare-{dialect}", "model": "sim-1"},
                    ]
                }
                for name in DOUBTFUL
                for dialect in DIALECTS
            }
        )
        yield running.enter_context(
            Daemon(config(providers, groups), {"SSL_CERT_FILE": str(known)})
        )


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("stream", [False, True])
def test_a_trusted_upstream_answers_again_and_again(
    daemon: Daemon, dialect: str, stream: bool
) -> None:
    for _ in range(3):
        body = request_body(dialect, f"good-{dialect}", stream=stream)
        reply = daemon.ask("POST", PATHS[dialect], body)
        assert reply.status == 200, reply.body
        assert text_of(reply, dialect, stream=stream) == TEXT
        assert reply.headers["x-standby-attempts"] == "1"


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_stream_cut_without_a_farewell_is_never_complete(daemon: Daemon, dialect: str) -> None:
    body, clean = daemon.read_raw_stream(
        PATHS[dialect], request_body(dialect, f"cut-{dialect}", stream=True)
    )
    seen = list(events(body))
    assert error_of(seen, dialect) is not None
    assert not finished(seen, dialect)
    assert not clean
    assert WORDS[-1].encode() in body


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("name", DOUBTFUL)
def test_a_doubtful_upstream_gets_no_request_and_is_named(
    daemon: Daemon, name: str, dialect: str
) -> None:
    reply = daemon.ask("POST", PATHS[dialect], request_body(dialect, f"{name}-{dialect}"))
    assert reply.status == 502
    assert f"{name}-{dialect}" in reply.json["error"]["message"]
    spared = request_body(dialect, f"{name}-{dialect}-or-spare", stream=True)
    assert daemon.ask("POST", PATHS[dialect], spared).status == 200
