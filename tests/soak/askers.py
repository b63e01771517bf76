"""One request of a soak: asked over the real socket, and what came of it judged strictly."""

import json
from collections.abc import Mapping
from typing import Literal, NamedTuple

import trio

from tests.soak.client import Client, CutError
from tests.soak.plan import RESUMING
from tests.support.answers import PATHS, request_body
from tests.support.reading import IncompleteError, error_of, events, finished, stream_text

__all__ = ["Ask", "Outcome", "Verdict", "ask"]

Verdict = Literal["complete", "honest", "cut", "wrong"]
"""What one asker got.

- ``complete``: one whole answer, and it is the answer to this very question.
- ``honest``: an error that says so: a status with an error body, of those that tell of trouble and
  not of the request, or an error event and a stream that is not ended as if it were whole.
- ``cut``: the connection ended without a word. Right only where the connection itself was killed.
- ``wrong``: anything else: a false end, somebody else's answer, two answers, no answer in time.
"""

_PATIENCE = 30.0
"""Seconds after which a request counts as lost."""


_TROUBLE = frozenset({429, 502, 503, 504, 529})
"""Statuses of errors that are nothing of the request's doing."""


class Ask(NamedTuple):
    """One question."""

    dialect: str
    stream: bool
    prompt: str
    resume: bool = False
    """Whether another provider shall go on with a stream that breaks."""

    @property
    def group(self) -> str:
        """The group that is asked."""
        return f"{self.dialect}{RESUMING}" if self.resume else self.dialect


class Outcome(NamedTuple):
    """What became of it; ``detail`` explains what is not complete."""

    verdict: Verdict
    detail: str = ""
    text: str = ""
    attempts: int = 1
    resumed: bool = False


async def ask(client: Client, one: Ask, expected: Mapping[Ask, str]) -> Outcome:
    """Ask and judge the answer.

    Args:
        client: Speaks to the daemon.
        one: The question.
        expected: The right answers, where they are known.
    """
    messages = [{"role": "user", "content": one.prompt}]
    body = request_body(one.dialect, one.group, stream=one.stream, messages=messages)
    try:
        with trio.fail_after(_PATIENCE):
            reply = await client.ask("POST", PATHS[one.dialect], json.dumps(body).encode())
    except trio.TooSlowError:
        return Outcome("wrong", f"no answer in {_PATIENCE:g} s")
    except CutError as cut:
        if one.stream and cut.status == 200 and _ended_honestly(cut.body, one.dialect):
            return Outcome("honest", "broken stream")
        return Outcome("cut", f"{cut}, status {cut.status}, after {cut.body[-200:]!r}")
    except OSError as error:
        return Outcome("wrong", f"no connection: {error!r}")
    status, got = reply.status, reply.body
    attempts = int(reply.headers.get("x-standby-attempts", "0"))
    try:
        return _judge(one, status, got, attempts, expected)
    except (ValueError, KeyError, IndexError, TypeError, AssertionError) as error:
        return Outcome("wrong", f"{error!r}, status {status}: {got[-300:]!r}")


def _ended_honestly(got: bytes, dialect: str) -> bool:
    seen = list(events(got))
    return error_of(seen, dialect) is not None and not finished(seen, dialect)


def _judge(
    one: Ask, status: int, got: bytes, attempts: int, expected: Mapping[Ask, str]
) -> Outcome:
    if status != 200:
        error = json.loads(got)["error"]
        if status not in _TROUBLE:
            return Outcome("wrong", f"a good request was refused: {status}, {got[-300:]!r}")
        return Outcome("honest", f"status {status}: {error['message']}", attempts=attempts)
    if one.stream:
        seen = list(events(got))
        if error_of(seen, one.dialect) is not None:
            return Outcome("wrong", f"a clean end after an error event: {got[-300:]!r}")
        text = stream_text(seen, one.dialect)
    elif one.dialect == "openai":
        text = json.loads(got)["choices"][0]["message"]["content"]
    else:
        text = "".join(block["text"] for block in json.loads(got)["content"])
    if one in expected and text != expected[one]:
        return Outcome("wrong", f"not the answer to {one.prompt!r}: {text!r}")
    if not text:
        raise IncompleteError("a complete answer without text")
    resumed = b": standby: continued by" in got
    return Outcome("complete", "", text, attempts, resumed)
