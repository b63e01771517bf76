"""Every fault of the simulator, as the bytes and the end of the connection that a client meets."""

import errno
import json
import re
import socket
from typing import Any, NamedTuple

import pytest
import trio

from providers.simulator import FAULTS, FaultRule
from providers.wire import DIALECTS, AnswerFault

DIALECT_NAMES = ("openai", "anthropic")
STATUSES = sorted(int(name[7:]) for name in FAULTS if name.startswith("status_"))


class Seen(NamedTuple):
    """What came back on a raw socket."""

    status: int
    headers: dict[str, str]
    body: bytes
    end: str
    """``whole``: as announced; ``cut``: closed before; ``reset``; ``silent``: nothing for long."""


def request_bytes(
    dialect: str, fault: str, *, stream: bool, by: str = "header", max_tokens: int = 100
) -> bytes:
    body = {
        "model": f"sim-1!{fault}" if by == "model" else "sim-1",
        "messages": [{"role": "user", "content": "Count to five."}],
        "max_tokens": max_tokens,
        "stream": stream,
    }
    payload = json.dumps(body).encode()
    lines = [
        f"POST {DIALECTS[dialect].path} HTTP/1.1",
        "host: localhost",
        "content-type: application/json",
        f"content-length: {len(payload)}",
    ]
    if dialect == "anthropic":
        lines.append("anthropic-version: 2023-06-01")
    if by == "header":
        lines.append(f"x-simulator-fault: {fault}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + payload


async def ask(
    sim: Any, dialect: str, fault: str, *, stream: bool, by: str = "header", patience: float = 5.0
) -> Seen:
    got = b""
    end = "silent"
    connection = await trio.open_tcp_stream(sim.host, sim.port)
    async with connection:
        await connection.send_all(request_bytes(dialect, fault, stream=stream, by=by))
        with trio.move_on_after(patience):
            end = "cut"
            try:
                while not _whole(got):
                    piece = await connection.receive_some(65536)
                    if not piece:
                        break
                    got += piece
            except trio.BrokenResourceError as error:
                cause = error.__cause__
                assert isinstance(cause, OSError)
                assert cause.errno == errno.ECONNRESET
                end = "reset"
            except trio.Cancelled:
                end = "silent"
                raise
    head, _, rest = got.partition(b"\r\n\r\n")
    if not head:
        return Seen(0, {}, b"", end)
    first, *lines = head.decode().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    body = _unchunked(rest) if headers.get("transfer-encoding") == "chunked" else rest
    return Seen(int(first.split()[1]), headers, body, "whole" if _whole(got) else end)


def _whole(got: bytes) -> bool:
    head, separator, rest = got.partition(b"\r\n\r\n")
    if not separator:
        return False
    if b"chunked" in head:
        return rest.endswith(b"0\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    return len(rest) >= length


def _unchunked(rest: bytes) -> bytes:
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        body += rest[: int(size or b"0", 16)]
        rest = rest[int(size or b"0", 16) + 2 :]
    return body


def verdict(dialect: str, seen: Seen) -> str:
    """What the daemon's own wire code makes of a stream."""
    reader = DIALECTS[dialect].stream_reader()
    try:
        reader.check_head(seen.headers["content-type"].encode())
        reader.feed(seen.body)
        if seen.end == "whole":
            reader.end()
    except AnswerFault as fault:
        return f"fault: {fault.message}"
    if reader.error is not None:
        return "error" if reader.started else "error first"
    if reader.finished:
        return "finished" if reader.started else "empty"
    return "unfinished" if reader.started else "not started"


@pytest.mark.parametrize("dialect", DIALECT_NAMES)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("status", STATUSES)
async def test_a_status_is_answered_with_an_error_of_the_dialect(
    start: Any, dialect: str, stream: bool, status: int
) -> None:
    async with start() as sim:
        seen = await ask(sim, dialect, f"status_{status}", stream=stream)
    assert seen.status == status
    assert seen.end == "whole"
    error = DIALECTS[dialect].decode_error(seen.body)
    assert error is not None
    assert error.message
    assert "retry-after" not in seen.headers


async def test_a_rate_limit_says_when_to_come_back(start: Any) -> None:
    async with start() as sim:
        seen = await ask(sim, "openai", "status_429:2.5", stream=False)
        quota = await ask(sim, "openai", "insufficient_quota", stream=False)
    assert (seen.status, seen.headers["retry-after"]) == (429, "2.5")
    assert quota.status == 429
    assert json.loads(quota.body)["error"]["code"] == "insufficient_quota"


@pytest.mark.parametrize("dialect", DIALECT_NAMES)
@pytest.mark.parametrize(
    ("fault", "end", "bad"),
    [
        ("error_body_200", "whole", "holds an error"),
        ("html_200", "whole", "text/html"),
        ("non_json", "whole", "not JSON"),
        ("wrong_content_type", "whole", "text/plain"),
        ("empty_completion", "whole", "no choices|empty message"),
        ("malformed_event", "whole", "not JSON"),
        ("error_first_event", "whole", "holds an error"),
        ("error_midstream", "whole", "holds an error"),
        ("truncated_json", "cut", None),
        ("cut_midstream", "cut", None),
        ("reset_midstream", "reset", None),
        ("stall_midstream", "silent", None),
        ("connect_reset", "reset", None),
        ("hang", "silent", None),
        ("slow_first_token:60", "silent", None),
        ("no_finish_marker", "whole", ""),
        ("no_done", "whole", ""),
        ("none", "whole", ""),
        ("content_filter", "whole", ""),
    ],
)
async def test_each_fault_of_a_plain_answer(
    start: Any, dialect: str, fault: str, end: str, bad: str | None
) -> None:
    async with start() as sim:
        patience = 0.3 if end == "silent" else 5.0
        seen = await ask(sim, dialect, fault, stream=False, patience=patience)
    assert seen.end == end
    if bad is None:
        return
    content_type = seen.headers["content-type"].encode()
    assert seen.status == 200
    if bad:
        with pytest.raises(AnswerFault, match=bad):
            DIALECTS[dialect].peek_answer(seen.body, content_type)
    else:
        reason = DIALECTS[dialect].peek_answer(seen.body, content_type).finish_reason
        filtered = {"content_filter", "refusal"}
        assert (reason in filtered) is (fault == "content_filter")


@pytest.mark.parametrize("dialect", DIALECT_NAMES)
@pytest.mark.parametrize(
    ("fault", "end", "judged"),
    [
        ("none", "whole", "finished"),
        ("content_filter", "whole", "finished"),
        ("error_body_200", "whole", "fault: .* application/json"),
        ("html_200", "whole", "fault: .* text/html"),
        ("non_json", "whole", "fault: .* application/json"),
        ("wrong_content_type", "whole", "fault: .* text/plain"),
        ("empty_completion", "whole", "empty"),
        ("error_first_event", "whole", "error first"),
        ("error_midstream", "whole", "error$"),
        ("error_midstream:0", "whole", "error first"),
        ("malformed_event", "whole", "fault: .* not JSON"),
        ("no_finish_marker", "whole", "unfinished"),
        ("no_done", "whole", "unfinished"),
        ("cut_midstream", "cut", "unfinished"),
        ("cut_midstream:0", "cut", "not started"),
        ("truncated_json", "cut", "unfinished"),
        ("reset_midstream", "reset", "unfinished"),
        ("stall_midstream", "silent", "unfinished"),
        ("connect_reset", "reset", None),
        ("hang", "silent", None),
        ("slow_first_token", "silent", None),
    ],
)
async def test_each_fault_of_a_stream(
    start: Any, dialect: str, fault: str, end: str, judged: str | None
) -> None:
    async with start() as sim:
        patience = 0.3 if end == "silent" else 5.0
        seen = await ask(sim, dialect, fault, stream=True, patience=patience)
        assert sim.facts()["faults"] == ({} if fault == "none" else {fault.partition(":")[0]: 1})
    assert seen.end == end
    if judged is None:
        assert seen.status == 0
    else:
        assert seen.status == 200
        assert re.match(judged, verdict(dialect, seen))


def test_every_fault_is_tested() -> None:
    marks = vars(test_each_fault_of_a_stream)["pytestmark"]
    cases = next(mark.args[1] for mark in marks if "judged" in mark.args[0])
    tested = {case[0].partition(":")[0] for case in cases}
    others = {name for name in FAULTS if name.startswith("status_")} | {"insufficient_quota"}
    assert tested | others == set(FAULTS)


async def _active(sim: Any, number: int) -> None:
    """Wait until so many requests are being answered."""
    with trio.fail_after(2):
        while sim.facts()["active"] != number:  # noqa: ASYNC110 - the counter has no event
            await trio.sleep(0.001)


async def test_a_fault_comes_by_the_models_name_too(start: Any) -> None:
    async with start() as sim:
        seen = await ask(sim, "openai", "status_503", stream=False, by="model")
        fine = await ask(sim, "openai", "none", stream=False, by="model")
    assert seen.status == 503
    assert json.loads(fine.body)["model"] == "sim-1"


async def test_an_unknown_fault_is_a_400_with_a_hint(start: Any) -> None:
    async with start() as sim:
        seen = await ask(sim, "openai", "cut_midsteam", stream=False)
    assert seen.status == 400
    assert "did you mean cut_midstream" in json.loads(seen.body)["error"]["message"]


async def test_a_rule_hits_every_nth_request_and_a_request_may_opt_out(start: Any) -> None:
    async with start(FaultRule(fault="status_500", every=3)) as sim:
        statuses = []
        for number in range(9):
            by = "header" if number == 5 else "nothing"
            statuses.append((await ask(sim, "openai", "none", stream=False, by=by)).status)
    assert statuses == [200, 200, 500, 200, 200, 200, 200, 200, 500]


async def test_a_rule_hits_with_its_probability_alike_every_time(start: Any) -> None:
    runs = []
    for _ in range(2):
        async with start(FaultRule(fault="status_500", probability=0.5)) as sim:
            runs.append(
                [
                    (await ask(sim, "openai", "", stream=False, by="nothing")).status
                    for _ in range(40)
                ]
            )
    assert runs[0] == runs[1]
    assert 10 <= runs[0].count(500) <= 30


async def test_a_rule_outside_its_time_does_nothing(start: Any) -> None:
    later = FaultRule(fault="status_500", from_seconds=3600)
    now = FaultRule(fault="status_503", until_seconds=3600)
    async with start(later, now) as sim:
        assert (await ask(sim, "openai", "", stream=False, by="nothing")).status == 503


@pytest.mark.parametrize("dialect", DIALECT_NAMES)
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", ["none", "hang", "stall_midstream"])
async def test_a_client_that_leaves_cancels_its_request_at_once(
    start: Any, dialect: str, stream: bool, fault: str
) -> None:
    async with start(tokens_per_second=1.0, latency=0.0) as sim:
        connection = await trio.open_tcp_stream(sim.host, sim.port)
        await connection.send_all(request_bytes(dialect, fault, stream=stream))
        await _active(sim, 1)
        await connection.aclose()
        await _active(sim, 0)
        facts = sim.facts()
        assert (facts["cancelled"], facts["completed"]) == (1, 0)


async def test_a_client_that_does_not_read_holds_the_stream_back(start: Any) -> None:
    async with start(answer_words=100_000) as sim:
        connection = trio.socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        await connection.connect((sim.host, sim.port))
        await connection.send(request_bytes("openai", "none", stream=True, max_tokens=100_000))
        await _active(sim, 1)
        await trio.sleep(0.1)
        assert sim.facts()["active"] == 1, "tens of megabytes cannot have been sent"
        connection.close()
        await _active(sim, 0)
        assert sim.facts()["cancelled"] == 1


async def test_a_request_that_is_no_http_gets_a_400_and_the_server_lives(start: Any) -> None:
    async with start() as sim:
        connection = await trio.open_tcp_stream(sim.host, sim.port)
        async with connection:
            await connection.send_all(b"hello\r\n\r\n")
            answer = await connection.receive_some(65536)
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert (await ask(sim, "openai", "none", stream=False)).status == 200
