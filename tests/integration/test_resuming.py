"""Broken streams in a running daemon: who goes on, by whose wish, and what is not continued."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from tests.support.answers import PATHS, TEXT, request_body
from tests.support.configs import config, group
from tests.support.daemon import Daemon
from tests.support.reading import Event, error_of, events, finished, partial_text, stream_text
from tests.support.resuming import (
    BEGUN,
    COUNTED,
    DIALECTS,
    USED,
    Breaking,
    once_all_words_came,
    providers,
)
from tests.support.scripted import Scripted
from tests.support.waiting import eventually

WISH = "x-standby-on-broken-stream"
PREFILLED = "claude-opus-4-5"
"""A model that goes on from an assistant's message."""
COUNTERS = ("total_requests", "succeeded", "failed", "cancelled", "resumed", "hedges")
TOOLS: Mapping[str, object] = {
    "openai": [{"type": "function", "function": {"name": "count", "parameters": {}}}],
    "anthropic": [{"name": "count", "input_schema": {"type": "object"}}],
}
SCHEMA = {"type": "object", "properties": {}, "additionalProperties": False}


@pytest.fixture(scope="module")
def breaking() -> Breaking:
    return Breaking()


@pytest.fixture(scope="module")
def daemon(breaking: Breaking) -> Iterator[Daemon]:
    with Scripted(breaking) as scripted:
        made = providers(scripted.url, "cut", "stuck", "call", "late", "rest")
        hedge = {"enabled": True, "minimum_delay": "20ms", "maximum_delay": "20ms"}
        groups: dict[str, Mapping[str, object]] = {}
        for dialect, other in (DIALECTS, DIALECTS[::-1]):
            # Its server wants a prefill; only Anthropic's API has one that can be translated to.
            rest = {**made[f"rest-{dialect}"], "models": [PREFILLED], "resume_style": "prefill"}
            made[f"prefilled-{dialect}"] = rest
            members = [(f"cut-{dialect}", "m-1"), (f"prefilled-{other}", PREFILLED)]
            groups[f"across-{dialect}"] = {
                "strategy": "priority",
                "members": [{"provider": name, "model": model} for name, model in members],
                "on_broken_stream": "resume",
            }
            for name in ("cut", "stuck", "call"):
                both = group(f"{name}-{dialect}", f"rest-{dialect}")
                groups[f"{name}-then-{dialect}"] = {**both, "on_broken_stream": "resume"}
            groups[f"errs-{dialect}"] = group(f"cut-{dialect}", f"rest-{dialect}")
            for name in ("cut", "call"):
                alone = group(f"{name}-{dialect}")
                groups[f"{name}-alone-{dialect}"] = {**alone, "on_broken_stream": "resume"}
            groups[f"hedged-{dialect}"] = {
                **group(f"late-{dialect}", f"cut-{dialect}", f"rest-{dialect}"),
                "on_broken_stream": "resume",
                "hedge": {**hedge, "budget_percent": 100},
            }
        with Daemon(config(made, groups)) as running:
            yield running


class Asked:
    """What became of a stream, and of the daemon's counters meanwhile."""

    def __init__(
        self, body: bytes, dialect: str, *, clean: bool, counted: Mapping[str, int]
    ) -> None:
        self.body = body
        self.dialect = dialect
        self.clean = clean
        self.counted = counted
        self.events = list(events(body))

    @property
    def text(self) -> str:
        """The text of a stream that is one and whole."""
        assert self.clean
        return stream_text(self.events, self.dialect)

    def broke_honestly(self) -> Mapping[str, Any]:
        """Return the error event of a stream that ends with it, and not as if it were whole."""
        error = error_of(self.events, self.dialect)
        assert error is not None
        assert error_of(self.events[-1:], self.dialect) == error, "nothing comes after it"
        assert not finished(self.events, self.dialect)
        assert not self.clean, "the chunked body must not be ended as if it were whole"
        assert partial_text(self._but_errors(), self.dialect) == BEGUN
        return error

    def _but_errors(self) -> list[Event]:
        return [each for each in self.events if error_of([each], self.dialect) is None]


Ask = Callable[..., Asked]


@pytest.fixture
def ask(daemon: Daemon, breaking: Breaking) -> Ask:
    def send(
        model: str,
        dialect: str,
        then: Callable[[], object] = breaking.received.release,
        headers: Mapping[str, str] | None = None,
        **more: object,
    ) -> Asked:
        breaking.take()
        before = _counters(daemon)
        asked = request_body(dialect, model, stream=True, **more)
        body, clean = daemon.read_raw_stream(
            PATHS[dialect], asked, once_all_words_came(then), headers
        )

        def now() -> Mapping[str, int]:
            after = _counters(daemon)
            return {name: after[name] - before.get(name, 0) for name in after}

        eventually(lambda: now()["total_requests"] == 1, "the request was counted")
        counted = {name: count for name, count in now().items() if count}
        assert counted.pop("total_requests") == 1
        return Asked(body, dialect, clean=clean, counted=counted)

    return send


def _counters(daemon: Daemon) -> Mapping[str, int]:
    """Return what is counted of requests and of broken streams."""
    metrics = daemon.get("/health/metrics")
    why = {f"not_resumed {name}": count for name, count in metrics["not_resumed"].items()}
    return {**{name: metrics[name] for name in COUNTERS}, **why}


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("how", ["route", "command"])
def test_when_a_provider_is_killed_in_mid_stream_another_one_goes_on(
    daemon: Daemon, ask: Ask, breaking: Breaking, dialect: str, how: str
) -> None:
    name = f"provider:stuck-{dialect}"
    before = daemon.nodes()[name]["incarnation"]

    def kill() -> None:
        if how == "route":
            daemon.kill(name)
        else:
            done = daemon.command("kill", name, "--socket", str(daemon.socket))
            assert done.returncode == 0, done.stderr

    usage = {"stream_options": {"include_usage": True}} if dialect == "openai" else {}
    seen = ask(f"stuck-then-{dialect}", dialect, kill, **usage)
    assert seen.text == TEXT
    assert [each for each, _ in breaking.take()] == ["stuck", "rest"]
    assert seen.counted == {"succeeded": 1, "resumed": 1}
    assert _completion_tokens(seen) == [COUNTED[dialect]]
    daemon.wait_whole(frozenset({name}), {"killed": name, "incarnation": before})


def _completion_tokens(seen: Asked) -> list[int]:
    """Return how many tokens the answer is said to have, as often as it is said."""
    if seen.dialect == "anthropic":
        told = [each.json["usage"] for each in seen.events if each.name == "message_delta"]
        return [each["output_tokens"] for each in told]
    found = [each.json for each in seen.events if each.data != "[DONE]"]
    totals = [each["usage"] for each in found if each.get("usage")]
    for each in totals:
        assert 0 < each["prompt_tokens"] < USED["prompt_tokens"], "what was added is taken off"
        assert each["total_tokens"] == each["prompt_tokens"] + each["completion_tokens"]
    return [each["completion_tokens"] for each in totals]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_stream_that_won_a_hedge_and_breaks_is_continued(
    ask: Ask, breaking: Breaking, dialect: str
) -> None:
    seen = ask(f"hedged-{dialect}", dialect)
    assert seen.text == TEXT
    # The one that was late may go on: its stream has not broken.
    assert [each for each, _ in breaking.take()] == ["late", "cut", "late"]
    assert seen.counted == {"succeeded": 1, "resumed": 1, "hedges": 1}
    assert b": standby: continued by late-" in seen.body


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("model", ["errs", "shared"])
def test_a_request_may_wish_that_another_one_goes_on(ask: Ask, dialect: str, model: str) -> None:
    seen = ask(f"{model}-{dialect}", dialect, headers={WISH: "resume"})
    assert seen.text == TEXT
    assert seen.counted == {"succeeded": 1, "resumed": 1}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_without_a_wish_nobody_goes_on_and_it_has_simply_failed(ask: Ask, dialect: str) -> None:
    seen = ask(f"errs-{dialect}", dialect)
    seen.broke_honestly()
    assert seen.counted == {"failed": 1}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_request_may_wish_for_an_error_where_the_group_goes_on(
    ask: Ask, breaking: Breaking, dialect: str
) -> None:
    seen = ask(f"cut-then-{dialect}", dialect, headers={WISH: "error"})
    seen.broke_honestly()
    assert [each for each, _ in breaking.take()] == ["cut"]
    assert seen.counted == {"failed": 1}


@pytest.mark.parametrize(
    ("dialect", "more", "roles"),
    [
        ("openai", {"reasoning_effort": "high"}, ["user", "assistant"]),
        ("anthropic", {}, ["user", "assistant", "user"]),
    ],
)
def test_a_provider_of_another_api_goes_on_in_terms_of_its_own(
    ask: Ask, breaking: Breaking, dialect: str, more: dict[str, object], roles: list[str]
) -> None:
    seen = ask(f"across-{dialect}", dialect, **more)
    assert seen.text == TEXT
    assert seen.counted == {"succeeded": 1, "resumed": 1}
    (_, asked) = breaking.take()[-1]
    messages = asked["messages"]
    assert isinstance(messages, list)
    assert [each["role"] for each in messages] == roles
    assert not asked.keys() & {"thinking", "reasoning_effort", "continue_final_message"}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_with_nobody_left_the_stream_ends_in_an_error_that_says_so(ask: Ask, dialect: str) -> None:
    seen = ask(f"cut-alone-{dialect}", dialect)
    assert "nobody could continue the answer" in seen.broke_honestly()["message"]
    assert seen.counted == {"failed": 1, "not_resumed nobody": 1}


@pytest.mark.parametrize(
    ("dialect", "more", "reason"),
    [
        ("openai", {"n": 2}, "choices"),
        ("openai", {"logprobs": True}, "logprobs"),
        ("openai", {"response_format": {"type": "json_object"}}, "structured_output"),
        (
            "openai",
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "x", "strict": True, "schema": SCHEMA},
                }
            },
            "structured_output",
        ),
        (
            "anthropic",
            {"output_config": {"format": {"type": "json_schema", "schema": SCHEMA}}},
            "structured_output",
        ),
    ],
)
def test_what_cannot_be_joined_ends_in_an_error_and_is_counted_by_its_reason(
    ask: Ask, breaking: Breaking, dialect: str, more: dict[str, object], reason: str
) -> None:
    seen = ask(f"cut-then-{dialect}", dialect, **more)
    seen.broke_honestly()
    assert [each for each, _ in breaking.take()] == ["cut"], "nobody else is asked"
    assert seen.counted == {"failed": 1, f"not_resumed {reason}": 1}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_tool_call_cut_in_the_middle_is_made_anew(
    ask: Ask, breaking: Breaking, dialect: str
) -> None:
    seen = ask(f"call-then-{dialect}", dialect, tools=TOOLS[dialect])
    assert seen.text == BEGUN
    assert b"call_lost" not in seen.body
    assert seen.body.count(b"call_made") == 1
    assert _arguments(seen) == '{"to":5}'
    assert [each for each, _ in breaking.take()] == ["call", "rest"]
    assert seen.counted == {"succeeded": 1, "resumed": 1}


def _arguments(seen: Asked) -> str:
    if seen.dialect == "anthropic":
        deltas = [each.json["delta"] for each in seen.events if "delta" in each.json]
        return "".join(each.get("partial_json", "") for each in deltas)
    return "".join(
        call["function"]["arguments"]
        for each in seen.events
        if each.data != "[DONE]"
        for choice in each.json["choices"]
        for call in choice["delta"].get("tool_calls", ())
    )


@pytest.mark.parametrize("dialect", DIALECTS)
def test_half_a_tool_call_that_nobody_makes_anew_is_not_handed_over(ask: Ask, dialect: str) -> None:
    seen = ask(f"call-alone-{dialect}", dialect, tools=TOOLS[dialect])
    seen.broke_honestly()
    assert b"call_lost" not in seen.body
    assert seen.counted == {"failed": 1, "not_resumed nobody": 1}
