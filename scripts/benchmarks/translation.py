"""`scripts/bench translation`: what putting a request and its answer into another dialect costs."""

import argparse
import json
import os
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.processes import choose_cores
from benchmarks.report import describe_machine, number, table
from benchmarks.requests import ANSWER_BODY, REQUEST_BODY
from providers.wire.translation.codec import Target
from providers.wire.translation.codecs import codec_of, front_codec_of
from providers.wire.translation.translation import Translation

DIRECTIONS = (
    ("openai", "anthropic"),
    ("anthropic", "openai"),
    ("responses", "openai"),
    ("responses", "anthropic"),
)
"""The asker's dialect and the provider's."""

MOST_REQUEST, MOST_EVENT, MOST_LONG = 30.0, 4.0, 2.0
"""Microseconds of CPU for a request of 4 KB and its answer; for an event of a stream; and how many
times the cost of decoding and encoding it a conversation of 200 KB may take."""

EVENTS = 200
LONG_TURNS, LONG_TEXT = 100, 2000
MODEL = "bench-model"
WORDS = "lorem ipsum dolor sit amet "

TOOL = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city"],
}


def text(size: int) -> str:
    """Return words of so many characters."""
    return (WORDS * (size // len(WORDS) + 1))[:size]


def request(dialect: str, turns: Sequence[str], *, stream: bool) -> bytes:
    """Return a request with a tool and a conversation, its turns alternating."""
    roles = ("user", "assistant")
    said = [{"role": roles[turn % 2], "content": words} for turn, words in enumerate(turns)]
    common: dict[str, Any] = {"model": MODEL, "temperature": 0.7, "stream": stream}
    function = {"name": "weather", "description": "Tells the weather."}
    if dialect == "anthropic":
        tools: list[dict[str, Any]] = [{**function, "input_schema": TOOL}]
        body = {**common, "max_tokens": 1000, "system": "Be brief.", "messages": said}
    elif dialect == "openai":
        tools = [{"type": "function", "function": {**function, "parameters": TOOL}}]
        system = {"role": "system", "content": "Be brief."}
        body = {**common, "max_tokens": 1000, "messages": [system, *said]}
    else:
        tools = [{"type": "function", **function, "parameters": TOOL, "strict": False}]
        body = {**common, "max_output_tokens": 1000, "instructions": "Be brief.", "input": said}
    return json.dumps({**body, "tools": tools}).encode()


def answer(dialect: str) -> bytes:
    """Return a provider's plain answer of some 1 KB."""
    words = text(ANSWER_BODY - 350)
    if dialect == "anthropic":
        body: dict[str, Any] = {
            "id": "msg_1", "type": "message", "role": "assistant", "model": MODEL,
            "content": [{"type": "text", "text": words}],
            "stop_reason": "end_turn", "stop_sequence": None,
            "usage": {"input_tokens": 900, "output_tokens": 150, "cache_read_input_tokens": 0},
        }  # fmt: skip
    else:
        message = {"role": "assistant", "content": words, "refusal": None}
        body = {
            "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": MODEL,
            "choices": [
                {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
            ],
            "usage": {"prompt_tokens": 900, "completion_tokens": 150, "total_tokens": 1050},
        }  # fmt: skip
    return json.dumps(body).encode()


def events(dialect: str) -> tuple[bytes, Sequence[bytes], bytes]:
    """Return the beginning of a provider's stream, the events of its text, and its end."""
    if dialect == "anthropic":

        def event(kind: str, **members: object) -> bytes:
            data = json.dumps({"type": kind, **members})
            return f"event: {kind}\ndata: {data}\n\n".encode()

        message = {**json.loads(answer(dialect)), "content": [], "stop_reason": None}
        block = {"type": "text", "text": ""}
        begin = event("message_start", message=message)
        begin += event("content_block_start", index=0, content_block=block)
        delta = {"type": "text_delta", "text": " lorem"}
        pieces = [event("content_block_delta", index=0, delta=delta)] * EVENTS
        end = event("content_block_stop", index=0)
        stop = {"stop_reason": "end_turn", "stop_sequence": None}
        end += event("message_delta", delta=stop, usage={"output_tokens": EVENTS})
        return begin, pieces, end + event("message_stop")

    def chunk(delta: Mapping[str, object], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1}
        return f"data: {json.dumps({**head, 'model': MODEL, 'choices': [choice]})}\n\n".encode()

    begin = chunk({"role": "assistant", "content": ""})
    return begin, [chunk({"content": " lorem"})] * EVENTS, chunk({}, "stop") + b"data: [DONE]\n\n"


def cost(work: Callable[[], object], count: int, rounds: int) -> float:
    """Return the CPU microseconds that one call takes: the median of rounds."""
    found = []
    for _ in range(rounds + 1):
        began = time.process_time_ns()
        for _ in range(count):
            work()
        found.append((time.process_time_ns() - began) / count / 1000)
    return statistics.median(found[1:])


def measured(front: str, back: str, *, count: int, rounds: int) -> dict[str, float]:
    """Return the figures of one direction."""

    def translation(body: bytes) -> Translation:
        return Translation(
            front_codec_of(front),
            codec_of(back),
            body,
            Target(model=MODEL),
            answer_id="bench",
            created=1,
        )

    short = request(front, [text(REQUEST_BODY - 500)], stream=False)
    reply = answer(back)
    streamed = request(front, ["Hello"], stream=True)
    begin, pieces, end = events(back)
    long = request(front, [text(LONG_TEXT)] * LONG_TURNS, stream=False)

    def stream(every: Sequence[bytes]) -> None:
        translator = translation(streamed).stream()
        translator.feed(begin)
        for piece in every:
            translator.feed(piece)
        translator.finish(end)

    recode = msgspec.json.Decoder()
    fewer = max(1, count // 50)
    both = cost(lambda: stream(pieces), fewer, rounds)
    return {
        "request": cost(lambda: translation(short).answer(reply), count, rounds),
        "event": (both - cost(lambda: stream(()), fewer, rounds)) / EVENTS,
        "long": cost(lambda: translation(long), fewer, rounds),
        "recoded": cost(lambda: msgspec.json.encode(recode.decode(long)), fewer, rounds),
    }


def parse(arguments: Sequence[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="scripts/bench translation",
        allow_abbrev=False,
        description="Measure what translating a request and its answer between dialects costs: a "
        f"request of {REQUEST_BODY} bytes with an answer of {ANSWER_BODY}, an event of a stream, "
        "and a conversation of 200 KB against decoding and encoding it.",
    )
    parser.add_argument("--quick", action="store_true", help="short rounds, some five seconds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write all figures there")
    parser.add_argument("--check", action="store_true", help="end with 1 when a mark is missed")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> int:
    """Run the benchmark, print its report, return the exit code."""
    options = parse(arguments)
    count, rounds = (500, 3) if options.quick else (5000, 9)
    cores = choose_cores()
    os.sched_setaffinity(0, {cores.program})
    found = {}
    for front, back in DIRECTIONS:
        name = f"{front} to {back}"
        print(f"  {name}", file=sys.stderr, flush=True)
        found[name] = measured(front, back, count=count, rounds=rounds)
    print(
        f"{describe_machine()}. CPU time of this process on core {cores.program}; medians of "
        f"{rounds} rounds.\n"
    )
    lines = []
    for name, each in found.items():
        times = each["long"] / each["recoded"]
        costs = (each["request"], each["event"], each["long"])
        lines.append((name, *map(number, costs), f"{times:.2f} times"))
    heads = ("CPU µs", "4 KB request and answer", "stream event", "200 KB request")
    print(table((*heads, "of its recoding"), lines))
    print(f"\nmarks: {MOST_REQUEST:g}, {MOST_EVENT:g}, and {MOST_LONG:g} times its recoding")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
    missed = any(
        each["request"] >= MOST_REQUEST
        or each["event"] >= MOST_EVENT
        or each["long"] >= MOST_LONG * each["recoded"]
        for each in found.values()
    )
    return 1 if options.check and missed else 0
