"""A simulated provider that is asked to go on from the beginning of its own answer does so."""

import json

import pytest

from providers.simulator.ask import read_ask
from providers.simulator.reply import make_reply
from providers.wire import DIALECTS
from providers.wire.anthropic_continuation import AnthropicContinuation
from providers.wire.openai_continuation import OpenAIContinuation
from tests.support.answers import request_body, tokens

JOINERS = {"openai": OpenAIContinuation, "anthropic": AnthropicContinuation}


def text_of(dialect: str, body: bytes) -> str:
    ask = read_ask(DIALECTS[dialect], body)
    return make_reply(ask, "sim-1", seed=1, words=20).choices[0].text


@pytest.mark.parametrize("style", ["prefill", "instruction"])
@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_it_goes_on_with_the_rest_of_its_own_text(dialect: str, style: str) -> None:
    asked = {**request_body(dialect, "sim-1", stream=True), "max_tokens": 500}
    body = json.dumps(asked).encode()
    whole = text_of(dialect, body)
    sent = whole[:33]
    joined = JOINERS[dialect](body)
    joined.feed(tokens(dialect, [sent])[0])
    assert joined.cut() is None
    request = joined.request("prefill" if style == "prefill" else "instruction")
    assert sent.rstrip() + text_of(dialect, request) == whole


def test_of_anothers_text_it_goes_on_after_so_many_words() -> None:
    asked = {**request_body("openai", "sim-1"), "max_tokens": 500}
    whole = text_of("openai", json.dumps(asked).encode())
    messages = [*asked["messages"], {"role": "assistant", "content": "quite another text"}]  # type: ignore[misc]  # a list
    rest = text_of("openai", json.dumps({**asked, "messages": messages}).encode())
    assert whole.endswith(rest)
    assert len(rest.split()) == len(whole.split()) - 3
