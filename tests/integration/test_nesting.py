"""JSON that is nested too deeply to be read: refused to askers, and a bad answer of upstreams."""

from collections.abc import Iterator

import pytest

from tests.integration.conftest import StartDaemon
from tests.support.configs import base_url, config, group, simulated, upstream
from tests.support.daemon import Daemon
from tests.support.scripted import Exchange, Scripted

DEEP = {"lists": b"[" * 20_000 + b"]" * 20_000, "objects": b'{"a":' * 9_000 + b"1" + b"}" * 9_000}
NESTED = pytest.mark.parametrize("deep", sorted(DEEP))
ASKS = {
    "/v1/chat/completions": b'"messages":[{"role":"user","content":"x"}]',
    "/v1/completions": b'"prompt":"x"',
    "/v1/responses": b'"input":"x"',
    "/v1/messages": b'"max_tokens":9,"messages":[{"role":"user","content":"x"}]',
    "/v1/embeddings": b'"input":"x"',
}
ANSWERED = ("/v1/chat/completions", "/v1/responses", "/v1/messages")


@pytest.fixture(scope="module")
def daemon() -> Iterator[Daemon]:
    with Daemon(
        config({"sim": simulated("openai")}, {"m": group("sim", model="sim-1")})
    ) as running:
        yield running


@pytest.mark.parametrize("path", sorted(ASKS))
@NESTED
def test_a_request_that_is_nested_too_deeply_is_refused(
    daemon: Daemon, path: str, deep: str
) -> None:
    body = b'{"model":"m",%b,"more":%b}' % (ASKS[path], DEEP[deep])
    reply = daemon.ask("POST", path, body)
    assert reply.status == 400
    assert "nested" in reply.json["error"]["message"]
    assert reply.json["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize("kind", ["openai", "anthropic"])
@pytest.mark.parametrize("form", ["plain", "streamed", "refused"])
@NESTED
def test_another_provider_answers_when_an_answer_is_nested_too_deeply(
    start_daemon: StartDaemon, kind: str, form: str, deep: str
) -> None:
    nested = b'{"type":"message_start","message":%b,"choices":%b}' % (DEEP[deep], DEEP[deep])

    def respond(exchange: Exchange) -> None:
        if form == "streamed":
            told = b"data: " + nested + b"\n\n"
            exchange.answer(200, told, content_type="text/event-stream")
        else:
            exchange.answer(200 if form == "plain" else 500, nested)

    with Scripted(respond) as script:
        bad = upstream(kind, base_url(kind, script.url), retry={"max_attempts": 1})
        running = start_daemon(
            config({"bad": bad, "sim": simulated(kind)}, {"m": group("bad", "sim", model="sim-1")})
        )
        for path in ANSWERED:
            stream = b"true" if form == "streamed" else b"false"
            body = b'{"model":"m","stream":%b,%b}' % (stream, ASKS[path])
            reply = running.ask("POST", path, body)
            assert reply.status == 200
            assert reply.headers["x-standby-provider"] == "sim"
