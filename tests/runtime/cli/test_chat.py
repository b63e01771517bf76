"""`standby chat`: the answer on stdout as it arrives, its facts and faults on stderr."""

import io
import json
import os
import signal
import subprocess
import sys

import pytest

from runtime.cli import exits
from tests.runtime.cli.conftest import Standby
from tests.runtime.cli.fake_daemon import FakeDaemon, answer, chunked, stream

Capture = pytest.CaptureFixture[str]
PATH = ("POST", "/v1/chat/completions")
SERVED = {"x-standby-provider": "sim-a", "x-standby-attempts": "2", "x-request-id": "req_1"}


def completion(text: str) -> dict[str, object]:
    return {
        "model": "sim-1",
        "choices": [{"message": {"content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 7, "completion_tokens": 2},
    }


def test_the_answer_goes_to_stdout_and_its_facts_to_stderr(
    daemon: FakeDaemon, standby: Standby, capsys: Capture
) -> None:
    daemon.answers[PATH] = chunked(200, stream("Hello", " you"), SERVED)
    assert standby("chat", "Hi") == exits.OK
    said = capsys.readouterr()
    assert said.out == "Hello you\n"
    assert said.err.startswith("served by sim-a (sim-1), 2 attempts, first token after 0.")
    assert said.err.endswith("7 tokens in, 1,234 out\n")


def test_tokens_are_printed_as_they_arrive(daemon: FakeDaemon) -> None:
    first, *rest = stream("Hello", " you")
    daemon.answers[PATH] = chunked(200, [first, FakeDaemon.PAUSE, *rest], SERVED)
    command = [sys.executable, "-m", "runtime.cli", "chat", "Hi", "--socket", daemon.socket]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as asking:
        assert asking.stdout is not None
        assert os.read(asking.stdout.fileno(), 100) == b"Hello"
        daemon.go_on.set()
        assert asking.stdout.read() == b" you\n"
    assert asking.returncode == exits.OK


def test_interrupting_keeps_what_came_and_says_that_it_is_not_all(daemon: FakeDaemon) -> None:
    first, *rest = stream("Hello", " you")
    daemon.answers[PATH] = chunked(200, [first, FakeDaemon.PAUSE, *rest], SERVED)
    command = [sys.executable, "-m", "runtime.cli", "chat", "Hi", "--socket", daemon.socket]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as asking:
        assert asking.stdout is not None
        assert os.read(asking.stdout.fileno(), 100) == b"Hello"
        asking.send_signal(signal.SIGINT)
        said, complained = asking.communicate(timeout=20)
        daemon.go_on.set()
    assert asking.returncode == exits.INTERRUPTED
    assert said == b"\n"
    assert complained.startswith(b"standby: the answer is incomplete: interrupted\n")


def test_asks_the_group_chat_with_the_system_message_first(
    daemon: FakeDaemon, standby: Standby
) -> None:
    daemon.answers[PATH] = chunked(200, stream("ok"))
    assert standby("chat", "Hi", "--system", "Be brief.") == exits.OK
    asked = json.loads(daemon.wait_for(*PATH).body)
    assert asked == {
        "model": "chat",
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Hi"},
        ],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


@pytest.mark.parametrize(
    ("groups", "listed", "model"),
    [
        ({"code": {}, "chat": {}}, [], "chat"),
        ({"code": {}, "prose": {}}, [], "code"),
        ({}, ["claude-*", "gpt-6-sol"], "gpt-6-sol"),
    ],
)
def test_the_default_model_is_what_the_daemon_has(
    daemon: FakeDaemon,
    standby: Standby,
    groups: dict[str, object],
    listed: list[str],
    model: str,
) -> None:
    daemon.answers["GET", "/health/detailed"] = answer(200, {"groups": groups})
    daemon.answers["GET", "/v1/models"] = answer(200, {"data": [{"id": name} for name in listed]})
    daemon.answers[PATH] = chunked(200, stream("ok"))
    assert standby("chat", "Hi") == exits.OK
    assert json.loads(daemon.wait_for(*PATH).body)["model"] == model


def test_a_daemon_without_models_asks_for_one(
    daemon: FakeDaemon, standby: Standby, capsys: Capture
) -> None:
    daemon.answers["GET", "/health/detailed"] = answer(200, {})
    daemon.answers["GET", "/v1/models"] = answer(200, {"data": []})
    assert standby("chat", "Hi") == exits.BAD
    assert "--model" in capsys.readouterr().err


def test_no_stream_prints_the_whole_answer(
    daemon: FakeDaemon, standby: Standby, capsys: Capture
) -> None:
    daemon.answers[PATH] = answer(200, completion("All at once."), SERVED)
    assert standby("chat", "Hi", "--no-stream", "--model", "m") == exits.OK
    assert capsys.readouterr().out == "All at once.\n"
    assert "stream" not in json.loads(daemon.wait_for(*PATH).body)


def test_json_prints_one_object_with_everything_known(
    daemon: FakeDaemon, standby: Standby, capsys: Capture
) -> None:
    daemon.answers[PATH] = chunked(200, stream("Hello", " you"), SERVED)
    assert standby("chat", "Hi", "--json") == exits.OK
    said = capsys.readouterr()
    told = json.loads(said.out)
    assert told.pop("seconds") >= told.pop("first_token_seconds") >= 0
    assert told == {
        "attempts": 2,
        "complete": True,
        "error": None,
        "finish_reason": "stop",
        "model": "sim-1",
        "provider": "sim-a",
        "request_id": "req_1",
        "text": "Hello you",
        "usage": {"prompt_tokens": 7, "completion_tokens": 1234},
    }
    assert said.err == ""


ERROR_EVENT = b'data: {"error": {"message": "sim-a was killed"}}\n\n'


@pytest.mark.parametrize(
    ("pieces", "why"),
    [
        ([*stream("Hel", end=False), ERROR_EVENT, b""], "sim-a was killed"),
        ([*stream("Hel", end=False), b""], "before its answer was whole"),
        (stream("Hel", end=False), "without its finish marker"),
        ([*stream("Hel", end=False), b"data: [DONE]\n\n"], "without its finish marker"),
        ([*stream("Hel", end=False), b"data: {not json\n\n"], "not JSON"),
    ],
)
def test_a_broken_stream_is_said_to_be_incomplete(
    daemon: FakeDaemon, standby: Standby, capsys: Capture, pieces: list[bytes], why: str
) -> None:
    daemon.answers[PATH] = chunked(200, pieces, SERVED)
    assert standby("chat", "Hi") == exits.INCOMPLETE
    said = capsys.readouterr()
    assert said.out == "Hel\n"
    assert "standby: the answer is incomplete: " in said.err
    assert why in said.err
    assert "served by sim-a" in said.err


def test_a_stream_that_breaks_before_its_first_token_is_no_answer(
    daemon: FakeDaemon, standby: Standby, capsys: Capture
) -> None:
    daemon.answers[PATH] = chunked(200, [ERROR_EVENT, b""], SERVED)
    assert standby("chat", "Hi") == exits.BAD
    said = capsys.readouterr()
    assert said.out == ""
    assert "standby: no answer: sim-a was killed" in said.err


def test_a_refusal_is_passed_on_in_the_daemons_words(
    daemon: FakeDaemon, standby: Standby, capsys: Capture
) -> None:
    daemon.answers[PATH] = answer(
        404, {"error": {"message": 'no model "fats". Did you mean fast?'}}
    )
    assert standby("chat", "Hi", "--model", "fats") == exits.BAD
    said = capsys.readouterr()
    assert (said.out, said.err) == (
        "",
        'standby: no answer (404): no model "fats". Did you mean fast?\n',
    )


@pytest.mark.parametrize("arguments", [["chat"], ["chat", "-"]])
def test_the_question_may_come_from_stdin(
    daemon: FakeDaemon,
    standby: Standby,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("from a pipe\n"))
    daemon.answers[PATH] = chunked(200, stream("ok"))
    assert standby(*arguments) == exits.OK
    asked = json.loads(daemon.wait_for(*PATH).body)
    assert asked["messages"][-1]["content"] == "from a pipe\n"


def test_an_empty_question_is_not_sent(
    daemon: FakeDaemon, standby: Standby, capsys: Capture
) -> None:
    assert standby("chat", "  ") == exits.USAGE
    assert "empty" in capsys.readouterr().err
    assert daemon.asked == []


def test_what_a_model_writes_cannot_steer_the_terminal(
    daemon: FakeDaemon,
    standby: Standby,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
) -> None:
    daemon.answers[PATH] = chunked(200, stream("a\x1b]0;title\x07b\n\tc"))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    assert standby("chat", "Hi") == exits.OK
    assert capsys.readouterr().out == "a?]0;title?b\n\tc\n"


def test_wishes_travel_as_headers(daemon: FakeDaemon, standby: Standby) -> None:
    daemon.answers[PATH] = chunked(200, stream("ok"))
    wishes = ("--group", "talk", "--provider", "sim-a", "--timeout", "500ms", "--model", "m")
    assert standby("chat", "Hi", *wishes) == exits.OK
    asked = daemon.wait_for(*PATH)
    assert {name: value for name, value in asked.headers.items() if "standby-" in name} == {
        "x-standby-group": "talk",
        "x-standby-provider": "sim-a",
        "x-standby-timeout": "500ms",
    }
    assert json.loads(asked.body)["model"] == "m"


def test_without_wishes_no_such_header_is_sent(daemon: FakeDaemon, standby: Standby) -> None:
    daemon.answers[PATH] = chunked(200, stream("ok"))
    assert standby("chat", "Hi") == exits.OK
    assert not any("x-standby" in name for name in daemon.wait_for(*PATH).headers)


def test_for_a_group_the_model_is_the_groups_name(daemon: FakeDaemon, standby: Standby) -> None:
    daemon.answers[PATH] = chunked(200, stream("ok"))
    assert standby("chat", "Hi", "--group", "talk") == exits.OK
    assert json.loads(daemon.wait_for(*PATH).body)["model"] == "talk"


@pytest.mark.parametrize(
    ("provider", "model"), [("sim-b", "own"), ("unlisted", "chat")], ids=["listed", "not listed"]
)
def test_for_a_provider_the_model_is_its_own_where_one_is_listed(
    daemon: FakeDaemon, standby: Standby, provider: str, model: str
) -> None:
    listed = [{"id": "chat", "owned_by": "standby"}, {"id": "own", "owned_by": "sim-b"}]
    daemon.answers["GET", "/v1/models"] = answer(200, {"data": listed})
    daemon.answers[PATH] = chunked(200, stream("ok"))
    assert standby("chat", "Hi", "--provider", provider) == exits.OK
    assert json.loads(daemon.wait_for(*PATH).body)["model"] == model


@pytest.mark.parametrize(
    "wish", [("--timeout", "soon"), ("--timeout", "0"), ("--group", "a\r\nb"), ("--provider", "")]
)
def test_a_wish_that_no_header_can_carry_is_a_mistake_of_usage(
    daemon: FakeDaemon, standby: Standby, wish: tuple[str, str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        standby("chat", "Hi", *wish)
    assert ended.value.code == exits.USAGE
    assert not daemon.asked
