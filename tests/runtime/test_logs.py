"""What the daemon writes to standard error."""

import io
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from runtime.logs import set_up_logs
from supervision import ChildSpec, open_system, supervisor
from tests.providers.scripted import settings

Style = Literal["auto", "human", "json"]


@pytest.fixture(autouse=True)
def _tidy() -> Iterator[None]:
    logger = logging.getLogger("standby")
    before = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.propagate = before[0], before[2]
    logger.setLevel(before[1])


def written(style: Style, level: str = "info") -> tuple[io.StringIO, logging.Logger]:
    stream = io.StringIO()
    set_up_logs(level, style, stream)
    return stream, logging.getLogger("standby.test")


def test_json_is_one_object_a_line() -> None:
    stream, log = written("auto")
    log.info("two\nlines %s", "x", extra={"provider": "p", "odd": object})
    try:
        int("bad")
    except ValueError:
        log.exception("failed")
    first, second = (json.loads(line) for line in stream.getvalue().splitlines())
    assert first["message"] == "two\nlines x"
    assert (first["level"], first["logger"], first["provider"]) == ("info", "standby.test", "p")
    assert first["time"].endswith("+00:00")
    assert "ValueError: invalid literal" in second["exception"]


def test_people_get_a_line_to_read() -> None:
    stream, log = written("human")
    log.warning("careful")
    assert stream.getvalue().split(" ", 1)[1] == "warning  careful\n"


def test_the_level_holds() -> None:
    stream, log = written("json", "warning")
    log.info("no")
    log.warning("yes")
    assert len(stream.getvalue().splitlines()) == 1


def test_the_journal_gets_priorities_and_no_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (tmp_path / "log").open("w+") as stream:
        found = (tmp_path / "log").stat()
        monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
        set_up_logs("info", "auto", stream)
        logging.getLogger("standby.test").error("broken")
        stream.flush()
        logging.getLogger("standby.test").warning("one\n<0>two")
        stream.flush()
        assert (tmp_path / "log").read_text() == "<3>broken\n<4>one\n<4><0>two\n"


def test_secrets_do_not_show_in_what_is_logged_of_settings() -> None:
    stream, log = written("json")
    log.info("%r", settings("p", api_key="sk-very-secret"), extra={"of": settings("p")})
    assert "sk-very-secret" not in stream.getvalue()


def test_a_full_disk_loses_messages_and_nothing_else() -> None:
    with Path("/dev/full").open("w") as stream:
        set_up_logs("info", "human", stream)
        for _ in range(10):
            logging.getLogger("standby.test").warning("nobody will read this")


def test_a_closed_stream_loses_messages_and_nothing_else() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stream:
        set_up_logs("info", "json", stream)
        logging.getLogger("standby.test").warning("nobody will read this")


def test_a_reader_that_is_stuck_holds_nothing_up_and_is_told_what_it_missed() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb", buffering=0) as readable, os.fdopen(writer, "w") as stream:
        set_up_logs("info", "human", stream)
        log = logging.getLogger("standby.test")
        for number in range(2000):
            log.warning("message %d %s", number, "x" * 100)
        got = readable.read(1 << 20).decode()
        assert "message 0 " in got
        assert "message 1999 " not in got, "the pipe holds less than all of them"
        log.warning("now it reads again")
        lost, last = readable.read(1 << 20).decode().splitlines()[-2:]
    assert last.endswith("now it reads again")
    assert lost.endswith("messages before this one could not be written")
    written_whole = sum(line.endswith("x" * 100) for line in got.splitlines())
    assert f" {2000 - written_whole} messages" in lost


def test_a_message_that_cannot_be_shown_is_named_and_the_next_one_is_written() -> None:
    stream, log = written("human")

    class Odd:
        def __str__(self) -> str:
            raise RuntimeError

    log.warning("%s", Odd())
    log.warning("next")
    first, second = stream.getvalue().splitlines()
    assert first == "a message of standby.test cannot be shown: RuntimeError"
    assert second.endswith("next")


async def test_first_starts_are_left_out_and_restarts_shown() -> None:
    stream, _ = written("json")

    async def task() -> None:
        import trio

        await trio.sleep_forever()

    async with open_system(supervisor("root", [ChildSpec("x", task, kind="task")])) as system:
        assert "progress" not in stream.getvalue()
        system.kill("x")
        await system.supervisor("root").which_children()
        from trio.testing import wait_all_tasks_blocked

        await wait_all_tasks_blocked()
    kinds = [json.loads(line)["report"]["kind"] for line in stream.getvalue().splitlines()]
    assert "progress" in kinds
