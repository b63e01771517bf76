"""The tests' own upstream and readers held against the SDKs: a green run must mean something."""

import anthropic
import openai
import pytest

from tests.support import answers
from tests.support.answers import PATHS, TEXT
from tests.support.clients import ANTHROPIC_ASK, KEY, OPENAI_ASK
from tests.support.faults import by_path
from tests.support.lockstep import LockStep
from tests.support.reading import Event, IncompleteError, error_of, events, stream_text
from tests.support.scripted import Exchange, Scripted

DIALECTS = ("openai", "anthropic")


def _good(dialect: str) -> bytes:
    parts = (answers.opening(dialect), answers.tokens(dialect), answers.closing(dialect))
    return b"".join(event for part in parts for event in part)


def test_the_sdks_take_the_scripted_answers_for_good_ones() -> None:
    with Scripted(by_path) as scripted:
        with openai.OpenAI(
            api_key=KEY, base_url=f"{scripted.url}/good/v1", max_retries=0
        ) as client:
            plain = client.chat.completions.create(model="m", messages=OPENAI_ASK)
            assert plain.choices[0].message.content == TEXT
            stream = client.chat.completions.create(model="m", messages=OPENAI_ASK, stream=True)
            assert "".join(c.choices[0].delta.content or "" for c in stream) == TEXT
        with anthropic.Anthropic(
            api_key=KEY, base_url=f"{scripted.url}/good", max_retries=0
        ) as other:
            message = other.messages.create(model="m", max_tokens=9, messages=ANTHROPIC_ASK)
            assert message.content[0].type == "text"
            assert message.content[0].text == TEXT
            with other.messages.stream(model="m", max_tokens=9, messages=ANTHROPIC_ASK) as answer:
                assert answer.get_final_text() == TEXT
    assert {request.path for request in scripted.requests} == {
        f"/good{path}" for path in PATHS.values()
    }


def test_a_handler_that_fails_fails_the_test() -> None:
    def broken(exchange: Exchange) -> None:
        raise ZeroDivisionError

    def ask() -> None:
        with (
            Scripted(broken) as scripted,
            openai.OpenAI(api_key=KEY, base_url=scripted.url, max_retries=0) as client,
        ):
            client.models.list()

    with pytest.raises(openai.APIConnectionError):
        ask()
    scripted = Scripted(broken)
    with pytest.raises(ZeroDivisionError), scripted:
        _ask_quietly(scripted.url)


def _ask_quietly(url: str) -> None:
    with openai.OpenAI(api_key=KEY, base_url=url, max_retries=0) as client:
        try:
            client.models.list()
        except openai.APIConnectionError:
            return


def test_the_lock_step_upstream_notices_that_its_asker_left() -> None:
    step = LockStep()
    step.allow()
    with Scripted(step) as scripted:
        with openai.OpenAI(api_key=KEY, base_url=f"{scripted.url}/v1", max_retries=0) as client:
            stream = client.chat.completions.create(model="m", messages=OPENAI_ASK, stream=True)
            for chunk in stream:
                if chunk.choices[0].delta.content:
                    break
            stream.close()
        step.wait_gone()
        assert step.gone.wait(10)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_only_whole_streams_count_as_whole(dialect: str) -> None:
    whole = _good(dialect)
    assert stream_text(events(whole), dialect) == TEXT
    for cut in range(len(whole) - 1):
        with pytest.raises(IncompleteError):
            stream_text(events(whole[:cut]), dialect)


def test_an_error_event_is_found_in_both_dialects() -> None:
    assert error_of([Event("", '{"error": {"message": "m"}}')], "openai") == {"message": "m"}
    assert error_of([Event("error", '{"type": "error", "error": {"type": "t"}}')], "anthropic") == {
        "type": "t"
    }
    for dialect in DIALECTS:
        assert error_of(events(_good(dialect)), dialect) is None
