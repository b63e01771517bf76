"""Streams pass through event by event, never held back and never ended by the daemon itself."""

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.support import clients
from tests.support.answers import PATHS, TEXT, WORDS, request_body
from tests.support.clients import ANTHROPIC_ASK, OPENAI_ASK, SDK_LEAVES_GENERATORS
from tests.support.configs import base_url, config, group, upstream
from tests.support.daemon import Daemon, Reply
from tests.support.faults import good
from tests.support.lockstep import LockStep
from tests.support.reading import text_of
from tests.support.scripted import Exchange, Handler, Scripted


class Switch:
    """A handler that passes each request to whatever the test set last."""

    def __init__(self) -> None:
        self.handler: Handler | None = None

    def __call__(self, exchange: Exchange) -> None:
        assert self.handler is not None
        self.handler(exchange)

    def lock_step(self) -> LockStep:
        step = LockStep()
        self.handler = step
        return step


@pytest.fixture(scope="module")
def switch() -> Switch:
    return Switch()


@pytest.fixture(scope="module")
def daemon(switch: Switch) -> Iterator[Daemon]:
    with (
        Scripted(switch) as scripted,
        Daemon(
            config(
                {
                    "o": upstream("openai", base_url("openai", scripted.url)),
                    "a": upstream("anthropic", base_url("anthropic", scripted.url)),
                },
                {"openai": group("o"), "anthropic": group("a")},
            )
        ) as running,
    ):
        yield running


def test_openai_sdk_sees_each_token_before_the_next_one_exists(
    daemon: Daemon, switch: Switch
) -> None:
    upstream_ = switch.lock_step()
    upstream_.allow()
    seen: list[str] = []
    with clients.openai_client(daemon.socket) as client:
        for chunk in client.chat.completions.create(
            model="openai", messages=OPENAI_ASK, stream=True
        ):
            text = chunk.choices[0].delta.content
            if text:
                seen.append(text)
                assert upstream_.sent == len(seen)
                upstream_.allow()
    assert tuple(seen) == WORDS


def test_anthropic_sdk_sees_each_token_before_the_next_one_exists(
    daemon: Daemon, switch: Switch
) -> None:
    upstream_ = switch.lock_step()
    upstream_.allow()
    seen: list[str] = []
    with (
        clients.anthropic_client(daemon.socket) as client,
        client.messages.stream(model="anthropic", max_tokens=50, messages=ANTHROPIC_ASK) as stream,
    ):
        for text in stream.text_stream:
            seen.append(text)
            assert upstream_.sent == len(seen)
            upstream_.allow()
    assert tuple(seen) == WORDS


@SDK_LEAVES_GENERATORS
async def test_async_sdks_on_trio_see_each_token_before_the_next_one_exists(
    daemon: Daemon, switch: Switch
) -> None:
    upstream_ = switch.lock_step()
    upstream_.allow()
    seen: list[str] = []
    async with clients.async_openai_client(daemon.socket) as client:
        async for chunk in await client.chat.completions.create(
            model="openai",
            messages=OPENAI_ASK,
            stream=True,
        ):
            text = chunk.choices[0].delta.content
            if text:
                seen.append(text)
                assert upstream_.sent == len(seen)
                upstream_.allow()
    assert tuple(seen) == WORDS


def _curl(daemon: Daemon, dialect: str, *, stream: bool) -> list[str]:
    return [
        "curl",
        "--silent",
        "--show-error",
        "--fail-with-body",
        "--max-time",
        "20",
        *(["--no-buffer"] if stream else []),
        "--unix-socket",
        str(daemon.socket),
        "--header",
        "content-type: application/json",
        "--data",
        json.dumps(request_body(dialect, dialect, stream=stream)),
        f"http://localhost{PATHS[dialect]}",
    ]


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_curl_gets_a_plain_answer(daemon: Daemon, switch: Switch, dialect: str) -> None:
    switch.handler = lambda exchange: good(exchange, dialect)
    done = subprocess.run(
        _curl(daemon, dialect, stream=False), capture_output=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert text_of(Reply(200, {}, done.stdout), dialect, stream=False) == TEXT


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_curl_shows_each_token_before_the_next_one_exists(
    daemon: Daemon, switch: Switch, dialect: str
) -> None:
    upstream_ = switch.lock_step()
    upstream_.allow()
    with subprocess.Popen(
        _curl(daemon, dialect, stream=True), stdout=subprocess.PIPE, text=True
    ) as curl:
        assert curl.stdout is not None
        seen = 0
        last = ""
        for line in curl.stdout:
            last = line.strip() or last
            if seen < len(WORDS) and f'"{WORDS[seen]}"' in line:
                seen += 1
                assert upstream_.sent == seen
                upstream_.allow()
    assert curl.returncode == 0
    assert seen == len(WORDS)
    assert ("[DONE]" if dialect == "openai" else "message_stop") in last
