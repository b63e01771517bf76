"""Standby in front of a mock upstream that nobody here wrote (llmock), in both dialects.

The mock also judges its client: after every fault it says whether the retries it saw made sense.
"""

from collections.abc import Iterator

import anthropic
import openai
import pytest

from tests.support import clients
from tests.support.answers import PATHS, request_body
from tests.support.clients import ANTHROPIC_ASK, OPENAI_ASK
from tests.support.configs import config, group, simulated, upstream
from tests.support.daemon import Daemon
from tests.support.foreign import ForeignUpstream
from tests.support.reading import text_of

DIALECTS = ("openai", "anthropic")
KEY = "sk-foreign-0123456789abcdef"


STATUSES = (401, 403, 429, 500, 502, 503, 529)
QUICK = {"timeouts": {"first_token": "600ms", "stall": "400ms", "total": "600ms"}}


def _or_spare(provider: str, dialect: str) -> dict[str, object]:
    return {
        "members": [
            {"provider": provider, "model": "m-1"},
            {"provider": f"spare-{dialect}", "model": "sim-1"},
        ]
    }


@pytest.fixture(scope="module")
def daemon(foreign: ForeignUpstream) -> Iterator[Daemon]:
    providers = {}
    groups = {}
    for dialect, url in (("openai", foreign.openai_url), ("anthropic", foreign.anthropic_url)):
        providers[f"foreign-{dialect}"] = upstream(dialect, url, api_key=KEY, **QUICK)
        providers[f"spare-{dialect}"] = simulated(dialect)
        groups[dialect] = group(f"foreign-{dialect}")
        groups[f"{dialect}-or-spare"] = _or_spare(f"foreign-{dialect}", dialect)
        for status in STATUSES:
            # One provider for each failure: what it does to gate and account stays with it.
            for mode in ("plain", "stream"):
                name = f"{dialect}-{status}-{mode}"
                providers[name] = upstream(dialect, url, api_key=KEY, **QUICK)
                groups[f"{name}-or-spare"] = _or_spare(name, dialect)
    with Daemon(config(providers, groups)) as running:
        yield running


@pytest.fixture(autouse=True)
def _fresh(foreign_upstream: ForeignUpstream) -> None:
    """Each test begins with nothing scripted and an empty journal."""


def test_openai_sdk_plain_and_streamed(daemon: Daemon, foreign: ForeignUpstream) -> None:
    with clients.openai_client(daemon.socket) as client:
        plain = client.chat.completions.create(model="openai", messages=OPENAI_ASK)
        pieces: list[str] = []
        usage = None
        for chunk in client.chat.completions.create(
            model="openai",
            messages=OPENAI_ASK,
            stream=True,
            stream_options={"include_usage": True},
        ):
            usage = chunk.usage or usage
            pieces += [choice.delta.content or "" for choice in chunk.choices]
    assert plain.choices[0].message.content
    assert "".join(pieces) == plain.choices[0].message.content
    assert plain.usage is not None
    assert usage is not None
    assert [seen["model"] for seen in foreign.journal()] == ["m-1", "m-1"]
    assert [seen["stream"] for seen in foreign.journal()] == [False, True]


def test_anthropic_sdk_plain_and_streamed(daemon: Daemon, foreign: ForeignUpstream) -> None:
    with clients.anthropic_client(daemon.socket) as client:
        plain = client.messages.create(model="anthropic", max_tokens=50, messages=ANTHROPIC_ASK)
        with client.messages.stream(
            model="anthropic", max_tokens=50, messages=ANTHROPIC_ASK
        ) as stream:
            pieces = list(stream.text_stream)
    assert plain.content[0].type == "text"
    assert "".join(pieces) == plain.content[0].text
    assert [seen["path"] for seen in foreign.journal()] == ["/anthropic/v1/messages"] * 2


async def test_both_async_sdks_on_trio(daemon: Daemon) -> None:
    async with clients.async_openai_client(daemon.socket) as client:
        answer = await client.chat.completions.create(model="openai", messages=OPENAI_ASK)
        assert answer.choices[0].message.content
    async with (
        clients.async_anthropic_client(daemon.socket) as other,
        other.messages.stream(model="anthropic", max_tokens=50, messages=ANTHROPIC_ASK) as stream,
    ):
        assert (await stream.get_final_message()).stop_reason == "end_turn"


def test_openai_sdk_gets_embeddings(daemon: Daemon) -> None:
    with clients.openai_client(daemon.socket) as client:
        answer = client.embeddings.create(model="openai", input=["one text", "two texts here"])
    assert [each.index for each in answer.data] == [0, 1]
    assert len(answer.data[0].embedding) == len(answer.data[1].embedding) > 0
    assert answer.model == "m-1"
    assert answer.usage.prompt_tokens > 0


def test_an_upstream_that_counts_no_tokens_is_a_404_and_the_next_one_does(daemon: Daemon) -> None:
    with clients.anthropic_client(daemon.socket) as client:
        with pytest.raises(anthropic.NotFoundError):
            client.messages.count_tokens(model="anthropic", messages=ANTHROPIC_ASK)
        counted = client.messages.count_tokens(model="anthropic-or-spare", messages=ANTHROPIC_ASK)
    assert counted.input_tokens > 0


def test_unknown_fields_reach_the_upstream_untouched(
    daemon: Daemon, foreign: ForeignUpstream
) -> None:
    body = request_body(
        "openai", "openai", temperature=0.25, x_future={"deep": [1, 2.50, None, "ü"]}
    )
    assert daemon.ask("POST", PATHS["openai"], body).status == 200
    assert foreign.journal()[0]["body"] == {**body, "model": "m-1"}


def test_a_tool_call_comes_back_whole_when_streamed(
    daemon: Daemon, foreign: ForeignUpstream
) -> None:
    foreign.script(
        {"type": "reply", "tool_calls": [{"name": "weather", "arguments": {"city": "Graz"}}]}
    )
    arguments = ""
    with clients.openai_client(daemon.socket) as client:
        for chunk in client.chat.completions.create(
            model="openai",
            messages=OPENAI_ASK,
            stream=True,
            tools=[
                {
                    "type": "function",
                    "function": {"name": "weather", "parameters": {"type": "object"}},
                }
            ],
        ):
            for choice in chunk.choices:
                for call in choice.delta.tool_calls or ():
                    assert call.function is not None
                    arguments += call.function.arguments or ""
    assert arguments.replace(" ", "") == '{"city":"Graz"}'


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", STATUSES)
def test_its_errors_are_answered_by_the_spare(
    daemon: Daemon, foreign: ForeignUpstream, dialect: str, stream: bool, status: int
) -> None:
    # It never recovers: whatever is asked of it again during this test fails again.
    foreign.script({"type": "fail", "status": status, "times": None})
    name = f"{dialect}-{status}-{'stream' if stream else 'plain'}-or-spare"
    reply = daemon.ask("POST", PATHS[dialect], request_body(dialect, name, stream=stream))
    assert reply.status == 200, reply.body
    assert text_of(reply, dialect, stream=stream)
    assert reply.headers["x-standby-provider"] == f"spare-{dialect}"


@pytest.mark.parametrize("status", [500, 503, 529])
def test_a_passing_error_is_tried_again_and_its_judge_is_content(
    daemon: Daemon, foreign: ForeignUpstream, status: int
) -> None:
    foreign.script({"type": "fail", "status": status, "times": 1})
    reply = daemon.ask("POST", PATHS["openai"], request_body("openai", "openai"))
    assert reply.status == 200, reply.body
    assert reply.headers["x-standby-attempts"] == "2"
    assert len(foreign.journal()) == 2
    assert foreign.verdict()["errors"] == 0, foreign.verdict()


def test_its_retry_after_is_obeyed(daemon: Daemon, foreign: ForeignUpstream) -> None:
    foreign.script({"type": "fail", "status": 429, "retry_after": 0.4, "times": 1})
    reply = daemon.ask("POST", PATHS["openai"], request_body("openai", "openai"))
    assert reply.status == 200, reply.body
    first, second = foreign.journal()
    assert second["started_at"] - first["ended_at"] >= 0.4
    assert foreign.verdict()["errors"] == 0, foreign.verdict()


def test_its_refusal_of_the_request_is_passed_on_in_its_own_words(
    daemon: Daemon, foreign: ForeignUpstream
) -> None:
    foreign.script({"type": "fail", "status": 400, "message": "your request is odd", "times": None})
    with (
        clients.openai_client(daemon.socket) as client,
        pytest.raises(openai.BadRequestError, match="your request is odd"),
    ):
        client.chat.completions.create(model="openai-or-spare", messages=OPENAI_ASK)
    with (
        clients.anthropic_client(daemon.socket) as other,
        pytest.raises(anthropic.BadRequestError, match="your request is odd"),
    ):
        other.messages.create(model="anthropic-or-spare", max_tokens=9, messages=ANTHROPIC_ASK)
    assert len(foreign.journal()) == 2, "a bad request is not asked twice"


@pytest.mark.parametrize("kind", ["disconnect", "truncate", "malformed", "stall"])
@pytest.mark.parametrize("dialect", DIALECTS)
def test_its_broken_streams_raise_in_the_sdk_and_its_judge_is_content(
    daemon: Daemon, foreign: ForeignUpstream, kind: str, dialect: str
) -> None:
    foreign.script(
        {"type": "reply", "text": "one two three four five six seven eight"},
        {"type": "stream_fault", "kind": kind, "after_chunks": 6, "stall_seconds": 1.5},
    )
    with pytest.raises((openai.APIError, anthropic.APIError)):
        _read(daemon, dialect)
    assert len(foreign.journal()) == 1, "what has begun is not asked again"


def _read(daemon: Daemon, dialect: str) -> str:
    if dialect == "openai":
        with clients.openai_client(daemon.socket) as client:
            return "".join(
                choice.delta.content or ""
                for chunk in client.chat.completions.create(
                    model="openai", messages=OPENAI_ASK, stream=True
                )
                for choice in chunk.choices
            )
    with (
        clients.anthropic_client(daemon.socket) as other,
        other.messages.stream(model="anthropic", max_tokens=50, messages=ANTHROPIC_ASK) as stream,
    ):
        return "".join(stream.text_stream)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_slow_first_token_goes_to_the_spare(
    daemon: Daemon, foreign: ForeignUpstream, dialect: str
) -> None:
    foreign.script({"type": "slow_first_token", "seconds": 1.5})
    body = request_body(dialect, f"{dialect}-or-spare", stream=True)
    reply = daemon.ask("POST", PATHS[dialect], body)
    assert text_of(reply, dialect, stream=True)
    assert reply.headers["x-standby-provider"] == f"spare-{dialect}"
