"""Reading whole answers and streams of both dialects, strictly, without the project's own code."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from tests.support.daemon import Reply


class Event(NamedTuple):
    """One server-sent event."""

    name: str
    data: str

    @property
    def json(self) -> Any:
        """The decoded data."""
        return json.loads(self.data)


class IncompleteError(AssertionError):
    """A stream that was ended as if complete, but is not."""


def events(body: bytes) -> Iterator[Event]:
    """Yield the events of a stream; what follows the last blank line is no event."""
    for block in body.decode().split("\n\n")[:-1]:
        name = ""
        data: list[str] = []
        for line in block.splitlines():
            field, _, value = line.partition(":")
            if field == "event":
                name = value.strip()
            elif field == "data":
                data.append(value.removeprefix(" "))
        if data:
            yield Event(name, "\n".join(data))


def text_of(reply: Reply, dialect: str, *, stream: bool) -> str:
    """Return the text of a complete answer; raise where it is not a complete one."""
    if stream:
        assert reply.headers["content-type"].startswith("text/event-stream")
        return stream_text(list(events(reply.body)), dialect)
    body: Mapping[str, Any] = reply.json
    if dialect == "openai":
        choice = body["choices"][0]
        assert choice["finish_reason"]
        text = choice["message"]["content"]
    else:
        assert body["stop_reason"]
        text = "".join(block["text"] for block in body["content"])
    assert isinstance(text, str)
    return text


def stream_text(seen: Iterable[Event], dialect: str) -> str:
    """Return the text of a complete stream: exactly one finish marker, last, and no error."""
    return _openai_text(list(seen)) if dialect == "openai" else _anthropic_text(list(seen))


def partial_text(seen: Iterable[Event], dialect: str) -> str:
    """Return the text of a stream that need not be complete."""
    if dialect == "openai":
        return "".join(
            choice["delta"].get("content") or ""
            for event in seen
            if event.data != "[DONE]"
            for choice in event.json.get("choices", ())
        )
    return "".join(
        event.json["delta"].get("text", "") for event in seen if event.name == "content_block_delta"
    )


def error_of(seen: Iterable[Event], dialect: str) -> Mapping[str, Any] | None:
    """Return the error event of a stream, if there is one."""
    for event in seen:
        if dialect == "openai":
            wrong = event.data != "[DONE]" and "error" in event.json
        else:
            wrong = event.name == "error"
        if wrong:
            found = event.json["error"]
            assert isinstance(found, dict)
            return found
    return None


def finished(seen: Iterable[Event], dialect: str) -> bool:
    """Tell whether a stream holds its dialect's finish marker."""
    if dialect == "openai":
        return any(event.data == "[DONE]" for event in seen)
    return any(event.name == "message_stop" for event in seen)


def _openai_text(seen: list[Event]) -> str:
    if not seen or seen[-1].data != "[DONE]":
        raise IncompleteError(f"the stream does not end with [DONE]: {seen[-2:]}")
    if sum(event.data == "[DONE]" for event in seen) != 1:
        raise IncompleteError("the stream has more than one [DONE]")
    finishes = [
        choice["finish_reason"]
        for event in seen[:-1]
        for choice in event.json.get("choices", ())
        if choice.get("finish_reason")
    ]
    if len(finishes) != 1 or error_of(seen, "openai") is not None:
        raise IncompleteError(f"the stream has finish reasons {finishes} or an error")
    return partial_text(seen, "openai")


def _anthropic_text(seen: list[Event]) -> str:
    names = [event.name for event in seen]
    if names.count("message_start") != 1 or names.count("message_stop") != 1 or "error" in names:
        raise IncompleteError(f"the stream is not one whole message: {names}")
    if names[-1] != "message_stop":
        raise IncompleteError(f"the stream does not end with message_stop: {names[-2:]}")
    return partial_text(seen, "anthropic")
