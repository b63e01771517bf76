"""What becomes of a provider, and of the request, when it does not count for another API."""

from collections.abc import Mapping

import pytest

from tests.integration.conftest import StartDaemon
from tests.support.configs import config, group, upstream
from tests.support.daemon import Daemon
from tests.support.scripted import Exchange, Scripted

COUNT, CHAT = "/v1/messages/count_tokens", "/v1/chat/completions"
ASK: Mapping[str, object] = {"messages": [{"role": "user", "content": "hello"}]}
REFUSALS = pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422, 429, 501])
LIMITS = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "60s"}


def counter(status: int, headers: Mapping[str, str] | None = None) -> Scripted:
    """Return a server that chats, counts in Anthropic's API, and has one answer in OpenAI's."""
    body: object = {"error": {"message": "not here", "type": "x", "code": None, "param": None}}
    if status == 200:
        body = {"object": "response.input_tokens", "input_tokens": 42}
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "a"}}
    chat = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice]}

    def serve(exchange: Exchange) -> None:
        path = exchange.request.path
        if path.endswith("/responses/input_tokens"):
            exchange.answer(status, body, headers=headers)
        else:
            exchange.answer(200, {"input_tokens": 77} if path.endswith(COUNT) else chat)

    return Scripted(serve)


def started(start_daemon: StartDaemon, first: Scripted, second: Scripted) -> Daemon:
    """Return a daemon with a group of a server that counts in OpenAI's API and a second one."""
    return start_daemon(
        config(
            {
                "first": upstream("openai", f"{first.url}/v1", responses=True),
                "chats": upstream("openai", f"{second.url}/v1"),
                "counts": upstream("anthropic", second.url),
            },
            {"alone": group("first", "chats"), "both": group("first", "counts")},
        )
    )


def asked_to_count(server: Scripted) -> int:
    return sum(each.path.endswith("input_tokens") for each in server.requests)


@REFUSALS
def test_a_provider_that_does_not_count_goes_on_answering(
    start_daemon: StartDaemon, status: int
) -> None:
    with counter(status, {"retry-after": "60"}) as first, counter(200) as second:
        daemon = started(start_daemon, first, second)
        counted = daemon.ask("POST", COUNT, {"model": "alone", **ASK})
        answered = daemon.ask("POST", CHAT, {"model": "alone", **ASK})
    assert counted.status == 200
    assert counted.headers["x-standby-estimated"] == "true"
    assert counted.headers["x-standby-attempts"] == "1"
    assert answered.headers["x-standby-provider"] == "first"


@REFUSALS
def test_another_provider_that_counts_is_asked_after_a_refusal(
    start_daemon: StartDaemon, status: int
) -> None:
    with counter(status) as first, counter(200) as second:
        reply = started(start_daemon, first, second).ask("POST", COUNT, {"model": "both", **ASK})
    assert reply.json == {"input_tokens": 77}
    assert reply.headers["x-standby-provider"] == "counts"
    assert reply.headers["x-standby-attempts"] == "2"
    assert "x-standby-estimated" not in reply.headers


@pytest.mark.parametrize("status", [500, 503])
def test_who_fails_to_count_is_not_asked_again(start_daemon: StartDaemon, status: int) -> None:
    with counter(status) as first, counter(200) as second:
        reply = started(start_daemon, first, second).ask("POST", COUNT, {"model": "alone", **ASK})
        assert asked_to_count(first) == 1
    assert reply.headers["x-standby-estimated"] == "true"


def test_limits_that_a_count_tells_of_do_not_keep_back_the_provider(
    start_daemon: StartDaemon,
) -> None:
    with counter(200, LIMITS) as first, counter(200) as second:
        daemon = started(start_daemon, first, second)
        counted = daemon.ask("POST", COUNT, {"model": "alone", **ASK})
        answered = daemon.ask("POST", CHAT, {"model": "alone", **ASK})
    assert counted.json == {"input_tokens": 42}
    assert answered.headers["x-standby-provider"] == "first"
