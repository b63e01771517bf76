"""Streams pass through event by event, never held back and never ended by the daemon itself."""

import json
import subprocess
from collections.abc import Iterator

import pytest

from tests.support import clients
from tests.support.answers import PATHS, WORDS, request_body
from tests.support.clients import ANTHROPIC_ASK, OPENAI_ASK, SDK_LEAVES_GENERATORS
from tests.support.configs import base_url, config, group, upstream
from tests.support.daemon import Daemon
from tests.support.lockstep import LockStep
from tests.support.scripted import Exchange, Scripted


class Switch:
    """A handler that passes each request to whatever the test set last."""

    def __init__(self) -> None:
        self.handler: LockStep | None = None

    def __call__(self, exchange: Exchange) -> None:
        assert self.handler is not None
        self.handler(exchange)

    def lock_step(self) -> LockStep:
        self.handler = LockStep()
        return self.handler


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


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_curl_shows_each_token_before_the_next_one_exists(
    daemon: Daemon, switch: Switch, dialect: str
) -> None:
    upstream_ = switch.lock_step()
    upstream_.allow()
    body = json.dumps(request_body(dialect, dialect, stream=True))
    with subprocess.Popen(
        [
            "curl",
            "--silent",
            "--show-error",
            "--no-buffer",
            "--max-time",
            "20",
            "--unix-socket",
            str(daemon.socket),
            "--header",
            "content-type: application/json",
            "--data",
            body,
            f"http://localhost{PATHS[dialect]}",
        ],
        stdout=subprocess.PIPE,
        text=True,
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
