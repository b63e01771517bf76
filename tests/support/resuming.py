"""Upstreams whose streams break after some words, and one that goes on from where they did."""

import threading
from collections.abc import Callable, Mapping, Sequence

from tests.support.answers import (
    WORDS,
    anthropic_event,
    anthropic_tool_call,
    closing,
    openai_chunk,
    openai_tool_call,
    openai_usage,
    opening,
    tokens,
)
from tests.support.configs import base_url, upstream
from tests.support.scripted import PATIENCE, Exchange

DIALECTS = ("openai", "anthropic")
SENT = 3
"""Words that go out before the break."""
BEGUN = "".join(WORDS[:SENT])
USED = {"prompt_tokens": 60, "completion_tokens": 2, "total_tokens": 62}
"""What the one that goes on says it has used, in OpenAI's words; in Anthropic's: 5 tokens."""
COUNTED = {"openai": 2 + 4, "anthropic": 5 + 4}
"""The tokens of the whole answer: those, and one for each four characters that were sent before."""


class Breaking:
    """Answers by the first part of the path: the name of what it does, and the dialect.

    ``cut`` breaks off when the test has the words (`received`), ``stuck`` says no more after them,
    ``call`` is cut within a tool call, ``late`` is silent the first time, ``rest`` goes on.
    """

    def __init__(self) -> None:
        self.received = threading.Semaphore(0)
        self.asked: list[tuple[str, Mapping[str, object]]] = []

    def __call__(self, exchange: Exchange) -> None:
        """Answer one request."""
        name, _, dialect = exchange.request.path.split("/")[1].partition("-")
        again = any(each == name for each, _ in self.asked)
        self.asked.append((name, exchange.request.json))
        if name == "late" and not again:
            exchange.wait_gone()
        elif name in {"rest", "late"}:
            self._go_on(exchange, dialect)
        else:
            exchange.begin()
            self._send(exchange, [*opening(dialect), *tokens(dialect, WORDS[:SENT])])
            if name == "stuck":
                exchange.wait_gone()
                return
            if name == "call":
                self._send(exchange, _begun_call(dialect))
            assert self.received.acquire(timeout=PATIENCE), "the asker never got the words"
            exchange.hang_up()

    def take(self) -> list[tuple[str, Mapping[str, object]]]:
        """Return who has been asked what since the last time."""
        asked, self.asked = self.asked, []
        return asked

    def _go_on(self, exchange: Exchange, dialect: str) -> None:
        asked = exchange.request.json
        told = [each["content"] for each in asked["messages"] if each["role"] == "assistant"]
        assert told == [BEGUN.rstrip()]
        exchange.begin()
        self._send(exchange, opening(dialect))
        if asked.get("tools"):
            self._send(exchange, _whole_call(dialect))
        else:
            self._send(exchange, tokens(dialect, WORDS[SENT:]))
            *before, last = closing(dialect)
            if asked.get("stream_options"):
                before.append(openai_usage(USED))
            self._send(exchange, [*before, last])
        exchange.finish()

    def _send(self, exchange: Exchange, pieces: Sequence[bytes]) -> None:
        for piece in pieces:
            exchange.piece(piece)


def providers(url: str, *names: str) -> dict[str, Mapping[str, object]]:
    """Return the configuration of upstreams at a `Breaking`, each in both dialects.

    Those that do ``cut`` and ``rest`` have a model of their own, ``shared-`` and the dialect.

    Args:
        url: Where it listens.
        names: What they do.
    """
    return {
        f"{name}-{dialect}": upstream(
            dialect,
            base_url(dialect, f"{url}/{name}-{dialect}"),
            models=["m-1", *([f"shared-{dialect}"] if name in {"cut", "rest"} else [])],
        )
        for name in names
        for dialect in DIALECTS
    }


def once_all_words_came(then: Callable[[], object]) -> Callable[[bytes], None]:
    """Return what is to be shown a stream as it comes: it calls `then` once, after the words."""
    told: list[bool] = []

    def received(so_far: bytes) -> None:
        if f'"{WORDS[SENT - 1]}"'.encode() in so_far and not told:
            told.append(True)
            then()

    return received


def _begun_call(dialect: str) -> list[bytes]:
    if dialect == "openai":
        return openai_tool_call("call_lost", '{"to":')
    return [
        anthropic_event("content_block_stop", {"index": 0}),
        *anthropic_tool_call("call_lost", '{"to":', index=1),
    ]


def _whole_call(dialect: str) -> list[bytes]:
    if dialect == "openai":
        end = openai_chunk({}, "tool_calls")
        return [*openai_tool_call("call_made", '{"to":', "5}"), end, closing(dialect)[-1]]
    ended = {"delta": {"stop_reason": "tool_use", "stop_sequence": None}}
    return [
        anthropic_event("content_block_stop", {"index": 0}),
        *anthropic_tool_call("call_made", '{"to":', "5}", index=1),
        anthropic_event("content_block_stop", {"index": 1}),
        anthropic_event("message_delta", {**ended, "usage": {"output_tokens": 5}}),
        closing(dialect)[-1],
    ]
