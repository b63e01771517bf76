"""A daemon with a door on loopback TCP, in front of a server that calls a tool and then answers."""

import json
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.answers import (
    OPENAI_DONE,
    anthropic_closing,
    anthropic_event,
    anthropic_opening,
    anthropic_tokens,
    openai_chunk,
    openai_closing,
    openai_opening,
    openai_tokens,
)
from tests.support.configs import config, upstream
from tests.support.daemon import Daemon
from tests.support.scripted import Exchange, Scripted

TOKEN = "token-of-the-tcp-door-1a2b3c"


class Caller:
    """Answers streamed requests in both APIs: calls a tool once, then says what it returned.

    Attributes:
        call: The tool to call and its arguments; None to answer at once.
        results: What the tool returned, as it came.
        bodies: All requests.
    """

    def __init__(self) -> None:
        self.call: tuple[str, Mapping[str, object]] | None = None
        self.results: list[str] = []
        self.bodies: list[dict[str, Any]] = []

    def __call__(self, exchange: Exchange) -> None:
        """Answer one request."""
        body = json.loads(exchange.request.body)
        self.bodies.append(body)
        openai = exchange.request.path.endswith("/chat/completions")
        result = _chat_result(body) if openai else _messages_result(body)
        if result is not None:
            self.results.append(result)
        offered = {tool.get("name") or tool["function"]["name"] for tool in body.get("tools", ())}
        if self.call is not None and result is None and self.call[0] in offered:
            name, arguments = self.call
            events = (_chat_call if openai else _messages_call)(name, json.dumps(arguments))
        else:
            words = ("All ", "is ", "said.")
            events = (
                [*openai_opening(), *openai_tokens(words), *openai_closing()]
                if openai
                else [*anthropic_opening(), *anthropic_tokens(words), *anthropic_closing()]
            )
        exchange.answer(200, b"".join(events), content_type="text/event-stream")


def _chat_result(body: Mapping[str, Any]) -> str | None:
    told = [message["content"] for message in body["messages"] if message["role"] == "tool"]
    return json.dumps(told[-1]) if told else None


def _messages_result(body: Mapping[str, Any]) -> str | None:
    blocks = [
        block
        for message in body["messages"]
        if isinstance(message["content"], list)
        for block in message["content"]
        if block["type"] == "tool_result"
    ]
    return json.dumps(blocks[-1]["content"]) if blocks else None


def _chat_call(name: str, arguments: str) -> list[bytes]:
    call = {"index": 0, "id": "call_1", "type": "function"}
    begun = {**call, "function": {"name": name, "arguments": ""}}
    rest = {"index": 0, "function": {"arguments": arguments}}
    return [
        *openai_opening(),
        openai_chunk({"tool_calls": [begun]}),
        openai_chunk({"tool_calls": [rest]}),
        openai_chunk({}, "tool_calls"),
        OPENAI_DONE,
    ]


def _messages_call(name: str, arguments: str) -> list[bytes]:
    block = {"type": "tool_use", "id": "toolu_1", "name": name, "input": {}}
    half = len(arguments) // 2
    pieces = [
        anthropic_event(
            "content_block_delta",
            {"index": 0, "delta": {"type": "input_json_delta", "partial_json": piece}},
        )
        for piece in (arguments[:half], arguments[half:])
    ]
    delta = {"stop_reason": "tool_use", "stop_sequence": None}
    return [
        anthropic_opening()[0],
        anthropic_event("content_block_start", {"index": 0, "content_block": block}),
        *pieces,
        anthropic_event("content_block_stop", {"index": 0}),
        anthropic_event("message_delta", {"delta": delta, "usage": {"output_tokens": 5}}),
        anthropic_event("message_stop", {}),
    ]


class Door:
    """The daemon's door, and the server behind it.

    Attributes:
        url: The door's address.
        caller: Answers behind it.
    """

    def __init__(self, url: str, caller: Caller) -> None:
        self.url = url
        self.caller = caller


@pytest.fixture
def door() -> Iterator[Door]:
    """A door behind which ``gpt-own`` speaks OpenAI's API and ``claude-own`` Anthropic's."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    caller = Caller()
    with Scripted(caller) as scripted:
        providers = {
            "chat": {**upstream("openai", scripted.url), "models": ["gpt-own"]},
            "talk": {**upstream("anthropic", scripted.url), "models": ["claude-own"]},
        }
        # Programs that know their models only by name ask for another one's.
        models = {"claude-sonnet-4-5": {"provider": "chat", "model": "gpt-own"}}
        tcp = {"enabled": True, "host": "127.0.0.1", "port": port, "token": TOKEN}
        with Daemon(config(providers, models=models, tcp=tcp)) as running:
            yield Door(f"http://127.0.0.1:{port}", caller)
            assert running.get("/health/metrics")["failed"] == 0


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty folder that is the program's home too."""
    made = tmp_path / "home"
    made.mkdir()
    return made
