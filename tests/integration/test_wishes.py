"""Wishes for one request, sent by a raw client and by both SDKs, with real providers behind."""

import json
from collections.abc import Callable, Iterator

import anthropic
import openai
import pytest

from tests.support import clients, raw
from tests.support.answers import PATHS, request_body
from tests.support.clients import ANTHROPIC_ASK, OPENAI_ASK
from tests.support.configs import base_url, config, group, upstream
from tests.support.daemon import Daemon, Reply
from tests.support.faults import good
from tests.support.scripted import PATIENCE, Exchange, Scripted

KINDS = {"one": "openai", "two": "openai", "down": "openai", "ant": "anthropic", "bee": "anthropic"}


class Upstreams:
    """Upstreams on one port, told apart by path: `down` fails, all others answer well."""

    def __init__(self) -> None:
        self.heads: list[tuple[str, dict[str, str]]] = []

    def __call__(self, exchange: Exchange) -> None:
        name = exchange.request.path.split("/")[1]
        headers = {key.lower(): value for key, value in exchange.request.headers.items()}
        self.heads.append((name, headers))
        if name == "down":
            exchange.answer(503, b"{}")
        elif name == "mute":
            exchange.wait_gone(PATIENCE)
        else:
            good(exchange, KINDS[name])


@pytest.fixture(scope="module")
def upstreams() -> Upstreams:
    return Upstreams()


@pytest.fixture(scope="module")
def daemon(upstreams: Upstreams) -> Iterator[Daemon]:
    with Scripted(upstreams) as scripted:
        providers = {
            name: upstream(kind, base_url(kind, f"{scripted.url}/{name}"))
            for name, kind in KINDS.items()
        }
        groups = {
            "chat": group("one", "two"),
            "shaky": group("down", "two"),
            "talk": group("ant", "bee"),
        }
        with Daemon(config(providers, groups)) as running:
            yield running


@pytest.fixture
def ask(daemon: Daemon) -> Callable[..., Reply]:
    def send(*headers: str, model: str = "chat", dialect: str = "openai") -> Reply:
        body = request_body(dialect, model)
        lines = [header.encode() for header in headers]
        return raw.send(daemon.socket, raw.post(PATHS[dialect], json.dumps(body).encode(), *lines))

    return send


def test_another_group_is_asked_than_the_model_says(ask: Callable[..., Reply]) -> None:
    reply = ask("X-Standby-Group: shaky")
    assert reply.status == 200, reply.body
    assert reply.headers["x-standby-provider"] == "two"
    assert reply.headers["x-standby-attempts"] == "2"


@pytest.mark.parametrize("model", ["chat", "m-1", "unlisted"])
def test_only_the_provider_wished_for_is_asked(ask: Callable[..., Reply], model: str) -> None:
    reply = ask("x-standby-provider: two", model=model)
    assert (reply.status, reply.headers["x-standby-provider"]) == (200, "two")


def test_without_failover_nobody_stands_in(ask: Callable[..., Reply]) -> None:
    reply = ask("x-standby-failover: none", "x-standby-max-attempts: 2", model="shaky")
    assert reply.status == 503
    assert reply.headers["x-standby-provider"] == "down"
    assert reply.headers["x-standby-attempts"] == "2"


def test_the_first_attempt_may_be_the_last(ask: Callable[..., Reply]) -> None:
    reply = ask("x-standby-max-attempts: 1", model="shaky")
    assert (reply.status, reply.headers["x-standby-attempts"]) == (503, "1")


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
@pytest.mark.parametrize(
    ("header", "status", "words"),
    [
        ("x-standby-group: chta", 404, "did you mean 'chat'?"),
        ("x-standby-provider: onee", 404, "did you mean 'one'"),
        ("x-standby-timeout: soon", 400, "x-standby-timeout: expected seconds above 0"),
        ("x-standby-max-attempts: 0", 400, "x-standby-max-attempts: expected"),
        ("x-standby-failover: perhaps", 400, "x-standby-failover: expected none"),
        ("x-standby-provder: one", 400, "did you mean x-standby-provider?"),
    ],
)
def test_a_wish_that_cannot_be_understood_is_refused_in_the_askers_dialect(
    ask: Callable[..., Reply], dialect: str, header: str, status: int, words: str
) -> None:
    reply = ask(header, model="chat" if dialect == "openai" else "talk", dialect=dialect)
    assert reply.status == status
    assert words in reply.json["error"]["message"]
    assert header.partition(":")[0] in reply.json["error"]["message"]
    assert ("type" in reply.json) == (dialect == "anthropic")
    assert reply.headers["x-standby-attempts"] == "0"
    assert "x-standby-provider" not in reply.headers


def test_no_header_of_standbys_own_reaches_an_upstream(
    ask: Callable[..., Reply], upstreams: Upstreams
) -> None:
    upstreams.heads.clear()
    wishes = ("x-standby-group: chat", "x-standby-timeout: 9", "x-standby-client: me", "x-other: 1")
    assert ask(*wishes).status == 200
    ((_, headers),) = upstreams.heads
    assert not [name for name in headers if name.startswith("x-standby-")]
    assert headers["x-other"] == "1"


def test_openais_sdk_sends_wishes(daemon: Daemon) -> None:
    with clients.openai_client(daemon.socket) as client:
        wishes = {"x-standby-provider": "two", "x-standby-timeout": "20"}
        answer = client.chat.completions.with_raw_response.create(
            model="chat", messages=OPENAI_ASK, extra_headers=wishes
        )
        assert answer.headers["x-standby-provider"] == "two"
        with pytest.raises(openai.NotFoundError, match="did you mean 'chat'"):
            client.chat.completions.create(
                model="chat", messages=OPENAI_ASK, extra_headers={"x-standby-group": "chatt"}
            )


def test_anthropics_sdk_sends_wishes(daemon: Daemon) -> None:
    with clients.anthropic_client(daemon.socket) as client:
        answer = client.messages.with_raw_response.create(
            model="whatever",
            max_tokens=50,
            messages=ANTHROPIC_ASK,
            extra_headers={"x-standby-group": "talk", "x-standby-provider": "bee"},
        )
        assert answer.headers["x-standby-provider"] == "bee"
        with pytest.raises(anthropic.BadRequestError, match="x-standby-timeout"):
            client.messages.create(
                model="talk",
                max_tokens=50,
                messages=ANTHROPIC_ASK,
                extra_headers={"x-standby-timeout": "never"},
            )


def test_the_time_wished_for_ends_a_request_and_is_named() -> None:
    silent = Upstreams()
    with Scripted(silent) as scripted:
        mute = upstream("openai", base_url("openai", f"{scripted.url}/mute"))
        spare = upstream("openai", base_url("openai", f"{scripted.url}/one"))
        limited = {**group("mute", "spare"), "timeouts": {"attempt": "200ms"}}
        groups = {"chat": group("mute", "spare"), "quick": limited}
        with Daemon(config({"mute": mute, "spare": spare}, groups)) as running:

            def timed(model: str, timeout: str) -> Reply:
                headers = {"x-standby-timeout": timeout}
                body = request_body("openai", model)
                return running.ask("POST", PATHS["openai"], body, headers)

            reply = timed("chat", "300ms")
            assert reply.status == 504
            message = json.loads(reply.body)["error"]["message"]
            assert "mute: no answer within 0.3 s" in message
            assert "x-standby-timeout" in message
            assert timed("quick", "30").headers["x-standby-provider"] == "spare"
