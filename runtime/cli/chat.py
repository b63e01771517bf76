"""`standby chat`: one question through the daemon's own door, the answer as it arrives.

What is asked travels the same way as any program's request. The answer goes to stdout and to
nothing else; who served it, and what went wrong, go to stderr.
"""

from __future__ import annotations

import io
import json
import sys
import time

from runtime.cli import exits
from runtime.cli.client import Daemon, error_message
from runtime.cli.errors import DaemonError
from runtime.cli.terminal import complain, printable
from runtime.view.wording import clean, duration, number

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any

    from runtime.cli.client import StreamedAnswer

__all__ = ["chat"]

_MOST_INPUT = 8 * 1024 * 1024
_INTERRUPTED = "interrupted"


class _Reply:
    """What has been learnt of one answer."""

    def __init__(self, headers: dict[str, str]) -> None:
        self.text: list[str] = []
        self.provider = headers.get("x-standby-provider", "")
        attempts = headers.get("x-standby-attempts", "")
        self.attempts = int(attempts) if attempts.isdecimal() else 0
        self.request_id = headers.get("x-request-id", "")
        self.model = ""
        self.finish_reason: str | None = None
        self.usage: dict[str, Any] | None = None
        self.complete = False
        self.error = ""
        self.first_token: float | None = None
        self.seconds = 0.0

    def as_json(self) -> str:
        """Return everything as one JSON object, as `--json` prints it."""
        return json.dumps(
            {
                "attempts": self.attempts,
                "complete": self.complete,
                "error": self.error or None,
                "finish_reason": self.finish_reason,
                "first_token_seconds": self.first_token,
                "model": self.model or None,
                "provider": self.provider or None,
                "request_id": self.request_id or None,
                "seconds": self.seconds,
                "text": "".join(self.text),
                "usage": self.usage,
            },
            ensure_ascii=False,
            sort_keys=True,
        )

    def summary(self) -> str:
        """Return who served it and how long that took, in one line."""
        said = [f"served by {clean(self.provider) or 'an unnamed provider'}"]
        if self.model:
            said[0] += f" ({clean(self.model)})"
        if self.attempts:
            said.append(f"{self.attempts} attempt{'' if self.attempts == 1 else 's'}")
        if self.first_token is not None:
            said.append(f"first token after {duration(self.first_token)}")
        said.append(f"{duration(self.seconds)} in all")
        usage = self.usage or {}
        if "prompt_tokens" in usage and "completion_tokens" in usage:
            said.append(
                f"{number(usage['prompt_tokens'])} tokens in, "
                f"{number(usage['completion_tokens'])} out"
            )
        return ", ".join(said)


def chat(options: argparse.Namespace, socket: str) -> int:
    """Ask one question and print the answer; see `standby chat --help`."""
    text = _question(options.text)
    if text is None:
        return exits.USAGE
    wishes = {
        name: value
        for name, value in (
            ("x-standby-group", options.group),
            ("x-standby-provider", options.provider),
            ("x-standby-timeout", options.timeout),
        )
        if value is not None
    }
    with Daemon(socket) as daemon:
        model = options.model or options.group or _default_model(daemon, options.provider)
        if model is None:
            complain("the daemon lists no model; name one with --model")
            return exits.BAD
        messages = [{"role": "user", "content": text}]
        if options.system:
            messages.insert(0, {"role": "system", "content": options.system})
        body: dict[str, object] = {"model": model, "messages": messages}
        if options.stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        began = time.monotonic()
        with daemon.stream(
            "POST", "/v1/chat/completions", body, silence=options.silence, headers=wishes
        ) as answer:
            if answer.status != 200:
                return _refused(answer, options)
            reply = _Reply(answer.headers)
            try:
                if options.stream:
                    _read_stream(answer, reply, began, quiet=options.json)
                else:
                    _read_whole(answer, reply, quiet=options.json)
            except DaemonError as error:
                reply.error = str(error)
            except KeyboardInterrupt:
                # Leaving the block closes the connection, which cancels the request.
                reply.error = _INTERRUPTED
            reply.seconds = time.monotonic() - began
    return _conclude(reply, options)


def _question(text: str | None) -> str | None:
    """Return the text to send, from the argument or from stdin; None after saying why not."""
    if text is None and sys.stdin.isatty():
        complain('nothing to ask; try: standby chat "Hello", or pipe a text in')
        return None
    if text is None or text == "-":
        if isinstance(sys.stdin, io.TextIOWrapper):
            sys.stdin.reconfigure(errors="replace")
        text = sys.stdin.read(_MOST_INPUT + 1)
        if len(text) > _MOST_INPUT:
            complain(f"the text on stdin is longer than {_MOST_INPUT} characters")
            return None
    if not text.strip():
        complain("the question is empty")
        return None
    return text


def _default_model(daemon: Daemon, provider: str | None) -> str | None:
    """Return the group `chat`, else the first group, else the first model that is no pattern.

    For one provider only it is the first model that is its own, where one is listed as that.
    """
    own = None if provider is None else _first_model(daemon, provider)
    if own is not None:
        return own
    answer = daemon.request("GET", "/health/detailed")
    groups = list(answer.json().get("groups") or ()) if answer.status in {200, 503} else []
    if groups:
        return "chat" if "chat" in groups else str(groups[0])
    answer = daemon.request("GET", "/v1/models")
    listed = answer.json().get("data", ()) if answer.status == 200 else ()
    names = [str(entry.get("id", "")) for entry in listed if isinstance(entry, dict)]
    if "chat" in names:
        return "chat"
    return next((name for name in names if name and "*" not in name), None)


def _first_model(daemon: Daemon, provider: str) -> str | None:
    """Return the first model of a provider; None where none is listed as its own."""
    answer = daemon.request("GET", "/v1/models")
    listed = answer.json().get("data", ()) if answer.status == 200 else ()
    entries = [entry for entry in listed if isinstance(entry, dict)]
    return next((str(e.get("id")) for e in entries if e.get("owned_by") == provider), None)


def _refused(answer: StreamedAnswer, options: argparse.Namespace) -> int:
    """Say what an answer other than 200 means."""
    body = answer.read()
    message = error_message(body) or f"the daemon answered {answer.status} without a reason"
    if options.json:
        reply = _Reply(answer.headers)
        reply.error = message
        print(reply.as_json())
    complain(f"no answer ({answer.status}): {clean(message)}")
    return exits.BAD


def _read_stream(answer: StreamedAnswer, reply: _Reply, began: float, *, quiet: bool) -> None:
    """Read the events of a streamed answer, printing its text as it comes."""
    for _, data in answer.events():
        if data == "[DONE]":
            reply.complete = reply.finish_reason is not None and not reply.error
            return
        try:
            event = json.loads(data)
        except ValueError:
            reply.error = "an event of the stream is not JSON"
            return
        if not isinstance(event, dict):
            continue
        if "error" in event:
            reply.error = error_message(data) or "the stream carried an error without a reason"
            return
        reply.model = event.get("model") or reply.model
        reply.usage = event.get("usage") or reply.usage
        for choice in event.get("choices") or ():
            delta = choice.get("delta") or {}
            if piece := delta.get("content") or delta.get("refusal"):
                if reply.first_token is None:
                    reply.first_token = time.monotonic() - began
                _take(reply, piece, quiet=quiet)
            reply.finish_reason = choice.get("finish_reason") or reply.finish_reason


def _read_whole(answer: StreamedAnswer, reply: _Reply, *, quiet: bool) -> None:
    """Read an answer that comes in one piece and print its text."""
    body = answer.read()
    try:
        completion = json.loads(body)
        choice = completion["choices"][0]
        message = choice["message"]
    except (ValueError, LookupError, TypeError):
        reply.error = error_message(body) or "the answer is no chat completion"
        return
    reply.model = completion.get("model") or ""
    reply.usage = completion.get("usage")
    reply.finish_reason = choice.get("finish_reason")
    _take(reply, message.get("content") or message.get("refusal") or "", quiet=quiet)
    reply.complete = True


def _take(reply: _Reply, piece: str, *, quiet: bool) -> None:
    reply.text.append(piece)
    if not quiet:
        sys.stdout.write(printable(piece) if sys.stdout.isatty() else piece)
        sys.stdout.flush()


def _conclude(reply: _Reply, options: argparse.Namespace) -> int:
    """End the output and say how it went; return the exit code."""
    if options.json:
        print(reply.as_json())
    elif reply.text and not reply.text[-1].endswith("\n"):
        print(flush=True)
    if reply.complete:
        if not options.json:
            print(reply.summary(), file=sys.stderr)
        return exits.OK
    why = clean(reply.error) if reply.error else "it ended without its finish marker"
    if reply.text:
        complain(f"the answer is incomplete: {why}")
    else:
        complain(f"no answer: {why}")
    if not options.json:
        print(reply.summary(), file=sys.stderr)
    if reply.error == _INTERRUPTED:
        return exits.INTERRUPTED
    return exits.INCOMPLETE if reply.text else exits.BAD
