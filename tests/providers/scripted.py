"""A scripted upstream on a Unix socket, in the test's own trio run: good for a virtual clock."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import trio

from providers.anthropic import AnthropicProvider
from providers.interface import ForwardRequest, ProviderInterface, ProviderSettings
from providers.openai import OpenAIProvider

MODEL = "m-1"
ANSWER = json.dumps(
    {
        "id": "c1",
        "object": "chat.completion",
        "model": MODEL,
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "hello"},
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5},
    }
).encode()


def event(**delta: object) -> bytes:
    """One event of a streamed chat completion."""
    finish = delta.pop("finish", None)
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "c1", "object": "chat.completion.chunk", "model": MODEL, "choices": [choice]}
    return b"data: " + json.dumps(body).encode() + b"\n\n"


ROLE = event(role="assistant")
HELLO = event(content="hello")
STOP = event(finish="stop")
DONE = b"data: [DONE]\n\n"
STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)
END = b"0\r\n\r\n"


def chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def plain(body: bytes = ANSWER, status: int = 200, more: bytes = b"") -> bytes:
    head = b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\n%bcontent-length: %d\r\n\r\n"
    return head % (status, more, len(body)) + body


def failing(status: int, more: bytes = b"", **error: object) -> bytes:
    body = {"error": {"message": "no", "type": "t", "code": None, **error}}
    return plain(json.dumps(body).encode(), status, more)


class Call:
    """One request as the upstream got it, and the way back."""

    def __init__(self, raw: bytes, stream: trio.SocketStream, number: int, nth: int) -> None:
        self.raw = raw
        self.stream = stream
        self.connection = number
        self.nth = nth
        head, _, self.body = raw.partition(b"\r\n\r\n")
        first, *lines = head.split(b"\r\n")
        self.line = first
        self.headers = [tuple(line.split(b": ", 1)) for line in lines]

    async def send(self, data: bytes) -> None:
        await self.stream.send_all(data)

    async def hang_up(self) -> None:
        await self.stream.aclose()

    async def left(self) -> None:
        """Wait until the other side has closed."""
        try:
            while await self.stream.receive_some():
                pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass


Script = Callable[[Call], Awaitable[None]]


def says(data: bytes) -> Script:
    async def script(call: Call) -> None:
        await call.send(data)

    return script


async def answers(call: Call) -> None:
    """Answer well, plain or streamed as asked."""
    if json.loads(call.body).get("stream"):
        await call.send(STREAM_HEAD + chunked(ROLE + HELLO + STOP + DONE) + END)
    else:
        await call.send(plain())


async def silent(call: Call) -> None:
    await call.left()


async def hangs_up(call: Call) -> None:
    await call.hang_up()


class Upstream:
    """Takes connections, reads whole requests, plays its scripts; the last one goes on for ever."""

    def __init__(self, path: Path, *scripts: Script) -> None:
        self.path = path
        self.scripts = list(scripts) or [answers]
        self.calls: list[Call] = []
        self.connections = 0
        self.open = 0

    async def run(self, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        with trio.socket.socket(trio.socket.AF_UNIX) as sock:
            await sock.bind(str(self.path))
            sock.listen(200)
            task_status.started()
            async with trio.open_nursery() as nursery:
                while True:
                    accepted, _ = await sock.accept()
                    self.connections += 1
                    nursery.start_soon(self._serve, trio.SocketStream(accepted), self.connections)

    async def _serve(self, stream: trio.SocketStream, number: int) -> None:
        self.open += 1
        nth = 0
        try:
            async with stream:
                while (raw := await _request(stream)) is not None:
                    nth += 1
                    call = Call(raw, stream, number, nth)
                    self.calls.append(call)
                    script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
                    await script(call)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        finally:
            self.open -= 1


async def _request(stream: trio.SocketStream) -> bytes | None:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = await stream.receive_some()
        if not piece:
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    length = next(
        int(line.split(b":")[1])
        for line in head.lower().split(b"\r\n")
        if line.startswith(b"content-length:")
    )
    while len(body) < length:
        piece = await stream.receive_some()
        if not piece:
            return None
        body += piece
    return head + b"\r\n\r\n" + body


def settings(name: str, path: Path | None = None, **more: object) -> ProviderSettings:
    url = "http://127.0.0.1:9/v1"
    if path is not None:
        url = "http+unix://" + str(path).replace("/", "%2F") + "/v1"
    given: dict[str, object] = {"kind": "openai", "base_url": url, "models": (MODEL,), **more}
    return ProviderSettings(name=name, **given)  # type: ignore[arg-type]  # a test gives each field its own type


def provider(name: str, path: Path | None = None, **more: object) -> ProviderInterface:
    kind = more.get("kind", "openai")
    made = AnthropicProvider if kind == "anthropic" else OpenAIProvider
    return made(settings(name, path, **more))


def asked(
    model: str = MODEL, *, stream: bool = False, headers: list[tuple[bytes, bytes]] | None = None
) -> ForwardRequest:
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    return ForwardRequest(
        headers=headers or [(b"content-type", b"application/json")],
        body=json.dumps(body).encode(),
        model=model,
        stream=stream,
        request_id="req_1",
    )
