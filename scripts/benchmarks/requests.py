"""The requests that are measured: what an SDK sends, byte for byte, and what must come back."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

REQUEST_BODY = 4096
ANSWER_BODY = 1024
STREAM_EVENTS = 100


@dataclass(frozen=True)
class Kind:
    """One kind of request: the model's name tells the upstream what to answer.

    Attributes:
        model: name of the model, which the upstream understands.
        stream: whether a streamed answer is asked for.
        events: events of the streamed answer, `[DONE]` included; 0 for a plain one.
    """

    model: str
    stream: bool
    events: int

    def encode(self, headers: Sequence[str] = ()) -> bytes:
        """Return the whole HTTP request, with these headers besides an SDK's own."""
        body = self.body()
        head = (
            "POST /v1/chat/completions HTTP/1.1",
            "Host: localhost",
            "Accept: application/json",
            "Accept-Encoding: identity",
            "Connection: keep-alive",
            "Content-Type: application/json",
            "User-Agent: OpenAI/Python 3.54.0",
            "Authorization: Bearer bench",
            "x-stainless-lang: python",
            "x-stainless-package-version: 3.54.0",
            "x-stainless-os: Linux",
            "x-stainless-arch: x64",
            "x-stainless-runtime: CPython",
            "x-stainless-retry-count: 0",
            "x-stainless-read-timeout: 600",
            f"Content-Length: {len(body)}",
            *headers,
        )
        return ("\r\n".join(head) + "\r\n\r\n" + body).encode()

    def body(self) -> str:
        """Return the request's body of 4,096 bytes."""
        room = REQUEST_BODY - len(self._body(""))
        return self._body(("lorem ipsum " * REQUEST_BODY)[:room])

    def _body(self, text: str) -> str:
        return json.dumps(
            {
                "messages": [
                    {"role": "system", "content": "You are a helpful assistant."},
                    {"role": "user", "content": text},
                ],
                "model": self.model,
                "temperature": 0.7,
                **({"stream": True} if self.stream else {}),
            }
        )


JSON = Kind("bench-json", stream=False, events=0)
BURST = Kind(f"bench-stream-{STREAM_EVENTS}-0", stream=True, events=STREAM_EVENTS)
PACED = Kind(f"bench-stream-{STREAM_EVENTS}-10000", stream=True, events=STREAM_EVENTS)
HELD = Kind("bench-stream-1000-1000000", stream=True, events=1000)
KINDS = (JSON, BURST, PACED, HELD)
